//! The contacts of agents follow what was recorded, where a tenant switched their numbers on; and go where it switched them off.

use std::time::Duration;

use tokio::sync::watch;
use undertone_store::{Store, StoreError};

use super::LOOK_EVERY;
use crate::clock::rest;

/// Between two pieces, so that others get their turn at the database.
const REST: Duration = Duration::from_millis(10);
/// Looks between two removals of contacts on days nobody can ask about any more: an hour.
const REMOVE_EVERY: u64 = 7200;

/// Keeps going until it is told to end.
pub async fn serve(store: Store, mut ending: watch::Receiver<bool>) {
    for looks in 0_u64.. {
        if !rest(&mut ending, LOOK_EVERY).await {
            return;
        }
        // A piece that is broken off is not counted, and counted later.
        let done = tokio::select! {
            biased;
            _ = ending.wait_for(|end| *end) => return,
            done = look(&store, looks.is_multiple_of(REMOVE_EVERY)) => done,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "counting the contacts of agents stopped for a moment: {error}");
        }
    }
}

async fn look(store: &Store, removes: bool) -> Result<(), StoreError> {
    // Tenants in turn, a piece of each.
    loop {
        let mut more = false;
        for tenant in store.tenants_to_recount().await? {
            more |= store.recount_agents(tenant).await?;
            tokio::time::sleep(REST).await;
        }
        if !more {
            break;
        }
    }
    if removes {
        for tenant in store.tenants().await? {
            while store.remove_old_contacts(tenant.id).await? {
                tokio::time::sleep(REST).await;
            }
        }
    }
    Ok(())
}
