//! Guessing passwords is held up, by the address that was typed: for addresses without an account just as for those with one, so that
//! nobody learns which exist.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::keys::digest;
use crate::statement::sql;
use crate::{Result, Store};

/// So many attempts in a row lock the address for a while.
const MAX_FAILED: i64 = 5;
/// The longest it is locked, in minutes.
const LONGEST: i64 = 60;
/// What was counted is forgotten this long after the last attempt.
const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// Whether somebody may try a password now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// They may; it is counted as failed until a session begins.
    Allowed,
    /// Not before this moment.
    Locked(DateTime<Utc>),
}

#[derive(FromQueryResult)]
struct Row {
    failed: i64,
    locked_until: Option<DateTime<Utc>>,
}

/// The address as it is counted. People type passwords into the wrong field: what they typed is not kept.
fn counted(email: &str) -> String {
    digest(&email.trim().to_lowercase())
}

/// Forgets what was counted against an address.
pub(crate) async fn forgive(on: &impl ConnectionTrait, email: &str) -> Result<()> {
    sql("DELETE FROM login_failure WHERE email_digest = ?").bind(counted(email)).run(on).await?;
    Ok(())
}

impl Store {
    /// Asks whether a password (or a code) may be tried for this address, and counts it as failed beforehand, so that many at once are
    /// counted too. The fifth in a row locks the address for a minute, each further one for twice as long, up to an hour. A session that
    /// begins forgives all of it.
    pub async fn attempt_login(&self, email: &str) -> Result<Attempt> {
        let (at, address) = (self.now(), counted(email));
        let tx = self.begin().await?;
        sql("DELETE FROM login_failure WHERE last_at < ?").bind(at - REMEMBERED).run(&tx).await?;
        let counted = sql("INSERT INTO login_failure (email_digest, failed, last_at) VALUES ? ON CONFLICT (email_digest) DO UPDATE \
             SET failed = login_failure.failed + 1, last_at = excluded.last_at \
             WHERE login_failure.locked_until IS NULL OR login_failure.locked_until <= excluded.last_at RETURNING failed, locked_until")
        .rows([[address.as_str().into(), 1_i64.into(), at.into()]])
        .one::<Row>(&tx)
        .await?;
        let Some(Row { failed, .. }) = counted else {
            let row = sql("SELECT failed, locked_until FROM login_failure WHERE email_digest = ?")
                .bind(&address)
                .one::<Row>(&tx)
                .await?;
            return Ok(row.and_then(|row| row.locked_until).map_or(Attempt::Allowed, Attempt::Locked));
        };
        if failed >= MAX_FAILED {
            let minutes = (1_i64 << (failed - MAX_FAILED).min(6)).min(LONGEST);
            sql("UPDATE login_failure SET locked_until = ? WHERE email_digest = ?")
                .bind(at + TimeDelta::minutes(minutes))
                .bind(&address)
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Attempt::Allowed)
    }
}
