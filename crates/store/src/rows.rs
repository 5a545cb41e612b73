//! Words and moments as rows hold them.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::de::DeserializeOwned;

use crate::{Result, StoreError};

/// The value a stored word stands for; the same words as in JSON.
pub(crate) fn word<T: DeserializeOwned>(table: &'static str, word: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|_| StoreError::Unreadable {
            table, detail: format!("“{word}” is no word of this version")
        })
}

/// The word a value is stored as.
pub(crate) fn as_word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A stored zone; UTC where this version does not know it any more, so that days are still counted.
pub(crate) fn zone(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}

/// The tenant's day of a moment.
pub(crate) fn day_in(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The id that a row of this moment would be the first to have.
pub(crate) fn first_id_of(at: DateTime<Utc>) -> String {
    let millis = at.timestamp_millis().max(0);
    format!("{:08x}-{:04x}", millis >> 16, millis & 0xffff)
}
