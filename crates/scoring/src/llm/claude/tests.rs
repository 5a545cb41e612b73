use std::time::Duration;

use chrono::TimeZone;
use undertone_core::{Category, CategoryId, Channel, Direction, Kind};

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
    Options { model: model.to_owned(), cache: Some(CacheTime::OneHour), doubled: false }
}

/// What sections 2, 8 and 9 of the reference say of a model: the thinking types it takes, and whether it takes an effort.
struct Family {
    model: &'static str,
    thinking: &'static [&'static str],
    effort: bool,
    /// It thinks when the field is missing, and so needs either the field or room.
    thinks_unasked: bool,
}

const FAMILIES: [Family; 13] = [
    Family {
        model: "claude-haiku-5-5",
        thinking: &["adaptive", "disabled"],
        effort: true,
        thinks_unasked: true,
    },
    Family {
        model: "claude-sonnet-5-5",
        thinking: &["adaptive", "between_tools"],
        effort: true,
        thinks_unasked: true,
    },
    Family { model: "claude-opus-5-5", thinking: &["adaptive"], effort: true, thinks_unasked: true },
    Family { model: "claude-fable-5-1", thinking: &["adaptive"], effort: true, thinks_unasked: true },
    Family { model: "claude-mythos-5-1", thinking: &["adaptive"], effort: true, thinks_unasked: true },
    Family {
        model: "claude-opus-5",
        thinking: &["adaptive", "disabled"],
        effort: true,
        thinks_unasked: true,
    },
    Family {
        model: "claude-sonnet-5",
        thinking: &["adaptive", "disabled"],
        effort: true,
        thinks_unasked: true,
    },
    Family {
        model: "claude-opus-4-8",
        thinking: &["adaptive", "disabled"],
        effort: true,
        thinks_unasked: false,
    },
    Family {
        model: "claude-sonnet-4-6",
        thinking: &["adaptive", "disabled"],
        effort: true,
        thinks_unasked: false,
    },
    Family {
        model: "claude-haiku-4-5",
        thinking: &["enabled", "disabled"],
        effort: false,
        thinks_unasked: false,
    },
    Family {
        model: "claude-haiku-4-5-20251001",
        thinking: &["enabled"],
        effort: false,
        thinks_unasked: false,
    },
    Family { model: "claude-haiku-6", thinking: &[], effort: false, thinks_unasked: true },
    Family { model: "house-model", thinking: &[], effort: false, thinks_unasked: true },
];

/// The keys of an object.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn a_family_without_schemas_is_sent_none() {
    for model in
        ["claude-sonnet-4-20250514", "claude-opus-4-0", "claude-opus-4-1-20250805", "claude-opus-4-1"]
    {
        let body = body(&ask(&[ITEM]), &options(model));
        assert_eq!(keys(&body), ["model", "max_tokens", "system", "messages"], "{model}");
    }
    for model in
        ["claude-haiku-4-5-20251001", "claude-opus-4-5", "claude-sonnet-4-6", "claude-haiku-6", "house"]
    {
        let body = body(&ask(&[ITEM]), &options(model));
        assert_eq!(body["output_config"]["format"]["type"], "json_schema", "{model}");
    }
}

