//! What a tenant's own labels teach: a correction of the label's odds, linear in what the frozen encoder and the heads say of a text. It
//! is fitted in seconds, and taken only where cross-validation shows that it helps.

use serde::{Deserialize, Serialize};
use undertone_core::accuracy::{Accuracy, Answer, Figure, Truth, measure};
use undertone_core::{Kind, Label, Score};

use super::artifact::Calibration;
use super::heads::{MessageReading, logistic, softmax};

/// So many texts of each of positive, neutral and negative are needed. Fewer teach a model little that holds for the next text.
pub const LEAST_PER_LABEL: usize = 300;
/// So many of each it is tried on, whatever else it is learnt from. With fewer, one text would move a label's recall by more than a point.
pub const LEAST_TRIED: usize = 100;
/// A lesson is taken where macro-F1 rises by this.
pub const LEAST_GAIN: f64 = 0.02;

/// Parts of a cross-validation.
const FOLDS: usize = 5;
/// Steps of the descent; it stands still well before.
const STEPS: usize = 150;
/// How strongly weights are held at nothing, which is the model as it came.
const HOLD: f32 = 0.002;

const LABELS: usize = Label::ALL.len();

/// A text with the label that a person at the tenant gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// What sort of text it is.
    pub kind: Kind,
    /// What the person says.
    pub label: Label,
    /// It has a label because of what a verdict said of it: corrected, or brought into the review by it. Among such texts the model is wrong
    /// more often than among others, so a lesson is learnt from them and not tried on them.
    pub chosen: bool,
}

/// A correction learnt from a tenant's labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// Which of the tenant's lessons it is, from 1.
    pub version: u32,
    /// The model it corrects; with another it means nothing.
    pub model_version: String,
    correction: Correction,
    pub(super) calibration: Calibration,
}

/// What the model says of a text as far as a lesson needs it.
#[derive(Debug, Clone)]
pub(super) struct Input {
    /// The features of the message head, then the text's mean vector.
    pub values: Vec<f32>,
    /// The message head's scores for each label.
    pub scores: [f32; LABELS],
    /// The valence to expect under each label.
    pub valences: [f32; LABELS],
    /// Phrases of both sides can be shown, so that it may be called mixed.
    pub shows_both: bool,
}

impl Input {
    /// The reading, with `more` added to the labels' scores; as the reader makes it.
    fn reading(&self, more: [f32; LABELS]) -> MessageReading {
        let mut reading =
            MessageReading::new(std::array::from_fn(|i| self.scores[i] + more[i]), self.valences);
        if reading.label() == Label::Mixed && !self.shows_both {
            reading.rule_out(Label::Mixed);
        }
        reading
    }
}

impl Lesson {
    /// What is added to the scores of the labels.
    pub(super) fn correction(&self, values: &[f32]) -> [f32; LABELS] {
        self.correction.of(values)
    }
}

/// A linear map of standardised inputs. An input further from its mean than in any but a few of the texts learnt from counts as if it were
/// [`FURTHEST`] away: nothing was learnt out there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Correction {
    means: Vec<f32>,
    /// One over the spread.
    scales: Vec<f32>,
    /// For each label a weight for each input.
    weights: Vec<Vec<f32>>,
    /// For each label.
    biases: Vec<f32>,
}

/// In spreads.
const FURTHEST: f32 = 3.0;

impl Correction {
    fn standardised<'a>(&'a self, values: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let short = 1.0 / (self.means.len().max(1) as f32).sqrt();
        let scaled = values.iter().zip(&self.means).zip(&self.scales);
        scaled.map(move |((v, m), s)| ((v - m) * s).clamp(-FURTHEST, FURTHEST) * short)
    }

    fn of(&self, values: &[f32]) -> [f32; LABELS] {
        let inputs: Vec<f32> = self.standardised(values).collect();
        std::array::from_fn(|label| {
            let weights = self.weights.get(label).map_or(&[][..], Vec::as_slice);
            super::heads::dot(weights, &inputs) + self.biases.get(label).copied().unwrap_or_default()
        })
    }
}

