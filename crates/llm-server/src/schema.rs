//! The rules for JSON schemas that answers are made by (`reference/claude.md`, §3): what is supported, what is not, and the limits over all
//! schemas of a request together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Problem;
use crate::fields::{Checked, Fields};

const MOST_OPTIONAL: usize = 24;
const MOST_UNIONS: usize = 16;
const MOST_STRICT_TOOLS: usize = 20;

const TYPES: [&str; 7] = ["object", "array", "string", "integer", "number", "boolean", "null"];
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
const KEYS: [&str; 16] = [
    "type",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "$ref",
    "default",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "format",
    "minItems",
    "pattern",
    "description",
    "title",
];
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// What the limits count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Tools with `strict`.
    pub(crate) strict_tools: usize,
    optional: usize,
    unions: usize,
}

impl Tally {
    /// A property stands in no `required`.
    pub(crate) fn has_optional(&self) -> bool {
        self.optional > 0
    }

    /// Refuses what goes beyond.
    pub(crate) fn check(&self) -> Checked<()> {
        let beyond = self.strict_tools > MOST_STRICT_TOOLS
            || self.optional > MOST_OPTIONAL
            || self.unions > MOST_UNIONS;
        if beyond {
            return Err(Problem::invalid(format!(
                "Schema is too complex for compilation: {} strict tools, {} optional properties, {} union-typed properties",
                self.strict_tools, self.optional, self.unions
            )));
        }
        Ok(())
    }
}

/// Checks the schema at path `at`, and counts.
pub(crate) fn check(schema: &Value, at: &str, tally: &mut Tally) -> Checked<()> {
    let root = Fields::of(schema, at)?;
    let mut definitions = Vec::new();
    for word in DEFINITIONS {
        for (name, definition) in root.object(word)?.iter().flat_map(|found| found.map) {
            definitions.push((format!("#/{word}/{name}"), definition));
        }
    }
    let known: BTreeSet<&str> = definitions.iter().map(|(reference, _)| reference.as_str()).collect();
    let mut walk = Walk { known: &known, tally, references: BTreeSet::new() };
    let mut leads_to = BTreeMap::new();
    for (reference, definition) in &definitions {
        let path = reference.replacen('#', at, 1).replace('/', ".");
        walk.node(definition, &path, &[])?;
        leads_to.insert(reference.clone(), std::mem::take(&mut walk.references));
    }
    walk.node(schema, at, &DEFINITIONS)?;
    if let Some(recursive) = recursive(&leads_to) {
        return Err(Problem::field(at, format!("Recursive schemas are not supported: {recursive}")));
    }
    Ok(())
}

/// A definition that leads back to itself. Definitions that lead nowhere are taken away until none is left.
fn recursive(leads_to: &BTreeMap<String, BTreeSet<String>>) -> Option<&str> {
    let mut waits_for: BTreeMap<&str, usize> =
        leads_to.iter().map(|(name, to)| (name.as_str(), to.len())).collect();
    let mut led_from: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, to) in leads_to {
        for target in to {
            led_from.entry(target).or_default().push(name);
        }
    }
    let mut ends: Vec<&str> = waits_for.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
    while let Some(end) = ends.pop() {
        waits_for.remove(end);
        for from in led_from.get(end).into_iter().flatten() {
            if let Some(left) = waits_for.get_mut(from) {
                *left -= 1;
                if *left == 0 {
                    ends.push(from);
                }
            }
        }
    }
    waits_for.keys().next().copied()
}

struct Walk<'w> {
    /// References that lead somewhere.
    known: &'w BTreeSet<&'w str>,
    tally: &'w mut Tally,
    /// Those met since they were last taken.
    references: BTreeSet<String>,
}

