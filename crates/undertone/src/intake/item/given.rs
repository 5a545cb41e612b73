//! JSON as it was given: what kind of value each field holds is looked at afterwards, so that everything wrong can be told at once. Strings
//! without escapes are borrowed from the body, and objects are lists of pairs: an item is read once, and nearly nothing is built that is
//! not kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::check::shown;
use crate::intake::MOST_DEPTH;

/// More values than the largest item that is taken can hold. Without a limit a body of brackets would fill fifteen times its memory.
pub const MOST_VALUES: usize = 20_000;

/// The names and values of an object, in their order. Names may stand twice.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Given<'a>)>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Given<'a> {
    /// `null`, or not there.
    Nothing,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(Cow<'a, str>),
    /// A list.
    List(Vec<Given<'a>>),
    /// An object.
    Object(Pairs<'a>),
}

/// Why something is not JSON that can be looked at.
#[derive(Debug)]
pub enum Unreadable {
    /// Nested too deeply.
    TooDeep,
    /// More than [`MOST_VALUES`].
    TooMany,
    /// Not JSON.
    NotJson(serde_json::Error),
}

impl<'a> Given<'a> {
    /// The value in `json`; or why there is none, with the outermost field in which the reading ended.
    pub fn read(json: &'a str) -> Result<Self, (Unreadable, Option<String>)> {
        let reading = Reading::default();
        let mut reader = serde_json::Deserializer::from_str(json);
        let read = Seed { reading: &reading, depth: 0 }
            .deserialize(&mut reader)
            .and_then(|given| reader.end().map(|()| given));
        read.map_err(|error| {
            let why = if reading.too_deep.get() {
                Unreadable::TooDeep
            } else if reading.values.get() > MOST_VALUES {
                Unreadable::TooMany
            } else {
                Unreadable::NotJson(error)
            };
            (why, reading.field.take().map(Cow::into_owned))
        })
    }

    /// What it is, for a person.
    pub fn told(&self) -> Cow<'static, str> {
        match self {
            Self::Nothing => "null".into(),
            Self::Bool(value) => value.to_string().into(),
            Self::Number(number) => number.to_string().into(),
            Self::String(text) => format!("\"{}\"", shown(text)).into(),
            Self::List(_) => "a list".into(),
            Self::Object(_) => "an object".into(),
        }
    }

    /// How many levels of lists and objects it has.
    pub fn depth(&self) -> usize {
        match self {
            Self::List(list) => 1 + list.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(pairs) => 1 + pairs.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// A string or a name in it, at any level, holds U+0000.
    pub fn has_nul(&self) -> bool {
        match self {
            Self::String(text) => text.contains('\0'),
            Self::List(list) => list.iter().any(Self::has_nul),
            Self::Object(pairs) => pairs.iter().any(|(name, value)| name.contains('\0') || value.has_nul()),
            _ => false,
        }
    }
}

impl From<Given<'_>> for Value {
    fn from(given: Given<'_>) -> Self {
        match given {
            Given::Nothing => Self::Null,
            Given::Bool(value) => Self::Bool(value),
            Given::Number(number) => Self::Number(number),
            Given::String(text) => Self::String(text.into_owned()),
            Given::List(list) => Self::Array(list.into_iter().map(Self::from).collect()),
            Given::Object(pairs) => Self::Object(object(pairs)),
        }
    }
}

/// The pairs as an object: of a name that stands twice the last value counts.
pub fn object(pairs: Pairs<'_>) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect()
}

/// What is known while a value is read.
#[derive(Default)]
struct Reading<'a> {
    values: Cell<usize>,
    too_deep: Cell<bool>,
    field: Cell<Option<Cow<'a, str>>>,
}

#[derive(Clone, Copy)]
struct Seed<'r, 'a> {
    reading: &'r Reading<'a>,
    depth: usize,
}

impl Seed<'_, '_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MOST_DEPTH {
            self.reading.too_deep.set(true);
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'a> DeserializeSeed<'a> for Seed<'_, 'a> {
    type Value = Given<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Given<'a>, D::Error> {
        let count = self.reading.values.get() + 1;
        self.reading.values.set(count);
        if count > MOST_VALUES {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Seed<'_, 'a> {
    type Value = Given<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Given<'a>, E> {
        Ok(Given::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Given<'a>, E> {
        Ok(Given::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Given<'a>, E> {
        Ok(Given::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Given<'a>, E> {
        Ok(Given::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Given<'a>, E> {
        Ok(Number::from_f64(value).map_or(Given::Nothing, Given::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Given<'a>, E> {
        Ok(Given::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Given<'a>, E> {
        Ok(Given::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut access: A) -> Result<Given<'a>, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Given::List(list))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut access: A) -> Result<Given<'a>, A::Error> {
        let inner = self.inner()?;
        let mut pairs = Pairs::with_capacity(8);
        while let Some(name) = access.next_key_seed(Name)? {
            if self.depth == 0 {
                self.reading.field.set(Some(name.clone()));
            }
            let value = access.next_value_seed(inner)?;
            if self.depth == 0 {
                self.reading.field.set(None);
            }
            pairs.push((name, value));
        }
        Ok(Given::Object(pairs))
    }
}

/// A name in an object.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Cow<'a, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Name {
    type Value = Cow<'a, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
