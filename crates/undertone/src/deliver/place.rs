//! Gives events their places, and tells those who follow the stream that there are new ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use undertone_store::{Store, StoreError, TenantId};

use crate::clock::rest;
use crate::turns::Turns;

/// How often is looked for events without a place. An alert is told within a second of its score.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// After an error it is looked this much later.
const AFTER_ERROR: Duration = Duration::from_secs(1);
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
    let mut turns = Turns::new("placing events");
    let mut pause = LOOK_EVERY;
    while rest(&mut ending, pause).await {
        pause = match look(&store, &stream, &mut turns, MOST).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(%error, "events could not be placed: {error}");
                AFTER_ERROR
            }
        };
    }
}

/// Places `most` events of each tenant; answers whether there may be more.
async fn look(store: &Store, stream: &Stream, turns: &mut Turns, most: u16) -> Result<bool, StoreError> {
    let tenants = store.tenants_with_events().await?;
    let some = |tenant| async move {
        let placed = store.place_events(tenant, most).await?;
        if placed.events > 0 {
            metrics::counter!("undertone_events_total").increment(placed.events as u64);
            stream.wake(tenant);
        }
        Ok(placed.events == usize::from(most))
    };
    Ok(turns.round(tenants, some).await)
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
        let (stream, mut turns) = (Stream::default(), Turns::new("placing events"));
        let placed = async |tenant| store.event_sequence(tenant).await.unwrap().map_or(0, |one| one.last);
        assert!(look(&store, &stream, &mut turns, 2).await.unwrap());
        assert_eq!((placed(tenants[0]).await, placed(tenants[1]).await), (2, 1), "a slice each");
        while look(&store, &stream, &mut turns, 2).await.unwrap() {}
        assert_eq!((placed(tenants[0]).await, placed(tenants[1]).await), (5, 1));
    }
}
