//! What is scored again by a run: told to nobody, unless whoever starts it asks for it.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use undertone_testkit::receiver::{Receiver, Reply};

use super::{FURIOUS, Out, types, until};

/// A run over everything, once it is done.
async fn refresh(out: &Out, more: Value) -> Value {
    let mut body = json!({"mode": "refresh", "confirm": true, "sleep_ms": 0});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let started = out.bench.call("POST", "/api/v1/backfills", "ut_mine", Some(&body)).await.json();
    let path = format!("/api/v1/backfills/{}", started["run"]["id"].as_str().unwrap());
    for _ in 0..1000 {
        let run = out.bench.get(&path).await;
        if run["report"].is_object() {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the run is not done within 20 s: {started}");
}

#[tokio::test]
async fn a_run_that_asks_to_tell_tells_and_one_that_does_not_tells_nobody() {
    let out = Out::open().await;
    let hook = Receiver::start(|_| Reply::text(204, ""));
    out.destination("webhook", &hook.address, json!({"events": ["sentiment.*", "alert.*"]})).await;
    // Nobody is to hear of anything so mild yet, nor of what was said long ago.
    out.bench.set(json!({"alert_threshold": -100})).await;
    let now = out.score(FURIOUS, "ana", "1").await;
    let long_ago = out.bench.store().now() - TimeDelta::days(30);
    let old = json!({"text": FURIOUS, "customer": "ben", "occurred_at": long_ago});
    let old = out.bench.score(&old).await;
    until("the new one is told", || types(&hook) == ["sentiment.scored"]).await;
    out.bench.set(json!({"alert_threshold": -20})).await;

    let run = refresh(&out, json!({})).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(2)), "{run}");
    // What were told would stand among the events, whoever sends them.
    out.bench.place().await;
    let events = async || out.bench.get("/api/v1/events").await["events"].as_array().unwrap().len();
    assert_eq!(events().await, 1);
    assert_eq!(out.bench.get("/api/v1/alerts").await["alerts"], json!([]));

    let run = refresh(&out, json!({"notify": true})).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(2)), "{run}");
    until("both are told", || hook.count() == 1 + 2 * 3).await;
    let mut told = types(&hook).split_off(1);
    told.sort();
    let each = |name: &str| [name.to_owned(), name.to_owned()];
    assert_eq!(told, [each("alert.raised"), each("sentiment.negative"), each("sentiment.scored")].concat());
    let mut about: Vec<Value> =
        hook.taken()[1..].iter().map(|one| one.json()["data"]["interaction_id"].clone()).collect();
    about.sort_by_key(Value::to_string);
    about.dedup();
    let mut both = [json!(now), json!(old)];
    both.sort_by_key(Value::to_string);
    assert_eq!(about, both);
    assert_eq!(out.bench.get("/api/v1/alerts?state=open").await["alerts"].as_array().unwrap().len(), 2);
}
