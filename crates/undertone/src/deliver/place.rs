//! Gives events their places, and tells those who follow the stream that there are new ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use undertone_store::{Store, StoreError, TenantId};

/// How often is looked for events without a place. An alert is told within a second of its score.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Events placed in one transaction.
const MOST: u16 = 500;

/// Wakes those who follow a tenant's events on this node. Whoever is woken looks into the database; what other nodes placed is seen by
/// looking now and then.
#[derive(Clone, Default)]
pub struct Stream(Arc<Mutex<HashMap<TenantId, watch::Sender<u64>>>>);

impl Stream {
    /// Changes whenever this node placed events of the tenant.
    pub fn follow(&self, tenant: TenantId) -> watch::Receiver<u64> {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, sender| sender.receiver_count() > 0);
        followed.entry(tenant).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Wakes those who follow the tenant.
    pub fn wake(&self, tenant: TenantId) {
        let followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = followed.get(&tenant) {
            sender.send_modify(|times| *times += 1);
        }
    }
}

/// Places events until the service ends.
pub(super) async fn serve(store: Store, stream: Stream, mut ending: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = ending.wait_for(|end| *end) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = look(&store, &stream).await {
            tracing::warn!(%error, "events could not be placed: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn look(store: &Store, stream: &Stream) -> Result<(), StoreError> {
    for tenant in store.tenants_with_events().await? {
        loop {
            let placed = store.place_events(tenant, MOST).await?;
            if placed.events > 0 {
                metrics::counter!("undertone_events_total").increment(placed.events as u64);
                stream.wake(tenant);
            }
            if placed.events < usize::from(MOST) {
                break;
            }
        }
    }
    Ok(())
}
