//! One's own inbox: what one was told, as one may see it now; and a stream of what comes, which takes up where it broke off.

mod live;

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_store::StoreError;
use undertone_store::notices::{InboxItem, Part};

use super::body::{Json, Query};
use super::caller::{By, Caller};
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::deliver::Note;
use crate::tell;

pub use live::follow;

/// Notices on a page, unless asked otherwise, and at most.
const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 200;
/// Nobody counts further.
pub const MOST_UNREAD: u16 = 100;

/// Which notices.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Those before this one.
    before: Option<String>,
    /// Those that were not read, only.
    unread: Option<bool>,
    limit: Option<u16>,
}

/// A place as it is given.
fn place(text: &str) -> Option<i64> {
    text.parse().ok().filter(|place| *place >= 0)
}

/// Notices, the youngest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<axum::Json<Value>, ApiError> {
    let wrong = || ApiError::new(INVALID_QUERY, "`before` is no place in an inbox; give `next` of a page");
    let before = which.before.as_deref().map_or(Some(i64::MAX), place).ok_or_else(wrong)?;
    let most = which.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let part = if which.unread == Some(true) { Part::Unread(before) } else { Part::Before(before) };
    let found = app.store.inbox(caller.tenant_id(), caller.person()?, part, most).await?;
    let next =
        found.last().filter(|_| found.len() == usize::from(most)).map(|last| last.position.to_string());
    let shown = shown(&app, &caller, found).await?;
    let (unread, more) = unread(&app, &caller).await?;
    let notices: Vec<Value> = shown.iter().map(told).collect();
    Ok(axum::Json(json!({"notices": notices, "next": next, "unread": unread, "more_unread": more})))
}

/// What of these the caller may see now, with what they may see of it.
pub async fn shown(app: &App, caller: &Caller, items: Vec<InboxItem>) -> Result<Vec<InboxItem>, StoreError> {
    let By::Session { user, .. } = &caller.by else { return Ok(Vec::new()) };
    let asked = items.iter().map(|item| (item.event.as_str(), &item.payload)).collect();
    let seen = tell::seen_by(&app.store, caller.tenant_id(), user, asked).await?;
    let with = |(item, payload): (InboxItem, Option<Value>)| Some(InboxItem { payload: payload?, ..item });
    Ok(items.into_iter().zip(seen).filter_map(with).collect())
}

/// A notice as it is told.
fn told(item: &InboxItem) -> Value {
    let note = Note::about(&item.event, &item.payload);
    json!({
        "id": item.position.to_string(),
        "event_id": item.event_id,
        "type": item.event,
        "category": item.category,
        "title": note.title,
        "link": tell::place(&item.payload),
        "data": item.payload,
        "happened_at": item.happened_at,
        "read_at": item.read_at,
    })
}

/// How many notices are unread that the caller may see, up to [`MOST_UNREAD`], and whether there are more.
pub async fn unread(app: &App, caller: &Caller) -> Result<(usize, bool), ApiError> {
    let part = Part::Unread(i64::MAX);
    let found = app.store.inbox(caller.tenant_id(), caller.person()?, part, MOST_UNREAD).await?;
    let more = found.len() == usize::from(MOST_UNREAD);
    Ok((shown(app, caller, found).await?.len(), more))
}

/// One was read.
pub async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let missing = || ApiError::not_found("notice");
    let place = place(&id).ok_or_else(missing)?;
    if !app.store.read_notice(caller.tenant_id(), caller.person()?, place).await? {
        return Err(missing());
    }
    let (unread, more) = unread(&app, &caller).await?;
    Ok(axum::Json(json!({"unread": unread, "more_unread": more})))
}

/// Up to which notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpTo {
    /// The youngest notice that was seen; what came after it stays unread.
    up_to: String,
}

/// All were read that were there to be seen.
pub async fn read_all(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<UpTo>,
) -> Result<axum::Json<Value>, ApiError> {
    let place = place(&given.up_to).ok_or_else(|| ApiError::not_found("notice"))?;
    let read = app.store.read_notices(caller.tenant_id(), caller.person()?, place).await?;
    let (unread, more) = unread(&app, &caller).await?;
    Ok(axum::Json(json!({"read": read, "unread": unread, "more_unread": more})))
}
