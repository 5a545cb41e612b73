//! Zendesk: a tag beside those that are there, an internal comment, a priority, on the ticket that a conversation is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use undertone_core::event::EventKind;
use undertone_store::destinations::Sent;

use super::note::{Note, cut};
use super::webhook::{failed, gone};
use super::{Message, OutRequest, Outcome, Outward, Reads, Reply};

/// The tag, unless another is set.
const TAG: &str = "undertone_alert";
/// What interactions from Zendesk are called where they are handed in, unless another word is set.
const SOURCE: &str = "zendesk";
/// Characters of a comment.
const COMMENT: usize = 4000;
/// Somebody else may change the ticket while we look at it; so often it is looked at again.
const LOOKS: usize = 4;
/// Recent comments are looked through for this message: so many at a time, each of which may have 64 KiB, several times over.
const PAGE: usize = 5;
/// And so many times.
const PAGES: usize = 5;

/// Sends a message: adds the tag and an internal comment with the priority, or the comment alone where an alert goes on. A test, which is
/// about no ticket, asks the account who we are.
pub(super) async fn send(outward: &Outward, message: &Message<'_>) -> Outcome {
    let desk = Desk { outward, message };
    let done =
        if message.event == EventKind::Test.as_str() { desk.log_in().await } else { desk.tell().await };
    match done {
        Ok(reply) => Outcome::of(Sent::Delivered, &reply),
        Err(outcome) => outcome,
    }
}

/// The ticket is marked, and not only told, when somebody is to look after the customer.
pub(super) fn marks(event: &str) -> bool {
    let marking = [EventKind::AlertRaised, EventKind::AlertReminded, EventKind::AlertEscalated];
    marking.iter().any(|kind| kind.as_str() == event)
}

/// It says yes, and what it says more is not JSON, or came only in part: nobody knows what stands there.
fn unread(reply: &Reply) -> Outcome {
    let why = format!(
        "Zendesk answers {} with what can not be read to its end: is this the address of the account?",
        reply.status
    );
    Outcome::of(Sent::Failed(why), reply)
}

fn withheld(why: &str) -> Outcome {
    Outcome { sent: Sent::Withheld(why.to_owned()), status: None }
}

/// The ticket's number: the conversation's id at the helpdesk, where it comes from there. Elsewhere the same number is something else.
///
/// # Errors
/// Why it is about no ticket.
fn ticket(data: &Value, source: &str) -> Result<u64, String> {
    match data["source"].as_str() {
        Some(given) if given.eq_ignore_ascii_case(source) => {}
        Some(given) => {
            return Err(format!(
                "it is about no Zendesk ticket: its source is “{given}”, and not “{source}”, which the option source can change"
            ));
        }
        None => return Err("it is about no Zendesk ticket: its source is not known any more".to_owned()),
    }
    let number = match &data["conversation_external_id"] {
        Value::String(id) => id.trim_start_matches('#').parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        "it is about no Zendesk ticket: there is no conversation, or its id is no number".to_owned()
    })
}

struct Desk<'a> {
    outward: &'a Outward,
    message: &'a Message<'a>,
}

struct Ticket<'a> {
    desk: &'a Desk<'a>,
    id: u64,
}

