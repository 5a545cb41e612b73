//! Batches that ask an LLM run beside the workers, and go back when the service ends.

use super::*;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_slow_llm_holds_nobody_up() {
    let bench = LlmBench::open(json!({"scorer": "claude", "daily_token_cap": 0})).await;
    bench.server.set(Fault::always(Failure::Hold));
    let begun = Instant::now();
    bench.hand_in("ut_mine", complaints(400)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "intake waits for no LLM: {:?}", begun.elapsed());
    for _ in 0..500 {
        if bench.server.in_flight() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One worker, and it is not the LLM's.
    bench.hand_in("ut_theirs", complaints(40)).await;
    bench.settled(&bench.theirs).await;
    assert!(bench.all().await.iter().all(|one| one.state == "pending"), "the LLM has not answered yet");
    assert!((1..=64).contains(&bench.server.in_flight()), "{}", bench.server.in_flight());
    // Nobody else takes what is held, however long it takes.
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert!(bench.all().await.iter().all(|one| one.attempts <= 1));
    bench.server.clear();
    bench.server.release();
    for one in bench.scored().await {
        assert_eq!((bench.scorer_of(&one).await.0, one.attempts), ("claude".to_owned(), 1));
    }
    bench.assert_adds_up().await;
    assert_eq!(bench.total().await.texts, 400, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_while_others_are_asked_about_goes_together() {
    let script =
        Script { latency: Duration::from_millis(700), ..Script::new(Arc::new(|| MachineClock.now())) };
    let bench = LlmBench::with(script, json!({"scorer": "claude"})).await;
    let one_by_one = complaints(6).enumerate().map(|(n, text)| json!({"external_id": n, "text": text}));
    for (n, item) in one_by_one.enumerate() {
        bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
        while n == 0 && bench.server.in_flight() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    bench.scored().await;
    assert_eq!(
        (bench.server.requests().len(), bench.total().await.texts),
        (2, 6),
        "the first alone, then the others"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn at_the_end_what_waits_for_the_llm_is_given_back() {
    let bench = LlmBench::open(json!({"scorer": "claude", "daily_token_cap": 0})).await;
    bench.server.set(Fault::always(Failure::Hold));
    bench.hand_in("ut_mine", complaints(80)).await;
    while bench.server.in_flight() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let LlmBench { bench: Bench { app, pipeline, end, mine, .. }, server } = bench;
    end.send(true).unwrap();
    let begun = Instant::now();
    pipeline.end(Duration::from_millis(300)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let filter = undertone_store::interactions::Filter { limit: 1000, ..Default::default() };
    let now = app.store.now();
    let ids: BTreeSet<String> = app
        .store
        .interactions(mine.id, &filter)
        .await
        .unwrap()
        .into_iter()
        .map(|one| {
            assert_eq!((&*one.state, one.attempts), ("pending", 0), "{one:?}");
            assert!(one.next_attempt_at.unwrap() <= now, "{one:?} was not given back");
            one.id
        })
        .collect();
    assert_eq!(ids.len(), 80);
    // Nobody knows whether those under way were charged: they stay reserved until their lease ends.
    let budget = app.store.budget(&mine).await.unwrap();
    assert!(budget.day.held.tokens > 0 && budget.day.spent.tokens == 0);
    drop(server);
}
