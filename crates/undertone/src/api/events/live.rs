//! The stream of events: woken by what this node places, and by looking for what others place.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::response::sse::{Event, Sse};
use futures::Stream;
use serde_json::json;
use tokio::sync::watch;
use undertone_core::event::EventKind;
use undertone_store::outbox::Following;

use super::cursor::Places;
use super::{ApiError, shown};
use crate::api::caller::Caller;
use crate::app::App;

/// Other nodes place events too; so often is looked for those.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So often the place is told where nothing else is: the connection lives, and nothing is gone through twice after it broke.
const TELL_EVERY: Duration = Duration::from_secs(20);
/// After this the stream ends and the reader comes back, so that a key that was revoked, or a person who left, reads on for no longer.
const LONGEST: Duration = Duration::from_mins(10);
/// Events at once.
const MOST: u16 = 200;
/// How long a reader waits before it comes back.
const COME_BACK: Duration = Duration::from_secs(1);

/// The events after a place, of these kinds, as they come.
pub(super) fn stream(
    app: App,
    caller: Caller,
    kinds: Option<Vec<EventKind>>,
    after: i64,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let woken = app.stream.follow(caller.tenant_id());
    let now = Instant::now();
    let ready = VecDeque::from([Event::default().retry(COME_BACK)]);
    let open = Open { app, caller, kinds, place: after, woken, ready, begun: now, told: now };
    Sse::new(futures::stream::unfold(open, |mut open| async move {
        let event = open.next().await?;
        Some((Ok(event), open))
    }))
}

/// A reader.
struct Open {
    app: App,
    caller: Caller,
    kinds: Option<Vec<EventKind>>,
    /// Everything up to here was told.
    place: i64,
    woken: watch::Receiver<u64>,
    ready: VecDeque<Event>,
    begun: Instant,
    /// When something was last told.
    told: Instant,
}

impl Open {
    /// The next event; `None` where the stream ends.
    async fn next(&mut self) -> Option<Event> {
        let mut ending = self.app.ending.clone();
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.told = Instant::now();
                return Some(event);
            }
            if *ending.borrow() || self.begun.elapsed() > LONGEST {
                return None;
            }
            self.woken.mark_unchanged();
            // A while without the database is no reason to end; the next look may work.
            match self.look().await {
                Ok(Looked::Ended) => return None,
                Ok(Looked::Found) => continue,
                Ok(Looked::Nothing) | Err(_) => {}
            }
            tokio::select! {
                _ = ending.wait_for(|end| *end) => return None,
                _ = self.woken.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<Looked, ApiError> {
        let (store, tenant) = (&self.app.store, self.caller.tenant_id());
        let following = Following { kinds: self.kinds.as_deref(), most: MOST };
        let (events, looked_to) = store.events_after(tenant, self.place, &following).await?;
        let is_due = self.told.elapsed() > TELL_EVERY;
        let has_moved = looked_to > self.place;
        if !is_due && !has_moved {
            return Ok(Looked::Nothing);
        }
        let places = Places::of(store.event_sequence(tenant).await?);
        let Some(events) = shown(&self.app, &self.caller, events).await? else { return Ok(Looked::Ended) };
        self.place = looked_to;
        for told in events {
            let event = Event::default().id(places.cursor(told.position)).event(&told.event);
            self.ready.push_back(event.data(json!(told).to_string()));
        }
        if self.ready.is_empty() && is_due {
            self.ready.push_back(Event::default().id(places.cursor(self.place)));
        }
        Ok(if has_moved || !self.ready.is_empty() { Looked::Found } else { Looked::Nothing })
    }
}

enum Looked {
    /// There is something to tell, or there may be more at once.
    Found,
    Nothing,
    /// They may not look any more.
    Ended,
}
