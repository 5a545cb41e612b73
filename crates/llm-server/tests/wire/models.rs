//! Which models there are.

use serde_json::json;
use undertone_llm_server::{Calls, Failure, Fault, Problem};

use crate::bench::{Bench, KEY};

#[test]
fn models_of_the_messages_api() {
    let bench = Bench::new();
    let first = bench.get("/v1/models?limit=3");
    let ids = |body: &serde_json::Value| -> Vec<String> {
        body["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&first.body), ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"]);
    assert_eq!(
        (&first.body["has_more"], &first.body["first_id"], &first.body["last_id"]),
        (&json!(true), &json!("claude-haiku-5-5"), &json!("claude-opus-5-5"))
    );
    let rest = bench.get("/v1/models?after_id=claude-opus-5-5");
    assert_eq!((ids(&rest.body).len(), &rest.body["has_more"]), (10, &json!(false)));
    let none = bench.get("/v1/models?before_id=claude-haiku-5-5");
    assert_eq!((&none.body["data"], &none.body["first_id"]), (&json!([]), &json!(null)));
    assert_eq!(bench.get("/v1/models?limit=0").status, 400);

    let haiku = bench.get("/v1/models/claude-haiku-5-5");
    assert_eq!(haiku.body["type"], "model");
    assert_eq!(
        (&haiku.body["max_input_tokens"], &haiku.body["max_tokens"]),
        (&json!(1_000_000), &json!(128_000))
    );
    let can = &haiku.body["capabilities"];
    assert_eq!(
        can["thinking"]["types"],
        json!({"adaptive": {"supported": true}, "enabled": {"supported": false}})
    );
    assert_eq!(can["effort"]["max"], json!({"supported": true}));
    assert!(haiku.body["display_name"].as_str().unwrap().contains("no model"));
    let older = bench.get("/v1/models/claude-haiku-4-5-20251001");
    assert_eq!(older.body["capabilities"]["effort"]["supported"], false);
    let unknown = bench.get("/v1/models/claude-1");
    assert_eq!((unknown.status, unknown.error()), (404, ("not_found_error", "model: claude-1")));
}

#[test]
fn without_the_version_header_they_are_those_of_chat_completions() {
    let bench = Bench::with(|script| script.chat_models = vec!["qwen".into(), "llama".into()]);
    let get =
        |path: &str| bench.send("GET", path, &[("authorization", &format!("Bearer {KEY}"))], None).unwrap();
    let list = get("/v1/models");
    assert_eq!(list.body["object"], "list");
    assert_eq!((&list.body["data"][0]["id"], &list.body["data"][1]["id"]), (&json!("qwen"), &json!("llama")));
    assert_eq!(get("/v1/models/llama").body["object"], "model");
    assert_eq!(get("/v1/models/gpt").body["error"]["code"], "model_not_found");
}

#[test]
fn a_start_up_check_can_fail_too() {
    let bench = Bench::new();
    bench.server.set(Fault::next(1, Failure::Error(Problem::permission())).on(Calls::Models));
    assert_eq!(bench.get("/v1/models").error().0, "permission_error");
    assert_eq!(bench.get("/v1/models").status, 200);
}
