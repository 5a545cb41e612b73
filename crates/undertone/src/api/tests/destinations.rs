//! Destinations through the API, and what arrives at receivers that answer as the real ones document.

mod again;
mod answers;
mod echo;
mod ends;
mod helpdesk;
mod kinds;
mod outside;
mod paged;
mod seen;
mod tickets;

use std::time::Duration;

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use undertone_testkit::receiver::{Receiver, Reply, Request};

use super::document::assert_documented;
use super::{Answer, Bench, FURIOUS, until};
use crate::deliver::Deliveries;

const ALL: &str = "/api/v1/destinations";

/// A service whose messages go out.
struct Out {
    bench: Bench,
    document: Value,
    _deliveries: Deliveries,
}

impl Out {
    async fn open() -> Self {
        let bench = Bench::open().await;
        let deliveries = bench.deliveries("https://undertone.example", &bench.app.ending);
        let document = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
        Self { bench, document, _deliveries: deliveries }
    }

    /// A call as an administrator, held to the document.
    async fn call(&self, method: &str, path: &str, id: &str, body: Option<Value>) -> Answer {
        let bare = path.split('?').next().unwrap_or_default();
        let answer = self.bench.call(method, &path.replace("{id}", id), "ut_mine", body.as_ref()).await;
        assert_documented(&self.document, method, bare, &answer);
        answer
    }

    async fn ok(&self, method: &str, path: &str, id: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, id, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        if answer.text.is_empty() { Value::Null } else { answer.json() }
    }

    /// Makes a destination; answers it.
    async fn destination(&self, kind: &str, url: &str, more: Value) -> Value {
        let mut body = json!({"kind": kind, "name": format!("{kind} {}", uuid::Uuid::new_v4()), "url": url});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ok("POST", ALL, "", Some(body)).await
    }

    /// Sends a test message; answers the delivery's id.
    async fn test(&self, destination: &Value) -> String {
        let told = self.ok("POST", "/api/v1/destinations/{id}/test", id(destination), None).await;
        told["delivery_id"].as_str().unwrap().to_owned()
    }

