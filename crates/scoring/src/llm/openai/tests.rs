use std::time::Duration;

use undertone_core::{Channel, Direction, Kind, Phrase};

use super::super::Retry;
use super::super::failure::tests::{headers, now};
use super::super::prompt::Item;
use super::*;

const ITEM: Item<'_> = Item {
    text: "It broke again.",
    channel: Channel::Chat,
    direction: Direction::Incoming,
    kind: Kind::Message,
    occurred_at: None,
};

fn ask<'q>(items: &'q [Item<'q>]) -> Question<'q> {
    Question { items, categories: &[], phrases: &[] }
}

fn options(model: &str) -> Options {
    Options { model: model.to_owned(), dialect: Dialect::of(model), doubled: false }
}

#[test]
fn the_body_is_as_it_was_and_holds_what_every_server_takes() {
    let mut body = body(&ask(&[ITEM]), &options("qwen3"));
    assert_eq!(body["messages"][0]["content"], FROZEN);
    assert_eq!(body["response_format"]["json_schema"]["schema"], schema(&[]));
    body["messages"][0]["content"] = json!("(the rubric)");
    body["response_format"]["json_schema"]["schema"] = json!("(the schema)");
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn reasoning_models_are_asked_in_their_own_dialect() {
    for model in ["gpt-5", "gpt-5.5-mini", "openai/o3", "o4-mini", "o1-preview"] {
        assert_eq!(Dialect::of(model), Dialect::Reasoning, "{model}");
    }
    for model in
        ["gpt-4.1", "gpt-oss:20b", "gpt-50", "gpt-5-chat-latest", "qwen3", "o1ive", "mistral/o-large", ""]
    {
        assert_eq!(Dialect::of(model), Dialect::Plain, "{model}");
    }
    let body = body(&ask(&[ITEM]), &options("gpt-5"));
    let keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["model", "messages", "stream", "response_format", "max_completion_tokens", "reasoning_effort"];
    assert_eq!(keys, expected);
    assert_eq!(body["max_completion_tokens"], 1024 + 4096 + 512);
    let doubled = Options { doubled: true, ..options("gpt-5") };
    assert_eq!(max_tokens(&doubled, 1), 2 * (1024 + 4096 + 512));
    assert_eq!(max_tokens(&doubled, usize::MAX), MOST_TOKENS);
    assert_eq!(max_tokens(&options("qwen3"), 1), 1024);
}

#[test]
fn a_tenants_words_follow_the_rubric_in_the_same_message() {
    let phrases = [Phrase { phrase: "sick".to_owned(), shift: 40, urgency: None, category: None }];
    let question = Question { phrases: &phrases, ..ask(&[ITEM]) };
    let body = body(&question, &options("qwen3"));
    let system = body["messages"][0]["content"].as_str().unwrap();
    assert!(system.starts_with(FROZEN) && system.ends_with("- “sick”: moves the score by +40\n"), "{system}");
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(2));
}

fn read(body: &Value) -> Reply {
    reply(body.to_string().as_bytes(), None).unwrap()
}

fn answered(finish: &str, message: &Value) -> Outcome {
    read(&json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})).outcome
}

#[test]
fn a_completion_is_read() {
    let told = read(&json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "qwen3",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "{}", "reasoning_content": "hm", "refusal": null}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109,
                  "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 4}},
    }));
    assert_eq!(
        told,
        Reply {
            outcome: Outcome::Answer("{}".to_owned()),
            usage: Some(Usage { input: 36, cache_read: 64, output: 9, ..Usage::default() }),
            model: Some("qwen3".to_owned()),
            request_id: Some("chatcmpl-1".to_owned()),
        }
    );
    let body = json!({"id": "chatcmpl-1", "choices": [{"message": {"content": "{}"}}]}).to_string();
    assert_eq!(reply(body.as_bytes(), Some("req_2")).unwrap().request_id.as_deref(), Some("req_2"));
}

#[test]
fn every_way_to_finish_means_something() {
    let answer = |text: &str| Outcome::Answer(text.to_owned());
    let nothing = |stop: &str| Outcome::Nothing { stop: stop.to_owned() };
    assert_eq!(answered("stop", &json!({"content": "{}"})), answer("{}"));
    assert_eq!(answered("eos", &json!({"content": "{}"})), answer("{}"));
    assert_eq!(answered("length", &json!({"content": "{"})), Outcome::CutOff);
    assert_eq!(
        answered("stop", &json!({"content": null, "refusal": "I can't"})),
        Outcome::Refused { category: None }
    );
    assert_eq!(answered("stop", &json!({"content": "{}", "refusal": ""})), answer("{}"));
    let filtered = Outcome::Refused { category: Some("content_filter".to_owned()) };
    assert_eq!(answered("content_filter", &json!({"content": ""})), filtered);
    assert_eq!(answered("tool_calls", &json!({"content": null, "tool_calls": []})), nothing("tool_calls"));
    assert_eq!(answered("stop", &json!({"reasoning_content": "{}"})), nothing("stop"));
    let parts =
        json!({"content": [{"type": "text", "text": "{"}, {"type": "image"}, {"type": "text", "text": "}"}]});
    assert_eq!(answered("stop", &parts), answer("{}"));
    assert_eq!(answered("stop", &json!({"content": "\n<think>a {} b</think>\n{}"})), answer("\n{}"));
    assert_eq!(answered("stop", &json!({"content": "<think>never ends"})), nothing("stop"));
}

