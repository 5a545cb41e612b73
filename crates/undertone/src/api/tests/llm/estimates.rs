//! What a run is expected to take, where nothing was measured yet.

use super::cascade::{CROSS, GERMAN, GRATEFUL};
use super::*;

impl LlmBench {
    async fn estimate(&self, asked: Value) -> Value {
        let answer = self.call("POST", "/api/v1/backfills", "ut_mine", Some(&asked)).await;
        assert!(answer.status < 300, "{}", answer.text);
        answer.json()["estimate"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cascade_only_what_it_would_ask_about_is_expected() {
    let bench = LlmBench::open(json!({"daily_token_cap": 0})).await;
    bench.hand_in("ut_mine", [GRATEFUL, CROSS].map(str::to_owned)).await;
    bench.scored().await;
    let german = json!({"external_id": 2, "text": GERMAN});
    bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&german)).await;
    bench.until("skipped", |all| all[2].state == "skipped").await;
    let at = async |threshold: u8| {
        bench.set(json!({"cascade_threshold": threshold})).await;
        let estimate = bench.estimate(json!({"mode": "refresh", "scorer": "cascade"})).await;
        assert_eq!((&estimate["rows"], &estimate["basis"]), (&json!(2), &json!("guessed")), "{estimate}");
        ["expected", "most"].map(|of| estimate["tokens"][of].as_u64().unwrap())
    };
    // All three at the highest threshold; at 60 only the one in a language that the embedded model does not read.
    let ([all, most], [some, still]) = (at(100).await, at(60).await);
    assert!(all > 0 && (3 * some).abs_diff(all) <= 3, "{some} of {all}");
    assert_eq!(still, most, "the most is still that it asks about each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rubric_that_is_not_kept_and_the_first_request_of_batches_are_told_of() {
    let bench = LlmBench::open(json!({"daily_token_cap": 0})).await;
    bench.hand_in("ut_mine", complaints(24)).await;
    bench.scored().await;
    let cost = async |asked: Value| {
        let estimate = bench.estimate(asked).await;
        assert_eq!((&estimate["rows"], &estimate["remark"]), (&json!(24), &Value::Null), "{estimate}");
        ["expected", "most"].map(|of| estimate["cost_micros"][of].as_u64().unwrap())
    };
    let full = cost(json!({"mode": "refresh", "scorer": "claude"})).await;
    let batches = cost(json!({"mode": "refresh", "via_batches": true})).await;
    // Of three requests one goes at once at the full price, and two at half of it.
    for (full, batches) in full.into_iter().zip(batches) {
        assert!(full > 0 && (2 * full).abs_diff(3 * batches) <= 6, "{batches} of {full}");
    }
    bench.set(json!({"model": "claude-haiku-4-5"})).await;
    let told = bench.estimate(json!({"mode": "refresh", "scorer": "claude"})).await;
    let remark = told["remark"].as_str().unwrap();
    assert!(remark.starts_with("claude-haiku-4-5 keeps prompts from 4,096 tokens on"), "{remark}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_measured_is_told_at_the_price_of_whoever_is_asked_now() {
    let half = chrono::TimeDelta::milliseconds(500);
    let pace = undertone_llm_server::Pace { takes: half, ..Default::default() };
    let script = Script { batches: pace, ..Script::new(Arc::new(|| MachineClock.now())) };
    let bench = LlmBench::with(script, json!({"daily_token_cap": 0})).await;
    bench.hand_in("ut_mine", complaints(24)).await;
    bench.scored().await;
    // Most of it goes through batches, at half the price.
    let id = bench.start(json!({"mode": "refresh", "via_batches": true, "sleep_ms": 0})).await;
    bench.ended(&id).await;
    let took = bench.total().await;
    assert!(took.saved.batch_micros > 0 && took.texts == 24, "{took:?}");
    let cost = async |asked: Value| {
        let estimate = bench.estimate(asked).await;
        assert_eq!((&estimate["rows"], &estimate["basis"]), (&json!(24), &json!("measured")), "{estimate}");
        estimate["cost_micros"]["expected"].as_u64().unwrap()
    };
    let near = |is: u64, wanted: u64| is > 0 && is.abs_diff(wanted) * 50 <= wanted;
    let full = cost(json!({"mode": "refresh", "scorer": "claude"})).await;
    assert!(near(full, took.cost_micros + took.saved.batch_micros), "{full}, and it took {took:?}");
    let batches = cost(json!({"mode": "refresh", "via_batches": true})).await;
    assert!(near(3 * batches, 2 * full), "one of three requests goes at once: {batches} of {full}");
    // Another model is dearer by forty times, and by twenty for what is read from the cache.
    bench.set(json!({"model": "claude-opus-5-5"})).await;
    let dear = cost(json!({"mode": "refresh", "scorer": "claude"})).await;
    assert!((20 * full..=41 * full).contains(&dear), "{dear} against {full}");
}
