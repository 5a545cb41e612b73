//! That an LLM could not be asked, and why.

use chrono::{DateTime, Utc};
use undertone_core::Verdict;
use undertone_core::cascade::NoAnswer;
use undertone_core::gate::DeferReason;
use undertone_scoring::NoVerdict;

/// Why an LLM could not be asked about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// In the gate's word.
    pub reason: DeferReason,
    /// For a person.
    pub detail: String,
    /// When asking again may be worth it, where that is known.
    pub until: Option<DateTime<Utc>>,
}

impl Unavailable {
    /// Why the LLM could not be asked about the text of this `answer`; `None` where it was, or did not have to be. The cascade answers with
    /// the embedded model's verdict all the same, where there is one.
    pub fn of(answer: &Result<Verdict, NoVerdict>) -> Option<Self> {
        match answer {
            Err(NoVerdict::Unavailable { reason, detail, until }) => {
                Some(Self { reason: *reason, detail: detail.clone(), until: *until })
            }
            Err(_) => None,
            Ok(verdict) => {
                let unanswered = verdict.cascade.as_ref()?.unanswered.as_ref()?;
                let reason = match unanswered.reason {
                    NoAnswer::DailyTokenCap => DeferReason::DailyTokenCap,
                    NoAnswer::MonthlyBudget => DeferReason::MonthlyBudget,
                    NoAnswer::NoKey => DeferReason::NoKey,
                    NoAnswer::LlmUnavailable => DeferReason::LlmUnavailable,
                    // It was asked.
                    NoAnswer::Refused | NoAnswer::Failed => return None,
                };
                Some(Self { reason, detail: unanswered.detail.clone(), until: unanswered.until })
            }
        }
    }

    /// What a person reads beside the verdict that was given without the LLM.
    pub fn told(&self) -> String {
        format!("the LLM could not be asked: {}", self.detail)
    }
}
