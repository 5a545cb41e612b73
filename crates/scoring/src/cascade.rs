//! The embedded model answers; an LLM is asked about what it is unsure of.
//!
//! [`Cascade`] is a scorer made of two. What it did with a text stands in the verdict's `cascade` (`undertone_core::cascade::Cascaded`),
//! the provenance names whoever's verdict stands. For an evaluation, [`effect()`] takes the verdicts and the true labels and tells the
//! share asked, by which reason, what changed, how many were right before and after, tokens and cost; [`Sums::of`] adds up verdicts whose
//! truth nobody knows; [`advise`] finds the threshold for a budget.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use undertone_core::cascade::{Cascaded, FirstReading, NoAnswer, Unanswered};
use undertone_core::verdict::ScorerKind;
use undertone_core::{SkipReason, Verdict};

use crate::{Batch, NoVerdict, Scorer, Utterance};

pub use undertone_core::cascade::WhyAsked;
pub use undertone_core::cascade::advice::{Advice, NoAdvice, Readings, Step, Taken, advise};
pub use undertone_core::cascade::effect::{Effect, effect};
pub use undertone_core::cascade::sums::Sums;

/// Tokens that a verdict of an LLM takes, read and written, until there are bills of a tenant's own: what `examples/cascade.rs` measures for
/// a text that is asked about alone, by the local server's estimate of a token for every 3.5 bytes. It is the rubric, nearly all of it;
/// eight texts together share it and take some 700 each.
pub const STATED_TOKENS: u64 = 4000;

/// Two scorers one after the other.
///
/// The first reads every text. The second is asked, in one batch, about those
/// - whose customer's segment the tenant wants read by it ([`Utterance::always_llm`]),
/// - in a language the first was not validated on,
/// - where the first contradicts itself ([`Verdict::is_ambiguous`]),
/// - where the first's confidence is under the threshold.
///
/// Where the first declines for another reason (no words, nothing by the customer), nobody else is asked. Where the second gives no
/// verdict, the first's stands and says so; without one, the text has the second's reason, so that the tenant's `when_unavailable`
/// applies.
pub struct Cascade {
    /// Reads everything: the embedded model.
    pub local: Arc<dyn Scorer>,
    /// Is asked about some of it.
    pub llm: Arc<dyn Scorer>,
    /// Confidence in percent, 0..=100, under which the second is asked. 0: never for this reason.
    pub threshold: u8,
}

type Answer = Result<Verdict, NoVerdict>;

impl Cascade {
    async fn score_all(&self, batch: Batch) -> Vec<Answer> {
        let Batch { utterances, knowledge, model } = batch;
        let first =
            Batch { utterances: utterances.clone(), knowledge: knowledge.clone(), model: model.clone() };
        let first = as_many(self.local.score(first).await, utterances.len());
        let why: Vec<Option<WhyAsked>> =
            utterances.iter().zip(&first).map(|(utterance, answer)| self.why(utterance, answer)).collect();
        let asked: Vec<Utterance> =
            utterances.into_iter().zip(&why).filter_map(|(utterance, why)| why.map(|_| utterance)).collect();
        let second = match asked.len() {
            0 => Vec::new(),
            count => as_many(self.llm.score(Batch { utterances: asked, knowledge, model }).await, count),
        };
        let mut second = second.into_iter();
        let answers = first.into_iter().zip(why).map(|(first, why)| {
            let answer = why.and_then(|why| Some((why, second.next()?)));
            self.conclude(first, answer)
        });
        answers.collect()
    }

    /// Why the second is to be asked about a text, if it is.
    fn why(&self, utterance: &Utterance, first: &Answer) -> Option<WhyAsked> {
        match first {
            // Nobody else would find words either.
            Err(NoVerdict::Abstained { reason, .. }) if *reason != SkipReason::LanguageNotValidated => None,
            _ if utterance.always_llm => Some(WhyAsked::Always),
            Err(NoVerdict::Abstained { .. }) => Some(WhyAsked::Language),
            // What broke or is busy is tried again; it costs nothing.
            Err(_) => None,
            Ok(verdict) if verdict.is_ambiguous() => Some(WhyAsked::Ambiguous),
            Ok(verdict) => (verdict.confidence.get() < self.threshold).then_some(WhyAsked::Unsure),
        }
    }

    /// What stands in the end, by what the first said and, where it was asked, the second.
    fn conclude(&self, first: Answer, second: Option<(WhyAsked, Answer)>) -> Answer {
        let threshold = self.threshold;
        let cascaded = |why| Cascaded { threshold, why, first: None, unanswered: None };
        match (first, second) {
            (Ok(first), None) => Ok(Verdict { cascade: Some(cascaded(None)), ..first }),
            (Err(why), None) => Err(why),
            (first, Some((why, Ok(second)))) => {
                let first = first.ok().map(|first| FirstReading::of(&first));
                Ok(Verdict { cascade: Some(Cascaded { first, ..cascaded(Some(why)) }), ..second })
            }
            (Ok(first), Some((why, Err(reason)))) => {
                let unanswered = Some(unanswered(&reason));
                Ok(Verdict { cascade: Some(Cascaded { unanswered, ..cascaded(Some(why)) }), ..first })
            }
            (Err(_), Some((_, Err(reason)))) => Err(reason),
        }
    }
}

impl Scorer for Cascade {
    fn kind(&self) -> ScorerKind {
        ScorerKind::Cascade
    }

    fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Answer>> {
        self.score_all(batch).boxed()
    }
}

/// `answers`, as many as there were texts: a scorer that keeps its word answers each.
fn as_many(mut answers: Vec<Answer>, texts: usize) -> Vec<Answer> {
    answers.resize_with(texts, || Err(NoVerdict::failed("the scorer gave too few answers".to_owned())));
    answers
}

fn unanswered(why: &NoVerdict) -> Unanswered {
    let (reason, until) = match why {
        NoVerdict::Unavailable { reason, until, .. } => ((*reason).into(), *until),
        NoVerdict::Abstained { reason: SkipReason::Refused, .. } => (NoAnswer::Refused, None),
        NoVerdict::Busy => (NoAnswer::LlmUnavailable, None),
        NoVerdict::Abstained { .. } | NoVerdict::Failed { .. } => (NoAnswer::Failed, None),
    };
    Unanswered { reason, detail: why.to_string(), until }
}

#[cfg(test)]
mod tests;
