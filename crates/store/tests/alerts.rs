//! Alerts, incidents, events and deliveries, on SQLite and on PostgreSQL: raised once, told in order, sent until they arrive.

#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "tests")]

#[path = "alerts/configured.rs"]
mod configured;
#[path = "alerts/corrected.rs"]
mod corrected;
#[path = "alerts/delivered.rs"]
mod delivered;
#[path = "alerts/ended.rs"]
mod ended;
#[path = "alerts/notices.rs"]
mod notices;
#[path = "alerts/surges.rs"]
mod surges;

use std::sync::Arc;

use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::json;
use undertone_core::clock::{CountedIds, SetClock};
use undertone_core::correction::Correction;
use undertone_core::destination::{DestinationConfig, DestinationKind, Detail};
use undertone_core::event::EventKind;
use undertone_core::event::Wanted as Events_;
use undertone_core::verdict::{Coverage, Provenance, ScorerKind};
use undertone_core::{
    Arrival, CategoryId, Channel, Confidence, Emotion, Interaction, Score, Urgency, Verdict,
};
use undertone_store::accept::Incoming;
use undertone_store::alerts::{Alert, AlertState, Move, Wanted};
use undertone_store::destinations::{
    DeliveryState, Destination, FinishedDelivery, NewDestination, Sent, Stretch, Which,
};
use undertone_store::outbox::{Following, Sequence};
use undertone_store::overrides::{Said, Seen};
use undertone_store::queue::Claim;
use undertone_store::record::{Events, Finished, Outcome};
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Options, Store, StoreError, Tenant};
use undertone_testkit::on_both_databases;

struct Bench {
    store: Store,
    clock: Arc<SetClock>,
    url: String,
}

/// Every event, so many at once.
fn all(most: u16) -> Following<'static> {
    Following { kinds: None, most }
}

fn keys(of: &serde_json::Value) -> Vec<&str> {
    let mut keys: Vec<&str> = of.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn act(tenant: &Tenant) -> Act<'_> {
    Act::new(tenant.id, "user:ana")
}

