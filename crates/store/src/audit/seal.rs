//! Sealing: entries get their place in the chain, in the order in which they are found.

use sea_orm::{FromQueryResult, Value};

use super::chain::{Head, link};
use super::{COLUMNS, Entry};
use crate::statement::{pieces, skip_locked, sql};
use crate::{Result, Store, TenantId};

/// Entries sealed in one transaction.
const SLICE: i64 = 512;

/// The row of `audit_chain`.
#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) digest: String,
}

impl Store {
    /// The tenants that have entries without a place in their chain.
    pub async fn tenants_with_unsealed_audit(&self) -> Result<Vec<TenantId>> {
        // One look into the index for each tenant, however many entries wait.
        sql("SELECT t.id FROM tenant t \
             WHERE EXISTS (SELECT 1 FROM audit_log a WHERE a.tenant_id = t.id AND a.seq IS NULL) ORDER BY t.id")
        .tenants(&self.reader)
        .await
    }

    /// Seals what is not sealed yet, some hundred entries at a time; answers how many. Nobody who writes an entry waits for it, and of several
    /// programs that seal at once one does.
    pub async fn seal_audit(&self, tenant: TenantId) -> Result<u64> {
        let mut sealed = 0;
        loop {
            let slice = self.seal_slice(tenant).await?;
            sealed += slice;
            if slice < SLICE as u64 {
                return Ok(sealed);
            }
        }
    }

    /// Where the chain ends: 0 and nothing before the first entry is sealed.
    pub async fn audit_head(&self, tenant: TenantId) -> Result<Head> {
        let row = sql("SELECT seq, digest FROM audit_chain WHERE tenant_id = ?")
            .bind(tenant.0)
            .one::<Row>(&self.reader)
            .await?;
        Ok(row.map(|row| Head { seq: row.seq, digest: row.digest }).unwrap_or_default())
    }

    async fn seal_slice(&self, tenant: TenantId) -> Result<u64> {
        let tx = self.begin().await?;
        sql("INSERT INTO audit_chain (tenant_id, seq, digest) VALUES (?, 0, '') ON CONFLICT DO NOTHING")
            .bind(tenant.0)
            .run(&tx)
            .await?;
        let held = sql("SELECT seq, digest FROM audit_chain WHERE tenant_id = ?")
            .bind(tenant.0)
            .then(skip_locked(self.backend()))
            .one::<Row>(&tx)
            .await?;
        // Somebody else seals.
        let Some(mut head) = held else { return Ok(0) };
        let entries = sql(COLUMNS)
            .bind(tenant.0)
            .then(" AND seq IS NULL ORDER BY id LIMIT ?")
            .bind(SLICE)
            .all::<Entry>(&tx)
            .await?;
        if entries.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let mut places: Vec<[Value; 3]> = Vec::with_capacity(entries.len());
        for entry in &entries {
            head.seq += 1;
            head.digest = link(&head.digest, tenant, head.seq, entry);
            places.push([entry.id.as_str().into(), head.seq.into(), head.digest.as_str().into()]);
        }
        for piece in pieces(&places) {
            sql("WITH place (id, seq, digest) AS (VALUES ?) \
                 UPDATE audit_log SET seq = place.seq, digest = place.digest FROM place \
                 WHERE audit_log.tenant_id = ? AND audit_log.id = place.id AND audit_log.seq IS NULL")
            .rows(piece.iter().cloned())
            .bind(tenant.0)
            .run(&tx)
            .await?;
        }
        sql("UPDATE audit_chain SET seq = ?, digest = ?, sealed_at = ? WHERE tenant_id = ?")
            .bind(head.seq)
            .bind(&head.digest)
            .bind(self.now())
            .bind(tenant.0)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(entries.len() as u64)
    }
}
