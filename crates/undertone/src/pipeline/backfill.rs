//! Runs over what was not scored, or is scored again: they go on beside the workers, each driven by one node at a time.
//!
//! Workers never see a run's items, so what is new is scored as if there were none; of what both need, the embedded model, a run uses
//! [`ASIDE`] places and no more. What a run's driver was doing when its process ended is done again by the next one: its items stand open,
//! and its cursor has not moved past anything that is not an item.

mod batches;
mod making;
mod post;
mod score;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use undertone_core::Settings;
use undertone_scoring::Scorer;
use undertone_store::backfill::{Run, RunState};
use undertone_store::record::Finished;
use undertone_store::{Store, StoreError, Tenant, TenantId};

use super::aside::Aside;
use super::recording::Holder;
use super::{LOOK_EVERY, Tools};
use crate::backfill::report_of;
use crate::clock::rest;

/// Texts of runs that the embedded model has at a time.
const ASIDE: u16 = 4;
/// Runs driven at a time by one process. Others wait for another process, or for one of these to end.
const PLACES: usize = 16;
/// Another node takes a run over this long after its driver last said that it has it.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// How often a driver says so.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a run rests after an error that is no passing one.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// Items of runs that ended are kept this long, for whoever looks at what changed.
const KEEP_ITEMS: TimeDelta = TimeDelta::days(30);

/// How long is waited for a provider's batches.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two looks at a batch.
    pub look_every: TimeDelta,
    /// A batch of which nothing was heard after it was sent is listed by the provider within this, or was never made.
    pub listed_within: TimeDelta,
}

impl Default for Patience {
    fn default() -> Self {
        Self { look_every: TimeDelta::seconds(30), listed_within: TimeDelta::minutes(5) }
    }
}

/// Drives runs.
#[derive(Clone)]
pub struct Driver {
    tools: Tools,
    /// The embedded model, of which runs use little.
    aside: Arc<dyn Scorer>,
    owner: Arc<str>,
    driving: Arc<Mutex<HashSet<(TenantId, String)>>>,
}

/// What a step of a run came to.
enum Step {
    /// There is more to do at once.
    Go,
    /// There is nothing to do for so long.
    Wait(Duration),
    /// It has ended.
    Ended,
}

/// The time until `until`, not longer than a look.
fn wait(store: &Store, until: chrono::DateTime<chrono::Utc>) -> Step {
    Step::Wait((until - store.now()).to_std().unwrap_or_default().clamp(Duration::from_millis(1), LOOK_EVERY))
}

impl Driver {
    /// Drives runs as `owner`.
    pub fn new(tools: &Tools, owner: Arc<str>) -> Self {
        let aside = Arc::new(Aside::new(tools.local.clone(), ASIDE));
        Self { tools: tools.clone(), aside, owner, driving: Arc::default() }
    }

