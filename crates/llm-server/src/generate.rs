//! Fills any JSON schema of the supported kind with valid values, so that an answer always fits, whoever wrote the schema.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use crate::script::Item;

/// Values of one answer; a schema that asks for more gets null from there on.
const MOST_VALUES: usize = 1_000_000;
/// Levels of one answer.
const DEEPEST: usize = 64;

/// A value that is wanted.
pub struct Place<'p> {
    /// The property it is for, or the one whose array it stands in.
    pub name: &'p str,
    /// What it must look like, references resolved.
    pub schema: &'p Value,
    /// The item it is about; none outside of the array of items.
    pub item: Option<&'p Item>,
    filler: &'p Filler<'p>,
}

impl Place<'_> {
    /// A value for another schema of the same document, about the same item: for who builds an array element by element.
    #[must_use]
    pub fn fill(&self, schema: &Value, choose: Choose<'_>) -> Value {
        let Filler { root, items, left, .. } = self.filler;
        Filler { root, items, choose, left: left.clone() }.value(self.name, schema, self.item, 0)
    }
}

/// Chooses a value, or leaves it to the generator.
pub type Choose<'c> = &'c dyn Fn(&Place<'_>) -> Option<Value>;

/// A value that follows `schema`. Where `choose` does not decide, it is the first of an enum, 0, false, null, the empty string (or an example
/// of its `format`; a `pattern` is not looked at), the first of `anyOf`, an object with all its properties, required ones first, and an
/// array as short as it may be. An array of objects with the property `index` has one for each of `items`.
#[must_use]
pub fn fill(schema: &Value, items: &[Item], choose: Choose<'_>) -> Value {
    Filler { root: schema, items, choose, left: Cell::new(MOST_VALUES) }.value("", schema, None, 0)
}

struct Filler<'f> {
    root: &'f Value,
    items: &'f [Item],
    choose: Choose<'f>,
    left: Cell<usize>,
}

impl Filler<'_> {
    fn value(&self, name: &str, schema: &Value, item: Option<&Item>, depth: usize) -> Value {
        if self.left.get() == 0 || depth > DEEPEST {
            return Value::Null;
        }
        self.left.set(self.left.get() - 1);
        let schema = self.resolved(schema);
        if let (Some(item), "index") = (item, name) {
            return json!(item.index);
        }
        if let Some(chosen) = (self.choose)(&Place { name, schema, item, filler: self }) {
            return chosen;
        }
        if let Some(only) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return only.clone();
        }
        if let Some(first) = schema["anyOf"].get(0) {
            return self.value(name, first, item, depth + 1);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.all_of(name, parts, item, depth);
        }
        match kind(schema) {
            "object" => self.object(schema, item, depth),
            "array" => self.array(name, schema, item, depth),
            "integer" | "number" => json!(0),
            "boolean" => json!(false),
            "string" => json!(example(schema["format"].as_str().unwrap_or_default())),
            _ => Value::Null,
        }
    }

    /// The schema a reference leads to.
    fn resolved<'s>(&'s self, mut schema: &'s Value) -> &'s Value {
        for _ in 0..DEEPEST {
            let Some(target) = schema["$ref"].as_str().and_then(|r| self.root.pointer(r.strip_prefix('#')?))
            else {
                break;
            };
            schema = target;
        }
        schema
    }

    fn object(&self, schema: &Value, item: Option<&Item>, depth: usize) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = || schema["properties"].as_object().into_iter().flatten();
        let first = properties().filter(|(name, _)| required.contains(&name.as_str()));
        let then = properties().filter(|(name, _)| !required.contains(&name.as_str()));
        let filled: Map<String, Value> = first
            .chain(then)
            .map(|(name, property)| (name.clone(), self.value(name, property, item, depth + 1)))
            .collect();
        Value::Object(filled)
    }

    fn array(&self, name: &str, schema: &Value, item: Option<&Item>, depth: usize) -> Value {
        let Some(element) = schema.get("items") else { return json!([]) };
        if item.is_none() && self.resolved(element)["properties"].get("index").is_some() {
            let each = self.items.iter().map(|item| self.value(name, element, Some(item), depth + 1));
            return each.collect();
        }
        let least = schema["minItems"].as_u64().unwrap_or(0);
        (0..least.min(1)).map(|_| self.value(name, element, item, depth + 1)).collect()
    }

    /// What fits all parts: their properties together, or the value of the part that leaves the least choice.
    fn all_of(&self, name: &str, parts: &[Value], item: Option<&Item>, depth: usize) -> Value {
        let mut together = Map::new();
        let mut only = None;
        for part in parts {
            match self.value(name, part, item, depth + 1) {
                Value::Object(more) => together.extend(more),
                other => {
                    let narrow = part.get("const").or_else(|| part.get("enum")).is_some();
                    if narrow || only.is_none() {
                        only = Some(other);
                    }
                }
            }
        }
        only.filter(|_| together.is_empty()).unwrap_or(Value::Object(together))
    }
}

