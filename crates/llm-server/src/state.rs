//! What the server remembers, behind one lock: requests seen, faults, cache, limits, batches and the ledger.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::watch;

use crate::ask::{Ask, chat};
use crate::batch::Batch;
use crate::cache::Cache;
use crate::failure::Failure;
use crate::fault::{Calls, Plan};
use crate::fields::Checked;
use crate::ledger::{Billed, Dialect, Ledger, Usage};
use crate::rates::Rates;
use crate::reply::{About, Reply, compose, told};
use crate::script::Script;

/// A request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The id it was answered under.
    pub request_id: String,
    /// When it came.
    pub at: DateTime<Utc>,
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body; what is not UTF-8 in it is replaced.
    pub body: String,
}

impl Seen {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The value of the first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What all parts of the server share.
pub(crate) struct Shared {
    pub(crate) script: Script,
    state: Mutex<State>,
    /// Counts how often what hangs was let go.
    pub(crate) released: watch::Sender<u64>,
}

/// Somebody who waits for an answer; gone when this is dropped.
pub(crate) struct Caller(Arc<Shared>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) seen: VecDeque<Seen>,
    pub(crate) plan: Plan,
    pub(crate) cache: Cache,
    pub(crate) ledger: Ledger,
    /// Oldest first.
    pub(crate) batches: Vec<Batch>,
    rates: HashMap<String, Rates>,
    requests: u64,
    answers: u64,
    pub(crate) batches_made: u64,
    pub(crate) in_flight: usize,
    pub(crate) most_in_flight: usize,
}

impl Shared {
    pub(crate) fn new(script: Script) -> Self {
        Self { script, state: Mutex::default(), released: watch::Sender::new(0) }
    }

    /// The state as it is. Nothing waits while this is held but for batches that are worked off.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins: what strikes it, and what it waits for if it must. All at once, so that who sees it waiting can release it.
    pub(crate) fn begin(self: &Arc<Self>, calls: Calls) -> (Caller, Option<Failure>, watch::Receiver<u64>) {
        let now = self.script.now();
        let mut state = self.state();
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        (Caller(self.clone()), state.plan.strike(calls, now), self.released.subscribe())
    }

    /// The state once all that batches should have done by now is done.
    pub(crate) fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.work_off(&self.script, self.script.now());
        state
    }
}

impl State {
    pub(crate) fn next_request_id(&mut self) -> String {
        self.requests += 1;
        format!("req_local_{:08}", self.requests)
    }

    fn next_answer_id(&mut self, dialect: Dialect) -> String {
        self.answers += 1;
        match dialect {
            Dialect::Messages => format!("msg_local_{:08}", self.answers),
            Dialect::ChatCompletions => format!("chatcmpl-local-{:08}", self.answers),
        }
    }

    /// Remembers a request, and forgets the oldest where there are too many.
    pub(crate) fn see(&mut self, seen: Seen, remember: usize) {
        self.seen.push_back(seen);
        while self.seen.len() > remember {
            self.seen.pop_front();
        }
    }

    /// The limits of a key.
    pub(crate) fn rates(&mut self, key: &str, script: &Script) -> &mut Rates {
        self.rates.entry(key.to_owned()).or_insert_with(|| Rates::full(&script.limits, script.now()))
    }

    /// How a prompt divides into what is read from the cache, written to it, and neither.
    pub(crate) fn divide(&self, ask: &Ask, now: DateTime<Utc>) -> Usage {
        let usage = self.cache.look(&ask.prompt, ask.cache_minimum, now);
        if ask.dialect == Dialect::Messages {
            return usage;
        }
        // Chat completions read in whole steps and pay nothing extra for what is kept.
        let cache_read = usage.cache_read / chat::CACHE_STEP * chat::CACHE_STEP;
        Usage { input: ask.prompt.tokens() - cache_read, cache_read, ..Usage::default() }
    }

    /// Writes an answer: keeps what is to be cached, bills it, and makes its body.
    pub(crate) fn bill(
        &mut self,
        ask: &Ask,
        reply: &Reply,
        divided: Usage,
        payer: &Payer<'_>,
    ) -> (String, Value) {
        let usage = Usage { output: reply.output, thinking: reply.thinking, ..divided };
        self.cache.keep(&ask.prompt, ask.cache_minimum, payer.at);
        let id = self.next_answer_id(ask.dialect);
        self.ledger.billed.push(Billed {
            id: id.clone(),
            request_id: payer.request_id.to_owned(),
            custom_id: payer.custom_id.map(str::to_owned),
            at: payer.at,
            key: payer.key.to_owned(),
            model: ask.model.clone(),
            dialect: ask.dialect,
            batched: ask.batched,
            usage,
            stop_reason: reply.stop_reason(ask.dialect),
            delivered: true,
        });
        let about =
            About { id: &id, model: &ask.model, usage, batched: ask.batched, created: payer.at.timestamp() };
        let body = reply.body(ask.dialect, &about);
        (id, body)
    }

    /// Answers and bills an item of a batch.
    pub(crate) fn answer_item(
        &mut self,
        script: &Script,
        ask: &Ask,
        failure: Option<&Failure>,
        payer: &Payer<'_>,
    ) -> Checked<Value> {
        let reply = compose(script, ask, failure)?;
        let divided = self.divide(ask, payer.at);
        Ok(told(self.bill(ask, &reply, divided, payer).1, failure))
    }
}

/// Whom an answer is billed to, when and for what.
pub(crate) struct Payer<'p> {
    pub(crate) request_id: &'p str,
    pub(crate) custom_id: Option<&'p str>,
    pub(crate) key: &'p str,
    pub(crate) at: DateTime<Utc>,
}
