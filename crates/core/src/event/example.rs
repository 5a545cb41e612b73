//! What is told of each event, by an example. The catalogue shows these, and tests hold real events to their keys.

use serde_json::{Map, Value, json};

use super::EventKind;

const INTERACTION: &str = "019abf50-2f6e-7c41-9d3e-5a1f0c7b2e88";
const CUSTOMER: &str = "019abf50-1c02-7b90-8a44-0f3d6e9b7c21";
const ALERT: &str = "019abf50-3a11-7d02-b1c5-9e8f7a6b5c4d";
const INCIDENT: &str = "019abf51-0b7c-7e33-a2d1-6c5b4a392817";
const USER: &str = "019abf40-77aa-7f15-8c20-1d2e3f405162";
const SUMMARY: &str = "The customer has waited for three weeks and is about to give up.";
const AT: &str = "2026-11-29T10:15:02.301511Z";

/// The example of an event.
pub(super) fn of(kind: EventKind) -> Value {
    match kind {
        EventKind::SentimentScored | EventKind::SentimentNegative => json!({
            "tenant_id": 1, "interaction_id": INTERACTION, "customer_id": CUSTOMER, "agent_id": null, "channel": "email", "score": -72,
            "label": "negative", "confidence": 91, "dominant_emotion": "frustration", "summary": SUMMARY, "scored_at": AT,
        }),
        EventKind::SentimentOverridden => json!({
            "tenant_id": 1, "interaction_id": INTERACTION, "customer_id": CUSTOMER, "channel": "email", "score": 0, "label": "neutral",
            "model_score": -72, "model_label": "negative", "cleared": false, "made_by": format!("user:{USER}"), "at": AT,
        }),
        EventKind::AlertRaised | EventKind::AlertReminded => alert("open", &[]),
        EventKind::AlertEscalated => alert("open", &[("escalated", json!(1))]),
        EventKind::AlertAcknowledged => alert("acknowledged", &[made_by()]),
        EventKind::AlertAssigned => alert("acknowledged", &[("assigned_to", json!(USER)), made_by()]),
        EventKind::AlertSnoozed => {
            alert("snoozed", &[made_by(), ("until", json!("2026-11-30T08:00:00.000000Z"))])
        }
        EventKind::AlertResolved => alert("resolved", &[made_by()]),
        EventKind::AlertWithdrawn => alert("withdrawn", &[("score", json!(0)), made_by()]),
        EventKind::IncidentOpened => json!({
            "tenant_id": 1, "incident_id": INCIDENT, "category": "billing", "customers": 42, "usual": 3.5, "window_minutes": 60,
            "state": "open", "at": AT,
        }),
        EventKind::IncidentClosed => json!({
            "tenant_id": 1, "incident_id": INCIDENT, "category": "billing", "state": "closed", "opened_at": "2026-11-29T08:40:11.118200Z",
            "still_low": 31, "no_longer_low": 11, "at": AT,
        }),
        EventKind::BudgetThreshold => json!({
            "tenant_id": 1, "period": "day", "begins": "2026-11-29", "measure": "tokens", "percent": 85, "used": 85120, "cap": 100_000,
            "refused": null, "at": AT,
        }),
        EventKind::CustomerErased => json!({
            "tenant_id": 1, "customer_id": CUSTOMER, "erasure_id": "019abf52-4d5e-7a6b-8c7d-9e0f1a2b3c4d",
            "asked_at": "2026-11-29T10:14:58.000120Z", "erased_at": AT,
        }),
        EventKind::ModuleActivated | EventKind::ModuleDeactivated => json!({
            "tenant_id": 1, "module": "sentiment_analysis", "made_by": format!("user:{USER}"), "at": AT,
        }),
        EventKind::DestinationDisabled => json!({
            "tenant_id": 1, "destination_id": "019abf30-5566-7788-99aa-bbccddeeff00", "name": "Warehouse", "kind": "webhook",
            "reason": "it answers 410 Gone: the receiver wants no more messages", "failing_since": null, "disabled_at": AT,
        }),
        EventKind::Test => json!({
            "tenant_id": 1, "destination_id": "019abf30-5566-7788-99aa-bbccddeeff00", "name": "Warehouse",
            "text": "This is a test from Undertone. Nothing happened.", "requested_at": AT,
        }),
    }
}

fn made_by() -> (&'static str, Value) {
    ("made_by", json!(format!("user:{USER}")))
}

/// An alert in a state, with what only this event tells.
fn alert(state: &str, more: &[(&str, Value)]) -> Value {
    let all = json!({
        "tenant_id": 1, "alert_id": ALERT, "interaction_id": INTERACTION, "customer_id": CUSTOMER, "customer_external_id": "ana",
        "customer_name": "Ana", "conversation_external_id": "4711", "channel": "email", "category": "billing", "score": -72,
        "label": "negative", "dominant_emotion": "frustration", "summary": SUMMARY, "threshold": -50, "state": state,
        "assigned_to": null, "escalated": 0, "due_at": "2026-11-29T12:15:02.301511Z", "at": AT,
    });
    let mut all: Map<String, Value> = all.as_object().cloned().unwrap_or_default();
    all.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Value::Object(all)
}
