//! The copy as Markdown. What people wrote stands in quotes, line by line, so that it stays text.

use std::fmt::Write;

use serde_json::Value;

use crate::output::clean;

/// A value as a person reads it; nothing for what is not there.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escaped(text),
        other => escaped(&other.to_string()),
    }
}

/// Text that stays text in Markdown.
fn escaped(text: &str) -> String {
    clean(text).chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if "\\`*_[]<>#|!&~".contains(c) {
            safe.push('\\');
        }
        safe.push(c);
        safe
    })
}

fn quoted(text: &str) -> String {
    text.lines().fold(String::new(), |quote, line| quote + "> " + escaped(line).as_str() + "\n")
}

fn field(out: &mut String, name: &str, value: &Value) {
    let value = plain(value);
    if !value.is_empty() {
        let _ = writeln!(out, "- {name}: {value}");
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What there is once.
pub fn head(head: &Value) -> String {
    let customer = &head["customer"];
    let mut out = format!(
        "# What {} holds about you\n\nMade at {}.\n\n## You\n\n",
        plain(&head["tenant"]),
        plain(&head["made_at"])
    );
    for (name, key) in [
        ("Name", "name"),
        ("E-mail address", "email"),
        ("Telephone number", "phone"),
        ("Your id", "external_id"),
        ("Our id", "id"),
        ("Group", "segment"),
        ("More", "attributes"),
        ("Not scored since you asked, at", "opted_out_at"),
        ("Known since", "known_since"),
    ] {
        field(&mut out, name, &customer[key]);
    }
    field(&mut out, "Company", &customer["company"]["name"]);
    for alias in items(&customer["aliases"]) {
        let _ = writeln!(out, "- Also known as ({}): {}", plain(&alias["kind"]), plain(&alias["value"]));
    }
    cut(&mut out, customer);
    field(&mut out, "Kept because of a legal dispute, since", &head["legal_hold_since"]);
    out += "\n## In sum\n\n";
    for (name, key) in [
        ("Texts that were read", "scored"),
        ("Average, -100 to 100", "average_score"),
        ("Positive", "positive"),
        ("Neutral", "neutral"),
        ("Negative", "negative"),
        ("Mixed", "mixed"),
        ("First", "first_scored_at"),
        ("Last", "last_scored_at"),
    ] {
        field(&mut out, name, &head["sums"][key]);
    }
    out += "\n## About this data\n";
    for section in items(&head["about_this_data"]["sections"]) {
        let _ = writeln!(out, "\n**{}** {}", plain(&section["title"]), plain(&section["text"]));
    }
    happened(&mut out, "\n## What was done about you\n\n", head);
    let guest: Vec<String> = items(&head["conversations_of_others"])
        .map(|talk| format!("- {}, begun {}", plain(&talk["external_id"]), plain(&talk["opened_at"])))
        .collect();
    if !guest.is_empty() {
        let _ = writeln!(out, "\n## Conversations of others in which you wrote\n\n{}", guest.join("\n"));
    }
    out
}

/// What raters said, what the model learnt, and alerts with what became of them.
fn made_of(out: &mut String, interaction: &Value) {
    for said in items(&interaction["reviews"]) {
        let _ = writeln!(
            out,
            "- A person read it at {}: {} {} {}",
            plain(&said["given_at"]),
            plain(&said["label"]),
            plain(&said["score"]),
            plain(&said["note"])
        );
    }
    for learnt in items(&interaction["learnt_from"]) {
        let _ = writeln!(
            out,
            "- The model learns from it as {}, since {}",
            plain(&learnt["label"]),
            plain(&learnt["labelled_at"])
        );
    }
    for alert in items(&interaction["alerts"]) {
        let _ = writeln!(
            out,
            "- An alert was raised at {}: {} ({}), about {}; now {} {}",
            plain(&alert["raised_at"]),
            plain(&alert["label"]),
            plain(&alert["score"]),
            plain(&alert["category"]),
            plain(&alert["state"]),
            plain(&alert["note"])
        );
        for step in items(&alert["steps"]) {
            let _ = writeln!(
                out,
                "  - {}: {} {}",
                plain(&step["at"]),
                plain(&step["step"]),
                plain(&step["detail"])
            );
        }
    }
}

/// What was done, and who was told.
fn happened(out: &mut String, title: &str, of: &Value) {
    let done = items(&of["done_about_you"]).chain(items(&of["done_about_it"]));
    let done: Vec<String> =
        done.map(|act| format!("- {}: {}", plain(&act["at"]), plain(&act["action"]))).collect();
    let told = items(&of["told_to_others"]).map(|event| {
        let whom = match (event["to_workflow"].as_bool(), event["to_webhooks"].as_bool()) {
            (Some(true), Some(true)) => "workflows and connected systems",
            (Some(true), _) => "workflows",
            _ => "connected systems",
        };
        format!("- {}: {} told to {whom}", plain(&event["created_at"]), plain(&event["event"]))
    });
    let people = items(&of["people_told"]).map(|notice| {
        format!(
            "- {}: people told of {}, {} in the inbox and {} by e-mail",
            plain(&notice["happened_at"]),
            plain(&notice["event"]),
            plain(&notice["in_app"]),
            plain(&notice["by_email"])
        )
    });
    let sent = items(&of["sent_to"]).map(|sent| {
        let whom = match (plain(&sent["name"]), plain(&sent["kind"])) {
            (name, _) if name.is_empty() => "a destination that is gone".to_owned(),
            (name, kind) => format!("{name} ({kind})"),
        };
        format!(
            "- {}: {} to {whom}, {}",
            plain(&sent["created_at"]),
            plain(&sent["event"]),
            plain(&sent["state"])
        )
    });
    let lines: Vec<String> = done.into_iter().chain(told).chain(people).chain(sent).collect();
    if !lines.is_empty() {
        let _ = writeln!(out, "{title}{}", lines.join("\n"));
    }
    cut(out, of);
}

/// Of which lists there may be more than is told.
fn cut(out: &mut String, of: &Value) {
    let cut = &of["only_the_first"];
    let lists: Vec<String> = items(&cut["of"]).map(|name| plain(name).replace("\\_", " ")).collect();
    if !lists.is_empty() {
        let _ = writeln!(out, "- Only the first {} are told of: {}", plain(&cut["most"]), lists.join(", "));
    }
}

/// A conversation.
pub fn conversation(conversation: &Value) -> String {
    let mut out = format!("\n### {}\n\n", plain(&conversation["external_id"]));
    for (name, key) in [
        ("Subject", "subject"),
        ("Priority", "priority"),
        ("Queue", "queue"),
        ("Tags", "tags"),
        ("Opened", "opened_at"),
        ("Closed", "closed_at"),
    ] {
        field(&mut out, name, &conversation[key]);
    }
    out
}

/// An interaction.
pub fn interaction(interaction: &Value) -> String {
    let mut out = format!(
        "\n### {}, {} ({})\n\n",
        plain(&interaction["occurred_at"]),
        plain(&interaction["channel"]),
        plain(&interaction["external_id"])
    );
    for text in items(&interaction["texts"]) {
        let _ = writeln!(out, "{}", quoted(text["body"].as_str().unwrap_or_default()));
    }
    field(&mut out, "Not scored, because", &interaction["reason"]);
    for revision in items(&interaction["verdicts"]) {
        let (verdict, made) = (&revision["verdict"], &revision["verdict"]["provenance"]);
        let _ = writeln!(
            out,
            "- Read at {}: {} ({}), confidence {} percent, {}, urgency {}, about {}. By {} {} version {}{}.",
            plain(&revision["scored_at"]),
            plain(&verdict["label"]),
            plain(&verdict["score"]),
            plain(&verdict["confidence"]),
            plain(&verdict["dominant_emotion"]),
            plain(&verdict["urgency"]),
            plain(&verdict["category"]),
            plain(&made["scorer"]),
            plain(&made["model"]),
            plain(&made["model_version"]),
            made["prompt_version"].as_str().map(|v| format!(", prompt {}", escaped(v))).unwrap_or_default(),
        );
        let summary = plain(&verdict["summary"]);
        if !summary.is_empty() {
            let _ = writeln!(out, "  {summary}");
        }
        let phrases: Vec<String> = items(&verdict["evidence"]).map(|one| plain(&one["text"])).collect();
        if !phrases.is_empty() {
            let _ = writeln!(out, "  It rests on: {}", phrases.join("; "));
        }
    }
    for correction in items(&interaction["corrections"]) {
        let what = match (&correction["score"], &correction["label"]) {
            (Value::Null, Value::Null) => "taken back".to_owned(),
            (score, label) => format!("{} {}", plain(label), plain(score)),
        };
        let _ = writeln!(
            out,
            "- Corrected by a person at {}: {what} {}",
            plain(&correction["made_at"]),
            plain(&correction["reason"])
        );
    }
    made_of(&mut out, interaction);
    happened(&mut out, "\n", interaction);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_people_wrote_stays_text() {
        let told = interaction(&json!({
            "occurred_at": "2026-11-20T12:00:00Z", "channel": "email", "external_id": "1",
            "texts": [{"body": "# Big\n<script>alert(1)</script> [x](javascript:1) ![y](z)\n\u{1b}[31mred"}],
            "corrections": [{"score": null, "label": null, "made_at": "2026-11-21T12:00:00Z"},
                {"score": -60, "label": "negative", "reason": "They are *furious*", "made_at": "2026-11-22T12:00:00Z"}],
        }));
        assert!(told.contains("> \\# Big\n> \\<script\\>"), "{told}");
        assert!(told.contains("\\[x\\](javascript:1) \\!\\[y\\]") && !told.contains('\u{1b}'), "{told}");
        assert!(told.contains("taken back"), "{told}");
        assert!(told.contains(": negative -60 They are \\*furious\\*\n"), "{told}");
    }
}
