//! Items of a run that are scored at once: a piece of a slice, asked about and recorded like what is new.

use chrono::TimeDelta;
use undertone_core::verdict::ScorerKind;
use undertone_store::backfill::{Run, Waiting};
use undertone_store::record::Outcome;
use undertone_store::{StoreError, Tenant};

use super::Driver;
use crate::pipeline::decide::{Rules, conclude};

/// Texts that are begun together: what is lost with a process that ends, and done again by the next one.
const PIECE: u16 = 32;

impl Driver {
    /// Scores a piece of what is due. Where nothing is, answers what of the run waits.
    pub(super) async fn score_some(&self, tenant: &Tenant, run: &Run) -> Result<Option<Waiting>, StoreError> {
        self.score_piece(tenant, run, false).await
    }

    /// The same, at most as many as one request is about where it is the `first` of a run whose others go into batches: a provider looks at
    /// what stands in a batch only after it took it, and what it refuses there it refuses of all of them.
    pub(super) async fn score_piece(
        &self,
        tenant: &Tenant,
        run: &Run,
        first: bool,
    ) -> Result<Option<Waiting>, StoreError> {
        let store = &self.tools.store;
        let (module, knowledge) = self.tools.lessons.knowledge(store, tenant.id).await?;
        // Before the keys are looked at: one that is set from here on is a change.
        let basis = store.basis(tenant.id, &module).await?;
        let settings = run.asked.over(&module.settings);
        let together = u16::from(settings.llm_together).max(1);
        let piece = match settings.scorer {
            ScorerKind::Local => PIECE,
            _ if first => together,
            // As many as fill whole requests.
            _ => together * (PIECE / together).max(1),
        };
        let claimed =
            store.begin_items(tenant.id, &run.id, &self.owner, piece.min(run.asked.batch_size)).await?;
        if claimed.is_empty() {
            return store.backfill_waiting(tenant.id, &run.id).await.map(Some);
        }
        let chosen = self.tools.llms.choose(tenant.id, &settings, &self.aside).await?;
        self.tools.llms.heed(tenant.id, &basis);
        let people = store.people_of(tenant.id, &claimed).await?;
        let rules = Rules {
            active: module.active,
            settings: &settings,
            knowledge,
            local: self.aside.as_ref(),
            chosen: &chosen,
        };
        let finished = conclude(&rules, &|| store.now(), &people, claimed).await;
        let put_off = finished.iter().any(|one| matches!(one.outcome, Outcome::Deferred { .. }));
        self.record(tenant.id, &run.id, finished).await?;
        if put_off {
            store.hasten_if_changed(tenant.id, &basis).await?;
        }
        let waiting = store.backfill_waiting(tenant.id, &run.id).await?;
        if waiting.items == 0 && run.asked.sleep_ms > 0 {
            let pause = TimeDelta::milliseconds(run.asked.sleep_ms.into());
            store.rest_backfill(tenant.id, &run.id, pause).await?;
        }
        Ok(None)
    }
}
