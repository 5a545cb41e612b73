//! The shape an answer must have, as JSON schema, and what it may take.
//!
//! It holds only what every provider's grammar knows: no ranges, no lengths, nothing optional; the ranges are kept by
//! [`answer`](super::answer). It does not depend on how many items are asked about: a provider forgets what it cached when the schema
//! changes. Tenants with the default categories share it, one with categories of its own has its own.
//!
//! What is seen comes before what is concluded, since a model writes in this order.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use undertone_core::category::SUPPORT;
use undertone_core::{Category, CategoryId, Label, Urgency};

/// The emotions an answer may name, those the embedded model knows. `neutral` stands for none.
pub const EMOTIONS: [&str; 10] = [
    "frustration",
    "anger",
    "disappointment",
    "confusion",
    "worry",
    "sadness",
    "gratitude",
    "relief",
    "joy",
    "neutral",
];

/// An answer of several items takes at most this: five quotes, four aspects and a summary in a language with short tokens.
const TOKENS_PER_ITEM: u32 = 800;
/// What stands around the answers.
const TOKENS_AROUND: u32 = 200;
/// A smaller limit is known to end within a word.
const LEAST_TOKENS: u32 = 1024;
/// No model in use writes more in one answer.
pub(crate) const MOST_TOKENS: u32 = 64_000;

/// The schema of an answer to a tenant with `categories`; empty stands for the default list.
#[must_use]
pub fn schema(categories: &[Category]) -> Value {
    let ids = category_ids(categories);
    let category = one_of(&ids.iter().map(CategoryId::as_str).collect::<Vec<_>>());
    let (text, whole, flag) =
        (json!({"type": "string"}), json!({"type": "integer"}), json!({"type": "boolean"}));
    let evidence = object(&[("quote", &text), ("weight", &whole)]);
    let aspect = object(&[("category", &category), ("score", &whole), ("quote", &text)]);
    let emotion = one_of(&EMOTIONS);
    let strength = object(&[("emotion", &emotion), ("strength", &whole)]);
    let answer = object(&[
        ("index", &whole),
        ("language", &text),
        ("evidence", &list(&evidence)),
        ("aspects", &list(&aspect)),
        ("emotions", &list(&strength)),
        ("emotion", &emotion),
        ("sarcasm", &flag),
        ("ambiguous", &flag),
        ("label", &one_of(&Label::ALL.map(Label::as_str))),
        ("score", &whole),
        ("confidence", &whole),
        ("urgency", &one_of(&Urgency::ALL.map(Urgency::as_str))),
        ("category", &category),
        ("summary", &text),
    ]);
    object(&[("answers", &list(&answer))])
}

/// A hash of [`schema`], 16 hexadecimal digits: the same for the same categories in the same order, on every machine and release that did not
/// change the schema.
#[must_use]
pub fn hash(categories: &[Category]) -> String {
    let digest = Sha256::digest(schema(categories).to_string());
    format!("{digest:x}").chars().take(16).collect()
}

/// The categories an answer may name: the tenant's or, without them, the default list; `other` always.
#[must_use]
pub fn category_ids(categories: &[Category]) -> Vec<CategoryId> {
    let mut ids: Vec<CategoryId> = match categories {
        [] => SUPPORT.iter().filter_map(|(id, _)| CategoryId::new(id)).collect(),
        own => own.iter().map(|category| category.id.clone()).collect(),
    };
    if !ids.contains(&CategoryId::other()) {
        ids.push(CategoryId::other());
    }
    ids
}

/// Tokens an answer to `items` texts may take, twice that after an answer was cut off; between 1,024 and 64,000.
#[must_use]
pub fn answer_tokens(items: usize, doubled: bool) -> u32 {
    let items = u32::try_from(items).unwrap_or(u32::MAX);
    let once = TOKENS_PER_ITEM.saturating_mul(items).saturating_add(TOKENS_AROUND).max(LEAST_TOKENS);
    once.saturating_mul(if doubled { 2 } else { 1 }).min(MOST_TOKENS)
}

fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn list(of: &Value) -> Value {
    json!({"type": "array", "items": of})
}

/// An object with exactly these properties, all of them required.
fn object(properties: &[(&str, &Value)]) -> Value {
    let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(ids: &[&str]) -> Vec<Category> {
        ids.iter()
            .map(|id| Category {
                id: CategoryId::new(id).unwrap(),
                name: "words".to_owned(),
                examples: vec![],
            })
            .collect()
    }

    /// Fails where `schema` holds what some provider's grammar does not know (reference, section 3), and counts its unions.
    fn check(schema: &Value) {
        let object = schema.as_object().unwrap();
        for (key, value) in object {
            match key.as_str() {
                "type" => assert!(value.is_string(), "a union: {value}"),
                "properties" => value.as_object().unwrap().values().for_each(check),
                "items" => check(value),
                "required" | "additionalProperties" => {}
                "enum" => {
                    assert!(
                        value.as_array().is_some_and(|e| !e.is_empty() && e.iter().all(Value::is_string))
                    );
                }
                other => panic!("{other} is not in every grammar"),
            }
        }
        if object["type"] == "object" {
            assert_eq!(object["additionalProperties"], false);
            let names: Vec<&str> =
                object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let required: Vec<&str> =
                object["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert_eq!(required, names, "everything is required, in its order");
        }
    }

    #[test]
    fn the_schema_stays_within_what_every_provider_knows() {
        check(&schema(&[]));
        check(&schema(&own(&["late_bus", "fares"])));
        insta::assert_snapshot!(serde_json::to_string_pretty(&schema(&[])).unwrap());
    }

    #[test]
    fn a_tenants_categories_replace_the_default_list_and_other_stays() {
        let ids = |categories: &[Category]| -> Vec<String> {
            category_ids(categories).into_iter().map(String::from).collect()
        };
        assert_eq!(ids(&own(&["late_bus", "fares"])), ["late_bus", "fares", "other"]);
        assert_eq!(ids(&own(&["other", "fares"])), ["other", "fares"]);
        assert_eq!(ids(&[]).len(), SUPPORT.len());
        let told = schema(&own(&["late_bus"]));
        let answer = &told["properties"]["answers"]["items"]["properties"];
        assert_eq!(answer["category"]["enum"], json!(["late_bus", "other"]));
        assert_eq!(answer["aspects"]["items"]["properties"]["category"], answer["category"]);
    }

    #[test]
    fn the_hash_tells_schemas_apart_and_is_the_same_tomorrow() {
        let (default, buses) = (hash(&[]), hash(&own(&["late_bus"])));
        assert_eq!(default, hash(&[]));
        assert_ne!(default, buses);
        assert_ne!(hash(&own(&["a", "b"])), hash(&own(&["b", "a"])));
        let mut renamed = own(&["late_bus"]);
        renamed[0].name = "other words".to_owned();
        assert_eq!(hash(&renamed), buses, "only ids are in the schema");
        insta::assert_snapshot!(format!("{default} {buses}"));
    }

    #[test]
    fn the_room_for_an_answer_grows_with_the_items_within_bounds() {
        assert_eq!(answer_tokens(0, false), 1024);
        assert_eq!(answer_tokens(1, false), 1024);
        assert_eq!(answer_tokens(8, false), 6600);
        assert_eq!(answer_tokens(8, true), 13_200);
        assert_eq!(answer_tokens(1, true), 2048);
        assert_eq!(answer_tokens(usize::MAX, true), MOST_TOKENS);
    }
}