/// Why nothing can be learnt yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TooFew {
    /// Labels of which there are too few readable texts to learn from, and how many are missing.
    pub missing: Vec<(Label, usize)>,
    /// Labels of which there are too few readable texts to try a lesson on, and how many are missing.
    pub missing_to_try: Vec<(Label, usize)>,
    /// Texts that have a label and could not be read.
    pub unread: usize,
}

impl TooFew {
    /// What is missing of texts that a lesson is tried on, and of those it is only learnt from; `None`: nothing.
    fn of(tried: &[(Input, Label)], others: &[(Input, Label)], unread: usize) -> Option<Self> {
        let count =
            |inputs: &[(Input, Label)], label: Label| inputs.iter().filter(|(_, l)| *l == label).count();
        let (mut missing, mut missing_to_try) = (Vec::new(), Vec::new());
        for label in [Label::Positive, Label::Neutral, Label::Negative] {
            let to_try = count(tried, label);
            missing.push((label, LEAST_PER_LABEL.saturating_sub(to_try + count(others, label))));
            missing_to_try.push((label, LEAST_TRIED.saturating_sub(to_try)));
        }
        missing.retain(|(_, missing)| *missing > 0);
        missing_to_try.retain(|(_, missing)| *missing > 0);
        (!missing.is_empty() || !missing_to_try.is_empty()).then_some(Self {
            missing,
            missing_to_try,
            unread,
        })
    }
}

impl std::fmt::Display for TooFew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.missing.is_empty() {
            write!(
                f,
                "there are too few labelled texts to try a lesson on: {}, {LEAST_TRIED} of each that were not labelled because of their \
                 verdict (handed in, or drawn at random by the review)",
                needed(&self.missing_to_try)
            )?;
        } else {
            let needed = needed(&self.missing);
            write!(f, "there are too few labelled texts to learn from: {needed}, {LEAST_PER_LABEL} of each")?;
        }
        match self.unread {
            0 => Ok(()),
            n => write!(f, "; {n} more could not be read, for their language or for having no words"),
        }
    }
}

/// How many more of each label.
fn needed(missing: &[(Label, usize)]) -> String {
    let each: Vec<String> = missing.iter().map(|(label, n)| format!("{n} more {}", label.as_str())).collect();
    let are = if missing.iter().map(|(_, n)| n).sum::<usize>() == 1 { "is" } else { "are" };
    format!("{} {are} needed", each.join(", "))
}

/// A lesson, and what it is worth on texts it did not see.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The lesson from all texts.
    pub lesson: Lesson,
    /// How it did.
    pub trial: Trial,
}

/// The model beside the model with the lesson, on the tenant's own texts, each read by a lesson that was learnt without it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Texts it was tried on: those that have no label because of their verdict.
    pub texts: usize,
    /// Texts it was only learnt from.
    pub learnt_from_only: usize,
    /// Texts that could not be read, for their language or for having no words.
    pub unread: usize,
    /// As it came.
    pub before: Worth,
    /// With the lesson.
    pub after: Worth,
}

/// What matters of an accuracy, each with its range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Worth {
    /// Over the labels.
    pub macro_f1: Figure,
    /// The part of negative texts that is found.
    pub negative_recall: Figure,
    /// The part of negative texts that is called positive.
    pub negatives_called_positive: Figure,
    /// Expected calibration error.
    pub calibration_error: Figure,
}

impl Trial {
    /// Macro-F1 rises by [`LEAST_GAIN`] and no negative text more is missed.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.after.macro_f1.value - self.before.macro_f1.value >= LEAST_GAIN
            && self.after.negative_recall.value >= self.before.negative_recall.value
    }

    /// What came of it, as a person is told.
    #[must_use]
    pub fn verdict(&self) -> String {
        let gain = self.after.macro_f1.value - self.before.macro_f1.value;
        if self.is_better() {
            return format!("better: macro-F1 rises by {gain:.3}, and as many negative texts are found");
        }
        if gain < LEAST_GAIN {
            return format!(
                "not better enough: macro-F1 changes by {gain:+.3}, and {LEAST_GAIN} is asked for"
            );
        }
        let fall = self.before.negative_recall.value - self.after.negative_recall.value;
        format!(
            "refused: macro-F1 rises by {gain:.3}, but of the negative texts {:.1} % more are missed",
            100.0 * fall
        )
    }
}