impl Bench {
    async fn open(url: String) -> Self {
        let clock = Arc::new(SetClock::new(Utc.with_ymd_and_hms(2026, 11, 30, 10, 0, 0).unwrap()));
        let options = Options { url: url.clone(), connections: 16 };
        let store = Store::open(&options, clock.clone(), Arc::new(CountedIds::default())).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, clock, url }
    }

    async fn tenant(&self, slug: &str) -> Tenant {
        let new = NewTenant { slug, name: slug, zone: Tz::UTC, actor: "test" };
        self.store.create_tenant(&new).await.unwrap()
    }

    fn advance(&self, minutes: i64) {
        self.clock.advance(TimeDelta::minutes(minutes));
    }

    /// Takes interactions in, each a customer, a category and a score, and scores them.
    async fn score(&self, tenant: &Tenant, what: &[(&str, &str, i64)]) {
        let items: Vec<Incoming> = what
            .iter()
            .map(|(customer, category, score)| {
                let id = self.store.now().timestamp_micros();
                let text = format!("{category} {score}");
                let mut interaction = Interaction::message("api", &format!("{customer}-{id}-{score}"), &text);
                interaction.customer = Some((*customer).to_owned());
                interaction.channel = Channel::Email;
                Incoming { digest: text, arrival: Arrival::of(interaction) }
            })
            .collect();
        self.store.accept(tenant.id, &items).await.unwrap();
        self.record_all(tenant, "worker").await;
    }

    async fn record_all(&self, tenant: &Tenant, owner: &str) -> usize {
        let claim = Claim { owner, lease: TimeDelta::seconds(60), limit: 20, suspect: false };
        let mut scored = 0;
        loop {
            let claimed = self.store.claim(tenant.id, claim).await.unwrap();
            if claimed.is_empty() {
                return scored;
            }
            let finished: Vec<Finished> = claimed
                .into_iter()
                .map(|claimed| {
                    let (category, score) = claimed.interaction.text.split_once(' ').unwrap();
                    let verdict = verdict(score.parse().unwrap(), category);
                    Finished { outcome: Outcome::Scored(Box::new(verdict)), claimed }
                })
                .collect();
            let events = Events { to_workflow: true, to_webhooks: true, threshold: -50, alerts: true };
            scored += self.store.record(tenant.id, owner, events, &finished).await.unwrap().scored;
        }
    }

    async fn alerts(&self, tenant: &Tenant, state: Option<AlertState>) -> Vec<Alert> {
        self.store.alerts(tenant.id, &Wanted { state, most: 200, ..Wanted::default() }).await.unwrap()
    }

    /// The names of events with their places, in order, after giving them their places.
    async fn events(&self, tenant: &Tenant) -> Vec<(i64, String)> {
        while self.store.place_events(tenant.id, 100).await.unwrap().events > 0 {}
        let told = self.store.events_after(tenant.id, 0, &all(1000)).await.unwrap().0;
        for one in &told {
            assert_eq!(
                keys(&one.payload),
                keys(&one.event.parse::<EventKind>().unwrap().example()),
                "{one:?}"
            );
        }
        told.into_iter().map(|told| (told.position, told.event)).collect()
    }

    async fn count(&self, tenant: &Tenant, event: &str) -> usize {
        self.events(tenant).await.iter().filter(|(_, name)| name == event).count()
    }

    async fn destination(&self, tenant: &Tenant, name: &str, events: &[&str], detail: Detail) -> Destination {
        let new = NewDestination {
            kind: DestinationKind::Webhook,
            name: name.to_owned(),
            config: DestinationConfig {
                events: Events_::new(events.iter().map(|e| (*e).to_owned()).collect()).unwrap(),
                detail,
                audience: undertone_core::Role::Supervisor,
                options: serde_json::Map::new(),
            },
            shown_address: "https://example.com/…".to_owned(),
            secrets: ("sealed".to_owned(), "key".to_owned()),
            active: true,
        };
        self.store.create_destination(&act(tenant), &new).await.unwrap()
    }

    /// Claims what is due to a destination and finishes it like `sent`; answers what each told, as the destination gets it.
    async fn send(&self, tenant: &Tenant, id: &str, sent: impl Fn(usize) -> Sent) -> Vec<String> {
        let lease = TimeDelta::seconds(90);
        let to = self.store.destination(tenant.id, id).await.unwrap().unwrap();
        let claimed = self.store.claim_deliveries(tenant.id, &to, ("owner", lease), 50).await.unwrap();
        let ids: Vec<&str> = claimed.iter().map(|claimed| claimed.event_id.as_str()).collect();
        let config = to.config;
        let events = self.store.events_of(tenant.id, &ids).await.unwrap();
        let bodies =
            events.iter().map(|event| format!("{} {}", event.event, config.data(&event.payload))).collect();
        let finished: Vec<FinishedDelivery> = claimed
            .into_iter()
            .enumerate()
            .map(|(place, claimed)| {
                let sent = sent(place);
                let status = (sent == Sent::Delivered).then_some(200);
                FinishedDelivery { claimed, sent, status, began_at: self.store.now(), millis: 5, chance: 0.5 }
            })
            .collect();
        let kept = self.store.finish_deliveries(tenant.id, id, "owner", &finished).await.unwrap();
        assert_eq!(kept, finished.len());
        bodies
    }
}

fn verdict(score: i64, category: &str) -> Verdict {
    let score = Score::new(score).unwrap();
    Verdict {
        score,
        label: score.label(),
        confidence: Confidence::try_from(80).unwrap(),
        dominant_emotion: Emotion::new("anger").unwrap(),
        emotions: Vec::new(),
        urgency: Urgency::High,
        category: CategoryId::new(category).unwrap(),
        aspects: Vec::new(),
        summary: "canary-summary.".to_owned(),
        outside: Some("canary-summary.".to_owned()),
        evidence: Vec::new(),
        coverage: Coverage { truncated: false, unread_percent: 0 },
        provenance: Provenance {
            scorer: ScorerKind::Local,
            model: "reader".to_owned(),
            model_version: "1".to_owned(),
            prompt_version: None,
            language: "en".to_owned(),
            tokens_in: 0,
            tokens_out: 0,
            cost_micros: 0,
            duration_us: 1,
        },
        cascade: None,
        suspicions: vec![],
    }
}

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    one_alert_for_a_customer_and_cooldown(&bench).await;
    many_workers_raise_one_alert_for_each_customer(&bench).await;
    an_outage_is_one_incident(&bench).await;
    what_an_incident_held_goes_when_it_ends(&bench).await;
    people_take_alerts_and_nobody_twice(&bench).await;
    nobody_acknowledges_and_others_are_told(&bench).await;
    a_snooze_ends(&bench).await;
    a_correction_withdraws_what_nobody_took(&bench).await;
    events_have_places_and_go_where_they_are_wanted(&bench).await;
    a_destination_that_fails_is_left_alone_and_then_switched_off(&bench).await;
    what_was_sent_can_be_sent_again(&bench).await;
    a_range_is_sent_again_once_however_many_share_a_moment(&bench).await;
    two_who_change_a_destination_do_not_overwrite(&bench).await;
}

