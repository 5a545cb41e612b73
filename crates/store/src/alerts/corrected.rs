//! What a person's word on a score does to alerts: brought down to the threshold, it raises one; lifted above it, it takes back those
//! that nobody acknowledged, and their cooldowns with them, unless the customer said something else that is low, of which the alert tells from
//! then on.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;
use undertone_core::event::EventKind;

use super::list::{self, More};
use super::{Low, Rules, moves, raise};
use crate::audit::Act;
use crate::outbox::{self, Caused};
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId};

/// An interaction whose effective score a person moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Corrected<'a> {
    pub(crate) interaction: &'a str,
    pub(crate) customer: Option<&'a str>,
    pub(crate) category: &'a str,
    pub(crate) channel: &'a str,
    /// The effective score before, -100..=100.
    pub(crate) before: i64,
    /// The effective score now.
    pub(crate) score: i64,
    /// The effective label now.
    pub(crate) label: &'a str,
}

/// Raises or withdraws alerts of `corrected`, in the transaction of the correction. Incidents are locked before alerts, and both before
/// the counters, as where scores are recorded.
pub(crate) async fn corrected(
    store: &Store,
    tx: &impl ConnectionTrait,
    act: &Act<'_>,
    rules: &Rules,
    corrected: &Corrected<'_>,
) -> Result<()> {
    let at = store.now();
    let threshold = i64::from(rules.settings.alert_threshold);
    if rules.active && corrected.before > threshold && corrected.score <= threshold {
        raise_one(store, tx, rules, at, corrected).await?;
    }
    withdraw(store, tx, act, rules, at, corrected).await
}

/// Raises an alert, unless one of the same interaction is in somebody's hands or still to be taken.
async fn raise_one(
    store: &Store,
    tx: &impl ConnectionTrait,
    rules: &Rules,
    at: DateTime<Utc>,
    corrected: &Corrected<'_>,
) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Row {
        alert: Option<String>,
        #[sea_orm(nested)]
        more: More,
    }
    let row = sql("SELECT (SELECT MIN(a.id) FROM alert a WHERE a.tenant_id = i.tenant_id AND a.interaction_id = i.id \
         AND a.state NOT IN ('resolved', 'withdrawn')) AS alert, i.source, i.conversation_id, s.dominant_emotion, s.outside_summary AS summary \
         FROM interaction i JOIN interaction_sentiment s ON s.tenant_id = i.tenant_id AND s.interaction_id = i.id \
         WHERE i.tenant_id = ? AND i.id = ?")
    .bind(rules.tenant.0)
    .bind(corrected.interaction)
    .one::<Row>(tx)
    .await?;
    let Some(Row { alert: None, more }) = row else { return Ok(()) };
    let low = Low {
        interaction: corrected.interaction,
        source: more.source.as_deref(),
        customer: corrected.customer,
        conversation: more.conversation_id.as_deref(),
        score: corrected.score,
        label: corrected.label,
        emotion: more.dominant_emotion.as_deref().unwrap_or_default(),
        category: corrected.category,
        channel: corrected.channel,
        summary: more.summary.as_deref(),
    };
    raise(store, tx, rules, at, &[low]).await
}

/// Withdraws the interaction's alerts that nobody acknowledged and whose threshold lies under the score now.
async fn withdraw(
    store: &Store,
    tx: &impl ConnectionTrait,
    act: &Act<'_>,
    rules: &Rules,
    at: DateTime<Utc>,
    corrected: &Corrected<'_>,
) -> Result<()> {
    let rows = sql(list::COLUMNS)
        .then("WHERE tenant_id = ? AND interaction_id = ? AND state IN ('open', 'snoozed', 'held') AND acknowledged_at IS NULL AND threshold < ? \
             ORDER BY id")
        .bind(act.tenant.0)
        .bind(corrected.interaction)
        .bind(corrected.score)
        .then(for_update(store.backend()))
        .all::<list::Row>(tx)
        .await?;
    let mut moved: Vec<list::Row> = Vec::new();
    let mut withdrawn: Vec<list::Row> = Vec::new();
    for row in rows {
        match other_low(tx, rules, at, &row).await? {
            Some(other) => moved.push(move_to(store, tx, act, row, other).await?),
            None => withdrawn.push(row),
        }
    }
    for row in &withdrawn {
        sql("UPDATE alert SET state = 'withdrawn', ended_at = ?, ended_by = ?, next_at = NULL, version = version + 1 WHERE tenant_id = ? AND id = ?")
            .bind(at)
            .bind(act.actor)
            .bind(act.tenant.0)
            .bind(&row.id)
            .run(tx)
            .await?;
        give_back(tx, act.tenant, row).await?;
        let why = Some("a correction lifted the score");
        moves::step(store, tx, (act.tenant, &row.id), ("withdrawn", act.actor), why).await?;
    }
    // Of those that were held nobody was told.
    let ended: Vec<list::Row> = withdrawn
        .into_iter()
        .filter(|row| row.state != "held")
        .map(|row| list::Row { state: "withdrawn".to_owned(), ..row })
        .collect();
    let payloads = list::payloads(tx, act.tenant, &ended.iter().collect::<Vec<_>>(), at).await?;
    let events = ended.iter().zip(payloads).map(|(row, mut payload)| {
        payload.score = Some(corrected.score);
        payload.label = Some(corrected.label.to_owned());
        payload.made_by = Some(act.actor.to_owned());
        Caused::new(EventKind::AlertWithdrawn, &row.id, json!(payload))
    });
    let mut events: Vec<Caused<'_>> = events.collect();
    // Of what is quiet or held people hear later.
    let open: Vec<&list::Row> = moved.iter().filter(|row| row.state == "open").collect();
    let payloads = list::payloads(tx, act.tenant, &open, at).await?;
    let raised = open.iter().zip(payloads);
    events.extend(raised.map(|(row, payload)| Caused::new(EventKind::AlertRaised, &row.id, json!(payload))));
    outbox::emit_under(store, tx, (act.tenant, at), &rules.settings, events).await
}

