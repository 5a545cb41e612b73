//! Publishes figures of groups, day by day, for whoever may not see single scores.

use std::time::Duration;

use tokio::sync::watch;
use undertone_store::{Store, StoreError};

use crate::clock::rest;

/// How often it is looked for days that are due.
const EVERY: Duration = Duration::from_mins(10);
/// Between two days there is a pause, so that the first look at long history holds up nobody.
const PAUSE: Duration = Duration::from_millis(50);

/// Publishes what is due until the service is told to end.
pub async fn serve(store: Store, mut ending: watch::Receiver<bool>) {
    loop {
        if let Err(error) = publish(&store, &ending).await {
            tracing::warn!(%error, "figures of groups could not be published; it is tried again in ten minutes: {error}");
        }
        if !rest(&mut ending, EVERY).await {
            return;
        }
    }
}

async fn publish(store: &Store, ending: &watch::Receiver<bool>) -> Result<(), StoreError> {
    for tenant in store.tenants().await? {
        let min_group = store.module(tenant.id).await?.settings.visibility.min_group;
        while !*ending.borrow() && store.publish_groups(&tenant, min_group).await? {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}
