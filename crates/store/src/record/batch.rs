//! One transaction that records: who holds what is finished, and how it leaves their hands without a verdict.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, Value};
use undertone_core::SkipReason;

use crate::backfill;
use crate::queue::Claimed;
use crate::rollups::{COUNTED, Counted, Days, Deltas};
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};

/// By whom what is finished is held.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held<'a> {
    /// By this worker, as interactions that wait.
    ByWorker(&'a str),
    /// By whoever drives a run, as its items.
    ByRun(backfill::Fence<'a>),
}

/// One transaction's work.
pub(super) struct Batch<'a> {
    pub(super) store: &'a Store,
    pub(super) tx: &'a DatabaseTransaction,
    pub(super) tenant: TenantId,
    pub(super) held: Held<'a>,
    pub(super) at: DateTime<Utc>,
    pub(super) days: Days,
}

impl Batch<'_> {
    /// The state words for those of `claimed` the owner still holds, as it held them; answers their ids.
    pub(super) async fn finish(
        &self,
        claimed: &[&Claimed],
        state: &'static str,
        reason: Option<&str>,
        detail: Option<&str>,
    ) -> Result<HashSet<String>> {
        let owner = match self.held {
            Held::ByWorker(owner) => owner,
            Held::ByRun(run) => {
                let when = (self.tenant, self.at);
                return run.finish(self.tx, when, claimed, state, (reason, detail)).await;
            }
        };
        let mut kept = HashSet::with_capacity(claimed.len());
        for piece in pieces(claimed) {
            let held = piece.iter().map(|c| [Value::from(c.id.as_str()), Value::from(c.attempts)]);
            let rows = sql("UPDATE interaction SET score_state = ?, reason = ?, detail = ?, decided_at = ?, lease_owner = NULL \
                 WHERE tenant_id = ? AND lease_owner = ? AND score_state = 'pending' AND (id, attempts) IN (VALUES ?) RETURNING id")
            .bind(state)
            .bind(reason)
            .bind(detail)
            .bind(self.at)
            .bind(self.tenant.0)
            .bind(owner)
            .rows(held)
            .column::<String>(self.tx)
            .await?;
            kept.extend(rows);
        }
        Ok(kept)
    }

    /// The sentiments there are of these interactions.
    pub(super) async fn existing(&self, ids: &[&str]) -> Result<HashMap<String, Counted>> {
        let mut existing = HashMap::new();
        for piece in pieces(ids) {
            let rows = sql(COUNTED)
                .bind(self.tenant.0)
                .then(" AND interaction_id IN ?")
                .list(piece.iter().copied())
                .then(for_update(self.store.backend()))
                .all::<Counted>(self.tx)
                .await?;
            existing.extend(rows.into_iter().map(|row| (row.interaction_id.clone(), row)));
        }
        Ok(existing)
    }

    pub(super) async fn skipped(
        &self,
        claimed: &[&Claimed],
        reason: SkipReason,
        detail: Option<&str>,
        deltas: &mut Deltas,
    ) -> Result<usize> {
        let kept = self.finish(claimed, "skipped", Some(reason.as_str()), detail).await?;
        if matches!(self.held, Held::ByRun(_)) {
            // The same content was scored once; that verdict stands.
            return Ok(kept.len());
        }
        // Content that is not scored any more takes the verdict on the earlier content along; the revisions stay.
        let revised: Vec<&str> = claimed
            .iter()
            .filter(|c| c.revision > 1 && kept.contains(&c.id))
            .map(|c| c.id.as_str())
            .collect();
        for (id, old) in self.existing(&revised).await? {
            deltas.add(&old, -1, self.days.sealed_before)?;
            sql("DELETE FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id = ?")
                .bind(self.tenant.0)
                .bind(id)
                .run(self.tx)
                .await?;
        }
        Ok(kept.len())
    }

    /// Gives one back until `at`; `forgiven` attempts do not count.
    pub(super) async fn later(
        &self,
        claimed: &Claimed,
        (reason, detail): (&str, Option<&String>),
        at: DateTime<Utc>,
        forgiven: i64,
    ) -> Result<usize> {
        let owner = match self.held {
            Held::ByWorker(owner) => owner,
            Held::ByRun(run) => {
                return run.later(self.tx, self.tenant, claimed, (reason, detail), (at, forgiven)).await;
            }
        };
        let kept = sql("UPDATE interaction SET reason = ?, detail = ?, next_attempt_at = ?, attempts = attempts - ?, lease_owner = NULL \
             WHERE tenant_id = ? AND lease_owner = ? AND score_state = 'pending' AND id = ? AND attempts = ?")
        .bind(reason)
        .bind(detail.cloned())
        .bind(at)
        .bind(forgiven)
        .bind(self.tenant.0)
        .bind(owner)
        .bind(&claimed.id)
        .bind(claimed.attempts)
        .run(self.tx)
        .await?;
        Ok(kept as usize)
    }

    pub(super) async fn failed(&self, claimed: &Claimed, detail: &str) -> Result<usize> {
        Ok(self.finish(&[claimed], "failed", Some("scoring_failed"), Some(detail)).await?.len())
    }
}