#[test]
fn every_family_is_sent_only_what_it_takes() {
    let categories =
        [Category { id: CategoryId::new("fares").unwrap(), name: "Fares".to_owned(), examples: Vec::new() }];
    for family in FAMILIES {
        for cache in [None, Some(CacheTime::FiveMinutes), Some(CacheTime::OneHour)] {
            let question = Question { categories: &categories, ..ask(&[ITEM]) };
            let body = body(&question, &Options { cache, ..options(family.model) });
            let model = family.model;
            for key in keys(&body) {
                let known = ["model", "max_tokens", "system", "output_config", "messages", "thinking"];
                assert!(known.contains(&key), "{model}: {key}");
            }
            assert_eq!(body["model"], model);
            let thinking = &body["thinking"];
            if !thinking.is_null() {
                assert_eq!(keys(thinking), ["type"]);
                let mode = thinking["type"].as_str().unwrap();
                assert!(family.thinking.contains(&mode), "{model}: {mode}");
            }
            let output = &body["output_config"];
            assert!(keys(output).iter().all(|key| ["format", "effort"].contains(key)), "{model}: {output}");
            assert_eq!(keys(&output["format"]), ["type", "schema"]);
            assert_eq!(output["format"]["type"], "json_schema");
            if !output["effort"].is_null() {
                assert!(family.effort && output["effort"] == "low", "{model}: {output}");
                assert!(thinking.is_null(), "{model}");
            }
            let room = body["max_tokens"].as_u64().unwrap();
            let kept_from_thinking =
                ["disabled", "between_tools"].map(Value::from).contains(&thinking["type"]);
            assert!(
                room >= if family.thinks_unasked && !kept_from_thinking { 3000 } else { 1024 },
                "{model}: {room}"
            );
            let messages = body["messages"].as_array().unwrap();
            assert_eq!(messages.len(), 1, "no prefill");
            assert_eq!((&messages[0]["role"], keys(&messages[0])), (&json!("user"), vec!["role", "content"]));
            let system = body["system"].as_array().unwrap();
            assert_eq!(system.len(), 2);
            for part in system {
                assert_eq!(part["type"], "text");
                match cache {
                    None => assert_eq!(keys(part), ["type", "text"]),
                    Some(time) => {
                        assert_eq!(keys(part), ["type", "text", "cache_control"]);
                        assert_eq!(part["cache_control"], json!({"type": "ephemeral", "ttl": time.as_str()}));
                    }
                }
            }
        }
    }
}

#[test]
fn families_are_told_by_their_ids_whatever_stands_around() {
    for (model, thinking) in [
        ("claude-haiku-5-5", Thinking::Disabled),
        ("us.anthropic.claude-haiku-5-5-v1:0", Thinking::Disabled),
        ("claude-sonnet-5", Thinking::Disabled),
        ("claude-opus-5", Thinking::Disabled),
        ("claude-sonnet-5-5", Thinking::BetweenTools),
        ("Claude-Sonnet-5-5[1m]", Thinking::BetweenTools),
        ("claude-opus-5-5", Thinking::Always),
        ("claude-fable-5-1", Thinking::Always),
        ("claude-fable-5", Thinking::Always),
        ("claude-mythos-5-1", Thinking::Always),
        ("claude-opus-4-8", Thinking::Unasked),
        ("claude-opus-4-5@20251101", Thinking::Unasked),
        ("anthropic/claude-haiku-4.5", Thinking::Unasked),
        ("claude-sonnet-4-20250514", Thinking::Unasked),
        ("claude-sonnet-6", Thinking::Unknown),
        ("claude-haiku-5-6", Thinking::Unknown),
        ("claude-haiku-latest", Thinking::Unknown),
        ("claude-3-5-haiku-20241022", Thinking::Unknown),
        ("gpt-oss", Thinking::Unknown),
        ("", Thinking::Unknown),
    ] {
        assert_eq!(Thinking::of(model), thinking, "{model}");
    }
}

