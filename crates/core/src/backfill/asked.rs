//! What a run is asked to do, as it arrives: a JSON object, read field by field, everything wrong told at once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Taken, taken};
use crate::verdict::ScorerKind;
use crate::{Channel, Settings, SkipReason, text};

/// Interactions scored together, at least and at most.
pub const BATCH_SIZES: RangeInclusive<i64> = 1..=100;
/// The longest sleep between two batches: an hour, in milliseconds.
pub const MOST_SLEEP_MS: i64 = 3_600_000;
/// No run is limited to more interactions.
const MOST_LIMIT: i64 = 1_000_000_000;

/// Which interactions a run is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Those without a verdict. Said again, it spends nothing on what has one by then.
    #[default]
    Unscored,
    /// Those with a verdict: each gets another, and the earlier one stays as a revision.
    Refresh,
    /// One that somebody chose.
    Single,
}

impl Mode {
    /// The word used in the store and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unscored => "unscored",
            Self::Refresh => "refresh",
            Self::Single => "single",
        }
    }
}

/// What a run is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which interactions.
    pub mode: Mode,
    /// Who scores them; `None`: whom the settings name.
    pub scorer: Option<ScorerKind>,
    /// Interactions scored together, within [`BATCH_SIZES`]. Default 25.
    pub batch_size: u16,
    /// Pause between two batches, in milliseconds, at most [`MOST_SLEEP_MS`]. Default 200.
    pub sleep_ms: u32,
    /// At most so many interactions, those that were taken in last.
    pub limit: Option<u64>,
    /// Only what happened on this day of the tenant or later.
    pub from: Option<NaiveDate>,
    /// Only what happened on this day of the tenant or earlier.
    pub to: Option<NaiveDate>,
    /// Only this customer's, by our id.
    pub customer: Option<String>,
    /// Only what came this way.
    pub channel: Option<Channel>,
    /// Also what was skipped for these reasons.
    pub include: BTreeSet<SkipReason>,
    /// Events are sent as for what is new.
    pub notify: bool,
    /// Through the provider's batches, at half the price and within a day.
    pub via_batches: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            mode: Mode::Unscored,
            scorer: None,
            batch_size: 25,
            sleep_ms: 200,
            limit: None,
            from: None,
            to: None,
            customer: None,
            channel: None,
            include: BTreeSet::new(),
            notify: false,
            via_batches: false,
        }
    }
}

/// One thing wrong with what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AskedError {
    /// The field it is about; empty when the whole is no object.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Asked {
    /// Every field, in the order in which they are shown.
    pub const FIELDS: [&'static str; 12] = [
        "mode",
        "scorer",
        "batch_size",
        "sleep_ms",
        "limit",
        "from",
        "to",
        "customer",
        "channel",
        "include",
        "notify",
        "via_batches",
    ];

    /// What `json` asks for, over the defaults; or everything that is wrong with it. `customer` is taken as it is told.
    ///
    /// ```
    /// use undertone_core::backfill::{Asked, Mode};
    /// let asked = Asked::from_json(&serde_json::json!({"mode": "refresh", "batch_size": 100})).unwrap();
    /// assert_eq!((asked.mode, asked.batch_size, asked.sleep_ms), (Mode::Refresh, 100, 200));
    /// assert!(Asked::from_json(&serde_json::json!({"batch_size": 101})).is_err());
    /// ```
    pub fn from_json(json: &Value) -> Result<Self, Vec<AskedError>> {
        let Value::Object(object) = json else {
            let message = "a backfill is asked for with a JSON object".to_owned();
            return Err(vec![AskedError { field: String::new(), message }]);
        };
        let mut fields = Fields { object, errors: unknown(object) };
        let default = Self::default();
        let asked = Self {
            mode: fields.mode(),
            scorer: fields.optional("scorer", "local, claude, openai or cascade"),
            batch_size: fields.whole("batch_size", BATCH_SIZES).unwrap_or(default.batch_size),
            sleep_ms: fields.whole("sleep_ms", 0..=MOST_SLEEP_MS).unwrap_or(default.sleep_ms),
            limit: fields.whole("limit", 1..=MOST_LIMIT),
            from: fields.optional("from", "a day such as 2026-11-20"),
            to: fields.optional("to", "a day such as 2026-11-20"),
            customer: fields.customer(),
            channel: fields.channel(),
            include: fields.include(),
            notify: fields.flag("notify"),
            via_batches: fields.flag("via_batches"),
        };
        let mut errors = fields.errors;
        let mut refuse = |field: &str, message: &str| {
            errors.push(AskedError { field: field.to_owned(), message: message.to_owned() });
        };
        if asked.from.zip(asked.to).is_some_and(|(from, to)| to < from) {
            refuse("to", "`to` is a day before `from`: nothing lies between them");
        }
        if asked.mode == Mode::Refresh && !asked.include.is_empty() {
            refuse("include", "`include` goes with the mode unscored; refresh is about what has a verdict");
        }
        if asked.via_batches && asked.scorer.is_some_and(|scorer| scorer != ScorerKind::Claude) {
            refuse("via_batches", "`via_batches` goes with the scorer claude: only its API has batches");
        }
        if errors.is_empty() { Ok(asked) } else { Err(errors) }
    }
}

