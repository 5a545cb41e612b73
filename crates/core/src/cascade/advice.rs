//! Which threshold fits a budget of tokens: how sure the embedded model was of a tenant's own texts, times what a verdict of the LLM takes.
//!
//! All of it is expectation from what was: a day with more texts than most takes more, and how many are asked about together changes what
//! each takes. The cap in the settings is what holds; this only says where to put the threshold so that it is seldom needed.

use serde::Serialize;

/// Fewer readings than this say little about the share of unsure ones.
pub const FEW: u64 = 200;
/// Days that are looked back on at most.
pub const DAYS: u32 = 28;

/// How sure the embedded model was, over some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    /// Days they were made on, those without any included; at least 1.
    pub days: u32,
    /// Those of the day with most.
    pub busiest_day: u64,
    /// The LLM is asked about these at any threshold: the language, the segment, or the model contradicts itself.
    pub regardless: u64,
    /// The others by their confidence, 0..=100.
    pub by_confidence: [u64; 101],
}

impl Default for Readings {
    fn default() -> Self {
        Self { days: 1, busiest_day: 0, regardless: 0, by_confidence: [0; 101] }
    }
}

impl Readings {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_confidence.iter().fold(self.regardless, |sum, count| sum.saturating_add(*count))
    }

    /// Those the LLM is asked about at `threshold`.
    #[must_use]
    pub fn asked(&self, threshold: u8) -> u64 {
        let under = self.by_confidence.iter().take(threshold.into());
        under.fold(self.regardless, |sum, count| sum.saturating_add(*count))
    }
}

/// What verdicts of the LLM take: all tokens that a cap counts, read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Tokens.
    pub tokens: u64,
    /// For so many verdicts; 0 counts as 1.
    pub verdicts: u64,
}

impl Taken {
    /// Of one verdict, rounded up.
    #[must_use]
    pub fn each(self) -> u64 {
        self.tokens.div_ceil(self.verdicts.max(1))
    }
}

/// What to expect at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// The LLM is asked where the embedded model's confidence is under this.
    pub threshold: u8,
    /// The part of all texts it is asked about, 0..=1.
    pub asked_share: f64,
    /// Tokens of a day, rounded up.
    pub tokens_per_day: u64,
    /// Tokens of the day with most texts, were the share the same on it, rounded up.
    pub tokens_on_busiest_day: u64,
    /// A day's tokens are within the budget, in expectation.
    pub fits: bool,
}

/// Why there is no threshold to advise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAdvice {
    /// Nothing was read lately.
    NoReadings,
    /// What is asked about at any threshold takes more than the budget.
    BudgetTooSmall,
}

/// A threshold for a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// The highest threshold whose tokens are within the budget.
    pub advised: Option<Step>,
    /// Why there is none.
    pub none_because: Option<NoAdvice>,
    /// What to expect at 0, 10, … 100.
    pub steps: Vec<Step>,
}

/// The highest threshold whose expected tokens of a day are at most `daily_tokens`.
///
/// ```
/// use undertone_core::cascade::advice::{Readings, Taken, advise};
/// let mut readings = Readings { days: 10, ..Readings::default() };
/// readings.by_confidence[40] = 100;
/// readings.by_confidence[90] = 900;
/// // Ten texts a day are under 41, at 300 tokens each.
/// let taken = Taken { tokens: 3_000, verdicts: 10 };
/// assert_eq!(advise(&readings, taken, 3_000).advised.map(|step| step.threshold), Some(90));
/// assert_eq!(advise(&readings, taken, 2_999).advised.map(|step| step.threshold), Some(40));
/// ```
#[must_use]
pub fn advise(readings: &Readings, taken: Taken, daily_tokens: u64) -> Advice {
    let step = |threshold| Step::of(readings, taken, daily_tokens, threshold);
    let advised = (0..=100).rev().map(step).find(|step| step.fits).filter(|_| readings.total() > 0);
    let none_because = match advised {
        Some(_) => None,
        None if readings.total() == 0 => Some(NoAdvice::NoReadings),
        None => Some(NoAdvice::BudgetTooSmall),
    };
    Advice { advised, none_because, steps: (0..=100).step_by(10).map(step).collect() }
}

