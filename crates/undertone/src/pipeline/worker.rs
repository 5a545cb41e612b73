//! The workers: they serve the tenants in turn until they are told to end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::task::JoinSet;
use undertone_core::verdict::ScorerKind;
use undertone_scoring::{Knowledge, Scorer};
use undertone_store::basis::Basis;
use undertone_store::budget::Caps;
use undertone_store::modules::Module;
use undertone_store::queue::{Claim, Claimed};
use undertone_store::record::Outcome;
use undertone_store::{Store, StoreError, TenantId};

use super::aside::Aside;
use super::asking::{Asking, Place};
use super::backfill::{Driver, Patience};
use super::decide::{Rules, conclude};
use super::recording::Holder;
use super::{LOOK_EVERY, Work, cleaning, keeper, publish, recount, sealing};
use crate::clock::rest;
use crate::knowledge::Lessons;
use crate::llm::{Chosen, Llms};

/// Texts claimed together.
const BATCH: u16 = 32;
/// A node that dies gives its texts back this long after it last said that it holds them.
const LEASE: TimeDelta = TimeDelta::seconds(15);
/// How often it says so, while a batch takes long.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Looks between two clean-ups: ten minutes.
const CLEAN_EVERY: u64 = 1200;
/// Looks between two searches for LLM calls of which nothing was heard again: ten seconds.
const EXPIRE_EVERY: u64 = 20;
/// Looks between two sealings of what was noted in the audit logs: five seconds.
const SEAL_EVERY: u64 = 10;

/// The workers of this process.
pub struct Pipeline {
    tasks: JoinSet<()>,
    asking: Asking,
    store: Store,
    owner: Arc<str>,
}

/// What the workers work with.
#[derive(Clone)]
pub struct Tools {
    /// Where interactions are.
    pub store: Store,
    /// The embedded model.
    pub local: Arc<dyn Scorer>,
    /// What it learnt for each tenant.
    pub lessons: Lessons,
    /// The LLMs that tenants chose.
    pub llms: Llms,
    /// The tenants that have something to score.
    pub work: Work,
    /// How long is waited for batches at a provider's.
    pub patience: Patience,
}

/// What a worker needs.
#[derive(Clone)]
struct Worker {
    tools: Tools,
    /// The embedded model for batches that ask an LLM.
    aside: Arc<dyn Scorer>,
    asking: Asking,
    owner: Arc<str>,
}

/// A batch that is held, and what it is read by.
struct Held {
    tenant: TenantId,
    module: Module,
    /// What decided whether an LLM can be asked, where the tenant wants one.
    basis: Option<Basis>,
    knowledge: Arc<Knowledge>,
    chosen: Chosen,
    local: Arc<dyn Scorer>,
    claimed: Vec<Claimed>,
}

impl Pipeline {
    /// Starts `workers` workers, and a task that looks for work nobody told of.
    pub fn start(tools: &Tools, workers: usize, ending: &watch::Receiver<bool>) -> Self {
        let owner: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let asking = Asking::new(&tools.work);
        let worker = Worker {
            tools: tools.clone(),
            aside: Arc::new(Aside::new(tools.local.clone(), BATCH)),
            asking: asking.clone(),
            owner: owner.clone(),
        };
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(worker.clone().serve(ending.clone()));
        }
        if workers > 0 {
            tasks.spawn(Driver::new(tools, owner.clone()).serve(ending.clone()));
        }
        tasks.spawn(worker.look_around(workers > 0, ending.clone()));
        if workers > 0 {
            tasks.spawn(publish::serve(tools.store.clone(), ending.clone()));
        }
        tasks.spawn(keeper::serve(tools.store.clone(), ending.clone()));
        tasks.spawn(recount::serve(tools.store.clone(), ending.clone()));
        Self { tasks, asking, store: tools.store.clone(), owner }
    }

    /// Waits for the workers, who were told to end, and for the batches that ask an LLM, at most `patience`; gives back what they did not
    /// finish.
    pub async fn end(mut self, patience: Duration) {
        let until = tokio::time::Instant::now() + patience;
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(until, all).await.is_err() {
            self.tasks.shutdown().await;
        }
        // Nobody starts another now.
        self.asking.end(until.saturating_duration_since(tokio::time::Instant::now())).await;
        Driver::let_go(&self.store, &self.owner).await;
        for tenant in self.store.tenants().await.unwrap_or_default() {
            match self.store.release(tenant.id, &self.owner).await {
                Ok(0) => {}
                Ok(released) => {
                    tracing::info!(
                        released,
                        tenant = tenant.slug,
                        "{released} interactions given back unscored"
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "interactions could not be given back; they are due again within 15 seconds");
                }
            }
        }
    }
}

