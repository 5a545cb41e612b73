//! Clocks remove exactly what is due, and everything that quotes it.

use std::time::Duration;

use undertone_core::notification::When;
use undertone_core::{Settings, SkipReason};
use undertone_store::alerts::{AlertState, Move, Wanted};
use undertone_store::notices::{Part, Telling};
use undertone_store::privacy::Removed;
use undertone_store::privacy::retention::{Clocks, Stage};

use super::*;

#[path = "retention/held.rs"]
pub mod held;

/// Noon of the next day, whatever the clock was, so that summer time changes no day.
fn to_noon(bench: &Bench) {
    let noon = bench.store.now().date_naive().and_hms_opt(12, 0, 0).unwrap().and_utc() + TimeDelta::days(1);
    bench.clock.advance(noon - bench.store.now());
}

/// A verdict whose summary quotes the text.
fn quoting(score: i64, text: &str) -> Verdict {
    let summary = format!("Strongest phrase: {text}");
    Verdict { outside: Some(summary.clone()), summary, ..verdict(score, text) }
}

/// Scores everything due at -60, with a summary that quotes the text's first word, and tells one person of all that came of it.
async fn score_and_tell(bench: &Bench, tenant: &Tenant) {
    let claimed = bench.claim(tenant, "worker").await;
    let finished = finished(claimed, |text| quoting(-60, text));
    bench.store.record(tenant.id, "worker", &finished).await.unwrap();
    bench.store.place_events(tenant.id, 100).await.unwrap();
    let untold = bench.store.untold(tenant.id).await.unwrap();
    let email = Some(When { at: bench.store.now(), together: false });
    let tellings: Vec<Telling<'_>> =
        untold.events.iter().map(|event| Telling { event, user: "user-1", in_app: true, email }).collect();
    assert!(bench.store.tell(tenant.id, &untold, &tellings).await.unwrap());
}

async fn alerts_of(bench: &Bench, tenant: &Tenant) -> Vec<(String, Option<String>, AlertState)> {
    let wanted = Wanted { most: 10, ..Wanted::default() };
    let alerts = bench.store.alerts(tenant.id, &wanted).await.unwrap();
    alerts.into_iter().map(|alert| (alert.id, alert.customer_id, alert.state)).collect()
}

/// Runs the clocks, and holds the run against what was told before it.
async fn purge(bench: &Bench, tenant: &Tenant, settings: &Settings) -> Removed {
    let clocks = Clocks::of(tenant, settings, bench.store.now());
    let due = bench.store.purge_preview(tenant.id, &clocks).await.unwrap();
    let run = bench.store.purge(tenant, &clocks, &act(tenant), Duration::ZERO).await.unwrap();
    let mut told = run.removed.clone();
    told.0.retain(|what, _| Stage::ALL.iter().any(|stage| stage.what() == what));
    assert_eq!(due, told, "what was told before");
    bench.assert_verified(tenant).await;
    run.removed
}