#[test]
fn the_body_is_as_it_was() {
    let items = [ITEM, Item { text: "Danke!", ..ITEM }];
    let mut body = body(&ask(&items), &options("claude-haiku-5-5"));
    // The rubric and the schema have snapshots of their own.
    assert_eq!(body["system"][0]["text"], FROZEN);
    assert_eq!(body["output_config"]["format"]["schema"], schema(&[]));
    body["system"][0]["text"] = json!("(the rubric)");
    body["output_config"]["format"]["schema"] = json!("(the schema)");
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn the_parts_a_provider_keeps_are_the_same_for_every_request() {
    let one = body(&ask(&[ITEM]), &options("claude-haiku-5-5"));
    let three = [ITEM, Item { text: "Other words", ..ITEM }, ITEM];
    let many = body(&ask(&three), &options("claude-haiku-5-5"));
    assert_eq!(one["system"].to_string(), many["system"].to_string());
    assert_eq!(one["output_config"].to_string(), many["output_config"].to_string());
    assert_eq!(one["thinking"], many["thinking"]);
}

#[test]
fn there_is_room_for_every_answer_and_for_thinking_where_it_can_not_be_helped() {
    let room = |model: &str, items, doubled| max_tokens(&Options { doubled, ..options(model) }, items);
    assert_eq!(room("claude-haiku-5-5", 1, false), 1024);
    assert_eq!(room("claude-haiku-5-5", 1, true), 2048);
    assert_eq!(room("claude-haiku-5-5", 10, false), 8200);
    assert_eq!(room("claude-opus-5-5", 1, false), 1024 + 2048 + 256);
    assert_eq!(room("claude-opus-5-5", 1, true), 2 * (1024 + 2048 + 256));
    assert_eq!(room("claude-opus-5-5", usize::MAX, true), MOST_TOKENS);
}

fn read(body: &Value) -> Reply {
    reply(body.to_string().as_bytes(), Some("req_1"), Some(CacheTime::OneHour)).unwrap()
}

fn answered(stop: &Value, content: &Value) -> Outcome {
    read(&json!({"type": "message", "content": content, "stop_reason": stop})).outcome
}

#[test]
fn the_text_is_found_behind_thinking() {
    let told = read(&json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5",
        "content": [{"type": "thinking", "thinking": "", "signature": "x"}, {"type": "text", "text": "{\"answers\":"},
                    {"type": "text", "text": "[]}"}, {"type": "novelty", "text": "no"}],
        "stop_reason": "end_turn", "stop_sequence": null, "stop_details": null,
        "usage": {"input_tokens": 24, "output_tokens": 29, "cache_creation_input_tokens": 1979, "cache_read_input_tokens": 11,
                  "cache_creation": {"ephemeral_5m_input_tokens": 1900, "ephemeral_1h_input_tokens": 79},
                  "output_tokens_details": {"thinking_tokens": 0}, "service_tier": "standard", "server_tool_use": null},
    }));
    assert_eq!(
        told,
        Reply {
            outcome: Outcome::Answer("{\"answers\":[]}".to_owned()),
            usage: Some(Usage {
                input: 24,
                cache_read: 11,
                cache_write_5m: 1900,
                cache_write_1h: 79,
                output: 29
            }),
            model: Some("claude-haiku-5-5".to_owned()),
            request_id: Some("req_1".to_owned()),
        }
    );
}

#[test]
fn every_way_to_stop_means_something() {
    let text = json!([{"type": "text", "text": "{}"}]);
    let answer = || Outcome::Answer("{}".to_owned());
    assert_eq!(answered(&json!("end_turn"), &text), answer());
    assert_eq!(answered(&json!("stop_sequence"), &text), answer());
    assert_eq!(answered(&json!("something_new"), &text), answer());
    assert_eq!(answered(&json!(null), &text), answer());
    assert_eq!(answered(&json!("max_tokens"), &text), Outcome::CutOff);
    assert_eq!(
        answered(&json!("max_tokens"), &json!([{"type": "thinking", "thinking": "hm"}])),
        Outcome::CutOff
    );
    assert_eq!(answered(&json!("model_context_window_exceeded"), &text), Outcome::TooLong);
    assert_eq!(answered(&json!("refusal"), &text), Outcome::Refused { category: None });
    assert_eq!(answered(&json!("tool_use"), &json!([])), Outcome::Nothing { stop: "tool_use".to_owned() });
    assert_eq!(answered(&json!(7), &json!([])), Outcome::Nothing { stop: "none".to_owned() });
    assert_eq!(
        answered(&json!("end_turn"), &json!([{"type": "text", "text": " \n"}, 7])),
        Outcome::Nothing { stop: "end_turn".to_owned() }
    );
    let refusal = read(&json!({
        "content": [], "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "general_harms", "explanation": null},
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }));
    assert_eq!(refusal.outcome, Outcome::Refused { category: Some("general_harms".to_owned()) });
    assert_eq!(refusal.usage.map(Usage::total), Some(6), "a refusal is charged too");
}

