//! Events in their order, for those who can not be called: pages, or a stream that takes up where it broke off.

mod catalogue;
pub(super) mod cursor;
mod live;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use undertone_core::event::{EventKind, Wanted};
use undertone_store::outbox::{Following, Told};

use super::body::Query;
use super::caller::Caller;
use super::problem::{ApiError, GONE, INVALID_QUERY};
use crate::app::App;
use crate::visibility;

pub use catalogue::show as catalogue;
use cursor::Places;

/// Events on a page, unless asked otherwise, and at most.
const PAGE: u16 = 100;
const LONGEST_PAGE: u16 = 500;

/// Events read at once.
const AT_ONCE: u16 = 500;
/// Events of [`ANYWAY`] that one look goes over at most.
const STRETCH: u16 = 1000;
/// What happens whatever customers feel, and is told to everybody who reads: how far a look goes is measured by these. One that a reader does not
/// see is not counted, or where a page ends would tell of it.
const ANYWAY: [EventKind; 5] = [
    EventKind::SentimentScored,
    EventKind::CustomerErased,
    EventKind::ModuleActivated,
    EventKind::ModuleDeactivated,
    EventKind::Test,
];

/// What is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    after: Option<String>,
    types: Option<String>,
    limit: Option<u16>,
}

/// A page, or the stream.
pub async fn follow(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_stream = text(header::ACCEPT).is_some_and(|accepted: &str| accepted.contains("text/event-stream"));
    let kinds = kinds(asked.types.as_deref())?;
    let places = Places::of(app.store.event_sequence(caller.tenant_id()).await?);
    // A browser that comes back names the last event it heard of, and asks for the address as it was.
    let heard = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let after = match heard.or(asked.after.as_deref()) {
        Some(cursor) => Some(begin(&places, cursor)?),
        None => None,
    };
    let most = asked.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    if is_stream {
        let after = after.unwrap_or(places.last());
        return Ok(live::stream(app, caller, kinds, (after, places.cursor(after))).into_response());
    }
    // What is not kept any more is not walked over: nobody finds anything there.
    let after = after.unwrap_or(places.removed());
    let seen = seen(&app, &caller, kinds.as_deref(), (after, most)).await?;
    let Seen { events, to, more } = seen.unwrap_or(Seen { events: Vec::new(), to: after, more: false });
    let events: Vec<Told> = events.into_iter().map(|(told, _)| told).collect();
    Ok(axum::Json(json!({"events": events, "next": places.cursor(to), "more": more})).into_response())
}

/// Events that somebody sees.
struct Seen {
    /// Each with the place before the next one that they see: whoever goes on there misses nothing.
    events: Vec<(Told, i64)>,
    /// The place up to which they have seen everything.
    to: i64,
    /// There is more behind it.
    more: bool,
}

/// What of the events behind a place the caller sees, at most so many; `None` where they may not look at all any more. How many there are, where they
/// end and whether there is more hangs on nothing that they do not see: an empty page would tell that there was something, and so which text was
/// a bad one.
async fn seen(
    app: &App,
    caller: &Caller,
    kinds: Option<&[EventKind]>,
    (after, most): (i64, u16),
) -> Result<Option<Seen>, ApiError> {
    let (tenant, most) = (caller.tenant_id(), usize::from(most));
    if caller.viewer(&app.store).await?.role.is_none() {
        return Ok(None);
    }
    let stretch = app.store.events_stretch(tenant, after, &ANYWAY, STRETCH).await?;
    let following = Following { kinds, most: AT_ONCE };
    let (mut found, mut place) = (Vec::new(), after);
    while place < stretch.to && found.len() <= most {
        let (events, looked_to) = app.store.events_after(tenant, place, &following).await?;
        let Some(shown) = shown(app, caller, events).await? else { return Ok(None) };
        found.extend(shown.into_iter().filter(|told| told.position <= stretch.to));
        place = looked_to.max(place + 1);
    }
    let next = found.get(most).map(|told| told.position - 1);
    found.truncate(most);
    let to = next.unwrap_or(stretch.to);
    let ends: Vec<i64> = found.iter().skip(1).map(|told| told.position - 1).chain([to]).collect();
    let more = next.is_some() || stretch.more;
    Ok(Some(Seen { events: found.into_iter().zip(ends).collect(), to, more }))
}

/// The place that a cursor stands for, if everything behind it is still there.
fn begin(places: &Places, cursor: &str) -> Result<i64, ApiError> {
    let wrong = "`after` is no cursor of this tenant's events; give `next` of a page, the `id` of an event in the stream, or leave it out";
    let place = places.place(cursor).ok_or_else(|| ApiError::new(INVALID_QUERY, wrong))?;
    if place < places.removed() {
        let told = "some of what followed is more than seven days old and not kept any more; begin anew without `after`";
        return Err(ApiError::new(GONE, told));
    }
    Ok(place)
}

/// The events that are asked for; `None`: all.
fn kinds(types: Option<&str>) -> Result<Option<Vec<EventKind>>, ApiError> {
    let Some(types) = types else { return Ok(None) };
    let patterns =
        types.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let wanted =
        Wanted::new(patterns).map_err(|why| ApiError::new(INVALID_QUERY, format!("types: {why}")))?;
    Ok(Some(EventKind::ALL.iter().copied().filter(|kind| wanted.has(*kind)).collect()))
}

/// What of these events the caller may see at this moment; `None` where they may not look at all any more.
async fn shown(app: &App, caller: &Caller, events: Vec<Told>) -> Result<Option<Vec<Told>>, ApiError> {
    let viewer = caller.viewer(&app.store).await?;
    if viewer.role.is_none() {
        return Ok(None);
    }
    let asked: Vec<_> = events.iter().map(|told| (told.event.as_str(), &told.payload)).collect();
    let seen = visibility::payloads(&app.store, caller.tenant_id(), viewer, &asked).await?;
    let shown = events.into_iter().zip(seen).filter_map(|(told, seen)| Some(Told { payload: seen?, ..told }));
    Ok(Some(shown.collect()))
}
