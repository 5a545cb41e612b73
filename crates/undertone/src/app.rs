//! What every part of the running service shares.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use undertone_core::usage::price::Prices;
use undertone_scoring::local::LocalScorer;
use undertone_store::secrets::Secret;
use undertone_store::{Options, Store, StoreError};

use crate::clock::{MachineClock, TimeOrderedIds};
use crate::config::Config;
use crate::deliver::{Outward, Stream};
use crate::intake::gather::Gather;
use crate::knowledge::Lessons;
use crate::limits::Limits;
use crate::llm::Llms;
use crate::secrets::ProviderKeys;
use crate::sign_on::SignOn;

/// The service.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub store: Store,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The embedded model.
    pub reader: Arc<LocalScorer>,
    /// What it learnt for each tenant.
    pub lessons: Lessons,
    /// Held while it learns.
    pub learning: Arc<Mutex<()>>,
    /// Keys of providers, by tenant.
    pub provider_keys: ProviderKeys,
    /// The LLMs that tenants chose.
    pub llms: Llms,
    /// The way to providers of single sign-on.
    pub sign_on: SignOn,
    /// What opens `/metrics`; `None`: nothing does.
    pub metrics_token: Option<Secret>,
    /// What LLM calls cost.
    pub prices: Arc<Prices>,
    /// How much anybody may ask of this process.
    pub limits: Limits,
    /// Interactions on their way to disk.
    pub gather: Gather,
    /// The way to destinations.
    pub outward: Outward,
    /// Who follows events.
    pub stream: Stream,
    /// Becomes true when the service is told to end.
    pub ending: watch::Receiver<bool>,
    /// What the log-in page tells, in a demo.
    pub log_in_hint: Option<Arc<str>>,
}

/// Opens the database the configuration names. The data directory is made where the database is a file in it.
pub async fn open_store(config: &Config) -> Result<Store, StoreError> {
    if config.database_url.is_empty() {
        std::fs::create_dir_all(&config.data_dir).map_err(|e| {
            StoreError::Invalid(format!("the folder {} can not be made: {e}", config.data_dir.display()))
        })?;
    }
    let options = Options { url: config.database(), connections: config.connections };
    Store::open(&options, Arc::new(MachineClock), Arc::new(TimeOrderedIds::new())).await
}
