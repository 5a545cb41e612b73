//! Makes the answer of a checked request and writes it in its wire format.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::ask::Ask;
use crate::fields::Checked;
use crate::ledger::Usage;
use crate::script::{ItemSeen, Script};
use crate::tokens::{bytes_of, tokens_of};
use crate::{Dialect, Failure, NOT_A_MODEL, Problem, obey};

/// Tokens that a refusal is said to have taken.
const REFUSAL_TOKENS: u64 = 12;

/// Why the answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    MaxTokens,
    Sequence(String),
    Tool,
    Refused { category: Option<&'static str> },
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) text: Option<String>,
    /// The tool that is called, and its input.
    pub(crate) tool: Option<(String, Value)>,
    pub(crate) stop: Stop,
    /// Tokens that went into thinking.
    pub(crate) thinking: u64,
    /// Tokens written, thinking among them.
    pub(crate) output: u64,
}

/// What is known of an answer beside its words.
pub(crate) struct About<'a> {
    pub(crate) id: &'a str,
    pub(crate) model: &'a str,
    pub(crate) usage: Usage,
    pub(crate) batched: bool,
    /// Seconds since 1970.
    pub(crate) created: i64,
}

/// The answer to `ask`, spoiled by `failure`.
pub(crate) fn compose(script: &Script, ask: &Ask, failure: Option<&Failure>) -> Checked<Reply> {
    let most = ask.max_tokens.unwrap_or(u64::MAX);
    let nothing = Reply { text: None, tool: None, stop: Stop::MaxTokens, thinking: 0, output: 0 };
    if most == 0 {
        return Ok(nothing);
    }
    match failure {
        Some(Failure::Refusal { category }) => {
            let stop = Stop::Refused { category: *category };
            return Ok(Reply { stop, output: REFUSAL_TOKENS.min(most), ..nothing });
        }
        Some(Failure::NoText) => {
            let all = ask.max_tokens.unwrap_or(ask.thinking.max(1));
            return Ok(Reply { thinking: all, output: all, ..nothing });
        }
        _ => {}
    }
    let value = answered(script, ask, failure)?;
    if let Some(tool) = &ask.tool {
        let output = tokens_of(value.to_string().len()).min(most);
        return Ok(Reply { tool: Some((tool.clone(), value)), stop: Stop::Tool, output, ..nothing });
    }
    let text = match (failure, value) {
        (Some(Failure::NotJson), _) => "Here is what I think: the customer has a point.".to_owned(),
        (_, Value::String(text)) if ask.schema.is_none() => text,
        (_, value) => value.to_string(),
    };
    let (text, stop) = ended(text, &ask.stop_sequences);
    let halved = matches!(failure, Some(Failure::MaxTokens));
    if !halved && ask.thinking + tokens_of(text.len()) <= most {
        let output = ask.thinking + tokens_of(text.len());
        return Ok(Reply { text: Some(text), tool: None, stop, thinking: ask.thinking, output });
    }
    // Thinking comes first, and what is left is for the text.
    let thinking = ask.thinking.min(most);
    let room = bytes_of(most - thinking).min(if halved { text.len() / 2 } else { text.len() });
    let cut = &text[..text.floor_char_boundary(room)];
    let output = ask.max_tokens.unwrap_or(thinking + tokens_of(cut.len()));
    let text = (!cut.is_empty()).then(|| cut.to_owned());
    Ok(Reply { text, tool: None, stop: Stop::MaxTokens, thinking, output })
}

/// The body of an answer as it is sent.
pub(crate) fn told(mut body: Value, failure: Option<&Failure>) -> Value {
    if matches!(failure, Some(Failure::NoUsage)) {
        body["usage"] = Value::Null;
    }
    body
}

