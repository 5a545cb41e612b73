//! Deliveries: made with their event's place, claimed for a destination by whoever sends them.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use crate::outbox;
use crate::statement::{pieces, skip_locked, sql};
use crate::{Result, Store, TenantId};

/// What did not arrive within this time is given up: the last of ten tries lies before it.
pub const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(80);

/// A message somebody holds to send it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct ClaimedDelivery {
    /// The delivery's id.
    pub id: String,
    /// The message's id, the same on every try.
    pub event_id: String,
    /// The event's name.
    pub event: String,
    /// What it is about.
    pub subject_id: String,
    /// Which try this is, from 1. With the owner it fences the end.
    pub attempts: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The row of a delivery that is due at once.
pub(crate) fn delivery(
    store: &Store,
    tenant: TenantId,
    destination: &str,
    event: &outbox::Row,
    replay: i64,
    at: DateTime<Utc>,
) -> [Value; 11] {
    [
        tenant.0.into(),
        store.new_id(at).into(),
        destination.into(),
        event.id.as_str().into(),
        event.event.as_str().into(),
        event.subject_id.as_str().into(),
        replay.into(),
        "pending".into(),
        0_i64.into(),
        at.into(),
        at.into(),
    ]
}

/// Writes deliveries; one that is there already stays as it is.
pub(crate) async fn insert(on: &impl ConnectionTrait, deliveries: &[[Value; 11]]) -> Result<u64> {
    let mut made = 0;
    for piece in pieces(deliveries) {
        made += sql("INSERT INTO delivery (tenant_id, id, destination_id, event_id, event, subject_id, replay, state, attempts, next_at, \
             created_at) VALUES ? ON CONFLICT DO NOTHING")
        .rows(piece.iter().cloned())
        .run(on)
        .await?;
    }
    Ok(made)
}

impl Store {
    /// The destinations of all tenants that have something due and are not waiting to be tried again: one look into an index for each.
    pub async fn destinations_due(&self) -> Result<Vec<(TenantId, String)>> {
        #[derive(FromQueryResult)]
        struct Due {
            tenant_id: i64,
            id: String,
        }
        let now = self.now();
        let rows = sql("SELECT d.tenant_id, d.id FROM destination d WHERE d.active = ? AND (d.resume_at IS NULL OR d.resume_at <= ?) \
             AND (SELECT 1 FROM delivery x WHERE x.tenant_id = d.tenant_id AND x.destination_id = d.id AND x.state = 'pending' \
             AND x.next_at <= ? LIMIT 1) IS NOT NULL ORDER BY d.tenant_id, d.id")
        .bind(true)
        .bind(now)
        .bind(now)
        .all::<Due>(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), row.id)).collect())
    }

    /// Claims up to `most` messages for a destination, the longest due first. What is not finished when the lease ends is due again.
    pub async fn claim_deliveries(
        &self,
        tenant: TenantId,
        destination: &str,
        (owner, lease): (&str, TimeDelta),
        most: u16,
    ) -> Result<Vec<ClaimedDelivery>> {
        let now = self.now();
        let tx = self.begin().await?;
        let mut claimed = sql(
            "WITH due AS MATERIALIZED (SELECT id FROM delivery WHERE tenant_id = ? AND destination_id = ? \
             AND state = 'pending' AND next_at <= ? ORDER BY next_at, id LIMIT ?",
        )
        .bind(tenant.0)
        .bind(destination)
        .bind(now)
        .bind(i64::from(most))
        .then(skip_locked(self.backend()))
        .then(
            ") UPDATE delivery SET lease_owner = ?, attempts = attempts + 1, next_at = ? WHERE tenant_id = ? \
             AND id IN (SELECT id FROM due) RETURNING id, event_id, event, subject_id, attempts, created_at",
        )
        .bind(owner)
        .bind(now + lease)
        .bind(tenant.0)
        .all::<ClaimedDelivery>(&tx)
        .await?;
        tx.commit().await?;
        claimed.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(claimed)
    }

    /// Gives up some of what waited too long, and removes some of what is older than `age`; answers whether there may be more.
    pub async fn tidy_deliveries(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: i64 = 1000;
        let now = self.now();
        let tx = self.begin().await?;
        let given_up = sql("UPDATE delivery SET state = 'failed', last_error = ?, finished_at = ?, lease_owner = NULL \
             WHERE tenant_id = ? AND id IN (SELECT id FROM delivery WHERE tenant_id = ? AND state = 'pending' AND created_at < ? \
             AND next_at <= ? ORDER BY created_at LIMIT ?)")
        .bind("it did not arrive within 80 hours and is given up; it can be sent again")
        .bind(now)
        .bind(tenant.0)
        .bind(tenant.0)
        .bind(now - GIVEN_UP_AFTER)
        .bind(now)
        .bind(SOME)
        .run(&tx)
        .await?;
        let old =
            sql("SELECT id FROM delivery WHERE tenant_id = ? AND created_at < ? ORDER BY created_at LIMIT ?")
                .bind(tenant.0)
                .bind(now - age)
                .bind(SOME)
                .column::<String>(&tx)
                .await?;
        let ids: Vec<&str> = old.iter().map(String::as_str).collect();
        for piece in pieces(&ids) {
            sql("DELETE FROM delivery_attempt WHERE tenant_id = ? AND delivery_id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .run(&tx)
                .await?;
            sql("DELETE FROM delivery WHERE tenant_id = ? AND id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(given_up == SOME.unsigned_abs() || ids.len() as i64 == SOME)
    }
}