impl Worker {
    async fn serve(self, mut ending: watch::Receiver<bool>) {
        let mut turn = 0_u64;
        loop {
            let tenant = tokio::select! {
                biased;
                _ = ending.wait_for(|end| *end) => return,
                tenant = self.tools.work.next() => tenant,
            };
            turn += 1;
            match self.serve_tenant(tenant, turn).await {
                Ok(true) => self.tools.work.wake(tenant),
                Ok(false) => {}
                Err(error) => {
                    let told = "scoring stopped for a moment";
                    tracing::error!(%error, tenant = tenant.0, "{told} for tenant {}: {error}", tenant.0);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Wakes the tenants that have something due, and moves days of tenants whose zone changed.
    async fn look_around(self, scores: bool, mut ending: watch::Receiver<bool>) {
        if scores && let Err(error) = self.tools.store.hasten_all().await {
            tracing::warn!(%error, "what waits for an LLM could not be made due: {error}");
        }
        for looks in 0_u64.. {
            if !rest(&mut ending, LOOK_EVERY).await {
                return;
            }
            if let Err(error) = self.look(scores).await {
                tracing::warn!(%error, "looking for work failed: {error}");
            }
            if looks % EXPIRE_EVERY == 0
                && let Err(error) = self.expire_calls().await
            {
                tracing::warn!(%error, "looking for lost LLM calls failed: {error}");
            }
            if looks % SEAL_EVERY == 0
                && let Err(error) = sealing::seal(&self.tools.store).await
            {
                tracing::warn!(%error, "sealing the audit logs failed; it is tried again in five seconds: {error}");
            }
            if looks % CLEAN_EVERY == 0
                && let Err(error) = cleaning::clean(&self.tools.store).await
            {
                tracing::warn!(%error, "cleaning up failed: {error}");
            }
        }
    }

    /// Counts LLM calls of which nothing was heard again as if they had taken their most.
    async fn expire_calls(&self) -> Result<(), StoreError> {
        let store = &self.tools.store;
        for tenant in store.tenants_with_lost_calls().await? {
            let caps = Caps::of(&store.module(tenant).await?.settings);
            let lost = store.expire_calls(tenant, &caps).await?;
            tracing::warn!(
                lost,
                tenant = tenant.0,
                "{lost} LLM calls of tenant {} are lost; their most counts as used",
                tenant.0
            );
        }
        Ok(())
    }

    async fn look(&self, scores: bool) -> Result<(), StoreError> {
        let store = &self.tools.store;
        if scores {
            for tenant in store.tenants_with_work().await? {
                self.tools.work.wake(tenant);
            }
        }
        for tenant in store.tenants_changing_zone().await? {
            store.move_days(tenant).await?;
        }
        Ok(())
    }

    /// Serves one tenant once; answers whether there may be more.
    async fn serve_tenant(&self, tenant: TenantId, turn: u64) -> Result<bool, StoreError> {
        let Tools { store, lessons, llms, work, local, .. } = &self.tools;
        let (module, knowledge) = lessons.knowledge(store, tenant).await?;
        // Before the keys are looked at: one that is set from here on is a change.
        let basis = match module.settings.scorer {
            ScorerKind::Local => None,
            _ => Some(store.basis(tenant, &module).await?),
        };
        let chosen = llms.choose(tenant, &module.settings, &self.aside).await?;
        if let Some(basis) = &basis {
            llms.heed(tenant, basis);
        }
        let (place, limit) = match &chosen {
            Chosen::Local | Chosen::Unusable(_) => (None, BATCH),
            Chosen::Llm(_) => {
                let together = u16::from(module.settings.llm_together).max(1);
                // The end of what is under way wakes the tenant, and so does the next look around.
                if self.asking.lingers(tenant) && store.due(tenant, together).await? < together {
                    return Ok(false);
                }
                // Whoever is turned away is woken when there is a place.
                let Some(place) = self.asking.place(tenant) else { return Ok(false) };
                // As many as fill whole requests.
                (Some(place), together * (BATCH / together).max(1))
            }
        };
        let claim = Claim { owner: &self.owner, lease: LEASE, limit, suspect: turn.is_multiple_of(8) };
        let mut claimed = store.claim(tenant, claim).await?;
        if claimed.is_empty() {
            claimed = store.claim(tenant, Claim { suspect: !claim.suspect, ..claim }).await?;
        }
        if claimed.is_empty() {
            return Ok(false);
        }
        if claimed.len() == usize::from(limit) {
            // Others may help while this one reads.
            work.wake(tenant);
        }
        let local = if place.is_some() { &self.aside } else { local }.clone();
        let held = Held { tenant, module, basis, knowledge, chosen, local, claimed };
        match place {
            None => {
                self.score(held).await?;
                Ok(true)
            }
            Some(place) => {
                self.asking.spawn(self.clone().score_beside(held, place));
                Ok(false)
            }
        }
    }

    /// Scores a batch that asks an LLM, beside the workers.
    async fn score_beside(self, held: Held, place: Place) {
        let tenant = held.tenant;
        if let Err(error) = self.score(held).await {
            // It is due again when its lease ends.
            tracing::error!(%error, tenant = tenant.0, "a batch of tenant {} could not be scored: {error}", tenant.0);
        }
        drop(place);
        self.tools.work.wake(tenant);
    }

    /// Scores a batch and records what came of it.
    async fn score(&self, held: Held) -> Result<(), StoreError> {
        let Held { tenant, module, basis, knowledge, chosen, local, claimed } = held;
        let store = &self.tools.store;
        let arrived: Vec<_> = claimed.iter().map(|one| one.received_at).collect();
        let ids = claimed.iter().map(|one| (one.id.clone(), one.attempts)).collect();
        let rules = Rules {
            active: module.active,
            settings: &module.settings,
            knowledge,
            local: local.as_ref(),
            chosen: &chosen,
        };
        let concluded = async {
            let people = store.people_of(tenant, &claimed).await?;
            Ok::<_, StoreError>(conclude(&rules, &|| store.now(), &people, claimed).await)
        };
        let finished = tokio::select! {
            finished = concluded => finished?,
            never = self.keep(tenant, ids) => match never {},
        };
        let put_off = finished.iter().any(|one| matches!(one.outcome, Outcome::Deferred { .. }));
        let recorded = Holder::Worker(&self.owner).record(store, tenant, finished).await?;
        if let Some(basis) = basis.filter(|_| put_off) {
            store.hasten_if_changed(tenant, &basis).await?;
        }
        metrics::counter!("undertone_scored_total").increment(recorded.scored as u64);
        metrics::counter!("undertone_skipped_total").increment(recorded.skipped as u64);
        metrics::counter!("undertone_retried_total").increment(recorded.deferred as u64);
        metrics::counter!("undertone_failed_total").increment(recorded.failed as u64);
        let now = store.now();
        for received_at in arrived {
            let seconds = (now - received_at).as_seconds_f64();
            metrics::histogram!("undertone_arrival_to_verdict_seconds").record(seconds);
        }
        Ok(())
    }

    /// Renews the lease of what takes long.
    async fn keep(&self, tenant: TenantId, held: Vec<(String, i64)>) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = self.tools.store.renew(tenant, &self.owner, LEASE, &held).await {
                tracing::warn!(%error, "a lease could not be renewed; another node may read the same texts: {error}");
            }
        }
    }
}
