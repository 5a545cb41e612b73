//! Interactions as a file: page by page, safe in a spreadsheet, noted, and no longer than somebody may look.

use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Bench;
use super::document::assert_documented;

const EXPORT: &str = "/api/v1/interactions/export";
/// More than are read at a time with their texts.
const MANY: usize = 61;

/// Interactions whose texts a spreadsheet would run.
async fn filled() -> Bench {
    let bench = Bench::open().await;
    let items: Vec<Value> = (0..MANY)
        .map(|n| {
            let text = if n == 0 {
                "Hi".to_owned()
            } else {
                format!("=cmd(), \"week\" {n} without an answer;\nthis is a disgrace and I am furious.")
            };
            json!({"external_id": n.to_string(), "text": text, "customer": "@ana", "agent": "bo", "conversation": format!("+{n}")})
        })
        .collect();
    let answer = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!(items))).await;
    assert_eq!(answer.json()["accepted"], MANY, "{}", answer.text);
    bench.settled(&bench.mine).await;
    bench
}

#[tokio::test]
async fn a_file_holds_each_interaction_once_and_runs_nothing() {
    let bench = filled().await;
    let get = async |query: &str| bench.call("GET", &format!("{EXPORT}{query}"), "ut_mine_read", None).await;
    let lines = get("?texts=true").await;
    assert_eq!((lines.status, lines.header("content-type")), (200, "application/x-ndjson"));
    let name = lines.header("content-disposition");
    assert!(
        name.starts_with("attachment; filename=\"interactions-mine-20") && name.ends_with(".jsonl\""),
        "{name}"
    );
    let rows: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<usize> =
        rows.iter().map(|row| row["external_id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(ids, (0..MANY).rev().collect::<Vec<_>>(), "each once, the latest first");
    let keys =
        |row: &Value| row.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let (scored, skipped) = (&rows[0], &rows[MANY - 1]);
    let without = |row: &Value| keys(row).into_iter().filter(|key| key != "explanation").collect::<Vec<_>>();
    assert_eq!(without(scored), without(skipped), "a row has the same keys whatever is known");
    assert_eq!((&scored["customer"], &scored["agent"]), (&json!("@ana"), &json!("bo")));
    assert_eq!((&scored["label"], &scored["corrected"]), (&json!("negative"), &json!(false)));
    assert!(scored["keywords"].as_array().unwrap().iter().all(Value::is_string), "{scored}");
    assert!(scored["text"].as_str().unwrap().starts_with("=cmd()"));
    assert_eq!((&skipped["reason"], &skipped["score"]), (&json!("too_short"), &Value::Null));

    let table = get("?texts=true&format=csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
    let mut reader = csv::Reader::from_reader(table.text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), MANY);
    let cell = |row: usize, name: &str| {
        let place = columns.iter().position(|column| column == name).unwrap();
        records[row].get(place).unwrap().to_owned()
    };
    assert_eq!(cell(0, "score"), scored["score"].to_string(), "a number stays one");
    assert_eq!(
        (cell(0, "customer"), cell(0, "conversation")),
        ("'@ana".to_owned(), format!("'+{}", MANY - 1))
    );
    assert!(cell(0, "text").starts_with("'=cmd(), \"week\""));
    assert_eq!(
        (cell(MANY - 1, "reason"), cell(MANY - 1, "summary")),
        ("too_short".to_owned(), String::new())
    );
    for record in &records {
        let runs = |field: &str| field.starts_with(['=', '+', '@', '\t']);
        assert!(!record.iter().any(runs), "{record:?}");
    }

    // Texts only where they are asked for, and the filters of the list.
    let bare = get("?state=scored&customer=@ana").await;
    assert_eq!(bare.text.lines().count(), MANY - 1);
    assert!(bare.text.lines().all(|line| line.contains("\"text\":null")), "{}", bare.text);
    assert!(!get("?format=csv").await.text.lines().next().unwrap().ends_with("text"));
    assert_eq!(get("?external_id=7").await.text.lines().count(), 1);
    assert_eq!(get("?state=failed").await.text, "");

    // What left, and how, is in the audit log; what was refused did not.
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    for (query, key, status) in [
        ("?state=lost", "ut_mine", 400),
        ("?source=crm", "ut_mine", 400),
        ("?format=xml", "ut_mine", 400),
        ("?customer=nobody", "ut_mine", 404),
        ("", "ut_mine_ingest", 403),
        ("", "", 401),
    ] {
        let refused = bench.call("GET", &format!("{EXPORT}{query}"), key, None).await;
        assert_eq!(refused.status, status, "{query}: {}", refused.text);
        assert_documented(&document, "GET", EXPORT, &refused);
    }
    let noted = bench.get("/api/v1/audit?action=interactions_exported").await;
    let payloads: Vec<&Value> =
        noted["items"].as_array().unwrap().iter().map(|one| &one["payload"]).collect();
    assert_eq!(payloads.len(), 6);
    assert_eq!(payloads[5], &json!({"format": "jsonl", "texts": true, "wanted": {}}));
    assert_eq!(payloads[3]["wanted"]["state"], "scored");
}

#[tokio::test]
async fn a_file_ends_where_its_reader_may_not_look_any_more() {
    let bench = filled().await;
    let (cookie, _) = bench.session("analyst").await;
    let request = Request::get(format!("{EXPORT}?texts=true")).header(header::COOKIE, cookie);
    let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut pieces = response.into_body().into_data_stream();
    let first = pieces.next().await.unwrap().unwrap();
    assert_eq!(first.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 50);
    let act = undertone_store::Act::new(bench.mine.id, "test");
    let user = bench.store().user_by_email("analyst@example.com").await.unwrap().unwrap().id;
    let operator = undertone_store::users::Authority::Operator;
    let gone = undertone_store::users::Change { active: Some(false), ..Default::default() };
    bench.store().change_user(&act, operator, (&user, None), &gone).await.unwrap();
    assert!(pieces.next().await.unwrap().is_err(), "it breaks off");
}
