//! Removing entries whose time is over: from the beginning of the chain, and never without a checkpoint and an entry that tells of it.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use serde_json::json;

use super::chain::{Head, moment};
use super::{Act, RETENTION, note};
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId};

/// Entries removed in one transaction.
const SLICE: i64 = 5000;

/// Entries up to this one were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Checkpoint {
    /// The last that was removed.
    pub seq: i64,
    /// Its digest, which the rest of the chain begins with.
    pub digest: String,
    /// How many were removed with it.
    pub removed: i64,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl Checkpoint {
    /// Its place in the chain.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, digest: self.digest.clone() }
    }
}

/// What a removal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Entries removed.
    pub entries: u64,
    /// There may be more to remove.
    pub more: bool,
}

/// The last checkpoint of a tenant.
pub(super) async fn last_checkpoint(
    on: &impl ConnectionTrait,
    tenant: TenantId,
) -> Result<Option<Checkpoint>> {
    sql("SELECT seq, digest, removed, created_at FROM audit_checkpoint WHERE tenant_id = ? ORDER BY seq DESC LIMIT 1")
        .bind(tenant.0)
        .one(on)
        .await
}

impl Store {
    /// How many entries [`Self::remove_old_audit`] would remove.
    pub(crate) async fn old_audit(&self, tenant: TenantId, before: DateTime<Utc>) -> Result<u64> {
        let many = sql("SELECT COUNT(*) FROM audit_log WHERE tenant_id = ? AND seq < COALESCE((SELECT MIN(seq) FROM audit_log \
             WHERE tenant_id = ? AND seq IS NOT NULL AND at >= ?), 9223372036854775807)")
        .bind(tenant.0)
        .bind(tenant.0)
        .bind(before)
        .value::<i64>(&self.reader)
        .await?;
        Ok(many.unwrap_or_default().unsigned_abs())
    }

    /// Removes the sealed entries at the beginning of the chain that are older than `before`, some thousand at a time. Broken off, it is said
    /// again. An entry with a later one of that age before it in the chain stays until that goes too.
    pub async fn remove_old_audit(&self, act: &Act<'_>, before: DateTime<Utc>) -> Result<Removed> {
        #[derive(FromQueryResult)]
        struct Row {
            seq: i64,
            at: DateTime<Utc>,
            digest: String,
        }
        let tx = self.begin().await?;
        // Nobody seals, and nobody else removes, in the meantime.
        sql("SELECT seq FROM audit_chain WHERE tenant_id = ?")
            .bind(act.tenant.0)
            .then(for_update(self.backend()))
            .value::<i64>(&tx)
            .await?;
        let rows = sql("SELECT seq, at, digest FROM audit_log WHERE tenant_id = ? AND seq IS NOT NULL ORDER BY seq LIMIT ?")
            .bind(act.tenant.0)
            .bind(SLICE)
            .all::<Row>(&tx)
            .await?;
        let old = rows.iter().take_while(|row| row.at < before).count();
        let Some(last) = old.checked_sub(1).and_then(|last| rows.get(last)) else {
            // At once, so that whoever seals does not find the row held.
            tx.rollback().await?;
            return Ok(Removed { entries: 0, more: false });
        };
        let head = Head { seq: last.seq, digest: last.digest.clone() };
        sql("INSERT INTO audit_checkpoint (tenant_id, seq, digest, removed, created_at) VALUES ?")
            .rows([[
                act.tenant.0.into(),
                head.seq.into(),
                head.digest.as_str().into(),
                (old as i64).into(),
                self.now().into(),
            ]])
            .run(&tx)
            .await?;
        let entries = sql("DELETE FROM audit_log WHERE tenant_id = ? AND seq <= ?")
            .bind(act.tenant.0)
            .bind(head.seq)
            .run(&tx)
            .await?;
        let payload = json!({"removed": entries, "before": moment(before)});
        note(self, &tx, act, (RETENTION, &head.to_string()), &payload).await?;
        tx.commit().await?;
        Ok(Removed { entries, more: old == rows.len() && old == SLICE as usize })
    }
}