/// What the script answers, changed as `failure` demands.
fn answered(script: &Script, ask: &Ask, failure: Option<&Failure>) -> Checked<Value> {
    let closures = AssertUnwindSafe(|| {
        let seen = ItemSeen {
            model: ask.model.clone(),
            system: ask.system.clone(),
            user: ask.user.clone(),
            items: (script.items)(&ask.user),
            schema: ask.schema.clone(),
            batched: ask.batched,
        };
        let value = (script.answer)(&seen);
        match failure {
            Some(Failure::WrongShape) => json!({"answer": {"as": "I like it", "instead": value}}),
            Some(Failure::Obey) => obey::obey(value, &seen.items),
            Some(Failure::Edit(edit)) => edit(value),
            _ => value,
        }
    });
    // A script that panics must not leave its caller waiting, nor end the server in the middle of a batch.
    catch_unwind(closures).map_err(|_| Problem {
        message: "the script of this local server panicked".to_owned(),
        ..Problem::internal()
    })
}

/// The text up to the first stop sequence in it.
fn ended(mut text: String, sequences: &[String]) -> (String, Stop) {
    let first = sequences.iter().filter_map(|s| Some((text.find(s.as_str())?, s))).min_by_key(|(at, _)| *at);
    match first {
        Some((at, sequence)) => {
            text.truncate(at);
            (text, Stop::Sequence(sequence.clone()))
        }
        None => (text, Stop::End),
    }
}

impl Reply {
    /// `stop_reason`, or `finish_reason`.
    pub(crate) fn stop_reason(&self, dialect: Dialect) -> &'static str {
        match (dialect, &self.stop) {
            (Dialect::Messages, Stop::End) => "end_turn",
            (Dialect::Messages, Stop::MaxTokens) => "max_tokens",
            (Dialect::Messages, Stop::Sequence(_)) => "stop_sequence",
            (Dialect::Messages, Stop::Tool) => "tool_use",
            (Dialect::Messages, Stop::Refused { .. }) => "refusal",
            (Dialect::ChatCompletions, Stop::MaxTokens) => "length",
            (Dialect::ChatCompletions, Stop::Tool) => "tool_calls",
            (Dialect::ChatCompletions, Stop::Refused { category: None }) => "content_filter",
            (Dialect::ChatCompletions, _) => "stop",
        }
    }

    /// The body of the response.
    pub(crate) fn body(&self, dialect: Dialect, about: &About<'_>) -> Value {
        match dialect {
            Dialect::Messages => self.message(about),
            Dialect::ChatCompletions => self.completion(about),
        }
    }

    fn message(&self, about: &About<'_>) -> Value {
        let mut content = Vec::new();
        if self.thinking > 0 {
            content.push(json!({"type": "thinking", "thinking": "", "signature": "local"}));
        }
        if let Some(text) = &self.text {
            content.push(json!({"type": "text", "text": text}));
        }
        if let Some((name, input)) = &self.tool {
            content.push(json!({"type": "tool_use", "id": format!("toolu_{}", about.id), "name": name, "input": input}));
        }
        let details = match &self.stop {
            Stop::Refused { category } => {
                json!({"type": "refusal", "category": category, "explanation": NOT_A_MODEL})
            }
            _ => Value::Null,
        };
        let sequence = match &self.stop {
            Stop::Sequence(sequence) => Some(sequence),
            _ => None,
        };
        json!({
            "id": about.id,
            "type": "message",
            "role": "assistant",
            "model": about.model,
            "content": content,
            "stop_reason": self.stop_reason(Dialect::Messages),
            "stop_sequence": sequence,
            "stop_details": details,
            "usage": about.usage.as_messages(about.batched),
        })
    }

    fn completion(&self, about: &About<'_>) -> Value {
        let refusal = match &self.stop {
            Stop::Refused { category: Some(category) } => {
                Some(format!("I can not help with that ({category})."))
            }
            _ => None,
        };
        json!({
            "id": about.id,
            "object": "chat.completion",
            "created": about.created,
            "model": about.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": self.text, "refusal": refusal},
                "logprobs": null,
                "finish_reason": self.stop_reason(Dialect::ChatCompletions),
            }],
            "usage": about.usage.as_chat(),
        })
    }
}
