//! The cascade as its callers see it: both verdicts on an interaction, what it did, and which threshold fits a budget.

use super::*;

pub(super) const GRATEFUL: &str = "Thank you so much, your support was wonderful and quick!";
pub(super) const CROSS: &str = "I am cross. Nobody answers and I want my money back.";
pub(super) const GERMAN: &str = "Ich warte seit drei Wochen auf mein Paket und niemand meldet sich bei mir.";

/// A server that finds everything bad.
fn gloomy() -> Script {
    let answer = |seen: &undertone_llm_server::ItemSeen| {
        let one = |item: &Item| {
            json!({
                "index": item.index, "language": "en", "sarcasm": false, "ambiguous": false, "confidence": 88, "evidence": [],
                "aspects": [], "emotions": [], "emotion": "worry", "label": "negative", "score": -40, "urgency": "low",
                "category": "other", "summary": "The customer is worried.",
            })
        };
        json!({"answers": seen.items.iter().map(one).collect::<Vec<_>>()})
    };
    Script { answer: Arc::new(answer), ..Script::new(Arc::new(|| MachineClock.now())) }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn both_verdicts_show_and_what_the_cascade_did_adds_up() {
    let bench = LlmBench::with(gloomy(), json!({"scorer": "cascade", "cascade_threshold": 100})).await;
    bench.hand_in("ut_mine", [GRATEFUL, CROSS, GERMAN].map(str::to_owned)).await;
    let all = bench.scored().await;
    let shown =
        async |n: usize| bench.get(&format!("/api/v1/interactions/{}", all[n].id)).await["sentiment"].clone();

    let grateful = shown(0).await;
    assert_eq!((&grateful["scorer"], &grateful["label"]), (&json!("claude"), &json!("negative")));
    assert_eq!((&grateful["disagreed"], &grateful["needs_review"]), (&json!(true), &json!(true)));
    let first = &grateful["cascade"]["first"];
    assert_eq!(
        (&grateful["cascade"]["why"], &first["label"], &first["scorer"]),
        (&json!("unsure"), &json!("positive"), &json!("local"))
    );
    let furious = shown(1).await;
    assert_eq!(
        (&furious["disagreed"], &furious["needs_review"]),
        (&json!(false), &json!(false)),
        "{furious}"
    );
    let german = shown(2).await;
    assert_eq!((&german["cascade"]["why"], &german["cascade"]["first"]), (&json!("language"), &Value::Null));

    // Without the LLM the embedded model's verdict stands, and says why; without the cascade there is nothing to say.
    bench.server.unplug().unwrap();
    bench
        .call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"external_id": 3, "text": GRATEFUL})))
        .await;
    let away = &bench.scored().await[3];
    let away = bench.get(&format!("/api/v1/interactions/{}", away.id)).await["sentiment"].clone();
    assert_eq!((&away["scorer"], &away["label"]), (&json!("local"), &json!("positive")));
    assert_eq!(away["cascade"]["unanswered"]["reason"], "llm_unavailable");
    bench.set(json!({"scorer": "local"})).await;
    bench
        .call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"external_id": 4, "text": CROSS})))
        .await;
    let plain = &bench.scored().await[4];
    let plain = bench.get(&format!("/api/v1/interactions/{}", plain.id)).await["sentiment"].clone();
    assert_eq!((&plain["cascade"], &plain["disagreed"]), (&Value::Null, &json!(false)));

    // A midnight may pass meanwhile.
    let yesterday = bench.store().now().with_timezone(&bench.mine.zone).date_naive().pred_opt().unwrap();
    let report = bench.get(&format!("/api/v1/cascade?from={yesterday}")).await;
    let total = &report["total"];
    let counts =
        ["verdicts", "asked", "unanswered", "changed", "disagreed"].map(|key| total[key].as_u64().unwrap());
    assert_eq!(counts, [4, 4, 1, 1, 1], "{report}");
    let billed = bench.server.ledger().usage();
    assert_eq!(total["tokens_in"].as_u64().unwrap() + total["tokens_out"].as_u64().unwrap(), billed.total());
    assert_eq!(total["cost_micros"], bench.total().await.cost_micros);
    let why: Vec<(&str, u64)> = report["why"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["key"].as_str().unwrap(), line["verdicts"].as_u64().unwrap()))
        .collect();
    assert_eq!(why, [("language", 1), ("unsure", 3)]);
    let disagreement = &report["disagreements"][0];
    assert_eq!(
        (&disagreement["interaction_id"], &disagreement["first"]["label"]),
        (&json!(all[0].id), &json!("positive"))
    );
    assert_eq!(report["disagreements"].as_array().unwrap().len(), 1);

    // Nothing of it is another tenant's.
    let theirs =
        bench.call("GET", &format!("/api/v1/cascade?from={yesterday}"), "ut_theirs", None).await.json();
    assert_eq!((&theirs["total"]["verdicts"], &theirs["disagreements"]), (&json!(0), &json!([])));
    let theirs = bench.call("GET", "/api/v1/cascade/advice?daily_tokens=1", "ut_theirs", None).await.json();
    assert_eq!((&theirs["readings"], &theirs["none_because"]), (&json!(0), &json!("no_readings")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_follows_from_the_model() {
    let bench = LlmBench::open(json!({"scorer": "cascade", "cascade_threshold": 100})).await;
    // There is a key for either, at addresses that may serve any model.
    for (n, (model, scorer)) in
        [(Value::Null, "claude"), (json!(MODEL), "claude"), (json!("local-model"), "openai")]
            .into_iter()
            .enumerate()
    {
        bench.set(json!({"model": model})).await;
        let item = json!({"external_id": n, "text": CROSS});
        bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
        let one = bench.scored().await.remove(n);
        assert_eq!((bench.scorer_of(&one).await.0.as_str(), &one.reason), (scorer, &None), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_is_advised_from_what_was_read_and_what_it_took() {
    let bench = LlmBench::with(gloomy(), json!({})).await;
    bench.hand_in("ut_mine", [GRATEFUL, CROSS].map(str::to_owned)).await;
    bench.scored().await;
    let german = json!({"external_id": 2, "text": GERMAN});
    bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&german)).await;
    bench.until("skipped", |all| all[2].state == "skipped").await;
    let advised = bench.get("/api/v1/cascade/advice?daily_tokens=1000000").await;
    assert_eq!(
        (&advised["readings"], &advised["measured"], &advised["few_readings"]),
        (&json!(3), &json!(false), &json!(true))
    );
    assert_eq!(advised["advised"]["threshold"], 100, "there is room for all");
    let stated = advised["tokens_per_verdict"].as_u64().unwrap();
    // One text in a language only the LLM reads; both others are above 60.
    assert_eq!(
        (&advised["steps"][6]["tokens_per_day"], &advised["steps"][10]["tokens_per_day"]),
        (&json!(stated), &json!(3 * stated))
    );
    let tight = bench.get(&format!("/api/v1/cascade/advice?daily_tokens={}", 2 * stated - 1)).await;
    let threshold = tight["advised"]["threshold"].as_u64().unwrap();
    assert!((60..100).contains(&threshold), "{tight}");
    let none = bench.get(&format!("/api/v1/cascade/advice?daily_tokens={}", stated - 1)).await;
    assert_eq!((&none["advised"], &none["none_because"]), (&Value::Null, &json!("budget_too_small")));
    // Left out, the cap of the settings is the budget; without one there is none to go by.
    assert_eq!(bench.get("/api/v1/cascade/advice").await["daily_tokens"], 100_000);
    bench.set(json!({"daily_token_cap": 0})).await;
    for query in ["", "?daily_tokens=0", "?daily_tokens=-1", "?tokens=1"] {
        let answer = bench.call("GET", &format!("/api/v1/cascade/advice{query}"), "ut_mine", None).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_query")), "{query}");
    }

    // Once an LLM scored, what that took is what counts.
    bench.set(json!({"scorer": "claude"})).await;
    bench
        .call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"external_id": 3, "text": CROSS})))
        .await;
    bench.until("scored", |all| all.get(3).is_some_and(|one| one.state == "scored")).await;
    let advised = bench.get("/api/v1/cascade/advice?daily_tokens=1000000").await;
    assert_eq!(advised["measured"], true);
    assert_eq!(advised["tokens_per_verdict"], bench.server.ledger().usage().total());
    assert_eq!(
        advised["readings"], 3,
        "what only the LLM read says nothing of how sure the embedded model is"
    );
}
