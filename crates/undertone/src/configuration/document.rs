//! YAML with the line of every value.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Number, Value};

use super::Wrong;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The line it begins on, from 1.
    pub line: usize,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text, a number, true, false or null.
    Single(Value),
    /// A list.
    List(Vec<Located>),
    /// Names, each with the line it stands in, and their values; in the order of the file.
    Fields(Vec<(String, usize, Located)>),
}

impl Located {
    /// The same without lines.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Single(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Fields(fields) => {
                Value::Object(fields.iter().map(|(name, _, value)| (name.clone(), value.to_json())).collect())
            }
        }
    }
}

/// The one document of a file.
///
/// # Errors
/// What is no YAML, which ends reading; or every value that can not be read.
pub fn read(text: &str) -> Result<Located, Vec<Wrong>> {
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|e| vec![Wrong::new(e.marker().line(), format!("it is no YAML: {}", e.info()))])?;
    let [document] = documents.as_slice() else {
        let second = documents.get(1).map_or(1, |second| second.span.start.line());
        let told = format!("a file holds one document, and this one holds {}", documents.len());
        return Err(vec![Wrong::new(second, told)]);
    };
    let mut wrong = Vec::new();
    let located = locate(document, &mut wrong);
    if wrong.is_empty() { Ok(located) } else { Err(wrong) }
}

fn locate(node: &MarkedYaml<'_>, wrong: &mut Vec<Wrong>) -> Located {
    let line = node.span.start.line();
    let content = match &node.data {
        YamlData::Value(scalar) => Content::Single(single(scalar)),
        YamlData::Sequence(items) => Content::List(items.iter().map(|item| locate(item, wrong)).collect()),
        YamlData::Mapping(fields) => {
            let mut named = Vec::with_capacity(fields.len());
            for (key, value) in fields {
                let at = key.span.start.line();
                match &key.data {
                    YamlData::Value(Scalar::String(name)) => {
                        named.push((name.to_string(), at, locate(value, wrong)));
                    }
                    _ => wrong.push(Wrong::new(at, "a name is a text; put it in quotes")),
                }
            }
            Content::Fields(named)
        }
        YamlData::Tagged(..) => {
            wrong.push(Wrong::new(line, "tags such as !this mean nothing here; leave it out"));
            Content::Single(Value::Null)
        }
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            wrong.push(Wrong::new(line, "this value can not be read; put it in quotes"));
            Content::Single(Value::Null)
        }
    };
    Located { line, content }
}

fn single(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(is) => Value::Bool(*is),
        Scalar::Integer(number) => (*number).into(),
        Scalar::FloatingPoint(number) => {
            Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number)
        }
        Scalar::String(text) => text.as_ref().into(),
    }
}
