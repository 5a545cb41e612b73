//! One's own inbox: what waits for somebody, what one was told, and what one does about it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use chrono_tz::Tz;
use serde::Deserialize;
use undertone_core::Permission;
use undertone_store::alerts::{Alert, AlertState, Move, Wanted};
use undertone_store::notices::{InboxItem, Part};
use undertone_ui::words::EN;
use undertone_ui::{InboxAlert, InboxNote};

use super::status;
use crate::api::caller::{Caller, Person};
use crate::api::inbox::{Ids, place_of};
use crate::api::problem::{ApiError, CONFLICT, INVALID, NOT_FOUND};
use crate::api::{alerts, inbox};
use crate::app::App;
use crate::deliver::Note;
use crate::tell;

/// Alerts of each state on the page.
const ALERTS: u16 = 50;
/// Notices on the page.
const NOTICES: usize = 50;
/// How long an alert is snoozed from here.
const SNOOZE: TimeDelta = TimeDelta::hours(1);

/// Which part of it.
#[derive(Debug, Default, Deserialize)]
pub struct Place {
    /// Notices before this one.
    before: Option<String>,
    /// This alert too, wherever it stands: a notice led here.
    alert: Option<String>,
}

/// The page.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(place): Query<Place>,
) -> Result<Response, ApiError> {
    page(&app, &caller, &place, None).await
}

async fn page(
    app: &App,
    caller: &Caller,
    place: &Place,
    error: Option<&ApiError>,
) -> Result<Response, ApiError> {
    let Person { user, email, csrf } = caller.session()?;
    let (alerts, missing) = waiting(app, caller, (user, place.alert.as_deref())).await?;
    let (preferences, _) = app.store.notification_preferences(caller.tenant_id(), user).await?;
    let zone = preferences.zone.unwrap_or(caller.tenant.zone);
    let ids = Ids::of(app, caller).await?;
    let before = place.before.as_deref().and_then(|id| ids.place(id));
    let wanted = (before.unwrap_or(i64::MAX), NOTICES);
    let (found, next) = inbox::page(app, caller, Part::Before, wanted).await?;
    let older = next.map(|place| ids.id(place));
    let notes: Vec<InboxNote> = found.iter().map(|item| note(item, &ids, zone)).collect();
    let (unread, _) = inbox::unread(app, caller).await?;
    let html = undertone_ui::inbox(&undertone_ui::Inbox {
        tenant: &caller.tenant.name,
        user: (email, csrf),
        error: error.map(|error| error.detail.as_str()).or(missing.then_some(EN.alert_gone)),
        alerts: &alerts,
        may_act: caller.may(Permission::Alerts),
        notes: &notes,
        unread,
        older: older.as_deref(),
    });
    Ok((status(error), Html(html)).into_response())
}

/// The alerts that wait for somebody: open ones, then those that somebody looks after. Before them the one that was asked for; answers as well
/// whether that is one they do not see.
async fn waiting(
    app: &App,
    caller: &Caller,
    (me, asked): (&str, Option<&str>),
) -> Result<(Vec<InboxAlert>, bool), ApiError> {
    let mut shown = Vec::new();
    for state in [AlertState::Open, AlertState::Acknowledged] {
        let wanted = Wanted { state: Some(state), most: ALERTS + 1, ..Wanted::default() };
        shown.extend(alerts::page(app, caller, wanted).await?.0);
    }
    let mut missing = false;
    if let Some(id) = asked.filter(|id| shown.iter().all(|alert| alert.id != **id)) {
        match alerts::one(app, caller, id).await {
            Ok((alert, _)) => shown.insert(0, alert),
            Err(error) if error.code == NOT_FOUND => missing = true,
            Err(error) => return Err(error),
        }
    }
    let customers: Vec<&str> = shown.iter().filter_map(|alert| alert.customer_id.as_deref()).collect();
    let names = app.store.names_of(caller.tenant_id(), &customers).await?;
    let settings = app.store.module(caller.tenant_id()).await?.settings;
    let people = app.store.recipients(caller.tenant_id()).await?;
    let now = app.store.now();
    let view = |alert: Alert| {
        let name = alert.customer_id.as_ref().and_then(|id| names.get(id)).cloned();
        let category = settings.categories.iter().find(|known| known.id.as_str() == alert.category);
        let responsible = alert.assigned_to.as_ref().and_then(|id| people.iter().find(|one| one.id == *id));
        InboxAlert {
            customer: name.unwrap_or_else(|| EN.unknown_customer.to_owned()),
            category: category.map_or_else(|| alert.category.replace('_', " "), |known| known.name.clone()),
            score: alert.score,
            state: alert.state.as_str(),
            responsible: responsible.map(|one| one.name.clone().unwrap_or_else(|| one.email.clone())),
            is_mine: alert.assigned_to.as_deref() == Some(me),
            raised_at: alert.raised_at,
            due_at: alert.due_at,
            is_late: alert.ended_at.is_none() && alert.due_at < now,
            has_ended: alert.ended_at.is_some(),
            version: alert.version,
            id: alert.id,
        }
    };
    Ok((shown.into_iter().map(view).collect(), missing))
}

fn note(item: &InboxItem, ids: &Ids, zone: Tz) -> InboxNote {
    let note = Note::about(&item.event, &item.payload);
    InboxNote {
        id: ids.id(item.position),
        title: note.title,
        text: note.text,
        facts: tell::facts(note.facts, zone),
        at: item.happened_at,
        is_read: item.read_at.is_some(),
    }
}

/// One was read.
pub async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let place = place_of(&app, &caller, &id).await?;
    app.store.read_notice(caller.tenant_id(), caller.person()?, place).await?;
    Ok(Redirect::to("/inbox").into_response())
}

/// Up to which notice.
#[derive(Debug, Deserialize)]
pub struct UpTo {
    up_to: String,
}

/// Everything that was shown was read.
pub async fn read_all(
    State(app): State<App>,
    caller: Caller,
    Form(given): Form<UpTo>,
) -> Result<Response, ApiError> {
    let place = place_of(&app, &caller, &given.up_to).await?;
    app.store.read_notices(caller.tenant_id(), caller.person()?, place).await?;
    Ok(Redirect::to("/inbox").into_response())
}

/// What is done with an alert, of which state.
#[derive(Debug, Deserialize)]
pub struct Act {
    act: String,
    version: i64,
}

/// Does something with an alert.
pub async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Form(given): Form<Act>,
) -> Result<Response, ApiError> {
    let me = caller.person()?.to_owned();
    let what = match given.act.as_str() {
        "acknowledge" => Move::Acknowledge,
        "mine" => Move::Assign(&me),
        "snooze" => Move::Snooze(app.store.now() + SNOOZE),
        "resolve" => Move::Resolve(None),
        _ => return Err(ApiError::new(INVALID, "an alert is acknowledged, assigned, snoozed or resolved")),
    };
    match alerts::act(&app, &caller, &id, Some(given.version), what).await {
        Ok(_) => Ok(Redirect::to("/inbox").into_response()),
        Err(error) if [CONFLICT, INVALID].contains(&error.code) => {
            page(&app, &caller, &Place::default(), Some(&error)).await
        }
        Err(error) if error.code == NOT_FOUND => {
            page(&app, &caller, &Place::default(), Some(&ApiError::new(NOT_FOUND, EN.alert_gone))).await
        }
        Err(error) => Err(error),
    }
}
