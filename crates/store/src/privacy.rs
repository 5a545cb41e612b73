//! The rights of customers: everything about one of them goes on request and leaves a receipt ([`erase`]), can be read as a whole ([`copy`]),
//! stays where the law says so ([`hold`]), and goes by itself when its time is over ([`retention`]).
//!
//! `reach` knows what an interaction leaves behind and where; `tests/suite/privacy.rs` fails for a table that nobody has thought about.

pub mod copy;
pub mod erase;
pub mod hold;
mod reach;
pub mod retention;
mod scrub;
pub mod tombstone;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much was removed, by what it was: `interactions`, `texts`, `verdicts` …
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Removed(pub BTreeMap<String, u64>);

impl Removed {
    pub(crate) fn count(&mut self, what: &str, many: u64) {
        if many > 0 {
            *self.0.entry(what.to_owned()).or_default() += many;
        }
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        for (what, many) in &other.0 {
            self.count(what, *many);
        }
    }

    /// How much of `what`.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Nothing was removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read(json: serde_json::Value) -> Self {
        serde_json::from_value(json).unwrap_or_default()
    }
}
