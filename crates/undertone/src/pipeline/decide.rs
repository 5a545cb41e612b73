//! What becomes of each interaction of a claimed batch: the gate's word, then the scorer's.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use undertone_core::gate::{Circumstances, Decision, DeferReason, decide};
use undertone_core::verdict::ScorerKind;
use undertone_core::{Settings, SkipReason, Verdict};
use undertone_scoring::{Batch, Knowledge, NoVerdict, Scorer, Utterance};
use undertone_store::queue::Claimed;
use undertone_store::record::{Finished, Outcome};

/// So often a text is begun before it is given up.
pub const MAX_ATTEMPTS: i64 = 5;

/// How long a text rests after each attempt that failed.
const REST: [TimeDelta; 4] =
    [TimeDelta::seconds(5), TimeDelta::seconds(30), TimeDelta::minutes(2), TimeDelta::minutes(10)];

/// How long what waits for an LLM rests.
const WAIT_FOR_LLM: TimeDelta = TimeDelta::minutes(5);

/// What a tenant's interactions are read by.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// The module is active.
    pub active: bool,
    /// What it is set to.
    pub settings: &'a Settings,
    /// What the tenant told of its language and concerns.
    pub knowledge: Arc<Knowledge>,
}

/// Decides about `claimed`, all of one tenant; answers in its order.
pub async fn conclude(
    scorer: &dyn Scorer,
    rules: &Rules<'_>,
    now: DateTime<Utc>,
    claimed: Vec<Claimed>,
) -> Vec<Finished> {
    let mut utterances = Vec::new();
    let outcomes: Vec<Option<Outcome>> = claimed
        .iter()
        .map(|one| match before_scoring(one, rules, now) {
            Ok(read_bytes) => {
                utterances.push(Utterance::of(&one.interaction, read_bytes));
                None
            }
            Err(outcome) => Some(outcome),
        })
        .collect();
    let mut answers = if utterances.is_empty() {
        Vec::new()
    } else {
        let (knowledge, model) = (rules.knowledge.clone(), rules.settings.model.clone());
        scorer.score(Batch { utterances, knowledge, model }).await
    }
    .into_iter();
    claimed
        .into_iter()
        .zip(outcomes)
        .map(|(claimed, outcome)| {
            let outcome = outcome.unwrap_or_else(|| {
                let none = || NoVerdict::Failed { detail: "the scorer gave too few answers".to_owned() };
                after_scoring(answers.next().unwrap_or_else(|| Err(none())), &claimed, now)
            });
            Finished { claimed, outcome }
        })
        .collect()
}

/// How much of the text is to be read, or what becomes of it unread.
fn before_scoring(one: &Claimed, rules: &Rules<'_>, now: DateTime<Utc>) -> Result<usize, Outcome> {
    let settings = rules.settings;
    if one.attempts > MAX_ATTEMPTS {
        let detail =
            format!("scoring was begun {MAX_ATTEMPTS} times and never finished; the process ended each time");
        return Err(Outcome::Failed { detail, retry_at: None });
    }
    let circumstances = Circumstances {
        module_active: rules.active,
        opted_out: one.opted_out,
        // No LLM is built in yet: whoever chose one gets what `when_unavailable` says.
        llm_unusable: (settings.scorer != ScorerKind::Local).then_some(DeferReason::NoKey),
    };
    match decide(&one.interaction, settings, circumstances) {
        Decision::Score { read_bytes, .. } => Ok(read_bytes),
        Decision::Skip(reason) => Err(Outcome::Skipped { reason, detail: None }),
        Decision::Defer(reason) => {
            Err(Outcome::Deferred { reason: reason.into(), until: now + WAIT_FOR_LLM })
        }
    }
}

fn after_scoring(answer: Result<Verdict, NoVerdict>, claimed: &Claimed, now: DateTime<Utc>) -> Outcome {
    match answer {
        Ok(verdict) => match verdict.check(&claimed.interaction.text) {
            Ok(()) => Outcome::Scored(Box::new(verdict)),
            Err(invalid) => broke(format!("the scorer's answer can not be used: {invalid}"), claimed, now),
        },
        Err(NoVerdict::Abstained { reason, language }) => Outcome::Skipped {
            reason,
            detail: language
                .filter(|_| reason == SkipReason::LanguageNotValidated)
                .map(|language| format!("the text seems to be in “{language}”")),
        },
        Err(NoVerdict::Busy) => {
            let retry_at = Some(now + TimeDelta::seconds(1));
            Outcome::Failed { detail: "the scorer was busy".to_owned(), retry_at }
        }
        Err(NoVerdict::Failed { detail } | NoVerdict::Unavailable { detail, .. }) => broke(detail, claimed, now),
    }
}

/// Tries again later, or no more.
pub fn broke(detail: String, claimed: &Claimed, now: DateTime<Utc>) -> Outcome {
    let rest = usize::try_from(claimed.attempts - 1).ok().and_then(|n| REST.get(n));
    Outcome::Failed { detail, retry_at: rest.map(|rest| now + *rest) }
}
