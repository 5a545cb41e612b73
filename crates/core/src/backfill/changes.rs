//! What a refresh changed, from sums that a database adds up.

use serde::{Deserialize, Serialize};

use crate::Label;

/// How often verdicts went from one label to another; the same one where nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The earlier verdict's label.
    pub from: Label,
    /// The new one's.
    pub to: Label,
    /// How often.
    pub count: u64,
}

/// Sums over pairs of an earlier and a new verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Pairs.
    pub pairs: u64,
    /// Of the earlier scores.
    pub before: i64,
    /// Of the new scores.
    pub after: i64,
    /// Of the squares of the differences.
    pub squares: i64,
    /// Pairs whose scores differ.
    pub other_score: u64,
}

/// A mean of differences and its 95 % interval, 1.96 standard errors to either side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// The mean.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What became of verdicts that were given again. Scores are the scorers' own, whatever people corrected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Interactions that have two verdicts to compare.
    pub pairs: u64,
    /// Labels, from which to which.
    pub labels: Vec<Moved>,
    /// The share of pairs whose label changed, 0 to 1.
    pub share_other_label: f64,
    /// The share of pairs whose score changed, 0 to 1.
    pub share_other_score: f64,
    /// Mean score before, -100 to 100.
    pub mean_before: f64,
    /// Mean score after.
    pub mean_after: f64,
    /// By how much the mean moved; `None` with fewer than two pairs.
    pub shift: Option<Shift>,
}

impl Changes {
    /// From sums and the table of labels; `None` where there is no pair.
    ///
    /// ```
    /// use undertone_core::Label;
    /// use undertone_core::backfill::{Changes, Moved, Sums};
    /// // Two texts: -40 became -60, 10 stayed.
    /// let sums = Sums { pairs: 2, before: -30, after: -50, squares: 400, other_score: 1 };
    /// let same = |label| Moved { from: label, to: label, count: 1 };
    /// let changes = Changes::of(sums, vec![same(Label::Negative), same(Label::Neutral)]).unwrap();
    /// assert_eq!((changes.mean_before, changes.mean_after, changes.share_other_label), (-15.0, -25.0, 0.0));
    /// assert_eq!(changes.shift.unwrap().value, -10.0);
    /// ```
    #[must_use]
    pub fn of(sums: Sums, labels: Vec<Moved>) -> Option<Self> {
        if sums.pairs == 0 {
            return None;
        }
        let pairs = sums.pairs as f64;
        let mean = |sum: i64| sum as f64 / pairs;
        let value = mean(sums.after - sums.before);
        let shift = (sums.pairs > 1).then(|| {
            let variance = (sums.squares as f64 - pairs * value * value).max(0.0) / (pairs - 1.0);
            let reach = 1.96 * (variance / pairs).sqrt();
            Shift { value, low: value - reach, high: value + reach }
        });
        let other: u64 = labels.iter().filter(|moved| moved.from != moved.to).map(|moved| moved.count).sum();
        Some(Self {
            pairs: sums.pairs,
            share_other_label: other as f64 / pairs,
            share_other_score: sums.other_score as f64 / pairs,
            labels,
            mean_before: mean(sums.before),
            mean_after: mean(sums.after),
            shift,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_a_mean_of_differences() {
        // Differences -20, 0, 10, -10: mean -5, standard deviation 12.91, standard error 6.455.
        let sums = Sums { pairs: 4, before: 100, after: 80, squares: 600, other_score: 3 };
        let moved = Moved { from: Label::Neutral, to: Label::Negative, count: 1 };
        let same = Moved { from: Label::Neutral, to: Label::Neutral, count: 3 };
        let changes = Changes::of(sums, vec![moved, same]).unwrap();
        let shift = changes.shift.unwrap();
        assert!((shift.value + 5.0).abs() < 1e-9);
        assert!((shift.high - shift.low - 2.0 * 1.96 * 6.454_972).abs() < 1e-3, "{shift:?}");
        assert!((changes.share_other_label - 0.25).abs() < 1e-9);
        assert!((changes.share_other_score - 0.75).abs() < 1e-9);
    }

    #[test]
    fn one_pair_has_no_interval_and_none_has_no_figures() {
        assert_eq!(Changes::of(Sums::default(), Vec::new()), None);
        let one = Sums { pairs: 1, before: 1, after: 3, squares: 4, other_score: 1 };
        assert_eq!(Changes::of(one, Vec::new()).unwrap().shift, None);
    }
}
