//! What the labels of the review say: how far people agree with each other, and the scorer with them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Reason;
use super::agreement::{self, Metric, agreed, cohen_kappa, krippendorff_alpha, table, value_of};
use crate::accuracy::Figure;
use crate::{Label, Score};

/// What one rater said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Who.
    pub rater: String,
    /// The sign of the feeling.
    pub label: Label,
    /// How good or bad, where they said.
    pub score: Option<Score>,
}

/// What was labelled: an interaction, what people said of it in the order in which they did, and the verdict they were not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// What people said, the first first.
    pub given: Vec<Given>,
    /// What most of them said, once enough of them did.
    pub settled: Option<Label>,
    /// The scorer's label.
    pub label: Label,
    /// The scorer's score.
    pub score: Score,
    /// Why it was in the queue.
    pub reasons: Vec<Reason>,
}

/// Two raters who labelled the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// One.
    pub first: String,
    /// The other.
    pub second: String,
    /// What both labelled, neither knowing of the other's label.
    pub items: usize,
    /// The part of which they say the same, 0..=1.
    pub agreed: Figure,
    /// Cohen's κ, -1..=1; `None` where both gave one and the same label to everything.
    pub kappa: Option<Figure>,
    /// Rows are the first's labels, columns the second's, in the order of [`Label::ALL`].
    pub table: [[usize; 4]; 4],
}

/// The scorer beside what people settled on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// Of what was in the queue for this reason; `None`: of all that was labelled, which is a sample of nothing in particular.
    pub reason: Option<Reason>,
    /// How many.
    pub items: usize,
    /// The part of which the scorer says the same, 0..=1.
    pub agreed: Figure,
    /// Cohen's κ, -1..=1.
    pub kappa: Option<Figure>,
    /// The part of those called positive that people call something else, 0..=1.
    pub positive_is_not: Option<Figure>,
    /// The part of those called positive that people call negative, 0..=1: where errors hurt most.
    pub positive_is_negative: Option<Figure>,
    /// Rows are what people say, columns what the scorer says, in the order of [`Label::ALL`].
    pub table: [[usize; 4]; 4],
}

/// What people and the scorer come to on the same items: more than people agree with each other can not be asked of a scorer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceiling {
    /// What two people labelled.
    pub items: usize,
    /// The part of which these two say the same, 0..=1.
    pub people: Figure,
    /// How often the scorer says the same as one of the two, on average over them, 0..=1.
    pub scorer: Figure,
}

/// How far people agree, and the scorer with them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Items with a label.
    pub items: usize,
    /// Labels given.
    pub labels: usize,
    /// How many each rater gave.
    pub raters: BTreeMap<String, usize>,
    /// Raters two by two, those with the most items in common first; at most [`MOST_PAIRS`].
    pub pairs: Vec<Pair>,
    /// Krippendorff's α over the labels.
    pub alpha: Option<Figure>,
    /// The same with the scorer as one more rater of the same items.
    pub alpha_with_scorer: Option<Figure>,
    /// Krippendorff's α over the scores, by their distance, of items that two gave a score.
    pub alpha_of_scores: Option<Figure>,
    /// People and scorer on the same items.
    pub ceiling: Option<Ceiling>,
    /// The scorer beside people: of all, then by why it was in the queue.
    pub scorer: Vec<Against>,
}

/// So many pairs of raters are told.
pub const MOST_PAIRS: usize = 40;

impl Agreement {
    /// What `rated` says. A third rater is called only where two differ, so their label settles an item and counts in no figure of
    /// agreement: it would make people look more at odds than they are.
    #[must_use]
    pub fn of(rated: &[Rated]) -> Self {
        let mut raters: BTreeMap<String, usize> = BTreeMap::new();
        for given in rated.iter().flat_map(|item| &item.given) {
            *raters.entry(given.rater.clone()).or_default() += 1;
        }
        let twice: Vec<(&Rated, &Given, &Given)> = rated
            .iter()
            .filter_map(|item| match item.given.as_slice() {
                [first, second, ..] => Some((item, first, second)),
                _ => None,
            })
            .collect();
        let labels = |with_scorer: bool| -> Vec<Vec<f64>> {
            let scorer = |item: &Rated| with_scorer.then_some(item.label);
            twice
                .iter()
                .map(|(item, a, b)| {
                    [a.label, b.label].into_iter().chain(scorer(item)).map(value_of).collect()
                })
                .collect()
        };
        let by_score: Vec<Vec<f64>> = twice
            .iter()
            .filter_map(|(_, a, b)| Some(vec![f64::from(a.score?.get()), f64::from(b.score?.get())]))
            .collect();
        let mut scorer: Vec<Against> = against(rated, None).into_iter().collect();
        scorer.extend(Reason::ALL.into_iter().filter_map(|reason| against(rated, Some(reason))));
        Self {
            items: rated.iter().filter(|item| !item.given.is_empty()).count(),
            labels: raters.values().sum(),
            pairs: pairs(&twice),
            alpha: krippendorff_alpha(&labels(false), Metric::Nominal),
            alpha_with_scorer: krippendorff_alpha(&labels(true), Metric::Nominal),
            alpha_of_scores: krippendorff_alpha(&by_score, Metric::Interval),
            ceiling: ceiling(&twice),
            scorer,
            raters,
        }
    }
}

