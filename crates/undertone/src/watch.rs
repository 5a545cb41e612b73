//! What the clock has to do with alerts and incidents: ends snoozes, tells others where nobody acknowledged, ends incidents that are over.

use std::time::Duration;

use tokio::sync::watch;
use undertone_store::{Store, StoreError};

/// How often is looked. A snooze of a minute ends within two seconds of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches until the service ends. Several nodes may: each alert is taken by one.
pub async fn serve(store: Store, mut ending: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = ending.wait_for(|end| *end) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = look(&store).await {
            tracing::warn!(%error, "watching over alerts failed for a moment: {error}");
        }
    }
}

async fn look(store: &Store) -> Result<(), StoreError> {
    for tenant in store.tenants_with_due_alerts().await? {
        while store.tick_alerts(tenant).await? {}
    }
    for tenant in store.tenants_with_incidents().await? {
        store.end_incidents(tenant).await?;
    }
    Ok(())
}
