//! The addresses of the module guide.

use serde_json::{Value, json};

use super::Bench;

#[tokio::test]
async fn the_module_guides_addresses_answer_as_it_says() {
    let bench = Bench::open().await;
    let logged = bench
        .call(
            "POST",
            "/crm/api/log-interaction.php",
            "ut_mine",
            Some(&json!({
                "interaction_id": 991, "customer_id": 123, "customer_name": "Ana", "channel": "phone",
                "notes": "Customer called again, furious that the refund has still not arrived.",
            })),
        )
        .await;
    assert_eq!(logged.status, 200, "{}", logged.text);
    assert_eq!((&logged.json()["ok"], &logged.json()["interaction_id"]), (&json!(true), &json!(991)));
    bench.settled(&bench.mine).await;
    let rollup = bench.get("/crm/api/sentiment.php?action=customer_rollup&customer_id=123").await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&rollup), ["ok", "rollup", "last"]);
    assert_eq!(
        keys(&rollup["rollup"]),
        [
            "total_scored",
            "avg_score",
            "count_positive",
            "count_negative",
            "count_neutral",
            "count_mixed",
            "first_scored_at",
            "last_scored_at"
        ]
    );
    assert_eq!(keys(&rollup["last"]), ["score", "label", "created_at"]);
    let at = rollup["last"]["created_at"].as_str().unwrap();
    assert!(chrono::NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S").is_ok(), "{at}");
    let nobody = bench.get("/crm/api/sentiment.php?action=customer_rollup&customer_id=9").await;
    assert_eq!((&nobody["rollup"]["total_scored"], &nobody["last"]), (&json!(0), &Value::Null));
    let queue = bench.get("/crm/api/sentiment.php?action=escalation_queue&hours=24").await;
    assert_eq!(
        (&queue["items"][0]["interaction_id"], &queue["items"][0]["customer_id"]),
        (&json!(991), &json!(123))
    );

    let settings = bench.get("/tenant-admin/api/sentiment-settings.php?action=get").await;
    assert_eq!(settings["settings"]["alert_threshold"], -50);
    let saved = bench
        .post(
            "/tenant-admin/api/sentiment-settings.php?action=save",
            "application/x-www-form-urlencoded",
            "alert_threshold=-30&enabled=1&channels[]=web&channels[]=chat",
        )
        .await;
    assert_eq!(
        (&saved.json()["settings"]["alert_threshold"], &saved.json()["settings"]["channels"]),
        (&json!(-30), &json!(["web", "chat"]))
    );
    let unknown = bench
        .call(
            "POST",
            "/tenant-admin/api/sentiment-settings.php?action=save",
            "ut_mine",
            Some(&json!({"treshold": 1})),
        )
        .await;
    assert_eq!((unknown.status, &unknown.json()["ok"]), (422, &json!(false)));
    let reset = bench
        .call(
            "POST",
            "/tenant-admin/api/sentiment-settings.php",
            "ut_mine",
            Some(&json!({"action": "reset"})),
        )
        .await;
    assert_eq!(reset.json()["settings"]["alert_threshold"], -50);
    let alias = bench
        .call(
            "POST",
            "/api/v2/interactions",
            "ut_mine",
            Some(&json!({"text": "From the other app, all fine."})),
        )
        .await;
    assert_eq!(alias.status, 201);
}
