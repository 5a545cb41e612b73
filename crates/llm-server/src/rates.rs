//! Rate limits: token buckets by the script's clock, and the headers that tell their level.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::ledger::Dialect;
use crate::script::Limits;
use crate::{Problem, fields::Checked};

/// What rounding may leave over when a bucket is full again to the second.
const EXACT: f64 = 1e-6;

/// A minute's worth of something, refilled evenly. It may go below zero: what was written is only known afterwards.
struct Bucket {
    capacity: f64,
    level: f64,
    at: DateTime<Utc>,
}

impl Bucket {
    fn full(per_minute: u32, at: DateTime<Utc>) -> Self {
        Self { capacity: f64::from(per_minute), level: f64::from(per_minute), at }
    }

    fn refill(&mut self, now: DateTime<Utc>) {
        let elapsed = (now - self.at).max(TimeDelta::zero());
        let seconds = elapsed.as_seconds_f64();
        self.level = (self.level + seconds * self.capacity / 60.0).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// How long until there is as much as `needed`, or until it is full where more is needed than it holds.
    fn wait(&self, needed: f64) -> Duration {
        // A limit of nothing is never full enough.
        let most = if self.capacity > 0.0 { needed.min(self.capacity) } else { needed };
        let missing = most - self.level;
        if missing <= EXACT {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing * 60.0 / self.capacity).unwrap_or(Duration::from_hours(24))
    }
}

/// The limits of one key.
pub(crate) struct Rates {
    requests: Bucket,
    input: Bucket,
    output: Bucket,
    counts: Bucket,
}

impl Rates {
    pub(crate) fn full(limits: &Limits, now: DateTime<Utc>) -> Self {
        Self {
            requests: Bucket::full(limits.requests_per_minute, now),
            input: Bucket::full(limits.input_tokens_per_minute, now),
            output: Bucket::full(limits.output_tokens_per_minute, now),
            counts: Bucket::full(limits.count_requests_per_minute, now),
        }
    }

    fn refill(&mut self, now: DateTime<Utc>) {
        for bucket in [&mut self.requests, &mut self.input, &mut self.output, &mut self.counts] {
            bucket.refill(now);
        }
    }

    /// Lets a request with so many uncached tokens in, or says when to come again. Output only has to be there at all: how much it will
    /// be is not known yet.
    pub(crate) fn admit(&mut self, input: u64, now: DateTime<Utc>) -> Checked<()> {
        self.refill(now);
        let waits = [self.requests.wait(1.0), self.input.wait(input as f64), self.output.wait(1.0)];
        let wait = waits.into_iter().max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(Problem::rate_limited(wait));
        }
        self.requests.level -= 1.0;
        self.input.level -= input as f64;
        Ok(())
    }

    /// The same for a call that counts tokens.
    pub(crate) fn admit_count(&mut self, now: DateTime<Utc>) -> Checked<()> {
        self.refill(now);
        let wait = self.counts.wait(1.0);
        if !wait.is_zero() {
            return Err(Problem::rate_limited(wait));
        }
        self.counts.level -= 1.0;
        Ok(())
    }

    /// Takes what was written.
    pub(crate) fn wrote(&mut self, output: u64, now: DateTime<Utc>) {
        self.refill(now);
        self.output.level -= output as f64;
    }

    /// The headers that tell all this in the manner of `dialect`.
    pub(crate) fn headers(&mut self, dialect: Dialect, now: DateTime<Utc>) -> Vec<(String, String)> {
        self.refill(now);
        let tokens = Bucket {
            capacity: self.input.capacity + self.output.capacity,
            level: self.input.level + self.output.level,
            at: now,
        };
        let all: &[(&str, &Bucket)] = match dialect {
            Dialect::Messages => &[
                ("requests", &self.requests),
                ("tokens", &tokens),
                ("input-tokens", &self.input),
                ("output-tokens", &self.output),
            ],
            Dialect::ChatCompletions => &[("requests", &self.requests), ("tokens", &tokens)],
        };
        let mut headers = Vec::with_capacity(all.len() * 3);
        for (name, bucket) in all {
            let left = bucket.level.max(0.0);
            let refilled = bucket.wait(bucket.capacity);
            let (of, left, reset) = match dialect {
                Dialect::Messages => {
                    let left = if *name == "requests" {
                        (left + EXACT).floor()
                    } else {
                        (left / 1_000.0).round() * 1_000.0
                    };
                    (format!("anthropic-ratelimit-{name}-"), left, moment(now, refilled))
                }
                Dialect::ChatCompletions => {
                    ("x-ratelimit-".to_owned(), (left + EXACT).floor(), format!("{}ms", refilled.as_millis()))
                }
            };
            let full_name = |what: &str| match dialect {
                Dialect::Messages => format!("{of}{what}"),
                Dialect::ChatCompletions => format!("{of}{what}-{name}"),
            };
            headers.push((full_name("limit"), format!("{:.0}", bucket.capacity)));
            headers.push((full_name("remaining"), format!("{left:.0}")));
            headers.push((full_name("reset"), reset));
        }
        headers
    }
}

