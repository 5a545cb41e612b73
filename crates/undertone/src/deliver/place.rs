//! Gives events their places, and tells those who follow the stream that there are new ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use undertone_store::{Store, StoreError, TenantId};

use crate::turns::Turns;

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

/// Places events until the service ends; `deliveries` hears of messages that came of them.
pub(super) async fn serve(
    store: Store,
    stream: Stream,
    deliveries: Arc<Notify>,
    ending: watch::Receiver<bool>,
) {
    let some = |tenant| place(&store, (&stream, &deliveries), tenant, MOST);
    Turns::new("placing events").serve(ending, LOOK_EVERY, || store.tenants_with_events(), some).await;
}

/// Places `most` events of a tenant; answers whether there may be more.
async fn place(
    store: &Store,
    (stream, deliveries): (&Stream, &Notify),
    tenant: TenantId,
    most: u16,
) -> Result<bool, StoreError> {
    let placed = store.place_events(tenant, most).await?;
    if placed.events > 0 {
        metrics::counter!("undertone_events_total").increment(placed.events as u64);
        stream.wake(tenant);
    }
    if placed.deliveries > 0 {
        deliveries.notify_one();
    }
    Ok(placed.more)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use undertone_store::tenants::NewTenant;
    use undertone_store::{Act, Options};

    use super::*;
    use crate::clock::{MachineClock, TimeOrderedIds};

    #[tokio::test]
    async fn a_tenant_with_many_events_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/undertone.db", folder.path().display());
        let options = Options { url, connections: 2 };
        let store =
            Store::open(&options, Arc::new(MachineClock), Arc::new(TimeOrderedIds::new())).await.unwrap();
        store.migrate().await.unwrap();
        let mut tenants = Vec::new();
        for (slug, events) in [("many", 5), ("few", 1)] {
            let new = NewTenant { slug, name: slug, zone: Tz::UTC, actor: "test" };
            let tenant = store.create_tenant(&new).await.unwrap().id;
            for event in 0..events {
                store.set_module_active(&Act::new(tenant, "test"), event % 2 == 1).await.unwrap();
            }
            tenants.push(tenant);
        }
        let (stream, deliveries) = (Stream::default(), Notify::new());
        let mut turns = Turns::new("placing events");
        let mut look = async || {
            let tenants = store.tenants_with_events().await.unwrap();
            turns.round(tenants, |tenant| place(&store, (&stream, &deliveries), tenant, 2)).await
        };
        let placed = async |tenant| store.event_sequence(tenant).await.unwrap().map_or(0, |one| one.last);
        assert!(look().await);
        assert_eq!((placed(tenants[0]).await, placed(tenants[1]).await), (2, 1), "a slice each");
        while look().await {}
        assert_eq!((placed(tenants[0]).await, placed(tenants[1]).await), (5, 1));
    }
}
