//! From what a model wrote to what may be recorded. A model may be careless, cut off, or led by the customer whose text it read; nothing
//! of its answer is believed because of its tone.
//!
//! Each item is judged alone. What a verdict rests on (label, score, confidence, emotion, urgency, category, summary) is right or the
//! item is rejected with the reason; what supports it (quotes, aspects, further emotions) is kept as far as it is right and counted
//! where it is not (`counted`). Then whatever is left satisfies `Verdict::check` on the redacted text.

mod counted;
mod fields;
mod quote;
mod summary;
mod suspicion;

use serde_json::Value;
use undertone_core::verdict::{Aspect, Coverage, EmotionStrength, Evidence, Provenance, Suspicion};
use undertone_core::{Category, CategoryId, Confidence, Emotion, Label, Score, Urgency, Verdict};

use super::prompt::Item;
use super::schema::category_ids;
use crate::Utterance;
use quote::Source;
pub use summary::SummaryFault;

/// A score so many points outside the band of its label is moved to the band's edge; the label is what models are surest of. One that is
/// farther off contradicts the label, and nobody can tell which of the two is wrong.
pub const NEAR_BAND: i16 = 10;

/// What a model says of one text, checked. All spans are bytes of the redacted text.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Inside the label's band.
    pub score: Score,
    /// The sign of the feeling.
    pub label: Label,
    /// The model's own estimate, not calibrated; under [`Confidence::REVIEW_BELOW`] where anything is suspicious.
    pub confidence: Confidence,
    /// The emotion that dominates; it goes with the label.
    pub dominant_emotion: Emotion,
    /// Every emotion a model is asked about, strongest first.
    pub emotions: Vec<EmotionStrength>,
    /// How soon somebody should act.
    pub urgency: Urgency,
    /// The issue it is mainly about, one of those that were asked for.
    pub category: CategoryId,
    /// Feeling by issue, in the order of the text: at most six, one per category and side.
    pub aspects: Vec<Aspect>,
    /// One or two sentences, at most 400 characters.
    pub summary: String,
    /// The phrases that moved the score, strongest first, at most five that do not overlap.
    pub evidence: Vec<Evidence>,
    /// The main language, ISO 639-1, where the model named one.
    pub language: Option<String>,
    /// The words say the opposite of what is meant.
    pub sarcasm: bool,
    /// A careful reader could choose another label.
    pub ambiguous: bool,
    /// The score the model gave, where it was moved into the label's band.
    pub moved_from: Option<Score>,
    /// What was left out of the answer.
    pub dropped: Dropped,
    /// Why a person should look twice; empty for most.
    pub suspicions: Vec<Suspicion>,
}

impl Answered {
    /// The verdict, with what only the caller knows. Where spans were mapped back to the original text, the evidence's texts must have been
    /// taken from there too.
    #[must_use]
    pub fn into_verdict(self, coverage: Coverage, provenance: Provenance) -> Verdict {
        Verdict {
            score: self.score,
            label: self.label,
            confidence: self.confidence,
            dominant_emotion: self.dominant_emotion,
            emotions: self.emotions,
            urgency: self.urgency,
            category: self.category,
            aspects: self.aspects,
            summary: self.summary,
            outside: None,
            evidence: self.evidence,
            coverage,
            provenance,
            cascade: None,
            suspicions: self.suspicions,
        }
    }
}

/// What was left out of an answer that was otherwise used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Quotes that the text does not say.
    pub invented: usize,
    /// Quotes of somebody else: another speaker, quoted mail, a signature.
    pub others: usize,
    /// Entries of lists that are not of the shape, out of range, or name what was not asked for.
    pub malformed: usize,
    /// Entries beyond what a verdict holds, or that say the same again.
    pub surplus: usize,
}

