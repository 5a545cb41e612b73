//! Requests that wait in a provider's batch, for Claude: what they ask, and what their answers say. The same prompt, redaction and checks
//! as for a request that is answered at once; sending, waiting and paying are the caller's.
//!
//! An answer comes hours later, to somebody who has not kept what was sent. It is put together again from the same texts in the same order;
//! [`Prepared::digest`] tells whether that gave the same to the letter, without which a place in it means another one in the original.

use std::ops::Range;

use sha2::{Digest, Sha256};
use undertone_core::SkipReason;
use undertone_core::Verdict;
use undertone_core::usage::RequestSize;
use undertone_core::usage::price::Caching;
use undertone_core::verdict::{Coverage, Provenance, ScorerKind};

use super::{Asked, MOST_BYTES, MOST_TOGETHER, in_original, redacted, share};
use crate::llm::prompt::{Item, Question, VERSION, message};
use crate::llm::{Outcome, Reply, answer, claude, schema};
use crate::{Knowledge, NoVerdict, Utterance};

/// How long the provider keeps the rubric, which all requests of a batch share.
pub const CACHE: claude::CacheTime = claude::CacheTime::OneHour;

/// A request of a batch.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its `params`.
    pub params: serde_json::Value,
    /// What bounds its tokens.
    pub size: RequestSize,
    /// Whether it has its prompt cached.
    pub caching: Caching,
    /// Of the message with the texts, and of what the answer has to look like: 64 hexadecimal digits.
    pub digest: String,
}

/// How an answer came about.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// The model that was asked.
    pub model: &'a str,
    /// The prompt it was asked with, from [`prompt_version`].
    pub prompt_version: &'a str,
    /// What the request cost, in millionths of a US dollar.
    pub cost_micros: u64,
}

/// Why a text of a request has no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// The answer to several does not serve it: it is asked about alone. Why, for a person.
    Alone(String),
    /// It was asked about alone.
    No(NoVerdict),
}

/// What a verdict says of the prompt, for a tenant who told `knowledge`.
#[must_use]
pub fn prompt_version(knowledge: &Knowledge) -> String {
    format!("{VERSION}+{}", schema::hash(&knowledge.categories))
}

/// Texts in the order they came, cut into requests of at most `most`; of each its length in bytes is told, and whether it is asked about
/// alone.
///
/// ```
/// use undertone_scoring::llm::ask::batch::group;
/// let texts = [(100, false), (100, false), (100, true), (100, false), (30_000, false)];
/// assert_eq!(group(&texts, 8), [0..2, 2..3, 3..4, 4..5]);
/// ```
#[must_use]
pub fn group(texts: &[(usize, bool)], most: usize) -> Vec<Range<usize>> {
    let most = most.clamp(1, MOST_TOGETHER);
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut bytes, mut closed) = (0, true);
    for (at, (length, alone)) in texts.iter().enumerate() {
        let fits = !closed && !alone && bytes + length <= MOST_BYTES;
        if let Some(last) = groups.last_mut().filter(|last| fits && last.len() < most) {
            last.end = at + 1;
        } else {
            bytes = 0;
            groups.push(at..at + 1);
        }
        bytes += length;
        closed = *alone;
    }
    groups
}

/// The request about `utterances`, of which there must be one. One alone is given twice the room for its answer: the first may have been
/// cut off.
#[must_use]
pub fn prepare(utterances: &[Utterance], knowledge: &Knowledge, model: &str) -> Prepared {
    let asked = redacted(utterances.iter().enumerate().collect());
    let items: Vec<Item<'_>> = asked.iter().map(Asked::item).collect();
    let question = Question::new(&items, knowledge);
    let options =
        claude::Options { model: model.to_owned(), cache: Some(CACHE), doubled: utterances.len() == 1 };
    let params = claude::body(&question, &options);
    let schema = schema::schema(&knowledge.categories).to_string();
    let size = RequestSize {
        body_bytes: params.to_string().len(),
        schema_bytes: schema.len(),
        messages: 2,
        max_tokens: claude::max_tokens(&options, items.len()).into(),
    };
    let mut digest = Sha256::new();
    for part in [message(&question), schema] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    Prepared { params, size, caching: Caching::OneHour, digest: format!("{:x}", digest.finalize()) }
}