impl Desk<'_> {
    /// Whether the login works. Whoever has none is somebody too at Zendesk, without an id.
    async fn log_in(&self) -> Result<Reply, Outcome> {
        let (reply, said) = self.call(Method::GET, "/users/me.json", None).await?;
        let said = said.unwrap_or_default();
        let (user, wrong) = (&said["user"], |why: String| Err(Outcome::of(Sent::Refused(why), &reply)));
        if !user.is_object() {
            let why = format!(
                "Zendesk answers {} without a user: is this the address of the account?",
                reply.status
            );
            return wrong(why);
        }
        if user["id"].as_u64().is_none() {
            return wrong(
                "Zendesk does not know the login: the e-mail address or the API token is wrong".to_owned(),
            );
        }
        if !matches!(user["role"].as_str(), Some("agent" | "admin")) {
            return wrong("the login is no agent's, and can not change tickets".to_owned());
        }
        Ok(reply)
    }

    async fn tell(&self) -> Result<Reply, Outcome> {
        let source = self.message.options.get("source").and_then(Value::as_str).unwrap_or(SOURCE);
        let id = ticket(&self.message.data(), source).map_err(|why| withheld(&why))?;
        if !marks(self.message.event) && !self.comments() {
            return Err(withheld("there is nothing to do: the destination writes no comments"));
        }
        Ticket { desk: self, id }.update().await
    }

    /// Whether comments are written.
    fn comments(&self) -> bool {
        self.message.options.get("comment").and_then(Value::as_bool).unwrap_or(true)
    }

    /// The reference that stands under the comment of this message.
    fn reference(&self) -> String {
        format!("Undertone {}", self.message.id)
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

    /// One request to the account; anything but success is an outcome of the whole. `None`: it says yes, and the rest can not be read.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(Reply, Option<Value>), Outcome> {
        let mut headers = HeaderMap::new();
        let basic =
            format!("Basic {}", STANDARD.encode(self.message.secrets.key.as_deref().unwrap_or_default()));
        if let Ok(mut value) = HeaderValue::from_str(&basic) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let url = format!("{}/api/v2{path}", self.message.secrets.url.trim_end_matches('/'));
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let reply = self.outward.exchange(OutRequest { method, url, headers, body }, Reads::Document).await?;
        if (200..300).contains(&reply.status) {
            let said = serde_json::from_slice(&reply.body).ok();
            return Ok((reply, said));
        }
        Err(judge(&reply))
    }
}

