//! The module's settings.

use axum::extract::State;
use serde_json::{Value, json};
use undertone_core::Settings;
use undertone_store::secrets::KeyError;

use super::body::Json;
use super::caller::Caller;
use super::problem::ApiError;
use crate::app::App;
use crate::llm::provider::{self, named};
use crate::tell;

/// Settings as they are told: those in force, and the names of those that were changed from their default.
pub fn told(settings: &Settings) -> Value {
    let (current, default) = (json!(settings), json!(Settings::default()));
    let changed: Vec<&str> = Settings::KEYS.into_iter().filter(|key| current[key] != default[key]).collect();
    json!({"settings": current, "changed": changed})
}

/// The same with what does not work as it is set: alerts that reach nobody.
async fn with_warnings(
    app: &App,
    caller: &Caller,
    settings: &Settings,
) -> Result<axum::Json<Value>, ApiError> {
    let mut told = told(settings);
    let nobody = app.store.nobody_hears(caller.tenant_id(), settings).await?;
    let blind = tell::nobody_sees(&app.store, caller.tenant_id(), settings).await?;
    let warnings = [("recipients", nobody), ("visibility", blind)];
    let warnings: Vec<Value> = warnings
        .into_iter()
        .filter_map(|(setting, message)| Some(json!({"setting": setting, "message": message?})))
        .collect();
    told["warnings"] = json!(warnings);
    Ok(axum::Json(told))
}

/// The settings in force.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let settings = app.store.module(caller.tenant_id()).await?.chosen();
    with_warnings(&app, &caller, &settings).await
}

/// Changes the settings given and keeps the others; `null` puts one back to its default. All or none.
pub async fn save(
    State(app): State<App>,
    caller: Caller,
    Json(changes): Json<Value>,
) -> Result<axum::Json<Value>, ApiError> {
    let settings = change(&app, &caller, &changes).await?;
    with_warnings(&app, &caller, &settings).await
}

/// Changes settings for whoever calls.
///
/// # Errors
/// A conflict where a second factor is asked of people who could not set one up; invalid where the scorer's provider has not the model.
pub async fn change(app: &App, caller: &Caller, changes: &Value) -> Result<Settings, ApiError> {
    let asked = changes["second_factor_roles"].as_array().is_some_and(|roles| !roles.is_empty());
    if asked && app.provider_keys.keyring().current().is_none() {
        return Err(KeyError::NoMasterKey.into());
    }
    if let Some(why) = not_served(app, caller, changes).await? {
        return Err(ApiError::invalid_field("model", why));
    }
    Ok(app.store.change_settings(&caller.act(), changes).await?)
}

/// Why the provider that is the scorer after `changes` has not the model of then; asked where one of the two changes.
async fn not_served(app: &App, caller: &Caller, changes: &Value) -> Result<Option<String>, ApiError> {
    let asked = changes.as_object().filter(|all| all.contains_key("scorer") || all.contains_key("model"));
    let Some(changes) = asked else { return Ok(None) };
    let module = app.store.module(caller.tenant_id()).await?;
    // What is wrong with them is told of where they are saved.
    let Ok(mut after) = Settings::from_json(&module.merged(changes)) else { return Ok(None) };
    after.model = after.model.or(module.default_model);
    has_not(app, caller, &after).await
}

/// Why the provider that is the scorer of `settings` has not their model; `None` where it may have it.
pub async fn has_not(app: &App, caller: &Caller, settings: &Settings) -> Result<Option<String>, ApiError> {
    let Some(provider) = named(settings.scorer) else { return Ok(None) };
    let address = app.provider_keys.address(caller.tenant_id(), provider).await?;
    Ok(provider::not_served(provider, settings.model.as_deref(), address.as_deref()))
}

/// Puts every setting back to its default.
pub async fn reset(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let settings = app.store.reset_settings(&caller.act()).await?;
    with_warnings(&app, &caller, &settings).await
}
