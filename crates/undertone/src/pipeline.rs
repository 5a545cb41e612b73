//! From pending to decided: workers claim interactions tenant by tenant, ask the gate, ask the scorer, and record what came of it. What
//! asks an LLM runs beside them.

mod aside;
mod asking;
mod backfill;
mod cleaning;
mod decide;
pub mod keeper;
mod publish;
mod recording;
mod recount;
mod sealing;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use undertone_store::TenantId;

pub use backfill::Patience;
pub use worker::{Pipeline, Tools};

/// How often the database is asked for work that nobody in this process knows of: other nodes' intake, retries, leases that ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The tenants that have something to score, each once, in the order in which they are served.
#[derive(Clone, Default)]
pub struct Work(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ring: Mutex<VecDeque<TenantId>>,
    more: Notify,
}

impl Work {
    /// There is something to score for `tenant`.
    pub fn wake(&self, tenant: TenantId) {
        let mut ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if !ring.contains(&tenant) {
            ring.push_back(tenant);
            self.0.more.notify_one();
        }
    }

    /// The tenant whose turn it is.
    async fn next(&self) -> TenantId {
        loop {
            let more = self.0.more.notified();
            {
                let mut ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(tenant) = ring.pop_front() {
                    // One wake-up may stand for several tenants.
                    if !ring.is_empty() {
                        self.0.more.notify_one();
                    }
                    return tenant;
                }
            }
            more.await;
        }
    }
}
