//! Requests that the real ones refuse.

use serde_json::{Value, json};

use crate::bench::{Bench, KEY, ask, plain, schema};

/// `ask()` with one change.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = ask();
    change(&mut body);
    body
}

fn set(name: &str, value: Value) -> Value {
    with(|body| body[name] = value)
}

fn of_model(model: &str, fields: Value) -> Value {
    let mut body = plain(fields);
    if body["thinking"] == json!({"type": "disabled"}) {
        body.as_object_mut().unwrap().remove("thinking");
    }
    body["model"] = json!(model);
    body
}

fn refused(bench: &Bench, body: &Value, told: &str) {
    let answer = bench.message(body);
    assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    assert_eq!(answer.body["type"], "error");
    assert_eq!(answer.body["request_id"], answer.header("request-id").unwrap());
    let (kind, message) = answer.error();
    assert_eq!(kind, "invalid_request_error");
    assert!(message.contains(told), "{body}: {message}");
}

#[test]
fn headers() {
    let bench = Bench::new();
    let body = ask().to_string();
    let sent = |headers: &[(&str, &str)]| {
        let answer = bench.send("POST", "/v1/messages", headers, Some(&body)).unwrap();
        let message = answer.body["error"]["message"].as_str().unwrap_or_default().to_owned();
        (answer.status, message)
    };
    let (key, version, json) =
        (("x-api-key", KEY), ("anthropic-version", "2023-06-01"), ("content-type", "application/json"));
    let bearer = ("authorization", "Bearer local-key");
    assert_eq!(sent(&[key, version, json]).0, 200);
    assert_eq!(sent(&[bearer, version, json]).0, 200);
    assert_eq!(sent(&[key, version, ("content-type", "application/json; charset=utf-8")]).0, 200);
    for (headers, status, told) in [
        (vec![version, json], 401, "x-api-key header is required"),
        (vec![key, bearer, version, json], 401, "may not both be sent"),
        (vec![("x-api-key", "wrong"), version, json], 401, "invalid x-api-key"),
        (vec![("authorization", "Basic local-key"), version, json], 401, "invalid x-api-key"),
        (vec![key, json], 400, "anthropic-version: header is required"),
        (vec![key, ("anthropic-version", "2020-01-01"), json], 400, "\"2020-01-01\" is not a valid version"),
        (vec![key, version, ("content-type", "text/plain")], 400, "content-type: must be application/json"),
    ] {
        let (told_status, message) = sent(&headers);
        assert_eq!(told_status, status, "{message}");
        assert!(message.contains(told), "{message}");
    }
    assert_eq!(bench.server.ledger().billed.len(), 3, "only what was answered is billed");
}

#[test]
fn addresses_methods_bodies_and_models() {
    let bench = Bench::new();
    let answer = bench.get("/v1/nothing");
    assert_eq!((answer.status, answer.error().0), (404, "not_found_error"));
    let answer = bench.get("/v1/messages");
    assert_eq!((answer.status, answer.error().0), (405, "invalid_request_error"));
    let headers =
        [("x-api-key", KEY), ("anthropic-version", "2023-06-01"), ("content-type", "application/json")];
    let answer = bench.send("POST", "/v1/messages", &headers, Some("{\"model\":")).unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.error().1.contains("not valid JSON"), "{}", answer.text);
    let answer = bench.message(&set("model", json!("claude-haiku-5-5-20261007")));
    assert_eq!(
        (answer.status, answer.error()),
        (404, ("not_found_error", "model: claude-haiku-5-5-20261007"))
    );
    assert_eq!(bench.answered(&of_model("claude-haiku-4-5-20251001", json!({}))).status, 200);
}

#[test]
fn bodies_that_are_too_long() {
    let bench = Bench::with(|script| {
        script.limits.body_bytes = 2_000;
        script.limits.batch_body_bytes = 3_000;
    });
    let long = set("system", json!("x".repeat(3_000)));
    let answer = bench.message(&long);
    assert_eq!((answer.status, answer.error().0), (413, "request_too_large"));
    let batch = json!({"requests": [{"custom_id": "a", "params": long}]});
    assert_eq!(bench.call("POST", "/v1/messages/batches", Some(&batch)).status, 413);
    let batch = json!({"requests": [{"custom_id": "a", "params": set("system", json!("x".repeat(1_900)))}]});
    assert_eq!(bench.call("POST", "/v1/messages/batches", Some(&batch)).status, 200, "batches may be longer");
}

