//! Two scorers one after the other: the embedded model reads every text, an LLM is asked about those it is unsure of. Here is what of that
//! is kept with a verdict. [`advice`] says which threshold fits a budget, [`sums`] what a report adds up, [`effect`] what the second
//! scorer did to texts whose label is known.

pub mod advice;
pub mod effect;
pub mod sums;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::gate::DeferReason;
use crate::verdict::ScorerKind;
use crate::{Confidence, Label, Score, Verdict};

/// Two readings with the same label differ where their scores are farther apart than this, in points: the width of the neutral band, from
/// where a feeling begins to where the opposite does.
pub const SAME_SCORE: u8 = 2 * crate::verdict::NEUTRAL_BAND.unsigned_abs();

/// What the embedded model said of a text whose verdict is an LLM's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstReading {
    /// Who read it.
    pub scorer: ScorerKind,
    /// Its model, by name.
    pub model: String,
    /// The model's version.
    pub model_version: String,
    /// -100..=100.
    pub score: Score,
    /// The sign of the feeling.
    pub label: Label,
    /// Calibrated chance that the label is right.
    pub confidence: Confidence,
}

impl FirstReading {
    /// What is kept of `verdict`.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        Self {
            scorer: verdict.provenance.scorer,
            model: verdict.provenance.model.clone(),
            model_version: verdict.provenance.model_version.clone(),
            score: verdict.score,
            label: verdict.label,
            confidence: verdict.confidence,
        }
    }

    /// The two contradict each other: the labels differ, or the scores by more than [`SAME_SCORE`].
    #[must_use]
    pub fn disagrees_with(&self, verdict: &Verdict) -> bool {
        self.label != verdict.label || self.score.get().abs_diff(verdict.score.get()) > SAME_SCORE
    }
}

/// Why an LLM is asked about a text. Where several reasons hold, the first of them here is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyAsked {
    /// The tenant wants it for this customer's segment.
    Always,
    /// The embedded model was not validated on the language.
    Language,
    /// The embedded model contradicts itself, see [`Verdict::is_ambiguous`].
    Ambiguous,
    /// Its confidence is under the threshold.
    Unsure,
}

impl WhyAsked {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Always, Self::Language, Self::Ambiguous, Self::Unsure];

    /// The word used in the store and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Language => "language",
            Self::Ambiguous => "ambiguous",
            Self::Unsure => "unsure",
        }
    }
}

/// Why there is no answer of the LLM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAnswer {
    /// The day's tokens are used up.
    DailyTokenCap,
    /// The month's AI budget is used up.
    MonthlyBudget,
    /// There is no key.
    NoKey,
    /// It did not answer.
    LlmUnavailable,
    /// It declined to answer.
    Refused,
    /// What it answered can not be used.
    Failed,
}

impl From<DeferReason> for NoAnswer {
    fn from(reason: DeferReason) -> Self {
        match reason {
            DeferReason::DailyTokenCap => Self::DailyTokenCap,
            DeferReason::MonthlyBudget => Self::MonthlyBudget,
            DeferReason::NoKey => Self::NoKey,
            DeferReason::LlmUnavailable => Self::LlmUnavailable,
        }
    }
}

/// That an LLM was to be asked and gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// Why.
    pub reason: NoAnswer,
    /// Why, for a person.
    pub detail: String,
    /// When asking again may be worth it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// How a verdict of the cascade came about. The verdict's provenance says whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cascaded {
    /// The LLM was to be asked where the embedded model's confidence was under this, 0..=100.
    pub threshold: u8,
    /// Why it was asked; `None`: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<WhyAsked>,
    /// What the embedded model had said; `None` where its verdict is the one that stands, or where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstReading>,
    /// Why the LLM gave none, so that the embedded model's stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Unanswered>,
}

impl Verdict {
    /// The scorer contradicts itself: the strongest emotion does not go with the label.
    ///
    /// Of 1,521 verdicts of the embedded model with a confidence of 70 or more, on messages its encoder never saw, 14 % are wrong; 39 have this
    /// mark, and 19 of them are wrong. Chosen by `bench/contradictions.py`.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.emotions.first().is_some_and(|e| !e.emotion.goes_with(self.label))
    }

    /// The cascade's two scorers contradict each other; a person should look.
    #[must_use]
    pub fn disagrees(&self) -> bool {
        let first = self.cascade.as_ref().and_then(|cascade| cascade.first.as_ref());
        first.is_some_and(|first| first.disagrees_with(self))
    }

    /// What the embedded model said of the text, whoever's verdict stands; `None` where it was not asked or had no verdict.
    #[must_use]
    pub fn first_label(&self) -> Option<Label> {
        match self.cascade.as_ref().and_then(|cascade| cascade.first.as_ref()) {
            Some(first) => Some(first.label),
            None => (self.provenance.scorer == ScorerKind::Local).then_some(self.label),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
