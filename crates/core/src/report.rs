//! The audit of a batch: what a support lead wants to know after reading many verdicts at once.
//!
//! It is the spreadsheet exercise of the practitioner's lesson, done by the machine: count what there is, find the two categories
//! with the highest *proportion* of negative verdicts, pick out what is negative and urgent, and say what moved since last time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CategoryId, Label, SkipReason, Urgency, Verdict};

/// Fewer verdicts than this say nothing about a category.
pub const MIN_CATEGORY: usize = 5;

/// How many urgent messages an audit names; all are counted.
pub const MAX_URGENT: usize = 50;

/// A part of a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proportion {
    /// How many have it.
    pub part: usize,
    /// Of how many.
    pub whole: usize,
}

impl Proportion {
    /// 0..=1; 0 of nothing.
    #[must_use]
    pub fn value(self) -> f64 {
        if self.whole == 0 { 0.0 } else { self.part as f64 / self.whole as f64 }
    }

    /// Whole percent.
    #[must_use]
    pub fn percent(self) -> i64 {
        (self.value() * 100.0).round() as i64
    }
}

/// A message that is negative and urgent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UrgentItem {
    /// Where it stands in the batch, as the reader of the batch counts.
    pub place: String,
    /// Who wrote it, where known.
    pub customer: Option<String>,
    /// The verdict's score.
    pub score: i8,
    /// The verdict's category.
    pub category: CategoryId,
    /// The verdict's summary.
    pub summary: String,
}

/// The three figures that are compared between batches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Negative verdicts of all verdicts.
    pub negative: Proportion,
    /// Negative and urgent verdicts of all verdicts.
    pub urgent: Proportion,
    /// Negative verdicts by category.
    pub categories: BTreeMap<CategoryId, Proportion>,
}

impl Counts {
    /// Counts one verdict.
    pub fn add(&mut self, label: Label, urgency: Urgency, category: &CategoryId) {
        let negative = usize::from(label == Label::Negative);
        let urgent = usize::from(label == Label::Negative && urgency == Urgency::High);
        let own = self.categories.entry(category.clone()).or_default();
        for (proportion, part) in
            [(&mut self.negative, negative), (&mut self.urgent, urgent), (own, negative)]
        {
            proportion.part += part;
            proportion.whole += 1;
        }
    }

    /// The `most` categories with the highest proportion of negative verdicts, of those with at least `min` verdicts and one
    /// negative. Ties go to the category with more verdicts.
    #[must_use]
    pub fn worst_categories(&self, min: usize, most: usize) -> Vec<(CategoryId, Proportion)> {
        let mut categories: Vec<_> = self
            .categories
            .iter()
            .filter(|(_, p)| p.whole >= min && p.part > 0)
            .map(|(id, p)| (id.clone(), *p))
            .collect();
        categories
            .sort_by(|(_, a), (_, b)| b.value().total_cmp(&a.value()).then_with(|| b.whole.cmp(&a.whole)));
        categories.truncate(most);
        categories
    }
}

/// One figure that changed between two batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// What it is about; `None` is the whole batch.
    pub category: Option<CategoryId>,
    /// Negative verdicts in the earlier batch.
    pub before: Proportion,
    /// Negative verdicts in this one.
    pub now: Proportion,
    /// Larger than chance would explain nineteen times in twenty.
    pub beyond_chance: bool,
}

impl Move {
    /// Change in percentage points, of the percentages as they are shown.
    #[must_use]
    pub fn points(&self) -> i64 {
        self.now.percent() - self.before.percent()
    }
}

/// Chance of a difference at least as unlikely as this one if both come from the same source: Fisher's exact test, two-sided. It holds for
/// small numbers too, which is what batches of tickets are made of.
fn fisher(a: Proportion, b: Proportion) -> f64 {
    let (all, parts) = (a.whole + b.whole, a.part + b.part);
    let log_chance =
        |part: usize| ln_choose(a.whole, part) + ln_choose(b.whole, parts - part) - ln_choose(all, parts);
    let (fewest, most) = (parts.saturating_sub(b.whole), parts.min(a.whole));
    // A hair of tolerance, so that the mirror image of the observed table counts as equally unlikely.
    let observed = log_chance(a.part) + 1e-9;
    (fewest..=most).map(log_chance).filter(|l| *l <= observed).map(f64::exp).sum::<f64>().min(1.0)
}

/// Natural logarithm of the number of ways to choose `k` of `n`.
fn ln_choose(n: usize, k: usize) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Natural logarithm of `n!`: summed for small `n`, Stirling's series beyond, exact to 10 digits.
fn ln_factorial(n: usize) -> f64 {
    let x = n as f64;
    if n < 20 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
}

/// What moved from `before` to `now`: the whole first, then each category with at least `min` verdicts now and either as many before or
/// none at all, the largest change first. A change is beyond chance at the 5 % level shared among all that are compared (Bonferroni).
#[must_use]
pub fn moves(before: &Counts, now: &Counts, min: usize) -> Vec<Move> {
    let mut moves: Vec<Move> = now
        .categories
        .iter()
        .map(|(id, now)| {
            let before = before.categories.get(id).copied().unwrap_or_default();
            Move { category: Some(id.clone()), before, now: *now, beyond_chance: false }
        })
        .filter(|m| m.now.whole >= min && (m.before.whole >= min || m.before.whole == 0))
        .collect();
    moves.sort_by_key(|m| std::cmp::Reverse(m.points().abs()));
    moves
        .insert(0, Move { category: None, before: before.negative, now: now.negative, beyond_chance: false });
    let level = 0.05 / moves.len() as f64;
    for m in &mut moves {
        m.beyond_chance = m.before.whole > 0 && fisher(m.before, m.now) <= level;
    }
    moves
}

