//! Runs over what was not scored, or is scored again: they go on beside the workers, each driven by one node at a time.
//!
//! Workers never see a run's items, so what is new is scored as if there were none; of what both need, the embedded model, a run uses
//! [`ASIDE`] places and no more. What a run's driver was doing when its process ended is done again by the next one: its items stand open,
//! and its cursor has not moved past anything that is not an item.

mod batches;
mod making;
mod post;
mod reach;
mod score;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
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
/// Runs driven at a time by one process. One that waits gives its place back; one that works does so after [`TURN`] where others want it.
const PLACES: usize = 16;
/// So long a run keeps its place although others want it.
const TURN: Duration = Duration::from_secs(10);
/// A shorter wait is not worth giving the place back.
const SHORT: TimeDelta = TimeDelta::seconds(1);
/// Whatever a run waits for, it is looked at so often.
const OVERLOOKED: TimeDelta = TimeDelta::seconds(20);
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
    /// A batch that the key of the moment does not lead to is given up after this.
    pub reached_within: TimeDelta,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look_every: TimeDelta::seconds(30),
            listed_within: TimeDelta::minutes(5),
            reached_within: TimeDelta::hours(2),
        }
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
    /// More runs have something to do than there are places.
    crowded: Arc<AtomicBool>,
    /// Since when a batch can not be asked about, by its id. A process that begins anew has all patience again.
    out_of_sight: Arc<Mutex<HashMap<String, DateTime<Utc>>>>,
}

/// What a step of a run came to.
enum Step {
    /// There is more to do at once.
    Go,
    /// There is nothing to do for a moment.
    Rest(Duration),
    /// There is nothing to do until something happens that the store knows of: see [`Store::backfills_to_drive`].
    Wait,
    /// It has ended.
    Ended,
}

/// What to do until `until`; `None` where no time is known.
fn wait(store: &Store, until: Option<DateTime<Utc>>) -> Step {
    match until.map(|until| until - store.now()) {
        Some(pause) if pause <= SHORT => {
            Step::Rest(pause.to_std().unwrap_or_default().max(Duration::from_millis(1)))
        }
        _ => Step::Wait,
    }
}

impl Driver {
    /// Drives runs as `owner`.
    pub fn new(tools: &Tools, owner: Arc<str>) -> Self {
        let aside = Arc::new(Aside::new(tools.local.clone(), ASIDE));
        Self {
            tools: tools.clone(),
            aside,
            owner,
            driving: Arc::default(),
            crowded: Arc::default(),
            out_of_sight: Arc::default(),
        }
    }

    /// Drives what there is to drive until it is told to end.
    pub async fn serve(self, mut ending: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        while rest(&mut ending, LOOK_EVERY).await {
            while tasks.try_join_next().is_some() {}
            match self.tools.store.backfills_to_drive(&self.owner, OVERLOOKED).await {
                Ok(due) => {
                    let mut crowded = false;
                    for (tenant, run) in due {
                        if self.is_driven(tenant, &run) {
                            continue;
                        }
                        crowded = tasks.len() >= PLACES;
                        if crowded {
                            break;
                        }
                        self.begin(tenant, &run);
                        tasks.spawn(self.clone().drive(tenant, run, ending.clone()));
                    }
                    self.crowded.store(crowded, Ordering::Relaxed);
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

    fn is_driven(&self, tenant: TenantId, run: &str) -> bool {
        self.driving.lock().unwrap_or_else(PoisonError::into_inner).contains(&(tenant, run.to_owned()))
    }

    fn begin(&self, tenant: TenantId, run: &str) {
        self.driving.lock().unwrap_or_else(PoisonError::into_inner).insert((tenant, run.to_owned()));
    }

    /// Drives one run until it ends or waits, or somebody else has it, or this process is to end.
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
        let (begun, mut held_at) = (Instant::now(), None);
        while !*ending.borrow() {
            if begun.elapsed() > TURN && self.crowded.load(Ordering::Relaxed) {
                return store.let_go_of_backfill(tenant, id, &self.owner).await;
            }
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
                Ok(Step::Rest(pause)) => {
                    rest(ending, pause.min(LOOK_EVERY)).await;
                }
                Ok(Step::Wait) => return store.let_go_of_backfill(tenant.id, id, &self.owner).await,
                Err(error) if error.is_passing() => {
                    tracing::debug!(%error, "a backfill waits for the database: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                // It slept, or the database was away, for longer than the lease: whoever has the run now looks at everything anew.
                Ok(Step::Ended) | Err(StoreError::NotDriven) => return Ok(()),
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
            _ if batches.looked => return Ok(Step::Go),
            RunState::Paused => return Ok(wait(&self.tools.store, batches.until)),
            // What of it is at the provider's is still heard.
            RunState::Cancelled if batches.open > 0 => return Ok(wait(&self.tools.store, batches.until)),
            RunState::Cancelled => return self.end(tenant, run, RunState::Cancelled).await,
            RunState::Done | RunState::Failed => return Ok(Step::Ended),
            RunState::Running => {}
        }
        let module = self.tools.store.module(tenant.id).await?;
        if !module.active || !module.settings.enabled {
            // Nothing would be scored; its items would be told so, for no reason of theirs.
            return Ok(Step::Wait);
        }
        let step = if run.asked.via_batches {
            self.fill_batches(tenant, run, &module.settings, batches.open).await?
        } else {
            self.score_some(tenant, run).await?
        };
        let Some(idle) = step else { return Ok(Step::Go) };
        // A batch whose texts were all erased meanwhile is still to be paid.
        if idle.items > 0 || batches.open > 0 {
            let due = idle.until.filter(|_| batches.open < making::MOST_OPEN);
            return Ok(wait(&self.tools.store, [due, batches.until].into_iter().flatten().min()));
        }
        self.next_slice(tenant, run, &module.settings).await
    }

    /// Opens the next slice, once the last one is decided and the run has rested; ends the run where there is none.
    async fn next_slice(&self, tenant: &Tenant, run: &Run, settings: &Settings) -> Result<Step, StoreError> {
        let store = &self.tools.store;
        if store.now() < run.rests_until && !run.exhausted {
            return Ok(wait(store, Some(run.rests_until)));
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
