//! Settings that one family of models takes and another refuses (`reference/claude.md`, §9).

use serde_json::Value;

use crate::Problem;
use crate::fields::{Checked, Fields};
use crate::models::{Model, Sampling, thinking_tokens};

/// What thinks and how hard.
pub(super) struct Effort<'v> {
    /// `output_config.effort`, or the family's default.
    pub(super) level: &'v str,
    /// A tool must be called, so nothing is thought.
    pub(super) forced_tool: bool,
    pub(super) max_tokens: Option<u64>,
}

/// `output_config.effort`.
pub(super) fn effort<'v>(config: Option<&Fields<'v>>, model: &Model) -> Checked<&'v str> {
    let Some(config) = config else { return Ok(model.habits.default_effort) };
    let Some(effort) = config.word("effort", &["low", "medium", "high", "xhigh", "max"])? else {
        return Ok(model.habits.default_effort);
    };
    if !model.habits.efforts.contains(&effort) {
        return Err(config.wrong("effort", format!("effort '{effort}' is not supported for {}", model.id)));
    }
    Ok(effort)
}

/// `thinking`. Answers how many tokens it takes.
pub(super) fn thinking(fields: &Fields<'_>, model: &Model, effort: &Effort<'_>) -> Checked<u64> {
    let cost = thinking_tokens(effort.level);
    let Some(thinking) = fields.object("thinking")? else {
        return Ok(if model.habits.thinks && !effort.forced_tool { cost } else { 0 });
    };
    let kind = thinking.need_word("type", &["adaptive", "disabled", "between_tools", "enabled"])?;
    if !model.habits.thinking.contains(&kind) {
        let instead = model.habits.thinking.join("', '");
        return Err(thinking.wrong(
            "type",
            format!("\"thinking.type.{kind}\" is not supported for {}; it takes '{instead}'", model.id),
        ));
    }
    let takes: &[&str] = match kind {
        "adaptive" => &["type", "display"],
        "enabled" => &["type", "display", "budget_tokens"],
        _ => &["type"],
    };
    thinking.only(&[takes])?;
    thinking.word("display", &["summarized", "omitted"])?;
    let thinks = matches!(kind, "adaptive" | "enabled");
    if thinks && effort.forced_tool {
        return Err(Problem::invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    if kind == "disabled" && model.habits.not_disabled_at.contains(&effort.level) {
        return Err(
            thinking.wrong("type", format!("thinking can not be disabled at effort '{}'", effort.level))
        );
    }
    if kind != "enabled" {
        return Ok(if thinks { cost } else { 0 });
    }
    thinking.need("budget_tokens")?;
    let budget = thinking.whole("budget_tokens")?.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    if budget < 1_024 {
        return Err(thinking.wrong("budget_tokens", "Input should be greater than or equal to 1024"));
    }
    if effort.max_tokens.is_some_and(|most| most <= budget) {
        return Err(Problem::invalid("`max_tokens` must be greater than `thinking.budget_tokens`"));
    }
    Ok(cost.min(budget))
}

/// `temperature`, `top_p` and `top_k`. `thinks` after `thinking` has been read.
pub(super) fn sampling(fields: &Fields<'_>, model: &Model, thinks: bool) -> Checked<()> {
    let (temperature, top_p) = (fields.number("temperature")?, fields.number("top_p")?);
    let top_k = fields.whole("top_k")?;
    for (name, value) in [("temperature", temperature), ("top_p", top_p)] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(fields.wrong(name, "Input should be between 0 and 1"));
        }
    }
    let refused = |name: &str| Err(fields.wrong(name, format!("not supported for {}", model.id)));
    let both = temperature.is_some() && top_p.is_some();
    match model.habits.sampling {
        Sampling::Free => {
            if both {
                return Err(Problem::invalid(
                    "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
                ));
            }
            if thinks && (temperature.is_some_and(|value| value < 1.0) || top_k.is_some()) {
                return Err(fields.wrong("temperature", "may only be set to 1 when thinking is enabled"));
            }
            Ok(())
        }
        _ if top_k.is_some() => refused("top_k"),
        _ if temperature.is_some_and(|value| value < 1.0) => refused("temperature"),
        _ if top_p.is_some_and(|value| (value - 0.99).abs() > 1e-9) => refused("top_p"),
        Sampling::OneDefault if both => refused("top_p"),
        _ => Ok(()),
    }
}

/// `tool_choice`. Answers the name of the tool that must be called: the first where any will do.
pub(super) fn tool_choice<'v>(
    fields: &Fields<'v>,
    model: &Model,
    tools: &[super::content::Tool<'v>],
) -> Checked<Option<&'v str>> {
    let Some(choice) = fields.object("tool_choice")? else { return Ok(None) };
    let kind = choice.need_word("type", &["auto", "any", "tool", "none"])?;
    let takes: &[&str] = match kind {
        "tool" => &["type", "name", "disable_parallel_tool_use"],
        "none" => &["type"],
        _ => &["type", "disable_parallel_tool_use"],
    };
    choice.only(&[takes])?;
    choice.flag("disable_parallel_tool_use")?;
    let forced = matches!(kind, "any" | "tool");
    if forced && !model.habits.forced_tools {
        return Err(Problem::invalid(
            "tool_choice: type \"tool\" and \"any\" are not supported for this model.",
        ));
    }
    let Some(first) = tools.first() else {
        return Err(fields.wrong("tool_choice", "may only be specified while providing tools"));
    };
    if kind != "tool" {
        return Ok(forced.then_some(first.name));
    }
    let name = choice.need_text("name")?;
    if !tools.iter().any(|tool| tool.name == name) {
        return Err(choice.wrong("name", format!("Tool '{name}' not found in provided tools")));
    }
    Ok(Some(name))
}

/// What of a request changes how messages are cached, but not what stands before them: thinking and the choice of a tool.
pub(super) fn beside_messages(fields: &Fields<'_>) -> String {
    ["thinking", "tool_choice"]
        .map(|name| fields.get(name).map_or_else(String::new, Value::to_string))
        .join("\n")
}
