//! Incidents end once, with everything that follows, and lose nothing that they held.

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, TransactionTrait};
use undertone_store::audit::Filter;

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    who_ends_an_incident_is_noted_once_with_its_end(&bench).await;
    an_alert_in_somebody_elses_hands_is_waited_for(&bench).await;
    nobody_waits_for_a_large_incident(&bench).await;
    what_nobody_is_told_of_is_not_kept(&bench).await;
    what_is_let_go_is_told_as_it_is_from_then_on(&bench).await;
}

/// An incident about `outage` that holds the alert of the last of 12 customers.
async fn outage(bench: &Bench, slug: &str) -> (Tenant, String, Alert) {
    let tenant = bench.tenant(slug).await;
    for i in 0..12 {
        bench.score(&tenant, &[(&format!("customer-{i}"), "outage", -70)]).await;
    }
    let incident = bench.store.incidents(tenant.id, None, 2).await.unwrap().remove(0);
    let mut held = bench.alerts(&tenant, Some(AlertState::Held)).await;
    assert_eq!(held.len(), 1);
    (tenant, incident.id, held.remove(0))
}

async fn who_ends_an_incident_is_noted_once_with_its_end(bench: &Bench) {
    let (tenant, incident, alert) = outage(bench, "noted").await;
    bench.score(&tenant, &[("customer-11", "outage", 60)]).await;
    let (ana, ben) = (Act::new(tenant.id, "user:ana"), Act::new(tenant.id, "user:ben"));
    let (first, second) = futures::future::join(
        bench.store.close_incident(&ana, &incident),
        bench.store.close_incident(&ben, &incident),
    )
    .await;
    let (won, lost, by) =
        if first.is_ok() { (first, second, "user:ana") } else { (second, first, "user:ben") };
    let closed = won.unwrap().unwrap();
    assert_eq!((closed.state.as_str(), closed.closed_by.as_deref()), ("closed", Some(by)));
    assert!(matches!(lost, Err(StoreError::Conflict(_))), "{lost:?}");
    let filter = Filter { action: Some("incident_closed"), ..Filter::default() };
    let noted = bench.store.audit(tenant.id, &filter, None, 10).await.unwrap();
    assert_eq!(noted.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>(), [by]);
    let (withdrawn, steps) = bench.store.alert(tenant.id, &alert.id).await.unwrap().unwrap();
    assert_eq!((withdrawn.state, withdrawn.ended_by.as_deref()), (AlertState::Withdrawn, Some(by)));
    assert_eq!((steps.len(), steps[0].step.as_str(), steps[0].made_by.as_str()), (1, "withdrawn", by));
    assert!(steps[0].detail.as_ref().unwrap().contains("the incident ended"), "{steps:?}");
    assert!(bench.store.close_incident(&ana, "nothing").await.unwrap().is_none());
}

async fn an_alert_in_somebody_elses_hands_is_waited_for(bench: &Bench) {
    let raw = Database::connect(bench.url.clone()).await.unwrap();
    // SQLite has one writer, who has it all in hand.
    if raw.get_database_backend() != DbBackend::Postgres {
        return;
    }
    let (tenant, incident, alert) = outage(bench, "in-hand").await;
    let statement = |text: String| Statement::from_string(DbBackend::Postgres, text);
    let hand = raw.begin().await.unwrap();
    hand.execute_raw(statement(format!("SELECT id FROM alert WHERE id = '{}' FOR UPDATE", alert.id)))
        .await
        .unwrap();
    let (store, of, id) = (bench.store.clone(), tenant.id, incident.clone());
    let closing =
        tokio::spawn(async move { store.close_incident(&Act::new(of, "user:ana"), &id).await.unwrap() });
    // Until it waits, or is done already.
    let waits = || statement("SELECT 1 FROM pg_locks WHERE NOT granted".to_owned());
    while !closing.is_finished() && raw.query_one_raw(waits()).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    hand.commit().await.unwrap();
    assert_eq!(closing.await.unwrap().unwrap().state, "closed");
    assert_eq!(bench.alerts(&tenant, Some(AlertState::Held)).await, [], "held for ever");
    assert_eq!(bench.count(&tenant, "alert.raised").await, 12);
}

