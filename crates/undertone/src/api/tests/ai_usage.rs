//! What LLMs took and what is left of the budget, as a caller sees it.

use axum::body::Body;
use axum::http::{Request, header};
use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};
use undertone_core::Usage;
use undertone_core::usage::Feature;
use undertone_core::usage::calendar::{day_ends, day_of};
use undertone_core::usage::sums::Saved;
use undertone_core::verdict::ScorerKind;
use undertone_store::Tenant;
use undertone_store::budget::{Bill, Caps, Refusal, ReserveRequest, Reserved};

use super::Bench;

const USAGE: &str = "/api/v1/ai-usage";
const BUDGET: &str = "/api/v1/ai-budget";
const CALLS: &str = "/api/v1/ai-calls";

fn request(model: &str, most_tokens: u64) -> ReserveRequest<'_> {
    ReserveRequest {
        feature: Feature::Scoring,
        model,
        scorer: if model.starts_with("claude") { ScorerKind::Claude } else { ScorerKind::Openai },
        owner: "node-1",
        texts: 4,
        batched: false,
        most_tokens,
        most_micros: model.starts_with("claude").then_some(2 * most_tokens),
        lease: TimeDelta::minutes(10),
    }
}

/// Asks as the pipeline does: with the caps that the settings have at this moment. Answers the call's id.
async fn reserve(bench: &Bench, tenant: &Tenant, request: &ReserveRequest<'_>) -> Result<String, Refusal> {
    let caps = Caps::of(&bench.store().module(tenant.id).await.unwrap().settings);
    match bench.store().reserve_call(tenant, &caps, request).await.unwrap() {
        Reserved::Granted(granted) => Ok(granted.id),
        Reserved::Refused(refusal) => Err(refusal),
    }
}

async fn settle(bench: &Bench, tenant: &Tenant, id: &str, usage: Usage, micros: Option<u64>) {
    let caps = Caps::of(&bench.store().module(tenant.id).await.unwrap().settings);
    let saved = Saved { cache_micros: -40, packing_tokens: 300, packing_micros: 30, batch_micros: 0 };
    let bill = Bill { usage, micros, saved };
    bench.store().settle_call(tenant.id, &caps, id, &bill).await.unwrap();
}

fn usage() -> Usage {
    Usage { input: 100, cache_read: 2_000, cache_write_5m: 30, cache_write_1h: 4, output: 50 }
}

/// A call took so many tokens.
pub(super) async fn spend(bench: &Bench, tenant: &Tenant, tokens: u64) {
    let call = reserve(bench, tenant, &request("qwen", tokens)).await.unwrap();
    settle(bench, tenant, &call, Usage { input: tokens, ..Usage::default() }, None).await;
}

pub(super) async fn some_calls(bench: &Bench, tenant: &Tenant) {
    let first = reserve(bench, tenant, &request("claude-haiku-5-5", 5_000)).await.unwrap();
    settle(bench, tenant, &first, usage(), Some(1_234_567)).await;
    let second = reserve(bench, tenant, &request("qwen", 5_000)).await.unwrap();
    settle(bench, tenant, &second, Usage { input: 10, output: 1, ..Usage::default() }, None).await;
    reserve(bench, tenant, &request("claude-haiku-5-5", 3_000)).await.unwrap();
}

fn today(bench: &Bench) -> NaiveDate {
    day_of(bench.mine.zone, bench.store().now())
}

#[tokio::test]
async fn where_nothing_was_asked_everything_is_there_and_empty() {
    let bench = Bench::open().await;
    let told = bench.get(USAGE).await;
    assert_eq!(
        (&told["lines"], &told["zone"], &told["group"]),
        (&json!([]), &json!("Europe/Berlin"), &json!("day"))
    );
    assert_eq!((&told["total"]["tokens"], &told["total"]["cost_usd"]), (&json!(0), &json!("0.000000")));
    assert_eq!(told["to"], json!(today(&bench)));
    assert_eq!(told["from"].as_str().unwrap()[8..], *"01", "the month until today");
    let subscription = told["subscription"].as_array().unwrap();
    assert_eq!((subscription.len(), &subscription[0]["monthly_price_cents"]), (1, &json!(9_999)));
    assert_eq!(bench.get(CALLS).await, json!({"items": [], "next_before": null}));
    let told = bench.get(BUDGET).await;
    let empty = json!({"cap": 100_000, "used": 0, "lost": 0, "held": 0, "left": 100_000, "percent": 0});
    let uncapped = json!({"cap": null, "used": 0, "lost": 0, "held": 0, "left": null, "percent": null});
    assert_eq!((&told["day"]["tokens"], &told["month"]["tokens"]), (&empty, &uncapped));
    assert_eq!(told["day"]["cost_micros"], uncapped);
}

