//! The rights of customers: what is erased is gone everywhere and the counters are right, and holds hold.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use undertone_core::arrival::Alias;
use undertone_core::backfill::{Asked, Mode};
use undertone_store::privacy::REACHED;
use undertone_store::privacy::erase::{Erasure, Whom};
use undertone_store::privacy::tombstone::{Replayed, Tombstone};

use super::*;

#[path = "privacy/retention.rs"]
pub mod retention;

/// Tables in which nothing of a customer stands, whatever is in them, and why.
const NOTHING_OF_CUSTOMERS: [(&str, &str); 52] = [
    ("schema_migration", "names of steps"),
    ("tenant", "the tenant"),
    ("tenant_modules", "settings"),
    ("module_period", "when the module was active"),
    ("app_user", "people who work for the tenant"),
    ("session", "their sessions"),
    ("user_team", "their teams"),
    ("user_link", "their invitations"),
    ("login_failure", "digests of their addresses"),
    ("known_browser", "digests of what their browsers keep"),
    ("api_key", "digests of keys"),
    ("account", "companies; what is told of a company is no customer's"),
    ("team", "teams"),
    ("agent", "people who work for the tenant"),
    ("sentiment_daily", "sums over days"),
    ("sentiment_counter", "sums over days"),
    ("lesson", "weights and figures"),
    ("provider_key", "sealed keys"),
    ("ai_budget", "sums"),
    ("ai_call", "what calls took"),
    ("ai_usage", "sums"),
    ("backfill_run", "what was asked, by our ids, and sums"),
    ("message_batch", "what is at a provider's"),
    ("message_batch_request", "digests of what was asked"),
    ("cascade_day", "sums over days"),
    ("reading_day", "sums over days"),
    ("audit_chain", "digests"),
    ("audit_checkpoint", "digests"),
    ("erasure", "receipts; what they search for goes when they are done"),
    ("tombstone", "keyed digests"),
    ("tombstone_key", "keys"),
    ("erased_conversation", "keyed digests"),
    ("conversation_backlog", "our ids of conversations, until all that stands in them is their customer's"),
    ("legal_hold", "customers who are not erased"),
    ("purge_run", "sums"),
    ("upkeep", "when something was done"),
    ("event_sequence", "a number"),
    ("destination", "where events go"),
    ("second_factor", "how people sign in"),
    ("recovery_code", "how people sign in"),
    ("login_step", "how people sign in"),
    ("sign_on_provider", "how people sign in"),
    ("sign_on_identity", "how people sign in"),
    ("published_day", "days"),
    ("published_group", "sums over groups of customers"),
    ("agent_numbers", "whether they are on"),
    ("incident", "sums about a category"),
    ("surge_usual", "sums over windows of days"),
    ("notice_cursor", "a number"),
    ("alert_heard", "who was told of which alert, by our ids"),
    ("notification_preference", "what people chose"),
    ("notification_key", "keys"),
];

/// Every table with everything in it, as text.
async fn everything(url: &str) -> Vec<(String, String)> {
    let db = Database::connect(url).await.unwrap();
    let of = |text: String| Statement::from_string(db.get_database_backend(), text);
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let names = if is_postgres {
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    };
    let mut all = Vec::new();
    for row in db.query_all_raw(of(names.to_owned())).await.unwrap() {
        let table: String = row.try_get_by_index(0).unwrap();
        let rows = if is_postgres {
            format!("SELECT CAST(t AS text) FROM {table} t")
        } else {
            let columns =
                db.query_all_raw(of(format!("SELECT name FROM pragma_table_info('{table}')"))).await.unwrap();
            let quoted =
                columns.iter().map(|c| format!("quote({})", c.try_get_by_index::<String>(0).unwrap()));
            format!("SELECT {} FROM {table}", quoted.collect::<Vec<_>>().join(" || ' ' || "))
        };
        let rows = db.query_all_raw(of(rows)).await.unwrap();
        let texts: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        all.push((table, texts.join("\n")));
    }
    db.close().await.unwrap();
    all
}

async fn told_in(bench: &Bench, word: &str) -> BTreeSet<String> {
    let all = everything(&bench.url).await;
    all.into_iter().filter(|(_, text)| text.to_lowercase().contains(word)).map(|(table, _)| table).collect()
}