    /// Drives what there is to drive until it is told to end.
    pub async fn serve(self, mut ending: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        while rest(&mut ending, LOOK_EVERY).await {
            while tasks.try_join_next().is_some() {}
            match self.tools.store.backfills_to_drive(&self.owner).await {
                Ok(due) => {
                    for (tenant, run) in due {
                        if tasks.len() < PLACES && self.begin(tenant, &run) {
                            tasks.spawn(self.clone().drive(tenant, run, ending.clone()));
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "looking for backfills failed: {error}"),
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Lets go of all runs, when nobody drives them any more.
    pub async fn let_go(store: &Store, owner: &str) {
        if let Err(error) = store.let_go_of_backfills(owner).await {
            tracing::warn!(%error, "backfills could not be let go of; another node takes them over within 30 seconds");
        }
    }

    /// Removes items nobody looks at any more.
    pub async fn clean(store: &Store, tenant: TenantId) -> Result<(), StoreError> {
        while store.remove_old_items(tenant, KEEP_ITEMS).await? {}
        Ok(())
    }

    fn begin(&self, tenant: TenantId, run: &str) -> bool {
        self.driving.lock().unwrap_or_else(PoisonError::into_inner).insert((tenant, run.to_owned()))
    }

    /// Drives one run until it ends, or somebody else has it, or this process is to end.
    async fn drive(self, tenant: TenantId, run: String, mut ending: watch::Receiver<bool>) {
        let done = self.drive_on(tenant, &run, &mut ending).await;
        if let Err(error) = done {
            let id = tenant.0;
            tracing::error!(%error, tenant = id, run, "backfill {run} of tenant {id} stopped for a moment: {error}");
            rest(&mut ending, AFTER_ERROR).await;
        }
        // Whoever looks next, finds it again where it has something to do.
        self.driving.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, run));
    }

    async fn drive_on(
        &self,
        tenant: TenantId,
        id: &str,
        ending: &mut watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let store = &self.tools.store;
        let mut held_at = None;
        while !*ending.borrow() {
            let due = held_at.is_none_or(|at: Instant| at.elapsed() >= RENEW_EVERY);
            let run = if due {
                held_at = Some(Instant::now());
                store.hold_backfill(tenant, id, &self.owner, LEASE).await?
            } else {
                store.backfill(tenant, id).await?
            };
            let Some((run, tenant)) = run.zip(store.tenant(tenant).await?) else { return Ok(()) };
            let step = tokio::select! {
                step = self.step(&tenant, &run) => step,
                () = self.keep(tenant.id, id) => return Ok(()),
            };
            match step {
                Ok(Step::Go) => {}
                Ok(Step::Ended) => return Ok(()),
                Ok(Step::Wait(pause)) => {
                    rest(ending, pause.min(LOOK_EVERY)).await;
                }
                Err(error) if error.is_passing() => {
                    tracing::debug!(%error, "a backfill waits for the database: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says again and again that the run is driven, while a step takes long; returns when somebody else has it.
    async fn keep(&self, tenant: TenantId, run: &str) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.tools.store.hold_backfill(tenant, run, &self.owner, LEASE).await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "a backfill's lease could not be renewed: {error}"),
            }
        }
    }

    /// Does what is next.
    async fn step(&self, tenant: &Tenant, run: &Run) -> Result<Step, StoreError> {
        let batches = self.attend(tenant, run).await?;
        match run.state {
            RunState::Running => {}
            RunState::Paused => return Ok(Step::Wait(LOOK_EVERY)),
            // What of it is at the provider's is still heard.
            RunState::Cancelled if batches.open > 0 => return Ok(batches.next),
            RunState::Cancelled => return self.end(tenant, run, RunState::Cancelled).await,
            RunState::Done | RunState::Failed => return Ok(Step::Ended),
        }
        if let Step::Go = batches.next {
            return Ok(Step::Go);
        }
        let module = self.tools.store.module(tenant.id).await?;
        if !module.active || !module.settings.enabled {
            // Nothing would be scored; its items would be told so, for no reason of theirs.
            return Ok(Step::Wait(LOOK_EVERY));
        }
        let step = if run.asked.via_batches {
            self.fill_batches(tenant, run, &module.settings, batches.open).await?
        } else {
            self.score_some(tenant, run).await?
        };
        let Some(idle) = step else { return Ok(Step::Go) };
        if idle.items > 0 {
            return Ok(idle.until.map_or(Step::Wait(LOOK_EVERY), |until| wait(&self.tools.store, until)));
        }
        self.next_slice(tenant, run, &module.settings).await
    }

    /// Opens the next slice, once the last one is decided and the run has rested; ends the run where there is none.
    async fn next_slice(&self, tenant: &Tenant, run: &Run, settings: &Settings) -> Result<Step, StoreError> {
        let store = &self.tools.store;
        if store.now() < run.rests_until && !run.exhausted {
            return Ok(wait(store, run.rests_until));
        }
        if run.exhausted {
            return self.end(tenant, run, RunState::Done).await;
        }
        let size = if run.asked.via_batches { making::SLICE } else { run.asked.batch_size };
        // What is found now is found by the settings of now.
        store.open_slice(tenant, &run.id, &self.owner, settings, size).await?;
        Ok(Step::Go)
    }

    /// Records what became of items of a run.
    async fn record(&self, tenant: TenantId, run: &str, finished: Vec<Finished>) -> Result<(), StoreError> {
        let recorded = Holder::Run(run, &self.owner).record(&self.tools.store, tenant, finished).await?;
        metrics::counter!("undertone_backfilled_total").increment(recorded.scored as u64);
        Ok(())
    }

    async fn end(&self, tenant: &Tenant, run: &Run, state: RunState) -> Result<Step, StoreError> {
        let store = &self.tools.store;
        let report = report_of(store, tenant, run).await?;
        if store.end_backfill(tenant.id, &run.id, &self.owner, (state, None), &report).await? {
            let (word, decided) = (state.as_str(), run.decided());
            tracing::info!(
                tenant = tenant.slug,
                run = run.id,
                decided,
                "backfill {} of {} is {word}: {decided} decided",
                run.id,
                tenant.slug
            );
        }
        Ok(Step::Ended)
    }
}