    /// The delivery, once it is as wanted.
    async fn delivery(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..1000 {
            last = self.ok("GET", "/api/v1/deliveries/{id}", id, None).await;
            if wanted(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not come to that within 20 s: {last}");
    }

    /// The first of a destination's deliveries in this state, once there are so many of them.
    async fn deliveries(&self, destination: &Value, state: &str, count: usize) -> Value {
        let path = format!("/api/v1/destinations/{{id}}/deliveries?state={state}");
        let mut last = Value::Null;
        for _ in 0..500 {
            last = self.ok("GET", &path, id(destination), None).await;
            if last["deliveries"].as_array().unwrap().len() == count {
                return last["deliveries"][0].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("there are no {count} that are {state}: {last}");
    }

    /// Takes a text in and waits for its verdict; answers the interaction's id.
    async fn score(&self, text: &str, customer: &str, conversation: &str) -> String {
        let item = json!({
            "source": "zendesk", "text": text, "customer": {"id": customer, "name": "Ana"}, "conversation": conversation,
        });
        self.bench.score(&item).await
    }
}

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

fn is_delivered(delivery: &Value) -> bool {
    delivery["state"] == "delivered"
}

/// The message of a request, if its signature is this key's.
fn signed(request: &Request, key: &str) -> Option<Value> {
    let mut headers = axum::http::HeaderMap::new();
    for (name, value) in request.headers.iter().filter(|(name, _)| name.starts_with("webhook-")) {
        headers.insert(axum::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    Webhook::new(key).unwrap().verify(&request.body, &headers).ok()?;
    Some(request.json())
}

fn types(receiver: &Receiver) -> Vec<String> {
    receiver.taken().iter().map(|one| one.json()["type"].as_str().unwrap().to_owned()).collect()
}

/// While one key replaces another, all that were promised a day fit, and there are not endlessly many.
async fn each_key_has_its_day(out: &Out, made: &Value, receiver: &Receiver, key: &str) {
    let rotated = out.ok("POST", "/api/v1/destinations/{id}/rotate-key", id(made), None).await;
    let new = rotated["signing_key"].as_str().unwrap();
    assert!(new != key && rotated["previous_key_until"].is_string());
    let delivery = out.test(made).await;
    out.delivery(&delivery, is_delivered).await;
    let last = receiver.taken().pop().unwrap();
    assert!(signed(&last, new).is_some() && signed(&last, key).is_some(), "{last:?}");
    // Whoever missed that one makes another; the receiver that has the first still has its day.
    let rotated = out.ok("POST", "/api/v1/destinations/{id}/rotate-key", id(made), None).await;
    let newest = rotated["signing_key"].as_str().unwrap();
    let delivery = out.test(made).await;
    out.delivery(&delivery, is_delivered).await;
    let last = receiver.taken().pop().unwrap();
    assert!([newest, new, key].iter().all(|key| signed(&last, key).is_some()), "{last:?}");
    for status in [200, 200, 409] {
        let told = out.call("POST", "/api/v1/destinations/{id}/rotate-key", id(made), None).await;
        assert_eq!(told.status, status, "{}", told.text);
    }
}

/// What was delivered, newest first; page by page it is the same list.
async fn delivered(out: &Out, made: &Value) -> Vec<Value> {
    let listed = out.ok("GET", "/api/v1/destinations/{id}/deliveries?state=delivered", id(made), None).await;
    let listed = listed["deliveries"].as_array().unwrap();
    let mut paged = Vec::new();
    let mut query = "?state=delivered&limit=1".to_owned();
    loop {
        let path = format!("/api/v1/destinations/{{id}}/deliveries{query}");
        let page = out.ok("GET", &path, id(made), None).await;
        paged.extend(page["deliveries"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        query = format!("?state=delivered&limit=1&cursor={next}");
    }
    assert_eq!(&paged, listed, "page by page it is the same list");
    paged
}

#[tokio::test]
async fn a_webhook_gets_what_it_asked_for_signed_and_says_no_more_than_it_should() {
    let out = Out::open().await;
    let (thin, full) =
        (Receiver::start(|_| Reply::text(204, "")), Receiver::start(|_| Reply::text(200, "thanks")));
    let url = format!("{}/hooks/marker-of-the-path", thin.address);
    let made = out.destination("webhook", &url, json!({"events": ["alert.*", "sentiment.negative"]})).await;
    let key = made["signing_key"].as_str().unwrap().to_owned();
    let own_key = crate::deliver::new_signing_key();
    let other =
        json!({"events": ["alert.raised"], "detail": "full", "key": own_key, "audience": "supervisor"});
    let other = out.destination("webhook", &full.address, other).await;
    assert!(other.get("signing_key").is_none(), "whoever brings a key knows it");
    for path in [ALL.to_owned(), format!("{ALL}/{}", id(&made))] {
        let told = out.bench.get(&path).await.to_string();
        assert!(!told.contains("marker-of-the-path") && !told.contains(&key[6..]), "{told}");
    }
    out.ok("GET", ALL, "", None).await;

    // A test message.
    let delivery = out.test(&made).await;
    let told = out.delivery(&delivery, is_delivered).await;
    assert_eq!((&told["last_status"], &told["tries"][0]["outcome"]), (&json!(204), &json!("delivered")));
    let message = signed(&thin.taken()[0], &key).unwrap();
    assert_eq!(
        (&message["type"], &message["data"]["tenant_id"]),
        (&json!("undertone.test"), &json!(out.bench.mine.id))
    );
    assert_eq!(thin.taken()[0].header("webhook-id"), told["event_id"].as_str().unwrap());
    assert!(signed(&thin.taken()[0], &own_key).is_none(), "another key does not fit");

    // Events, each once and with what it may say.
    let interaction = out.score(FURIOUS, "ana", "4711").await;
    until("two events at one, one at the other", || thin.count() == 3 && full.count() == 1).await;
    let mut names = types(&thin).split_off(1);
    names.sort();
    assert_eq!(names, ["alert.raised", "sentiment.negative"]);
    for request in &thin.taken()[1..] {
        let message = signed(request, &key).unwrap();
        assert_eq!(message["data"]["interaction_id"], json!(interaction));
        for hidden in ["score", "summary", "label", "customer_name"] {
            assert!(message["data"].get(hidden).is_none(), "{message}");
        }
    }
    let whole = signed(&full.taken()[0], &own_key).unwrap();
    assert!(
        whole["data"]["score"].as_i64().unwrap() <= -50 && whole["data"]["customer_name"] == "Ana",
        "{whole}"
    );
    assert!(whole["data"]["link"].as_str().unwrap().starts_with("https://undertone.example/inbox?alert="));
    let follows = out.bench.get("/api/v1/events?types=alert.raised").await;
    assert_eq!(follows["events"][0]["id"], json!(full.taken()[0].header("webhook-id")), "one id everywhere");

    each_key_has_its_day(&out, &made, &thin, &key).await;
    let rotated = out.ok("GET", &format!("{ALL}/{{id}}"), id(&made), None).await;

    // Again, one and a range, under the ids they had.
    let listed = delivered(&out, &made).await;
    let first = listed.last().unwrap().clone();
    let again = out.ok("POST", "/api/v1/deliveries/{id}/replay", id(&first), None).await;
    let again = out.delivery(again["delivery_id"].as_str().unwrap(), is_delivered).await;
    assert_eq!((&again["event_id"], &again["replay"]), (&first["event_id"], &json!(1)));
    let wrong = json!({"from": "2020-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z", "cursor": "7"});
    assert_eq!(
        out.call("POST", "/api/v1/destinations/{id}/replay", id(&made), Some(wrong)).await.status,
        422
    );
    for to in ["2020-01-01T00:00:00Z", "2019-12-31T23:59:59Z"] {
        let turned = Some(json!({"from": "2020-01-01T00:00:00Z", "to": to}));
        let told = out.call("POST", "/api/v1/destinations/{id}/replay", id(&made), turned).await;
        assert_eq!((told.status, &told.json()["errors"][0]["field"]), (422, &json!("to")), "{}", told.text);
    }
    let before = thin.count();
    let range = json!({"from": "2020-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z", "state": "delivered"});
    let replayed = out.ok("POST", "/api/v1/destinations/{id}/replay", id(&made), Some(range)).await;
    assert_eq!(replayed, json!({"replayed": 5, "next_cursor": null}));
    until("five once more", || thin.count() == before + 5).await;
    let mut ids: Vec<String> = thin.taken().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "a message keeps its id");

    // Whoever is not asked gets nothing any more.
    let off = json!({"active": false, "version": rotated["version"]});
    let changed = out.ok("PUT", &format!("{ALL}/{{id}}"), id(&made), Some(off.clone())).await;
    assert_eq!(changed["active"], false);
    assert_eq!(
        out.call("PUT", &format!("{ALL}/{{id}}"), id(&made), Some(off)).await.status,
        409,
        "an old version"
    );
    assert_eq!(out.call("POST", "/api/v1/destinations/{id}/test", id(&made), None).await.status, 409);
    let range = json!({"from": "2020-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z"});
    for (path, of, body) in [
        ("/api/v1/deliveries/{id}/replay", id(&first), None),
        ("/api/v1/destinations/{id}/replay", id(&made), Some(range)),
    ] {
        let told = out.call("POST", path, of, body).await;
        assert!(told.status == 409 && told.text.contains("switched off"), "{path}: {}", told.text);
    }
    out.ok("DELETE", &format!("{ALL}/{{id}}"), id(&made), None).await;
    let told = out.call("POST", "/api/v1/deliveries/{id}/replay", id(&first), None).await;
    assert!(told.status == 409 && told.text.contains("removed"), "{}", told.text);
    for (method, path) in [("GET", ALL), ("PUT", ALL), ("DELETE", ALL)] {
        let body = (method == "PUT").then(|| json!({}));
        assert_eq!(out.call(method, &format!("{path}/{{id}}"), id(&made), body).await.status, 404);
    }
}

#[tokio::test]
async fn what_can_not_be_a_destination_is_told_at_once_and_repeats_no_secret() {
    let out = Out::open().await;
    let all = out.call("POST", ALL, "", Some(json!({"kind": "zendesk", "key": "secret-marker"}))).await;
    let fields: Vec<Value> =
        all.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert_eq!((all.status, fields), (422, vec![json!("url"), json!("key"), json!("name")]));
    assert!(!all.text.contains("secret-marker"));
    let with = |more: Value| {
        let mut body = json!({"kind": "webhook", "name": "x", "url": "https://example.com/"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, told) in [
        (json!({"kind": "fax", "name": "x"}), "webhook, slack"),
        (with(json!({"url": "https://169.254.169.254/latest"})), "may not go"),
        (with(json!({"url": "https://user:secret-marker@example.com/"})), "before the @"),
        (with(json!({"url": "http://example.com/secret-marker"})), ""),
        (with(json!({"events": ["alert.rased"]})), "fits no event"),
        (with(json!({"events": []})), "at least one"),
        (with(json!({"key": "whsec_secret-marker"})), "base64"),
        (with(json!({"audience": "customer"})), ""),
        (with(json!({"options": {"tag": "x"}})), "there are: none"),
        (with(json!({"colour": "red"})), "no such field"),
        (with(json!({"name": "a\nb"})), "one line"),
        (
            json!({"kind": "slack", "name": "x", "url": "https://hooks.slack.com/a", "key": "k"}),
            "address is its key",
        ),
        (json!({"kind": "pagerduty", "name": "x", "key": "short"}), "32 letters"),
        (
            json!({"kind": "teams", "name": "x", "url": "https://acme.webhook.office.com/webhookb2/secret-marker"}),
            "make a workflow",
        ),
    ] {
        let answer = out.call("POST", ALL, "", Some(body.clone())).await;
        let is_told =
            answer.status == 422 && answer.text.contains(told) && !answer.text.contains("secret-marker");
        // An address without TLS is looked at again when something is sent.
        assert!(
            is_told || told.is_empty() && answer.status < 500,
            "{body}: {} {}",
            answer.status,
            answer.text
        );
    }
    let one = with(json!({"name": "twice"}));
    assert_eq!(out.call("POST", ALL, "", Some(one.clone())).await.status, 201);
    assert_eq!(out.call("POST", ALL, "", Some(one)).await.status, 409);
}
