//! The audit log over the API: what was done is found, proven, exported, and who looked is in it too.

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, header};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use undertone_store::audit::Wrong;

use super::document::assert_documented;
use super::{Bench, FORM};
use crate::api::secrets;
use crate::audit::verify_file;

const LOG: &str = "/api/v1/audit";

async fn documented(bench: &Bench, path: &str, query: &str, status: u16) -> Value {
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let answer = bench.call("GET", &format!("{path}{query}"), "ut_mine", None).await;
    assert_eq!(answer.status, status, "{path}{query}: {}", answer.text);
    assert_documented(&document, "GET", path, &answer);
    answer.json()
}

fn actions(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_done_is_found_and_who_looked_too() {
    let bench = Bench::open().await;
    for threshold in [-40, -30] {
        bench.set(json!({"alert_threshold": threshold})).await;
    }
    let page = documented(&bench, LOG, "?action=settings_saved", 200).await;
    assert_eq!(actions(&page), ["settings_saved", "settings_saved"]);
    let latest = &page["items"][0];
    assert_eq!(
        latest["payload"],
        json!({"before": {"alert_threshold": -40}, "after": {"alert_threshold": -30}})
    );
    let (actor, subject) = (latest["actor"].as_str().unwrap(), latest["subject"].as_str().unwrap());
    assert!(actor.starts_with("key:") && latest["actor_name"] == "test", "{latest}");

    let page = documented(&bench, LOG, &format!("?actor={actor}&subject={subject}&limit=1"), 200).await;
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let rest =
        documented(&bench, LOG, &format!("?actor={actor}&subject={subject}&cursor={cursor}"), 200).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    assert_ne!(rest["items"][0]["id"], page["items"][0]["id"]);
    let none = documented(&bench, LOG, "?until=2020-01-01", 200).await;
    assert_eq!(none["items"], json!([]));
    for wrong in ["?limit=0", "?limit=501", "?cursor=x", "?since=yesterday", "?actor=", "?nobody=1"] {
        documented(&bench, LOG, wrong, 400).await;
    }
    let looks = documented(&bench, LOG, "?action=audit_read", 200).await;
    assert_eq!(actions(&looks).len(), 4, "{looks}");
    assert_eq!(looks["items"][3]["payload"], json!({"wanted": {"action": "settings_saved"}}));
    // Another tenant has a log of its own.
    let theirs = bench.call("GET", &format!("{LOG}?action=settings_saved"), "ut_theirs", None).await;
    assert_eq!(theirs.json()["items"], json!([]));
}

#[tokio::test]
async fn the_log_is_proven_and_exported() {
    let bench = Bench::open().await;
    // More than a page of an export.
    for n in 0..1100 {
        let act = undertone_store::Act::new(bench.mine.id, "test");
        bench.store().note(&act, ("looked", &format!("=thing {n}")), &json!({"n": n})).await.unwrap();
    }
    bench.store().seal_audit(bench.mine.id).await.unwrap();
    let head = documented(&bench, "/api/v1/audit/head", "", 200).await["head"].as_str().unwrap().to_owned();
    let verify = "/api/v1/audit/verify";
    let verified = documented(&bench, verify, &format!("?head={head}"), 200).await;
    assert_eq!((&verified["ok"], &verified["findings"]), (&json!(true), &json!([])), "{verified}");
    assert!(verified["entries"].as_u64().unwrap() >= 1100);
    let other = format!("?head=3:{}", "0".repeat(64));
    let verified = documented(&bench, verify, &other, 200).await;
    assert_eq!(
        (&verified["ok"], &verified["findings"][0]["kind"]),
        (&json!(false), &json!("published_head_differs"))
    );
    documented(&bench, verify, "?head=3", 400).await;

    let exported = bench.call("GET", "/api/v1/audit/export", "ut_mine", None).await;
    assert_eq!((exported.status, exported.header("content-type")), (200, "application/x-ndjson"));
    assert!(exported.header("content-disposition").contains("attachment; filename=\"audit-mine-"));
    let read = verify_file(exported.text.as_bytes(), Some(head.parse().unwrap())).unwrap();
    assert_eq!(
        (read.follower.findings.as_slice(), read.unsealed),
        (&[][..], 1),
        "the export itself is in it"
    );
    let lines = exported.text.lines().count() as u64;
    assert_eq!(read.follower.entries, lines);
    // Whoever changes the file is found without the database.
    let wrong = |text: &str| -> Vec<Wrong> {
        verify_file(text.as_bytes(), None).unwrap().follower.findings.iter().map(|f| f.kind).collect()
    };
    assert_eq!(wrong(&exported.text.replace("=thing 700\"", "=thing 7000\"")), [Wrong::EntryChanged]);
    assert_eq!(wrong(&exported.text.replace("{\\\"n\\\":700}", "{\\\"n\\\":701}")), [Wrong::PayloadChanged]);
    let without: String =
        exported.text.split_inclusive('\n').filter(|l| !l.contains("=thing 700\"")).collect();
    assert_eq!(wrong(&without), [Wrong::EntriesMissing]);
    let later: String = exported.text.split_inclusive('\n').skip(700).collect();
    assert_eq!(wrong(&later), [], "a part is followed from where it begins");

    let table = bench.call("GET", "/api/v1/audit/export?format=csv&action=looked", "ut_mine", None).await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
    let mut rows = csv::Reader::from_reader(table.text.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[700][7], &rows[700][9]), (1100, "'=thing 700", "{\"n\":700}"));
    bench.call("GET", "/api/v1/audit/export?format=xml", "ut_mine", None).await;
    let exports = documented(&bench, LOG, "?action=audit_exported", 200).await;
    assert_eq!(actions(&exports).len(), 2, "a refused one is none: {exports}");
    assert_eq!(exports["items"][0]["payload"], json!({"format": "csv", "wanted": {"action": "looked"}}));
}

