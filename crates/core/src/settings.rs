//! What a tenant chose for the module. Names, defaults and meanings are those of the module guide; those it does not name are ours.
//!
//! Settings arrive as a JSON object. [`Settings::from_json`] reads it key by key and reports everything that is wrong at once:
//! unknown keys by name, values out of range with the range. Keys left out keep their default.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::category::SUPPORT;
use crate::review::Shares;
use crate::schedule::Schedule;
use crate::verdict::ScorerKind;
use crate::visibility::Choice;
use crate::{Category, CategoryId, Channel, Phrase, Role, text};

/// No token cap is higher.
const MOST_TOKENS: i64 = 1_000_000_000_000;
/// No cap on cost is higher, in US cents.
const MOST_CENTS: i64 = 1_000_000_000;

/// Who hears of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Recipients {
    /// Tenant admins and supervisors: everybody active with the role admin, `tenant_admin`, supervisor or manager.
    AdminsAndSupervisors {},
    /// Supervisors and managers only.
    Supervisors {},
    /// Exactly these users. Empty means that nobody is told, which `doctor` reports.
    SpecificUsers {
        /// User ids.
        #[serde(default)]
        users: BTreeSet<String>,
    },
}

/// What happens to an interaction when the LLM can not be used: no key, no budget, an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnavailable {
    /// The embedded model scores it, marked as such.
    Local,
    /// It waits.
    Wait,
    /// It stays unscored, with the reason.
    Skip,
}

