//! The numbers of agents: off until somebody answers for them, adjusted, never of others than one leads, and never seen without a trace.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use undertone_store::Act;

use super::document::assert_documented;
use super::{Bench, Person};

const NUMBERS: &str = "/api/v1/agents/numbers";
const SWITCH: &str = "/api/v1/agents/numbers/switch";

impl Person {
    /// What is read, and is what the OpenAPI document says of it.
    async fn get(&self, bench: &Bench, path: &str) -> Value {
        let answer = bench.by(self, "GET", path, None).await;
        let document: Value = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
        let route = path.split('?').next().unwrap().replace("/bo/", "/{id}/");
        assert_documented(&document, "GET", &route, &answer);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    async fn switch_on(&self, bench: &Bench) {
        let body = json!({"on": true, "reason": "Coaching, agreed with the works council in June.", "acknowledged": "2026-11"});
        let answer = bench.by(self, "PUT", SWITCH, Some(&body)).await;
        assert_eq!((answer.status, &answer.json()["on"]), (200, &json!(true)), "{}", answer.text);
    }
}

/// Each agent answers so many angry customers, who then write something glad; all of them in one team of the agent's own.
async fn contacts(bench: &Bench, agents: &[(&str, u8)], now: DateTime<Utc>) {
    let mut items = Vec::new();
    for (agent, count) in agents {
        for n in 0..*count {
            let of = format!("{agent}-{n}");
            let at = |minute: i64| (now - TimeDelta::minutes(60 - minute)).to_rfc3339();
            let (customer, conversation) = (json!({"id": of}), json!(of));
            items.push(json!({"external_id": format!("{of}-1"), "text": "Third week without an answer. I am furious and about to leave.",
                "customer": customer, "conversation": conversation, "occurred_at": at(1)}));
            items.push(json!({"external_id": format!("{of}-2"), "text": "I am sorry about that and have sent it again today.", "author_kind": "agent",
                "agent": {"id": agent, "name": format!("Name of {agent}"), "team": format!("team-{agent}")}, "conversation": conversation, "occurred_at": at(2)}));
            items.push(json!({"external_id": format!("{of}-3"), "text": "Thank you so much, that was really great help!",
                "customer": customer, "conversation": conversation, "occurred_at": at(3)}));
        }
    }
    let posted = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!(items))).await;
    assert_eq!(posted.status, 200, "{}", posted.text);
    bench.settled(&bench.mine).await;
}

