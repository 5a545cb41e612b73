//! Zendesk: a tag beside those that are there, an internal comment, a priority, on the ticket that a conversation is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use undertone_store::destinations::Sent;

use super::note::{Note, cut};
use super::webhook::patience;
use super::{Message, OutRequest, Outcome, Outward, Reply};

/// The tag, unless another is set.
const TAG: &str = "undertone_alert";
/// Characters of a comment.
const COMMENT: usize = 4000;
/// Somebody else may change the ticket while we look at it; so often it is looked at again.
const LOOKS: usize = 4;
/// Recent comments that are looked through for this message.
const RECENT: usize = 25;

/// Sends a message: adds the tag, and an internal comment with the priority.
pub(super) async fn send(outward: &Outward, message: &Message<'_>) -> Outcome {
    let data = message.data();
    let Some(ticket) = ticket(&data) else {
        let why =
            "the interaction belongs to no Zendesk ticket: its conversation's id is no number".to_owned();
        return Outcome { sent: Sent::Refused(why), status: None };
    };
    let desk = Desk { outward, message, ticket };
    match desk.update().await {
        Ok(reply) => Outcome::of(Sent::Delivered, &reply),
        Err(outcome) => outcome,
    }
}

/// The ticket's number: the conversation's id at the helpdesk.
fn ticket(data: &Value) -> Option<u64> {
    match &data["conversation_external_id"] {
        Value::String(id) => id.trim_start_matches('#').parse().ok(),
        Value::Number(id) => id.as_u64(),
        _ => None,
    }
}

struct Desk<'a> {
    outward: &'a Outward,
    message: &'a Message<'a>,
    ticket: u64,
}

impl Desk<'_> {
    /// One request to the ticket; anything but success is an outcome of the whole.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<(Reply, Value), Outcome> {
        let mut headers = HeaderMap::new();
        let basic =
            format!("Basic {}", STANDARD.encode(self.message.secrets.key.as_deref().unwrap_or_default()));
        if let Ok(mut value) = HeaderValue::from_str(&basic) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let url = format!(
            "{}/api/v2/tickets/{}{path}",
            self.message.secrets.url.trim_end_matches('/'),
            self.ticket
        );
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let reply = self.outward.exchange(OutRequest { method, url, headers, body }).await?;
        if (200..300).contains(&reply.status) {
            let said = serde_json::from_slice(&reply.body).unwrap_or_default();
            return Ok((reply, said));
        }
        Err(judge(&reply))
    }

    async fn update(&self) -> Result<Reply, Outcome> {
        // On a second try, and where our own update came back to us, it may be there already.
        if let Some(reply) = self.is_there().await? {
            return Ok(reply);
        }
        let mut looks = 0;
        loop {
            looks += 1;
            match self.change().await {
                // Somebody changed the ticket since it was read.
                Err(Outcome { status: Some(409), .. }) if looks < LOOKS => {}
                done => return done,
            }
        }
    }

    /// The reference that stands under the comment of this message.
    fn reference(&self) -> String {
        format!("Undertone {}", self.message.id)
    }

    async fn is_there(&self) -> Result<Option<Reply>, Outcome> {
        let path = format!("/comments.json?sort_order=desc&per_page={RECENT}");
        let (reply, said) = self.call(Method::GET, &path, None).await?;
        let reference = self.reference();
        let has = |comment: &Value| {
            ["plain_body", "body"]
                .iter()
                .any(|key| comment[*key].as_str().is_some_and(|text| text.contains(&reference)))
        };
        let is_there = said["comments"].as_array().is_some_and(|comments| comments.iter().any(has));
        Ok(is_there.then_some(reply))
    }

    async fn change(&self) -> Result<Reply, Outcome> {
        let (reply, said) = self.call(Method::GET, ".json", None).await?;
        let ticket = &said["ticket"];
        if ticket["id"].as_u64() != Some(self.ticket) {
            let why = format!(
                "Zendesk answers {} without the ticket: is this the address of the account?",
                reply.status
            );
            return Err(Outcome::of(Sent::Failed(why), &reply));
        }
        if ticket["status"] == "closed" {
            return Err(Outcome::of(
                Sent::Refused("the ticket is closed, and can not be changed any more".to_owned()),
                &reply,
            ));
        }
        let options = self.message.options;
        let word = |name: &str| options.get(name).and_then(Value::as_str);
        let tag = word("tag").unwrap_or(TAG);
        let mut stamp = ticket["updated_at"].clone();
        let has_tag = ticket["tags"].as_array().is_some_and(|tags| tags.iter().any(|one| one == tag));
        if !has_tag {
            // PUT adds to the tags here; in the ticket it would replace them.
            let body = json!({"tags": [tag], "updated_stamp": stamp, "safe_update": "true"});
            self.call(Method::PUT, "/tags.json", Some(body)).await?;
            let (_, said) = self.call(Method::GET, ".json", None).await?;
            stamp = said["ticket"]["updated_at"].clone();
        }
        let mut change = json!({"safe_update": true, "updated_stamp": stamp});
        if options.get("comment").and_then(Value::as_bool).unwrap_or(true) {
            change["comment"] = json!({"body": self.comment(), "public": false});
        }
        let raised = word("priority")
            .filter(|wanted| rank(wanted) > rank(ticket["priority"].as_str().unwrap_or_default()));
        if let Some(priority) = raised {
            change["priority"] = priority.into();
        }
        if let Some(field) = options.get("custom_field_id") {
            change["custom_fields"] = json!([{"id": field, "value": tag}]);
        }
        let (reply, said) = self.call(Method::PUT, ".json", Some(json!({"ticket": change}))).await?;
        // A yes that changed nothing is none.
        let changed = &said["ticket"];
        if changed["id"].as_u64() != Some(self.ticket)
            || raised.is_some_and(|priority| changed["priority"] != priority)
        {
            let why = format!("Zendesk answers {} and did not change the ticket", reply.status);
            return Err(Outcome::of(Sent::Failed(why), &reply));
        }
        Ok(reply)
    }

    fn comment(&self) -> String {
        let note = Note::of(self.message);
        let mut lines = vec![note.title];
        lines.extend(note.text.map(|text| cut(&text, COMMENT)));
        lines.extend(note.facts.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.extend(note.link);
        lines.push(format!("({})", self.reference()));
        lines.join("\n")
    }
}

