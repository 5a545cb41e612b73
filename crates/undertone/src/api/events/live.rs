//! The stream of events: woken by what this node places, and by looking for what others place.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::response::sse::{Event, Sse};
use futures::{Stream, StreamExt};
use serde_json::json;
use tokio::sync::watch;
use undertone_core::event::EventKind;

use super::cursor::Places;
use super::{ApiError, seen};
use crate::api::caller::Caller;
use crate::api::live::{self, Follow, Looked};
use crate::app::App;

/// So often the place is told where nothing else is: the connection lives, and nothing is gone through twice after it broke.
const TELL_EVERY: Duration = Duration::from_secs(20);
/// Events at once.
const MOST: u16 = 200;
/// How long a reader waits before it comes back.
const COME_BACK: Duration = Duration::from_secs(1);

/// The events after a place, of these kinds, as they come. The place is told first, as an id alone, which a reader keeps and shows nobody: whoever
/// loses the connection before the first event comes back to where they began.
pub(super) fn stream(
    app: App,
    caller: Caller,
    kinds: Option<Vec<EventKind>>,
    (after, cursor): (i64, String),
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (news, ending) = (app.stream.follow(caller.tenant_id()), app.ending.clone());
    let reader = Reader { app, caller, kinds, place: after, news, told: Instant::now() };
    let first = futures::stream::iter([Ok(Event::default().retry(COME_BACK).id(cursor))]);
    Sse::new(first.chain(live::stream(reader, ending)))
}

/// Who reads.
struct Reader {
    app: App,
    caller: Caller,
    kinds: Option<Vec<EventKind>>,
    /// Everything up to here was told.
    place: i64,
    news: watch::Receiver<u64>,
    /// When something was last told.
    told: Instant,
}

impl Follow for Reader {
    /// Other nodes place events too; so often is looked for those.
    const LOOK_EVERY: Duration = Duration::from_millis(500);

    async fn woken(&mut self) {
        live::changed(&mut self.news).await;
    }

    async fn look(&mut self, closely: bool) -> Result<Looked, ApiError> {
        let places = Places::of(self.app.store.event_sequence(self.caller.tenant_id()).await?);
        let is_due = self.told.elapsed() > TELL_EVERY;
        if !closely && !is_due && places.last() <= self.place {
            return Ok(Looked::Told(Vec::new()));
        }
        let wanted = (self.place, MOST);
        let seen = seen(&self.app, &self.caller, self.kinds.as_deref(), wanted).await?;
        let Some(seen) = seen else { return Ok(Looked::Ended) };
        self.place = seen.to;
        let event = |(told, place): (undertone_store::outbox::Told, i64)| {
            let event = Event::default().id(places.cursor(place)).event(&told.event);
            event.data(json!(told).to_string())
        };
        let mut ready: Vec<Event> = seen.events.into_iter().map(event).collect();
        if ready.is_empty() && is_due {
            ready.push(Event::default().id(places.cursor(self.place)));
        }
        if !ready.is_empty() {
            self.told = Instant::now();
        }
        Ok(if seen.more { Looked::More(ready) } else { Looked::Told(ready) })
    }
}
