//! Batches and their requests as they are kept.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::budget::ReserveRequest;
use crate::queue::Claimed;
use crate::rows::word;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Its rows are there; it may be at the provider's.
    Made,
    /// The provider works on it.
    InProgress,
    /// The provider was told to stop.
    Canceling,
    /// The provider is done with it.
    Ended,
    /// Everything in it is dealt with.
    Read,
    /// Nobody can know what became of it any more.
    Lost,
}

impl BatchState {
    /// The word used in the store and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::InProgress => "in_progress",
            Self::Canceling => "canceling",
            Self::Ended => "ended",
            Self::Read => "read",
            Self::Lost => "lost",
        }
    }
}

/// How a request of a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestResult {
    /// With a message.
    Succeeded,
    /// With an error; nothing was charged.
    Errored,
    /// It was not begun; nothing was charged.
    Canceled,
    /// It was not begun in time; nothing was charged.
    Expired,
    /// Nobody knows.
    Lost,
}

impl RequestResult {
    /// The word used in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Errored => "errored",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Lost => "lost",
        }
    }
}

/// A batch that is to be sent.
#[derive(Debug, Clone)]
pub struct NewBatch<'a> {
    /// Its id, our own.
    pub id: &'a str,
    /// Where it is sent.
    pub base_url: &'a str,
    /// What its verdicts say of the prompt.
    pub prompt_version: &'a str,
    /// When it is first looked for.
    pub next_look_at: DateTime<Utc>,
    /// What the money for each request is set aside with; texts and the most it can take are the request's own.
    pub call: ReserveRequest<'a>,
    /// What is in it.
    pub requests: Vec<NewRequest>,
}

/// A request of it.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Its id, which is also its `custom_id`: 1 to 64 letters, digits, `_` and `-`.
    pub id: String,
    /// Of what it asks.
    pub digest: String,
    /// The most it can take.
    pub most_tokens: u64,
    /// The most it can cost, where the model has a price.
    pub most_micros: Option<u64>,
    /// The interactions it is about, in its order, as they were handed out.
    pub items: Vec<(String, i64)>,
}

/// A batch as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchRow {
    /// Our id.
    pub id: String,
    /// The provider's; `None` until it is known.
    pub provider_id: Option<String>,
    /// Where it stands.
    pub state: BatchState,
    /// Where it was sent.
    #[serde(skip)]
    pub base_url: String,
    /// The model.
    pub model: String,
    /// What its verdicts say of the prompt.
    #[serde(skip)]
    pub prompt_version: String,
    /// Requests in it.
    pub requests: i64,
    /// When its rows were written.
    pub made_at: DateTime<Utc>,
    /// When it is looked at next.
    #[serde(skip)]
    pub next_look_at: DateTime<Utc>,
    /// When the provider gives up what it has not begun.
    pub expires_at: Option<DateTime<Utc>>,
    /// What is to be told of it.
    pub detail: Option<String>,
    /// When everything in it was dealt with.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A request of a batch whose end is not dealt with yet.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct RequestRow {
    /// Its id and `custom_id`.
    pub id: String,
    /// The call in the ledger.
    pub call_id: String,
    /// Texts in it.
    pub texts: i64,
    /// Of what it asks.
    pub digest: String,
}

/// An interaction that a request is about, with the text it was asked about.
#[derive(Debug, Clone)]
pub struct RequestItem {
    /// The interaction as it is, but for its text, which is that of the revision that was asked about.
    pub claimed: Claimed,
    /// It is as it was: not revised meanwhile, and not decided about.
    pub stands: bool,
    /// It was asked about alone.
    pub alone: bool,
}

/// A row of `message_batch`.
#[derive(FromQueryResult)]
pub(super) struct Found {
    id: String,
    provider_id: Option<String>,
    state: String,
    base_url: String,
    model: String,
    prompt_version: String,
    requests: i64,
    made_at: DateTime<Utc>,
    next_look_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    detail: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

impl TryFrom<Found> for BatchRow {
    type Error = crate::StoreError;

    fn try_from(row: Found) -> Result<Self> {
        Ok(Self {
            id: row.id,
            provider_id: row.provider_id,
            state: word("message_batch", &row.state)?,
            base_url: row.base_url,
            model: row.model,
            prompt_version: row.prompt_version,
            requests: row.requests,
            made_at: row.made_at,
            next_look_at: row.next_look_at,
            expires_at: row.expires_at,
            detail: row.detail,
            ended_at: row.ended_at,
        })
    }
}

/// How items of a request that did not serve them are asked about again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Again<'a> {
    /// After this long.
    pub rest: TimeDelta,
    /// Each by itself.
    pub alone: bool,
    /// The attempt does not count: nothing was begun.
    pub forgiven: bool,
    /// Why they wait, as a word.
    pub reason: Option<&'a str>,
    /// The same for a person.
    pub detail: Option<&'a str>,
}
