//! Streams of server-sent events: what wakes them, and when they end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use tokio::sync::watch;

use super::problem::ApiError;

/// After this a stream ends, and whoever follows comes back as who they then are.
const LONGEST: Duration = Duration::from_mins(10);
/// So often it is asked who looks, whatever comes.
const LOOK_CLOSELY_EVERY: Duration = Duration::from_secs(10);
/// So often it is said that the connection lives, where nothing else is.
const LIVES_EVERY: Duration = Duration::from_secs(20);

/// What a look found.
pub enum Looked {
    /// This, which is told in this order; then there is a pause.
    Told(Vec<Event>),
    /// This, and there may be more at once.
    More(Vec<Event>),
    /// They may not look any more: the stream ends.
    Ended,
}

/// Somebody who follows something.
pub trait Follow: Send + 'static {
    /// The pause after which is looked, if nothing woke them before.
    const LOOK_EVERY: Duration;

    /// Looks for what they were not told yet. At first and every ten seconds it is looked `closely`: who they are by now, and whatever else
    /// changes without a sign. After an error the next look may work.
    fn look(&mut self, closely: bool) -> impl Future<Output = Result<Looked, ApiError>> + Send;

    /// Is done once something may have come. May be dropped before.
    fn woken(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// What they are told, until the service ends, they may not look any more, or ten minutes are over.
pub fn stream<F: Follow>(
    follower: F,
    ending: watch::Receiver<bool>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let open = Open {
        follower,
        ending,
        ready: VecDeque::new(),
        pauses: false,
        begun: Instant::now(),
        closely: None,
    };
    futures::stream::unfold(open, |mut open| async move {
        let event = open.next().await?;
        Some((Ok(event), open))
    })
}

/// The same as an answer, with a sign of life every twenty seconds.
pub fn answer<F: Follow>(
    follower: F,
    ending: watch::Receiver<bool>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream(follower, ending)).keep_alive(lives())
}

/// A sign of life every twenty seconds.
pub fn lives() -> KeepAlive {
    KeepAlive::new().interval(LIVES_EVERY)
}

struct Open<F> {
    follower: F,
    ending: watch::Receiver<bool>,
    ready: VecDeque<Event>,
    /// Before the next look there is a pause.
    pauses: bool,
    begun: Instant,
    /// When it was last looked closely.
    closely: Option<Instant>,
}

impl<F: Follow> Open<F> {
    /// The next event; `None` where the stream ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.pauses {
                tokio::select! {
                    _ = self.ending.wait_for(|end| *end) => return None,
                    () = self.follower.woken() => {}
                    () = tokio::time::sleep(F::LOOK_EVERY) => {}
                }
            }
            if *self.ending.borrow() || self.begun.elapsed() > LONGEST {
                return None;
            }
            let closely = self.closely.is_none_or(|last| last.elapsed() >= LOOK_CLOSELY_EVERY);
            let (pauses, ready) = match self.follower.look(closely).await {
                Ok(Looked::Ended) => return None,
                Ok(Looked::Told(events)) => (true, events),
                Ok(Looked::More(events)) => (false, events),
                Err(error) => {
                    tracing::debug!(
                        code = error.code.word,
                        "a look for a stream failed: {}",
                        error.code.word
                    );
                    (true, Vec::new())
                }
            };
            (self.pauses, self.ready) = (pauses, ready.into());
            if closely {
                self.closely = Some(Instant::now());
            }
        }
    }
}

/// Is done once something changed at the other end.
pub async fn changed(news: &mut watch::Receiver<u64>) {
    if news.changed().await.is_err() {
        // Nobody is left who could wake us; looking now and then is enough.
        std::future::pending::<()>().await;
    }
}
