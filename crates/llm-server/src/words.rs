//! The answers of a script that says nothing else: a handful of word rules, **no model**. They only serve to show something plausible, and
//! every summary says what made it. "Not good" is praise to them.

use serde_json::{Value, json};

use crate::generate::{self, Place, kind};
use crate::script::ItemSeen;

/// What stands at the head of each summary.
pub const SIMULATED: &str = "Simulated by word rules, no model:";

const UP: [&str; 14] = [
    "thanks",
    "thank",
    "great",
    "good",
    "love",
    "loved",
    "happy",
    "perfect",
    "excellent",
    "helpful",
    "fast",
    "wonderful",
    "pleased",
    "solved",
];
const DOWN: [&str; 24] = [
    "not",
    "never",
    "bad",
    "late",
    "broken",
    "worst",
    "terrible",
    "awful",
    "angry",
    "refund",
    "cancel",
    "waiting",
    "slow",
    "wrong",
    "error",
    "fails",
    "failed",
    "disappointed",
    "unacceptable",
    "ridiculous",
    "hate",
    "lost",
    "problem",
    "nobody",
];
const PRESSING: [&str; 8] =
    ["urgent", "urgently", "immediately", "asap", "today", "lawyer", "unacceptable", "deadline"];

/// Words shown at most.
const MOST_WORDS: usize = 3;

/// An answer that follows the schema of the request; a sentence where there is none.
#[must_use]
pub fn answer(seen: &ItemSeen) -> Value {
    let Some(schema) = &seen.schema else {
        let reading = Reading::of(&seen.user);
        return Value::String(reading.summary());
    };
    let whole = Reading::of(seen.items.first().map_or(seen.user.as_str(), |item| item.text.as_str()));
    let readings: Vec<(i64, Reading<'_>)> =
        seen.items.iter().map(|item| (item.index, Reading::of(&item.text))).collect();
    generate::fill(schema, &seen.items, &|place| {
        let of_item = |index| readings.iter().find(|(known, _)| *known == index).map(|(_, reading)| reading);
        let reading = place.item.and_then(|item| of_item(item.index)).unwrap_or(&whole);
        reading.choose(place)
    })
}

/// What the rules make of a text.
struct Reading<'t> {
    lower: String,
    up: Vec<&'t str>,
    down: Vec<&'t str>,
    presses: bool,
}

impl<'t> Reading<'t> {
    fn of(text: &'t str) -> Self {
        let mut reading = Self { lower: text.to_lowercase(), up: vec![], down: vec![], presses: false };
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            let lower = word.to_lowercase();
            if UP.contains(&lower.as_str()) {
                reading.up.push(word);
            } else if DOWN.contains(&lower.as_str()) {
                reading.down.push(word);
            }
            reading.presses |= PRESSING.contains(&lower.as_str());
        }
        reading
    }

    /// -100..=100, inside the band of the label.
    fn score(&self) -> i64 {
        let count = |words: &[&str]| i64::try_from(words.len().min(4)).unwrap_or(4);
        let (up, down) = (count(&self.up), count(&self.down));
        match (up, down) {
            (0, 0) => 0,
            (_, 0) => 20 * up + 15,
            (0, _) => -20 * down - 15,
            _ => (up - down) * 15,
        }
    }

    fn label(&self) -> &'static str {
        match (self.up.is_empty(), self.down.is_empty()) {
            (true, true) => "neutral",
            (false, true) => "positive",
            (true, false) => "negative",
            (false, false) => "mixed",
        }
    }

    fn emotion(&self) -> &'static str {
        match self.label() {
            "positive" if self.lower.contains("thank") => "gratitude",
            "positive" => "joy",
            "neutral" => "neutral",
            _ if self.presses => "anger",
            _ => "frustration",
        }
    }

    fn urgency(&self) -> &'static str {
        match (self.presses, self.down.is_empty()) {
            (true, _) => "high",
            (false, false) => "medium",
            (false, true) => "low",
        }
    }

    fn summary(&self) -> String {
        let words: Vec<String> = self.shown().map(|word| format!("“{word}”")).collect();
        let because = if words.is_empty() { String::new() } else { format!(", for {}", words.join(", ")) };
        format!("{SIMULATED} reads as {}{because}.", self.label())
    }

    /// The words that decided, as they stand in the text.
    fn shown(&self) -> impl Iterator<Item = &'t str> {
        self.down.iter().chain(&self.up).copied().take(MOST_WORDS)
    }

    /// A value for a property with a telling name.
    fn choose(&self, place: &Place<'_>) -> Option<Value> {
        let name = place.name.to_lowercase();
        let has = |part: &str| name.contains(part);
        match kind(place.schema) {
            "integer" if has("confidence") => Some(json!(70)),
            "number" if has("confidence") => Some(json!(0.7)),
            "integer" if has("score") || has("sentiment") => Some(nearest(place.schema, self.score())),
            "number" if has("score") || has("sentiment") => Some(json!(self.score() as f64 / 100.0)),
            "array" if ["evidence", "keyword", "phrase", "quote"].iter().any(|part| has(part)) => {
                self.quotes(place)
            }
            // An enum needs no type.
            "string" | "" => {
                let word = if has("label") || has("sentiment") {
                    self.label()
                } else if has("emotion") {
                    self.emotion()
                } else if has("urgency") || has("priority") {
                    self.urgency()
                } else if has("category") || has("topic") {
                    return self.category(place.schema);
                } else if has("summary") || has("rationale") || has("reason") {
                    let free = kind(place.schema) == "string" && place.schema.get("enum").is_none();
                    return free.then(|| json!(self.summary()));
                } else {
                    return None;
                };
                allowed(place.schema, word)
            }
            _ => None,
        }
    }

    /// The words that decided, as texts or as objects with a text.
    fn quotes(&self, place: &Place<'_>) -> Option<Value> {
        let element = place.schema.get("items")?;
        let weight = |word: &str| if self.down.contains(&word) { -20 } else { 20 };
        let quotes = self.shown().map(|word| {
            place.fill(element, &|inner| match kind(inner.schema) {
                "string" if inner.schema.get("enum").is_none() => Some(json!(word)),
                "integer" if inner.name == "weight" => Some(json!(weight(word))),
                _ => None,
            })
        });
        Some(quotes.collect())
    }

    /// The category that the text names, or the one for the rest.
    fn category(&self, schema: &Value) -> Option<Value> {
        let known = || schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let named = known().find(|id| id.split('_').all(|word| self.lower.contains(word)));
        let rest = || known().find(|id| ["other", "general"].contains(id));
        named.or_else(rest).map(|id| json!(id))
    }
}