/// The module's settings.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the settings page, under the seed's name"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Master switch: off, nothing new is scored though the module is active. Default on.
    pub enabled: bool,
    /// Channels that are scored. Default all.
    pub channels: BTreeSet<Channel>,
    /// The LLM's model, over the tenant's default. Default none.
    pub model: Option<String>,
    /// An alert fires at or under this score, -100..=100. Default -50.
    pub alert_threshold: i8,
    /// No second alert for a customer within this many minutes, 0..=43200 (30 days). Default 30.
    pub cooldown_minutes: u32,
    /// Who gets the alert. Default admins and supervisors.
    pub recipients: Recipients,
    /// When people work: the time in which an alert is due, and after which it is escalated, counts in these hours. Default always.
    pub business_hours: Schedule,
    /// An alert is due so many minutes of working time after it was raised, 1..=43200. Default 240.
    pub respond_within_minutes: u32,
    /// Others are told where nobody acknowledged an alert within so many minutes of working time, 0..=43200; 0: never. Default 60.
    pub escalate_after_minutes: u32,
    /// So many customers low about one category within a window, and three times what is usual, are one incident, 0 or 3..=10000; 0: never.
    /// Default 12.
    pub incident_customers: u32,
    /// The window in which they are counted, and after which an incident is over, in minutes, 5..=1440. Default 30.
    pub incident_minutes: u32,
    /// Shorter texts are skipped, in characters, 0..=1000. Default 20.
    pub min_note_length: u32,
    /// Only so many characters of a text are scored, 100..=100000. Default 8000.
    pub max_note_length: u32,
    /// Tokens an LLM may use in a day, 0..=10^12; 0 is unlimited. Default 100000.
    pub daily_token_cap: u64,
    /// Tokens an LLM may use in a month of the tenant, 0..=10^12; 0 is unlimited. Default unlimited.
    pub monthly_token_cap: u64,
    /// What an LLM may cost in a month of the tenant, in US cents, 0..=10^9; 0 is unlimited. Default unlimited. A model whose price is not
    /// known costs nothing here.
    pub monthly_cost_cap_cents: u64,
    /// Send `sentiment.scored` and `sentiment.negative` to the workflow engine. Default on.
    pub emit_workflow_events: bool,
    /// Send the same events to subscribed webhooks. Default on.
    pub dispatch_webhooks: bool,
    /// Who scores. Default the embedded model.
    pub scorer: ScorerKind,
    /// What happens when the LLM can not be used. Default the embedded model scores.
    pub when_unavailable: WhenUnavailable,
    /// The cascade asks its LLM where the embedded model's confidence is under this, in percent, 0..=100. Default 70.
    pub cascade_threshold: u8,
    /// The cascade always asks its LLM about customers of these segments; at most 100. Default none.
    pub cascade_segments: BTreeSet<String>,
    /// How many texts one request to an LLM holds at most, where several wait, 1..=20. Default 8.
    pub llm_together: u8,
    /// Score what bots wrote. Default off.
    pub score_bots: bool,
    /// Score internal comments that are neither notes nor summaries of a contact. Default off.
    pub score_internal_comments: bool,
    /// Issue categories; at most 60. Empty stands for the default list for support.
    pub categories: Vec<Category>,
    /// The tenant's own phrases and what they change; at most 200. Default none.
    pub phrases: Vec<Phrase>,
    /// Who sees single scores, see [`Choice`]. Default everybody who may read. Putting all settings back to their defaults leaves it.
    pub visibility: Choice,
    /// Which verdicts people check, each as a percentage of those it could be, see [`Shares`].
    pub review: Shares,
    /// Texts, and what verdicts quote of them, are kept this many days after they arrived, 1..=3650. Default 90.
    pub retention_text_days: u32,
    /// Interactions with their verdicts and scores are kept this many days, 1..=3650 and not less than texts. Default 760 (25 months).
    pub retention_scores_days: u32,
    /// Entries of the audit log are kept this many days, 180..=3650. Default 730 (24 months).
    pub retention_audit_days: u32,
    /// Roles that log in with a second factor. Default none. Putting all settings back to their defaults leaves it.
    pub second_factor_roles: BTreeSet<Role>,
    /// Where the numbers of agents are on, agents with fewer contacts than this are not shown, 3..=1000. Default 3.
    pub agent_numbers_minimum: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            channels: Channel::ALL.into(),
            model: None,
            alert_threshold: -50,
            cooldown_minutes: 30,
            recipients: Recipients::AdminsAndSupervisors {},
            business_hours: Schedule::default(),
            respond_within_minutes: 240,
            escalate_after_minutes: 60,
            incident_customers: 12,
            incident_minutes: 30,
            min_note_length: 20,
            max_note_length: 8000,
            daily_token_cap: 100_000,
            monthly_token_cap: 0,
            monthly_cost_cap_cents: 0,
            emit_workflow_events: true,
            dispatch_webhooks: true,
            scorer: ScorerKind::Local,
            when_unavailable: WhenUnavailable::Local,
            cascade_threshold: 70,
            cascade_segments: BTreeSet::new(),
            llm_together: 8,
            score_bots: false,
            score_internal_comments: false,
            categories: Vec::new(),
            phrases: Vec::new(),
            visibility: Choice::default(),
            review: Shares::default(),
            retention_text_days: 90,
            retention_scores_days: 760,
            retention_audit_days: 730,
            second_factor_roles: BTreeSet::new(),
            agent_numbers_minimum: 3,
        }
    }
}

/// One thing wrong with the settings given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingsError {
    /// The key it is about; empty when the whole is no object.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl SettingsError {
    fn new(key: &str, message: String) -> Self {
        Self { key: key.to_owned(), message }
    }
}

impl Settings {
    /// Every key, in the order in which they are shown.
    pub const KEYS: [&'static str; 34] = [
        "enabled",
        "channels",
        "model",
        "alert_threshold",
        "cooldown_minutes",
        "recipients",
        "business_hours",
        "respond_within_minutes",
        "escalate_after_minutes",
        "incident_customers",
        "incident_minutes",
        "min_note_length",
        "max_note_length",
        "daily_token_cap",
        "monthly_token_cap",
        "monthly_cost_cap_cents",
        "emit_workflow_events",
        "dispatch_webhooks",
        "scorer",
        "when_unavailable",
        "cascade_threshold",
        "cascade_segments",
        "llm_together",
        "score_bots",
        "score_internal_comments",
        "categories",
        "phrases",
        "visibility",
        "review",
        "retention_text_days",
        "retention_scores_days",
        "retention_audit_days",
        "second_factor_roles",
        "agent_numbers_minimum",
    ];

