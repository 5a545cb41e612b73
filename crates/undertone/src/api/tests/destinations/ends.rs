//! Whoever was called hears how it ended, whatever the visibility policy says by then; and no more than that.

use serde_json::{Value, json};
use undertone_testkit::receiver::{Receiver, Reply, pagerduty};

use super::kinds::ROUTING_KEY;
use super::{FURIOUS, Out, id, types, until};
use crate::api::tests::{Person, events::correct};

/// A service, with who is called: somebody on call, a hook, a lead.
struct Called {
    out: Out,
    pager: Receiver,
    hook: Receiver,
    lead: Person,
    agent: Person,
}

impl Called {
    async fn open() -> Self {
        let out = Out::open().await;
        let pager = Receiver::start(pagerduty::answer);
        let hook = Receiver::start(|_| Reply::text(200, ""));
        let url = format!("{}/v2/enqueue", pager.address);
        let leads = json!({"key": ROUTING_KEY, "audience": "supervisor", "detail": "full"});
        out.destination("pagerduty", &url, leads).await;
        let leads = json!({"events": ["alert.*"], "audience": "supervisor", "detail": "full"});
        out.destination("webhook", &hook.address, leads).await;
        let (lead, agent) = (out.bench.person("supervisor").await, out.bench.person("agent").await);
        Self { out, pager, hook, lead, agent }
    }

    async fn set(&self, policy: Value) {
        self.out.bench.set(json!({"visibility": policy})).await;
    }

    /// They were called once.
    async fn are_called(&self) {
        until("both are called", || self.pager.count() == 1 && self.hook.count() == 1).await;
        self.out.bench.tell().await;
        assert_eq!(self.actions(), ["trigger"]);
        assert_eq!(types(&self.hook), ["alert.raised"]);
    }

    fn actions(&self) -> Vec<String> {
        let taken = self.pager.taken();
        taken.iter().map(|one| one.json()["event_action"].as_str().unwrap().to_owned()).collect()
    }

    /// What the hook was told last, once it was told `event`.
    async fn hears(&self, event: &str) -> Value {
        until(event, || types(&self.hook).last().is_some_and(|last| last == event)).await;
        self.hook.taken().last().unwrap().json()["data"].clone()
    }

    async fn inbox(&self, person: &Person) -> Vec<Value> {
        self.out.bench.tell().await;
        let told = self.out.bench.by(person, "GET", "/api/v1/inbox", None).await.json();
        told["notices"].as_array().unwrap().clone()
    }
}

/// That somebody is low, or was, is nothing that is told beside an end.
fn says_nothing_of_feelings(data: &Value) {
    for key in ["score", "label", "dominant_emotion", "summary", "threshold"] {
        assert!(data.get(key).is_none(), "{key}: {data}");
    }
}

#[tokio::test]
async fn a_correction_that_hides_the_score_ends_what_it_began() {
    let called = Called::open().await;
    called.set(json!("threshold_rules")).await;
    let interaction = called.out.score(FURIOUS, "ana", "1").await;
    called.are_called().await;
    assert_eq!(called.inbox(&called.lead).await[0]["type"], "alert.raised");
    // Somebody who comes now never heard of it.
    let late = Receiver::start(|_| Reply::text(200, ""));
    let leads = json!({"events": ["alert.*"], "audience": "supervisor"});
    let late_one = called.out.destination("webhook", &late.address, leads).await;
    correct(&called.out.bench, &interaction, "neutral").await;
    let told = called.hears("alert.withdrawn").await;
    assert_eq!((&told["state"], &told["interaction_id"]), (&json!("withdrawn"), &json!(interaction)));
    says_nothing_of_feelings(&told);
    until("nobody is called any more", || called.pager.count() == 2).await;
    assert_eq!(called.actions(), ["trigger", "resolve"]);
    let keys: Vec<Value> = called.pager.taken().iter().map(|one| one.json()["dedup_key"].clone()).collect();
    assert_eq!(keys[0], keys[1]);
    let inbox = called.inbox(&called.lead).await;
    assert_eq!(inbox.len(), 1, "what was raised is hidden by now: {inbox:?}");
    assert_eq!(inbox[0]["type"], "alert.withdrawn");
    says_nothing_of_feelings(&inbox[0]["data"]);
    assert_eq!(called.inbox(&called.agent).await, Vec::<Value>::new());
    let told = called.out.deliveries(&late_one, "failed", 1).await;
    assert!(told["last_error"].as_str().unwrap().contains("visibility policy"), "{told}");
    assert_eq!(late.count(), 0);
}

