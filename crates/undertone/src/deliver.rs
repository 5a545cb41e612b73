//! Events on their way to the systems around us: each is given its place, turned into messages, and sent until the receiver took it.
//!
//! One slow destination never delays another: each has a lane of its own, and what waits for it waits in the database.

mod address;
mod draft;
mod keep;
mod lane;
mod message;
mod note;
mod options;
mod outward;
mod pagerduty;
mod place;
mod secrets;
mod slack;
mod teams;
mod webhook;
mod zendesk;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use undertone_core::destination::DestinationKind;
use undertone_store::destinations::Sent;
use undertone_store::secrets::Keyring;
use undertone_store::{Store, StoreError, TenantId};

use crate::clock::rest;
use crate::mail::{Mailer, Post};

use keep::Keepers;

pub use draft::{Draft, Keys, Wished, Wrong};
pub use message::Message;
pub use note::Note;
pub use outward::{NoReply, OutRequest, Outward, Reads, Reply};
pub use place::Stream;
pub use secrets::{Secrets, new_signing_key};

/// How often is looked for messages that are due; for what this process placed at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A lane that could not go on is opened again after this.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// A whole message, of however many exchanges: with this, one that is begun in time ends before its lease does.
const LONGEST: Duration = Duration::from_secs(40);

/// What the senders work with.
#[derive(Clone)]
pub struct Tools {
    /// Where messages are.
    pub store: Store,
    /// The way out.
    pub outward: Outward,
    /// What opens the addresses and keys of destinations.
    pub keyring: Keyring,
    /// The address under which people reach the service, without a slash at its end; empty where it is not known.
    pub public_url: Arc<str>,
}

/// What came of sending a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What became of it.
    pub sent: Sent,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
}

impl Outcome {
    fn of(sent: Sent, reply: &Reply) -> Self {
        Self { sent, status: Some(reply.status) }
    }
}

impl From<NoReply> for Outcome {
    fn from(none: NoReply) -> Self {
        let sent = match none {
            NoReply::NotAllowed(why) => Sent::Refused(why),
            NoReply::Failed(why) => Sent::Failed(why),
        };
        Self { sent, status: None }
    }
}

/// How a kind of receiver likes to be talked to.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Messages under way at once.
    together: usize,
    /// Between the beginnings of two messages.
    gap: Duration,
}

impl Pace {
    fn of(kind: DestinationKind) -> Self {
        let (together, gap) = match kind {
            DestinationKind::Webhook => (4, 0),
            // One message a second for each address.
            DestinationKind::Slack | DestinationKind::Teams => (1, 1000),
            // 120 calls a minute for each key.
            DestinationKind::Pagerduty => (1, 500),
            // 100 updates a minute for each account, and a message is several.
            DestinationKind::Zendesk => (1, 1500),
        };
        Self { together, gap: Duration::from_millis(gap) }
    }
}

/// Sends one message.
async fn send(outward: &Outward, kind: DestinationKind, message: &Message<'_>) -> Outcome {
    let sending = async {
        match kind {
            DestinationKind::Webhook => webhook::send(outward, message).await,
            DestinationKind::Slack => slack::send(outward, message).await,
            DestinationKind::Pagerduty => pagerduty::send(outward, message).await,
            DestinationKind::Teams => teams::send(outward, message).await,
            DestinationKind::Zendesk => zendesk::send(outward, message).await,
        }
    };
    within(LONGEST, sending).await
}

/// What comes of it, or that it was not done in time.
async fn within(longest: Duration, sending: impl Future<Output = Outcome>) -> Outcome {
    tokio::time::timeout(longest, sending).await.unwrap_or_else(|_| {
        let why = format!("it was not done within {} seconds", longest.as_secs());
        Outcome { sent: Sent::Failed(why), status: None }
    })
}

/// Posts JSON to a destination's address; `judge` says what the answer means, whose words may make a no of a yes.
async fn post(
    outward: &Outward,
    message: &Message<'_>,
    body: &serde_json::Value,
    judge: fn(&Reply) -> Outcome,
) -> Outcome {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = OutRequest::post(&message.secrets.url, headers, body.to_string());
    match outward.exchange(request, Reads::Words).await {
        Ok(reply) => judge(&reply),
        Err(none) => none.into(),
    }
}

/// The tasks of this process that bring messages out.
pub struct Deliveries {
    tasks: JoinSet<()>,
}

impl Deliveries {
    /// Starts them; without a mailer nobody gets e-mail.
    pub fn start(
        tools: &Tools,
        stream: &Stream,
        mailer: Option<Mailer>,
        ending: &watch::Receiver<bool>,
    ) -> Self {
        let (mut tasks, placed) = (JoinSet::new(), Arc::new(Notify::new()));
        tasks.spawn(place::serve(tools.store.clone(), stream.clone(), placed.clone(), ending.clone()));
        tasks.spawn(serve(tools.clone(), placed, ending.clone()));
        tasks.spawn(crate::watch::serve(tools.store.clone(), ending.clone()));
        tasks.spawn(crate::tell::serve(tools.store.clone(), stream.clone(), ending.clone()));
        if let Some(mailer) = mailer {
            let (store, public_url) = (tools.store.clone(), tools.public_url.clone());
            tasks.spawn(crate::mail::serve(Post { store, mailer, public_url }, ending.clone()));
        }
        Self { tasks }
    }