#[test]
fn fields_of_the_request() {
    let bench = Bench::new();
    let without = |name: &str| {
        with(|body| {
            body.as_object_mut().unwrap().remove(name);
        })
    };
    for (body, told) in [
        (json!([]), "Input should be an object"),
        (set("response_format", json!({})), "response_format: Extra inputs are not permitted"),
        (set("output_format", json!({})), "Use 'output_config.format' instead"),
        (without("model"), "model: Field required"),
        (without("max_tokens"), "max_tokens: Field required"),
        (without("messages"), "messages: Field required"),
        (set("model", json!(5)), "model: Input should be a valid string"),
        (set("max_tokens", json!("5")), "max_tokens: Input should be a valid integer"),
        (set("max_tokens", json!(-1)), "greater than or equal to 0"),
        (set("max_tokens", json!(128_001)), "128001 > 128000, which is the maximum"),
        (set("max_tokens", json!(0)), "max_tokens: 0 is not allowed with"),
        (set("stream", json!(true)), "stream: this local server does not stream"),
        (set("metadata", json!({"name": "Ana"})), "metadata.name: Extra inputs"),
        (set("service_tier", json!("fast")), "service_tier: Input should be one of 'auto', 'standard_only'"),
        (set("stop_sequences", json!([" "])), "must contain non-whitespace"),
        (set("output_config", json!({"formats": 1})), "output_config.formats: Extra inputs"),
        (
            set("output_config", json!({"format": {"type": "json_object"}})),
            "output_config.format.type: Input should be one of 'json_schema'",
        ),
        (
            set("output_config", json!({"format": {"type": "json_schema"}})),
            "output_config.format.schema: Field required",
        ),
        (set("output_config", json!({"effort": "extreme"})), "output_config.effort: Input should be one of"),
        (
            set("cache_control", json!({"type": "persistent"})),
            "cache_control.type: Input should be one of 'ephemeral'",
        ),
        (
            set("cache_control", json!({"type": "ephemeral", "ttl": "2h"})),
            "cache_control.ttl: Input should be one of '5m', '1h'",
        ),
    ] {
        refused(&bench, &body, told);
    }
    for fine in [
        set("metadata", json!({"user_id": "6f1c"})),
        set("service_tier", json!("auto")),
        set("stream", json!(false)),
        set("inference_geo", json!("eu")),
    ] {
        bench.answered(&fine);
    }
}

#[test]
fn messages_and_system() {
    let bench = Bench::new();
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    for (body, told) in [
        (set("messages", json!([])), "messages: at least one message is required"),
        (set("messages", json!("Hi")), "messages: Input should be a valid list"),
        (set("messages", json!([{"role": "system", "content": "x"}])), "Unexpected role \"system\""),
        (
            set("messages", json!([{"role": "tool", "content": "x"}])),
            "messages.0.role: Input should be one of 'user', 'assistant'",
        ),
        (
            set("messages", json!([{"role": "assistant", "content": "x"}])),
            "first message must use the \"user\" role",
        ),
        (
            set("messages", json!([{"role": "user", "content": "x", "name": "Ana"}])),
            "messages.0.name: Extra inputs",
        ),
        (set("messages", json!([{"role": "user"}])), "messages.0.content: Field required"),
        (set("messages", user(json!(""))), "messages.0.content: text content must be non-empty"),
        (set("messages", user(json!([]))), "messages.0.content: Input should be a valid string or a list"),
        (set("messages", user(json!([{"type": "image"}]))), "only reads text blocks, not 'image'"),
        (set("messages", user(json!([{"type": "text", "text": ""}]))), "must be non-empty"),
        (
            set("messages", user(json!([{"type": "text", "text": "x", "id": 1}]))),
            "messages.0.content.0.id: Extra inputs",
        ),
        (
            set("messages", json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}])),
            "does not support assistant message prefill",
        ),
        (set("system", json!(5)), "system: Input should be a valid string or list"),
        (set("system", json!([{"type": "text"}])), "system.0.text: Field required"),
        (set("system", json!("x".repeat(3_600_000))), "prompt is too long"),
    ] {
        refused(&bench, &body, told);
    }
    let turns = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "The label is"}]);
    bench.answered(&of_model("claude-haiku-4-5", json!({"messages": turns.clone()})));
    let mut both = of_model("claude-haiku-4-5", json!({"messages": turns}));
    both["output_config"] = json!({"format": {"type": "json_schema", "schema": schema()}});
    refused(&bench, &both, "prefill");
}

