//! The model that a tenant's LLM is asked for: the one chosen for the module, else the tenant's default, else the provider's.

use axum::extract::State;
use serde_json::{Map, Value, json};
use undertone_core::Settings;
use undertone_store::modules::Module;

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, FieldError};
use super::settings::has_not;
use crate::app::App;
use crate::llm::provider::model_of;

fn told(module: &Module) -> axum::Json<Value> {
    let (model, source) = model_of(module);
    axum::Json(json!({
        "of_module": module.chosen().model,
        "default": module.default_model,
        "model": model,
        "source": source,
    }))
}

/// What is chosen, and which of it holds.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    Ok(told(&app.store.module(caller.tenant_id()).await?))
}

/// Changes the tenant's default; `null` takes it away.
pub async fn save(
    State(app): State<App>,
    caller: Caller,
    Json(mut body): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, ApiError> {
    let wrong = |field: &str, code: &str, message: &str| {
        let (field, code, message) = (field.to_owned(), code.to_owned(), message.to_owned());
        Err(ApiError::invalid(vec![FieldError { field, code, message }]))
    };
    let model = match body.shift_remove("default") {
        Some(Value::String(model)) => Some(model),
        Some(Value::Null) => None,
        _ => return wrong("default", "invalid", "a model's name, or null for the provider's"),
    };
    if !body.is_empty() {
        return wrong("", "unknown_field", "there is no field but default");
    }
    let module = app.store.module(caller.tenant_id()).await?;
    if module.chosen().model.is_none() {
        let after = Settings { model: model.clone(), ..module.settings };
        if let Some(why) = has_not(&app, &caller, &after).await? {
            return Err(ApiError::invalid_field("default", why));
        }
    }
    app.store.set_default_model(&caller.act(), model.as_deref()).await?;
    show(State(app), caller).await
}
