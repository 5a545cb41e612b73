//! Whom a tenant's texts are put to: the embedded model, an LLM that is asked with the tenant's key and pays from its budget, or both one
//! after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use undertone_core::gate::DeferReason;
use undertone_core::usage::price::Prices;
use undertone_core::verdict::ScorerKind;
use undertone_core::{Settings, Verdict};
use undertone_scoring::cascade::Cascade;
use undertone_scoring::llm::ask::{Access, Endpoint, LlmScorer, Manner, Outside};
use undertone_scoring::{Batch, NoVerdict, Scorer};
use undertone_store::basis::Basis;
use undertone_store::secrets::{KeyError, Provider};
use undertone_store::{Store, StoreError, TenantId};

use super::provider::{api_of, may_serve, not_served, order};
use super::{CLAUDE_MODEL, TenantPurse, Unavailable};
use crate::secrets::{ProviderKey, ProviderKeys};

/// Requests at once with one key, while the provider does not complain.
const AT_ONCE: usize = 64;
/// The same for chat completions, which may be a server of the tenant's own with a single graphics card.
const AT_ONCE_OWN: usize = 8;
/// How long somebody waits for the answer about a single text.
const PATIENCE: Duration = Duration::from_mins(1);
/// So many wait at once; more are turned away.
const MOST_WAITING: usize = 64;
/// Tenants whose scorer stays at hand. One more, and all are made anew when next asked for.
const MOST_TENANTS: usize = 1024;

/// Whom texts are put to.
#[derive(Clone)]
pub enum Chosen {
    /// The embedded model, as the tenant wants it.
    Local,
    /// An LLM, alone or after the embedded model.
    Llm(Arc<dyn Scorer>),
    /// The tenant wants an LLM, and there is none that could be asked. Why, for a person.
    Unusable(String),
}

impl Chosen {
    /// Why there is no LLM that could be asked, where the tenant wants one.
    pub fn unusable(&self) -> Option<Unavailable> {
        match self {
            Self::Unusable(why) => {
                Some(Unavailable { reason: DeferReason::NoKey, detail: why.clone(), until: None })
            }
            Self::Local | Self::Llm(_) => None,
        }
    }
}

/// The LLM scorers of this process. Its clones share them.
#[derive(Clone)]
pub struct Llms(Arc<Inner>);

struct Inner {
    store: Store,
    keys: ProviderKeys,
    outside: Arc<dyn Outside>,
    prices: Arc<Prices>,
    owner: Arc<str>,
    kept: Mutex<Kept>,
    /// Places of those who wait for an answer.
    waiting: Arc<Semaphore>,
}

#[derive(Default)]
struct Kept {
    scorers: HashMap<(TenantId, Provider), Known>,
    purses: HashMap<TenantId, TenantPurse>,
    /// How each key does, whoever's it is: tenants that ask with the installation's share what the provider allows it, and a tenant whose
    /// settings change asks on as it did.
    accesses: HashMap<KeyAt, Access>,
    /// What each tenant's texts were last asked about by.
    bases: HashMap<TenantId, Basis>,
}

/// A key at an address, without the key itself.
#[derive(Clone, PartialEq, Eq, Hash)]
struct KeyAt {
    provider: Provider,
    address: String,
    digest: [u8; 32],
}

impl KeyAt {
    fn of(provider: Provider, key: &ProviderKey) -> Self {
        let digest = Sha256::digest(key.key.expose().as_bytes()).into();
        Self { provider, address: key.base_url.clone(), digest }
    }
}

/// A scorer, and what it was made for.
struct Known {
    key: ProviderKey,
    together: u8,
    scorer: Arc<LlmScorer>,
}

impl Known {
    fn is_for(&self, key: &ProviderKey, together: u8) -> bool {
        self.together == together
            && self.key.base_url == key.base_url
            && self.key.key.expose() == key.key.expose()
    }
}

/// A provider and the key for it, or why none can be used, for a person.
type Found = Result<(Provider, ProviderKey), String>;

fn no_key(provider: Provider) -> String {
    no_keys(&[provider])
}