impl Step {
    fn of(readings: &Readings, taken: Taken, daily_tokens: u64, threshold: u8) -> Self {
        let (asked, total) = (readings.asked(threshold), readings.total());
        let (days, verdicts) = (u128::from(readings.days.max(1)), u128::from(taken.verdicts.max(1)));
        // Compared as whole numbers, so that nothing is lost to rounding.
        let tokens = u128::from(asked) * u128::from(taken.tokens);
        let divisor = days * verdicts;
        let fit = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            threshold,
            asked_share: if total == 0 { 0.0 } else { asked as f64 / total as f64 },
            tokens_per_day: fit(tokens.div_ceil(divisor)),
            tokens_on_busiest_day: fit((tokens / u128::from(total.max(1)))
                .saturating_mul(u128::from(readings.busiest_day))
                .div_ceil(verdicts)),
            fits: tokens <= u128::from(daily_tokens).saturating_mul(divisor),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn readings() -> impl Strategy<Value = Readings> {
        let counts = prop::collection::vec(0u64..5_000, 101);
        (1u32..=DAYS, 0u64..10_000, counts).prop_map(|(days, regardless, counts)| {
            let mut readings = Readings { days, regardless, ..Readings::default() };
            readings.by_confidence.copy_from_slice(&counts);
            readings.busiest_day = readings.total().div_ceil(days.into());
            readings
        })
    }

    fn taken() -> impl Strategy<Value = Taken> {
        (1u64..1_000_000, 1u64..5_000).prop_map(|(tokens, verdicts)| Taken { tokens, verdicts })
    }

    #[test]
    fn a_threshold_asks_about_what_is_under_it() {
        let mut readings = Readings { regardless: 5, ..Readings::default() };
        readings.by_confidence[0] = 1;
        readings.by_confidence[70] = 10;
        readings.by_confidence[100] = 100;
        assert_eq!([0, 1, 70, 71, 100].map(|t| readings.asked(t)), [5, 6, 6, 16, 16]);
        assert_eq!(readings.total(), 116);
    }

    #[test]
    fn without_readings_or_room_there_is_a_reason() {
        let taken = Taken { tokens: 300, verdicts: 1 };
        let nothing = advise(&Readings::default(), taken, 1_000_000);
        assert_eq!((nothing.advised, nothing.none_because), (None, Some(NoAdvice::NoReadings)));
        assert!(nothing.steps.iter().all(|step| step.tokens_per_day == 0 && step.asked_share == 0.0));
        let readings = Readings { regardless: 10, ..Readings::default() };
        let too_small = advise(&readings, taken, 2_999);
        assert_eq!((too_small.advised, too_small.none_because), (None, Some(NoAdvice::BudgetTooSmall)));
        assert_eq!(advise(&readings, taken, 3_000).advised.map(|step| step.threshold), Some(100));
    }

    #[test]
    fn absurd_numbers_do_not_wrap() {
        let readings = Readings {
            days: u32::MAX,
            busiest_day: u64::MAX,
            regardless: u64::MAX,
            by_confidence: [u64::MAX; 101],
        };
        let all = advise(&readings, Taken { tokens: u64::MAX, verdicts: 0 }, u64::MAX);
        assert_eq!(all.none_because, Some(NoAdvice::BudgetTooSmall));
        assert!(all.steps.iter().all(|step| step.tokens_on_busiest_day == u64::MAX && !step.fits));
        assert_eq!(Taken { tokens: 7, verdicts: 0 }.each(), 7);
    }

    proptest! {
        #[test]
        fn what_is_advised_stays_in_the_budget_and_the_next_does_not(
            readings in readings(), taken in taken(), daily in 1u64..10_000_000_000,
        ) {
            let advice = advise(&readings, taken, daily);
            let expected = |threshold| {
                readings.asked(threshold) as f64 * taken.tokens as f64
                    / taken.verdicts as f64 / f64::from(readings.days)
            };
            if let Some(step) = advice.advised {
                prop_assert!(expected(step.threshold) <= daily as f64 * (1.0 + 1e-12));
                prop_assert!(step.tokens_per_day <= daily);
                if step.threshold < 100 {
                    prop_assert!(expected(step.threshold + 1) >= daily as f64 * (1.0 - 1e-12));
                }
            } else if readings.total() > 0 {
                prop_assert!(expected(0) > daily as f64 * (1.0 - 1e-12));
            }
        }

        #[test]
        fn more_budget_never_lowers_the_threshold(
            readings in readings(), taken in taken(), daily in 1u64..1_000_000_000, more in 0u64..1_000_000_000,
        ) {
            let threshold = |budget| advise(&readings, taken, budget).advised.map(|step| step.threshold);
            prop_assert!(threshold(daily) <= threshold(daily + more));
        }

        #[test]
        fn a_higher_threshold_never_asks_about_less(readings in readings(), taken in taken(), daily in 1u64..1_000_000) {
            let steps = advise(&readings, taken, daily).steps;
            prop_assert_eq!(steps.iter().map(|s| s.threshold).collect::<Vec<_>>(), (0..=100).step_by(10).collect::<Vec<u8>>());
            for pair in steps.windows(2) {
                prop_assert!(pair[0].asked_share <= pair[1].asked_share && pair[1].asked_share <= 1.0);
                prop_assert!(pair[0].tokens_per_day <= pair[1].tokens_per_day);
                prop_assert!(pair[0].tokens_on_busiest_day <= pair[1].tokens_on_busiest_day);
                prop_assert!(pair[0].fits || !pair[1].fits);
            }
        }
    }
}
