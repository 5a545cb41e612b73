//! The workers: they serve the tenants in turn until they are told to end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::task::JoinSet;
use undertone_scoring::Scorer;
use undertone_store::modules::Module;
use undertone_store::queue::Claim;
use undertone_store::record::{Events, Finished, Recorded};
use undertone_store::{Store, StoreError, TenantId};

use super::decide::{Rules, broke, conclude};
use super::{LOOK_EVERY, Work};
use crate::knowledge::Lessons;

/// Texts claimed together.
const BATCH: u16 = 32;
/// A node that dies gives its texts back this long after it last said that it holds them.
const LEASE: TimeDelta = TimeDelta::seconds(15);
/// How often it says so, while a batch takes long.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Events are kept this long.
const KEEP_EVENTS: TimeDelta = TimeDelta::days(7);
/// Looks between two clean-ups: ten minutes.
const CLEAN_EVERY: u64 = 1200;
/// How often recording is tried while the database is busy or away.
const RECORD_TRIES: u32 = 6;

/// The workers of this process.
pub struct Pipeline {
    tasks: JoinSet<()>,
    store: Store,
    owner: Arc<str>,
}

/// What a worker needs.
#[derive(Clone)]
struct Worker {
    store: Store,
    scorer: Arc<dyn Scorer>,
    lessons: Lessons,
    work: Work,
    owner: Arc<str>,
}

impl Pipeline {
    /// Starts `workers` workers, and a task that looks for work nobody told of.
    pub fn start(
        store: &Store,
        scorer: &Arc<dyn Scorer>,
        lessons: &Lessons,
        work: &Work,
        workers: usize,
        ending: &watch::Receiver<bool>,
    ) -> Self {
        let owner: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let worker = Worker {
            store: store.clone(),
            scorer: scorer.clone(),
            lessons: lessons.clone(),
            work: work.clone(),
            owner: owner.clone(),
        };
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(worker.clone().serve(ending.clone()));
        }
        tasks.spawn(worker.look_around(workers > 0, ending.clone()));
        Self { tasks, store: store.clone(), owner }
    }

    /// Waits for the workers, who were told to end, at most `patience`; gives back what they did not finish.
    pub async fn end(mut self, patience: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            self.tasks.shutdown().await;
        }
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
                tenant = self.work.next() => tenant,
            };
            turn += 1;
            match self.serve_tenant(tenant, turn).await {
                Ok(true) => self.work.wake(tenant),
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
        for looks in 0_u64.. {
            tokio::select! {
                biased;
                _ = ending.wait_for(|end| *end) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.look(scores).await {
                tracing::warn!(%error, "looking for work failed: {error}");
            }
            if looks % CLEAN_EVERY == 0
                && let Err(error) = self.clean().await
            {
                tracing::warn!(%error, "cleaning up failed: {error}");
            }
        }
    }

    /// Removes events nobody waits for any more.
    async fn clean(&self) -> Result<(), StoreError> {
        for tenant in self.store.tenants().await? {
            while self.store.remove_old_events(tenant.id, KEEP_EVENTS).await? {}
        }
        Ok(())
    }

    async fn look(&self, scores: bool) -> Result<(), StoreError> {
        if scores {
            for tenant in self.store.tenants_with_work().await? {
                self.work.wake(tenant);
            }
        }
        for tenant in self.store.tenants_changing_zone().await? {
            self.store.move_days(tenant).await?;
        }
        Ok(())
    }

    /// Serves one tenant once; answers whether there may be more.
    async fn serve_tenant(&self, tenant: TenantId, turn: u64) -> Result<bool, StoreError> {
        let claim = Claim { owner: &self.owner, lease: LEASE, limit: BATCH, suspect: turn.is_multiple_of(8) };
        let mut claimed = self.store.claim(tenant, claim).await?;
        if claimed.is_empty() {
            claimed = self.store.claim(tenant, Claim { suspect: !claim.suspect, ..claim }).await?;
        }
        if claimed.is_empty() {
            return Ok(false);
        }
        if claimed.len() == usize::from(BATCH) {
            // Others may help while this one reads.
            self.work.wake(tenant);
        }
        let (module, knowledge) = self.lessons.knowledge(&self.store, tenant).await?;
        let arrived: Vec<_> = claimed.iter().map(|one| one.received_at).collect();
        let rules = Rules { active: module.active, settings: &module.settings, knowledge };
        let held = claimed.iter().map(|one| (one.id.clone(), one.attempts)).collect();
        let finished = tokio::select! {
            finished = conclude(self.scorer.as_ref(), &rules, self.store.now(), claimed) => finished,
            never = self.keep(tenant, held) => match never {},
        };
        let recorded = self.record(tenant, &module, finished).await?;
        metrics::counter!("undertone_scored_total").increment(recorded.scored as u64);
        metrics::counter!("undertone_skipped_total").increment(recorded.skipped as u64);
        metrics::counter!("undertone_retried_total").increment(recorded.deferred as u64);
        metrics::counter!("undertone_failed_total").increment(recorded.failed as u64);
        let now = self.store.now();
        for received_at in arrived {
            let seconds = (now - received_at).as_seconds_f64();
            metrics::histogram!("undertone_arrival_to_verdict_seconds").record(seconds);
        }
        Ok(true)
    }

    /// Renews the lease of what takes long.
    async fn keep(&self, tenant: TenantId, held: Vec<(String, i64)>) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = self.store.renew(tenant, &self.owner, LEASE, &held).await {
                tracing::warn!(%error, "a lease could not be renewed; another node may read the same texts: {error}");
            }
        }
    }

    /// Records a batch; where that fails for what is in it, one by one, so that nobody suffers for a neighbour.
    async fn record(
        &self,
        tenant: TenantId,
        module: &Module,
        finished: Vec<Finished>,
    ) -> Result<Recorded, StoreError> {
        let events = Events {
            to_workflow: module.settings.emit_workflow_events,
            to_webhooks: module.settings.dispatch_webhooks,
            threshold: module.settings.alert_threshold,
        };
        match self.record_patiently(tenant, events, &finished).await {
            Err(error) if !error.is_passing() => {
                tracing::warn!(%error, tenant = tenant.0, "a batch could not be recorded, now one by one: {error}");
            }
            done => return done,
        }
        let mut sum = Recorded::default();
        for one in finished {
            let recorded = match self.record_patiently(tenant, events, std::slice::from_ref(&one)).await {
                Err(error) if !error.is_passing() => {
                    let told = format!("the verdict could not be kept: {error}");
                    let outcome = broke(told, &one.claimed, self.store.now());
                    let failed = Finished { outcome, claimed: one.claimed };
                    self.record_patiently(tenant, events, &[failed]).await?
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
        &self,
        tenant: TenantId,
        events: Events,
        finished: &[Finished],
    ) -> Result<Recorded, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.store.record(tenant, &self.owner, events, finished).await {
                Err(error) if error.is_passing() && tries < RECORD_TRIES => {
                    tracing::debug!(%error, "recording is tried again: {error}");
                    tokio::time::sleep(Duration::from_millis(20 << tries)).await;
                }
                done => return done,
            }
        }
    }
}
