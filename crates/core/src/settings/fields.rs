//! Settings read key by key, with everything that is wrong at once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{EscalateTo, Settings, SettingsError};
use crate::review::Shares;
use crate::schedule::Schedule;
use crate::visibility::Choice;
use crate::{Category, Channel, Phrase, Role, text};

/// Reads values out of the object and collects what is wrong with them.
pub(super) struct Fields<'a> {
    pub(super) object: &'a Map<String, Value>,
    pub(super) errors: Vec<SettingsError>,
}

impl Fields<'_> {
    fn refuse(&mut self, key: &str, value: &Value, expected: &str) {
        let given = shorten(&value.to_string());
        self.errors.push(SettingsError::new(key, format!("`{key}` is {given}; it must be {expected}")));
    }

    pub(super) fn read<T: for<'de> Deserialize<'de>>(&mut self, key: &str, default: T, expected: &str) -> T {
        let Some(value) = self.object.get(key) else { return default };
        T::deserialize(value).unwrap_or_else(|_| {
            self.refuse(key, value, expected);
            default
        })
    }

    pub(super) fn integer<T>(&mut self, key: &str, default: T, range: RangeInclusive<i64>) -> T
    where
        T: TryFrom<i64>,
    {
        let Some(value) = self.object.get(key) else { return default };
        if let Some(number) = value.as_i64().filter(|n| range.contains(n)).and_then(|n| T::try_from(n).ok()) {
            return number;
        }
        self.refuse(key, value, &format!("a whole number from {} to {}", range.start(), range.end()));
        default
    }

    pub(super) fn channels(&mut self, default: BTreeSet<Channel>) -> BTreeSet<Channel> {
        let Some(value) = self.object.get("channels") else { return default };
        let words = Channel::ALL.map(Channel::as_str).join(", ");
        let Value::Array(items) = value else {
            self.refuse("channels", value, &format!("a list of {words}"));
            return default;
        };
        let mut channels = BTreeSet::new();
        for item in items {
            match item.as_str().and_then(Channel::from_word) {
                Some(channel) => {
                    channels.insert(channel);
                }
                None => self.refuse("channels", item, &format!("one of {words}")),
            }
        }
        channels
    }

    pub(super) fn model(&mut self) -> Option<String> {
        match self.object.get("model") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) if (1..=200).contains(&name.len()) => Some(name.clone()),
            Some(other) => {
                self.refuse(
                    "model",
                    other,
                    "a model's name of at most 200 bytes, or null for the tenant's default",
                );
                None
            }
        }
    }

    pub(super) fn visibility(&mut self, default: Choice) -> Choice {
        let Some(value) = self.object.get("visibility") else { return default };
        Choice::from_json(value).unwrap_or_else(|| {
            self.refuse("visibility", value, Choice::EXPECTED);
            default
        })
    }

    pub(super) fn review(&mut self, default: Shares) -> Shares {
        let expected = "an object of percentages from 0 to 100 with at most two decimals, under unsure, disagreed, overridden, \
                        called_positive, random and labelled_twice; one left out is at its default";
        match self.object.get("review") {
            // A list would be read as the fields in their order.
            Some(list @ Value::Array(_)) => {
                self.refuse("review", list, expected);
                default
            }
            _ => self.read("review", default, expected),
        }
    }

    pub(super) fn business_hours(&mut self) -> Schedule {
        let expected = "an object of days, monday to sunday, each with a list of stretches such as [\"09:00\", \"17:00\"], of holidays, \
                        a list of dates, and of a zone where it is not the tenant's";
        let hours: Schedule = self.read("business_hours", Schedule::default(), expected);
        if let Err(why) = hours.check() {
            self.errors.push(SettingsError::new("business_hours", format!("`business_hours`: {why}")));
        }
        hours
    }

    pub(super) fn escalate_to(&mut self) -> EscalateTo {
        let expected = "{\"roles\": [\"manager\"], \"users\": [ids]}, either of which may be left out";
        self.read("escalate_to", EscalateTo::default(), expected)
    }

    pub(super) fn second_factor_roles(&mut self) -> BTreeSet<Role> {
        let words: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        self.read("second_factor_roles", BTreeSet::new(), &format!("a list of {}", words.join(", ")))
    }

    pub(super) fn segments(&mut self) -> BTreeSet<String> {
        const KEY: &str = "cascade_segments";
        let expected = "a list of at most 100 names of segments, each of 1 to 200 bytes";
        let segments: Vec<String> = self.read(KEY, Vec::new(), expected);
        if segments.len() <= 100 && segments.iter().all(|name| (1..=200).contains(&name.len())) {
            return segments.into_iter().collect();
        }
        self.errors.push(SettingsError::new(KEY, format!("`{KEY}` must be {expected}")));
        BTreeSet::new()
    }

    pub(super) fn categories(&mut self) -> Vec<Category> {
        let expected = "a list of at most 60 objects with `id` (lower-case letters, digits, _), `name` (1 to 200 characters) and \
                        optionally `examples` (at most 20 texts of 1 to 300 characters), each id once";
        let categories: Vec<Category> = self.read("categories", Vec::new(), expected);
        let fits = |text: &String, most: usize| (1..=most).contains(&text.trim().chars().count());
        let ids: BTreeSet<_> = categories.iter().map(|c| &c.id).collect();
        let well_formed = ids.len() == categories.len()
            && categories.len() <= 60
            && categories.iter().all(|c| {
                fits(&c.name, 200) && c.examples.len() <= 20 && c.examples.iter().all(|e| fits(e, 300))
            });
        if well_formed {
            return categories;
        }
        self.errors.push(SettingsError::new("categories", format!("`categories` must be {expected}")));
        Vec::new()
    }

    pub(super) fn phrases(&mut self) -> Vec<Phrase> {
        let expected = "a list of at most 200 objects with `phrase` (words of 1 to 100 characters together, each once) and at least one of `shift` (-100 to \
                        100, added to the score), `urgency` (low, medium or high) and `category` (an id of `categories`)";
        let phrases: Vec<Phrase> = self.read("phrases", Vec::new(), expected);
        let words: BTreeSet<Vec<String>> = phrases.iter().map(Phrase::words).collect();
        if phrases.len() <= 200 && words.len() == phrases.len() && phrases.iter().all(Phrase::is_usable) {
            return phrases;
        }
        self.errors.push(SettingsError::new("phrases", format!("`phrases` must be {expected}")));
        Vec::new()
    }
}

/// Keys that are none, with what was meant.
pub(super) fn unknown_keys(object: &Map<String, Value>) -> Vec<SettingsError> {
    object
        .keys()
        .filter(|key| !Settings::KEYS.contains(&key.as_str()))
        .map(|key| {
            let near = Settings::KEYS.into_iter().find(|known| text::resembles(known, key));
            let hint = near.map_or_else(
                || format!("the settings are {}", Settings::KEYS.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            SettingsError::new(key, format!("there is no setting `{}`; {hint}", shorten(key)))
        })
        .collect()
}

fn shorten(value: &str) -> String {
    if value.chars().count() <= 60 {
        value.to_owned()
    } else {
        value.chars().take(60).chain(['…']).collect()
    }
}