async fn to_the_end(bench: &Bench, tenant: &Tenant, erasure: &Erasure) -> Erasure {
    for _ in 0..200 {
        let now = bench.store.continue_erasure(tenant.id, &erasure.id).await.unwrap().unwrap();
        if now.done_at.is_some() {
            return now;
        }
    }
    panic!("the erasure does not end");
}

/// An item of a customer with everything told of them; the word is planted everywhere.
fn planted(id: &str, customer: &str, score: i64, word: &str) -> Incoming {
    let mut item = item(id, customer, &format!("{word} waits for {id}: {score}"));
    item.arrival.interaction.conversation = Some(format!("talk-{word}-{id}"));
    item.arrival.customer = CustomerDetails {
        name: Some(format!("{word} Person")),
        email: Some(format!("{word}@Example.com")),
        phone: Some("+49 (170) 555-01".to_owned()),
        segment: Some("vip".to_owned()),
        attributes: json!({"note": word}).as_object().cloned(),
        aliases: None,
    };
    item.arrival.conversation =
        ConversationDetails { subject: Some(format!("About {word}")), ..ConversationDetails::default() };
    item
}

async fn run_sql(bench: &Bench, text: &str) {
    let db = Database::connect(&bench.url).await.unwrap();
    db.execute_unprepared(text).await.unwrap();
    db.close().await.unwrap();
}

pub async fn every_table_is_thought_of(bench: &Bench) {
    let known: BTreeSet<&str> = NOTHING_OF_CUSTOMERS.iter().map(|(table, _)| *table).chain(REACHED).collect();
    for (table, _) in everything(&bench.url).await {
        assert!(
            known.contains(table.as_str()),
            "{table}: does something of a customer stand there? See store::privacy::reach, and this list"
        );
    }
}

