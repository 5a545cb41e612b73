//! SQLite keeps what was deleted until something is written over it: in free parts of pages, and in the write-ahead log. The writer
//! overwrites what it deletes (`secure_delete`); the log and what earlier versions left are dealt with here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};

use crate::statement::sql;
use crate::{Result, Store};

/// How long the writer waits for others, as it is opened.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 30000";
/// A file up to this size is written anew at once: it takes about a second.
const SMALL: i64 = 256 << 20;

impl Store {
    /// Whether removed rows have to be scrubbed out of the file: SQLite, and erasures that were done since.
    pub async fn wants_scrubbing(&self) -> Result<bool> {
        Ok(self.unscrubbed().await?.is_some())
    }

    /// When the last of the erasures was done that have to be scrubbed out of the file.
    pub async fn unscrubbed(&self) -> Result<Option<DateTime<Utc>>> {
        if self.backend() == DbBackend::Postgres {
            return Ok(None);
        }
        sql("SELECT done_at FROM erasure WHERE scrubbed_at IS NULL AND done_at IS NOT NULL ORDER BY done_at DESC LIMIT 1")
            .value(&self.reader)
            .await
    }

    /// The file is small enough to be scrubbed whenever something was removed. PostgreSQL's always is: nothing is done there.
    pub async fn is_small(&self) -> Result<bool> {
        #[derive(FromQueryResult)]
        struct Size {
            bytes: i64,
        }
        if self.backend() == DbBackend::Postgres {
            return Ok(true);
        }
        let size = sql("SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size) AS bytes")
            .one::<Size>(&self.reader)
            .await?;
        Ok(size.is_some_and(|size| size.bytes <= SMALL))
    }

    /// Empties SQLite's write-ahead log into the file, in which what was deleted is overwritten; the end of a log that is only begun anew
    /// keeps what stood there. Answers whether it could: not while somebody reads for longer than some seconds. PostgreSQL does this by
    /// itself, in its own time.
    pub async fn empty_log(&self) -> Result<bool> {
        const TRIES: u32 = 4;
        if self.backend() == DbBackend::Postgres {
            return Ok(true);
        }
        // Nobody writes while it waits for who reads, so it waits for some seconds only, and tries again.
        self.writer.execute_unprepared("PRAGMA busy_timeout = 5000").await?;
        let mut is_empty = Ok(false);
        for _ in 0..TRIES {
            // It answers 0 first where nobody was in the way.
            let busy = sql("PRAGMA wal_checkpoint(TRUNCATE)").value::<i32>(&self.writer).await;
            is_empty = busy.map(|busy| busy == Some(0));
            if !matches!(is_empty, Ok(false)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.writer.execute_unprepared(BUSY_TIMEOUT).await?;
        is_empty
    }

    /// Writes SQLite's file anew, so that nothing removed is left in it, and empties the write-ahead log; nobody else writes meanwhile. Erasures
    /// that are done get their mark. Answers whether the log could be emptied: not while somebody reads for longer than some seconds.
    /// PostgreSQL does this by itself, in its own time.
    pub async fn scrub(&self) -> Result<bool> {
        if self.backend() == DbBackend::Postgres {
            return Ok(true);
        }
        let until = self.now();
        // In a file rather than in memory, whatever the size.
        self.writer.execute_unprepared("PRAGMA temp_store = FILE").await?;
        let written = self.writer.execute_unprepared("VACUUM").await;
        self.writer.execute_unprepared("PRAGMA temp_store = MEMORY").await?;
        written?;
        if !self.empty_log().await? {
            return Ok(false);
        }
        let tx = self.begin().await?;
        sql("UPDATE erasure SET scrubbed_at = ? WHERE scrubbed_at IS NULL AND done_at <= ?")
            .bind(until)
            .bind(until)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}