async fn one_alert_for_a_customer_and_cooldown(bench: &Bench) {
    let tenant = bench.tenant("cooldown").await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ana", "billing", -60), ("ben", "billing", -49)]).await;
    let alerts = bench.alerts(&tenant, None).await;
    assert_eq!(alerts.len(), 1, "one customer of two is at or under the threshold: {alerts:?}");
    assert_eq!(
        (alerts[0].score, alerts[0].threshold),
        (Some(-80), Some(-50)),
        "the lowest of what came together"
    );
    assert_eq!(alerts[0].due_at - alerts[0].raised_at, TimeDelta::minutes(240));
    bench.advance(29);
    bench.score(&tenant, &[("ana", "billing", -90)]).await;
    assert_eq!(bench.alerts(&tenant, None).await.len(), 1, "within the cooldown");
    bench.advance(1);
    bench.score(&tenant, &[("ana", "billing", -50)]).await;
    assert_eq!(
        bench.alerts(&tenant, None).await.len(),
        2,
        "the cooldown counts from the alert, not from what followed"
    );
    // sentiment.negative is sent whenever a score is low; the cooldown holds back the alert alone.
    assert_eq!(bench.count(&tenant, "sentiment.negative").await, 4);
    assert_eq!(bench.count(&tenant, "alert.raised").await, 2);
}

async fn many_workers_raise_one_alert_for_each_customer(bench: &Bench) {
    let tenant = bench.tenant("many").await;
    let items: Vec<Incoming> = (0..1000)
        .map(|i| {
            // Ten categories, so that it is no incident.
            let text = format!("category{} -80", i % 10);
            let mut interaction = Interaction::message("api", &i.to_string(), &text);
            interaction.customer = Some(format!("customer-{}", i % 10));
            Incoming { digest: text, arrival: Arrival::of(interaction) }
        })
        .collect();
    bench.store.accept(tenant.id, &items).await.unwrap();
    let workers = (0..64).map(async |i| bench.record_all(&tenant, &format!("worker-{i}")).await);
    let scored: usize = futures::future::join_all(workers).await.into_iter().sum();
    assert_eq!(scored, 1000);
    assert_eq!(bench.alerts(&tenant, None).await.len(), 10);
    assert_eq!(bench.count(&tenant, "alert.raised").await, 10);
}

async fn an_outage_is_one_incident(bench: &Bench) {
    let tenant = bench.tenant("outage").await;
    let customers: Vec<String> = (0..400).map(|i| format!("customer-{i:03}")).collect();
    for some in customers.chunks(40) {
        let low: Vec<(&str, &str, i64)> = some.iter().map(|c| (c.as_str(), "outage", -70)).collect();
        bench.score(&tenant, &low).await;
        bench.advance(1);
    }
    let incidents = bench.store.incidents(tenant.id, None, 10).await.unwrap();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!((incidents[0].category.as_str(), incidents[0].state.as_str()), ("outage", "open"));
    assert_eq!(bench.count(&tenant, "incident.opened").await, 1);
    let (told, held) = (
        bench.alerts(&tenant, Some(AlertState::Open)).await.len(),
        bench
            .store
            .alerts(tenant.id, &Wanted { state: Some(AlertState::Held), most: 1000, ..Wanted::default() })
            .await
            .unwrap()
            .len(),
    );
    assert_eq!(told + held, 400);
    assert!(told < 40, "{told} people were told before it was seen");
    assert_eq!(bench.count(&tenant, "alert.raised").await, told);
    // Another category is another matter.
    bench.score(&tenant, &[("somebody-else", "billing", -80)]).await;
    assert_eq!(bench.count(&tenant, "alert.raised").await, told + 1);
}

