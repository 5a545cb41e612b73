//! What is put off while somebody changes what it waits for.

use chrono::TimeDelta;
use serde_json::json;
use undertone_core::SkipReason;
use undertone_store::queue::Claimed;
use undertone_store::record::{Finished, Outcome};
use undertone_store::secrets::{Credentials, Keyring, MasterKey, Provider, Secret};

use super::{Bench, act, item};

/// Puts off what is held for five minutes, for the reason given.
async fn put_off(bench: &Bench, tenant: &undertone_store::Tenant, held: Vec<Claimed>, reason: SkipReason) {
    let until = bench.store.now() + TimeDelta::minutes(5);
    let outcome = Outcome::Deferred { reason, detail: None, until };
    let finished: Vec<Finished> =
        held.into_iter().map(|claimed| Finished { claimed, outcome: outcome.clone() }).collect();
    assert_eq!(bench.store.record(tenant.id, "w", &finished).await.unwrap().deferred, 1);
}

pub async fn what_is_put_off_while_its_reason_passes_is_due_at_once(bench: &Bench) {
    let (tenant, store) = (bench.tenant("basis").await, &bench.store);
    store.accept(tenant.id, &[item("1", "ana", "It broke again")]).await.unwrap();
    let read = async || {
        let module = store.module(tenant.id).await.unwrap();
        store.basis(tenant.id, &module).await.unwrap()
    };

    // Nothing changes: it stays put off.
    let (seen, held) = (read().await, bench.claim(&tenant, "w").await);
    put_off(bench, &tenant, held, SkipReason::DailyTokenCap).await;
    assert!(!store.hasten_if_changed(tenant.id, &seen).await.unwrap());
    assert_eq!(store.due(tenant.id, 9).await.unwrap(), 0);
    bench.advance(301);

    // The cap is raised while it is held, so that whoever raises it finds nothing that waits.
    let (seen, held) = (read().await, bench.claim(&tenant, "w").await);
    store.change_settings(&act(&tenant), &json!({"daily_token_cap": 0})).await.unwrap();
    put_off(bench, &tenant, held, SkipReason::DailyTokenCap).await;
    assert_eq!(store.due(tenant.id, 9).await.unwrap(), 0);
    assert!(store.hasten_if_changed(tenant.id, &seen).await.unwrap());
    assert_eq!(store.due(tenant.id, 9).await.unwrap(), 1);

    // A key is set, and another in its place.
    let master = MasterKey::from_text(&Secret::new("5".repeat(63) + "e")).unwrap();
    let keyring = Keyring::new(Some(master), None);
    for _ in 0..2 {
        let (seen, held) = (read().await, bench.claim(&tenant, "w").await);
        let key = Secret::new("some-provider-key-0123".to_owned());
        let key = Credentials::new(Provider::Claude, &key, None).unwrap();
        store.save_provider_key(&act(&tenant), &keyring, &key).await.unwrap();
        put_off(bench, &tenant, held, SkipReason::NoKey).await;
        assert!(store.hasten_if_changed(tenant.id, &seen).await.unwrap());
        assert_eq!(store.due(tenant.id, 9).await.unwrap(), 1);
    }

    // The key is removed, so that the installation's is asked with; or a process starts, to which another one may have been given.
    for removes in [true, false] {
        let held = bench.claim(&tenant, "w").await;
        put_off(bench, &tenant, held, SkipReason::LlmUnavailable).await;
        assert_eq!(store.due(tenant.id, 9).await.unwrap(), 0);
        if removes {
            assert!(store.remove_provider_key(&act(&tenant), Provider::Claude).await.unwrap());
        } else {
            store.hasten_all().await.unwrap();
        }
        assert_eq!(store.due(tenant.id, 9).await.unwrap(), 1, "{removes}");
    }

    // Another tenant's change is none.
    let other = bench.tenant("basis2").await;
    let (seen, held) = (read().await, bench.claim(&tenant, "w").await);
    store.change_settings(&act(&other), &json!({"daily_token_cap": 0})).await.unwrap();
    put_off(bench, &tenant, held, SkipReason::NoKey).await;
    assert!(!store.hasten_if_changed(tenant.id, &seen).await.unwrap());
}
