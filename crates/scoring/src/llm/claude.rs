//! Anthropic's Messages API: the request's body, what a response says, and what an error means.
//!
//! Facts about the API come from `reference/claude.md`. Model families differ in what they refuse with status 400, so a body holds only
//! what its family is known to take: never a sampling parameter, a forced tool, a prefilled answer or the former `output_format`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use undertone_core::Usage;

use super::failure::{ErrorBody, failure, kind_of, next_month, number, window};
use super::prompt::{FROZEN, Question, message, tenant};
use super::reply::{Outcome, Reply, Unreadable, parse, short, word};
use super::schema::{MOST_TOKENS, answer_tokens, schema};
use super::{Failure, FailureKind, Headers, RateLimits, Window};
use crate::Knowledge;

/// What a request with a thinking model may think, in tokens, at low effort: at least, and for each item.
const THINKING: (u32, u32) = (2048, 256);

/// How long the provider keeps the rubric. Writing costs 1.25 times the price of input for five minutes, twice for an hour; each use starts
/// the time anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheTime {
    /// Where requests come at least every few minutes.
    FiveMinutes,
    /// Where they come now and then, and for batches.
    OneHour,
}

impl CacheTime {
    fn as_str(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::OneHour => "1h",
        }
    }
}

/// How to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The model's exact id, such as `claude-haiku-5-5`.
    pub model: String,
    /// How long the rubric is kept; `None` leaves caching off.
    pub cache: Option<CacheTime>,
    /// The last answer was cut off: twice the room this time.
    pub doubled: bool,
}

/// How a model family is kept from thinking at length about a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinking {
    /// It thinks unless that is disabled.
    Disabled,
    /// It refuses `disabled`; this leaves out the thinking before an answer.
    BetweenTools,
    /// It always thinks; low effort keeps it short.
    Always,
    /// It does not think unless asked to, and the field may be unknown to it.
    Unasked,
    /// Nothing is known of it. Nothing is sent that it might refuse, and room is left for thinking.
    Unknown,
}

impl Thinking {
    /// By the family's name and version in the id, whatever stands around them: `claude-haiku-4-5-20251001`,
    /// `us.anthropic.claude-sonnet-5-5-v1:0`.
    fn of(model: &str) -> Self {
        let (family, version) = family(model);
        match (family.as_str(), version.as_slice()) {
            ("haiku", [5, 5]) | ("sonnet" | "opus", [5]) => Self::Disabled,
            ("sonnet", [5, 5]) => Self::BetweenTools,
            ("opus", [5, 5]) | ("fable" | "mythos", [5] | [5, 1]) => Self::Always,
            ("haiku" | "sonnet" | "opus", [4, ..]) => Self::Unasked,
            _ => Self::Unknown,
        }
    }

    /// The family may think before it answers.
    fn thinks(self) -> bool {
        matches!(self, Self::Always | Self::Unknown)
    }
}

/// Whether the family takes a schema for its answers, as those from 4.5 on do (`reference/claude.md` §3). The others see in the rubric's examples
/// what an answer looks like, and each answer is checked in any case.
fn takes_schema(model: &str) -> bool {
    let (family, version) = family(model);
    !matches!((family.as_str(), version.as_slice()), ("haiku" | "sonnet" | "opus", [4] | [4, 0 | 1]))
}

/// The family's name and version in a model's id; empty where it is none of Claude's.
fn family(model: &str) -> (String, Vec<u32>) {
    let model = model.to_ascii_lowercase();
    let Some((_, id)) = model.rsplit_once("claude-") else { return (String::new(), Vec::new()) };
    let mut parts = id.split(['-', '@', '.', ':', '[']);
    let family = parts.next().unwrap_or_default();
    // A date is no version.
    let version = parts.map_while(|part| part.parse().ok()).take_while(|number| *number < 100).collect();
    (family.to_owned(), version)
}

/// Tokens from which on a model's provider keeps the beginning of a prompt; below that it keeps nothing, and does not say so. `None` where
/// that is not known (`reference/claude.md` §4).
#[must_use]
pub fn cache_minimum(model: &str) -> Option<u64> {
    let (family, version) = family(model);
    match (family.as_str(), version.as_slice()) {
        ("haiku" | "sonnet" | "opus", [5, 5]) | ("opus", [5]) | ("fable" | "mythos", [5] | [5, 1]) => {
            Some(512)
        }
        ("opus", [4, 1 | 8]) | ("sonnet", [5] | [4, 5 | 6]) => Some(1024),
        ("opus", [4, 7]) => Some(2048),
        ("haiku", [4, 5]) | ("opus", [4, 5 | 6]) => Some(4096),
        _ => None,
    }
}

/// About how many tokens the beginning of every request of a tenant has who told `knowledge`: the rubric, and what the tenant added to it.
#[must_use]
pub fn frozen_tokens(knowledge: &Knowledge) -> u64 {
    let own = tenant(&Question::new(&[], knowledge)).map_or(0, |own| own.len());
    // English has about three and a half bytes a token.
    (FROZEN.len() + own) as u64 * 2 / 7
}

/// The `max_tokens` of a request about `items` texts: room for the answers and, where the model can not be kept from it, for thinking.
/// A reservation may take it as the most the provider will charge for output.
#[must_use]
pub fn max_tokens(options: &Options, items: usize) -> u32 {
    let answer = answer_tokens(items, options.doubled);
    if !Thinking::of(&options.model).thinks() {
        return answer;
    }
    let (least, each) = THINKING;
    let thinking = each.saturating_mul(u32::try_from(items).unwrap_or(u32::MAX)).saturating_add(least);
    thinking.saturating_mul(if options.doubled { 2 } else { 1 }).saturating_add(answer).min(MOST_TOKENS)
}

