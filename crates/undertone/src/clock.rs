//! The machine's clock, and ids from it: the only place that asks for either. And pauses, which the end of the service cuts short.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::watch;
use undertone_core::{Clock, Ids};
use uuid::{ContextV7, Timestamp, Uuid};

/// The machine's clock.
pub struct MachineClock;

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is handed in everywhere else")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// Pauses; answers whether to go on: not where the service ends, and then at once.
pub async fn rest(ending: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    tokio::select! {
        biased;
        _ = ending.wait_for(|end| *end) => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// UUIDs, version 7: they sort by the moment they were made at, and within one process by their order.
pub struct TimeOrderedIds(Mutex<ContextV7>);

impl TimeOrderedIds {
    /// Ids from the machine's random numbers.
    pub fn new() -> Self {
        Self(Mutex::new(ContextV7::new()))
    }
}

impl Ids for TimeOrderedIds {
    fn next(&self, at: DateTime<Utc>) -> String {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (seconds, nanos) = (at.timestamp().max(0) as u64, at.timestamp_subsec_nanos());
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, nanos)).to_string()
    }
}