pub async fn an_erased_customer_is_gone_everywhere(bench: &Bench) {
    let tenant = bench.tenant("erasing").await;
    let word = "quokka7731";
    let mut items: Vec<Incoming> =
        (0..150).map(|n| planted(&format!("q{n}"), "5", (n % 200) - 100, word)).collect();
    items.push(item("o1", "other", "the other one stays: 40"));
    // Somebody else writes in one of their conversations.
    items[150].arrival.interaction.conversation = Some(format!("talk-{word}-q0"));
    let mut accepted = bench.store.accept(tenant.id, &items[..150]).await.unwrap();
    accepted.extend(bench.store.accept(tenant.id, &items[150..]).await.unwrap());
    let ids: Vec<&str> = accepted.iter().map(Accepted::id).collect();
    bench.score_all(&tenant, score_of).await;
    let customer = bench.store.customer(tenant.id, "5").await.unwrap().unwrap();
    // What later parts of the product write, and what nobody should: all of it is found.
    for statement in [
        "INSERT INTO sentiment_override (tenant_id, id, interaction_id, score, label, reason, made_by, made_at) VALUES \
         ({t}, 'correction-1', '{i}', 10, 'neutral', 'said {w} herself', 'user:1', '2026-11-20 00:00:00+00:00')",
        "UPDATE interaction_sentiment SET human_override_score = 10, human_override_label = 'neutral', human_override_reason = '{w}' \
         WHERE tenant_id = {t} AND interaction_id = '{i}'",
        "INSERT INTO customer_alias (tenant_id, kind, value, customer_id) VALUES ({t}, 'email', '{w}@Elsewhere.example', '{c}')",
        "INSERT INTO audit_log (tenant_id, id, at, actor, action, subject, payload, payload_digest) VALUES \
         ({t}, 'note-1', '2026-11-20 00:00:00+00:00', 'user:1', 'looked', '{i}', '{\"text\":\"{w} was here\"}', 'x')",
        "INSERT INTO audit_log (tenant_id, id, at, actor, action, subject, payload, payload_digest) VALUES \
         ({t}, 'note-2', '2026-11-20 00:00:00+00:00', 'user:1', 'looked', 'elsewhere', '{\"who\":\"wrote to {w}@example.com\"}', 'x')",
        "INSERT INTO review_item (tenant_id, id, interaction_id, verdict_id, text_revision, score, label, unsure, disagreed, overridden, \
         called_positive, random, queued_at, wanted, given) VALUES ({t}, 'item-1', '{i}', 'v', 1, 1, 'neutral', TRUE, FALSE, FALSE, FALSE, FALSE, \
         '2026-11-20 00:00:00+00:00', 1, 1) ON CONFLICT (tenant_id, interaction_id) DO UPDATE SET id = 'item-1'",
        "INSERT INTO review_label (tenant_id, item_id, rater, label, note, given_at, place) VALUES \
         ({t}, 'item-1', 'user:1', 'neutral', '{w} again', '2026-11-20 00:00:00+00:00', 1)",
        "INSERT INTO alert (tenant_id, id, customer_id, interaction_id, score, threshold, label, category, channel, state, raised_at, due_at, note, \
         escalated, version) VALUES ({t}, 'alert-1', '{c}', '{i}', -90, -50, 'negative', 'billing', 'email', 'open', \
         '2026-11-20 00:00:00+00:00', '2026-11-20 00:00:00+00:00', 'call {w}', 0, 1)",
        "INSERT INTO alert_step (tenant_id, alert_id, id, at, step, made_by, detail) VALUES \
         ({t}, 'alert-1', 's', '2026-11-20 00:00:00+00:00', 'note', 'user:1', '{w}')",
        "INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, created_at) VALUES \
         ({t}, 'event-2', 'alert.raised', 'alert-1', TRUE, TRUE, '{\"summary\":\"{w}\"}', '2026-11-20 00:00:00+00:00')",
        "INSERT INTO notice (tenant_id, position, event_id, event, category, subject_id, interaction_id, payload, happened_at, created_at) VALUES \
         ({t}, 1, 'event-2', 'alert.raised', 'alerts', 'alert-1', '{i}', '{\"summary\":\"{w}\"}', '2026-11-20 00:00:00+00:00', '2026-11-20 00:00:00+00:00')",
        "INSERT INTO inbox_item (tenant_id, user_id, position) VALUES ({t}, 'user-1', 1)",
        "INSERT INTO mail (tenant_id, user_id, position, id, together, state, attempts, next_at, last_error, created_at) VALUES \
         ({t}, 'user-1', 1, 'm', FALSE, 'pending', 1, '2026-11-20 00:00:00+00:00', '{w}', '2026-11-20 00:00:00+00:00')",
        "INSERT INTO alert_cooldown (tenant_id, customer_id, last_at) VALUES ({t}, '{c}', '2026-11-20 00:00:00+00:00') ON CONFLICT DO NOTHING",
        "INSERT INTO surge (tenant_id, category, customer_id, at) VALUES ({t}, 'billing', '{c}', '2026-11-20 00:00:00+00:00') ON CONFLICT DO NOTHING",
        "INSERT INTO conversation_guest (tenant_id, customer_id, conversation_id) VALUES ({t}, '{c}', 'elsewhere') ON CONFLICT DO NOTHING",
        "INSERT INTO agent_stale (tenant_id, customer_id, marks) VALUES ({t}, '{c}', 1) ON CONFLICT DO NOTHING",
        "INSERT INTO agent_contact (tenant_id, customer_id, contact_id, agent_id, day, scored, score_after) VALUES \
         ({t}, '{c}', 'contact', 'agent', '2026-11-20', 1, 1) ON CONFLICT DO NOTHING",
        "INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, created_at) VALUES \
         ({t}, 'event-1', 'sentiment.scored', '{i}', TRUE, TRUE, '{\"summary\":\"{w}\"}', '2026-11-20 00:00:00+00:00')",
        "INSERT INTO delivery_attempt (tenant_id, delivery_id, at, attempt, millis, outcome, error) VALUES \
         ({t}, 'delivery-1', '2026-11-20 00:00:00+00:00', 1, 5, 'failed', '{w}')",
        "INSERT INTO delivery (tenant_id, id, destination_id, event_id, event, subject_id, replay, last_error, state, attempts, next_at, created_at) \
         VALUES ({t}, 'delivery-1', 'd', 'e', 'sentiment.scored', '{i}', 0, '{w}', 'delivered', 1, '2026-11-20 00:00:00+00:00', '2026-11-20 00:00:00+00:00')",
    ] {
        let statement = statement.replace("{t}", &tenant.id.0.to_string()).replace("{i}", ids[0]);
        run_sql(bench, &statement.replace("{c}", &customer.id).replace("{w}", word)).await;
    }
    bench.store.rebuild(tenant.id).await.unwrap();
    let text = format!("{word} waits for q3: -97");
    let label = LabelledText { text, kind: Kind::Message, label: Label::Negative };
    bench.store.label_texts(&act(&tenant), &[label]).await.unwrap();
    let asked = Asked { mode: Mode::Refresh, ..Asked::default() };
    let started = bench.store.start_backfill(&act(&tenant), &asked, &json!({})).await.unwrap();
    bench
        .store
        .hold_backfill(tenant.id, &started.id, "driver", TimeDelta::minutes(5))
        .await
        .unwrap()
        .unwrap();
    let settings = bench.store.module(tenant.id).await.unwrap().settings;
    bench.store.open_slice(&tenant, &started.id, "driver", &settings, 500).await.unwrap().unwrap();

    let told = told_in(bench, word).await;
    let quotes: BTreeSet<String> = REACHED.map(str::to_owned).into();
    let by_id: BTreeSet<String> = [
        "customer_sentiment",
        "backfill_item",
        "review_item",
        "conversation_guest",
        "agent_stale",
        "agent_contact",
        "alert_cooldown",
        "surge",
        "inbox_item",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(told, &quotes - &by_id, "the word is planted everywhere");

    // By the address, in another spelling; four at once.
    let email = "QUOKKA7731@example.COM ".to_owned();
    let begun =
        futures_of(4, async |_| bench.store.erase(&act(&tenant), &Whom::Email(&email)).await.unwrap()).await;
    let begun: Vec<Erasure> = begun.into_iter().flatten().collect();
    assert_eq!(begun.len(), 1, "one of them was first: {begun:?}");
    assert_eq!((begun[0].customer_id.as_str(), begun[0].asked_by.as_str()), (customer.id.as_str(), "email"));
    assert_eq!(bench.store.customer(tenant.id, "5").await.unwrap(), None, "at once");
    let again = bench.store.erase(&act(&tenant), &Whom::Id(&customer.id)).await.unwrap();
    assert_eq!(again, begun, "whoever knows our id gets the same erasure");
    assert_eq!(bench.store.open_erasures().await.unwrap(), [(tenant.id, begun[0].id.clone())]);

    // The counters are right after every slice.
    let first = bench.store.continue_erasure(tenant.id, &begun[0].id).await.unwrap().unwrap();
    assert_eq!((first.removed.of("interactions"), first.done_at), (128, None));
    bench.assert_verified(&tenant).await;
    let done = to_the_end(bench, &tenant, &begun[0]).await;
    bench.assert_verified(&tenant).await;
    for (what, many) in [
        ("interactions", 150),
        ("texts", 150),
        ("verdicts", 150),
        ("sentiments", 150),
        ("backfill_items", 150),
        ("conversations", 150),
        ("corrections", 1),
        ("labels", 1),
        ("review_labels", 1),
        ("answers", 2),
        ("aliases", 1),
        ("customers", 1),
    ] {
        assert_eq!(done.removed.of(what), many, "{what}: {:?}", done.removed);
    }
    assert!(done.removed.of("audit_payloads") >= 2 && done.removed.of("events") >= 150);
    assert_eq!(
        told_in(bench, word).await,
        BTreeSet::from(["conversation".to_owned()]),
        "the shared one keeps its number"
    );
    for (table, text) in everything(&bench.url).await {
        if !matches!(table.as_str(), "erasure" | "outbox" | "audit_log") {
            assert!(!text.contains(&customer.id), "{table} still has our id: {text}");
        }
    }
    // The other one is as they were.
    let other = bench.store.customer(tenant.id, "other").await.unwrap().unwrap();
    assert_eq!(bench.store.customer_sentiment(tenant.id, &other.id).await.unwrap().totals.scored, 1);
    assert_eq!(
        bench.store.text(tenant.id, ids[150]).await.unwrap().as_deref(),
        Some("the other one stays: 40")
    );
    let run = bench.store.backfill(tenant.id, &started.id).await.unwrap().unwrap();
    assert_eq!((run.opened, run.superseded), (151, 150));

    // Subscribers are told once; the receipt stays.
    let events = everything(&bench.url).await.into_iter().find(|(table, _)| table == "outbox").unwrap().1;
    assert_eq!(events.matches("customer.erased").count(), 1, "{events}");
    assert_eq!(bench.store.continue_erasure(tenant.id, &done.id).await.unwrap().unwrap(), done);
    assert_eq!(bench.store.erasures(tenant.id, None, 10).await.unwrap(), std::slice::from_ref(&done));
    assert!(bench.store.open_erasures().await.unwrap().is_empty());
    assert_eq!(bench.store.erase(&act(&tenant), &Whom::Email(&email)).await.unwrap(), []);

    // Whoever comes under the same id is somebody new.
    bench.store.accept(tenant.id, &[item("q0", "5", "back again: 20")]).await.unwrap();
    bench.score_all(&tenant, score_of).await;
    let back = bench.store.customer(tenant.id, "5").await.unwrap().unwrap();
    assert!(back.id != customer.id && back.name.is_none());
    bench.assert_verified(&tenant).await;
    if bench.url.starts_with("sqlite") {
        no_byte_is_left(bench, word).await;
    }
}

/// Reads the files as whoever steals the disk does.
async fn no_byte_is_left(bench: &Bench, word: &str) {
    // The number of the conversation that others take part in is theirs.
    run_sql(bench, "UPDATE conversation SET external_id = 'shared' WHERE external_id LIKE 'talk-%'").await;
    assert!(bench.store.wants_scrubbing().await.unwrap() && bench.store.is_small().await.unwrap());
    assert!(bench.store.scrub().await.unwrap());
    assert!(!bench.store.wants_scrubbing().await.unwrap());
    let file = bench.url.trim_start_matches("sqlite://").to_owned();
    for ending in ["", "-wal", "-shm"] {
        let Ok(bytes) = std::fs::read(format!("{file}{ending}")) else { continue };
        let lower = bytes.to_ascii_lowercase();
        let found = lower.windows(word.len()).filter(|window| *window == word.as_bytes()).count();
        assert_eq!(found, 0, "undertone.db{ending}");
    }
}

pub async fn what_is_under_way_is_not_kept(bench: &Bench) {
    let tenant = bench.tenant("withdrawing").await;
    for (id, customer) in [("1", "ana"), ("2", "bo"), ("3", "cy")] {
        bench.store.accept(tenant.id, &[item(id, customer, "read right now: -80")]).await.unwrap();
    }
    let claimed = bench.claim(&tenant, "worker").await;
    let customer = async |id: &str| bench.store.customer(tenant.id, id).await.unwrap().unwrap().id;
    let (ana, bo) = (customer("ana").await, customer("bo").await);
    assert!(bench.store.set_opted_out(&act(&tenant), &ana, true).await.unwrap());
    bench.store.erase(&act(&tenant), &Whom::Id(&bo)).await.unwrap();
    let finished = finished(claimed, |text| verdict(-80, text));
    let recorded = bench.store.record(tenant.id, "worker", &finished).await.unwrap();
    assert_eq!((recorded.scored, recorded.skipped), (1, 2));
    let filter = Filter { customer_id: Some(&ana), limit: 10, ..Filter::default() };
    let told = bench.store.interactions(tenant.id, &filter).await.unwrap();
    assert_eq!((told[0].reason.as_deref(), told[0].score), (Some("opted_out"), None));
    bench.assert_verified(&tenant).await;
    // The same for a run that scores again what was scored before they opted out.
    assert!(bench.store.set_opted_out(&act(&tenant), &ana, false).await.unwrap());
    let asked = Asked { mode: Mode::Refresh, ..Asked::default() };
    let run = bench.store.start_backfill(&act(&tenant), &asked, &json!({})).await.unwrap().id;
    bench.store.hold_backfill(tenant.id, &run, "driver", TimeDelta::minutes(5)).await.unwrap().unwrap();
    let settings = bench.store.module(tenant.id).await.unwrap().settings;
    bench.store.open_slice(&tenant, &run, "driver", &settings, 10).await.unwrap();
    let claimed = bench.store.begin_items(tenant.id, &run, "driver", 10).await.unwrap();
    assert_eq!(claimed.len(), 1, "of cy");
    let cy = customer("cy").await;
    bench.store.set_opted_out(&act(&tenant), &cy, true).await.unwrap();
    let again = claimed
        .into_iter()
        .map(|claimed| Finished { claimed, outcome: Outcome::Scored(Box::new(verdict(90, "now glad"))) })
        .collect::<Vec<_>>();
    let recorded = bench.store.record_items(tenant.id, (&run, "driver"), &again).await.unwrap();
    assert_eq!((recorded.scored, recorded.skipped), (0, 1));
    let before = bench.store.customer_sentiment(tenant.id, &cy).await.unwrap();
    assert_eq!(before.totals.sum_score, -80, "what was said before stands");
    // A claim that came before the row was gone leaves nothing either.
    let erasure = bench.store.erasures(tenant.id, None, 1).await.unwrap().remove(0);
    to_the_end(bench, &tenant, &erasure).await;
    let late = bench.store.record(tenant.id, "worker", &finished).await.unwrap();
    assert_eq!(late.lost, 3);
    bench.assert_verified(&tenant).await;
}

pub async fn who_is_meant_and_who_is_held(bench: &Bench) {
    let tenant = bench.tenant("holding").await;
    let other = bench.tenant("holding-too").await;
    let told = |phone: &str| CustomerDetails { phone: Some(phone.to_owned()), ..CustomerDetails::default() };
    for tenant in [&tenant, &other] {
        for (id, phone) in [("ana", "+49 170/555.01"), ("bo", "0049 170 555 01"), ("cy", "017055501")] {
            let person = Person::Customer(told(phone), None);
            bench.store.save_person(&act(tenant), id, &person).await.unwrap();
        }
    }
    let id = async |id: &str| bench.store.customer(tenant.id, id).await.unwrap().map(|c| c.id);
    let (ana, bo) = (id("ana").await.unwrap(), id("bo").await.unwrap());
    assert_eq!(bench.store.place_hold(&act(&tenant), "nobody", "a suit").await.unwrap(), None);
    assert_eq!(bench.store.place_hold(&act(&other), &ana, "a suit").await.unwrap(), None, "another tenant's");
    for reason in [" ", &"x".repeat(501)] {
        let refused = bench.store.place_hold(&act(&tenant), &ana, reason).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid(_)), "{refused}");
    }
    let hold = bench.store.place_hold(&act(&tenant), &ana, "a suit").await.unwrap().unwrap();
    assert_eq!(bench.store.legal_hold(tenant.id, &ana).await.unwrap(), Some(hold.clone()));
    assert_eq!(bench.store.legal_holds(tenant.id, None, 10).await.unwrap(), [hold]);
    let refused = bench.store.erase(&act(&tenant), &Whom::Phone("+4917055501")).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(told) if told.contains("legal hold")), "{refused}");
    assert!(id("bo").await.is_some(), "all or none");
    assert!(bench.store.lift_hold(&act(&tenant), &ana).await.unwrap());
    assert!(!bench.store.lift_hold(&act(&tenant), &ana).await.unwrap());
    let erased = bench.store.erase(&act(&tenant), &Whom::Phone("+49 (170) 555-01")).await.unwrap();
    let erased: BTreeSet<String> = erased.into_iter().map(|erasure| erasure.customer_id).collect();
    assert_eq!(erased, BTreeSet::from([ana, bo]));
    assert!(id("cy").await.is_some(), "a national number is not known to be the same");
    assert!(bench.store.customer(other.id, "ana").await.unwrap().is_some(), "another tenant's");
    assert_eq!(bench.store.erase(&act(&tenant), &Whom::Id("nobody")).await.unwrap(), []);
    for (tenant, erasure) in bench.store.open_erasures().await.unwrap() {
        while bench.store.continue_erasure(tenant, &erasure).await.unwrap().unwrap().done_at.is_none() {}
    }
}