/// The type of a schema; the first where it has several.
pub(crate) fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(several) => several.first().and_then(Value::as_str).unwrap_or_default(),
        one => one.as_str().unwrap_or_default(),
    }
}

fn example(format: &str) -> &'static str {
    match format {
        "date-time" => "2000-01-01T00:00:00Z",
        "time" => "00:00:00Z",
        "date" => "2000-01-01",
        "duration" => "PT0S",
        "email" => "nobody@example.org",
        "hostname" => "example.org",
        "uri" => "https://example.org/",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: i64) -> Vec<Item> {
        (1..=count).map(|index| Item { index, text: format!("text {index}") }).collect()
    }

    #[test]
    fn every_kind_of_schema_gets_a_value() {
        let schema = json!({
            "type": "object",
            "required": ["last", "part"],
            "properties": {
                "optional": {"type": ["string", "null"]},
                "last": {"type": "boolean"},
                "part": {"$ref": "#/$defs/part"},
                "when": {"type": "string", "format": "date"},
                "label": {"enum": ["good", "bad"]},
                "fixed": {"const": 7},
                "either": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "narrow": {"allOf": [{"type": "string"}, {"enum": ["a"]}]},
                "both": {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"type": "object", "properties": {"b": {"type": "null"}}}]},
                "none": {"type": "array", "items": {"type": "string"}},
                "one": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "any": {},
            },
            "$defs": {"part": {"$ref": "#/$defs/real"}, "real": {"type": "integer"}},
        });
        let filled = fill(&schema, &[], &|_| None);
        assert_eq!(
            filled.to_string(),
            r#"{"last":false,"part":0,"optional":"","when":"2000-01-01","label":"good","fixed":7,"either":0,"narrow":"a","both":{"a":0,"b":null},"none":[],"one":[""],"any":null}"#
        );
    }

    #[test]
    fn one_element_for_each_item() {
        let schema = json!({
            "type": "object",
            "properties": {"verdicts": {"type": "array", "items": {"$ref": "#/$defs/verdict"}}},
            "$defs": {"verdict": {"type": "object", "properties": {
                "index": {"type": "integer"},
                "text": {"type": "string"},
                "notes": {"type": "array", "items": {"type": "object", "properties": {"index": {"type": "integer"}}}},
            }}},
        });
        let choose = |place: &Place<'_>| {
            (place.name == "text").then(|| json!(place.item.map(|item| item.text.as_str())))
        };
        let filled = fill(&schema, &items(2), &choose);
        assert_eq!(
            filled,
            json!({"verdicts": [{"index": 1, "text": "text 1", "notes": []}, {"index": 2, "text": "text 2", "notes": []}]})
        );
    }

    #[test]
    fn a_chosen_array_can_be_built_from_its_parts() {
        let schema = json!({
            "type": "object",
            "properties": {"quotes": {"type": "array", "items": {"$ref": "#/$defs/quote"}}},
            "$defs": {"quote": {"type": "object", "properties": {"text": {"type": "string"}, "weight": {"type": "integer"}}}},
        });
        let choose = |place: &Place<'_>| {
            let element = (place.name == "quotes").then(|| place.schema.get("items")).flatten()?;
            Some(json!([place.fill(element, &|inner| (inner.name == "text").then(|| json!("hello")))]))
        };
        assert_eq!(fill(&schema, &[], &choose), json!({"quotes": [{"text": "hello", "weight": 0}]}));
    }

    #[test]
    fn schemas_without_end_come_to_one() {
        let endless = json!({"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}});
        assert!(fill(&endless, &[], &|_| None).is_object());
        let itself = json!({"properties": {}, "$ref": "#"});
        assert_eq!(fill(&itself, &[], &|_| None), Value::Null);
    }
}
