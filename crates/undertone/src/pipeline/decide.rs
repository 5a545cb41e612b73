//! What becomes of each interaction of a claimed batch: the gate's word, then the scorer's, and where an LLM can not be asked, what the
//! tenant chose for that.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use undertone_core::gate::{Circumstances, Decision, DeferReason, decide};
use undertone_core::settings::WhenUnavailable;
use undertone_core::verdict::{ScorerKind, Span};
use undertone_core::{Settings, SkipReason, Verdict};
use undertone_scoring::redact::{Known, Redactor};
use undertone_scoring::{Batch, Knowledge, NoVerdict, Scorer, Utterance};
use undertone_store::people::People;
use undertone_store::queue::Claimed;
use undertone_store::record::{Finished, Outcome};

use crate::llm::{Chosen, Unavailable};

/// So often a text is begun before it is given up.
pub const MAX_ATTEMPTS: i64 = 5;

/// How long a text rests after each attempt that failed.
const REST: [TimeDelta; 4] =
    [TimeDelta::seconds(5), TimeDelta::seconds(30), TimeDelta::minutes(2), TimeDelta::minutes(10)];

/// What waits for an LLM is not looked at again sooner.
const LEAST_WAIT: TimeDelta = TimeDelta::seconds(5);
/// How long it waits where nobody knows when the LLM answers again.
const WAIT: TimeDelta = TimeDelta::seconds(30);
/// What waits for money or a key is looked at this often: what it waits for may come sooner than the calendar says.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(5);
/// Nothing waits longer without being looked at.
const MOST_WAIT: TimeDelta = TimeDelta::days(1);

/// What a tenant's interactions are read by.
#[derive(Clone)]
pub struct Rules<'a> {
    /// The module is active.
    pub active: bool,
    /// What it is set to.
    pub settings: &'a Settings,
    /// What the tenant told of its language and concerns.
    pub knowledge: Arc<Knowledge>,
    /// The embedded model.
    pub local: &'a dyn Scorer,
    /// Whom the tenant's texts are put to.
    pub chosen: &'a Chosen,
}

/// Whether a text is read, and what came of it.
enum Step {
    /// It is read, by whom the tenant chose.
    Read(Utterance),
    /// It is read by the embedded model, because the LLM can not be asked.
    Instead(Utterance, Unavailable),
    /// It is decided about.
    Done(Outcome),
}

/// Decides about `claimed`, all of one tenant; answers in its order. `clock` tells the time: an LLM may take minutes. `people` are those that
/// the texts may name.
pub async fn conclude(
    rules: &Rules<'_>,
    clock: &(dyn Fn() -> DateTime<Utc> + Sync),
    people: &People,
    claimed: Vec<Claimed>,
) -> Vec<Finished> {
    let begun = clock();
    let steps: Vec<Step> = claimed.iter().map(|one| before_scoring(one, rules, people, begun)).collect();
    let steps = ask(rules, &claimed, steps, clock).await;
    let outcomes = read_instead(rules, &claimed, steps, clock).await;
    claimed.into_iter().zip(outcomes).map(|(claimed, outcome)| finished(claimed, outcome, people)).collect()
}

/// What is recorded of `claimed`. Of a verdict it is settled here what its summary may say outside: without the names of `people`.
pub fn finished(claimed: Claimed, mut outcome: Outcome, people: &People) -> Finished {
    if let Outcome::Scored(verdict) | Outcome::ScoredInstead { verdict, .. } = &mut outcome {
        let quoted: Vec<Span> = verdict.evidence.iter().map(|evidence| evidence.span).collect();
        let mut redactor = Redactor::new(&known(&claimed, people));
        verdict.outside = Some(redactor.redact_about(&verdict.summary, &claimed.interaction.text, &quoted));
    }
    Finished { claimed, outcome }
}

/// What is known of those whom the text of `one` may name.
fn known(one: &Claimed, people: &People) -> Known {
    let mut known = Known::default();
    for traces in people.of(one) {
        known.names.extend_from_slice(&traces.names);
        known.emails.extend_from_slice(&traces.emails);
        known.phones.extend_from_slice(&traces.phones);
    }
    known
}

/// The text of `one` as an LLM is asked about it, or what becomes of it unasked.
pub fn to_ask(
    one: &Claimed,
    rules: &Rules<'_>,
    people: &People,
    now: DateTime<Utc>,
) -> Result<Utterance, Outcome> {
    match before_scoring(one, rules, people, now) {
        Step::Read(utterance) => Ok(utterance),
        Step::Instead(_, why) => Err(waits(why, now)),
        Step::Done(outcome) => Err(outcome),
    }
}

