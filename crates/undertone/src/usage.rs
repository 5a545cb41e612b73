//! LLM use and its budget as they are told, by the API and on the command line alike.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use undertone_core::cascade;
use undertone_core::usage::calendar::{day_ends, month_ends};
use undertone_core::usage::sums::{Group, Sums};
use undertone_store::Tenant;
use undertone_store::budget::{Amount, Budget, Caps, Counter, UsageReport};
use undertone_store::modules::Period;

/// Days of a report at most: ten years.
pub const MOST_DAYS: i64 = 3_660;

/// The tenant's days a report is about, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
}

impl Days {
    /// The days given. Left out, the last one is today, and the first one begins the month of the last.
    ///
    /// # Errors
    /// With the name of what can not be used and what it may be.
    pub fn read(from: Option<&str>, to: Option<&str>, today: NaiveDate) -> Result<Self, String> {
        let to = to.map_or(Ok(today), |text| day("to", text))?;
        let from = from.map_or(Ok(to.with_day(1).unwrap_or(to)), |text| day("from", text))?;
        if from > to {
            return Err(format!("from is {from} and to is {to}; from must not be later"));
        }
        if (to - from).num_days() >= MOST_DAYS {
            return Err(format!("from {from} to {to} are more than {MOST_DAYS} days; ask for fewer"));
        }
        Ok(Self { from, to })
    }
}

/// A day as people write it.
///
/// # Errors
/// With `name` and what it must be.
pub fn day(name: &str, text: &str) -> Result<NaiveDate, String> {
    let read = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    // Years that sort as text and that every database knows.
    read.filter(|day| (1970..=9999).contains(&day.year())).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        format!("{name} is “{shown}”; it must be a day such as 2026-11-20")
    })
}

/// What LLM calls of some days took.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The first of the tenant's days.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
    /// Where these days begin.
    pub zone: &'static str,
    /// The same zone, to tell times by.
    #[serde(skip)]
    pub clock: Tz,
    /// By what it is broken down.
    pub group: Group,
    /// What cost is told in.
    pub currency: &'static str,
    /// The parts in the order of their keys; a day without use has none.
    pub lines: Vec<Line>,
    /// All of them together.
    pub total: Figures,
    /// What the cascade saved; `None` where it gave no verdict in these days.
    pub cascade: Option<Spared>,
    /// When the module was paid for in this time, the latest first.
    pub subscription: Vec<Period>,
}

/// A part of a report.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The day, month, feature, model or scorer.
    pub key: String,
    /// What it took.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What calls took. Money is in millionths of a US dollar, and once more as decimal text that loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Calls whose use the provider reported.
    pub calls: u64,
    /// Texts in them.
    pub texts: u64,
    /// Tokens of all kinds together: what a cap counts.
    pub tokens: u64,
    /// Of them read, and neither taken from a cache nor put into one.
    pub input_tokens: u64,
    /// Read from a cache.
    pub cache_read_tokens: u64,
    /// Read and put into a cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Read and put into a cache for an hour.
    pub cache_write_1h_tokens: u64,
    /// Written, thinking included.
    pub output_tokens: u64,
    /// What they cost, as far as there is a price.
    pub cost_micros: u64,
    /// The same in dollars.
    pub cost_usd: String,
    /// Of the calls, those whose model has no price.
    pub unpriced_calls: u64,
    /// Charged beyond what was reserved for the call.
    pub overrun_tokens: u64,
    /// The same in money.
    pub overrun_micros: u64,
    /// Calls that were begun and of which nothing was heard again; not among `calls`.
    pub lost_calls: u64,
    /// The most tokens they can have taken; the budget counts them as used.
    pub lost_tokens: u64,
    /// The most they can have cost.
    pub lost_micros: u64,
    /// What was not paid because of how calls were made.
    pub saved: Saved,
}

/// Against the same texts sent alone, at once and without a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// By reading from a cache; negative where more was paid for writing than was saved by reading.
    pub cache_micros: i64,
    /// By several texts in one request: tokens of prompt not sent again for each.
    pub packing_tokens: u64,
    /// What those would have cost at the least.
    pub packing_micros: u64,
    /// By the price of batches.
    pub batch_micros: u64,
    /// All together.
    pub total_micros: i64,
    /// The same in dollars.
    pub total_usd: String,
}

