//! Recording what became of a run's items.

use undertone_store::record::{Finished, Recorded};
use undertone_store::{StoreError, TenantId};

use super::Driver;
use crate::patience::{BRIEF, patiently};
use crate::pipeline::decide::broke;

impl Driver {
    /// Records a piece; where that fails for what is in it, one by one, so that nobody suffers for a neighbour.
    pub(super) async fn record(
        &self,
        tenant: TenantId,
        run: &str,
        finished: Vec<Finished>,
    ) -> Result<(), StoreError> {
        match self.record_patiently(tenant, run, &finished).await {
            Err(error) if !error.is_passing() => {
                tracing::warn!(%error, tenant = tenant.0, "a piece of a backfill could not be recorded, now one by one: {error}");
            }
            done => return done.map(count),
        }
        for one in finished {
            match self.record_patiently(tenant, run, std::slice::from_ref(&one)).await {
                Err(error) if !error.is_passing() => {
                    let told = format!("the verdict could not be kept: {error}");
                    let outcome = broke(told, &one.claimed, self.tools.store.now());
                    let failed = Finished { outcome, claimed: one.claimed };
                    count(self.record_patiently(tenant, run, &[failed]).await?);
                }
                done => count(done?),
            }
        }
        Ok(())
    }

    async fn record_patiently(
        &self,
        tenant: TenantId,
        run: &str,
        finished: &[Finished],
    ) -> Result<Recorded, StoreError> {
        let whose = (run, &*self.owner);
        patiently(BRIEF, || self.tools.store.record_items(tenant, whose, finished)).await
    }
}

fn count(recorded: Recorded) {
    metrics::counter!("undertone_backfilled_total").increment(recorded.scored as u64);
}
