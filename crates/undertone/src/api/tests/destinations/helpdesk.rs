//! Zendesk: whether the login works, what an alert does to its ticket on its way, and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use undertone_testkit::receiver::zendesk::Account;
use undertone_testkit::receiver::{Receiver, Reply};

use super::{FURIOUS, Out, id, is_delivered, until};

const KEY: &str = "ana@example.com/token:secret";

#[tokio::test]
async fn a_test_says_whether_the_login_works() {
    let out = Out::open().await;
    let who = |user: Value| Reply::json(200, &json!({ "user": user }));
    let cases = [
        (who(json!({"id": 7, "role": "admin"})), "delivered", "", true),
        // Whoever has no login is somebody too.
        (who(json!({"id": null, "role": "end-user"})), "refused", "API token is wrong", true),
        (who(json!({"id": 7, "role": "end-user"})), "refused", "no agent's", true),
        (Reply::json(200, &json!({})), "refused", "address of the account", true),
        (Reply::json(401, &json!({"error": "Couldn't authenticate you"})), "gone", "API token", false),
    ];
    for (reply, outcome, told, stays) in cases {
        let desk = Receiver::start(move |_| reply.clone());
        let made = out.destination("zendesk", &desk.address, json!({ "key": KEY })).await;
        let sent = out.test(&made).await;
        let done = out.delivery(&sent, |delivery| delivery["state"] != "pending").await;
        assert_eq!(done["tries"][0]["outcome"], json!(outcome), "{done}");
        assert!(done["last_error"].as_str().unwrap_or_default().contains(told), "{done}");
        assert_eq!(desk.taken()[0].path, "/api/v2/users/me.json");
        let now = out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
        assert_eq!(now["active"], json!(stays), "{now}");
    }
}

#[tokio::test]
async fn an_alert_marks_its_ticket_once_and_what_follows_is_told() {
    let out = Out::open().await;
    let account = Account::with(4711, &["vip"], "normal");
    let desk = Receiver::start({
        let account = account.clone();
        move |request| account.answer(request)
    });
    let more = json!({"key": KEY, "options": {"priority": "high"}});
    let made = out.destination("zendesk", &desk.address, more).await;
    assert_eq!(made["events"], json!(["alert.*"]));
    let tested = out.test(&made).await;
    out.delivery(&tested, is_delivered).await;
    out.score(FURIOUS, "ana", "4711").await;
    until("the ticket is marked", || account.stands().1.len() == 1).await;
    let (ticket, _) = account.stands();
    assert_eq!((&ticket["priority"], &ticket["tags"]), (&json!("high"), &json!(["vip", "undertone_alert"])));
    let puts =
        |path: &str| desk.taken().iter().filter(|one| one.method == "PUT" && one.path.contains(path)).count();
    assert_eq!(puts("/tags.json"), 1);
    let alert = out.ok("GET", "/api/v1/alerts", "", None).await["alerts"][0].clone();
    // Somebody has looked and found it less urgent.
    account.set("priority", &json!("low"));
    account.set("tags", &json!(["vip"]));
    out.ok("POST", "/api/v1/alerts/{id}/resolve", id(&alert), Some(json!({}))).await;
    until("its end is told", || account.stands().1.len() == 2).await;
    let (ticket, comments) = account.stands();
    assert_eq!((&ticket["priority"], &ticket["tags"]), (&json!("low"), &json!(["vip"])), "as they left it");
    assert_eq!(comments[1]["public"], json!(false));
    assert_eq!(puts("/tags.json"), 1);
}

