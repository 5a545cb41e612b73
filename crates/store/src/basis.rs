//! What decides whether an LLM can be asked for a tenant: its module and its keys. When they change, what waits for one is due at once
//! ([`crate::queue`]); what is put off at that very moment, by somebody who still went by the former ones, must not miss it.
//!
//! Whoever puts something off reads the basis before it decides, and compares after it has recorded: [`Store::hasten_if_changed`]. Whoever changes it
//! makes due what waits in its own transaction, and once more after it. So of the two the later one sees the other.

use undertone_core::Settings;

use crate::modules::Module;
use crate::queue::hasten;
use crate::{Result, Store, TenantId};

/// The module and the keys as they were at some moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Basis {
    active: bool,
    settings: Settings,
    /// Sealed: another for each time a key is set.
    keys: Vec<String>,
}

impl Store {
    /// The basis that follows from `module` and the tenant's keys as they are.
    pub async fn basis(&self, tenant: TenantId, module: &Module) -> Result<Basis> {
        let keys = self.provider_keys(tenant).await?.into_iter().map(|key| key.sealed).collect();
        Ok(Basis { active: module.active, settings: module.settings.clone(), keys })
    }

    /// To be called after something was put off on the basis of `seen`: where that has changed, what waits for an LLM is due now. Answers
    /// whether it has.
    pub async fn hasten_if_changed(&self, tenant: TenantId, seen: &Basis) -> Result<bool> {
        let module = self.module(tenant).await?;
        if self.basis(tenant, &module).await? == *seen {
            return Ok(false);
        }
        self.hasten(tenant).await?;
        Ok(true)
    }

    /// What waits for an LLM is due now, whoever's it is: a process that starts may have other keys of the installation's than the one before.
    pub async fn hasten_all(&self) -> Result<()> {
        for tenant in self.tenants().await? {
            self.hasten_after_change(tenant.id).await;
        }
        Ok(())
    }

    /// What waits for an LLM is due now.
    async fn hasten(&self, tenant: TenantId) -> Result<()> {
        let tx = self.begin().await?;
        hasten(&tx, tenant, self.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// To be called after a change of the basis is committed.
    pub(crate) async fn hasten_after_change(&self, tenant: TenantId) {
        if let Err(error) = self.hasten(tenant).await {
            // What it is about is looked at again within five minutes.
            tracing::warn!(%error, tenant = tenant.0, "what waits for an LLM could not be made due: {error}");
        }
    }
}
