//! What the first page shows, as JSON.

use axum::extract::State;
use serde::Deserialize;
use undertone_core::overview::Overview;

use super::body::Query;
use super::caller::Caller;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::visibility::{self, Eyes};

/// How far back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Days, today included, 1 to 366. Default 30.
    days: Option<u32>,
}

/// The overview, as far as the caller sees it.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<Period>,
) -> Result<axum::Json<Overview>, ApiError> {
    let days = period.days.unwrap_or(30);
    if !(1..=366).contains(&days) {
        return Err(ApiError::new(INVALID_QUERY, format!("days is {days}; it must be 1 to 366")));
    }
    let eyes = Eyes::of(&app.store, &caller).await?;
    Ok(axum::Json(visibility::overview(&app.store, &caller.tenant, &eyes, days).await?))
}