#[tokio::test]
async fn what_happens_while_a_conversation_is_open_again_is_told_to_who_was_called() {
    let called = Called::open().await;
    // Whoever may see everything at first is called, and then the tenant thinks again.
    called.out.score(FURIOUS, "ana", "1").await;
    called.are_called().await;
    called.set(json!("post_conversation")).await;
    let alert = called.out.ok("GET", "/api/v1/alerts?limit=1", "", None).await;
    assert_eq!(alert["alerts"], json!([]), "the conversation is open");
    let closed = json!({"state": "closed"});
    let talk = "/api/v1/conversations/1";
    assert_eq!(called.out.bench.call("PUT", talk, "ut_mine", Some(&closed)).await.status, 200);
    let alert = called.out.ok("GET", "/api/v1/alerts?limit=1", "", None).await["alerts"][0].clone();
    let act = undertone_store::Act::new(called.out.bench.mine.id, "user:somebody");
    let open = json!({"state": "open"});
    assert_eq!(called.out.bench.call("PUT", talk, "ut_mine", Some(&open)).await.status, 200);
    for (what, event, count) in [
        (undertone_store::alerts::Move::Acknowledge, "alert.acknowledged", 2),
        (undertone_store::alerts::Move::Resolve(None), "alert.resolved", 3),
    ] {
        let moved = called.out.bench.store().move_alert(&act, (id(&alert), None), what).await;
        assert!(moved.unwrap().is_some());
        says_nothing_of_feelings(&called.hears(event).await);
        until(event, || called.pager.count() == count).await;
    }
    assert_eq!(called.actions(), ["trigger", "acknowledge", "resolve"]);
}

#[tokio::test]
async fn under_every_policy_an_end_goes_to_who_was_called_and_to_nobody_else() {
    for policy in ["supervisor_overlay", "post_conversation", "aggregate_only", "threshold_rules"] {
        let called = Called::open().await;
        called.out.score(FURIOUS, "ana", "1").await;
        called.are_called().await;
        let agents = Receiver::start(|_| Reply::text(200, ""));
        let blind = json!({"events": ["alert.*"], "audience": "agent"});
        called.out.destination("webhook", &agents.address, blind).await;
        called.set(json!(policy)).await;
        let alerts = undertone_store::alerts::Wanted { most: 1, ..Default::default() };
        let alert =
            called.out.bench.store().alerts(called.out.bench.mine.id, &alerts).await.unwrap().remove(0);
        let act = undertone_store::Act::new(called.out.bench.mine.id, "user:somebody");
        let done = undertone_store::alerts::Move::Resolve(None);
        called.out.bench.store().move_alert(&act, (&alert.id, None), done).await.unwrap().unwrap();
        let told = called.hears("alert.resolved").await;
        // Under these two a lead still sees the score.
        if matches!(policy, "supervisor_overlay" | "threshold_rules") {
            assert!(told["score"].is_i64(), "{policy}: {told}");
        } else {
            says_nothing_of_feelings(&told);
        }
        until("nobody is called any more", || called.pager.count() == 2).await;
        assert_eq!(called.actions(), ["trigger", "resolve"], "{policy}");
        let never = policy == "threshold_rules";
        if !never {
            assert_eq!(agents.count(), 0, "{policy}: they were never told of it");
        }
    }
}

#[tokio::test]
async fn an_erasure_calls_off_what_it_takes_away() {
    let called = Called::open().await;
    called.out.score(FURIOUS, "ana", "1").await;
    called.are_called().await;
    let gone = called.out.bench.call("DELETE", "/api/v1/customers/ana", "ut_mine", None).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let told = called.hears("alert.withdrawn").await;
    assert_eq!(told["made_by"], "an erasure");
    assert!(told["interaction_id"].is_null() && told["customer_id"].is_null(), "{told}");
    assert!(told.get("link").is_none(), "there is nothing to be seen: {told}");
    until("nobody is called any more", || called.pager.count() == 2).await;
    assert_eq!(called.actions(), ["trigger", "resolve"]);
    let inbox = called.inbox(&called.lead).await;
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert_eq!(inbox[0]["type"], "alert.withdrawn");
    assert!(inbox[0]["title"].as_str().unwrap().contains("not kept any more"), "{inbox:?}");
    // Under a policy that hides scores it is shown to those who had heard of it, and to nobody else.
    called.set(json!("aggregate_only")).await;
    assert_eq!(called.inbox(&called.lead).await.len(), 1);
    let other = called.out.bench.person("tenant_admin").await;
    assert_eq!(called.inbox(&other).await, Vec::<Value>::new());
}
