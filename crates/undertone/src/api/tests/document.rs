//! The OpenAPI document is held to the route table and to real answers.

use serde_json::{Value, json};

use super::{Answer, Bench};
use crate::api::ROUTES;

/// Checks an answer against what the document says of it.
pub(super) fn assert_documented(document: &Value, method: &str, path: &str, answer: &Answer) {
    let response = &document["paths"][path][method.to_lowercase()]["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{method} {path}: {} is not documented", answer.status);
    let Some((_, content)) = response["content"].as_object().and_then(|content| content.iter().next()) else {
        return;
    };
    let schema = json!({"$ref": "#/$here", "$here": content["schema"], "components": document["components"]});
    let validator = jsonschema::validator_for(&schema).unwrap();
    let body = answer.json();
    let errors: Vec<String> =
        validator.iter_errors(&body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{method} {path}: {errors:?} in {body}");
}

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let bench = Bench::open().await;
    let item = json!({"external_id": "1", "text": "Third week without an answer. I am about to give up on you.", "customer": {"id": "ana", "name": "Ana"}});
    for (body, status) in
        [(item.clone(), 201), (item.clone(), 200), (json!({"text": 1}), 422), (json!([item]), 200)]
    {
        let answer = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&body)).await;
        assert_eq!(answer.status, status);
        assert_documented(&document, "POST", "/api/v1/interactions", &answer);
    }
    bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"text": "Hi"}))).await;
    bench
        .call(
            "POST",
            "/api/v1/interactions",
            "ut_mine",
            Some(&json!({"text": "And still nothing, I am furious.", "customer": "ana"})),
        )
        .await;
    bench.settled(&bench.mine).await;
    super::ai_usage::some_calls(&bench, &bench.mine).await;
    let id =
        bench.get("/api/v1/interactions?external_id=1").await["items"][0]["id"].as_str().unwrap().to_owned();
    for (method, path, query, body) in [
        ("GET", "/api/v1/interactions", "", None),
        ("GET", "/api/v1/interactions/{id}", "", None),
        ("PUT", "/api/v1/customers/{id}", "", Some(json!({"phone": "1", "attributes": {"a": 1}}))),
        ("GET", "/api/v1/customers/{id}", "", None),
        ("GET", "/api/v1/customers/{id}/sentiment", "", None),
        ("PUT", "/api/v1/customers/{id}/opt-out", "", None),
        ("DELETE", "/api/v1/customers/{id}/opt-out", "", None),
        ("PUT", "/api/v1/accounts/{id}", "", Some(json!({"name": "Acme"}))),
        ("PUT", "/api/v1/agents/{id}", "", Some(json!({"team": "north"}))),
        ("PUT", "/api/v1/teams/{id}", "", Some(json!({"name": "North"}))),
        ("PUT", "/api/v1/conversations/{id}", "", Some(json!({"tags": ["vip"]}))),
        ("GET", "/api/v1/escalations", "", None),
        ("GET", "/api/v1/overview", "", None),
        ("GET", "/api/v1/ai-usage", "?group=model", None),
        ("GET", "/api/v1/ai-budget", "", None),
        ("GET", "/api/v1/ai-calls", "", None),
        ("GET", "/api/v1/cascade", "", None),
        ("GET", "/api/v1/cascade/advice", "?daily_tokens=50000", None),
        ("GET", "/api/v1/settings", "", None),
        ("PUT", "/api/v1/settings", "", Some(json!({"alert_threshold": -40}))),
        ("DELETE", "/api/v1/settings", "", None),
        ("PUT", "/api/v1/llm-model", "", Some(json!({"default": "claude-sonnet-5-5"}))),
        ("GET", "/api/v1/llm-model", "", None),
        ("GET", "/api/v1/module", "", None),
        ("POST", "/api/v1/module/deactivate", "", None),
        ("POST", "/api/v1/module/activate", "", None),
        ("POST", "/api/v1/score", "", Some(json!({"text": "Third week without an answer."}))),
        ("POST", "/api/v1/score", "", Some(json!({"text": "Hi"}))),
        ("GET", "/api/v1/calibration", "", None),
        (
            "POST",
            "/api/v1/calibration/labels",
            "",
            Some(json!({"text": "Where is my parcel?", "label": "neutral"})),
        ),
        ("DELETE", "/api/v1/calibration/labels", "", None),
        ("PUT", "/api/v1/provider-keys/{provider}", "", Some(json!({"key": "a-key-of-a-test-0123"}))),
        ("GET", "/api/v1/provider-keys", "", None),
        ("DELETE", "/api/v1/provider-keys/{provider}", "", None),
        ("GET", "/api/v1/provider-keys", "", None),
        ("POST", "/api/v1/calibration/revert", "", None),
        (
            "POST",
            "/crm/api/log-interaction.php",
            "",
            Some(json!({"notes": "Called again.", "interaction_id": 5})),
        ),
        ("GET", "/crm/api/sentiment.php", "?action=customer_rollup&customer_id=ana", None),
        ("GET", "/crm/api/sentiment.php", "?action=escalation_queue", None),
        ("GET", "/crm/api/sentiment.php", "?action=x", None),
        ("GET", "/tenant-admin/api/sentiment-settings.php", "", None),
        ("POST", "/tenant-admin/api/sentiment-settings.php", "?action=reset", Some(json!({}))),
        ("POST", "/api/v2/interactions", "", Some(json!({"text": "From the other app."}))),
        ("GET", "/readyz", "", None),
    ] {
        let real = path.replace("{id}", if path.contains("interactions") { &id } else { "ana" });
        let real = real.replace("{provider}", "claude");
        let answer = bench.call(method, &format!("{real}{query}"), "ut_mine", body.as_ref()).await;
        assert!(answer.status < 300 || query == "?action=x", "{method} {real}: {}", answer.text);
        assert_documented(&document, method, path, &answer);
        let without = bench.call(method, &format!("{real}{query}"), "", body.as_ref()).await;
        if path != "/readyz" {
            assert_documented(&document, method, path, &without);
        }
    }
}

