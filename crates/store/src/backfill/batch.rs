//! Batches at a provider's: their rows are written before they are sent, so that a node that dies in between leaves something to look for.

mod entering;
mod row;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use super::RunState;
use crate::queue::{CLAIMED, Claimed, Row, SUSPECT_AFTER};
use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId};
pub use entering::Entered;
use row::Found;
pub use row::{Again, BatchRow, BatchState, NewBatch, NewRequest, RequestItem, RequestResult, RequestRow};

impl Store {
    /// Items that may become part of a batch: at most `limit` that are due, the newest first. They are begun when the batch is entered. Those
    /// whose interaction was revised meanwhile are out of it.
    pub async fn items_for_batch(
        &self,
        tenant: TenantId,
        run: &str,
        owner: &str,
        limit: u16,
    ) -> Result<Vec<(Claimed, bool)>> {
        #[derive(FromQueryResult)]
        struct Due {
            id: String,
            alone: bool,
        }
        let tx = self.begin().await?;
        let Some(held) = self.driven(&tx, tenant, run, owner).await? else { return Ok(Vec::new()) };
        if held.state != RunState::Running {
            return Ok(Vec::new());
        }
        self.supersede(&tx, tenant, run).await?;
        let due: Vec<Due> = sql("SELECT interaction_id AS id, alone FROM backfill_item WHERE tenant_id = ? AND run_id = ? AND outcome IS NULL \
             AND request_id IS NULL AND next_attempt_at <= ? ORDER BY interaction_id DESC LIMIT ?")
        .bind(tenant.0)
        .bind(run)
        .bind(self.now())
        .bind(i64::from(limit))
        .all(&tx)
        .await?;
        let ids: Vec<String> = due.iter().map(|row| row.id.clone()).collect();
        let mut claimed = Vec::with_capacity(ids.len());
        for piece in pieces(&ids) {
            claimed.extend(self.items(&tx, tenant, run, piece).await?);
        }
        tx.commit().await?;
        Ok(claimed
            .into_iter()
            .map(|one| {
                let alone =
                    due.iter().any(|row| row.id == one.id && row.alone) || one.attempts >= SUSPECT_AFTER;
                (one, alone)
            })
            .collect())
    }

    /// The batches of a run that are not dealt with, in the order they were made.
    pub async fn open_batches(&self, tenant: TenantId, run: &str) -> Result<Vec<BatchRow>> {
        let batches = self.batches(tenant, run).await?;
        Ok(batches.into_iter().filter(|b| !matches!(b.state, BatchState::Read | BatchState::Lost)).collect())
    }

    /// Every batch of a run, in the order they were made.
    pub async fn batches(&self, tenant: TenantId, run: &str) -> Result<Vec<BatchRow>> {
        let rows = sql("SELECT id, provider_id, state, base_url, model, prompt_version, requests, made_at, next_look_at, expires_at, detail, \
             ended_at FROM message_batch WHERE tenant_id = ? AND run_id = ? ORDER BY id")
        .bind(tenant.0)
        .bind(run)
        .all::<Found>(&self.reader)
        .await?;
        rows.into_iter().map(BatchRow::try_from).collect()
    }

    /// Whether a batch of the tenant's has this id at the provider.
    pub async fn knows_batch(&self, tenant: TenantId, provider_id: &str) -> Result<bool> {
        let known = sql("SELECT id FROM message_batch WHERE tenant_id = ? AND provider_id = ?")
            .bind(tenant.0)
            .bind(provider_id)
            .value::<String>(&self.reader)
            .await?;
        Ok(known.is_some())
    }

