//! The events as those follow them who can not be called.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, header};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use undertone_core::Role;
use undertone_core::event::EventKind;
use undertone_core::visibility::Viewer;
use undertone_store::Act;

use super::document::assert_documented;
use super::{Bench, FURIOUS, furious};
use crate::visibility;

async fn score(bench: &Bench, customer: &str) {
    bench.score(&furious(customer)).await;
    bench.place().await;
}

/// Corrects a verdict as who has just looked at it.
pub(super) async fn correct(bench: &Bench, interaction: &str, label: &str) {
    let path = format!("/api/v1/interactions/{interaction}");
    let version = bench.get(&path).await["sentiment"]["version"].clone();
    let said = json!({"label": label, "version": version});
    let answer = bench.call("POST", &format!("{path}/override"), "ut_mine", Some(&said)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn types(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_go_on_where_they_ended() {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let bench = Bench::open().await;
    let get = async |query: &str, status: u16| {
        let answer = bench.call("GET", &format!("/api/v1/events{query}"), "ut_mine", None).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        assert_documented(&document, "GET", "/api/v1/events", &answer);
        answer.json()
    };
    // Before anything has come there is a place to begin at.
    let none = get("", 200).await;
    assert_eq!((types(&none).len(), &none["more"]), (0, &json!(false)));
    let beginning = none["next"].as_str().unwrap().to_owned();
    score(&bench, "ana").await;
    score(&bench, "ben").await;
    let all = get(&format!("?after={beginning}"), 200).await;
    assert_eq!(
        types(&all),
        [
            "sentiment.scored",
            "sentiment.negative",
            "alert.raised",
            "sentiment.scored",
            "sentiment.negative",
            "alert.raised"
        ]
    );
    let mut page = get("?limit=2", 200).await;
    let mut told: Vec<Value> = page["events"].as_array().unwrap().clone();
    while page["more"] == true {
        page = get(&format!("?limit=2&after={}", page["next"].as_str().unwrap()), 200).await;
        told.extend(page["events"].as_array().unwrap().clone());
    }
    assert_eq!(json!(told), all["events"]);
    let rest = get(&format!("?after={}", page["next"].as_str().unwrap()), 200).await;
    assert_eq!(types(&rest).len(), 0);
    assert_eq!(types(&get("?types=alert.*", 200).await), ["alert.raised"; 2]);
    assert_eq!(types(&get("?types=sentiment.scored,alert.raised&limit=3", 200).await).len(), 3);
    get("?types=alert.rased", 400).await;
    get("?after=7", 400).await;
    get("?colour=red", 400).await;
    // A cursor of theirs is none of mine.
    let item = json!({"text": FURIOUS});
    bench.call("POST", "/api/v1/interactions", "ut_theirs", Some(&item)).await;
    bench.settled(&bench.theirs).await;
    bench.store().place_events(bench.theirs.id, 100).await.unwrap();
    let theirs = bench.call("GET", "/api/v1/events?limit=1", "ut_theirs", None).await.json();
    assert_ne!(theirs["events"][0]["id"], all["events"][0]["id"]);
    get(&format!("?after={}", theirs["next"].as_str().unwrap()), 400).await;
    // Whoever comes back after what followed was removed has to know that they missed something.
    bench.store().remove_old_events(bench.mine.id, chrono::TimeDelta::zero()).await.unwrap();
    get(&format!("?after={beginning}"), 410).await;
    get("", 200).await;
    // However much was removed, whoever begins anew begins with what is kept.
    let hook = json!({"kind": "webhook", "name": "x", "url": "https://example.com/"});
    let made = bench.call("POST", "/api/v1/destinations", "ut_mine", Some(&hook)).await;
    let to = made.json()["id"].as_str().unwrap().to_owned();
    for _ in 0..=1000 {
        bench.store().test_destination(&Act::new(bench.mine.id, "user:ana"), &to).await.unwrap();
    }
    bench.place().await;
    bench.store().remove_old_events(bench.mine.id, chrono::TimeDelta::zero()).await.unwrap();
    score(&bench, "cleo").await;
    let page = get("?limit=1", 200).await;
    assert_eq!((types(&page), &page["more"]), (vec!["sentiment.scored"], &json!(true)));
}

/// A stream that is read as it comes.
struct Reader {
    body: BodyDataStream,
    text: String,
}

impl Reader {
    async fn open(bench: &Bench, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut request =
            Request::get(format!("/api/v1/events{query}")).header(header::ACCEPT, "text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event with its place.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let of = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned)
                };
                let found = (of("id:"), of("data:"));
                self.text = rest.to_owned();
                if let (Some(id), Some(data)) = found {
                    return (id, serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            let part = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await.unwrap();
            self.text += &String::from_utf8_lossy(&part.unwrap().unwrap());
        }
    }

    async fn is_quiet(&mut self) -> bool {
        self.text.trim().is_empty()
            && tokio::time::timeout(Duration::from_millis(900), self.body.next()).await.is_err()
    }
}

#[tokio::test]
async fn the_stream_takes_up_where_it_broke_off() {
    let bench = Bench::open().await;
    let key = ("authorization", "Bearer ut_mine");
    score(&bench, "before").await;
    let mut reader = Reader::open(&bench, "", &[key]).await;
    // What came before is not told, and what comes is.
    score(&bench, "ana").await;
    let (place, first) = reader.next().await;
    assert_eq!(first["type"], "sentiment.scored");
    drop(reader);
    score(&bench, "ben").await;
    let mut back = Reader::open(&bench, "", &[key, ("last-event-id", &place)]).await;
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(back.next().await.1["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        told,
        ["sentiment.negative", "alert.raised", "sentiment.scored", "sentiment.negative", "alert.raised"]
    );
    assert!(back.is_quiet().await);
    // A page knows the stream's places, and the stream a page's.
    let page = bench.get(&format!("/api/v1/events?after={place}&limit=1")).await;
    assert_eq!(types(&page), ["sentiment.negative"]);
    let query = format!("?types=alert.*&after={}", page["next"].as_str().unwrap());
    let mut alerts = Reader::open(&bench, &query, &[key]).await;
    assert_eq!(alerts.next().await.1["type"], "alert.raised");
    // It ends with the service.
    bench.end.send(true).unwrap();
    while let Some(part) = tokio::time::timeout(Duration::from_secs(5), alerts.body.next()).await.unwrap() {
        part.unwrap();
    }
}

/// As a browser does that loses the connection before anything happened.
#[tokio::test]
async fn a_stream_that_breaks_off_before_its_first_event_is_taken_up_where_it_began() {
    let bench = Bench::open().await;
    let key = ("authorization", "Bearer ut_mine");
    score(&bench, "before").await;
    let mut reader = Reader::open(&bench, "", &[key]).await;
    let part = tokio::time::timeout(Duration::from_secs(2), reader.body.next()).await.unwrap();
    let text = String::from_utf8_lossy(&part.unwrap().unwrap()).into_owned();
    let place = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    assert!(!text.contains("data") && text.ends_with("\n\n"), "nothing is shown of it: {text}");
    drop(reader);
    score(&bench, "ana").await;
    let mut back = Reader::open(&bench, "", &[key, ("last-event-id", place)]).await;
    for expected in ["sentiment.scored", "sentiment.negative", "alert.raised"] {
        assert_eq!(back.next().await.1["type"], expected);
    }
    assert!(back.is_quiet().await);
}

/// From the moment it is revoked, or ends, a key is told of nothing any more, though its stream is open.
#[tokio::test]
async fn a_stream_ends_with_the_key_that_opened_it() {
    let bench = Bench::open().await;
    let id = bench.key(&bench.mine, "ut_reads", &["read"]).await;
    let mut reader = Reader::open(&bench, "", &[("authorization", "Bearer ut_reads")]).await;
    score(&bench, "ana").await;
    for expected in ["sentiment.scored", "sentiment.negative", "alert.raised"] {
        assert_eq!(reader.next().await.1["type"], expected);
    }
    let act = undertone_store::Act::new(bench.mine.id, "test");
    assert!(bench.store().revoke_key(&act, &id).await.unwrap());
    score(&bench, "ben").await;
    let rest = async {
        let mut rest = String::new();
        while let Some(part) = reader.body.next().await {
            rest += &String::from_utf8_lossy(&part.unwrap());
        }
        rest
    };
    let rest = tokio::time::timeout(Duration::from_secs(10), rest).await.unwrap();
    assert!(!rest.contains("data:"), "{rest}");
    let again = bench.call("GET", "/api/v1/events", "ut_reads", None).await;
    assert_eq!(again.status, 401);
}

/// Whoever logs out is told of nothing any more by the streams that their session opened, and keeps those of another.
#[tokio::test]
async fn a_stream_ends_with_the_session_that_opened_it() {
    let bench = Bench::open().await;
    let (here, admin) = (bench.person("supervisor").await, bench.person("tenant_admin").await);
    let (token, csrf) = (super::secrets::token(), super::secrets::token());
    bench.store().begin_session(&here.id, &token, &csrf).await.unwrap();
    let there = format!("{}={token}", super::secrets::SESSION_COOKIE);
    let mut left = Reader::open(&bench, "", &[("cookie", &here.cookie)]).await;
    let mut stays = Reader::open(&bench, "", &[("cookie", &there)]).await;
    score(&bench, "ana").await;
    for expected in ["sentiment.scored", "sentiment.negative", "alert.raised"] {
        assert_eq!(left.next().await.1["type"], expected);
        assert_eq!(stays.next().await.1["type"], expected);
    }
    let request = Request::post("/logout")
        .header(header::COOKIE, &here.cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let out = bench.send(request.body(Body::from(format!("csrf={}", here.csrf))).unwrap()).await;
    assert!(out.status == 303, "{}: {}", out.status, out.text);
    score(&bench, "ben").await;
    let rest = tokio::time::timeout(Duration::from_secs(10), async {
        let mut rest = String::new();
        while let Some(part) = left.body.next().await {
            rest += &String::from_utf8_lossy(&part.unwrap());
        }
        rest
    });
    let rest = rest.await.unwrap();
    assert!(!rest.contains("data:"), "{rest}");
    assert_eq!(stays.next().await.1["type"], "sentiment.scored");
    // Whoever may not log in any more hears nothing either.
    let path = format!("/api/v1/users/{}/deactivate", here.id);
    let deactivated = bench.by(&admin, "POST", &path, None).await;
    assert!(deactivated.status < 300, "{}", deactivated.text);
    let ended = tokio::time::timeout(Duration::from_secs(15), async {
        while let Some(part) = stays.body.next().await {
            part.unwrap();
        }
    });
    ended.await.unwrap();
}

#[tokio::test]
async fn who_may_not_see_scores_follows_and_learns_nothing_of_them() {
    let bench = Bench::open().await;
    bench.set(json!({"visibility": {"policy": "supervisor_overlay"}})).await;
    let (agent, _) = bench.session("agent").await;
    let (lead, _) = bench.session("supervisor").await;
    let mut streams = [
        Reader::open(&bench, "", &[("cookie", &agent)]).await,
        Reader::open(&bench, "", &[("cookie", &lead)]).await,
    ];
    score(&bench, "ana").await;
    let plain = streams[0].next().await.1;
    assert_eq!(plain["type"], "sentiment.scored");
    assert!(plain["data"].get("score").is_none() && plain["data"]["hidden"]["reason"].is_string(), "{plain}");
    assert!(plain.get("position").is_none(), "a gap would tell of what is hidden");
    assert!(streams[0].is_quiet().await, "nothing else is told of");
    for expected in ["sentiment.scored", "sentiment.negative", "alert.raised"] {
        let event = streams[1].next().await.1;
        assert_eq!(event["type"], expected);
        assert!(event["data"]["score"].is_i64());
    }
    let get = async |cookie: &str| {
        let request = Request::get("/api/v1/events").header(header::COOKIE, cookie).body(Body::empty());
        bench.send(request.unwrap()).await.json()
    };
    assert_eq!(types(&get(&agent).await), ["sentiment.scored"]);
    assert_eq!(types(&get(&lead).await).len(), 3);
}

#[tokio::test]
async fn how_the_tenant_is_run_is_told_to_who_runs_it_and_to_where_they_send_it() {
    let bench = Bench::open().await;
    bench.set(json!({"daily_token_cap": 1_000})).await;
    super::ai_usage::spend(&bench, &bench.mine, 700).await;
    score(&bench, "ana").await;
    bench.key(&bench.mine, "ut_reads", &["read"]).await;
    bench.key(&bench.mine, "ut_admin", &["read", "admin"]).await;
    let path = "/api/v1/events?types=budget.threshold,sentiment.scored";
    for (key, runs_it) in [("ut_reads", false), ("ut_admin", true)] {
        let told = bench.call("GET", path, key, None).await.json();
        assert_eq!(types(&told).contains(&"budget.threshold"), runs_it, "{key}: {told}");
        assert!(types(&told).contains(&"sentiment.scored"), "{key}: {told}");
    }
    for role in Role::ALL {
        let person = bench.person(role.as_str()).await;
        let told = bench.by(&person, "GET", path, None).await.json();
        let runs_it = matches!(role, Role::Admin | Role::TenantAdmin);
        assert_eq!(types(&told).contains(&"budget.threshold"), runs_it, "{role:?}: {told}");
        let kinds = [
            EventKind::BudgetThreshold,
            EventKind::DestinationFailing,
            EventKind::DestinationDisabled,
            EventKind::MailFailing,
        ];
        for kind in kinds {
            let (viewer, payload) = (Viewer::of_role(*role), kind.example());
            let events = [(kind.as_str(), &payload)];
            let told =
                visibility::payloads(bench.store(), bench.mine.id, viewer.clone(), &events).await.unwrap();
            assert_eq!(told[0].is_some(), runs_it, "{role:?}: {}", kind.as_str());
            let sent = visibility::sent(bench.store(), bench.mine.id, viewer, &events).await.unwrap();
            assert_eq!(sent, [Some(payload.clone())], "an administrator chose it for an audience: {role:?}");
        }
    }
}