impl Walk<'_> {
    /// One schema. `more` are keys that only stand at the root.
    fn node(&mut self, schema: &Value, at: &str, more: &[&str]) -> Checked<()> {
        let node = Fields::of(schema, at)?;
        let types = types(&node)?;
        if let Some(key) =
            node.map.keys().find(|k| !KEYS.contains(&k.as_str()) && !more.contains(&k.as_str()))
        {
            let kind = types.first().copied().unwrap_or("any");
            return Err(node.wrong(key, format!("For '{kind}' type, property '{key}' is not supported")));
        }
        let says_what = ["type", "enum", "const", "anyOf", "allOf", "$ref"];
        if !says_what.iter().any(|key| node.get(key).is_some()) {
            return Err(Problem::field(
                at,
                "Schema must say what is allowed: a type, enum, const, anyOf, allOf or $ref",
            ));
        }
        for key in ["description", "title"] {
            node.text(key)?;
        }
        if types.len() > 1 || node.get("anyOf").is_some() {
            self.tally.unions += 1;
        }
        self.reference(&node)?;
        self.object(&node, &types)?;
        self.array(&node)?;
        for key in ["anyOf", "allOf"] {
            let Some(parts) = node.list(key)? else { continue };
            if parts.is_empty() {
                return Err(node.wrong(key, "List should have at least 1 item"));
            }
            for (i, part) in parts.iter().enumerate() {
                if key == "allOf" && part.get("$ref").is_some() {
                    return Err(node.wrong(key, "allOf with $ref is not supported"));
                }
                self.node(part, &format!("{}.{i}", node.path(key)), &[])?;
            }
        }
        scalars(&node)
    }

    fn reference(&mut self, node: &Fields<'_>) -> Checked<()> {
        let Some(reference) = node.text("$ref")? else { return Ok(()) };
        if !self.known.contains(reference) {
            return Err(node.wrong(
                "$ref",
                format!(
                    "“{reference}” is not a definition of this schema; external references are not supported"
                ),
            ));
        }
        self.references.insert(reference.to_owned());
        Ok(())
    }

    fn object(&mut self, node: &Fields<'_>, types: &[&str]) -> Checked<()> {
        let properties = node.object("properties")?;
        let is_object = types.contains(&"object");
        if !is_object {
            let stray = ["properties", "required", "additionalProperties"];
            return match stray.iter().find(|key| node.get(key).is_some()) {
                Some(key) => Err(node.wrong(key, "only goes with the type 'object'")),
                None => Ok(()),
            };
        }
        if node.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(node.wrong(
                "additionalProperties",
                "For 'object' type, 'additionalProperties' must be explicitly set to false",
            ));
        }
        let mut required = BTreeSet::new();
        for name in node.list("required")?.into_iter().flatten() {
            let known = name.as_str().filter(|name| {
                properties.as_ref().is_some_and(|properties| properties.map.contains_key(*name))
            });
            required
                .insert(known.ok_or_else(|| node.wrong("required", format!("{name} is not a property")))?);
        }
        for (name, property) in properties.iter().flat_map(|properties| properties.map) {
            self.tally.optional += usize::from(!required.contains(name.as_str()));
            self.node(property, &format!("{}.{name}", node.path("properties")), &[])?;
        }
        Ok(())
    }

    fn array(&mut self, node: &Fields<'_>) -> Checked<()> {
        if let Some(items) = node.get("items") {
            self.node(items, &node.path("items"), &[])?;
        }
        match node.get("minItems") {
            None => Ok(()),
            Some(least) if matches!(least.as_u64(), Some(0 | 1)) => Ok(()),
            Some(_) => Err(node.wrong("minItems", "For 'array' type, only minItems 0 and 1 are supported")),
        }
    }
}

/// The types a schema names: none, one, or several.
fn types<'v>(node: &Fields<'v>) -> Checked<Vec<&'v str>> {
    let named = match node.get("type") {
        None => Vec::new(),
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
    };
    let known = |value: &'v Value| value.as_str().filter(|word| TYPES.contains(word));
    let types: Option<Vec<&str>> = named.into_iter().map(known).collect();
    let types = types.filter(|types| !types.is_empty() || node.get("type").is_none());
    types.ok_or_else(|| node.wrong("type", format!("Input should be one of {}", TYPES.join(", "))))
}

fn scalars(node: &Fields<'_>) -> Checked<()> {
    if let Some(values) = node.list("enum")? {
        if values.is_empty() {
            return Err(node.wrong("enum", "List should have at least 1 item"));
        }
        if values.iter().any(|value| value.is_object() || value.is_array()) {
            return Err(node.wrong("enum", "enum only takes strings, numbers, booleans and null"));
        }
    }
    node.word("format", &FORMATS)?;
    match node.text("pattern")?.and_then(unsupported) {
        Some(what) => Err(node.wrong("pattern", format!("{what} are not supported"))),
        None => Ok(()),
    }
}