#[tokio::test]
async fn use_is_told_by_kind_and_adds_up() {
    let bench = Bench::open().await;
    some_calls(&bench, &bench.mine).await;
    let told = bench.get(USAGE).await;
    let line = &told["lines"][0];
    assert_eq!(line["key"], json!(today(&bench)));
    assert_eq!(
        told["total"],
        json!({
            "calls": 2, "texts": 8, "tokens": 2_195, "input_tokens": 110, "cache_read_tokens": 2_000, "cache_write_5m_tokens": 30,
            "cache_write_1h_tokens": 4, "output_tokens": 51, "cost_micros": 1_234_567, "cost_usd": "1.234567", "unpriced_calls": 1,
            "overrun_tokens": 0, "overrun_micros": 1_224_567, "lost_calls": 0, "lost_tokens": 0, "lost_micros": 0,
            "saved": {"cache_micros": -80, "packing_tokens": 600, "packing_micros": 60, "batch_micros": 0, "total_micros": -20,
                      "total_usd": "-0.000020"},
        })
    );
    let keys = async |query: &str| -> Vec<(String, u64)> {
        let told = bench.get(&format!("{USAGE}?{query}")).await;
        let lines = told["lines"].as_array().unwrap().iter();
        lines.map(|l| (l["key"].as_str().unwrap().to_owned(), l["tokens"].as_u64().unwrap())).collect()
    };
    let pair = |key: &str, tokens| (key.to_owned(), tokens);
    assert_eq!(keys("group=model").await, [pair("claude-haiku-5-5", 2_184), pair("qwen", 11)]);
    assert_eq!(keys("group=scorer").await, [pair("claude", 2_184), pair("openai", 11)]);
    assert_eq!(keys("group=feature").await, [pair("scoring", 2_195)]);
    let month = today(&bench).format("%Y-%m").to_string();
    assert_eq!(keys("group=month").await, [pair(&month, 2_195)]);
    assert_eq!(keys("from=2020-01-01&to=2020-12-31").await, []);
    let tomorrow = today(&bench).succ_opt().unwrap();
    assert_eq!(keys(&format!("from={tomorrow}&to={tomorrow}")).await, []);
    assert_eq!(keys(&format!("from={0}&to={0}", today(&bench))).await.len(), 1);

    // One is under way: held, and neither used nor told as use.
    let told = bench.get(BUDGET).await;
    assert_eq!(
        told["day"]["tokens"],
        json!({"cap": 100_000, "used": 2_195, "lost": 0, "held": 3_000, "left": 94_805, "percent": 2})
    );
    assert_eq!(
        told["month"]["cost_micros"],
        json!({"cap": null, "used": 1_234_567, "lost": 0, "held": 6_000, "left": null, "percent": null})
    );
    let ends = day_ends(bench.mine.zone, bench.store().now()).with_timezone(&bench.mine.zone);
    assert_eq!(told["day"]["ends_at"], json!(ends.fixed_offset()));
    assert!(told["day"]["ends_at"].as_str().unwrap().contains("T00:00:00+"), "midnight in Berlin: {told}");
}

#[tokio::test]
async fn the_ledger_is_read_page_by_page() {
    let bench = Bench::open().await;
    some_calls(&bench, &bench.mine).await;
    let all = bench.get(CALLS).await;
    assert_eq!(all["next_before"], Value::Null);
    let states: Vec<_> = all["items"].as_array().unwrap().iter().map(|call| &call["state"]).collect();
    assert_eq!(states, ["held", "settled", "settled"], "the latest first");
    let mut paged = Vec::new();
    let mut address = format!("{CALLS}?limit=1");
    loop {
        let page = bench.get(&address).await;
        paged.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next_before"].as_str() else { break };
        address = format!("{CALLS}?limit=1&before={next}");
    }
    assert_eq!(json!(paged), all["items"]);
    assert_eq!(
        bench.get(&format!("{CALLS}?limit=3")).await["next_before"],
        Value::Null,
        "there is no fourth"
    );
}

#[tokio::test]
async fn what_can_not_be_asked_is_told_by_name() {
    let bench = Bench::open().await;
    for (query, told) in [
        ("ai-usage?from=20.11.2026", "from is “20.11.2026”; it must be a day such as 2026-11-20"),
        ("ai-usage?to=2026-02-29", "to is “2026-02-29”"),
        ("ai-usage?from=", "from is “”"),
        ("ai-usage?from=2026-11-20&to=2026-11-19", "from must not be later"),
        ("ai-usage?from=9999-01-01", "from must not be later"),
        ("ai-usage?from=1999-01-01&to=2026-01-01", "more than 3660 days"),
        ("ai-usage?group=week", "week"),
        ("ai-usage?group=day&since=2026-11-20", "since"),
        ("ai-calls?limit=0", "limit is 0; it must be 1 to 200"),
        ("ai-calls?limit=201", "limit is 201"),
        ("ai-calls?limit=all", "invalid digit"),
        ("ai-calls?before=%00", "next_before"),
        (&format!("ai-calls?before={}", "x".repeat(65)), "next_before"),
        ("ai-calls?after=x", "after"),
        ("backfills?before=%00", "before is the id of a run"),
    ] {
        let answer = bench.call("GET", &format!("/api/v1/{query}"), "ut_mine", None).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_query")), "{query}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(told), "{query}: {detail}");
    }
    assert_eq!(bench.get(&format!("{CALLS}?before=unknown")).await["next_before"], Value::Null);
}