async fn what_an_incident_held_goes_when_it_ends(bench: &Bench) {
    let tenant = bench.tenant("ends").await;
    let customers: Vec<String> = (0..30).map(|i| format!("customer-{i:02}")).collect();
    for customer in &customers {
        bench.score(&tenant, &[(customer, "outage", -70)]).await;
    }
    let told = bench.count(&tenant, "alert.raised").await;
    assert_eq!(told, 11, "the twelfth makes it an incident");
    // Half of those whose alerts are held are glad again before it ends.
    let glad: Vec<(&str, &str, i64)> = customers[20..].iter().map(|c| (c.as_str(), "outage", 60)).collect();
    bench.advance(10);
    bench.score(&tenant, &glad).await;
    bench.store.end_incidents(tenant.id).await.unwrap();
    assert_eq!(bench.store.incidents(tenant.id, None, 1).await.unwrap()[0].state, "open", "not yet");
    bench.advance(21);
    bench.store.end_incidents(tenant.id).await.unwrap();
    let incident = &bench.store.incidents(tenant.id, None, 1).await.unwrap()[0];
    assert_eq!((incident.state.as_str(), incident.closed_by.as_deref()), ("closed", Some("the clock")));
    assert_eq!(bench.alerts(&tenant, Some(AlertState::Held)).await.len(), 0);
    assert_eq!(bench.alerts(&tenant, Some(AlertState::Withdrawn)).await.len(), 10);
    assert_eq!(bench.count(&tenant, "alert.raised").await, told + 9, "those who are still low");
    assert_eq!(bench.count(&tenant, "incident.closed").await, 1);
    let act = act(&tenant);
    let again = bench.store.close_incident(&act, &incident.id).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

async fn people_take_alerts_and_nobody_twice(bench: &Bench) {
    let (tenant, other) = (bench.tenant("take").await, bench.tenant("take-other").await);
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    let act = act(&tenant);
    let seen = (alert.id.as_str(), Some(alert.version));
    let taken = bench.store.move_alert(&act, seen, Move::Acknowledge).await.unwrap().unwrap();
    assert_eq!((taken.state, taken.acknowledged_by.as_deref()), (AlertState::Acknowledged, Some("user:ana")));
    let second = bench.store.move_alert(&act, seen, Move::Resolve(None)).await;
    assert!(matches!(&second, Err(StoreError::Conflict(told)) if told.contains("meanwhile")), "{second:?}");
    let latest = (alert.id.as_str(), None);
    let wrong = bench.store.move_alert(&act, latest, Move::Assign("nobody")).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))));
    let user = bench.store.save_user(&act, "a@take.example", "supervisor", "no hash").await.unwrap();
    let assigned = bench.store.move_alert(&act, latest, Move::Assign(&user)).await.unwrap().unwrap();
    assert_eq!(assigned.assigned_to, Some(user));
    let done =
        bench.store.move_alert(&act, latest, Move::Resolve(Some("called them"))).await.unwrap().unwrap();
    assert_eq!((done.state, done.note.as_deref()), (AlertState::Resolved, Some("called them")));
    let after = bench.store.move_alert(&act, latest, Move::Acknowledge).await;
    assert!(matches!(&after, Err(StoreError::Conflict(told)) if told.contains("resolved already")));
    let (_, steps) = bench.store.alert(tenant.id, &alert.id).await.unwrap().unwrap();
    let words: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(words, ["acknowledged", "assigned", "resolved"]);
    let names: Vec<String> = bench.events(&tenant).await.into_iter().map(|(_, name)| name).collect();
    assert_eq!(
        names,
        [
            "sentiment.scored",
            "sentiment.negative",
            "alert.raised",
            "alert.acknowledged",
            "alert.assigned",
            "alert.resolved"
        ]
    );
    // Nothing of it is another tenant's.
    let theirs = Act::new(other.id, "user:eve");
    assert!(bench.store.alert(other.id, &alert.id).await.unwrap().is_none());
    assert!(bench.store.move_alert(&theirs, latest, Move::Acknowledge).await.unwrap().is_none());
}

async fn nobody_acknowledges_and_others_are_told(bench: &Bench) {
    let tenant = bench.tenant("escalate").await;
    // The office opens at nine and it is ten; it closes at eleven.
    let hours = json!({"business_hours": {"monday": [["09:00", "11:00"]], "tuesday": [["09:00", "11:00"]]}});
    bench.store.change_settings(&act(&tenant), &hours).await.unwrap();
    let began = bench.store.now();
    let morning = began.date_naive().and_hms_opt(10, 30, 0).unwrap().and_utc();
    bench.clock.advance(morning - began + TimeDelta::days(7));
    let now = bench.store.now();
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "delivery", -80)]).await;
    let ben = bench.alerts(&tenant, None).await.into_iter().find(|a| a.category == "delivery").unwrap();
    bench.store.move_alert(&act(&tenant), (&ben.id, None), Move::Acknowledge).await.unwrap();
    bench.advance(59);
    assert!(
        !bench.store.tenants_with_due_alerts().await.unwrap().contains(&tenant.id),
        "an hour of work, not of the clock"
    );
    // Half an hour today, half an hour tomorrow.
    bench.clock.advance(TimeDelta::hours(23) - TimeDelta::minutes(58));
    assert_eq!(bench.store.now(), now + TimeDelta::hours(23) + TimeDelta::minutes(1));
    assert!(bench.store.tenants_with_due_alerts().await.unwrap().contains(&tenant.id));
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 1, "of the one nobody took");
    for _ in 0..20 {
        bench.clock.advance(TimeDelta::days(7));
        while bench.store.tick_alerts(tenant.id).await.unwrap() {}
    }
    assert_eq!(bench.count(&tenant, "alert.escalated").await, 3, "and not for ever");
}

