//! The budget of LLM calls on SQLite and on PostgreSQL: what is granted and refused, how calls end, what is told and what is reported.

#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "tests")]

#[path = "budget/pace.rs"]
mod pace;
#[path = "budget/runs.rs"]
mod runs;

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use undertone_core::Clock;
use undertone_core::clock::{CountedIds, SetClock};
use undertone_core::gate::DeferReason;
use undertone_core::usage::sums::{Group, Saved, Sums};
use undertone_core::usage::{Feature, Usage};
use undertone_core::verdict::ScorerKind;
use undertone_store::budget::{
    Amount, Bill, Caps, Counter, Frees, Limit, Refusal, Reservation, ReserveRequest, Reserved, Settled,
};
use undertone_store::outbox::Following;
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Options, Store, StoreError, Tenant};
use undertone_testkit::postgres::Postgres;

/// A program with a clock of its own, on a database that others use too.
struct Node {
    store: Store,
    clock: Arc<SetClock>,
}

struct Bench {
    node: Node,
    ids: Arc<CountedIds>,
    url: String,
}

impl Bench {
    async fn open(url: String) -> Self {
        let ids = Arc::new(CountedIds::default());
        let node = node(&url, &ids).await;
        node.store.migrate().await.unwrap();
        Self { node, ids, url }
    }

    fn store(&self) -> &Store {
        &self.node.store
    }

    async fn tenant(&self, slug: &str, zone: Tz) -> Tenant {
        let new = NewTenant { slug, name: slug, zone, actor: "test" };
        self.store().create_tenant(&new).await.unwrap()
    }

    fn set(&self, moment: &str) {
        self.node.clock.advance(at(moment) - self.node.clock.now());
    }

    fn advance(&self, by: TimeDelta) {
        self.node.clock.advance(by);
    }

    async fn ask(&self, tenant: &Tenant, caps: &Caps, request: &ReserveRequest<'_>) -> Reserved {
        self.store().reserve_call(tenant, caps, request).await.unwrap()
    }

    async fn granted(&self, tenant: &Tenant, caps: &Caps, request: &ReserveRequest<'_>) -> Reservation {
        match self.ask(tenant, caps, request).await {
            Reserved::Granted(reservation) => reservation,
            Reserved::Refused(refusal) => panic!("{refusal}"),
        }
    }

    async fn refused(&self, tenant: &Tenant, caps: &Caps, request: &ReserveRequest<'_>) -> Refusal {
        match self.ask(tenant, caps, request).await {
            Reserved::Granted(reservation) => panic!("granted {reservation:?}"),
            Reserved::Refused(refusal) => refusal,
        }
    }

    async fn settle(&self, tenant: &Tenant, caps: &Caps, call: &Reservation, tokens: u64) -> Settled {
        self.store().settle_call(tenant.id, caps, &call.id, &bill(tokens)).await.unwrap()
    }

    /// Held, assumed and spent tokens of the day.
    async fn day(&self, tenant: &Tenant) -> [u64; 3] {
        tokens(&self.store().budget(tenant).await.unwrap().day)
    }

    /// The tenant's events, in the order they were caused: subject and payload.
    async fn events(&self, tenant: &Tenant) -> Vec<(String, Value)> {
        let raw = sea_orm::Database::connect(self.url.clone()).await.unwrap();
        let text = format!(
            "SELECT event, subject_id, CAST(payload AS text) AS payload FROM outbox WHERE tenant_id = {} ORDER BY id",
            tenant.id.0
        );
        let rows = raw
            .query_all_raw(sea_orm::Statement::from_string(raw.get_database_backend(), text))
            .await
            .unwrap()
            .iter()
            .map(|row| {
                assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "budget.threshold");
                let payload: String = row.try_get_by_index(2).unwrap();
                (row.try_get_by_index(1).unwrap(), serde_json::from_str(&payload).unwrap())
            })
            .collect();
        raw.close().await.unwrap();
        rows
    }

    /// Of each event the period, what is measured, and the percentage.
    async fn told(&self, tenant: &Tenant) -> Vec<String> {
        let of = |payload: &Value, key: &str| payload[key].as_str().unwrap().to_owned();
        let events = self.events(tenant).await;
        let told =
            events.iter().map(|(_, p)| format!("{} {} {}", of(p, "period"), of(p, "measure"), p["percent"]));
        told.collect()
    }
}

async fn node(url: &str, ids: &Arc<CountedIds>) -> Node {
    let clock = Arc::new(SetClock::new(at("2026-11-20T12:00:00Z")));
    let options = Options { url: url.to_owned(), connections: 8 };
    let store = Store::open(&options, clock.clone(), ids.clone()).await.unwrap();
    Node { store, clock }
}

fn at(moment: &str) -> DateTime<Utc> {
    moment.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn tokens(counter: &Counter) -> [u64; 3] {
    [counter.held.tokens, counter.assumed.tokens, counter.spent.tokens]
}

fn micros(counter: &Counter) -> [u64; 3] {
    [counter.held.micros, counter.assumed.micros, counter.spent.micros]
}

/// A call of at most so many tokens, at two millionths of a dollar each.
fn call(most_tokens: u64) -> ReserveRequest<'static> {
    ReserveRequest {
        feature: Feature::Scoring,
        model: "claude-haiku-5-5",
        scorer: ScorerKind::Claude,
        owner: "node-1",
        texts: 1,
        batched: false,
        most_tokens,
        most_micros: Some(2 * most_tokens),
        lease: TimeDelta::minutes(10),
    }
}

