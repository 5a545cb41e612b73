//! What the cascade did with the texts of some days, added up.

use serde::{Deserialize, Serialize};

use crate::Verdict;
use crate::verdict::ScorerKind;

/// What the cascade did with some texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Verdicts given.
    pub verdicts: u64,
    /// Of them, those the LLM was to be asked about.
    pub asked: u64,
    /// Of those asked about, those without an answer: the embedded model's verdict stands.
    pub unanswered: u64,
    /// Verdicts of the LLM whose label is not the embedded model's.
    pub changed: u64,
    /// Verdicts of the LLM that contradict the embedded model's, in label or score.
    pub disagreed: u64,
    /// Tokens the LLM read for the verdicts that stand, from a cache or not.
    pub tokens_in: u64,
    /// Tokens it wrote for them.
    pub tokens_out: u64,
    /// What these cost, in millionths of a US dollar.
    pub cost_micros: u64,
}

/// What was not spent because the embedded model's verdict was enough: an estimate, rounded to whole numbers. Texts that the LLM was asked
/// about shared fewer requests than all of them would have, so that it is rather too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spared {
    /// Texts the LLM was not asked about.
    pub texts: u64,
    /// Texts it answered, of which the means are.
    pub answered: u64,
    /// Tokens that one of those took; `None` where there is none to go by.
    pub tokens_each: Option<u64>,
    /// Tokens not used.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar not spent; 0 where the model has no price.
    pub cost_micros: Option<u64>,
}

impl Sums {
    /// What one verdict adds; nothing where the cascade did not make it.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        let Some(cascade) = &verdict.cascade else { return Self::default() };
        let made = &verdict.provenance;
        let second = made.scorer != ScorerKind::Local;
        let of_second = |count: u64| if second { count } else { 0 };
        let changed = cascade.first.as_ref().is_some_and(|first| first.label != verdict.label);
        Self {
            verdicts: 1,
            asked: cascade.why.is_some().into(),
            unanswered: cascade.unanswered.is_some().into(),
            changed: changed.into(),
            disagreed: verdict.disagrees().into(),
            tokens_in: of_second(made.tokens_in.into()),
            tokens_out: of_second(made.tokens_out.into()),
            cost_micros: of_second(made.cost_micros),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            verdicts: self.verdicts.saturating_add(other.verdicts),
            asked: self.asked.saturating_add(other.asked),
            unanswered: self.unanswered.saturating_add(other.unanswered),
            changed: self.changed.saturating_add(other.changed),
            disagreed: self.disagreed.saturating_add(other.disagreed),
            tokens_in: self.tokens_in.saturating_add(other.tokens_in),
            tokens_out: self.tokens_out.saturating_add(other.tokens_out),
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
        }
    }

    /// What was not spent because the LLM was not asked about some of the texts: as many times the mean of those it answered. `None` where the
    /// cascade gave no verdict.
    #[must_use]
    pub fn spared(self) -> Option<Spared> {
        let answered = self.asked.saturating_sub(self.unanswered);
        let texts = self.verdicts.saturating_sub(self.asked);
        let times = |sum: u64, by: u64| {
            let product = u128::from(sum) * u128::from(by) + u128::from(answered) / 2;
            (answered > 0).then(|| u64::try_from(product / u128::from(answered)).unwrap_or(u64::MAX))
        };
        let tokens = self.tokens_in.saturating_add(self.tokens_out);
        (self.verdicts > 0).then(|| Spared {
            texts,
            answered,
            tokens_each: times(tokens, 1),
            tokens: times(tokens, texts),
            cost_micros: times(self.cost_micros, texts),
        })
    }

    /// The part of all verdicts that the LLM was to be asked about, 0..=1; 0 where there are none.
    #[must_use]
    pub fn asked_share(self) -> f64 {
        if self.verdicts == 0 { 0.0 } else { self.asked as f64 / self.verdicts as f64 }
    }
}
