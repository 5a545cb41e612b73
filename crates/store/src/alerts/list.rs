//! Reading alerts, and what is told of one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use undertone_core::event::payload;

use super::{AlertState, Names};
use crate::rows::word;
use crate::statement::{pieces, sql};
use crate::{Result, Store, StoreError, TenantId};

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its id.
    pub id: String,
    /// The customer; none where nobody is known.
    pub customer_id: Option<String>,
    /// The interaction whose score was low.
    pub interaction_id: String,
    /// The score when it was raised, -100..=100; hidden from whoever may not see scores.
    pub score: Option<i64>,
    /// The threshold it was at or under.
    pub threshold: Option<i64>,
    /// The label when it was raised.
    pub label: Option<String>,
    /// What it is about.
    pub category: String,
    /// On which channel.
    pub channel: String,
    /// Where it stands.
    pub state: AlertState,
    /// The incident that holds or held it back.
    pub incident_id: Option<String>,
    /// When it was raised.
    pub raised_at: DateTime<Utc>,
    /// When people were told of it; nobody is of one that an incident holds.
    pub told_at: Option<DateTime<Utc>>,
    /// Until when somebody has to have taken care of it.
    pub due_at: DateTime<Utc>,
    /// When somebody acknowledged it.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who: `user:…` or `key:…`.
    pub acknowledged_by: Option<String>,
    /// The user who is responsible, by id.
    pub assigned_to: Option<String>,
    /// Until when it is quiet.
    pub snoozed_until: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// What they noted.
    pub note: Option<String>,
    /// How often others were told, since it was given to somebody if it was.
    pub escalated: i64,
    /// Which state of it this is; a change names the state that it changes.
    pub version: i64,
}

/// What became of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Step {
    /// When.
    pub at: DateTime<Utc>,
    /// What: `acknowledged`, `assigned`, `snoozed`, `reminded`, `escalated`, `moved`, `reopened`, `resolved`, `withdrawn`.
    pub step: String,
    /// Who.
    pub made_by: String,
    /// To whom, until when, or why.
    pub detail: Option<String>,
}

/// Which alerts are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// In this state.
    pub state: Option<AlertState>,
    /// Of this customer.
    pub customer: Option<&'a str>,
    /// Of this incident.
    pub incident: Option<&'a str>,
    /// For which this user is responsible.
    pub assigned_to: Option<&'a str>,
    /// Older than this id.
    pub before: Option<&'a str>,
    /// At most so many.
    pub most: u16,
}

#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) customer_id: Option<String>,
    pub(crate) interaction_id: String,
    pub(crate) score: i64,
    pub(crate) threshold: i64,
    pub(crate) label: String,
    pub(crate) category: String,
    pub(crate) channel: String,
    pub(crate) state: String,
    pub(crate) incident_id: Option<String>,
    pub(crate) raised_at: DateTime<Utc>,
    pub(crate) told_at: Option<DateTime<Utc>>,
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) acknowledged_at: Option<DateTime<Utc>>,
    pub(crate) acknowledged_by: Option<String>,
    pub(crate) assigned_to: Option<String>,
    pub(crate) snoozed_until: Option<DateTime<Utc>>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) ended_by: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) escalated: i64,
    /// Whom it is about, as the cooldown has it; of some that are old it is not known.
    pub(crate) cooldown_key: Option<String>,
    pub(crate) version: i64,
}

pub(crate) const COLUMNS: &str = "SELECT id, customer_id, interaction_id, score, threshold, label, category, channel, state, incident_id, raised_at, \
    told_at, due_at, acknowledged_at, acknowledged_by, assigned_to, snoozed_until, ended_at, ended_by, note, escalated, cooldown_key, version FROM alert ";

impl TryFrom<Row> for Alert {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            state: word("alert", &row.state)?,
            id: row.id,
            customer_id: row.customer_id,
            interaction_id: row.interaction_id,
            score: Some(row.score),
            threshold: Some(row.threshold),
            label: Some(row.label),
            category: row.category,
            channel: row.channel,
            incident_id: row.incident_id,
            raised_at: row.raised_at,
            told_at: row.told_at,
            due_at: row.due_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
            assigned_to: row.assigned_to,
            snoozed_until: row.snoozed_until,
            ended_at: row.ended_at,
            ended_by: row.ended_by,
            note: row.note,
            escalated: row.escalated,
            version: row.version,
        })
    }
}

/// The effective score of what the customer said last is still at or under the alert's threshold; of nobody known, the interaction's own.
/// What was said earlier and scored later, such as imported history, does not count.
pub(super) async fn is_still_low(on: &impl ConnectionTrait, tenant: TenantId, row: &Row) -> Result<bool> {
    let latest = match &row.customer_id {
        Some(customer) => {
            sql("SELECT effective_score FROM interaction_sentiment WHERE tenant_id = ? AND customer_id = ? \
                 ORDER BY occurred_at DESC, interaction_id DESC LIMIT 1")
            .bind(tenant.0)
            .bind(customer)
            .value::<i64>(on)
            .await?
        }
        None => sql(
            "SELECT effective_score FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id = ?",
        )
        .bind(tenant.0)
        .bind(&row.interaction_id)
        .value::<i64>(on)
        .await?,
    };
    Ok(latest.is_some_and(|score| score <= row.threshold))
}