/// A bill over so many tokens, one of them written, at two millionths of a dollar each.
fn bill(tokens: u64) -> Bill {
    let output = tokens.min(1);
    Bill {
        usage: Usage { input: tokens - output, output, ..Usage::default() },
        micros: Some(2 * tokens),
        saved: Saved::default(),
    }
}

fn a_day(day_tokens: u64) -> Caps {
    Caps { day_tokens, ..Caps::default() }
}

fn no_overrun() -> Settled {
    Settled::Counted { overrun: Amount::default() }
}

async fn on_sqlite() -> (Bench, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Bench::open(format!("sqlite://{}/undertone.db", folder.path().display())).await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let (bench, _folder) = on_sqlite().await;
    suite(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let server = Postgres::start();
    suite(&Bench::open(server.url()).await).await;
}

async fn suite(bench: &Bench) {
    a_call_is_held_then_spent_once(bench).await;
    the_cap_stops_and_says_why(bench).await;
    a_month_has_budgets_of_its_own(bench).await;
    what_was_not_charged_is_given_back(bench).await;
    what_is_lost_counts_until_it_is_heard_of(bench).await;
    an_overrun_is_counted_and_shown(bench).await;
    thresholds_are_told_once(bench).await;
    a_stop_is_told_once(bench).await;
    a_cap_that_is_lowered_and_put_back_is_told_of(bench).await;
    days_follow_the_clocks_of_the_zone(bench).await;
    the_report_adds_up(bench).await;
    old_calls_go_and_figures_stay(bench).await;
    nothing_crosses_a_tenant(bench).await;
    nonsense_is_refused(bench).await;
    many_at_once_fill_the_cap_exactly(bench).await;
}

async fn a_call_is_held_then_spent_once(bench: &Bench) {
    let tenant = bench.tenant("held", Tz::Europe__Berlin).await;
    let caps = a_day(10_000);
    let request = ReserveRequest { texts: 3, batched: true, ..call(4_000) };
    let reservation = bench.granted(&tenant, &caps, &request).await;
    assert_eq!(reservation.day, date("2026-11-20"));
    assert_eq!(reservation.lease_until, at("2026-11-20T12:10:00Z"));
    assert_eq!(bench.day(&tenant).await, [4_000, 0, 0]);
    let before = bench.store().calls(tenant.id, None, 10).await.unwrap().remove(0);
    assert_eq!((before.state.as_str(), before.cost_micros), ("held", None));

    bench.advance(TimeDelta::seconds(3));
    let saved = Saved { cache_micros: -5, packing_tokens: 6, packing_micros: 7, batch_micros: 8 };
    let usage = Usage { input: 100, cache_read: 2_000, cache_write_5m: 30, cache_write_1h: 4, output: 50 };
    let full = Bill { usage, micros: Some(777), saved };
    let settle = async || bench.store().settle_call(tenant.id, &caps, &reservation.id, &full).await.unwrap();
    assert_eq!(settle().await, no_overrun());
    assert_eq!(settle().await, Settled::Already);
    assert_eq!(
        bench.settle(&tenant, &caps, &reservation, 9).await,
        Settled::Already,
        "the first report counts"
    );
    assert!(!bench.store().release_call(tenant.id, &caps, &reservation.id).await.unwrap());
    let budget = bench.store().budget(&tenant).await.unwrap();
    // All of the five kinds count.
    assert_eq!((tokens(&budget.day), micros(&budget.day)), ([0, 0, 2_184], [0, 0, 777]));
    assert_eq!((tokens(&budget.month), micros(&budget.month)), ([0, 0, 2_184], [0, 0, 777]));
    assert_eq!((budget.day.begins, budget.month.begins), (date("2026-11-20"), date("2026-11-01")));

    let kept = bench.store().calls(tenant.id, None, 10).await.unwrap().remove(0);
    assert_eq!(
        json!(kept),
        json!({
            "id": reservation.id, "day": "2026-11-20", "month": "2026-11-01", "feature": "scoring", "model": "claude-haiku-5-5",
            "scorer": "claude", "owner": "node-1", "batched": true, "texts": 3, "state": "settled", "most_tokens": 4_000,
            "most_micros": 8_000, "reserved_at": "2026-11-20T12:00:00Z", "lease_until": "2026-11-20T12:10:00Z", "expired_at": null,
            "released_at": null, "settled_at": "2026-11-20T12:00:03Z", "input_tokens": 100, "cache_read_tokens": 2_000,
            "cache_write_5m_tokens": 30, "cache_write_1h_tokens": 4, "output_tokens": 50, "cost_micros": 777,
            "saved_cache_micros": -5, "saved_packing_tokens": 6, "saved_packing_micros": 7, "saved_batch_micros": 8
        })
    );
}

async fn the_cap_stops_and_says_why(bench: &Bench) {
    bench.set("2026-11-20T12:00:00Z");
    let tenant = bench.tenant("cap", Tz::Europe__Berlin).await;
    let caps = a_day(10_000);
    let first = bench.granted(&tenant, &caps, &call(6_000)).await;
    // What is held may yet turn out to be little.
    let refusal = bench.refused(&tenant, &caps, &call(4_001)).await;
    assert_eq!((refusal.limit, refusal.frees), (Limit::DayTokens, Frees::WhenCallsSettle));
    assert_eq!((refusal.cap, refusal.used, refusal.held, refusal.wanted), (10_000, 0, 6_000, 4_001));
    assert_eq!(refusal.reason(), DeferReason::DailyTokenCap);
    assert_eq!(bench.day(&tenant).await, [6_000, 0, 0], "a refusal holds nothing");
    let second = bench.granted(&tenant, &caps, &call(4_000)).await;
    assert_eq!(bench.settle(&tenant, &caps, &first, 1_000).await, no_overrun());
    assert_eq!(bench.settle(&tenant, &caps, &second, 4_000).await, no_overrun());
    let third = bench.granted(&tenant, &caps, &call(5_000)).await;
    bench.settle(&tenant, &caps, &third, 5_000).await;
    assert_eq!(bench.day(&tenant).await, [0, 0, 10_000]);
    let midnight = at("2026-11-20T23:00:00Z");
    assert_eq!(bench.refused(&tenant, &caps, &call(1)).await.frees, Frees::At(midnight));
    assert_eq!(bench.refused(&tenant, &caps, &call(10_001)).await.frees, Frees::WithHigherCap);
    // A cap that is raised holds at once, one that is lowered too, and 0 is none.
    let more = bench.granted(&tenant, &a_day(10_001), &call(1)).await;
    bench.settle(&tenant, &a_day(10_001), &more, 1).await;
    assert_eq!(bench.refused(&tenant, &a_day(10_001), &call(1)).await.frees, Frees::At(midnight));
    assert_eq!(bench.refused(&tenant, &a_day(5_000), &call(1)).await.frees, Frees::At(midnight));
    let free = bench.granted(&tenant, &a_day(0), &call(900_000)).await;
    assert!(bench.store().release_call(tenant.id, &caps, &free.id).await.unwrap());
    // The next day everything is there again, for a call a moment after midnight.
    bench.set("2026-11-20T22:59:59Z");
    assert_eq!(bench.refused(&tenant, &caps, &call(1)).await.frees, Frees::At(midnight));
    bench.set("2026-11-20T23:00:00Z");
    let next = bench.granted(&tenant, &caps, &call(10_000)).await;
    assert_eq!(next.day, date("2026-11-21"));
    // What ends after midnight counts for the day it began on.
    bench.set("2026-11-21T22:59:00Z");
    let late = bench.granted(&tenant, &a_day(0), &call(70)).await;
    bench.set("2026-11-21T23:00:01Z");
    bench.settle(&tenant, &a_day(0), &late, 70).await;
    bench.settle(&tenant, &a_day(0), &next, 5).await;
    assert_eq!(bench.day(&tenant).await, [0, 0, 0]);
    let of = |budget: undertone_store::budget::Budget| (tokens(&budget.day), tokens(&budget.month));
    let before = bench.store().budget_at(&tenant, at("2026-11-21T12:00:00Z")).await.unwrap();
    assert_eq!(of(before), ([0, 0, 75], [0, 0, 10_076]));
    bench.set("2026-11-20T12:00:00Z");
}

async fn a_month_has_budgets_of_its_own(bench: &Bench) {
    bench.set("2026-11-29T12:00:00Z");
    let tenant = bench.tenant("month", Tz::Europe__Berlin).await;
    let caps = Caps { day_tokens: 500, month_tokens: 1_000, ..Caps::default() };
    let mut spent = 0;
    for moment in ["2026-11-29T12:00:00Z", "2026-11-30T12:00:00Z"] {
        bench.set(moment);
        let granted = bench.granted(&tenant, &caps, &call(500)).await;
        bench.settle(&tenant, &caps, &granted, 450).await;
        spent += 450;
    }
    let december = at("2026-11-30T23:00:00Z");
    // The day has 50 left, the month 100; a call of 60 fits the month and not the day.
    let refusal = bench.refused(&tenant, &caps, &call(60)).await;
    assert_eq!((refusal.limit, refusal.frees, refusal.used), (Limit::DayTokens, Frees::At(december), 450));
    // With a higher cap of the day it is the month's.
    let refusal = bench.refused(&tenant, &Caps { day_tokens: 0, ..caps }, &call(101)).await;
    assert_eq!(
        (refusal.limit, refusal.frees, refusal.used),
        (Limit::MonthTokens, Frees::At(december), spent)
    );
    assert_eq!(refusal.reason(), DeferReason::MonthlyBudget);
    // In money: 1,800 millionths are spent, and a call of 100 tokens costs at most 200.
    let money = Caps { month_micros: 1_999, ..Caps::default() };
    let refusal = bench.refused(&tenant, &money, &call(100)).await;
    assert_eq!((refusal.limit, refusal.used, refusal.wanted), (Limit::MonthCost, 1_800, 200));
    let enough = Caps { month_micros: 2_000, ..Caps::default() };
    let last = bench.granted(&tenant, &enough, &call(100)).await;
    // What has no price costs nothing, and is let through beside calls that use up the money.
    let unpriced = ReserveRequest { most_micros: None, ..call(100) };
    let free = bench.granted(&tenant, &enough, &unpriced).await;
    let unknown = Bill { micros: None, ..bill(80) };
    assert_eq!(
        bench.store().settle_call(tenant.id, &enough, &free.id, &unknown).await.unwrap(),
        no_overrun()
    );
    bench.settle(&tenant, &enough, &last, 100).await;
    bench.granted(&tenant, &enough, &unpriced).await;
    let month = bench.store().budget(&tenant).await.unwrap().month;
    assert_eq!((tokens(&month), micros(&month)), ([100, 0, 1_080], [0, 0, 2_000]));
    bench.set("2026-11-30T23:00:00Z");
    assert_eq!(
        bench.granted(&tenant, &Caps { month_micros: 2_000, ..caps }, &call(500)).await.day,
        date("2026-12-01")
    );
    bench.set("2026-11-20T12:00:00Z");
}

async fn what_was_not_charged_is_given_back(bench: &Bench) {
    let tenant = bench.tenant("release", Tz::UTC).await;
    let caps = a_day(1_000);
    let failed = bench.granted(&tenant, &caps, &call(1_000)).await;
    assert!(bench.store().release_call(tenant.id, &caps, &failed.id).await.unwrap());
    assert!(!bench.store().release_call(tenant.id, &caps, &failed.id).await.unwrap());
    assert_eq!(bench.day(&tenant).await, [0, 0, 0]);
    let next = bench.granted(&tenant, &caps, &call(1_000)).await;
    bench.settle(&tenant, &caps, &next, 900).await;
    // The provider charged for it after all: its report counts, and is shown as more than was reserved.
    let overrun = Settled::Counted { overrun: Amount { tokens: 300, micros: 600 } };
    assert_eq!(bench.settle(&tenant, &caps, &failed, 300).await, overrun);
    assert_eq!(bench.day(&tenant).await, [0, 0, 1_200]);
    bench.advance(TimeDelta::hours(1));
    assert_eq!(bench.store().expire_calls(tenant.id, &caps).await.unwrap(), 0, "what ended is not lost");
    bench.advance(TimeDelta::hours(-1));
}

async fn what_is_lost_counts_until_it_is_heard_of(bench: &Bench) {
    let tenant = bench.tenant("lost", Tz::UTC).await;
    let caps = a_day(1_000);
    let mut held = Vec::new();
    for most in [400, 300, 200, 100] {
        held.push(bench.granted(&tenant, &caps, &call(most)).await);
    }
    let lost = async || bench.store().tenants_with_lost_calls().await.unwrap().contains(&tenant.id);
    bench.advance(TimeDelta::seconds(599));
    assert!(!lost().await);
    assert_eq!(bench.store().expire_calls(tenant.id, &caps).await.unwrap(), 0);
    bench.settle(&tenant, &caps, &held[3], 100).await;
    bench.advance(TimeDelta::seconds(1));
    assert!(lost().await);
    assert_eq!(bench.store().expire_calls(tenant.id, &caps).await.unwrap(), 3);
    assert_eq!(bench.store().expire_calls(tenant.id, &caps).await.unwrap(), 0);
    assert!(!lost().await);
    // Nobody knows whether they were charged, so nobody else may use their tokens.
    assert_eq!(bench.day(&tenant).await, [0, 900, 100]);
    assert_eq!(bench.refused(&tenant, &caps, &call(1)).await.frees, Frees::At(at("2026-11-21T00:00:00Z")));
    let report = async || {
        bench
            .store()
            .ai_usage(&tenant, date("2026-11-20"), date("2026-11-20"), Group::Day)
            .await
            .unwrap()
            .total
    };
    let sums = report().await;
    assert_eq!((sums.calls, sums.lost_calls, sums.lost_tokens, sums.lost_micros), (1, 3, 900, 1_800));
    // One is heard of late, of another it turns out that it was never charged.
    assert_eq!(bench.settle(&tenant, &caps, &held[0], 150).await, no_overrun());
    assert!(bench.store().release_call(tenant.id, &caps, &held[1].id).await.unwrap());
    assert_eq!(bench.day(&tenant).await, [0, 200, 250]);
    let sums = report().await;
    assert_eq!((sums.calls, sums.lost_calls, sums.lost_tokens, sums.lost_micros), (2, 1, 200, 400));
    assert_eq!((sums.usage.total(), sums.cost_micros), (250, 500));
    bench.granted(&tenant, &caps, &call(550)).await;
    bench.advance(TimeDelta::seconds(-600));
    // A crowd of them, more than one transaction takes.
    let crowd = bench.tenant("crowd", Tz::UTC).await;
    for _ in 0..520 {
        bench.granted(&crowd, &a_day(0), &call(2)).await;
    }
    bench.advance(TimeDelta::seconds(600));
    assert_eq!(bench.store().expire_calls(crowd.id, &caps).await.unwrap(), 520);
    assert_eq!(bench.day(&crowd).await, [0, 1_040, 0]);
    bench.advance(TimeDelta::seconds(-600));
}

async fn an_overrun_is_counted_and_shown(bench: &Bench) {
    let tenant = bench.tenant("overrun", Tz::UTC).await;
    let caps = a_day(1_000);
    let small = bench.granted(&tenant, &caps, &call(100)).await;
    let overrun = Settled::Counted { overrun: Amount { tokens: 1_400, micros: 2_800 } };
    assert_eq!(bench.settle(&tenant, &caps, &small, 1_500).await, overrun);
    let report =
        bench.store().ai_usage(&tenant, date("2026-11-20"), date("2026-11-20"), Group::Day).await.unwrap();
    assert_eq!((report.total.overrun_tokens, report.total.overrun_micros), (1_400, 2_800));
    let refusal = bench.refused(&tenant, &caps, &call(1)).await;
    assert_eq!((refusal.used, refusal.cap), (1_500, 1_000), "beyond the cap it stops all the same");
    // A server that reports nonsense breaks no sum.
    let wild = bench.granted(&tenant, &a_day(0), &call(1)).await;
    let most = u64::MAX;
    let nonsense = Bill {
        usage: Usage {
            input: most,
            cache_read: most,
            cache_write_5m: most,
            cache_write_1h: most,
            output: most,
        },
        micros: Some(most),
        saved: Saved {
            cache_micros: i64::MIN,
            packing_tokens: most,
            packing_micros: most,
            batch_micros: most,
        },
    };
    let Settled::Counted { overrun } =
        bench.store().settle_call(tenant.id, &caps, &wild.id, &nonsense).await.unwrap()
    else {
        panic!("it counts")
    };
    assert_eq!(overrun, Amount { tokens: 5_000_000_000_000 - 1, micros: 1_000_000_000_000 - 2 });
    assert_eq!(bench.day(&tenant).await, [0, 0, 5_000_000_001_500]);
}

async fn thresholds_are_told_once(bench: &Bench) {
    let tenant = bench.tenant("told", Tz::Europe__Berlin).await;
    let caps = Caps { month_micros: 4_000, to_workflow: true, ..a_day(1_000) };
    let spend = async |caps: &Caps, tokens| {
        let granted = bench.granted(&tenant, caps, &call(tokens)).await;
        bench.settle(&tenant, caps, &granted, tokens).await;
    };
    let held = bench.granted(&tenant, &caps, &call(990)).await;
    assert!(bench.told(&tenant).await.is_empty(), "what is held is not used");
    bench.store().release_call(tenant.id, &caps, &held.id).await.unwrap();
    spend(&caps, 649).await;
    assert!(bench.told(&tenant).await.is_empty());
    spend(&caps, 1).await;
    assert_eq!(bench.told(&tenant).await, ["day tokens 65"]);
    spend(&caps, 50).await;
    assert_eq!(bench.told(&tenant).await, ["day tokens 65"]);
    spend(&caps, 300).await;
    assert_eq!(bench.told(&tenant).await, ["day tokens 65", "day tokens 85", "day tokens 100"]);
    let events = bench.events(&tenant).await;
    assert_eq!(events[1].0, "2026-11-20");
    assert_eq!(
        events[1].1,
        json!({
            "tenant_id": tenant.id, "period": "day", "begins": "2026-11-20", "measure": "tokens", "percent": 85, "used": 1_000,
            "cap": 1_000, "refused": null, "at": "2026-11-20T12:00:00Z"
        })
    );
    // A cap that is raised is another one, of which people want to be told too; nothing is repeated of a lower one.
    let raised = Caps { day_tokens: 1_600, ..caps };
    spend(&raised, 1).await;
    assert_eq!(bench.told(&tenant).await.len(), 3, "1,001 of 1,600");
    spend(&raised, 99).await;
    assert_eq!(bench.told(&tenant).await[3..], ["day tokens 65"]);
    spend(&Caps { day_tokens: 1_200, ..caps }, 100).await;
    assert_eq!(bench.told(&tenant).await[4..], ["day tokens 85", "day tokens 100"]);
    // Put back, it is raised once more.
    spend(&raised, 99).await;
    assert_eq!(bench.told(&tenant).await[6..], ["day tokens 65"]);
    // The money of the month: 2,598 millionths of 4,000, and two tokens more are 65 percent.
    spend(&Caps { day_tokens: 0, ..caps }, 1).await;
    assert_eq!(bench.told(&tenant).await.last().unwrap(), "month cost_micros 65");
    assert_eq!(bench.events(&tenant).await.last().unwrap().0, "2026-11");
    // The next day tells anew, and what is lost counts as used.
    bench.set("2026-11-21T12:00:00Z");
    bench.granted(&tenant, &caps, &call(650)).await;
    bench.advance(TimeDelta::minutes(10));
    bench.store().expire_calls(tenant.id, &caps).await.unwrap();
    assert_eq!(bench.told(&tenant).await[8..], ["day tokens 65", "month cost_micros 85"]);
    // Where no system is to be told, administrators are: the event is there for their notices, and once.
    bench.store().place_events(tenant.id, 100).await.unwrap();
    let read = bench.store().untold(tenant.id).await.unwrap();
    assert!(bench.store().tell(tenant.id, &read, &[]).await.unwrap());
    let silent = Caps { to_workflow: false, month_micros: 0, ..caps };
    spend(&silent, 200).await;
    spend(&Caps { to_workflow: true, ..silent }, 150).await;
    assert_eq!(bench.told(&tenant).await[10..], ["day tokens 85", "day tokens 100"]);
    bench.store().place_events(tenant.id, 100).await.unwrap();
    let untold = bench.store().untold(tenant.id).await.unwrap().events;
    let percents: Vec<&Value> = untold.iter().map(|event| &event.payload["percent"]).collect();
    assert_eq!(percents, [85, 100]);
    let all = Following { kinds: None, most: 10 };
    let (streamed, _) = bench.store().events_after(tenant.id, read.to, &all).await.unwrap();
    let percents: Vec<&Value> = streamed.iter().map(|event| &event.payload["percent"]).collect();
    assert_eq!(percents, [100], "the stream tells what its switch lets through");
    bench.set("2026-11-20T12:00:00Z");
}

async fn a_cap_that_is_lowered_and_put_back_is_told_of(bench: &Bench) {
    let tenant = bench.tenant("put-back", Tz::UTC).await;
    let (high, low) =
        (Caps { to_webhooks: true, ..a_day(2_000) }, Caps { to_webhooks: true, ..a_day(1_000) });
    let spent = bench.granted(&tenant, &high, &call(1_300)).await;
    bench.settle(&tenant, &high, &spent, 1_300).await;
    for (caps, wanted) in [(&low, 1), (&low, 1), (&high, 701), (&high, 701)] {
        assert!(matches!(bench.refused(&tenant, caps, &call(wanted)).await.frees, Frees::At(_)));
    }
    assert_eq!(bench.told(&tenant).await, ["day tokens 65", "day tokens 100", "day tokens 100"]);
    let caps: Vec<Value> = bench.events(&tenant).await.iter().map(|(_, told)| told["cap"].clone()).collect();
    assert_eq!(caps, [2_000, 1_000, 2_000]);
}

async fn a_stop_is_told_once(bench: &Bench) {
    let tenant = bench.tenant("stop", Tz::UTC).await;
    let caps = Caps { to_webhooks: true, ..a_day(1_000) };
    let first = bench.granted(&tenant, &caps, &call(500)).await;
    assert_eq!(bench.refused(&tenant, &caps, &call(501)).await.frees, Frees::WhenCallsSettle);
    assert_eq!(bench.refused(&tenant, &caps, &call(1_001)).await.frees, Frees::WithHigherCap);
    bench.settle(&tenant, &caps, &first, 500).await;
    assert!(bench.told(&tenant).await.is_empty(), "there is room again, or never was");
    // From now on it is a stop, however many run into it.
    let request = call(501);
    let all = futures::future::join_all((0..12).map(|_| bench.refused(&tenant, &caps, &request))).await;
    assert!(all.iter().all(|refusal| refusal.frees == Frees::At(at("2026-11-21T00:00:00Z"))));
    assert_eq!(bench.told(&tenant).await, ["day tokens 100"]);
    let (_, payload) = bench.events(&tenant).await.remove(0);
    assert_eq!((&payload["used"], &payload["refused"]), (&json!(500), &json!(501)));
    // A smaller call still fits, and what it reaches is told.
    let small = bench.granted(&tenant, &caps, &call(500)).await;
    bench.settle(&tenant, &caps, &small, 500).await;
    assert_eq!(bench.told(&tenant).await, ["day tokens 100", "day tokens 65", "day tokens 85"]);
    // The month's money stops once too.
    let money = Caps { month_micros: 2_001, to_webhooks: true, ..Caps::default() };
    for _ in 0..2 {
        assert_eq!(bench.refused(&tenant, &money, &call(1)).await.limit, Limit::MonthCost);
    }
    assert_eq!(bench.told(&tenant).await[3..], ["month cost_micros 100"]);
    // The cap is raised, used up to where nothing fits, and stops anew: that is told anew, once.
    let raised = Caps { day_tokens: 2_000, ..caps };
    for _ in 0..2 {
        assert_eq!(
            bench.refused(&tenant, &raised, &call(1_001)).await.frees,
            Frees::At(at("2026-11-21T00:00:00Z"))
        );
        assert_eq!(
            bench.refused(&tenant, &caps, &call(501)).await.frees,
            Frees::At(at("2026-11-21T00:00:00Z"))
        );
    }
    assert_eq!(bench.told(&tenant).await[4..], ["day tokens 100"]);
    assert_eq!(bench.events(&tenant).await[4].1["cap"], 2_000);
}

async fn days_follow_the_clocks_of_the_zone(bench: &Bench) {
    let tenant = bench.tenant("clocks", Tz::Europe__Berlin).await;
    let caps = a_day(100);
    // A day of 25 hours has one cap, and one of 23 too.
    for (begins, last, ends, day) in [
        ("2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z", "2026-10-25T23:00:00Z", "2026-10-25"),
        ("2027-03-27T23:00:00Z", "2027-03-28T21:59:59Z", "2027-03-28T22:00:00Z", "2027-03-28"),
    ] {
        bench.set(begins);
        let all = bench.granted(&tenant, &caps, &call(100)).await;
        assert_eq!(all.day, date(day));
        bench.settle(&tenant, &caps, &all, 100).await;
        bench.set(last);
        assert_eq!(bench.refused(&tenant, &caps, &call(1)).await.frees, Frees::At(at(ends)));
        bench.set(ends);
        bench.granted(&tenant, &caps, &call(100)).await;
        // The clock is put back, as clocks are: the day is as full as it was.
        bench.set(last);
        assert_eq!(bench.refused(&tenant, &caps, &call(1)).await.frees, Frees::At(at(ends)));
    }
    bench.set("2026-11-20T12:00:00Z");
}

async fn the_report_adds_up(bench: &Bench) {
    let tenant = bench.tenant("report", Tz::Pacific__Auckland).await;
    let (caps, store) = (Caps::default(), bench.store());
    let take = async |moment: &str, request: ReserveRequest<'_>, bill: Bill| {
        bench.set(moment);
        let granted = bench.granted(&tenant, &caps, &request).await;
        store.settle_call(tenant.id, &caps, &granted.id, &bill).await.unwrap();
    };
    let sonnet = ReserveRequest { model: "claude-sonnet-5-5", feature: Feature::Drafts, ..call(5_000) };
    let local = ReserveRequest {
        model: "qwen",
        scorer: ScorerKind::Openai,
        most_micros: None,
        texts: 4,
        ..call(5_000)
    };
    let saved = Saved { cache_micros: 30, packing_tokens: 20, packing_micros: 10, batch_micros: 5 };
    take("2026-11-30T10:00:00Z", call(5_000), Bill { saved, ..bill(1_000) }).await;
    // An hour later it is December in Auckland.
    take("2026-11-30T11:00:00Z", call(5_000), Bill { saved, ..bill(100) }).await;
    take("2026-11-30T12:00:00Z", sonnet, bill(20)).await;
    take("2026-12-01T12:00:00Z", local, Bill { micros: None, ..bill(3) }).await;
    let (from, to) = (date("2026-11-30"), date("2026-12-02"));
    let lines = async |group, from, to| -> Vec<(String, u64, u64)> {
        let report = store.ai_usage(&tenant, from, to, group).await.unwrap();
        let sum = report.lines.iter().fold(Sums::default(), |sum, line| sum.plus(line.sums));
        assert_eq!(report.total, sum);
        report
            .lines
            .into_iter()
            .map(|line| (line.key, line.sums.usage.total(), line.sums.cost_micros))
            .collect()
    };
    let line = |key: &str, tokens, micros| (key.to_owned(), tokens, micros);
    assert_eq!(
        lines(Group::Day, from, to).await,
        [line("2026-11-30", 1_000, 2_000), line("2026-12-01", 120, 240), line("2026-12-02", 3, 0)]
    );
    assert_eq!(
        lines(Group::Month, from, to).await,
        [line("2026-11", 1_000, 2_000), line("2026-12", 123, 240)]
    );
    assert_eq!(
        lines(Group::Feature, from, to).await,
        [line("drafts", 20, 40), line("scoring", 1_103, 2_200)]
    );
    assert_eq!(
        lines(Group::Model, from, to).await,
        [line("claude-haiku-5-5", 1_100, 2_200), line("claude-sonnet-5-5", 20, 40), line("qwen", 3, 0)]
    );
    assert_eq!(lines(Group::Scorer, from, to).await, [line("claude", 1_120, 2_240), line("openai", 3, 0)]);
    assert_eq!(
        lines(Group::Day, date("2026-12-01"), date("2026-12-01")).await,
        [line("2026-12-01", 120, 240)]
    );
    assert_eq!(lines(Group::Day, date("2027-12-01"), date("2027-12-31")).await, []);
    let total = store.ai_usage(&tenant, from, to, Group::Day).await.unwrap().total;
    assert_eq!((total.calls, total.texts, total.unpriced_calls), (4, 7, 1));
    assert_eq!(total.saved, saved.plus(saved));
    assert_eq!(total.usage, Usage { input: 1_119, output: 4, ..Usage::default() });

    // The module was switched off for the first two days of December in Auckland.
    let act = Act::new(tenant.id, "test");
    bench.set("2026-11-30T10:59:00Z");
    store.set_module_active(&act, false).await.unwrap();
    bench.set("2026-12-02T11:00:00Z");
    store.set_module_active(&act, true).await.unwrap();
    let periods =
        async |from, to| store.ai_usage(&tenant, from, to, Group::Month).await.unwrap().subscription.len();
    assert_eq!(periods(date("2026-11-30"), date("2026-12-31")).await, 2);
    assert_eq!(periods(date("2026-12-01"), date("2026-12-02")).await, 0);
    assert_eq!(periods(date("2026-12-03"), date("2026-12-03")).await, 1);
    bench.set("2026-11-20T12:00:00Z");
}