/// Priorities in order; no word is the lowest.
fn rank(priority: &str) -> u8 {
    match priority {
        "urgent" => 4,
        "high" => 3,
        "normal" => 2,
        "low" => 1,
        _ => 0,
    }
}

fn judge(reply: &Reply) -> Outcome {
    let told = || format!("Zendesk answers {}{}", reply.status, reply.excerpt());
    let sent = match reply.status {
        429 => Sent::Throttled(patience(reply), told()),
        503 if reply.headers.contains_key("retry-after") => Sent::Throttled(patience(reply), told()),
        400 | 404 | 422 => Sent::Refused(told()),
        401 | 403 => Sent::Gone(format!("{}; the API token does not open this account any more", told())),
        _ => Sent::Failed(told()),
    };
    Outcome::of(sent, reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_a_conversation_with_a_number() {
        assert_eq!(ticket(&json!({"conversation_external_id": "4711"})), Some(4711));
        assert_eq!(ticket(&json!({"conversation_external_id": "#4711"})), Some(4711));
        assert_eq!(ticket(&json!({"conversation_external_id": "chat-9"})), None);
        assert_eq!(ticket(&json!({})), None);
    }

    #[test]
    fn zendesks_answers_are_understood() {
        let reply = |status| Reply { status, headers: HeaderMap::new(), body: b"{\"error\":\"x\"}".to_vec() };
        assert!(matches!(judge(&reply(422)).sent, Sent::Refused(_)));
        assert!(matches!(judge(&reply(401)).sent, Sent::Gone(_)));
        assert!(matches!(judge(&reply(429)).sent, Sent::Throttled(..)));
        assert!(matches!(judge(&reply(409)).sent, Sent::Failed(_)));
    }
}
