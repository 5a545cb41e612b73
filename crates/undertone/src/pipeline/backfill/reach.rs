//! Batches that can not be asked about: the key is another one now, or there is none.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use undertone_store::backfill::{BatchRow, Run, RunState};
use undertone_store::{StoreError, Tenant};

use super::Driver;

/// Why a batch can not be asked about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reach {
    /// It is not where the key that is set now leads to.
    Elsewhere,
    /// There is no key that is accepted.
    NoKey,
}

impl Driver {
    /// A batch that can not be asked about as things are is asked about again for a while: somebody may set the former key, or a valid one,
    /// again. After that nobody hears of it any more.
    pub(super) async fn out_of_reach(
        &self,
        tenant: &Tenant,
        run: &Run,
        row: BatchRow,
        reach: Reach,
        (why, wait): (&str, Option<TimeDelta>),
    ) -> Result<(), StoreError> {
        let (now, patience) = (self.tools.store.now(), self.tools.patience);
        let since = *self.out_of_sight().entry(row.id.clone()).or_insert(now);
        let cancelled = run.state == RunState::Cancelled;
        let until = match reach {
            // What is just made may not be known everywhere yet.
            Reach::Elsewhere if cancelled => Some(since + patience.listed_within),
            Reach::Elsewhere => Some(since + patience.reached_within),
            Reach::NoKey if cancelled => Some(since + patience.reached_within),
            // Nothing else of the run could be asked about either.
            Reach::NoKey => None,
        };
        if until.is_some_and(|until| now >= until) {
            self.in_reach(&row.id);
            return self.give_up(tenant, run, row, why).await;
        }
        let told = match until {
            Some(until) => {
                let at = until.format("%Y-%m-%dT%H:%M:%SZ");
                format!("{why}; unless the former key is set again, the batch is given up at {at}")
            }
            None => why.to_owned(),
        };
        self.later(tenant, run, row, &told, wait).await
    }

    /// A batch can be asked about.
    pub(super) fn in_reach(&self, batch: &str) {
        self.out_of_sight().remove(batch);
    }

    fn out_of_sight(&self) -> MutexGuard<'_, HashMap<String, DateTime<Utc>>> {
        self.out_of_sight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