async fn a_snooze_ends(bench: &Bench) {
    let tenant = bench.tenant("snooze").await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "delivery", -80)]).await;
    let alerts = bench.alerts(&tenant, None).await;
    let act = act(&tenant);
    let past = bench.store.move_alert(&act, (&alerts[0].id, None), Move::Snooze(bench.store.now())).await;
    assert!(matches!(past, Err(StoreError::Invalid(_))));
    let until = bench.store.now() + TimeDelta::hours(2);
    for alert in &alerts {
        bench.store.move_alert(&act, (&alert.id, None), Move::Snooze(until)).await.unwrap();
    }
    bench.advance(90);
    bench.score(&tenant, &[("ben", "delivery", 70)]).await;
    bench.store.tick_alerts(tenant.id).await.unwrap();
    assert_eq!(bench.alerts(&tenant, Some(AlertState::Snoozed)).await.len(), 2, "not yet");
    bench.advance(31);
    bench.store.tick_alerts(tenant.id).await.unwrap();
    let told: Vec<(String, AlertState)> =
        bench.alerts(&tenant, None).await.into_iter().map(|a| (a.category, a.state)).collect();
    assert!(told.contains(&("billing".to_owned(), AlertState::Open)), "still low, told again: {told:?}");
    assert!(told.contains(&("delivery".to_owned(), AlertState::Resolved)), "no longer low: {told:?}");
    assert_eq!(
        (bench.count(&tenant, "alert.reminded").await, bench.count(&tenant, "alert.resolved").await),
        (1, 1)
    );
}

async fn a_correction_withdraws_what_nobody_took(bench: &Bench) {
    let tenant = bench.tenant("withdraw").await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "delivery", -80), ("cho", "app", -80)]).await;
    let alerts = bench.alerts(&tenant, None).await;
    let of = |category: &str| alerts.iter().find(|alert| alert.category == category).unwrap();
    bench.store.move_alert(&act(&tenant), (&of("delivery").id, None), Move::Acknowledge).await.unwrap();
    for (category, score) in [("billing", -20), ("delivery", -20), ("app", -55)] {
        let correction = Correction::of(Some(Score::new(score).unwrap()), None).unwrap().unwrap();
        let said = Said::Set { correction, reason: None };
        bench.store.say(&act(&tenant), &of(category).interaction_id, said, Seen::Unknown).await.unwrap();
    }
    let after = bench.alerts(&tenant, None).await;
    let state = |category: &str| after.iter().find(|alert| alert.category == category).unwrap().state;
    assert_eq!(state("billing"), AlertState::Withdrawn, "lifted above the threshold");
    assert_eq!(state("delivery"), AlertState::Acknowledged, "somebody is at it already");
    assert_eq!(state("app"), AlertState::Open, "corrected, and still low");
    assert_eq!(bench.count(&tenant, "alert.withdrawn").await, 1);
}

