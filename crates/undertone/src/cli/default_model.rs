//! What `undertone tenant model` may make a tenant's default: no model that the provider of the scorer does not have, as with the API.

use undertone_core::Settings;
use undertone_store::{Store, TenantId};

use crate::error::CliError;
use crate::llm::provider::{named, not_served};
use crate::secrets::ProviderKeys;

/// Looks whether the provider that the tenant's scorer names may have `model`; answers what is to be told where that could not be found out.
///
/// # Errors
/// It has it not, and what to do.
pub async fn check(
    store: &Store,
    keys: &ProviderKeys,
    tenant: TenantId,
    model: Option<&str>,
) -> Result<Option<String>, CliError> {
    let settings: Settings = store.module(tenant).await?.chosen();
    // With a model of the module's own nobody is asked for the default. The cascade asks whom a model belongs to.
    let Some(provider) = named(settings.scorer).filter(|_| settings.model.is_none()) else { return Ok(None) };
    let address = keys.address(tenant, provider).await?;
    let Some(why) = not_served(provider, model, address.as_deref()) else { return Ok(None) };
    if address.is_some() {
        return Err(CliError::Failed(why));
    }
    let provider = provider.as_str();
    Ok(Some(format!(
        "Not checked whether {provider} has it: this command was given no key for {provider}, and so does not know at which address the service \
         asks. Where that is {provider}'s own, it has it not, and nothing is asked; see: undertone doctor"
    )))
}
