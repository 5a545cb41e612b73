//! What is done for customers' rights beside scoring: what stands in their conversations becomes theirs, erasures go on to their end, clocks
//! remove what is due, once a day for each tenant, and SQLite's file loses what was removed. One node does each at a time; what one leaves half done the next goes on with.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use undertone_store::privacy::retention::Clocks;
use undertone_store::{Act, Store, StoreError};

use crate::clock::rest;

/// How often is looked for erasures.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks between two for clocks: a minute.
const PURGE_EVERY: u64 = 60;
/// So many slices of conversations in one look: an erasure does not wait for all of them.
const SLICES: usize = 50;
/// Between two slices of what is due, so that others get their turn.
const REST: Duration = Duration::from_millis(20);
/// A node that dies over a tenant's clocks leaves them for this long.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// Clocks are looked at this often, and a large file is written anew no more often than this.
const DAY: TimeDelta = TimeDelta::hours(24);
/// A small file is written anew no more often than this.
const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// Who did it, in the audit log.
const ACTOR: &str = "retention";
/// The task in which clocks remove what is due.
const RETENTION: &str = "retention";
/// The task in which SQLite's file is written anew, under the first tenant.
const SCRUB: &str = "scrub";

/// Keeps going until it is told to end.
pub async fn serve(store: Store, mut ending: watch::Receiver<bool>) {
    let mut log = Log::default();
    for looks in 0_u64.. {
        if !rest(&mut ending, LOOK_EVERY).await {
            return;
        }
        let done = tokio::select! {
            biased;
            _ = ending.wait_for(|end| *end) => return,
            done = look(&store, looks, &mut log) => done,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "erasing or removing what is due stopped for a moment: {error}");
        }
    }
}

/// What may still stand in SQLite's write-ahead log of what was removed.
#[derive(Default)]
struct Log {
    /// What clocks removed.
    purged: bool,
    /// What was erased until then does not any more.
    without: Option<DateTime<Utc>>,
}

async fn look(store: &Store, looks: u64, log: &mut Log) -> Result<(), StoreError> {
    fill(store).await?;
    erase(store).await?;
    if looks.is_multiple_of(PURGE_EVERY) {
        log.purged |= purge(store).await?;
    }
    let erased = store.unscrubbed().await?;
    if (log.purged || erased > log.without) && store.empty_log().await? {
        *log = Log { purged: false, without: erased.max(log.without) };
    }
    scrub(store).await
}

/// What names nobody becomes its conversation's customer's, where that was too much at once.
async fn fill(store: &Store) -> Result<(), StoreError> {
    for _ in 0..SLICES {
        if !store.fill_conversation().await? {
            break;
        }
    }
    Ok(())
}

/// Brings open erasures to their end.
pub async fn erase(store: &Store) -> Result<(), StoreError> {
    for (tenant, id) in store.open_erasures().await? {
        while let Some(erasure) = store.continue_erasure(tenant, &id).await? {
            if erasure.done_at.is_some() {
                tracing::info!(erasure = id, tenant = tenant.0, "erasure {id} is done");
                break;
            }
        }
    }
    Ok(())
}

/// Removes what is due of every tenant whose turn it is; answers whether something was.
async fn purge(store: &Store) -> Result<bool, StoreError> {
    let mut is_due = false;
    for tenant in store.tenants().await? {
        if !store.take_upkeep(tenant.id, RETENTION, PATIENCE).await? {
            continue;
        }
        let settings = store.module(tenant.id).await?.settings;
        let clocks = Clocks::of(&tenant, &settings, store.now());
        let act = Act::new(tenant.id, ACTOR);
        let run = store.purge(&tenant, &clocks, &act, REST).await?;
        if !run.removed.is_empty() {
            is_due = true;
            let removed = serde_json::to_string(&run.removed).unwrap_or_default();
            tracing::info!(removed, tenant = tenant.slug, "retention removed of {}: {removed}", tenant.slug);
        }
        store.end_upkeep(tenant.id, RETENTION, DAY).await?;
    }
    // Of a large file every day's removal is overwritten in place, and that is all.
    if is_due && store.is_small().await? {
        store.scrub().await?;
    }
    Ok(is_due)
}

/// Scrubs the file after erasures: a small one within a minute, a large one once a day, since nobody writes meanwhile.
async fn scrub(store: &Store) -> Result<(), StoreError> {
    if !store.wants_scrubbing().await? {
        return Ok(());
    }
    let pause = if store.is_small().await? { MINUTE } else { DAY };
    let Some(first) = store.tenants().await?.into_iter().next() else { return Ok(()) };
    if !store.take_upkeep(first.id, SCRUB, pause).await? {
        return Ok(());
    }
    if !store.scrub().await? {
        tracing::warn!(
            "the write-ahead log could not be emptied after an erasure: somebody reads for long; it is tried again"
        );
    }
    Ok(())
}
