//! Reads a request of the Messages API, alone, in a batch, or to count its tokens.

use serde_json::Value;

use super::habits::{self, Effort};
use super::{Ask, content};
use crate::fields::{Checked, Fields};
use crate::models::Model;
use crate::prompt::Prompt;
use crate::schema::{self, Tally};
use crate::{Dialect, Problem};

/// What the request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An answer.
    Answer,
    /// An answer, in a batch.
    BatchItem,
    /// The number of its tokens.
    Count,
}

/// Fields of every request.
const SHARED: [&str; 8] =
    ["model", "messages", "system", "output_config", "thinking", "tools", "tool_choice", "cache_control"];

/// Fields of requests for an answer.
const FOR_ANSWERS: [&str; 10] = [
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "metadata",
    "service_tier",
    "inference_geo",
    "container",
];

/// Checks `body` and takes from it what the server needs. `key` is whose cache it shares.
pub(crate) fn read(body: &Value, purpose: Purpose, key: &str) -> Checked<Ask> {
    let fields = Fields::of(body, "")?;
    if fields.get("output_format").is_some() {
        return Err(
            fields.wrong("output_format", "This field is deprecated. Use 'output_config.format' instead.")
        );
    }
    let for_answers: &[&str] = if purpose == Purpose::Count { &[] } else { &FOR_ANSWERS };
    fields.only(&[&SHARED, for_answers])?;
    let id = fields.need_text("model")?;
    let model = Model::of(id).ok_or_else(|| Problem {
        param: Some("model".to_owned()),
        ..Problem::not_found(format!("model: {id}"))
    })?;
    let max_tokens = if purpose == Purpose::Count { None } else { Some(max_tokens(&fields, model)?) };

    let mut tally = Tally::default();
    let config = fields.object("output_config")?;
    if let Some(config) = &config {
        config.only(&[&["format", "effort"]])?;
    }
    let mut schema = config.as_ref().map(|config| format(config, model, &mut tally)).transpose()?.flatten();

    let mut prompt = Prompt::new(&[key, model.id]);
    prompt.preface(&schema.map_or_else(String::new, Value::to_string));
    let tools = content::tools(&fields, &mut prompt, &mut tally)?;
    tally.check()?;
    let system = content::system(&fields, &mut prompt)?;
    prompt.mix(&habits::beside_messages(&fields));
    let turns = content::turns(&fields, &mut prompt)?;
    if let Some(lifetime) = content::cache_control(&fields)? {
        prompt.mark_last(lifetime);
    }
    content::marks(&prompt)?;
    if turns.prefilled && (!model.habits.prefill || schema.is_some()) {
        return Err(Problem::invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    if prompt.tokens() + max_tokens.unwrap_or_default() > model.context {
        return Err(Problem::invalid(format!(
            "prompt is too long: {} tokens + {} max_tokens > {} maximum",
            prompt.tokens(),
            max_tokens.unwrap_or_default(),
            model.context
        )));
    }

    let forced = habits::tool_choice(&fields, model, &tools)?;
    if max_tokens == Some(0) {
        only_warms(&fields, purpose, schema.is_some() || forced.is_some())?;
    }
    let effort = habits::effort(config.as_ref(), model)?;
    let effort = Effort { level: effort, forced_tool: forced.is_some(), max_tokens };
    let thinking = habits::thinking(&fields, model, &effort)?;
    let stop_sequences = if purpose == Purpose::Count {
        Vec::new()
    } else {
        habits::sampling(&fields, model, thinking > 0)?;
        rest(&fields)?;
        stop_sequences(&fields)?
    };
    if let Some(tool) = forced.and_then(|name| tools.iter().find(|tool| tool.name == name)) {
        schema = Some(tool.input);
    }
    Ok(Ask {
        dialect: Dialect::Messages,
        model: id.to_owned(),
        cache_minimum: model.cache_minimum,
        batched: purpose == Purpose::BatchItem,
        max_tokens,
        prompt,
        system,
        user: turns.user,
        schema: schema.cloned(),
        tool: forced.map(str::to_owned),
        thinking,
        stop_sequences,
    })
}

fn max_tokens(fields: &Fields<'_>, model: &Model) -> Checked<u64> {
    fields.need("max_tokens")?;
    let asked = fields.whole("max_tokens")?.unwrap_or_default();
    let Ok(most) = u64::try_from(asked) else {
        return Err(fields.wrong("max_tokens", "Input should be greater than or equal to 0"));
    };
    if most > model.most_output {
        return Err(Problem::field(
            "max_tokens",
            format!(
                "{most} > {}, which is the maximum allowed number of output tokens for {}",
                model.most_output, model.id
            ),
        ));
    }
    Ok(most)
}

/// What may not stand beside `max_tokens: 0`.
fn only_warms(fields: &Fields<'_>, purpose: Purpose, shaped: bool) -> Checked<()> {
    if purpose == Purpose::BatchItem || shaped || fields.flag("stream")? {
        return Err(fields.wrong(
            "max_tokens",
            "0 is not allowed with stream, output_config.format, a forced tool_choice, or in a batch",
        ));
    }
    Ok(())
}

/// `output_config.format`. Answers its schema.
fn format<'v>(config: &Fields<'v>, model: &Model, tally: &mut Tally) -> Checked<Option<&'v Value>> {
    let Some(format) = config.object("format")? else { return Ok(None) };
    if !model.habits.schemas {
        return Err(config.wrong("format", format!("structured outputs are not supported for {}", model.id)));
    }
    format.only(&[&["type", "schema"]])?;
    format.need_word("type", &["json_schema"])?;
    let schema = format.need("schema")?;
    schema::check(schema, &format.path("schema"), tally)?;
    Ok(Some(schema))
}

fn stop_sequences(fields: &Fields<'_>) -> Checked<Vec<String>> {
    let mut sequences = Vec::new();
    for value in fields.list("stop_sequences")?.into_iter().flatten() {
        match value.as_str() {
            Some(sequence) if !sequence.trim().is_empty() => sequences.push(sequence.to_owned()),
            _ => return Err(fields.wrong("stop_sequences", "each stop sequence must contain non-whitespace")),
        }
    }
    Ok(sequences)
}

/// Fields that change nothing here but must be right.
fn rest(fields: &Fields<'_>) -> Checked<()> {
    if fields.flag("stream")? {
        return Err(fields.wrong("stream", "this local server does not stream"));
    }
    if let Some(metadata) = fields.object("metadata")? {
        metadata.only(&[&["user_id"]])?;
        metadata.text("user_id")?;
    }
    fields.word("service_tier", &["auto", "standard_only"])?;
    fields.text("inference_geo")?;
    fields.text("container")?;
    Ok(())
}
