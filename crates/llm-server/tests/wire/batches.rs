//! Message batches by the clock.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};
use undertone_llm_server::{Calls, Failure, Fault, Problem};

use crate::bench::{Answer, Bench, ask, plain};

fn requests(count: usize) -> Value {
    let requests: Vec<Value> =
        (0..count).map(|i| json!({"custom_id": format!("i-{i}"), "params": ask()})).collect();
    json!({"requests": requests})
}

fn make(bench: &Bench, body: &Value) -> String {
    let made = bench.call("POST", "/v1/messages/batches", Some(body));
    assert_eq!(made.status, 200, "{}", made.text);
    made.body["id"].as_str().unwrap().to_owned()
}

fn show(bench: &Bench, id: &str) -> Value {
    bench.get(&format!("/v1/messages/batches/{id}")).body
}

fn results(bench: &Bench, id: &str) -> Answer {
    bench.get(&format!("/v1/messages/batches/{id}/results"))
}

/// The ids in the order they came.
fn order(answer: &Answer) -> Vec<String> {
    lines(answer).iter().map(|line| line["custom_id"].as_str().unwrap().to_owned()).collect()
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The results by their ids.
fn by_id(answer: &Answer) -> BTreeMap<String, Value> {
    lines(answer)
        .into_iter()
        .map(|mut line| (line["custom_id"].as_str().unwrap().to_owned(), line["result"].take()))
        .collect()
}

fn counts(batch: &Value) -> [u64; 5] {
    ["processing", "succeeded", "errored", "canceled", "expired"]
        .map(|kind| batch["request_counts"][kind].as_u64().unwrap())
}

#[test]
fn from_making_to_results() {
    let bench = Bench::new();
    let made = bench.call("POST", "/v1/messages/batches", Some(&requests(5)));
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(
        made.body,
        json!({
            "id": id,
            "type": "message_batch",
            "processing_status": "in_progress",
            "request_counts": {"processing": 5, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
            "created_at": "2026-11-28T12:00:00.000000Z",
            "expires_at": "2026-11-29T12:00:00.000000Z",
            "ended_at": null,
            "cancel_initiated_at": null,
            "archived_at": null,
            "results_url": null,
        })
    );
    bench.advance(TimeDelta::minutes(6));
    assert_eq!(counts(&show(&bench, id)), [5, 0, 0, 0, 0], "all but processing stay 0 until the end");
    assert_eq!(bench.server.ledger().billed.len(), 3, "though three are done");
    assert_eq!((results(&bench, id).status, results(&bench, id).error().0), (404, "not_found_error"));
    bench.advance(TimeDelta::minutes(4));
    let ended = show(&bench, id);
    assert_eq!(ended["processing_status"], "ended");
    assert_eq!(counts(&ended), [0, 5, 0, 0, 0]);
    assert_eq!(ended["ended_at"], "2026-11-28T12:10:00.000000Z");
    let address = ended["results_url"].as_str().unwrap();
    let path = address.strip_prefix(&bench.server.url()).unwrap();
    let answer = bench.get(path);
    assert_eq!(answer.header("content-type"), Some("application/x-jsonl"));
    let given: Vec<String> = (0..5).map(|i| format!("i-{i}")).collect();
    assert_ne!(order(&answer), given, "never in the order given");
    assert_eq!(order(&answer), order(&bench.get(path)), "but always in the same");
    let found = by_id(&answer);
    assert_eq!(found.keys().collect::<Vec<_>>(), given.iter().collect::<Vec<_>>());
    let message = &found["i-3"]["message"];
    assert_eq!((&found["i-3"]["type"], &message["stop_reason"]), (&json!("succeeded"), &json!("end_turn")));
    assert_eq!(message["content"][0]["text"], r#"{"score":-35,"label":"negative"}"#);
    assert_eq!(message["usage"]["service_tier"], "batch");
    let ledger = bench.server.ledger();
    assert!(ledger.billed.iter().all(|billed| billed.batched && billed.request_id == id));
    assert_eq!(ledger.billed[3].custom_id.as_deref(), Some("i-3"));
    assert_eq!(
        ledger.billed[3].at,
        bench.now() - TimeDelta::minutes(2),
        "when it was its turn, not when somebody looked"
    );
}

#[test]
fn results_are_in_another_order_even_for_two() {
    for seed in 0..8 {
        let bench = Bench::with(|script| script.seed = seed);
        let id = make(&bench, &requests(2));
        bench.advance(TimeDelta::minutes(10));
        assert_eq!(order(&results(&bench, &id)), ["i-1", "i-0"]);
    }
}

#[test]
fn what_comes_of_it_does_not_depend_on_who_looks_when() {
    let run = |looks: bool| {
        let bench = Bench::new();
        bench.server.set(Fault::by_chance(0.4, 9, Failure::Error(Problem::internal())).on(Calls::BatchItems));
        let (one, two) = (make(&bench, &requests(7)), make(&bench, &requests(5)));
        for _ in 0..10 {
            bench.advance(TimeDelta::minutes(1));
            if looks {
                show(&bench, &one);
            }
        }
        let found = [one, two].map(|id| by_id(&results(&bench, &id)));
        found.map(|all| all.into_values().map(|result| result["type"].to_string()).collect::<Vec<_>>())
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn items_are_checked_later_one_by_one() {
    let bench = Bench::new();
    let mut body = requests(6);
    body["requests"][0]["params"]["temperature"] = json!(0);
    body["requests"][1]["params"]["model"] = json!("claude-1");
    body["requests"][2]["params"]["max_tokens"] = json!(0);
    body["requests"][2]["params"]["output_config"] = json!({});
    body["requests"][3]["params"]["stream"] = json!(true);
    body["requests"][4]["params"] = json!({});
    let id = make(&bench, &body);
    bench.advance(TimeDelta::minutes(10));
    assert_eq!(counts(&show(&bench, &id)), [0, 1, 5, 0, 0]);
    let found = by_id(&results(&bench, &id));
    for (item, kind, told) in [
        ("i-0", "invalid_request_error", "temperature"),
        ("i-1", "not_found_error", "model: claude-1"),
        ("i-2", "invalid_request_error", "or in a batch"),
        ("i-3", "invalid_request_error", "stream"),
        ("i-4", "invalid_request_error", "model: Field required"),
    ] {
        let result = &found[item];
        assert_eq!((&result["type"], &result["error"]["type"]), (&json!("errored"), &json!("error")));
        assert_eq!(result["error"]["error"]["type"], kind);
        assert!(result["error"]["error"]["message"].as_str().unwrap().contains(told), "{result}");
    }
    assert_eq!(bench.server.ledger().billed.len(), 1, "errored items cost nothing");
}

#[test]
fn batches_that_are_not_made() {
    let bench = Bench::with(|script| script.limits.batch_requests = 3);
    let one = |custom_id: Value| json!({"requests": [{"custom_id": custom_id, "params": ask()}]});
    let mut twice = requests(2);
    twice["requests"][1]["custom_id"] = json!("i-0");
    for (body, told) in [
        (json!({}), "requests: Field required"),
        (json!({"requests": []}), "List should have 1 to 3 items, not 0"),
        (requests(4), "List should have 1 to 3 items, not 4"),
        (json!({"requests": [], "name": "x"}), "name: Extra inputs"),
        (json!({"requests": [{"custom_id": "a"}]}), "requests.0.params: Field required"),
        (json!({"requests": [{"params": {}}]}), "requests.0.custom_id: Field required"),
        (
            json!({"requests": [{"custom_id": "a", "params": [], }]}),
            "requests.0.params: Input should be an object",
        ),
        (json!({"requests": [{"custom_id": "a", "params": {}, "id": 1}]}), "requests.0.id: Extra inputs"),
        (one(json!("")), "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
        (one(json!("a".repeat(65))), "String should match"),
        (one(json!("tenant:7")), "String should match"),
        (one(json!("größe")), "String should match"),
        (one(json!(7)), "requests.0.custom_id: Input should be a valid string"),
        (twice, "requests.1.custom_id: 'i-0' is not unique"),
    ] {
        let answer = bench.call("POST", "/v1/messages/batches", Some(&body));
        assert_eq!((answer.status, answer.error().0), (400, "invalid_request_error"), "{}", answer.text);
        assert!(answer.error().1.contains(told), "{}", answer.text);
    }
    make(&bench, &one(json!("a".repeat(64))));
    assert_eq!(bench.get("/v1/messages/batches").body["data"].as_array().unwrap().len(), 1);
}

#[test]
fn cancelling() {
    let bench = Bench::new();
    let id = make(&bench, &requests(10));
    bench.advance(TimeDelta::minutes(4));
    let cancelled = bench.call("POST", &format!("/v1/messages/batches/{id}/cancel"), None);
    assert_eq!(cancelled.body["processing_status"], "canceling");
    assert_eq!(cancelled.body["cancel_initiated_at"], "2026-11-28T12:04:00.000000Z");
    assert_eq!(counts(&cancelled.body), [10, 0, 0, 0, 0]);
    bench.advance(TimeDelta::seconds(30));
    let again = bench.call("POST", &format!("/v1/messages/batches/{id}/cancel"), None);
    assert_eq!(
        again.body["cancel_initiated_at"], "2026-11-28T12:04:00.000000Z",
        "the second time changes nothing"
    );
    bench.advance(TimeDelta::seconds(30));
    let ended = show(&bench, &id);
    assert_eq!(
        (&ended["processing_status"], &ended["ended_at"]),
        (&json!("ended"), &json!("2026-11-28T12:05:00.000000Z"))
    );
    assert_eq!(counts(&ended), [0, 4, 0, 6, 0]);
    assert_eq!(by_id(&results(&bench, &id))["i-9"], json!({"type": "canceled"}));
    assert_eq!(bench.server.ledger().billed.len(), 4, "what was never done costs nothing");
    assert_eq!(bench.call("POST", &format!("/v1/messages/batches/{id}/cancel"), None).status, 400);
}

#[test]
fn expiry_and_archive() {
    let bench = Bench::with(|script| script.batches.takes = TimeDelta::hours(40));
    let id = make(&bench, &requests(4));
    bench.advance(TimeDelta::hours(23));
    assert_eq!(show(&bench, &id)["processing_status"], "in_progress");
    bench.advance(TimeDelta::hours(1));
    let ended = show(&bench, &id);
    assert_eq!((&ended["processing_status"], &ended["ended_at"]), (&json!("ended"), &ended["expires_at"]));
    assert_eq!(counts(&ended), [0, 2, 0, 0, 2]);
    assert_eq!(by_id(&results(&bench, &id))["i-3"], json!({"type": "expired"}));
    assert_eq!(bench.server.ledger().billed.len(), 2);
    bench.advance(TimeDelta::days(28));
    let archived = show(&bench, &id);
    assert_eq!(archived["archived_at"], "2026-12-27T12:00:00.000000Z", "29 days from the beginning");
    assert_eq!(archived["results_url"], Value::Null);
    assert_eq!(results(&bench, &id).status, 404);
}

#[test]
fn lists_and_deletion() {
    let bench = Bench::new();
    let ids: Vec<String> = (0..3).map(|_| make(&bench, &requests(1))).collect();
    let page = bench.get("/v1/messages/batches?limit=2");
    assert_eq!(
        (&page.body["first_id"], &page.body["last_id"]),
        (&json!(ids[2]), &json!(ids[1])),
        "newest first"
    );
    assert_eq!(page.body["has_more"], true);
    let rest = bench.get(&format!("/v1/messages/batches?after_id={}", ids[1]));
    assert_eq!((&rest.body["data"][0]["id"], &rest.body["has_more"]), (&json!(ids[0]), &json!(false)));

    let path = format!("/v1/messages/batches/{}", ids[0]);
    assert_eq!(
        bench.call("DELETE", &path, None).error().0,
        "invalid_request_error",
        "not while it is in progress"
    );
    bench.advance(TimeDelta::minutes(10));
    assert_eq!(
        bench.call("DELETE", &path, None).body,
        json!({"id": ids[0], "type": "message_batch_deleted"})
    );
    assert_eq!(bench.get(&path).status, 404);
    assert_eq!(bench.call("DELETE", &path, None).status, 404);
}

#[test]
fn a_batch_is_its_keys_alone() {
    let bench = Bench::with(|script| script.key = String::new());
    let id = make(&bench, &requests(1));
    let headers = [("x-api-key", "another"), ("anthropic-version", "2023-06-01")];
    let get = |path: &str| bench.send("GET", path, &headers, None).unwrap();
    assert_eq!(get(&format!("/v1/messages/batches/{id}")).status, 404);
    assert_eq!(get("/v1/messages/batches").body["data"], json!([]));
}

#[test]
fn the_second_item_reads_what_the_first_has_written() {
    let bench = Bench::new();
    let params = plain(json!({
        "system": [{"type": "text", "text": "s".repeat(3_500), "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    }));
    let items: Vec<Value> =
        (0..3).map(|i| json!({"custom_id": format!("i-{i}"), "params": params})).collect();
    make(&bench, &json!({"requests": items}));
    bench.advance(TimeDelta::minutes(10));
    let ledger = bench.server.ledger();
    let told: Vec<_> =
        ledger.billed.iter().map(|b| (b.usage.cache_write_1h, b.usage.cache_read, b.usage.input)).collect();
    assert_eq!(told, [(1_000, 0, 1), (0, 1_000, 1), (0, 1_000, 1)]);
}

#[test]
fn failures_of_single_items() {
    let bench = Bench::new();
    let on_items = |fault: Fault| fault.on(Calls::BatchItems);
    bench.server.set(on_items(Fault::next(1, Failure::Error(Problem::overloaded()))));
    bench.server.add(on_items(Fault::next(1, Failure::Refusal { category: None })));
    bench.server.add(on_items(Fault::next(1, Failure::Expired)));
    bench.server.add(on_items(Fault::next(1, Failure::MaxTokens)));
    // What happens to connections can not happen here.
    bench.server.add(on_items(Fault::always(Failure::ResetMidway)));
    let id = make(&bench, &requests(5));
    bench.advance(TimeDelta::minutes(10));
    assert_eq!(counts(&show(&bench, &id)), [0, 3, 1, 0, 1]);
    let found = by_id(&results(&bench, &id));
    assert_eq!(found["i-0"]["error"]["error"]["type"], "overloaded_error");
    assert_eq!(found["i-1"]["message"]["stop_reason"], "refusal", "a success that can not be used");
    assert_eq!(found["i-2"], json!({"type": "expired"}));
    assert_eq!(found["i-3"]["message"]["stop_reason"], "max_tokens");
    assert_eq!(found["i-4"]["message"]["stop_reason"], "end_turn");
    assert_eq!(bench.server.ledger().billed.len(), 3);
}

#[test]
fn a_batch_may_be_made_though_its_maker_never_hears_of_it() {
    let bench = Bench::new();
    bench.server.set(Fault::next(1, Failure::ResetMidway).on(Calls::Batches));
    assert!(bench.try_call("POST", "/v1/messages/batches", Some(&requests(1))).is_err());
    assert_eq!(bench.get("/v1/messages/batches").body["data"].as_array().unwrap().len(), 1);
    bench.server.set(Fault::next(1, Failure::ResetBefore).on(Calls::Batches));
    assert!(bench.try_call("POST", "/v1/messages/batches", Some(&requests(1))).is_err());
    assert_eq!(bench.get("/v1/messages/batches").body["data"].as_array().unwrap().len(), 1);
}
