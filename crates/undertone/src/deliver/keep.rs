//! What became of messages of several lanes is kept in one transaction: while one runs, those that come wait, and go together in the next.

use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, error::TryRecvError};
use undertone_store::destinations::FinishedDeliveries;
use undertone_store::{Store, StoreError, TenantId};

/// Messages kept in one transaction: others write in between.
const MOST_TOGETHER: usize = 1000;

/// One for each tenant: nobody waits for what another tenant's rows wait for.
#[derive(Clone, Default)]
pub(super) struct Keepers(Arc<Mutex<HashMap<TenantId, Arc<Keeper>>>>);

impl Keepers {
    /// The tenant's.
    pub(super) fn of(&self, tenant: TenantId) -> Arc<Keeper> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_default().clone()
    }
}

#[derive(Default)]
pub(super) struct Keeper {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    finished: Arc<FinishedDeliveries>,
    /// Dropped where it is to be kept alone.
    kept: oneshot::Sender<Result<(), StoreError>>,
}

impl Keeper {
    /// Keeps what became of messages together with what waits beside them. Where that can not be, each keeps its own: whatever is wrong with
    /// one, it fails no other.
    pub(super) async fn keep(
        &self,
        store: &Store,
        tenant: TenantId,
        finished: &Arc<FinishedDeliveries>,
    ) -> Result<(), StoreError> {
        let (tell, mut told) = oneshot::channel();
        self.waiting().push(Waiting { finished: finished.clone(), kept: tell });
        let turn = self.turn.lock().await;
        // Unless whoever had the turn before took it along.
        let kept = loop {
            match told.try_recv() {
                Err(TryRecvError::Empty) => self.keep_what_waits(store, tenant).await,
                kept => break kept,
            }
        };
        drop(turn);
        match kept {
            Ok(kept) => kept,
            Err(_) => store.finish_deliveries(tenant, slice::from_ref(finished)).await.map(drop),
        }
    }

    async fn keep_what_waits(&self, store: &Store, tenant: TenantId) {
        let together = self.next();
        let finished: Vec<_> = together.iter().map(|one| one.finished.clone()).collect();
        match store.finish_deliveries(tenant, &finished).await {
            // Nobody hears it whose lane has ended meanwhile.
            Ok(_) => together.into_iter().for_each(|one| drop(one.kept.send(Ok(())))),
            Err(error) => {
                if let Ok([alone]) = <[Waiting; 1]>::try_from(together) {
                    drop(alone.kept.send(Err(error)));
                }
            }
        }
    }

    /// Those who have waited the longest, about as many messages as others may wait for. Whoever is left has the next turn.
    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let mut messages = 0;
        let fits = waiting.iter().take_while(|one| {
            messages += one.finished.messages.len();
            messages <= MOST_TOGETHER
        });
        let count = fits.count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;
    use chrono_tz::Tz;
    use sea_orm::{ConnectionTrait, Database};
    use undertone_core::Role;
    use undertone_core::destination::{DestinationConfig, DestinationKind, Detail};
    use undertone_core::event::Wanted;
    use undertone_store::destinations::{FinishedDelivery, NewDestination, Sent, Which};
    use undertone_store::tenants::NewTenant;
    use undertone_store::{Act, Options};

    use super::*;
    use crate::clock::{MachineClock, TimeOrderedIds};

    /// A tenant with three destinations, each of which somebody has sent a message to.
    struct Bench {
        folder: tempfile::TempDir,
        store: Store,
        tenant: TenantId,
        sent: Vec<Arc<FinishedDeliveries>>,
    }

