//! What the clock has to do with alerts and incidents: ends snoozes, tells others where nobody acknowledged, ends incidents that are over.

use std::time::Duration;

use tokio::sync::watch;
use undertone_store::Store;

use crate::clock::rest;
use crate::turns::Turns;

/// How often is looked. A snooze of a minute ends within two seconds of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches until the service ends. Several nodes may: each alert is taken by one. An incident that lets many alerts go holds up no clock.
pub async fn serve(store: Store, ending: watch::Receiver<bool>) {
    tokio::join!(watch_alerts(&store, ending.clone()), watch_incidents(&store, ending));
}

async fn watch_alerts(store: &Store, mut ending: watch::Receiver<bool>) {
    let mut turns = Turns::new("watching over alerts");
    let mut pause = LOOK_EVERY;
    while rest(&mut ending, pause).await {
        pause = LOOK_EVERY;
        match store.tenants_with_due_alerts().await {
            Ok(tenants) => {
                if turns.round(tenants, |tenant| store.tick_alerts(tenant)).await {
                    pause = Duration::ZERO;
                }
            }
            Err(error) => tracing::warn!(%error, "watching over alerts failed for a moment: {error}"),
        }
    }
}

async fn watch_incidents(store: &Store, mut ending: watch::Receiver<bool>) {
    let mut turns = Turns::new("watching over incidents");
    while rest(&mut ending, LOOK_EVERY).await {
        match store.tenants_with_incidents().await {
            Ok(tenants) => {
                let end = |tenant| async move { store.end_incidents(tenant).await.map(|()| false) };
                turns.round(tenants, end).await;
            }
            Err(error) => tracing::warn!(%error, "watching over incidents failed for a moment: {error}"),
        }
    }
}