    /// Notes what became known of a batch of a run.
    ///
    /// # Errors
    /// [`crate::StoreError::NotDriven`] where `owner` does not drive the run any more: what it knows may be long out of date.
    pub async fn note_batch(
        &self,
        tenant: TenantId,
        (run, owner): (&str, &str),
        batch: &BatchRow,
    ) -> Result<()> {
        let tx = self.begin().await?;
        self.still_driven(&tx, tenant, (run, owner)).await?;
        sql("UPDATE message_batch SET provider_id = ?, state = ?, next_look_at = ?, expires_at = ?, detail = ?, ended_at = ? \
             WHERE tenant_id = ? AND id = ?")
        .bind(batch.provider_id.clone())
        .bind(batch.state.as_str())
        .bind(batch.next_look_at)
        .bind(batch.expires_at)
        .bind(batch.detail.clone())
        .bind(batch.ended_at)
        .bind(tenant.0)
        .bind(&batch.id)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The requests of a batch that are not dealt with.
    pub async fn open_requests(&self, tenant: TenantId, batch: &str) -> Result<Vec<RequestRow>> {
        sql("SELECT id, call_id, texts, digest FROM message_batch_request WHERE tenant_id = ? AND batch_id = ? AND result IS NULL ORDER BY id")
            .bind(tenant.0)
            .bind(batch)
            .all(&self.reader)
            .await
    }

    /// The interactions a request is about, in its order.
    pub async fn request_items(
        &self,
        tenant: TenantId,
        run: &str,
        request: &str,
    ) -> Result<Vec<RequestItem>> {
        #[derive(FromQueryResult)]
        struct Item {
            #[sea_orm(nested)]
            row: Row,
            alone: bool,
            stands: bool,
        }
        let rows = sql("SELECT b.attempts, b.alone, (CASE WHEN b.outcome IS NULL AND i.revision = b.revision AND i.score_state <> 'pending' \
             THEN true ELSE false END) AS stands, ")
        .then(CLAIMED)
        .then(
            " FROM backfill_item b JOIN interaction i ON i.tenant_id = b.tenant_id AND i.id = b.interaction_id \
             LEFT JOIN interaction_text t ON t.tenant_id = i.tenant_id AND t.interaction_id = i.id AND t.revision = b.revision \
             LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id WHERE b.tenant_id = ? AND b.run_id = ? \
             AND b.request_id = ? ORDER BY b.place",
        )
        .bind(tenant.0)
        .bind(run)
        .bind(request)
        .all::<Item>(&self.reader)
        .await?;
        rows.into_iter()
            .map(|item| {
                Ok(RequestItem { claimed: item.row.try_into()?, stands: item.stands, alone: item.alone })
            })
            .collect()
    }

    /// A request is dealt with: its items that are still open are open again, to be asked about another way, `alone` or not, from `at` on.
    /// Where nobody knows how it ended, what is held for it is lost with it.
    ///
    /// # Errors
    /// [`crate::StoreError::NotDriven`] as for [`Self::note_batch`].
    pub async fn end_request(
        &self,
        tenant: TenantId,
        (run, owner): (&str, &str),
        (request, result): (&str, RequestResult),
        again: Again<'_>,
    ) -> Result<()> {
        let tx = self.begin().await?;
        self.still_driven(&tx, tenant, (run, owner)).await?;
        sql("UPDATE backfill_item SET request_id = NULL, place = NULL, next_attempt_at = ?, reason = ?, detail = ?, \
             attempts = attempts - ?, alone = (CASE WHEN ? THEN true ELSE alone END) \
             WHERE tenant_id = ? AND run_id = ? AND request_id = ? AND outcome IS NULL")
        .bind(self.now() + again.rest)
        .bind(again.reason)
        .bind(again.detail)
        .bind(i64::from(again.forgiven))
        .bind(again.alone)
        .bind(tenant.0)
        .bind(run)
        .bind(request)
        .run(&tx)
        .await?;
        sql("UPDATE message_batch_request SET result = ? WHERE tenant_id = ? AND id = ?")
            .bind(result.as_str())
            .bind(tenant.0)
            .bind(request)
            .run(&tx)
            .await?;
        if result == RequestResult::Lost {
            // Nobody will hear what it took: it counts as spent now, and not at the end of a lease of weeks.
            sql("UPDATE ai_call SET lease_until = ? WHERE tenant_id = ? AND state = 'held' AND lease_until > ? \
                 AND id IN (SELECT call_id FROM message_batch_request WHERE tenant_id = ? AND id = ?)")
            .bind(self.now())
            .bind(tenant.0)
            .bind(self.now())
            .bind(tenant.0)
            .bind(request)
            .run(&tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// What of a run is neither begun nor part of a batch waits until `until`: the LLM can not be asked before.
    ///
    /// # Errors
    /// [`crate::StoreError::NotDriven`] as for [`Self::note_batch`].
    pub async fn defer_items(
        &self,
        tenant: TenantId,
        (run, owner): (&str, &str),
        (reason, detail): (&str, &str),
        until: DateTime<Utc>,
    ) -> Result<()> {
        let tx = self.begin().await?;
        self.still_driven(&tx, tenant, (run, owner)).await?;
        sql("UPDATE backfill_item SET reason = ?, detail = ?, next_attempt_at = ? WHERE tenant_id = ? AND run_id = ? \
             AND outcome IS NULL AND request_id IS NULL AND next_attempt_at < ?")
        .bind(reason)
        .bind(detail)
        .bind(until)
        .bind(tenant.0)
        .bind(run)
        .bind(until)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// What of the tenant's runs waits for money is due now: some may have come back.
    pub async fn hasten_items(&self, tenant: TenantId) -> Result<()> {
        let (tx, now) = (self.begin().await?, self.now());
        sql("UPDATE backfill_item SET next_attempt_at = ? WHERE tenant_id = ? AND run_id IN \
             (SELECT id FROM backfill_run WHERE tenant_id = ? AND to_do) AND outcome IS NULL AND next_attempt_at > ? \
             AND reason IN ('daily_token_cap', 'monthly_budget')")
        .bind(now)
        .bind(tenant.0)
        .bind(tenant.0)
        .bind(now)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// How the requests of a run's batches ended, by the word.
    pub async fn batch_results(&self, tenant: TenantId, run: &str) -> Result<Vec<(String, i64)>> {
        #[derive(FromQueryResult)]
        struct Count {
            result: String,
            count: i64,
        }
        let rows = sql("SELECT COALESCE(q.result, 'open') AS result, COUNT(*) AS count FROM message_batch b \
             JOIN message_batch_request q ON q.tenant_id = b.tenant_id AND q.batch_id = b.id WHERE b.tenant_id = ? AND b.run_id = ? \
             GROUP BY COALESCE(q.result, 'open') ORDER BY 1")
        .bind(tenant.0)
        .bind(run)
        .all::<Count>(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| (row.result, row.count)).collect())
    }
}
