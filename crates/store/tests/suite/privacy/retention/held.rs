//! What a legal hold stops, and what goes on under it: labels, events, what was told and the audit log are not kept by customer.

use super::*;

pub async fn a_hold_stops_no_clock_of_what_is_not_kept_by_customer(bench: &Bench) {
    let (tenant, store) = (bench.tenant("held-clocks").await, &bench.store);
    to_noon(bench);
    let settings = Settings::from_json(&json!({"retention_text_days": 10})).unwrap();
    let texts = ["it came broken", "it came twice", "it came late"];
    let items = [item("1", "ana", texts[0]), item("2", "ana", texts[1]), item("3", "bo", texts[2])];
    let ids = store.accept(tenant.id, &items).await.unwrap();
    score_and_tell(bench, &tenant).await;
    let ana = store.customer(tenant.id, "ana").await.unwrap().unwrap().id;
    store.place_hold(&act(&tenant), &ana, "a suit").await.unwrap().unwrap();
    let label = async |text: &str| {
        let label = LabelledText { text: text.to_owned(), kind: Kind::Message, label: Label::Negative };
        store.label_texts(&act(&tenant), &[label]).await.unwrap();
    };
    let labelled = async || {
        let labels = store.labelled(tenant.id).await.unwrap();
        labels.into_iter().map(|(_, label)| label.text).collect::<BTreeSet<String>>()
    };
    label(texts[0]).await;
    let at = store.now().to_rfc3339();
    let delivery = format!(
        "INSERT INTO delivery (tenant_id, id, destination_id, event_id, event, subject_id, replay, state, attempts, next_at, created_at) \
         VALUES ({}, 'held-1', 'd', 'e', 'sentiment.scored', '{}', 0, 'delivered', 1, '{at}', '{at}')",
        tenant.id.0,
        ids[0].id()
    );
    run_sql(bench, &delivery).await;
    store.seal_audit(tenant.id).await.unwrap();

    // The tables that still tell of what ana wrote, or of an alert about it.
    let alert = alerts_of(bench, &tenant).await.into_iter().find(|(_, whose, _)| *whose == Some(ana.clone()));
    let about = [ids[0].id().to_owned(), ids[1].id().to_owned(), alert.unwrap().0];
    let told = async || {
        let passing = ["outbox", "notice", "delivery"];
        let tables = everything(&bench.url).await.into_iter().filter(|(table, text)| {
            passing.contains(&table.as_str()) && about.iter().any(|id| text.contains(id))
        });
        tables.map(|(table, _)| table).collect::<BTreeSet<String>>()
    };
    let tables = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let inbox = async || store.inbox(tenant.id, "user-1", Part::Before(i64::MAX), 10).await.unwrap().len();
    assert_eq!(told().await, tables(&["outbox", "notice", "delivery"]));
    assert!(inbox().await > 0);
    // What the hold is for.
    let is_kept = async || {
        let mut kept = alerts_of(bench, &tenant).await.iter().any(|(id, ..)| *id == about[2]);
        for id in &about[..2] {
            kept &= store.text(tenant.id, id).await.unwrap().is_some();
            kept &= store.sentiment(tenant.id, id).await.unwrap().is_some();
        }
        kept && store.legal_hold(tenant.id, &ana).await.unwrap().is_some()
    };

    let week = TimeDelta::days(7);
    // Events, what people were told and messages to destinations stay for days, held or not.
    bench.advance(5 * 24 * 3600);
    label(texts[1]).await;
    label(texts[2]).await;
    bench.advance(3 * 24 * 3600);
    while store.remove_old_events(tenant.id, week).await.unwrap() {}
    assert_eq!(told().await, tables(&["notice", "delivery"]));
    while store.tidy_notices(tenant.id, week).await.unwrap() {}
    assert_eq!((told().await, inbox().await), (tables(&["delivery"]), 0));
    while store.tidy_deliveries(tenant.id, week).await.unwrap() {}
    assert_eq!(told().await, BTreeSet::new());

    // A label goes when its own time is over, and not with a text that is held.
    bench.advance(3 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    let counts = ["texts", "old_labels", "labels"].map(|what| removed.of(what));
    assert_eq!(counts, [1, 1, 1], "bo's text with its label, and the first of ana's labels: {removed:?}");
    assert_eq!(labelled().await, tables(&[texts[1]]));
    bench.advance(5 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    let counts = ["texts", "old_labels", "labels"].map(|what| removed.of(what));
    assert_eq!(counts, [0, 1, 0], "{removed:?}");
    assert_eq!(labelled().await, BTreeSet::new());
    assert!(is_kept().await);
    // Who puts an end to calibration puts one to it.
    label(texts[0]).await;
    assert_eq!(store.forget_labels(&act(&tenant)).await.unwrap(), 1);

    // Of the audit log the entry that placed the hold goes as every other, and the hold stands.
    let placed = async || {
        let action =
            undertone_store::audit::Filter { action: Some("legal_hold_placed"), ..Default::default() };
        store.audit(tenant.id, &action, None, 10).await.unwrap().len()
    };
    assert_eq!(placed().await, 1);
    bench.advance(800 * 24 * 3600);
    let removed = purge(bench, &tenant, &settings).await;
    assert!(removed.of("audit_entries") > 0, "{removed:?}");
    assert_eq!(placed().await, 0);
    assert!(is_kept().await);
}