pub async fn what_quotes_a_text_goes_with_it(bench: &Bench) {
    let (tenant, word) = (bench.tenant("quoting").await, "bilby9041");
    to_noon(bench);
    let text = format!("{word} was promised, and nothing came");
    // What it is known again by is a digest, as it always is outside of tests.
    let mut item = Incoming { digest: "0f".repeat(32), ..item("1", "ana", &text) };
    item.arrival.interaction.conversation = Some("talk".to_owned());
    item.arrival.conversation = ConversationDetails {
        subject: Some(format!("About {word}")),
        tags: Some(vec![word.to_owned()]),
        ..ConversationDetails::default()
    };
    let accepted = bench.store.accept(tenant.id, &[item]).await.unwrap();
    score_and_tell(bench, &tenant).await;
    let alerts = alerts_of(bench, &tenant).await;
    for statement in [
        "INSERT INTO delivery_attempt (tenant_id, delivery_id, at, attempt, millis, outcome, error) VALUES \
         ({t}, 'delivery-1', '2026-11-20 00:00:00+00:00', 1, 5, 'failed', '{w}')",
        "INSERT INTO delivery (tenant_id, id, destination_id, event_id, event, subject_id, replay, last_error, state, attempts, next_at, created_at) \
         VALUES ({t}, 'delivery-1', 'd', 'e', 'alert.raised', '{a}', 0, '{w}', 'delivered', 1, '2026-11-20 00:00:00+00:00', '2026-11-20 00:00:00+00:00')",
        "UPDATE mail SET last_error = '{w}' WHERE tenant_id = {t}",
        "INSERT INTO sentiment_override (tenant_id, id, interaction_id, score, label, reason, made_by, made_at) VALUES \
         ({t}, 'correction-1', '{i}', 10, 'neutral', 'said {w} herself', 'user:1', '2026-11-20 00:00:00+00:00')",
        "UPDATE interaction_sentiment SET human_override_reason = '{w}' WHERE tenant_id = {t}",
        "INSERT INTO review_item (tenant_id, id, interaction_id, verdict_id, text_revision, score, label, unsure, disagreed, overridden, \
         called_positive, random, queued_at, wanted, given) VALUES ({t}, 'item-1', '{i}', 'v', 1, 1, 'neutral', TRUE, FALSE, FALSE, FALSE, FALSE, \
         '2026-11-20 00:00:00+00:00', 1, 1) ON CONFLICT (tenant_id, interaction_id) DO UPDATE SET id = 'item-1'",
        "INSERT INTO review_label (tenant_id, item_id, rater, label, note, given_at, place) VALUES \
         ({t}, 'item-1', 'user:1', 'neutral', '{w} again', '2026-11-20 00:00:00+00:00', 1)",
        "UPDATE alert SET note = 'call about {w}' WHERE tenant_id = {t}",
        "INSERT INTO alert_step (tenant_id, alert_id, id, at, step, made_by, detail) VALUES \
         ({t}, '{a}', 's', '2026-11-20 00:00:00+00:00', 'resolved', 'user:1', '{w} is settled'), \
         ({t}, '{a}', 's0', '2026-11-20 00:00:00+00:00', 'assigned', 'user:1', 'user-2')",
    ] {
        let statement = statement.replace("{t}", &tenant.id.0.to_string()).replace("{a}", &alerts[0].0);
        run_sql(bench, &statement.replace("{i}", accepted[0].id()).replace("{w}", word)).await;
    }
    let label = LabelledText { text: text.clone(), kind: Kind::Message, label: Label::Negative };
    bench.store.label_texts(&act(&tenant), &[label]).await.unwrap();
    let quoted = [
        "alert",
        "alert_step",
        "conversation",
        "delivery",
        "delivery_attempt",
        "interaction_sentiment",
        "interaction_text",
        "labelled_text",
        "mail",
        "notice",
        "outbox",
        "review_label",
        "sentiment_override",
        "verdict",
    ];
    assert_eq!(
        told_in(bench, word).await,
        quoted.map(str::to_owned).into(),
        "the word is planted everywhere"
    );
    bench.advance(91 * 24 * 3600);
    let removed = purge(bench, &tenant, &Settings::default()).await;
    assert_eq!((removed.of("texts"), removed.of("alerts"), removed.of("subjects")), (1, 0, 1), "{removed:?}");
    assert_eq!(told_in(bench, word).await, BTreeSet::new());
    let steps = everything(&bench.url).await.into_iter().find(|(table, _)| table == "alert_step").unwrap().1;
    assert!(steps.contains("user-2"), "whom it was given to stays: {steps}");
    assert_eq!(alerts_of(bench, &tenant).await, alerts, "that there was an alert stays");
    assert!(bench.store.inbox(tenant.id, "user-1", Part::Before(i64::MAX), 10).await.unwrap().is_empty());
}