/// An estimate of what was not spent because the embedded model's verdict was enough: texts the LLM was not asked about, times the mean of
/// those it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spared {
    /// What was not spent.
    #[serde(flatten)]
    pub sums: cascade::sums::Spared,
    /// The money in dollars.
    pub cost_usd: Option<String>,
}

impl From<cascade::sums::Spared> for Spared {
    fn from(sums: cascade::sums::Spared) -> Self {
        Self { sums, cost_usd: sums.cost_micros.map(|micros| usd(signed(micros))) }
    }
}

impl From<&Sums> for Figures {
    fn from(sums: &Sums) -> Self {
        let usage = sums.usage;
        Self {
            calls: sums.calls,
            texts: sums.texts,
            tokens: usage.total(),
            input_tokens: usage.input,
            cache_read_tokens: usage.cache_read,
            cache_write_5m_tokens: usage.cache_write_5m,
            cache_write_1h_tokens: usage.cache_write_1h,
            output_tokens: usage.output,
            cost_micros: sums.cost_micros,
            cost_usd: usd(signed(sums.cost_micros)),
            unpriced_calls: sums.unpriced_calls,
            overrun_tokens: sums.overrun_tokens,
            overrun_micros: sums.overrun_micros,
            lost_calls: sums.lost_calls,
            lost_tokens: sums.lost_tokens,
            lost_micros: sums.lost_micros,
            saved: (&sums.saved).into(),
        }
    }
}

impl From<&undertone_core::usage::sums::Saved> for Saved {
    fn from(saved: &undertone_core::usage::sums::Saved) -> Self {
        let rest = signed(saved.packing_micros).saturating_add(signed(saved.batch_micros));
        let total = saved.cache_micros.saturating_add(rest);
        Self {
            cache_micros: saved.cache_micros,
            packing_tokens: saved.packing_tokens,
            packing_micros: saved.packing_micros,
            batch_micros: saved.batch_micros,
            total_micros: total,
            total_usd: usd(total),
        }
    }
}

impl Report {
    /// A report of the tenant's as it is told.
    pub fn of(tenant: &Tenant, report: UsageReport, cascade: cascade::sums::Sums) -> Self {
        let line = |line: undertone_store::budget::Line| Line { figures: (&line.sums).into(), key: line.key };
        Self {
            from: report.from,
            to: report.to,
            zone: tenant.zone.name(),
            clock: tenant.zone,
            group: report.group,
            currency: "USD",
            lines: report.lines.into_iter().map(line).collect(),
            total: (&report.total).into(),
            cascade: cascade.spared().map(Into::into),
            subscription: report.subscription,
        }
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Millionths of a dollar as dollars with six decimals: "-0.000200".
pub fn usd(micros: i64) -> String {
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// What of a tenant's budget is used and left.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Where its days begin.
    pub zone: &'static str,
    /// When this was so.
    pub at: DateTime<Utc>,
    /// The day of that moment.
    pub day: Part,
    /// Its month.
    pub month: Part,
}

/// A day or month.
#[derive(Debug, Serialize)]
pub struct Part {
    /// The tenant's day; of a month the first.
    pub begins: NaiveDate,
    /// When it ends and the next one begins with nothing used, by the clocks of the tenant's zone.
    pub ends_at: DateTime<FixedOffset>,
    /// Tokens of all kinds together.
    pub tokens: Measure,
    /// Millionths of a US dollar.
    pub cost_micros: Measure,
}

/// What is used of a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// The cap; `None`: unlimited.
    pub cap: Option<u64>,
    /// What is used up: what providers reported, and lost calls at their most.
    pub used: u64,
    /// Of that, the most that lost calls can have taken.
    pub lost: u64,
    /// The most that calls under way can take.
    pub held: u64,
    /// What no call has used or holds.
    pub left: Option<u64>,
    /// How much of the cap is used, in whole percent, rounded down.
    pub percent: Option<u64>,
}

impl Measure {
    fn of(cap: u64, counter: &Counter, part: fn(Amount) -> u64) -> Self {
        let (used, lost, held) = (part(counter.used()), part(counter.assumed), part(counter.held));
        let cap = Some(cap).filter(|cap| *cap > 0);
        let percent = |cap: u64| u64::try_from(u128::from(used) * 100 / u128::from(cap)).unwrap_or(u64::MAX);
        let left = |cap: u64| cap.saturating_sub(used).saturating_sub(held);
        Self { cap, used, lost, held, left: cap.map(left), percent: cap.map(percent) }
    }
}

impl Standing {
    /// The tenant's budget at a moment, against the caps in force.
    pub fn of(tenant: &Tenant, caps: &Caps, budget: &Budget, at: DateTime<Utc>) -> Self {
        let part = |counter: &Counter, ends: DateTime<Utc>, tokens: u64, micros: u64| Part {
            begins: counter.begins,
            ends_at: ends.with_timezone(&tenant.zone).fixed_offset(),
            tokens: Measure::of(tokens, counter, |amount| amount.tokens),
            cost_micros: Measure::of(micros, counter, |amount| amount.micros),
        };
        Self {
            zone: tenant.zone.name(),
            at,
            // Money has a cap by the month only.
            day: part(&budget.day, day_ends(tenant.zone, at), caps.day_tokens, 0),
            month: part(&budget.month, month_ends(tenant.zone, at), caps.month_tokens, caps.month_micros),
        }
    }
}

#[cfg(test)]
mod adds_up;

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn days_left_out_are_those_of_the_month_until_today() {
        let today = date("2026-11-20");
        let read =
            |from, to| Days::read(from, to, today).map(|days| (days.from.to_string(), days.to.to_string()));
        let days = |from: &str, to: &str| Ok((from.to_owned(), to.to_owned()));
        assert_eq!(read(None, None), days("2026-11-01", "2026-11-20"));
        assert_eq!(read(Some("2026-10-15"), None), days("2026-10-15", "2026-11-20"));
        assert_eq!(read(None, Some("2026-02-14")), days("2026-02-01", "2026-02-14"));
        assert_eq!(read(Some("2026-02-14"), Some("2026-02-14")), days("2026-02-14", "2026-02-14"));
    }

