//! How far raters agree beyond what chance would bring, with intervals over the units (percentile bootstrap).
//!
//! Cohen's `κ = (p_o − p_e) / (1 − p_e)` for two raters (Cohen 1960). Krippendorff's `α = 1 − D_o / D_e` for any number of raters, of whom not
//! all have to rate every unit (Krippendorff 2004): `D_o` is the mean squared difference within units, `D_e` the one over all values; units
//! with one value say nothing and are left out.

use crate::Label;
use crate::accuracy::Figure;
use crate::accuracy::figures::{Indices, interval, share};

/// When two values differ, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// They differ or they do not. Values are numbers that stand for words.
    Nominal,
    /// By the square of their distance.
    Interval,
}

/// What two raters said of the same units.
pub type Pairs = [(Label, Label)];

/// The part of units of which both say the same, 0..=1.
#[must_use]
pub fn agreed(pairs: &Pairs) -> Option<Figure> {
    interval(&Indices::all(pairs.len()), &|at| Some(share(at, |i| pairs[i].0 == pairs[i].1)))
}

/// The mean of `values`. `None` where there are none.
pub(super) fn mean(values: &[f64]) -> Option<Figure> {
    interval(&Indices::all(values.len()), &|at| {
        Some(at.iter().map(|i| values[*i]).sum::<f64>() / at.len() as f64)
    })
}

/// Cohen's κ, -1..=1. `None` where both said one and the same word of everything, of which chance can not be told from agreement.
#[must_use]
pub fn cohen_kappa(pairs: &Pairs) -> Option<Figure> {
    interval(&Indices::all(pairs.len()), &|at| {
        let (mut first, mut second, mut same) = ([0_usize; 4], [0_usize; 4], 0_usize);
        for i in at {
            let (a, b) = pairs[*i];
            first[place(a)] += 1;
            second[place(b)] += 1;
            same += usize::from(a == b);
        }
        let count = at.len() as f64;
        let by_chance =
            first.iter().zip(second).map(|(a, b)| *a as f64 * b as f64).sum::<f64>() / (count * count);
        (by_chance < 1.0).then(|| (same as f64 / count - by_chance) / (1.0 - by_chance))
    })
}

/// How often each pair of labels was given: rows are the first rater's, columns the second's, in the order of [`Label::ALL`].
#[must_use]
pub fn table(pairs: &Pairs) -> [[usize; 4]; 4] {
    let mut table = [[0; 4]; 4];
    for (a, b) in pairs {
        table[place(*a)][place(*b)] += 1;
    }
    table
}

/// Krippendorff's α, at most 1; 0 is chance. Each unit is the values its raters gave. `None` where no unit has two values, or all values
/// are the same.
#[must_use]
pub fn krippendorff_alpha(units: &[Vec<f64>], metric: Metric) -> Option<Figure> {
    let rated = Indices::of((0..units.len()).filter(|i| units[*i].len() > 1).collect());
    interval(&rated, &|at| {
        let (mut within, mut all) = (0.0, Spread::new(metric));
        for i in at {
            let mut own = Spread::new(metric);
            for value in &units[*i] {
                own.add(*value);
                all.add(*value);
            }
            within += own.squared() / (own.count - 1.0);
        }
        let by_chance = all.squared() / (all.count * (all.count - 1.0));
        (by_chance > 0.0).then(|| 1.0 - within / all.count / by_chance)
    })
}

/// A label as a value for [`Metric::Nominal`].
#[must_use]
pub fn value_of(label: Label) -> f64 {
    place(label) as f64
}

fn place(label: Label) -> usize {
    Label::ALL.iter().position(|other| *other == label).unwrap_or_default()
}

/// The sum of the squared differences over all ordered pairs of values.
struct Spread {
    metric: Metric,
    count: f64,
    sum: f64,
    squares: f64,
    words: std::collections::BTreeMap<u64, f64>,
}