/// Learns from all of `tried` and `others`, each with its label, and tries it on `tried` alone.
pub(super) fn learn(
    tried: &[(Input, Label)],
    others: &[(Input, Label)],
    unread: usize,
    calibration: Calibration,
    (version, model_version): (u32, &str),
) -> Result<Learned, TooFew> {
    if let Some(few) = TooFew::of(tried, others, unread) {
        return Err(few);
    }
    // Every fold has its share of each label.
    let mut seen = [0; LABELS];
    let folds: Vec<usize> = tried
        .iter()
        .map(|(_, label)| {
            let count = &mut seen[place(*label)];
            *count += 1;
            *count % FOLDS
        })
        .collect();
    let mut more = vec![[0.0; LABELS]; tried.len()];
    for fold in 0..FOLDS {
        let outside = tried.iter().zip(&folds).filter(|(_, f)| **f != fold).map(|(input, _)| input);
        let fitted = fit(&outside.chain(others).collect::<Vec<_>>());
        for (at, (input, _)) in tried.iter().enumerate().filter(|(at, _)| folds[*at] == fold) {
            more[at] = fitted.of(&input.values);
        }
    }
    let truths: Vec<Truth> = tried.iter().map(|(_, label)| Truth::of(*label)).collect();
    let worth = |answers: &[Option<Answer>]| measure(&truths, answers).and_then(|a| Worth::of(&a));
    let as_it_came: Vec<Option<Answer>> =
        tried.iter().map(|(input, _)| Some(answer(&input.reading([0.0; LABELS]), calibration))).collect();
    let read: Vec<(MessageReading, Label)> =
        tried.iter().zip(&more).map(|((input, label), more)| (input.reading(*more), *label)).collect();
    // Confidence too is tried on texts it was not fitted on.
    let mut with_lesson = vec![None; tried.len()];
    for fold in 0..FOLDS {
        let outside = read.iter().zip(&folds).filter(|(_, f)| **f != fold).map(|(read, _)| read);
        let fitted = calibrated(outside);
        for at in (0..tried.len()).filter(|at| folds[*at] == fold) {
            with_lesson[at] = Some(answer(&read[at].0, fitted));
        }
    }
    // Each label's minimum is met, so there are negative texts and every figure can be told.
    let (Some(before), Some(after)) = (worth(&as_it_came), worth(&with_lesson)) else {
        return Err(TooFew { missing: Vec::new(), missing_to_try: Vec::new(), unread });
    };
    let lesson = Lesson {
        version,
        model_version: model_version.to_owned(),
        correction: fit(&tried.iter().chain(others).collect::<Vec<_>>()),
        calibration: calibrated(read.iter()),
    };
    let trial = Trial { texts: tried.len(), learnt_from_only: others.len(), unread, before, after };
    Ok(Learned { lesson, trial })
}

impl Worth {
    fn of(accuracy: &Accuracy) -> Option<Self> {
        Some(Self {
            macro_f1: accuracy.macro_f1,
            negative_recall: accuracy.negative_recall?,
            negatives_called_positive: accuracy.negatives_called_positive?,
            calibration_error: accuracy.calibration_error?,
        })
    }
}

fn place(label: Label) -> usize {
    Label::ALL.iter().position(|l| *l == label).unwrap_or_default()
}

fn answer(reading: &MessageReading, calibration: Calibration) -> Answer {
    let label = reading.label();
    Answer {
        label,
        score: Score::saturating(reading.valence() * 100.0).within(label).get().into(),
        confidence: Some(calibration.of(reading.probability()).into()),
        words: [None, None, None],
    }
}