async fn nobody_waits_for_a_large_incident(bench: &Bench) {
    const MANY: usize = 230;
    let large = bench.tenant("large").await;
    let customers: Vec<String> = (0..MANY).map(|i| format!("customer-{i:03}")).collect();
    let low: Vec<(&str, &str, i64)> = customers.iter().map(|c| (c.as_str(), "outage", -70)).collect();
    bench.score(&large, &low).await;
    let (small, ..) = outage(bench, "small").await;
    bench.advance(31);
    let state = async |tenant: &Tenant| {
        let incident = bench.store.incidents(tenant.id, None, 1).await.unwrap().remove(0);
        (incident.state, bench.alerts(tenant, Some(AlertState::Held)).await.len())
    };
    assert!(bench.store.end_incidents(large.id).await.unwrap(), "there is more");
    assert_eq!(state(&large).await, ("open".to_owned(), MANY - 200), "a slice, and the next in its turn");
    assert!(!bench.store.end_incidents(small.id).await.unwrap());
    assert_eq!(state(&small).await, ("closed".to_owned(), 0));
    assert!(!bench.store.end_incidents(large.id).await.unwrap());
    assert_eq!(state(&large).await, ("closed".to_owned(), 0));
    assert_eq!(bench.count(&large, "alert.raised").await, MANY);
    let closed = Following { kinds: Some(&[EventKind::IncidentClosed]), most: 10 };
    let told = bench.store.events_after(large.id, 0, &closed).await.unwrap().0.remove(0).payload;
    assert_eq!((&told["still_low"], &told["no_longer_low"]), (&json!(MANY), &json!(0)), "of all slices");
    // Of several that are over each has its turn.
    let several = bench.tenant("several").await;
    for category in ["outage", "billing"] {
        let low: Vec<(&str, &str, i64)> =
            customers[..12].iter().map(|c| (c.as_str(), category, -70)).collect();
        bench.score(&several, &low).await;
        bench.advance(1);
    }
    bench.advance(31);
    assert!(bench.store.end_incidents(several.id).await.unwrap());
    assert!(!bench.store.end_incidents(several.id).await.unwrap());
    let incidents = bench.store.incidents(several.id, None, 5).await.unwrap();
    assert!(
        incidents.len() == 2 && incidents.iter().all(|incident| incident.state == "closed"),
        "{incidents:?}"
    );
}

async fn what_nobody_is_told_of_is_not_kept(bench: &Bench) {
    let tenant = bench.tenant("silent").await;
    let off = json!({"emit_workflow_events": false, "dispatch_webhooks": false});
    bench.store.change_settings(&act(&tenant), &off).await.unwrap();
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    bench.store.move_alert(&act(&tenant), (&alert.id, None), Move::Acknowledge).await.unwrap();
    bench.store.move_alert(&act(&tenant), (&alert.id, None), Move::Resolve(None)).await.unwrap();
    let raw = Database::connect(bench.url.clone()).await.unwrap();
    let text =
        format!("SELECT event FROM outbox WHERE tenant_id = {} AND subject_id = '{}'", tenant.id.0, alert.id);
    let rows = raw.query_all_raw(Statement::from_string(raw.get_database_backend(), text)).await.unwrap();
    let kept: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    assert_eq!(kept, ["alert.raised"], "what people hear of");
}

async fn what_is_let_go_is_told_as_it_is_from_then_on(bench: &Bench) {
    let (tenant, incident, held) = outage(bench, "from-then-on").await;
    bench.advance(45);
    bench.store.close_incident(&act(&tenant), &incident).await.unwrap().unwrap();
    let (open, _) = bench.store.alert(tenant.id, &held.id).await.unwrap().unwrap();
    assert_eq!(open.due_at, held.due_at + TimeDelta::minutes(45));
    bench.events(&tenant).await;
    let raised = Following { kinds: Some(&[EventKind::AlertRaised]), most: 20 };
    let (told, _) = bench.store.events_after(tenant.id, 0, &raised).await.unwrap();
    let told = told.iter().find(|one| one.payload["alert_id"] == json!(held.id)).unwrap();
    assert_eq!((&told.payload["state"], &told.payload["due_at"]), (&json!("open"), &json!(open.due_at)));
}
