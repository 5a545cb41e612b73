//! People who log in, and their sessions.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde_json::json;

use crate::audit::{self, Act};
use crate::keys::digest;
use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId};

/// A session ends this long after it was last used …
pub const SESSION_IDLE: TimeDelta = TimeDelta::hours(12);
/// … and this long after it began in any case.
pub const SESSION_MAX: TimeDelta = TimeDelta::days(7);
/// So many wrong passwords in a row lock the account for a while.
const MAX_FAILED_LOGINS: i64 = 5;

/// A person who may log in.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct User {
    /// Their id.
    pub id: String,
    /// The tenant they belong to.
    pub tenant_id: i64,
    /// Their e-mail address, in lower case.
    pub email: String,
    /// What they may do.
    pub role: String,
    /// Their password's hash, in PHC form.
    pub password_hash: Option<String>,
    /// They may log in.
    pub active: bool,
    /// Until then they may not, after wrong passwords.
    pub locked_until: Option<DateTime<Utc>>,
}

/// A log-in that lasts.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
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
}

const COLUMNS: &str = "SELECT id, tenant_id, email, role, password_hash, active, locked_until FROM app_user ";

impl Store {
    /// Makes a user, or gives one of the same tenant another password.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an address that is none, [`StoreError::Conflict`] when it belongs to another tenant.
    pub async fn save_user(
        &self,
        act: &Act<'_>,
        email: &str,
        role: &str,
        password_hash: &str,
    ) -> Result<String> {
        let email = email.trim().to_lowercase();
        if email.len() > 320 || !email.contains('@') || email.contains(char::is_whitespace) {
            return Err(StoreError::Invalid(format!("“{email}” is no e-mail address")));
        }
        let tx = self.begin().await?;
        let at = self.now();
        let saved = sql("INSERT INTO app_user (id, tenant_id, email, role, password_hash, active, failed_logins, created_at) VALUES ? \
             ON CONFLICT (email) DO UPDATE SET password_hash = excluded.password_hash, failed_logins = 0, locked_until = NULL \
             WHERE app_user.tenant_id = excluded.tenant_id RETURNING id")
        .rows([[
            self.new_id(at).into(),
            act.tenant.0.into(),
            email.as_str().into(),
            role.into(),
            password_hash.into(),
            true.into(),
            0_i64.into(),
            at.into(),
        ]])
        .value::<String>(&tx)
        .await?;
        let Some(id) = saved else {
            return Err(StoreError::Conflict(format!("{email} belongs to another tenant already")));
        };
        // Whoever was logged in with the old password is out.
        sql("DELETE FROM session WHERE user_id = ?").bind(&id).run(&tx).await?;
        audit::note(self, &tx, act, ("user_saved", &id), &json!({"role": role})).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The user with this address, whatever the case of its letters.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        sql(COLUMNS).then("WHERE email = ?").bind(email.trim().to_lowercase()).one(&self.reader).await
    }

    /// All users of a tenant.
    pub async fn users(&self, tenant: TenantId) -> Result<Vec<User>> {
        sql(COLUMNS).then("WHERE tenant_id = ? ORDER BY id").bind(tenant.0).all(&self.reader).await
    }

    /// Notes a wrong password; the fifth in a row locks the account for a minute, each further one for twice as long, up to an hour.
    pub async fn note_failed_login(&self, user_id: &str) -> Result<()> {
        let tx = self.begin().await?;
        let failed =
            sql("UPDATE app_user SET failed_logins = failed_logins + 1 WHERE id = ? RETURNING failed_logins")
                .bind(user_id)
                .value::<i64>(&tx)
                .await?
                .unwrap_or_default();
        if failed >= MAX_FAILED_LOGINS {
            let minutes = 1_i64 << (failed - MAX_FAILED_LOGINS).min(6);
            sql("UPDATE app_user SET locked_until = ? WHERE id = ?")
                .bind(self.now() + TimeDelta::minutes(minutes.min(60)))
                .bind(user_id)
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Begins a session. `token` is what the browser keeps, `csrf_token` what its forms bring along.
    pub async fn begin_session(&self, user_id: &str, token: &str, csrf_token: &str) -> Result<()> {
        let tx = self.begin().await?;
        let at = self.now();
        sql("DELETE FROM session WHERE expires_at < ?").bind(at).run(&tx).await?;
        sql("UPDATE app_user SET failed_logins = 0, locked_until = NULL WHERE id = ?")
            .bind(user_id)
            .run(&tx)
            .await?;
        sql("INSERT INTO session (token_digest, user_id, csrf_token, created_at, last_seen_at, expires_at) VALUES ?")
            .rows([[
                digest(token).into(),
                user_id.into(),
                csrf_token.into(),
                at.into(),
                at.into(),
                (at + SESSION_MAX).into(),
            ]])
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The session that lasts under `token`. Notes that it was seen, at most once a minute.
    pub async fn session(&self, token: &str) -> Result<Option<Session>> {
        let now = self.now();
        let digest = digest(token);
        let session = sql("SELECT s.user_id, u.tenant_id, u.email, u.role, s.csrf_token, s.last_seen_at \
             FROM session s JOIN app_user u ON u.id = s.user_id \
             WHERE s.token_digest = ? AND s.expires_at > ? AND s.last_seen_at > ? AND u.active = ?")
        .bind(&digest)
        .bind(now)
        .bind(now - SESSION_IDLE)
        .bind(true)
        .one::<Session>(&self.reader)
        .await?;
        if let Some(session) = &session
            && now - session.last_seen_at > TimeDelta::minutes(1)
        {
            let tx = self.begin().await?;
            sql("UPDATE session SET last_seen_at = ? WHERE token_digest = ?")
                .bind(now)
                .bind(&digest)
                .run(&tx)
                .await?;
            tx.commit().await?;
        }
        Ok(session)
    }

    /// Ends a session.
    pub async fn end_session(&self, token: &str) -> Result<()> {
        let tx = self.begin().await?;
        sql("DELETE FROM session WHERE token_digest = ?").bind(digest(token)).run(&tx).await?;
        tx.commit().await?;
        Ok(())
    }
}