/// The calibration under which confidence is how often the label is right (Platt): a logistic regression on the logit, by Newton's steps that
/// are halved until they help.
fn calibrated<'a>(readings: impl Iterator<Item = &'a (MessageReading, Label)>) -> Calibration {
    let rows: Vec<(f32, f32)> = readings
        .map(|(reading, label)| {
            let right = f32::from(u8::from(reading.label() == *label));
            (Calibration::logit(reading.probability()), right)
        })
        .collect();
    // A little weight keeps the scale where almost all is right.
    let loss = |scale: f32, shift: f32| {
        let each = |(x, right): &(f32, f32)| {
            let z = scale * x + shift;
            z.max(0.0) - z * right + (-z.abs()).exp().ln_1p()
        };
        rows.iter().map(each).sum::<f32>() + 5e-3 * ((scale - 1.0).powi(2) + shift.powi(2))
    };
    let (mut scale, mut shift) = (1.0f32, 0.0f32);
    for _ in 0..50 {
        let (mut g, mut h) = ([1e-2 * (scale - 1.0), 1e-2 * shift], [1e-2f32, 0.0, 1e-2]);
        for (x, right) in &rows {
            let p = logistic(scale * x + shift);
            let (error, curve) = (p - right, p * (1.0 - p));
            g = [g[0] + error * x, g[1] + error];
            h = [h[0] + curve * x * x, h[1] + curve * x, h[2] + curve];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        if determinant.abs() < 1e-9 {
            break;
        }
        let (along, across) =
            ((h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant);
        let now = loss(scale, shift);
        let Some(part) = [1.0, 0.5, 0.25, 0.1, 0.02]
            .into_iter()
            .find(|part| loss(scale - part * along, shift - part * across) < now)
        else {
            break;
        };
        (scale, shift) = (scale - part * along, shift - part * across);
    }
    Calibration { version: 1, scale: scale.clamp(0.05, 5.0), shift: shift.clamp(-5.0, 5.0) }
}

/// Softmax regression on top of the scores that are there, its weights held small. Accelerated descent with a step that the curvature
/// allows (Nesterov): always the same result for the same texts.
fn fit(rows: &[&(Input, Label)]) -> Correction {
    let width = rows.first().map_or(0, |(input, _)| input.values.len());
    let count = rows.len().max(1) as f32;
    let mut means = vec![0.0f32; width];
    for (input, _) in rows {
        means.iter_mut().zip(&input.values).for_each(|(m, v)| *m += v / count);
    }
    let mut spreads = vec![0.0f32; width];
    for (input, _) in rows {
        spreads
            .iter_mut()
            .zip(&input.values)
            .zip(&means)
            .for_each(|((s, v), m)| *s += (v - m) * (v - m) / count);
    }
    let scales = spreads.iter().map(|s| 1.0 / (s.sqrt() + 1e-6)).collect();
    let mut fitted = Correction { means, scales, weights: Vec::new(), biases: Vec::new() };
    // The last input is always there: its weight is the bias.
    let seen: Vec<Vec<f32>> = rows
        .iter()
        .map(|(input, _)| fitted.standardised(&input.values).chain(std::iter::once(1.0)).collect())
        .collect();

    let step = 1.0 / (0.5 * (largest_curvature(&seen) + HOLD)).max(1e-6);
    let mut weights = vec![vec![0.0f32; width + 1]; LABELS];
    let mut ahead = weights.clone();
    for turn in 0..STEPS {
        let mut slope = vec![vec![0.0f32; width + 1]; LABELS];
        for ((input, label), x) in rows.iter().zip(&seen) {
            let scores: Vec<f32> =
                ahead.iter().zip(input.scores).map(|(w, base)| base + super::heads::dot(w, x)).collect();
            for (at, odds) in softmax(&scores).into_iter().enumerate() {
                let error = (odds - f32::from(u8::from(at == place(*label)))) / count;
                slope[at].iter_mut().zip(x).for_each(|(s, x)| *s += error * x);
            }
        }
        let momentum = turn as f32 / (turn as f32 + 3.0);
        for ((w, a), s) in weights.iter_mut().zip(&mut ahead).zip(&slope) {
            for ((w, a), s) in w.iter_mut().zip(a.iter_mut()).zip(s) {
                let next = *a - step * (s + HOLD * *a);
                *a = next + momentum * (next - *w);
                *w = next;
            }
        }
    }
    for mut w in weights {
        fitted.biases.push(w.pop().unwrap_or_default());
        fitted.weights.push(w);
    }
    fitted
}

/// The largest eigenvalue of the mean of `x xᵀ`, by repeated multiplication.
fn largest_curvature(rows: &[Vec<f32>]) -> f32 {
    let width = rows.first().map_or(0, Vec::len);
    let mut direction = vec![1.0 / (width.max(1) as f32).sqrt(); width];
    let mut largest = 1.0;
    for _ in 0..20 {
        let mut next = vec![0.0f32; width];
        for x in rows {
            let along = super::heads::dot(x, &direction) / rows.len() as f32;
            next.iter_mut().zip(x).for_each(|(n, x)| *n += along * x);
        }
        largest = super::heads::dot(&next, &next).sqrt().max(1e-6);
        direction = next.into_iter().map(|n| n / largest).collect();
    }
    // The true one may be a little larger than what so many turns find.
    largest * 1.1
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Calibration = Calibration { version: 1, scale: 1.0, shift: 0.0 };

    /// Texts whose label shows in the fifth input; the model says all of them are neutral, and is fairly sure.
    fn inputs(each: usize) -> Vec<(Input, Label)> {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..3 * each)
            .map(|i| {
                let label = [Label::Positive, Label::Neutral, Label::Negative][i % 3];
                let mut values: Vec<f32> = (0..20).map(|_| random()).collect();
                values[5] = 3.0 * (1.0 - (i % 3) as f32) + random();
                (
                    Input {
                        values,
                        scores: [0.0, 2.0, 0.0, -4.0],
                        valences: [0.5, 0.0, -0.5, 0.0],
                        shows_both: true,
                    },
                    label,
                )
            })
            .collect()
    }

    #[test]
    fn what_is_missing_is_told_label_by_label() {
        let mut some = inputs(LEAST_PER_LABEL);
        some.truncate(3 * LEAST_PER_LABEL - 2);
        let error = learn(&some, &[], 0, PLAIN, (1, "m")).unwrap_err();
        assert_eq!(error.missing, [(Label::Neutral, 1), (Label::Negative, 1)]);
        assert_eq!(
            error.to_string(),
            "there are too few labelled texts to learn from: 1 more neutral, 1 more negative are needed, 300 of each"
        );
        let error = learn(&some, &[], 20, PLAIN, (1, "m")).unwrap_err();
        assert!(
            error.to_string().ends_with(
                "300 of each; 20 more could not be read, for their language or for having no words"
            ),
            "{error}"
        );
    }

    #[test]
    fn what_a_verdict_brought_up_is_learnt_from_and_not_tried_on() {
        let some = inputs(LEAST_PER_LABEL);
        // The model is wrong about each of them, and they contradict all else.
        let corrections: Vec<(Input, Label)> = inputs(67)
            .into_iter()
            .map(|(input, label)| {
                (input, if label == Label::Negative { Label::Positive } else { Label::Negative })
            })
            .collect();
        let alone = learn(&some, &[], 0, PLAIN, (1, "m")).unwrap();
        let both = learn(&some, &corrections, 0, PLAIN, (1, "m")).unwrap();
        assert_eq!(both.trial.before, alone.trial.before);
        assert_eq!((both.trial.texts, both.trial.learnt_from_only), (900, 201));
        assert_ne!(both.lesson, alone.lesson, "they teach");

        let error = learn(&some[..298], &some[298..], 0, PLAIN, (1, "m")).unwrap_err();
        assert_eq!(
            (error.missing.len(), error.missing_to_try.as_slice()),
            (0, &[(Label::Neutral, 1), (Label::Negative, 1)][..])
        );
        assert!(error.to_string().contains("too few labelled texts to try a lesson on: 1 more neutral, 1 more negative are needed, 100 of each"), "{error}");
        assert!(learn(&some[..300], &some[300..], 0, PLAIN, (1, "m")).is_ok());
    }

    #[test]
    fn what_shows_in_the_inputs_is_learnt_and_measured_on_texts_it_did_not_see() {
        let some = inputs(LEAST_PER_LABEL);
        let learned = learn(&some, &[], 3, PLAIN, (4, "m")).unwrap();
        assert!(learned.trial.before.macro_f1.value < 0.2, "{:?}", learned.trial);
        assert!(learned.trial.after.macro_f1.value > 0.95, "{:?}", learned.trial);
        assert!(learned.trial.is_better() && learned.trial.verdict().starts_with("better"));
        assert!(learned.trial.after.calibration_error.value < 0.06);
        assert_eq!((learned.trial.texts, learned.trial.unread, learned.lesson.version), (900, 3, 4));
        let again = learn(&some, &[], 3, PLAIN, (4, "m")).unwrap();
        assert_eq!(again.lesson, learned.lesson, "the same labels teach the same");
        let json = serde_json::to_string(&learned.lesson).unwrap();
        assert_eq!(serde_json::from_str::<Lesson>(&json).unwrap(), learned.lesson);
    }

    #[test]
    fn what_lies_beyond_the_labels_is_not_carried_away() {
        let mut some = inputs(LEAST_PER_LABEL);
        // One text of many has another value there; all that is known of such texts is this one.
        for (i, (input, _)) in some.iter_mut().enumerate() {
            input.values[0] = if i == 2 { 0.7 } else { 0.0 };
        }
        let lesson = learn(&some, &[], 0, PLAIN, (1, "m")).unwrap().lesson;
        let mut text = some[1].0.values.clone();
        let before = lesson.correction(&text);
        text[0] = 4.0;
        let after = lesson.correction(&text);
        assert!(before.iter().zip(after).all(|(b, a)| (b - a).abs() < 0.2), "{before:?} {after:?}");
    }

    #[test]
    fn mixed_answers_lean_to_a_side_where_nobody_labels_mixed() {
        let mut some = inputs(LEAST_PER_LABEL);
        for (input, label) in &mut some {
            input.scores = [0.0, 0.0, 0.0, 5.0];
            input.valences[3] = if *label == Label::Negative { -0.35 } else { 0.35 };
        }
        let trial = learn(&some, &[], 0, PLAIN, (1, "m")).unwrap().trial;
        assert!((trial.before.negative_recall.value - 1.0).abs() < 1e-9, "{trial:?}");
    }

    #[test]
    fn overconfidence_is_taken_back() {
        let mut readings = Vec::new();
        for i in 0..900 {
            let input = Input {
                values: vec![],
                scores: [3.5, 0.0, 0.0, 0.0],
                valences: [0.5, 0.0, -0.5, 0.0],
                shows_both: true,
            };
            let label = if i % 100 < 82 { Label::Positive } else { Label::Negative };
            readings.push((input.reading([0.01 * (i % 7) as f32, 0.0, 0.0, 0.0]), label));
        }
        let calibration = calibrated(readings.iter());
        let told = calibration.of(readings[0].0.probability());
        assert!((told - 0.82).abs() < 0.04, "{calibration:?} {told}");
    }

    #[test]
    fn noise_teaches_nothing_that_is_taken() {
        let mut some = inputs(LEAST_PER_LABEL);
        // The model is right already, and nothing in the inputs says more.
        for (i, (input, label)) in some.iter_mut().enumerate() {
            input.values[5] = (i % 7) as f32;
            input.scores = std::array::from_fn(|at| if at == place(*label) { 2.0 } else { 0.0 });
        }
        let trial = learn(&some, &[], 0, PLAIN, (1, "m")).unwrap().trial;
        assert!(!trial.is_better() && trial.verdict().starts_with("not better enough"), "{trial:?}");
    }
}
