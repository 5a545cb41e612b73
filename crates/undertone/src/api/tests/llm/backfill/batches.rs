//! Runs through the provider's batches.

use undertone_llm_server::{Calls, Pace, Problem};

use super::*;

/// A server whose batches take a second.
async fn open(settings: Value) -> LlmBench {
    let second = chrono::TimeDelta::milliseconds(800);
    let pace = Pace { takes: second, cancel_takes: chrono::TimeDelta::milliseconds(50), ..Pace::default() };
    let script = Script { batches: pace, ..Script::new(Arc::new(|| MachineClock.now())) };
    LlmBench::with(script, settings).await
}

impl LlmBench {
    /// What the product counted is what the server did, at the price of batches.
    async fn assert_batches_add_up(&self) {
        let (prices, mut tokens, mut cost) = (Prices::built_in(), 0, 0);
        for one in self.server.ledger().billed {
            let used = Usage {
                input: one.usage.input,
                cache_read: one.usage.cache_read,
                cache_write_5m: one.usage.cache_write_5m,
                cache_write_1h: one.usage.cache_write_1h,
                output: one.usage.output,
            };
            tokens += used.total();
            cost +=
                prices.of(&one.model, one.at.date_naive()).map_or(0, |price| price.cost(used, one.batched));
        }
        let total = self.total().await;
        assert_eq!((total.usage.total(), total.cost_micros), (tokens, cost));
        let budget = self.store().budget(&self.mine).await.unwrap();
        assert_eq!((budget.day.held.tokens, budget.day.assumed.tokens), (0, 0), "nothing is left set aside");
        assert_eq!(budget.day.spent.tokens, tokens);
    }

    /// Another pipeline takes the place of the one that runs, as if the process were started again.
    async fn restart(&mut self) {
        self.bench.end.send(true).unwrap();
        let (end, ending) = watch::channel(false);
        let tools = Tools {
            store: self.store().clone(),
            local: self.app.reader.clone(),
            lessons: self.app.lessons.clone(),
            llms: self.app.llms.clone(),
            work: Work::default(),
            patience: Patience {
                look_every: chrono::TimeDelta::milliseconds(100),
                listed_within: chrono::TimeDelta::seconds(1),
                reached_within: chrono::TimeDelta::seconds(2),
            },
        };
        let next = Pipeline::start(&tools, 1, &ending);
        std::mem::replace(&mut self.bench.pipeline, next).end(Duration::from_secs(5)).await;
        self.bench.end = end;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(in super::super) async fn batches_are_read_whatever_becomes_of_their_requests() {
    let llm = open(json!({"daily_token_cap": 0})).await;
    // 32 texts, eight in a request: one that goes at once, and three in the first batch.
    llm.hand_in("ut_mine", complaints(32)).await;
    llm.scored().await;
    let events = llm.events().await;
    llm.server.set(Fault::next(1, Failure::Expired).on(Calls::BatchItems));
    llm.server.add(Fault::next(1, Failure::Error(Problem::overloaded())).on(Calls::BatchItems));
    llm.server.add(Fault::next(1, Failure::Refusal { category: None }).on(Calls::BatchItems));
    let body = json!({"mode": "refresh", "via_batches": true});
    let estimate = llm.act("POST", "/api/v1/backfills", body.clone()).await["estimate"].clone();
    assert_eq!((&estimate["scorer"], &estimate["seconds"]), (&json!("claude"), &Value::Null));
    let id = llm.start(body).await;
    let working = |run: &Value| run["in_batches"] == 24 && run["batches"][0]["state"] == "in_progress";
    llm.run_until(&id, "in a batch", working).await;
    // Those that expired and those of the refused request are asked about again; the overloaded ones rest for a minute.
    let run = llm.run_until(&id, "two of three", |run| run["scored"] == 8 + 16).await;
    assert_eq!(run["waiting"]["for"], "llm_unavailable");
    llm.set(json!({"daily_token_cap": 0})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"], &run["failed"]), (&json!("done"), &json!(32), &json!(0)));
    let results = &run["batch_requests"];
    assert_eq!((&results["expired"], &results["errored"]), (&json!(1), &json!(1)), "{results}");
    // One refused, one of eight again, eight alone, and the overloaded one again.
    assert_eq!(results["succeeded"], 1 + 1 + 8 + 1, "{results}");
    assert!(run["batches"].as_array().unwrap().iter().all(|batch| batch["state"] == "read"));
    for one in llm.all().await {
        assert_eq!(llm.scorer_of(&one).await.0, "claude");
    }
    assert_eq!(llm.events().await, events);
    llm.assert_batches_add_up().await;
    llm.assert_verified().await;
    // The evidence is the text's own, as if it had been asked about at once.
    let shown = llm.get(&format!("/api/v1/interactions/{}", llm.all().await[0].id)).await;
    let text = shown["text"].as_str().unwrap();
    let evidence = &shown["revisions"][0]["verdict"]["evidence"][0];
    let span = |end: &str| usize::try_from(evidence[end].as_u64().unwrap()).unwrap();
    assert_eq!(evidence["text"], text[span("start")..span("end")]);
    assert_eq!(
        shown["revisions"][0]["verdict"]["provenance"]["prompt_version"].as_str().unwrap().split('+').next(),
        Some("score-1")
    );
}

#[tokio::test(flavor = "multi_thread")]
pub(in super::super) async fn a_batch_outlives_the_process_and_a_lost_answer() {
    let mut llm = open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(12)).await;
    llm.scored().await;
    // The answer to the request that makes the batch is lost on its way: it is made all the same.
    llm.server.set(Fault::next(1, Failure::ResetMidway).on(Calls::Batches));
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    let run = llm.run_until(&id, "sent", |run| run["batches"][0]["detail"].is_string()).await;
    assert_eq!(
        (&run["batches"][0]["state"], &run["batches"][0]["provider_id"]),
        (&json!("made"), &Value::Null)
    );
    llm.restart().await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(12)));
    assert_eq!(run["batches"].as_array().unwrap().len(), 1, "it was found again, not made again");
    assert_eq!(llm.server.ledger().billed.len(), 2);
    llm.assert_batches_add_up().await;