/// Why an item has no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The whole answer is no JSON.
    #[error("the answer is no JSON: {detail}")]
    NotJson {
        /// Where it stops being any.
        detail: String,
    },
    /// The whole answer is other JSON than was asked for.
    #[error("the answer is not an object with a list of answers")]
    NotTheShape,
    /// It says nothing about this item.
    #[error("there is no answer for this item")]
    Missing,
    /// It speaks of this item more than once.
    #[error("there are {count} answers for this item")]
    Repeated {
        /// How often.
        count: usize,
    },
    /// A field is missing or of the wrong type.
    #[error("`{field}` is missing or is not {expected}")]
    WrongType {
        /// Which.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A number is out of range.
    #[error("`{field}` is {value}, outside {low} to {high}")]
    OutOfRange {
        /// Which.
        field: &'static str,
        /// The number given.
        value: i64,
        /// The lowest it may be.
        low: i64,
        /// The highest.
        high: i64,
    },
    /// A word is not among those asked for.
    #[error("`{field}` is none of the words asked for")]
    Unknown {
        /// Which.
        field: &'static str,
    },
    /// Score and label contradict each other.
    #[error("score {score} contradicts the label {label}")]
    ScoreAgainstLabel {
        /// The score given.
        score: i8,
        /// The label given.
        label: &'static str,
    },
    /// No emotion that is named goes with the label.
    #[error("the emotion {} contradicts the label {label}", .emotion.as_str())]
    EmotionAgainstLabel {
        /// The emotion given.
        emotion: Emotion,
        /// The label given.
        label: &'static str,
    },
    /// The summary may not be shown.
    #[error("{0}")]
    Summary(#[from] SummaryFault),
}

/// What one answer says of the items that were asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// For each item, in the order of the question.
    pub items: Vec<Result<Answered, Rejected>>,
    /// Answers for items that were not asked about, or that do not say for which; they are ignored.
    pub extra: usize,
}

/// A text gives orders to the scorer, or hides something: it is asked about alone, since a model that obeys could answer for its neighbours.
#[must_use]
pub fn is_suspicious(utterance: &Utterance) -> bool {
    !suspicion::of_text(&Source::new(&utterance.text, utterance.kind)).is_empty()
}

/// Reads what a model answered about `items`, with the `categories` of the question. Never fails as a whole: where nothing can be read, each
/// item has the reason. What is not believed is counted in the program's metrics.
///
/// ```
/// use undertone_scoring::Utterance;
/// use undertone_scoring::llm::answer::{Rejected, read};
/// use undertone_scoring::llm::prompt::Item;
///
/// let utterance = Utterance::message("Where is my parcel?");
/// let items = [Item::of(&utterance, &utterance.text)];
/// let told = read(r#"{"answers": []}"#, &items, &[]);
/// assert_eq!(told.items, [Err(Rejected::Missing)]);
/// ```
#[must_use]
pub fn read(answer: &str, items: &[Item<'_>], categories: &[Category]) -> Answers {
    let told = checked(answer, items, categories);
    counted::count(&told);
    told
}

fn checked(answer: &str, items: &[Item<'_>], categories: &[Category]) -> Answers {
    let all = |reason: Rejected| Answers { items: vec![Err(reason); items.len()], extra: 0 };
    let value: Value = match serde_json::from_str(payload(answer)) {
        Ok(value) => value,
        // The position says enough; nothing of the answer is in it.
        Err(error) => {
            let detail =
                format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
            return all(Rejected::NotJson { detail });
        }
    };
    let Some(told) = value.get("answers").and_then(Value::as_array) else {
        return all(Rejected::NotTheShape);
    };
    let mut by_item: Vec<Vec<&Value>> = vec![Vec::new(); items.len()];
    let mut extra = 0;
    for entry in told {
        let index = fields::whole(entry, "index").ok().and_then(|index| usize::try_from(index).ok());
        match index.filter(|index| (1..=items.len()).contains(index)) {
            Some(index) => by_item[index - 1].push(entry),
            None => extra += 1,
        }
    }
    let allowed = category_ids(categories);
    let items = items
        .iter()
        .zip(&by_item)
        .map(|(item, answers)| match answers.as_slice() {
            [] => Err(Rejected::Missing),
            [one] => fields::read(one, item, &allowed),
            several => Err(Rejected::Repeated { count: several.len() }),
        })
        .collect();
    Answers { items, extra }
}

/// The JSON in an answer. Servers that enforce no schema let models put it into a fence.
fn payload(answer: &str) -> &str {
    let answer = answer.trim_start_matches('\u{feff}').trim();
    let Some(inside) = answer.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else {
        return answer;
    };
    inside.strip_prefix("json").unwrap_or(inside).trim()
}

#[cfg(test)]
mod tests;
