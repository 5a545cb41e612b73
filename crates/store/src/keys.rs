//! API keys. A key is shown once; what is kept is its digest.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::audit::{self, Act, hex};
use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId};

/// An API key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// The tenant it opens.
    pub tenant: TenantId,
    /// What it is for.
    pub name: String,
    /// What it may do, as words.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute or so.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Key {
    /// Whether it opens anything at this moment: it was not revoked, and its end, if it has one, is still to come.
    #[must_use]
    pub fn works(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    tenant_id: i64,
    name: String,
    scopes: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for Key {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            name: row.name,
            scopes: row.scopes.split_whitespace().map(str::to_owned).collect(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

const COLUMNS: &str =
    "SELECT id, tenant_id, name, scopes, created_at, expires_at, last_used_at, revoked_at FROM api_key ";

/// What a new key is given.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// What it is for: 1 to 200 characters.
    pub name: &'a str,
    /// What it may do, as words of [`undertone_core::Scope`]; one at least.
    pub scopes: &'a [&'a str],
    /// When it stops working; none: when it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// How a secret of high entropy is kept: SHA-256, in hexadecimal.
#[must_use]
pub fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

impl Store {
    /// Keeps a new key that works until it is revoked; answers its id.
    pub async fn create_key(
        &self,
        act: &Act<'_>,
        name: &str,
        scopes: &[&str],
        secret: &str,
    ) -> Result<String> {
        self.make_key(act, &NewKey { name, scopes, expires_at: None }, secret).await.map(|key| key.id)
    }

    /// Keeps a new key.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a name that is none, for no scope at all, and for an end that is past.
    pub async fn make_key(&self, act: &Act<'_>, new: &NewKey<'_>, secret: &str) -> Result<Key> {
        let (name, at) = (new.name.trim(), self.now());
        if !(1..=200).contains(&name.chars().count()) || name.contains(char::is_control) {
            return Err(StoreError::Invalid(
                "a key's name has 1 to 200 characters, and no control characters".to_owned(),
            ));
        }
        if new.scopes.is_empty() {
            return Err(StoreError::Invalid("a key has one scope at least".to_owned()));
        }
        if new.expires_at.is_some_and(|end| end <= at) {
            return Err(StoreError::Invalid("a key ends in the future, or never".to_owned()));
        }
        let tx = self.begin().await?;
        let id = self.new_id(at);
        sql("INSERT INTO api_key (id, tenant_id, name, token_digest, scopes, created_at, expires_at) VALUES ?")
            .rows([[
                id.as_str().into(),
                act.tenant.0.into(),
                name.into(),
                digest(secret).into(),
                new.scopes.join(" ").into(),
                at.into(),
                new.expires_at.into(),
            ]])
            .run(&tx)
            .await?;
        let after = json!({"name": name, "scopes": new.scopes, "expires_at": new.expires_at});
        audit::note(self, &tx, act, ("key_created", &id), &json!({"before": null, "after": after})).await?;
        tx.commit().await?;
        Ok(Key {
            id,
            tenant: act.tenant,
            name: name.to_owned(),
            scopes: new.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            created_at: at,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        })
    }

    /// The key that works with `secret` now. Notes that it was used, at most once a minute.
    pub async fn key(&self, secret: &str) -> Result<Option<Key>> {
        let now = self.now();
        let row = sql(COLUMNS)
            .then("WHERE token_digest = ? AND revoked_at IS NULL")
            .bind(digest(secret))
            .one::<Row>(&self.reader)
            .await?;
        let key = row.map(Key::from).filter(|key| key.works(now));
        if let Some(key) = &key
            && key.last_used_at.is_none_or(|used| now - used > TimeDelta::minutes(1))
        {
            let tx = self.begin().await?;
            sql("UPDATE api_key SET last_used_at = ? WHERE id = ?").bind(now).bind(&key.id).run(&tx).await?;
            tx.commit().await?;
        }
        Ok(key)
    }

    /// Whether the tenant's key of this id works now.
    pub async fn key_works(&self, tenant: TenantId, id: &str) -> Result<bool> {
        let row = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(id)
            .one::<Row>(&self.reader)
            .await?;
        Ok(row.is_some_and(|row| Key::from(row).works(self.now())))
    }

    /// All keys of a tenant, the oldest first.
    pub async fn keys(&self, tenant: TenantId) -> Result<Vec<Key>> {
        let rows = sql(COLUMNS)
            .then("WHERE tenant_id = ? ORDER BY id")
            .bind(tenant.0)
            .all::<Row>(&self.reader)
            .await?;
        Ok(rows.into_iter().map(Key::from).collect())
    }

    /// A page of a tenant's keys, the oldest first: those after an id, so many at most.
    pub async fn keys_after(&self, tenant: TenantId, after: Option<&str>, limit: u64) -> Result<Vec<Key>> {
        let rows = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(after.unwrap_or_default())
            .bind(limit as i64)
            .all::<Row>(&self.reader)
            .await?;
        Ok(rows.into_iter().map(Key::from).collect())
    }

    /// Ends a key at once; answers whether there was one to end.
    pub async fn revoke_key(&self, act: &Act<'_>, id: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let ended =
            sql("UPDATE api_key SET revoked_at = ? WHERE id = ? AND tenant_id = ? AND revoked_at IS NULL")
                .bind(self.now())
                .bind(id)
                .bind(act.tenant.0)
                .run(&tx)
                .await?;
        if ended > 0 {
            audit::note(self, &tx, act, ("key_revoked", id), &json!({})).await?;
        }
        tx.commit().await?;
        Ok(ended > 0)
    }
}
