//! What changes while somebody looks: conversations that are closed and opened again, policies that are switched, people who go.

use chrono::TimeDelta;
use serde_json::{Value, json};
use undertone_core::Scope;
use undertone_core::visibility::Viewer;
use undertone_store::Act;

use super::{Bench, Planted, verdict};
use crate::visibility::{self, Eyes};

#[tokio::test]
async fn a_score_is_seen_while_its_conversation_is_closed() {
    let planted = Planted::open().await;
    planted.choose(json!("post_conversation")).await;
    let agent = planted.somebody("agent").await;
    let id = planted.ids_of("open")[0].clone();
    let score = async || agent.get(&format!("/api/v1/interactions/{id}")).await["score"].clone();
    let state = async |word: &str| {
        let body = json!({"state": word});
        let answer = agent.call("PUT", "/api/v1/conversations/talk-open", Some(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    assert_eq!(score().await, Value::Null);
    state("closed").await;
    assert_eq!(score().await, json!(-83));
    state("open").await;
    assert_eq!(score().await, Value::Null, "it is open again");
    state("closed").await;
    assert_eq!(score().await, json!(-83));
    // The customer writes again, and nobody said that this opens it.
    planted.plant("open", -83, 3).await;
    assert_eq!(score().await, Value::Null);
    let sums = agent.get("/api/v1/customers/customer-open/sentiment").await;
    assert_eq!(
        (&sums["rollup"]["avg_score"], &sums["hidden"]["reason"]),
        (&Value::Null, &json!("conversation_open"))
    );
    // A customer who writes in another's conversation is hidden with it.
    let guest = json!({"external_id": "guest", "text": "I am with them, and it is broken for me too.", "customer": "customer-closed",
        "conversation": "talk-open"});
    assert_eq!(planted.bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&guest)).await.status, 201);
    planted.record(verdict("closed", -79)).await;
    let sums = agent.get("/api/v1/customers/customer-closed/sentiment").await;
    assert_eq!(sums["rollup"]["avg_score"], Value::Null);
    let wrong = json!({"state": "shut"});
    assert_eq!(agent.call("PUT", "/api/v1/conversations/talk-open", Some(&wrong)).await.status, 422);
}

#[tokio::test]
async fn a_policy_holds_at_once_and_a_reset_does_not_open_it() {
    let planted = Planted::open().await;
    let agent = planted.somebody("agent").await;
    let id = planted.ids_of("closed")[0].clone();
    let score = async || agent.get(&format!("/api/v1/interactions/{id}")).await["score"].clone();
    assert_eq!(score().await, json!(-79));
    planted.choose(json!({"policy": "aggregate_only", "min_group": 10})).await;
    assert_eq!(score().await, Value::Null);
    let reset = planted.bench.call("DELETE", "/api/v1/settings", "ut_mine", None).await.json();
    assert_eq!(reset["settings"]["visibility"]["policy"], json!("aggregate_only"));
    assert_eq!(score().await, Value::Null, "defaults open nothing");
    planted.choose(json!("full_transparency")).await;
    assert_eq!(score().await, json!(-79));
    for wrong in [json!("everybody"), json!({"policy": "aggregate_only", "min_group": 1})] {
        let body = json!({"visibility": wrong});
        let refused = planted.bench.call("PUT", "/api/v1/settings", "ut_mine", Some(&body)).await;
        assert!(refused.status == 422 && refused.text.contains("full_transparency"), "{}", refused.text);
    }
}

#[tokio::test]
async fn only_who_appoints_people_puts_an_account_into_somebodys_care() {
    let planted = Planted::open().await;
    planted.choose(json!("supervisor_overlay")).await;
    let manager = planted.somebody("account_manager").await;
    let user = manager.viewer.user.clone().unwrap();
    let own = json!({"user": user});
    let path = "/api/v1/accounts/beta/manager";
    assert_eq!(manager.call("PUT", path, Some(&own)).await.status, 403, "nobody helps themselves");
    let id = planted.ids_of("closed")[0].clone();
    let score = async || manager.get(&format!("/api/v1/interactions/{id}")).await["score"].clone();
    assert_eq!(score().await, Value::Null);
    let admin = planted.somebody("tenant_admin").await;
    assert_eq!(admin.call("PUT", path, Some(&json!({"user": "nobody"}))).await.status, 422);
    assert_eq!(admin.call("PUT", "/api/v1/accounts/none/manager", Some(&own)).await.status, 404);
    assert_eq!(admin.call("PUT", path, Some(&own)).await.status, 200);
    assert_eq!(score().await, json!(-79));
    assert_eq!(admin.call("PUT", path, Some(&json!({"user": null}))).await.status, 200);
    assert_eq!(score().await, Value::Null);
}

#[tokio::test]
async fn somebody_who_may_not_log_in_any_more_sees_nothing() {
    let planted = Planted::open().await;
    let agent = planted.somebody("agent").await;
    let store = planted.bench.store();
    let user = agent.viewer.user.clone().unwrap();
    assert!(store.viewer(planted.bench.mine.id, &user).await.unwrap().is_some());
    assert!(
        store.viewer(planted.bench.theirs.id, &user).await.unwrap().is_none(),
        "another tenant has no such user"
    );
    let act = Act::new(planted.bench.theirs.id, "test");
    assert!(
        !store.set_account_manager(&act, "acme", None).await.unwrap(),
        "another tenant has no such account"
    );
}

#[tokio::test]
async fn who_has_no_role_sees_no_figures_of_groups_either() {
    let bench = Bench::open().await;
    let (store, mine) = (bench.store(), &bench.mine);
    let day = store.now().date_naive() - TimeDelta::days(3);
    let raw = sea_orm::Database::connect(bench.url()).await.unwrap();
    let published = format!(
        "INSERT INTO published_group (tenant_id, day, pooled, team_id, queue, customers, scored, sum_score, positive, neutral, negative, mixed) \
         VALUES ({}, '{day}', 0, '', 'billing', 50, 60, -600, 20, 20, 20, 0)",
        mine.id.0
    );
    sea_orm::ConnectionTrait::execute_unprepared(&raw, &published).await.unwrap();
    raw.close().await.unwrap();
    for policy in ["aggregate_only", "post_conversation", "supervisor_overlay"] {
        bench.set(json!({"visibility": {"policy": policy}})).await;
        let settings = store.module(mine.id).await.unwrap().settings;
        let scored = async |viewer: Viewer| {
            let eyes = Eyes::with(mine.id, &settings, viewer);
            visibility::overview(store, mine, &eyes, 30).await.unwrap().all_time.totals.scored
        };
        let reads = Viewer::of_scopes(&[Scope::Read]);
        assert_eq!((scored(reads).await, scored(Viewer::default()).await), (60, 0), "{policy}");
    }
}
