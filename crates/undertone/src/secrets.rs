//! Which key is used for a tenant at a provider: its own, opened for the purpose, or else the installation's.

mod given;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use undertone_store::secrets::{Credentials, KeptKey, KeyError, Keyring, Provider, Secret};
use undertone_store::{Act, Store, StoreError, TenantId};

pub use given::{Given, InstallationKey, read_file};

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The tenant set it.
    Tenant,
    /// The operator gave it to the process.
    Installation,
}

/// A key to be used, and the only address it is sent to.
#[derive(Debug, Clone)]
pub struct ProviderKey {
    /// The key.
    pub key: Secret,
    /// Where, without a slash at its end: for Claude without `/v1`, for `openai` up to and with it.
    pub base_url: String,
    /// Whose.
    pub source: Source,
}

/// What is told of a tenant's key for a provider.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Whose API.
    pub provider: Provider,
    /// Whose key is used; `None`: there is none.
    pub source: Option<Source>,
    /// It can be used now.
    pub usable: bool,
    /// Why not, where the tenant has one.
    pub problem: Option<String>,
    /// The tenant's own: the address it is used at.
    pub base_url: Option<String>,
    /// The tenant's own: its last four characters.
    pub last_four: Option<String>,
    /// The tenant's own: since when.
    pub set_at: Option<DateTime<Utc>>,
    /// The tenant's own: who set it.
    pub set_by: Option<String>,
}

/// Keys by tenant and provider.
#[derive(Clone)]
pub struct ProviderKeys {
    store: Store,
    given: Arc<Given>,
}

impl ProviderKeys {
    /// Those in the database, opened with the master key that this process was given, and those it was given itself.
    pub fn new(store: &Store, given: Given) -> Self {
        Self { store: store.clone(), given: Arc::new(given) }
    }

    /// What seals and opens secrets of tenants.
    pub fn keyring(&self) -> &Keyring {
        &self.given.keyring
    }

    /// The key to use now. Nothing is kept in between, so what is set or removed holds from the next request on.
    ///
    /// # Errors
    /// [`KeyError`] where the tenant has a key that does not open. The installation's is not used in its place: it would be billed to
    /// somebody else, and texts would go where the tenant did not send them.
    pub async fn provider_key(
        &self,
        tenant: TenantId,
        provider: Provider,
    ) -> Result<Option<ProviderKey>, KeyError> {
        if let Some(kept) = self.store.provider_key(tenant, provider).await? {
            let key = self.given.keyring.open(&kept)?;
            let base_url = kept.address().to_owned();
            return Ok(Some(ProviderKey { key, base_url, source: Source::Tenant }));
        }
        Ok(self.given.installation(provider).map(|given| ProviderKey {
            key: given.credentials.key().clone(),
            base_url: given.credentials.address().to_owned(),
            source: Source::Installation,
        }))
    }

    /// The address that the key for `provider` is used at; `None` where there is none. The key need not open.
    pub async fn address(&self, tenant: TenantId, provider: Provider) -> Result<Option<String>, StoreError> {
        if let Some(kept) = self.store.provider_key(tenant, provider).await? {
            return Ok(Some(kept.address().to_owned()));
        }
        Ok(self.given.installation(provider).map(|given| given.credentials.address().to_owned()))
    }

    /// What is told of every provider. Of the installation's key only that there is one.
    pub async fn standing(&self, tenant: TenantId) -> Result<Vec<Standing>, StoreError> {
        let own = self.store.provider_keys(tenant).await?;
        let of = |provider| match own.iter().find(|kept| kept.provider == provider) {
            Some(kept) => self.own(kept),
            None => self.without_own(provider),
        };
        Ok(Provider::ALL.into_iter().map(of).collect())
    }

    fn own(&self, kept: &KeptKey) -> Standing {
        let problem = self.given.keyring.open(kept).err();
        Standing {
            provider: kept.provider,
            source: Some(Source::Tenant),
            usable: problem.is_none(),
            problem: problem.map(|problem| problem.to_string()),
            base_url: Some(kept.address().to_owned()),
            last_four: kept.last_four.clone(),
            set_at: Some(kept.set_at),
            set_by: Some(kept.set_by.clone()),
        }
    }