/// The databases have other small letters beyond ASCII.
pub async fn an_address_is_found_however_its_letters_are_written(bench: &Bench) {
    let tenant = bench.tenant("spelling").await;
    let spelled = ["JOSÉ@example.com", "José@Example.com", "josé@example.com"];
    for asked in spelled {
        for (n, stored) in spelled.into_iter().enumerate() {
            let alias = Alias { kind: "email".to_owned(), value: stored.to_owned() };
            // The last two are the same alias.
            let aliases = (n < 2).then(|| vec![alias]);
            let own = CustomerDetails { email: Some(stored.to_owned()), ..CustomerDetails::default() };
            let by_alias = CustomerDetails { aliases, ..CustomerDetails::default() };
            for (id, details) in [(format!("own-{n}"), own), (format!("alias-{n}"), by_alias)] {
                bench.store.save_person(&act(&tenant), &id, &Person::Customer(details, None)).await.unwrap();
            }
        }
        let erased = bench.store.erase(&act(&tenant), &Whom::Email(asked)).await.unwrap();
        assert_eq!(erased.len(), 5, "{asked}: {erased:?}");
        for erasure in erased {
            to_the_end(bench, &tenant, &erasure).await;
        }
    }
    // A letter by itself, and nobody whose address only resembles it.
    for (id, email) in
        [("one", "Éloïse@Example.com"), ("two", "strauss@example.com"), ("three", "ilker@example.com")]
    {
        let details = CustomerDetails { email: Some(email.to_owned()), ..CustomerDetails::default() };
        bench.store.save_person(&act(&tenant), id, &Person::Customer(details, None)).await.unwrap();
    }
    for (asked, found) in [("strauß@example.com", 0), ("ılker@example.com", 0), ("éloïse@example.com", 1)]
    {
        let erased = bench.store.erase(&act(&tenant), &Whom::Email(asked)).await.unwrap();
        assert_eq!(erased.len(), found, "{asked}");
    }
}

