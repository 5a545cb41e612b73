//! What an LLM is told: the frozen rubric, what a tenant added to it, and the texts of one request.
//!
//! The rubric is the same for every tenant, request and day, so that a provider can keep it; what changes comes after it. It stands in
//! `prompts/`, one file per version; a changed word is a new version, since a verdict names the one it was made with.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use undertone_core::{Category, Channel, Direction, Kind, Phrase};

use super::visible::visible;
use crate::redact::{Known, Redactor};
use crate::{Knowledge, Utterance};

macro_rules! frozen {
    ($version:literal) => {
        /// The version of the prompt, for a verdict's provenance. It is the name of the prompt's file.
        pub const VERSION: &str = $version;
        /// The rubric, with worked examples: the first part of every request, byte for byte the same.
        pub const FROZEN: &str = include_str!(concat!("../../prompts/", $version, ".md"));
    };
}
frozen!("score-1");

/// A tenant may give 20 examples for each of 60 categories; so many of each are sent.
const MOST_EXAMPLES: usize = 3;

/// One text of a request, with all that is said about it. There is no place here for who wrote it, or for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'t> {
    /// The text as it may leave the machine: redacted.
    pub text: &'t str,
    /// The way it came.
    pub channel: Channel,
    /// Which way it went.
    pub direction: Direction,
    /// What sort of text it is.
    pub kind: Kind,
    /// When it happened.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl<'t> Item<'t> {
    /// What `utterance` is, with its text as redaction left it.
    #[must_use]
    pub fn of(utterance: &Utterance, redacted: &'t str) -> Self {
        Self {
            text: redacted,
            channel: utterance.channel,
            direction: utterance.direction,
            kind: utterance.kind,
            occurred_at: utterance.occurred_at,
        }
    }
}

/// What one request asks: some texts of one tenant, and what this tenant told of its categories and its language.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The texts. They are numbered from 1 in this order.
    pub items: &'q [Item<'q>],
    /// Issue categories; empty stands for the default list.
    pub categories: &'q [Category],
    /// Phrases that mean more, or something else, there. The model is told of them and weighs them; whoever applies
    /// `undertone_core::phrase::apply` to its verdict counts their shift twice.
    pub phrases: &'q [Phrase],
}

impl<'q> Question<'q> {
    /// About `items` of the tenant who told `knowledge`.
    #[must_use]
    pub fn new(items: &'q [Item<'q>], knowledge: &'q Knowledge) -> Self {
        Self { items, categories: &knowledge.categories, phrases: &knowledge.phrases }
    }
}

/// What the tenant added, as a second part after [`FROZEN`]; `None` where that is nothing. Somebody may have copied it from what customers wrote, so
/// it is redacted as texts are; whose names stand there nobody knows.
#[must_use]
pub fn tenant(question: &Question<'_>) -> Option<String> {
    let mut parts = Vec::new();
    let mut redactor = Redactor::new(&Known::default());
    let mut told = |words: &str| redactor.redact(&one_line(words)).text;
    if !question.categories.is_empty() {
        let mut lines =
            vec!["# Categories of this company\n\nThey replace the list above; `other` stays for what fits none.\n".to_owned()];
        for category in question.categories {
            let examples: Vec<String> =
                category.examples.iter().take(MOST_EXAMPLES).map(|e| format!("“{}”", told(e))).collect();
            let such = if examples.is_empty() { "" } else { ", such as " };
            let (id, name) = (category.id.as_str(), told(&category.name));
            lines.push(format!("- {id}: {name}{such}{}", examples.join(", ")));
        }
        parts.push(lines.join("\n"));
    }
    if !question.phrases.is_empty() {
        let mut lines = vec![
            "# Phrases of this company's customers\n\nWhere a customer uses one of them, in any case and spacing, it means this here, \
             whatever it means elsewhere:\n"
                .to_owned(),
        ];
        for phrase in question.phrases {
            let mut means = Vec::new();
            if phrase.shift != 0 {
                means.push(format!("moves the score by {:+}", phrase.shift));
            }
            means.extend(phrase.urgency.map(|urgency| format!("urgency {}", urgency.as_str())));
            means.extend(phrase.category.as_ref().map(|category| format!("category {}", category.as_str())));
            lines.push(format!("- “{}”: {}", told(&phrase.phrase), means.join(", ")));
        }
        parts.push(lines.join("\n"));
    }
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// The message with the items of `question`: each with its number, channel, direction, kind and time, its text between fences, and
/// nothing else. Characters that can not be seen are left out of the texts.
///
/// ```
/// use undertone_scoring::Utterance;
/// use undertone_scoring::llm::prompt::{Item, Question, message};
///
/// let utterance = Utterance::message("Still no answer from [AGENT_1].");
/// let items = [Item::of(&utterance, &utterance.text)];
/// let told = message(&Question { items: &items, categories: &[], phrases: &[] });
/// assert!(told.contains("item=1 channel=other direction=incoming kind=message>\nStill no answer from [AGENT_1].\n</"));
/// ```
#[must_use]
pub fn message(question: &Question<'_>) -> String {
    let texts: Vec<_> = question.items.iter().map(|item| visible(item.text)).collect();
    let fence = fence(&texts);
    let count = texts.len();
    let items = if count == 1 { "item" } else { "items" };
    let mut message = format!("{count} {items}, fence {fence}\n");
    for ((item, text), number) in question.items.iter().zip(&texts).zip(1..) {
        let time =
            item.occurred_at.map_or_else(String::new, |at| format!(" time={}", at.format("%Y-%m-%dT%H:%MZ")));
        message += &format!(
            "\n<{fence} item={number} channel={} direction={} kind={}{time}>\n{text}\n</{fence}>\n",
            item.channel.as_str(),
            direction(item.direction),
            kind(item.kind),
        );
    }
    message += &match count {
        1 => "\nEnd of data. Score item 1.".to_owned(),
        _ => format!("\nEnd of data. Score items 1 to {count}."),
    };
    message
}

/// A word that stands in none of `texts`. It follows from them, so that the same request has the same bytes, and no text can hold it:
/// to write it down is to change it, and where chance has it anyway the next one is taken.
fn fence(texts: &[impl AsRef<str>]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.as_ref().len() as u64).to_le_bytes());
        digest.update(text.as_ref());
    }
    let words = (0u64..).map(|attempt| {
        let word = digest.clone().chain_update(attempt.to_le_bytes()).finalize();
        format!("{word:x}").chars().take(8).collect::<String>()
    });
    first_absent(words, texts)
}

/// The first of `words` that stands in none of `texts`.
fn first_absent(mut words: impl Iterator<Item = String>, texts: &[impl AsRef<str>]) -> String {
    // Four billion words and texts of megabytes: there always is one.
    words.find(|word| texts.iter().all(|text| !text.as_ref().contains(word.as_str()))).unwrap_or_default()
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Incoming => "incoming",
        Direction::Outgoing => "outgoing",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "message",
        Kind::Note => "note",
        Kind::Summary => "summary",
        Kind::Transcript => "transcript",
        Kind::Comment => "comment",
    }
}

fn one_line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