#[test]
fn only_two_counts_are_needed_and_none_is_taken_twice() {
    let count = |told: Value, cache| usage(&told, cache);
    let plain = Usage { input: 7, output: 3, ..Usage::default() };
    assert_eq!(count(json!({"input_tokens": 7, "output_tokens": 3}), None), Some(plain));
    let nulls = json!({"input_tokens": 7, "output_tokens": 3, "cache_creation_input_tokens": null,
                       "cache_read_input_tokens": null, "cache_creation": null});
    assert_eq!(count(nulls, Some(CacheTime::OneHour)), Some(plain));
    // Without a breakdown it was written for as long as was asked.
    let written = json!({"input_tokens": 7, "output_tokens": 3, "cache_creation_input_tokens": 100});
    assert_eq!(
        count(written.clone(), Some(CacheTime::OneHour)),
        Some(Usage { cache_write_1h: 100, ..plain })
    );
    assert_eq!(count(written, Some(CacheTime::FiveMinutes)), Some(Usage { cache_write_5m: 100, ..plain }));
    let parted = json!({"input_tokens": 7, "output_tokens": 3, "cache_creation_input_tokens": 100,
                        "cache_creation": {"ephemeral_5m_input_tokens": 90}});
    assert_eq!(
        count(parted, Some(CacheTime::OneHour)),
        Some(Usage { cache_write_5m: 90, cache_write_1h: 10, ..plain })
    );
    for useless in [
        json!(null),
        json!({}),
        json!({"input_tokens": 7}),
        json!({"input_tokens": -7, "output_tokens": 1.5}),
        json!([]),
    ] {
        assert_eq!(count(useless.clone(), None), None, "{useless}");
    }
}

#[test]
fn what_is_no_message_is_unreadable() {
    for (body, detail) in [
        ("<html>", "no JSON"),
        ("[]", "no object"),
        ("{}", "it has no content"),
        (r#"{"content":"words"}"#, "it has no content"),
        (r#"{"type":"error","error":{"type":"overloaded_error"}}"#, "it is the error overloaded_error"),
    ] {
        let error = reply(body.as_bytes(), None, None).unwrap_err();
        assert!(error.detail.starts_with(detail), "{error}");
    }
}

fn fails(status: u16, kind: &str, message: &str) -> Failure {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_9"});
    failed(status, &headers(&[]), body.to_string().as_bytes(), now())
}

#[test]
fn the_table_of_errors() {
    let next = Utc.with_ymd_and_hms(2026, 11, 1, 0, 0, 0).unwrap();
    for (status, word, kind, retry) in [
        (400, "invalid_request_error", FailureKind::BadRequest, Retry::Never),
        (401, "authentication_error", FailureKind::Credentials, Retry::Never),
        (402, "billing_error", FailureKind::Billing, Retry::Never),
        (403, "permission_error", FailureKind::Credentials, Retry::Never),
        (404, "not_found_error", FailureKind::NotFound, Retry::Never),
        (409, "conflict_error", FailureKind::TimedOut, Retry::BackOff),
        (413, "request_too_large", FailureKind::TooLarge, Retry::Never),
        (429, "rate_limit_error", FailureKind::RateLimited, Retry::BackOff),
        (500, "api_error", FailureKind::Server, Retry::BackOff),
        (504, "timeout_error", FailureKind::TimedOut, Retry::BackOff),
        (529, "overloaded_error", FailureKind::Overloaded, Retry::BackOff),
        (500, "overloaded_error", FailureKind::Overloaded, Retry::BackOff),
        (403, "billing_error", FailureKind::Billing, Retry::Never),
        (520, "", FailureKind::Server, Retry::BackOff),
    ] {
        let told = fails(status, word, "words");
        assert_eq!((told.kind, told.retry, told.status), (kind, retry, status), "{status} {word}");
        assert_eq!(told.request_id.as_deref(), Some("req_9"));
    }
    for message in [
        "You have reached your specified API usage limits. You will regain access on 2026-11-01 at 00:00 UTC.",
        "You have reached your specified workspace API usage limits.",
    ] {
        let told = fails(400, "invalid_request_error", message);
        assert_eq!((told.kind, told.retry), (FailureKind::SpendLimit { resumes: next }, Retry::Never));
    }
    let other = fails(
        400,
        "invalid_request_error",
        "max_tokens: you have reached your specified usage limits of fun",
    );
    assert_eq!(other.kind, FailureKind::BadRequest);
}

#[test]
fn a_spend_limit_that_looks_like_a_rate_limit_is_not_asked_again() {
    let body = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "paused",
                      "details": {"error_code": "enforced_spend_limit_reached"}}});
    let body = body.to_string();
    let told = |pairs: &[(&str, &str)]| failed(429, &headers(pairs), body.as_bytes(), now());
    assert!(matches!(told(&[]).kind, FailureKind::SpendLimit { .. }));
    assert_eq!(told(&[("x-should-retry", "true"), ("retry-after", "1")]).retry, Retry::Never);
    let limited = failed(429, &headers(&[("retry-after", "12")]), b"{}", now());
    assert_eq!(limited.retry, Retry::After(Duration::from_secs(12)));
    let torn = failed(529, &headers(&[("request-id", "req_h")]), b"{\"type\":\"err", now());
    assert_eq!((torn.kind, torn.request_id.as_deref()), (FailureKind::Overloaded, Some("req_h")));
}

