//! Alerts, incidents, events and deliveries, on SQLite and on PostgreSQL: raised once, told in order, sent until they arrive.

#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "tests")]

#[path = "alerts/assigned.rs"]
mod assigned;
#[path = "alerts/catalogue.rs"]
mod catalogue;
#[path = "alerts/configured.rs"]
mod configured;
#[path = "alerts/corrected.rs"]
mod corrected;
#[path = "alerts/delivered.rs"]
mod delivered;
#[path = "alerts/ended.rs"]
mod ended;
#[path = "alerts/heard.rs"]
mod heard;
#[path = "alerts/holding.rs"]
mod holding;
#[path = "alerts/lasting.rs"]
mod lasting;
#[path = "alerts/notices.rs"]
mod notices;
#[path = "alerts/sent.rs"]
mod sent;
#[path = "alerts/surges.rs"]
mod surges;
#[path = "alerts/taken.rs"]
mod taken;
#[path = "alerts/usual.rs"]
mod usual;

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
    DeliveryState, Destination, FinishedDeliveries, FinishedDelivery, NewDestination, Sent, Stretch, Which,
};
use undertone_store::outbox::{Following, Sequence};
use undertone_store::overrides::{Said, Seen};
use undertone_store::queue::Claim;
use undertone_store::record::{Finished, Outcome};
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
            scored += self.store.record(tenant.id, owner, &finished).await.unwrap().scored;
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
        let held = finished.len();
        assert_eq!(self.finish_messages(tenant, id, "owner", finished).await, held);
        bodies
    }

    /// Keeps what became of messages that `owner` held; answers how many.
    async fn finish_messages(
        &self,
        tenant: &Tenant,
        id: &str,
        owner: &str,
        messages: Vec<FinishedDelivery>,
    ) -> usize {
        let (destination, owner) = (id.to_owned(), owner.to_owned());
        let finished = Arc::new(FinishedDeliveries { destination, owner, messages });
        self.store.finish_deliveries(tenant.id, &[finished]).await.unwrap()
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
    taken::people_take_alerts_and_nobody_twice(&bench).await;
    taken::nobody_acknowledges_and_others_are_told(&bench).await;
    taken::a_snooze_ends(&bench).await;
    taken::a_correction_withdraws_what_nobody_took(&bench).await;
    sent::events_have_places_and_go_where_they_are_wanted(&bench).await;
    sent::a_destination_that_fails_is_left_alone_and_then_switched_off(&bench).await;
    sent::what_was_sent_can_be_sent_again(&bench).await;
    sent::another_name_mends_nothing(&bench).await;
    sent::nothing_is_sent_again_to_whom_nothing_is_sent(&bench).await;
    sent::a_range_is_sent_again_once_however_many_share_a_moment(&bench).await;
    sent::two_who_change_a_destination_do_not_overwrite(&bench).await;
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
