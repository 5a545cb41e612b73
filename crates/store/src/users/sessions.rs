//! Log-ins that last. The browser keeps a token, the table its digest.
//!
//! A token is replaced every hour, and when its owner's role changes. The browser may have several requests under way, and an answer may
//! be lost: so the token before works until the new one was seen, and a minute longer. Whoever shows it after that has it from somewhere
//! else, and the session ends.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde_json::json;

use super::User;
use crate::audit::{self, Act};
use crate::keys::digest;
use crate::second_factor::NewSession;
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// A session ends this long after it was last used …
pub const SESSION_IDLE: TimeDelta = TimeDelta::hours(12);
/// … and this long after it began in any case.
pub const SESSION_MAX: TimeDelta = TimeDelta::days(7);
/// Its token is replaced after this long.
pub const ROTATE_AFTER: TimeDelta = TimeDelta::hours(1);
/// Requests that were sent with the token before are waited for this long.
const GRACE: TimeDelta = TimeDelta::minutes(1);

/// A log-in that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user_id: String,
    /// Their tenant.
    pub tenant_id: i64,
    /// Their e-mail address.
    pub email: String,
    /// What they may do.
    pub role: String,
    /// What their forms must bring along.
    pub csrf_token: String,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// The token it was found by is to be replaced; see [`Store::rotate_session`].
    pub is_due: bool,
    /// They showed a second factor when they logged in.
    pub has_second_factor: bool,
}

#[derive(FromQueryResult)]
struct Row {
    user_id: String,
    tenant_id: i64,
    email: String,
    role: String,
    csrf_token: String,
    last_seen_at: DateTime<Utc>,
    token_digest: String,
    rotate_at: Option<DateTime<Utc>>,
    rotated_at: Option<DateTime<Utc>>,
    confirmed_at: Option<DateTime<Utc>>,
    second_factor_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Begins a session, where the user is still active. `token` is what the browser keeps, `csrf_token` what its forms bring along.
    pub async fn begin_session(&self, user_id: &str, token: &str, csrf_token: &str) -> Result<()> {
        self.begin_session_as(user_id, NewSession::of(token, csrf_token)).await.map(drop)
    }

    /// Begins a session for somebody whose password was found right; answers whether it still is the same, and they still active.
    pub async fn log_in(&self, user: &User, new: NewSession<'_>) -> Result<bool> {
        let tx = self.begin().await?;
        let begun = self.session_for(&tx, (&user.id, Some(user)), new).await?;
        tx.commit().await?;
        Ok(begun)
    }

    /// The session that lasts under `token`. Notes that it was seen, at most once a minute. A token that was replaced and is shown
    /// again ends its session.
    pub async fn session(&self, token: &str) -> Result<Option<Session>> {
        self.session_shown(token, None).await
    }

