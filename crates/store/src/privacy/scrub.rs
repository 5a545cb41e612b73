//! SQLite keeps what was deleted until something is written over it: in free parts of pages, and in the write-ahead log. The writer
//! overwrites what it deletes (`secure_delete`); the log and what earlier versions left are dealt with here.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};

use crate::statement::sql;
use crate::{Result, Store};

/// A file up to this size is written anew at once: it takes about a second.
const SMALL: i64 = 256 << 20;

impl Store {
    /// Whether removed rows have to be scrubbed out of the file: SQLite, and erasures that were done since.
    pub async fn wants_scrubbing(&self) -> Result<bool> {
        if self.backend() == DbBackend::Postgres {
            return Ok(false);
        }
        let waiting = sql("SELECT 1 FROM erasure WHERE scrubbed_at IS NULL AND done_at IS NOT NULL LIMIT 1");
        Ok(waiting.value::<i64>(&self.reader).await?.is_some())
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

    /// Writes SQLite's file anew, so that nothing removed is left in it, and empties the write-ahead log; nobody else writes meanwhile. Erasures
    /// that are done get their mark. Answers whether the log could be emptied: not while somebody reads for longer than some seconds.
    /// PostgreSQL does this by itself, in its own time.
    pub async fn scrub(&self) -> Result<bool> {
        const TRIES: u32 = 20;
        if self.backend() == DbBackend::Postgres {
            return Ok(true);
        }
        let until = self.now();
        // In a file rather than in memory, whatever the size.
        self.writer.execute_unprepared("PRAGMA temp_store = FILE").await?;
        let written = self.writer.execute_unprepared("VACUUM").await;
        self.writer.execute_unprepared("PRAGMA temp_store = MEMORY").await?;
        written?;
        for _ in 0..TRIES {
            // It answers 0 first where nobody was in the way.
            let busy = sql("PRAGMA wal_checkpoint(TRUNCATE)").value::<i32>(&self.writer).await?;
            if busy == Some(0) {
                let tx = self.begin().await?;
                sql("UPDATE erasure SET scrubbed_at = ? WHERE scrubbed_at IS NULL AND done_at <= ?")
                    .bind(until)
                    .bind(until)
                    .run(&tx)
                    .await?;
                tx.commit().await?;
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(false)
    }
}
