//! What is told of events, where and to whom: by the visibility policy, and by the tenant's two switches.

use std::time::Duration;

use serde_json::{Value, json};
use undertone_testkit::receiver::{Receiver, Reply};

use super::{FURIOUS, Out, id, types, until};

async fn event_types(out: &Out) -> Vec<String> {
    let events = out.bench.get("/api/v1/events?limit=500").await;
    events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

async fn eventually(out: &Out, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
    for _ in 0..500 {
        let types = event_types(out).await;
        if is_so(&types) {
            return types;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: {:?}", event_types(out).await);
}

#[tokio::test]
async fn a_destination_gets_what_its_audience_may_see_at_the_moment_it_is_sent() {
    let out = Out::open().await;
    out.bench.set(json!({"visibility": {"policy": "supervisor_overlay"}})).await;
    let (agents, leads) =
        (Receiver::start(|_| Reply::text(200, "")), Receiver::start(|_| Reply::text(200, "")));
    let wanted = json!({"events": ["alert.raised", "sentiment.scored"], "detail": "full"});
    let of = async |receiver: &Receiver, role: &str| {
        let mut body = wanted.clone();
        body["audience"] = role.into();
        out.destination("webhook", &receiver.address, body).await
    };
    let (for_agents, _) = (of(&agents, "agent").await, of(&leads, "supervisor").await);
    out.score(FURIOUS, "ana", "1").await;
    until("leads have both, agents one", || leads.count() == 2 && agents.count() == 1).await;
    let plain = agents.taken()[0].json();
    assert_eq!(plain["type"], "sentiment.scored");
    assert!(plain["data"].get("score").is_none() && plain["data"].get("summary").is_none(), "{plain}");
    let told = out.deliveries(&for_agents, "failed", 1).await;
    assert!(
        told["event"] == "alert.raised" && told["last_error"].as_str().unwrap().contains("visibility policy")
    );
    // The policy of the moment counts: what was withheld may be sent once it may be seen.
    out.bench.set(json!({"visibility": {"policy": "full_transparency"}})).await;
    out.ok("POST", "/api/v1/deliveries/{id}/replay", id(&told), None).await;
    until("the alert arrives", || agents.count() == 2).await;
    assert!(agents.taken()[1].json()["data"]["score"].is_i64());
}

#[tokio::test]
async fn the_two_switches_stand_for_themselves() {
    let out = Out::open().await;
    let hook = Receiver::start(|_| Reply::text(200, ""));
    out.destination("webhook", &hook.address, json!({"events": ["sentiment.*", "alert.*"]})).await;
    let three = |types: &[String]| types.len() == 3;

    out.bench.set(json!({"emit_workflow_events": true, "dispatch_webhooks": false})).await;
    out.score(FURIOUS, "ana", "1").await;
    let first = eventually(&out, "the stream has them", three).await;
    assert_eq!(hook.count(), 0, "{:?}", types(&hook));

    out.bench.set(json!({"emit_workflow_events": false, "dispatch_webhooks": true})).await;
    out.score(FURIOUS, "ben", "2").await;
    until("the webhook has them", || hook.count() == 3).await;
    assert_eq!(event_types(&out).await, first, "the stream has no more than before");

    out.bench.set(json!({"emit_workflow_events": false, "dispatch_webhooks": false})).await;
    out.score(FURIOUS, "cho", "3").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((hook.count(), event_types(&out).await), (3, first));
    // People are told all the same, and erasure is told to everybody.
    assert_eq!(out.bench.get("/api/v1/alerts").await["alerts"].as_array().unwrap().len(), 3);
}

/// Every event that can be made to happen here says what the catalogue says, key by key.
#[tokio::test]
async fn events_say_what_the_catalogue_says() {
    let out = Out::open().await;
    let gone = Receiver::start(|_| Reply::text(410, ""));
    out.destination("webhook", &gone.address, json!({"events": ["alert.raised"]})).await;
    out.bench.set(json!({"incident_customers": 3, "escalate_after_minutes": 0})).await;
    let low = out.score(FURIOUS, "ana", "1").await;
    let alert = out.bench.get("/api/v1/alerts").await["alerts"][0].clone();
    let (cookie, _) = out.bench.session("agent").await;
    assert!(!cookie.is_empty());
    let user = out.bench.store().users(out.bench.mine.id).await.unwrap()[0].id.clone();
    let at_once = json!({"until": "2999-01-01T00:00:00Z"});
    for (word, body) in [
        ("acknowledge", json!({})),
        ("assign", json!({"user": user})),
        ("snooze", at_once),
        ("resolve", json!({"note": "done"})),
    ] {
        out.ok("POST", &format!("/api/v1/alerts/{{id}}/{word}"), id(&alert), Some(body)).await;
    }
    let second = out.score(FURIOUS, "ben", "2").await;
    for (interaction, label) in [(&low, "neutral"), (&second, "positive")] {
        crate::api::tests::events::correct(&out.bench, interaction, label).await;
    }
    for customer in ["c1", "c2", "c3", "c4"] {
        out.score(FURIOUS, customer, customer).await;
    }
    let incident = out.ok("GET", "/api/v1/incidents", "", None).await["incidents"][0].clone();
    let shown = out.ok("GET", "/api/v1/incidents/{id}", id(&incident), None).await;
    assert!(!shown["alerts"].as_array().unwrap().is_empty(), "{shown}");
    out.ok("POST", "/api/v1/incidents/{id}/close", id(&incident), Some(json!({}))).await;
    for word in ["deactivate", "activate"] {
        out.ok("POST", &format!("/api/v1/module/{word}"), "", None).await;
    }
    let mut missing: Vec<&str> = Vec::new();
    for _ in 0..300 {
        let events = out.bench.get("/api/v1/events?limit=500").await["events"].clone();
        let of = |name: &str| events.as_array().unwrap().iter().find(|event| event["type"] == name).cloned();
        missing = undertone_core::event::EventKind::ALL
            .iter()
            .map(|kind| kind.as_str())
            // The clock, a budget, an SMTP server and the keeper make these; the store's tests and those of erasure have them.
            .filter(|name| {
                !matches!(
                    *name,
                    "alert.reminded"
                        | "alert.escalated"
                        | "budget.threshold"
                        | "customer.erased"
                        | "destination.failing"
                        | "mail.failing"
                        | "undertone.test"
                )
            })
            .filter(|name| of(name).is_none())
            .collect();
        if missing.is_empty() {
            for event in events.as_array().unwrap() {
                let kind: undertone_core::event::EventKind = event["type"].as_str().unwrap().parse().unwrap();
                assert_eq!(keys(&event["data"]), keys(&kind.example()), "{event}");
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("these did not happen: {missing:?}");
}

fn keys(of: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = of.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