/// Whether the text is to be read, or what becomes of it unread.
fn before_scoring(one: &Claimed, rules: &Rules<'_>, people: &People, now: DateTime<Utc>) -> Step {
    let settings = rules.settings;
    if one.attempts > MAX_ATTEMPTS {
        let detail =
            format!("scoring was begun {MAX_ATTEMPTS} times and never finished; the process ended each time");
        return Step::Done(Outcome::Failed { detail, retry_at: None });
    }
    let unusable = rules.chosen.unusable();
    let circumstances = Circumstances {
        module_active: rules.active,
        opted_out: one.opted_out,
        llm_unusable: unusable.as_ref().map(|unusable| unusable.reason),
    };
    match (decide(&one.interaction, settings, circumstances), unusable) {
        (Decision::Score { read_bytes, .. }, None) => Step::Read(utterance(one, rules, people, read_bytes)),
        (Decision::Score { read_bytes, .. }, Some(unusable)) => {
            Step::Instead(utterance(one, rules, people, read_bytes), unusable)
        }
        (Decision::Skip(reason), unusable) => {
            // Of another reason, such as a text that is too short, the LLM is not to blame.
            let detail = unusable.filter(|u| reason == u.reason.into()).map(|unusable| unusable.detail);
            Step::Done(Outcome::Skipped { reason, detail })
        }
        (Decision::Defer(reason), unusable) => {
            let why = || Unavailable { reason, detail: String::new(), until: None };
            Step::Done(waits(unusable.unwrap_or_else(why), now))
        }
    }
}

/// What of a text is read, and whom it may name.
pub fn utterance(one: &Claimed, rules: &Rules<'_>, people: &People, read_bytes: usize) -> Utterance {
    let settings = rules.settings;
    let always_llm =
        settings.scorer == ScorerKind::Cascade && settings.cascade_segments.contains(&one.segment);
    Utterance { known: known(one, people), always_llm, ..Utterance::of(&one.interaction, read_bytes) }
}

/// Puts what is to be read to whom the tenant chose.
async fn ask(
    rules: &Rules<'_>,
    claimed: &[Claimed],
    mut steps: Vec<Step>,
    clock: &(dyn Fn() -> DateTime<Utc> + Sync),
) -> Vec<Step> {
    let asked = steps.iter().filter_map(|step| match step {
        Step::Read(utterance) => Some(utterance.clone()),
        Step::Instead(..) | Step::Done(_) => None,
    });
    let scorer = match rules.chosen {
        Chosen::Llm(llm) => llm.as_ref(),
        Chosen::Local | Chosen::Unusable(_) => rules.local,
    };
    let mut answers = rules.score(scorer, asked.collect()).await;
    let now = clock();
    for (step, claimed) in steps.iter_mut().zip(claimed) {
        if let Step::Read(utterance) = step {
            let answer = answers.next().unwrap_or_else(none);
            let utterance = std::mem::replace(utterance, Utterance::message(""));
            *step = after_scoring(answer, utterance, rules, claimed, now);
        }
    }
    steps
}

/// Has the embedded model read what the LLM could not be asked about.
async fn read_instead(
    rules: &Rules<'_>,
    claimed: &[Claimed],
    steps: Vec<Step>,
    clock: &(dyn Fn() -> DateTime<Utc> + Sync),
) -> Vec<Outcome> {
    let mut read = Vec::new();
    let steps: Vec<Result<Outcome, Unavailable>> = steps
        .into_iter()
        .map(|step| match step {
            Step::Done(outcome) => Ok(outcome),
            Step::Read(_) => {
                Ok(Outcome::Failed { detail: "nobody read it".to_owned(), retry_at: Some(clock()) })
            }
            Step::Instead(utterance, why) => {
                read.push(utterance);
                Err(why)
            }
        })
        .collect();
    let mut answers = rules.score(rules.local, read).await;
    let now = clock();
    let outcome = |(step, claimed): (Result<Outcome, Unavailable>, &Claimed)| {
        step.unwrap_or_else(|why| instead(answers.next().unwrap_or_else(none), why, claimed, now))
    };
    steps.into_iter().zip(claimed).map(outcome).collect()
}

type Answer = Result<Verdict, NoVerdict>;

fn none() -> Answer {
    Err(NoVerdict::Failed { detail: "the scorer gave too few answers".to_owned() })
}

