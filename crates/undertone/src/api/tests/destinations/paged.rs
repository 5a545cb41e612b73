//! Whoever is on call: beginnings before their ends, nothing that stays open, and a pace that holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use undertone_testkit::receiver::{Receiver, Reply, Request, pagerduty, slack};

use super::kinds::ROUTING_KEY;
use super::{FURIOUS, Out, id, is_delivered, until};

fn actions(pager: &Receiver) -> Vec<String> {
    pager.taken().iter().map(|one| one.json()["event_action"].as_str().unwrap().to_owned()).collect()
}

/// A service that takes nothing at first.
fn late(times: usize) -> Receiver {
    let count = Arc::new(AtomicUsize::new(0));
    Receiver::start(move |request: &Request| {
        if count.fetch_add(1, Ordering::Relaxed) < times {
            Reply::text(500, "not now")
        } else {
            pagerduty::answer(request)
        }
    })
}

#[tokio::test]
async fn an_alert_that_was_resolved_before_it_arrived_does_not_stay_open() {
    let out = Out::open().await;
    let pager = late(1);
    let more = json!({"key": ROUTING_KEY});
    let made = out.destination("pagerduty", &format!("{}/v2/enqueue", pager.address), more).await;
    assert_eq!(made["events"], json!(["alert.*", "incident.*"]), "nothing else calls anybody");
    out.score(FURIOUS, "ana", "1").await;
    until("the service is asked", || pager.count() == 1).await;
    let alert = out.ok("GET", "/api/v1/alerts", "", None).await["alerts"][0].clone();
    out.ok("POST", "/api/v1/alerts/{id}/resolve", id(&alert), Some(json!({}))).await;
    until("it hears of both", || pager.count() == 3).await;
    assert_eq!(actions(&pager), ["trigger", "trigger", "resolve"]);
    let keys: Vec<Value> = pager.taken().iter().map(|one| one.json()["dedup_key"].clone()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_test_calls_and_calls_off() {
    let out = Out::open().await;
    let pager = late(1);
    let more = json!({"key": ROUTING_KEY});
    let made = out.destination("pagerduty", &format!("{}/v2/enqueue", pager.address), more).await;
    let failed = out.test(&made).await;
    out.delivery(&failed, |delivery| delivery["last_status"] == 500).await;
    // Another one does not wait until the destination is tried again.
    let begun = std::time::Instant::now();
    let second = out.test(&made).await;
    out.delivery(&second, is_delivered).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(actions(&pager)[..3], ["trigger", "trigger", "resolve"]);
    out.delivery(&failed, is_delivered).await;
}

#[tokio::test]
async fn a_pause_between_messages_holds_from_one_lane_to_the_next() {
    let out = Out::open().await;
    let chat = Receiver::start(slack::answer);
    let made = out.destination("slack", &chat.address, json!({})).await;
    for _ in 0..3 {
        let sent = out.test(&made).await;
        out.delivery(&sent, is_delivered).await;
    }
    let at: Vec<_> = chat.taken().iter().map(|one| one.at).collect();
    for two in at.windows(2) {
        assert!(two[1] - two[0] > Duration::from_millis(900), "{:?}", two[1] - two[0]);
    }
}
