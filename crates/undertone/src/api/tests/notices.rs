//! What people are told: who, through which channel, what they may see of it; and that nobody else's inbox can be had.

mod letters;
mod measured;

use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use undertone_store::Act;
use undertone_testkit::smtp::{Fault, Security};

use super::document::assert_documented;
use super::{Answer, Bench, FORM, Person};
use crate::mail::{self, Post};

impl Bench {
    async fn form(&self, person: &Person, path: &str, fields: &str) -> Answer {
        let request =
            Request::post(path).header(header::COOKIE, &person.cookie).header(header::CONTENT_TYPE, FORM);
        self.send(request.body(Body::from(format!("csrf={}&{fields}", person.csrf))).unwrap()).await
    }

    /// A customer writes something that raises an alert.
    pub(super) async fn annoy(&self, customer: &str) {
        let text = "This is a disgrace. Third week without an answer, I am furious and want my money back.";
        let item = json!({"text": text, "customer": customer, "channel": "email"});
        assert_eq!(self.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await.status, 201);
        self.settled(&self.mine).await;
    }

    async fn inbox(&self, person: &Person) -> Vec<String> {
        let answer = self.by(person, "GET", "/api/v1/inbox", None).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
        assert_documented(&document, "GET", "/api/v1/inbox", &answer);
        let notices = answer.json()["notices"].as_array().unwrap().clone();
        notices.iter().map(|notice| notice["type"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn the_three_modes_decide_who_is_told_and_nobody_is_a_warning() {
    let bench = Bench::open().await;
    let people =
        [bench.person("tenant_admin").await, bench.person("supervisor").await, bench.person("agent").await];
    assert_eq!(bench.set(json!({"alert_threshold": -20})).await["warnings"], json!([]));
    let told = async |customer: &str, expected: [usize; 3]| {
        bench.annoy(customer).await;
        bench.tell().await;
        for (person, count) in people.iter().zip(expected) {
            assert_eq!(bench.inbox(person).await.len(), count, "{customer}: {}", person.id);
        }
    };
    told("ana", [1, 1, 0]).await;
    bench.set(json!({"recipients": {"mode": "supervisors"}})).await;
    told("bo", [1, 2, 0]).await;
    bench.set(json!({"recipients": {"mode": "specific_users", "users": [people[2].id]}})).await;
    told("cy", [1, 2, 1]).await;
    let warned = bench.set(json!({"recipients": {"mode": "specific_users", "users": []}})).await;
    assert!(warned["warnings"][0]["message"].as_str().unwrap().contains("none is selected"), "{warned}");
    assert_eq!(bench.get("/api/v1/settings").await["warnings"], warned["warnings"]);
    told("dan", [1, 2, 1]).await;
    // Within the cooldown there is no second alert.
    told("dan", [1, 2, 1]).await;
}

#[tokio::test]
async fn administrators_hear_of_the_budget_whatever_other_systems_get() {
    let bench = Bench::open().await;
    let (admin, lead) = (bench.person("tenant_admin").await, bench.person("supervisor").await);
    let quiet = json!({"emit_workflow_events": false, "dispatch_webhooks": false, "daily_token_cap": 1_000});
    bench.set(quiet).await;
    super::ai_usage::spend(&bench, &bench.mine, 700).await;
    bench.tell().await;
    assert_eq!(bench.inbox(&admin).await, ["budget.threshold"]);
    assert!(bench.inbox(&lead).await.is_empty(), "the budget is the administrators' business");
}

#[tokio::test]
async fn an_inbox_is_ones_own_and_shows_what_one_may_see() {
    let bench = Bench::open().await;
    let (lead, agent) = (bench.person("supervisor").await, bench.person("agent").await);
    bench.set(json!({"alert_threshold": -20})).await;
    bench.annoy("ana").await;
    bench.tell().await;
    let notice = bench.by(&lead, "GET", "/api/v1/inbox?unread=true", None).await.json();
    let id = notice["notices"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(notice["unread"], 1);
    assert!(notice["notices"][0]["link"].as_str().unwrap().starts_with("/inbox?alert="));
    for (person, method, path, status) in [
        (&agent, "POST", format!("/api/v1/inbox/{id}/read"), 404),
        (&lead, "POST", "/api/v1/inbox/x/read".to_owned(), 404),
        (&lead, "GET", "/api/v1/inbox?before=x".to_owned(), 400),
        (&lead, "POST", format!("/api/v1/inbox/{id}/read"), 200),
    ] {
        assert_eq!(bench.by(person, method, &path, None).await.status, status, "{path}");
    }
    assert_eq!(bench.by(&lead, "GET", "/api/v1/inbox", None).await.json()["unread"], 0);
    assert_eq!(bench.call("GET", "/api/v1/inbox", "ut_mine", None).await.status, 403, "a key has no inbox");
    // The alert is given to the agent, who is told of it; the lead did it and is not.
    let alert = bench.get("/api/v1/alerts").await["alerts"][0]["id"].as_str().unwrap().to_owned();
    let given = json!({"user": agent.id});
    let assigned = bench.by(&lead, "POST", &format!("/api/v1/alerts/{alert}/assign"), Some(&given)).await;
    assert_eq!(assigned.status, 200, "{}", assigned.text);
    bench.tell().await;
    assert_eq!(bench.inbox(&agent).await, ["alert.assigned"]);
    assert_eq!(bench.inbox(&lead).await, ["alert.raised"]);
    // Under a policy that hides the score, what stands in the inbox is not shown any more, and not counted; of what is theirs they still
    // know, but not what the customer feels.
    bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    assert_eq!(bench.inbox(&lead).await, Vec::<String>::new());
    let own = bench.by(&agent, "GET", "/api/v1/inbox", None).await.json();
    assert_eq!((&own["unread"], &own["notices"][0]["type"]), (&json!(1), &json!("alert.assigned")), "{own}");
    let data = &own["notices"][0]["data"];
    assert!(
        data["customer_external_id"] == "ana" && data.get("score").is_none() && data.get("summary").is_none(),
        "{own}"
    );
    bench.annoy("bo").await;
    bench.tell().await;
    assert_eq!(bench.inbox(&lead).await, Vec::<String>::new(), "and nobody is told of new ones");
}

#[tokio::test]
async fn the_page_lets_people_look_after_alerts() {
    let bench = Bench::open().await;
    let (lead, analyst) = (bench.person("supervisor").await, bench.person("analyst").await);
    bench.set(json!({"alert_threshold": -20})).await;
    bench.annoy("<b>ana</b>").await;
    bench.tell().await;
    let page = bench.by(&lead, "GET", "/inbox", None).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Acknowledge") && !page.text.contains("<b>ana</b>"), "{}", page.text);
    let seen = bench.by(&analyst, "GET", "/inbox", None).await;
    assert!(seen.status == 200 && !seen.text.contains("Acknowledge"), "who looks only has no buttons");
    let alert = bench.get("/api/v1/alerts").await["alerts"][0].clone();
    let path = format!("/inbox/alerts/{}", alert["id"].as_str().unwrap());
    let version = alert["version"].as_i64().unwrap();
    assert_eq!(bench.form(&analyst, &path, &format!("act=acknowledge&version={version}")).await.status, 403);
    assert_eq!(bench.form(&lead, &path, &format!("act=acknowledge&version={version}")).await.status, 303);
    let late = bench.form(&lead, &path, &format!("act=resolve&version={version}")).await;
    assert!(late.status == 409 && late.text.contains("meanwhile"), "{}", late.text);
    assert_eq!(bench.form(&lead, &path, &format!("act=mine&version={}", version + 1)).await.status, 303);
    let after = bench.get("/api/v1/alerts").await["alerts"][0].clone();
    assert_eq!(
        (after["state"].as_str(), after["assigned_to"].as_str()),
        (Some("acknowledged"), Some(lead.id.as_str()))
    );
    let unread = bench.by(&lead, "GET", "/api/v1/inbox", None).await.json();
    let youngest = unread["notices"][0]["id"].as_str().unwrap();
    assert_eq!(bench.form(&lead, "/inbox/read-all", &format!("up_to={youngest}")).await.status, 303);
    assert_eq!(bench.by(&lead, "GET", "/api/v1/inbox", None).await.json()["unread"], 0);
    let forged = Request::post(&path).header(header::COOKIE, &lead.cookie).header(header::CONTENT_TYPE, FORM);
    let forged = bench.send(forged.body(Body::from("act=resolve&version=3")).unwrap()).await;
    assert_eq!(forged.status, 403, "without the token of the form");
}

#[tokio::test]
async fn a_notice_leads_to_its_alert_wherever_it_stands() {
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    bench.set(json!({"alert_threshold": -20})).await;
    bench.annoy("ana").await;
    bench.tell().await;
    let zone = json!({"zone": "Pacific/Auckland"});
    assert_eq!(bench.by(&lead, "PUT", "/api/v1/me/notifications", Some(&zone)).await.status, 200);
    let notice = bench.by(&lead, "GET", "/api/v1/inbox", None).await.json()["notices"][0].clone();
    let (path, anchor) = notice["link"].as_str().unwrap().split_once('#').unwrap();
    let is_there = |page: &Answer| page.text.contains(&format!("<article id=\"{anchor}\">"));
    let page = bench.by(&lead, "GET", "/inbox", None).await;
    assert!(page.status == 200 && is_there(&page), "{}", page.text);
    // Moments are the reader's, as in an e-mail.
    let due: chrono::DateTime<chrono::Utc> = notice["data"]["due_at"].as_str().unwrap().parse().unwrap();
    let due = due.with_timezone(&chrono_tz::Pacific::Auckland).format("%Y-%m-%d %H:%M NZDT").to_string();
    assert!(page.text.contains(&format!("Due: <bdi>{due}</bdi>")), "{due}: {}", page.text);

    let alert = notice["data"]["alert_id"].as_str().unwrap().to_owned();
    let done = bench.by(&lead, "POST", &format!("/api/v1/alerts/{alert}/resolve"), Some(&json!({}))).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(!is_there(&bench.by(&lead, "GET", "/inbox", None).await), "it waits for nobody");
    let page = bench.by(&lead, "GET", path, None).await;
    assert!(page.status == 200 && is_there(&page), "{}", page.text);
    assert!(!page.text.contains("value=\"resolve\""), "nothing is left to do");
    let none = bench.by(&lead, "GET", "/inbox?alert=nothing", None).await;
    assert!(none.status == 200 && none.text.contains("may not see it"), "{}", none.text);
    // Whoever may not see it learns no more by its link than by any other.
    bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    let page = bench.by(&lead, "GET", path, None).await;
    assert!(!is_there(&page) && page.text.contains("may not see it"), "{}", page.text);
}

#[tokio::test]
async fn the_stream_takes_up_where_it_broke_off() {
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    bench.set(json!({"alert_threshold": -20})).await;
    bench.annoy("ana").await;
    bench.tell().await;
    let heard = async |last: &str, until: &str| {
        let mut request = Request::get("/api/v1/inbox/live").header(header::COOKIE, &lead.cookie);
        if !last.is_empty() {
            request = request.header("last-event-id", last);
        }
        let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let mut stream = response.into_body().into_data_stream();
        let mut text = String::new();
        let read = async {
            while let Some(Ok(piece)) = stream.next().await {
                text.push_str(&String::from_utf8_lossy(&piece));
                if text.contains(until) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
        assert_eq!(found, Ok(true), "{text}");
        text
    };
    // Who begins hears what comes; who comes back hears what they missed.
    let text = heard("", "event: unread").await;
    assert!(!text.contains("event: notice") && text.contains("\"unread\":1"), "{text}");
    let text = heard("0", "event: unread").await;
    assert!(text.contains("event: notice") && text.contains("alert.raised"), "{text}");
    let place = text.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let text = heard(place, "event: unread").await;
    assert!(!text.contains("event: notice"), "{text}");
    // Who heard of none comes back to where they began, which looks like another each time.
    let text = heard("", "event: unread").await;
    assert!(!text.contains("event: notice"), "{text}");
    let began = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(!heard("", "event: unread").await.contains(&began));
    bench.annoy("bo").await;
    bench.tell().await;
    let text = heard(&began, "event: unread").await;
    assert!(text.contains("event: notice") && text.contains("\"bo\""), "{text}");
}

/// The count of what is unread can not be had for a while, because of a notice that can not be read.
#[tokio::test]
async fn what_was_ready_when_the_database_failed_is_told_afterwards() {
    use sea_orm::ConnectionTrait;
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    bench.set(json!({"alert_threshold": -20})).await;
    bench.annoy("ana").await;
    bench.tell().await;
    let request = Request::get("/api/v1/inbox/live").header(header::COOKIE, &lead.cookie);
    let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    let mut heard = async |wait: u64| {
        let part = tokio::time::timeout(std::time::Duration::from_millis(wait), stream.next()).await;
        part.ok().map(|part| String::from_utf8_lossy(&part.unwrap().unwrap()).into_owned())
    };
    assert!(heard(5000).await.unwrap().starts_with("id: "));
    assert!(heard(5000).await.unwrap().contains("\"unread\":1"));
    let raw = sea_orm::Database::connect(bench.url()).await.unwrap();
    let set = async |statement: &str| {
        assert_eq!(raw.execute_unprepared(statement).await.unwrap().rows_affected(), 1, "{statement}");
    };
    raw.execute_unprepared("CREATE TABLE kept AS SELECT position, payload FROM notice").await.unwrap();
    set("UPDATE notice SET payload = 'broken'").await;
    bench.annoy("bo").await;
    bench.tell().await;
    assert_eq!(heard(1500).await, None);
    set("UPDATE notice SET payload = (SELECT k.payload FROM kept k) WHERE payload = 'broken'").await;
    let told = heard(5000).await.unwrap();
    assert!(told.contains("event: notice") && told.contains("\"bo\""), "{told}");
    assert!(heard(5000).await.unwrap().contains("\"unread\":2"));
}

#[tokio::test]
async fn preferences_are_ones_own_and_all_that_is_wrong_is_told() {
    let bench = Bench::open().await;
    let agent = bench.person("agent").await;
    let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
    let path = "/api/v1/me/notifications";
    let shown = bench.by(&agent, "GET", path, None).await;
    assert_documented(&document, "GET", path, &shown);
    assert_eq!(shown.json()["categories"]["alerts"], json!({"in_app": true, "email": true}));
    let changes = json!({
        "categories": {"alerts": {"email": false}}, "digest_at": "08:00", "zone": "Europe/Berlin", "version": 0,
        "quiet_hours": {"saturday": [["00:00", "24:00"]]},
    });
    let saved = bench.by(&agent, "PUT", path, Some(&changes)).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    assert_documented(&document, "PUT", path, &saved);
    assert_eq!(saved.json()["categories"]["alerts"], json!({"in_app": true, "email": false}));
    let late = bench.by(&agent, "PUT", path, Some(&json!({"digest_at": null, "version": 0}))).await;
    assert_eq!(late.status, 409, "{}", late.text);
    let partly = bench.by(&agent, "PUT", path, Some(&json!({"digest_at": null}))).await.json();
    assert_eq!((&partly["digest_at"], &partly["zone"]), (&Value::Null, &json!("Europe/Berlin")));
    let wrong = json!({"digest_at": "25:00", "zone": "Berlin", "colour": 1, "categories": {"weather": {}}});
    let wrong = bench.by(&agent, "PUT", path, Some(&wrong)).await;
    assert_eq!((wrong.status, wrong.json()["errors"].as_array().unwrap().len()), (422, 4), "{}", wrong.text);
    assert_eq!(bench.call("GET", path, "ut_mine", None).await.status, 403, "a key is nobody");
}

#[tokio::test]
async fn e_mail_arrives_once_and_a_link_ends_it_without_a_log_in() {
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    let admin = bench.person("tenant_admin").await;
    let daily = json!({"digest_at": "00:00", "urgent_at_once": false});
    assert_eq!(bench.by(&admin, "PUT", "/api/v1/me/notifications", Some(&daily)).await.status, 200);
    let (server, mailer) = mail::tests::server(Security::StartTls);
    let post = Post { store: bench.store().clone(), mailer, public_url: "https://undertone.example".into() };
    bench.set(json!({"alert_threshold": -20})).await;
    bench.annoy("canary-customer").await;
    bench.tell().await;
    server.fail(Some(Fault::WrongPassword));
    let why = mail::look(&post, &bench.app.ending).await.unwrap().unwrap();
    assert!(why.contains("535"), "{why}");
    server.fail(None);
    for _ in 0..3 {
        assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
    }
    let taken = server.taken();
    assert_eq!(taken.len(), 1, "the admin's waits for midnight: {taken:?}");
    let letter = &taken[0];
    assert_eq!(letter.to, ["supervisor@example.com"]);
    let head = letter.text.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains("canary") && letter.text.contains("Score"), "{}", letter.text);
    assert_eq!(letter.header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    let link = letter.header("List-Unsubscribe");
    let link = link.strip_prefix("<https://undertone.example").unwrap().strip_suffix('>').unwrap();
    // Looking at the link ends nothing; posting to it does, without a cookie.
    let looked = bench.send(Request::get(link).body(Body::empty()).unwrap()).await;
    assert!(looked.status == 200 && looked.text.contains("supervisor@example.com"), "{}", looked.text);
    let wants =
        async || bench.by(&lead, "GET", "/api/v1/me/notifications", None).await.json()["categories"].clone();
    assert_eq!(wants().await["alerts"]["email"], true);
    let click = Request::post(link).header(header::CONTENT_TYPE, FORM);
    let ended = bench.send(click.body(Body::from("List-Unsubscribe=One-Click")).unwrap()).await;
    assert_eq!(ended.status, 200, "{}", ended.text);
    assert_eq!(wants().await["alerts"], json!({"in_app": true, "email": false}));
    assert_eq!(wants().await["budget"]["email"], true);
    let forged =
        bench.send(Request::post(link.replace("alerts", "budget")).body(Body::empty()).unwrap()).await;
    assert_eq!(forged.status, 404);
    // From then on nothing comes by e-mail, and the inbox fills all the same.
    bench.annoy("another").await;
    bench.tell().await;
    assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
    assert_eq!(server.taken().len(), 1);
    assert_eq!(bench.inbox(&lead).await.len(), 2);
}

#[tokio::test]
async fn what_waited_and_may_not_be_told_any_more_is_not_sent() {
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    let (server, mailer) = mail::tests::server(Security::Implicit);
    let post = Post { store: bench.store().clone(), mailer, public_url: "".into() };
    bench.set(json!({"alert_threshold": -20})).await;
    bench.annoy("ana").await;
    bench.tell().await;
    bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
    assert_eq!(server.taken(), [], "the policy hides it by now");
    bench.set(json!({"visibility": {"policy": "full_transparency"}})).await;
    bench.annoy("bo").await;
    bench.tell().await;
    let act = Act::new(bench.mine.id, "test");
    bench.store().unsubscribe(&act, &lead.id, None).await.unwrap();
    assert_eq!(mail::look(&post, &bench.app.ending).await.unwrap(), None);
    assert_eq!(server.taken(), [], "they want none by now");
}

#[tokio::test]
async fn what_nobody_acknowledges_is_told_to_whom_the_tenant_chose() {
    let bench = Bench::open().await;
    let lead = bench.person("supervisor").await;
    let (agent, analyst) = (bench.person("agent").await, bench.person("analyst").await);
    let escalate_to = json!({"roles": ["analyst"], "users": [agent.id]});
    bench
        .set(json!({"alert_threshold": -20, "escalate_to": escalate_to, "escalate_after_minutes": 5,
        "recipients": {"mode": "supervisors"}}))
        .await;
    bench.annoy("ana").await;
    bench.tell().await;
    for (person, told) in [(&lead, 1), (&agent, 0), (&analyst, 0)] {
        assert_eq!(bench.inbox(person).await.len(), told, "{}", person.id);
    }
    let later = bench.store_after(chrono::TimeDelta::minutes(6)).await;
    while later.tick_alerts(bench.mine.id).await.unwrap() {}
    bench.tell().await;
    assert_eq!(bench.inbox(&lead).await, ["alert.escalated", "alert.raised"]);
    for person in [&agent, &analyst] {
        assert_eq!(bench.inbox(person).await, ["alert.escalated"], "{}", person.id);
    }
    // Whoever was called hears that it is over, though none of them would be told of it by choice.
    let interaction =
        bench.get("/api/v1/alerts").await["alerts"][0]["interaction_id"].as_str().unwrap().to_owned();
    super::events::correct(&bench, &interaction, "positive").await;
    bench.tell().await;
    for person in [&lead, &agent, &analyst] {
        assert_eq!(bench.inbox(person).await[0], "alert.withdrawn", "{}", person.id);
    }
}