fn unknown(object: &Map<String, Value>) -> Vec<AskedError> {
    let unknown = object.keys().filter(|key| !Asked::FIELDS.contains(&key.as_str()));
    unknown
        .map(|key| {
            let near = Asked::FIELDS.into_iter().find(|known| text::resembles(known, key));
            let hint = near.map_or_else(
                || format!("the fields are {}", Asked::FIELDS.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            let shown: String = key.chars().take(60).collect();
            AskedError { field: shown.clone(), message: format!("there is no field `{shown}`; {hint}") }
        })
        .collect()
}

/// Reads values out of the object and collects what is wrong with them.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    errors: Vec<AskedError>,
}

impl Fields<'_> {
    fn refuse(&mut self, field: &str, value: &Value, expected: &str) {
        let given: String = value.to_string().chars().take(60).collect();
        let message = format!("`{field}` is {given}; it must be {expected}");
        self.errors.push(AskedError { field: field.to_owned(), message });
    }

    /// The value, where there is one that is not null.
    fn given(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    fn optional<T: for<'de> Deserialize<'de>>(&mut self, field: &str, expected: &str) -> Option<T> {
        let value = self.given(field)?.clone();
        let read = T::deserialize(&value).ok();
        if read.is_none() {
            self.refuse(field, &value, expected);
        }
        read
    }

    fn whole<T: TryFrom<i64>>(&mut self, field: &str, range: RangeInclusive<i64>) -> Option<T> {
        let value = self.given(field)?.clone();
        let number = value.as_i64().filter(|n| range.contains(n)).and_then(|n| T::try_from(n).ok());
        if number.is_none() {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            self.refuse(field, &value, &expected);
        }
        number
    }

    fn flag(&mut self, field: &str) -> bool {
        self.optional(field, "true or false").unwrap_or_default()
    }

    fn mode(&mut self) -> Mode {
        let expected = "unscored or refresh; one interaction is scored again with POST /api/v1/interactions/{id}/rescore";
        let mode: Mode = self.optional("mode", expected).unwrap_or_default();
        if mode == Mode::Single {
            self.refuse("mode", &Value::from("single"), expected);
        }
        mode
    }

    fn customer(&mut self) -> Option<String> {
        let customer: Option<String> = self.optional("customer", "a customer's id");
        customer.filter(|id| {
            let fits = (1..=200).contains(&id.len()) && !id.contains('\0');
            if !fits {
                self.refuse("customer", &Value::from("…"), "an id of 1 to 200 bytes");
            }
            fits
        })
    }

    fn channel(&mut self) -> Option<Channel> {
        let expected = format!("one of {}", Channel::ALL.map(Channel::as_str).join(", "));
        let word: String = self.optional("channel", &expected)?;
        let channel = Channel::from_word(&word);
        if channel.is_none() {
            self.refuse("channel", &Value::from(word), &expected);
        }
        channel
    }

    fn include(&mut self) -> BTreeSet<SkipReason> {
        let Some(value) = self.given("include").cloned() else { return BTreeSet::new() };
        let words: Vec<&str> = includable().map(SkipReason::as_str).collect();
        let expected = format!("a list of reasons out of {}", words.join(", "));
        let Value::Array(items) = value else {
            self.refuse("include", &value, &expected);
            return BTreeSet::new();
        };
        let mut include = BTreeSet::new();
        for item in items {
            match includable().find(|reason| item == reason.as_str()) {
                Some(reason) => {
                    include.insert(reason);
                }
                None => self.refuse("include", &item, &expected),
            }
        }
        include
    }
}

/// The reasons that can be asked for.
fn includable() -> impl Iterator<Item = SkipReason> {
    let settings = Settings::default();
    SkipReason::ALL.into_iter().filter(move |reason| {
        // A reason that is taken anyway may be named too: under other settings it would have to be.
        taken(*reason, Channel::Other, &settings, ScorerKind::Local) != Taken::Never
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = json!({
            "mode": "single", "scorer": "gpt", "batch_size": 0, "sleep_ms": -1, "limit": 0, "from": "yesterday", "customer": "",
            "channel": "pigeon", "include": ["too_short", "agent_message"], "notify": 1, "via_batch": true,
        });
        let errors = Asked::from_json(&wrong).unwrap_err();
        let fields: BTreeSet<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let expected = [
            "mode",
            "scorer",
            "batch_size",
            "sleep_ms",
            "limit",
            "from",
            "customer",
            "channel",
            "include",
            "notify",
            "via_batch",
        ];
        assert_eq!(fields, expected.into());
        assert_eq!(errors.len(), expected.len());
        assert!(errors.iter().any(|e| e.message.contains("did you mean `via_batches`?")));
        assert!(Asked::from_json(&json!([])).is_err());
    }

    #[test]
    fn fields_that_do_not_go_together_are_refused() {
        for wrong in [
            json!({"from": "2026-11-20", "to": "2026-11-19"}),
            json!({"mode": "refresh", "include": ["too_short"]}),
            json!({"scorer": "local", "via_batches": true}),
        ] {
            assert_eq!(Asked::from_json(&wrong).unwrap_err().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let asked = Asked::from_json(&json!({
            "mode": "unscored", "scorer": "claude", "from": "2026-11-01", "to": "2026-11-30", "customer": "c1", "channel": "chat",
            "include": ["too_short", "refused"], "limit": 5000, "notify": true, "via_batches": true, "sleep_ms": 0,
        }))
        .unwrap();
        assert_eq!(serde_json::from_value::<Asked>(json!(asked)).unwrap(), asked);
        assert_eq!(Asked::from_json(&json!({"scorer": null, "include": []})).unwrap(), Asked::default());
    }
}
