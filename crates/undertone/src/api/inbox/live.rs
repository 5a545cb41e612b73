//! The stream of an inbox: each notice as it comes, under its place, and how many are unread whenever that changes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures::{Stream, StreamExt};
use serde_json::json;
use tokio::sync::watch;
use undertone_store::notices::Part;

use super::{Ids, shown, told, unread};
use crate::api::caller::Caller;
use crate::api::live::{self, Follow, Looked};
use crate::api::problem::ApiError;
use crate::app::App;

/// Notices read in one go.
const AT_ONCE: u16 = 50;

/// Notices as they come. A browser that comes back names the last one it heard of. The place is told first, as an id alone: whoever heard of
/// none comes back to where they began. It looks like another each time: the same twice would tell that nothing happened to anybody.
pub async fn follow(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let ids = Ids::of(&app, &caller).await?;
    let heard = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let heard = heard.and_then(|id| ids.place(id));
    let seen = match heard {
        Some(seen) => seen,
        None => app.store.inbox_place(caller.tenant_id()).await?,
    };
    let (news, ending) = (app.stream.follow(caller.tenant_id()), app.ending.clone());
    let first = futures::stream::iter([Ok(Event::default().id(ids.places.cursor(seen)))]);
    let open = Open { app, caller, seen, news, unread: None };
    Ok(Sse::new(first.chain(live::stream(open, ending))).keep_alive(live::lives()))
}

/// An inbox that is followed.
struct Open {
    app: App,
    caller: Caller,
    /// The last place that was looked at.
    seen: i64,
    news: watch::Receiver<u64>,
    /// The number last told.
    unread: Option<(usize, bool)>,
}

impl Follow for Open {
    /// What another node told of is seen by looking this often; what this one told of at once.
    const LOOK_EVERY: Duration = Duration::from_millis(500);

    async fn woken(&mut self) {
        live::changed(&mut self.news).await;
    }

    async fn look(&mut self, closely: bool) -> Result<Looked, ApiError> {
        let (app, caller) = (&self.app, &self.caller);
        if closely && caller.viewer(&app.store).await?.role.is_none() {
            return Ok(Looked::Ended);
        }
        let found =
            app.store.inbox(caller.tenant_id(), caller.person()?, Part::After(self.seen), AT_ONCE).await?;
        let mut ready = Vec::new();
        let last = found.last().map(|item| item.position);
        if last.is_some() {
            // Before the first event there are none.
            let ids = Ids::of(app, caller).await?;
            for item in shown(app, caller, found).await? {
                let event = Event::default().event("notice").id(ids.id(item.position));
                ready.push(event.data(told(&item, &ids).to_string()));
            }
        }
        // What was read elsewhere gives no sign.
        let count = if closely || last.is_some() { Some(unread(app, caller).await?) } else { None };
        // Only now, where nothing can go wrong any more: what is ready is told, or looked for again.
        self.seen = last.unwrap_or(self.seen);
        if let Some(count) = count.filter(|count| self.unread != Some(*count)) {
            self.unread = Some(count);
            let told = json!({"unread": count.0, "more_unread": count.1});
            ready.push(Event::default().event("unread").data(told.to_string()));
        }
        Ok(Looked::Told(ready))
    }
}
