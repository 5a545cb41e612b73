//! What is told of each event, by an example: the payload that whoever causes it fills in, filled in here. The catalogue shows these, and tests
//! hold real events to their keys.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use super::EventKind;
use super::payload::{
    Alert, BudgetThreshold, CustomerErased, DestinationDisabled, DestinationFailing, Fields, IncidentClosed,
    IncidentOpened, MailFailing, ModuleSwitched, Overridden, Scored, Test,
};
use crate::destination::DestinationKind;

const INTERACTION: &str = "019abf50-2f6e-7c41-9d3e-5a1f0c7b2e88";
const CUSTOMER: &str = "019abf50-1c02-7b90-8a44-0f3d6e9b7c21";
const ALERT: &str = "019abf50-3a11-7d02-b1c5-9e8f7a6b5c4d";
const INCIDENT: &str = "019abf51-0b7c-7e33-a2d1-6c5b4a392817";
const DESTINATION: &str = "019abf30-5566-7788-99aa-bbccddeeff00";
const USER: &str = "019abf40-77aa-7f15-8c20-1d2e3f405162";
const MADE_BY: &str = "user:019abf40-77aa-7f15-8c20-1d2e3f405162";
const SUMMARY: &str =
    "The customer is angry about billing; urgency is high. Strongest phrase: “nobody answers [EMAIL_1]”.";

/// The example of an event, and what its keys mean.
pub(super) fn of(kind: EventKind) -> (Value, Fields) {
    let at = at(1_795_947_302_301_511);
    match kind {
        EventKind::SentimentScored | EventKind::SentimentNegative => (json!(scored(at)), Scored::FIELDS),
        EventKind::SentimentOverridden => (json!(overridden(at)), Overridden::FIELDS),
        EventKind::AlertRaised
        | EventKind::AlertReminded
        | EventKind::AlertEscalated
        | EventKind::AlertAcknowledged
        | EventKind::AlertAssigned
        | EventKind::AlertSnoozed
        | EventKind::AlertResolved
        | EventKind::AlertWithdrawn => (json!(alert(kind, at)), Alert::FIELDS),
        EventKind::IncidentOpened => (json!(opened(at)), IncidentOpened::FIELDS),
        EventKind::IncidentClosed => (json!(closed(at)), IncidentClosed::FIELDS),
        EventKind::BudgetThreshold => (json!(budget(at)), BudgetThreshold::FIELDS),
        EventKind::CustomerErased => (json!(erased(at)), CustomerErased::FIELDS),
        EventKind::ModuleActivated | EventKind::ModuleDeactivated => {
            let module = "sentiment_analysis";
            (json!(ModuleSwitched { tenant_id: 1, module, made_by: MADE_BY, at }), ModuleSwitched::FIELDS)
        }
        EventKind::DestinationFailing => (json!(failing(at)), DestinationFailing::FIELDS),
        EventKind::DestinationDisabled => (json!(disabled(at)), DestinationDisabled::FIELDS),
        EventKind::MailFailing => {
            let (email, reason) = ("ben@example.com", "the SMTP server answered 550");
            (json!(MailFailing { tenant_id: 1, user_id: USER, email, reason, at }), MailFailing::FIELDS)
        }
        EventKind::Test => {
            let text = "This is a test from Undertone. Nothing happened.";
            let (destination_id, name) = (DESTINATION, "Warehouse");
            (json!(Test { tenant_id: 1, destination_id, name, text, requested_at: at }), Test::FIELDS)
        }
    }
}

/// A moment, in microseconds since 1970.
fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn scored(at: DateTime<Utc>) -> Scored<'static> {
    Scored {
        tenant_id: 1,
        interaction_id: INTERACTION,
        customer_id: Some(CUSTOMER),
        agent_id: None,
        channel: "email",
        score: -72,
        label: "negative",
        confidence: 91,
        dominant_emotion: "anger",
        summary: Some(SUMMARY),
        scored_at: at,
    }
}

fn overridden(at: DateTime<Utc>) -> Overridden<'static> {
    Overridden {
        tenant_id: 1,
        interaction_id: INTERACTION,
        customer_id: Some(CUSTOMER),
        channel: "email",
        score: 0,
        label: "neutral",
        model_score: -72,
        model_label: "negative",
        cleared: false,
        made_by: MADE_BY,
        at,
    }
}

