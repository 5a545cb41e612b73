//! Takes values for what each field is, and collects everything that is wrong with them.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use undertone_core::text;

use super::ItemError;
use super::given::{self, Given, Pairs};
use crate::intake::form;

/// The longest text, in bytes.
pub const MOST_TEXT: usize = 1 << 20;
/// The longest id, in characters.
pub const MOST_ID: usize = 200;
/// The longest name or subject, in characters.
pub const MOST_NAME: usize = 500;
/// The longest e-mail address, in characters.
pub const MOST_EMAIL: usize = 320;
/// The longest attributes, in bytes as JSON without spaces.
pub const MOST_ATTRIBUTES: usize = 16 << 10;
/// The deepest attributes, in levels of lists and objects, their own included.
pub const MOST_ATTRIBUTE_LEVELS: usize = 8;
/// The most tags.
pub const MOST_TAGS: usize = 50;
/// The longest of the other words: source, channel, phone, priority, a tag; in characters.
pub const MOST_WORD: usize = 64;
/// The longest segment, plan or queue, in characters.
pub const MOST_GROUP: usize = 200;
/// Clocks of sources may be ahead by so much.
pub const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// Errors that are told of one item; of more, their number.
pub const MOST_ERRORS: usize = 50;
/// 1990-01-01: what is said to be older is a wrong time rather than an old interaction.
const EARLIEST: i64 = 631_152_000;

/// Everything wrong so far.
#[derive(Debug, Default)]
pub struct Check {
    errors: Vec<ItemError>,
    /// Errors besides those.
    more: usize,
}

impl Check {
    /// `result`, or what was wrong.
    pub fn finish<T>(mut self, result: T) -> Result<T, Vec<ItemError>> {
        if self.errors.is_empty() {
            return Ok(result);
        }
        if self.more > 0 {
            let message = format!("{} more things are wrong with this item", self.more);
            self.errors.push(ItemError { field: String::new(), code: "more_errors", message });
        }
        Err(self.errors)
    }

    /// Notes that `field` can not be used: "`field` {why}".
    pub fn refuse(&mut self, field: &str, code: &'static str, why: &str) {
        if self.errors.len() < MOST_ERRORS {
            let message = format!("`{field}` {why}");
            self.errors.push(ItemError { field: field.to_owned(), code, message });
        } else {
            self.more += 1;
        }
    }

