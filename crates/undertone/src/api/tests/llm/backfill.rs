//! Runs over what was not scored and over what is scored again, as whoever asks for them sees them.

pub(super) mod batches;

use super::*;

impl LlmBench {
    async fn act(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(method, path, "ut_mine", Some(&body)).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
        answer.json()
    }

    /// Starts a run and answers its id.
    pub(super) async fn start(&self, mut body: Value) -> String {
        body["confirm"] = json!(true);
        let told = self.act("POST", "/api/v1/backfills", body).await;
        told["run"]["id"].as_str().unwrap().to_owned()
    }

    async fn run(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/backfills/{id}")).await
    }

    /// Waits until `done` says so of a run.
    pub(super) async fn run_until(&self, id: &str, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let run = self.run(id).await;
            if done(&run) {
                return run;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "not within a minute: {what}; {run:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn ended(&self, id: &str) -> Value {
        self.run_until(id, "ended", |run| run["state"] != "running" && !run["report"].is_null()).await
    }

    /// Sets a daily token cap that is enough for one request out of three, and answers it.
    async fn cap_for_one(&self, body: &Value) -> u64 {
        let estimate = self.act("POST", "/api/v1/backfills", body.clone()).await["estimate"].clone();
        let cap = estimate["tokens"]["most"].as_u64().unwrap() / 3 + 1_500;
        self.set(json!({"daily_token_cap": cap})).await;
        cap
    }

    /// How many events there are.
    async fn events(&self) -> i64 {
        let raw = sea_orm::Database::connect(self.url()).await.unwrap();
        let text = format!("SELECT COUNT(*) FROM outbox WHERE tenant_id = {}", self.mine.id.0);
        let backend = sea_orm::ConnectionTrait::get_database_backend(&raw);
        let statement = sea_orm::Statement::from_string(backend, text);
        let row = sea_orm::ConnectionTrait::query_one_raw(&raw, statement).await.unwrap().unwrap();
        let counted = row.try_get_by_index(0).unwrap();
        raw.close().await.unwrap();
        counted
    }

    async fn assert_verified(&self) {
        assert_eq!(self.store().verify(self.mine.id).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn what_had_no_verdict_gets_one_and_said_twice_spends_nothing() {
    let llm =
        LlmBench::open(json!({"scorer": "claude", "when_unavailable": "skip", "daily_token_cap": 1})).await;
    llm.hand_in("ut_mine", complaints(20).chain(["Hi".to_owned()])).await;
    llm.until("all skipped", |all| all.iter().all(|one| one.state == "skipped")).await;
    let nothing = llm.act("POST", "/api/v1/backfills", json!({"scorer": "local"})).await["estimate"].clone();
    assert_eq!((&nothing["tokens"], &nothing["basis"]), (&json!({"expected": 0, "most": 0}), &json!("free")));
    llm.set(json!({"daily_token_cap": 0})).await;

    // Asked without `confirm`, it only says what it will take.
    let told = llm.act("POST", "/api/v1/backfills", json!({})).await;
    let estimate = &told["estimate"];
    assert_eq!((&estimate["rows"], &told["run"]), (&json!(20), &Value::Null));
    assert_eq!(estimate["by_reason"], json!({"daily_token_cap": 20}));
    assert_eq!(estimate["stays_skipped"], json!([{"reason": "too_short", "rows": 1, "on_request": true}]));
    assert_eq!((&estimate["scorer"], &estimate["model"]), (&json!("claude"), &json!(MODEL)));
    let figure = |of: &str, what: &str| estimate[of][what].as_u64().unwrap();
    assert!(figure("tokens", "expected") > 0 && figure("tokens", "most") > figure("tokens", "expected"));
    assert!(figure("cost_micros", "most") > figure("cost_micros", "expected"));
    assert_eq!((&estimate["basis"], llm.server.requests().len()), (&json!("guessed"), 0));
    let before = llm.events().await;

    let id = llm.start(json!({"batch_size": 8, "sleep_ms": 0})).await;
    let second = llm.call("POST", "/api/v1/backfills", "ut_mine", Some(&json!({"confirm": true}))).await;
    assert_eq!(second.status, 409, "one at a time: {}", second.text);
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"], &run["opened"]), (&json!("done"), &json!(20), &json!(20)));
    assert_eq!(run["report"]["labels"], json!({"negative": 20}));
    assert_eq!(run["report"]["stays_skipped"], estimate["stays_skipped"]);
    let all = llm.all().await;
    for one in &all[..20] {
        assert_eq!((one.state.as_str(), llm.scorer_of(one).await.0.as_str()), ("scored", "claude"));
    }
    assert_eq!(all[20].state, "skipped");
    assert_eq!(llm.events().await, before, "nobody is told of it");
    // What was expected bounds what it took.
    let took = llm.total().await;
    assert!(
        took.usage.total() <= figure("tokens", "most") && took.cost_micros <= figure("cost_micros", "most")
    );
    assert_eq!(run["tokens"], took.usage.total());
    llm.assert_adds_up().await;
    llm.assert_verified().await;

    // Once more: nothing is looked for, asked or changed.
    let asked = llm.server.requests().len();
    let again = llm.act("POST", "/api/v1/backfills", json!({})).await["estimate"].clone();
    assert_eq!((&again["rows"], &again["basis"]), (&json!(0), &json!("measured")));
    let id = llm.start(json!({})).await;
    assert_eq!(llm.ended(&id).await["opened"], 0);
    assert_eq!((llm.all().await, llm.server.requests().len()), (all, asked));

    // What stays out is taken on request, with what kept it out lifted, and told where that is wanted.
    let id = llm.start(json!({"include": ["too_short"], "notify": true})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["scored"], &run["report"]["stays_skipped"]), (&json!(1), &json!([])));
    assert_eq!(llm.events().await, before + 1);
    let listed = llm.get("/api/v1/backfills").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_refresh_tells_what_it_changed_and_keeps_what_people_said() {
    let llm = LlmBench::open(json!({})).await;
    llm.hand_in(
        "ut_mine",
        complaints(10).chain((0..10).map(|n| format!("Where can I find invoice {n}, please?"))),
    )
    .await;
    let before = llm.scored().await;
    let events = llm.events().await;
    let id = llm.start(json!({"mode": "refresh", "scorer": "claude", "batch_size": 4, "sleep_ms": 1})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(20)));
    for one in &before {
        let shown = llm.get(&format!("/api/v1/interactions/{}", one.id)).await;
        assert_eq!((&shown["state"], &shown["sentiment"]["scorer"]), (&json!("scored"), &json!("claude")));
        let scorers: Vec<&Value> = shown["revisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["verdict"]["provenance"]["scorer"])
            .collect();
        assert_eq!(scorers, ["claude", "local"]);
    }
    let changes = &run["report"]["changes"];
    let moved: u64 = changes["labels"].as_array().unwrap().iter().map(|m| m["count"].as_u64().unwrap()).sum();
    assert_eq!((&changes["pairs"], moved), (&json!(20), 20));
    let shift = changes["shift"]["value"].as_f64().unwrap();
    let means = changes["mean_after"].as_f64().unwrap() - changes["mean_before"].as_f64().unwrap();
    assert!((shift - means).abs() < 1e-9 && changes["shift"]["low"].as_f64().unwrap() <= shift);
    let pairs = run["report"]["pairs"].as_array().unwrap();
    assert!(!pairs.is_empty() && pairs.len() <= 20 && pairs[0]["text"].is_string());
    assert_eq!(llm.events().await, events);
    llm.assert_adds_up().await;
    llm.assert_verified().await;

    // One by itself, back with the embedded model.
    let path = format!("/api/v1/interactions/{}/rescore", before[0].id);
    let quiet = llm.act("POST", &path, json!({"scorer": "local"})).await;
    assert_eq!(llm.ended(quiet["id"].as_str().unwrap()).await["scored"], 1);
    assert_eq!(llm.events().await, events, "nobody asked to be told");
    let single = llm.act("POST", &path, json!({"scorer": "local", "notify": true})).await;
    let single = llm.ended(single["id"].as_str().unwrap()).await;
    assert_eq!((&single["asked"]["mode"], &single["scored"]), (&json!("single"), &json!(1)));
    assert_eq!(llm.scorer_of(&before[0]).await.0, "local");
    assert!(llm.events().await > events, "it was asked for");
    assert_eq!(llm.get("/api/v1/backfills").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(llm.get("/api/v1/backfills?single=true").await["items"].as_array().unwrap().len(), 3);
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn any_scorer_serves_a_run() {
    let llm = LlmBench::open(json!({"daily_token_cap": 0})).await;
    llm.hand_in("ut_mine", complaints(10)).await;
    llm.scored().await;
    // At a threshold of 100 the cascade asks about all but what is certain; whom, follows from the model.
    llm.set(json!({"cascade_threshold": 100})).await;
    for (n, scorer) in ["openai", "cascade", "local", "claude"].into_iter().enumerate() {
        llm.set(json!({"model": if scorer == "claude" { Value::Null } else { json!("local-model") }})).await;
        let asked = llm.server.requests().len();
        let id =
            llm.start(json!({"mode": "refresh", "scorer": scorer, "batch_size": 100, "sleep_ms": 0})).await;
        let run = llm.ended(&id).await;
        assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(10)), "{scorer}: {run}");
        let whose = if scorer == "cascade" { "openai" } else { scorer };
        for one in llm.all().await {
            assert_eq!(llm.scorer_of(&one).await.0, whose, "{scorer}");
            let revisions = llm.store().revisions(llm.mine.id, &one.id).await.unwrap();
            assert_eq!(revisions.len(), n + 2, "{scorer}: every earlier verdict is kept");
            assert_eq!(revisions[0].verdict.cascade.is_some(), scorer == "cascade");
        }
        assert_eq!(llm.server.requests().len() > asked, scorer != "local");
    }
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_overtakes_a_run() {
    let slow = Script { latency: Duration::from_millis(150), ..Script::new(Arc::new(|| MachineClock.now())) };
    let llm = LlmBench::with(slow, json!({})).await;
    llm.hand_in("ut_mine", complaints(60)).await;
    llm.scored().await;
    llm.set(json!({"scorer": "claude"})).await;
    let id = llm.start(json!({"mode": "refresh", "batch_size": 4, "sleep_ms": 0})).await;
    llm.run_until(&id, "under way", |run| run["scored"].as_i64().unwrap() > 0).await;
    let begun = Instant::now();
    let taken = llm
        .act(
            "POST",
            "/api/v1/interactions",
            json!({"external_id": "new", "text": "This one is new, and the parcel is late."}),
        )
        .await;
    let new = taken["id"].as_str().unwrap().to_owned();
    loop {
        let shown = llm.get(&format!("/api/v1/interactions/{new}")).await;
        if shown["state"] == "scored" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{shown}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let run = llm.run(&id).await;
    let took = begun.elapsed();
    assert_eq!(run["state"], "running", "it was scored before the run was through, after {took:?}");
    let cancelled = llm.act("POST", &format!("/api/v1/backfills/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled["state"], "cancelled");
    let run = llm.ended(&id).await;
    assert!(run["scored"].as_i64().unwrap() < 60, "{run}");
    llm.scored().await;
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn runs_that_wait_are_in_nobodys_way() {
    let llm = LlmBench::open(json!({})).await;
    llm.hand_in("ut_mine", complaints(18)).await;
    let all = llm.scored().await;
    llm.server.unplug().unwrap();
    let rescore = async |n: usize, scorer: &str| {
        let path = format!("/api/v1/interactions/{}/rescore", all[n].id);
        llm.act("POST", &path, json!({"scorer": scorer})).await["id"].as_str().unwrap().to_owned()
    };
    let mut waiting = Vec::new();
    for n in 0..17 {
        waiting.push(rescore(n, "claude").await);
    }
    for id in &waiting {
        llm.run_until(id, "waits", |run| run["waiting"]["for"] == "llm_unavailable").await;
    }
    // As many as there are places wait, and one more; what has something to do has it done.
    let id = rescore(17, "local").await;
    assert_eq!(llm.ended(&id).await["scored"], 1);
    // Nor are they forgotten.
    llm.server.plug_in().unwrap();
    llm.set(json!({"alert_threshold": -60})).await;
    for id in &waiting {
        assert_eq!(llm.ended(id).await["scored"], 1);
    }
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_run_waits_for_money_and_goes_on_when_there_is_some() {
    let llm = LlmBench::open(json!({})).await;
    llm.hand_in("ut_mine", complaints(24)).await;
    llm.scored().await;
    let body = json!({"mode": "refresh", "scorer": "claude", "batch_size": 8, "sleep_ms": 0});
    let cap = llm.cap_for_one(&body).await;
    let id = llm.start(body).await;
    let run = llm.run_until(&id, "waits", |run| run["waiting"]["for"] == "daily_token_cap").await;
    assert_eq!(run["state"], "running");
    assert!(run["waiting"]["detail"].as_str().unwrap().contains("daily token cap"), "{run}");
    assert!(llm.total().await.usage.total() <= cap);
    // Its interactions are as they were meanwhile.
    assert!(llm.all().await.iter().all(|one| one.state == "scored"));
    let paused = llm.act("POST", &format!("/api/v1/backfills/{id}/pause"), json!({})).await;
    assert_eq!(paused["state"], "paused");
    llm.set(json!({"daily_token_cap": 0})).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(llm.run(&id).await["scored"], run["scored"], "nothing is done while it is paused");
    llm.act("POST", &format!("/api/v1/backfills/{id}/resume"), json!({})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"]), (&json!("done"), &json!(24)));
    llm.assert_adds_up().await;
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn an_outage_loses_nothing_and_charges_nothing_twice() {
    let llm = LlmBench::open(json!({})).await;
    llm.hand_in("ut_mine", complaints(40)).await;
    llm.scored().await;
    let id =
        llm.start(json!({"mode": "refresh", "scorer": "claude", "batch_size": 8, "sleep_ms": 300})).await;
    llm.run_until(&id, "under way", |run| run["scored"].as_i64().unwrap() > 0).await;
    llm.server.unplug().unwrap();
    let run = llm.run_until(&id, "waits", |run| run["waiting"]["for"] == "llm_unavailable").await;
    assert!(run["scored"].as_i64().unwrap() < 40 && run["failed"] == 0);
    llm.server.plug_in().unwrap();
    // It would go on by itself within half a minute; whoever saves the settings has it tried at once.
    llm.set(json!({"daily_token_cap": 0})).await;
    let run = llm.ended(&id).await;
    assert_eq!((&run["state"], &run["scored"], &run["failed"]), (&json!("done"), &json!(40), &json!(0)));
    // Of what was under way when the plug was pulled nobody knows whether it is charged; all else is counted as it was.
    let delivered: u64 = llm.server.ledger().delivered().map(|billed| billed.usage.total()).sum();
    assert_eq!(llm.total().await.usage.total(), delivered);
    llm.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_begin_says_why() {
    let llm = LlmBench::open(json!({})).await;
    llm.hand_in("ut_mine", complaints(1)).await;
    let one = llm.scored().await.remove(0);
    let refused = async |body: Value| llm.call("POST", "/api/v1/backfills", "ut_mine", Some(&body)).await;
    let wrong = refused(json!({"batch_size": 101, "include": ["agent_message"], "confirm": 1})).await;
    assert_eq!((wrong.status, wrong.json()["errors"].as_array().unwrap().len()), (422, 3), "{}", wrong.text);
    assert_eq!(refused(json!({"customer": "nobody"})).await.status, 404);
    let estimate = refused(json!({"scorer": "openai"})).await.json()["estimate"].clone();
    assert!(estimate["problem"].as_str().unwrap().contains("no model is chosen"), "{estimate}");
    let begun = refused(json!({"scorer": "openai", "mode": "refresh", "confirm": true})).await;
    assert_eq!(begun.status, 409, "{}", begun.text);
    let path = format!("/api/v1/interactions/{}/rescore", one.id);
    for body in [json!({"scorer": "gpt"}), json!({"mode": "refresh"})] {
        assert_eq!(llm.call("POST", &path, "ut_mine", Some(&body)).await.status, 422, "{body}");
    }
    assert_eq!(llm.call("POST", &path, "ut_theirs", Some(&json!({}))).await.status, 404);
    llm.act("POST", "/api/v1/module/deactivate", json!({})).await;
    assert_eq!(refused(json!({"mode": "refresh", "confirm": true})).await.status, 409);
    assert_eq!(llm.call("POST", &path, "ut_mine", Some(&json!({}))).await.status, 409);
    // Nobody else's either.
    llm.act("POST", "/api/v1/module/activate", json!({})).await;
    let id = llm.start(json!({"mode": "refresh", "customer": "c0", "channel": "other"})).await;
    for (method, path) in [("GET", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/cancel")] {
        let path = format!("/api/v1/backfills/{id}{path}");
        assert_eq!(llm.call(method, &path, "ut_theirs", Some(&json!({}))).await.status, 404);
    }
    llm.ended(&id).await;
    let ended = llm.call("POST", &format!("/api/v1/backfills/{id}/pause"), "ut_mine", Some(&json!({}))).await;
    assert_eq!(ended.status, 409, "{}", ended.text);
}
