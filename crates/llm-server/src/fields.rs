//! Reads the fields of a request as strictly as the real ones do, and names the path of what is wrong.

use serde_json::{Map, Value};

use crate::Problem;

pub(crate) type Checked<T> = Result<T, Problem>;

/// The fields of an object.
pub(crate) struct Fields<'v> {
    at: String,
    pub(crate) map: &'v Map<String, Value>,
}

impl<'v> Fields<'v> {
    /// Those of the object at path `at`; the body's own path is empty.
    pub(crate) fn of(value: &'v Value, at: impl Into<String>) -> Checked<Self> {
        let at = at.into();
        match value {
            Value::Object(map) => Ok(Self { at, map }),
            _ => Err(Problem::field(&at, "Input should be an object")),
        }
    }

    /// The path of a field.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// What is wrong with a field.
    pub(crate) fn wrong(&self, name: &str, message: impl std::fmt::Display) -> Problem {
        Problem::field(&self.path(name), message)
    }

    /// Refuses fields that are in none of the lists.
    pub(crate) fn only(&self, lists: &[&[&str]]) -> Checked<()> {
        match self.map.keys().find(|key| !lists.iter().any(|list| list.contains(&key.as_str()))) {
            Some(unknown) => Err(self.wrong(unknown, "Extra inputs are not permitted")),
            None => Ok(()),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name)
    }

    pub(crate) fn need(&self, name: &str) -> Checked<&'v Value> {
        self.get(name).ok_or_else(|| self.wrong(name, "Field required"))
    }

    fn typed<T>(&self, name: &str, what: &str, read: impl Fn(&'v Value) -> Option<T>) -> Checked<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(name, format!("Input should be a valid {what}")))
    }

    pub(crate) fn text(&self, name: &str) -> Checked<Option<&'v str>> {
        self.typed(name, "string", Value::as_str)
    }

    pub(crate) fn need_text(&self, name: &str) -> Checked<&'v str> {
        self.need(name)?;
        Ok(self.text(name)?.unwrap_or_default())
    }

    pub(crate) fn whole(&self, name: &str) -> Checked<Option<i64>> {
        self.typed(name, "integer", Value::as_i64)
    }

    pub(crate) fn number(&self, name: &str) -> Checked<Option<f64>> {
        self.typed(name, "number", Value::as_f64)
    }

    pub(crate) fn flag(&self, name: &str) -> Checked<bool> {
        Ok(self.typed(name, "boolean", Value::as_bool)?.unwrap_or_default())
    }

    pub(crate) fn list(&self, name: &str) -> Checked<Option<&'v Vec<Value>>> {
        self.typed(name, "list", Value::as_array)
    }

    /// The fields of the object in a field.
    pub(crate) fn object(&self, name: &str) -> Checked<Option<Self>> {
        self.get(name).map(|value| Self::of(value, self.path(name))).transpose()
    }

    /// One of these words.
    pub(crate) fn word(&self, name: &str, words: &[&str]) -> Checked<Option<&'v str>> {
        let word = self.text(name)?;
        match word.filter(|word| !words.contains(word)) {
            Some(_) => Err(self.wrong(name, format!("Input should be one of {}", quoted(words)))),
            None => Ok(word),
        }
    }

    pub(crate) fn need_word(&self, name: &str, words: &[&str]) -> Checked<&'v str> {
        self.need(name)?;
        Ok(self.word(name, words)?.unwrap_or_default())
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}

/// Whether it has 1 to `most` characters, all of them plain letters, digits, `_` or `-`.
pub(crate) fn is_plain_name(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