    /// Notes that there is no field `name` in the object `inside` (empty, or its name and a dot).
    pub fn refuse_unknown(&mut self, inside: &str, name: &str, known: &[&str]) {
        if self.errors.len() >= MOST_ERRORS {
            self.more += 1;
            return;
        }
        let alias = form::ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, ours)| *ours);
        let near = alias
            .filter(|ours| known.contains(ours))
            .or_else(|| known.iter().copied().find(|known| text::resembles(known, name)));
        let hint = near.map_or_else(
            || format!("the fields are {}", known.join(", ")),
            |near| format!("did you mean `{inside}{near}`?"),
        );
        self.refuse(&format!("{inside}{}", shown(name)), "unknown_field", &format!("is no field; {hint}"));
    }

    /// Sorts pairs by their names: the value of each name in `known`, in that order.
    pub fn sort<'a, const N: usize>(
        &mut self,
        inside: &str,
        pairs: Pairs<'a>,
        known: [&str; N],
    ) -> [Given<'a>; N] {
        let mut sorted = [const { None }; N];
        for (name, value) in pairs {
            match known.iter().position(|known| *known == name) {
                None => self.refuse_unknown(inside, &name, &known),
                Some(at) if sorted[at].is_some() => {
                    // Which of them is meant is not known; that the field is there is.
                    sorted[at] = sorted[at].take().filter(|first| *first != Given::Nothing).or(Some(value));
                    self.refuse(
                        &format!("{inside}{name}"),
                        "duplicate_field",
                        "is given twice; give it once",
                    );
                }
                Some(at) => sorted[at] = Some(value),
            }
        }
        sorted.map(|value| value.unwrap_or(Given::Nothing))
    }

    /// Notes that `field` holds another sort of value.
    pub fn wrong_type(&mut self, field: &str, given: &Given<'_>, expected: &str) {
        self.refuse(field, "wrong_type", &format!("is {}; it must be {expected}", given.told()));
    }

    /// A string of at most `most` characters without the white space around it; a blank one is as good as none.
    pub fn string(&mut self, field: &str, given: Given<'_>, most: usize) -> Option<String> {
        let text = self.characters(field, given, most, "a string")?;
        (!text.is_empty()).then(|| text.into_owned())
    }

    fn characters<'a>(
        &mut self,
        field: &str,
        given: Given<'a>,
        most: usize,
        expected: &str,
    ) -> Option<Cow<'a, str>> {
        let text = match given {
            Given::Nothing => return None,
            Given::String(Cow::Borrowed(text)) => Cow::Borrowed(text.trim()),
            Given::String(Cow::Owned(text)) => Cow::Owned(text.trim().to_owned()),
            other => {
                self.wrong_type(field, &other, expected);
                return None;
            }
        };
        if text.contains('\0') {
            self.nul(field);
            return None;
        }
        // Counting is only needed where there are more bytes than characters allowed.
        let length = if text.len() <= most { 0 } else { text.chars().count() };
        if length > most {
            self.refuse(field, "too_long", &format!("has {length} characters; at most {most} are taken"));
            return None;
        }
        Some(text)
    }

    fn nul(&mut self, field: &str) {
        self.refuse(field, "nul", "holds the character U+0000, which can not be stored; leave it out");
    }

    /// An id of the source: a string without the white space around it, or a whole number, which is kept as its digits.
    pub fn id(&mut self, field: &str, given: Given<'_>) -> Option<String> {
        const EXPECTED: &str = "a string or a whole number";
        match given {
            Given::Number(number) if !number.is_f64() => Some(number.to_string()),
            Given::Number(number) => {
                let why = format!(
                    "is {number}; a number must be whole and below 2^64, so send this id as a string"
                );
                self.refuse(field, "wrong_type", &why);
                None
            }
            given => {
                let id = self.characters(field, given, MOST_ID, EXPECTED)?;
                if id.is_empty() {
                    self.refuse(field, "empty", "is blank; give an id, or leave the field out");
                    return None;
                }
                Some(id.into_owned())
            }
        }
    }

    /// One of `words`.
    pub fn word<T: Copy>(&mut self, field: &str, given: &Given<'_>, words: &[(&str, T)]) -> Option<T> {
        if *given == Given::Nothing {
            return None;
        }
        if let Given::String(word) = given
            && let Some((_, value)) = words.iter().find(|(known, _)| known == word)
        {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.refuse(
            field,
            "wrong_value",
            &format!("is {}; it must be one of {}", given.told(), known.join(", ")),
        );
        None
    }

    /// Where the interaction comes from, in the signs of a name.
    pub fn source(&mut self, given: Given<'_>) -> Option<String> {
        let given = match given {
            Given::String(text) => text,
            given => return self.string("source", given, MOST_WORD),
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
        if (1..=MOST_WORD).contains(&given.len()) && given.bytes().all(plain) {
            return Some(given.into_owned());
        }
        let why = format!(
            "is \"{}\"; it must be 1 to {MOST_WORD} of the characters a-z, 0-9, _, . and -",
            shown(&given)
        );
        self.refuse("source", "wrong_value", &why);
        None
    }

    /// What was said. It may be blank: the gate says what becomes of it then.
    pub fn text(&mut self, given: Given<'_>) -> String {
        match given {
            Given::String(text) if text.len() > MOST_TEXT => {
                let why = format!("has {} bytes; at most {MOST_TEXT} (1 MiB) are taken", text.len());
                self.refuse("text", "too_long", &why);
            }
            Given::String(text) if text.contains('\0') => self.nul("text"),
            Given::String(text) => return text.into_owned(),
            Given::Nothing => self.refuse("text", "missing", "is missing; it holds what was said"),
            other => self.wrong_type("text", &other, "a string"),
        }
        String::new()
    }

    /// An address: something, an @, and something.
    pub fn email(&mut self, field: &str, given: Given<'_>) -> Option<String> {
        let email = self.string(field, given, MOST_EMAIL)?;
        if email.split_once('@').is_none_or(|(name, host)| name.is_empty() || host.is_empty()) {
            let why = format!("is \"{}\"; it must be an address such as ana@example.com", shown(&email));
            self.refuse(field, "wrong_value", &why);
            return None;
        }
        Some(email)
    }

    /// RFC 3339, or Unix seconds or milliseconds as a whole number; to the microsecond, which is what the database keeps.
    pub fn moment(&mut self, field: &str, given: &Given<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        const EXPECTED: &str =
            "a time with its zone such as 2026-11-21T09:30:00Z, or Unix seconds or milliseconds";
        let at = match given {
            Given::Nothing => return None,
            Given::String(text) => DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.to_utc()),
            Given::Number(number) => number.as_i64().and_then(unix),
            _ => None,
        };
        // By way of microseconds, because a leap second is no time a database knows.
        let Some(at) = at.and_then(|at| DateTime::from_timestamp_micros(at.timestamp_micros())) else {
            self.refuse(field, "wrong_time", &format!("is {}; it must be {EXPECTED}", given.told()));
            return None;
        };
        if at.timestamp() < EARLIEST {
            self.refuse(
                field,
                "too_old",
                &format!("is {}; times before 1990-01-01 are not taken", given.told()),
            );
        } else if at > now + AHEAD {
            let now = now.format("%Y-%m-%dT%H:%M:%SZ");
            self.refuse(
                field,
                "future_time",
                &format!("is {}, more than 5 minutes ahead; here it is {now}", given.told()),
            );
        }
        Some(at)
    }

    /// A whole number of cents.
    pub fn cents(&mut self, field: &str, given: &Given<'_>) -> Option<i64> {
        match given {
            Given::Nothing => None,
            Given::Number(number) if number.is_i64() => number.as_i64(),
            other => {
                self.wrong_type(field, other, "a whole number of cents");
                None
            }
        }
    }

    /// Anything else a source tells.
    pub fn attributes(&mut self, field: &str, given: Given<'_>) -> Option<Map<String, Value>> {
        let levels = given.depth();
        let nul = given.has_nul();
        let pairs = match given {
            Given::Nothing => return None,
            Given::Object(pairs) => pairs,
            other => {
                self.wrong_type(field, &other, "an object");
                return None;
            }
        };
        if nul {
            self.nul(field);
        }
        if levels > MOST_ATTRIBUTE_LEVELS {
            let why = format!("has {levels} levels; at most {MOST_ATTRIBUTE_LEVELS} are taken");
            self.refuse(field, "too_deep", &why);
        }
        let attributes = given::object(pairs);
        let length = serde_json::to_string(&attributes).map_or(usize::MAX, |json| json.len());
        if length > MOST_ATTRIBUTES {
            let why = format!("has {length} bytes as JSON; at most {MOST_ATTRIBUTES} (16 KiB) are taken");
            self.refuse(field, "too_long", &why);
        }
        Some(attributes)
    }

    /// Words that mark a conversation.
    pub fn tags(&mut self, field: &str, given: Given<'_>) -> Option<Vec<String>> {
        let list = match given {
            Given::Nothing => return None,
            Given::List(list) => list,
            other => {
                self.wrong_type(field, &other, "a list of strings");
                return None;
            }
        };
        if list.len() > MOST_TAGS {
            let why = format!("has {} tags; at most {MOST_TAGS} are taken", list.len());
            self.refuse(field, "too_many", &why);
            return None;
        }
        let mut tags = Vec::with_capacity(list.len());
        for (i, tag) in list.into_iter().enumerate() {
            let name = format!("{field}[{i}]");
            if tag == Given::Nothing {
                self.wrong_type(&name, &tag, "a string");
            }
            tags.extend(self.string(&name, tag, MOST_WORD));
        }
        Some(tags)
    }
}

/// A moment by its Unix seconds or milliseconds: from 10^11 on seconds would lie beyond the year 5138, so these are milliseconds.
pub fn unix(number: i64) -> Option<DateTime<Utc>> {
    if number.unsigned_abs() > 100_000_000_000 {
        DateTime::from_timestamp_millis(number)
    } else {
        DateTime::from_timestamp(number, 0)
    }
}

/// As much of a value as an error repeats, without what would break its line or turn it round.
pub fn shown(value: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |c: char| if c.is_control() || turns(c) { '\u{fffd}' } else { c };
    if value.chars().nth(60).is_none() {
        value.chars().map(plain).collect()
    } else {
        value.chars().take(60).map(plain).chain(['…']).collect()
    }
}
