//! Deliveries: made with their event's place, claimed for a destination by whoever sends them.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};

use super::Destination;
use crate::rows::first_id_of;
use crate::statement::{pieces, skip_locked, sql};
use crate::{Result, Store, TenantId};

/// What did not arrive within this time is given up. The last of ten tries lies before it: 98 hours at the latest, and each may wait half
/// an hour for a destination that is left alone.
pub const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(104);

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

/// A delivery to be made.
pub(crate) struct NewDelivery<'a> {
    /// Its id.
    pub(crate) id: String,
    /// Where to, by id.
    pub(crate) destination: &'a str,
    /// What is told: the event's id.
    pub(crate) event: &'a str,
    /// 0, or the how manieth replay it is.
    pub(crate) replay: i64,
}

/// Writes deliveries made `at` a moment and due at another, of events that stand in the outbox; what is due the longest goes first. One that
/// is there already stays as it is. Answers how many were not.
pub(crate) async fn insert(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    (at, due_at): (DateTime<Utc>, DateTime<Utc>),
    deliveries: &[NewDelivery<'_>],
) -> Result<u64> {
    let row = |new: &NewDelivery<'_>| -> [Value; 4] {
        [new.id.as_str().into(), new.destination.into(), new.event.into(), new.replay.into()]
    };
    let mut made = 0;
    for piece in pieces(deliveries) {
        // What the event knows is copied there, and not sent to the database once for each destination.
        made += sql("INSERT INTO delivery (tenant_id, id, destination_id, event_id, event, subject_id, replay, state, attempts, next_at, \
             created_at) SELECT o.tenant_id, v.column1, v.column2, o.id, o.event, o.subject_id, v.column4, 'pending', 0, \
             ?, ? FROM (VALUES ?) AS v JOIN outbox o ON o.id = v.column3 WHERE o.tenant_id = ? ON CONFLICT DO NOTHING")
        .bind(due_at)
        .bind(at)
        .rows(piece.iter().map(row))
        .bind(tenant.0)
        .run(on)
        .await?;
    }
    Ok(made)
}

/// No earlier message about the same thing waits before this one. A test is about nothing.
pub(super) const IN_TURN: &str = " AND NOT (event <> 'undertone.test' AND EXISTS (SELECT 1 FROM delivery e WHERE e.tenant_id = x.tenant_id \
     AND e.destination_id = x.destination_id AND e.subject_id = x.subject_id AND e.state = 'pending' AND e.id < x.id))";

/// Makes due messages that stand behind one that is not due yet wait for it, so that nobody looks at them in vain.
async fn wait_in_turn(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    destination: &Destination,
    (now, most): (DateTime<Utc>, u16),
) -> Result<()> {
    sql("WITH due AS MATERIALIZED (SELECT id FROM delivery WHERE tenant_id = ? AND destination_id = ? AND state = 'pending' \
         AND next_at <= ? AND event <> 'undertone.test' ORDER BY next_at, id LIMIT ?")
    .bind(tenant.0)
    .bind(&destination.id)
    .bind(now)
    .bind(i64::from(most))
    .then(skip_locked(tx.get_database_backend()))
    .then(
        "), behind AS MATERIALIZED (SELECT x.id, MAX(e.next_at) AS next_at FROM due JOIN delivery x ON x.tenant_id = ? AND x.id = due.id \
         JOIN delivery e ON e.tenant_id = x.tenant_id AND e.subject_id = x.subject_id AND e.destination_id = x.destination_id \
         AND e.state = 'pending' AND e.id < x.id GROUP BY x.id HAVING MAX(e.next_at) > ?) \
         UPDATE delivery SET next_at = behind.next_at FROM behind WHERE delivery.tenant_id = ? AND delivery.id = behind.id",
    )
    .bind(tenant.0)
    .bind(now)
    .bind(tenant.0)
    .run(tx)
    .await?;
    Ok(())
}

