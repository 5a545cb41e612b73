//! One's own inbox: what one was told, as one may see it now; and a stream of what comes, which takes up where it broke off.

mod live;

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_store::StoreError;
use undertone_store::notices::{InboxItem, Part};

use super::body::{Json, Query};
use super::caller::{By, Caller};
use super::events::cursor::Places;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::deliver::Note;
use crate::tell;

pub use live::follow;

/// Notices on a page, unless asked otherwise, and at most.
const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 200;
/// Nobody counts further.
const MOST_UNREAD: usize = 100;
/// So many are looked through for one page at most.
const LOOKED_AT: usize = 1000;

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

/// The ids of one person's notices. They stand for places in the tenant's order of events, and say nothing of it: how many events lie between
/// two would tell, right after a verdict, that it was a bad one.
#[derive(Debug, Clone)]
pub struct Ids {
    places: Places,
    person: String,
}

impl Ids {
    /// Those of the caller, who is a person.
    pub async fn of(app: &App, caller: &Caller) -> Result<Self, ApiError> {
        let sequence = app.store.event_sequence(caller.tenant_id()).await?;
        Ok(Self { places: Places::of(sequence), person: caller.person()?.to_owned() })
    }

    /// The id of the notice at a place.
    pub fn id(&self, place: i64) -> String {
        self.places.lasting(&self.person, place)
    }

    /// The place that an id stands for.
    pub fn place(&self, id: &str) -> Option<i64> {
        self.places.place(id)
    }
}

/// The place of a notice in the caller's inbox.
pub async fn place_of(app: &App, caller: &Caller, id: &str) -> Result<i64, ApiError> {
    Ids::of(app, caller).await?.place(id).ok_or_else(|| ApiError::not_found("notice"))
}

/// Notices, the youngest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<axum::Json<Value>, ApiError> {
    let wrong = || ApiError::new(INVALID_QUERY, "`before` is no place in an inbox; give `next` of a page");
    let ids = Ids::of(&app, &caller).await?;
    let before = which.before.as_deref().map_or(Some(i64::MAX), |id| ids.place(id)).ok_or_else(wrong)?;
    let most = which.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let part = if which.unread == Some(true) { Part::Unread } else { Part::Before };
    let (shown, next) = page(&app, &caller, part, (before, most.into())).await?;
    let next = next.map(|place| ids.id(place));
    let (unread, more) = unread(&app, &caller).await?;
    let notices: Vec<Value> = shown.iter().map(|item| told(item, &ids)).collect();
    Ok(axum::Json(json!({"notices": notices, "next": next, "unread": unread, "more_unread": more})))
}

/// Those before a place, or the unread ones, that the caller may see now, at most so many, and the place before which the next page begins. It is filled
/// with what they may see as far as [`LOOKED_AT`] reaches: gaps, or a next page with nothing in it, would tell that something happened.
pub async fn page(
    app: &App,
    caller: &Caller,
    part: impl Fn(i64) -> Part,
    (mut before, most): (i64, usize),
) -> Result<(Vec<InboxItem>, Option<i64>), ApiError> {
    let (mut seen, mut looked) = (Vec::new(), 0);
    loop {
        let found = app.store.inbox(caller.tenant_id(), caller.person()?, part(before), LONGEST_PAGE).await?;
        let (count, end) = (found.len(), found.last().map(|last| last.position));
        looked += count;
        seen.extend(shown(app, caller, found).await?);
        if seen.len() > most {
            seen.truncate(most);
            let next = seen.last().map(|last| last.position);
            return Ok((seen, next));
        }
        let Some(end) = end.filter(|_| count == usize::from(LONGEST_PAGE)) else { return Ok((seen, None)) };
        if looked >= LOOKED_AT {
            return Ok((seen, Some(end)));
        }
        before = end;
    }
}

/// What of these the caller may see now, with what they may see of it.
async fn shown(app: &App, caller: &Caller, items: Vec<InboxItem>) -> Result<Vec<InboxItem>, StoreError> {
    let By::Session { user, .. } = &caller.by else { return Ok(Vec::new()) };
    let asked = items.iter().map(|item| (item.event.as_str(), &item.payload)).collect();
    let seen = tell::seen_by(&app.store, caller.tenant_id(), user, asked).await?;
    let with = |(item, payload): (InboxItem, Option<Value>)| Some(InboxItem { payload: payload?, ..item });
    Ok(items.into_iter().zip(seen).filter_map(with).collect())
}

/// A notice as it is told.
fn told(item: &InboxItem, ids: &Ids) -> Value {
    let note = Note::about(&item.event, &item.payload);
    json!({
        "id": ids.id(item.position),
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
    let (found, next) = page(app, caller, Part::Unread, (i64::MAX, MOST_UNREAD)).await?;
    Ok((found.len(), next.is_some()))
}

/// One was read.
pub async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let place = place_of(&app, &caller, &id).await?;
    if !app.store.read_notice(caller.tenant_id(), caller.person()?, place).await? {
        return Err(ApiError::not_found("notice"));
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
    let place = place_of(&app, &caller, &given.up_to).await?;
    let (seen, _) = page(&app, &caller, Part::Unread, (place.saturating_add(1), LOOKED_AT)).await?;
    app.store.read_notices(caller.tenant_id(), caller.person()?, place).await?;
    // Those that they do not see are read as well, and not counted.
    let read = seen.len();
    let (unread, more) = unread(&app, &caller).await?;
    Ok(axum::Json(json!({"read": read, "unread": unread, "more_unread": more})))
}
