//! Answers as Slack's incoming webhooks do: `ok`, or a word of plain text.

use serde_json::Value;

use super::{Reply, Request};

/// Slack's answer to a message.
#[must_use]
pub fn answer(request: &Request) -> Reply {
    let body = request.json();
    if request.method != "POST" || !body.is_object() {
        return Reply::text(400, "invalid_payload");
    }
    if !body["text"].is_string() {
        return Reply::text(400, "no_text");
    }
    let blocks = body["blocks"].as_array().map_or(&[][..], Vec::as_slice);
    if blocks.len() > 50 || !blocks.iter().all(fits) {
        return Reply::text(400, "invalid_blocks");
    }
    Reply::text(200, "ok")
}

fn fits(block: &Value) -> bool {
    let short = |text: &Value, kind: &str, most: usize| {
        text["type"] == kind
            && text["text"].as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= most)
    };
    match block["type"].as_str() {
        Some("header") => short(&block["text"], "plain_text", 150),
        Some("section") => match block["fields"].as_array() {
            Some(fields) => fields.len() <= 10 && fields.iter().all(|field| short(field, "mrkdwn", 2000)),
            None => short(&block["text"], "mrkdwn", 3000),
        },
        Some("actions") => block["elements"].as_array().is_some_and(|elements| {
            let button = |one: &Value| one["type"] == "button" && short(&one["text"], "plain_text", 75);
            elements.len() <= 25 && elements.iter().all(button)
        }),
        _ => false,
    }
}
