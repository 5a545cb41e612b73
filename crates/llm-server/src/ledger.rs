//! What was billed, request by request, so that a test can compare it with what the product recorded.

use std::iter::Sum;
use std::ops::AddAssign;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Anthropic's Messages API and what belongs to it.
    Messages,
    /// The chat completions of OpenAI-compatible servers.
    ChatCompletions,
}

/// Tokens by the price they have. The parts do not overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens at the full price.
    pub input: u64,
    /// Prompt tokens read from the cache.
    pub cache_read: u64,
    /// Prompt tokens written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the cache for an hour.
    pub cache_write_1h: u64,
    /// Tokens written, thinking among them.
    pub output: u64,
    /// Those of `output` that went into thinking.
    pub thinking: u64,
}

impl Usage {
    /// The size of the prompt.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h
    }

    /// Everything: prompt and output.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt() + self.output
    }

    /// As the Messages API tells it: `input_tokens` is only what the cache had no part in.
    pub(crate) fn as_messages(&self, batched: bool) -> Value {
        json!({
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
            "output_tokens_details": {"thinking_tokens": self.thinking},
            "service_tier": if batched { "batch" } else { "standard" },
            "inference_geo": "local",
            "server_tool_use": null,
        })
    }

    /// As chat completions tell it: `prompt_tokens` is all of the prompt.
    pub(crate) fn as_chat(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt(),
            "completion_tokens": self.output,
            "total_tokens": self.total(),
            "prompt_tokens_details": {"cached_tokens": self.cache_read},
            "completion_tokens_details": {"reasoning_tokens": self.thinking},
        })
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write_5m += other.cache_write_5m;
        self.cache_write_1h += other.cache_write_1h;
        self.output += other.output;
        self.thinking += other.thinking;
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), |mut sum, usage| {
            sum += usage;
            sum
        })
    }
}

/// One request that was billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billed {
    /// `id` of the message or completion.
    pub id: String,
    /// `request-id` of the response; for an item of a batch the batch's id.
    pub request_id: String,
    /// `custom_id` of an item of a batch.
    pub custom_id: Option<String>,
    /// When it was answered.
    pub at: DateTime<Utc>,
    /// The key that pays.
    pub key: String,
    /// The model that was asked for.
    pub model: String,
    /// The wire format it came in.
    pub dialect: Dialect,
    /// It came in a batch, at half the price.
    pub batched: bool,
    /// What it took.
    pub usage: Usage,
    /// `stop_reason` or `finish_reason`.
    pub stop_reason: &'static str,
    /// The whole answer went out. Where it did not (a connection broken off, a caller who had hung up) the caller can not know what was
    /// billed.
    pub delivered: bool,
}

/// Everything that was billed, in the order it was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The requests.
    pub billed: Vec<Billed>,
}

impl Ledger {
    /// The sum of them.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.billed.iter().map(|billed| billed.usage).sum()
    }

    /// Those whose answer went out whole.
    pub fn delivered(&self) -> impl Iterator<Item = &Billed> {
        self.billed.iter().filter(|billed| billed.delivered)
    }

    /// Its answer did not get through.
    pub(crate) fn lost(&mut self, id: &str) {
        // Newest first: what gets lost was answered a moment ago.
        if let Some(billed) = self.billed.iter_mut().rev().find(|billed| billed.id == id) {
            billed.delivered = false;
        }
    }
}