/// The word, if the schema allows it.
fn allowed(schema: &Value, word: &str) -> Option<Value> {
    match schema.get("enum").and_then(Value::as_array) {
        Some(words) => words.iter().find(|known| known.as_str() == Some(word)).cloned(),
        None => (kind(schema) == "string").then(|| json!(word)),
    }
}

/// The number, or what comes nearest to it of those the schema allows.
fn nearest(schema: &Value, number: i64) -> Value {
    let allowed = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_i64);
    json!(allowed.min_by_key(|known| known.abs_diff(number)).unwrap_or(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;

    fn answered(text: &str, properties: &Value) -> Value {
        let schema = json!({"type": "object", "properties": properties});
        answer(&ItemSeen {
            model: "m".into(),
            system: String::new(),
            user: text.into(),
            items: vec![Item { index: 0, text: text.into() }],
            schema: Some(schema),
            batched: false,
        })
    }

    #[test]
    fn a_plausible_answer_for_the_usual_names() {
        let properties = json!({
            "score": {"type": "integer"},
            "label": {"type": "string", "enum": ["positive", "neutral", "negative", "mixed"]},
            "confidence": {"type": "integer"},
            "dominant_emotion": {"type": "string"},
            "urgency": {"enum": ["low", "medium", "high"]},
            "category": {"type": "string", "enum": ["delivery", "billing_error", "other"]},
            "summary": {"type": "string"},
            "evidence": {"type": "array", "items": {"type": "string"}},
        });
        assert_eq!(
            answered("The parcel is LATE again, and nobody answers. Delivery is a joke!", &properties),
            json!({
                "score": -55, "label": "negative", "confidence": 70, "dominant_emotion": "frustration",
                "urgency": "medium", "category": "delivery",
                "summary": "Simulated by word rules, no model: reads as negative, for “LATE”, “nobody”.",
                "evidence": ["LATE", "nobody"],
            })
        );
        let told = answered("Thank you, great! But the refund is late.", &properties);
        assert_eq!((&told["label"], &told["score"]), (&json!("mixed"), &json!(0)));
        let told = answered("Please change my address.", &properties);
        assert_eq!((&told["label"], &told["category"]), (&json!("neutral"), &json!("other")));
    }

    #[test]
    fn other_shapes_of_the_same() {
        let told = answered(
            "I need this today, it is urgent: a billing error!",
            &json!({
                "sentiment": {"type": "number"},
                "confidence": {"type": "number"},
                "score_step": {"type": "integer", "enum": [-100, -50, 0, 50, 100]},
                "emotion": {"type": "string", "enum": ["rage"]},
                "priority": {"type": "string"},
                "topic": {"type": "string", "enum": ["delivery", "billing_error"]},
                "reason": {"type": "string", "enum": ["a"]},
                "quotes": {"type": "array", "items": {"type": "object", "properties": {
                    "quote": {"type": "string"}, "weight": {"type": "integer"}, "sure": {"type": "boolean"}}}},
            }),
        );
        assert_eq!(
            told,
            json!({
                "sentiment": -0.35, "confidence": 0.7, "score_step": -50, "emotion": "rage", "priority": "high",
                "topic": "billing_error", "reason": "a",
                "quotes": [{"quote": "error", "weight": -20, "sure": false}],
            })
        );
    }

    #[test]
    fn a_sentence_where_no_schema_is_given() {
        let seen = ItemSeen {
            model: "m".into(),
            system: String::new(),
            user: "Great!".into(),
            items: vec![],
            schema: None,
            batched: false,
        };
        assert_eq!(
            answer(&seen),
            json!("Simulated by word rules, no model: reads as positive, for “Great”.")
        );
    }
}
