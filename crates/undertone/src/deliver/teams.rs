//! Microsoft Teams through a workflow: an adaptive card in an envelope.

use serde_json::{Value, json};
use undertone_store::destinations::Sent;

use super::note::{Note, cut};
use super::webhook::{failed, gone, patience};
use super::{Message, Outcome, Outward, Reply, post};

/// A message has 28 KB at most; this leaves room for the card around it.
const TEXT: usize = 4000;

/// Sends a message.
pub(super) async fn send(outward: &Outward, message: &Message<'_>) -> Outcome {
    post(outward, message, &body(message), judge).await
}

/// A card's text is a subset of Markdown; what customers wrote is none.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, sign| {
        if matches!(sign, '\\' | '[' | ']' | '(' | ')' | '*' | '_' | '#' | '`' | '<' | '>' | '~' | '|') {
            escaped.push('\\');
        }
        escaped.push(sign);
        escaped
    })
}

fn body(message: &Message<'_>) -> Value {
    let note = Note::of(message);
    let mut parts = vec![
        json!({"type": "TextBlock", "text": escape(&note.title), "weight": "Bolder", "size": "Medium", "wrap": true}),
    ];
    if let Some(text) = &note.text {
        parts.push(json!({"type": "TextBlock", "text": escape(&cut(text, TEXT)), "wrap": true}));
    }
    if !note.facts.is_empty() {
        let facts: Vec<Value> =
            note.facts.iter().map(|(name, value)| json!({"title": name, "value": escape(value)})).collect();
        parts.push(json!({"type": "FactSet", "facts": facts}));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": parts,
    });
    if let Some(link) = note.link {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open", "url": link}]);
    }
    let attachment = json!({"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card});
    json!({"type": "message", "attachments": [attachment]})
}

fn judge(reply: &Reply) -> Outcome {
    let told = || format!("Teams answers {}{}", reply.status, reply.excerpt());
    let text = String::from_utf8_lossy(&reply.body);
    let sent = match reply.status {
        // Connectors said yes and told of a refusal in the text.
        200 if text.contains("HTTP error 429") => Sent::Throttled(patience(reply), told()),
        200 if text.contains("HTTP error") => Sent::Failed(told()),
        200..=299 => Sent::Delivered,
        400 | 413 => Sent::Refused(told()),
        401 | 403 | 404 | 410 => gone(&told(), "the workflow was removed, or its address changed"),
        _ => failed(reply, told()),
    };
    Outcome::of(sent, reply)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::super::test_message;
    use super::*;

    #[test]
    fn a_card_is_a_message_and_what_customers_wrote_is_text() {
        let data = json!({"summary": "[click](https://evil.example) **now**", "score": -80});
        let body = test_message("alert.raised", &data, body);
        assert_eq!(body["type"], "message");
        let card = &body["attachments"][0]["content"];
        assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
        let text = card["body"][1]["text"].as_str().unwrap();
        assert_eq!(text, "\\[click\\]\\(https://evil.example\\) \\*\\*now\\*\\*");
        assert_eq!(card["actions"][0]["url"], "https://undertone.example/here");
    }

    #[test]
    fn a_yes_may_be_a_no() {
        let reply =
            |status, body: &str| Reply { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
        assert_eq!(judge(&reply(202, "")).sent, Sent::Delivered);
        let refused = "Microsoft Teams endpoint returned HTTP error 429 with ContextId x";
        assert!(matches!(judge(&reply(200, refused)).sent, Sent::Throttled(..)));
        assert!(matches!(judge(&reply(404, "")).sent, Sent::Gone { .. }));
        assert!(matches!(judge(&reply(502, "")).sent, Sent::Failed(_)));
        let mut away = reply(503, "");
        away.headers.insert("retry-after", reqwest::header::HeaderValue::from_static("20"));
        assert!(matches!(judge(&away).sent, Sent::Throttled(after, _) if after.num_seconds() == 20));
    }
}
