//! Receivers that answer with what they were told: where their words stand, and who sees them.

use std::time::Duration;

use serde_json::{Value, json};
use undertone_testkit::receiver::{Receiver, Reply};

use super::{FURIOUS, Out, id};

/// What nothing but an answer holds.
const MARKER: &str = "wallaby6604";

/// A receiver that answers so, and with what it was told behind a marker.
fn echo(status: u16) -> Receiver {
    Receiver::start(move |request| {
        Reply::text(status, &format!("{MARKER} {}", String::from_utf8_lossy(&request.body)))
    })
}

/// What is asked for, once it tells of this event.
async fn once_told(event: &str, ask: impl AsyncFn() -> Value) -> Value {
    for _ in 0..500 {
        let told = ask().await;
        if told.to_string().contains(event) {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing tells of {event}");
}

#[tokio::test]
async fn the_words_of_a_receiver_that_is_gone_are_told_on_nowhere() {
    let out = Out::open().await;
    let admin = out.bench.person("tenant_admin").await;
    let receiver = echo(404);
    let full = json!({"events": ["alert.raised"], "detail": "full", "audience": "supervisor"});
    let made = out.destination("slack", &receiver.address, full).await;
    out.score(FURIOUS, "ana", "1").await;
    let done = out.deliveries(&made, "failed", 1).await;
    assert!(done["last_error"].as_str().unwrap().contains(MARKER), "an erasure reaches it there: {done}");

    let now = out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
    assert_eq!(now["inactive_reason"], "it answers 404; make another incoming webhook in Slack");
    assert!(!now.to_string().contains(MARKER), "{now}");
    let events = once_told("destination.disabled", async || out.bench.get("/api/v1/events").await).await;
    assert!(!events.to_string().contains(MARKER), "{events}");
    let inbox = async || out.bench.by(&admin, "GET", "/api/v1/inbox", None).await.json();
    let notices = once_told("destination.disabled", inbox).await;
    assert!(notices.to_string().contains("make another incoming webhook"), "{notices}");
    assert!(!notices.to_string().contains(MARKER), "{notices}");
}

#[tokio::test]
async fn what_was_answered_to_a_hidden_verdict_is_hidden_too() {
    let out = Out::open().await;
    let receiver = echo(400);
    let full = json!({"events": ["alert.raised"], "detail": "full", "audience": "supervisor"});
    let made = out.destination("slack", &receiver.address, full).await;
    out.score(FURIOUS, "ana", "1").await;
    let alert = out.deliveries(&made, "failed", 1).await;
    let test = out.test(&made).await;
    out.delivery(&test, |told| told["state"] == "failed").await;
    // What the API tells of the alert, and of the test, each in the list and by itself.
    let told = async || {
        let mut told = Vec::new();
        let path = "/api/v1/destinations/{id}/deliveries";
        let listed = out.ok("GET", path, id(&made), None).await["deliveries"].clone();
        for delivery in [id(&alert), test.as_str()] {
            let of = |one: &&Value| one["id"] == delivery;
            let row = listed.as_array().unwrap().iter().find(of).unwrap().clone();
            told.push((row, out.ok("GET", "/api/v1/deliveries/{id}", delivery, None).await));
        }
        told
    };
    let quotes = |(row, whole): &(Value, Value)| {
        let errors = [&row["last_error"], &whole["last_error"], &whole["tries"][0]["error"]];
        errors.map(|error| error.as_str().is_some_and(|text| text.contains(MARKER)))
    };
    for one in told().await {
        assert_eq!(
            (quotes(&one), &one.0["hidden"], &one.1["hidden"]),
            ([true; 3], &Value::Null, &Value::Null)
        );
    }
    out.bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    // Once what it told of is not kept any more, nobody can tell whom it was about.
    for is_kept in [true, false] {
        let now = told().await;
        let (row, whole) = &now[0];
        assert_eq!(quotes(&now[0]), [false; 3], "kept: {is_kept}: {row} {whole}");
        assert_eq!((&row["last_error"], &whole["tries"][0]["error"]), (&Value::Null, &Value::Null));
        assert_eq!([&row["hidden"]["reason"], &whole["hidden"]["reason"]], ["only_groups"; 2], "{row}");
        assert_eq!((&row["last_status"], &whole["tries"][0]["outcome"]), (&json!(400), &json!("refused")));
        for told in [row, whole] {
            assert_eq!([&told["event"], &told["event_id"], &told["subject_id"]], [&Value::Null; 3], "{told}");
        }
        assert_eq!(quotes(&now[1]), [true; 3], "a test tells of nobody: {:?}", now[1]);
        assert!(now[1].0["event"].is_string() && now[1].1["subject_id"].is_string());
        out.bench.place().await;
        out.bench.store().remove_old_events(out.bench.mine.id, chrono::TimeDelta::zero()).await.unwrap();
    }
}

#[tokio::test]
async fn which_event_came_of_a_hidden_score_is_not_told() {
    let out = Out::open().await;
    let receiver = echo(200);
    let made = out.destination("webhook", &receiver.address, json!({"events": ["sentiment.*"]})).await;
    out.score(FURIOUS, "ana", "1").await;
    let path = "/api/v1/destinations/{id}/deliveries";
    let told = async || {
        let listed = out.ok("GET", path, id(&made), None).await["deliveries"].clone();
        let mut told: Vec<[String; 2]> = Vec::new();
        for row in listed.as_array().unwrap() {
            told.push(
                [&row["event"], &row["subject_id"]].map(|value| value.as_str().unwrap_or("-").to_owned()),
            );
        }
        told.sort();
        told
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while told().await.len() < 2 && std::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let before = told().await;
    let events: Vec<&str> = before.iter().map(|[event, _]| event.as_str()).collect();
    assert_eq!(events, ["sentiment.negative", "sentiment.scored"]);
    assert!(before.iter().all(|[_, subject]| subject != "-"));
    out.bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    let hidden = [["-", "-"], ["sentiment.scored", "-"]].map(|row| row.map(str::to_owned));
    assert_eq!(told().await, hidden, "nobody learns which of the texts it was");
}
