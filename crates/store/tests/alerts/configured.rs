//! Settings and destinations changed together, destinations sealed anew, and what says why nobody was told.

use serde_json::json;
use undertone_store::configure::Reconfigured;
use undertone_store::destinations::bound_to;
use undertone_store::secrets::{Keyring, MasterKey, Sealed, Secret};

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    what_is_asked_together_is_changed_together(&bench).await;
    destinations_are_sealed_anew(&bench).await;
    alerts_are_found_around_interactions(&bench).await;
}

fn new(name: &str) -> NewDestination {
    NewDestination {
        kind: DestinationKind::Webhook,
        name: name.to_owned(),
        config: DestinationConfig {
            events: Events_::all(),
            detail: Detail::Thin,
            audience: undertone_core::Role::Agent,
            options: serde_json::Map::new(),
        },
        shown_address: "https://example.com/…".to_owned(),
        secrets: ("sealed".to_owned(), "key".to_owned()),
        active: true,
    }
}

async fn what_is_asked_together_is_changed_together(bench: &Bench) {
    let tenant = bench.tenant("together").await;
    let store = &bench.store;
    let first = Reconfigured {
        settings: Some((json!({}), json!({"cooldown_minutes": 5}))),
        created: vec![new("a"), new("b")],
        ..Reconfigured::default()
    };
    let made = store.reconfigure(&act(&tenant), &first).await.unwrap();
    assert_eq!(made.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let (a, b) = (&made[0], &made[1]);

    // What is wrong in one part keeps every other from being changed.
    let seen = json!({"cooldown_minutes": 5});
    let change = |settings, changed, removed, created| Reconfigured { settings, created, changed, removed };
    let good = Some((seen.clone(), json!({"cooldown_minutes": 6})));
    for (asked, told) in [
        (change(Some((json!({}), json!({"cooldown_minutes": 6}))), vec![], vec![], vec![]), "meanwhile"),
        (change(good.clone(), vec![], vec![(b.id.clone(), 7)], vec![]), "meanwhile"),
        (change(good.clone(), vec![(a.id.clone(), 7, new("a"))], vec![], vec![]), "meanwhile"),
        (change(good.clone(), vec![("gone".to_owned(), 1, new("a"))], vec![], vec![]), "meanwhile"),
        (change(good.clone(), vec![], vec![(b.id.clone(), 1)], vec![new("a")]), "already"),
        (change(Some((seen.clone(), json!({"cooldown_minutes": -1}))), vec![], vec![], vec![]), "cooldown"),
    ] {
        let error = store.reconfigure(&act(&tenant), &asked).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(store.module(tenant.id).await.unwrap().saved, seen);
        assert_eq!(store.destinations(tenant.id).await.unwrap().len(), 2);
    }
    // A name that becomes free is there for another, and one that is gone already is no reason to refuse.
    let asked = change(
        good,
        vec![(a.id.clone(), 1, new("c"))],
        vec![(b.id.clone(), 1), ("gone".to_owned(), 1)],
        vec![new("b")],
    );
    store.reconfigure(&act(&tenant), &asked).await.unwrap();
    let names: Vec<String> =
        store.destinations(tenant.id).await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(store.module(tenant.id).await.unwrap().settings.cooldown_minutes, 6);
    // Another tenant's destination is none.
    let other = bench.tenant("together2").await;
    let asked = change(None, vec![(a.id.clone(), 2, new("c"))], vec![], vec![]);
    assert!(store.reconfigure(&act(&other), &asked).await.is_err());
}

async fn destinations_are_sealed_anew(bench: &Bench) {
    let tenant = bench.tenant("sealed-anew").await;
    let master = |digit: &str| MasterKey::from_text(&Secret::new(digit.repeat(63) + "e")).unwrap();
    let (old, young) = (master("1"), master("2"));
    let before = Keyring::new(Some(master("1")), None);
    let bound = bound_to(tenant.id, DestinationKind::Webhook);
    let sealed = before.seal_text(&bound, &Secret::new("https://example.com/hook".to_owned())).unwrap();
    let fine = NewDestination { secrets: (sealed.text, sealed.key_id), ..new("fine") };
    let fine = bench.store.create_destination(&act(&tenant), &fine).await.unwrap();
    bench.store.create_destination(&act(&tenant), &new("broken")).await.unwrap();

    assert!(bench.store.reseal_destinations(&act(&tenant), &Keyring::default()).await.is_err());
    let both = Keyring::new(Some(master("2")), Some(old));
    for (resealed, already) in [(1, 0), (0, 1)] {
        let done = bench.store.reseal_destinations(&act(&tenant), &both).await.unwrap();
        assert_eq!((done.resealed, done.already, done.unopened.len()), (resealed, already, 1));
    }
    let now = bench.store.destination(tenant.id, &fine.id).await.unwrap().unwrap();
    // Whoever read it before that does not put the old text back.
    let kept = NewDestination { secrets: (fine.secrets.clone(), fine.key_id.clone()), ..new("renamed") };
    let seen = (fine.id.as_str(), Some(fine.version));
    let late = bench.store.change_destination(&act(&tenant), seen, &kept).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    let sealed = Sealed { key_id: now.key_id, text: now.secrets };
    let opened = Keyring::new(Some(young), None).open_text("it", &bound, &sealed).unwrap();
    assert_eq!(opened.expose(), "https://example.com/hook");
}

async fn alerts_are_found_around_interactions(bench: &Bench) {
    let tenant = bench.tenant("around").await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "billing", -60)]).await;
    let all = bench.alerts(&tenant, None).await;
    let (ana, ben) = (&all[1], &all[0]);
    let of = bench.store.alerts_of(tenant.id, &[&ana.interaction_id, "nothing"]).await.unwrap();
    assert_eq!(of, std::slice::from_ref(ana));
    assert!(bench.store.alerts_of(tenant.id, &[]).await.unwrap().is_empty());
    let other = bench.tenant("around2").await;
    assert!(bench.store.alerts_of(other.id, &[&ana.interaction_id]).await.unwrap().is_empty());
    let customers = [ana.customer_id.as_deref().unwrap(), ben.customer_id.as_deref().unwrap()];
    let since = ana.raised_at;
    let found = bench.store.alerts_of_customers(tenant.id, &customers, since, 10).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        bench.store.alerts_of_customers(tenant.id, &customers[..1], since, 10).await.unwrap().len(),
        1
    );
    let later = since + TimeDelta::seconds(1);
    assert!(bench.store.alerts_of_customers(tenant.id, &customers, later, 10).await.unwrap().is_empty());
}
