//! A tenant's own keys for providers of language models. They go in here and never come out.

use axum::extract::{Path, State};
use serde_json::{Value, json};
use undertone_store::secrets::{Credentials, KeyError, Provider, Secret};

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, FieldError, INTERNAL, NO_MASTER_KEY};
use crate::app::App;

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NoMasterKey => Self::new(NO_MASTER_KEY, error.to_string()),
            KeyError::Store(error) => error.into(),
            KeyError::OtherMasterKey { .. }
            | KeyError::Damaged { .. }
            | KeyError::SealedElsewhere { .. }
            | KeyError::NotAsSealed { .. }
            | KeyError::NoRandomness(_) => Self {
                cause: Some(error.to_string()),
                ..Self::new(INTERNAL, "the cause is in the log under this request id")
            },
        }
    }
}

/// For each provider whose key is used, and of the tenant's own its last four characters, when it was set and by whom.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    Ok(axum::Json(json!({"providers": app.provider_keys.standing(caller.tenant_id()).await?})))
}

/// Keeps a key, in place of another for the same provider.
pub async fn save(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<String>,
    Json(body): Json<Value>,
) -> Result<axum::Json<Value>, ApiError> {
    let provider = known(&provider)?;
    let new = credentials(provider, body)?;
    app.provider_keys.save(&caller.act(), &new).await?;
    one(&app, &caller, provider).await
}

/// Removes a key. The installation's is used from then on, where there is one.
pub async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let provider = known(&provider)?;
    if !app.provider_keys.remove(&caller.act(), provider).await? {
        return Err(ApiError::not_found("key of this tenant"));
    }
    one(&app, &caller, provider).await
}

fn known(word: &str) -> Result<Provider, ApiError> {
    Provider::of_word(word).ok_or_else(|| ApiError::not_found("provider; there are claude and openai"))
}

async fn one(app: &App, caller: &Caller, provider: Provider) -> Result<axum::Json<Value>, ApiError> {
    let all = app.provider_keys.standing(caller.tenant_id()).await?;
    Ok(axum::Json(json!(all.into_iter().find(|standing| standing.provider == provider))))
}

/// Reads a body. What is wrong with it is told in words of ours only: the key may stand anywhere in it.
fn credentials(provider: Provider, body: Value) -> Result<Credentials, ApiError> {
    let wrong = |field: &str, code: &str, message: &str| FieldError {
        field: field.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let Value::Object(mut fields) = body else {
        let told = "send an object with key, and base_url where it is not the provider's own address";
        return Err(ApiError::invalid(vec![wrong("", "invalid", told)]));
    };
    // What is missing or no text is as wrong as an empty one.
    let key = match fields.shift_remove("key") {
        Some(Value::String(key)) => key,
        _ => String::new(),
    };
    let base_url = match fields.shift_remove("base_url") {
        None | Some(Value::Null) => None,
        Some(Value::String(address)) => Some(address),
        Some(_) => Some(String::new()),
    };
    let mut errors = Vec::new();
    let new = Credentials::new(provider, &Secret::new(key), base_url.as_deref());
    if let Err(unusable) = &new {
        errors.extend(unusable.key.map(|told| wrong("key", "invalid", told)));
        errors.extend(unusable.base_url.map(|told| wrong("base_url", "invalid", told)));
    }
    if !fields.is_empty() {
        errors.push(wrong("", "unknown_field", "there are no fields but key and base_url"));
    }
    match new {
        Ok(new) if errors.is_empty() => Ok(new),
        _ => Err(ApiError::invalid(errors)),
    }
}