#[tokio::test]
async fn the_log_shows_no_score_that_the_policy_hides() {
    let bench = Bench::open().await;
    let item =
        json!({"external_id": "1", "customer": "ana", "text": "Third week without an answer, I am furious."});
    let sent = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
    let id = sent.json()["id"].as_str().unwrap().to_owned();
    bench.settled(&bench.mine).await;
    let sentiment = bench.get(&format!("/api/v1/interactions/{id}")).await["sentiment"].clone();
    let path = format!("/api/v1/interactions/{id}/override");
    for change in [json!({"agree": true}), json!({"score": 37})] {
        let mut change = change;
        change["version"] = sentiment["version"].clone();
        let set = bench.call("POST", &path, "ut_mine", Some(&change)).await;
        assert_eq!(set.status, 200, "{}", set.text);
    }
    bench.store().seal_audit(bench.mine.id).await.unwrap();
    let of_it = format!("?subject={id}");
    let shown = documented(&bench, LOG, &of_it, 200).await;
    assert_eq!(actions(&shown), ["sentiment_override", "sentiment_agreed"]);
    assert_eq!(
        (&shown["items"][0]["payload"]["after"]["score"], &shown["items"][0]["payload_hidden"]),
        (&json!(37), &Value::Null)
    );
    let exported = bench.call("GET", &format!("/api/v1/audit/export{of_it}"), "ut_mine", None).await.text;
    assert!(exported.contains("37") && !exported.contains("payload_hidden"), "{exported}");

    // The policy binds whoever runs the tenant as well.
    bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    let hidden = documented(&bench, LOG, &of_it, 200).await;
    assert_eq!(actions(&hidden), actions(&shown), "that it was done is told");
    for (now, before) in hidden["items"].as_array().unwrap().iter().zip(shown["items"].as_array().unwrap()) {
        assert_eq!((&now["payload"], &now["payload_erased"]), (&Value::Null, &json!(false)));
        assert_eq!(now["payload_hidden"]["reason"], "only_groups");
        assert_eq!((&now["actor"], &now["digest"]), (&before["actor"], &before["digest"]));
    }
    let others = documented(&bench, LOG, "?action=settings_saved", 200).await;
    assert!(others["items"][0]["payload"].is_object(), "what tells of no verdict is shown: {others}");
    let exported = bench.call("GET", "/api/v1/audit/export", "ut_mine", None).await.text;
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_verdicts: Vec<&Value> = lines.iter().filter(|line| line["subject"] == *id).collect();
    assert_eq!(of_verdicts.len(), 2);
    for line in of_verdicts {
        assert_eq!((&line["payload"], &line["payload_salt"]), (&Value::Null, &Value::Null));
        assert_eq!(line["payload_hidden"], "only_groups");
    }
    let read = verify_file(exported.as_bytes(), None).unwrap();
    assert_eq!(read.follower.findings.as_slice(), &[][..], "the chain is followed over it");
    let table =
        bench.call("GET", &format!("/api/v1/audit/export{of_it}&format=csv"), "ut_mine", None).await.text;
    assert!(table.contains("sentiment_override") && !table.contains("verdict"), "{table}");
}

