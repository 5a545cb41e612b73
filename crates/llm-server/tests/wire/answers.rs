//! Messages that are answered, and counted tokens.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_llm_server::{Billed, Dialect, ItemSeen, Usage, items, tokens_of};

use crate::bench::{Bench, KEY, ask, plain, schema};

#[test]
fn an_answer_to_the_last_field() {
    let bench = Bench::new();
    let answer = bench.answered(&ask());
    let prompt =
        tokens_of(schema().to_string().len() + "Say how the customer feels.The parcel is late.".len());
    let text = r#"{"score":-35,"label":"negative"}"#;
    assert_eq!(
        answer.body,
        json!({
            "id": "msg_local_00000001",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-5-5",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": null,
            "stop_details": null,
            "usage": {
                "input_tokens": prompt,
                "output_tokens": tokens_of(text.len()),
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens_details": {"thinking_tokens": 0},
                "service_tier": "standard",
                "inference_geo": "local",
                "server_tool_use": null,
            },
        })
    );
    assert_eq!(answer.header("request-id"), Some("req_local_00000001"));
    assert_eq!(
        bench.server.ledger().billed,
        [Billed {
            id: "msg_local_00000001".into(),
            request_id: "req_local_00000001".into(),
            custom_id: None,
            at: bench.now(),
            key: KEY.into(),
            model: "claude-haiku-5-5".into(),
            dialect: Dialect::Messages,
            batched: false,
            usage: Usage { input: prompt, output: tokens_of(text.len()), ..Usage::default() },
            stop_reason: "end_turn",
            delivered: true,
        }]
    );
}

#[test]
fn what_was_sent_is_remembered_as_it_came() {
    let bench = Bench::with(|script| script.remember = 2);
    bench.answered(&ask());
    bench.get("/v1/models?limit=1");
    bench.answered(&ask());
    let seen = bench.server.requests();
    assert_eq!(seen.len(), 2, "the oldest is forgotten");
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("GET", "/v1/models?limit=1"));
    assert_eq!((seen[0].body.as_str(), seen[0].json()), ("", Value::Null));
    assert_eq!(seen[1].json(), ask());
    assert_eq!(seen[1].header("x-api-key"), Some(KEY));
    assert_eq!(seen[1].header("x-none"), None);
    assert_eq!(seen[1].request_id, "req_local_00000003");
    bench.server.forget_requests();
    assert_eq!(bench.server.requests(), []);
}