/// An alert as this event tells of it.
fn alert(kind: EventKind, now: DateTime<Utc>) -> Alert {
    let state = match kind {
        EventKind::AlertAcknowledged | EventKind::AlertAssigned => "acknowledged",
        EventKind::AlertSnoozed => "snoozed",
        EventKind::AlertResolved => "resolved",
        EventKind::AlertWithdrawn => "withdrawn",
        _ => "open",
    };
    let nobody_did_it =
        matches!(kind, EventKind::AlertRaised | EventKind::AlertReminded | EventKind::AlertEscalated);
    Alert {
        tenant_id: 1,
        alert_id: ALERT.to_owned(),
        interaction_id: Some(INTERACTION.to_owned()),
        customer_id: Some(CUSTOMER.to_owned()),
        customer_external_id: Some("ana".to_owned()),
        customer_name: Some("Ana".to_owned()),
        source: Some("zendesk".to_owned()),
        conversation_external_id: Some("4711".to_owned()),
        channel: "email".to_owned(),
        category: "billing".to_owned(),
        score: Some(if kind == EventKind::AlertWithdrawn { 0 } else { -72 }),
        label: Some(if kind == EventKind::AlertWithdrawn { "neutral" } else { "negative" }.to_owned()),
        dominant_emotion: Some("anger".to_owned()),
        summary: Some(SUMMARY.to_owned()),
        threshold: -50,
        state: state.to_owned(),
        assigned_to: (kind == EventKind::AlertAssigned).then(|| USER.to_owned()),
        escalated: i64::from(kind == EventKind::AlertEscalated),
        due_at: at(1_795_954_502_301_511),
        at: now,
        made_by: (!nobody_did_it).then(|| MADE_BY.to_owned()),
        until: (kind == EventKind::AlertSnoozed).then(|| at(1_796_025_600_000_000)),
    }
}

fn opened(at: DateTime<Utc>) -> IncidentOpened<'static> {
    IncidentOpened {
        tenant_id: 1,
        incident_id: INCIDENT,
        category: "billing",
        customers: 42,
        usual: 3.5,
        window_minutes: 60,
        state: "open",
        at,
    }
}

fn closed(now: DateTime<Utc>) -> IncidentClosed<'static> {
    IncidentClosed {
        tenant_id: 1,
        incident_id: INCIDENT,
        category: "billing",
        state: "closed",
        opened_at: at(1_795_941_611_118_200),
        still_low: 31,
        no_longer_low: 11,
        at: now,
    }
}

fn budget(at: DateTime<Utc>) -> BudgetThreshold<'static> {
    BudgetThreshold {
        tenant_id: 1,
        period: "day",
        begins: NaiveDate::from_ymd_opt(2026, 11, 29).unwrap_or_default(),
        measure: "tokens",
        percent: 85,
        used: 85120,
        cap: 100_000,
        refused: None,
        at,
    }
}

fn erased(now: DateTime<Utc>) -> CustomerErased<'static> {
    CustomerErased {
        tenant_id: 1,
        customer_id: CUSTOMER,
        erasure_id: "019abf52-4d5e-7a6b-8c7d-9e0f1a2b3c4d",
        asked_at: at(1_795_947_298_000_120),
        erased_at: now,
    }
}

fn failing(now: DateTime<Utc>) -> DestinationFailing<'static> {
    DestinationFailing {
        tenant_id: 1,
        destination_id: DESTINATION,
        name: "Warehouse",
        kind: DestinationKind::Webhook,
        refused: false,
        failures: 8,
        reason: "it answers 403",
        failing_since: at(1_795_946_651_118_200),
        at: now,
    }
}

fn disabled(at: DateTime<Utc>) -> DestinationDisabled<'static> {
    DestinationDisabled {
        tenant_id: 1,
        destination_id: DESTINATION,
        name: "Warehouse",
        kind: DestinationKind::Webhook,
        reason: "it answers 410; the receiver wants no more messages",
        failing_since: None,
        disabled_at: at,
    }
}
