//! The cache to the token, over the wire.

use chrono::TimeDelta;
use serde_json::{Value, json};
use undertone_llm_server::{Failure, Fault, Usage};

use crate::bench::{Bench, plain, until};

/// A system prompt of so many tokens that is to be cached, and a question of four tokens.
fn cached(letter: &str, tokens: usize, ttl: &str) -> Value {
    let text = letter.repeat(tokens * 7 / 2);
    plain(json!({
        "system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}],
        "messages": [{"role": "user", "content": "How is she? :)"}],
    }))
}

#[test]
fn written_read_and_expired_by_the_clock() {
    let bench = Bench::new();
    let ask = cached("s", 1_000, "1h");
    assert_eq!(bench.answered(&ask).prompt(), [0, 1_000, 0, 4]);
    bench.advance(TimeDelta::minutes(59));
    assert_eq!(bench.answered(&ask).prompt(), [1_000, 0, 0, 4]);
    bench.advance(TimeDelta::minutes(59));
    assert_eq!(bench.answered(&ask).prompt(), [1_000, 0, 0, 4], "each hit makes it live on");
    bench.advance(TimeDelta::minutes(60));
    assert_eq!(bench.answered(&ask).prompt(), [0, 1_000, 0, 4]);
    let billed = bench.server.ledger();
    let output = billed.usage().output;
    assert_eq!(
        billed.usage(),
        Usage { input: 16, cache_read: 2_000, cache_write_1h: 2_000, output, ..Usage::default() }
    );
    assert_eq!(billed.usage().prompt(), 4_016);
    assert_eq!(billed.usage().total(), 4_016 + output);
}

#[test]
fn five_minutes_are_the_default() {
    let bench = Bench::new();
    let mut ask = cached("s", 1_000, "5m");
    ask["system"][0]["cache_control"] = json!({"type": "ephemeral"});
    assert_eq!(bench.answered(&ask).prompt(), [0, 0, 1_000, 4]);
    bench.advance(TimeDelta::seconds(299));
    assert_eq!(bench.answered(&ask).prompt(), [1_000, 0, 0, 4]);
    bench.advance(TimeDelta::seconds(300));
    assert_eq!(bench.answered(&ask).prompt(), [0, 0, 1_000, 4]);
}

#[test]
fn every_model_has_its_own_cache_and_minimum() {
    let bench = Bench::new();
    let of = |model: &str, tokens: usize| {
        let mut body = cached("m", tokens, "5m");
        body["model"] = json!(model);
        body.as_object_mut().unwrap().remove("thinking");
        bench.answered(&body).prompt()
    };
    for (model, minimum) in [
        ("claude-haiku-5-5", 512),
        ("claude-sonnet-5-5", 512),
        ("claude-opus-5-5", 512),
        ("claude-opus-5", 512),
        ("claude-sonnet-5", 1_024),
        ("claude-opus-4-8", 1_024),
        ("claude-opus-4-7", 2_048),
        ("claude-haiku-4-5", 4_096),
    ] {
        let least = minimum as usize;
        assert_eq!(of(model, least - 1), [0, 0, 0, minimum + 3], "{model}");
        assert_eq!(of(model, least - 1), [0, 0, 0, minimum + 3], "{model}: nor at the second time");
        assert_eq!(of(model, least), [0, 0, minimum, 4], "{model}");
        assert_eq!(of(model, least), [minimum, 0, 0, 4], "{model}");
    }
}