    /// The same for a token that was shown from this network address, which the audit log has where that ends the session.
    pub async fn session_shown(&self, token: &str, from: Option<&str>) -> Result<Option<Session>> {
        let now = self.now();
        let given = digest(token);
        let row = sql("SELECT s.user_id, u.tenant_id, u.email, u.role, s.csrf_token, s.last_seen_at, s.token_digest, s.rotate_at, \
             s.rotated_at, s.confirmed_at, s.second_factor_at FROM session s JOIN app_user u ON u.id = s.user_id \
             WHERE (s.token_digest = ? OR s.previous_digest = ?) AND s.expires_at > ? AND s.last_seen_at > ? AND u.active = ?")
        .bind(&given)
        .bind(&given)
        .bind(now)
        .bind(now - SESSION_IDLE)
        .bind(true)
        .one::<Row>(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let is_current = row.token_digest == given;
        if !is_current && row.confirmed_at.is_some_and(|seen| now - seen >= GRACE) {
            self.end_stolen(&row, from).await?;
            return Ok(None);
        }
        let is_due = if is_current {
            row.rotate_at.is_none_or(|at| at <= now)
        } else {
            row.confirmed_at.is_none() && row.rotated_at.is_none_or(|at| now - at >= GRACE)
        };
        let confirms = is_current && row.rotated_at.is_some() && row.confirmed_at.is_none();
        if confirms || now - row.last_seen_at > TimeDelta::minutes(1) {
            let tx = self.begin().await?;
            sql("UPDATE session SET last_seen_at = ?, confirmed_at = CASE WHEN token_digest = ? THEN COALESCE(confirmed_at, ?) \
                 ELSE confirmed_at END WHERE token_digest = ?")
            .bind(now)
            .bind(&given)
            .bind(now)
            .bind(&row.token_digest)
            .run(&tx)
            .await?;
            tx.commit().await?;
        }
        Ok(Some(Session {
            user_id: row.user_id,
            tenant_id: row.tenant_id,
            email: row.email,
            role: row.role,
            csrf_token: row.csrf_token,
            last_seen_at: row.last_seen_at,
            is_due,
            has_second_factor: row.second_factor_at.is_some(),
        }))
    }

    async fn end_stolen(&self, row: &Row, from: Option<&str>) -> Result<()> {
        let tx = self.begin().await?;
        let ended = sql("DELETE FROM session WHERE token_digest = ? AND confirmed_at IS NOT NULL")
            .bind(&row.token_digest)
            .run(&tx)
            .await?;
        if ended > 0 {
            let act = Act { from, ..Act::new(TenantId(row.tenant_id), "sessions") };
            let why = json!({"why": "a token that was replaced was shown again"});
            audit::note(self, &tx, &act, ("session_ended", &row.user_id), &why).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Puts `new` in place of the token of a session that is due; answers whether it was this call that did. The earlier token works
    /// until the new one was seen, and a minute longer.
    pub async fn rotate_session(&self, token: &str, new: &str) -> Result<bool> {
        let (now, given) = (self.now(), digest(token));
        let tx = self.begin().await?;
        let mut done = sql("UPDATE session SET previous_digest = token_digest, token_digest = ?, rotated_at = ?, confirmed_at = NULL, \
             rotate_at = ? WHERE token_digest = ? AND (rotate_at IS NULL OR rotate_at <= ?)")
        .bind(digest(new))
        .bind(now)
        .bind(now + ROTATE_AFTER)
        .bind(&given)
        .bind(now)
        .run(&tx)
        .await?;
        if done == 0 {
            // The answer with the last one was lost.
            done = sql("UPDATE session SET token_digest = ?, rotated_at = ? WHERE previous_digest = ? AND confirmed_at IS NULL \
                 AND rotated_at <= ?")
            .bind(digest(new))
            .bind(now)
            .bind(&given)
            .bind(now - GRACE)
            .run(&tx)
            .await?;
        }
        tx.commit().await?;
        Ok(done > 0)
    }

    /// How many sessions somebody has that have not ended.
    pub async fn sessions_of(&self, user_id: &str) -> Result<i64> {
        let now = self.now();
        let open =
            sql("SELECT COUNT(*) FROM session WHERE user_id = ? AND expires_at > ? AND last_seen_at > ?")
                .bind(user_id)
                .bind(now)
                .bind(now - SESSION_IDLE)
                .value::<i64>(&self.reader)
                .await?;
        Ok(open.unwrap_or_default())
    }

    /// Whether somebody's session whose forms bring along `csrf_token` still lasts. Unlike its token, that stays the same as long as it does.
    pub async fn session_lasts(&self, user_id: &str, csrf_token: &str) -> Result<bool> {
        let now = self.now();
        let lasts = sql("SELECT 1 FROM session WHERE user_id = ? AND csrf_token = ? AND expires_at > ? AND last_seen_at > ?")
            .bind(user_id)
            .bind(csrf_token)
            .bind(now)
            .bind(now - SESSION_IDLE)
            .value::<i32>(&self.reader)
            .await?;
        Ok(lasts.is_some())
    }

    /// When somebody's session began whose forms bring along `csrf_token`.
    pub async fn session_began(&self, user_id: &str, csrf_token: &str) -> Result<Option<DateTime<Utc>>> {
        sql("SELECT created_at FROM session WHERE user_id = ? AND csrf_token = ?")
            .bind(user_id)
            .bind(csrf_token)
            .value(&self.reader)
            .await
    }

    /// Ends a session, since its person logs out; `from` is the network address they do it from.
    pub async fn end_session(&self, token: &str, from: Option<&str>) -> Result<()> {
        #[derive(FromQueryResult)]
        struct Person {
            id: String,
            tenant_id: i64,
        }
        let tx = self.begin().await?;
        if let Some(user_id) = end(&tx, token).await? {
            let person: Option<Person> =
                sql("SELECT id, tenant_id FROM app_user WHERE id = ?").bind(user_id).one(&tx).await?;
            if let Some(Person { id, tenant_id }) = person {
                let actor = format!("user:{id}");
                let act = Act { from, ..Act::new(TenantId(tenant_id), &actor) };
                audit::note(self, &tx, &act, ("logged_out", &id), &json!({})).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Ends a session by its token, or the one before; answers whose it was.
pub(crate) async fn end(on: &impl sea_orm::ConnectionTrait, token: &str) -> Result<Option<String>> {
    let given = digest(token);
    sql("DELETE FROM session WHERE token_digest = ? OR previous_digest = ? RETURNING user_id")
        .bind(&given)
        .bind(&given)
        .value(on)
        .await
}

/// Adds a session's row.
pub(crate) async fn insert(
    store: &Store,
    on: &impl sea_orm::ConnectionTrait,
    user_id: &str,
    (token, csrf_token): (&str, &str),
) -> Result<()> {
    let at = store.now();
    sql("INSERT INTO session (token_digest, user_id, csrf_token, created_at, last_seen_at, expires_at, rotate_at) VALUES ?")
        .rows([[
            digest(token).into(),
            user_id.into(),
            csrf_token.into(),
            at.into(),
            at.into(),
            (at + SESSION_MAX).into(),
            (at + ROTATE_AFTER).into(),
        ]])
        .run(on)
        .await?;
    Ok(())
}
