//! Batches: made at once, worked off by the clock, ended, cancelled or expired.
//!
//! Nothing runs in the background. Whoever looks at the state first lets it catch up with the clock ([`State::work_off`]); all items of
//! all batches are taken in the order they were due, so what comes of them does not depend on who looked when.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::ask::messages::{self, Purpose};
use crate::fault::Calls;
use crate::fields::{Checked, Fields, is_plain_name};
use crate::script::{Pace, Script};
use crate::state::{Payer, State};
use crate::{Dialect, Failure};

/// A batch.
pub(crate) struct Batch {
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) key: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) cancelled: Option<DateTime<Utc>>,
    items: Vec<Item>,
    /// Items worked off, from the first on.
    done: usize,
    pace: Pace,
    /// Decides the order of the results.
    seed: u64,
}

struct Item {
    custom_id: String,
    /// Null once it is worked off.
    params: Value,
    result: Value,
}

impl Item {
    /// What came of it, once its batch has ended.
    fn result_or<'i>(&'i self, left: &'i Value) -> &'i Value {
        if self.result.is_null() { left } else { &self.result }
    }
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    InProgress,
    Canceling,
    Ended,
}

impl Batch {
    /// Checks the body that makes a batch. Only its own fields: what is wrong with an item is found later, as the real one does it.
    /// Its id and its beginning come with [`State::add`].
    pub(crate) fn read(body: &Value, script: &Script, key: &str) -> Checked<Self> {
        let fields = Fields::of(body, "")?;
        fields.only(&[&["requests"]])?;
        fields.need("requests")?;
        let mut items: Vec<Item> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for (i, value) in fields.list("requests")?.into_iter().flatten().enumerate() {
            let request = Fields::of(value, format!("requests.{i}"))?;
            request.only(&[&["custom_id", "params"]])?;
            let custom_id = request.need_text("custom_id")?;
            if !is_plain_name(custom_id, 64) {
                return Err(request.wrong("custom_id", "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"));
            }
            if !known.insert(custom_id) {
                return Err(request.wrong("custom_id", format!("'{custom_id}' is not unique in the batch")));
            }
            request.need("params")?;
            request.object("params")?;
            let params = value["params"].clone();
            items.push(Item { custom_id: custom_id.to_owned(), params, result: Value::Null });
        }
        if items.is_empty() || items.len() > script.limits.batch_requests {
            let most = script.limits.batch_requests;
            return Err(
                fields.wrong("requests", format!("List should have 1 to {most} items, not {}", items.len()))
            );
        }
        Ok(Self {
            id: String::new(),
            key: key.to_owned(),
            created: DateTime::UNIX_EPOCH,
            cancelled: None,
            items,
            done: 0,
            pace: script.batches.clone(),
            seed: script.seed,
        })
    }

