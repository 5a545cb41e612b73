//! Corrections as callers see them: by the API, by the module guide's address, under each rule that holds them back.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::document::assert_documented;
use super::{Answer, Bench, FORM, JSON};

const ANGRY: &str = "Third week without an answer. I am furious and about to give up on you.";
const ONE: &str = "/api/v1/interactions/{id}/override";

async fn scored(bench: &Bench, text: &str) -> String {
    let body = json!({"text": text, "customer": {"id": "ana", "name": "Ana"}});
    let posted = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&body)).await;
    bench.settled(&bench.mine).await;
    posted.json()["id"].as_str().unwrap().to_owned()
}

async fn sentiment(bench: &Bench, id: &str) -> Value {
    bench.get(&format!("/api/v1/interactions/{id}")).await["sentiment"].clone()
}

/// Sends it with a session, and holds the answer to the document.
async fn with(
    bench: &Bench,
    (cookie, csrf): &(String, String),
    (method, path, id): (&str, &str, &str),
    query: &str,
    body: &Value,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{query}", path.replace("{id}", id)))
        .header(header::COOKIE, cookie)
        .header("x-csrf-token", csrf)
        .header(header::CONTENT_TYPE, JSON)
        .body(Body::from(body.to_string()));
    let answer = bench.send(request.unwrap()).await;
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    assert_documented(&document, method, path, &answer);
    answer
}

#[tokio::test]
async fn a_correction_is_made_kept_and_taken_back() {
    let bench = Bench::open().await;
    let id = scored(&bench, ANGRY).await;
    let agent = bench.session("agent").await;
    let before = sentiment(&bench, &id).await;
    assert_eq!((&before["label"], &before["agreed"]), (&json!("negative"), &json!(false)));
    let version = before["version"].as_str().unwrap().to_owned();

    let agreed =
        with(&bench, &agent, ("POST", ONE, &id), "", &json!({"agree": true, "version": version})).await;
    assert_eq!((agreed.status, &agreed.json()["correction"]), (200, &Value::Null), "{}", agreed.text);
    assert_eq!(sentiment(&bench, &id).await["agreed"], json!(true));
    let asked = json!({"label": "positive", "reason": "It is irony.", "version": version});
    let set = with(&bench, &agent, ("POST", ONE, &id), "", &asked).await;
    assert_eq!((set.status, &set.json()["correction"]), (200, &json!({"score": 60, "label": "positive"})));
    let now = sentiment(&bench, &id).await;
    assert_eq!(
        (&now["score"], &now["label"], &now["ai_score"]),
        (&json!(60), &json!("positive"), &before["ai_score"])
    );
    assert!(now["human_override_by"].as_str().unwrap().starts_with("user:"));
    let overview = bench.get("/api/v1/overview").await;
    assert_eq!(overview["all_time"]["positive"], json!(1), "{overview}");

    // Somebody else who saw what was there before is told, and so is whoever names no version.
    let lead = bench.session("supervisor").await;
    let late = with(&bench, &lead, ("POST", ONE, &id), "", &json!({"score": -10, "version": version})).await;
    assert_eq!((late.status, &late.json()["code"]), (409, &json!("conflict")));
    let again = with(&bench, &agent, ("POST", ONE, &id), "", &asked).await;
    assert_eq!((again.status, again.json()), (200, set.json()), "a lost answer is asked for again");
    for (body, status) in [
        (json!({"label": "positive"}), 422),
        (json!({"score": 101, "version": version}), 422),
        (json!({"score": 80, "label": "negative", "version": version}), 422),
        (json!({"label": "happy", "version": version}), 422),
        (json!({"agree": true, "score": 1, "version": version}), 422),
        (json!({"label": "negative", "reason": "x".repeat(501), "version": version}), 422),
    ] {
        assert_eq!(with(&bench, &agent, ("POST", ONE, &id), "", &body).await.status, status, "{body}");
    }
    assert_eq!(with(&bench, &agent, ("POST", ONE, "x"), "", &asked).await.status, 404);
    assert_eq!(with(&bench, &lead, ("DELETE", ONE, &id), "", &json!({})).await.status, 400);
    let query = format!("?version={}", set.json()["version"].as_str().unwrap());
    let cleared = with(&bench, &lead, ("DELETE", ONE, &id), &query, &json!({})).await;
    assert_eq!((cleared.status, &cleared.json()["correction"]), (200, &Value::Null));
    assert_eq!(sentiment(&bench, &id).await["label"], json!("negative"));
    let told = with(&bench, &lead, ("GET", ONE, &id), "", &json!({})).await.json();
    let acts: Vec<&Value> = told["revisions"].as_array().unwrap().iter().map(|r| &r["act"]).collect();
    assert_eq!(acts, ["clear", "set", "agree"]);
    assert_eq!(told["revisions"][1]["reason"], json!("It is irony."));
    assert_eq!(bench.store().verify(bench.mine.id).await.unwrap(), []);
    // A reason is in nobody's log.
    let log = bench.get("/api/v1/audit?limit=100").await.to_string();
    assert!(log.contains("sentiment_override") && !log.contains("irony"), "{log}");
}