/// The body of a request to `/v1/messages`, also the `params` of an entry in a batch. `question` must have an item.
#[must_use]
pub fn body(question: &Question<'_>, options: &Options) -> Value {
    let part = |text: &str| {
        let mut part = json!({"type": "text", "text": text});
        if let Some(time) = options.cache {
            part["cache_control"] = json!({"type": "ephemeral", "ttl": time.as_str()});
        }
        part
    };
    // What a tenant added is kept apart from the rubric, which all tenants share.
    let system: Vec<Value> =
        std::iter::once(part(FROZEN)).chain(tenant(question).map(|own| part(&own))).collect();
    let mut output = Map::new();
    if takes_schema(&options.model) {
        output.insert(
            "format".to_owned(),
            json!({"type": "json_schema", "schema": schema(question.categories)}),
        );
    }
    let thinking = Thinking::of(&options.model);
    let mode = match thinking {
        Thinking::Disabled => Some("disabled"),
        Thinking::BetweenTools => Some("between_tools"),
        Thinking::Always => {
            output.insert("effort".to_owned(), json!("low"));
            None
        }
        Thinking::Unasked | Thinking::Unknown => None,
    };
    let mut body = json!({
        "model": options.model,
        "max_tokens": max_tokens(options, question.items.len()),
        "system": system,
    });
    if !output.is_empty() {
        body["output_config"] = Value::Object(output);
    }
    body["messages"] = json!([{"role": "user", "content": message(question)}]);
    if let Some(mode) = mode {
        body["thinking"] = json!({"type": mode});
    }
    body
}

/// Reads the body of a response with status 200, or the `message` of a batch's result. `request_id` is the response's header, `cache` what was
/// asked for: older servers tell how much was cached, but not for how long.
pub fn reply(body: &[u8], request_id: Option<&str>, cache: Option<CacheTime>) -> Result<Reply, Unreadable> {
    let body = parse(body)?;
    if body["type"] == "error" {
        let kind = word(&body["error"]["type"]).unwrap_or_default();
        return Err(Unreadable::new(format!("it is the error {kind}")));
    }
    let content = body["content"].as_array().ok_or_else(|| Unreadable::new("it has no content"))?;
    // Thinking may stand before the text.
    let text: String = content
        .iter()
        .filter(|block| block["type"] == "text")
        .filter_map(|block| block["text"].as_str())
        .collect();
    let stop = word(&body["stop_reason"]).unwrap_or_else(|| "none".to_owned());
    let outcome = match stop.as_str() {
        "refusal" => Outcome::Refused { category: word(&body["stop_details"]["category"]) },
        "max_tokens" => Outcome::CutOff,
        "model_context_window_exceeded" => Outcome::TooLong,
        _ if text.trim().is_empty() => Outcome::Nothing { stop },
        // A reason nobody has heard of yet is no reason to throw an answer away: it is validated anyway.
        _ => Outcome::Answer(text),
    };
    let request_id = request_id.and_then(|id| short(id, 80));
    Ok(Reply { outcome, usage: usage(&body["usage"], cache), model: word(&body["model"]), request_id })
}

/// The provider's count. Only two of its fields are always there.
fn usage(told: &Value, cache: Option<CacheTime>) -> Option<Usage> {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let (input, output) = (told["input_tokens"].as_u64()?, told["output_tokens"].as_u64()?);
    let split = &told["cache_creation"];
    let mut short = count(&split["ephemeral_5m_input_tokens"]);
    let mut long = count(&split["ephemeral_1h_input_tokens"]);
    let written = count(&told["cache_creation_input_tokens"]);
    let rest = written.saturating_sub(short.saturating_add(long));
    match cache {
        Some(CacheTime::OneHour) => long += rest,
        Some(CacheTime::FiveMinutes) | None => short += rest,
    }
    let cache_read = count(&told["cache_read_input_tokens"]);
    Some(Usage { input, cache_read, cache_write_5m: short, cache_write_1h: long, output })
}

/// What a response with another status means. `now` is for limits that end with the month.
#[must_use]
pub fn failed(status: u16, headers: &Headers<'_>, body: &[u8], now: DateTime<Utc>) -> Failure {
    let body = ErrorBody::of(body);
    let spent = FailureKind::SpendLimit { resumes: next_month(now) };
    let kind = match (status, body.text("type")) {
        // The two ways of saying that a spend limit is reached, the provider's own and the customer's.
        (429, _) if body.field("details")["error_code"] == "enforced_spend_limit_reached" => spent,
        (400, _) if is_own_limit(body.text("message")) => spent,
        // A gateway may change the status and keep the body.
        (_, "billing_error") => FailureKind::Billing,
        (_, "overloaded_error") => FailureKind::Overloaded,
        _ => kind_of(status),
    };
    failure(kind, status, headers, &body, now)
}

/// "You have reached your specified workspace API usage limits. You will regain access on …".
fn is_own_limit(message: &str) -> bool {
    let message = message.to_lowercase();
    message.starts_with("you have reached your specified") && message.contains("usage limits")
}

/// What a response says of the key's rate limits.
#[must_use]
pub fn rate_limits(headers: &Headers<'_>) -> RateLimits {
    let of = |what: &str| -> Option<Window> {
        let name = |which: &str| format!("anthropic-ratelimit-{what}-{which}");
        let reset = headers(&name("reset")).and_then(|at| DateTime::parse_from_rfc3339(at.trim()).ok());
        window(
            number(headers, &name("limit")),
            number(headers, &name("remaining")),
            reset.map(|at| at.to_utc()),
        )
    };
    RateLimits {
        requests: of("requests"),
        tokens: of("tokens"),
        input_tokens: of("input-tokens"),
        output_tokens: of("output-tokens"),
    }
}

#[cfg(test)]
mod tests;
