//! The sums behind the figures, over any draw of texts.

use std::collections::BTreeMap;

use super::Figure;
use crate::Label;

/// Texts a figure is about.
pub(crate) struct Indices(Vec<usize>);

impl Indices {
    pub(crate) fn all(count: usize) -> Self {
        Self((0..count).collect())
    }

    pub(crate) fn of(indices: Vec<usize>) -> Self {
        Self(indices)
    }
}

/// Draws of a bootstrap: enough for the ends of an interval to stand still to a percent point, fewer where there are so many texts that the
/// interval is narrow anyway.
fn draws(texts: usize) -> usize {
    (4_000_000 / texts.max(1)).clamp(200, 1000)
}

/// The figure over all of `of`, with its interval. `None` where it can not be told.
pub(crate) fn interval(of: &Indices, figure: &dyn Fn(&[usize]) -> Option<f64>) -> Option<Figure> {
    if of.0.is_empty() {
        return None;
    }
    let value = figure(&of.0)?;
    // Always the same draws, so that the same files give the same figures.
    let mut random = SplitMix(0x00de_c0de);
    let mut drawn = vec![0; of.0.len()];
    let mut found: Vec<f64> = (0..draws(of.0.len()))
        .filter_map(|_| {
            drawn.iter_mut().for_each(|at| *at = of.0[random.below(of.0.len())]);
            figure(&drawn)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| {
        found.get(((found.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(value)
    };
    Some(Figure { value, low: at(0.025), high: at(0.975) })
}

/// The part of the texts for which `is` holds.
pub(crate) fn share(at: &[usize], is: impl Fn(usize) -> bool) -> f64 {
    at.iter().filter(|i| is(**i)).count() as f64 / at.len().max(1) as f64
}

#[derive(Default)]
struct Tally {
    truth: usize,
    answer: usize,
    right: usize,
}

fn tally<'a>(at: &[usize], truth: &[&'a str], answer: &[&'a str]) -> BTreeMap<&'a str, Tally> {
    let mut tally: BTreeMap<&str, Tally> = BTreeMap::new();
    for i in at {
        tally.entry(truth[*i]).or_default().truth += 1;
        tally.entry(answer[*i]).or_default().answer += 1;
        if truth[*i] == answer[*i] {
            tally.entry(truth[*i]).or_default().right += 1;
        }
    }
    // A word nobody gave has no recall.
    tally.retain(|_, t| t.truth > 0);
    tally
}

/// Mean over the true words of the harmonic mean of precision and recall.
pub(crate) fn macro_f1(at: &[usize], truth: &[&str], answer: &[&str]) -> Option<f64> {
    mean(tally(at, truth, answer).values().map(|t| 2.0 * t.right as f64 / (t.truth + t.answer) as f64))
}

/// Mean over the true words of the part that is found.
pub(crate) fn macro_recall(at: &[usize], truth: &[&str], answer: &[&str]) -> Option<f64> {
    mean(tally(at, truth, answer).values().map(|t| t.right as f64 / t.truth as f64))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// The part of all pairs of raters that say the same.
pub(crate) fn agreement(raters: &[Label]) -> Option<f64> {
    let pairs = raters.len() * raters.len().saturating_sub(1) / 2;
    let same = raters.iter().enumerate().flat_map(|(i, a)| raters[i + 1..].iter().map(move |b| a == b));
    (pairs > 0).then(|| same.filter(|same| *same).count() as f64 / pairs as f64)
}

/// Spearman's rank correlation; ties get their mean rank. `None` where one side never changes.
pub(crate) fn rank_correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = (ranks(x), ranks(y));
    let middle = f64::midpoint(x.len() as f64, 1.0);
    let (mut both, mut own_x, mut own_y) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(&y) {
        let (a, b) = (a - middle, b - middle);
        both += a * b;
        own_x += a * a;
        own_y += b * b;
    }
    let scale = (own_x * own_y).sqrt();
    (scale > 0.0).then(|| both / scale)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = order[start..]
            .iter()
            .take_while(|i| values[**i].total_cmp(&values[order[start]]).is_eq())
            .count();
        let rank = start as f64 + f64::midpoint(same as f64, 1.0);
        order[start..start + same].iter().for_each(|i| ranks[*i] = rank);
        start += same;
    }
    ranks
}

/// `SplitMix64`: small, and good enough to draw texts.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * limit as u128) >> 64) as usize
    }
}