/// What a pattern uses that grammars can not.
fn unsupported(pattern: &str) -> Option<&'static str> {
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let follows = rest.as_str();
        match c {
            '\\' => match rest.next() {
                Some('1'..='9' | 'k') => return Some("back-references"),
                Some('b' | 'B') => return Some("word boundaries"),
                _ => {}
            },
            '(' if ["?=", "?!", "?<=", "?<!"].iter().any(|look| follows.starts_with(look)) => {
                return Some("look-arounds");
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(schema: &Value) -> Result<Tally, String> {
        let mut tally = Tally::default();
        check(schema, "schema", &mut tally)
            .and_then(|()| tally.check())
            .map_err(|problem| problem.message)?;
        Ok(tally)
    }

    fn object(properties: &Value) -> Value {
        let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
    }

    #[test]
    fn what_is_supported() {
        let mut schema = object(&json!({
            "score": {"type": "integer", "description": "from -100 to 100"},
            "label": {"type": "string", "enum": ["positive", "negative"]},
            "when": {"type": "string", "format": "date-time", "default": "2026-11-28T00:00:00Z"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}(?:-\\d+)?$"},
            "kind": {"const": "verdict"},
            "note": {"type": ["string", "null"]},
            "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "both": {"allOf": [{"type": "string"}, {"enum": ["a"]}]},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 1},
        }));
        schema["$defs"] =
            json!({"part": object(&json!({"name": {"$ref": "#/$defs/name"}})), "name": {"type": "string"}});
        let tally = outcome(&schema).unwrap();
        assert_eq!((tally.optional, tally.unions), (0, 2));
    }

    #[test]
    fn what_is_not_says_where() {
        let of = |property: Value| outcome(&object(&json!({"x": property}))).unwrap_err();
        for (property, told) in [
            (
                json!({"type": "integer", "maximum": 100}),
                "schema.properties.x.maximum: For 'integer' type, property 'maximum' is not supported",
            ),
            (json!({"type": "number", "multipleOf": 2}), "'multipleOf' is not supported"),
            (json!({"type": "string", "maxLength": 5}), "'maxLength' is not supported"),
            (
                json!({"type": "array", "items": {"type": "null"}, "maxItems": 5}),
                "'maxItems' is not supported",
            ),
            (json!({"type": "array", "items": {"type": "null"}, "minItems": 2}), "only minItems 0 and 1"),
            (json!({"type": "object", "properties": {}}), "must be explicitly set to false"),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                "must be explicitly set to false",
            ),
            (
                json!({"type": "object", "additionalProperties": false, "required": ["y"]}),
                "\"y\" is not a property",
            ),
            (json!({"type": "string", "properties": {}}), "only goes with the type 'object'"),
            (json!({"enum": [{"a": 1}]}), "enum only takes"),
            (json!({"enum": []}), "at least 1 item"),
            (json!({"anyOf": []}), "at least 1 item"),
            (json!({"type": "text"}), "schema.properties.x.type: Input should be one of object"),
            (json!({"type": []}), "Input should be one of object"),
            (json!({}), "must say what is allowed"),
            (json!(true), "should be an object"),
            (json!({"type": "string", "format": "phone"}), "Input should be one of 'date-time'"),
            (json!({"type": "string", "pattern": "(?=x)"}), "look-arounds"),
            (json!({"type": "string", "pattern": "(a)\\1"}), "back-references"),
            (json!({"type": "string", "pattern": "\\bx"}), "word boundaries"),
            (json!({"$ref": "https://example.org/schema.json"}), "external references"),
            (json!({"$ref": "#/$defs/nothing"}), "not a definition"),
            (json!({"type": "string", "$defs": {}}), "'$defs' is not supported"),
        ] {
            let message = of(property.clone());
            assert!(message.contains(told), "{property}: {message}");
        }
    }

    #[test]
    fn recursion_is_found_however_long_the_way() {
        let step = |to: &str| object(&json!({"next": {"$ref": format!("#/$defs/{to}")}}));
        let mut schema = object(&json!({"first": {"$ref": "#/$defs/a"}}));
        schema["$defs"] = json!({"a": step("b"), "b": step("c"), "c": {"type": "string"}});
        assert!(outcome(&schema).is_ok());
        schema["$defs"]["c"] = step("a");
        assert!(outcome(&schema).unwrap_err().contains("Recursive"));
    }

    #[test]
    fn allof_with_a_reference() {
        let mut schema = object(&json!({"x": {"allOf": [{"$ref": "#/definitions/d"}]}}));
        schema["definitions"] = json!({"d": {"type": "string"}});
        assert!(outcome(&schema).unwrap_err().contains("allOf with $ref"));
    }

    #[test]
    fn the_limits_hold_to_the_last_property() {
        let with = |optional: usize, unions: usize| {
            let mut properties = serde_json::Map::new();
            let mut required = Vec::new();
            for i in 0..optional {
                properties.insert(format!("o{i}"), json!({"type": "string"}));
            }
            for i in 0..unions {
                properties.insert(format!("u{i}"), json!({"type": ["string", "null"]}));
                required.push(format!("u{i}"));
            }
            json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
        };
        assert!(outcome(&with(24, 16)).is_ok());
        assert!(outcome(&with(25, 0)).unwrap_err().contains("too complex for compilation"));
        assert!(outcome(&with(0, 17)).unwrap_err().contains("too complex for compilation"));
        let tools = |strict_tools| Tally { strict_tools, ..Tally::default() }.check();
        assert!(tools(20).is_ok() && tools(21).is_err());
    }
}
