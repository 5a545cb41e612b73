//! What the clock does with alerts: ends snoozes, and tells others where nobody acknowledged.

use serde_json::json;
use undertone_core::event::EventKind;

use super::{AlertState, Rules, list, moves};
use crate::outbox::{self, Caused};
use crate::statement::{skip_locked, sql};
use crate::{Result, Store, TenantId};

/// Who did it, in the alert's own log.
pub(crate) const CLOCK: &str = "the clock";
/// Others are told this often at most.
pub(super) const MOST_ESCALATIONS: i64 = 3;
/// Alerts looked at in one transaction.
const AT_ONCE: i64 = 100;

impl Store {
    /// The tenants that have alerts the clock has something to do with.
    pub async fn tenants_with_due_alerts(&self) -> Result<Vec<TenantId>> {
        sql("SELECT t.id FROM tenant t WHERE (SELECT 1 FROM alert a WHERE a.tenant_id = t.id AND a.next_at <= ? LIMIT 1) IS NOT NULL \
             ORDER BY t.id")
        .bind(self.now())
        .tenants(&self.reader).await
    }

    /// Ends snoozes that are over and escalates what nobody acknowledged; answers whether there may be more.
    pub async fn tick_alerts(&self, tenant: TenantId) -> Result<bool> {
        let tx = self.begin().await?;
        let at = self.now();
        let rows = sql(list::COLUMNS)
            .then("WHERE tenant_id = ? AND next_at <= ? ORDER BY next_at, id LIMIT ?")
            .bind(tenant.0)
            .bind(at)
            .bind(AT_ONCE)
            .then(skip_locked(self.backend()))
            .all::<list::Row>(&tx)
            .await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let rules = Rules::of(&tx, tenant).await?;
        let mut told: Vec<(list::Row, EventKind)> = Vec::new();
        for row in &rows {
            let is_over = row.state == "snoozed" && !list::is_still_low(&tx, tenant, row).await?;
            let escalated = row.escalated + i64::from(row.state == "open");
            let next_at = rules.next_escalation(escalated, at);
            let (state, next_at, event, word) = match row.state.as_str() {
                "snoozed" if is_over => (AlertState::Resolved, None, EventKind::AlertResolved, "resolved"),
                // What somebody acknowledged before is still theirs.
                "snoozed" if row.acknowledged_at.is_some() => {
                    (AlertState::Acknowledged, None, EventKind::AlertReminded, "reminded")
                }
                "snoozed" => (AlertState::Open, next_at, EventKind::AlertReminded, "reminded"),
                "open" if rules.settings.escalate_after_minutes > 0 => {
                    (AlertState::Open, next_at, EventKind::AlertEscalated, "escalated")
                }
                // Nobody is told any more since it was set to never.
                _ => {
                    sql("UPDATE alert SET next_at = NULL WHERE tenant_id = ? AND id = ?")
                        .bind(tenant.0)
                        .bind(&row.id)
                        .run(&tx)
                        .await?;
                    continue;
                }
            };
            let ended = (state == AlertState::Resolved).then_some(at);
            sql("UPDATE alert SET state = ?, next_at = ?, snoozed_until = NULL, escalated = ?, ended_at = ?, ended_by = ?, version = version + 1 \
                 WHERE tenant_id = ? AND id = ?")
            .bind(state.as_str())
            .bind(next_at)
            .bind(escalated)
            .bind(ended)
            .bind(ended.map(|_| CLOCK))
            .bind(tenant.0)
            .bind(&row.id)
            .run(&tx)
            .await?;
            let why = is_over.then_some("the snooze ended, and the customer is no longer low");
            moves::step(self, &tx, (tenant, &row.id), (word, CLOCK), why).await?;
            told.push((list::Row { state: state.as_str().to_owned(), escalated, ..row.clone() }, event));
        }
        let now: Vec<&list::Row> = told.iter().map(|(row, _)| row).collect();
        let payloads = list::payloads(&tx, tenant, &now, at).await?;
        let events = told.iter().zip(payloads).map(|((row, event), mut payload)| {
            if *event == EventKind::AlertResolved {
                payload.made_by = Some(CLOCK.to_owned());
            }
            Caused::new(*event, &row.id, json!(payload))
        });
        outbox::emit_under(self, &tx, (tenant, at), &rules.settings, events.collect()).await?;
        tx.commit().await?;
        Ok(rows.len() as i64 == AT_ONCE)
    }
}
