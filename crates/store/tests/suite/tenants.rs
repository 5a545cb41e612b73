//! Tenants, their module, settings and keys; and that nothing crosses from one to another.

use super::*;

pub(crate) async fn migrations_are_taken_once_by_many_at_a_time(bench: &Bench) {
    let all = [
        "0001_initial",
        "0002_lessons",
        "0003_provider_keys",
        "0004_budget",
        "0005_usage",
        "0006_told",
        "0007_backfill",
        "0008_cascade",
        "0009_users",
        "0010_review",
        "0011_audit",
        "0012_privacy",
        "0013_visibility",
        "0014_agents",
        "0015_delivery",
        "0016_alerts",
        "0017_notices",
        "0018_suspicious",
        "0019_surge",
        "0020_outside",
        "0021_letter",
        "0022_reasons",
        "0023_assigned",
        "0024_numbers",
        "0025_incidents",
        "0026_failing",
        "0027_model",
        "0028_heard",
        "0029_whose",
        "0030_guests",
        "0031_signing_in",
        "0032_usual",
        "0033_runs",
        "0034_indexes",
    ];
    assert_eq!(bench.store.pending_migrations().await.unwrap(), all);
    let others = futures_of(4, async |_| {
        let options = Options { url: bench.url.clone(), connections: 2 };
        let store = Store::open(&options, bench.clock.clone(), bench.ids.clone()).await.unwrap();
        store.migrate().await.unwrap().len()
    })
    .await;
    assert_eq!(others.iter().sum::<usize>(), all.len());
    assert!(bench.store.pending_migrations().await.unwrap().is_empty());
    bench.store.ping().await.unwrap();
}

pub(crate) async fn tenants_have_names_of_their_own(bench: &Bench) {
    let tenant = bench.tenant("acme").await;
    let again = NewTenant { slug: "acme", name: "x", zone: Tz::UTC, actor: "test" };
    assert!(matches!(bench.store.create_tenant(&again).await, Err(StoreError::Conflict(_))));
    for slug in ["", "Acme", "1acme", "a b", &"a".repeat(41)] {
        let wrong = NewTenant { slug, ..again.clone() };
        assert!(matches!(bench.store.create_tenant(&wrong).await, Err(StoreError::Invalid(_))), "{slug}");
    }
    assert_eq!(bench.store.tenant_by_slug("acme").await.unwrap(), Some(tenant.clone()));
    assert_eq!(bench.store.tenant(tenant.id).await.unwrap(), Some(tenant.clone()));
    assert!(bench.store.tenants().await.unwrap().contains(&tenant));
}

pub(crate) async fn the_module_has_a_ledger(bench: &Bench) {
    let tenant = bench.tenant("ledger").await;
    assert!(bench.store.module(tenant.id).await.unwrap().active);
    assert!(!bench.store.set_module_active(&act(&tenant), true).await.unwrap());
    bench.advance(60);
    assert!(bench.store.set_module_active(&act(&tenant), false).await.unwrap());
    bench.advance(60);
    assert!(bench.store.set_module_active(&act(&tenant), true).await.unwrap());
    let periods = bench.store.module_periods(tenant.id).await.unwrap();
    assert_eq!(periods.len(), 2);
    assert!(periods[0].deactivated_at.is_none() && periods[1].deactivated_at.is_some());
    assert_eq!(periods[0].monthly_price_cents, 9999);
}