impl Store {
    /// The destinations of all tenants that have something due: one look into an index for each. One that is left alone for a while has
    /// only what a person asked for, which is due since the destination was made.
    pub async fn destinations_due(&self) -> Result<Vec<(TenantId, String)>> {
        #[derive(FromQueryResult)]
        struct Due {
            tenant_id: i64,
            id: String,
        }
        let now = self.now();
        let rows = sql("SELECT d.tenant_id, d.id FROM destination d WHERE d.active = ? AND (SELECT 1 FROM delivery x \
             WHERE x.tenant_id = d.tenant_id AND x.destination_id = d.id AND x.state = 'pending' \
             AND x.next_at <= CASE WHEN d.resume_at > ? THEN d.created_at ELSE ? END LIMIT 1) IS NOT NULL ORDER BY d.tenant_id, d.id")
        .bind(true)
        .bind(now)
        .bind(now)
        .all::<Due>(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), row.id)).collect())
    }

    /// Claims up to `most` messages for a destination, the longest due first. What is not finished when the lease ends is due again. Where
    /// order counts, what waits behind an earlier message about the same thing is due after that one.
    pub async fn claim_deliveries(
        &self,
        tenant: TenantId,
        destination: &Destination,
        (owner, lease): (&str, TimeDelta),
        most: u16,
    ) -> Result<Vec<ClaimedDelivery>> {
        let now = self.now();
        let is_left_alone = destination.resume_at.is_some_and(|at| at > now);
        let due_by = if is_left_alone { destination.created_at } else { now };
        let tx = self.begin().await?;
        let in_turn = if destination.kind.is_in_order() {
            wait_in_turn(&tx, tenant, destination, (now, most)).await?;
            IN_TURN
        } else {
            ""
        };
        let mut claimed = sql(
            "WITH due AS MATERIALIZED (SELECT id FROM delivery x WHERE tenant_id = ? AND destination_id = ? \
             AND state = 'pending' AND next_at <= ?",
        )
        .bind(tenant.0)
        .bind(&destination.id)
        .bind(due_by)
        .then(in_turn)
        .then(" ORDER BY next_at, id LIMIT ?")
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

    /// Gives up some of what waited too long, and removes some of what is older than `age`; answers whether there may be more. The oldest are
    /// found by their ids, which are in the order of time.
    pub async fn tidy_deliveries(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: u64 = 1000;
        let now = self.now();
        // Of one that was removed, too.
        let destinations =
            sql("SELECT DISTINCT destination_id FROM delivery WHERE tenant_id = ? AND state = 'pending'")
                .bind(tenant.0)
                .column::<String>(&self.reader)
                .await?;
        let mut is_more = false;
        for destination in destinations {
            let given_up = sql("UPDATE delivery SET state = 'failed', last_error = ?, finished_at = ?, lease_owner = NULL \
                 WHERE tenant_id = ? AND id IN (SELECT id FROM delivery WHERE tenant_id = ? AND destination_id = ? AND state = 'pending' \
                 AND id < ? AND created_at < ? AND next_at <= ? ORDER BY id LIMIT ?)")
            .bind(format!(
                "it did not arrive within {} hours and is given up; it can be sent again",
                GIVEN_UP_AFTER.num_hours()
            ))
            .bind(now)
            .bind(tenant.0)
            .bind(tenant.0)
            .bind(destination)
            .bind(first_id_of(now - GIVEN_UP_AFTER))
            .bind(now - GIVEN_UP_AFTER)
            .bind(now)
            .bind(SOME as i64)
            .run(&self.writer)
            .await?;
            is_more |= given_up == SOME;
        }
        let tx = self.begin().await?;
        let old = sql("SELECT id FROM (SELECT id, created_at FROM delivery WHERE tenant_id = ? ORDER BY id LIMIT ?) AS first WHERE created_at < ?")
            .bind(tenant.0)
            .bind(SOME as i64)
            .bind(now - age)
            .column::<String>(&tx)
            .await?;
        for piece in pieces(&old) {
            sql("DELETE FROM delivery_attempt WHERE tenant_id = ? AND delivery_id IN ?")
                .bind(tenant.0)
                .list(piece.iter().map(String::as_str))
                .run(&tx)
                .await?;
            sql("DELETE FROM delivery WHERE tenant_id = ? AND id IN ?")
                .bind(tenant.0)
                .list(piece.iter().map(String::as_str))
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(is_more || old.len() as u64 == SOME)
    }
}