/// What is told of an alert's interaction beside the alert.
#[derive(Debug, Clone, Default, FromQueryResult)]
pub(super) struct More {
    pub(super) source: Option<String>,
    pub(super) conversation_id: Option<String>,
    pub(super) dominant_emotion: Option<String>,
    /// What may leave of the summary.
    pub(super) summary: Option<String>,
}

/// What is told of alerts now, in their order.
pub(super) async fn payloads(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    rows: &[&Row],
    at: DateTime<Utc>,
) -> Result<Vec<payload::Alert>> {
    #[derive(FromQueryResult)]
    struct Of {
        id: String,
        #[sea_orm(nested)]
        more: More,
    }
    let ids: Vec<&str> = rows.iter().map(|row| row.interaction_id.as_str()).collect();
    let mut known: HashMap<String, More> = HashMap::new();
    for piece in pieces(&ids) {
        let found = sql("SELECT i.id, i.source, i.conversation_id, s.dominant_emotion, s.outside_summary AS summary FROM interaction i LEFT JOIN interaction_sentiment s \
             ON s.tenant_id = i.tenant_id AND s.interaction_id = i.id WHERE i.tenant_id = ? AND i.id IN ?")
        .bind(tenant.0)
        .list(piece.iter().copied())
        .all::<Of>(on)
        .await?;
        known.extend(found.into_iter().map(|of| (of.id, of.more)));
    }
    let unknown = More::default();
    let alerts: Vec<(&Row, &More)> =
        rows.iter().map(|row| (*row, known.get(&row.interaction_id).unwrap_or(&unknown))).collect();
    told(on, tenant, &alerts, at).await
}

/// What is told of alerts whose interactions are known.
pub(super) async fn told(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    alerts: &[(&Row, &More)],
    at: DateTime<Utc>,
) -> Result<Vec<payload::Alert>> {
    let whose =
        alerts.iter().map(|(row, more)| (row.customer_id.as_deref(), more.conversation_id.as_deref()));
    let names = Names::of(on, tenant, whose).await?;
    let one = |(row, more): &(&Row, &More)| {
        let customer = names.customer(row.customer_id.as_deref());
        payload::Alert {
            tenant_id: tenant.0,
            alert_id: row.id.clone(),
            interaction_id: Some(row.interaction_id.clone()),
            customer_id: row.customer_id.clone(),
            customer_external_id: customer.map(|c| c.0.clone()),
            customer_name: customer.and_then(|c| c.1.clone()),
            source: more.source.clone(),
            conversation_external_id: names.conversation(more.conversation_id.as_deref()).cloned(),
            channel: row.channel.clone(),
            category: row.category.clone(),
            score: Some(row.score),
            label: Some(row.label.clone()),
            dominant_emotion: more.dominant_emotion.clone(),
            summary: more.summary.clone(),
            threshold: row.threshold,
            state: row.state.clone(),
            assigned_to: row.assigned_to.clone(),
            escalated: row.escalated,
            due_at: row.due_at,
            at,
            made_by: None,
            until: None,
        }
    };
    Ok(alerts.iter().map(one).collect())
}

/// The alert of this id; `lock` ends the statement.
pub(super) async fn one(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    id: &str,
    lock: &'static str,
) -> Result<Option<Row>> {
    sql(COLUMNS).then("WHERE tenant_id = ? AND id = ?").bind(tenant.0).bind(id).then(lock).one(on).await
}

impl Store {
    /// Alerts, the youngest first.
    pub async fn alerts(&self, tenant: TenantId, wanted: &Wanted<'_>) -> Result<Vec<Alert>> {
        let mut statement = sql(COLUMNS).then("WHERE tenant_id = ?").bind(tenant.0);
        if let Some(state) = wanted.state {
            statement = statement.then(" AND state = ?").bind(state.as_str());
        }
        for (text, value) in [
            (" AND customer_id = ?", wanted.customer),
            (" AND incident_id = ?", wanted.incident),
            (" AND assigned_to = ?", wanted.assigned_to),
            (" AND id < ?", wanted.before),
        ] {
            if let Some(value) = value {
                statement = statement.then(text).bind(value);
            }
        }
        let rows = statement
            .then(" ORDER BY id DESC LIMIT ?")
            .bind(i64::from(wanted.most))
            .all::<Row>(&self.reader)
            .await?;
        rows.into_iter().map(Alert::try_from).collect()
    }

    /// What customers are called, by our ids: their name, or else what their source calls them.
    pub async fn names_of(&self, tenant: TenantId, customers: &[&str]) -> Result<HashMap<String, String>> {
        let names = Names::of(&self.reader, tenant, customers.iter().map(|id| (Some(*id), None))).await?;
        let named = |id: &&str| {
            let (external, name) = names.customer(Some(*id))?;
            Some(((*id).to_owned(), name.as_ref().unwrap_or(external).clone()))
        };
        Ok(customers.iter().filter_map(named).collect())
    }

    /// One alert with what became of it, the oldest step first.
    pub async fn alert(&self, tenant: TenantId, id: &str) -> Result<Option<(Alert, Vec<Step>)>> {
        let Some(row) = one(&self.reader, tenant, id, "").await? else { return Ok(None) };
        let steps = sql("SELECT at, step, made_by, detail FROM alert_step WHERE tenant_id = ? AND alert_id = ? ORDER BY id")
            .bind(tenant.0)
            .bind(id)
            .all::<Step>(&self.reader)
            .await?;
        Ok(Some((row.try_into()?, steps)))
    }
}