#[tokio::test]
async fn backfills_are_what_the_document_says() {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let bench = Bench::open().await;
    let texts = ["Third week without an answer. I am about to give up on you.", "Hi"];
    for text in texts {
        bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"text": text}))).await;
    }
    bench.settled(&bench.mine).await;
    let interaction =
        bench.get("/api/v1/interactions?state=scored").await["items"][0]["id"].as_str().unwrap().to_owned();
    let all = "/api/v1/backfills";
    let one = format!("{all}/{{id}}");
    let call = async |method: &str, path: &str, id: &str, body: Option<Value>, status: u16| {
        let answer = bench.call(method, &path.replace("{id}", id), "ut_mine", body.as_ref()).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_documented(&document, method, path, &answer);
        answer.json()
    };
    let ended = async |id: &str| {
        for _ in 0..600 {
            if bench.get(&format!("{all}/{id}")).await["report"].is_object() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("it did not end within 12 s");
    };
    call("POST", all, "", Some(json!({})), 200).await;
    call("POST", all, "", Some(json!({"scorer": "claude", "mode": "refresh"})), 200).await;
    call("POST", all, "", Some(json!({"batch_size": 0})), 422).await;
    call("POST", all, "", Some(json!({"customer": "nobody"})), 404).await;
    for body in
        [json!({"include": ["too_short"], "confirm": true}), json!({"mode": "refresh", "confirm": true})]
    {
        let begun = call("POST", all, "", Some(body), 202).await;
        let id = begun["run"]["id"].as_str().unwrap();
        ended(id).await;
        call("GET", &one, id, None, 200).await;
        for word in ["pause", "resume", "cancel"] {
            call("POST", &format!("{one}/{word}"), id, None, 409).await;
            call("POST", &format!("{one}/{word}"), "x", None, 404).await;
        }
    }
    let again = "/api/v1/interactions/{id}/rescore";
    let begun = call("POST", again, &interaction, Some(json!({"scorer": "local"})), 202).await;
    ended(begun["id"].as_str().unwrap()).await;
    call("POST", again, "x", Some(json!({})), 404).await;
    call("POST", again, &interaction, Some(json!({"scorer": 1})), 422).await;
    // No key is there for it.
    call("POST", again, &interaction, Some(json!({"scorer": "claude"})), 409).await;
    call("GET", all, "", None, 200).await;
    assert_eq!(bench.get(&format!("{all}?single=true&limit=2")).await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_document_lists_every_route_and_no_other() {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let mut told: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            told.push((path.clone(), method.to_uppercase()));
        }
    }
    let mut built: Vec<(String, String)> = ROUTES
        .iter()
        .filter(|route| {
            !route.access.is_page()
                && !["/login", "/api/docs"].iter().any(|begins| route.path.starts_with(begins))
                && !matches!(route.path, "/set-password" | "/unsubscribe" | "/assets/{name}")
        })
        .map(|route| (route.path.to_owned(), route.method.to_owned()))
        .collect();
    told.sort();
    built.sort();
    assert_eq!(told, built);
}