#[tokio::test]
async fn who_may_not_see_a_verdict_does_not_correct_it() {
    let bench = Bench::open().await;
    let id = scored(&bench, ANGRY).await;
    let (agent, analyst, lead) =
        (bench.session("agent").await, bench.session("analyst").await, bench.session("supervisor").await);
    let version = sentiment(&bench, &id).await["version"].clone();
    let asked = json!({"label": "neutral", "version": version});
    assert_eq!(with(&bench, &analyst, ("POST", ONE, &id), "", &asked).await.status, 403);
    bench.set(json!({"visibility": {"policy": "supervisor_overlay"}})).await;
    for (method, query) in [("GET", ""), ("POST", ""), ("DELETE", "?version=x")] {
        let refused = with(&bench, &agent, (method, ONE, &id), query, &asked).await;
        assert_eq!(refused.status, 403, "{method}: {}", refused.text);
        assert!(refused.text.contains("team leads"), "{}", refused.text);
    }
    assert_eq!(with(&bench, &lead, ("POST", ONE, &id), "", &asked).await.status, 200);
}

#[tokio::test]
async fn the_module_guides_address_writes_over_a_score() {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let path = "/crm/api/sentiment.php";
    let bench = Bench::open().await;
    let id = scored(&bench, ANGRY).await;
    let queue = bench.get("/crm/api/sentiment.php?action=escalation_queue").await;
    assert_eq!(queue["items"][0]["sentiment_id"], json!(id));
    let send = async |body: Value| {
        let answer = bench.call("POST", &format!("{path}?action=set_override"), "ut_mine", Some(&body)).await;
        assert_documented(&document, "POST", path, &answer);
        answer
    };
    let done = send(json!({"sentiment_id": id, "label": "neutral"})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(
        (&done.json()["ok"], &done.json()["score"], &done.json()["label"]),
        (&json!(true), &json!(0), &json!("neutral"))
    );
    let queue = bench.get("/crm/api/sentiment.php?action=escalation_queue").await;
    assert_eq!(queue["count"], json!(0), "it is not negative any more");
    assert_eq!(send(json!({"sentiment_id": id, "score": -35})).await.json()["label"], json!("negative"));
    assert_eq!(send(json!({"sentiment_id": id})).await.json()["score"], Value::Null);
    assert_eq!(sentiment(&bench, &id).await["human_override_score"], Value::Null);
    for (body, status) in [
        (json!({"score": 1}), 422),
        (json!({"sentiment_id": id, "score": "much"}), 422),
        (json!({"sentiment_id": id, "label": "angry"}), 422),
        (json!({"sentiment_id": "nothing", "score": 1}), 404),
    ] {
        let refused = send(body.clone()).await;
        assert_eq!((refused.status, &refused.json()["ok"]), (status, &json!(false)), "{body}");
    }
    // As a form of a session, which brings its token along; and a colleague's correction is not overwritten.
    let form = async |(cookie, csrf): &(String, String), fields: String| {
        let request = Request::post(path)
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, FORM)
            .body(Body::from(format!("action=set_override&csrf_token={csrf}&sentiment_id={id}&{fields}")));
        bench.send(request.unwrap()).await
    };
    let (agent, lead) = (bench.session("agent").await, bench.session("supervisor").await);
    let forged = (agent.0.clone(), "forged".to_owned());
    assert_eq!(form(&forged, "score=50".to_owned()).await.status, 403);
    assert_eq!(form(&agent, "score=50&label=".to_owned()).await.status, 409, "somebody else cleared it");
    let cleared = sentiment(&bench, &id).await["version"].as_str().unwrap().to_owned();
    let mine = form(&agent, format!("score=50&label=&version={cleared}")).await;
    assert_eq!((mine.status, &mine.json()["label"]), (200, &json!("positive")), "{}", mine.text);
    assert_eq!(form(&lead, "score=-50".to_owned()).await.status, 409);
    assert_eq!(form(&lead, String::new()).await.status, 409, "nor is it cleared");
    let seen = format!("score=-50&version={}", mine.json()["version"].as_str().unwrap());
    assert_eq!(form(&lead, seen).await.status, 200);
    bench.call("PUT", "/api/v1/customers/ana/opt-out", "ut_mine", None).await;
    let refused = send(json!({"sentiment_id": id, "label": "neutral"})).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("opted out"));
}