async fn old_calls_go_and_figures_stay(bench: &Bench) {
    let tenant = bench.tenant("old", Tz::UTC).await;
    let (caps, store) = (a_day(0), bench.store());
    let mut ids = Vec::new();
    for tokens in [10, 20, 30] {
        let granted = bench.granted(&tenant, &caps, &call(tokens)).await;
        if tokens < 30 {
            bench.settle(&tenant, &caps, &granted, tokens).await;
        }
        ids.push(granted.id);
    }
    let listed = async |before: Option<&str>, limit| -> Vec<String> {
        store.calls(tenant.id, before, limit).await.unwrap().into_iter().map(|call| call.id).collect()
    };
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(None, 9).await, newest_first);
    assert_eq!(listed(Some(&ids[2]), 1).await, ids[1..2]);
    let days = TimeDelta::days(30);
    bench.advance(days);
    assert!(!store.remove_old_calls(tenant.id, days).await.unwrap());
    assert_eq!(listed(None, 9).await.len(), 3);
    bench.advance(TimeDelta::seconds(1));
    assert!(!store.remove_old_calls(tenant.id, days).await.unwrap());
    assert_eq!(listed(None, 9).await, ids[2..], "what is held is kept, however old");
    let report = store.ai_usage(&tenant, date("2026-11-20"), date("2026-11-20"), Group::Day).await.unwrap();
    assert_eq!(report.total.usage.total(), 30);
    assert!(matches!(
        store.settle_call(tenant.id, &caps, &ids[0], &bill(1)).await,
        Err(StoreError::Invalid(_))
    ));
    bench.set("2026-11-20T12:00:00Z");
}

