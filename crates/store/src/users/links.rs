//! Links that let somebody set a password: an invitation or a reset. They work once, and an administrator passes them on.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;

use super::{COLUMNS, User};
use crate::audit::{self, Act};
use crate::keys::digest;
use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId, rows};

/// An invitation works this long.
pub const INVITED_FOR: TimeDelta = TimeDelta::days(7);
/// A reset works this long.
pub const RESET_FOR: TimeDelta = TimeDelta::days(1);

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The first password.
    Invitation,
    /// Another password.
    Reset,
}

/// A link that is open, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whose password it sets.
    pub user_id: String,
    /// What it is for.
    pub purpose: Purpose,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    user_id: String,
    purpose: String,
    expires_at: DateTime<Utc>,
}

impl TryFrom<Row> for Link {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let purpose = rows::word("user_link", &row.purpose)?;
        Ok(Self { user_id: row.user_id, purpose, expires_at: row.expires_at })
    }
}

/// Opens a link in place of the one before.
pub(super) async fn issue(
    store: &Store,
    on: &impl ConnectionTrait,
    (tenant, user): (TenantId, &str),
    (purpose, token): (Purpose, &str),
) -> Result<()> {
    let at = store.now();
    let lasts = if purpose == Purpose::Invitation { INVITED_FOR } else { RESET_FOR };
    sql("DELETE FROM user_link WHERE user_id = ?").bind(user).run(on).await?;
    sql("INSERT INTO user_link (token_digest, tenant_id, user_id, purpose, created_at, expires_at) VALUES ?")
        .rows([[
            digest(token).into(),
            tenant.0.into(),
            user.into(),
            rows::as_word(&purpose).into(),
            at.into(),
            (at + lasts).into(),
        ]])
        .run(on)
        .await?;
    Ok(())
}

/// The open links of these people.
pub(super) async fn open(
    on: &impl ConnectionTrait,
    now: DateTime<Utc>,
    users: impl Iterator<Item = &str>,
) -> Result<Vec<Link>> {
    let rows =
        sql("SELECT user_id, purpose, expires_at FROM user_link WHERE expires_at > ? AND user_id IN ?")
            .bind(now)
            .list(users)
            .all::<Row>(on)
            .await?;
    rows.into_iter().map(Link::try_from).collect()
}

impl Store {
    /// Whose password the open link with this token sets, and what it is for.
    pub async fn password_link(&self, token: &str) -> Result<Option<(User, Link)>> {
        let row = sql(
            "SELECT user_id, purpose, expires_at FROM user_link WHERE token_digest = ? AND expires_at > ?",
        )
        .bind(digest(token))
        .bind(self.now())
        .one::<Row>(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let user = sql(COLUMNS)
            .then("WHERE id = ? AND active = ?")
            .bind(&row.user_id)
            .bind(true)
            .one::<User>(&self.reader)
            .await?;
        Ok(match user {
            Some(user) => Some((user, Link::try_from(row)?)),
            None => None,
        })
    }

    /// Sets the password that a link is for, ends the link and all sessions of its owner, and answers them; nothing where the link does
    /// not work any more. `from` is the network address it came from.
    pub async fn set_password_by_link(
        &self,
        token: &str,
        password_hash: &str,
        from: Option<&str>,
    ) -> Result<Option<User>> {
        let tx = self.begin().await?;
        // Of two who use it at once, one finds it gone.
        let row = sql("DELETE FROM user_link WHERE token_digest = ? AND expires_at > ? RETURNING user_id, purpose, expires_at")
            .bind(digest(token))
            .bind(self.now())
            .one::<Row>(&tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let link = Link::try_from(row)?;
        let changed = sql("UPDATE app_user SET password_hash = ? WHERE id = ? AND active = ?")
            .bind(password_hash)
            .bind(&link.user_id)
            .bind(true)
            .run(&tx)
            .await?;
        let user = sql(COLUMNS).then("WHERE id = ?").bind(&link.user_id).one::<User>(&tx).await?;
        let Some(user) = user.filter(|_| changed > 0) else { return Ok(None) };
        self.forget_ways_in(&tx, &user.id, &user.email).await?;
        let actor = format!("user:{}", user.id);
        let act = Act { from, ..Act::new(TenantId(user.tenant_id), &actor) };
        let payload = json!({"link": rows::as_word(&link.purpose)});
        audit::note(self, &tx, &act, ("password_set", &user.id), &payload).await?;
        tx.commit().await?;
        Ok(Some(user))
    }
}
