//! Guessing passwords is held up, by the address that was typed: for addresses without an account just as for those with one, so that
//! nobody learns which exist.
//!
//! So a stranger can keep an address locked. Whom that would keep out is counted apart: a browser in which the person logged in before, by
//! a token that it keeps, and who is logged in already. Each of these is held up by its own wrong passwords alone.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;

use crate::audit::{self, Act};
use crate::keys::digest;
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// A browser stays known for this long after the last log-in there.
pub const BROWSER_KNOWN_FOR: TimeDelta = TimeDelta::days(90);
/// Browsers of one person that are known at most; the latest count.
const MOST_BROWSERS: i64 = 20;
/// So many attempts in a row lock the address for a while.
const MAX_FAILED: i64 = 5;
/// The longest it is locked, in minutes.
const LONGEST: i64 = 60;
/// What was counted is forgotten this long after the last attempt.
const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// Whose attempts are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guesser<'a> {
    /// Whoever types this address. `browser` is the token that their browser keeps: where the person with this address logged in there
    /// before, it is counted apart from everybody else.
    Outside {
        /// What was typed.
        email: &'a str,
        /// What the browser keeps.
        browser: Option<&'a str>,
    },
    /// Somebody who is logged in, with this id.
    Inside(&'a str),
}

impl<'a> From<&'a str> for Guesser<'a> {
    /// Whoever types this address, in a browser nobody knows.
    fn from(email: &'a str) -> Self {
        Self::Outside { email, browser: None }
    }
}

/// Whether somebody may try a password now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// They may; it is counted as failed until a session begins.
    Allowed,
    /// They may, and where it is wrong, nothing more is tried before this moment.
    Last(DateTime<Utc>),
    /// Not before this moment.
    Locked(DateTime<Utc>),
}

#[derive(FromQueryResult)]
struct Row {
    failed: i64,
    locked_until: Option<DateTime<Utc>>,
}

/// As what somebody is counted, and the word for it.
async fn counted(
    on: &impl ConnectionTrait,
    guesser: Guesser<'_>,
    now: DateTime<Utc>,
) -> Result<(String, &'static str)> {
    // What is typed is counted in lower case: with a capital letter nobody types the other two.
    let (email, token) = match guesser {
        Guesser::Inside(user) => return Ok((digest(&format!("Inside {user}")), "session")),
        Guesser::Outside { email, browser } => (email.trim().to_lowercase(), browser),
    };
    if let Some(token) = token {
        let known = sql("SELECT b.token_digest FROM known_browser b JOIN app_user u ON u.id = b.user_id \
             WHERE b.token_digest = ? AND b.expires_at > ? AND u.email = ?")
        .bind(digest(token))
        .bind(now)
        .bind(email.as_str())
        .value::<String>(on)
        .await?;
        if let Some(known) = known {
            return Ok((digest(&format!("Browser {known}")), "browser"));
        }
    }
    // People type passwords into the wrong field: what they typed is not kept.
    Ok((digest(&email), "address"))
}

/// Forgets what was counted against somebody.
pub(crate) async fn forgive(
    on: &impl ConnectionTrait,
    guesser: Guesser<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    let (as_whom, _) = counted(on, guesser, now).await?;
    sql("DELETE FROM login_failure WHERE email_digest = ?").bind(as_whom).run(on).await?;
    Ok(())
}

/// From now on the browser that keeps `token` is known as one of this person's, and by `before` no more, whosever it was.
pub(crate) async fn know_browser(
    on: &impl ConnectionTrait,
    (user_id, now): (&str, DateTime<Utc>),
    before: Option<&str>,
    token: &str,
) -> Result<()> {
    sql("DELETE FROM known_browser WHERE token_digest = ? OR expires_at < ?")
        .bind(before.map(digest).unwrap_or_default())
        .bind(now)
        .run(on)
        .await?;
    sql("INSERT INTO known_browser (token_digest, user_id, expires_at) VALUES ?")
        .rows([[digest(token).into(), user_id.into(), (now + BROWSER_KNOWN_FOR).into()]])
        .run(on)
        .await?;
    sql("DELETE FROM known_browser WHERE user_id = ? AND token_digest NOT IN (SELECT token_digest FROM known_browser \
         WHERE user_id = ? ORDER BY expires_at DESC, token_digest LIMIT ?)")
    .bind(user_id)
    .bind(user_id)
    .bind(MOST_BROWSERS)
    .run(on)
    .await?;
    Ok(())
}