/// The audit of one batch, fed verdict by verdict. Its size does not grow with the batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Inputs seen: scored, unscored and failed.
    pub inputs: usize,
    /// Verdicts by label, in the order of [`Label::ALL`].
    pub labels: [usize; 4],
    /// Verdicts a person should look at.
    pub needs_review: usize,
    /// Unscored by reason.
    pub skipped: BTreeMap<SkipReason, usize>,
    /// Inputs that could not be read or scored, which is nobody's choice.
    pub failed: usize,
    /// What is compared between batches.
    pub counts: Counts,
    /// The lowest [`MAX_URGENT`] of what is negative and urgent, lowest score first.
    pub urgent: Vec<UrgentItem>,
}

impl Audit {
    /// Verdicts given.
    #[must_use]
    pub fn scored(&self) -> usize {
        self.labels.iter().sum()
    }

    /// Counts a verdict; `place` and `customer` say where it can be found again.
    pub fn add_verdict(&mut self, place: &str, customer: Option<&str>, verdict: &Verdict) {
        self.inputs += 1;
        for (count, label) in self.labels.iter_mut().zip(Label::ALL) {
            *count += usize::from(label == verdict.label);
        }
        self.needs_review += usize::from(verdict.needs_review());
        self.counts.add(verdict.label, verdict.urgency, &verdict.category);
        if verdict.label == Label::Negative && verdict.urgency == Urgency::High {
            let score = verdict.score.get();
            let at = self.urgent.partition_point(|item| item.score <= score);
            if at < MAX_URGENT {
                let item = UrgentItem {
                    place: place.to_owned(),
                    customer: customer.map(str::to_owned),
                    score,
                    category: verdict.category.clone(),
                    summary: verdict.summary.clone(),
                };
                self.urgent.insert(at, item);
                self.urgent.truncate(MAX_URGENT);
            }
        }
    }

    /// Counts an input that was left unscored.
    pub fn add_skipped(&mut self, reason: SkipReason) {
        self.inputs += 1;
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// Counts an input that failed.
    pub fn add_failed(&mut self) {
        self.inputs += 1;
        self.failed += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn category(id: &str) -> CategoryId {
        CategoryId::new(id).unwrap()
    }

    fn counts(rows: &[(&str, usize, usize)]) -> Counts {
        let mut counts = Counts::default();
        for (id, negative, whole) in rows {
            for i in 0..*whole {
                let label = if i < *negative { Label::Negative } else { Label::Neutral };
                counts.add(label, Urgency::Low, &category(id));
            }
        }
        counts
    }

    #[test]
    fn the_worst_categories_go_by_proportion_and_need_enough_verdicts() {
        let c = counts(&[
            ("billing", 30, 100),
            ("delivery", 6, 10),
            ("refund", 4, 4),
            ("how_to", 0, 50),
            ("technical", 12, 20),
        ]);
        let worst: Vec<_> =
            c.worst_categories(5, 2).into_iter().map(|(id, p)| (id.words(), p.part, p.whole)).collect();
        assert_eq!(
            worst,
            [("technical".into(), 12, 20), ("delivery".into(), 6, 10)],
            "a tie goes to the larger; four refunds are too few"
        );
        assert!(counts(&[("how_to", 0, 50)]).worst_categories(5, 2).is_empty(), "nothing negative");
    }

    #[test]
    fn moves_tell_chance_from_change() {
        let before = counts(&[("billing", 10, 100), ("delivery", 0, 5), ("pricing", 1, 3)]);
        let now = counts(&[("billing", 30, 100), ("delivery", 3, 5), ("pricing", 3, 3), ("refund", 9, 9)]);
        let all = moves(&before, &now, MIN_CATEGORY);
        let told: Vec<_> = all
            .iter()
            .map(|m| (m.category.as_ref().map(CategoryId::words), m.points(), m.beyond_chance))
            .collect();
        assert_eq!(
            told,
            [
                (None, 28, true),
                (Some("refund".into()), 100, false),
                (Some("delivery".into()), 60, false),
                (Some("billing".into()), 20, true),
            ],
            "an issue that is new is shown, one too small is left out, and three of five may be chance"
        );
    }

    #[test]
    fn fishers_test_by_the_book() {
        let p = |a: usize, n: usize, b: usize, m: usize| {
            fisher(Proportion { part: a, whole: n }, Proportion { part: b, whole: m })
        };
        // The lady tasting tea: three of four cups, and all four.
        assert!((p(3, 4, 1, 4) - 0.485_714).abs() < 1e-5);
        assert!((p(4, 4, 0, 4) - 0.028_571).abs() < 1e-5);
        assert!((p(0, 5, 3, 5) - 0.166_667).abs() < 1e-5);
        assert!(p(1000, 10_000, 1300, 10_000) < 1e-9);
    }

    proptest! {
        #[test]
        fn proportions_stay_within_bounds(part in 0usize..50, more in 0usize..50) {
            let p = Proportion { part, whole: part + more };
            prop_assert!((0.0..=1.0).contains(&p.value()));
            prop_assert!(fisher(p, p) > 0.99, "nothing differs from itself");
        }
    }
}
