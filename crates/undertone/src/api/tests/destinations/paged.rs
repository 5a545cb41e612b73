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

/// Somebody on call, as `PagerDuty` calls them.
struct OnCall {
    out: Out,
    pager: Receiver,
    account: pagerduty::Account,
}

impl OnCall {
    async fn open(settings: Value) -> Self {
        let (out, account) = (Out::open().await, pagerduty::Account::default());
        let there = account.clone();
        let pager = Receiver::start(move |request| there.take(request));
        let more = json!({"key": ROUTING_KEY, "options": {"severity": "critical"}});
        out.destination("pagerduty", &format!("{}/v2/enqueue", pager.address), more).await;
        out.bench.set(settings).await;
        Self { out, pager, account }
    }

    /// What was sent under a key.
    fn sent(&self, key: &str) -> Vec<Value> {
        let all = self.pager.taken().into_iter().map(|one| one.json());
        all.filter(|event| event["dedup_key"] == key).collect()
    }

    /// Waits until these are the actions under a key.
    async fn hears(&self, key: &str, actions: &[&str]) {
        let sent = || self.sent(key).iter().map(|one| one["event_action"].clone()).collect::<Vec<_>>();
        until(&format!("{actions:?}"), || sent().len() >= actions.len()).await;
        assert_eq!(sent(), actions, "{key}");
    }

    /// An alert of somebody furious, of which they were called: the alert, and its key there.
    async fn called(&self) -> (Value, String) {
        self.out.score(FURIOUS, "ana", "1").await;
        let alert = self.out.ok("GET", "/api/v1/alerts", "", None).await["alerts"][0].clone();
        let key = format!("undertone:alert:{}", id(&alert));
        self.hears(&key, &["trigger"]).await;
        assert_eq!(self.account.incidents(&key), ["triggered"]);
        (alert, key)
    }

    async fn does(&self, alert: &Value, what: &str, body: Value) {
        self.out.ok("POST", &format!("/api/v1/alerts/{{id}}/{what}"), id(alert), Some(body)).await;
    }
}

/// What a trigger has to say, whatever it is about.
fn calls_well(event: &Value, class: &str) {
    let payload = &event["payload"];
    assert_eq!((&payload["class"], &payload["severity"]), (&json!(class), &json!("critical")), "{event}");
    assert_eq!((&payload["source"], &event["client"]), (&json!("undertone.example"), &json!("Undertone")));
    assert!(payload["summary"].as_str().is_some_and(|text| !text.is_empty()), "{event}");
    let at = payload["timestamp"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{at}");
    assert_eq!(event["routing_key"], ROUTING_KEY);
}

/// And where to look at an alert.
fn leads_there(event: &Value) {
    let link = event["links"][0]["href"].as_str().unwrap();
    assert!(
        link.starts_with("https://undertone.example/inbox?alert=") && event["client_url"] == link,
        "{event}"
    );
}

/// What is acknowledged there calls nobody, however often it triggers: it is ended there, and begins anew.
#[tokio::test]
async fn a_snooze_that_ends_calls_somebody_anew() {
    let on_call = OnCall::open(json!({})).await;
    let (alert, key) = on_call.called().await;
    on_call.does(&alert, "acknowledge", json!({})).await;
    let soon = on_call.out.bench.store().now() + chrono::TimeDelta::seconds(3);
    on_call.does(&alert, "snooze", json!({"until": soon})).await;
    on_call.hears(&key, &["trigger", "acknowledge", "acknowledge"]).await;
    assert_eq!(on_call.account.incidents(&key), ["acknowledged"]);
    on_call.hears(&key, &["trigger", "acknowledge", "acknowledge", "resolve", "trigger"]).await;
    assert_eq!(on_call.account.incidents(&key), ["resolved", "triggered"], "somebody is called again");
    calls_well(&on_call.sent(&key)[4], "alert.reminded");
    leads_there(&on_call.sent(&key)[4]);
    let at: Vec<_> = on_call.pager.taken().iter().map(|one| one.at).collect();
    assert!(at[4] - at[3] >= Duration::from_secs(2), "the end is done before it begins: {:?}", at[4] - at[3]);
    on_call.does(&alert, "resolve", json!({})).await;
    until("it ends", || on_call.sent(&key).len() == 6).await;
    assert_eq!(on_call.account.incidents(&key), ["resolved", "resolved"]);
}

#[tokio::test]
async fn an_escalation_adds_to_what_is_open_there_and_calls_nobody_who_has_it_in_hand() {
    let on_call = OnCall::open(json!({"escalate_after_minutes": 5})).await;
    let (_, key) = on_call.called().await;
    on_call.account.apply("acknowledge", &key);
    let later = on_call.out.bench.store_after(chrono::TimeDelta::minutes(6)).await;
    while later.tick_alerts(on_call.out.bench.mine.id).await.unwrap() {}
    on_call.hears(&key, &["trigger", "trigger"]).await;
    calls_well(&on_call.sent(&key)[1], "alert.escalated");
    leads_there(&on_call.sent(&key)[1]);
    assert_eq!(on_call.account.incidents(&key), ["acknowledged"]);
}

#[tokio::test]
async fn an_incident_calls_when_it_opens_and_calls_off_when_it_closes() {
    let on_call = OnCall::open(json!({"incident_customers": 3})).await;
    for customer in ["ana", "ben", "cy", "dan"] {
        on_call.out.bench.annoy(customer).await;
    }
    let incident = on_call.out.ok("GET", "/api/v1/incidents", "", None).await["incidents"][0].clone();
    let key = format!("undertone:incident:{}", id(&incident));
    on_call.hears(&key, &["trigger"]).await;
    let opened = on_call.sent(&key).remove(0);
    calls_well(&opened, "incident.opened");
    assert_eq!(opened["payload"]["component"], incident["category"]);
    on_call.out.ok("POST", "/api/v1/incidents/{id}/close", id(&incident), None).await;
    on_call.hears(&key, &["trigger", "resolve"]).await;
    assert!(on_call.sent(&key)[1].get("payload").is_none());
    assert_eq!(on_call.account.incidents(&key), ["resolved"]);
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
