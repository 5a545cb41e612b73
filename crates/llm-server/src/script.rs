//! What the server is told: who answers, how fast, under which key and limits, by which clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::words;

/// Makes the answer of a request: a JSON value that becomes the text of the answer. It must not ask the server anything; while a batch is
/// worked off, the server waits for it.
pub type Answer = Arc<dyn Fn(&ItemSeen) -> Value + Send + Sync>;

/// Finds the items in the text of a user message. Who writes the prompt knows how; [`crate::items`] has a splitter for fenced texts.
pub type Split = Arc<dyn Fn(&str) -> Vec<Item> + Send + Sync>;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// One text of a request that wants an answer of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The number it goes by in the request and in the answer.
    pub index: i64,
    /// What stands there.
    pub text: String,
}

/// What an [`Answer`] is told of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemSeen {
    /// The model that was asked for.
    pub model: String,
    /// The system prompt, its blocks joined by line feeds.
    pub system: String,
    /// The last user message as it came, its blocks joined by line feeds.
    pub user: String,
    /// The texts in it, as the script's [`Split`] finds them.
    pub items: Vec<Item>,
    /// The JSON schema the answer is to follow, where one was given.
    pub schema: Option<Value>,
    /// It came in a batch.
    pub batched: bool,
}

/// What a key may send. A minute's worth is a bucket that refills evenly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls for an answer, per minute.
    pub requests_per_minute: u32,
    /// Prompt tokens that did not come from the cache, per minute.
    pub input_tokens_per_minute: u32,
    /// Tokens written, per minute.
    pub output_tokens_per_minute: u32,
    /// Calls of token counting, per minute.
    pub count_requests_per_minute: u32,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of the body that makes a batch.
    pub batch_body_bytes: usize,
    /// Requests in a batch.
    pub batch_requests: usize,
}

impl Default for Limits {
    /// Rates that nothing reaches; sizes as the reference has them.
    fn default() -> Self {
        Self {
            requests_per_minute: 1_000_000,
            input_tokens_per_minute: 1_000_000_000,
            output_tokens_per_minute: 1_000_000_000,
            count_requests_per_minute: 1_000_000,
            body_bytes: 32_000_000,
            batch_body_bytes: 256_000_000,
            batch_requests: 100_000,
        }
    }
}

/// How batches get on, by the script's clock. The items are worked off one after the other, evenly spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// From making a batch to its last item. Longer than `expires_after`, and what is left then expires.
    pub takes: TimeDelta,
    /// From cancelling to the end.
    pub cancel_takes: TimeDelta,
    /// From making to expiry.
    pub expires_after: TimeDelta,
    /// From making until the results are gone.
    pub kept: TimeDelta,
}

impl Default for Pace {
    /// Ten minutes, a minute to cancel; expiry after 24 hours and results for 29 days as the reference has them.
    fn default() -> Self {
        Self {
            takes: TimeDelta::minutes(10),
            cancel_takes: TimeDelta::minutes(1),
            expires_after: TimeDelta::hours(24),
            kept: TimeDelta::days(29),
        }
    }
}

/// How the server behaves. [`Script::new`] has the defaults; change what a test is about.
#[derive(Clone)]
pub struct Script {
    /// Makes the answers; [`words::answer`] by default.
    pub answer: Answer,
    /// Finds the items; by default the whole user message is one, with index 0.
    pub items: Split,
    /// Tells the time.
    pub clock: Clock,
    /// From taking a request for an answer to answering it, in real time. None by default.
    pub latency: Duration,
    /// The key that is good. Empty: any key is, and each has its own cache and limits, as workspaces have.
    pub key: String,
    /// What a key may send.
    pub limits: Limits,
    /// How batches get on.
    pub batches: Pace,
    /// Models that chat completions know; `local-model` by default.
    pub chat_models: Vec<String>,
    /// Decides the order of batch results.
    pub seed: u64,
    /// The most requests whose bodies are remembered for [`crate::Server::requests`]; older ones are forgotten.
    pub remember: usize,
}

impl Script {
    /// The defaults, with time from `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            answer: Arc::new(words::answer),
            items: Arc::new(|user| vec![Item { index: 0, text: user.to_owned() }]),
            clock,
            latency: Duration::ZERO,
            key: "local-key".to_owned(),
            limits: Limits::default(),
            batches: Pace::default(),
            chat_models: vec!["local-model".to_owned()],
            seed: 1,
            remember: 100_000,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }
}
