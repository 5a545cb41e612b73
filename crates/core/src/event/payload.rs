//! What is told of each event: its keys, in their order, and what each means. Whoever causes an event fills one of these in, and the catalogue
//! is written from them.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::destination::DestinationKind;

/// The keys of a payload, and what each means: one sentence.
pub(super) type Fields = &'static [(&'static str, &'static str)];

/// Defines payloads: each with its keys and what they mean.
macro_rules! payloads {
    ($($(#[doc = $doc:literal])+ $name:ident $(<$life:lifetime>)? {
        $($(#[doc = $meaning:literal])+ $(#[serde($($serde:tt)+)])? $key:ident: $type:ty,)+
    })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, PartialEq, Serialize)]
            pub struct $name $(<$life>)? {
                $($(#[doc = $meaning])+ $(#[serde($($serde)+)])? pub $key: $type,)+
            }

            impl $(<$life>)? $name $(<$life>)? {
                pub(super) const FIELDS: Fields =
                    &[$((stringify!($key), concat!($($meaning),+).trim_ascii()),)+];
            }
        )+
    };
}

payloads! {
    /// Of `sentiment.scored` and `sentiment.negative`: the keys of the module guide. Score and label are those in force.
    Scored<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The interaction, by our id.
        interaction_id: &'a str,
        /// The customer who wrote it, by our id; null where nobody is known.
        customer_id: Option<&'a str>,
        /// The agent, by our id; null where none took part.
        agent_id: Option<&'a str>,
        /// The channel it came through.
        channel: &'a str,
        /// The score, -100 to 100: a person's where they corrected it, else the scorer's.
        score: i64,
        /// `positive`, `neutral`, `negative` or `mixed`; a person's where they corrected it.
        label: &'a str,
        /// How sure the scorer is of its label, 0 to 100.
        confidence: u8,
        /// The emotion that dominates, one word.
        dominant_emotion: &'a str,
        /// One or two sentences, without the names, addresses, numbers and secrets that were recognised; null where nothing may be told.
        summary: Option<&'a str>,
        /// When it was scored.
        scored_at: DateTime<Utc>,
    }

    /// Of `sentiment.overridden`.
    Overridden<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The interaction, by our id.
        interaction_id: &'a str,
        /// The customer, by our id; null where nobody is known.
        customer_id: Option<&'a str>,
        /// The channel it came through.
        channel: &'a str,
        /// The score in force now, -100 to 100.
        score: i64,
        /// The label in force now.
        label: &'a str,
        /// The scorer's score.
        model_score: i64,
        /// The scorer's label.
        model_label: &'a str,
        /// The correction was taken back, and the scorer's verdict stands again.
        cleared: bool,
        /// Who did it: `user:` or `key:` and an id.
        made_by: &'a str,
        /// When.
        at: DateTime<Utc>,
    }

    /// Of everything that happens to an alert. What only some of these events tell is absent from the others.
    Alert {
        /// The tenant.
        tenant_id: i64,
        /// The alert.
        alert_id: String,
        /// The interaction it tells of, by our id; null, like score and label, where that was erased or is not kept any more.
        interaction_id: Option<String>,
        /// The customer, by our id; null where nobody is known.
        customer_id: Option<String>,
        /// What the customer's source calls them.
        customer_external_id: Option<String>,
        /// The customer's name, as the records have it.
        customer_name: Option<String>,
        /// The source of the interaction, as it was named where it was handed in; null where the interaction is not kept any more.
        source: Option<String>,
        /// What its source calls the conversation, such as the number of a ticket.
        conversation_external_id: Option<String>,
        /// The channel it came through.
        channel: String,
        /// What it is about.
        category: String,
        /// The score, -100 to 100.
        score: Option<i64>,
        /// The label.
        label: Option<String>,
        /// The emotion that dominates, one word.
        dominant_emotion: Option<String>,
        /// One or two sentences, without the names, addresses, numbers and secrets that were recognised; null where nothing may be told.
        summary: Option<String>,
        /// The threshold that the score was at or under.
        threshold: i64,
        /// Where the alert stands after this: `open`, `acknowledged`, `snoozed`, `resolved` or `withdrawn`.
        state: String,
        /// The user who is responsible, by id.
        assigned_to: Option<String>,
        /// How often others were told because nobody acknowledged it.
        escalated: i64,
        /// Until when somebody has to have taken care of it.
        due_at: DateTime<Utc>,
        /// When this happened.
        at: DateTime<Utc>,
        /// Who did it: `user:` or `key:` and an id, the command line, the clock, or an erasure.
        #[serde(skip_serializing_if = "Option::is_none")]
        made_by: Option<String>,
        /// Until when it is quiet.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
    }

    /// Of `incident.opened`.
    IncidentOpened<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The incident.
        incident_id: &'a str,
        /// What its customers are low about.
        category: &'a str,
        /// Customers who turned low about it within the window.
        customers: i64,
        /// So many would have been usual.
        usual: f64,
        /// The length of the window in minutes.
        window_minutes: u32,
        /// `open`.
        state: &'a str,
        /// When.
        at: DateTime<Utc>,
    }

    /// Of `incident.closed`.
    IncidentClosed<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The incident.
        incident_id: &'a str,
        /// What its customers were low about.
        category: &'a str,
        /// `closed`.
        state: &'a str,
        /// When it was seen.
        opened_at: DateTime<Utc>,
        /// Alerts it held back whose customers are still low: people are told of them now.
        still_low: u64,
        /// Alerts it held back whose customers are no longer low, or of whom people were told by another alert just before.
        no_longer_low: u64,
        /// When it ended.
        at: DateTime<Utc>,
    }

    /// Of `budget.threshold`.
    BudgetThreshold<'a> {
        /// The tenant.
        tenant_id: i64,
        /// `day` or `month`.
        period: &'a str,
        /// The first day of the period, in the tenant's zone.
        begins: NaiveDate,
        /// What is counted: `tokens`, or `cost_micros`, millionths of a dollar.
        measure: &'a str,
        /// How much of it is used up: 65, 85 or 100.
        percent: u8,
        /// So much is used.
        used: u64,
        /// Of so much.
        cap: u64,
        /// What a call wanted that was refused, where that is why it is told; else null.
        refused: Option<u64>,
        /// When.
        at: DateTime<Utc>,
    }

    /// Of `customer.erased`.
    CustomerErased<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The customer, by our id.
        customer_id: &'a str,
        /// The erasure, whose receipt is kept.
        erasure_id: &'a str,
        /// When it was asked for.
        asked_at: DateTime<Utc>,
        /// When nothing was left here.
        erased_at: DateTime<Utc>,
    }

    /// Of `module.activated` and `module.deactivated`.
    ModuleSwitched<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The module: `sentiment_analysis`.
        module: &'a str,
        /// Who did it: `user:` or `key:` and an id, or the command line.
        made_by: &'a str,
        /// When.
        at: DateTime<Utc>,
    }

    /// Of `destination.failing`.
    DestinationFailing<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The destination.
        destination_id: &'a str,
        /// What people call it.
        name: &'a str,
        /// What kind of receiver it is.
        kind: DestinationKind,
        /// It answers, and takes none of the messages; else it could not be reached, said that it failed, or asked for patience.
        refused: bool,
        /// Tries that failed in a row, or messages that were refused in a row. One that was put off is neither.
        failures: i64,
        /// What the last try came to.
        reason: &'a str,
        /// Since when nothing has been taken.
        failing_since: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    }

    /// Of `mail.failing`.
    MailFailing<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The person who gets none, by id.
        user_id: &'a str,
        /// Their address.
        email: &'a str,
        /// What the last try came to.
        reason: &'a str,
        /// When the letter was given up.
        at: DateTime<Utc>,
    }

    /// Of `destination.disabled`.
    DestinationDisabled<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The destination.
        destination_id: &'a str,
        /// What people call it.
        name: &'a str,
        /// What kind of receiver it is.
        kind: DestinationKind,
        /// Why.
        reason: &'a str,
        /// Since when nothing has been taken; null where it was until now.
        failing_since: Option<DateTime<Utc>>,
        /// When it was switched off.
        disabled_at: DateTime<Utc>,
    }

    /// Of `undertone.test`.
    Test<'a> {
        /// The tenant.
        tenant_id: i64,
        /// The destination it goes to.
        destination_id: &'a str,
        /// What people call it.
        name: &'a str,
        /// That it is a test.
        text: &'a str,
        /// When somebody asked for it.
        requested_at: DateTime<Utc>,
    }
}
