//! What the clock has to do with alerts, incidents and destinations: ends snoozes, tells others where nobody acknowledged, ends incidents that are
//! over, tells of destinations that take nothing and are not tried for long.

use std::time::Duration;

use tokio::sync::watch;
use undertone_store::Store;

use crate::turns::Turns;

/// How often is looked. A snooze of a minute ends within two seconds of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches until the service ends. Several nodes may: each alert is taken by one. An incident that lets many alerts go does so in slices and
/// holds up neither a clock nor another tenant's.
pub async fn serve(store: Store, ending: watch::Receiver<bool>) {
    tokio::join!(
        watch_alerts(&store, ending.clone()),
        watch_incidents(&store, ending.clone()),
        watch_destinations(&store, ending)
    );
}

async fn watch_alerts(store: &Store, ending: watch::Receiver<bool>) {
    let tick = |tenant| store.tick_alerts(tenant);
    let turns = Turns::new("watching over alerts");
    turns.serve(ending, LOOK_EVERY, || store.tenants_with_due_alerts(), tick).await;
}

async fn watch_incidents(store: &Store, ending: watch::Receiver<bool>) {
    let end = |tenant| store.end_incidents(tenant);
    let turns = Turns::new("watching over incidents");
    turns.serve(ending, LOOK_EVERY, || store.tenants_with_incidents(), end).await;
}

async fn watch_destinations(store: &Store, ending: watch::Receiver<bool>) {
    let tell = |tenant| store.tell_of_silent_destinations(tenant);
    let turns = Turns::new("watching over destinations");
    turns.serve(ending, LOOK_EVERY, || store.tenants_with_silent_destinations(), tell).await;
}