#[tokio::test]
async fn the_log_tells_of_alerts_and_incidents_to_who_sees_them() {
    let bench = Bench::open().await;
    bench.set(json!({"incident_customers": 3})).await;
    for customer in ["ana", "bo", "cy"] {
        bench.score(&super::furious(customer)).await;
    }
    let incident = bench.get("/api/v1/incidents").await["incidents"][0]["id"].as_str().unwrap().to_owned();
    let alert = bench.get("/api/v1/alerts?state=open").await["alerts"][0]["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/api/v1/alerts/{alert}/acknowledge"),
        format!("/api/v1/alerts/{alert}/snooze"),
        format!("/api/v1/alerts/{alert}/resolve"),
        format!("/api/v1/incidents/{incident}/close"),
    ] {
        let body =
            if path.ends_with("snooze") { json!({"until": "2999-01-01T00:00:00Z"}) } else { json!({}) };
        let done = bench.call("POST", &path, "ut_mine", Some(&body)).await;
        assert_eq!(done.status, 200, "{path}: {}", done.text);
    }
    let noted = [
        ("alert_acknowledged", &alert),
        ("alert_resolved", &alert),
        ("alert_snoozed", &alert),
        ("incident_closed", &incident),
    ];
    let entries = async || {
        let mut found = Vec::new();
        for (action, subject) in noted {
            let page = documented(&bench, LOG, &format!("?action={action}&subject={subject}"), 200).await;
            assert_eq!(actions(&page), [action]);
            found.push(page["items"][0].clone());
        }
        found
    };
    for entry in entries().await {
        assert!(entry["payload"].is_object() && entry["payload_hidden"].is_null(), "{entry}");
    }
    for policy in ["aggregate_only", "post_conversation"] {
        bench.set(json!({"visibility": {"policy": policy}})).await;
        for entry in entries().await {
            assert!(entry["payload"].is_null() && entry["payload_erased"] == false, "{policy}: {entry}");
            assert!(entry["payload_hidden"]["reason"].is_string(), "{policy}: {entry}");
        }
    }
    // Of an alert that is gone is not known any more whom it was about.
    let raw = sea_orm::Database::connect(bench.url()).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&raw, "DELETE FROM alert").await.unwrap();
    assert!(entries().await.iter().all(|entry| entry["payload"].is_null()));
    let exported = bench.call("GET", "/api/v1/audit/export", "ut_mine", None).await.text;
    let of_them = exported.lines().filter(|line| noted.iter().any(|(action, _)| line.contains(action)));
    let lines: Vec<Value> = of_them.map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_hidden = |line: &Value| line["payload"].is_null() && line["payload_salt"].is_null();
    let of_acts = lines.iter().filter(|line| noted.iter().any(|(action, _)| line["action"] == *action));
    assert_eq!(of_acts.filter(|line| is_hidden(line)).count(), 4, "{exported}");
}

#[tokio::test]
async fn an_export_under_way_shows_what_the_policy_of_the_moment_shows() {
    let bench = Bench::open().await;
    let id = bench.score(&super::furious("ana")).await;
    let version = bench.get(&format!("/api/v1/interactions/{id}")).await["sentiment"]["version"].clone();
    let said = json!({"score": 20, "version": version});
    let path = format!("/api/v1/interactions/{id}/override");
    assert_eq!(bench.call("POST", &path, "ut_mine", Some(&said)).await.status, 200);
    let told = async |policy: &str| {
        bench.set(json!({"visibility": {"policy": "full_transparency"}})).await;
        let mut begun = begun(&bench, header::AUTHORIZATION, "Bearer ut_mine").await;
        bench.set(json!({"visibility": {"policy": policy}})).await;
        let piece = begun.next().await.unwrap().unwrap();
        let text = std::str::from_utf8(&piece).unwrap();
        let line = text.lines().find(|line| line.contains("\"sentiment_override\"")).unwrap();
        serde_json::from_str::<Value>(line).unwrap()
    };
    assert!(told("full_transparency").await["payload"].is_string());
    let hidden = told("aggregate_only").await;
    assert!(hidden["payload"].is_null() && !hidden["payload_hidden"].is_null(), "{hidden}");
}

