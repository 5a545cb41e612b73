//! Where events go: to a program of somebody's, to a chat, to whoever is on call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Role;
use crate::event::Wanted;

/// What kind of receiver it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationKind {
    /// Any address that takes Standard Webhooks.
    Webhook,
    /// An incoming webhook of Slack.
    Slack,
    /// A service's integration of `PagerDuty`, Events API v2.
    Pagerduty,
    /// A workflow of Microsoft Teams.
    Teams,
    /// Tickets of Zendesk.
    Zendesk,
}

impl DestinationKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Webhook, Self::Slack, Self::Pagerduty, Self::Teams, Self::Zendesk];

    /// The word in the API, in files and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Pagerduty => "pagerduty",
            Self::Teams => "teams",
            Self::Zendesk => "zendesk",
        }
    }

    /// What it is told of one thing must come in order: an end that comes before its beginning is lost there, and the beginning stays.
    #[must_use]
    pub fn is_in_order(self) -> bool {
        self == Self::Pagerduty
    }
}

/// How much of an event a receiver gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Ids, channel, category and times: enough to come and look.
    #[default]
    Thin,
    /// Everything the visibility policy lets somebody outside see, what the customer felt included.
    Full,
}

/// What is no secret of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationConfig {
    /// The events it gets.
    pub events: Wanted,
    /// How much of each.
    pub detail: Detail,
    /// Who reads what arrives there: it gets what somebody in this role, of no team and no account, may see.
    pub audience: Role,
    /// What only its kind knows, such as the field of a ticket; see `docs/service.md`.
    pub options: Map<String, Value>,
}

/// Keys that a thin payload keeps besides those that end in `_id` or `_at`.
const KEPT: [&str; 17] = [
    "id", "at", "channel", "category", "link", "reason", "period", "begins", "measure", "percent", "state",
    "module", "name", "kind", "failures", "refused", "source",
];

impl DestinationConfig {
    /// What of an event's payload this destination gets.
    #[must_use]
    pub fn data(&self, payload: &Value) -> Value {
        match (self.detail, payload) {
            (Detail::Thin, Value::Object(all)) => {
                let is_kept = |key: &str| key.ends_with("_id") || key.ends_with("_at") || KEPT.contains(&key);
                let kept = all.iter().filter(|(key, _)| is_kept(key));
                Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
            }
            _ => payload.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_thin_payload_says_of_whom_and_not_what_they_felt() {
        let payload = json!({
            "tenant_id": 1, "interaction_id": "i", "customer_id": "c", "agent_id": null, "channel": "email", "score": -80,
            "label": "negative", "confidence": 90, "dominant_emotion": "anger", "summary": "s", "scored_at": "2026-11-29T00:00:00Z",
        });
        let config = |detail| DestinationConfig {
            events: Wanted::all(),
            detail,
            audience: Role::Agent,
            options: Map::new(),
        };
        assert_eq!(config(Detail::Full).data(&payload), payload);
        assert_eq!(
            config(Detail::Thin).data(&payload),
            json!({
                "tenant_id": 1, "interaction_id": "i", "customer_id": "c", "agent_id": null, "channel": "email",
                "scored_at": "2026-11-29T00:00:00Z",
            })
        );
    }
}
