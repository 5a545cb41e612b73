//! Activating and deactivating the module, and the ledger of when it was active.

use axum::extract::State;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::ApiError;
use crate::app::App;

/// Whether the module is active, and every period in which it was.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let module = app.store.module(caller.tenant_id()).await?;
    let periods = app.store.module_periods(caller.tenant_id()).await?;
    Ok(axum::Json(
        json!({"module": undertone_store::modules::MODULE, "active": module.active, "periods": periods}),
    ))
}

/// Activates it: what arrives from now on is scored.
pub async fn activate(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    app.store.set_module_active(&caller.act(), true).await?;
    show(State(app), caller).await
}

/// Deactivates it: nothing new is scored; history and pages stay.
pub async fn deactivate(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    app.store.set_module_active(&caller.act(), false).await?;
    show(State(app), caller).await
}
