//! One's own inbox: what waits for somebody, what one was told, and what one does about it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use undertone_core::Permission;
use undertone_store::alerts::{Alert, AlertState, Move, Wanted};
use undertone_store::notices::{InboxItem, Part};
use undertone_ui::words::EN;
use undertone_ui::{InboxAlert, InboxNote};

use super::status;
use crate::api::caller::{Caller, Person};
use crate::api::problem::{ApiError, CONFLICT, INVALID, NOT_FOUND};
use crate::api::{alerts, inbox};
use crate::app::App;
use crate::deliver::Note;

/// Alerts of each state on the page.
const ALERTS: u16 = 50;
/// Notices on the page.
const NOTICES: u16 = 50;
/// How long an alert is snoozed from here.
const SNOOZE: TimeDelta = TimeDelta::hours(1);

/// Which page of the notices.
#[derive(Debug, Deserialize)]
pub struct Place {
    before: Option<i64>,
}

/// The page.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(place): Query<Place>,
) -> Result<Response, ApiError> {
    page(&app, &caller, place.before, None).await
}

async fn page(
    app: &App,
    caller: &Caller,
    before: Option<i64>,
    error: Option<&ApiError>,
) -> Result<Response, ApiError> {
    let Person { user, email, csrf } = caller.session()?;
    let part = Part::Before(before.unwrap_or(i64::MAX));
    let found = app.store.inbox(caller.tenant_id(), user, part, NOTICES).await?;
    let older = found.last().filter(|_| found.len() == usize::from(NOTICES)).map(|last| last.position);
    let notes: Vec<InboxNote> = inbox::shown(app, caller, found).await?.iter().map(note).collect();
    let (unread, _) = inbox::unread(app, caller).await?;
    let alerts = waiting(app, caller, user).await?;
    let html = undertone_ui::inbox(&undertone_ui::Inbox {
        tenant: &caller.tenant.name,
        user: (email, csrf),
        error: error.map(|error| error.detail.as_str()),
        alerts: &alerts,
        may_act: caller.may(Permission::Alerts),
        notes: &notes,
        unread,
        older,
    });
    Ok((status(error), Html(html)).into_response())
}

/// The alerts that wait for somebody: open ones, then those that somebody looks after.
async fn waiting(app: &App, caller: &Caller, me: &str) -> Result<Vec<InboxAlert>, ApiError> {
    let mut found = Vec::new();
    for state in [AlertState::Open, AlertState::Acknowledged] {
        let wanted = Wanted { state: Some(state), most: ALERTS, ..Wanted::default() };
        found.extend(app.store.alerts(caller.tenant_id(), &wanted).await?);
    }
    let shown = alerts::shown(app, caller, found).await?;
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
            is_late: alert.due_at < now,
            version: alert.version,
            id: alert.id,
        }
    };
    Ok(shown.into_iter().map(view).collect())
}

fn note(item: &InboxItem) -> InboxNote {
    let note = Note::about(&item.event, &item.payload);
    InboxNote {
        id: item.position,
        title: note.title,
        text: note.text,
        facts: note.facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        at: item.happened_at,
        is_read: item.read_at.is_some(),
    }
}

/// One was read.
pub async fn read(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.store.read_notice(caller.tenant_id(), caller.person()?, id).await?;
    Ok(Redirect::to("/inbox").into_response())
}

/// Up to which notice.
#[derive(Debug, Deserialize)]
pub struct UpTo {
    up_to: i64,
}

/// Everything that was shown was read.
pub async fn read_all(
    State(app): State<App>,
    caller: Caller,
    Form(given): Form<UpTo>,
) -> Result<Response, ApiError> {
    app.store.read_notices(caller.tenant_id(), caller.person()?, given.up_to).await?;
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
            page(&app, &caller, None, Some(&error)).await
        }
        Err(error) if error.code == NOT_FOUND => {
            page(&app, &caller, None, Some(&ApiError::new(NOT_FOUND, EN.alert_gone))).await
        }
        Err(error) => Err(error),
    }
}
