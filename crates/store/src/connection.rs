//! How the database is opened, and the transactions everything else works in.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use undertone_core::{Clock, Ids};

use crate::statement::sql;
use crate::{Result, StoreError, migration};

/// How to open a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// `sqlite:///path/to/file`, `sqlite://file` relative to the working directory, or `postgres://…`.
    pub url: String,
    /// Connections at most: with PostgreSQL half of them write; SQLite uses one more, which alone writes.
    pub connections: u32,
}

/// A database with Undertone's tables, open.
#[derive(Clone)]
pub struct Store {
    pub(crate) reader: DatabaseConnection,
    pub(crate) writer: DatabaseConnection,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Store {
    /// Opens the database, and creates the file where SQLite's is missing. Brings no tables; see [`Store::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an address that is neither SQLite's nor PostgreSQL's, [`StoreError::Database`] when there is no answer.
    pub async fn open(options: &Options, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Result<Self> {
        let (reader, writer) = if options.url.starts_with("sqlite:") {
            let file = options.url.trim_start_matches("sqlite:").trim_start_matches("//");
            if file.is_empty() || file.contains(":memory:") {
                return Err(StoreError::Invalid(
                    "the database address names no file; give sqlite:///path/to/undertone.db".to_owned(),
                ));
            }
            // The writer first: it creates the file and switches it to write-ahead logging, which readers rely on.
            let writer = sqlite(&options.url, 1).await?;
            (sqlite(&options.url, options.connections).await?, writer)
        } else if options.url.starts_with("postgres:") || options.url.starts_with("postgresql:") {
            let (readers, writers) = (options.connections.div_ceil(2), (options.connections / 2).max(1));
            (
                postgres(&options.url, readers, "auto").await?,
                postgres(&options.url, writers, "force_generic_plan").await?,
            )
        } else {
            return Err(StoreError::Invalid(
                "the database address must begin with sqlite:// or postgres://".to_owned(),
            ));
        };
        Ok(Self { reader, writer, clock, ids })
    }

    /// Brings the tables up to this program's version; answers the names of the steps taken. Safe to call from several programs at once.
    pub async fn migrate(&self) -> Result<Vec<&'static str>> {
        migration::run(self).await
    }

    /// The steps that [`Store::migrate`] would take.
    pub async fn pending_migrations(&self) -> Result<Vec<&'static str>> {
        migration::pending(&self.reader).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sql("SELECT 1").run(&self.reader).await.map(drop)
    }

    /// Which database it is, as a person calls it.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        if self.backend() == DbBackend::Postgres { "PostgreSQL" } else { "SQLite" }
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.reader.get_database_backend()
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn new_id(&self, at: DateTime<Utc>) -> String {
        self.ids.next(at)
    }

    /// A transaction that may write. Dropped without commit, it never was.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.writer.begin_with_options(options).await?)
    }

    /// Ends a transaction with what was `done` in it, and whether that changed anything: if so it is kept. All else is taken back at once, and not
    /// when the connection is used again: workers pass over what is locked.
    pub(crate) async fn end<T>(
        tx: DatabaseTransaction,
        done: Result<Option<(T, bool)>>,
    ) -> Result<Option<T>> {
        if matches!(done, Ok(Some((_, true)))) {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        done.map(|done| done.map(|(now, _)| now))
    }
}

async fn sqlite(url: &str, connections: u32) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|o| {
            o.create_if_missing(true)
                .pragma("journal_mode", "WAL")
                // Every commit reaches the disk: what was answered with 2xx survives a power cut.
                .pragma("synchronous", "FULL")
                .pragma("foreign_keys", "ON")
                // What is deleted is overwritten. See privacy::scrub.
                .pragma("secure_delete", "ON")
                .pragma("cache_size", "-16000")
                .pragma("temp_store", "MEMORY")
                .pragma("journal_size_limit", "67108864")
                .busy_timeout(Duration::from_secs(30))
                .statement_cache_capacity(200)
        });
    Ok(Database::connect(options).await?)
}

/// `plan` says for what PostgreSQL plans. Statements that write look few rows up by their keys, and are planned once for any tenant: of a
/// tenant that is new to the statistics it would believe that it has a single row, and read all of them. Statements that read are planned
/// for what they ask.
async fn postgres(url: &str, connections: u32, plan: &'static str) -> Result<DatabaseConnection> {
    // Checked here, because the driver's own message repeats the address with its password.
    if sea_orm::sqlx::postgres::PgConnectOptions::from_str(url).is_err() {
        return Err(StoreError::Invalid(
            "the database address can not be read; give postgres://user:password@host:port/database"
                .to_owned(),
        ));
    }
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(move |o| {
            o.application_name("undertone")
                .options([("timezone", "UTC"), ("plan_cache_mode", plan)])
                .statement_cache_capacity(200)
        });
    Ok(Database::connect(options).await?)
}