impl Rules<'_> {
    async fn score(&self, scorer: &dyn Scorer, utterances: Vec<Utterance>) -> std::vec::IntoIter<Answer> {
        if utterances.is_empty() {
            return Vec::new().into_iter();
        }
        let (knowledge, model) = (self.knowledge.clone(), self.settings.model.clone());
        scorer.score(Batch { utterances, knowledge, model }).await.into_iter()
    }
}

/// What follows from the answer of whom the tenant chose.
fn after_scoring(
    answer: Answer,
    utterance: Utterance,
    rules: &Rules<'_>,
    claimed: &Claimed,
    now: DateTime<Utc>,
) -> Step {
    let Some(why) = Unavailable::of(&answer) else {
        return Step::Done(match answer {
            Ok(verdict) => scored(verdict, None, claimed, now),
            Err(why) => without(why, claimed, now),
        });
    };
    match (rules.settings.when_unavailable, answer) {
        (WhenUnavailable::Wait, _) => Step::Done(waits(why, now)),
        (WhenUnavailable::Skip, _) => {
            Step::Done(Outcome::Skipped { reason: why.reason.into(), detail: Some(why.detail) })
        }
        // The cascade has the embedded model's verdict at hand.
        (WhenUnavailable::Local, Ok(verdict)) => Step::Done(scored(verdict, Some(why), claimed, now)),
        (WhenUnavailable::Local, Err(_)) => Step::Instead(utterance, why),
    }
}

/// What follows from the embedded model's answer, where the LLM could not be asked because of `why`.
fn instead(answer: Answer, why: Unavailable, claimed: &Claimed, now: DateTime<Utc>) -> Outcome {
    match answer {
        Ok(verdict) => scored(verdict, Some(why), claimed, now),
        Err(no_verdict) => match without(no_verdict, claimed, now) {
            Outcome::Skipped { reason, detail } => {
                let detail = detail.into_iter().chain([why.told()]).collect::<Vec<_>>().join("; ");
                Outcome::Skipped { reason, detail: Some(detail) }
            }
            outcome => outcome,
        },
    }
}

/// What follows from a verdict; of `why` the LLM was not asked.
pub fn scored(verdict: Verdict, why: Option<Unavailable>, claimed: &Claimed, now: DateTime<Utc>) -> Outcome {
    if let Err(invalid) = verdict.check(&claimed.interaction.text) {
        return broke(format!("the scorer's answer can not be used: {invalid}"), claimed, now);
    }
    let verdict = Box::new(verdict);
    match why {
        None => Outcome::Scored(verdict),
        Some(why) => Outcome::ScoredInstead { verdict, reason: why.reason.into(), detail: why.told() },
    }
}

/// It waits for the LLM. For a budget or a key not as long as the calendar says: a cap may be raised, a key set.
fn waits(why: Unavailable, now: DateTime<Utc>) -> Outcome {
    let (expected, most) = match why.reason {
        DeferReason::LlmUnavailable => (WAIT, MOST_WAIT),
        DeferReason::DailyTokenCap | DeferReason::MonthlyBudget | DeferReason::NoKey => {
            (LOOK_AGAIN, LOOK_AGAIN)
        }
    };
    let until = why.until.unwrap_or(now + expected).clamp(now + LEAST_WAIT, now + most);
    Outcome::Deferred { reason: why.reason.into(), detail: Some(why.detail), until }
}

/// What becomes of a text that has no verdict.
pub fn without(why: NoVerdict, claimed: &Claimed, now: DateTime<Utc>) -> Outcome {
    match why {
        NoVerdict::Abstained { reason, language } => Outcome::Skipped {
            reason,
            detail: language
                .filter(|_| reason == SkipReason::LanguageNotValidated)
                .map(|language| format!("the text seems to be in “{language}”")),
        },
        NoVerdict::Busy => {
            let retry_at = Some(now + TimeDelta::seconds(1));
            Outcome::Failed { detail: "the scorer was busy".to_owned(), retry_at }
        }
        NoVerdict::Failed { detail } | NoVerdict::Unavailable { detail, .. } => broke(detail, claimed, now),
    }
}

/// Tries again later, or no more.
pub fn broke(detail: String, claimed: &Claimed, now: DateTime<Utc>) -> Outcome {
    let rest = usize::try_from(claimed.attempts - 1).ok().and_then(|n| REST.get(n));
    Outcome::Failed { detail, retry_at: rest.map(|rest| now + *rest) }
}

#[cfg(test)]
mod tests;
