//! Rate limits and their headers.

use chrono::TimeDelta;
use serde_json::json;

use crate::bench::{Bench, KEY, ask, plain};

#[test]
fn requests_per_minute() {
    let bench = Bench::with(|script| script.limits.requests_per_minute = 2);
    bench.answered(&ask());
    let second = bench.answered(&ask());
    assert_eq!(second.header("anthropic-ratelimit-requests-limit"), Some("2"));
    assert_eq!(second.header("anthropic-ratelimit-requests-remaining"), Some("0"));
    assert_eq!(second.header("anthropic-ratelimit-requests-reset"), Some("2026-11-28T12:01:00Z"));
    for name in ["tokens", "input-tokens", "output-tokens"] {
        for what in ["limit", "remaining", "reset"] {
            assert!(second.header(&format!("anthropic-ratelimit-{name}-{what}")).is_some(), "{name} {what}");
        }
    }
    let refused = bench.message(&ask());
    assert_eq!((refused.status, refused.error().0), (429, "rate_limit_error"));
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(refused.body["error"]["details"], json!(null));
    assert_eq!(refused.header("anthropic-ratelimit-requests-remaining"), Some("0"), "on errors too");
    bench.advance(TimeDelta::seconds(30));
    bench.answered(&ask());
    assert_eq!(bench.server.ledger().billed.len(), 3);
}

#[test]
fn what_is_read_from_the_cache_does_not_count() {
    let bench = Bench::with(|script| script.limits.input_tokens_per_minute = 2_000);
    let body = plain(json!({
        "system": [{"type": "text", "text": "s".repeat(5_250), "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "q".repeat(350)}],
    }));
    assert_eq!(bench.answered(&body).prompt(), [0, 0, 1_500, 100]);
    for _ in 0..4 {
        assert_eq!(bench.answered(&body).prompt(), [1_500, 0, 0, 100]);
    }
    let refused = bench.message(&body);
    assert_eq!(refused.header("retry-after"), Some("3"), "100 tokens at 2,000 a minute");
}

#[test]
fn what_was_written_counts_afterwards() {
    let bench = Bench::with(|script| {
        script.limits.output_tokens_per_minute = 60;
        script.answer = std::sync::Arc::new(|_| json!("x".repeat(350)));
    });
    bench.answered(&plain(json!({})));
    let refused = bench.message(&plain(json!({})));
    assert_eq!(refused.header("retry-after"), Some("41"), "40 too many and 1, at 1 a second");
    assert_eq!(refused.header("anthropic-ratelimit-output-tokens-remaining"), Some("0"));
    bench.advance(TimeDelta::seconds(41));
    bench.answered(&plain(json!({})));
}

#[test]
fn counting_has_a_limit_of_its_own_and_keys_have_theirs() {
    let bench = Bench::with(|script| {
        script.key = String::new();
        script.limits.count_requests_per_minute = 1;
        script.limits.requests_per_minute = 1;
    });
    let count = json!({"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(bench.call("POST", "/v1/messages/count_tokens", Some(&count)).status, 200);
    assert_eq!(bench.call("POST", "/v1/messages/count_tokens", Some(&count)).status, 429);
    bench.answered(&ask());
    assert_eq!(bench.message(&ask()).status, 429);
    let headers =
        [("x-api-key", "another"), ("anthropic-version", "2023-06-01"), ("content-type", "application/json")];
    assert_eq!(bench.send("POST", "/v1/messages", &headers, Some(&ask().to_string())).unwrap().status, 200);
}

#[test]
fn chat_completions_have_headers_of_their_own_names() {
    let bench = Bench::with(|script| script.limits.requests_per_minute = 60);
    let body = json!({"model": "local-model", "messages": [{"role": "user", "content": "x"}]});
    let answer = bench.chat(&body);
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("59"));
    assert_eq!(answer.header("x-ratelimit-reset-requests"), Some("1000ms"));
    assert!(answer.header("x-ratelimit-remaining-tokens").is_some());
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), None);
    let headers = [("authorization", format!("Bearer {KEY}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let listed = bench.send("GET", "/v1/models", &headers, None).unwrap();
    assert_eq!(listed.header("x-ratelimit-remaining-requests"), Some("59"), "looking costs nothing");
}
