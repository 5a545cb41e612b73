//! What the cascade did, and which threshold fits a budget.

use axum::extract::State;
use serde::Deserialize;
use undertone_core::usage::calendar::day_of;

use super::body::Query;
use super::caller::Caller;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::cascade::{Advised, Report, advice, report};
use crate::usage::Days;
use crate::visibility::Eyes;

/// The most tokens of a day, as in the settings.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// Which days are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first of the tenant's days.
    pub from: Option<String>,
    /// The last.
    pub to: Option<String>,
}

/// What share went to the LLM, what that changed and what it cost. Of the contradictions those the caller may see.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<Period>,
) -> Result<axum::Json<Report>, ApiError> {
    let today = day_of(caller.tenant.zone, app.store.now());
    let days = Days::read(period.from.as_deref(), period.to.as_deref(), today)
        .map_err(|told| ApiError::new(INVALID_QUERY, told))?;
    let mut report = report(&app.store, &caller.tenant, days).await?;
    let eyes = Eyes::of(&app.store, &caller).await?;
    let ids: Vec<&str> = report.disagreements.iter().map(|one| one.interaction_id.as_str()).collect();
    let sights = eyes.on_interactions(&app.store, &ids).await?;
    report.disagreements.retain(|one| sights.of(&one.interaction_id).is_open());
    Ok(axum::Json(report))
}

/// For which budget.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Tokens of a day; left out, the cap in the settings.
    daily_tokens: Option<u64>,
}

/// The highest threshold that stays in a budget, and what to expect at others.
pub async fn advise(
    State(app): State<App>,
    caller: Caller,
    Query(budget): Query<Budget>,
) -> Result<axum::Json<Advised>, ApiError> {
    let cap = app.store.module(caller.tenant_id()).await?.settings.daily_token_cap;
    let daily = budget.daily_tokens.or(Some(cap).filter(|cap| *cap > 0)).ok_or_else(|| {
        ApiError::new(INVALID_QUERY, "give daily_tokens: the settings have no daily_token_cap to go by")
    })?;
    if !(1..=MOST_TOKENS).contains(&daily) {
        return Err(ApiError::new(
            INVALID_QUERY,
            format!("daily_tokens is {daily}; it must be 1 to {MOST_TOKENS}"),
        ));
    }
    Ok(axum::Json(advice(&app.store, &caller.tenant, daily).await?))
}