async fn events_have_places_and_go_where_they_are_wanted(bench: &Bench) {
    let (tenant, other) = (bench.tenant("places").await, bench.tenant("places-other").await);
    bench.score(&tenant, &[("before", "billing", -80)]).await;
    bench.advance(1);
    let thin = bench.destination(&tenant, "thin", &["alert.*"], Detail::Thin).await;
    let full = bench.destination(&tenant, "full", &["*"], Detail::Full).await;
    bench.destination(&other, "thin", &["*"], Detail::Full).await;
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let places: Vec<i64> = bench.events(&tenant).await.into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6]);
    // Placed once, however often and by however many it is tried.
    let again = futures::future::join_all((0..4).map(|_| bench.store.place_events(tenant.id, 10))).await;
    assert!(again.into_iter().all(|placed| placed.unwrap().events == 0));
    let which = |most| Which { most, ..Which::default() };
    assert_eq!(
        bench.store.deliveries(tenant.id, &full.id, which(50)).await.unwrap().len(),
        3,
        "not what was before it"
    );
    let due = bench.store.destinations_due().await.unwrap();
    assert!(due.contains(&(tenant.id, thin.id.clone())) && due.iter().all(|(of, _)| *of != other.id));
    let bodies = bench.send(&tenant, &thin.id, |_| Sent::Delivered).await;
    assert_eq!(bodies.len(), 1);
    let body: serde_json::Value =
        serde_json::from_str(bodies[0].strip_prefix("alert.raised ").unwrap()).unwrap();
    assert_eq!(body["channel"], "email");
    assert!(body["customer_id"].is_string() && body.get("score").is_none(), "{body}");
    assert!(!bodies[0].contains("canary"), "{body}");
    let bodies = bench.send(&tenant, &full.id, |_| Sent::Delivered).await;
    assert!(
        bodies.len() == 3
            && bodies.iter().all(|body| body.contains("canary-summary") && body.contains("\"score\":-80"))
    );
    assert!(bench.send(&tenant, &full.id, |_| Sent::Delivered).await.is_empty());
    assert!(bench.store.deliveries(other.id, &full.id, which(50)).await.unwrap().is_empty());
    // Those who follow begin where they were.
    let places = async |after, what: Following<'_>| {
        let (told, looked_to) = bench.store.events_after(tenant.id, after, &what).await.unwrap();
        (told.iter().map(|told| told.position).collect::<Vec<_>>(), looked_to)
    };
    assert_eq!(places(4, all(10)).await, (vec![5, 6], 6));
    assert_eq!(places(1, all(2)).await, (vec![2, 3], 3), "where a page is full, the next begins behind it");
    assert_eq!(places(6, all(10)).await, (vec![], 6));
    let alerts = Following { kinds: Some(&[EventKind::AlertRaised]), most: 10 };
    let (found, looked_to) = places(0, alerts).await;
    assert_eq!((found.len(), looked_to), (2, 6), "what was left out is not looked at again");
    // What is not kept any more was missed by whoever did not read it.
    let sequence = async || bench.store.event_sequence(tenant.id).await.unwrap().unwrap();
    let before = sequence().await;
    assert_eq!((before.last, before.removed), (6, 0));
    assert!(before.cursor_key.len() > 64);
    bench.advance(60 * 24);
    assert!(!bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap());
    assert_eq!(sequence().await, before);
    bench.store.remove_old_events(tenant.id, TimeDelta::hours(1)).await.unwrap();
    assert_eq!(sequence().await, Sequence { removed: 6, ..before });
}