/// What Zendesk answers to a message about a ticket, what is kept of it, and whether the destination goes on.
#[tokio::test]
async fn what_zendesk_refuses_is_kept_and_repeated_refusals_are_told() {
    let out = Out::open().await;
    out.bench.set(json!({"cooldown_minutes": 0})).await;
    let status = Arc::new(AtomicU16::new(404));
    let desk = Receiver::start({
        let (status, account) = (status.clone(), Account::with(4711, &[], "low"));
        move |request| match status.load(Ordering::Relaxed) {
            200 => account.answer(request),
            429 => Reply::Answer(429, vec![("retry-after", "1".to_owned())], String::new()),
            other => Reply::json(other, &json!({"error": "RecordNotFound"})),
        }
    });
    let more = json!({"key": KEY, "events": ["alert.raised"]});
    let made = out.destination("zendesk", &desk.address, more).await;
    let of = async |state: &str, count: usize| out.deliveries(&made, state, count).await;
    let standing = async || out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
    for (number, code) in [(1, 404), (2, 422), (3, 403)] {
        status.store(code, Ordering::Relaxed);
        out.score(&format!("{FURIOUS} {number}"), &format!("c{number}"), "4711").await;
        let done = of("failed", number).await;
        assert!(
            done["last_status"] == code && done["last_error"].as_str().unwrap().contains("Zendesk answers"),
            "{done}"
        );
    }
    let now = standing().await;
    assert!(now["failures"] == 3 && now["failing_since"].is_string() && now["resume_at"].is_null(), "{now}");
    // What is about no ticket is not sent, and says nothing of the account.
    out.score(&format!("{FURIOUS} 4"), "c4", "chat-9").await;
    of("failed", 4).await;
    assert_eq!(standing().await["failures"], 3);
    // One that arrives makes it whole; patience is given.
    status.store(429, Ordering::Relaxed);
    let before = desk.count();
    out.score(&format!("{FURIOUS} 5"), "c5", "4711").await;
    until("it is asked", || desk.count() > before).await;
    status.store(200, Ordering::Relaxed);
    of("delivered", 1).await;
    let now = standing().await;
    assert_eq!((&now["failures"], &now["failing_since"]), (&json!(0), &Value::Null), "{now}");
    // Without a login nothing is sent any more.
    status.store(401, Ordering::Relaxed);
    out.score(&format!("{FURIOUS} 6"), "c6", "4711").await;
    of("failed", 5).await;
    assert_eq!(standing().await["active"], false);
}

#[tokio::test]
async fn a_closed_ticket_is_left_alone() {
    let out = Out::open().await;
    let account = Account::with(4711, &[], "low");
    account.set("status", &json!("closed"));
    let desk = Receiver::start({
        let account = account.clone();
        move |request| account.answer(request)
    });
    let made = out.destination("zendesk", &desk.address, json!({ "key": KEY })).await;
    for (number, customer) in [(1, "ana"), (2, "ben"), (3, "cy")] {
        out.score(&format!("{FURIOUS} {number}"), customer, "4711").await;
        let told = out.deliveries(&made, "failed", number).await;
        assert!(told["last_error"].as_str().unwrap_or_default().contains("the ticket is closed"), "{told}");
        assert_eq!(out.delivery(id(&told), |_| true).await["tries"][0]["outcome"], "withheld");
    }
    let now = out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
    assert_eq!(
        (&now["failures"], &now["failing_since"]),
        (&json!(0), &Value::Null),
        "of the account it says nothing"
    );
    let failing = out.ok("GET", "/api/v1/events?types=destination.failing", "", None).await;
    assert_eq!(failing["events"], json!([]));
    assert!(desk.taken().iter().all(|one| one.method == "GET") && account.stands().1.is_empty());
}

/// A conversation of somebody else's has a number too, which is another customer's ticket here.
#[tokio::test]
async fn only_what_comes_from_zendesk_is_about_a_ticket() {
    let out = Out::open().await;
    let account = Account::with(4711, &[], "low");
    let desk = Receiver::start({
        let account = account.clone();
        move |request| account.answer(request)
    });
    let more = json!({"key": KEY, "events": ["alert.raised"]});
    let made = out.destination("zendesk", &desk.address, more.clone()).await;
    let mut renamed = more;
    renamed["options"] = json!({"source": "telephone"});
    let other = out.destination("zendesk", &desk.address, renamed).await;
    let call = json!({"source": "telephone", "text": FURIOUS, "customer": "ben", "conversation": "4711"});
    out.bench.score(&call).await;
    let told = out.deliveries(&made, "failed", 1).await;
    let why = told["last_error"].as_str().unwrap_or_default();
    assert!(why.contains("“telephone”, and not “zendesk”"), "{told}");
    out.deliveries(&other, "delivered", 1).await;
    assert_eq!(account.stands().1.len(), 1, "by the one that calls its tickets so");
    let now = out.ok("GET", "/api/v1/destinations/{id}", id(&made), None).await;
    assert_eq!(now["failures"], 0, "it says nothing of the account");
}

