//! What is answered, to what is right and to what is not.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::routing::get;
use axum::{Router, middleware};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::provider_keys::Lines;
use super::{Bench, address, scoped};
use crate::api::problem;

#[tokio::test]
async fn an_interaction_is_taken_once_and_scored() {
    let bench = Bench::open().await;
    let item = json!({"source": "crm", "external_id": 7, "text": "Third week without an answer. I am about to give up on you.",
                      "customer": {"id": 42, "name": "Ana"}, "channel": "email", "occurred_at": "2026-04-22T18:33:11+02:00"});
    let first = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
    assert_eq!((first.status, &first.json()["result"]), (201, &json!("created")));
    let again = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
    assert_eq!((again.status, &again.json()["result"]), (200, &json!("duplicate")));
    assert_eq!(again.json()["id"], first.json()["id"]);
    let mut other = item.clone();
    other["text"] = json!("All is well now, thank you so much for sorting this out!");
    let conflict = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&other)).await;
    assert_eq!((conflict.status, &conflict.json()["code"]), (409, &json!("conflict")));
    bench.settled(&bench.mine).await;

    let found = bench.get("/api/v1/interactions?source=crm&external_id=7").await;
    let id = found["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), format!("/api/v1/interactions/{id}"));
    let shown = bench.get(&format!("/api/v1/interactions/{id}")).await;
    assert_eq!((&shown["state"], &shown["sentiment"]["label"]), (&json!("scored"), &json!("negative")));
    assert_eq!(shown["revisions"].as_array().map(Vec::len), Some(1));
    let sums = bench.get("/api/v1/customers/42/sentiment").await;
    assert_eq!((&sums["rollup"]["total_scored"], &sums["rollup"]["count_negative"]), (&json!(1), &json!(1)));
    assert_eq!(sums["last"]["label"], "negative");
    assert_eq!(bench.get("/api/v1/escalations").await["items"][0]["interaction_id"], json!(id));
    assert_eq!(bench.get("/api/v1/overview?days=7").await["all_time"]["scored"], 1);

    other["on_conflict"] = json!("update");
    let updated = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&other)).await;
    assert_eq!((updated.status, &updated.json()["result"]), (200, &json!("updated")));
    bench.settled(&bench.mine).await;
    let shown = bench.get(&format!("/api/v1/interactions/{id}")).await;
    assert_eq!((&shown["sentiment"]["label"], &shown["revision"]), (&json!("positive"), &json!(2)));
    assert_eq!(shown["revisions"].as_array().map(Vec::len), Some(2));
    assert_eq!(bench.store().verify(bench.mine.id).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_scored_says_why() {
    let bench = Bench::open().await;
    for (external, text) in [
        ("short", "Called."),
        ("finnish", "Tämä on jo kolmas kerta kun kirjoitan teille eikä kukaan vastaa minulle mitään"),
    ] {
        bench
            .call(
                "POST",
                "/api/v1/interactions",
                "ut_mine",
                Some(&json!({"external_id": external, "text": text})),
            )
            .await;
    }
    bench.settled(&bench.mine).await;
    bench.call("POST", "/api/v1/module/deactivate", "ut_mine", None).await;
    bench
        .call(
            "POST",
            "/api/v1/interactions",
            "ut_mine",
            Some(&json!({"external_id": "off", "text": "It broke again and again."})),
        )
        .await;
    bench.settled(&bench.mine).await;
    let module = bench.call("POST", "/api/v1/module/activate", "ut_mine", None).await.json();
    assert_eq!((&module["active"], module["periods"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    let skipped = bench.get("/api/v1/interactions?state=skipped").await;
    let reasons: Vec<&str> =
        skipped["items"].as_array().unwrap().iter().map(|i| i["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["module_inactive", "language_not_validated", "too_short"]);
    assert!(skipped["items"][1]["explanation"].as_str().unwrap().contains("not validated"));
}

#[tokio::test]
async fn a_file_keeps_what_is_good_and_tells_what_is_not() {
    let bench = Bench::open().await;
    let mut lines: Vec<String> = (1..=1200)
        .map(|n| json!({"external_id": n, "text": "The parcel came late again."}).to_string())
        .collect();
    lines[6] = "{\"text\": \"broken".to_owned();
    lines[500] = json!({"text": "nul \u{0} here"}).to_string();
    lines[600] = json!({"text": "x", "ocurred_at": "2026-01-01T00:00:00Z"}).to_string();
    lines[700] = json!({"text": "x", "occurred_at": "2999-01-01T00:00:00Z"}).to_string();
    lines[800] = String::new();
    lines[900] = json!({"external_id": 1, "text": "Something else."}).to_string();
    lines[1000] = lines[0].clone();
    let mut body = lines.join("\n").into_bytes();
    body.extend_from_slice(b"\n{\"text\": \"\xff\xfe\"}\n");
    let answer = bench.post("/api/v1/interactions", "application/x-ndjson", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let summary = answer.json();
    assert_eq!(
        (&summary["accepted"], &summary["duplicates"], &summary["rejected"]),
        (&json!(1193), &json!(1), &json!(6))
    );
    let mut told: Vec<(u64, String)> = summary["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["line"].as_u64().unwrap(), e["code"].as_str().unwrap().to_owned()))
        .collect();
    told.sort();
    let expected = [
        (7, "invalid_json"),
        (501, "nul"),
        (601, "unknown_field"),
        (701, "future_time"),
        (901, "conflict"),
        (1201, "invalid_utf8"),
    ];
    assert_eq!(told, expected.map(|(line, code)| (line, code.to_owned())));

    let every = bench.post("/api/v1/interactions?results=all", "application/x-ndjson", body).await;
    assert_eq!(every.header("content-type"), "application/x-ndjson");
    let results: Vec<Value> = every.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results.len(), 1201);
    assert_eq!(results[1200]["summary"]["duplicates"], 1194);
    let of = |line| results.iter().find(|r| r["line"] == line).unwrap();
    assert_eq!((&of(1)["result"], &of(7)["result"]), (&json!("duplicate"), &json!("rejected")));

    let array =
        json!([{"text": "One is fine so far."}, {"txt": 1}, {"text": "Two is fine so far."}]).to_string();
    let summary = bench
        .post("/api/v1/interactions", "application/json", format!("{}…", &array[..array.len()]))
        .await
        .json();
    assert_eq!((&summary["accepted"], &summary["rejected"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn bodies_that_are_too_long_or_of_the_wrong_type_are_refused() {
    let bench = Bench::open().await;
    let emoji = "😀".repeat(2 << 20);
    let long = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"text": emoji}))).await;
    assert_eq!((long.status, &long.json()["code"]), (413, &json!("too_large")));
    let text = "😀".repeat((1 << 20) / 4 + 1);
    let text = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"text": text}))).await;
    assert_eq!((text.status, &text.json()["errors"][0]["code"]), (422, &json!("too_long")));
    let wrong = bench.post("/api/v1/interactions", "text/csv", "a,b").await;
    assert_eq!((wrong.status, &wrong.json()["code"]), (415, &json!("unsupported_media_type")));
    let lines =
        format!("{}\n{}\n", json!({"text": "x".repeat(5 << 20)}), json!({"text": "The next one is good."}));
    let summary = bench.post("/api/v1/interactions", "application/x-ndjson", lines).await.json();
    assert_eq!((&summary["accepted"], &summary["errors"][0]["code"]), (&json!(1), &json!("too_long")));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told() {
    let bench = Bench::open().await;
    for (route, _) in scoped() {
        let path = address(route, "x");
        if route.method != "GET"
            && !path.ends_with("activate")
            && !path.ends_with("revert")
            && !path.ends_with("opt-out")
            && route.method != "DELETE"
        {
            for body in ["{", "\u{feff}", "[", "nul\u{0}", "{\"a\":"] {
                let answer = bench.post_with(route, &path, body).await;
                if answer.status == 200 && path.ends_with("/interactions") {
                    // An array is read item by item; what is wrong is told for the item.
                    assert_eq!(answer.json()["rejected"], 1, "{body:?}");
                    continue;
                }
                assert!(
                    (400..500).contains(&answer.status),
                    "{} {path} with {body:?}: {} {}",
                    route.method,
                    answer.status,
                    answer.text
                );
            }
        }
        let junk = bench
            .call(route.method, &format!("{path}?days=%00&hours=x&limit=-1&state=%FF"), "ut_mine", None)
            .await;
        assert!(junk.status < 500, "{} {path}: {}", route.method, junk.text);
        if route.path.contains('{') {
            let nul = bench.call(route.method, &address(route, "a%00"), "ut_mine", None).await;
            assert_eq!(nul.status, 404, "{} {}: {}", route.method, route.path, nul.text);
        }
    }
    let answer = bench.call("POST", "/api/v1/score", "ut_mine", Some(&json!({"txt": 1}))).await;
    let problem = answer.json();
    assert_eq!((answer.status, answer.header("content-type")), (422, "application/problem+json"));
    assert_eq!(problem["code"], "invalid");
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    // Which of two is meant is nobody's guess.
    for path in ["interactions?state=scored&state=failed", "alerts?limit=1&limit=2"] {
        let twice = bench.call("GET", &format!("/api/v1/{path}"), "ut_mine", None).await;
        assert_eq!(twice.status, 400, "{path}: {}", twice.text);
    }
    for path in ["/api/v1/score", "/api/v1/interactions"] {
        let twice = Request::post(path)
            .header(header::AUTHORIZATION, "Bearer ut_mine")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(r#"{"text": "It broke again", "text": "Thank you"}"#));
        let twice = bench.send(twice.unwrap()).await;
        assert_eq!(twice.status, 422, "{path}: {}", twice.text);
    }
    let nowhere = bench.call("GET", "/api/v1/nowhere", "ut_mine", None).await;
    assert_eq!((nowhere.status, &nowhere.json()["code"]), (404, &json!("not_found")));
    let method = bench.call("DELETE", "/api/v1/interactions", "ut_mine", None).await;
    assert_eq!((method.status, &method.json()["detail"]), (405, &json!("this address takes POST, GET")));
    let page = bench.call("GET", "/nowhere", "", None).await;
    assert!(page.status == 404 && page.text.contains("<h1>Not there</h1>"));
    let guide = bench.call("GET", "/crm/api/sentiment.php?action=x", "ut_mine", None).await;
    assert_eq!((guide.status, &guide.json()["ok"]), (400, &json!(false)));
    assert!(guide.json()["error"].is_string());
}

#[tokio::test]
async fn an_open_page_hears_of_a_verdict() {
    let bench = Bench::open().await;
    let (cookie, _) = bench.session("tenant_admin").await;
    let request = Request::get("/live?days=30").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
    let response = bench.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let text = "Third week without an answer. I am about to give up on you.";
    bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"text": text}))).await;
    let mut heard = String::new();
    let listen = async {
        while !(heard.contains("event: say") && heard.contains("data-for=\"latest\"")) {
            let chunk = futures::StreamExt::next(&mut stream).await.unwrap().unwrap();
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), listen).await.unwrap();
    assert!(heard.contains("give up") && heard.contains("<mark"), "{heard}");
    assert!(heard.contains("data-for=\"stats\"") && heard.contains("data-for=\"trend\""), "{heard}");
    // A page that was read before, and connects only now, hears of it too; one that shows it already does not.
    let moment = heard.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    for (seen, hears) in [("0.0.0.0", true), (moment, false)] {
        let request = Request::get(format!("/live?days=30&seen={seen}")).header(header::COOKIE, &cookie);
        let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let mut stream = response.into_body().into_data_stream();
        let first = tokio::time::timeout(Duration::from_secs(2), futures::StreamExt::next(&mut stream)).await;
        assert_eq!(first.is_ok(), hears, "after {seen}: {first:?}");
    }
}

#[tokio::test]
async fn a_text_can_be_tried_out_and_is_not_kept() {
    let bench = Bench::open().await;
    let score = async |text: &str| {
        bench.call("POST", "/api/v1/score", "ut_mine", Some(&json!({"text": text}))).await.json()
    };
    assert_eq!(score("Third week without an answer, I am furious.").await["verdict"]["label"], "negative");
    assert_eq!(score("Hi").await["reason"], "too_short");
    assert_eq!(bench.get("/api/v1/interactions").await["items"], json!([]));
}

#[tokio::test]
async fn lists_go_on_where_they_left_off() {
    let bench = Bench::open().await;
    let lines: Vec<String> = (0..25)
        .map(|n| json!({"external_id": n, "text": "The parcel came late again."}).to_string())
        .collect();
    bench.post("/api/v1/interactions", "application/x-ndjson", lines.join("\n")).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("/api/v1/interactions?limit=10{cursor}")).await;
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| i["external_id"].as_str().unwrap().parse::<i64>().unwrap()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).rev().collect::<Vec<_>>());
    let wrong = bench.call("GET", "/api/v1/interactions?cursor=xyz", "ut_mine", None).await;
    assert_eq!((wrong.status, &wrong.json()["code"]), (400, &json!("invalid_query")));
}

