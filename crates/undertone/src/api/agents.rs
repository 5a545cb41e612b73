//! The numbers of agents: switching them on with a reason, and looking at them, which is always recorded. What they are is said in
//! `docs/decisions/0021`.

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::agents::{TERMS, TERMS_VERSION};
use undertone_store::agents::NewSwitch;

use super::body::{Json, Query, limited};
use super::caller::{By, Caller};
use super::problem::{ApiError, FORBIDDEN, FieldError, INVALID_QUERY};
use crate::agents::{MOST_DAYS, Numbers, Window};
use crate::app::App;

/// Agents in an answer, where nothing is said.
const AGENTS: u16 = 100;
/// Agents in an answer at most.
const MOST_AGENTS: u16 = 500;
/// A reason has so many characters.
const REASON: std::ops::RangeInclusive<usize> = 20..=2000;

/// Which numbers are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Over the last so many of the tenant's days.
    days: Option<u16>,
    /// Agents after this one, by the source's id.
    after: Option<String>,
    /// At most so many.
    limit: Option<u16>,
}

/// The same for one agent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedOfOne {
    days: Option<u16>,
}

/// How they are to be switched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    on: Option<bool>,
    reason: Option<String>,
    acknowledged: Option<String>,
}

/// Whether the numbers are on, why, and what switching them on takes. Everybody who may read may know.
pub async fn show_switch(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let switch = app.store.agent_numbers(caller.tenant_id()).await?;
    Ok(axum::Json(json!({
        "on": switch.on,
        "complete": switch.complete,
        "reason": switch.reason,
        "acknowledged": switch.acknowledged,
        "switched_by": switch.by,
        "switched_at": switch.at,
        "terms": {"version": TERMS_VERSION, "text": TERMS},
    })))
}

/// Switches them on or off. Only a person switches on: somebody has to answer for it.
pub async fn switch(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<Wanted>,
) -> Result<axum::Json<Value>, ApiError> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, message: String| {
        errors.push(FieldError::invalid(field, message));
    };
    let reason = wanted.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    if wanted.on.is_none() {
        wrong("on", "on must be there: true or false".to_owned());
    }
    let length = reason.map(|reason| reason.chars().count());
    let (least, most) = (REASON.start(), REASON.end());
    if length.is_some_and(|length| length > *most)
        || (wanted.on == Some(true) && length.is_none_or(|length| length < *least))
    {
        wrong(
            "reason",
            format!("reason must say in {least} to {most} characters why the numbers are switched on"),
        );
    }
    if wanted.on == Some(true) && wanted.acknowledged.as_deref() != Some(TERMS_VERSION) {
        let told = format!(
            "acknowledged must be \"{TERMS_VERSION}\", the version of the terms that GET on this address shows"
        );
        wrong("acknowledged", told);
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let on = wanted.on.unwrap_or_default();
    if on && matches!(caller.by, By::Key(_)) {
        let told = "a person has to switch the numbers on, as somebody has to answer for it; log in";
        return Err(ApiError::new(FORBIDDEN, told));
    }
    let acknowledged = wanted.acknowledged.as_deref().filter(|_| on);
    app.store.switch_agent_numbers(&caller.act(), &NewSwitch { on, reason, acknowledged }).await?;
    show_switch(State(app), caller).await
}

/// The numbers of the agents that the caller may see, by the source's ids.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(asked.limit, AGENTS, MOST_AGENTS)?;
    let numbers = Numbers::read(&app, &caller, asked.days).await?;
    let after = asked.after.as_deref().unwrap_or_default();
    let mut mine: Vec<_> =
        numbers.of_mine().into_iter().filter(|one| one.agent.external_id.as_str() > after).collect();
    let (mut too_few, mut hidden) = (0, 0);
    mine.retain(|one| {
        too_few += u32::from(one.is_too_few());
        hidden += u32::from(one.is_hidden());
        !one.is_too_few() && !one.is_hidden()
    });
    let more = mine.len() > usize::from(limit);
    mine.truncate(limit.into());
    numbers.note(&app, &caller, mine.iter().map(|one| one.agent.id.as_str())).await?;
    let next = mine.last().filter(|_| more).map(|one| one.agent.external_id.clone());
    let mut told = numbers.told();
    told["too_few"] = json!(too_few);
    told["hidden"] = json!(hidden);
    told["items"] = mine.iter().map(|one| numbers.told_of(one)).collect();
    told["next_after"] = json!(next);
    Ok(axum::Json(told))
}

/// The numbers of one agent.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<AskedOfOne>,
) -> Result<axum::Json<Value>, ApiError> {
    let numbers = Numbers::read(&app, &caller, asked.days).await?;
    let agent = app.store.agent_by_external_id(caller.tenant_id(), &id).await?;
    let agent = agent.filter(|agent| numbers.leads(agent)).ok_or_else(|| ApiError::not_found("agent"))?;
    numbers.note(&app, &caller, [agent.id.as_str()].into_iter()).await?;
    Ok(axum::Json(numbers.told_of_one(&agent)))
}

/// The numbers of the agent that the caller is.
pub async fn mine(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<AskedOfOne>,
) -> Result<axum::Json<Value>, ApiError> {
    let numbers = Numbers::read(&app, &caller, asked.days).await?;
    let id = numbers.own_id().map(str::to_owned).unwrap_or_default();
    let agent = app.store.agents(caller.tenant_id(), &[&id]).await?.into_iter().next().ok_or_else(|| {
        let told = "you are no agent: an administrator links your user to one";
        ApiError { detail: told.to_owned(), ..ApiError::not_found("agent") }
    })?;
    numbers.note(&app, &caller, [agent.id.as_str()].into_iter()).await?;
    Ok(axum::Json(numbers.told_of_one(&agent)))
}

/// Days as they may be asked for.
pub(crate) fn wrong_days(days: u16) -> ApiError {
    let least = Window::LEAST;
    ApiError::new(INVALID_QUERY, format!("days is {days}; it must be {least} to {MOST_DAYS}"))
}
