//! Tickets of which much is said: what Zendesk answers is long, late or cut off, and an alert may be over before its ticket is marked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use undertone_testkit::receiver::zendesk::Account;
use undertone_testkit::receiver::{Receiver, Reply, Request};

use super::{FURIOUS, Out, id, is_delivered, until};

const KEY: &str = "ana@example.com/token:secret";

/// A desk with this account; `change` makes something else of its answers.
fn desk(account: &Account, change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Receiver {
    let account = account.clone();
    Receiver::start(move |request| change(request, account.answer(request)))
}

/// The beginning of an answer, as if there were no more of it.
fn cut(reply: Reply) -> Reply {
    match reply {
        Reply::Answer(status, headers, body) => {
            Reply::Answer(status, headers, body[..body.len() / 2].to_owned())
        }
        other => other,
    }
}

/// Sends the message of a delivery once more; answers the new one, once it was tried.
async fn again(out: &Out, delivery: &Value) -> Value {
    let sent = out.ok("POST", "/api/v1/deliveries/{id}/replay", id(delivery), None).await;
    let is_tried = |delivery: &Value| !delivery["tries"].as_array().unwrap().is_empty();
    out.delivery(sent["delivery_id"].as_str().unwrap(), is_tried).await
}

#[tokio::test]
async fn a_long_ticket_is_read_whole_and_told_once() {
    let out = Out::open().await;
    let account = Account::with(4711, &[], "low");
    account.set("description", &json!("x".repeat(300 << 10)));
    let desk = desk(&account, |_, reply| reply);
    let made =
        out.destination("zendesk", &desk.address, json!({"key": KEY, "events": ["alert.raised"]})).await;
    out.score(FURIOUS, "ana", "4711").await;
    let first = out.deliveries(&made, "delivered", 1).await;
    // What others write afterwards is more than we ever read at once elsewhere.
    for _ in 0..7 {
        account.write(&"y".repeat(60 << 10));
    }
    let done = again(&out, &first).await;
    assert!(is_delivered(&done), "{done}");
    assert_eq!(account.stands().1.len(), 8, "its own comment is found on the second page");
}

#[tokio::test]
async fn what_is_cut_off_says_neither_that_a_comment_is_there_nor_that_it_is_not() {
    let out = Out::open().await;
    let account = Account::with(4711, &[], "low");
    let faults = Arc::new(AtomicU8::new(1));
    let desk = desk(&account, {
        let faults = faults.clone();
        move |request, reply| match (faults.load(Ordering::Relaxed), request.method.as_str()) {
            (1, "PUT") => cut(reply),
            (2, "GET") if request.path.contains("/comments.json") => cut(reply),
            _ => reply,
        }
    });
    let made =
        out.destination("zendesk", &desk.address, json!({"key": KEY, "events": ["alert.raised"]})).await;
    out.score(FURIOUS, "ana", "4711").await;
    // The ticket was changed, and what was answered to that came in part.
    let first = out.deliveries(&made, "delivered", 1).await;
    assert_eq!((&first["attempts"], account.stands().1.len()), (&json!(1), 1), "{first}");
    faults.store(2, Ordering::Relaxed);
    let put = || desk.taken().iter().filter(|one| one.method == "PUT").count();
    let before = put();
    let done = again(&out, &first).await;
    assert_eq!(done["tries"][0]["outcome"], "failed", "{done}");
    assert!(done["tries"][0]["error"].as_str().unwrap().contains("can not be read to its end"), "{done}");
    assert_eq!((account.stands().1.len(), put()), (1, before), "nothing is written in the dark");
}

/// Later than anybody waits for the rest of an answer that says nothing.
#[tokio::test]
async fn words_that_come_late_are_waited_for() {
    let out = Out::open().await;
    let late = |status, body: &str| Reply::Late(status, Duration::from_secs(3), body.to_owned());
    let user = json!({"user": {"id": 7, "role": "agent"}}).to_string();
    let mut sent = Vec::new();
    for (kind, more, reply) in [
        ("slack", json!({}), late(200, "ok")),
        (
            "pagerduty",
            json!({"key": "0123456789abcdef0123456789abcdef"}),
            late(202, r#"{"status":"success"}"#),
        ),
        ("zendesk", json!({ "key": KEY }), late(200, &user)),
    ] {
        let receiver = Receiver::start(move |_| reply.clone());
        let made = out.destination(kind, &receiver.address, more).await;
        sent.push(out.test(&made).await);
    }
    for delivery in sent {
        let done = out.delivery(&delivery, |one| !one["tries"].as_array().unwrap().is_empty()).await;
        assert_eq!(done["tries"][0]["outcome"], "delivered", "{done}");
    }
}

#[tokio::test]
async fn a_ticket_is_not_marked_for_an_alert_that_is_over() {
    let out = Out::open().await;
    let account = Account::with(4711, &["vip"], "low");
    let is_away = Arc::new(AtomicU8::new(1));
    let desk = desk(&account, {
        let is_away = is_away.clone();
        move |_, reply| if is_away.load(Ordering::Relaxed) == 1 { Reply::text(500, "down") } else { reply }
    });
    let more = json!({"key": KEY, "options": {"priority": "urgent"}});
    let made = out.destination("zendesk", &desk.address, more).await;
    out.score(FURIOUS, "ana", "4711").await;
    until("it is tried in vain", || desk.count() == 1).await;
    let alert = out.ok("GET", "/api/v1/alerts", "", None).await["alerts"][0].clone();
    out.ok("POST", "/api/v1/alerts/{id}/resolve", id(&alert), Some(json!({}))).await;
    is_away.store(0, Ordering::Relaxed);
    let told = out.deliveries(&made, "failed", 1).await;
    assert_eq!((&told["event"], &told["attempts"]), (&json!("alert.raised"), &json!(2)), "{told}");
    assert!(told["last_error"].as_str().unwrap().contains("the alert is over"), "{told}");
    out.deliveries(&made, "delivered", 1).await;
    let (ticket, comments) = account.stands();
    assert_eq!((&ticket["tags"], &ticket["priority"]), (&json!(["vip"]), &json!("low")), "{ticket}");
    assert_eq!(comments.len(), 1, "its end is told: {comments:?}");
    let now = out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
    assert_eq!(now["failures"], 0, "that says nothing of the account");
}
