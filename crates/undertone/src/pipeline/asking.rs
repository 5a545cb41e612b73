//! Batches that ask an LLM. They wait for seconds or minutes and hardly work, so they run beside the workers, many at a time, and hold
//! nobody up whose texts the embedded model reads.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use undertone_store::TenantId;

use super::Work;

/// So many at a time.
const PLACES: usize = 64;
/// While a tenant's texts are being asked about, the next few wait for company at most this long: a request costs nearly the same with one text
/// as with several.
const LINGER: Duration = Duration::from_secs(2);

/// The batches under way.
#[derive(Clone)]
pub struct Asking(Arc<Inner>);

struct Inner {
    work: Work,
    state: Mutex<State>,
    // Apart from the state: a batch that is dropped gives its place back.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    taken: HashMap<TenantId, Taken>,
    /// Tenants for which there was no place, the longest waiting first.
    turned_away: VecDeque<TenantId>,
}

/// A tenant's batches.
struct Taken {
    places: usize,
    /// When the last of them was begun.
    begun: Instant,
}

impl State {
    fn free(&self) -> usize {
        PLACES.saturating_sub(self.taken.values().map(|taken| taken.places).sum())
    }
}

/// A place of a tenant's; free again when this is dropped.
pub struct Place {
    asking: Asking,
    tenant: TenantId,
}

impl Asking {
    /// Nothing is under way yet. Who is turned away is woken through `work` when there is a place.
    pub fn new(work: &Work) -> Self {
        Self(Arc::new(Inner { work: work.clone(), state: Mutex::default(), tasks: Mutex::default() }))
    }

    /// A place for a batch of `tenant`. A tenant may take another while it has fewer than are left, so that one whose LLM is slow never
    /// takes all of them.
    pub fn place(&self, tenant: TenantId) -> Option<Place> {
        let mut state = self.state();
        let own = state.taken.get(&tenant).map(|taken| taken.places).unwrap_or_default();
        if own < state.free() {
            state.taken.insert(tenant, Taken { places: own + 1, begun: Instant::now() });
            return Some(Place { asking: self.clone(), tenant });
        }
        if !state.turned_away.contains(&tenant) {
            state.turned_away.push_back(tenant);
        }
        None
    }

    /// Whether texts of `tenant` that fill no request should wait for more: a batch was begun a moment ago and is not back yet. Its end is
    /// when they go at the latest, or [`LINGER`].
    pub fn lingers(&self, tenant: TenantId) -> bool {
        self.state().taken.get(&tenant).is_some_and(|taken| taken.begun.elapsed() < LINGER)
    }

    /// Runs `batch` beside the workers.
    pub fn spawn(&self, batch: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended are forgotten.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(batch);
    }

    /// Waits for the batches under way; those that take longer than `patience` are broken off.
    pub async fn end(&self, patience: Duration) {
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tasks.shutdown().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.asking.state();
        if let Some(taken) = state.taken.get_mut(&self.tenant) {
            taken.places -= 1;
            if taken.places == 0 {
                state.taken.remove(&self.tenant);
            }
        }
        let next = state.turned_away.pop_front();
        drop(state);
        if let Some(next) = next {
            self.asking.0.work.wake(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(asking: &Asking, tenant: i64) -> Vec<Place> {
        std::iter::from_fn(|| asking.place(TenantId(tenant))).collect()
    }

    #[tokio::test]
    async fn nobody_takes_all_places_and_who_is_turned_away_is_woken() {
        let work = Work::default();
        let asking = Asking::new(&work);
        let mut first = take(&asking, 1);
        assert_eq!(first.len(), PLACES / 2);
        let second = take(&asking, 2);
        assert_eq!(second.len(), PLACES / 4);
        let others: Vec<Place> = (3..9).flat_map(|tenant| take(&asking, tenant)).collect();
        assert_eq!(first.len() + second.len() + others.len(), PLACES);
        assert!(asking.place(TenantId(10)).is_none());
        // The tenants were turned away in this order, each once.
        for tenant in 1..=3 {
            first.pop();
            assert_eq!(work.next().await, TenantId(tenant));
        }
        // What the first gave back is not for the first, who has most.
        assert!(asking.place(TenantId(1)).is_none());
        assert!(asking.place(TenantId(10)).is_some());
        drop((first, second, others));
        assert_eq!(take(&asking, 1).len(), PLACES / 2);
    }

    #[test]
    fn the_next_few_wait_for_company_while_others_are_under_way() {
        let asking = Asking::new(&Work::default());
        let (one, other) = (TenantId(1), TenantId(2));
        assert!(!asking.lingers(one), "nobody is under way");
        let place = asking.place(one);
        assert!(asking.lingers(one) && !asking.lingers(other));
        drop(place);
        assert!(!asking.lingers(one), "it is back");
        let _slow = asking.place(one);
        asking.state().taken.get_mut(&one).unwrap().begun -= LINGER;
        assert!(!asking.lingers(one), "long enough");
    }

    #[tokio::test]
    async fn at_the_end_what_takes_too_long_is_broken_off() {
        let asking = Asking::new(&Work::default());
        let place = asking.place(TenantId(1)).unwrap();
        asking.spawn(async move {
            let _place = place;
            std::future::pending::<()>().await;
        });
        let (done, mut heard) = tokio::sync::oneshot::channel();
        asking.spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            done.send(()).unwrap();
        });
        asking.end(Duration::from_millis(500)).await;
        heard.try_recv().unwrap();
        assert_eq!(asking.state().free(), PLACES);
    }
}