fn no_keys(providers: &[Provider]) -> String {
    let names: Vec<&str> = providers.iter().map(|provider| provider.as_str()).collect();
    let first = names.first().copied().unwrap_or_default();
    format!(
        "there is no key for {}: set the tenant's own with PUT /api/v1/provider-keys/{first}, or have the operator give the installation one",
        names.join(" or ")
    )
}

impl Llms {
    /// Scorers that ask with `keys` over `outside` and pay by `prices`.
    pub fn new(store: &Store, keys: &ProviderKeys, outside: Arc<dyn Outside>, prices: &Arc<Prices>) -> Self {
        Self(Arc::new(Inner {
            store: store.clone(),
            keys: keys.clone(),
            outside,
            prices: prices.clone(),
            owner: uuid::Uuid::new_v4().to_string().into(),
            kept: Mutex::default(),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
        }))
    }

    /// Whom texts of `tenant` are put to under `settings`; `local` is the embedded model for the cascade.
    pub async fn choose(
        &self,
        tenant: TenantId,
        settings: &Settings,
        local: &Arc<dyn Scorer>,
    ) -> Result<Chosen, StoreError> {
        let found = match settings.scorer {
            ScorerKind::Local => return Ok(Chosen::Local),
            ScorerKind::Claude => self.key(tenant, Provider::Claude).await?,
            ScorerKind::Openai => self.key(tenant, Provider::Openai).await?,
            ScorerKind::Cascade => self.key_for(tenant, settings.model.as_deref()).await?,
        };
        let (provider, key) = match found {
            Ok(found) => found,
            Err(why) => return Ok(Chosen::Unusable(why)),
        };
        let model = settings.model.as_deref();
        if provider == Provider::Openai && model.is_none() {
            let why = "no model is chosen: openai has no default, so name one in the setting `model` or as the tenant's default";
            return Ok(Chosen::Unusable(why.to_owned()));
        }
        // A key may have been set for another address since the model was chosen, and a run may have another scorer than its tenant.
        if let Some(why) = not_served(provider, model, Some(&key.base_url)) {
            return Ok(Chosen::Unusable(why));
        }
        let llm: Arc<dyn Scorer> = self.scorer(tenant, provider, key, settings.llm_together);
        Ok(Chosen::Llm(if settings.scorer == ScorerKind::Cascade {
            Arc::new(Cascade { local: local.clone(), llm, threshold: settings.cascade_threshold })
        } else {
            llm
        }))
    }

