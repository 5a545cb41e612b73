//! Slack's incoming webhooks: blocks out, a word of plain text back.

use serde_json::{Value, json};
use undertone_store::destinations::Sent;

use super::note::{Note, cut};
use super::webhook::{failed, gone};
use super::{Message, Outcome, Outward, Reply, post};

/// Slack's bounds, in characters.
const HEADER: usize = 150;
const SECTION: usize = 3000;
const FIELD: usize = 2000;
const FIELDS: usize = 10;

/// Sends a message.
pub(super) async fn send(outward: &Outward, message: &Message<'_>) -> Outcome {
    post(outward, message, &body(message), judge).await
}

/// What customers wrote must not ring for a channel: these three signs begin everything that does.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Escaped and still within `most` characters.
fn short(text: &str, most: usize) -> String {
    let mut kept = most;
    loop {
        let escaped = escape(&cut(text, kept));
        if escaped.chars().count() <= most || kept == 0 {
            return escaped;
        }
        kept = kept * 9 / 10;
    }
}

fn body(message: &Message<'_>) -> Value {
    let note = Note::of(message);
    let mut blocks =
        vec![json!({"type": "header", "text": {"type": "plain_text", "text": cut(&note.title, HEADER)}})];
    if let Some(text) = &note.text {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": short(text, SECTION)}}));
    }
    let fields: Vec<Value> = note
        .facts
        .iter()
        .take(FIELDS)
        .map(|(name, value)| json!({"type": "mrkdwn", "text": format!("*{name}*\n{}", short(value, FIELD - 40))}))
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    if let Some(link) = &note.link {
        let button = json!({"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": link, "action_id": "open"});
        blocks.push(json!({"type": "actions", "elements": [button]}));
    }
    json!({"text": short(&note.title, SECTION), "blocks": blocks})
}

fn judge(reply: &Reply) -> Outcome {
    let word = String::from_utf8_lossy(&reply.body).trim().to_owned();
    let told = || format!("Slack answers {}{}", reply.status, reply.excerpt());
    let sent = match (reply.status, word.as_str()) {
        (200, "ok") => Sent::Delivered,
        // Nothing of ours will ever be taken at this address.
        (403 | 404 | 410, _) => gone(&told(), "make another incoming webhook in Slack"),
        (400, _) => Sent::Refused(told()),
        // 200 without ok: an address that is not Slack's webhook.
        (200..=299, _) => {
            Sent::Failed(format!("{}, and not ok: is this the address of an incoming webhook?", told()))
        }
        _ => failed(reply, told()),
    };
    Outcome::of(sent, reply)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::super::test_message;
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn nothing_a_customer_wrote_rings_for_a_channel() {
        let data = json!({"summary": "<!channel> & <@U123> *bold*", "category": "<!here>", "score": -80});
        let body = test_message("alert.raised", &data, body);
        let text = body.to_string();
        assert!(!text.contains("<!channel>") && !text.contains("<@U"), "{text}");
        assert_eq!(body["blocks"][1]["text"]["text"], "&lt;!channel&gt; &amp; &lt;@U123&gt; *bold*");
        // The header is plain text, where nothing rings.
        assert_eq!(body["blocks"][0]["text"]["type"], "plain_text");
        assert!(!body["text"].as_str().unwrap().contains('<'));
    }

    #[test]
    fn what_is_long_stays_within_the_bounds() {
        let data = json!({"summary": "<".repeat(9000), "category": "x".repeat(500), "customer_name": "&".repeat(300)});
        let body = test_message("alert.raised", &data, body);
        let chars = |value: &Value| value.as_str().unwrap().chars().count();
        assert!(chars(&body["blocks"][0]["text"]["text"]) <= HEADER);
        assert!(chars(&body["blocks"][1]["text"]["text"]) <= SECTION);
        assert!(
            body["blocks"][2]["fields"]
                .as_array()
                .unwrap()
                .iter()
                .all(|field| chars(&field["text"]) <= FIELD)
        );
    }

    #[test]
    fn slacks_words_are_understood() {
        assert_eq!(judge(&reply(200, "ok")).sent, Sent::Delivered);
        assert!(matches!(judge(&reply(200, "{\"ok\":false}")).sent, Sent::Failed(_)));
        assert!(
            matches!(judge(&reply(400, "invalid_blocks")).sent, Sent::Refused(why) if why.contains("invalid_blocks"))
        );
        for (status, word) in [(403, "action_prohibited"), (404, "no_service"), (410, "channel_is_archived")]
        {
            assert!(
                matches!(judge(&reply(status, word)).sent, Sent::Gone { why, hint } if why.contains(word) && !hint.contains(word))
            );
        }
        assert!(matches!(judge(&reply(500, "rollup_error")).sent, Sent::Failed(_)));
        assert!(matches!(judge(&reply(429, "rate_limited")).sent, Sent::Throttled(..)));
        let mut away = reply(503, "");
        assert!(matches!(judge(&away).sent, Sent::Failed(_)));
        away.headers.insert("retry-after", reqwest::header::HeaderValue::from_static("20"));
        assert!(matches!(judge(&away).sent, Sent::Throttled(after, _) if after.num_seconds() == 20));
    }
}