/// What `reply` says of each of `utterances`, those that were asked about together, in their order.
#[must_use]
pub fn verdicts(
    reply: &Reply,
    utterances: &[Utterance],
    knowledge: &Knowledge,
    made: Made<'_>,
) -> Vec<Result<Verdict, Unanswered>> {
    let alone = utterances.len() == 1;
    let all = |told: &str, no: NoVerdict| {
        let why = if alone { Unanswered::No(no) } else { Unanswered::Alone(told.to_owned()) };
        vec![Err(why); utterances.len()]
    };
    let failed = |told: &str| all(told, NoVerdict::Failed { detail: told.to_owned() });
    let text = match &reply.outcome {
        Outcome::Answer(text) => text,
        Outcome::Refused { .. } => return all("the model declined to answer", SkipReason::Refused.into()),
        Outcome::CutOff => return failed("the model's answer is longer than allowed"),
        Outcome::TooLong => return failed("the text is longer than the model can read"),
        Outcome::Nothing { stop } => return failed(&format!("the model answered nothing ({stop})")),
    };
    let asked = redacted(utterances.iter().enumerate().collect());
    let items: Vec<Item<'_>> = asked.iter().map(Asked::item).collect();
    let told = answer::read(text, &items, &knowledge.categories).items;
    let usage = reply.usage.unwrap_or_default();
    let count = utterances.len();
    asked
        .iter()
        .zip(told)
        .map(|(one, told)| {
            let again = |told: String| {
                let no = NoVerdict::Failed { detail: told.clone() };
                if alone { Unanswered::No(no) } else { Unanswered::Alone(told) }
            };
            let answered = told.map_err(|why| again(format!("the model's answer can not be used: {why}")))?;
            let provenance = Provenance {
                scorer: ScorerKind::Claude,
                model: made.model.to_owned(),
                model_version: reply.model.clone().unwrap_or_else(|| made.model.to_owned()),
                prompt_version: Some(made.prompt_version.to_owned()),
                language: answered.language.clone().unwrap_or_else(|| "und".to_owned()),
                tokens_in: share(usage.prompt(), one.at, count),
                tokens_out: share(usage.output, one.at, count),
                cost_micros: share(made.cost_micros, one.at, count).into(),
                // Nobody knows how long it took: it waited among others.
                duration_us: 0,
            };
            let coverage = Coverage { truncated: one.utterance.truncated, unread_percent: 0 };
            let verdict = answered.into_verdict(coverage, provenance);
            in_original(verdict, &one.redacted, &one.utterance.text).map_err(|why| again(why.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use undertone_core::{Label, Usage};

    use super::*;
    use crate::redact::Known;

    fn utterances(texts: &[&str]) -> Vec<Utterance> {
        texts.iter().map(|text| Utterance::message(text)).collect()
    }

    fn answer(index: usize, quote: &str, score: i64) -> serde_json::Value {
        json!({
            "index": index, "language": "en", "sarcasm": false, "ambiguous": false, "confidence": 80,
            "evidence": [{"quote": quote, "weight": -40}], "aspects": [], "emotions": [], "emotion": "frustration",
            "label": "negative", "score": score, "urgency": "low", "category": "other", "summary": "The customer complains.",
        })
    }

    fn reply(outcome: Outcome) -> Reply {
        let usage = Usage { input: 100, cache_read: 700, output: 41, ..Usage::default() };
        Reply { outcome, usage: Some(usage), model: Some("m-1".to_owned()), request_id: None }
    }

    const MADE: Made<'_> = Made { model: "m", prompt_version: "p", cost_micros: 33 };

    #[test]
    fn an_answer_is_put_together_again_from_the_same_texts() {
        let mut texts = utterances(&["Marlene Ostrowski here, late again!", "Where is it? So late."]);
        texts[0].known = Known { names: vec!["Marlene Ostrowski".to_owned()], ..Known::default() };
        let knowledge = Knowledge::default();
        let prepared = prepare(&texts, &knowledge, "claude-haiku-5-5");
        assert!(!prepared.params.to_string().contains("Marlene"));
        assert!(prepared.size.most_tokens() > prepared.params.to_string().len() as u64);
        assert_eq!(prepare(&texts, &knowledge, "claude-opus-5-5").digest, prepared.digest);
        // Anything else that is asked is another question.
        let mut other = texts.clone();
        other[1].occurred_at = DateTime::from_timestamp(1_800_000_000, 0);
        assert_ne!(prepare(&other, &knowledge, "m").digest, prepared.digest);
        assert_ne!(prepare(&texts[..1], &knowledge, "m").digest, prepared.digest);
        let told = json!({"answers": [answer(2, "So late", -60), answer(1, "late again", -50)]}).to_string();
        let read = verdicts(&reply(Outcome::Answer(told)), &texts, &knowledge, MADE);
        let first = read[0].as_ref().unwrap();
        assert_eq!((first.evidence[0].text.as_str(), first.evidence[0].span.start), ("late again", 24));
        let second = read[1].as_ref().unwrap();
        assert_eq!((second.label, second.score.get()), (Label::Negative, -60));
        assert_eq!(first.provenance.cost_micros + second.provenance.cost_micros, 33);
        assert_eq!(first.provenance.tokens_out + second.provenance.tokens_out, 41);
    }

    #[test]
    fn what_a_common_answer_does_not_serve_is_asked_about_alone() {
        let texts = utterances(&["Late again, I am tired of it.", "Where is it? So late."]);
        let knowledge = Knowledge::default();
        let told = json!({"answers": [answer(1, "Late again", -50), answer(2, "So late", 900)]}).to_string();
        let read = verdicts(&reply(Outcome::Answer(told)), &texts, &knowledge, MADE);
        assert!(read[0].is_ok() && matches!(&read[1], Err(Unanswered::Alone(_))));
        let refused = reply(Outcome::Refused { category: None });
        let read = verdicts(&refused, &texts, &knowledge, MADE);
        assert!(read.len() == 2 && read.iter().all(|r| matches!(r, Err(Unanswered::Alone(_)))));
        let alone = verdicts(&refused, &texts[..1], &knowledge, MADE);
        assert_eq!(alone, [Err(Unanswered::No(SkipReason::Refused.into()))]);
        let cut = verdicts(&reply(Outcome::CutOff), &texts[..1], &knowledge, MADE);
        assert!(matches!(&cut[0], Err(Unanswered::No(NoVerdict::Failed { .. }))));
    }

    #[test]
    fn one_that_is_alone_has_more_room() {
        let texts = utterances(&["Late again, I am tired of it.", "Where is it? So late."]);
        let most =
            |texts: &[Utterance]| prepare(texts, &Knowledge::default(), "claude-haiku-5-5").size.max_tokens;
        assert_eq!((most(&texts), most(&texts[..1])), (1800, 2048));
    }
}
