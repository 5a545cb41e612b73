//! Alerts and incidents: what is open, who looks after it, and what they do.

use axum::extract::{Path, State};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::visibility::Reason;
use undertone_store::alerts::{Alert, AlertState, MOST_NOTE, Move, Wanted};

use super::body::{Json, OptionalJson, Query, cut};
use super::caller::Caller;
use super::interactions::{cursor_of, place};
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::tell;
use crate::visibility::{self, Eyes};

/// Alerts on a page, unless asked otherwise, and at most.
const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 200;
/// Alerts that are looked at for a page of them, about: whoever may see none of so many is sent on to the next.
const LOOKED_AT: usize = 1000;

/// Which alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    state: Option<AlertState>,
    customer_id: Option<String>,
    incident_id: Option<String>,
    /// A user's id, or `me`.
    assigned_to: Option<String>,
    cursor: Option<String>,
    limit: Option<u16>,
}

/// Alerts, the youngest first. That there is one says as much as a score: whoever may not see the score sees it only if it is theirs.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<axum::Json<Value>, ApiError> {
    let most = which.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    for (name, id) in [
        ("customer_id", &which.customer_id),
        ("incident_id", &which.incident_id),
        ("assigned_to", &which.assigned_to),
    ] {
        if id.as_ref().is_some_and(|id| id.contains('\0')) {
            return Err(ApiError::new(INVALID_QUERY, format!("{name} is an id, which has no NUL")));
        }
    }
    let assigned_to = match which.assigned_to.as_deref() {
        Some("me") => Some(caller.person()?),
        other => other,
    };
    let before = place(which.cursor.as_deref())?;
    let wanted = Wanted {
        state: which.state,
        customer: which.customer_id.as_deref(),
        incident: which.incident_id.as_deref(),
        assigned_to,
        before: before.as_deref(),
        most: most + 1,
    };
    let (alerts, next) = page(&app, &caller, wanted).await?;
    Ok(axum::Json(json!({"alerts": alerts, "next_cursor": next})))
}

/// Those of `wanted` that the caller may see, one less at most, and where the next page begins. It is filled with what they may see as far as
/// [`LOOKED_AT`] reaches: pages with gaps, or a next one with nothing in it, would tell how many alerts there are. Whoever sees no score at all
/// has their own, and nobody else's are looked through for them.
pub async fn page<'a>(
    app: &App,
    caller: &'a Caller,
    mut wanted: Wanted<'a>,
) -> Result<(Vec<Alert>, Option<String>), ApiError> {
    if !Eyes::of(&app.store, caller).await?.see_single() {
        let Ok(me) = caller.person() else { return Ok((Vec::new(), None)) };
        if wanted.assigned_to.is_some_and(|whose| whose != me) {
            return Ok((Vec::new(), None));
        }
        wanted.assigned_to = Some(me);
    }
    let most = usize::from(wanted.most) - 1;
    let (mut seen, mut looked, mut last) = (Vec::new(), 0, None::<String>);
    loop {
        let piece = if looked == 0 { wanted.most } else { LONGEST_PAGE };
        let before = last.as_deref().or(wanted.before);
        let found = app.store.alerts(caller.tenant_id(), &Wanted { before, most: piece, ..wanted }).await?;
        let (count, end) = (found.len(), found.last().map(|alert| alert.id.clone()));
        looked += count;
        seen.extend(shown(app, caller, found).await?);
        if seen.len() > most {
            let next = cut(&mut seen, most, |last| &last.id);
            return Ok((seen, next));
        }
        if count < piece.into() {
            return Ok((seen, None));
        }
        if looked >= LOOKED_AT {
            return Ok((seen, end.as_deref().map(cursor_of)));
        }
        last = end;
    }
}

/// What of these alerts the caller may see.
async fn shown(app: &App, caller: &Caller, alerts: Vec<Alert>) -> Result<Vec<Alert>, ApiError> {
    let me = caller.person().ok();
    let ids: Vec<&str> = alerts.iter().map(|alert| alert.interaction_id.as_str()).collect();
    let sights = Eyes::of(&app.store, caller).await?.on_interactions(&app.store, &ids).await?;
    let one = |alert: Alert| {
        if sights.of(&alert.interaction_id).is_open() {
            return Some(alert);
        }
        let is_mine = me.is_some() && alert.assigned_to.as_deref() == me;
        is_mine.then_some(Alert { score: None, threshold: None, label: None, ..alert })
    };
    Ok(alerts.into_iter().filter_map(one).collect())
}

/// One that the caller may see, with what became of it.
pub async fn one(
    app: &App,
    caller: &Caller,
    id: &str,
) -> Result<(Alert, Vec<undertone_store::alerts::Step>), ApiError> {
    let missing = || ApiError::not_found("alert");
    let (alert, steps) = app.store.alert(caller.tenant_id(), id).await?.ok_or_else(missing)?;
    let alert = shown(app, caller, vec![alert]).await?.pop().ok_or_else(missing)?;
    Ok((alert, steps))
}

/// One alert with what became of it.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let (alert, steps) = one(&app, &caller, &id).await?;
    let mut answer = json!(alert);
    answer["steps"] = json!(steps);
    Ok(axum::Json(answer))
}

/// What is sent along with what one does. All of it may be left out where it is not needed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The state of the alert that was seen.
    version: Option<i64>,
    /// Who is responsible.
    user: Option<String>,
    /// Until when it is quiet.
    until: Option<String>,
    /// Why it is done with.
    note: Option<String>,
}

