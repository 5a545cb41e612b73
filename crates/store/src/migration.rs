//! The tables, in steps that are taken once and in order.

use sea_orm::{ConnectionTrait, DbBackend};

use crate::statement::sql;
use crate::{Result, Store, statistics};

/// Every step: its name, and its statements with the words of [`WORDS`].
const STEPS: [(&str, &str); 34] = [
    ("0001_initial", include_str!("../migrations/0001_initial.sql")),
    ("0002_lessons", include_str!("../migrations/0002_lessons.sql")),
    ("0003_provider_keys", include_str!("../migrations/0003_provider_keys.sql")),
    ("0004_budget", include_str!("../migrations/0004_budget.sql")),
    ("0005_usage", include_str!("../migrations/0005_usage.sql")),
    ("0006_told", include_str!("../migrations/0006_told.sql")),
    ("0007_backfill", include_str!("../migrations/0007_backfill.sql")),
    ("0008_cascade", include_str!("../migrations/0008_cascade.sql")),
    ("0009_users", include_str!("../migrations/0009_users.sql")),
    ("0010_review", include_str!("../migrations/0010_review.sql")),
    ("0011_audit", include_str!("../migrations/0011_audit.sql")),
    ("0012_privacy", include_str!("../migrations/0012_privacy.sql")),
    ("0013_visibility", include_str!("../migrations/0013_visibility.sql")),
    ("0014_agents", include_str!("../migrations/0014_agents.sql")),
    ("0015_delivery", include_str!("../migrations/0015_delivery.sql")),
    ("0016_alerts", include_str!("../migrations/0016_alerts.sql")),
    ("0017_notices", include_str!("../migrations/0017_notices.sql")),
    ("0018_suspicious", include_str!("../migrations/0018_suspicious.sql")),
    ("0019_surge", include_str!("../migrations/0019_surge.sql")),
    ("0020_outside", include_str!("../migrations/0020_outside.sql")),
    ("0021_letter", include_str!("../migrations/0021_letter.sql")),
    ("0022_reasons", include_str!("../migrations/0022_reasons.sql")),
    ("0023_assigned", include_str!("../migrations/0023_assigned.sql")),
    ("0024_numbers", include_str!("../migrations/0024_numbers.sql")),
    ("0025_incidents", include_str!("../migrations/0025_incidents.sql")),
    ("0026_failing", include_str!("../migrations/0026_failing.sql")),
    ("0027_model", include_str!("../migrations/0027_model.sql")),
    ("0028_heard", include_str!("../migrations/0028_heard.sql")),
    ("0029_whose", include_str!("../migrations/0029_whose.sql")),
    ("0030_guests", include_str!("../migrations/0030_guests.sql")),
    ("0031_signing_in", include_str!("../migrations/0031_signing_in.sql")),
    ("0032_usual", include_str!("../migrations/0032_usual.sql")),
    ("0033_runs", include_str!("../migrations/0033_runs.sql")),
    ("0034_indexes", include_str!("../migrations/0034_indexes.sql")),
];

/// Words that differ: in the step, for SQLite, for PostgreSQL. Text is compared byte by byte in both, so that order and cursors agree.
const WORDS: [(&str, &str, &str); 11] = [
    ("{int}", "INTEGER", "bigint"),
    ("{text}", "TEXT", "text COLLATE \"C\""),
    ("{time}", "TEXT", "timestamptz"),
    ("{day}", "TEXT", "date"),
    ("{bool}", "INTEGER", "boolean"),
    ("{real}", "REAL", "double precision"),
    ("{json}", "TEXT", "jsonb"),
    ("{end}", " STRICT", ""),
    ("{clustered}", " STRICT, WITHOUT ROWID", ""),
    ("{on sqlite}", "", ELSEWHERE),
    ("{on postgres}", ELSEWHERE, ""),
];

/// What a statement becomes that is for the other database; it is left out.
const ELSEWHERE: &str = "{elsewhere}";

/// Any number; it names the lock that programs starting at once wait for.
const LOCK: i64 = 0x756e_6465_7274;

const LEDGER: &str =
    "CREATE TABLE IF NOT EXISTS schema_migration (name {text} PRIMARY KEY, applied_at {time} NOT NULL)";

/// Takes the steps that are missing, all or none, while nobody else does.
pub(crate) async fn run(store: &Store) -> Result<Vec<&'static str>> {
    let tx = store.begin().await?;
    if store.backend() == DbBackend::Postgres {
        sql("SELECT pg_advisory_xact_lock(?)").bind(LOCK).run(&tx).await?;
    }
    tx.execute_unprepared(&in_words_of(store.backend(), LEDGER)).await?;
    let pending = pending(&tx).await?;
    for (name, statements) in STEPS.iter().filter(|(name, _)| pending.contains(name)) {
        for statement in in_words_of(store.backend(), statements).split(";\n") {
            if !statement.trim().is_empty() && !statement.contains(ELSEWHERE) {
                tx.execute_unprepared(statement).await?;
            }
        }
        sql("INSERT INTO schema_migration (name, applied_at) VALUES (?, ?)")
            .bind(*name)
            .bind(store.now())
            .run(&tx)
            .await?;
        tracing::info!(migration = name, "migration {name} applied");
    }
    if !pending.is_empty() && store.backend() == DbBackend::Sqlite {
        statistics::write(&tx).await?;
    }
    tx.commit().await?;
    Ok(pending)
}

/// The names of the steps not taken yet; all of them where there is no database yet.
pub(crate) async fn pending(on: &impl ConnectionTrait) -> Result<Vec<&'static str>> {
    let catalogue = match on.get_database_backend() {
        DbBackend::Postgres => sql(
            "SELECT 1::bigint FROM information_schema.tables WHERE table_name = 'schema_migration' AND table_schema = current_schema()",
        ),
        _ => sql("SELECT 1 FROM sqlite_master WHERE name = 'schema_migration'"),
    };
    let mut pending = Vec::new();
    let known = catalogue.value::<i64>(on).await?.is_some();
    for (name, _) in STEPS {
        let taken = known
            && sql("SELECT name FROM schema_migration WHERE name = ?")
                .bind(name)
                .value::<String>(on)
                .await?
                .is_some();
        if !taken {
            pending.push(name);
        }
    }
    Ok(pending)
}

fn in_words_of(backend: DbBackend, text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (word, sqlite, postgres)| {
        text.replace(word, if backend == DbBackend::Postgres { postgres } else { sqlite })
    })
}