impl Store {
    /// Asks whether a password (or a code) may be tried, and counts it as failed beforehand, so that many at once are counted too. The
    /// fifth in a row locks whoever is counted together for a minute, each further one for twice as long, up to an hour. A session that
    /// begins forgives all of it.
    pub async fn attempt_login(&self, guesser: impl Into<Guesser<'_>>) -> Result<Attempt> {
        let at = self.now();
        let tx = self.begin().await?;
        let (as_whom, _) = counted(&tx, guesser.into(), at).await?;
        sql("DELETE FROM login_failure WHERE last_at < ?").bind(at - REMEMBERED).run(&tx).await?;
        let counted = sql("INSERT INTO login_failure (email_digest, failed, last_at) VALUES ? ON CONFLICT (email_digest) DO UPDATE \
             SET failed = login_failure.failed + 1, last_at = excluded.last_at \
             WHERE login_failure.locked_until IS NULL OR login_failure.locked_until <= excluded.last_at RETURNING failed, locked_until")
        .rows([[as_whom.as_str().into(), 1_i64.into(), at.into()]])
        .one::<Row>(&tx)
        .await?;
        let Some(Row { failed, .. }) = counted else {
            let row = sql("SELECT failed, locked_until FROM login_failure WHERE email_digest = ?")
                .bind(&as_whom)
                .one::<Row>(&tx)
                .await?;
            return Ok(row.and_then(|row| row.locked_until).map_or(Attempt::Allowed, Attempt::Locked));
        };
        let mut attempt = Attempt::Allowed;
        if failed >= MAX_FAILED {
            let minutes = (1_i64 << (failed - MAX_FAILED).min(6)).min(LONGEST);
            let until = at + TimeDelta::minutes(minutes);
            sql("UPDATE login_failure SET locked_until = ? WHERE email_digest = ?")
                .bind(until)
                .bind(&as_whom)
                .run(&tx)
                .await?;
            attempt = Attempt::Last(until);
        }
        tx.commit().await?;
        Ok(attempt)
    }

    /// Notes that attempts are locked until then, where there is such a person; `from` is the network address of the last one. The attempts
    /// that are refused meanwhile are not noted: a stranger could fill the log with them.
    pub async fn note_lock(
        &self,
        guesser: Guesser<'_>,
        until: DateTime<Utc>,
        from: Option<&str>,
    ) -> Result<()> {
        #[derive(FromQueryResult)]
        struct Person {
            id: String,
            tenant_id: i64,
        }
        let tx = self.begin().await?;
        let (_, word) = counted(&tx, guesser, self.now()).await?;
        let by = match guesser {
            Guesser::Inside(user) => sql("SELECT id, tenant_id FROM app_user WHERE id = ?").bind(user),
            Guesser::Outside { email, .. } => {
                sql("SELECT id, tenant_id FROM app_user WHERE email = ?").bind(email.trim().to_lowercase())
            }
        };
        let Some(person) = by.one::<Person>(&tx).await? else { return Ok(()) };
        let act = Act { from, ..Act::new(TenantId(person.tenant_id), "log-in") };
        let payload = json!({"until": until, "counted_by": word});
        audit::note(self, &tx, &act, ("login_locked", &person.id), &payload).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgives what was counted; see [`Store::attempt_login`].
    pub async fn forgive_logins(&self, guesser: impl Into<Guesser<'_>>) -> Result<()> {
        let tx = self.begin().await?;
        forgive(&tx, guesser.into(), self.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Knows a browser as one of this person's, by `token`, and by `before` no more.
    pub async fn know_browser(&self, user_id: &str, before: Option<&str>, token: &str) -> Result<()> {
        let tx = self.begin().await?;
        know_browser(&tx, (user_id, self.now()), before, token).await?;
        tx.commit().await?;
        Ok(())
    }
}
