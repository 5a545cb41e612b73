//! Every event of the catalogue, as it stands in the outbox: with exactly the keys that the catalogue tells.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::Value;
use undertone_core::notification::When;
use undertone_core::usage::sums::Saved;
use undertone_core::usage::{Feature, Usage};
use undertone_store::budget::{Bill, Caps, ReserveRequest, Reserved};
use undertone_store::notices::MailEnd;
use undertone_store::privacy::erase::Whom;

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    let tenant = bench.tenant("catalogue").await;
    let wanted = json!({"incident_customers": 3, "daily_token_cap": 1000});
    bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
    let to = bench.destination(&tenant, "to", &["*"], Detail::Full).await;
    alerts(&bench, &tenant).await;
    incident(&bench, &tenant).await;
    spent(&bench, &tenant).await;
    bench.store.set_module_active(&act(&tenant), false).await.unwrap();
    bench.store.set_module_active(&act(&tenant), true).await.unwrap();
    let reader = bench.user(&tenant, "unreached").await;
    bench.score(&tenant, &[("fay", "delivery", -80)]).await;
    bench.tell_by(&tenant, &reader, false, Some(When { at: bench.store.now(), together: false })).await;
    bench.finish(&tenant, &reader, MailEnd::Failed("the SMTP server answered 550".to_owned())).await;
    let erasure = bench.store.erase(&act(&tenant), &Whom::Id("somebody")).await.unwrap().remove(0);
    while bench.store.continue_erasure(tenant.id, &erasure.id).await.unwrap().unwrap().done_at.is_none() {}
    bench.store.test_destination(&act(&tenant), &to.id).await.unwrap().unwrap();
    bench.events(&tenant).await;
    bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await;
    bench.score(&tenant, &[("eve", "billing", 0)]).await;
    bench.events(&tenant).await;
    bench.send(&tenant, &to.id, |_| Sent::Gone { why: "410".to_owned(), hint: "it is gone" }).await;

    let kept = kept(&bench, &tenant).await;
    for kind in EventKind::ALL {
        let Some(payloads) = kept.get(kind.as_str()) else { panic!("nothing of {}", kind.as_str()) };
        let told: Vec<&str> = kind.fields().into_iter().map(|(key, _)| key).collect();
        for payload in payloads {
            let mut told = told.clone();
            told.sort_unstable();
            assert_eq!(keys(payload), told, "{}", kind.as_str());
        }
    }
}

/// Everything that becomes of an alert.
async fn alerts(bench: &Bench, tenant: &Tenant) {
    let act = act(tenant);
    bench.score(tenant, &[("ana", "billing", -80), ("ben", "delivery", -80)]).await;
    let alerts = bench.alerts(tenant, None).await;
    let of = |category: &str| alerts.iter().find(|alert| alert.category == category).unwrap();
    let (ana, ben) = (of("billing"), of("delivery"));
    let user = bench.store.save_user(&act, "a@catalogue.example", "supervisor", "no hash").await.unwrap();
    let until = bench.store.now() + TimeDelta::minutes(10);
    bench.store.move_alert(&act, (&ben.id, None), Move::Snooze(until)).await.unwrap();
    bench.advance(20);
    while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    for what in [Move::Acknowledge, Move::Assign(&user), Move::Resolve(Some("called them"))] {
        bench.store.move_alert(&act, (&ben.id, None), what).await.unwrap();
    }
    bench.advance(60 * 24 * 7);
    while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    let correction = Correction::of(Some(Score::new(30).unwrap()), None).unwrap().unwrap();
    let said = Said::Set { correction, reason: None };
    bench.store.say(&act, &ana.interaction_id, said, Seen::Unknown).await.unwrap().unwrap();
}

async fn incident(bench: &Bench, tenant: &Tenant) {
    for customer in ["one", "two", "three", "somebody"] {
        bench.score(tenant, &[(customer, "outage", -70)]).await;
    }
    let incident = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
    bench.store.close_incident(&act(tenant), &incident.id).await.unwrap().unwrap();
}

/// An LLM takes most of what the day allows.
async fn spent(bench: &Bench, tenant: &Tenant) {
    let caps = Caps::of(&bench.store.module(tenant.id).await.unwrap().settings);
    let request = ReserveRequest {
        feature: Feature::Scoring,
        model: "a-model",
        scorer: ScorerKind::Claude,
        owner: "node-1",
        texts: 1,
        batched: false,
        most_tokens: 700,
        most_micros: None,
        lease: TimeDelta::minutes(10),
    };
    let Reserved::Granted(call) = bench.store.reserve_call(tenant, &caps, &request).await.unwrap() else {
        panic!("there is room")
    };
    let usage = Usage { input: 700, ..Usage::default() };
    let bill = Bill { usage, micros: None, saved: Saved::default() };
    bench.store.settle_call(tenant.id, &caps, &call.id, &bill).await.unwrap();
}

/// What stands in the outbox, by the events' names.
async fn kept(bench: &Bench, tenant: &Tenant) -> BTreeMap<String, Vec<Value>> {
    let raw = Database::connect(bench.url.clone()).await.unwrap();
    let text = format!("SELECT event, CAST(payload AS text) FROM outbox WHERE tenant_id = {}", tenant.id.0);
    let rows = raw.query_all_raw(Statement::from_string(raw.get_database_backend(), text)).await.unwrap();
    let mut kept: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let (event, payload): (String, String) =
            (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        kept.entry(event).or_default().push(serde_json::from_str(&payload).unwrap());
    }
    kept
}