#[tokio::test]
async fn analysts_read_figures_and_the_ledger_is_for_administrators_of_the_tenant() {
    let bench = Bench::open().await;
    some_calls(&bench, &bench.mine).await;
    let theirs = reserve(&bench, &bench.theirs, &request("claude-opus-5-5", 70)).await.unwrap();
    settle(&bench, &bench.theirs, &theirs, Usage { output: 70, ..Usage::default() }, Some(77)).await;
    for (path, read) in [(USAGE, 200), (BUDGET, 200), (CALLS, 403)] {
        for (by, status) in [("", 401), ("ut_unknown", 401), ("ut_mine_ingest", 403), ("ut_mine_read", read)]
        {
            assert_eq!(bench.call("GET", path, by, None).await.status, status, "{path} with “{by}”");
        }
        for (role, status) in [("analyst", read), ("agent", read), ("tenant_admin", 200)] {
            let (cookie, _) = bench.session(role).await;
            let get = Request::get(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
            assert_eq!(bench.send(get).await.status, status, "{path} by {role}");
        }
        // Each sees its own and nothing of the other's.
        let mine = bench.call("GET", path, "ut_mine", None).await;
        assert!(!mine.text.contains("opus") && !mine.text.contains(&theirs), "{}", mine.text);
        let other = bench.call("GET", path, "ut_theirs", None).await;
        assert!(!other.text.contains("haiku") && !other.text.contains("1234567"), "{}", other.text);
    }
    let other = bench.call("GET", USAGE, "ut_theirs", None).await.json();
    assert_eq!((&other["total"]["tokens"], &other["total"]["cost_micros"]), (&json!(70), &json!(77)));
    let other = bench.call("GET", BUDGET, "ut_theirs", None).await.json();
    assert_eq!((&other["day"]["tokens"]["used"], &other["day"]["tokens"]["held"]), (&json!(70), &json!(0)));
    // A call of theirs as a place in my ledger shows what of mine is before it, and nothing else.
    let before = bench.get(&format!("{CALLS}?before={theirs}")).await;
    assert_eq!(before["items"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_cap_that_is_raised_or_lowered_holds_at_once() {
    let bench = Bench::open().await;
    let ask = async |tokens| reserve(&bench, &bench.mine, &request("claude-haiku-5-5", tokens)).await;
    let day = async || bench.get(BUDGET).await["day"]["tokens"].clone();
    bench.set(json!({"daily_token_cap": 1_000})).await;
    let first = ask(800).await.unwrap();
    settle(&bench, &bench.mine, &first, Usage { input: 800, ..Usage::default() }, Some(0)).await;
    let refused = ask(300).await.unwrap_err();
    assert_eq!((refused.cap, refused.used, refused.wanted), (1_000, 800, 300));
    assert_eq!(
        day().await,
        json!({"cap": 1_000, "used": 800, "lost": 0, "held": 0, "left": 200, "percent": 80})
    );

    bench.set(json!({"daily_token_cap": 1_100})).await;
    let second = ask(300).await.unwrap();
    assert_eq!(day().await["left"], 0);
    bench.store().release_call(bench.mine.id, &Caps::default(), &second).await.unwrap();
    bench.set(json!({"daily_token_cap": 500})).await;
    assert_eq!(ask(1).await.unwrap_err().cap, 500);
    assert_eq!(
        day().await,
        json!({"cap": 500, "used": 800, "lost": 0, "held": 0, "left": 0, "percent": 160})
    );
    // The month's money, in cents: 600 of the 10,000 millionths of a cent are left of 1 cent.
    bench.set(json!({"daily_token_cap": 0, "monthly_cost_cap_cents": 1})).await;
    let third = ask(4_700).await.unwrap();
    assert_eq!(ask(301).await.unwrap_err().cap, 10_000);
    assert_eq!(bench.get(BUDGET).await["month"]["cost_micros"]["left"], 600);
    bench.set(json!({"monthly_cost_cap_cents": 2})).await;
    ask(301).await.unwrap();
    bench.store().release_call(bench.mine.id, &Caps::default(), &third).await.unwrap();
    // Put back to its default it is the default that holds.
    bench.set(json!({"daily_token_cap": null, "monthly_cost_cap_cents": null})).await;
    assert_eq!(day().await["cap"], 100_000);
    assert_eq!(ask(99_000).await.unwrap_err().cap, 100_000);
}

#[test]
fn the_event_is_what_the_document_says() {
    // As docs/events.md shows it; the store's tests hold the store to the same keys.
    let docs = include_str!("../../../../../docs/events.md");
    let example =
        docs.split("```json\n").find(|part| part.contains("\"type\": \"budget.threshold\"")).unwrap();
    let mut example: Value = serde_json::from_str(example.split("```").next().unwrap()).unwrap();
    let example = example["data"].take();
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let validator = jsonschema::validator_for(&document["components"]["schemas"]["BudgetThreshold"]).unwrap();
    assert!(validator.is_valid(&example), "{example}");
    let mut other = example;
    other["percent"] = json!(70);
    assert!(!validator.is_valid(&other));
}
