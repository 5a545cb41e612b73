//! What became of items, inside the transaction that records it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use undertone_core::Verdict;

use crate::queue::Claimed;
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};

/// Those of `revisions`, an interaction and its revision each, whose text is there, and will be until the transaction ends.
async fn with_text(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    revisions: &[[Value; 2]],
) -> Result<Vec<[Value; 2]>> {
    #[derive(FromQueryResult)]
    struct Row {
        interaction_id: String,
        revision: i64,
    }
    // Whoever removes texts holds their interactions while they do: only who holds them too sees what is left.
    sql("SELECT id FROM interaction WHERE tenant_id = ? AND (id, revision) IN (VALUES ?) ORDER BY id")
        .bind(tenant.0)
        .rows(revisions.iter().cloned())
        .then(for_update(tx.get_database_backend()))
        .run(tx)
        .await?;
    let rows: Vec<Row> =
        sql("SELECT interaction_id, revision FROM interaction_text WHERE tenant_id = ? AND (interaction_id, revision) IN (VALUES ?)")
            .bind(tenant.0)
            .rows(revisions.iter().cloned())
            .all(tx)
            .await?;
    Ok(rows.into_iter().map(|row| [row.interaction_id.into(), row.revision.into()]).collect())
}

/// A run whose items are recorded by whoever drives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fence<'a> {
    run: &'a str,
    /// Events are sent as for what is new.
    pub(crate) notify: bool,
}

impl<'a> Fence<'a> {
    /// Holds the run until the transaction ends; `None` where `owner` does not drive it any more.
    pub(crate) async fn hold(
        store: &Store,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        run: &'a str,
        owner: &str,
    ) -> Result<Option<Self>> {
        let notify = sql(
            "SELECT notify FROM backfill_run WHERE tenant_id = ? AND id = ? AND lease_owner = ? AND to_do",
        )
        .bind(tenant.0)
        .bind(run)
        .bind(owner)
        .then(for_update(store.backend()))
        .value::<bool>(tx)
        .await?;
        Ok(notify.map(|notify| Self { run, notify }))
    }

    /// Decides those of `claimed` that are open as they were handed out; answers them.
    ///
    /// A new verdict makes an interaction scored. Without one it keeps the verdict it had; one that had none is told why it has none, where
    /// the reason is another than before. What was revised or removed meanwhile is out of the run, and so is that whose text has gone: a
    /// verdict would quote it.
    pub(crate) async fn finish(
        self,
        tx: &DatabaseTransaction,
        (tenant, at): (TenantId, DateTime<Utc>),
        claimed: &[&Claimed],
        state: &'static str,
        (reason, detail): (Option<&str>, Option<&str>),
    ) -> Result<HashSet<String>> {
        let mut kept = HashSet::with_capacity(claimed.len());
        for piece in pieces(claimed) {
            let held = piece.iter().map(|c| [Value::from(c.id.as_str()), Value::from(c.attempts)]);
            let held: Vec<String> = sql("UPDATE backfill_item SET outcome = ?, reason = ?, detail = ? WHERE tenant_id = ? AND run_id = ? \
                 AND outcome IS NULL AND (interaction_id, attempts) IN (VALUES ?) RETURNING interaction_id")
            .bind(state)
            .bind(reason)
            .bind(detail)
            .bind(tenant.0)
            .bind(self.run)
            .rows(held)
            .column(tx)
            .await?;
            if held.is_empty() {
                continue;
            }
            let ids = held.iter().map(String::as_str);
            if state != "scored" {
                sql("UPDATE interaction SET score_state = ?, reason = ?, detail = ?, decided_at = ? WHERE tenant_id = ? AND id IN ? \
                     AND score_state IN ('skipped', 'failed') AND (score_state <> ? OR reason IS NULL OR reason <> ?)")
                .bind(state)
                .bind(reason)
                .bind(detail)
                .bind(at)
                .bind(tenant.0)
                .list(ids)
                .bind(state)
                .bind(reason.unwrap_or_default())
                .run(tx)
                .await?;
                kept.extend(held);
                continue;
            }
            let revisions: Vec<[Value; 2]> = piece
                .iter()
                .filter(|c| held.contains(&c.id))
                .map(|c| [Value::from(c.id.as_str()), Value::from(c.revision)])
                .collect();
            let revisions = with_text(tx, tenant, &revisions).await?;
            if revisions.is_empty() {
                self.supersede(tx, tenant, &ids.collect::<Vec<_>>()).await?;
                continue;
            }
            let scored: Vec<String> = sql("UPDATE interaction SET score_state = 'scored', reason = ?, detail = ?, decided_at = ? WHERE tenant_id = ? \
                 AND score_state <> 'pending' AND (id, revision) IN (VALUES ?) RETURNING id")
            .bind(reason)
            .bind(detail)
            .bind(at)
            .bind(tenant.0)
            .rows(revisions)
            .column(tx)
            .await?;
            let lost: Vec<&str> = ids.filter(|id| scored.iter().all(|one| one != id)).collect();
            self.supersede(tx, tenant, &lost).await?;
            kept.extend(scored);
        }
        let count = match state {
            "scored" => "UPDATE backfill_run SET scored = scored + ? WHERE tenant_id = ? AND id = ?",
            "skipped" => "UPDATE backfill_run SET skipped = skipped + ? WHERE tenant_id = ? AND id = ?",
            _ => "UPDATE backfill_run SET failed = failed + ? WHERE tenant_id = ? AND id = ?",
        };
        if !kept.is_empty() {
            let count = sql(count).bind(kept.len().cast_signed() as i64).bind(tenant.0).bind(self.run);
            count.run(tx).await?;
        }
        Ok(kept)
    }