#[tokio::test]
async fn an_export_ends_where_its_reader_may_not_have_it_any_more() {
    let bench = Bench::open().await;
    for threshold in 0..501 {
        let act = undertone_store::Act::new(bench.mine.id, "test");
        bench
            .store()
            .note(&act, ("settings_saved", "module"), &json!({"threshold": threshold}))
            .await
            .unwrap();
    }
    let admin = bench.person("admin").await;
    let mut begun = begun(&bench, header::COOKIE, &admin.cookie).await;
    assert!(begun.next().await.unwrap().is_ok());
    let act = undertone_store::Act::new(bench.mine.id, "test");
    // There has to be one left.
    bench.store().save_user(&act, "another@example.com", "admin", "no hash").await.unwrap();
    let operator = undertone_store::users::Authority::Operator;
    let lesser =
        undertone_store::users::Change { role: Some(undertone_core::Role::Agent), ..Default::default() };
    bench.store().change_user(&act, operator, (&admin.id, None), &lesser).await.unwrap();
    assert!(
        begun.next().await.unwrap().is_err(),
        "an agent may still log in, and look, but has no audit log"
    );
}

/// The pieces of an export, not one of which was read yet.
async fn begun(bench: &Bench, header: header::HeaderName, who: &str) -> BodyDataStream {
    let request = Request::get(format!("{LOG}/export")).header(header, who).body(Body::empty()).unwrap();
    let response = bench.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().into_data_stream()
}

#[tokio::test]
async fn what_is_noted_is_sealed_by_the_service() {
    let bench = Bench::open().await;
    for _ in 0..600 {
        if bench.store().tenants_with_unsealed_audit().await.unwrap().is_empty() {
            let verified = bench.store().verify_audit(bench.mine.id, None).await.unwrap();
            assert!(verified.ok && verified.entries > 0, "{verified:?}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing was sealed within 30 s");
}

#[tokio::test]
async fn who_came_in_and_who_was_refused_is_known() {
    let bench = Bench::open().await;
    let act = undertone_store::Act::new(bench.mine.id, "test");
    let hash = secrets::hash_password("correct horse battery").unwrap();
    let user = bench.store().save_user(&act, "ana@example.com", "agent", &hash).await.unwrap();
    let form = bench.call("GET", "/login", "", None).await;
    let cookie = form.header("set-cookie").split(';').next().unwrap().to_owned();
    let csrf = cookie.split_once('=').unwrap().1.to_owned();
    for (email, password, status) in [
        ("ana@example.com", "wrong", 401),
        ("nobody@example.com", "wrong", 401),
        ("ana@example.com", "correct+horse+battery", 303),
    ] {
        let request = Request::post("/login")
            .header(header::COOKIE, &cookie)
            .header(header::CONTENT_TYPE, FORM)
            .body(Body::from(format!("email={}&password={password}&csrf={csrf}", email.replace('@', "%40"))));
        assert_eq!(bench.send(request.unwrap()).await.status, status, "{email} {password}");
    }
    let actor = format!("user:{user}");
    for _ in 0..500 {
        let page = documented(&bench, LOG, &format!("?actor={actor}"), 200).await;
        let items = page["items"].as_array().unwrap();
        if items.len() == 2 {
            assert!(items.iter().all(|item| item["payload"] == json!({"with": "password"})), "{page}");
            assert!(items.iter().all(|item| item["actor_name"] == "ana@example.com"), "{page}");
            let mut told = actions(&page);
            told.sort_unstable();
            assert_eq!(told, ["logged_in", "login_refused"]);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("a log-in was not noted within 10 s");
}
