//! Keys that a tenant has of its own for a provider of language models.
//!
//! A key is sealed before it is written, with a [`MasterKey`] that is never in the database, and opened only to be used. A row tells
//! whose key it is, since when and its last four characters; it can not be copied to another tenant or made to send its key elsewhere.
//! A master key is replaced by sealing tenant after tenant anew ([`Store::reseal_provider_keys`]), while a [`Keyring`] opens both.

mod credentials;
mod keyring;
mod master_key;
mod secret;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

pub use credentials::{Credentials, Unusable, usable_address};
pub use keyring::{KeyError, Keyring, Sealed};
pub(crate) use master_key::unhex;
pub use master_key::{MasterKey, NotAMasterKey};
pub use secret::Secret;

use crate::audit::{self, Act};
use crate::queue::hasten;
use crate::rows::word;
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

/// Whose API a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Anthropic's Messages API.
    Claude,
    /// `OpenAI`, or any server that speaks its chat completions.
    Openai,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Claude, Self::Openai];

    /// The word in commands, addresses and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Openai => "openai",
        }
    }

    /// The provider that goes by this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == word)
    }

    /// Its own base address: Claude's without `/v1`, `OpenAI`'s with it, as their clients are told it.
    #[must_use]
    pub fn own_address(self) -> &'static str {
        match self {
            Self::Claude => "https://api.anthropic.com",
            Self::Openai => "https://api.openai.com/v1",
        }
    }
}

/// A tenant's key as it is kept: everything but the key. [`Keyring::open`] opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// Whose API it is for.
    pub provider: Provider,
    /// The address it is used at; `None`: the provider's own.
    pub base_url: Option<String>,
    /// The master key it was sealed with, by its id.
    pub key_id: String,
    /// Its last four characters; none of a short key.
    pub last_four: Option<String>,
    /// Who set it, as in the audit log.
    pub set_by: String,
    /// When.
    pub set_at: DateTime<Utc>,
    pub(crate) sealed: String,
}

impl KeptKey {
    /// The address it is used at.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base_url.as_deref().unwrap_or(self.provider.own_address())
    }

    /// What the audit log tells of it.
    fn told(&self) -> Json {
        json!({"last_four": self.last_four, "base_url": self.address(), "master_key": self.key_id})
    }
}

/// What became of a tenant's keys when they were sealed anew.
#[derive(Debug, Default)]
pub struct Resealed {
    /// Keys that are sealed with the current master key now.
    pub resealed: u64,
    /// Keys that were already.
    pub already: u64,
    /// Why the others could not be opened; they stay as they were.
    pub unopened: Vec<KeyError>,
}

#[derive(FromQueryResult)]
struct Row {
    tenant_id: i64,
    provider: String,
    base_url: Option<String>,
    key_id: String,
    last_four: Option<String>,
    set_by: String,
    set_at: DateTime<Utc>,
    sealed: String,
}

impl TryFrom<Row> for KeptKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            provider: word("provider_key", &row.provider)?,
            base_url: row.base_url,
            key_id: row.key_id,
            last_four: row.last_four,
            set_by: row.set_by,
            set_at: row.set_at,
            sealed: row.sealed,
        })
    }
}

const COLUMNS: &str =
    "SELECT tenant_id, provider, base_url, key_id, last_four, set_by, set_at, sealed FROM provider_key ";

async fn kept(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    provider: Provider,
    lock: &'static str,
) -> Result<Option<KeptKey>> {
    let row = sql(COLUMNS)
        .then("WHERE tenant_id = ? AND provider = ?")
        .bind(tenant.0)
        .bind(provider.as_str())
        .then(lock)
        .one::<Row>(on)
        .await?;
    row.map(KeptKey::try_from).transpose()
}

impl Store {
    /// Keeps a tenant's key, in place of another for the same provider.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal it with.
    pub async fn save_provider_key(
        &self,
        act: &Act<'_>,
        keyring: &Keyring,
        new: &Credentials,
    ) -> std::result::Result<KeptKey, KeyError> {
        let sealed = keyring.seal(act.tenant, new)?;
        let key = KeptKey {
            tenant: act.tenant,
            provider: new.provider,
            base_url: new.base_url.clone(),
            key_id: sealed.key_id,
            last_four: new.key.last_four().map(str::to_owned),
            set_by: act.actor.to_owned(),
            set_at: self.now(),
            sealed: sealed.text,
        };
        self.write_provider_key(act, &key).await?;
        Ok(key)
    }