async fn a_destination_that_fails_is_left_alone_and_then_switched_off(bench: &Bench) {
    let tenant = bench.tenant("fails").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Thin).await;
    bench.score(&tenant, &[("ana", "billing", 0), ("ben", "billing", 0), ("cho", "billing", 0)]).await;
    bench.events(&tenant).await;
    let is_due = async || bench.store.destinations_due().await.unwrap().contains(&(tenant.id, to.id.clone()));
    let now = async || bench.store.destination(tenant.id, &to.id).await.unwrap().unwrap();
    let failed = |_| Sent::Failed("it answers 500".to_owned());
    assert!(is_due().await);
    bench.send(&tenant, &to.id, failed).await;
    assert!(!is_due().await && now().await.failures == 1);
    // One that works is not left alone because one message is refused.
    bench.advance(10);
    assert!(is_due().await);
    let mixed = |place| if place == 0 { Sent::Refused("no".to_owned()) } else { Sent::Delivered };
    bench.send(&tenant, &to.id, mixed).await;
    assert_eq!((now().await.failures, now().await.failing_since), (0, None));
    let states: Vec<String> = bench
        .store
        .deliveries(tenant.id, &to.id, Which { most: 10, ..Which::default() })
        .await
        .unwrap()
        .into_iter()
        .map(|delivery| delivery.state)
        .collect();
    assert_eq!(states.iter().filter(|state| *state == "delivered").count(), 2, "{states:?}");
    // Whoever asks for patience gets it, and it is no try.
    bench.score(&tenant, &[("dan", "billing", 0)]).await;
    bench.events(&tenant).await;
    bench.send(&tenant, &to.id, |_| Sent::Throttled(TimeDelta::minutes(5), "429".to_owned())).await;
    assert!(!is_due().await && now().await.failures == 0);
    bench.advance(6);
    assert!(is_due().await);
    // For five days nothing gets through.
    let mut tries = 0;
    while now().await.active && tries < 1000 {
        if tries % 3 == 0 {
            bench.score(&tenant, &[("eve", "billing", 0)]).await;
            bench.events(&tenant).await;
        }
        bench.send(&tenant, &to.id, failed).await;
        bench.clock.advance(TimeDelta::hours(1));
        while bench.store.tidy_deliveries(tenant.id, TimeDelta::days(30)).await.unwrap() {}
        tries += 1;
    }
    let off = now().await;
    assert!(!off.active && off.inactive_reason.unwrap().contains("five days"), "{tries} tries");
    assert!((119..=122).contains(&tries), "{tries}");
    assert_eq!(bench.count(&tenant, "destination.disabled").await, 1);
    assert!(!is_due().await);
    let gave_up = Which { state: Some(DeliveryState::Failed), most: 200, ..Which::default() };
    let given_up = bench.store.deliveries(tenant.id, &to.id, gave_up).await.unwrap();
    assert!(given_up.iter().any(|delivery| delivery.last_error.as_ref().is_some_and(|e| e.contains("500"))));
    // One that is gone is switched off at once.
    let gone = bench.destination(&tenant, "gone", &["sentiment.scored"], Detail::Thin).await;
    bench.score(&tenant, &[("fay", "billing", 0)]).await;
    bench.events(&tenant).await;
    bench.send(&tenant, &gone.id, |_| Sent::Gone { why: "410".to_owned(), hint: "it is gone" }).await;
    let reason = async |id: &str| {
        let of = bench.store.destination(tenant.id, id).await.unwrap().unwrap();
        (of.active, of.inactive_reason)
    };
    // What it answered is not told on.
    assert_eq!(reason(&gone.id).await, (false, Some("it is gone".to_owned())));
    // What was kept before may quote it.
    let heard = bench.destination(&tenant, "heard", &["sentiment.scored"], Detail::Thin).await;
    let db = sea_orm::Database::connect(&bench.url).await.unwrap();
    let step = include_str!("../migrations/0022_reasons.sql");
    sea_orm::ConnectionTrait::execute_unprepared(&db, step).await.unwrap();
    db.close().await.unwrap();
    let plain = "the receiver was gone, or nothing had reached it for five days";
    assert_eq!(reason(&gone.id).await, (false, Some(plain.to_owned())));
    assert_eq!(reason(&heard.id).await, (true, None));
}

/// All deliveries made in one transaction have one moment: where a page ends among them, the next goes on behind the last.
async fn a_range_is_sent_again_once_however_many_share_a_moment(bench: &Bench) {
    const MANY: usize = 1100;
    let tenant = bench.tenant("replay-many").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Thin).await;
    let from = bench.store.now();
    let scores: Vec<(String, &str, i64)> = (0..MANY).map(|n| (format!("c{n}"), "billing", 0)).collect();
    let scores: Vec<(&str, &str, i64)> =
        scores.iter().map(|(who, what, score)| (who.as_str(), *what, *score)).collect();
    for piece in scores.chunks(100) {
        bench.score(&tenant, piece).await;
    }
    bench.events(&tenant).await;
    let mut failed = 0;
    while failed < MANY {
        failed += bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await.len();
    }
    bench.advance(1);
    let (act, to_then) = (act(&tenant), bench.store.now());
    let mut after: Option<(chrono::DateTime<chrono::Utc>, String)> = None;
    let mut counts = Vec::new();
    loop {
        let place = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let stretch = Stretch { from, to: to_then, state: DeliveryState::Failed, after: place };
        let replayed = bench.store.replay_deliveries(&act, &to.id, &stretch).await.unwrap();
        counts.push(replayed.count);
        after = replayed.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(counts, [1000, 100]);
    let which = Which { state: Some(DeliveryState::Pending), most: u16::MAX, ..Which::default() };
    let waiting = bench.store.deliveries(tenant.id, &to.id, which).await.unwrap();
    assert!(waiting.len() == MANY && waiting.iter().all(|one| one.replay == 1), "{}", waiting.len());
}

