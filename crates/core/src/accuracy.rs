//! How well a scorer's answers agree with what people say of the same texts, with intervals, so that nobody reads more into a figure than
//! the number of texts behind it allows.

pub(crate) mod figures;

use serde::Serialize;

use crate::{Confidence, Label};
use figures::{Indices, interval, rank_correlation};

/// What people say of a text.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The label that counts: where there are several raters, what most of them said.
    pub label: Label,
    /// How good or bad, -100..=100.
    pub valence: Option<f64>,
    /// The word of each [`Task`] that is labelled.
    pub words: [Option<String>; Task::ALL.len()],
    /// What each rater said, where more than one did.
    pub raters: Vec<Label>,
}

impl Truth {
    /// A text of which only the label is known.
    #[must_use]
    pub fn of(label: Label) -> Self {
        Self { label, valence: None, words: [None, None, None], raters: Vec::new() }
    }
}

/// What a scorer says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its label.
    pub label: Label,
    /// Its score, -100..=100.
    pub score: f64,
    /// How sure it is, 0..=1, where it says.
    pub confidence: Option<f64>,
    /// Its word for each [`Task`] it does.
    pub words: [Option<String>; Task::ALL.len()],
}

/// What is told of a text besides label and score, as one word each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The emotion that dominates.
    Emotion,
    /// How soon somebody should act.
    Urgency,
    /// What it is about.
    Category,
}

impl Task {
    /// All of them, in the order of the words.
    pub const ALL: [Self; 3] = [Self::Emotion, Self::Urgency, Self::Category];

    /// As in a file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emotion => "emotion",
            Self::Urgency => "urgency",
            Self::Category => "category",
        }
    }
}

/// A figure with the interval it lies in nineteen times of twenty when texts are drawn again (percentile bootstrap).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Answers of about the same confidence, and how often they were right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// How many.
    pub count: usize,
    /// Their mean confidence, 0..=1.
    pub confidence: f64,
    /// The part of them that is right, 0..=1.
    pub right: f64,
}

/// What asking a person about unsure answers would bring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Review {
    /// The part of all answers that asks for a person, 0..=1.
    pub share: Figure,
    /// The part of all wrong answers among them, 0..=1.
    pub errors_caught: Figure,
    /// The part of all wrong answers among the least sure 15 % of answers, 0..=1.
    pub errors_in_15_percent: Figure,
}

/// How well answers agree with people. An abstention counts as a wrong answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    /// Texts.
    pub texts: usize,
    /// Texts without an answer.
    pub abstained: usize,
    /// Labels that occur in the truth; the means are over these.
    pub labels: Vec<Label>,
    /// The part that is right, 0..=1.
    pub accuracy: Figure,
    /// Mean over the labels of the harmonic mean of precision and recall, 0..=1.
    pub macro_f1: Figure,
    /// Mean over the labels of the part that is found, 0..=1.
    pub macro_recall: Figure,
    /// The part of negative texts that is found, 0..=1.
    pub negative_recall: Option<Figure>,
    /// The part of negative texts that is called positive, 0..=1: the costly error, because nobody will look.
    pub negatives_called_positive: Option<Figure>,
    /// Rank correlation of score and valence (Spearman), -1..=1.
    pub valence_rank_correlation: Option<Figure>,
    /// Macro-F1 of each other task that is labelled.
    pub tasks: Vec<(Task, Figure)>,
    /// Expected calibration error over ten bins of equal size, 0..=1.
    pub calibration_error: Option<Figure>,
    /// Those bins, least sure first.
    pub reliability: Vec<Bin>,
    /// What `needs_review` brings.
    pub review: Option<Review>,
    /// How often two raters of a text say the same, 0..=1: more can not be asked of a scorer.
    pub raters_agree: Option<Figure>,
    /// Rows are the truth, columns the answer, in the order of [`Label::ALL`]; the last column counts abstentions.
    pub confusion: [[usize; 5]; 4],
}

/// Compares `answers` with `truths`, text by text. `None` where there is nothing to compare.
///
/// Where no text is labelled mixed, the people who labelled had no such word: a mixed answer then counts as the side its score leans to.
#[must_use]
pub fn measure(truths: &[Truth], answers: &[Option<Answer>]) -> Option<Accuracy> {
    measure_part(truths, answers, truths.iter().any(|t| t.label == Label::Mixed))
}

