//! The copy has what stands in every table that an erasure reaches, or it stands here why not.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use undertone_core::{Kind, Label};
use undertone_store::Act;
use undertone_store::lessons::LabelledText;
use undertone_store::privacy::REACHED;

use super::Bench;

/// Of each table, where in the copy something of it stands, and what. The interaction is the first.
const TOLD: [(&str, &str, &str); 20] = [
    ("customer", "/customer/name", "Wombat Person"),
    ("customer_alias", "/customer/aliases/0/value", "in-alias@example.com"),
    ("conversation", "/conversations/0/subject", "in-conversation"),
    ("interaction", "/interactions/0/external_id", "in-interaction"),
    (
        "interaction_text",
        "/interactions/0/texts/0/body",
        "Still nothing, this is a disgrace and I am furious.",
    ),
    ("verdict", "/interactions/0/verdicts/0/verdict/summary", "in-verdict"),
    ("sentiment_override", "/interactions/0/corrections/0/reason", "in-override"),
    ("interaction_sentiment", "/interactions/0/score", "-77"),
    ("customer_sentiment", "/sums/scored", "1"),
    ("labelled_text", "/interactions/0/learnt_from/0/label", "negative"),
    ("outbox", "/interactions/0/told_to_others/0/event", "in-outbox"),
    ("delivery", "/interactions/0/sent_to/0/name", "in-destination"),
    ("audit_log", "/interactions/0/done_about_it/0/action", "in-audit"),
    ("alert", "/interactions/0/alerts/0/note", "in-alert"),
    ("alert_step", "/interactions/0/alerts/0/steps/0/detail", "in-step"),
    ("notice", "/interactions/0/people_told/0/event", "in-notice"),
    ("inbox_item", "/interactions/0/people_told/0/in_app", "1"),
    ("mail", "/interactions/0/people_told/0/by_email", "2"),
    ("review_label", "/interactions/0/reviews/0/note", "in-review"),
    ("conversation_guest", "/conversations_of_others/0/external_id", "in-guest"),
];

/// What the copy leaves out, and why.
const LEFT_OUT: [(&str, &str); 7] = [
    ("review_item", "that it waits to be reviewed; what raters said is told"),
    ("backfill_item", "that it was scored again; the verdicts are told"),
    ("delivery_attempt", "how often a receiver was tried, and what it answered; whom it was sent to is told"),
    ("alert_cooldown", "when people were last told; the alerts are"),
    ("surge", "category and time of a low interaction, for a few hours; both are told with it"),
    ("agent_stale", "that figures of agents have to be worked out anew"),
    ("agent_contact", "figures about agents, worked out of the interactions that are told"),
];