    /// Puts a text to `llm` for somebody who waits for the answer, a minute at most. What it takes is counted even if they go away.
    pub async fn ask(&self, llm: &Arc<dyn Scorer>, batch: Batch) -> Result<Verdict, NoVerdict> {
        let Ok(place) = self.0.waiting.clone().try_acquire_owned() else { return Err(NoVerdict::Busy) };
        let llm = llm.clone();
        let asking = tokio::spawn(async move {
            let _place = place;
            llm.score(batch).await.pop()
        });
        let nothing = || Err(NoVerdict::Failed { detail: "the LLM gave no answer".to_owned() });
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answered) => answered.ok().flatten().unwrap_or_else(nothing),
            Err(_) => Err(NoVerdict::Unavailable {
                reason: DeferReason::LlmUnavailable,
                detail: format!("it did not answer within {} seconds", PATIENCE.as_secs()),
                until: None,
            }),
        }
    }

    /// Claude's key of `tenant`, or why none can be used: for what is asked there besides single requests.
    pub async fn claude_key(&self, tenant: TenantId) -> Result<Result<ProviderKey, String>, StoreError> {
        Ok(self.key(tenant, Provider::Claude).await?.map(|(_, key)| key))
    }

    /// How `key` does: whether it may be asked with, for what is asked besides single requests.
    pub fn access(&self, provider: Provider, key: &ProviderKey) -> Access {
        self.kept().access(provider, key)
    }

    /// What a tenant is about to be asked about by. Where that is not what it was, somebody may have put right what a provider refused: the
    /// next question finds out.
    pub fn heed(&self, tenant: TenantId, basis: &Basis) {
        let mut kept = self.kept();
        if kept.bases.get(&tenant) == Some(basis) {
            return;
        }
        if kept.bases.len() >= MOST_TENANTS {
            kept.bases.clear();
        }
        if kept.bases.insert(tenant, basis.clone()).is_none() {
            return;
        }
        for provider in Provider::ALL {
            let key = kept.scorers.get(&(tenant, provider)).map(|known| KeyAt::of(provider, &known.key));
            if let Some(access) = key.and_then(|key| kept.accesses.get(&key)) {
                access.look_again();
            }
        }
    }

    /// What requests go through.
    pub fn outside(&self) -> &dyn Outside {
        self.0.outside.as_ref()
    }

    /// What they cost.
    pub fn prices(&self) -> &Prices {
        &self.0.prices
    }

    /// This process's name in the ledger.
    pub fn owner(&self) -> &str {
        &self.0.owner
    }

    /// The tenant's key for a provider, or why none can be used.
    async fn key(&self, tenant: TenantId, provider: Provider) -> Result<Found, StoreError> {
        match self.0.keys.provider_key(tenant, provider).await {
            Ok(Some(key)) => Ok(Ok((provider, key))),
            Ok(None) => Ok(Err(no_key(provider))),
            Err(KeyError::Store(error)) => Err(error),
            // Another one is not used in its place: it would go elsewhere, and be billed to somebody else.
            Err(unusable) => Ok(Err(unusable.to_string())),
        }
    }

    /// The key that the cascade asks for a model with, or why none can be used.
    async fn key_for(&self, tenant: TenantId, model: Option<&str>) -> Result<Found, StoreError> {
        let mut passed_over = None;
        for provider in order(model) {
            match self.0.keys.provider_key(tenant, provider).await {
                Ok(Some(key)) if may_serve(provider, &key.base_url, model) => return Ok(Ok((provider, key))),
                Ok(Some(_)) => passed_over = Some(provider),
                Ok(None) => {}
                Err(KeyError::Store(error)) => return Err(error),
                Err(unusable) => return Ok(Err(unusable.to_string())),
            }
        }
        let [first, second] = order(model);
        Ok(Err(match (passed_over, model) {
            (Some(other), Some(model)) => {
                format!("{} serves no model {model}, and {}", other.as_str(), no_key(first))
            }
            _ => no_keys(&[first, second]),
        }))
    }

    fn scorer(&self, tenant: TenantId, provider: Provider, key: ProviderKey, together: u8) -> Arc<LlmScorer> {
        let mut kept = self.kept();
        let known = kept.scorers.get(&(tenant, provider)).filter(|known| known.is_for(&key, together));
        if let Some(known) = known {
            return known.scorer.clone();
        }
        if kept.scorers.len() >= MOST_TENANTS {
            kept.scorers.clear();
            kept.purses.clear();
        }
        let access = kept.access(provider, &key);
        let purse = kept.purses.entry(tenant).or_insert_with(|| {
            TenantPurse::new(&self.0.store, tenant, self.0.prices.clone(), self.0.owner.clone())
        });
        let model = match provider {
            Provider::Claude => CLAUDE_MODEL,
            Provider::Openai => "",
        };
        let endpoint = Endpoint {
            api: api_of(provider),
            base_url: key.base_url.clone(),
            key: Some(key.key.expose().to_owned()),
            model: model.to_owned(),
        };
        let manner = Manner { together: together.into(), ..Manner::default() };
        let purse = Arc::new(purse.clone());
        let scorer = LlmScorer::new(endpoint, manner, self.0.outside.clone(), purse);
        let scorer = Arc::new(scorer.sharing(access));
        kept.scorers.insert((tenant, provider), Known { key, together, scorer: scorer.clone() });
        scorer
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn access(&mut self, provider: Provider, key: &ProviderKey) -> Access {
        if self.accesses.len() >= MOST_TENANTS {
            // Nobody asks with these any more.
            self.accesses.retain(|_, access| access.is_shared());
        }
        let at_once = match provider {
            Provider::Claude => AT_ONCE,
            Provider::Openai => AT_ONCE_OWN,
        };
        self.accesses.entry(KeyAt::of(provider, key)).or_insert_with(|| Access::new(at_once)).clone()
    }
}

#[cfg(test)]
mod tests;
