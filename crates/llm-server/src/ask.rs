//! A request for an answer, checked: what the rest of the server needs of it, whatever the wire format.

pub(crate) mod chat;
mod content;
mod habits;
pub(crate) mod messages;

use serde_json::Value;

use crate::Dialect;
use crate::prompt::Prompt;

/// A request for an answer.
pub(crate) struct Ask {
    pub(crate) dialect: Dialect,
    /// As it was asked for.
    pub(crate) model: String,
    /// Tokens from which on a prefix is cached.
    pub(crate) cache_minimum: u64,
    /// It is an item of a batch.
    pub(crate) batched: bool,
    /// The most tokens of the answer. 0 only warms the cache.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) prompt: Prompt,
    /// The system prompt.
    pub(crate) system: String,
    /// The last user message.
    pub(crate) user: String,
    /// What the answer is to look like.
    pub(crate) schema: Option<Value>,
    /// The tool that must be called, whose input follows `schema`.
    pub(crate) tool: Option<String>,
    /// Tokens that thinking takes before the answer.
    pub(crate) thinking: u64,
    /// The text ends before the first of these.
    pub(crate) stop_sequences: Vec<String>,
}