pub async fn a_restored_backup_is_erased_again(bench: &Bench) {
    let tenant = bench.tenant("restoring").await;
    bench.store.accept(tenant.id, &[planted("1", "ana", -50, "wombat9")]).await.unwrap();
    let before = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    let erasure = bench.store.erase(&act(&tenant), &Whom::Id("ana")).await.unwrap().remove(0);
    to_the_end(bench, &tenant, &erasure).await;
    let kept: Vec<Tombstone> =
        bench.store.tombstones(tenant.id, "").await.unwrap().into_iter().map(|(_, t)| t).collect();
    assert_eq!((kept.len(), kept[0].customer_id.as_str()), (1, before.id.as_str()));
    assert_eq!(kept[0].digests.len(), 3, "id, address, number");
    assert!(!serde_json::to_string(&kept).unwrap().to_lowercase().contains("wombat"));
    // The backup brings them back, under our id of then, and once more under another id but with their address.
    // A number is theirs in whatever spelling.
    let (email, phone) = ("'Wombat9@example.com', NULL", "NULL, '0049 170/555.01'");
    for (id, external, known, created) in [
        (before.id.as_str(), "ana", email, 0),
        ("id-of-another-import", "ana-2", email, 0),
        ("id-of-later", "ana-3", email, 1),
        ("id-with-their-number", "ana-4", phone, 0),
    ] {
        let created = before.created_at + TimeDelta::days(created);
        run_sql(
            bench,
            &format!(
                "INSERT INTO customer (tenant_id, id, external_id, email, phone, created_at, updated_at) VALUES \
             ({}, '{id}', '{external}', {known}, '{created}', '{created}')",
                tenant.id.0,
                created = created.to_rfc3339()
            ),
        )
        .await;
    }
    // Of the backup's time there was no erasure.
    run_sql(bench, &format!("DELETE FROM erasure WHERE tenant_id = {}", tenant.id.0)).await;
    bench.advance(3600);
    // Who is under legal hold keeps nobody else.
    bench.store.place_hold(&act(&tenant), "id-of-another-import", "a suit").await.unwrap().unwrap();
    let replayed = bench.store.replay(&act(&tenant), &kept).await.unwrap();
    let who = |erased: &[Erasure]| -> BTreeSet<String> {
        erased.iter().map(|erasure| erasure.customer_id.clone()).collect()
    };
    assert_eq!(
        who(&replayed.erased),
        BTreeSet::from([before.id.clone(), "id-with-their-number".to_owned()]),
        "who came later is somebody new"
    );
    assert_eq!(replayed.held, ["id-of-another-import"]);
    assert!(bench.store.lift_hold(&act(&tenant), "id-of-another-import").await.unwrap());
    let rest = bench.store.replay(&act(&tenant), &kept).await.unwrap();
    assert_eq!(who(&rest.erased), BTreeSet::from(["id-of-another-import".to_owned()]));
    let erased = [replayed.erased, rest.erased].concat();
    assert!(erased.iter().all(|erasure| erasure.asked_by == "replay"));
    assert_eq!(bench.store.replay(&act(&tenant), &kept).await.unwrap(), Replayed::default());
    for erasure in erased {
        to_the_end(bench, &tenant, &erasure).await;
    }
}