fn pairs(twice: &[(&Rated, &Given, &Given)]) -> Vec<Pair> {
    let mut by_raters: BTreeMap<(&str, &str), Vec<(Label, Label)>> = BTreeMap::new();
    for (_, a, b) in twice {
        let (first, second) = if a.rater <= b.rater { (a, b) } else { (b, a) };
        by_raters.entry((&first.rater, &second.rater)).or_default().push((first.label, second.label));
    }
    let mut ordered: Vec<_> = by_raters.into_iter().collect();
    ordered.sort_by_key(|(_, given)| std::cmp::Reverse(given.len()));
    ordered
        .into_iter()
        .take(MOST_PAIRS)
        .filter_map(|((first, second), given)| {
            Some(Pair {
                first: first.to_owned(),
                second: second.to_owned(),
                items: given.len(),
                agreed: agreed(&given)?,
                kappa: cohen_kappa(&given),
                table: table(&given),
            })
        })
        .collect()
}

fn ceiling(twice: &[(&Rated, &Given, &Given)]) -> Option<Ceiling> {
    let people: Vec<(Label, Label)> = twice.iter().map(|(_, a, b)| (a.label, b.label)).collect();
    let scorer: Vec<f64> = twice
        .iter()
        .map(|(item, a, b)| f64::midpoint(f64::from(a.label == item.label), f64::from(b.label == item.label)))
        .collect();
    Some(Ceiling { items: twice.len(), people: agreed(&people)?, scorer: agreement::mean(&scorer)? })
}

fn against(rated: &[Rated], reason: Option<Reason>) -> Option<Against> {
    let pairs: Vec<(Label, Label)> = rated
        .iter()
        .filter(|item| reason.is_none_or(|reason| item.reasons.contains(&reason)))
        .filter_map(|item| Some((item.settled?, item.label)))
        .collect();
    let positive: Vec<Label> =
        pairs.iter().filter(|(_, said)| *said == Label::Positive).map(|(truth, _)| *truth).collect();
    let part = |is: fn(Label) -> bool| {
        let hits: Vec<f64> = positive.iter().map(|truth| f64::from(is(*truth))).collect();
        agreement::mean(&hits)
    };
    Some(Against {
        reason,
        items: pairs.len(),
        agreed: agreed(&pairs)?,
        kappa: cohen_kappa(&pairs),
        positive_is_not: part(|truth| truth != Label::Positive),
        positive_is_negative: part(|truth| truth == Label::Negative),
        table: table(&pairs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Negative, Neutral, Positive};

    fn rated(given: &[(&str, Label, i64)], label: Label, reasons: &[Reason]) -> Rated {
        let given: Vec<Given> = given
            .iter()
            .map(|(rater, label, score)| Given {
                rater: (*rater).to_owned(),
                label: *label,
                score: Score::new(*score),
            })
            .collect();
        let labels: Vec<Label> = given.iter().map(|given| given.label).collect();
        let settled = match super::super::standing(&labels, 1) {
            super::super::Standing::Done(settled) => settled,
            super::super::Standing::Open { .. } => None,
        };
        Rated { given, settled, label, score: label.middle(), reasons: reasons.to_vec() }
    }

    #[test]
    fn each_figure_is_over_what_it_says() {
        let sample = [Reason::CalledPositive];
        let items = [
            rated(&[("b", Negative, -70), ("a", Negative, -50)], Positive, &sample),
            rated(&[("a", Positive, 60), ("b", Positive, 50)], Positive, &sample),
            rated(&[("a", Negative, -40), ("b", Neutral, 0), ("c", Negative, -60)], Negative, &[]),
            rated(&[("c", Neutral, 0)], Positive, &sample),
            rated(&[], Positive, &sample),
        ];
        let told = Agreement::of(&items);
        assert_eq!((told.items, told.labels), (4, 8));
        assert_eq!(told.raters.values().copied().collect::<Vec<_>>(), [3, 3, 2]);
        let [pair] = told.pairs.as_slice() else { panic!("{:?}", told.pairs) };
        assert_eq!((&*pair.first, &*pair.second, pair.items), ("a", "b", 3), "a third rater is no pair");
        assert_eq!((pair.table[2][2], pair.table[2][1], pair.table[0][0]), (1, 1, 1));
        // p_o 2/3; a: 2 negative, 1 positive; b: one of each; p_e = (2·1 + 1·1 + 0·1)/9 = 1/3; κ = 1/2.
        assert!((pair.kappa.unwrap().value - 0.5).abs() < 1e-9);
        let ceiling = told.ceiling.unwrap();
        assert_eq!(ceiling.items, 3);
        assert!((ceiling.people.value - 2.0 / 3.0).abs() < 1e-9);
        assert!((ceiling.scorer.value - 0.5).abs() < 1e-9, "(0 + 1 + 1/2) / 3");
        let [all, positive] = told.scorer.as_slice() else { panic!("{:?}", told.scorer) };
        assert_eq!((all.reason, all.items), (None, 4));
        assert_eq!((positive.reason, positive.items), (Some(Reason::CalledPositive), 3));
        assert!((positive.positive_is_not.unwrap().value - 2.0 / 3.0).abs() < 1e-9);
        assert!((positive.positive_is_negative.unwrap().value - 1.0 / 3.0).abs() < 1e-9);
        assert!(told.alpha.is_some() && told.alpha_with_scorer.is_some() && told.alpha_of_scores.is_some());
    }

    #[test]
    fn nothing_labelled_says_nothing() {
        let told = Agreement::of(&[]);
        assert_eq!((told.items, told.labels, told.pairs.len(), told.scorer.len()), (0, 0, 0, 0));
        assert!(told.alpha.is_none() && told.ceiling.is_none());
    }
}