impl Spread {
    fn new(metric: Metric) -> Self {
        Self { metric, count: 0.0, sum: 0.0, squares: 0.0, words: std::collections::BTreeMap::new() }
    }

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        match self.metric {
            Metric::Nominal => *self.words.entry(value.to_bits()).or_default() += 1.0,
            Metric::Interval => {
                self.sum += value;
                self.squares += value * value;
            }
        }
    }

    fn squared(&self) -> f64 {
        match self.metric {
            Metric::Nominal => self.count * self.count - self.words.values().map(|n| n * n).sum::<f64>(),
            Metric::Interval => 2.0 * (self.count * self.squares - self.sum * self.sum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Negative, Neutral, Positive};

    fn near(figure: Option<Figure>, value: f64) {
        let figure = figure.unwrap();
        assert!((figure.value - value).abs() < 5e-4, "{figure:?} is not {value}");
        assert!(figure.low <= figure.value && figure.value <= figure.high, "{figure:?}");
    }

    fn pairs(counts: &[(Label, Label, usize)]) -> Vec<(Label, Label)> {
        counts.iter().flat_map(|(a, b, n)| std::iter::repeat_n((*a, *b), *n)).collect()
    }

    #[test]
    fn kappa_of_the_worked_example() {
        // reference/proactive.md §6: [[20, 5], [10, 15]] has p_o .70, p_e .50, κ .40.
        let pairs = pairs(&[
            (Positive, Positive, 20),
            (Positive, Negative, 5),
            (Negative, Positive, 10),
            (Negative, Negative, 15),
        ]);
        near(agreed(&pairs), 0.7);
        near(cohen_kappa(&pairs), 0.4);
        let told = table(&pairs);
        assert_eq!((told[0][0], told[0][2], told[2][0], told[2][2]), (20, 5, 10, 15));
    }

    #[test]
    fn kappa_at_its_ends() {
        near(cohen_kappa(&pairs(&[(Positive, Positive, 5), (Negative, Negative, 5)])), 1.0);
        near(cohen_kappa(&pairs(&[(Positive, Negative, 5), (Negative, Positive, 5)])), -1.0);
        assert_eq!(cohen_kappa(&pairs(&[(Neutral, Neutral, 9)])), None, "nothing varies");
        assert_eq!(cohen_kappa(&[]), None);
    }

    /// Four observers, twelve units, some not rated: the example of Krippendorff, “Computing Krippendorff's Alpha-Reliability” (2011),
    /// whose α is 0.743 nominal and 0.849 interval.
    fn published() -> Vec<Vec<f64>> {
        let observers = [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
            [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        ];
        (0..12)
            .map(|unit| observers.iter().map(|o| f64::from(o[unit])).filter(|value| *value > 0.0).collect())
            .collect()
    }

    #[test]
    fn alpha_of_the_published_example() {
        near(krippendorff_alpha(&published(), Metric::Nominal), 0.743);
        near(krippendorff_alpha(&published(), Metric::Interval), 0.849);
    }

    #[test]
    fn alpha_needs_values_that_vary_and_meet() {
        assert_eq!(krippendorff_alpha(&[vec![1.0], vec![2.0]], Metric::Nominal), None);
        assert_eq!(krippendorff_alpha(&[vec![1.0, 1.0], vec![1.0, 1.0]], Metric::Interval), None);
        near(krippendorff_alpha(&[vec![1.0, 1.0], vec![2.0, 2.0]], Metric::Nominal), 1.0);
        // Two raters who never meet: worse than chance.
        let apart = krippendorff_alpha(&[vec![1.0, 2.0], vec![2.0, 1.0]], Metric::Nominal).unwrap();
        assert!(apart.value < 0.0, "{apart:?}");
    }

    #[test]
    fn more_units_narrow_the_interval_and_it_covers_the_truth() {
        let few = pairs(&[(Positive, Positive, 12), (Positive, Negative, 3), (Negative, Negative, 15)]);
        let many: Vec<_> = few.iter().copied().cycle().take(3000).collect();
        let (few, many) = (cohen_kappa(&few).unwrap(), cohen_kappa(&many).unwrap());
        assert!((few.value - many.value).abs() < 1e-9);
        assert!(many.high - many.low < (few.high - few.low) / 4.0, "{few:?} {many:?}");
        assert!(few.low < many.low && many.high < few.high);
    }
}