/// Waits until everything is counted.
async fn counted(bench: &Bench) {
    for _ in 0..400 {
        if bench.store().tenants_to_recount().await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("not counted within 20 s");
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|one| one["agent"]["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn they_are_off_until_a_person_answers_for_them_and_gone_when_off_again() {
    let bench = Bench::open().await;
    let now = bench.store().now();
    contacts(&bench, &[("bo", 4)], now).await;
    let (admin, agent) = (bench.person("tenant_admin").await, bench.person("agent").await);
    for (who, path) in
        [(&admin, NUMBERS), (&admin, "/api/v1/agents/bo/numbers"), (&agent, "/api/v1/me/numbers")]
    {
        let answer = bench.by(who, "GET", path, None).await;
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("numbers_off")), "{path}");
    }
    let shown = agent.get(&bench, SWITCH).await;
    assert_eq!((&shown["on"], &shown["terms"]["version"]), (&json!(false), &json!("2026-11")));
    let reason = "Coaching, agreed with the works council in June.";
    for (body, field) in [
        (json!({}), "on"),
        (json!({"on": true, "acknowledged": "2026-11"}), "reason"),
        (json!({"on": true, "acknowledged": "2026-11", "reason": "because"}), "reason"),
        (json!({"on": true, "reason": reason}), "acknowledged"),
        (json!({"on": true, "reason": reason, "acknowledged": "yes"}), "acknowledged"),
    ] {
        let answer = bench.by(&admin, "PUT", SWITCH, Some(&body)).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (422, &json!(field)), "{body}");
    }
    let by_key = json!({"on": true, "reason": reason, "acknowledged": "2026-11"});
    let by_key = bench.call("PUT", SWITCH, "ut_mine", Some(&by_key)).await;
    assert_eq!(by_key.status, 403, "a key answers for nothing: {}", by_key.text);

    admin.switch_on(&bench).await;
    counted(&bench).await;
    let numbers = admin.get(&bench, NUMBERS).await;
    assert_eq!((ids(&numbers), &numbers["complete"]), (vec!["bo"], &json!(true)), "{numbers}");
    let bo = &numbers["items"][0]["numbers"];
    assert_eq!((&bo["contacts"], &bo["scored"], &bo["customers"]), (&json!(4), &json!(4), &json!(4)), "{bo}");
    let (before, after) = (bo["before"].as_f64().unwrap(), bo["unadjusted"].as_f64().unwrap());
    assert!(before < 0.0 && after > 0.0, "what came before the reply is not bo's: {bo}");
    let (low, high) = (bo["interval"]["low"].as_f64().unwrap(), bo["interval"]["high"].as_f64().unwrap());
    assert!(low < bo["adjusted"].as_f64().unwrap() && bo["adjusted"].as_f64().unwrap() < high);
    // What is new counts too.
    contacts(&bench, &[("bo", 5)], now).await;
    counted(&bench).await;
    assert_eq!(admin.get(&bench, "/api/v1/agents/bo/numbers").await["numbers"]["contacts"], 5);

    let off = bench.call("PUT", SWITCH, "ut_mine", Some(&json!({"on": false}))).await;
    assert_eq!(off.status, 200, "anybody who may change settings switches off, keys too: {}", off.text);
    assert_eq!(bench.by(&admin, "GET", NUMBERS, None).await.status, 403);
    counted(&bench).await;
    let log = bench.get("/api/v1/audit").await.to_string();
    for action in ["agent_numbers_on", "agent_numbers_off", "agent_numbers_seen"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    // On again, they are counted from the rows.
    admin.switch_on(&bench).await;
    counted(&bench).await;
    assert_eq!(admin.get(&bench, "/api/v1/agents/bo/numbers").await["numbers"]["contacts"], 5);
}

#[tokio::test]
async fn who_leads_sees_theirs_an_agent_their_own_and_every_look_is_recorded() {
    let bench = Bench::open().await;
    contacts(&bench, &[("bo", 4), ("cy", 3), ("di", 2)], bench.store().now()).await;
    let admin = bench.person("tenant_admin").await;
    admin.switch_on(&bench).await;
    counted(&bench).await;
    let manager = bench.person("manager").await;
    let agent = bench.person("agent").await;
    let supervisor = bench.person("supervisor").await;
    let numbers = supervisor.get(&bench, NUMBERS).await;
    assert_eq!((ids(&numbers), &numbers["too_few"]), (vec!["bo", "cy"], &json!(1)), "{numbers}");
    let page = supervisor.get(&bench, &format!("{NUMBERS}?limit=1")).await;
    assert_eq!((ids(&page), &page["next_after"]), (vec!["bo"], &json!("bo")));
    assert_eq!(ids(&supervisor.get(&bench, &format!("{NUMBERS}?limit=1&after=bo")).await), ["cy"]);

    // A manager of no team sees nobody; of a team, its own, and no average that tells of a single colleague.
    assert_eq!(ids(&manager.get(&bench, NUMBERS).await), Vec::<&str>::new());
    let team = numbers["items"][0]["agent"]["team"].as_str().unwrap();
    assert_eq!(team, "team-bo");
    lead(&bench, &manager.id, "bo").await;
    let theirs = manager.get(&bench, NUMBERS).await;
    assert_eq!((ids(&theirs), &theirs["average"], &theirs["too_few"]), (vec!["bo"], &Value::Null, &json!(0)));
    assert_eq!(theirs["items"][0]["numbers"]["difference"], Value::Null);
    assert_eq!(bench.by(&manager, "GET", "/api/v1/agents/bo/numbers", None).await.status, 200);
    for id in ["cy", "di", "nobody"] {
        let answer = bench.by(&manager, "GET", &format!("/api/v1/agents/{id}/numbers"), None).await;
        assert_eq!(answer.status, 404, "{id}: not theirs, or not there");
    }

    // An agent sees nobody, and themselves once they are linked.
    assert_eq!(bench.by(&agent, "GET", NUMBERS, None).await.status, 403);
    assert_eq!(bench.by(&agent, "GET", "/api/v1/agents/cy/numbers", None).await.status, 403);
    assert_eq!(bench.by(&agent, "GET", "/api/v1/me/numbers", None).await.status, 404);
    link(&bench, &agent.id, "cy").await;
    let own = agent.get(&bench, "/api/v1/me/numbers").await;
    assert_eq!((&own["agent"]["id"], &own["numbers"]["contacts"]), (&json!("cy"), &json!(3)), "{own}");
    assert_eq!((&own["average"], &own["numbers"]["difference"]), (&Value::Null, &Value::Null));
    link(&bench, &agent.id, "di").await;
    let few = agent.get(&bench, "/api/v1/me/numbers").await;
    assert_eq!(few["numbers"], Value::Null);
    assert!(few["why_none"].as_str().unwrap().contains("fewer than 3"), "{few}");

    let log = bench.get("/api/v1/audit?action=agent_numbers_seen&limit=100").await;
    let looks: Vec<String> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["actor"].as_str().unwrap().to_owned())
        .collect();
    for (who, count) in [(&supervisor, 3), (&manager, 3), (&agent, 2)] {
        let found = looks.iter().filter(|actor| **actor == format!("user:{}", who.id)).count();
        assert_eq!(found, count, "{log}");
    }
}