/// The second in which a wait is over, RFC 3339.
fn moment(now: DateTime<Utc>, wait: Duration) -> String {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(24));
    let over = now + wait;
    let part = TimeDelta::nanoseconds(i64::from(over.timestamp_subsec_nanos()));
    let whole = if part.is_zero() { over } else { over - part + TimeDelta::seconds(1) };
    whole.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis)
    }

    fn limits() -> Limits {
        Limits {
            requests_per_minute: 60,
            input_tokens_per_minute: 6_000,
            output_tokens_per_minute: 600,
            count_requests_per_minute: 2,
            ..Limits::default()
        }
    }

    fn after(outcome: Checked<()>) -> Option<String> {
        outcome.err().map(|problem| problem.headers[0].1.clone())
    }

    #[test]
    fn a_bucket_empties_and_refills_evenly() {
        let mut rates = Rates::full(&limits(), at(0));
        for _ in 0..60 {
            assert_eq!(after(rates.admit(0, at(0))), None);
        }
        assert_eq!(after(rates.admit(0, at(0))), Some("1".into()));
        assert_eq!(after(rates.admit(0, at(999))), Some("1".into()));
        assert_eq!(after(rates.admit(0, at(1_000))), None);
        assert_eq!(after(rates.admit(0, at(1_000))), Some("1".into()));
    }

    #[test]
    fn tokens_in_and_out_have_buckets_of_their_own() {
        let mut rates = Rates::full(&limits(), at(0));
        assert_eq!(after(rates.admit(5_000, at(0))), None);
        assert_eq!(after(rates.admit(2_000, at(0))), Some("10".into()), "1,000 at 100 a second");
        assert_eq!(after(rates.admit(2_000, at(10_000))), None);
        // More than a minute's worth passes when the bucket is full, rather than never.
        assert_eq!(after(rates.admit(60_000, at(70_000))), None);
        assert_eq!(after(rates.admit(1, at(70_000))), Some("541".into()));

        let mut rates = Rates::full(&limits(), at(0));
        rates.wrote(630, at(0));
        assert_eq!(after(rates.admit(1, at(0))), Some("4".into()), "30 too many and 1, at 10 a second");
        assert_eq!(after(rates.admit(1, at(3_100))), None);
    }

    #[test]
    fn counting_tokens_has_its_own_limit_and_none_lets_nothing_in() {
        let mut rates = Rates::full(&limits(), at(0));
        assert_eq!(after(rates.admit_count(at(0))), None);
        assert_eq!(after(rates.admit_count(at(0))), None);
        assert_eq!(after(rates.admit_count(at(0))), Some("30".into()));
        assert_eq!(after(rates.admit(1, at(0))), None);
        let mut none = Rates::full(&Limits { requests_per_minute: 0, ..limits() }, at(0));
        assert_eq!(after(none.admit(0, at(0))), Some("86400".into()));
    }

    #[test]
    fn headers_tell_limit_remaining_and_reset() {
        let mut rates = Rates::full(&limits(), at(0));
        assert_eq!(after(rates.admit(2_600, at(0))), None);
        rates.wrote(61, at(0));
        let told = rates.headers(Dialect::Messages, at(0));
        let of = |name: &str| {
            told.iter().find(|(n, _)| n == name).map_or_else(|| panic!("{name}"), |(_, value)| value.as_str())
        };
        assert_eq!(told.len(), 12);
        assert_eq!(of("anthropic-ratelimit-requests-limit"), "60");
        assert_eq!(of("anthropic-ratelimit-requests-remaining"), "59");
        assert_eq!(of("anthropic-ratelimit-requests-reset"), "1970-01-01T00:00:01Z");
        assert_eq!(of("anthropic-ratelimit-input-tokens-remaining"), "3000", "rounded to thousands");
        assert_eq!(of("anthropic-ratelimit-input-tokens-reset"), "1970-01-01T00:00:26Z");
        assert_eq!(of("anthropic-ratelimit-output-tokens-remaining"), "1000");
        assert_eq!(
            of("anthropic-ratelimit-output-tokens-reset"),
            "1970-01-01T00:00:07Z",
            "6.1 s, rounded up"
        );
        assert_eq!(of("anthropic-ratelimit-tokens-limit"), "6600");
        let chat = rates.headers(Dialect::ChatCompletions, at(500));
        assert_eq!(chat[0], ("x-ratelimit-limit-requests".into(), "60".into()));
        assert_eq!(chat[2], ("x-ratelimit-reset-requests".into(), "500ms".into()));
        assert_eq!(chat.len(), 6);
    }
}