    fn without_own(&self, provider: Provider) -> Standing {
        let source = self.given.installation(provider).map(|_| Source::Installation);
        Standing {
            provider,
            source,
            usable: source.is_some(),
            problem: None,
            base_url: None,
            last_four: None,
            set_at: None,
            set_by: None,
        }
    }

    /// Keeps a tenant's own key, in place of another for the same provider.
    pub async fn save(&self, act: &Act<'_>, new: &Credentials) -> Result<KeptKey, KeyError> {
        self.store.save_provider_key(act, &self.given.keyring, new).await
    }

    /// Removes a tenant's own key; answers whether there was one.
    pub async fn remove(&self, act: &Act<'_>, provider: Provider) -> Result<bool, StoreError> {
        self.store.remove_provider_key(act, provider).await
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use serde_json::json;
    use undertone_store::Tenant;
    use undertone_store::secrets::MasterKey;
    use undertone_store::tenants::NewTenant;

    use super::*;
    use crate::app::open_store;
    use crate::config::{Config, ConfigArguments};

    const OWN: &str = "marker-of-an-own-key-0001";
    const SHARED: &str = "marker-of-a-shared-key-0002";

    fn credentials(provider: Provider, key: &str, base_url: Option<&str>) -> Credentials {
        Credentials::new(provider, &Secret::new(key.to_owned()), base_url).unwrap()
    }

    fn given(keyring: Keyring) -> Given {
        let shared = credentials(Provider::Claude, SHARED, Some("http://localhost:1"));
        Given::new(keyring, vec![InstallationKey { credentials: shared, from: "a test".to_owned() }])
    }

    async fn used(
        keys: &ProviderKeys,
        tenant: &Tenant,
        provider: Provider,
    ) -> Option<(String, String, Source)> {
        let used = keys.provider_key(tenant.id, provider).await.unwrap()?;
        Some((used.key.expose().to_owned(), used.base_url, used.source))
    }

    #[tokio::test]
    async fn a_tenants_own_key_comes_first_and_nobody_elses_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let flags =
            ConfigArguments { data_dir: Some(folder.path().to_owned()), ..ConfigArguments::default() };
        let store = open_store(&Config::load(&flags, json!({"database_url": ""})).unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        let tenant = async |slug| {
            let new = NewTenant { slug, name: slug, zone: Tz::UTC, actor: "test" };
            store.create_tenant(&new).await.unwrap()
        };
        let (mine, theirs) = (tenant("mine").await, tenant("theirs").await);
        let keyring = Keyring::new(Some(MasterKey::generate().unwrap()), None);
        let keys = ProviderKeys::new(&store, given(keyring));
        let shared = Some((SHARED.to_owned(), "http://localhost:1".to_owned(), Source::Installation));
        assert_eq!(used(&keys, &mine, Provider::Claude).await, shared);
        assert_eq!(used(&keys, &mine, Provider::Openai).await, None);

        let act = Act::new(mine.id, "test");
        keys.save(&act, &credentials(Provider::Claude, OWN, None)).await.unwrap();
        let own = Some((OWN.to_owned(), "https://api.anthropic.com".to_owned(), Source::Tenant));
        assert_eq!(used(&keys, &mine, Provider::Claude).await, own, "not to the installation's address");
        assert_eq!(used(&keys, &theirs, Provider::Claude).await, shared);

        // With another master key, or none, it does not open, and nothing else is used instead.
        let other = Keyring::new(Some(MasterKey::generate().unwrap()), None);
        for keyring in [other, Keyring::default()] {
            let keys = ProviderKeys::new(&store, given(keyring));
            let refused = keys.provider_key(mine.id, Provider::Claude).await.unwrap_err();
            assert!(matches!(refused, KeyError::OtherMasterKey { .. }), "{refused}");
            let standing = keys.standing(mine.id).await.unwrap();
            assert_eq!((standing[0].source, standing[0].usable), (Some(Source::Tenant), false));
            assert_eq!(standing[0].problem.as_deref(), Some(refused.to_string().as_str()));
            assert_eq!(used(&keys, &theirs, Provider::Claude).await, shared);
        }

        assert!(keys.remove(&act, Provider::Claude).await.unwrap());
        assert_eq!(used(&keys, &mine, Provider::Claude).await, shared);
        let debugged = format!("{:?} {:?}", keys.given, keys.provider_key(mine.id, Provider::Claude).await);
        assert!(!debugged.contains("marker") && debugged.contains("•••"), "{debugged}");
    }
}