pub async fn a_run_keeps_nothing_of_a_text_that_went_meanwhile(bench: &Bench) {
    let (tenant, word) = (bench.tenant("rescored").await, "numbat8837");
    to_noon(bench);
    let item = |id: &str, text: &str| Incoming { digest: "0e".repeat(32), ..item(id, id, text) };
    let items = [item("old", &format!("{word} was promised")), item("held", "it was promised as well")];
    let ids = bench.store.accept(tenant.id, &items).await.unwrap();
    let held = bench.store.customer(tenant.id, "held").await.unwrap().unwrap();
    bench.store.place_hold(&act(&tenant), &held.id, "a lawsuit").await.unwrap();
    bench.score_all(&tenant, |_| -60).await;
    let asked = Asked { mode: Mode::Refresh, ..Asked::default() };
    let run = bench.store.start_backfill(&act(&tenant), &asked, &json!({})).await.unwrap();
    bench.advance(91 * 24 * 3600);
    let (minute, settings) = (TimeDelta::seconds(60), Settings::default());
    bench.store.hold_backfill(tenant.id, &run.id, "driver", minute).await.unwrap().unwrap();
    bench.store.open_slice(&tenant, &run.id, "driver", &settings, 10).await.unwrap();
    let begun = bench.store.begin_items(tenant.id, &run.id, "driver", 10).await.unwrap();
    assert!(begun.len() == 2 && begun.iter().any(|one| one.interaction.text.contains(word)));
    purge(bench, &tenant, &settings).await;
    let finished = finished(begun, |text| quoting(-90, text));
    let recorded = bench.store.record_items(tenant.id, (&run.id, "driver"), &finished).await.unwrap();
    assert_eq!((recorded.scored, recorded.lost), (1, 1));
    assert_eq!(told_in(bench, word).await, BTreeSet::new());
    let mut scores = Vec::new();
    for id in &ids {
        scores.push(bench.store.sentiment(tenant.id, id.id()).await.unwrap().unwrap().score);
    }
    assert_eq!(scores, [-60, -90], "what it was scored before stands");
    let run = bench.store.backfill(tenant.id, &run.id).await.unwrap().unwrap();
    assert_eq!((run.scored, run.superseded), (1, 1));
    bench.assert_verified(&tenant).await;
}

