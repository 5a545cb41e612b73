//! Chat completions.

use serde_json::{Value, json};
use undertone_llm_server::{Dialect, Failure, Fault, Problem, Usage, tokens_of};

use crate::bench::{Answer, Bench, KEY, schema};

fn ask() -> Value {
    json!({
        "model": "local-model",
        "max_tokens": 1_024,
        "temperature": 0,
        "seed": 7,
        "stream": false,
        "messages": [
            {"role": "system", "content": "Say how the customer feels."},
            {"role": "user", "content": "Thank you!"},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "score", "strict": true, "schema": schema()},
        },
    })
}

fn set(name: &str, value: Value) -> Value {
    let mut body = ask();
    body[name] = value;
    body
}

fn content(answer: &Answer) -> &Value {
    &answer.body["choices"][0]["message"]["content"]
}

#[test]
fn a_completion_to_the_last_field() {
    let bench = Bench::new();
    let answer = bench.chat(&ask());
    let prompt = tokens_of(schema().to_string().len() + "Say how the customer feels.Thank you!".len());
    let text = r#"{"score":35,"label":"positive"}"#;
    let output = tokens_of(text.len());
    assert_eq!(
        answer.body,
        json!({
            "id": "chatcmpl-local-00000001",
            "object": "chat.completion",
            "created": bench.now().timestamp(),
            "model": "local-model",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": output,
                "total_tokens": prompt + output,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        })
    );
    assert_eq!(answer.header("x-request-id"), Some("req_local_00000001"));
    let billed = &bench.server.ledger().billed[0];
    assert_eq!((billed.dialect, billed.stop_reason), (Dialect::ChatCompletions, "stop"));
    assert_eq!(billed.usage, Usage { input: prompt, output, ..Usage::default() });
}