async fn nothing_crosses_a_tenant(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("mine", Tz::UTC).await, bench.tenant("theirs", Tz::UTC).await);
    let caps = a_day(100);
    let call_of_theirs = bench.granted(&theirs, &caps, &call(100)).await;
    assert_eq!(bench.day(&mine).await, [0, 0, 0]);
    bench.granted(&mine, &caps, &call(100)).await;
    let store = bench.store();
    let error = store.settle_call(mine.id, &caps, &call_of_theirs.id, &bill(1)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("there is no call {} in the ledger", call_of_theirs.id));
    assert!(store.release_call(mine.id, &caps, &call_of_theirs.id).await.is_err());
    bench.advance(TimeDelta::hours(1));
    assert_eq!(store.expire_calls(mine.id, &caps).await.unwrap(), 1);
    assert_eq!(bench.day(&theirs).await, [100, 0, 0]);
    assert!(store.calls(mine.id, None, 9).await.unwrap().iter().all(|call| call.id != call_of_theirs.id));
    bench.settle(&theirs, &caps, &call_of_theirs, 100).await;
    let report = store.ai_usage(&mine, date("2026-11-20"), date("2026-11-20"), Group::Day).await.unwrap();
    assert_eq!(report.total.calls, 0);
    bench.advance(TimeDelta::hours(-1));
}