#[test]
fn rate_limits_are_read_from_every_response() {
    let pairs = [
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-requests-reset", "2026-10-21T07:28:01Z"),
        ("anthropic-ratelimit-input-tokens-remaining", "391000"),
        ("anthropic-ratelimit-output-tokens-limit", "many"),
        ("anthropic-ratelimit-output-tokens-reset", "soon"),
    ];
    let told = rate_limits(&headers(&pairs));
    let resets_at = Some(now() + Duration::from_secs(1));
    assert_eq!(told.requests, Some(Window { limit: Some(4000), remaining: Some(3999), resets_at }));
    assert_eq!(told.input_tokens, Some(Window { remaining: Some(391_000), ..Window::default() }));
    assert_eq!((told.tokens, told.output_tokens), (None, None));
    assert_eq!(rate_limits(&headers(&[])), RateLimits::default());
}

#[test]
fn of_every_model_with_a_price_it_is_known_whether_the_rubric_is_kept() {
    let rubric = frozen_tokens(&Knowledge::default());
    let mut not_kept = Vec::new();
    for listed in undertone_core::usage::price::Prices::built_in().all() {
        let least = cache_minimum(listed.model).unwrap_or_else(|| panic!("{}: no minimum", listed.model));
        if rubric < least && !not_kept.contains(&listed.model.to_owned()) {
            not_kept.push(listed.model.to_owned());
        }
    }
    // A longer rubric, or another model, is to be told of in `docs/service.md` and `doctor`.
    assert_eq!(not_kept, ["claude-haiku-4-5", "claude-opus-4-5", "claude-opus-4-6"]);
    assert_eq!(cache_minimum("us.anthropic.claude-haiku-4-5-20251001-v1:0"), Some(4096));
    assert_eq!((cache_minimum("claude-mythos-5-1"), cache_minimum("gpt-6-mini")), (Some(512), None));
    // What a tenant adds is kept with it.
    let told = Knowledge {
        categories: vec![Category {
            id: CategoryId::new("late").unwrap(),
            name: "Late".repeat(2000),
            examples: Vec::new(),
        }],
        ..Knowledge::default()
    };
    assert!(frozen_tokens(&told) > rubric + 50);
}
