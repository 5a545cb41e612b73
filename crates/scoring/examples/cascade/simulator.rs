//! The LLM: the local server, which knows the labels and answers a tenth of the texts with another one.

use std::collections::HashMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use undertone_core::Label;
use undertone_llm_server::{Item, ItemSeen};
use undertone_scoring::Utterance;
use undertone_scoring::llm::prompt;
use undertone_scoring::redact::{Known, Redactor};

use crate::provider::fenced;

/// One text in so many gets another label than its own.
const NOISE: u64 = 10;

/// What the server answers, by text as it leaves the machine.
pub struct Gold(HashMap<String, Label>);

impl Gold {
    /// Of texts and their labels.
    pub fn of(utterances: &[Utterance], labels: &[Label]) -> Self {
        let noisy = |utterance: &Utterance, label: &Label| {
            let key = key(&as_sent(utterance));
            let said = said(&key, *label);
            (key, said)
        };
        Self(utterances.iter().zip(labels).map(|(utterance, label)| noisy(utterance, label)).collect())
    }

    /// The answer to a request. A text that is not known gets a label that follows from its bytes, which says nothing.
    pub fn answer(&self, seen: &ItemSeen) -> Value {
        let one = |item: &Item| {
            let key = key(&item.text);
            let label = self.0.get(&key).copied().unwrap_or_else(|| said(&key, Label::Negative));
            answer(item, label)
        };
        json!({"answers": seen.items.iter().map(one).collect::<Vec<_>>()})
    }
}

/// The text as the server finds it in a request that is about this one alone.
fn as_sent(utterance: &Utterance) -> String {
    let redacted = Redactor::new(&Known::default()).redact(&utterance.text);
    let items = [prompt::Item::of(utterance, &redacted.text)];
    let message = prompt::message(&prompt::Question { items: &items, categories: &[], phrases: &[] });
    fenced(&message).into_iter().next().map_or_else(String::new, |item| item.text)
}

/// A text without the digits: placeholders are numbered by what else stands in a request.
fn key(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The label, or for one text in [`NOISE`] another one; always the same for the same text.
fn said(key: &str, label: Label) -> Label {
    let digest = Sha256::digest(key);
    let number = digest.iter().take(7).fold(0_u64, |number, byte| number * 256 + u64::from(*byte));
    let others: Vec<Label> = Label::ALL.into_iter().filter(|other| *other != label).collect();
    if number % NOISE > 0 { label } else { others[(number / NOISE) as usize % others.len()] }
}

/// About as long as those of the prompt's worked examples, which take 174 tokens each by the server's estimate.
fn answer(item: &Item, label: Label) -> Value {
    let words: Vec<&str> = item.text.lines().next().unwrap_or_default().split_inclusive(' ').collect();
    let quotes = |from: usize| words.iter().skip(from).take(5).copied().collect::<String>().trim().to_owned();
    let (first, second) = (quotes(0), quotes(5));
    let (score, emotion) = match label {
        Label::Positive => (55, "gratitude"),
        Label::Negative => (-55, "frustration"),
        Label::Mixed => (-10, "disappointment"),
        Label::Neutral => (0, "neutral"),
    };
    let evidence = match label {
        Label::Neutral => json!([]),
        _ => json!([{"quote": first, "weight": score}, {"quote": second, "weight": score / 2}]),
    };
    let word = label.as_str();
    json!({
        "index": item.index, "language": "en", "evidence": evidence,
        "aspects": [{"category": "customer_service", "score": score, "quote": first}],
        "emotions": [{"emotion": emotion, "strength": 60}], "emotion": emotion, "sarcasm": false, "ambiguous": false,
        "label": word, "score": score, "confidence": 85, "urgency": "medium", "category": "customer_service",
        "summary": format!("The customer's feeling is {word}: about how they were dealt with, what they expected, and what follows."),
    })
}