#[test]
fn marks_for_the_cache() {
    let bench = Bench::new();
    let block = |ttl: Option<&str>| {
        let mut block = json!({"type": "text", "text": "x"});
        if let Some(ttl) = ttl {
            block["cache_control"] = json!({"type": "ephemeral", "ttl": ttl});
        }
        block
    };
    let system = |ttls: &[Option<&str>]| set("system", ttls.iter().map(|ttl| block(*ttl)).collect());
    bench.answered(&system(&[Some("1h"), Some("1h"), Some("5m"), Some("5m")]));
    refused(
        &bench,
        &system(&[Some("5m"); 5]),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    );
    refused(&bench, &system(&[Some("5m"), None, Some("1h")]), "must not come after a ttl='5m'");
    let mut auto = system(&[Some("5m"); 4]);
    auto["cache_control"] = json!({"type": "ephemeral"});
    refused(&bench, &auto, "Found 5.");
}

#[test]
fn settings_that_a_family_of_models_refuses() {
    let bench = Bench::new();
    let thinking =
        |model: &str, value: Value| of_model(model, json!({"thinking": value, "max_tokens": 4_000}));
    let disabled = |model: &str, effort: &str| {
        let mut body = of_model(model, json!({"output_config": {"effort": effort}}));
        body["thinking"] = json!({"type": "disabled"});
        body
    };
    let field = |model: &str, name: &str, value: f64| of_model(model, json!({name: value}));
    for (body, told) in [
        (disabled("claude-haiku-5-5", "xhigh"), "thinking can not be disabled at effort 'xhigh'"),
        (
            disabled("claude-sonnet-5-5", "low"),
            "\"thinking.type.disabled\" is not supported for claude-sonnet-5-5; it takes 'adaptive', 'between_tools'",
        ),
        (disabled("claude-opus-5-5", "low"), "is not supported for claude-opus-5-5"),
        (disabled("claude-fable-5-1", "low"), "is not supported for claude-fable-5-1"),
        (
            thinking("claude-haiku-5-5", json!({"type": "enabled", "budget_tokens": 2_000})),
            "\"thinking.type.enabled\" is not supported",
        ),
        (
            thinking("claude-sonnet-5-5", json!({"type": "enabled", "budget_tokens": 2_000})),
            "\"thinking.type.enabled\" is not supported",
        ),
        (
            thinking("claude-haiku-5-5", json!({"type": "between_tools"})),
            "\"thinking.type.between_tools\" is not supported",
        ),
        (
            thinking("claude-haiku-5-5", json!({"type": "adaptive", "budget_tokens": 2_000})),
            "thinking.budget_tokens: Extra inputs",
        ),
        (
            thinking("claude-haiku-5-5", json!({"type": "adaptive", "display": "all"})),
            "thinking.display: Input should be one of",
        ),
        (
            thinking("claude-haiku-4-5", json!({"type": "adaptive"})),
            "\"thinking.type.adaptive\" is not supported",
        ),
        (thinking("claude-haiku-4-5", json!({"type": "enabled"})), "thinking.budget_tokens: Field required"),
        (
            thinking("claude-haiku-4-5", json!({"type": "enabled", "budget_tokens": 1_000})),
            "greater than or equal to 1024",
        ),
        (
            thinking("claude-haiku-4-5", json!({"type": "enabled", "budget_tokens": 4_000})),
            "must be greater than `thinking.budget_tokens`",
        ),
        (
            of_model("claude-haiku-4-5", json!({"output_config": {"effort": "low"}})),
            "effort 'low' is not supported for claude-haiku-4-5",
        ),
        (field("claude-haiku-5-5", "temperature", 0.0), "temperature: not supported for claude-haiku-5-5"),
        (field("claude-haiku-5-5", "top_p", 1.0), "top_p: not supported for claude-haiku-5-5"),
        (
            of_model("claude-haiku-5-5", json!({"temperature": 1, "top_p": 0.99})),
            "top_p: not supported for claude-haiku-5-5",
        ),
        (of_model("claude-haiku-5-5", json!({"top_k": 40})), "top_k: not supported for claude-haiku-5-5"),
        (field("claude-sonnet-5-5", "temperature", 0.5), "temperature: not supported for claude-sonnet-5-5"),
        (of_model("claude-opus-5-5", json!({"top_k": 1})), "top_k: not supported for claude-opus-5-5"),
        (field("claude-haiku-4-5", "temperature", 1.5), "temperature: Input should be between 0 and 1"),
        (of_model("claude-haiku-4-5", json!({"temperature": 0.5, "top_p": 0.5})), "cannot both be specified"),
        (
            of_model(
                "claude-haiku-4-5",
                json!({"temperature": 0, "max_tokens": 4_000, "thinking": {"type": "enabled", "budget_tokens": 2_000}}),
            ),
            "may only be set to 1 when thinking is enabled",
        ),
    ] {
        refused(&bench, &body, told);
    }
    for fine in [
        disabled("claude-haiku-5-5", "high"),
        thinking("claude-sonnet-5-5", json!({"type": "between_tools"})),
        thinking("claude-opus-5-5", json!({"type": "adaptive", "display": "omitted"})),
        field("claude-haiku-5-5", "temperature", 1.0),
        field("claude-haiku-5-5", "top_p", 0.99),
        of_model("claude-sonnet-5-5", json!({"temperature": 1, "top_p": 0.99})),
        of_model("claude-haiku-4-5", json!({"temperature": 0, "top_k": 5})),
    ] {
        bench.answered(&fine);
    }
}