impl Ticket<'_> {
    /// One request to the ticket.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(Reply, Option<Value>), Outcome> {
        self.desk.call(method, &format!("/tickets/{}{path}", self.id), body).await
    }

    /// What stands there. What can not be read is no answer.
    async fn read(&self, path: &str) -> Result<(Reply, Value), Outcome> {
        let (reply, said) = self.call(Method::GET, path, None).await?;
        match said {
            Some(said) => Ok((reply, said)),
            None => Err(unread(&reply)),
        }
    }

    async fn update(&self) -> Result<Reply, Outcome> {
        // On a second try, and where our own update came back to us, it may be there already.
        if let Some(reply) = self.is_there().await? {
            return Ok(reply);
        }
        // Its end may have passed it on the way, and nobody would take the mark off again.
        if self.desk.message.is_over {
            return Err(withheld("the alert is over by now, so its ticket is not marked any more"));
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

    /// The answer that shows this message's comment, where it is one of the recent ones. What can not be read is no answer: who takes it for a no
    /// writes the comment again.
    async fn is_there(&self) -> Result<Option<Reply>, Outcome> {
        let reference = self.desk.reference();
        let has = |comment: &Value| {
            ["plain_body", "body"]
                .iter()
                .any(|key| comment[*key].as_str().is_some_and(|text| text.contains(&reference)))
        };
        for page in 1..=PAGES {
            let path = format!("/comments.json?sort_order=desc&per_page={PAGE}&page={page}");
            let (reply, said) = self.read(&path).await?;
            let Some(comments) = said["comments"].as_array() else { return Err(unread(&reply)) };
            if comments.iter().any(has) {
                return Ok(Some(reply));
            }
            if comments.len() < PAGE {
                break;
            }
        }
        Ok(None)
    }

    async fn change(&self) -> Result<Reply, Outcome> {
        let (reply, said) = self.read(".json").await?;
        let ticket = &said["ticket"];
        if ticket["id"].as_u64() != Some(self.id) {
            let why = format!(
                "Zendesk answers {} without the ticket: is this the address of the account?",
                reply.status
            );
            return Err(Outcome::of(Sent::Failed(why), &reply));
        }
        if ticket["status"] == "closed" {
            // It says nothing of the account.
            return Err(withheld("the ticket is closed, and can not be changed any more"));
        }
        let options = self.desk.message.options;
        let marks = marks(self.desk.message.event);
        let word = |name: &str| options.get(name).and_then(Value::as_str);
        let tag = word("tag").unwrap_or(TAG);
        let mut stamp = ticket["updated_at"].clone();
        let has_tag = ticket["tags"].as_array().is_some_and(|tags| tags.iter().any(|one| one == tag));
        if marks && !has_tag {
            // PUT adds to the tags here; in the ticket it would replace them.
            let body = json!({"tags": [tag], "updated_stamp": stamp, "safe_update": "true"});
            self.call(Method::PUT, "/tags.json", Some(body)).await?;
            let (_, said) = self.read(".json").await?;
            stamp = said["ticket"]["updated_at"].clone();
        }
        let mut change = json!({"safe_update": true, "updated_stamp": stamp});
        if self.desk.comments() {
            change["comment"] = json!({"body": self.desk.comment(), "public": false});
        }
        let raised = word("priority")
            .filter(|_| marks)
            .filter(|wanted| rank(wanted) > rank(ticket["priority"].as_str().unwrap_or_default()));
        if let Some(priority) = raised {
            change["priority"] = priority.into();
        }
        if let Some(field) = options.get("custom_field_id").filter(|_| marks) {
            change["custom_fields"] = json!([{"id": field, "value": tag}]);
        }
        let (reply, said) = self.call(Method::PUT, ".json", Some(json!({"ticket": change}))).await?;
        let Some(said) = said else {
            // It was done as a rule, and then the comment stands there.
            return self.is_there().await?.ok_or_else(|| unread(&reply));
        };
        // A yes that changed nothing is none.
        let changed = &said["ticket"];
        if changed["id"].as_u64() != Some(self.id)
            || raised.is_some_and(|priority| changed["priority"] != priority)
        {
            let why = format!("Zendesk answers {} and did not change the ticket", reply.status);
            return Err(Outcome::of(Sent::Failed(why), &reply));
        }
        Ok(reply)
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
        // 403 may be about this one ticket, which the agent behind the token may not see.
        400 | 403 | 404 | 422 => Sent::Refused(told()),
        401 => gone(&told(), "the API token does not open this account any more"),
        _ => failed(reply, told()),
    };
    Outcome::of(sent, reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_a_conversation_with_a_number() {
        let of = |source: &str, id: &str| json!({"source": source, "conversation_external_id": id});
        assert_eq!(ticket(&of("zendesk", "4711"), SOURCE), Ok(4711));
        assert_eq!(ticket(&of("Zendesk", "#4711"), SOURCE), Ok(4711));
        assert_eq!(ticket(&of("desk-eu", "4711"), "desk-eu"), Ok(4711));
        let no_ticket = |data: Value, source: &str| ticket(&data, source).unwrap_err();
        assert!(no_ticket(of("zendesk", "chat-9"), SOURCE).contains("no number"));
        assert!(no_ticket(of("telephone", "4711"), SOURCE).contains("“telephone”, and not “zendesk”"));
        assert!(no_ticket(of("zendesk", "4711"), "desk-eu").contains("“desk-eu”"));
        assert!(no_ticket(json!({"conversation_external_id": "4711"}), SOURCE).contains("not known"));
    }

    #[test]
    fn zendesks_answers_are_understood() {
        let reply = |status| Reply { status, headers: HeaderMap::new(), body: b"{\"error\":\"x\"}".to_vec() };
        assert!(matches!(judge(&reply(422)).sent, Sent::Refused(_)));
        assert!(matches!(judge(&reply(401)).sent, Sent::Gone { .. }));
        assert!(matches!(judge(&reply(429)).sent, Sent::Throttled(..)));
        assert!(matches!(judge(&reply(409)).sent, Sent::Failed(_)));
    }
}
