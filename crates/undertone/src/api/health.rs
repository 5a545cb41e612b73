//! For whoever watches over the service.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;

use super::problem::{ApiError, UNAVAILABLE};
use crate::app::App;
use crate::telemetry;

/// The process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// The process can do its work: the database answers and has this program's tables, and it is not about to end.
pub async fn ready(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    if *app.ending.borrow() {
        return Err(ApiError::new(UNAVAILABLE, "the service is ending"));
    }
    app.store.ping().await?;
    if !app.store.pending_migrations().await?.is_empty() {
        return Err(ApiError::new(UNAVAILABLE, "the database lacks migrations; run: undertone migrate"));
    }
    Ok(axum::Json(
        json!({"status": "ready", "database": app.store.engine(), "version": env!("CARGO_PKG_VERSION")}),
    ))
}

/// Counters and timings, as Prometheus reads them.
pub async fn metrics() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::rendered_metrics())
}