#[test]
fn prompt_tokens_include_those_from_the_cache() {
    let bench = Bench::new();
    let mut body = set("response_format", json!({"type": "text"}));
    // 1,200 tokens before the question; the cache knows steps of 128.
    body["messages"][0]["content"] = json!("s".repeat(4_200));
    body["messages"][1]["content"] = json!("q".repeat(35));
    let told = |answer: &Answer| {
        let usage = &answer.body["usage"];
        [&usage["prompt_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]]
            .map(|n| n.as_u64().unwrap())
    };
    assert_eq!(told(&bench.chat(&body)), [1_210, 0]);
    body["messages"][1]["content"] = json!("r".repeat(35));
    assert_eq!(told(&bench.chat(&body)), [1_210, 1_152]);
    let usage = bench.server.ledger().billed[1].usage;
    assert_eq!((usage.input, usage.cache_read, usage.prompt()), (58, 1_152, 1_210));
}

#[test]
fn other_ways_to_ask_for_json() {
    let bench = Bench::new();
    let mut body = ask();
    body.as_object_mut().unwrap().remove("response_format");
    let expected = json!(r#"{"score":35,"label":"positive"}"#);
    body["structured_outputs"] = json!({"json": schema()});
    assert_eq!(content(&bench.chat(&body)), &expected);
    body.as_object_mut().unwrap().remove("structured_outputs");
    body["response_format"] = json!({"type": "json_object", "schema": schema()});
    assert_eq!(content(&bench.chat(&body)), &expected);
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "loose", "schema": {"type": "object", "properties": {"score": {"type": "integer", "maximum": 100}}}}});
    assert_eq!(content(&bench.chat(&body)), &json!(r#"{"score":35}"#), "without strict any schema will do");
    body["messages"][1]["content"] = json!([{"type": "text", "text": "Thank you!"}]);
    assert_eq!(content(&bench.chat(&body)), &json!(r#"{"score":35}"#));
}

#[test]
fn what_is_refused() {
    let bench = Bench::new();
    let mut optional = ask();
    optional["response_format"]["json_schema"]["schema"]["required"] = json!(["score"]);
    let mut open = ask();
    open["response_format"]["json_schema"]["schema"]["additionalProperties"] = json!(true);
    let mut name = ask();
    name["response_format"]["json_schema"]["name"] = json!("a b");
    for (body, param) in [
        (set("output_config", json!({})), "output_config"),
        (set("messages", json!([{"role": "system", "content": "x"}])), "messages"),
        (set("messages", json!([{"role": "tool", "content": "x"}])), "messages.0.role"),
        (set("messages", json!([{"role": "user", "content": null}])), "messages.0.content"),
        (
            set("messages", json!([{"role": "user", "content": [{"type": "image_url"}]}])),
            "messages.0.content.0.type",
        ),
        (set("max_tokens", json!(0)), "max_tokens"),
        (set("max_completion_tokens", json!(5)), "max_tokens"),
        (set("temperature", json!(2.5)), "temperature"),
        (set("top_p", json!(-1)), "top_p"),
        (set("n", json!(2)), "n"),
        (set("stream", json!(true)), "stream"),
        (set("stop", json!([1])), "stop"),
        (set("reasoning_effort", json!("huge")), "reasoning_effort"),
        (set("structured_outputs", json!({"grammar": "x"})), "structured_outputs.grammar"),
        (set("response_format", json!({"type": "json_schema"})), "response_format.json_schema"),
        (set("response_format", json!({"type": "yaml"})), "response_format.type"),
        (optional, "response_format.json_schema.schema"),
        (open, "response_format.json_schema.schema.additionalProperties"),
        (name, "response_format.json_schema.name"),
    ] {
        let answer = bench.chat(&body);
        assert_eq!(answer.status, 400, "{param}: {}", answer.text);
        let error = &answer.body["error"];
        assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!(param)));
        assert_eq!(error["code"], Value::Null);
    }
    let unknown = bench.chat(&set("model", json!("gpt")));
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.body,
        json!({"error": {"message": "The model `gpt` does not exist", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}})
    );
}

#[test]
fn keys() {
    let json = ("content-type", "application/json");
    let body = ask().to_string();
    let status = |bench: &Bench, headers: &[(&str, &str)]| {
        let answer = bench.send("POST", "/v1/chat/completions", headers, Some(&body)).unwrap();
        (answer.status, answer.body["error"]["code"].as_str().map(str::to_owned))
    };
    let bench = Bench::new();
    let invalid = Some("invalid_api_key".to_owned());
    assert_eq!(status(&bench, &[json]), (401, invalid.clone()));
    assert_eq!(status(&bench, &[json, ("x-api-key", KEY)]), (401, invalid.clone()), "not this one's header");
    assert_eq!(status(&bench, &[json, ("authorization", "Bearer wrong")]), (401, invalid));
    let open = Bench::with(|script| script.key = String::new());
    assert_eq!(status(&open, &[json]), (200, None), "a server of one's own");
    assert_eq!(status(&open, &[json, ("authorization", "Bearer any")]), (200, None));
}

#[test]
fn failures_in_this_format() {
    let bench = Bench::new();
    let after = |failure: Failure| {
        bench.server.set(Fault::next(1, failure));
        bench.chat(&ask())
    };
    let finish = |answer: &Answer| answer.body["choices"][0]["finish_reason"].clone();
    assert_eq!(finish(&after(Failure::MaxTokens)), "length");
    let refused = after(Failure::Refusal { category: Some("general_harms") });
    assert_eq!((content(&refused), finish(&refused)), (&Value::Null, json!("stop")));
    assert!(refused.body["choices"][0]["message"]["refusal"].as_str().unwrap().contains("general_harms"));
    let filtered = after(Failure::Refusal { category: None });
    assert_eq!((content(&filtered), finish(&filtered)), (&Value::Null, json!("content_filter")));
    assert!(content(&after(Failure::NotJson)).as_str().unwrap().starts_with("Here is"));
    for (problem, status, kind, code) in [
        (Problem::billing(), 402, "insufficient_quota", Some("insufficient_quota")),
        (
            Problem::rate_limited(std::time::Duration::from_secs(3)),
            429,
            "rate_limit_error",
            Some("rate_limit_exceeded"),
        ),
        (Problem::spend_limit(), 429, "insufficient_quota", Some("insufficient_quota")),
        (Problem::internal(), 500, "server_error", None),
    ] {
        let answer = after(Failure::Error(problem));
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["type"], &error["code"]), (status, &json!(kind), &json!(code)));
    }
    let mut free = ask();
    free.as_object_mut().unwrap().remove("max_tokens");
    free["stop"] = json!("}");
    assert_eq!(content(&bench.chat(&free)), &json!(r#"{"score":35,"label":"positive""#));
    bench.server.set(Fault::next(1, Failure::MaxTokens));
    let cut = bench.chat(&free);
    let length = content(&cut).as_str().unwrap().len();
    assert_eq!(cut.body["usage"]["completion_tokens"], tokens_of(length), "no cap to bill in full");
}
