//! Writing down what has happened although the database is busy or away for a moment: what is not written down is done again.

use std::time::Duration;

use undertone_store::StoreError;

/// Tries at what can be done again at no great cost: a second or so.
pub const BRIEF: u32 = 6;
/// Tries at what somebody outside has answered: twenty seconds, in which a database starts again.
pub const LONG: u32 = 10;

/// The first pause; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(40);

/// How long all pauses of so many tries are together.
#[cfg(test)]
pub fn pauses(tries: u32) -> Duration {
    FIRST.saturating_mul((1 << tries.saturating_sub(1)) - 1)
}

/// Writes, up to `tries` times with growing pauses while trying again may help. `write` has to bear being done twice: where the connection
/// breaks at a commit, nobody knows whether it was done.
///
/// # Errors
/// What the last try said.
pub async fn patiently<T, F>(tries: u32, mut write: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = FIRST;
    for _ in 1..tries {
        match write().await {
            Err(error) if error.is_passing() => {
                tracing::debug!(%error, "writing is tried again: {error}");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    write().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use sea_orm::{DbErr, RuntimeErr};

    use super::*;

    fn says(what: &str) -> StoreError {
        DbErr::Exec(RuntimeErr::Internal(what.to_owned())).into()
    }

    /// How often it was tried with a database that fails so often and so, and whether it was done.
    async fn tried(times: u32, what: &str) -> (u32, bool) {
        let tries = Cell::new(0);
        let done = patiently(3, || async {
            tries.set(tries.get() + 1);
            if tries.get() <= times { Err(says(what)) } else { Ok(()) }
        })
        .await;
        (tries.get(), done.is_ok())
    }

    #[tokio::test]
    async fn what_passes_is_waited_for_a_few_times_and_what_does_not_is_told_at_once() {
        let begun = std::time::Instant::now();
        assert_eq!(tried(2, "database is locked").await, (3, true));
        assert!(begun.elapsed() >= FIRST * 3, "{:?}", begun.elapsed());
        for passing in [
            "error communicating with database: Connection reset by peer",
            "error returned from database: terminating connection due to administrator command",
            "error returned from database: the database system is shutting down",
            "error returned from database: sorry, too many clients already",
        ] {
            assert_eq!(tried(9, passing).await, (3, false), "{passing}");
        }
        assert_eq!(tried(1, "UNIQUE constraint failed").await, (1, false));
    }
}