    // One that never arrived is never listed; its texts are asked about in another.
    llm.server.set(Fault::next(1, Failure::ResetBefore).on(Calls::Batches));
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    let run = llm.ended(&id).await;
    assert_eq!(
        (&run["state"], &run["scored"], run["batches"].as_array().unwrap().len()),
        (&json!("done"), &json!(12), 2)
    );
    assert!(run["batches"][0]["detail"].as_str().unwrap().starts_with("it was not made"), "{run}");
    llm.assert_batches_add_up().await;
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_is_paid_as_far_as_it_got_and_a_revised_text_is_not_recorded() {
    let llm = open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(40)).await;
    let before = llm.scored().await;
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    llm.run_until(&id, "in a batch", |run| run["in_batches"] == 32).await;
    // The newest of those is in the first request, and is revised while the batch is worked off.
    let revised = json!({"external_id": 31, "customer": "c31", "text": "All is well again, thanks a lot.", "on_conflict": "update"});
    llm.act("POST", "/api/v1/interactions", revised).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    llm.act("POST", &format!("/api/v1/backfills/{id}/cancel"), json!({})).await;
    let run = llm.ended(&id).await;
    let scored = run["scored"].as_i64().unwrap();
    assert_eq!(run["state"], "cancelled");
    assert!((1..40).contains(&scored), "{run}");
    assert!(run["batch_requests"]["canceled"].as_i64().unwrap() > 0, "{run}");
    llm.until("scored", |all| all.iter().all(|one| one.state == "scored")).await;
    let shown = llm.get(&format!("/api/v1/interactions/{}", before[31].id)).await;
    assert_eq!(shown["sentiment"]["scorer"], "local", "the answer was about another text");
    llm.assert_batches_add_up().await;
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_otherwise_by_now_is_asked_again_together() {
    let llm = open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(32)).await;
    llm.scored().await;
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    llm.run_until(&id, "in a batch", |run| run["in_batches"] == 24).await;
    // What a setting or a release changes of the question changes it of every text.
    llm.set(json!({"categories": [{"id": "late", "name": "Late delivery"}]})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(32)));
    assert_eq!(run["batch_requests"], json!({"succeeded": 3 + 3}), "eight in a request as before");
    assert_eq!(llm.server.ledger().billed.len(), 1 + 3 + 3);
    llm.assert_batches_add_up().await;
}

