//! Alerts through the API: what people do with them, and who may.

use axum::body::Body;
use axum::http::{Request, header};
use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::document::assert_documented;
use super::{Bench, Person, furious};
use crate::cli::doctor::examine::Means;

const ONE: &str = "/api/v1/alerts/{id}";

#[tokio::test]
async fn an_alert_goes_its_way_and_nobody_changes_it_unseen() {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let bench = Bench::open().await;
    let call = async |path: &str, id: &str, body: Value, status: u16| {
        let answer = bench.call("POST", &path.replace("{id}", id), "ut_mine", Some(&body)).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text);
        assert_documented(&document, "POST", path, &answer);
        answer.json()
    };
    let move_to = |word: &str| format!("{ONE}/{word}");
    bench.score(&furious("ana")).await;
    bench.score(&furious("ben")).await;
    let list = bench.call("GET", "/api/v1/alerts?limit=1", "ut_mine", None).await;
    assert_documented(&document, "GET", "/api/v1/alerts", &list);
    let list = list.json();
    let cursor = list["next_cursor"].as_str().unwrap();
    assert!(!cursor.contains(list["alerts"][0]["id"].as_str().unwrap()), "a cursor is no id");
    let next = bench.get(&format!("/api/v1/alerts?limit=1&cursor={cursor}")).await;
    assert_eq!((next["alerts"].as_array().unwrap().len(), &next["next_cursor"]), (1, &Value::Null));
    for list in ["alerts", "incidents"] {
        let none_of_ours = bench.call("GET", &format!("/api/v1/{list}?cursor=x"), "ut_mine", None).await;
        assert_eq!(none_of_ours.status, 400, "{}", none_of_ours.text);
    }
    for name in ["customer_id", "incident_id", "assigned_to"] {
        let nul = bench.call("GET", &format!("/api/v1/alerts?{name}=a%00"), "ut_mine", None).await;
        assert_eq!(nul.status, 400, "{}", nul.text);
    }
    let alert = list["alerts"][0].clone();
    let id = alert["id"].as_str().unwrap();
    assert!(alert["state"] == "open" && alert["score"].as_i64().unwrap() <= -50, "{alert}");

    bench.session("supervisor").await;
    let user = bench.store().users(bench.mine.id).await.unwrap()[0].id.clone();
    let taken = call(&move_to("acknowledge"), id, json!({"version": 1}), 200).await;
    assert_eq!((&taken["state"], &taken["version"]), (&json!("acknowledged"), &json!(2)));
    assert_eq!(call(&move_to("acknowledge"), id, json!({}), 200).await, taken, "said twice, it is true once");
    let bare = Request::post(format!("/api/v1/alerts/{id}/acknowledge"))
        .header(header::AUTHORIZATION, "Bearer ut_mine");
    assert_eq!(bench.send(bare.body(Body::empty()).unwrap()).await.json(), taken, "there need be no body");
    let until = call(&move_to("snooze"), id, json!({"until": "tomorrow"}), 422).await;
    assert_eq!(until["errors"][0]["field"], "until");
    call(&move_to("snooze"), id, json!({"version": 1, "until": "2999-01-01T00:00:00Z"}), 409).await;
    call(&move_to("snooze"), id, json!({"until": "2020-01-01T00:00:00Z"}), 422).await;
    call(&move_to("snooze"), id, json!({}), 422).await;
    call(&move_to("assign"), id, json!({"user": "nobody"}), 422).await;
    let given = call(&move_to("assign"), id, json!({"user": user}), 200).await;
    assert_eq!((&given["assigned_to"], &given["warnings"]), (&json!(user), &json!([])));
    let quiet = call(&move_to("snooze"), id, json!({"until": "2999-01-01T00:00:00Z"}), 200).await;
    assert_eq!(quiet["state"], "snoozed");
    for note in ["x".repeat(1001), "a\0".to_owned()] {
        let refused = call(&move_to("resolve"), id, json!({"note": note}), 422).await;
        assert_eq!(refused["errors"][0]["field"], "note");
    }
    let nul = call(&move_to("assign"), id, json!({"user": format!("{user}\0")}), 422).await;
    assert_eq!(nul["errors"][0]["field"], "user");
    let done = call(&move_to("resolve"), id, json!({"note": "called her"}), 200).await;
    assert_eq!((&done["state"], &done["note"]), (&json!("resolved"), &json!("called her")));
    for word in ["acknowledge", "resolve"] {
        call(&move_to(word), id, json!({}), 409).await;
        call(&move_to(word), "x", json!({}), 404).await;
    }
    let shown = bench.call("GET", &ONE.replace("{id}", id), "ut_mine", None).await;
    assert_documented(&document, "GET", ONE, &shown);
    let steps = shown.json()["steps"].clone();
    let steps: Vec<&str> =
        steps.as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["acknowledged", "assigned", "snoozed", "resolved"]);
    for (query, count) in [("?state=open", 1), ("?state=resolved", 1), ("?state=held", 0)] {
        assert_eq!(
            bench.get(&format!("/api/v1/alerts{query}")).await["alerts"].as_array().unwrap().len(),
            count
        );
    }
    // Another tenant has nothing to do with it.
    for (method, path) in [("GET", ONE.to_owned()), ("POST", move_to("resolve"))] {
        let answer = bench.call(method, &path.replace("{id}", id), "ut_theirs", Some(&json!({}))).await;
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn a_correction_takes_an_alert_back_that_nobody_took() {
    let bench = Bench::open().await;
    let (first, second) = (bench.score(&furious("ana")).await, bench.score(&furious("ben")).await);
    let of = async |interaction: &str| {
        let alerts = bench.get("/api/v1/alerts").await;
        let alerts = alerts["alerts"].as_array().unwrap();
        alerts.iter().find(|alert| alert["interaction_id"] == json!(interaction)).unwrap().clone()
    };
    let taken = of(&second).await;
    let path = format!("/api/v1/alerts/{}/acknowledge", taken["id"].as_str().unwrap());
    bench.call("POST", &path, "ut_mine", Some(&json!({}))).await;
    for interaction in [&first, &second] {
        super::events::correct(&bench, interaction, "neutral").await;
    }
    assert_eq!(of(&first).await["state"], "withdrawn");
    assert_eq!(of(&second).await["state"], "acknowledged", "what somebody looks after is theirs");
}

#[tokio::test]
async fn an_alert_says_as_much_as_a_score_and_is_shown_to_as_many() {
    let bench = Bench::open().await;
    bench.set(json!({"visibility": {"policy": "supervisor_overlay"}})).await;
    bench.score(&furious("ana")).await;
    bench.score(&furious("ben")).await;
    let (lead, agent, analyst) =
        (bench.person("supervisor").await, bench.person("agent").await, bench.person("analyst").await);
    let seen = async |person: &Person| {
        bench.by(person, "GET", "/api/v1/alerts", None).await.json()["alerts"].clone()
    };
    let all = seen(&lead).await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!((seen(&agent).await, seen(&analyst).await), (json!([]), json!([])));
    // How many there are of a customer who may not be seen is told by no page either.
    let none = json!({"alerts": [], "next_cursor": null});
    for query in ["?limit=1", "?state=open&limit=1"] {
        let page = bench.by(&agent, "GET", &format!("/api/v1/alerts{query}"), None).await.json();
        assert_eq!(page, none, "{query}");
    }
    let path = format!("/api/v1/alerts/{}", all[1]["id"].as_str().unwrap());
    for what in ["", "/acknowledge"] {
        let method = if what.is_empty() { "GET" } else { "POST" };
        assert_eq!(bench.by(&agent, method, &format!("{path}{what}"), Some(&json!({}))).await.status, 404);
    }
    assert_eq!(bench.by(&analyst, "POST", &format!("{path}/resolve"), Some(&json!({}))).await.status, 403);
    // What is given to somebody they see, without the score.
    let users = bench.store().users(bench.mine.id).await.unwrap();
    let user = users.iter().find(|user| user.role == "agent").unwrap().id.clone();
    assert_eq!(
        bench.by(&lead, "POST", &format!("{path}/assign"), Some(&json!({"user": user}))).await.status,
        200
    );
    let theirs = seen(&agent).await;
    assert_eq!(
        (theirs.as_array().unwrap().len(), &theirs[0]["score"], &theirs[0]["label"]),
        (1, &Value::Null, &Value::Null)
    );
    let first = bench.by(&agent, "GET", "/api/v1/alerts?limit=1", None).await.json();
    assert_eq!(first, json!({"alerts": theirs, "next_cursor": null}), "a page is filled with what is seen");
    assert_eq!(bench.call("GET", "/api/v1/alerts?assigned_to=me", "ut_mine", None).await.status, 403);
    let mine = bench.by(&agent, "GET", "/api/v1/alerts?assigned_to=me", None).await.json();
    assert_eq!(mine["alerts"], theirs);
    let done = bench.by(&agent, "POST", &format!("{path}/resolve"), Some(&json!({}))).await;
    assert_eq!((done.status, &done.json()["score"]), (200, &Value::Null), "{}", done.text);
}

#[tokio::test]
async fn ones_own_alert_is_found_among_any_number_of_others() {
    let bench = Bench::open().await;
    let (lead, agent) = (bench.person("supervisor").await, bench.person("agent").await);
    bench.score(&furious("ana")).await;
    let alert = bench.get("/api/v1/alerts").await["alerts"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/alerts/{alert}/assign");
    assert_eq!(bench.by(&lead, "POST", &path, Some(&json!({"user": agent.id}))).await.status, 200);
    // Younger ones, more than are looked through for a page.
    let others = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) \
        INSERT INTO alert (tenant_id, id, customer_id, interaction_id, score, threshold, label, category, channel, state, raised_at, due_at, \
        escalated, version) SELECT tenant_id, 'z' || i, customer_id, interaction_id, score, threshold, label, category, channel, state, \
        raised_at, due_at, 0, 1 FROM alert CROSS JOIN n";
    let raw = sea_orm::Database::connect(bench.url()).await.unwrap();
    assert_eq!(raw.execute_unprepared(others).await.unwrap().rows_affected(), 1100);
    for policy in ["aggregate_only", "supervisor_overlay"] {
        bench.set(json!({"visibility": {"policy": policy}})).await;
        let page = bench.by(&agent, "GET", "/api/v1/alerts", None).await.json();
        assert_eq!((&page["alerts"][0]["id"], &page["alerts"][1]), (&json!(alert), &Value::Null), "{policy}");
        assert_eq!(page["next_cursor"], Value::Null, "{policy}: no page tells how many there are");
        let inbox = bench.by(&agent, "GET", "/inbox", None).await;
        assert_eq!(inbox.text.matches("<article id=\"alert-").count(), 1, "{policy}: {}", inbox.text);
        let others = bench.by(&agent, "GET", &format!("/api/v1/alerts?assigned_to={}", lead.id), None).await;
        assert_eq!(others.json(), json!({"alerts": [], "next_cursor": null}), "{policy}");
    }
    // A key is nobody to whom an alert could be given.
    bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    assert_eq!(bench.get("/api/v1/alerts").await, json!({"alerts": [], "next_cursor": null}));
}

#[tokio::test]
async fn whoever_is_given_an_alert_hears_of_it_and_may_look_after_it_or_it_is_said() {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let bench = Bench::open().await;
    let (lead, agent, analyst) =
        (bench.person("supervisor").await, bench.person("agent").await, bench.person("analyst").await);
    bench.score(&furious("ana")).await;
    let alert = bench.get("/api/v1/alerts").await["alerts"][0]["id"].as_str().unwrap().to_owned();
    let give = async |by: &Person, to: &Person| {
        let path = format!("/api/v1/alerts/{alert}/assign");
        let answer = bench.by(by, "POST", &path, Some(&json!({"user": to.id}))).await;
        assert_documented(&document, "POST", "/api/v1/alerts/{id}/assign", &answer);
        answer
    };
    let refused = give(&lead, &analyst).await;
    assert!(refused.status == 422 && refused.text.contains("analyst"), "{}", refused.text);
    let switch = async |in_app: bool| {
        let off = json!({"categories": {"assignments": {"in_app": in_app, "email": false}}});
        let saved = bench.by(&agent, "PUT", "/api/v1/me/notifications", Some(&off)).await;
        assert_eq!(saved.status, 200, "{}", saved.text);
    };
    switch(false).await;
    let given = give(&lead, &agent).await.json();
    assert_eq!(
        (&given["state"], &given["warnings"][0]["field"]),
        (&json!("open"), &json!("user")),
        "{given}"
    );
    assert!(given["warnings"][0]["message"].as_str().unwrap().contains("switched off"), "{given}");
    let own = give(&agent, &agent).await.json();
    assert_eq!((&own["state"], &own["warnings"]), (&json!("acknowledged"), &json!([])), "they know of it");
    switch(true).await;
    assert_eq!(give(&lead, &agent).await.json()["warnings"], json!([]));
}

#[tokio::test]
async fn the_doctor_tells_of_what_is_overdue_whoever_was_given_it() {
    let bench = Bench::open().await;
    let (lead, agent) = (bench.person("supervisor").await, bench.person("agent").await);
    for customer in ["ana", "ben", "cho"] {
        bench.score(&furious(customer)).await;
    }
    let alerts = bench.get("/api/v1/alerts").await["alerts"].clone();
    for (by, alert) in [(&lead, &alerts[0]), (&agent, &alerts[1])] {
        let path = format!("/api/v1/alerts/{}/assign", alert["id"].as_str().unwrap());
        assert_eq!(bench.by(by, "POST", &path, Some(&json!({"user": agent.id}))).await.status, 200);
    }
    let told = async |after: TimeDelta| {
        let store = bench.store_after(after).await;
        let means = Means { store: &store, keys: None, prices: None, mails: true };
        let told = means.tenant(&bench.mine).await.unwrap();
        let late =
            told.into_iter().filter_map(|(_, told)| told.err()).filter(|told| told.contains("overdue"));
        late.collect::<Vec<_>>()
    };
    assert_eq!(told(TimeDelta::minutes(239)).await, Vec::<String>::new());
    let late = told(TimeDelta::minutes(241)).await;
    assert_eq!(late.len(), 2, "{late:?}");
    assert!(late[0].starts_with("2 alerts are overdue, and nobody acknowledged them (1 of them"), "{late:?}");
    assert!(late[1].starts_with("1 alerts are overdue, and whoever looks after them"), "{late:?}");
}
