//! What becomes of texts that an LLM can not be asked about: no connection, no money, no key.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_llm_the_embedded_model_scores_and_says_so() {
    let bench = LlmBench::open(json!({"scorer": "claude"})).await;
    bench.server.unplug().unwrap();
    bench.hand_in("ut_mine", complaints(3)).await;
    for one in bench.scored().await {
        assert_eq!(one.reason.as_deref(), Some("llm_unavailable"), "{one:?}");
        let detail = one.detail.as_deref().unwrap();
        assert!(
            detail.starts_with("the LLM could not be asked: the provider can not be reached"),
            "{detail}"
        );
        assert_eq!(bench.scorer_of(&one).await.0, "local");
    }
    let shown = bench.get("/api/v1/interactions?external_id=0").await["items"][0].clone();
    assert_eq!(
        (&shown["state"], &shown["explanation"]),
        (&json!("scored"), &json!("the LLM did not answer"))
    );
    let latest = bench.get("/api/v1/overview").await["latest"][0].clone();
    assert_eq!(
        (&latest["scorer"], &latest["read_instead"]),
        (&json!("local"), &json!("llm_unavailable")),
        "{latest}"
    );
    bench.assert_adds_up().await;
    assert_eq!(bench.total().await, Sums::default());
    // Without it, what the embedded model does not read stays unscored, with both reasons.
    let finnish = "Tämä on jo kolmas kerta kun kirjoitan teille eikä kukaan vastaa minulle mitään";
    bench
        .call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"external_id": 7, "text": finnish})))
        .await;
    let all = bench.until("skipped", |all| all.iter().any(|one| one.state == "skipped")).await;
    let one = all.last().unwrap();
    assert_eq!(one.reason.as_deref(), Some("language_not_validated"));
    assert!(one.detail.as_deref().unwrap().contains("“fi”; the LLM could not be asked: "), "{one:?}");
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn whoever_waits_for_the_llm_is_scored_by_it() {
    let bench = LlmBench::open(json!({"scorer": "claude", "when_unavailable": "wait"})).await;
    bench.server.unplug().unwrap();
    bench.hand_in("ut_mine", complaints(3)).await;
    let waiting = bench
        .until("waiting", |all| all.iter().all(|one| one.reason.as_deref() == Some("llm_unavailable")))
        .await;
    for one in waiting {
        assert_eq!((&*one.state, one.attempts), ("pending", 0), "waiting is no attempt");
        let wait = one.next_attempt_at.unwrap() - bench.store().now();
        assert!((1..=120).contains(&wait.num_seconds()), "{wait}");
        assert!(one.detail.as_deref().unwrap().starts_with("the provider can not be reached"), "{one:?}");
    }
    bench.server.plug_in().unwrap();
    // Any change of the settings has it looked at at once.
    bench.set(json!({"alert_threshold": -60})).await;
    for one in bench.scored().await {
        assert_eq!((bench.scorer_of(&one).await.0, one.detail), ("claude".to_owned(), None));
    }
    bench.assert_adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_would_rather_have_none_has_the_reason() {
    let bench = LlmBench::open(json!({"scorer": "claude", "when_unavailable": "skip"})).await;
    bench.server.unplug().unwrap();
    bench.hand_in("ut_mine", complaints(2)).await;
    for one in bench.until("skipped", |all| all.iter().all(|one| one.state == "skipped")).await {
        assert_eq!(one.reason.as_deref(), Some("llm_unavailable"));
        assert!(one.detail.as_deref().unwrap().starts_with("the provider can not be reached"), "{one:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_cap_stops_the_llm_and_a_raised_one_lets_it_go_on_at_once() {
    let settings =
        json!({"scorer": "claude", "when_unavailable": "wait", "daily_token_cap": 1000, "llm_together": 2});
    let bench = LlmBench::open(settings).await;
    bench.hand_in("ut_mine", complaints(6)).await;
    let stopped = |all: &[Listed]| all.iter().all(|one| one.reason.as_deref() == Some("daily_token_cap"));
    for one in bench.until("stopped by the cap", stopped).await {
        assert!(
            one.detail.as_deref().unwrap().contains("more than the whole daily token cap of 1000"),
            "{one:?}"
        );
    }
    assert!(bench.server.requests().is_empty(), "nothing is sent that may exceed the cap");

    // A cap under which some fit: the others wait for the tenant's midnight, or for a higher one.
    bench.set(json!({"daily_token_cap": 30_000})).await;
    let some = |all: &[Listed]| {
        let waits = |one: &&Listed| one.detail.as_deref().is_some_and(|d| d.contains("free again at"));
        all.iter().any(|one| one.state == "scored") && all.iter().filter(waits).count() > 0
    };
    bench.set(json!({"daily_token_cap": 21_000})).await;
    let all = bench.until("some are scored and some wait for midnight", some).await;
    for one in all.iter().filter(|one| one.state == "pending" && one.reason.is_some()) {
        let wait = one.next_attempt_at.unwrap() - bench.store().now();
        assert!(wait.num_seconds() <= 300, "{wait}");
    }
    let spent = bench.store().budget(&bench.mine).await.unwrap().day.used().tokens;
    assert!(spent <= 21_000, "{spent}");

    let raised = Instant::now();
    bench.set(json!({"daily_token_cap": 0})).await;
    for one in bench.scored().await {
        assert_eq!(bench.scorer_of(&one).await.0, "claude");
    }
    assert!(raised.elapsed() < Duration::from_secs(5), "{:?}", raised.elapsed());
    bench.assert_adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_change_while_the_llm_is_asked_is_not_missed() {
    let settings = json!({"scorer": "claude", "when_unavailable": "wait", "llm_together": 1});
    let bench = LlmBench::open(settings).await;
    // Of two texts that are asked about together, one is told to wait for an hour, and the answer about the other takes a while.
    let faults = || {
        let hour = Problem::overloaded().with_header("retry-after", "3600");
        bench.server.set(Fault::next(1, Failure::Error(hour)));
        bench.server.add(Fault::next(1, Failure::Hold));
        bench.server.requests().len() + 2
    };
    let change_meanwhile = async |asked: usize, threshold: i64| {
        while bench.server.requests().len() < asked || bench.server.in_flight() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.set(json!({"alert_threshold": threshold})).await;
        bench.server.release();
    };
    let asked = faults();
    bench.hand_in("ut_mine", complaints(2)).await;
    change_meanwhile(asked, -60).await;
    bench.scored().await;
    assert_eq!(bench.server.requests().len(), asked + 1, "the one is asked about once more");

    // Of a run the same holds.
    let asked = faults();
    let id = bench.start(json!({"mode": "refresh"})).await;
    change_meanwhile(asked, -70).await;
    assert_eq!(bench.ended(&id).await["scored"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_set_is_used_at_once() {
    let bench = LlmBench::open(json!({})).await;
    let none = Bench::open().await;
    none.call(
        "PUT",
        "/api/v1/settings",
        "ut_mine",
        Some(&json!({"scorer": "claude", "when_unavailable": "wait"})),
    )
    .await;
    let item = json!({"external_id": 1, "text": "Third week without an answer, I am furious about this."});
    none.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
    let waits = async |reason: &str| {
        for _ in 0..500 {
            let one = none.get("/api/v1/interactions?external_id=1").await["items"][0].clone();
            if one["reason"] == reason || one["state"] == reason {
                return one;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not {reason} within ten seconds");
    };
    let one = waits("no_key").await;
    assert!(one["detail"].as_str().unwrap().contains("there is no key for claude"), "{one}");
    let key = json!({"key": KEY, "base_url": bench.server.url()});
    let answer = none.call("PUT", "/api/v1/provider-keys/claude", "ut_mine", Some(&key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let one = waits("scored").await;
    assert_eq!(one["reason"], Value::Null);
    assert_eq!(bench.server.ledger().billed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_gateway_leave_most_of_the_days_cap() {
    let bench =
        LlmBench::open(json!({"scorer": "claude", "when_unavailable": "wait", "daily_token_cap": 100_000}))
            .await;
    bench.server.set(Fault::always(Failure::Gateway(503)).on(undertone_llm_server::Calls::All));
    bench.hand_in("ut_mine", complaints(12)).await;
    let waits = |all: &[Listed]| all.iter().all(|one| one.reason.as_deref() == Some("llm_unavailable"));
    bench.until("all wait", waits).await;
    bench.server.clear();
    let day = bench.store().budget(&bench.mine).await.unwrap().day;
    let gone = day.used().tokens + day.held.tokens;
    assert!((1..40_000).contains(&gone), "{gone}");
    // Whoever changes something has it looked at before it is due.
    bench.set(json!({"alert_threshold": -60})).await;
    for one in bench.scored().await {
        assert_eq!(bench.scorer_of(&one).await.0, "claude");
    }
}
