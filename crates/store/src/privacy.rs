//! The rights of customers: everything about one of them goes on request and leaves a receipt ([`erase`]), can be read as a whole ([`copy`]),
//! stays where the law says so ([`hold`]), and goes by itself when its time is over ([`retention`]).
//!
//! `reach` knows what an interaction leaves behind and where; `tests/suite/privacy.rs` fails for a table that nobody has thought about.

pub mod copy;
pub mod erase;
pub mod hold;
pub(crate) mod reach;
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

/// The tables in which something of a customer may stand: an erasure reaches each, and the copy has what is in it or says why not. The tests
/// of both go through this list.
pub const REACHED: [&str; 27] = [
    "customer",
    "customer_alias",
    "conversation",
    "interaction",
    "interaction_text",
    "verdict",
    "sentiment_override",
    "interaction_sentiment",
    "customer_sentiment",
    "labelled_text",
    "backfill_item",
    "outbox",
    "delivery",
    "delivery_attempt",
    "audit_log",
    "alert",
    "alert_step",
    "alert_cooldown",
    "surge",
    "notice",
    "inbox_item",
    "mail",
    "review_item",
    "review_label",
    "conversation_guest",
    "agent_stale",
    "agent_contact",
];

/// The digits of a number from the first on that is not 0; what stands before is a way to dial abroad, or out. Nothing for fewer than six: too
/// many numbers hold those.
#[must_use]
pub fn digits_of_number(phone: &str) -> Option<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (digits.len() >= 6).then(|| digits.to_owned())
}
