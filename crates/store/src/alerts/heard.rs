//! Who heard of an alert: people, and destinations. What becomes of it is told to them whatever the visibility policy says by then: a
//! correction may hide the very score that they were called for, and what nobody ends stays open for ever.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use serde_json::json;
use undertone_core::event::{EventKind, payload};

use super::AlertState;
use super::list::{COLUMNS, Row};
use crate::outbox::{self, Caused};
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};

/// Notes who heard of which alert: each an alert's id, and the id of a user or a destination.
pub(crate) async fn note(
    on: &impl ConnectionTrait,
    (tenant, at): (TenantId, DateTime<Utc>),
    heard: BTreeSet<(&str, &str)>,
) -> Result<()> {
    let rows: Vec<[Value; 4]> = heard
        .into_iter()
        .map(|(alert, who)| [tenant.0.into(), alert.into(), who.into(), at.into()])
        .collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO alert_heard (tenant_id, alert_id, who, at) VALUES ? ON CONFLICT DO NOTHING")
            .rows(piece.iter().cloned())
            .run(on)
            .await?;
    }
    Ok(())
}

/// Notes that a person got e-mail of the notices at these places.
pub(crate) async fn note_mails(
    on: &impl ConnectionTrait,
    (tenant, at): (TenantId, DateTime<Utc>),
    user: &str,
    places: &[i64],
) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Of {
        event: String,
        subject_id: String,
    }
    let mut told = Vec::new();
    for piece in pieces(places) {
        let some = sql("SELECT event, subject_id FROM notice WHERE tenant_id = ? AND position IN ?")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .all::<Of>(on)
            .await?;
        told.extend(some);
    }
    let calls = told.iter().filter(|of| of.event.parse().is_ok_and(EventKind::calls_for_somebody));
    note(on, (tenant, at), calls.map(|of| (of.subject_id.as_str(), user)).collect()).await
}

/// Alerts that go altogether, with what they tell of: those that people may have in hand are withdrawn, for whoever heard of them. It says
/// nothing of the customer. To be asked before they are removed; what comes of it is written after.
pub(crate) async fn going(
    store: &Store,
    tx: &DatabaseTransaction,
    tenant: TenantId,
    (column, ids): (Going, &[String]),
) -> Result<Vec<payload::Alert>> {
    let column = match column {
        Going::Themselves => "WHERE tenant_id = ? AND id IN ?",
        Going::OfInteractions => "WHERE tenant_id = ? AND interaction_id IN ?",
    };
    let rows = sql(COLUMNS)
        .then(column)
        .bind(tenant.0)
        .list(ids.iter().map(String::as_str))
        .then(" AND state IN ('open', 'acknowledged', 'snoozed') ORDER BY id")
        .then(for_update(store.backend()))
        .all::<Row>(tx)
        .await?;
    let at = store.now();
    let one = |row: Row| payload::Alert {
        tenant_id: tenant.0,
        alert_id: row.id,
        interaction_id: None,
        customer_id: None,
        customer_external_id: None,
        customer_name: None,
        source: None,
        conversation_external_id: None,
        channel: row.channel,
        category: row.category,
        score: None,
        label: None,
        dominant_emotion: None,
        summary: None,
        threshold: row.threshold,
        state: AlertState::Withdrawn.as_str().to_owned(),
        assigned_to: row.assigned_to,
        escalated: row.escalated,
        due_at: row.due_at,
        at,
        made_by: None,
        until: None,
    };
    Ok(rows.into_iter().map(one).collect())
}

/// By what the alerts are known that go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Going {
    /// By their own ids.
    Themselves,
    /// By the interactions they tell of.
    OfInteractions,
}

/// Tells that alerts are gone, because of `by`.
pub(crate) async fn gone(
    store: &Store,
    tx: &DatabaseTransaction,
    tenant: TenantId,
    (alerts, by): (Vec<payload::Alert>, &str),
) -> Result<()> {
    if alerts.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = alerts.iter().map(|alert| alert.alert_id.clone()).collect();
    let events = alerts.into_iter().zip(&ids).map(|(alert, id)| {
        let alert = payload::Alert { made_by: Some(by.to_owned()), ..alert };
        Caused::new(EventKind::AlertWithdrawn, id, json!(alert))
    });
    outbox::emit(store, tx, tenant, store.now(), events.collect()).await
}

impl Store {
    /// Those of these alerts, by id, of which a user or a destination heard.
    pub async fn heard_of(&self, tenant: TenantId, who: &str, alerts: &[&str]) -> Result<HashSet<String>> {
        let mut heard = HashSet::new();
        for piece in pieces(alerts) {
            let some =
                sql("SELECT alert_id FROM alert_heard WHERE tenant_id = ? AND who = ? AND alert_id IN ?")
                    .bind(tenant.0)
                    .bind(who)
                    .list(piece.iter().copied())
                    .column::<String>(&self.reader)
                    .await?;
            heard.extend(some);
        }
        Ok(heard)
    }

    /// Who heard of these alerts: users and destinations, by the alerts' ids.
    pub async fn who_heard(
        &self,
        tenant: TenantId,
        alerts: &[&str],
    ) -> Result<HashMap<String, HashSet<String>>> {
        #[derive(FromQueryResult)]
        struct Heard {
            alert_id: String,
            who: String,
        }
        let mut heard: HashMap<String, HashSet<String>> = HashMap::new();
        for piece in pieces(alerts) {
            let some = sql("SELECT alert_id, who FROM alert_heard WHERE tenant_id = ? AND alert_id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .all::<Heard>(&self.reader)
                .await?;
            for Heard { alert_id, who } in some {
                heard.entry(alert_id).or_default().insert(who);
            }
        }
        Ok(heard)
    }

    /// Removes some of who heard of alerts longer ago than `age` that have ended and of which no notice is left; answers whether there may be
    /// more.
    pub async fn tidy_heard(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: i64 = 500;
        let tx = self.begin().await?;
        let removed = sql("DELETE FROM alert_heard WHERE tenant_id = ? AND (alert_id, who) IN (SELECT h.alert_id, h.who FROM alert_heard h \
             WHERE h.tenant_id = ? AND h.at < ? AND NOT EXISTS (SELECT 1 FROM alert a WHERE a.tenant_id = h.tenant_id AND a.id = h.alert_id \
             AND a.state NOT IN ('resolved', 'withdrawn')) AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.tenant_id = h.tenant_id \
             AND n.subject_id = h.alert_id) LIMIT ?)")
        .bind(tenant.0)
        .bind(tenant.0)
        .bind(self.now() - age)
        .bind(SOME)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(removed == SOME.unsigned_abs())
    }
}