    impl Bench {
        async fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}/undertone.db", folder.path().display());
            let options = Options { url, connections: 2 };
            let ids = Arc::new(TimeOrderedIds::new());
            let store = Store::open(&options, Arc::new(MachineClock), ids).await.unwrap();
            store.migrate().await.unwrap();
            let new = NewTenant { slug: "acme", name: "Acme", zone: Tz::UTC, actor: "test" };
            let tenant = store.create_tenant(&new).await.unwrap().id;
            let act = Act::new(tenant, "test");
            let mut destinations = Vec::new();
            for name in ["a", "b", "c"] {
                let new = NewDestination {
                    kind: DestinationKind::Webhook,
                    name: name.to_owned(),
                    config: DestinationConfig {
                        events: Wanted::new(vec!["module.*".to_owned()]).unwrap(),
                        detail: Detail::Thin,
                        audience: Role::Admin,
                        options: serde_json::Map::new(),
                    },
                    shown_address: "https://example.com/…".to_owned(),
                    secrets: ("sealed".to_owned(), "key".to_owned()),
                    active: true,
                };
                destinations.push(store.create_destination(&act, &new).await.unwrap());
            }
            store.set_module_active(&act, false).await.unwrap();
            store.place_events(tenant, 10).await.unwrap();
            let mut sent = Vec::new();
            for to in &destinations {
                let held = ("owner", TimeDelta::seconds(90));
                let claimed = store.claim_deliveries(tenant, to, held, 8).await.unwrap();
                let messages = claimed.into_iter().map(|claimed| FinishedDelivery {
                    claimed,
                    sent: Sent::Delivered,
                    status: Some(200),
                    began_at: store.now(),
                    millis: 1,
                    chance: 0.0,
                });
                let messages: Vec<_> = messages.collect();
                assert_eq!(messages.len(), 1);
                let (destination, owner) = (to.id.clone(), "owner".to_owned());
                sent.push(Arc::new(FinishedDeliveries { destination, owner, messages }));
            }
            Self { folder, store, tenant, sent }
        }

        /// Keeps all of them, the first of whom finds the others waiting.
        async fn keep(&self) -> Vec<Result<(), StoreError>> {
            let keeper = Keepers::default().of(self.tenant);
            let turn = keeper.turn.lock().await;
            let all = futures::future::join_all(
                self.sent.iter().map(|one| keeper.keep(&self.store, self.tenant, one)),
            );
            tokio::pin!(all);
            assert!(futures::poll!(&mut all).is_pending());
            assert_eq!(keeper.waiting().len(), 3);
            drop(turn);
            all.await
        }

        /// Each message's state, and in which moments they were kept.
        async fn kept(&self) -> (Vec<String>, usize) {
            let (mut states, mut moments) = (Vec::new(), BTreeSet::new());
            for one in &self.sent {
                let which = Which { most: 8, ..Which::default() };
                let log = self.store.deliveries(self.tenant, &one.destination, which).await.unwrap();
                moments.extend(log.iter().filter_map(|one| one.finished_at));
                states.extend(log.into_iter().map(|one| one.state));
            }
            (states, moments.len())
        }
    }

    #[tokio::test]
    async fn others_write_between_many() {
        let bench = Bench::open().await;
        let of = |count: usize| {
            let one = &bench.sent[0];
            let messages = vec![one.messages[0].clone(); count];
            let (destination, owner) = (one.destination.clone(), one.owner.clone());
            let finished = Arc::new(FinishedDeliveries { destination, owner, messages });
            Waiting { finished, kept: oneshot::channel().0 }
        };
        let keeper = Keeper::default();
        keeper.waiting().extend([2 * MOST_TOGETHER, 8, MOST_TOGETHER - 8, 1].map(of));
        let turns: Vec<usize> =
            std::iter::repeat_with(|| keeper.next().len()).take_while(|count| *count > 0).collect();
        assert_eq!(turns, [1, 2, 1], "more than fit, as many as fit, and the rest");
    }

    #[tokio::test]
    async fn what_waits_is_kept_in_one_transaction() {
        let bench = Bench::open().await;
        assert!(bench.keep().await.iter().all(Result::is_ok));
        assert_eq!(bench.kept().await, (vec!["delivered".to_owned(); 3], 1));
    }

    #[tokio::test]
    async fn what_can_not_be_kept_fails_nobody_else() {
        let bench = Bench::open().await;
        let url = format!("sqlite://{}/undertone.db", bench.folder.path().display());
        let database = Database::connect(url).await.unwrap();
        // As a later version might have written it.
        let unreadable =
            format!("UPDATE destination SET config = '{{}}' WHERE id = '{}'", bench.sent[1].destination);
        database.execute_unprepared(&unreadable).await.unwrap();
        let kept = bench.keep().await;
        assert_eq!(kept.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(
            bench.kept().await,
            (["delivered", "pending", "delivered"].map(str::to_owned).to_vec(), 2)
        );
    }
}