/// A run whose batch of 16 texts takes an hour, at a server where every key has a workspace of its own.
async fn away_for_an_hour() -> (LlmBench, String) {
    let (hour, moment) = (chrono::TimeDelta::hours(1), chrono::TimeDelta::milliseconds(50));
    let pace = Pace { takes: hour, cancel_takes: moment, ..Pace::default() };
    let script = Script { batches: pace, key: String::new(), ..Script::new(Arc::new(|| MachineClock.now())) };
    let llm = LlmBench::with(script, json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(24)).await;
    llm.scored().await;
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    llm.run_until(&id, "in a batch", |run| run["batches"][0]["state"] == "in_progress").await;
    (llm, id)
}

impl LlmBench {
    async fn set_key(&self, key: Value) {
        let answer = self.call("PUT", "/api/v1/provider-keys/claude", "ut_mine", Some(&key)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Waits until nothing is set aside any more; answers what counts as spent because nobody knows.
    async fn assumed(&self) -> u64 {
        let begun = Instant::now();
        loop {
            let day = self.store().budget(&self.mine).await.unwrap().day;
            if day.held.tokens == 0 {
                return day.assumed.tokens;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{day:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(in super::super) async fn what_the_key_of_the_moment_does_not_lead_to_is_given_up_after_a_while() {
    let (llm, id) = away_for_an_hour().await;
    llm.set_key(json!({"key": "another-workspace-has-another-key", "base_url": llm.server.url()})).await;
    let run = llm.run_until(&id, "missed", |run| run["batches"][0]["detail"].is_string()).await;
    let detail = run["batches"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("does not know the batch by the key") && detail.contains("given up at"),
        "{detail}"
    );
    assert_eq!((&run["in_batches"], run["batches"].as_array().unwrap().len()), (&json!(16), 1), "{run}");
    // Its texts go to another, which nobody waits an hour for here.
    let again = |run: &Value| run["batches"][1]["state"] == "in_progress";
    let run = llm.run_until(&id, "asked again", again).await;
    assert_eq!((&run["batches"][0]["state"], &run["in_batches"]), (&json!("lost"), &json!(16)), "{run}");
    assert_eq!(run["batch_requests"], json!({"lost": 2, "open": 2}));
    // That the run ends frees what is known not to be charged, and no more: nobody knows of the first batch.
    llm.act("POST", &format!("/api/v1/backfills/{id}/cancel"), json!({})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("cancelled"), &json!(8)));
    assert!(llm.assumed().await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_a_run_is_not_kept_waiting_by_a_batch_out_of_reach() {
    for base_url in ["another address", "another workspace"] {
        let (llm, id) = away_for_an_hour().await;
        let base_url =
            if base_url == "another address" { "http://localhost:9".to_owned() } else { llm.server.url() };
        llm.set_key(json!({"key": "another-workspace-has-another-key", "base_url": base_url})).await;
        llm.act("POST", &format!("/api/v1/backfills/{id}/cancel"), json!({})).await;
        let run = llm.ended(&id).await;
        assert_eq!(
            (&run["state"], &run["batches"][0]["state"]),
            (&json!("cancelled"), &json!("lost")),
            "{run}"
        );
        assert!(llm.assumed().await > 0, "it may be charged all the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_say_what_it_took_counts_at_its_most() {
    let llm = open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(16)).await;
    llm.scored().await;
    // Eight go at once, and eight in a batch.
    llm.server.set(Fault::always(Failure::NoUsage).on(Calls::BatchItems));
    let id = llm.start(json!({"mode": "refresh", "via_batches": true})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(16)), "its verdicts are good");
    assert_eq!(run["batch_requests"], json!({"lost": 1}));
    assert!(llm.assumed().await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_no_more_than_there_is_money_for() {
    let llm = open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(24)).await;
    llm.scored().await;
    let body = json!({"mode": "refresh", "via_batches": true});
    // One goes at once, and one in a batch.
    let cap = 2 * llm.cap_for_one(&body).await;
    llm.set(json!({"daily_token_cap": cap})).await;
    let id = llm.start(body).await;
    let run = llm.run_until(&id, "waits", |run| run["waiting"]["for"] == "daily_token_cap").await;
    assert!(run["in_batches"].as_i64().unwrap() < 24, "{run}");
    // What was set aside for it is free again when it has ended, so that the rest may go at once.
    let some = |run: &Value| {
        run["scored"].as_i64().unwrap() > 8 && (run["in_batches"] == 0 || run["state"] == "done")
    };
    llm.run_until(&id, "some", some).await;
    assert!(llm.total().await.usage.total() <= cap);
    llm.set(json!({"daily_token_cap": 0})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(24)));
    llm.assert_batches_add_up().await;
}