pub async fn a_conversation_says_what_it_is_about_as_long_as_it_is_read(bench: &Bench) {
    let tenant = bench.tenant("talking").await;
    to_noon(bench);
    let settings = Settings::from_json(&json!({"retention_text_days": 10})).unwrap();
    let subject = async |talk: &str| {
        let all = everything(&bench.url).await;
        let told = all.into_iter().find(|(table, _)| table == "conversation").unwrap().1;
        told.contains(&format!("About {talk}"))
    };
    let accept = async |id: &str, talk: &str, subject: Option<String>| {
        let mut item = item(id, "ana", &format!("it is late, says {id}: 1"));
        item.arrival.interaction.conversation = Some(talk.to_owned());
        item.arrival.conversation = ConversationDetails { subject, ..ConversationDetails::default() };
        bench.store.accept(tenant.id, &[item]).await.unwrap();
    };
    accept("1", "first", Some("About first".to_owned())).await;
    accept("2", "second", Some("About second".to_owned())).await;
    bench.score_all(&tenant, score_of).await;
    bench.advance(5 * 24 * 3600);
    // The second goes on.
    accept("3", "second", None).await;
    bench.score_all(&tenant, score_of).await;
    bench.advance(6 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    assert_eq!((removed.of("texts"), removed.of("subjects")), (2, 1), "{removed:?}");
    assert_eq!((subject("first").await, subject("second").await), (false, true));
    bench.advance(5 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    assert_eq!((removed.of("texts"), removed.of("subjects")), (1, 1), "{removed:?}");
    assert!(!subject("second").await);
}

pub async fn labels_go_with_their_text_or_by_their_own_clock(bench: &Bench) {
    let tenant = bench.tenant("labelling").await;
    to_noon(bench);
    let settings = Settings::from_json(&json!({"retention_text_days": 10})).unwrap();
    let label = async |text: &str| {
        let label = LabelledText { text: text.to_owned(), kind: Kind::Message, label: Label::Negative };
        bench.store.label_texts(&act(&tenant), &[label]).await.unwrap();
    };
    let left = async || {
        let texts = bench.store.labelled(tenant.id).await.unwrap();
        texts.into_iter().map(|(_, label)| label.text).collect::<BTreeSet<String>>()
    };
    bench.store.accept(tenant.id, &[item("1", "ana", "it came broken: 1")]).await.unwrap();
    bench.score_all(&tenant, score_of).await;
    bench.advance(5 * 24 * 3600);
    label("it came broken: 1").await;
    label("nobody handed this in").await;
    bench.advance(6 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    assert_eq!((removed.of("labels"), removed.of("old_labels")), (1, 0), "{removed:?}");
    assert_eq!(left().await, BTreeSet::from(["nobody handed this in".to_owned()]));
    bench.advance(5 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    assert_eq!((removed.of("labels"), removed.of("old_labels")), (0, 1), "{removed:?}");
    assert_eq!(left().await, BTreeSet::new());
}

/// Everything that is due at once, so that each stage finds what goes only because an earlier one took the rest.
pub async fn what_would_go_is_told_as_it_goes(bench: &Bench) {
    let tenant = bench.tenant("telling-before").await;
    to_noon(bench);
    let items = [planted("1", "ana", -60, "first"), planted("2", "bo", 50, "second")];
    let accepted = bench.store.accept(tenant.id, &items).await.unwrap();
    bench.score_all(&tenant, score_of).await;
    // Said anew, it is another revision of the same.
    let mut again = planted("1", "ana", -70, "first");
    again.arrival.update = true;
    assert_eq!(bench.store.accept(tenant.id, &[again]).await.unwrap()[0].id(), accepted[0].id());
    bench.score_all(&tenant, score_of).await;
    bench.store.seal_audit(tenant.id).await.unwrap();
    let alerts = alerts_of(bench, &tenant).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let incident = format!(
        "INSERT INTO incident (tenant_id, id, category, state, opened_at, customers, usual, last_member_at, closed_at, version) VALUES \
         ({t}, '00a', 'billing', 'closed', '2026-11-20 00:00:00+00:00', 9, 1, '2026-11-20 00:00:00+00:00', '2026-11-20 00:00:00+00:00', 1)",
        t = tenant.id.0
    );
    run_sql(bench, &incident).await;
    run_sql(bench, &format!("UPDATE alert SET incident_id = '00a' WHERE tenant_id = {}", tenant.id.0)).await;
    let bo = bench.store.customer(tenant.id, "bo").await.unwrap().unwrap().id;
    bench.store.place_hold(&act(&tenant), &bo, "a suit").await.unwrap().unwrap();
    bench.store.seal_audit(tenant.id).await.unwrap();
    bench.advance(800 * 24 * 3600);
    // `purge` compares.
    let removed = purge(bench, &tenant, &Settings::default()).await;
    for what in [
        "texts",
        "subjects",
        "alerts",
        "incidents",
        "cooldowns",
        "interactions",
        "customers",
        "conversations",
    ] {
        assert!(removed.of(what) > 0, "{what}: {removed:?}");
    }
    assert_eq!(removed.of("texts"), 2, "{removed:?}");
    assert!(removed.of("audit_entries") > 0, "{removed:?}");
    assert!(bench.store.customer(tenant.id, "bo").await.unwrap().is_some(), "held");
}

pub async fn alerts_have_a_clock_of_their_own(bench: &Bench) {
    let tenant = bench.tenant("alerting").await;
    to_noon(bench);
    let settings = Settings::from_json(&json!({"retention_alerts_days": 30})).unwrap();
    let items = [item("1", "ana", "still broken"), item("2", "bo", "broken again")];
    bench.store.accept(tenant.id, &items).await.unwrap();
    score_and_tell(bench, &tenant).await;
    let id = async |id: &str| bench.store.customer(tenant.id, id).await.unwrap().unwrap().id;
    let (ana, bo) = (id("ana").await, id("bo").await);
    bench.store.place_hold(&act(&tenant), &bo, "a suit").await.unwrap().unwrap();
    let alerts = alerts_of(bench, &tenant).await;
    let of = |customer: &str| {
        alerts.iter().find(|(_, whose, _)| whose.as_deref() == Some(customer)).unwrap().0.clone()
    };
    let resolve = Move::Resolve(Some("called them"));
    bench.store.move_alert(&act(&tenant), (&of(&ana), None), resolve).await.unwrap().unwrap();
    let mut text = format!(
        "UPDATE alert SET incident_id = '00a' WHERE tenant_id = {} AND id = '{}'",
        tenant.id.0,
        of(&bo)
    );
    run_sql(bench, &text).await;
    for (incident, category, state, closed) in [
        ("00a", "billing", "closed", "'2026-11-20 00:00:00+00:00'"),
        ("00b", "billing", "closed", "'2026-11-20 00:00:00+00:00'"),
        ("00c", "delivery", "open", "NULL"),
    ] {
        text = format!(
            "INSERT INTO incident (tenant_id, id, category, state, opened_at, customers, usual, last_member_at, closed_at, version) VALUES \
             ({}, '{incident}', '{category}', '{state}', '2026-11-20 00:00:00+00:00', 9, 1, '2026-11-20 00:00:00+00:00', {closed}, 1)",
            tenant.id.0
        );
        run_sql(bench, &text).await;
    }
    let incidents = async || {
        let mut ids: Vec<String> =
            bench.store.incidents(tenant.id, None, 10).await.unwrap().into_iter().map(|i| i.id).collect();
        ids.sort();
        ids
    };
    // The last day that alerts are kept.
    bench.advance(29 * 24 * 3600);
    assert_eq!(purge(bench, &tenant, &settings).await.of("alerts"), 0);
    bench.advance(2 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    let counts = ["alerts", "alert_steps", "cooldowns", "texts", "interactions"].map(|what| removed.of(what));
    assert_eq!(counts, [1, 1, 1, 0, 0], "{removed:?}");
    assert!(removed.of("notices") > 0 && removed.of("events") > 0, "{removed:?}");
    assert_eq!(incidents().await, ["00a", "00c"], "one alert of the first is held, the third is open");
    assert_eq!(alerts_of(bench, &tenant).await, [(of(&bo), Some(bo.clone()), AlertState::Open)]);
    assert!(purge(bench, &tenant, &settings).await.is_empty(), "a second time there is nothing");
    assert_eq!(
        bench.store.customer_sentiment(tenant.id, &ana).await.unwrap().totals.scored,
        1,
        "scores stay"
    );
    let inbox = bench.store.inbox(tenant.id, "user-1", Part::Before(i64::MAX), 10).await.unwrap();
    assert!(!inbox.is_empty() && inbox.iter().all(|item| item.subject_id == of(&bo)), "{inbox:?}");
    // Nobody took care of it, and it goes all the same.
    assert!(bench.store.lift_hold(&act(&tenant), &bo).await.unwrap());
    let removed = purge(bench, &tenant, &settings).await;
    assert_eq!(["alerts", "incidents", "cooldowns"].map(|what| removed.of(what)), [1, 1, 1], "{removed:?}");
    assert_eq!((alerts_of(bench, &tenant).await, incidents().await), (Vec::new(), vec!["00c".to_owned()]));
}

pub async fn what_no_surge_can_be_seen_in_goes(bench: &Bench) {
    let tenant = bench.tenant("surging").await;
    let minutes = i64::from(bench.store.module(tenant.id).await.unwrap().settings.incident_minutes);
    let surging = async || {
        let all = everything(&bench.url).await;
        let surge = all.into_iter().find(|(table, _)| table == "surge").unwrap().1;
        let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap().id;
        let bo = bench.store.customer(tenant.id, "bo").await.unwrap().map(|bo| bo.id);
        (surge.contains(&ana), bo.is_some_and(|bo| surge.contains(&bo)))
    };
    bench.store.accept(tenant.id, &[item("1", "ana", "late: -80")]).await.unwrap();
    bench.score_all(&tenant, score_of).await;
    bench.advance(60 * minutes - 1);
    bench.store.accept(tenant.id, &[item("2", "bo", "late: -80")]).await.unwrap();
    bench.score_all(&tenant, score_of).await;
    assert!(!bench.store.tidy_surge(tenant.id).await.unwrap());
    assert_eq!(surging().await, (true, true), "both are in the window, and no incident is open");
    bench.advance(1);
    assert!(!bench.store.tidy_surge(tenant.id).await.unwrap());
    assert_eq!(surging().await, (false, true));
}

pub async fn clocks_remove_what_is_due_and_nothing_else(bench: &Bench) {
    let tenant = bench.tenant("expiring").await;
    // From noon to noon, whatever the clock was: so that summer time changes no day.
    let noon = bench.store.now().date_naive().and_hms_opt(12, 0, 0).unwrap().and_utc() + TimeDelta::days(1);
    bench.clock.advance(noon - bench.store.now());
    let word = "numbat55";
    let arrive = async |id: &str, customer: &str, score: i64| {
        let accepted = bench.store.accept(tenant.id, &[planted(id, customer, score, word)]).await.unwrap();
        bench.score_all(&tenant, score_of).await;
        accepted[0].id().to_owned()
    };
    let first = arrive("1", "ana", -60).await;
    let held = arrive("2", "bo", 50).await;
    let waiting =
        bench.store.accept(tenant.id, &[planted("3", "ana", 1, word)]).await.unwrap()[0].id().to_owned();
    bench.advance(24 * 3600);
    let young = arrive("4", "cy", 30).await;
    let bo = bench.store.customer(tenant.id, "bo").await.unwrap().unwrap().id;
    bench.store.place_hold(&act(&tenant), &bo, "a suit").await.unwrap().unwrap();
    let settings = bench.store.module(tenant.id).await.unwrap().settings;
    let purge = async || purge(bench, &tenant, &settings).await;
    // The last moment of the last day that texts are kept.
    bench.advance(89 * 24 * 3600);
    assert!(purge().await.is_empty());
    bench.advance(24 * 3600);
    let removed = purge().await;
    assert_eq!(
        (removed.of("texts"), removed.of("interactions")),
        (2, 0),
        "first and, scored meanwhile, the third: {removed:?}"
    );
    assert!(purge().await.is_empty(), "a second time there is nothing");
    assert_eq!(bench.store.text(tenant.id, &first).await.unwrap(), None);
    for id in [&held, &young] {
        assert!(bench.store.text(tenant.id, id).await.unwrap().is_some());
    }
    let sentiment = bench.store.sentiment(tenant.id, &first).await.unwrap().unwrap();
    assert_eq!((sentiment.score, sentiment.summary.as_str(), &sentiment.keywords), (-60, "", &json!([])));
    let verdict = bench.store.revisions(tenant.id, &first).await.unwrap().remove(0).verdict;
    assert!(verdict.evidence.is_empty() && verdict.summary.is_empty());
    assert_eq!(bench.store.purge_runs(tenant.id, None, 10).await.unwrap().len(), 1);

    // Then their scores; the sums over days stay, those of the customer go.
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap().id;
    let whole = async || bench.store.overview(&tenant, 30).await.unwrap().all_time.totals;
    let before = whole().await;
    bench.advance((760 - 90) * 24 * 3600);
    for statement in [
        "INSERT INTO surge (tenant_id, category, customer_id, at) VALUES ({t}, 'billing', '{c}', '2026-11-20 00:00:00+00:00') ON CONFLICT DO NOTHING",
        "INSERT INTO agent_stale (tenant_id, customer_id, marks) VALUES ({t}, '{c}', 1) ON CONFLICT DO NOTHING",
        "INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, created_at) VALUES \
         ({t}, 'event-of-ana', 'customer.told', '{c}', TRUE, TRUE, '{}', '2026-11-20 00:00:00+00:00')",
    ] {
        run_sql(bench, &statement.replace("{t}", &tenant.id.0.to_string()).replace("{c}", &ana)).await;
    }
    let removed = purge().await;
    assert_eq!(removed.of("interactions"), 2, "{removed:?}");
    assert_eq!(removed.of("customers"), 1, "of ana nothing is left, and nothing was heard: {removed:?}");
    for (table, text) in everything(&bench.url).await {
        assert!(table == "audit_log" || !text.contains(&ana), "{table} still has ana's id: {text}");
    }
    assert_eq!(whole().await, before);
    assert_eq!(bench.store.customer_sentiment(tenant.id, &ana).await.unwrap().totals, Totals::default());
    assert_eq!(bench.store.interaction(tenant.id, &waiting).await.unwrap(), None);
    assert!(bench.store.interaction(tenant.id, &held).await.unwrap().is_some(), "held");
    assert!(bench.store.text(tenant.id, &held).await.unwrap().is_some(), "held");
    assert!(bench.store.lift_hold(&act(&tenant), &bo).await.unwrap());
    bench.advance(24 * 3600);
    let removed = purge().await;
    assert_eq!(removed.of("interactions"), 2, "the one that was held and the young one: {removed:?}");
    assert_eq!(whole().await, before);
    // Whoever is erased later leaves the sums of sealed days right too.
    let late = {
        let mut late = planted("5", "dot", -20, word);
        late.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap());
        late
    };
    bench.store.accept(tenant.id, &[late]).await.unwrap();
    bench.score_all(&tenant, score_of).await;
    bench.assert_verified(&tenant).await;
    let erasure = bench.store.erase(&act(&tenant), &Whom::Id("dot")).await.unwrap().remove(0);
    to_the_end(bench, &tenant, &erasure).await;
    bench.assert_verified(&tenant).await;
    assert_eq!(whole().await, before);
}

pub async fn what_waits_goes_with_its_text(bench: &Bench) {
    let tenant = bench.tenant("waiting-long").await;
    to_noon(bench);
    let settings = Settings::from_json(&json!({"retention_text_days": 10})).unwrap();
    let accept =
        async |item: Incoming| bench.store.accept(tenant.id, &[item]).await.unwrap()[0].id().to_owned();
    let state = async |id: &str| {
        let text = bench.store.text(tenant.id, id).await.unwrap();
        let told = bench.store.interaction(tenant.id, id).await.unwrap().unwrap();
        (told.state, told.reason.unwrap_or_default(), text.is_some())
    };
    let is = |state: &str, reason: &str, has_text: bool| (state.to_owned(), reason.to_owned(), has_text);
    let revised = accept(item("1", "ana", "still broken: -60")).await;
    bench.score_all(&tenant, score_of).await;
    let mut again = Incoming { digest: "again".to_owned(), ..item("1", "ana", "broken again: -70") };
    again.arrival.update = true;
    accept(again).await;
    let waiting = accept(item("2", "bo", "nobody answers: -40")).await;
    let held = accept(item("3", "cy", "a suit of mine: -30")).await;
    let cy = bench.store.customer(tenant.id, "cy").await.unwrap().unwrap().id;
    bench.store.place_hold(&act(&tenant), &cy, "a suit").await.unwrap().unwrap();
    // There is no key, and nobody gives one.
    let until = bench.store.now() + TimeDelta::days(60);
    let reason = SkipReason::NoKey;
    let deferred = bench.claim(&tenant, "worker").await.into_iter().map(|claimed| Finished {
        claimed,
        outcome: Outcome::Deferred { reason, detail: Some("no key".to_owned()), until },
    });
    let deferred: Vec<Finished> = deferred.collect();
    assert_eq!(bench.store.record(tenant.id, "worker", &deferred).await.unwrap().deferred, 3);
    let (leased, left) = (
        accept(item("4", "dot", "read just now: 20")).await,
        accept(item("5", "eve", "its reader died: 10")).await,
    );
    bench.advance(11 * 24 * 3600);
    let claim = Claim { owner: "dead", limit: 1, lease: TimeDelta::seconds(60), suspect: false };
    let dead = bench.store.claim(tenant.id, claim).await.unwrap();
    assert_eq!(dead[0].id, leased, "the one that waits longest");
    let removed = purge(bench, &tenant, &settings).await;
    assert_eq!(removed.of("texts"), 4, "two of the first, the second and the fifth: {removed:?}");
    for id in [&revised, &waiting, &left] {
        assert_eq!(state(id).await, is("skipped", "text_expired", false));
    }
    assert_eq!(state(&held).await, is("pending", "no_key", true), "under hold");
    assert_eq!(state(&leased).await, is("pending", "", true), "somebody reads it");
    assert_eq!(bench.store.sentiment(tenant.id, &revised).await.unwrap(), None, "of what it said before");
    let totals = bench.store.overview(&tenant, 30).await.unwrap().all_time.totals;
    assert_eq!(totals, Totals::default());
    // Whoever read it is gone for good; should they come back, it is too late.
    bench.advance(61);
    let removed = purge(bench, &tenant, &settings).await;
    assert_eq!(removed.of("texts"), 1, "{removed:?}");
    assert_eq!(state(&leased).await, is("skipped", "text_expired", false));
    let late = finished(dead, |text| verdict(20, text));
    assert_eq!(bench.store.record(tenant.id, "dead", &late).await.unwrap().lost, 1);
    assert_eq!(bench.store.sentiment(tenant.id, &leased).await.unwrap(), None);
    assert!(purge(bench, &tenant, &settings).await.is_empty(), "a second time there is nothing");
    bench.assert_verified(&tenant).await;
}

pub async fn upkeep_is_done_by_one(bench: &Bench) {
    let tenant = bench.tenant("upkept").await;
    let patience = TimeDelta::minutes(10);
    let taken =
        futures_of(4, async |_| bench.store.take_upkeep(tenant.id, "retention", patience).await.unwrap())
            .await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    bench.advance(601);
    assert!(bench.store.take_upkeep(tenant.id, "retention", patience).await.unwrap(), "whoever had it died");
    bench.store.end_upkeep(tenant.id, "retention", TimeDelta::days(1)).await.unwrap();
    bench.advance(3600);
    assert!(!bench.store.take_upkeep(tenant.id, "retention", patience).await.unwrap());
    bench.advance(24 * 3600);
    assert!(bench.store.take_upkeep(tenant.id, "retention", patience).await.unwrap());
}