#[tokio::test]
async fn a_policy_without_single_people_shows_none() {
    let bench = Bench::open().await;
    contacts(&bench, &[("bo", 4)], bench.store().now()).await;
    let admin = bench.person("tenant_admin").await;
    admin.switch_on(&bench).await;
    counted(&bench).await;
    let policy = async |policy: &str| {
        let body = json!({"visibility": {"policy": policy}});
        let answer = bench.by(&admin, "PUT", "/api/v1/settings", Some(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    policy("aggregate_only").await;
    for path in [NUMBERS, "/api/v1/agents/bo/numbers", "/api/v1/me/numbers"] {
        let answer = bench.by(&admin, "GET", path, None).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (403, &json!("forbidden")),
            "{path}: {}",
            answer.text
        );
    }
    // Whoever sees single scores only sometimes gets whole weeks that are over, and nothing of fewer customers than a group has.
    policy("post_conversation").await;
    let numbers = admin.get(&bench, NUMBERS).await;
    assert_eq!((ids(&numbers), &numbers["days"]), (Vec::<&str>::new(), &json!(84)), "{numbers}");
    policy("full_transparency").await;
    assert_eq!(ids(&admin.get(&bench, NUMBERS).await), ["bo"]);
}

/// Makes a user lead the team of an agent.
async fn lead(bench: &Bench, user: &str, agent: &str) {
    let agent = bench.store().agent_by_external_id(bench.mine.id, agent).await.unwrap().unwrap();
    let team = agent.team_id.unwrap();
    run(
        bench,
        &format!("INSERT INTO user_team (tenant_id, user_id, team_id) VALUES (1, '{user}', '{team}')"),
    )
    .await;
}

/// Makes a user an agent, and no other.
async fn link(bench: &Bench, user: &str, agent: &str) {
    run(bench, &format!("UPDATE agent SET user_id = NULL WHERE user_id = '{user}'")).await;
    run(
        bench,
        &format!("UPDATE agent SET user_id = '{user}' WHERE tenant_id = 1 AND external_id = '{agent}'"),
    )
    .await;
}

async fn run(bench: &Bench, statement: &str) {
    use sea_orm::ConnectionTrait;
    let act = Act::new(bench.mine.id, "test");
    assert_eq!(act.tenant.0, 1);
    let url = format!("sqlite://{}/undertone.db", bench.folder.path().display());
    sea_orm::Database::connect(url).await.unwrap().execute_unprepared(statement).await.unwrap();
}