    /// The settings in `json`, over the defaults; or everything that is wrong with them.
    ///
    /// ```
    /// use undertone_core::Settings;
    /// let settings = Settings::from_json(&serde_json::json!({"alert_threshold": -40})).unwrap();
    /// assert_eq!((settings.alert_threshold, settings.min_note_length), (-40, 20));
    ///
    /// let errors = Settings::from_json(&serde_json::json!({"alert_treshold": -40})).unwrap_err();
    /// assert!(errors[0].message.contains("did you mean `alert_threshold`?"));
    /// ```
    pub fn from_json(json: &Value) -> Result<Self, Vec<SettingsError>> {
        let Value::Object(object) = json else {
            return Err(vec![SettingsError::new(
                "",
                "settings are a JSON object of names and values".into(),
            )]);
        };
        let mut fields = Fields { object, errors: unknown_keys(object) };
        let default = Self::default();
        let settings = Self {
            enabled: fields.read("enabled", default.enabled, "true or false"),
            channels: fields.channels(default.channels),
            model: fields.model(),
            alert_threshold: fields.integer("alert_threshold", default.alert_threshold, -100..=100),
            cooldown_minutes: fields.integer("cooldown_minutes", default.cooldown_minutes, 0..=43_200),
            recipients: fields.read(
                "recipients",
                default.recipients,
                "{\"mode\": \"admins_and_supervisors\"}, {\"mode\": \"supervisors\"} or {\"mode\": \"specific_users\", \"users\": [ids]}",
            ),
            business_hours: fields.business_hours(),
            respond_within_minutes: fields.integer("respond_within_minutes", default.respond_within_minutes, 1..=43_200),
            escalate_after_minutes: fields.integer("escalate_after_minutes", default.escalate_after_minutes, 0..=43_200),
            incident_customers: fields.integer("incident_customers", default.incident_customers, 0..=10_000),
            incident_minutes: fields.integer("incident_minutes", default.incident_minutes, 5..=1440),
            min_note_length: fields.integer("min_note_length", default.min_note_length, 0..=1000),
            max_note_length: fields.integer("max_note_length", default.max_note_length, 100..=100_000),
            daily_token_cap: fields.integer("daily_token_cap", default.daily_token_cap, 0..=MOST_TOKENS),
            monthly_token_cap: fields.integer("monthly_token_cap", default.monthly_token_cap, 0..=MOST_TOKENS),
            monthly_cost_cap_cents: fields.integer(
                "monthly_cost_cap_cents",
                default.monthly_cost_cap_cents,
                0..=MOST_CENTS,
            ),
            emit_workflow_events: fields.read(
                "emit_workflow_events",
                default.emit_workflow_events,
                "true or false",
            ),
            dispatch_webhooks: fields.read("dispatch_webhooks", default.dispatch_webhooks, "true or false"),
            scorer: fields.read("scorer", default.scorer, "local, claude, openai or cascade"),
            when_unavailable: fields.read(
                "when_unavailable",
                default.when_unavailable,
                "local, wait or skip",
            ),
            cascade_threshold: fields.integer("cascade_threshold", default.cascade_threshold, 0..=100),
            cascade_segments: fields.segments(),
            llm_together: fields.integer("llm_together", default.llm_together, 1..=20),
            score_bots: fields.read("score_bots", default.score_bots, "true or false"),
            score_internal_comments: fields.read(
                "score_internal_comments",
                default.score_internal_comments,
                "true or false",
            ),
            categories: fields.categories(),
            phrases: fields.phrases(),
            visibility: fields.visibility(default.visibility),
            review: fields.review(default.review),
            retention_text_days: fields.integer("retention_text_days", default.retention_text_days, 1..=3650),
            retention_scores_days: fields.integer("retention_scores_days", default.retention_scores_days, 1..=3650),
            retention_audit_days: fields.integer("retention_audit_days", default.retention_audit_days, 180..=3650),
            second_factor_roles: fields.second_factor_roles(),
            agent_numbers_minimum: fields.integer("agent_numbers_minimum", default.agent_numbers_minimum, 3..=1000),
        };
        let mut errors = fields.errors;
        let unknown =
            settings.phrases.iter().filter_map(|p| p.category.as_ref()).find(|id| !settings.knows(id));
        if let Some(id) = unknown {
            let told = format!("`phrases` name the category {}, which is none of `categories`", id.as_str());
            errors.push(SettingsError::new("phrases", told));
        }
        if settings.max_note_length < settings.min_note_length {
            errors.push(SettingsError::new(
                "max_note_length",
                format!(
                    "`max_note_length` ({}) is less than `min_note_length` ({}): nothing could be scored",
                    settings.max_note_length, settings.min_note_length
                ),
            ));
        }
        if (1..3).contains(&settings.incident_customers) {
            let told =
                "`incident_customers` must be 0 or from 3 to 10000: two customers are no incident".to_owned();
            errors.push(SettingsError::new("incident_customers", told));
        }
        if settings.retention_scores_days < settings.retention_text_days {
            errors.push(SettingsError::new(
                "retention_scores_days",
                format!(
                    "`retention_scores_days` ({}) is less than `retention_text_days` ({}): a text would outlive its interaction",
                    settings.retention_scores_days, settings.retention_text_days
                ),
            ));
        }
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    /// Whether interactions may be sorted under `id`.
    fn knows(&self, id: &CategoryId) -> bool {
        *id == CategoryId::other()
            || if self.categories.is_empty() {
                SUPPORT.iter().any(|(known, _)| *known == id.as_str())
            } else {
                self.categories.iter().any(|category| category.id == *id)
            }
    }
}

fn unknown_keys(object: &Map<String, Value>) -> Vec<SettingsError> {
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

/// Reads values out of the object and collects what is wrong with them.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    errors: Vec<SettingsError>,
}

impl Fields<'_> {
    fn refuse(&mut self, key: &str, value: &Value, expected: &str) {
        let given = shorten(&value.to_string());
        self.errors.push(SettingsError::new(key, format!("`{key}` is {given}; it must be {expected}")));
    }