#[tokio::test]
async fn whoever_watches_is_answered() {
    let bench = Bench::open().await;
    assert_eq!(bench.call("GET", "/healthz", "", None).await.text, "ok\n");
    assert_eq!(bench.call("GET", "/readyz", "", None).await.json()["database"], "SQLite");
    let docs = bench.call("GET", "/api/docs/", "", None).await;
    assert!(
        docs.status == 200 && !docs.text.contains("http://") && !docs.text.contains("https://"),
        "{}",
        docs.text
    );
    let errors = bench.call("GET", "/api/docs/errors", "", None).await;
    assert!(crate::api::problem::CODES.iter().all(|code| errors.text.contains(code.word)));
}

#[tokio::test]
async fn a_failure_is_logged_by_its_route_without_what_it_was_about() {
    let (lines, _guard) = Lines::taken_down();
    let fails = Router::new()
        .route("/customers/{id}", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .fallback(async || StatusCode::INTERNAL_SERVER_ERROR)
        .layer(middleware::from_fn(problem::render));
    for path in ["/customers/ana%40example.com", "/ana@example.com"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        assert_eq!(fails.clone().oneshot(request).await.unwrap().status(), 500);
    }
    let log = lines.text();
    assert!(
        log.contains("GET /customers/{id} failed") && log.contains("GET an unknown address failed"),
        "{log}"
    );
    assert!(!log.contains("ana"), "{log}");
}