/// The same of some of the texts people labelled: `has_mixed` says whether they call any of all their texts mixed.
#[must_use]
pub fn measure_part(truths: &[Truth], answers: &[Option<Answer>], has_mixed: bool) -> Option<Accuracy> {
    let labels: Vec<Label> =
        Label::ALL.into_iter().filter(|label| truths.iter().any(|t| t.label == *label)).collect();
    if labels.is_empty() || truths.len() != answers.len() {
        return None;
    }
    let said: Vec<Option<Label>> = answers
        .iter()
        .map(|answer| {
            answer.as_ref().map(|a| match a.label {
                Label::Mixed if !has_mixed && a.score >= 0.0 => Label::Positive,
                Label::Mixed if !has_mixed => Label::Negative,
                label => label,
            })
        })
        .collect();
    let right: Vec<bool> = truths.iter().zip(&said).map(|(t, s)| Some(t.label) == *s).collect();
    let all = Indices::all(truths.len());
    // Shares of few texts vary as much as their number makes them; every figure is drawn over the same texts.
    let figure = |f: &dyn Fn(&[usize]) -> Option<f64>| interval(&all, f);

    let mut confusion = [[0; 5]; 4];
    let place = |label: Label| Label::ALL.iter().position(|l| *l == label).unwrap_or_default();
    for (truth, answer) in truths.iter().zip(&said) {
        confusion[place(truth.label)][answer.map_or(4, place)] += 1;
    }
    let share_of = |label: Label, answered: Label| {
        move |at: &[usize], truths: &[Truth], said: &[Option<Label>]| {
            let of: Vec<&usize> = at.iter().filter(|i| truths[**i].label == label).collect();
            let hits = of.iter().filter(|i| said[***i] == Some(answered)).count();
            (!of.is_empty()).then(|| hits as f64 / of.len() as f64)
        }
    };
    let truth_words: Vec<&str> = truths.iter().map(|t| t.label.as_str()).collect();
    let said_words: Vec<&str> = said.iter().map(|s| s.map_or("", Label::as_str)).collect();
    let (called_positive, recall) =
        (share_of(Label::Negative, Label::Positive), share_of(Label::Negative, Label::Negative));

    let tasks = Task::ALL
        .into_iter()
        .enumerate()
        .filter_map(|(i, task)| {
            let labelled: Vec<usize> =
                (0..truths.len()).filter(|at| truths[*at].words[i].is_some()).collect();
            let truth = |at: usize| truths[at].words[i].as_deref().unwrap_or_default();
            let answer =
                |at: usize| answers[at].as_ref().and_then(|a| a.words[i].as_deref()).unwrap_or_default();
            if labelled.is_empty() || labelled.iter().all(|at| answer(*at).is_empty()) {
                return None;
            }
            let truth: Vec<&str> = (0..truths.len()).map(truth).collect();
            let answer: Vec<&str> = (0..truths.len()).map(answer).collect();
            let labelled = Indices::of(labelled);
            Some((task, interval(&labelled, &|at| figures::macro_f1(at, &truth, &answer))?))
        })
        .collect();

    let valued: Vec<usize> =
        (0..truths.len()).filter(|i| truths[*i].valence.is_some() && answers[*i].is_some()).collect();
    let valence = |i: usize| truths[i].valence.unwrap_or_default();
    let score = |i: usize| answers[i].as_ref().map_or(0.0, |a| a.score);

    let sure: Vec<(usize, f64)> =
        answers.iter().enumerate().filter_map(|(i, a)| Some((i, a.as_ref()?.confidence?))).collect();
    let calibration = (!sure.is_empty() && sure.len() == said.iter().flatten().count())
        .then(|| Calibration { sure: &sure, right: &right, all: truths.len() });

    Some(Accuracy {
        texts: truths.len(),
        abstained: said.iter().filter(|s| s.is_none()).count(),
        accuracy: figure(&|at| Some(figures::share(at, |i| right[i])))?,
        macro_f1: figure(&|at| figures::macro_f1(at, &truth_words, &said_words))?,
        macro_recall: figure(&|at| figures::macro_recall(at, &truth_words, &said_words))?,
        negative_recall: figure(&|at| recall(at, truths, &said)),
        negatives_called_positive: figure(&|at| called_positive(at, truths, &said)),
        valence_rank_correlation: interval(&Indices::of(valued), &|at| {
            let (x, y): (Vec<f64>, Vec<f64>) = at.iter().map(|i| (valence(*i), score(*i))).unzip();
            rank_correlation(&x, &y)
        }),
        tasks,
        calibration_error: calibration.as_ref().and_then(Calibration::error),
        reliability: calibration.as_ref().map(Calibration::bins).unwrap_or_default(),
        review: calibration.as_ref().and_then(Calibration::review),
        raters_agree: interval(
            &Indices::of((0..truths.len()).filter(|i| truths[*i].raters.len() > 1).collect()),
            &|at| {
                let each: Vec<f64> =
                    at.iter().filter_map(|i| figures::agreement(&truths[*i].raters)).collect();
                (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
            },
        ),
        confusion,
        labels,
    })
}

/// The answer that is always the same: what any scorer must beat.
#[must_use]
pub fn always(label: Label, texts: usize) -> Vec<Option<Answer>> {
    let score = match label {
        Label::Positive => 50.0,
        Label::Negative => -50.0,
        Label::Neutral | Label::Mixed => 0.0,
    };
    vec![Some(Answer { label, score, confidence: None, words: [None, None, None] }); texts]
}

/// Confidence beside being right.
struct Calibration<'a> {
    /// Texts with an answer, and its confidence, 0..=1.
    sure: &'a [(usize, f64)],
    right: &'a [bool],
    all: usize,
}