async fn nonsense_is_refused(bench: &Bench) {
    let tenant = bench.tenant("nonsense", Tz::UTC).await;
    let long = "x".repeat(201);
    let fine = call(1);
    for wrong in [
        ReserveRequest { model: "", ..fine },
        ReserveRequest { model: &long, ..fine },
        ReserveRequest { model: "a\0", ..fine },
        ReserveRequest { owner: &long, ..fine },
        ReserveRequest { owner: "a\0", ..fine },
        ReserveRequest { most_tokens: 0, ..fine },
        ReserveRequest { most_tokens: 1_000_000_000_001, ..fine },
        ReserveRequest { most_tokens: u64::MAX, ..fine },
        ReserveRequest { most_micros: Some(u64::MAX), ..fine },
        ReserveRequest { lease: TimeDelta::zero(), ..fine },
        ReserveRequest { lease: TimeDelta::seconds(-1), ..fine },
        ReserveRequest { lease: TimeDelta::MAX, ..fine },
    ] {
        let answer = bench.store().reserve_call(&tenant, &a_day(0), &wrong).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{wrong:?}");
    }
    let most =
        ReserveRequest { most_tokens: 1_000_000_000_000, most_micros: Some(1_000_000_000_000), ..fine };
    bench.granted(&tenant, &a_day(u64::MAX), &most).await;
    assert_eq!(bench.day(&tenant).await, [1_000_000_000_000, 0, 0]);
}