#[test]
fn counts_are_told_apart_and_none_is_made_up() {
    let plain = Usage { input: 7, output: 3, ..Usage::default() };
    assert_eq!(usage(&json!({"prompt_tokens": 7, "completion_tokens": 3})), Some(plain));
    assert_eq!(
        usage(&json!({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": null})),
        Some(plain)
    );
    let absurd =
        json!({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 900}});
    assert_eq!(usage(&absurd), Some(Usage { input: 0, cache_read: 7, ..plain }));
    for useless in
        [json!(null), json!({"prompt_tokens": 7}), json!({"prompt_tokens": "7", "completion_tokens": 1})]
    {
        assert_eq!(usage(&useless), None, "{useless}");
    }
}

#[test]
fn what_is_no_completion_is_unreadable() {
    for (body, detail) in [
        ("<html>", "no JSON"),
        ("{}", "it has no message"),
        (r#"{"choices":[]}"#, "it has no message"),
        (r#"{"choices":[{"message":"words"}]}"#, "it has no message"),
        (r#"{"error":{"type":"server_error","message":"x"}}"#, "it is the error server_error"),
        (r#"{"error":{"code":"rate_limited"}}"#, "it is the error rate_limited"),
    ] {
        let error = reply(body.as_bytes(), None).unwrap_err();
        assert!(error.detail.starts_with(detail), "{error}");
    }
}

fn fails(status: u16, kind: &str, code: &str, message: &str) -> Failure {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string();
    failed(status, &headers(&[]), body.as_bytes(), now())
}

#[test]
fn errors_are_told_apart() {
    let spent = FailureKind::SpendLimit { resumes: next_month(now()) };
    for (status, kind, code, means, retry) in [
        (429, "requests", "rate_limit_exceeded", FailureKind::RateLimited, Retry::BackOff),
        (429, "insufficient_quota", "insufficient_quota", FailureKind::Billing, Retry::Never),
        (429, "insufficient_quota", "credit_balance_exhausted", FailureKind::Billing, Retry::Never),
        (429, "insufficient_quota", "project_spend_limit_exceeded", spent, Retry::Never),
        (429, "insufficient_quota", "organization_spend_limit_exceeded", spent, Retry::Never),
        (400, "invalid_request_error", "context_length_exceeded", FailureKind::TooLarge, Retry::Never),
        (400, "exceed_context_size_error", "", FailureKind::TooLarge, Retry::Never),
        (400, "", "content_filter", FailureKind::Refused, Retry::Never),
        (400, "invalid_request_error", "", FailureKind::BadRequest, Retry::Never),
        (401, "invalid_request_error", "invalid_api_key", FailureKind::Credentials, Retry::Never),
        (404, "invalid_request_error", "model_not_found", FailureKind::NotFound, Retry::Never),
        (503, "server_error", "", FailureKind::Overloaded, Retry::BackOff),
    ] {
        let told = fails(status, kind, code, "words");
        assert_eq!((told.kind, told.retry), (means, retry), "{status} {kind} {code}");
    }
    let long = fails(400, "BadRequestError", "", "This model's maximum context length is 8192 tokens.");
    assert_eq!(long.kind, FailureKind::TooLarge);
    let limited = failed(429, &headers(&[("retry-after", "20")]), b"slow down", now());
    assert_eq!(limited.retry, Retry::After(Duration::from_secs(20)));
    let numeric = failed(400, &headers(&[]), br#"{"object":"error","message":"bad","code":400}"#, now());
    assert_eq!((numeric.kind, numeric.message.as_deref()), (FailureKind::BadRequest, Some("bad")));
}

#[test]
fn rate_limits_are_read_where_there_are_any() {
    let pairs = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    let told = rate_limits(&headers(&pairs), now());
    let at = |seconds| Some(now() + Duration::from_secs(seconds));
    assert_eq!(told.requests, Some(Window { limit: Some(60), remaining: Some(59), resets_at: at(1) }));
    assert_eq!(told.tokens, Some(Window { limit: None, remaining: Some(149_984), resets_at: at(360) }));
    assert_eq!(rate_limits(&headers(&[]), now()), RateLimits::default());
}