/// They saw it and look after it.
pub async fn acknowledge(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    OptionalJson(said): OptionalJson<Said>,
) -> Result<axum::Json<Alert>, ApiError> {
    act(&app, &caller, &id, said.version, Move::Acknowledge).await
}

/// Somebody is responsible for it from now on. `warnings` says where they hear nothing of it.
pub async fn assign(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(said): Json<Said>,
) -> Result<axum::Json<Value>, ApiError> {
    let user = said
        .user
        .as_deref()
        .filter(|user| !user.contains('\0'))
        .ok_or_else(|| ApiError::invalid_field("user", "name the user who is responsible, by id"))?;
    let axum::Json(alert) = act(&app, &caller, &id, said.version, Move::Assign(user)).await?;
    let is_me = caller.person().is_ok_and(|me| me == user);
    let deaf =
        if is_me { None } else { tell::hears_of_no_assignment(&app.store, caller.tenant_id(), user).await? };
    let warnings: Vec<Value> =
        deaf.into_iter().map(|message| json!({"field": "user", "message": message})).collect();
    let mut answer = json!(alert);
    answer["warnings"] = json!(warnings);
    Ok(axum::Json(answer))
}

/// It is quiet until a moment, and tells again if the customer is still low then.
pub async fn snooze(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(said): Json<Said>,
) -> Result<axum::Json<Alert>, ApiError> {
    let until = said.until.as_deref().and_then(|until| DateTime::parse_from_rfc3339(until).ok());
    let until = until
        .ok_or_else(|| ApiError::invalid_field("until", "say until when, such as 2026-11-30T09:00:00Z"))?;
    act(&app, &caller, &id, said.version, Move::Snooze(until.to_utc())).await
}

/// It is done with.
pub async fn resolve(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    OptionalJson(said): OptionalJson<Said>,
) -> Result<axum::Json<Alert>, ApiError> {
    if said.note.as_ref().is_some_and(|note| note.chars().count() > MOST_NOTE || note.contains('\0')) {
        let told = format!("it has at most {MOST_NOTE} characters and no NUL");
        return Err(ApiError::invalid_field("note", told));
    }
    act(&app, &caller, &id, said.version, Move::Resolve(said.note.as_deref())).await
}

pub async fn act(
    app: &App,
    caller: &Caller,
    id: &str,
    version: Option<i64>,
    what: Move<'_>,
) -> Result<axum::Json<Alert>, ApiError> {
    one(app, caller, id).await?;
    let after = app.store.move_alert(&caller.act(), (id, version), what).await?;
    let after = after.ok_or_else(|| ApiError::not_found("alert"))?;
    // Assigned to somebody else, it may be out of sight now; what was done is told all the same.
    let shown = shown(app, caller, vec![after.clone()]).await?.pop();
    Ok(axum::Json(shown.unwrap_or(Alert { score: None, threshold: None, label: None, ..after })))
}

/// Which incidents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    cursor: Option<String>,
    limit: Option<u16>,
}

/// Why the caller sees no incident; `None` where they see them all. Many customers who turn low at once are a group that is told as it
/// happens, so that it is for who sees each score.
async fn hidden(app: &App, caller: &Caller) -> Result<Option<Reason>, ApiError> {
    let eyes = Eyes::of(&app.store, caller).await?;
    Ok(if eyes.sees_incidents() { None } else { eyes.reserve() })
}

/// Whoever sees no incident guesses no id either.
async fn may_see_incidents(app: &App, caller: &Caller) -> Result<(), ApiError> {
    hidden(app, caller).await?.map_or(Ok(()), |_| Err(ApiError::not_found("incident")))
}

/// Incidents, the youngest first; none for whoever does not see each score, with the reason.
pub async fn incidents(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, ApiError> {
    let most = page.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let before = place(page.cursor.as_deref())?;
    if let Some(reason) = hidden(&app, &caller).await? {
        let hidden = visibility::why(reason);
        return Ok(axum::Json(json!({"incidents": [], "next_cursor": null, "hidden": hidden})));
    }
    let mut found = app.store.incidents(caller.tenant_id(), before.as_deref(), most + 1).await?;
    let next = cut(&mut found, most.into(), |last| &last.id);
    Ok(axum::Json(json!({"incidents": found, "next_cursor": next, "hidden": null})))
}

/// One incident with its alerts, the youngest first: those that people were told of before it was seen, and those that it holds or held.
pub async fn incident(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, ApiError> {
    may_see_incidents(&app, &caller).await?;
    let most = page.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let before = place(page.cursor.as_deref())?;
    let found =
        app.store.incident(caller.tenant_id(), &id).await?.ok_or_else(|| ApiError::not_found("incident"))?;
    let wanted =
        Wanted { incident: Some(&id), before: before.as_deref(), most: most + 1, ..Wanted::default() };
    let mut members = app.store.alerts(caller.tenant_id(), &wanted).await?;
    let next = cut(&mut members, most.into(), |last| &last.id);
    let mut answer = json!(found);
    answer["alerts"] = json!(shown(&app, &caller, members).await?);
    answer["next_cursor"] = json!(next);
    Ok(axum::Json(answer))
}

/// Ends an incident before the clock does: what it holds is let go.
pub async fn close_incident(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    may_see_incidents(&app, &caller).await?;
    let closed = app.store.close_incident(&caller.act(), &id).await?;
    Ok(axum::Json(json!(closed.ok_or_else(|| ApiError::not_found("incident"))?)))
}
