//! What LLMs took and cost, what is left of the budget, and the ledger of calls.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::usage::calendar::day_of;
use undertone_core::usage::sums::Group;
use undertone_store::budget::Caps;

use super::body::{Query, limited};
use super::caller::Caller;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::usage::{Days, Report, Standing};

/// Calls in an answer, where nothing is said.
const CALLS: u16 = 50;
/// Calls in an answer at most.
const MOST_CALLS: u16 = 200;

/// What of the use is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The first of the tenant's days.
    from: Option<String>,
    /// The last.
    to: Option<String>,
    /// By what it is broken down; by day where nothing is said.
    group: Option<Group>,
}

/// Tokens and cost.
pub async fn usage(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<Report>, ApiError> {
    let tenant = &caller.tenant;
    let today = day_of(tenant.zone, app.store.now());
    let days = Days::read(asked.from.as_deref(), asked.to.as_deref(), today)
        .map_err(|told| ApiError::new(INVALID_QUERY, told))?;
    let group = asked.group.unwrap_or(Group::Day);
    let report = app.store.ai_usage(tenant, days.from, days.to, group).await?;
    let cascade = app.store.cascade_report(tenant.id, days.from, days.to).await?.total;
    Ok(axum::Json(Report::of(tenant, report, cascade)))
}

/// What of the day's and the month's budget is used.
pub async fn budget(State(app): State<App>, caller: Caller) -> Result<axum::Json<Standing>, ApiError> {
    let (tenant, at) = (&caller.tenant, app.store.now());
    let caps = Caps::of(&app.store.module(tenant.id).await?.settings);
    let budget = app.store.budget_at(tenant, at).await?;
    Ok(axum::Json(Standing::of(tenant, &caps, &budget, at)))
}

/// Which calls are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Those before the call of this id.
    before: Option<String>,
    /// At most so many.
    limit: Option<u16>,
}

/// The ledger of calls, the latest first.
pub async fn calls(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(page.limit, CALLS, MOST_CALLS)?;
    if page.before.as_ref().is_some_and(|id| id.len() > 64 || id.contains('\0')) {
        return Err(ApiError::new(INVALID_QUERY, "before is the id of a call, as next_before tells it"));
    }
    // One more tells whether there are more.
    let mut calls = app.store.calls(caller.tenant_id(), page.before.as_deref(), limit + 1).await?;
    let more = calls.len() > usize::from(limit);
    calls.truncate(limit.into());
    let next = calls.last().filter(|_| more).map(|call| call.id.clone());
    Ok(axum::Json(json!({"items": calls, "next_before": next})))
}