#[test]
fn tools_and_their_choice() {
    let bench = Bench::new();
    let tool = |name: &str| json!({"name": name, "input_schema": schema(), "strict": true});
    let with_tools = |model: &str, tools: Value, choice: Value| {
        of_model(model, json!({"tools": tools, "tool_choice": choice}))
    };
    let forced = json!({"type": "tool", "name": "record"});
    let not_forced = "tool_choice: type \"tool\" and \"any\" are not supported for this model.";
    let mut thinks = with_tools("claude-haiku-5-5", json!([tool("record")]), forced.clone());
    thinks["thinking"] = json!({"type": "adaptive"});
    for (body, told) in [
        (with_tools("claude-sonnet-5-5", json!([tool("record")]), forced.clone()), not_forced),
        (with_tools("claude-opus-5-5", json!([tool("record")]), json!({"type": "any"})), not_forced),
        (with_tools("claude-fable-5-1", json!([tool("record")]), forced.clone()), not_forced),
        (thinks, "Thinking may not be enabled when tool_choice forces tool use."),
        (
            with_tools("claude-haiku-5-5", json!([]), json!({"type": "auto"})),
            "only be specified while providing tools",
        ),
        (with_tools("claude-haiku-5-5", json!([tool("other")]), forced), "Tool 'record' not found"),
        (
            with_tools("claude-haiku-5-5", json!([tool("record")]), json!({"type": "none", "name": "x"})),
            "tool_choice.name: Extra inputs",
        ),
        (
            with_tools("claude-haiku-5-5", json!([tool("a b")]), json!({"type": "auto"})),
            "tools.0.name: String should match",
        ),
        (
            with_tools("claude-haiku-5-5", json!([tool("a"), tool("a")]), json!({"type": "auto"})),
            "Tool names must be unique",
        ),
        (
            of_model("claude-haiku-5-5", json!({"tools": [{"type": "bash_20250124", "name": "bash"}]})),
            "only has tools of the type 'custom'",
        ),
        (
            of_model("claude-haiku-5-5", json!({"tools": [{"name": "a", "input_schema": 5}]})),
            "tools.0.input_schema: Input should be an object",
        ),
        (
            of_model(
                "claude-haiku-5-5",
                json!({"tools": [{"name": "a", "input_schema": {"type": "object"}, "strict": true}]}),
            ),
            "must be explicitly set to false",
        ),
    ] {
        refused(&bench, &body, told);
    }
    let counted = json!({
        "model": "claude-sonnet-5-5", "tools": [tool("record")], "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": "x"}],
    });
    let answer = bench.call("POST", "/v1/messages/count_tokens", Some(&counted));
    assert_eq!((answer.status, answer.error().1), (400, not_forced), "counting refuses the same");
}

#[test]
fn schemas_and_their_limits_over_the_whole_request() {
    let bench = Bench::new();
    refused(
        &bench,
        &with(|body| {
            body["output_config"]["format"]["schema"]["properties"]["score"]["maximum"] = json!(100);
        }),
        "output_config.format.schema.properties.score.maximum: For 'integer' type, property 'maximum' is not supported",
    );
    // Twelve optional properties in the answer and thirteen in a tool are one too many.
    let optional = |count: usize| {
        let properties: serde_json::Map<String, Value> =
            (0..count).map(|i| (format!("p{i}"), json!({"type": "string"}))).collect();
        json!({"type": "object", "additionalProperties": false, "properties": properties})
    };
    let both = |in_tool: usize| {
        let mut body =
            set("tools", json!([{"name": "t", "strict": true, "input_schema": optional(in_tool)}]));
        body["output_config"]["format"]["schema"] = optional(12);
        body
    };
    bench.answered(&both(12));
    refused(&bench, &both(13), "Schema is too complex for compilation");
}
