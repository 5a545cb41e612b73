//! System prompt, messages and tools of a Messages request, in the order in which the cache sees them.

use serde_json::Value;

use crate::Problem;
use crate::fields::{Checked, Fields, is_plain_name};
use crate::prompt::{Lifetime, Prompt};
use crate::schema::{self, Tally};

const MOST_MESSAGES: usize = 100_000;
const MOST_MARKS: usize = 4;

/// `cache_control` of a block, or of the whole request.
pub(super) fn cache_control(fields: &Fields<'_>) -> Checked<Option<Lifetime>> {
    let Some(control) = fields.object("cache_control")? else { return Ok(None) };
    control.only(&[&["type", "ttl"]])?;
    control.need_word("type", &["ephemeral"])?;
    Ok(Some(match control.word("ttl", &["5m", "1h"])? {
        Some("1h") => Lifetime::Hour,
        _ => Lifetime::FiveMinutes,
    }))
}

/// At most four marks, the longer lifetime before the shorter.
pub(super) fn marks(prompt: &Prompt) -> Checked<()> {
    let marks: Vec<Lifetime> = prompt.marks().collect();
    if marks.len() > MOST_MARKS {
        return Err(Problem::invalid(format!(
            "A maximum of {MOST_MARKS} blocks with cache_control may be provided. Found {}.",
            marks.len()
        )));
    }
    if marks.windows(2).any(|pair| pair == [Lifetime::FiveMinutes, Lifetime::Hour]) {
        return Err(Problem::invalid(
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block",
        ));
    }
    Ok(())
}

/// A tool's name and what its input must look like.
pub(super) struct Tool<'v> {
    pub(super) name: &'v str,
    pub(super) input: &'v Value,
}

/// `tools`.
pub(super) fn tools<'v>(
    fields: &Fields<'v>,
    prompt: &mut Prompt,
    tally: &mut Tally,
) -> Checked<Vec<Tool<'v>>> {
    let mut tools: Vec<Tool<'v>> = Vec::new();
    for (i, value) in fields.list("tools")?.into_iter().flatten().enumerate() {
        let tool = Fields::of(value, format!("tools.{i}"))?;
        tool.only(&[&["type", "name", "description", "input_schema", "strict", "cache_control"]])?;
        if tool.text("type")?.is_some_and(|kind| kind != "custom") {
            return Err(tool.wrong("type", "this local server only has tools of the type 'custom'"));
        }
        let name = tool.need_text("name")?;
        if !is_plain_name(name, 128) {
            return Err(tool.wrong("name", "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
        }
        if tools.iter().any(|known| known.name == name) {
            return Err(Problem::invalid("tools: Tool names must be unique."));
        }
        tool.text("description")?;
        let input = tool.need("input_schema")?;
        if tool.flag("strict")? {
            tally.strict_tools += 1;
            schema::check(input, &tool.path("input_schema"), tally)?;
        } else if !input.is_object() {
            return Err(tool.wrong("input_schema", "Input should be an object"));
        }
        let mark = cache_control(&tool)?;
        prompt.add("tool", &without_mark(value), mark);
        tools.push(Tool { name, input });
    }
    Ok(tools)
}

/// The block as the cache compares it: the mark itself is no part of the prefix.
fn without_mark(value: &Value) -> String {
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut() {
        map.shift_remove("cache_control");
    }
    value.to_string()
}

/// `system`. Answers its text.
pub(super) fn system(fields: &Fields<'_>, prompt: &mut Prompt) -> Checked<String> {
    match fields.get("system") {
        None => Ok(String::new()),
        Some(Value::String(text)) => {
            prompt.add("system", text, None);
            Ok(text.clone())
        }
        Some(Value::Array(blocks)) => texts(blocks, &fields.path("system"), "system", prompt),
        Some(_) => Err(fields.wrong("system", "Input should be a valid string or list")),
    }
}

/// What `messages` hold.
pub(super) struct Turns {
    /// The last user message.
    pub(super) user: String,
    /// The last message is the assistant's.
    pub(super) prefilled: bool,
}

/// `messages`.
pub(super) fn turns(fields: &Fields<'_>, prompt: &mut Prompt) -> Checked<Turns> {
    fields.need("messages")?;
    let messages = fields.list("messages")?.into_iter().flatten();
    if messages.clone().next().is_none() {
        return Err(fields.wrong("messages", "at least one message is required"));
    }
    if messages.clone().count() > MOST_MESSAGES {
        return Err(fields.wrong("messages", format!("List should have at most {MOST_MESSAGES} items")));
    }
    let mut turns = Turns { user: String::new(), prefilled: true };
    for (i, value) in messages.enumerate() {
        let message = Fields::of(value, format!("messages.{i}"))?;
        message.only(&[&["role", "content"]])?;
        if message.get("role").and_then(Value::as_str) == Some("system") {
            return Err(
                message.wrong("role", "Unexpected role \"system\"; use the top-level `system` parameter")
            );
        }
        let role = message.need_word("role", &["user", "assistant"])?;
        if i == 0 && role != "user" {
            return Err(fields.wrong("messages", "first message must use the \"user\" role"));
        }
        let text = match message.need("content")? {
            Value::String(text) if text.is_empty() => {
                return Err(message.wrong("content", "text content must be non-empty"));
            }
            Value::String(text) => {
                prompt.add(role, text, None);
                text.clone()
            }
            Value::Array(blocks) if !blocks.is_empty() => {
                texts(blocks, &message.path("content"), role, prompt)?
            }
            _ => return Err(message.wrong("content", "Input should be a valid string or a list with blocks")),
        };
        turns.prefilled = role == "assistant";
        if !turns.prefilled {
            turns.user = text;
        }
    }
    Ok(turns)
}

/// Text blocks, joined by line feeds.
fn texts(blocks: &[Value], at: &str, place: &str, prompt: &mut Prompt) -> Checked<String> {
    let mut all = Vec::with_capacity(blocks.len());
    for (i, value) in blocks.iter().enumerate() {
        let block = Fields::of(value, format!("{at}.{i}"))?;
        let kind = block.need_text("type")?;
        if kind != "text" {
            return Err(
                block.wrong("type", format!("this local server only reads text blocks, not '{kind}'"))
            );
        }
        block.only(&[&["type", "text", "cache_control"]])?;
        let text = block.need_text("text")?;
        if text.is_empty() {
            return Err(block.wrong("text", "text content blocks must be non-empty"));
        }
        prompt.add(place, text, cache_control(&block)?);
        all.push(text);
    }
    Ok(all.join("\n"))
}