    async fn supersede(self, tx: &DatabaseTransaction, tenant: TenantId, ids: &[&str]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        sql("UPDATE backfill_item SET outcome = 'superseded', reason = NULL, detail = NULL WHERE tenant_id = ? AND run_id = ? \
             AND interaction_id IN ?")
        .bind(tenant.0)
        .bind(self.run)
        .list(ids.iter().copied())
        .run(tx)
        .await?;
        sql("UPDATE backfill_run SET superseded = superseded + ? WHERE tenant_id = ? AND id = ?")
            .bind(ids.len().cast_signed() as i64)
            .bind(tenant.0)
            .bind(self.run)
            .run(tx)
            .await?;
        Ok(())
    }

    /// Keeps with an item the verdict it was given.
    pub(crate) async fn note(
        self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        (interaction, verdict_id, verdict): (&str, &str, &Verdict),
    ) -> Result<()> {
        sql("UPDATE backfill_item SET new_verdict_id = ?, new_score = ?, new_label = ? WHERE tenant_id = ? AND run_id = ? \
             AND interaction_id = ?")
        .bind(verdict_id)
        .bind(i64::from(verdict.score.get()))
        .bind(verdict.label.as_str())
        .bind(tenant.0)
        .bind(self.run)
        .bind(interaction)
        .run(tx)
        .await?;
        Ok(())
    }

    /// Counts what new verdicts took.
    pub(crate) async fn count(
        self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        (tokens, cost_micros): (i64, i64),
    ) -> Result<()> {
        if (tokens, cost_micros) == (0, 0) {
            return Ok(());
        }
        sql("UPDATE backfill_run SET tokens = tokens + ?, cost_micros = cost_micros + ? WHERE tenant_id = ? AND id = ?")
            .bind(tokens)
            .bind(cost_micros)
            .bind(tenant.0)
            .bind(self.run)
            .run(tx)
            .await?;
        Ok(())
    }

    /// Lets an item wait until `at`; `forgiven` attempts do not count.
    pub(crate) async fn later(
        self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        claimed: &Claimed,
        (reason, detail): (&str, Option<&String>),
        (at, forgiven): (DateTime<Utc>, i64),
    ) -> Result<usize> {
        let kept = sql("UPDATE backfill_item SET reason = ?, detail = ?, next_attempt_at = ?, attempts = attempts - ?, begun_by = NULL, \
             request_id = NULL, place = NULL WHERE tenant_id = ? AND run_id = ? AND outcome IS NULL AND interaction_id = ? AND attempts = ?")
        .bind(reason)
        .bind(detail.cloned())
        .bind(at)
        // One that is part of no batch yet was not begun.
        .bind(forgiven.min(claimed.attempts))
        .bind(tenant.0)
        .bind(self.run)
        .bind(&claimed.id)
        .bind(claimed.attempts)
        .run(tx)
        .await?;
        Ok(kept as usize)
    }
}
