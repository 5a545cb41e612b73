//! API keys: list, make, revoke. A key is told once, when it is made.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::Scope;
use undertone_store::keys::{Key, NewKey};

use super::body::{Json, Query, cut, limited};
use super::caller::Caller;
use super::interactions::place;
use super::problem::{ApiError, FORBIDDEN, FieldError};
use super::secrets;
use crate::app::App;

/// Keys in an answer, where nothing is said.
const KEYS: u64 = 50;
/// Keys in an answer at most.
const MOST_KEYS: u64 = 200;

fn told(key: &Key, now: DateTime<Utc>) -> Value {
    let state = match key.revoked_at {
        _ if key.works(now) => "working",
        Some(_) => "revoked",
        None => "expired",
    };
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "state": state,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    })
}

/// Which keys to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    cursor: Option<String>,
    limit: Option<u64>,
}

/// Keys, the oldest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(query.limit, KEYS, MOST_KEYS)?;
    let after = place(query.cursor.as_deref())?;
    let mut keys = app.store.keys_after(caller.tenant_id(), after.as_deref(), limit + 1).await?;
    let next = cut(&mut keys, limit as usize, |last| &last.id);
    let now = app.store.now();
    let items: Vec<Value> = keys.iter().map(|key| told(key, now)).collect();
    Ok(axum::Json(json!({"items": items, "next_cursor": next})))
}

/// A key to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    name: String,
    scopes: Vec<String>,
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// Makes a key. Nobody gives one what they may not do themselves, and no key makes one that outlives it.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<Wanted>,
) -> Result<Response, ApiError> {
    let mut errors = Vec::new();
    let mut scopes: Vec<Scope> = Vec::new();
    for word in &wanted.scopes {
        match word.parse() {
            Ok(scope) => scopes.push(scope),
            Err(message) => errors.push(FieldError::invalid("scopes", message)),
        }
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    scopes.sort_unstable();
    scopes.dedup();
    if let Some(beyond) = scopes.iter().find(|scope| !caller.may_give(**scope)) {
        let told =
            format!("you can not give a key the scope {}: you do not have it yourself", beyond.as_str());
        return Err(ApiError::new(FORBIDDEN, told));
    }
    if let Some(end) = caller.ends_at()
        && wanted.expires_at.is_none_or(|wanted| wanted > end)
    {
        let told = format!("this key ends at {end}; one that it makes ends then or earlier: set expires_at");
        return Err(ApiError::new(FORBIDDEN, told));
    }
    let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let new = NewKey { name: &wanted.name, scopes: &words, expires_at: wanted.expires_at };
    let secret = secrets::api_key();
    let made = app.store.make_key(&caller.act(), &new, &secret).await?;
    let mut value = told(&made, app.store.now());
    value["key"] = json!(secret);
    Ok((StatusCode::CREATED, axum::Json(value)).into_response())
}

/// Ends a key at once.
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    if !app.store.revoke_key(&caller.act(), &id).await? {
        return Err(ApiError::not_found("working key"));
    }
    Ok(axum::Json(json!({"id": id, "state": "revoked"})))
}