    /// When an item's turn is.
    fn due(&self, item: usize) -> DateTime<Utc> {
        let takes = i128::from(self.pace.takes.num_microseconds().unwrap_or(i64::MAX));
        let share = takes * (item as i128 + 1) / self.items.len().max(1) as i128;
        let share = TimeDelta::microseconds(i64::try_from(share).unwrap_or(i64::MAX));
        self.created.checked_add_signed(share).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// When the next item's turn is, if it comes before the batch is cancelled or expires.
    fn next_due(&self) -> Option<DateTime<Utc>> {
        let due = (self.done < self.items.len()).then(|| self.due(self.done))?;
        let last = self.cancelled.unwrap_or(self.expires()).min(self.expires());
        (due <= last).then_some(due)
    }

    fn expires(&self) -> DateTime<Utc> {
        self.created + self.pace.expires_after
    }

    /// When it is or would be at its end.
    pub(crate) fn ends(&self) -> DateTime<Utc> {
        match self.cancelled {
            Some(at) => at + self.pace.cancel_takes,
            None => self.due(self.items.len().saturating_sub(1)).min(self.expires()),
        }
    }

    pub(crate) fn stage(&self, now: DateTime<Utc>) -> Stage {
        if now >= self.ends() {
            Stage::Ended
        } else if self.cancelled.is_some() {
            Stage::Canceling
        } else {
            Stage::InProgress
        }
    }

    /// The results are gone.
    pub(crate) fn is_archived(&self, now: DateTime<Utc>) -> bool {
        now >= self.archived()
    }

    fn archived(&self) -> DateTime<Utc> {
        self.created + self.pace.kept
    }

    /// The result of items that were never worked off.
    fn left(&self) -> Value {
        json!({"type": if self.cancelled.is_some() { "canceled" } else { "expired" }})
    }

    /// The batch as the API tells it. `base` is the server's own address.
    pub(crate) fn body(&self, base: &str, now: DateTime<Utc>) -> Value {
        let stage = self.stage(now);
        let ended = stage == Stage::Ended;
        let left = self.left();
        let count = |kind: &str| {
            let of = |item: &&Item| item.result_or(&left)["type"] == kind;
            if ended { self.items.iter().filter(of).count() } else { 0 }
        };
        let moment = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let archived = self.is_archived(now);
        json!({
            "id": self.id,
            "type": "message_batch",
            "processing_status": match stage {
                Stage::InProgress => "in_progress",
                Stage::Canceling => "canceling",
                Stage::Ended => "ended",
            },
            "request_counts": {
                "processing": if ended { 0 } else { self.items.len() },
                "succeeded": count("succeeded"),
                "errored": count("errored"),
                "canceled": count("canceled"),
                "expired": count("expired"),
            },
            "created_at": moment(self.created),
            "expires_at": moment(self.expires()),
            "ended_at": ended.then(|| moment(self.ends())),
            "cancel_initiated_at": self.cancelled.map(moment),
            "archived_at": archived.then(|| moment(self.archived())),
            "results_url": (ended && !archived)
                .then(|| format!("{base}/v1/messages/batches/{}/results", self.id)),
        })
    }

    /// The results, one JSON object a line, never in the order of the requests where there are two or more.
    pub(crate) fn results(&self) -> String {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(self.seed));
        if order.is_sorted() {
            order.reverse();
        }
        let left = self.left();
        let mut lines = String::new();
        for item in order.into_iter().filter_map(|at| self.items.get(at)) {
            let line = json!({"custom_id": item.custom_id, "result": item.result_or(&left)});
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        lines
    }
}

impl State {
    /// A batch begins.
    pub(crate) fn add(&mut self, batch: Batch, now: DateTime<Utc>) -> &Batch {
        self.batches_made += 1;
        let id = format!("msgbatch_local_{:06}", self.batches_made);
        let seed = batch.seed.wrapping_add(self.batches_made);
        let at = self.batches.len();
        self.batches.push(Batch { id, created: now, seed, ..batch });
        &self.batches[at]
    }

    /// Works off every item whose turn came by `now`.
    pub(crate) fn work_off(&mut self, script: &Script, now: DateTime<Utc>) {
        loop {
            let turns =
                self.batches.iter().enumerate().filter_map(|(at, batch)| Some((batch.next_due()?, at)));
            let Some((due, at)) = turns.min().filter(|(due, _)| *due <= now) else { return };
            let batch = &mut self.batches[at];
            let place = batch.done;
            batch.done += 1;
            let (batch_id, key) = (batch.id.clone(), batch.key.clone());
            let params = batch.items[place].params.take();
            let custom_id = batch.items[place].custom_id.clone();
            let payer = Payer { request_id: &batch_id, custom_id: Some(&custom_id), key: &key, at: due };
            let result = self.item(script, &params, &payer);
            self.batches[at].items[place].result = result;
        }
    }

    /// The result of one item.
    fn item(&mut self, script: &Script, params: &Value, payer: &Payer<'_>) -> Value {
        let answered = messages::read(params, Purpose::BatchItem, payer.key).and_then(|ask| {
            match self.plan.strike(Calls::BatchItems, payer.at) {
                Some(Failure::Error(problem)) => Err(problem),
                Some(Failure::Expired) => Ok(None),
                failure => self.answer_item(script, &ask, failure.as_ref(), payer).map(Some),
            }
        });
        match answered {
            Ok(Some(message)) => json!({"type": "succeeded", "message": message}),
            Ok(None) => json!({"type": "expired"}),
            Err(problem) => {
                json!({"type": "errored", "error": problem.body(Dialect::Messages, payer.request_id)})
            }
        }
    }
}