async fn what_was_sent_can_be_sent_again(bench: &Bench) {
    let tenant = bench.tenant("replay").await;
    let to = bench.destination(&tenant, "to", &["sentiment.scored"], Detail::Full).await;
    let from = bench.store.now();
    bench.score(&tenant, &[("ana", "billing", 0), ("ben", "billing", 0)]).await;
    bench.events(&tenant).await;
    let first = bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await;
    let all = async || {
        bench.store.deliveries(tenant.id, &to.id, Which { most: 50, ..Which::default() }).await.unwrap()
    };
    let (one, act) = (all().await.remove(0), act(&tenant));
    let again = bench.store.replay_delivery(&act, &one.id).await.unwrap().unwrap();
    let pending = bench.store.replay_delivery(&act, &again).await;
    assert!(matches!(pending, Err(StoreError::Conflict(_))), "{pending:?}");
    let (told, _) = bench.store.delivery(tenant.id, &again).await.unwrap().unwrap();
    assert_eq!((&told.event_id, told.replay), (&one.event_id, 1), "the receiver sees the same message");
    let sent = bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    assert!(sent.len() == 1 && first.contains(&sent[0]), "the same is told");
    bench.advance(1);
    let again = async |state: DeliveryState| {
        let stretch = Stretch { from, to: bench.store.now(), state, after: None };
        let replayed = bench.store.replay_deliveries(&act, &to.id, &stretch).await.unwrap();
        assert_eq!(replayed.next, None);
        replayed.count
    };
    // One of the two arrived meanwhile.
    assert_eq!(again(DeliveryState::Failed).await, 1);
    assert_eq!(again(DeliveryState::Failed).await, 0, "it is on its way");
    assert_eq!(bench.send(&tenant, &to.id, |_| Sent::Refused("no".to_owned())).await.len(), 1);
    assert_eq!(again(DeliveryState::Failed).await, 1, "and failed once more");
    assert_eq!(bench.send(&tenant, &to.id, |_| Sent::Delivered).await.len(), 1);
    assert_eq!(again(DeliveryState::Failed).await, 0);
    let (_, tries) = bench.store.delivery(tenant.id, &one.id).await.unwrap().unwrap();
    assert_eq!(tries.len(), 1);
    assert_eq!((tries[0].outcome.as_str(), tries[0].error.as_deref()), ("refused", Some("no")));
    let test = bench.store.test_destination(&act, &to.id).await.unwrap().unwrap();
    let body = bench.send(&tenant, &to.id, |_| Sent::Delivered).await.remove(0);
    assert!(
        body.contains("undertone.test") && bench.store.delivery(tenant.id, &test).await.unwrap().is_some()
    );
    // Of those who do it at once nobody is told the id of a message that is not there.
    let all = futures::future::join_all((0..8).map(|_| bench.store.replay_delivery(&act, &one.id))).await;
    for id in all.into_iter().filter_map(Result::ok).flatten() {
        assert!(bench.store.delivery(tenant.id, &id).await.unwrap().is_some(), "{id}");
    }
    let theirs = bench.tenant("replay-other").await;
    let eve = Act::new(theirs.id, "user:eve");
    assert!(bench.store.replay_delivery(&eve, &one.id).await.unwrap().is_none());
    assert!(bench.store.test_destination(&eve, &to.id).await.unwrap().is_none());
    assert!(!bench.store.remove_destination(&eve, &to.id).await.unwrap());
}

async fn two_who_change_a_destination_do_not_overwrite(bench: &Bench) {
    let tenant = bench.tenant("change").await;
    let to = bench.destination(&tenant, "to", &["*"], Detail::Thin).await;
    bench.destination(&tenant, "other", &["*"], Detail::Thin).await;
    let new = |name: &str| NewDestination {
        kind: to.kind,
        name: name.to_owned(),
        config: to.config.clone(),
        shown_address: to.shown_address.clone(),
        secrets: ("sealed anew".to_owned(), "key".to_owned()),
        active: true,
    };
    let act = act(&tenant);
    let changed = bench
        .store
        .change_destination(&act, (&to.id, Some(to.version)), &new("renamed"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((changed.name.as_str(), changed.version), ("renamed", to.version + 1));
    let second = bench.store.change_destination(&act, (&to.id, Some(to.version)), &new("lost")).await;
    assert!(matches!(&second, Err(StoreError::Conflict(told)) if told.contains("meanwhile")), "{second:?}");
    let taken = bench.store.change_destination(&act, (&to.id, None), &new("other")).await;
    assert!(matches!(&taken, Err(StoreError::Conflict(told)) if told.contains("other")), "{taken:?}");
    assert!(bench.store.remove_destination(&act, &to.id).await.unwrap());
    assert!(bench.store.change_destination(&act, (&to.id, None), &new("x")).await.unwrap().is_none());
}
