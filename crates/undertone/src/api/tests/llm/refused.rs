//! What a provider refuses until somebody changes something: it is not asked for it again and again, however much waits.

use undertone_llm_server::{Calls, Seen};

use super::*;

impl LlmBench {
    /// The requests to this path so far.
    fn sent_to(&self, path: &str) -> Vec<Seen> {
        let requests = self.server.requests();
        requests.into_iter().filter(|seen| seen.method == "POST" && seen.path == path).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_refused_key_is_asked_with_once_however_much_waits() {
    let settings = json!({"scorer": "claude", "when_unavailable": "wait", "daily_token_cap": 0});
    let bench = LlmBench::open(settings).await;
    let refused = Failure::Error(Problem::authentication("invalid x-api-key"));
    bench.server.set(Fault::always(refused));
    bench.hand_in("ut_mine", complaints(100)).await;
    let waits = |all: &[Listed]| all.iter().all(|one| one.reason.as_deref() == Some("llm_unavailable"));
    for one in bench.until("all wait", waits).await {
        let wait = one.next_attempt_at.unwrap() - bench.store().now();
        assert!((240..=300).contains(&wait.num_seconds()), "{wait}");
        let detail = one.detail.unwrap();
        assert!(detail.starts_with("the provider does not accept the key (HTTP 401"), "{detail}");
    }
    assert_eq!(bench.server.requests().len(), 1);
    // Somebody who changes the settings wants to know whether it goes now; once, for all that waits.
    bench.set(json!({"alert_threshold": -60})).await;
    until("it is asked again", || bench.server.requests().len() >= 2).await;
    let later = |all: &[Listed]| {
        let soon = bench.store().now() + chrono::TimeDelta::seconds(30);
        all.iter().all(|one| one.next_attempt_at.is_some_and(|at| at > soon))
    };
    bench.until("all wait again", later).await;
    assert_eq!(bench.server.requests().len(), 2);
    bench.server.clear();
    bench.set(json!({"alert_threshold": -55})).await;
    bench.scored().await;
    bench.assert_adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_removed_leaves_what_waits_to_the_installations() {
    let bench = LlmBench::open(json!({"scorer": "claude", "when_unavailable": "wait"})).await;
    let script = Script::new(Arc::new(|| MachineClock.now()));
    let own = Server::start(Script { items: items::fenced(), ..script }).unwrap();
    own.set(Fault::always(Failure::Error(Problem::spend_limit())));
    let key = json!({"key": KEY, "base_url": own.url()});
    let answer = bench.call("PUT", "/api/v1/provider-keys/claude", "ut_mine", Some(&key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    bench.hand_in("ut_mine", complaints(3)).await;
    let waits = |all: &[Listed]| all.iter().all(|one| one.reason.as_deref() == Some("llm_unavailable"));
    bench.until("all wait for another month", waits).await;
    assert!(bench.server.requests().is_empty());
    let answer = bench.call("DELETE", "/api/v1/provider-keys/claude", "ut_mine", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for one in bench.scored().await {
        assert_eq!(bench.scorer_of(&one).await.0, "claude");
    }
    bench.assert_adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn tenants_that_share_a_key_share_what_is_known_of_it() {
    let bench = LlmBench::open(json!({"scorer": "claude", "when_unavailable": "wait"})).await;
    let theirs = json!({"scorer": "claude", "when_unavailable": "wait"});
    bench.call("PUT", "/api/v1/settings", "ut_theirs", Some(&theirs)).await;
    bench.server.set(Fault::always(Failure::Error(Problem::billing())));
    bench.hand_in("ut_mine", complaints(3)).await;
    let waits = |all: &[Listed]| all.iter().all(|one| one.reason.as_deref() == Some("llm_unavailable"));
    bench.until("mine wait", waits).await;
    let score = json!({"text": "Third week without an answer, I am furious about this."});
    let answer = bench.call("POST", "/api/v1/score", "ut_theirs", Some(&score)).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.text.contains("the account at the provider can not pay"), "{}", answer.text);
    assert_eq!(bench.server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_refused_batch_is_not_sent_again_at_once() {
    let llm = LlmBench::open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(24)).await;
    llm.scored().await;
    llm.server.set(Fault::always(Failure::Error(Problem::billing())).on(Calls::Batches));
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    let waits = |run: &Value| run["waiting"]["for"] == "llm_unavailable" && run["in_batches"] == 0;
    let run = llm.run_until(&id, "waits", waits).await;
    let resumes: chrono::DateTime<chrono::Utc> = run["waiting"]["until"].as_str().unwrap().parse().unwrap();
    let wait = resumes - llm.store().now();
    assert!((200..=300).contains(&wait.num_seconds()), "{wait}");
    // One went at once; the others would have gone in a batch.
    assert_eq!((&run["scored"], run["batches"].as_array().unwrap().len()), (&json!(8), 1), "{run}");
    // Changed settings have it tried again, and what is refused again rests again.
    llm.set(json!({"alert_threshold": -60})).await;
    until("a batch is sent again", || llm.sent_to("/v1/messages/batches").len() >= 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(llm.sent_to("/v1/messages/batches").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn one_request_goes_before_the_first_batch() {
    let llm = LlmBench::open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(24)).await;
    llm.scored().await;
    // A body that the provider does not take: none of it goes into a batch, where all would fail of it.
    llm.server.set(Fault::always(Failure::Error(Problem::invalid("output_config: unknown"))));
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    let run = llm.run_until(&id, "waits", |run| run["waiting"]["for"] == "llm_unavailable").await;
    assert_eq!(llm.sent_to("/v1/messages").len(), 2, "one about the texts, one about a text of our own");
    assert_eq!((&run["batches"], &run["scored"]), (&json!([]), &json!(0)), "{run}");
    assert_eq!(llm.sent_to("/v1/messages/batches").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_request_that_is_refused_for_its_shape_is_no_fault_of_the_texts() {
    let bench = LlmBench::open(json!({"scorer": "claude", "daily_token_cap": 0})).await;
    bench.server.set(Fault::always(Failure::Error(Problem::invalid("output_config: unknown field"))));
    bench.hand_in("ut_mine", complaints(20)).await;
    for one in bench.scored().await {
        assert_eq!(bench.scorer_of(&one).await.0, "local");
        assert_eq!(one.reason.as_deref(), Some("llm_unavailable"), "{one:?}");
        let detail = one.detail.unwrap();
        assert!(detail.contains("does not understand the request (HTTP 400"), "{detail}");
        assert!(detail.contains("output_config: unknown field"), "{detail}");
    }
    let told = bench.doctor().await;
    let looks = |line: &&String| line.starts_with("LOOK") && line.contains("the LLM could not be asked");
    let line = told.iter().find(looks).unwrap_or_else(|| panic!("{told:#?}"));
    assert!(
        line.contains("about 20 of the newest 20") && line.contains("output_config: unknown field"),
        "{line}"
    );

    // Who waits is asked about once somebody has changed something.
    bench.set(json!({"when_unavailable": "wait"})).await;
    let more: Vec<Value> = complaints(3)
        .enumerate()
        .map(|(n, text)| json!({"external_id": 100 + n, "text": format!("{text} Again.")}))
        .collect();
    bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!(more))).await;
    let waits = |all: &[Listed]| {
        let new = all.iter().filter(|one| one.external_id.len() == 3);
        new.clone().count() == 3 && new.clone().all(|one| one.reason.is_some() && one.state == "pending")
    };
    for one in bench.until("the new ones wait", waits).await {
        assert_ne!(one.state, "failed");
    }
    bench.server.clear();
    bench.set(json!({"alert_threshold": -60})).await;
    let all = bench.scored().await;
    assert_eq!(bench.scorer_of(all.last().unwrap()).await.0, "claude");
    bench.assert_adds_up().await;
}
