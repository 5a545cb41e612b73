//! Tenants in turn: each gets a slice of the work before the next, whatever one of them has waiting, and one whose slice fails holds up nobody.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use undertone_store::{StoreError, TenantId};

use crate::clock::rest;

/// A tenant whose slice failed is left alone for this long; after it could not be looked for tenants it is looked this much later.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Whose turn it is.
pub struct Turns {
    /// What is done, for the log: “… of tenant 7 …”.
    what: &'static str,
    after_error: Duration,
    resting: HashMap<TenantId, Instant>,
}

impl Turns {
    /// Turns at doing `what`, such as “placing events”.
    pub fn new(what: &'static str) -> Self {
        Self { what, after_error: AFTER_ERROR, resting: HashMap::new() }
    }

    /// Serves the `tenants` that have something to do until the service ends: a `slice` of each, as in [`Turns::round`], and the next at once
    /// while there may be more, or `every` so often. Several nodes may. Errors are logged.
    pub async fn serve<T, F>(
        mut self,
        mut ending: watch::Receiver<bool>,
        every: Duration,
        tenants: impl Fn() -> T,
        slice: impl Fn(TenantId) -> F,
    ) where
        T: Future<Output = Result<Vec<TenantId>, StoreError>>,
        F: Future<Output = Result<bool, StoreError>>,
    {
        let mut pause = every;
        while rest(&mut ending, pause).await {
            pause = match tenants().await {
                Ok(tenants) => {
                    let more = self.round(tenants, &slice).await;
                    if more { Duration::ZERO } else { every }
                }
                Err(error) => {
                    tracing::warn!(%error, "{} failed for a moment: {error}", self.what);
                    self.after_error
                }
            };
        }
    }

    /// One slice of each tenant's work; answers whether there may be more. Errors are logged.
    pub async fn round<F>(&mut self, tenants: Vec<TenantId>, slice: impl Fn(TenantId) -> F) -> bool
    where
        F: Future<Output = Result<bool, StoreError>>,
    {
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let mut more = false;
        for tenant in tenants {
            if self.resting.contains_key(&tenant) {
                continue;
            }
            match slice(tenant).await {
                Ok(some) => more |= some,
                Err(error) => {
                    let what = self.what;
                    tracing::warn!(%error, tenant = tenant.0, "{what} of tenant {} failed for a moment: {error}", tenant.0);
                    self.resting.insert(tenant, Instant::now() + self.after_error);
                }
            }
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[tokio::test]
    async fn whoever_may_have_more_is_served_at_once_and_only_until_the_end() {
        let every = Duration::from_secs(1);
        let (end, ending) = watch::channel(false);
        let (looks, slices) = (Cell::new(0), Cell::new(0));
        let tenants = async || {
            looks.set(looks.get() + 1);
            match looks.get() {
                1 => Err(StoreError::Conflict("broken".to_owned())),
                _ => Ok(vec![TenantId(1)]),
            }
        };
        let slice = async |_| {
            slices.set(slices.get() + 1);
            end.send_replace(slices.get() == 3);
            Ok(slices.get() < 3)
        };
        let mut turns = Turns::new("testing");
        turns.after_error = Duration::from_millis(1);
        let began = Instant::now();
        turns.serve(ending, every, tenants, slice).await;
        assert_eq!((looks.get(), slices.get()), (4, 3));
        assert!((every..every * 2).contains(&began.elapsed()), "it waits before the first look alone");
    }

    #[tokio::test]
    async fn nobody_is_held_up_by_another() {
        let (busy, broken, quiet) = (TenantId(1), TenantId(2), TenantId(3));
        let log = RefCell::new(Vec::new());
        let slice = |tenant: TenantId| {
            log.borrow_mut().push(tenant.0);
            async move {
                match tenant.0 {
                    1 => Ok(true),
                    2 => Err(StoreError::Conflict("broken".to_owned())),
                    _ => Ok(false),
                }
            }
        };
        let mut turns = Turns::new("testing");
        assert!(turns.round(vec![busy, broken, quiet], slice).await);
        assert!(turns.round(vec![busy, broken, quiet], slice).await);
        assert_eq!(*log.borrow(), [1, 2, 3, 1, 3], "whoever fails rests, and the others go on");
        assert!(!turns.round(vec![broken, quiet], slice).await);
        turns.after_error = Duration::ZERO;
        turns.resting.clear();
        turns.round(vec![broken], slice).await;
        turns.round(vec![broken], slice).await;
        assert_eq!(log.borrow()[6..], [2, 2], "once that is over, it is tried again");
    }
}
