//! The model that a tenant's LLM is asked for: the one chosen for the module, else the tenant's default, else the provider's.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::Settings;
use undertone_store::modules::Module;

use super::body::Json;
use super::caller::Caller;
use super::problem::ApiError;
use super::settings::has_not;
use crate::app::App;
use crate::llm::provider::model_of;

fn told(module: &Module) -> axum::Json<Value> {
    let (model, source) = model_of(module).unzip();
    axum::Json(json!({
        "of_module": module.chosen_model,
        "default": module.default_model,
        "model": model,
        "source": source,
    }))
}

/// What is chosen, and which of it holds.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    Ok(told(&app.store.module(caller.tenant_id()).await?))
}

/// The tenant's default as it is to be. `null` is said, not left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(deserialize_with = "Option::deserialize")]
    default: Option<String>,
}

/// Changes the tenant's default; `null` takes it away.
pub async fn save(
    State(app): State<App>,
    caller: Caller,
    Json(Wanted { default: model }): Json<Wanted>,
) -> Result<axum::Json<Value>, ApiError> {
    let module = app.store.module(caller.tenant_id()).await?;
    if module.chosen_model.is_none() {
        let after = Settings { model: model.clone(), ..module.settings };
        if let Some(why) = has_not(&app, &caller, &after).await? {
            return Err(ApiError::invalid_field("default", why));
        }
    }
    app.store.set_default_model(&caller.act(), model.as_deref()).await?;
    show(State(app), caller).await
}