const PLANTS: [&str; 18] = [
    "INSERT INTO customer_alias (tenant_id, kind, value, customer_id) VALUES ({t}, 'email', 'in-alias@example.com', '{c}')",
    "UPDATE verdict SET body = json_set(body, '$.summary', 'in-verdict') WHERE tenant_id = {t}",
    "INSERT INTO sentiment_override (tenant_id, id, interaction_id, score, label, reason, made_by, made_at) VALUES \
     ({t}, 'o', '{i}', 10, 'neutral', 'in-override', 'user:1', '{at}')",
    "UPDATE interaction_sentiment SET score = -77 WHERE tenant_id = {t}",
    "DELETE FROM outbox WHERE tenant_id = {t}",
    "INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, created_at) VALUES \
     ({t}, 'e', 'in-outbox', '{i}', TRUE, TRUE, '{}', '{at}')",
    "INSERT INTO destination (tenant_id, id, kind, name, config, secrets, key_id, shown_address, active, failures, version, created_at, updated_at) \
     VALUES ({t}, 'd', 'slack', 'in-destination', '{}', 'x', 'x', 'x', FALSE, 0, 1, '{at}', '{at}')",
    "INSERT INTO delivery (tenant_id, id, destination_id, event_id, event, subject_id, replay, state, attempts, next_at, created_at) VALUES \
     ({t}, 'x', 'd', 'e', 'sentiment.scored', '{i}', 0, 'delivered', 1, '{at}', '{at}')",
    "INSERT INTO audit_log (tenant_id, id, at, actor, action, subject, payload, payload_digest) VALUES \
     ({t}, 'n', '{at}', 'user:1', 'in-audit', '{i}', '{}', 'x')",
    "DELETE FROM alert WHERE tenant_id = {t}",
    "INSERT INTO alert (tenant_id, id, customer_id, interaction_id, score, threshold, label, category, channel, state, raised_at, due_at, note, \
     escalated, version) VALUES ({t}, 'a', '{c}', '{i}', -90, -50, 'negative', 'billing', 'email', 'resolved', '{at}', '{at}', 'in-alert', 0, 1)",
    "INSERT INTO alert_step (tenant_id, alert_id, id, at, step, made_by, detail) VALUES ({t}, 'a', 's', '{at}', 'resolved', 'user:1', 'in-step'), \
     ({t}, 'a', 't', '{at}', 'assigned', 'user:1', 'a-colleague')",
    // Of the alert, not of the interaction itself.
    "INSERT INTO notice (tenant_id, position, event_id, event, category, subject_id, interaction_id, payload, happened_at, created_at) VALUES \
     ({t}, 900, 'e', 'in-notice', 'alerts', 'a', '{i}', '{}', '{at}', '{at}')",
    "INSERT INTO inbox_item (tenant_id, user_id, position) VALUES ({t}, 'user-1', 900)",
    "INSERT INTO mail (tenant_id, user_id, position, id, together, state, attempts, next_at, created_at) VALUES \
     ({t}, 'user-1', 900, 'm', FALSE, 'sent', 1, '{at}', '{at}'), ({t}, 'user-2', 900, 'm', FALSE, 'sent', 1, '{at}', '{at}')",
    "INSERT INTO review_item (tenant_id, id, interaction_id, verdict_id, text_revision, score, label, unsure, disagreed, overridden, \
     called_positive, random, queued_at, wanted, given) VALUES ({t}, 'r', '{i}', 'v', 1, 1, 'neutral', TRUE, FALSE, FALSE, FALSE, FALSE, \
     '{at}', 1, 1) ON CONFLICT (tenant_id, interaction_id) DO UPDATE SET id = 'r'",
    "INSERT INTO review_label (tenant_id, item_id, rater, label, note, given_at, place) VALUES ({t}, 'r', 'user:1', 'neutral', 'in-review', '{at}', 1)",
    "INSERT INTO conversation_guest (tenant_id, customer_id, conversation_id) SELECT tenant_id, '{c}', id FROM conversation \
     WHERE external_id = 'in-guest'",
];

