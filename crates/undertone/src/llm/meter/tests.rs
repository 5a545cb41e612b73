use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use undertone_core::Usage;
use undertone_core::usage::RequestSize;
use undertone_core::usage::price::Caching;
use undertone_core::verdict::ScorerKind;

use super::*;

const HAIKU: &str = "claude-haiku-5-5";

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 28).unwrap()
}

fn meter(caps: Caps) -> Meter {
    Meter::new(Prices::built_in(), day(), caps)
}

/// A call of at most `bytes` + 1,056 + 1,000 tokens.
fn planned(model: &str, texts: u32, bytes: usize) -> Planned<'_> {
    let size = RequestSize { body_bytes: bytes, schema_bytes: 0, messages: 2, max_tokens: 1_000 };
    Planned { scorer: ScorerKind::Claude, model, texts, size, caching: Caching::FiveMinutes }
}

fn refused(meter: &Meter, planned: Planned<'_>) -> Refused {
    meter.reserve(planned).now_or_never().expect("an answer at once").unwrap_err()
}

fn granted(meter: &Meter, planned: Planned<'_>) -> Hold {
    meter.reserve(planned).now_or_never().expect("an answer at once").unwrap()
}

fn end(meter: &Meter, hold: Hold, planned: Planned<'_>, ending: Ending) -> u64 {
    meter.settle(hold, planned, ending).now_or_never().unwrap()
}

#[test]
fn each_ending_is_counted_as_what_it_is() {
    let meter = meter(Caps::default());
    let call = planned(HAIKU, 8, 10_000);
    let usage = Usage { input: 500, cache_read: 3_000, cache_write_5m: 100, output: 700, ..Usage::default() };
    // 500 at $0.10 a million, 3,000 at $0.01, 100 at $0.125, 700 at $0.50: 442.5 millionths.
    let hold = granted(&meter, call);
    assert_eq!(end(&meter, hold, call, Ending::Charged(usage)), 443);
    let hold = granted(&meter, call);
    assert_eq!(end(&meter, hold, call, Ending::Free), 0);
    let hold = granted(&meter, call);
    assert_eq!(end(&meter, hold, call, Ending::Unknown), 0);
    granted(&meter, call);

    let tally = meter.tally();
    let most = meter.most(&call);
    assert_eq!((most.tokens, most.micros), (12_056, Some(1_882)));
    assert_eq!((tally.sums.calls, tally.sums.texts, tally.sums.usage), (1, 8, usage));
    assert_eq!((tally.sums.cost_micros, tally.sums.unpriced_calls, tally.sums.overrun_tokens), (443, 0, 0));
    assert_eq!((tally.sums.lost_calls, tally.sums.lost_tokens, tally.sums.lost_micros), (1, 12_056, 1_882));
    assert_eq!(
        (tally.open_calls, tally.open_tokens, tally.open_micros),
        (1, 12_056, 1_882),
        "not heard of yet"
    );
    assert!(tally.sums.saved.cache_micros > 0);
}

#[test]
fn tokens_count_where_no_price_is_known() {
    let meter = meter(Caps { tokens: Some(20_000), micros: None });
    let call = planned("qwen", 1, 1_000);
    let hold = granted(&meter, call);
    let usage = Usage { input: 15_000, output: 3_000, ..Usage::default() };
    assert_eq!(end(&meter, hold, call, Ending::Charged(usage)), 0);
    let tally = meter.tally();
    assert_eq!((tally.sums.unpriced_calls, tally.sums.cost_micros), (1, 0));
    assert_eq!(tally.sums.overrun_tokens, 18_000 - 3_056, "the provider took more than it could");
    assert!(
        refused(&meter, call).detail.starts_with("--max-tokens 20,000 leaves no room: 18,000 may be used")
    );
    let costly = Meter::new(Prices::built_in(), day(), Caps { tokens: None, micros: Some(1_000_000) });
    let told = refused(&costly, call);
    assert_eq!(told.detail, "no price is known for qwen, so --max-cost can not be kept");
    assert!(!told.smaller_may_fit);
}

#[test]
fn a_call_that_fits_later_waits_and_one_that_never_fits_does_not() {
    let meter = meter(Caps { tokens: Some(20_000), micros: None });
    let call = planned(HAIKU, 8, 10_000);
    let first = granted(&meter, call);
    let mut second = meter.reserve(call);
    assert!((&mut second).now_or_never().is_none(), "12,056 are held");
    end(&meter, first, call, Ending::Charged(Usage { input: 2_000, ..Usage::default() }));
    assert!(matches!(second.now_or_never(), Some(Ok(_))), "2,000 are used");

    let large = planned(HAIKU, 8, 30_000);
    let told = refused(&meter, large);
    assert!(told.smaller_may_fit && told.until.is_none(), "{told:?}");
    let alone = refused(&meter, planned(HAIKU, 1, 30_000));
    assert!(!alone.smaller_may_fit);
    assert_eq!(meter.tally().refused_calls, 2);
}

#[test]
fn what_nobody_knows_of_counts_against_the_cap() {
    let meter = meter(Caps { tokens: None, micros: Some(4_000) });
    let call = planned(HAIKU, 8, 10_000);
    for _ in 0..2 {
        let hold = granted(&meter, call);
        end(&meter, hold, call, Ending::Unknown);
    }
    let told = refused(&meter, call);
    assert_eq!(
        told.detail,
        "--max-cost $0.004000 leaves no room: $0.003764 may be used already, and a request can take up to $0.001882"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Calls at once, each of which takes anything up to its bound.
    #[test]
    fn no_number_of_calls_at_once_exceeds_a_cap(
        cap in 5_000u64..80_000,
        calls in prop::collection::vec((0usize..12_000, 0u64..=100, 0u8..10), 1..60),
    ) {
        let meter = Arc::new(meter(Caps { tokens: Some(cap), micros: None }));
        let charged = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for (bytes, percent, fate) in calls {
                let (meter, charged) = (meter.clone(), charged.clone());
                tasks.push(tokio::spawn(async move {
                    let call = planned(HAIKU, 1, bytes);
                    let Ok(hold) = meter.reserve(call).await else { return };
                    tokio::task::yield_now().await;
                    let took = meter.most(&call).tokens * percent / 100;
                    let ending = match fate {
                        0 => Ending::Free,
                        // The provider did the work and nobody heard of it.
                        1 => {
                            charged.fetch_add(took, Ordering::SeqCst);
                            Ending::Unknown
                        }
                        _ => {
                            charged.fetch_add(took, Ordering::SeqCst);
                            Ending::Charged(Usage { input: took, ..Usage::default() })
                        }
                    };
                    meter.settle(hold, call, ending).await;
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
        let tally = meter.tally();
        prop_assert!(charged.load(Ordering::SeqCst) <= cap);
        prop_assert!(tally.tokens() <= cap, "{tally:?}");
        prop_assert_eq!((tally.open_calls, tally.open_tokens, tally.open_micros), (0, 0, 0));
    }
}