    #[test]
    fn days_that_can_not_be_used_are_told_by_name() {
        let told = |from, to| Days::read(from, to, date("2026-11-20")).unwrap_err();
        for wrong in [
            "",
            "20.11.2026",
            "2026-13-01",
            "2026-02-29",
            "today",
            "1969-12-31",
            "+12026-01-01",
            "-2026-01-01",
        ] {
            assert_eq!(
                told(Some(wrong), None),
                format!("from is “{wrong}”; it must be a day such as 2026-11-20")
            );
        }
        assert!(told(None, Some("soon")).starts_with("to is “soon”"));
        assert_eq!(
            told(Some("2026-11-21"), None),
            "from is 2026-11-21 and to is 2026-11-20; from must not be later"
        );
        assert!(told(Some("2016-01-01"), Some("2026-01-09")).contains("more than 3660 days"));
        assert!(Days::read(Some("2016-01-01"), Some("2026-01-07"), date("2026-11-20")).is_ok());
    }

    #[test]
    fn money_as_text_loses_nothing() {
        for (micros, told) in
            [(0, "0.000000"), (1, "0.000001"), (-200, "-0.000200"), (41_234_567, "41.234567")]
        {
            assert_eq!(usd(micros), told);
        }
        assert_eq!(usd(i64::MIN), "-9223372036854.775808");
    }

    #[test]
    fn percent_is_of_what_is_used_and_what_is_held_is_not_left() {
        let amount = |tokens| Amount { tokens, micros: 0 };
        let counter = Counter::new(date("2026-11-20"), amount(200), amount(100), amount(549));
        let of = |cap| Measure::of(cap, &counter, |amount| amount.tokens);
        let some = |cap, left, percent| Measure {
            cap: Some(cap),
            used: 649,
            lost: 100,
            held: 200,
            left: Some(left),
            percent: Some(percent),
        };
        assert_eq!(of(1_000), some(1_000, 151, 64));
        assert_eq!(of(800), some(800, 0, 81), "a cap that was lowered under what calls under way hold");
        assert_eq!(of(100), some(100, 0, 649));
        assert_eq!(of(0), Measure { cap: None, left: None, percent: None, ..some(0, 0, 0) });
    }
}