#[tokio::test]
async fn the_copy_has_every_table_or_says_why_not() {
    let known: BTreeSet<&str> =
        TOLD.iter().map(|(table, ..)| *table).chain(LEFT_OUT.iter().map(|(table, _)| *table)).collect();
    assert_eq!(known, BTreeSet::from(REACHED), "is it in the copy? If not, write down why");

    let bench = Bench::open().await;
    let text = "Still nothing, this is a disgrace and I am furious.";
    let item = json!({"external_id": "in-interaction", "text": text, "customer": {"id": "ana", "name": "Wombat Person"},
        "conversation": {"id": "talk", "subject": "in-conversation"}});
    assert_eq!(bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await.status, 201);
    bench.call("PUT", "/api/v1/conversations/in-guest", "ut_mine", Some(&json!({"customer": "bo"}))).await;
    bench.settled(&bench.mine).await;
    let customer = bench.get("/api/v1/customers/ana").await["id"].as_str().unwrap().to_owned();
    let interaction = bench.get("/api/v1/interactions").await["items"][0]["id"].as_str().unwrap().to_owned();
    let label = LabelledText { text: text.to_owned(), kind: Kind::Message, label: Label::Negative };
    bench.store().label_texts(&Act::new(bench.mine.id, "test"), &[label]).await.unwrap();
    let raw = sea_orm::Database::connect(bench.url()).await.unwrap();
    for statement in PLANTS {
        let statement = statement.replace("{t}", &bench.mine.id.0.to_string()).replace("{c}", &customer);
        let statement = statement.replace("{i}", &interaction).replace("{at}", "2026-11-20 00:00:00+00:00");
        raw.execute_unprepared(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let answer = bench.call("GET", "/api/v1/customers/ana/export", "ut_mine", None).await;
    let copy = answer.json();
    for (table, place, wanted) in TOLD {
        let found = match copy.pointer(place) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        assert_eq!(found, wanted, "{table} at {place}: {copy:#}");
    }
    assert!(!answer.text.contains("a-colleague"), "who dealt with it is somebody else's");
    let readable = bench.call("GET", "/api/v1/customers/ana/export?format=text", "ut_mine", None).await.text;
    for part in [
        "in-alert",
        "in-step",
        "in-review",
        "in-destination \\(slack\\)",
        "in-guest",
        "2 by e-mail",
        "learns from it",
    ] {
        assert!(readable.contains(part) || readable.contains(&part.replace('\\', "")), "{part}: {readable}");
    }
}

#[tokio::test]
async fn a_copy_does_not_name_other_customers_of_the_company_or_the_conversation() {
    let bench = Bench::open().await;
    let texts = [
        (
            "1",
            json!({"id": "ana", "name": "Ana Lopez", "account": "acme"}),
            "talk",
            "Carla Colleague (carla@acme.example, +49 170 5550111, carla@home.example, 0049 170 5550222) and Gustav Brinkmann said so, Tina Theirs did not, and nothing came.",
        ),
        (
            "2",
            json!({"id": "carla", "name": "Carla Colleague", "email": "carla@acme.example", "phone": "+49 170 555 01 11", "account": "acme", "aliases": [
                {"kind": "email", "value": "Carla@home.example"}, {"kind": "phone", "value": "+49 170 555 02 22"}]}),
            "elsewhere",
            "I am glad that this was quick and kind.",
        ),
        (
            "3",
            json!({"id": "gustav", "name": "Gustav Brinkmann"}),
            "talk",
            "I see the same thing here, it is slow.",
        ),
        (
            "4",
            json!({"id": "tina", "name": "Tina Theirs"}),
            "apart",
            "Nothing to do with anybody here at all.",
        ),
    ];
    for (id, customer, talk, text) in texts {
        let item = json!({"external_id": id, "text": text, "customer": customer, "conversation": talk});
        assert_eq!(bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await.status, 201);
    }
    bench.settled(&bench.mine).await;
    let copy = bench.get("/api/v1/customers/ana/export").await;
    assert_eq!(
        copy["interactions"][0]["texts"][0]["body"],
        "[somebody else] ([somebody else], [somebody else], [somebody else], [somebody else]) and [somebody else] said so, Tina Theirs did not, and nothing came."
    );
    assert_eq!(copy["customer"]["name"], "Ana Lopez");
    // What names the conversation alone is about her whose it is.
    let note = json!({"external_id": "5", "text": "They rang about the wombat that broke.", "kind": "note", "author_kind": "agent",
        "agent": "bo", "conversation": "talk"});
    assert_eq!(bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&note)).await.status, 201);
    bench.settled(&bench.mine).await;
    let copy = bench.get("/api/v1/customers/ana/export").await;
    assert_eq!(copy["interactions"][0]["texts"][0]["body"], "They rang about the wombat that broke.");
    assert_eq!(copy["interactions"].as_array().unwrap().len(), 2);
    // And the other way round: who is a guest does not learn whose conversation it is.
    let copy = bench.get("/api/v1/customers/gustav/export").await.to_string();
    assert!(!copy.contains("Ana Lopez") && !copy.contains("wombat"), "{copy}");
}