#[test]
fn what_stands_before_the_mark_must_be_the_same_to_the_byte() {
    let bench = Bench::new();
    let ask = cached("s", 1_000, "5m");
    bench.answered(&ask);
    let mut changed = vec![ask.clone(); 5];
    let text = format!("{}t", "s".repeat(3_499));
    changed[0]["system"][0]["text"] = json!(text);
    changed[1]["model"] = json!("claude-opus-5");
    changed[2]["output_config"] = json!({"format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": false}}});
    changed[3]["tools"] = json!([{"name": "t", "input_schema": {"type": "object"}}]);
    changed[4]["system"] = json!([{"type": "text", "text": "First."}, ask["system"][0]]);
    for body in changed {
        let [read, ..] = bench.answered(&body).prompt();
        assert_eq!(read, 0, "{}", body.to_string().split_at(60).0);
    }
    // What comes after the mark is another matter, and so is whose question it is.
    let mut same = ask;
    same["messages"][0]["content"] = json!("Another question.");
    same["temperature"] = json!(1);
    assert_eq!(bench.answered(&same).prompt()[0], 1_000);
}

#[test]
fn thinking_and_tool_choice_only_change_the_messages() {
    let bench = Bench::new();
    let mut body = cached("s", 1_000, "5m");
    let question = "q".repeat(350);
    body["messages"] = json!([{"role": "user", "content": [{"type": "text", "text": question, "cache_control": {"type": "ephemeral"}}]}]);
    assert_eq!(bench.answered(&body).prompt(), [0, 0, 1_100, 0]);
    assert_eq!(bench.answered(&body).prompt(), [1_100, 0, 0, 0]);
    body["thinking"] = json!({"type": "adaptive"});
    assert_eq!(bench.answered(&body).prompt(), [1_000, 0, 100, 0]);
}

#[test]
fn a_mark_on_the_whole_request_goes_to_its_last_block() {
    let bench = Bench::new();
    let body = plain(json!({
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "system": "s".repeat(3_500),
        "messages": [{"role": "user", "content": "q".repeat(350)}],
    }));
    assert_eq!(bench.answered(&body).prompt(), [0, 1_100, 0, 0]);
    assert_eq!(bench.answered(&body).prompt(), [1_100, 0, 0, 0]);
}

#[test]
fn no_tokens_asked_for_warms_the_cache() {
    let bench = Bench::new();
    let mut body = cached("s", 1_000, "5m");
    body["max_tokens"] = json!(0);
    let answer = bench.answered(&body);
    assert_eq!(answer.prompt(), [0, 0, 1_000, 4]);
    assert_eq!((&answer.body["content"], &answer.body["usage"]["output_tokens"]), (&json!([]), &json!(0)));
    assert_eq!(bench.answered(&cached("s", 1_000, "5m")).prompt(), [1_000, 0, 0, 4]);
}

#[test]
fn who_comes_before_the_first_answer_starts_writes_again() {
    let bench = Bench::new();
    let ask = cached("s", 1_000, "5m");
    bench.server.set(Fault::next(3, Failure::Hold));
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3).map(|_| scope.spawn(|| bench.answered(&ask).prompt())).collect();
        until(|| bench.server.in_flight() == 3);
        bench.server.release();
        for call in calls {
            assert_eq!(call.join().unwrap(), [0, 0, 1_000, 4]);
        }
    });
    assert_eq!(bench.answered(&ask).prompt(), [1_000, 0, 0, 4]);
}

#[test]
fn what_failed_wrote_nothing_and_keys_share_nothing() {
    let bench = Bench::with(|script| script.key = String::new());
    let ask = cached("s", 1_000, "5m");
    bench.server.set(Fault::next(1, Failure::ResetBefore));
    assert!(bench.try_call("POST", "/v1/messages", Some(&ask)).is_err());
    assert_eq!(bench.answered(&ask).prompt(), [0, 0, 1_000, 4]);
    let headers =
        [("x-api-key", "another"), ("anthropic-version", "2023-06-01"), ("content-type", "application/json")];
    let other = bench.send("POST", "/v1/messages", &headers, Some(&ask.to_string())).unwrap();
    assert_eq!(other.prompt(), [0, 0, 1_000, 4]);
    let keys: Vec<String> = bench.server.ledger().billed.into_iter().map(|billed| billed.key).collect();
    assert_eq!(keys, ["local-key", "another"]);
}