pub(crate) async fn settings_are_changed_whole_or_not(bench: &Bench) {
    let tenant = bench.tenant("settings").await;
    let changed =
        bench.store.change_settings(&act(&tenant), &json!({"alert_threshold": -40, "model": "x"})).await;
    assert_eq!(changed.unwrap().alert_threshold, -40);
    let wrong = json!({"alert_threshold": -101, "enabled": false, "nope": 1});
    let Err(StoreError::Invalid(told)) = bench.store.change_settings(&act(&tenant), &wrong).await else {
        panic!("it must be refused")
    };
    assert_eq!(told.lines().count(), 2, "{told}");
    let settings = bench.store.module(tenant.id).await.unwrap().settings;
    assert!(settings.enabled && settings.alert_threshold == -40);
    let back = bench.store.change_settings(&act(&tenant), &json!({"alert_threshold": null})).await.unwrap();
    assert_eq!((back.alert_threshold, back.model.as_deref()), (-50, Some("x")));
    assert_eq!(bench.store.reset_settings(&act(&tenant)).await.unwrap().model, None);
    assert_eq!(bench.store.module(tenant.id).await.unwrap().saved, json!({}));
    assert!(bench.store.module(tenant.id).await.unwrap().active);
}

pub(crate) async fn keys_open_their_tenant_until_they_end(bench: &Bench) {
    let tenant = bench.tenant("keys").await;
    let id = bench.store.create_key(&act(&tenant), "crm", &["ingest", "read"], "ut_secret").await.unwrap();
    let key = bench.store.key("ut_secret").await.unwrap().unwrap();
    assert_eq!(
        (key.tenant, key.scopes.as_slice()),
        (tenant.id, &["ingest".to_owned(), "read".to_owned()][..])
    );
    assert_eq!(bench.store.key("ut_other").await.unwrap(), None);
    let listed = bench.store.keys(tenant.id).await.unwrap();
    assert!(listed[0].last_used_at.is_some());
    let other = bench.tenant("keys2").await;
    assert!(!bench.store.revoke_key(&act(&other), &id).await.unwrap());
    assert!(bench.store.revoke_key(&act(&tenant), &id).await.unwrap());
    assert_eq!(bench.store.key("ut_secret").await.unwrap(), None);
}

pub(crate) async fn nothing_crosses_a_tenant(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("mine").await, bench.tenant("theirs").await);
    let id = bench.store.accept(theirs.id, &[item("1", "ana", "-60")]).await.unwrap()[0].id().to_owned();
    bench.score_all(&theirs, |text| text.parse().unwrap()).await;
    let ana = bench.store.customer(theirs.id, "ana").await.unwrap().unwrap();
    let store = &bench.store;
    assert!(store.interaction(mine.id, &id).await.unwrap().is_none());
    assert!(store.text(mine.id, &id).await.unwrap().is_none());
    assert!(store.sentiment(mine.id, &id).await.unwrap().is_none());
    assert!(store.revisions(mine.id, &id).await.unwrap().is_empty());
    assert!(store.customer(mine.id, &ana.id).await.unwrap().is_none());
    assert!(store.customer(mine.id, "ana").await.unwrap().is_none());
    assert_eq!(store.customer_sentiment(mine.id, &ana.id).await.unwrap().totals.scored, 0);
    assert!(store.escalations(mine.id, TimeDelta::hours(24), 10).await.unwrap().is_empty());
    assert!(
        store.interactions(mine.id, &Filter { limit: 10, ..Filter::default() }).await.unwrap().is_empty()
    );
    assert!(store.latest(mine.id, 10).await.unwrap().is_empty());
    assert_eq!(store.overview(&mine, 30).await.unwrap().all_time.totals.scored, 0);
    assert!(!store.set_opted_out(&act(&mine), &ana.id, true).await.unwrap());
    // The same ids in both worlds are different things.
    let same = store.accept(mine.id, &[item("1", "ana", "other")]).await.unwrap();
    assert!(matches!(same[0], Accepted::Created { .. }) && same[0].id() != id);
}

pub(crate) async fn many_tenants_with_work(bench: &Bench) {
    let (a, b) = (bench.tenant("work-a").await, bench.tenant("work-b").await);
    for tenant in [&a, &b] {
        bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap();
    }
    let due = bench.store.tenants_with_work().await.unwrap();
    assert!(due.contains(&a.id) && due.contains(&b.id));
}
