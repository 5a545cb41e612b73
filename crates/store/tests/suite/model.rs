//! The model that a tenant's LLMs are asked for: the module's, else the tenant's default.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde_json::json;
use undertone_core::SkipReason;
use undertone_store::StoreError;
use undertone_store::record::{Finished, Outcome};

use super::{Bench, act, item};

pub async fn a_tenants_default_holds_where_the_module_has_none(bench: &Bench) {
    let (tenant, other, store) = (bench.tenant("model1").await, bench.tenant("model2").await, &bench.store);
    // What is asked for, what was chosen for the module, and the default.
    let models = async || {
        let module = store.module(tenant.id).await.unwrap();
        (module.settings.model, module.chosen_model, module.default_model)
    };
    let some = |model: &str| Some(model.to_owned());
    assert_eq!(models().await, (None, None, None));

    // Something waits for a model: the default makes it due.
    store.accept(tenant.id, &[item("1", "ana", "It broke again")]).await.unwrap();
    let until = store.now() + TimeDelta::minutes(5);
    let outcome = Outcome::Deferred { reason: SkipReason::NoKey, detail: None, until };
    let held = bench.claim(&tenant, "w").await;
    let finished: Vec<Finished> =
        held.into_iter().map(|claimed| Finished { claimed, outcome: outcome.clone() }).collect();
    store.record(tenant.id, "w", &finished).await.unwrap();
    assert_eq!(store.due(tenant.id, 9).await.unwrap(), 0);
    let seen = store.basis(tenant.id, &store.module(tenant.id).await.unwrap()).await.unwrap();
    store.set_default_model(&act(&tenant), Some(" sonnet ")).await.unwrap();
    assert_eq!(models().await, (some("sonnet"), None, some("sonnet")));
    assert_eq!(store.due(tenant.id, 9).await.unwrap(), 1);
    assert!(store.hasten_if_changed(tenant.id, &seen).await.unwrap());

    let saved = store.change_settings(&act(&tenant), &json!({"model": "opus"})).await.unwrap();
    assert_eq!(saved.model, some("opus"));
    assert_eq!(models().await, (some("opus"), some("opus"), some("sonnet")));
    store.set_default_model(&act(&tenant), Some("haiku")).await.unwrap();
    assert_eq!(models().await, (some("opus"), some("opus"), some("haiku")));
    // Neither a setting put back nor all of them touch the default.
    let saved = store.change_settings(&act(&tenant), &json!({"model": null})).await.unwrap();
    assert_eq!(saved.model, None);
    assert_eq!(models().await, (some("haiku"), None, some("haiku")));
    store.change_settings(&act(&tenant), &json!({"model": "opus"})).await.unwrap();
    assert_eq!(store.reset_settings(&act(&tenant)).await.unwrap().model, None);
    assert_eq!(models().await, (some("haiku"), None, some("haiku")));
    assert_eq!(store.module(other.id).await.unwrap().settings.model, None, "the other tenant has none");

    // One that nobody can read, as an earlier version may have saved it, is no choice of the module's.
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let saved = json!({"sentiment_analysis": {"model": "x".repeat(201)}});
    let unread = format!("UPDATE tenant_modules SET settings = '{saved}' WHERE tenant_id = {}", tenant.id.0);
    raw.execute_unprepared(&unread).await.unwrap();
    assert_eq!(models().await, (some("haiku"), None, some("haiku")));
    store.reset_settings(&act(&tenant)).await.unwrap();

    store.set_default_model(&act(&tenant), None).await.unwrap();
    store.set_default_model(&act(&tenant), None).await.unwrap();
    assert_eq!(models().await, (None, None, None));
    for wrong in [String::new(), " ".to_owned(), "a\nb".to_owned(), "x".repeat(201)] {
        let refused = store.set_default_model(&act(&tenant), Some(&wrong)).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{wrong}: {refused:?}");
    }
    let changes = undertone_store::audit::Filter { action: Some("tenant_model"), ..Default::default() };
    let entries = store.audit(tenant.id, &changes, None, 9).await.unwrap();
    let payload = |entry: &undertone_store::audit::Entry| -> serde_json::Value {
        serde_json::from_str(entry.payload.as_deref().unwrap()).unwrap()
    };
    let told: Vec<_> = entries.iter().rev().map(payload).collect();
    assert_eq!(
        told,
        [
            json!({"before": null, "after": "sonnet"}),
            json!({"before": "sonnet", "after": "haiku"}),
            json!({"before": "haiku", "after": null}),
        ]
    );
}
