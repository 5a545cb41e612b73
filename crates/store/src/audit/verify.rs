//! Verifying the log: following the chain of one tenant from its beginning, or its last checkpoint, to its end.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::chain::{Finding, Follower, Head};
use super::{COLUMNS, Checkpoint, Entry};
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// Entries read at a time.
const PAGE: i64 = 2000;

/// What verifying a log came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Nothing is wrong.
    pub ok: bool,
    /// Sealed entries that were followed.
    pub entries: u64,
    /// Of all entries, those whose payload was erased.
    pub erased: u64,
    /// Entries that are not sealed yet. Only sealed ones are proof.
    pub unsealed: u64,
    /// When the oldest of these was written.
    pub oldest_unsealed: Option<DateTime<Utc>>,
    /// Where the chain ends. Keep it somewhere else, and give it to a later verification.
    pub head: Head,
    /// Up to where entries were removed when their time was over.
    pub checkpoint: Option<Checkpoint>,
    /// What is wrong, at most 20 things.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
}

impl Store {
    /// Follows a tenant's chain and compares it with a head that was published, where one is given. Reads one moment of the database, page by
    /// page, so that it may run while the service does and however long the log is.
    pub async fn verify_audit(&self, tenant: TenantId, published: Option<Head>) -> Result<Verified> {
        let tx = self.snapshot().await?;
        let checkpoint = super::retain::last_checkpoint(&tx, tenant).await?;
        let head = sql("SELECT seq, digest FROM audit_chain WHERE tenant_id = ?")
            .bind(tenant.0)
            .one::<super::seal::Row>(&tx)
            .await?
            .map(|row| Head { seq: row.seq, digest: row.digest });
        let start = checkpoint.as_ref().map(Checkpoint::head);
        let mut follower = Follower::new(tenant, start, published);
        loop {
            // What lies before the checkpoint is gone, or is being removed.
            let page = sql(COLUMNS)
                .bind(tenant.0)
                .then(" AND seq > ? ORDER BY seq LIMIT ?")
                .bind(follower.at.seq)
                .bind(PAGE)
                .all::<Entry>(&tx)
                .await?;
            page.iter().for_each(|entry| follower.follow(entry));
            if page.len() < PAGE as usize {
                break;
            }
        }
        let (sealed, mut oldest_unsealed, mut last) = (follower.entries, None, String::new());
        loop {
            let page = sql(COLUMNS)
                .bind(tenant.0)
                .then(" AND seq IS NULL AND id > ? ORDER BY id LIMIT ?")
                .bind(&last)
                .bind(PAGE)
                .all::<Entry>(&tx)
                .await?;
            for entry in &page {
                follower.follow(entry);
                oldest_unsealed =
                    Some(oldest_unsealed.map_or(entry.at, |oldest: DateTime<Utc>| oldest.min(entry.at)));
            }
            match page.last() {
                Some(entry) if page.len() == PAGE as usize => last.clone_from(&entry.id),
                _ => break,
            }
        }
        let head = head.unwrap_or_default();
        follower.end(Some(&head), checkpoint.as_ref().map(|checkpoint| checkpoint.seq));
        Ok(Verified {
            ok: follower.findings.is_empty(),
            entries: sealed,
            erased: follower.erased,
            unsealed: follower.entries - sealed,
            oldest_unsealed,
            head,
            checkpoint,
            findings: follower.findings,
            more: follower.more,
        })
    }
}
