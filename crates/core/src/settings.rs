//! What a tenant chose for the module. Names, defaults and meanings are those of the module guide; those it does not name are ours.
//!
//! Settings arrive as a JSON object. [`Settings::from_json`] reads it key by key and reports everything that is wrong at once:
//! unknown keys by name, values out of range with the range. Keys left out keep their default.

mod fields;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::category::SUPPORT;
use crate::review::Shares;
use crate::schedule::Schedule;
use crate::verdict::ScorerKind;
use crate::visibility::Choice;
use crate::{Category, CategoryId, Channel, Phrase, Role};
use fields::{Fields, unknown_keys};

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

/// Who hears, beside the recipients, the responsible person and administrators, of an alert that nobody acknowledged in time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EscalateTo {
    /// Everybody active with one of these roles.
    pub roles: BTreeSet<Role>,
    /// These users, by id.
    pub users: BTreeSet<String>,
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
    /// These others: roles and users, beside the recipients, the responsible person and all administrators. Default nobody.
    pub escalate_to: EscalateTo,
    /// So many customers low about one category within a window, and three times what is usual, are one incident, 0 or 3..=10000; 0: never.
    /// Default 12.
    pub incident_customers: u32,
    /// The window in which they are counted, and after which an incident is over, in minutes, 5..=1440. Default 30.
    pub incident_minutes: u32,
    /// Of what was said more than so many hours before it arrived, people and other systems are not told: imported history raises no alerts,
    /// 0..=8760; 0: they are told whatever its age. Default 72.
    pub tell_within_hours: u32,
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
    /// Put events on the stream, from which a workflow engine reads them: all but `customer.erased`, which is there whatever is chosen.
    /// Default on.
    pub emit_workflow_events: bool,
    /// Send the same events to destinations that ask for them; `customer.erased` goes whatever is chosen. Default on.
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
    /// Alerts and incidents are kept this many days after they were raised, 30..=3650, and no longer than the interactions that raised them.
    /// Default 760 (25 months). No less than the longest cooldown: who was told of is forgotten with them.
    pub retention_alerts_days: u32,
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
            escalate_to: EscalateTo::default(),
            incident_customers: 12,
            incident_minutes: 30,
            tell_within_hours: 72,
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
            retention_alerts_days: 760,
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
    /// What was said at `occurred_at` was history when it arrived: nobody is told of it.
    #[must_use]
    pub fn is_history(&self, occurred_at: DateTime<Utc>, received_at: DateTime<Utc>) -> bool {
        self.tell_within_hours > 0
            && received_at - occurred_at > TimeDelta::hours(self.tell_within_hours.into())
    }

    /// Every key, in the order in which they are shown.
    pub const KEYS: [&'static str; 37] = [
        "enabled",
        "channels",
        "model",
        "alert_threshold",
        "cooldown_minutes",
        "recipients",
        "business_hours",
        "respond_within_minutes",
        "escalate_after_minutes",
        "escalate_to",
        "incident_customers",
        "incident_minutes",
        "tell_within_hours",
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
        "retention_alerts_days",
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
            escalate_to: fields.escalate_to(),
            incident_customers: fields.integer("incident_customers", default.incident_customers, 0..=10_000),
            incident_minutes: fields.integer("incident_minutes", default.incident_minutes, 5..=1440),
            tell_within_hours: fields.integer("tell_within_hours", default.tell_within_hours, 0..=8760),
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
            retention_alerts_days: fields.integer("retention_alerts_days", default.retention_alerts_days, 30..=3650),
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

#[cfg(test)]
mod tests;
