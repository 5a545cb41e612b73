//! The chat-completions API, as vLLM, Ollama, llama.cpp and hosted services speak it: the request's body, what a response says, and what an
//! error means. Facts about it come from `reference/claude.md`, section 11.
//!
//! A body holds only what all of them take. Whatever a server claims about keeping to a schema, the answer is validated.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use undertone_core::Usage;

use super::failure::{ErrorBody, after, failure, kind_of, next_month, number, window};
use super::prompt::{FROZEN, Question, message, tenant};
use super::reply::{Outcome, Reply, Unreadable, parse, short, word};
use super::schema::{MOST_TOKENS, answer_tokens, schema};
use super::{Failure, FailureKind, Headers, RateLimits, Window};

/// What a reasoning model may think, in tokens: at least, and for each item.
const THINKING: (u32, u32) = (4096, 512);

/// How a server wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `max_tokens`, and a temperature of 0 so that an answer can be had again.
    Plain,
    /// `OpenAI`'s own reasoning models: `max_completion_tokens` with room to think, low effort, and no temperature.
    Reasoning,
}

impl Dialect {
    /// By the model's name, whatever service stands before it. An unknown name is taken for [`Dialect::Plain`].
    #[must_use]
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let is = |family: &str| {
            name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        };
        if ["gpt-5", "o1", "o3", "o4"].into_iter().any(is) && !name.contains("-chat") {
            Self::Reasoning
        } else {
            Self::Plain
        }
    }

    /// The name of the limit on an answer's tokens.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Self::Plain => "max_tokens",
            Self::Reasoning => "max_completion_tokens",
        }
    }
}

/// How to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The model's name at that server.
    pub model: String,
    /// How that server wants to be asked.
    pub dialect: Dialect,
    /// The last answer was cut off: twice the room this time.
    pub doubled: bool,
}

/// The most tokens a request about `items` texts may have written for it.
/// A reservation may take it as the most the provider will charge for output.
#[must_use]
pub fn max_tokens(options: &Options, items: usize) -> u32 {
    let answer = answer_tokens(items, options.doubled);
    match options.dialect {
        Dialect::Plain => answer,
        Dialect::Reasoning => {
            let (least, each) = THINKING;
            let thinking =
                each.saturating_mul(u32::try_from(items).unwrap_or(u32::MAX)).saturating_add(least);
            thinking
                .saturating_mul(if options.doubled { 2 } else { 1 })
                .saturating_add(answer)
                .min(MOST_TOKENS)
        }
    }
}

/// The body of a request to `/chat/completions`. `question` must have an item.
#[must_use]
pub fn body(question: &Question<'_>, options: &Options) -> Value {
    // One system message: the templates of some models take no second. Servers that cache do so by the longest equal beginning.
    let system = match tenant(question) {
        Some(own) => format!("{FROZEN}\n{own}\n"),
        None => FROZEN.to_owned(),
    };
    let mut body = json!({
        "model": options.model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": message(question)}],
        "stream": false,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdicts", "strict": true, "schema": schema(question.categories)},
        },
    });
    body[options.dialect.limit()] = json!(max_tokens(options, question.items.len()));
    match options.dialect {
        Dialect::Plain => body["temperature"] = json!(0),
        Dialect::Reasoning => body["reasoning_effort"] = json!("low"),
    }
    body
}

/// Reads the body of a response with status 200. `request_id` is the response's header.
pub fn reply(body: &[u8], request_id: Option<&str>) -> Result<Reply, Unreadable> {
    let body = parse(body)?;
    if !body["error"].is_null() {
        let kind = word(&body["error"]["type"]).or(word(&body["error"]["code"])).unwrap_or_default();
        return Err(Unreadable::new(format!("it is the error {kind}")));
    }
    let choice = &body["choices"][0];
    let message = choice["message"].as_object().ok_or_else(|| Unreadable::new("it has no message"))?;
    let text = message.get("content").map(text).unwrap_or_default();
    let refused = message.get("refusal").and_then(Value::as_str).is_some_and(|words| !words.is_empty());
    let stop = word(&choice["finish_reason"]).unwrap_or_else(|| "none".to_owned());
    let outcome = match stop.as_str() {
        _ if refused => Outcome::Refused { category: None },
        "content_filter" => Outcome::Refused { category: Some(stop) },
        "length" => Outcome::CutOff,
        _ if text.trim().is_empty() => Outcome::Nothing { stop },
        _ => Outcome::Answer(text),
    };
    // Some servers send no header; their own id for the completion serves as well.
    let request_id = request_id.and_then(|id| short(id, 80)).or(word(&body["id"]));
    Ok(Reply { outcome, usage: usage(&body["usage"]), model: word(&body["model"]), request_id })
}

/// The text of a message's content: a string, or the texts of its parts. Thinking that a server left in front of the answer is taken off.
fn text(content: &Value) -> String {
    let text: String = match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter(|part| part["type"] == "text")
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    };
    match text.trim_start().strip_prefix("<think>") {
        Some(thinking) => thinking.rsplit_once("</think>").map_or("", |(_, answer)| answer).to_owned(),
        None => text,
    }
}

/// The server's count. Here the tokens taken from a cache are among those of the prompt.
fn usage(told: &Value) -> Option<Usage> {
    let (prompt, output) = (told["prompt_tokens"].as_u64()?, told["completion_tokens"].as_u64()?);
    let cache_read = told["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0).min(prompt);
    Some(Usage { input: prompt - cache_read, cache_read, output, ..Usage::default() })
}

/// What a response with another status means. `now` is for limits that end with the month.
#[must_use]
pub fn failed(status: u16, headers: &Headers<'_>, body: &[u8], now: DateTime<Utc>) -> Failure {
    let body = ErrorBody::of(body);
    let message = body.text("message").to_lowercase();
    let kind = match (body.text("code"), body.text("type")) {
        ("organization_spend_limit_exceeded" | "project_spend_limit_exceeded", _) => {
            FailureKind::SpendLimit { resumes: next_month(now) }
        }
        ("insufficient_quota" | "credit_balance_exhausted" | "organization_usage_limit_exceeded", _)
        | (_, "insufficient_quota") => FailureKind::Billing,
        ("context_length_exceeded", _) | (_, "exceed_context_size_error") => FailureKind::TooLarge,
        // vLLM gives it no code of its own.
        _ if status == 400 && message.contains("maximum context length") => FailureKind::TooLarge,
        ("content_filter" | "content_policy_violation", _) => FailureKind::Refused,
        _ => kind_of(status),
    };
    failure(kind, status, headers, &body, now)
}

/// What a response says of the key's rate limits, where the service has any. `now` is when it came.
#[must_use]
pub fn rate_limits(headers: &Headers<'_>, now: DateTime<Utc>) -> RateLimits {
    let of = |what: &str| -> Option<Window> {
        let name = |which: &str| format!("x-ratelimit-{which}-{what}");
        let reset = headers(&name("reset")).and_then(|time| after(now, time));
        window(number(headers, &name("limit")), number(headers, &name("remaining")), reset)
    };
    RateLimits { requests: of("requests"), tokens: of("tokens"), input_tokens: None, output_tokens: None }
}

#[cfg(test)]
mod tests;
