//! Whose texts no LLM is ever given: those of customers who objected, and what agents write themselves.

use undertone_llm_server::Pace;

use super::*;

const OBJECTED: &str = "marker-of-an-objection";
const AGENTS: &str = "marker-of-an-agent";

#[tokio::test(flavor = "multi_thread")]
async fn who_objected_and_what_agents_write_is_put_to_no_llm() {
    let second = chrono::TimeDelta::milliseconds(500);
    let pace = Pace { takes: second, ..Pace::default() };
    let script = Script { batches: pace, ..Script::new(Arc::new(|| MachineClock.now())) };
    let llm = LlmBench::with(script, json!({"scorer": "local", "daily_token_cap": 0})).await;
    let send = async |method: &str, path: &str, body: Value| {
        let answer = llm.call(method, path, "ut_mine", Some(&body)).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
        answer
    };
    // One who objects after they were scored, by the embedded model: from then on that holds for what is there as well.
    let late = format!("The {OBJECTED} parcel came late and broken, nobody answers me.");
    send("POST", "/api/v1/interactions", json!({"external_id": "late", "text": late, "customer": "late"}))
        .await;
    llm.scored().await;
    send("PUT", "/api/v1/customers/objector", json!({"name": "Ana"})).await;
    let talk = json!({"external_id": "first", "text": "Hello there", "customer": "objector", "conversation": "objected"});
    send("POST", "/api/v1/interactions", talk).await;
    llm.until("decided", |all| all.iter().all(|one| one.state != "pending")).await;
    for customer in ["late", "objector"] {
        send("PUT", &format!("/api/v1/customers/{customer}/opt-out"), json!({})).await;
    }
    llm.set(json!({"scorer": "claude"})).await;

    // Live, in one piece with others, whose texts are put to it.
    let mut items: Vec<Value> = complaints(6)
        .enumerate()
        .map(|(n, text)| json!({"external_id": format!("other-{n}"), "text": text, "customer": format!("c{n}")}))
        .collect();
    items.push(json!({"external_id": "objected", "text": late, "customer": "objector"}));
    items.push(json!({"external_id": "later", "text": late, "customer": "late"}));
    // A note, and a text of theirs, that name the conversation alone.
    items.push(json!({"external_id": "note", "kind": "note", "author_kind": "agent", "agent": "bo", "conversation": "objected", "text": late}));
    items.push(json!({"external_id": "unnamed", "conversation": "objected", "text": late}));
    items.push(json!({"external_id": "agent", "customer": "c0", "author_kind": "agent",
        "text": format!("I am sorry that the {AGENTS} parcel came late and broken.")}));
    send("POST", "/api/v1/interactions", json!(items)).await;
    let all = llm.until("all decided", |all| all.iter().all(|one| one.state != "pending")).await;
    let reason = |id: &str| all.iter().find(|one| one.external_id == id).unwrap().reason.clone();
    assert_eq!(reason("objected").as_deref(), Some("opted_out"));
    assert_eq!(reason("later").as_deref(), Some("opted_out"));
    assert_eq!(reason("note").as_deref(), Some("opted_out"));
    assert_eq!(reason("unnamed").as_deref(), Some("opted_out"));
    assert_eq!(reason("agent").as_deref(), Some("agent_message"));
    assert_none_left(&llm, "live");

    // Runs: what has no verdict, with the reason asked for; what has one; both by single requests and by the provider's batches.
    for via_batches in [false, true] {
        for body in [json!({"mode": "unscored", "include": ["opted_out"]}), json!({"mode": "refresh"})] {
            let mut body = body;
            body["via_batches"] = json!(via_batches);
            body["sleep_ms"] = json!(0);
            let id = llm.start(body.clone()).await;
            llm.ended(&id).await;
            assert_none_left(&llm, &body.to_string());
        }
    }
    let by_one = send("GET", "/api/v1/interactions?external_id=late", json!({})).await.json();
    let id = by_one["items"][0]["id"].as_str().unwrap();
    let again =
        llm.call("POST", &format!("/api/v1/interactions/{id}/rescore"), "ut_mine", Some(&json!({}))).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_none_left(&llm, &format!("a re-score: {}", again.text));
    // A text that is tried out belongs to nobody.
    assert!(!llm.server.requests().is_empty());
}

/// The server was asked, and never with one of the markers.
fn assert_none_left(llm: &LlmBench, when: &str) {
    let requests = llm.server.requests();
    assert!(
        requests.iter().any(|request| request.body.contains("came late and broken")),
        "{when}: nobody was asked"
    );
    for request in requests {
        for marker in [OBJECTED, AGENTS] {
            assert!(!request.body.contains(marker), "{when}: {marker} left in {}", request.body);
        }
    }
}
