//! For whoever watches over the service.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use serde_json::json;

use super::problem::{ApiError, UNAUTHENTICATED, UNAVAILABLE};
use super::secrets::equal;
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

/// Counters and timings, as Prometheus reads them: for who brings the token that the operator chose. They are of all tenants, and tell as it happens
/// that a text was a bad one.
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, ApiError> {
    let refused = |told| Err(ApiError::new(UNAUTHENTICATED, told));
    let Some(token) = &app.metrics_token else {
        return refused(
            "nobody reads this: the operator sets UNDERTONE_METRICS_TOKEN or metrics_token_file first",
        );
    };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !equal(shown.trim(), token.expose()) {
        return refused("send the operator's token for this (metrics_token_file) as Authorization: Bearer");
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::rendered_metrics()))
}