    /// Waits for messages that are under way, at most `patience`. What is not finished is due again when its lease ends.
    pub async fn end(mut self, patience: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// The lanes of this process, by their destination: none while one is open, and else when the next message may begin, so that a receiver's
/// pace holds from one lane to the next. Each process has its own pace.
type Lanes = Arc<Mutex<HashMap<(TenantId, String), Option<Instant>>>>;

/// Why a lane could not go on, by its destination: told when it is news, and not at every look.
type Stuck = Arc<Mutex<HashMap<(TenantId, String), String>>>;

/// Opens a lane for every destination that has something due, until the service ends; `placed` tells that there is more.
async fn serve(tools: Tools, placed: Arc<Notify>, mut ending: watch::Receiver<bool>) {
    let (lanes, stuck, keepers) = (Lanes::default(), Stuck::default(), Keepers::default());
    let mut open = JoinSet::new();
    loop {
        let goes_on = tokio::select! {
            goes_on = rest(&mut ending, LOOK_EVERY) => goes_on,
            () = placed.notified() => !*ending.borrow(),
        };
        if !goes_on {
            break;
        }
        while open.try_join_next().is_some() {}
        if let Err(error) = open_lanes((&tools, &keepers), (&lanes, &stuck), &mut open, &ending).await {
            tracing::warn!(%error, "looking for messages to send failed: {error}");
        }
    }
    while open.join_next().await.is_some() {}
}

async fn open_lanes(
    (tools, keepers): (&Tools, &Keepers),
    (lanes, stuck): (&Lanes, &Stuck),
    open: &mut JoinSet<()>,
    ending: &watch::Receiver<bool>,
) -> Result<(), StoreError> {
    for (tenant, id) in tools.store.destinations_due().await? {
        let key = (tenant, id.clone());
        let Some(mut turn) = taken(lanes, &key) else { continue };
        let (tools, keeper) = (tools.clone(), keepers.of(tenant));
        let (lanes, stuck, mut ending) = (lanes.clone(), stuck.clone(), ending.clone());
        open.spawn(async move {
            let served = caught(lane::serve((&tools, &keeper), tenant, &id, &mut turn, &ending)).await;
            if is_news(&stuck, &key, served.as_ref().err()) {
                match &served {
                    Ok(()) => tracing::info!(destination = id, "messages to the destination {id} go on"),
                    Err(error) => {
                        tracing::warn!(%error, destination = id, "messages to the destination {id} wait: {error}");
                    }
                }
            }
            if served.is_err() {
                // Whatever it is, it is not tried in a circle.
                rest(&mut ending, AFTER_ERROR).await;
            }
            lanes.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Some(turn));
        });
    }
    // Who may begin at once need not be remembered.
    let now = Instant::now();
    lanes.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, turn| turn.is_none_or(|turn| turn > now));
    Ok(())
}

/// What comes of a lane, or that it broke: a lane that is not given back would never be opened again.
async fn caught(serving: impl Future<Output = Result<(), StoreError>>) -> Result<(), String> {
    match AssertUnwindSafe(serving).catch_unwind().await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("its task broke off, which is a fault of ours; what it says stands above".to_owned()),
    }
}

/// Keeps why a lane can not go on, `None` where it can; answers whether that was not so before.
fn is_news(stuck: &Stuck, key: &(TenantId, String), why: Option<&String>) -> bool {
    let mut stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner);
    match why {
        Some(why) => stuck.insert(key.clone(), why.clone()).as_ref() != Some(why),
        None => stuck.remove(key).is_some(),
    }
}

/// Takes a destination's lane, if nobody has it: when the next message may begin.
fn taken(lanes: &Lanes, key: &(TenantId, String)) -> Option<Instant> {
    let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
    match lanes.insert(key.clone(), None) {
        Some(None) => None,
        turn => Some(turn.flatten().unwrap_or_else(Instant::now)),
    }
}

/// A message for tests of what is made of it.
#[cfg(test)]
fn test_message<T>(event: &str, data: &serde_json::Value, make: impl FnOnce(&Message<'_>) -> T) -> T {
    let mut data = data.clone();
    data["link"] = "https://undertone.example/here".into();
    let at = chrono::DateTime::UNIX_EPOCH;
    let body = serde_json::json!({"type": event, "timestamp": at, "data": data}).to_string();
    let secrets = Secrets { url: String::new(), key: Some("key".to_owned()), replaced: Vec::new() };
    make(&Message {
        id: "m1",
        event,
        subject: "s1",
        body: &body,
        at,
        options: &serde_json::Map::new(),
        secrets: &secrets,
        public_url: "https://undertone.example",
        is_over: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_too_long_has_failed() {
        let never = within(Duration::from_millis(20), std::future::pending()).await;
        assert!(matches!(never.sent, Sent::Failed(why) if why.contains("not done within")));
    }

    #[tokio::test]
    async fn a_lane_that_breaks_is_given_back() {
        assert_eq!(caught(async { Ok(()) }).await, Ok(()));
        let broken = caught(async { panic!("this one is wanted") }).await.unwrap_err();
        assert!(broken.contains("fault of ours"), "{broken}");
    }

    #[test]
    fn why_a_lane_does_not_go_on_is_told_once() {
        let (stuck, key) = (Stuck::default(), (TenantId(1), "d1".to_owned()));
        let told = [None, Some("a"), Some("a"), Some("b"), None, None, Some("b")]
            .map(|why| is_news(&stuck, &key, why.map(str::to_owned).as_ref()));
        assert_eq!(told, [false, true, false, true, true, false, true]);
    }

    #[test]
    fn a_lane_is_one_persons_and_remembers_when_the_next_message_may_begin() {
        let (lanes, key) = (Lanes::default(), (TenantId(1), "d1".to_owned()));
        let begin = |turn| lanes.lock().unwrap().insert(key.clone(), turn);
        assert!(taken(&lanes, &key).is_some_and(|turn| turn <= Instant::now()));
        assert_eq!(taken(&lanes, &key), None, "somebody has it");
        let later = Instant::now() + Duration::from_secs(1);
        begin(Some(later));
        assert_eq!(taken(&lanes, &key), Some(later));
    }
}
