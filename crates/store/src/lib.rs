//! Everything of Undertone that speaks SQL, on SQLite and PostgreSQL through the same statements.
//!
//! [`Store`] is the door. What can be done through it stands in one file for each thing it is done to: [`accept`] takes
//! interactions in, [`queue`] hands them to workers, [`record`] keeps what became of them and moves the counters of [`rollups`] in
//! the same transaction, [`interactions`], [`overview`] and [`sentiments`] read. Every statement on tenant data carries the tenant's id.

pub mod accept;
pub mod agents;
pub mod alerts;
pub mod audit;
pub mod backfill;
pub mod basis;
pub mod budget;
pub mod cascade;
pub mod configure;
mod connection;
mod conversations;
pub mod destinations;
pub mod interactions;
pub mod keys;
pub mod lessons;
mod migration;
pub mod modules;
pub mod notices;
pub mod outbox;
pub mod overrides;
pub mod overview;
pub mod people;
pub mod privacy;
pub mod queue;
mod reach;
pub mod record;
pub mod review;
pub mod rollups;
mod rows;
pub mod second_factor;
pub mod secrets;
pub mod sentiments;
pub mod sign_on;
mod statement;
mod statistics;
pub mod tenants;
pub mod users;
pub mod visibility;

pub use audit::Act;
pub use connection::{Options, Store};
pub use reach::Reach;
pub use tenants::{Tenant, TenantId};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("database: {0}")]
    Database(#[from] sea_orm::DbErr),
    /// What was asked for conflicts with what is there; the text is for a person.
    #[error("{0}")]
    Conflict(String),
    /// What was given can not be kept; the text is for a person.
    #[error("{0}")]
    Invalid(String),
    /// Whoever asked for it may not do it; the text is for them.
    #[error("{0}")]
    NotAllowed(String),
    /// Whoever wrote something down of a run does not drive it any more: somebody else does, or it has ended. Nothing was changed.
    #[error("this run is not driven from here any more")]
    NotDriven,
    /// A row does not hold what it should; somebody changed it by hand, or this is an older program.
    #[error("{table} holds something unreadable: {detail}")]
    Unreadable {
        /// Where.
        table: &'static str,
        /// What.
        detail: String,
    },
}

impl StoreError {
    /// Trying again may help: the database is busy, restarting or out of connections.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let Self::Database(error) = self else { return false };
        if matches!(error, sea_orm::DbErr::ConnectionAcquire(_) | sea_orm::DbErr::Conn(_)) {
            return true;
        }
        let told = error.to_string();
        [
            "database is locked",
            "deadlock detected",
            "could not serialize",
            "terminating connection",
            "communicating with database",
            "starting up",
            "shutting down",
            "in recovery mode",
            "too many clients",
            "connection slots",
        ]
        .iter()
        .any(|passing| told.contains(passing))
    }
}

/// What the store answers.
pub type Result<T> = std::result::Result<T, StoreError>;
