//! Reads a request for a chat completion. Strict: servers that take any field hide mistakes.

use serde_json::Value;

use super::Ask;
use crate::fields::{Checked, Fields, is_plain_name};
use crate::prompt::{Lifetime, Prompt};
use crate::schema::{self, Tally};
use crate::{Dialect, Problem};

/// Prompts from so many tokens on are cached by themselves, as hosted servers do it: 1,024, in steps of 128. General knowledge.
pub(crate) const CACHE_MINIMUM: u64 = 1_024;
pub(crate) const CACHE_STEP: u64 = 128;

const FIELDS: [&str; 17] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "n",
    "stream",
    "response_format",
    "structured_outputs",
    "reasoning_effort",
    "user",
    "metadata",
];

/// Checks `body` and takes from it what the server needs. `key` is whose cache it shares; `models` are those there are.
pub(crate) fn read(body: &Value, key: &str, models: &[String]) -> Checked<Ask> {
    let fields = Fields::of(body, "")?;
    fields.only(&[&FIELDS])?;
    let model = fields.need_text("model")?;
    if !models.iter().any(|known| known == model) {
        return Err(Problem {
            param: Some("model".to_owned()),
            ..Problem::not_found(format!("The model `{model}` does not exist"))
        });
    }
    let schema = schema_of(&fields)?;
    let mut prompt = Prompt::new(&[key, model]);
    prompt.preface(&schema.map_or_else(String::new, Value::to_string));
    let (system, user) = turns(&fields, &mut prompt)?;
    let stop_sequences = rest(&fields)?;
    Ok(Ask {
        dialect: Dialect::ChatCompletions,
        model: model.to_owned(),
        cache_minimum: CACHE_MINIMUM,
        batched: false,
        max_tokens: max_tokens(&fields)?,
        prompt,
        system,
        user,
        schema: schema.cloned(),
        tool: None,
        thinking: 0,
        stop_sequences,
    })
}

/// `messages`. Answers the system prompt and the last user message.
fn turns(fields: &Fields<'_>, prompt: &mut Prompt) -> Checked<(String, String)> {
    fields.need("messages")?;
    let messages = fields.list("messages")?.into_iter().flatten();
    let (mut system, mut user) = (Vec::new(), None);
    for (i, value) in messages.enumerate() {
        let message = Fields::of(value, format!("messages.{i}"))?;
        message.only(&[&["role", "content", "name"]])?;
        let role = message.need_word("role", &["system", "developer", "user", "assistant"])?;
        let text = match message.need("content")? {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let mut texts = Vec::with_capacity(parts.len());
                for (j, part) in parts.iter().enumerate() {
                    let part = Fields::of(part, format!("messages.{i}.content.{j}"))?;
                    part.only(&[&["type", "text"]])?;
                    part.need_word("type", &["text"])?;
                    texts.push(part.need_text("text")?);
                }
                texts.join("\n")
            }
            _ => return Err(message.wrong("content", "Input should be a valid string or list")),
        };
        // Whole messages are cached by themselves; five minutes is what hosted servers keep them for.
        prompt.add(role, &text, Some(Lifetime::FiveMinutes));
        match role {
            "user" => user = Some(text),
            "assistant" => {}
            _ => system.push(text),
        }
    }
    let user = user.ok_or_else(|| fields.wrong("messages", "at least one user message is required"))?;
    Ok((system.join("\n"), user))
}

/// The schema of `response_format`, or of `structured_outputs` as vLLM has it.
fn schema_of<'v>(fields: &Fields<'v>) -> Checked<Option<&'v Value>> {
    if let Some(outputs) = fields.object("structured_outputs")? {
        outputs.only(&[&["json"]])?;
        return Ok(Some(outputs.need("json")?));
    }
    let Some(format) = fields.object("response_format")? else { return Ok(None) };
    match format.need_word("type", &["text", "json_object", "json_schema"])? {
        // llama.cpp takes the schema here.
        "json_object" => {
            format.only(&[&["type", "schema"]])?;
            Ok(format.get("schema"))
        }
        "json_schema" => {
            format.only(&[&["type", "json_schema"]])?;
            format.need("json_schema")?;
            named_schema(&format)
        }
        _ => {
            format.only(&[&["type"]])?;
            Ok(None)
        }
    }
}

fn named_schema<'v>(format: &Fields<'v>) -> Checked<Option<&'v Value>> {
    let Some(named) = format.object("json_schema")? else { return Ok(None) };
    named.only(&[&["name", "description", "schema", "strict"]])?;
    let name = named.need_text("name")?;
    if !is_plain_name(name, 64) {
        return Err(named.wrong("name", "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"));
    }
    let schema = named.need("schema")?;
    if named.flag("strict")? {
        let mut tally = Tally::default();
        schema::check(schema, &named.path("schema"), &mut tally)?;
        if tally.has_optional() {
            return Err(named.wrong("schema", "'required' must name every property when 'strict' is set"));
        }
    }
    Ok(Some(schema))
}

fn max_tokens(fields: &Fields<'_>) -> Checked<Option<u64>> {
    let (older, newer) = (fields.whole("max_tokens")?, fields.whole("max_completion_tokens")?);
    if older.is_some() && newer.is_some() {
        return Err(fields.wrong("max_tokens", "not together with max_completion_tokens"));
    }
    let Some(most) = older.or(newer) else { return Ok(None) };
    match u64::try_from(most) {
        Ok(most @ 1..) => Ok(Some(most)),
        _ => Err(fields.wrong("max_tokens", "Input should be greater than or equal to 1")),
    }
}

/// Fields that change nothing here but must be right. Answers the stop sequences.
fn rest(fields: &Fields<'_>) -> Checked<Vec<String>> {
    for (name, low, high) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
    ] {
        if fields.number(name)?.is_some_and(|value| !(low..=high).contains(&value)) {
            return Err(fields.wrong(name, format!("Input should be between {low} and {high}")));
        }
    }
    fields.whole("seed")?;
    if fields.whole("n")?.is_some_and(|n| n != 1) {
        return Err(fields.wrong("n", "this local server makes one choice"));
    }
    if fields.flag("stream")? {
        return Err(fields.wrong("stream", "this local server does not stream"));
    }
    fields.word("reasoning_effort", &["none", "minimal", "low", "medium", "high"])?;
    fields.text("user")?;
    fields.object("metadata")?;
    match fields.get("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(several)) if several.len() <= 4 && several.iter().all(Value::is_string) => {
            Ok(several.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some(_) => Err(fields.wrong("stop", "Input should be a string or a list of at most 4 strings")),
    }
}
