//! A batch before it is sent: its rows and the money for its requests, in one transaction. Whoever dies before that is through has written
//! nothing down and holds nothing; afterwards there is a batch to look for, and what it holds is given back where it was never made.

use sea_orm::{DatabaseTransaction, Value};

use super::{BatchState, NewBatch, NewRequest};
use crate::backfill::RunState;
use crate::budget::{Caps, Refusal, ReserveRequest, Together};
use crate::statement::{pieces, sql};
use crate::{Result, Store, Tenant};

/// What of a batch was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// So many of its requests, the first ones. None: there is no batch.
    pub requests: usize,
    /// Why not the next one.
    pub refusal: Option<Refusal>,
}

impl Store {
    /// Enters a batch before it is sent, with as many of its requests as there is money for, which is set aside; their items are begun. A
    /// quarter of each cap is left to what is new, unless the run has nothing else at the provider's and its first request needs it. `None`
    /// where `owner` does not drive the run, or it does not run any more.
    ///
    /// # Errors
    /// As for [`Store::reserve_call`]; nothing is entered or held then.
    pub async fn enter_batch(
        &self,
        tenant: &Tenant,
        (run, owner): (&str, &str),
        caps: &Caps,
        batch: &NewBatch<'_>,
    ) -> Result<Option<Entered>> {
        let tx = self.begin().await?;
        let done = self.enter_batch_in(&tx, tenant, (run, owner), caps, batch).await;
        let Some(together) = Self::end(tx, done).await? else { return Ok(None) };
        self.tell_refused(tenant, caps, &together).await?;
        Ok(Some(Entered { requests: together.calls.len(), refusal: together.refusal }))
    }

    /// The same within a transaction: what was set aside, and whether that is anything.
    async fn enter_batch_in(
        &self,
        tx: &DatabaseTransaction,
        tenant: &Tenant,
        (run, owner): (&str, &str),
        caps: &Caps,
        batch: &NewBatch<'_>,
    ) -> Result<Option<(Together, bool)>> {
        let held = self.driven(tx, tenant.id, run, owner).await?;
        if !held.is_some_and(|held| held.state == RunState::Running) {
            return Ok(None);
        }
        let others = sql("SELECT id FROM message_batch WHERE tenant_id = ? AND run_id = ? AND state NOT IN ('read', 'lost') LIMIT 1")
            .bind(tenant.id.0)
            .bind(run)
            .value::<String>(tx)
            .await?;
        let calls: Vec<ReserveRequest<'_>> = batch
            .requests
            .iter()
            .map(|request| ReserveRequest {
                texts: u32::try_from(request.items.len()).unwrap_or(u32::MAX),
                most_tokens: request.most_tokens,
                most_micros: request.most_micros,
                ..batch.call
            })
            .collect();
        let together = self.reserve_together(tx, tenant, caps, &calls, others.is_none()).await?;
        if together.calls.is_empty() {
            return Ok(Some((together, false)));
        }
        sql("INSERT INTO message_batch (tenant_id, id, run_id, state, base_url, model, prompt_version, requests, made_at, next_look_at) VALUES ?")
            .rows([[
                tenant.id.0.into(),
                batch.id.into(),
                run.into(),
                BatchState::Made.as_str().into(),
                batch.base_url.into(),
                batch.call.model.into(),
                batch.prompt_version.into(),
                (together.calls.len().cast_signed() as i64).into(),
                self.now().into(),
                batch.next_look_at.into(),
            ]])
            .run(tx)
            .await?;
        let paid: Vec<(&NewRequest, &String)> = batch.requests.iter().zip(&together.calls).collect();
        self.enter_requests(tx, tenant, (run, batch.id), &paid).await?;
        Ok(Some((together, true)))
    }

    /// Enters requests of a batch, each with its call; their items are begun.
    async fn enter_requests(
        &self,
        tx: &DatabaseTransaction,
        tenant: &Tenant,
        (run, batch): (&str, &str),
        paid: &[(&NewRequest, &String)],
    ) -> Result<()> {
        for piece in pieces(paid) {
            let rows = piece.iter().map(|(request, call)| {
                let texts = request.items.len().cast_signed() as i64;
                let (id, digest) = (request.id.as_str(), request.digest.as_str());
                let row: [Value; 6] = [
                    tenant.id.0.into(),
                    id.into(),
                    batch.into(),
                    call.as_str().into(),
                    texts.into(),
                    digest.into(),
                ];
                row
            });
            sql("INSERT INTO message_batch_request (tenant_id, id, batch_id, call_id, texts, digest) VALUES ?")
                .rows(rows)
                .run(tx)
                .await?;
        }
        let items: Vec<[Value; 4]> = paid
            .iter()
            .flat_map(|(request, _)| {
                request.items.iter().enumerate().map(|(place, (interaction, attempts))| {
                    let place = place.cast_signed() as i64;
                    [
                        request.id.as_str().into(),
                        place.into(),
                        interaction.as_str().into(),
                        (*attempts).into(),
                    ]
                })
            })
            .collect();
        for piece in pieces(&items) {
            sql("UPDATE backfill_item SET request_id = v.column1, place = v.column2, attempts = backfill_item.attempts + 1 FROM (VALUES ?) AS v \
                 WHERE backfill_item.tenant_id = ? AND backfill_item.run_id = ? AND backfill_item.interaction_id = v.column3 \
                 AND backfill_item.attempts = v.column4 AND backfill_item.outcome IS NULL AND backfill_item.request_id IS NULL")
                .rows(piece.iter().cloned())
                .bind(tenant.id.0)
                .bind(run)
                .run(tx)
                .await?;
        }
        Ok(())
    }
}
