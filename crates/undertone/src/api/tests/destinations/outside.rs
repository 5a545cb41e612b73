//! What a customer wrote leaves in the summary without what names a person or opens a door: in events, letters and messages.

use serde_json::{Value, json};
use undertone_testkit::receiver::zendesk::Account;
use undertone_testkit::receiver::{Receiver, Reply, pagerduty, slack, teams};
use undertone_testkit::smtp::Security;

use super::kinds::ROUTING_KEY;
use super::{Out, until};
use crate::mail::{self, Post};

/// Texts whose strongest phrase quotes one of [`CANARIES`], or a part of it: which, the model decides, and so there are several.
const TEXTS: [&str; 7] = [
    "I am furious. Annika Quandt",
    "You stole from my card 4111 1111 1111 1111, thieves",
    "I hate that annika.quandt@example.com is ignored",
    "Refund Annika Quandt at once, furious about annika.quandt@example.com ignored, card 4111 1111 1111 1111 charged twice, disgrace",
    "You ruined everything for annika.quandt@example.com and card 4111 1111 1111 1111 of Annika Quandt is a terrible disgrace",
    "Worst scam ever: 4111 1111 1111 1111 stolen from Annika Quandt by annika.quandt@example.com liars",
    "Useless, awful Annika Quandt useless 4111 1111 1111 1111 useless annika.quandt@example.com awful",
];
/// An address, a card and a customer's name, as far as a phrase of the texts quotes them.
const CANARIES: [&str; 3] = ["annika.quandt@example.com", "1111 1111", "Annika Quandt"];

/// `text` says nothing of them. The customer's name is told by itself, as who needs somebody, and is not looked for there.
fn assert_clean(what: &str, text: &str) {
    for canary in CANARIES.iter().filter(|canary| !canary.starts_with("Annika")) {
        assert!(!text.contains(canary), "{what} says {canary}: {text}");
    }
    // In quotation marks, also as letters carry them.
    for quoted in ["“Annika", "=9CAnnika", "Annika Quandt by", "awful Annika"] {
        assert!(!text.contains(quoted), "{what} says {quoted}: {text}");
    }
}

/// Everything that is written there.
async fn outbox(out: &Out) -> String {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};
    let database = sea_orm::Database::connect(out.bench.url()).await.unwrap();
    let all = Statement::from_string(DbBackend::Sqlite, "SELECT payload FROM outbox");
    let rows = database.query_all_raw(all).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

#[tokio::test]
async fn what_leaves_quotes_nobodys_name_address_or_card() {
    let out = Out::open().await;
    let bench = &out.bench;
    let lead = bench.person("supervisor").await;
    let (server, mailer) = mail::tests::server(Security::StartTls);
    let post = Post { store: bench.store().clone(), mailer, public_url: "".into() };
    let (hook, chat, room) = (
        Receiver::start(|_| Reply::text(200, "")),
        Receiver::start(slack::answer),
        Receiver::start(teams::answer),
    );
    let (pager, account) = (Receiver::start(pagerduty::answer), Account::with(4711, &[], "low"));
    let desk = Receiver::start({
        let account = account.clone();
        move |request| account.answer(request)
    });
    let full =
        json!({"detail": "full", "audience": "supervisor", "events": ["alert.raised", "sentiment.scored"]});
    let alerts = json!({"detail": "full", "audience": "supervisor", "events": ["alert.raised"]});
    out.destination("webhook", &hook.address, full).await;
    out.destination("slack", &format!("{}/services/T/B/x", chat.address), alerts.clone()).await;
    out.destination("teams", &format!("{}/invoke?sig=x", room.address), alerts.clone()).await;
    let keyed = |key: &str| {
        let mut body = alerts.clone();
        body["key"] = key.into();
        body
    };
    out.destination("pagerduty", &format!("{}/v2/enqueue", pager.address), keyed(ROUTING_KEY)).await;
    out.destination("zendesk", &desk.address, keyed("ana@example.com/token:secret")).await;
    bench.set(json!({"alert_threshold": -20, "incident_customers": 0})).await;

    let mut inside = String::new();
    for (n, text) in TEXTS.iter().enumerate() {
        let customer = json!({"id": format!("c{n}"), "name": "Annika Quandt"});
        let scored = bench
            .score(&json!({"text": text, "customer": customer, "channel": "email", "source": "zendesk", "conversation": "4711"}))
            .await;
        let shown = bench.get(&format!("/api/v1/interactions/{scored}")).await;
        inside += shown["sentiment"]["summary"].as_str().unwrap();
    }
    for canary in CANARIES {
        assert!(inside.contains(canary), "the texts prove nothing about {canary} with this model: {inside}");
    }
    let alerts = bench.get("/api/v1/alerts").await["alerts"].as_array().unwrap().len();
    let all = TEXTS.len() + alerts;
    until("everybody has them", || {
        hook.count() == all
            && [&chat, &room, &pager].iter().all(|one| one.count() == alerts)
            && account.stands().1.len() == alerts
    })
    .await;
    let mut letters = String::new();
    for _ in 0..500 {
        assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
        letters = server.taken().iter().map(|taken| taken.text.replace("=\r\n", "")).collect();
        if server.taken().len() == alerts {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(letters.contains("Strongest phrase") && letters.contains("[EMAIL_1]"), "{letters}");
    assert_clean("a letter", &letters);

    let outbox = outbox(&out).await;
    let events = bench.get("/api/v1/events?limit=500").await.to_string();
    let inbox = bench.by(&lead, "GET", "/api/v1/inbox", None).await.text;
    let bodies = |receiver: &Receiver| receiver.taken().iter().map(|one| one.json().to_string()).collect();
    let (hooked, chatted, carded): (String, String, String) = (bodies(&hook), bodies(&chat), bodies(&room));
    let (paged, commented): (String, String) = (bodies(&pager), bodies(&desk));
    for (what, text) in [
        ("the outbox", &outbox),
        ("the stream of events", &events),
        ("the inbox", &inbox),
        ("a webhook", &hooked),
        ("Slack", &chatted),
        ("Teams", &carded),
        ("PagerDuty", &paged),
        ("Zendesk", &commented),
    ] {
        // Some of what writes cards escapes signs.
        let text = text.replace('\\', "");
        assert!(text.contains("Strongest phrase") && text.contains("[EMAIL_1]"), "{what}: {text}");
        assert_clean(what, &text);
    }
    // The name is where it belongs, and nowhere else.
    for event in bench.get("/api/v1/events?limit=500").await["events"].as_array().unwrap() {
        let mut data = event["data"].clone();
        if event["type"] == "alert.raised" {
            assert_eq!(data["customer_name"].take(), "Annika Quandt");
        }
        assert!(!data.to_string().contains("Annika"), "{data}");
        assert_ne!(data["summary"], Value::Null);
    }
}