#[test]
fn the_script_sees_prompt_items_and_schema_and_decides_the_answer() {
    let seen: Arc<Mutex<Vec<ItemSeen>>> = Arc::default();
    let kept = seen.clone();
    let bench = Bench::with(|script| {
        script.items = items::tagged("message");
        script.answer = Arc::new(move |item: &ItemSeen| {
            kept.lock().unwrap().push(item.clone());
            json!({"score": 7})
        });
    });
    let mut body = ask();
    body["messages"] = json!([
        {"role": "user", "content": "An example"},
        {"role": "assistant", "content": "Its answer"},
        {"role": "user", "content": [
            {"type": "text", "text": "<message index=\"4\">One</message>"},
            {"type": "text", "text": "<message index=\"5\">Two</message>"},
        ]},
    ]);
    assert_eq!(bench.answered(&body).words(), r#"{"score":7}"#);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].model, "claude-haiku-5-5");
    assert_eq!(seen[0].system, "Say how the customer feels.");
    assert_eq!(seen[0].user, "<message index=\"4\">One</message>\n<message index=\"5\">Two</message>");
    let found: Vec<(i64, &str)> = seen[0].items.iter().map(|item| (item.index, item.text.as_str())).collect();
    assert_eq!(found, [(4, "One"), (5, "Two")]);
    assert_eq!(seen[0].schema, Some(schema()));
    assert!(!seen[0].batched);
}

#[test]
fn a_script_that_panics_is_an_error_and_not_the_end() {
    let bench = Bench::with(|script| script.answer = Arc::new(|_| panic!("on purpose")));
    assert_eq!(bench.message(&ask()).error(), ("api_error", "the script of this local server panicked"));
    assert_eq!(bench.message(&ask()).status, 500);
    assert_eq!(bench.server.ledger().billed, []);
}

#[test]
fn thinking_takes_tokens_and_a_block_of_its_own() {
    let bench = Bench::with(|script| script.answer = Arc::new(|_| json!("Fine.")));
    let mut body = plain(json!({}));
    body.as_object_mut().unwrap().remove("thinking");
    for (model, config, tokens) in [
        ("claude-haiku-5-5", json!({}), 120),
        ("claude-haiku-5-5", json!({"effort": "low"}), 40),
        ("claude-sonnet-5-5", json!({}), 300),
        ("claude-opus-5-5", json!({"effort": "xhigh"}), 600),
        ("claude-fable-5-1", json!({"effort": "max"}), 0),
        ("claude-sonnet-4-6", json!({}), 0),
    ] {
        // All of 1,024 is less than what `max` takes: nothing is left for words.
        let used_up = config["effort"] == "max";
        body["model"] = json!(model);
        body["output_config"] = config;
        let answer = bench.answered(&body);
        let thinking = if used_up { 1_024 } else { tokens };
        assert_eq!(answer.body["usage"]["output_tokens_details"]["thinking_tokens"], thinking, "{model}");
        let kinds: Vec<&str> =
            answer.body["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect();
        let expected: &[&str] = match (used_up, tokens) {
            (true, _) => &["thinking"],
            (_, 0) => &["text"],
            _ => &["thinking", "text"],
        };
        assert_eq!(kinds, expected, "{model}");
        let output = if used_up { 1_024 } else { tokens + tokens_of("Fine.".len()) };
        assert_eq!(answer.body["usage"]["output_tokens"], output, "{model}");
        assert_eq!(answer.body["stop_reason"], if used_up { "max_tokens" } else { "end_turn" }, "{model}");
    }
    let legacy = json!({"model": "claude-haiku-4-5", "max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}});
    let answer = bench.answered(&plain(legacy));
    assert_eq!(answer.body["usage"]["output_tokens_details"]["thinking_tokens"], 300);
}

#[test]
fn the_cap_cuts_at_a_character() {
    let bench = Bench::with(|script| script.answer = Arc::new(|_| json!("äöüäöüäöü")));
    // Two tokens are seven bytes, and the fourth character would end at the eighth.
    let answer = bench.answered(&plain(json!({"max_tokens": 2})));
    assert_eq!(answer.words(), "äöü");
    assert_eq!(answer.body["stop_reason"], "max_tokens");
    assert_eq!(answer.body["usage"]["output_tokens"], 2);
    let answer = bench.answered(&plain(json!({"max_tokens": 6})));
    assert_eq!((answer.words(), &answer.body["stop_reason"]), ("äöüäöüäöü", &json!("end_turn")));
}

#[test]
fn stop_sequences_end_the_text() {
    let bench = Bench::with(|script| script.answer = Arc::new(|_| json!("one two three")));
    let answer = bench.answered(&plain(json!({"stop_sequences": ["three", " two"]})));
    assert_eq!(answer.words(), "one");
    assert_eq!(answer.body["stop_reason"], "stop_sequence");
    assert_eq!(answer.body["stop_sequence"], " two");
}

#[test]
fn a_forced_tool_is_called_where_the_model_takes_that() {
    let bench = Bench::new();
    let tool = json!({"name": "record", "description": "Records.", "input_schema": schema(), "strict": true});
    for choice in [json!({"type": "tool", "name": "record"}), json!({"type": "any"})] {
        let mut body = plain(json!({"tools": [tool.clone()], "tool_choice": choice}));
        body.as_object_mut().unwrap().remove("thinking");
        let answer = bench.answered(&body);
        assert_eq!(answer.body["stop_reason"], "tool_use");
        assert_eq!(answer.body["content"][0]["type"], "tool_use", "nothing is thought");
        assert_eq!(answer.body["content"][0]["name"], "record");
        assert_eq!(answer.body["content"][0]["input"], json!({"score": 0, "label": "neutral"}));
    }
    let answer = bench.answered(&plain(json!({"tools": [tool], "tool_choice": {"type": "auto"}})));
    assert_eq!(answer.body["stop_reason"], "end_turn");
}

#[test]
fn tokens_are_counted_for_free() {
    let bench = Bench::new();
    let mut body = ask();
    body.as_object_mut().unwrap().remove("max_tokens");
    let counted = bench.call("POST", "/v1/messages/count_tokens", Some(&body));
    let counted = counted.body["input_tokens"].as_u64().unwrap();
    assert_eq!(bench.server.ledger().billed, []);
    assert_eq!(bench.answered(&ask()).body["usage"]["input_tokens"], counted);
    let refused = bench.call("POST", "/v1/messages/count_tokens", Some(&ask()));
    assert_eq!(refused.error(), ("invalid_request_error", "max_tokens: Extra inputs are not permitted"));
}

#[test]
fn latency_is_kept_and_calls_go_side_by_side() {
    let latency = Duration::from_millis(300);
    let bench = Bench::with(|script| script.latency = latency);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| bench.answered(&ask()));
        }
    });
    assert!(begun.elapsed() >= latency);
    assert!(begun.elapsed() < latency * 8, "they waited for one another");
    assert!(bench.server.most_in_flight() > 1);
    assert_eq!(bench.server.in_flight(), 0);
    assert_eq!(bench.server.ledger().delivered().count(), 8);
}

#[test]
fn nobody_takes_it_for_a_model() {
    let bench = Bench::new();
    assert!(bench.send("GET", "/", &[], None).unwrap().text.contains("not a model"));
    let mut body = ask();
    body["output_config"]["format"]["schema"]["properties"]["summary"] = json!({"type": "string"});
    assert!(bench.answered(&body).words().contains("Simulated by word rules, no model"));
}