/// The cooldown that an alert began which is taken back is over with it: people were told of nothing, and hear of what is low the next time.
/// One that began after it, with another alert, goes on.
async fn give_back(tx: &impl ConnectionTrait, tenant: TenantId, alert: &list::Row) -> Result<()> {
    let key = alert.cooldown_key.as_ref().or(alert.customer_id.as_ref());
    let (Some(key), Some(told_at)) = (key, alert.told_at) else { return Ok(()) };
    sql("DELETE FROM alert_cooldown WHERE tenant_id = ? AND customer_id = ? AND last_at <= ?")
        .bind(tenant.0)
        .bind(key)
        .bind(told_at)
        .run(tx)
        .await?;
    Ok(())
}

/// Something else that a customer said and that is low.
#[derive(FromQueryResult)]
struct Other {
    interaction_id: String,
    score: i64,
    label: String,
    category: String,
    channel: String,
}

/// The latest other low text of the alert's customer that raised none because of this alert: one scored within its cooldown, which begins
/// when people are told, or about the same while an incident held it.
async fn other_low(
    on: &impl ConnectionTrait,
    rules: &Rules,
    now: DateTime<Utc>,
    alert: &list::Row,
) -> Result<Option<Other>> {
    let Some(customer) = &alert.customer_id else { return Ok(None) };
    // One that an older program wrote does not say when people were told.
    let told_at = alert.told_at.or((alert.state != "held").then_some(alert.raised_at));
    let (cooling, cooled) =
        told_at.map_or((alert.raised_at, alert.raised_at), |at| (at, at + rules.cooldown()));
    // A clock may be a little ahead of ours.
    let held_until = match alert.incident_id {
        Some(_) => told_at.unwrap_or(now + TimeDelta::hours(1)),
        None => alert.raised_at,
    };
    sql("SELECT s.interaction_id, s.effective_score AS score, s.effective_label AS label, s.category, s.channel FROM interaction_sentiment s \
         WHERE s.tenant_id = ? AND s.customer_id = ? AND (s.scored_at >= ? AND s.scored_at < ? \
         OR s.category = ? AND s.scored_at >= ? AND s.scored_at < ?) AND s.effective_score <= ? AND s.interaction_id <> ? AND NOT EXISTS (SELECT 1 FROM alert a WHERE a.tenant_id = s.tenant_id AND a.interaction_id = s.interaction_id) \
         ORDER BY s.occurred_at DESC, s.interaction_id DESC LIMIT 1")
    .bind(rules.tenant.0)
    .bind(customer)
    .bind(cooling)
    .bind(cooled)
    .bind(&alert.category)
    .bind(alert.raised_at)
    .bind(held_until)
    .bind(alert.threshold)
    .bind(&alert.interaction_id)
    .one::<Other>(on)
    .await
}

/// The alert tells of `other` from now on.
async fn move_to(
    store: &Store,
    tx: &impl ConnectionTrait,
    act: &Act<'_>,
    alert: list::Row,
    other: Other,
) -> Result<list::Row> {
    sql("UPDATE alert SET interaction_id = ?, score = ?, label = ?, category = ?, channel = ?, version = version + 1 \
         WHERE tenant_id = ? AND id = ?")
    .bind(&other.interaction_id)
    .bind(other.score)
    .bind(&other.label)
    .bind(&other.category)
    .bind(&other.channel)
    .bind(act.tenant.0)
    .bind(&alert.id)
    .run(tx)
    .await?;
    let why = Some("a correction lifted the score, and something else the customer said is low");
    moves::step(store, tx, (act.tenant, &alert.id), ("moved", act.actor), why).await?;
    let Other { interaction_id, score, label, category, channel } = other;
    Ok(list::Row { interaction_id, score, label, category, channel, version: alert.version + 1, ..alert })
}