async fn many_at_once_fill_the_cap_exactly(bench: &Bench) {
    let tenant = bench.tenant("many", Tz::UTC).await;
    let caps = a_day(1_000);
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(node(&bench.url, &bench.ids).await);
    }
    // Forty at once on four nodes, on a day nobody used yet: 33 of 30 tokens fit, and not one more.
    let granted = futures::future::join_all((0..40).map(|n| {
        let (node, tenant) = (&nodes[n % 4], &tenant);
        async move {
            let answer = node.store.reserve_call(tenant, &caps, &call(30)).await.unwrap();
            usize::from(matches!(answer, Reserved::Granted(_)))
        }
    }))
    .await;
    assert_eq!(granted.into_iter().sum::<usize>(), 33);
    assert_eq!(bench.day(&tenant).await, [990, 0, 0]);
    // All of them settled twice, at once: each counts once.
    let ids: Vec<String> =
        bench.store().calls(tenant.id, None, 99).await.unwrap().into_iter().map(|call| call.id).collect();
    let counted = futures::future::join_all((0..66).map(|n| {
        let (node, tenant, id) = (&nodes[n % 4], &tenant, &ids[n / 2]);
        async move {
            let settled = node.store.settle_call(tenant.id, &caps, id, &bill(20)).await.unwrap();
            usize::from(settled == no_overrun())
        }
    }))
    .await;
    assert_eq!(counted.into_iter().sum::<usize>(), 33);
    assert_eq!(bench.day(&tenant).await, [0, 0, 660]);
}