    async fn write_provider_key(&self, act: &Act<'_>, key: &KeptKey) -> Result<()> {
        let tx = self.begin().await?;
        let before = kept(&tx, act.tenant, key.provider, for_update(self.backend())).await?;
        sql(
            "INSERT INTO provider_key (tenant_id, provider, base_url, key_id, last_four, set_by, set_at, sealed) VALUES ? \
             ON CONFLICT (tenant_id, provider) DO UPDATE SET base_url = excluded.base_url, key_id = excluded.key_id, \
             last_four = excluded.last_four, set_by = excluded.set_by, set_at = excluded.set_at, sealed = excluded.sealed",
        )
        .rows([[
            act.tenant.0.into(),
            key.provider.as_str().into(),
            key.base_url.clone().into(),
            key.key_id.as_str().into(),
            key.last_four.clone().into(),
            key.set_by.as_str().into(),
            key.set_at.into(),
            key.sealed.as_str().into(),
        ]])
        .run(&tx)
        .await?;
        hasten(&tx, act.tenant, key.set_at).await?;
        let payload = json!({"before": before.map(|before| before.told()), "after": key.told()});
        audit::note(self, &tx, act, ("provider_key_set", key.provider.as_str()), &payload).await?;
        tx.commit().await?;
        self.hasten_after_change(act.tenant).await;
        Ok(())
    }

    /// Removes a tenant's key; answers whether there was one.
    pub async fn remove_provider_key(&self, act: &Act<'_>, provider: Provider) -> Result<bool> {
        let tx = self.begin().await?;
        let Some(before) = kept(&tx, act.tenant, provider, for_update(self.backend())).await? else {
            return Ok(false);
        };
        sql("DELETE FROM provider_key WHERE tenant_id = ? AND provider = ?")
            .bind(act.tenant.0)
            .bind(provider.as_str())
            .run(&tx)
            .await?;
        hasten(&tx, act.tenant, self.now()).await?;
        let payload = json!({"before": before.told()});
        audit::note(self, &tx, act, ("provider_key_removed", provider.as_str()), &payload).await?;
        tx.commit().await?;
        self.hasten_after_change(act.tenant).await;
        Ok(true)
    }

    /// A tenant's key for a provider, sealed.
    pub async fn provider_key(&self, tenant: TenantId, provider: Provider) -> Result<Option<KeptKey>> {
        kept(&self.reader, tenant, provider, "").await
    }

    /// All keys of a tenant, sealed, by provider.
    pub async fn provider_keys(&self, tenant: TenantId) -> Result<Vec<KeptKey>> {
        let rows = sql(COLUMNS)
            .then("WHERE tenant_id = ? ORDER BY provider")
            .bind(tenant.0)
            .all::<Row>(&self.reader)
            .await?;
        rows.into_iter().map(KeptKey::try_from).collect()
    }

    /// Seals a tenant's keys anew with the current master key, in a transaction of their own. Said again, it does what is left to do.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal them with. A key that does not open is no error: it is told in
    /// [`Resealed::unopened`].
    pub async fn reseal_provider_keys(
        &self,
        act: &Act<'_>,
        keyring: &Keyring,
    ) -> std::result::Result<Resealed, KeyError> {
        let current = keyring.current().ok_or(KeyError::NoMasterKey)?;
        let mut done = Resealed::default();
        let keys = self.provider_keys(act.tenant).await?;
        if keys.iter().all(|key| key.key_id == current) {
            done.already = keys.len() as u64;
            return Ok(done);
        }
        let tx = self.begin().await?;
        for provider in keys.into_iter().map(|key| key.provider) {
            // Read again under its lock: somebody may have set another key meanwhile.
            let Some(before) = kept(&tx, act.tenant, provider, for_update(self.backend())).await? else {
                continue;
            };
            let open = |keyring: &Keyring| keyring.open(&before);
            let Some(sealed) = keyring.reseal(&mut done, &before.bound(), &before.key_id, open)? else {
                continue;
            };
            sql("UPDATE provider_key SET key_id = ?, sealed = ? WHERE tenant_id = ? AND provider = ?")
                .bind(sealed.key_id)
                .bind(sealed.text)
                .bind(act.tenant.0)
                .bind(provider.as_str())
                .run(&tx)
                .await?;
            let payload = json!({"master_key": {"before": before.key_id, "after": current}});
            audit::note(self, &tx, act, ("provider_key_resealed", provider.as_str()), &payload).await?;
            done.resealed += 1;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_word_is_the_same_everywhere() {
        for provider in Provider::ALL {
            assert_eq!(Provider::of_word(provider.as_str()), Some(provider));
            assert_eq!(json!(provider), json!(provider.as_str()));
            assert_eq!(
                usable_address(provider, provider.own_address()).as_deref(),
                Ok(provider.own_address())
            );
        }
        assert_eq!(Provider::of_word("Claude"), None);
    }
}
