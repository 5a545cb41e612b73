//! Keeping what became of interactions, although the database is busy for a moment, or one of them can not be kept.

use undertone_store::record::{Finished, Recorded};
use undertone_store::{Store, StoreError, TenantId};

use super::decide::broke;
use crate::patience::{BRIEF, patiently};

/// Who holds what is recorded.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// A worker.
    Worker(&'a str),
    /// A run, and whoever drives it.
    Run(&'a str, &'a str),
}

impl Holder<'_> {
    /// Records what `self` holds of a tenant; where that fails for what is in it, one by one, so that nobody suffers for a neighbour.
    pub async fn record(
        self,
        store: &Store,
        tenant: TenantId,
        finished: Vec<Finished>,
    ) -> Result<Recorded, StoreError> {
        match self.record_patiently(store, tenant, &finished).await {
            Err(error) if !error.is_passing() => {
                tracing::warn!(%error, tenant = tenant.0, "a batch could not be recorded, now one by one: {error}");
            }
            done => return done,
        }
        let mut sum = Recorded::default();
        for one in finished {
            let recorded = match self.record_patiently(store, tenant, std::slice::from_ref(&one)).await {
                Err(error) if !error.is_passing() => {
                    let told = format!("the verdict could not be kept: {error}");
                    let outcome = broke(told, &one.claimed, store.now());
                    let failed = Finished { outcome, claimed: one.claimed };
                    self.record_patiently(store, tenant, &[failed]).await?
                }
                done => done?,
            };
            sum.scored += recorded.scored;
            sum.skipped += recorded.skipped;
            sum.deferred += recorded.deferred;
            sum.failed += recorded.failed;
            sum.lost += recorded.lost;
        }
        Ok(sum)
    }

    async fn record_patiently(
        self,
        store: &Store,
        tenant: TenantId,
        finished: &[Finished],
    ) -> Result<Recorded, StoreError> {
        patiently(BRIEF, || async move {
            match self {
                Self::Worker(owner) => store.record(tenant, owner, finished).await,
                Self::Run(run, owner) => store.record_items(tenant, (run, owner), finished).await,
            }
        })
        .await
    }
}
