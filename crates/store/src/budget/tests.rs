use chrono_tz::Tz;
use undertone_core::usage::calendar::{day_of, month_of};

use super::*;

fn at() -> DateTime<Utc> {
    "2026-11-20T22:30:00Z".parse().unwrap()
}

fn amount(tokens: u64, micros: u64) -> Amount {
    Amount { tokens, micros }
}

/// A day of which 500 tokens are spent, 100 lost and 200 held, in a month of ten such days.
fn budget() -> Budget {
    let day = day_of(Tz::UTC, at());
    Budget {
        day: Counter::new(day, amount(200, 20), amount(100, 10), amount(500, 50)),
        month: Counter::new(month_of(day), amount(2_000, 200), amount(1_000, 100), amount(5_000, 500)),
    }
}

fn refused(caps: Caps, wanted: Amount) -> Option<(Limit, Frees)> {
    caps.refusal(&budget(), wanted, Tz::UTC, at()).map(|refusal| (refusal.limit, refusal.frees))
}

#[test]
fn a_refusal_names_the_cap_that_lasts_longest() {
    let (tomorrow, december) =
        ("2026-11-21T00:00:00Z".parse().unwrap(), "2026-12-01T00:00:00Z".parse().unwrap());
    let caps = |day_tokens, month_tokens, month_micros| Caps {
        day_tokens,
        month_tokens,
        month_micros,
        ..Caps::default()
    };
    let wanted = amount(100, 10);
    assert_eq!(refused(caps(0, 0, 0), wanted), None);
    assert_eq!(refused(caps(900, 8_100, 810), wanted), None, "it fits to the last token");
    assert_eq!(refused(caps(899, 0, 0), wanted), Some((Limit::DayTokens, Frees::WhenCallsSettle)));
    assert_eq!(refused(caps(700, 0, 0), wanted), Some((Limit::DayTokens, Frees::WhenCallsSettle)));
    assert_eq!(refused(caps(699, 0, 0), wanted), Some((Limit::DayTokens, Frees::At(tomorrow))));
    assert_eq!(refused(caps(99, 0, 0), wanted), Some((Limit::DayTokens, Frees::WithHigherCap)));
    assert_eq!(refused(caps(0, 6_099, 0), wanted), Some((Limit::MonthTokens, Frees::At(december))));
    assert_eq!(refused(caps(0, 0, 609), wanted), Some((Limit::MonthCost, Frees::At(december))));
    assert_eq!(refused(caps(699, 8_099, 0), wanted), Some((Limit::DayTokens, Frees::At(tomorrow))));
    assert_eq!(refused(caps(699, 6_099, 0), wanted), Some((Limit::MonthTokens, Frees::At(december))));
    assert_eq!(refused(caps(99, 6_099, 0), wanted), Some((Limit::DayTokens, Frees::WithHigherCap)));
    assert_eq!(refused(caps(0, 0, 9), wanted), Some((Limit::MonthCost, Frees::WithHigherCap)));
    assert_eq!(refused(caps(0, 0, 609), amount(100, 0)), None, "what has no price costs nothing");
    assert!(caps(100, 100, 10).ever_admit(wanted) && caps(0, 0, 0).ever_admit(wanted));
    assert!(
        !caps(99, 0, 0).ever_admit(wanted)
            && !caps(0, 99, 0).ever_admit(wanted)
            && !caps(0, 0, 9).ever_admit(wanted)
    );
}

#[test]
fn a_person_reads_why_and_until_when() {
    let told = |caps: Caps, wanted| caps.refusal(&budget(), wanted, Tz::Europe__Berlin, at()).unwrap();
    let day = told(Caps { day_tokens: 699, ..Caps::default() }, amount(100, 10));
    assert_eq!(
        day.to_string(),
        "the daily token cap of 699 tokens is reached: 600 tokens used, and the request can take up to 100 tokens; free again at \
         2026-11-20T23:00:00Z"
    );
    assert_eq!(day.reason(), DeferReason::DailyTokenCap);
    let month = told(Caps { month_micros: 609, ..Caps::default() }, amount(100, 10));
    assert_eq!(
        month.to_string(),
        "the monthly AI budget of $0.000609 is reached: $0.000600 used, and the request can take up to $0.000010; free again at \
         2026-11-30T23:00:00Z"
    );
    assert_eq!(month.reason(), DeferReason::MonthlyBudget);
    let held = told(Caps { month_tokens: 8_000, ..Caps::default() }, amount(100, 10));
    assert_eq!(
        held.to_string(),
        "the monthly token budget of 8000 tokens is held: 6000 tokens used, up to 2000 tokens by calls under way, and the request can \
         take up to 100 tokens; free again when they are settled"
    );
    let never = told(Caps { day_tokens: 50, ..Caps::default() }, amount(100, 10));
    assert_eq!(
        never.to_string(),
        "the request can take up to 100 tokens, more than the whole daily token cap of 50 tokens"
    );
}