    fn read<T: for<'de> Deserialize<'de>>(&mut self, key: &str, default: T, expected: &str) -> T {
        let Some(value) = self.object.get(key) else { return default };
        T::deserialize(value).unwrap_or_else(|_| {
            self.refuse(key, value, expected);
            default
        })
    }

    fn integer<T>(&mut self, key: &str, default: T, range: RangeInclusive<i64>) -> T
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

    fn channels(&mut self, default: BTreeSet<Channel>) -> BTreeSet<Channel> {
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

    fn model(&mut self) -> Option<String> {
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

    fn visibility(&mut self, default: Choice) -> Choice {
        let Some(value) = self.object.get("visibility") else { return default };
        Choice::from_json(value).unwrap_or_else(|| {
            self.refuse("visibility", value, Choice::EXPECTED);
            default
        })
    }

    fn review(&mut self, default: Shares) -> Shares {
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

    fn business_hours(&mut self) -> Schedule {
        let expected = "an object of days, monday to sunday, each with a list of stretches such as [\"09:00\", \"17:00\"], of holidays, \
                        a list of dates, and of a zone where it is not the tenant's";
        let hours: Schedule = self.read("business_hours", Schedule::default(), expected);
        if let Err(why) = hours.check() {
            self.errors.push(SettingsError::new("business_hours", format!("`business_hours`: {why}")));
        }
        hours
    }

    fn second_factor_roles(&mut self) -> BTreeSet<Role> {
        let words: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        self.read("second_factor_roles", BTreeSet::new(), &format!("a list of {}", words.join(", ")))
    }

    fn segments(&mut self) -> BTreeSet<String> {
        const KEY: &str = "cascade_segments";
        let expected = "a list of at most 100 names of segments, each of 1 to 200 bytes";
        let segments: Vec<String> = self.read(KEY, Vec::new(), expected);
        if segments.len() <= 100 && segments.iter().all(|name| (1..=200).contains(&name.len())) {
            return segments.into_iter().collect();
        }
        self.errors.push(SettingsError::new(KEY, format!("`{KEY}` must be {expected}")));
        BTreeSet::new()
    }

    fn categories(&mut self) -> Vec<Category> {
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

    fn phrases(&mut self) -> Vec<Phrase> {
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

#[cfg(test)]
mod tests;
