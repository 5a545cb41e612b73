use std::sync::Arc;

use chrono::TimeZone;
use chrono_tz::Tz;
use serde_json::json;
use undertone_core::clock::SetClock;
use undertone_core::usage::RequestSize;
use undertone_core::usage::price::Caching;
use undertone_core::usage::sums::Group;
use undertone_core::verdict::ScorerKind;
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Options, Tenant};

use super::*;
use crate::clock::TimeOrderedIds;

struct Bench {
    store: Store,
    clock: Arc<SetClock>,
    tenant: Tenant,
    purse: TenantPurse,
    _folder: tempfile::TempDir,
}

/// A request about two texts that takes at most 10,000 tokens, of which 1,000 are written.
fn planned(model: &str) -> Planned<'_> {
    let size = RequestSize { body_bytes: 7_000, schema_bytes: 944, messages: 2, max_tokens: 1_000 };
    assert_eq!(size.most_tokens(), 10_000);
    Planned { scorer: ScorerKind::Claude, model, texts: 2, size, caching: Caching::OneHour }
}

const HAIKU: &str = "claude-haiku-5-5";
const USED: Usage =
    Usage { input: 500, cache_read: 2_000, cache_write_5m: 0, cache_write_1h: 0, output: 300 };

impl Bench {
    async fn open(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/undertone.db", folder.path().display());
        let clock = Arc::new(SetClock::new(Utc.with_ymd_and_hms(2026, 10, 6, 23, 59, 0).unwrap()));
        let ids = Arc::new(TimeOrderedIds::new());
        let store = Store::open(&Options { url, connections: 4 }, clock.clone(), ids).await.unwrap();
        store.migrate().await.unwrap();
        let new = NewTenant { slug: "acme", name: "Acme", zone: Tz::America__New_York, actor: "test" };
        let tenant = store.create_tenant(&new).await.unwrap();
        let purse = TenantPurse::patient(&store, tenant.id, Arc::default(), "test".into(), patience);
        Self { store, clock, tenant, purse, _folder: folder }
    }

    async fn set(&self, settings: serde_json::Value) {
        let act = Act::new(self.tenant.id, "test");
        self.store.change_settings(&act, &settings).await.unwrap();
    }

