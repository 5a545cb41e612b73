//! The tenant's single sign-on. Its client secret goes in here and never comes out.

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_store::sign_on::SignOnProvider;
use undertone_store::users::Authority;

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, FORBIDDEN};
use crate::app::App;
use crate::sign_on::{Draft, SignOnError, redirect_address};

/// A provider as it is told, by the API and on the command line.
pub fn told(app_address: &str, slug: &str, provider: &SignOnProvider) -> Value {
    let base = app_address.trim_end_matches('/');
    json!({
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "label": provider.label,
        "allowed_domains": provider.allowed_domains,
        "default_role": provider.default_role,
        "trusts_second_factor": provider.trusts_second_factor,
        "vouched_by": provider.vouched_by,
        "version": provider.version,
        "set_at": provider.set_at,
        "set_by": provider.set_by,
        "redirect_address": redirect_address(base),
        "log_in_address": format!("{base}/login?tenant={slug}"),
    })
}

fn answer(app: &App, caller: &Caller, provider: &SignOnProvider) -> axum::Json<Value> {
    axum::Json(told(&app.config.address(), &caller.tenant.slug, provider))
}

fn none() -> ApiError {
    ApiError::not_found("single sign-on of this tenant")
}

/// The provider.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let provider = app.store.sign_on_provider(caller.tenant_id()).await?.ok_or_else(none)?;
    Ok(answer(&app, &caller, &provider))
}

/// Sets the provider, after it was asked what it says of itself.
pub async fn save(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<axum::Json<Value>, ApiError> {
    let by = Authority::User(caller.person()?);
    let role = caller.role().ok_or_else(|| ApiError::new(FORBIDDEN, "your role is none of this version"))?;
    // What serde says could repeat the secret, which may stand anywhere.
    let draft = Draft::deserialize(body).map_err(|_| {
        ApiError::invalid_field(
            "",
            "send an object with issuer, client_id, client_secret (once) and allowed_domains, and where you want them label, default_role, trusts_second_factor and version".to_owned(),
        )
    })?;
    let new = draft.checked(role).map_err(ApiError::invalid)?;
    app.sign_on.discover(&new.issuer).await.map_err(|error| match error {
        SignOnError::Provider(told) => {
            ApiError::invalid_field("issuer", format!("{} can not be used: {told}", new.issuer))
        }
        other => ApiError::invalid_field("issuer", other.to_string()),
    })?;
    let keyring = app.provider_keys.keyring();
    let provider = app.store.save_sign_on_provider(&caller.act(), by, keyring, new).await?;
    Ok(answer(&app, &caller, &provider))
}

/// Removes the provider. Nobody signs on any more; who has a session keeps it.
pub async fn remove(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let by = Authority::User(caller.person()?);
    if !app.store.remove_sign_on_provider(&caller.act(), by).await? {
        return Err(none());
    }
    Ok(axum::Json(json!({"removed": true})))
}

/// Forgets whom the provider means by somebody, and ends their sessions: the next who signs on with their address is them.
pub async fn unlink(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let by = Authority::User(caller.person()?);
    if !app.store.unlink_sign_on(&caller.act(), by, &id).await? {
        return Err(ApiError::not_found("user who signed on"));
    }
    Ok(axum::Json(json!({"unlinked": true})))
}
