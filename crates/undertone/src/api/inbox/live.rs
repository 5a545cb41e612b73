//! The stream of an inbox: each notice as it comes, under its place, and how many are unread whenever that changes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde_json::json;
use tokio::sync::watch;
use undertone_store::notices::Part;

use super::{place, shown, told, unread};
use crate::api::caller::Caller;
use crate::api::problem::ApiError;
use crate::app::App;

/// What another node told of is seen by looking this often; what this one told of at once.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Every so many looks it is asked who looks and what they read elsewhere.
const LOOK_CLOSELY_EVERY: u32 = 10;
/// After so many looks the stream ends, and whoever follows comes back as who they then are: ten minutes or less.
const LOOKS: u32 = 1200;
/// Notices read in one go.
const AT_ONCE: u16 = 50;

/// Notices as they come. A browser that comes back names the last one it heard of.
pub async fn follow(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    caller.person()?;
    let heard = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(place);
    let seen = match heard {
        Some(seen) => seen,
        None => app.store.inbox_place(caller.tenant_id()).await?,
    };
    let news = app.stream.follow(caller.tenant_id());
    let open = Open { app, caller, seen, news, unread: None, waiting: VecDeque::new(), looks: 0 };
    let stream = futures::stream::unfold(open, |mut open| async move {
        let event = open.next().await?;
        Some((Ok(event), open))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))))
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
    waiting: VecDeque<Event>,
    looks: u32,
}

impl Open {
    /// The next event; `None` where the stream ends.
    async fn next(&mut self) -> Option<Event> {
        let mut ending = self.app.ending.clone();
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.looks > 0 {
                tokio::select! {
                    _ = ending.wait_for(|end| *end) => return None,
                    _ = self.news.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
            self.looks += 1;
            if self.looks > LOOKS {
                return None;
            }
            let closely = self.looks % LOOK_CLOSELY_EVERY == 1;
            if closely && self.caller.viewer(&self.app.store).await.is_ok_and(|viewer| viewer.role.is_none())
            {
                return None;
            }
            // A while without the database is no reason to end; the next look may work.
            let _ = self.look(closely).await;
        }
    }

    async fn look(&mut self, closely: bool) -> Result<(), ApiError> {
        let (app, caller) = (&self.app, &self.caller);
        let found =
            app.store.inbox(caller.tenant_id(), caller.person()?, Part::After(self.seen), AT_ONCE).await?;
        let last = found.last().map(|item| item.position);
        if let Some(last) = last {
            for item in shown(app, caller, found).await? {
                let event = Event::default().event("notice").id(item.position.to_string());
                self.waiting.push_back(event.data(told(&item).to_string()));
            }
            self.seen = last;
        }
        if closely || last.is_some() {
            let count = unread(app, caller).await?;
            if self.unread.replace(count) != Some(count) {
                let told = json!({"unread": count.0, "more_unread": count.1});
                self.waiting.push_back(Event::default().event("unread").data(told.to_string()));
            }
        }
        Ok(())
    }
}