    /// Tokens of the day: held, lost, spent.
    async fn day(&self) -> [u64; 3] {
        let day = self.store.budget(&self.tenant).await.unwrap().day;
        [day.held, day.assumed, day.spent].map(|amount| amount.tokens)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_counted_as_the_provider_reports_it_at_the_price_of_its_day() {
    let bench = Bench::open(PATIENCE).await;
    let planned = planned("claude-sonnet-5-5");
    let hold = bench.purse.reserve(planned).await.unwrap();
    assert_eq!(bench.day().await, [10_000, 0, 0]);
    let call = bench.store.calls(bench.tenant.id, None, 9).await.unwrap().remove(0);
    // 9,000 tokens of prompt, which may all be written to the cache for an hour at $4 a million, and 1,000 of answer at $10.
    assert_eq!(
        (call.most_micros, call.texts, &*call.scorer, &*call.owner),
        (Some(46_000), 2, "claude", "test")
    );
    assert_eq!(call.lease_until - call.reserved_at, LEASE);
    // Reading from the cache costs half from the next day on; this request was made before.
    bench.clock.advance(TimeDelta::minutes(2));
    let cost = bench.purse.settle(hold, planned, Ending::Charged(USED)).await;
    assert_eq!(cost, (500 * 2 + 300 * 10) + 2_000 / 5);
    assert_eq!(bench.day().await, [0, 0, 2_800]);
    let day = bench.store.now().with_timezone(&bench.tenant.zone).date_naive();
    let report = bench.store.ai_usage(&bench.tenant, day, day, Group::Model).await.unwrap();
    let line = report.lines[0].sums;
    assert_eq!(
        (&*report.lines[0].key, line.calls, line.texts, line.usage),
        ("claude-sonnet-5-5", 1, 2, USED)
    );
    assert_eq!((line.cost_micros, line.unpriced_calls, line.overrun_tokens), (cost, 0, 0));
    // What the provider kept is what both texts share.
    assert_eq!((line.saved.packing_tokens, line.saved.packing_micros), (2_000, 400));
    assert_eq!(line.saved.cache_micros, 2_000 * 2 - 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_charged_is_given_back_and_what_nobody_knows_stays_held() {
    let bench = Bench::open(PATIENCE).await;
    let planned = planned(HAIKU);
    let hold = bench.purse.reserve(planned).await.unwrap();
    assert_eq!(bench.purse.settle(hold, planned, Ending::Free).await, 0);
    assert_eq!(bench.day().await, [0, 0, 0]);
    let hold = bench.purse.reserve(planned).await.unwrap();
    assert_eq!(bench.purse.settle(hold, planned, Ending::Unknown).await, 0);
    assert_eq!(bench.day().await, [10_000, 0, 0]);
    bench.clock.advance(LEASE);
    assert_eq!(bench.store.expire_calls(bench.tenant.id, &Caps::default()).await.unwrap(), 1);
    assert_eq!(bench.day().await, [0, 10_000, 0]);
    // A model without a price is counted in tokens.
    let unpriced = Planned { model: "local-model", scorer: ScorerKind::Openai, ..planned };
    let hold = bench.purse.reserve(unpriced).await.unwrap();
    assert_eq!(bench.purse.settle(hold, unpriced, Ending::Charged(USED)).await, 0);
    assert_eq!(bench.day().await, [0, 10_000, 2_800]);
    // What is none of its holds costs nothing.
    assert_eq!(bench.purse.settle(Hold("x".to_owned()), planned, Ending::Charged(USED)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_is_counted_all_the_same() {
    let bench = Bench::open(PATIENCE).await;
    let planned = planned(HAIKU);
    let hold = bench.purse.reserve(planned).await.unwrap();
    drop(bench.purse.settle(hold, planned, Ending::Charged(USED)));
    for _ in 0..500 {
        if bench.day().await == [0, 0, 2_800] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not counted within five seconds: {:?}", bench.day().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_are_those_of_this_moment() {
    let bench = Bench::open(PATIENCE).await;
    let planned = planned(HAIKU);
    bench.set(json!({"daily_token_cap": 9_999})).await;
    let refused = bench.purse.reserve(planned).await.unwrap_err();
    assert_eq!((refused.reason, refused.until), (DeferReason::DailyTokenCap, None));
    assert!(
        refused.smaller_may_fit && refused.detail.contains("more than the whole daily token cap"),
        "{refused:?}"
    );
    let alone = Planned { texts: 1, ..planned };
    assert!(!bench.purse.reserve(alone).await.unwrap_err().smaller_may_fit);

    bench.set(json!({"daily_token_cap": 12_000})).await;
    let hold = bench.purse.reserve(planned).await.unwrap();
    bench.purse.settle(hold, planned, Ending::Charged(USED)).await;
    let refused = bench.purse.reserve(planned).await.unwrap_err();
    // The tenant's midnight, in New York.
    let midnight = Utc.with_ymd_and_hms(2026, 10, 7, 4, 0, 0).unwrap();
    assert_eq!((refused.reason, refused.until), (DeferReason::DailyTokenCap, Some(midnight)));
    assert!(!refused.smaller_may_fit && refused.detail.contains("2800 tokens used"), "{refused:?}");

    bench.set(json!({"daily_token_cap": 0, "monthly_cost_cap_cents": 1, "monthly_token_cap": 13_000})).await;
    let hold = bench.purse.reserve(planned).await.unwrap();
    bench.purse.settle(hold, planned, Ending::Free).await;
    bench.set(json!({"monthly_token_cap": 12_000})).await;
    let refused = bench.purse.reserve(planned).await.unwrap_err();
    let november = Utc.with_ymd_and_hms(2026, 11, 1, 4, 0, 0).unwrap();
    assert_eq!((refused.reason, refused.until), (DeferReason::MonthlyBudget, Some(november)));
    bench.set(json!({"monthly_token_cap": 0})).await;
    let dear = Planned { model: "claude-opus-5-5", ..planned };
    let refused = bench.purse.reserve(dear).await.unwrap_err();
    assert_eq!((refused.reason, refused.until), (DeferReason::MonthlyBudget, None));
    assert!(refused.detail.contains("monthly AI budget of $0.010000"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_hold_is_waited_for_in_turn_and_not_for_ever() {
    let bench = Bench::open(Duration::from_millis(300)).await;
    let planned = planned(HAIKU);
    bench.set(json!({"daily_token_cap": 15_000})).await;
    let first = bench.purse.reserve(planned).await.unwrap();
    let refused = bench.purse.reserve(planned).await.unwrap_err();
    let until = bench.store.now() + SETTLES_WITHIN;
    assert_eq!((refused.reason, refused.until), (DeferReason::DailyTokenCap, Some(until)));
    assert!(refused.detail.contains("up to 10000 tokens by calls under way"), "{refused:?}");

    let patient = TenantPurse::new(&bench.store, bench.tenant.id, Arc::default(), "test".into());
    let waiting = {
        let patient = patient.clone();
        tokio::spawn(async move { patient.reserve(self::planned(HAIKU)).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    // Settled by another, as if on another node: it looks again by itself.
    bench.purse.settle(first, planned, Ending::Charged(USED)).await;
    let second = waiting.await.unwrap().unwrap();
    assert_eq!(bench.day().await, [10_000, 0, 2_800]);

    // Settled by this process: at once.
    let waiting = {
        let patient = patient.clone();
        tokio::spawn(async move { patient.reserve(self::planned(HAIKU)).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = std::time::Instant::now();
    patient.settle(second, planned, Ending::Free).await;
    waiting.await.unwrap().unwrap();
    assert!(begun.elapsed() < LOOK_EVERY, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_not_wait_is_told_to_and_keeps_its_place_in_line() {
    let bench = Bench::open(PATIENCE).await;
    let planned = planned(HAIKU);
    bench.set(json!({"daily_token_cap": 15_000})).await;
    let held = bench.purse.reserve(planned).await.unwrap();
    let mut line = bench.purse.line(ScorerKind::Claude).await;
    let begun = std::time::Instant::now();
    assert_eq!(line.ask(planned).await, None);
    assert!(begun.elapsed() < LOOK_EVERY, "it was asked at once: {:?}", begun.elapsed());
    // The next one to the same provider stands behind, whoever is to ask another one does not.
    let behind = bench.purse.line(ScorerKind::Claude);
    assert!(tokio::time::timeout(Duration::from_millis(20), behind).await.is_err());
    assert_eq!(bench.purse.line(ScorerKind::Openai).await.ask(planned).await, None);
    // What was settled between the look and the waiting is not missed.
    bench.purse.settle(held, planned, Ending::Free).await;
    let begun = std::time::Instant::now();
    line.wait().await;
    assert!(begun.elapsed() < LOOK_EVERY, "{:?}", begun.elapsed());
    assert!(matches!(line.ask(planned).await, Some(Ok(_))));
    drop(line);
    assert_eq!(bench.purse.line(ScorerKind::Claude).await.ask(planned).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_gone_pays_nothing() {
    let bench = Bench::open(PATIENCE).await;
    let nobody = TenantPurse::new(&bench.store, TenantId(99), Arc::default(), "test".into());
    let refused = nobody.reserve(planned(HAIKU)).await.unwrap_err();
    assert_eq!((refused.reason, refused.smaller_may_fit), (DeferReason::LlmUnavailable, false));
    assert!(refused.detail.contains("the cause is in the log"));
}
