//! An alert from its beginning to its end, at everybody's.

use std::time::Duration;

use serde_json::{Value, json};
use undertone_testkit::receiver::zendesk::Account;
use undertone_testkit::receiver::{Receiver, Reply, pagerduty, slack, teams};

use super::{FURIOUS, Out, is_delivered, until};

pub(super) const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn an_alert_is_one_thing_at_everybodys_from_its_beginning_to_its_end() {
    let out = Out::open().await;
    let (chat, pager, room) =
        (Receiver::start(slack::answer), Receiver::start(pagerduty::answer), Receiver::start(teams::answer));
    let account = Account::with(4711, &["vip"], "normal");
    account.meddle(1);
    let desk = Receiver::start({
        let account = account.clone();
        move |request| account.answer(request)
    });
    let full = json!({"detail": "full", "audience": "supervisor", "events": ["alert.raised", "alert.acknowledged", "alert.resolved"]});
    let with = |more: Value| {
        let mut body = full.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    out.destination("slack", &format!("{}/services/T/B/x", chat.address), full.clone()).await;
    let pd = with(json!({"key": ROUTING_KEY, "options": {"severity": "critical"}}));
    out.destination("pagerduty", &format!("{}/v2/enqueue", pager.address), pd).await;
    out.destination("teams", &format!("{}/invoke?sig=x", room.address), full.clone()).await;
    let zd = with(
        json!({"key": "ana@example.com/token:secret", "events": ["alert.raised"], "options": {"priority": "high"}}),
    );
    out.destination("zendesk", &desk.address, zd).await;

    out.score(FURIOUS, "ana", "4711").await;
    until("everybody has it", || {
        chat.count() == 1 && pager.count() == 1 && room.count() == 1 && !account.stands().1.is_empty()
    })
    .await;
    let alert = out.ok("GET", "/api/v1/alerts", "", None).await["alerts"][0].clone();
    let id = alert["id"].as_str().unwrap();
    let version = json!({"version": alert["version"]});
    out.ok("POST", "/api/v1/alerts/{id}/acknowledge", id, Some(version)).await;
    out.ok("POST", "/api/v1/alerts/{id}/resolve", id, Some(json!({"note": "called her"}))).await;
    until("everybody has the end", || chat.count() == 3 && pager.count() == 3 && room.count() == 3).await;

    let events: Vec<Value> = pager.taken().iter().map(undertone_testkit::receiver::Request::json).collect();
    let actions: Vec<&str> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve"]);
    assert!(events.iter().all(|event| event["dedup_key"] == json!(format!("undertone:alert:{id}"))));
    assert_eq!(events[0]["payload"]["severity"], "critical");
    assert_eq!(events[0]["payload"]["source"], "undertone.example");
    let text = chat.taken()[0].json().to_string();
    assert!(
        text.contains("A customer needs somebody") && text.contains("https://undertone.example/inbox?alert=")
    );
    let card = room.taken()[0].json()["attachments"][0]["content"].clone();
    assert!(card["actions"][0]["url"].as_str().unwrap().contains("/inbox?alert="), "{card}");

    // Of a ticket nothing is lost that stood there, and the customer sees nothing.
    let (ticket, comments) = account.stands();
    assert_eq!((&ticket["tags"], &ticket["priority"]), (&json!(["vip", "undertone_alert"]), &json!("high")));
    assert_eq!((comments.len(), &comments[0]["public"]), (1, &json!(false)), "{comments:?}");
    for destination in out.bench.get(super::ALL).await["destinations"].as_array().unwrap() {
        let none = async |state: &str| {
            let path = format!("/api/v1/destinations/{}/deliveries?state={state}", super::id(destination));
            out.bench.get(&path).await["deliveries"] == json!([])
        };
        // The receiver has it a moment before we have kept that it does.
        for _ in 0..200 {
            if none("pending").await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(none("pending").await && none("failed").await, "{destination}");
    }
    // Sent again, it stands there once: its own comment is found.
    let zendesk = out.bench.get(super::ALL).await["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["kind"] == "zendesk")
        .unwrap()
        .clone();
    let sent = out.ok("GET", "/api/v1/destinations/{id}/deliveries", super::id(&zendesk), None).await;
    let again =
        out.ok("POST", "/api/v1/deliveries/{id}/replay", super::id(&sent["deliveries"][0]), None).await;
    out.delivery(again["delivery_id"].as_str().unwrap(), is_delivered).await;
    assert_eq!(account.stands().1.len(), 1);
}

#[tokio::test]
async fn what_they_answer_otherwise_is_understood() {
    let out = Out::open().await;
    let asked =
        |status: u16| Reply::Answer(status, vec![("retry-after", "30".to_owned())], "later".to_owned());
    let pager = json!({"key": ROUTING_KEY});
    let cases: [(&str, Value, Reply, &str, &str, bool); 15] = [
        ("slack", json!({}), Reply::text(200, "{\"ok\":false}"), "failed", "and not ok", true),
        ("slack", json!({}), Reply::text(400, "invalid_blocks"), "refused", "invalid_blocks", true),
        ("slack", json!({}), Reply::text(404, "no_service"), "gone", "no_service", false),
        (
            "slack",
            json!({}),
            Reply::Answer(429, vec![("retry-after", "30".to_owned())], "rate_limited".to_owned()),
            "throttled",
            "rate_limited",
            true,
        ),
        ("pagerduty", json!({"key": ROUTING_KEY}), Reply::text(200, "<html>"), "failed", "no success", true),
        (
            "pagerduty",
            json!({"key": ROUTING_KEY}),
            Reply::json(400, &json!({"status": "invalid event", "errors": ["x"]})),
            "refused",
            "invalid event",
            true,
        ),
        (
            "teams",
            json!({}),
            Reply::text(200, "Microsoft Teams endpoint returned HTTP error 429"),
            "throttled",
            "429",
            true,
        ),
        ("teams", json!({}), Reply::text(404, ""), "gone", "workflow was removed", false),
        ("teams", json!({}), asked(429), "throttled", "later", true),
        ("teams", json!({}), asked(503), "throttled", "later", true),
        ("teams", json!({}), Reply::text(413, "RequestEntityTooLarge"), "refused", "TooLarge", true),
        ("slack", json!({}), asked(503), "throttled", "later", true),
        ("pagerduty", pager.clone(), asked(429), "throttled", "later", true),
        ("pagerduty", pager.clone(), Reply::text(503, "down"), "failed", "down", true),
        ("pagerduty", pager, Reply::text(500, "broken"), "failed", "broken", true),
    ];
    let mut sent = Vec::new();
    for (kind, more, reply, outcome, told, stays) in cases {
        let receiver = Receiver::start(move |_| reply.clone());
        let made = out.destination(kind, &receiver.address, more).await;
        sent.push((out.test(&made).await, made, outcome, told, stays));
    }
    for (delivery, made, outcome, told, stays) in sent {
        let done =
            out.delivery(&delivery, |delivery| !delivery["tries"].as_array().unwrap().is_empty()).await;
        assert_eq!(done["tries"][0]["outcome"], json!(outcome), "{done}");
        assert!(done["last_error"].as_str().unwrap().contains(told), "{done}");
        let now = out.ok("GET", "/api/v1/destinations/{id}", super::id(&made), None).await;
        assert_eq!(now["active"], json!(stays), "{now}");
    }
    // A conversation that is no ticket is refused, and the desk is asked nothing.
    let account = Account::with(1, &[], "low");
    let desk = Receiver::start(move |request| account.answer(request));
    let key = json!({"key": "ana@example.com/token:secret", "events": ["alert.raised"]});
    let made = out.destination("zendesk", &desk.address, key).await;
    out.score(FURIOUS, "ben", "chat-9").await;
    let told = out.deliveries(&made, "failed", 1).await;
    assert!(told["last_error"].as_str().unwrap_or_default().contains("no Zendesk ticket"), "{told}");
    assert_eq!(desk.count(), 0);
}