impl Calibration<'_> {
    const BINS: usize = 10;

    fn bins(&self) -> Vec<Bin> {
        let rows: Vec<(f64, bool)> = self.sure.iter().map(|(i, c)| (*c, self.right[*i])).collect();
        binned(rows, Self::BINS)
    }

    fn error(&self) -> Option<Figure> {
        let drawn = Indices::all(self.sure.len());
        interval(&drawn, &|at| {
            let rows = at.iter().map(|k| (self.sure[*k].1, self.right[self.sure[*k].0])).collect();
            let bins = binned(rows, Self::BINS);
            Some(
                bins.iter().map(|b| b.count as f64 * (b.confidence - b.right).abs()).sum::<f64>()
                    / at.len() as f64,
            )
        })
    }

    fn review(&self) -> Option<Review> {
        let mut confidence = vec![0.0; self.all];
        for (i, c) in self.sure {
            confidence[*i] = *c;
        }
        let least = f64::from(Confidence::REVIEW_BELOW) / 100.0;
        let drawn = Indices::of(self.sure.iter().map(|(i, _)| *i).collect());
        let caught = |at: &[usize], below: &dyn Fn(usize) -> bool| {
            let wrong: Vec<&usize> = at.iter().filter(|i| !self.right[**i]).collect();
            let hits = wrong.iter().filter(|i| below(***i)).count();
            (!wrong.is_empty()).then(|| hits as f64 / wrong.len() as f64)
        };
        Some(Review {
            share: interval(&drawn, &|at| Some(figures::share(at, |i| confidence[i] < least)))?,
            errors_caught: interval(&drawn, &|at| caught(at, &|i| confidence[i] < least))?,
            errors_in_15_percent: interval(&drawn, &|at| {
                let mut order: Vec<f64> = at.iter().map(|i| confidence[*i]).collect();
                order.sort_by(f64::total_cmp);
                let limit = order.get(order.len() * 15 / 100).copied().unwrap_or_default();
                // Confidence comes in whole percent: of those right at the limit, the part that still fits is taken.
                let below = order.partition_point(|c| *c < limit);
                let same = order.iter().filter(|c| c.total_cmp(&limit).is_eq()).count();
                let part = (order.len() as f64 * 0.15 - below as f64) / same.max(1) as f64;
                let under = caught(at, &|i| confidence[i] < limit)?;
                let level = caught(at, &|i| confidence[i].total_cmp(&limit).is_eq())?;
                Some(under + level * part.clamp(0.0, 1.0))
            })?,
        })
    }
}

/// Rows of confidence and being right in bins of equal size, least sure first. Where a bin ends among rows of one confidence, each side gets
/// its share of the right ones, whatever their order.
fn binned(mut rows: Vec<(f64, bool)>, bins: usize) -> Vec<Bin> {
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut level: Vec<(f64, f64)> = Vec::with_capacity(rows.len());
    for same in rows.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let right = same.iter().filter(|(_, right)| *right).count() as f64 / same.len() as f64;
        level.extend(same.iter().map(|(confidence, _)| (*confidence, right)));
    }
    let count = level.len();
    (0..bins)
        .map(|b| &level[b * count / bins..(b + 1) * count / bins])
        .filter(|part| !part.is_empty())
        .map(|part| Bin {
            count: part.len(),
            confidence: part.iter().map(|(c, _)| c).sum::<f64>() / part.len() as f64,
            right: part.iter().map(|(_, right)| right).sum::<f64>() / part.len() as f64,
        })
        .collect()
}

#[cfg(test)]
mod tests;