#[tokio::test]
async fn a_field_is_set_and_no_comment_written_where_it_is_asked_for() {
    let out = Out::open().await;
    let account = Account::with(4711, &[], "low");
    let desk = Receiver::start({
        let account = account.clone();
        move |request| account.answer(request)
    });
    let options = json!({"comment": false, "custom_field_id": 360_012, "tag": "at_risk"});
    let made = out.destination("zendesk", &desk.address, json!({"key": KEY, "options": options})).await;
    out.score(FURIOUS, "ana", "4711").await;
    out.deliveries(&made, "delivered", 1).await;
    let changes: Vec<Value> = desk
        .taken()
        .iter()
        .filter(|one| one.method == "PUT" && !one.path.contains("/tags.json"))
        .map(|one| one.json()["ticket"].clone())
        .collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0]["custom_fields"], json!([{"id": 360_012, "value": "at_risk"}]));
    assert!(changes[0].get("comment").is_none() && changes[0].get("priority").is_none(), "{changes:?}");
    let (ticket, comments) = account.stands();
    assert_eq!((&ticket["tags"], comments.len()), (&json!(["at_risk"]), 0));
    // What follows would be a comment and nothing else.
    let (alert, before) =
        (out.ok("GET", "/api/v1/alerts", "", None).await["alerts"][0].clone(), desk.count());
    out.ok("POST", "/api/v1/alerts/{id}/resolve", id(&alert), Some(json!({}))).await;
    let told = out.deliveries(&made, "failed", 1).await;
    assert!(told["last_error"].as_str().unwrap_or_default().contains("writes no comments"), "{told}");
    assert_eq!((&told["event"], desk.count()), (&json!("alert.resolved"), before), "it is asked nothing");
}

/// As a helpdesk's webhook hands in what was written on a ticket, whoever wrote it.
#[tokio::test]
async fn what_we_wrote_on_a_ticket_does_not_go_back_there() {
    let out = Out::open().await;
    // Whoever scores internal comments and what bots write is the one who would hear of it for ever.
    out.bench.set(json!({"cooldown_minutes": 0, "score_internal_comments": true, "score_bots": true})).await;
    let account = Account::with(4711, &[], "low");
    let desk = Receiver::start({
        let account = account.clone();
        move |request| account.answer(request)
    });
    let full = json!({"key": KEY, "detail": "full", "audience": "supervisor"});
    let made = out.destination("zendesk", &desk.address, full).await;
    out.score(FURIOUS, "ana", "4711").await;
    out.deliveries(&made, "delivered", 1).await;
    let alert = out.ok("GET", "/api/v1/alerts", "", None).await["alerts"][0].clone();
    out.ok("POST", "/api/v1/alerts/{id}/acknowledge", id(&alert), Some(json!({}))).await;
    out.deliveries(&made, "delivered", 2).await;
    let (_, comments) = account.stands();
    let quoted = comments.iter().filter(|comment| comment.to_string().contains("Strongest phrase")).count();
    assert!(quoted > 0, "what comes back is as negative as what the customer wrote: {comments:?}");
    let before = desk.count();
    for (number, comment) in comments.iter().enumerate() {
        for (author, kind) in [("agent", "comment"), ("system", "comment"), ("customer", "message")] {
            let item = json!({
                "external_id": format!("echo-{number}-{author}"), "source": "zendesk", "conversation": "4711",
                "customer": "ana", "text": comment["body"], "author_kind": author, "kind": kind,
                "visibility": if kind == "comment" { "internal" } else { "public" },
            });
            let back = out.bench.score(&item).await;
            let told = out.bench.get(&format!("/api/v1/interactions/{back}")).await;
            assert_eq!(
                (&told["state"], &told["reason"]),
                (&json!("skipped"), &json!("own_message")),
                "{told}"
            );
        }
    }
    out.bench.place().await;
    // Longer than an alert takes to get there.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(out.bench.get("/api/v1/alerts").await["alerts"].as_array().unwrap().len(), 1);
    assert_eq!((desk.count(), account.stands().1.len()), (before, 2), "it goes round no second time");
    // What the customer writes next does.
    out.score(&format!("{FURIOUS} Now!"), "ana", "4711").await;
    until("it goes on", || account.stands().1.len() == 3).await;
}
