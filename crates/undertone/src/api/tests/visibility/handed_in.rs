//! Whoever hands something in opens nothing for themselves: what decides who sees what is changed by keys that hand in, and by who runs the
//! tenant.

use serde_json::{Value, json};

use super::{Planted, Somebody};
use crate::api::tests::Answer;

impl Somebody<'_> {
    /// They are refused this, and told who may.
    async fn refused(&self, method: &str, path: &str, body: &Value) -> Answer {
        let answer = self.call(method, path, Some(body)).await;
        assert_eq!(answer.status, 403, "{method} {path} {body}: {}", answer.text);
        assert!(
            answer.text.contains("tenant_admin") && answer.text.contains("scope ingest"),
            "{}",
            answer.text
        );
        answer
    }

    /// They may not hand this in, in whichever way; what else is in a file is taken in.
    async fn may_not_hand_in(&self, field: &str, item: &Value) {
        let refused = self.refused("POST", "/api/v1/interactions", item).await.json();
        assert_eq!(refused["errors"][0]["field"], json!(field), "{refused}");
        let good = json!({"external_id": format!("good-{}", uuid::Uuid::new_v4()), "text": "And it still does not work."});
        let file = json!([good, item]);
        let taken = self.call("POST", "/api/v1/interactions", Some(&file)).await;
        assert_eq!(taken.status, 200, "{}", taken.text);
        let taken = taken.json();
        let error = &taken["errors"][0];
        assert_eq!((&taken["accepted"], &taken["rejected"]), (&json!(1), &json!(1)), "{taken}");
        assert_eq!(
            (&error["line"], &error["field"], &error["code"]),
            (&json!(2), &json!(field), &json!("forbidden")),
            "{taken}"
        );
    }
}

#[tokio::test]
async fn nobody_takes_a_customer_into_their_account() {
    let planted = Planted::open().await;
    planted.choose(json!("supervisor_overlay")).await;
    let manager = planted.somebody("account_manager").await;
    let score = async |word: &str| {
        manager.get(&format!("/api/v1/interactions/{}", planted.ids_of(word)[0])).await["score"].clone()
    };
    assert_eq!((score("open").await, score("closed").await), (json!(-83), Value::Null), "acme is theirs");
    // One of another account, and one of none.
    for word in ["closed", "mild"] {
        let path = format!("/api/v1/customers/customer-{word}");
        manager.refused("PUT", &path, &json!({"account": "acme"})).await;
        let item = json!({"text": "It is broken.", "customer": {"id": format!("customer-{word}"), "account": "acme"}});
        manager.may_not_hand_in("account", &item).await;
        assert_eq!(score(word).await, Value::Null, "{word}");
    }
    let form = json!({"customer_id": "customer-closed", "account": "acme", "text": "It is broken."});
    manager.refused("POST", "/crm/api/log-interaction.php", &form).await;
    // What is so already may be said again, and whom nobody knows may be told of.
    for customer in ["customer-closed", "somebody-new"] {
        let account = if customer == "somebody-new" { "acme" } else { "beta" };
        let item =
            json!({"text": "It is broken.", "customer": {"id": customer, "account": account, "name": "Ana"}});
        let taken = manager.call("POST", "/api/v1/interactions", Some(&item)).await;
        assert_eq!(taken.status, 201, "{}", taken.text);
    }
    let path = "/api/v1/customers/customer-closed";
    let told = planted.bench.call("PUT", path, "ut_mine_ingest", Some(&json!({"account": "acme"}))).await;
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(score("closed").await, json!(-79), "a source says whose customers are");
    // An administrator does so where it is noted, and with an interaction as little as anybody.
    let admin = planted.somebody("tenant_admin").await;
    let item = json!({"text": "It is broken.", "customer": {"id": "customer-closed", "account": "beta"}});
    admin.may_not_hand_in("account", &item).await;
    let noted =
        async || planted.bench.get("/api/v1/audit").await.to_string().matches("customer_changed").count();
    let before = noted().await;
    let back = admin.call("PUT", path, Some(&json!({"account": "beta"}))).await;
    assert_eq!((back.status, score("closed").await), (200, Value::Null), "{}", back.text);
    assert_eq!(noted().await, before + 1);
}

#[tokio::test]
async fn nobody_puts_a_customer_into_a_segment_that_shows_them() {
    let planted = Planted::open().await;
    let gold = json!([{"at_or_under": -50, "segments": ["gold"]}]);
    planted.choose(json!({"policy": "threshold_rules", "thresholds": gold})).await;
    let agent = planted.somebody("agent").await;
    let path = "/api/v1/customers/customer-open";
    let average = async || agent.get(&format!("{path}/sentiment")).await["rollup"]["avg_score"].clone();
    assert_eq!(average().await, Value::Null);
    agent.refused("PUT", path, &json!({"segment": "gold"})).await;
    let item = json!({"text": "It is broken.", "customer": {"id": "customer-open", "segment": "gold"}});
    agent.may_not_hand_in("customer.segment", &item).await;
    assert_eq!(average().await, Value::Null);
    let told = planted.bench.call("PUT", path, "ut_mine_ingest", Some(&json!({"segment": "gold"}))).await;
    assert_eq!((told.status, average().await), (200, json!(-83.0)), "{}", told.text);
}

#[tokio::test]
async fn nobody_closes_or_moves_what_they_hand_in_to_see_it() {
    let planted = Planted::open().await;
    planted.choose(json!("post_conversation")).await;
    let agent = planted.somebody("agent").await;
    let score = async |word: &str| {
        agent.get(&format!("/api/v1/interactions/{}", planted.ids_of(word)[0])).await["score"].clone()
    };
    let closing = json!({"text": "It is broken.", "customer": "customer-open", "kind": "note",
        "conversation": {"id": "talk-open", "state": "closed"}});
    agent.may_not_hand_in("conversation.state", &closing).await;
    assert_eq!(score("open").await, Value::Null);
    // A message of no conversation is never over; a note is.
    let mut moved = json!({"external_id": "apart-1", "text": "This is text-canary-apart of 1, and more words",
        "customer": {"id": "customer-apart"}, "agent": {"id": "agent-of-all", "team": "north"}, "on_conflict": "update"});
    let again = agent.call("POST", "/api/v1/interactions", Some(&moved)).await;
    assert_eq!((again.status, &again.json()["result"]), (200, &json!("duplicate")), "{}", again.text);
    moved["kind"] = json!("note");
    agent.may_not_hand_in("on_conflict", &moved).await;
    assert_eq!(score("apart").await, Value::Null);

    // A person closes one where that is noted; a source closes and moves as it likes.
    let noted = async || planted.bench.get("/api/v1/audit").await.to_string().contains("conversation_closed");
    assert!(!noted().await);
    let closed = json!({"state": "closed"});
    assert_eq!(agent.call("PUT", "/api/v1/conversations/talk-open", Some(&closed)).await.status, 200);
    assert!(noted().await);
    let told = planted.bench.call("POST", "/api/v1/interactions", "ut_mine_ingest", Some(&moved)).await;
    assert_eq!((told.status, &told.json()["result"]), (200, &json!("updated")), "{}", told.text);
    assert_eq!(score("apart").await, json!(-81));
}

#[tokio::test]
async fn nobody_takes_an_agent_into_their_team() {
    let planted = Planted::open().await;
    let (store, mine) = (planted.bench.store(), planted.bench.mine.id);
    let team =
        async || store.agent_by_external_id(mine, "agent-of-all").await.unwrap().unwrap().team.unwrap();
    assert_eq!(team().await, "north");
    let path = "/api/v1/agents/agent-of-all";
    for role in ["manager", "supervisor"] {
        let lead = planted.somebody(role).await;
        lead.refused("PUT", path, &json!({"team": "south"})).await;
        let item = json!({"text": "It is broken.", "agent": {"id": "agent-of-all", "team": "south"}});
        lead.may_not_hand_in("agent.team", &item).await;
        let named = lead.call("PUT", path, Some(&json!({"name": "Mei", "team": "north"}))).await;
        assert_eq!((named.status, team().await.as_str()), (200, "north"), "{}", named.text);
    }
    let told = planted.bench.call("PUT", path, "ut_mine_ingest", Some(&json!({"team": "south"}))).await;
    assert_eq!((told.status, team().await.as_str()), (200, "south"), "{}", told.text);
}

#[tokio::test]
async fn nobody_moves_a_conversation_to_another_queue() {
    let planted = Planted::open().await;
    let agent = planted.somebody("agent").await;
    let of = |talk: &str, queue: &str| json!({"text": "It is broken.", "conversation": {"id": talk, "queue": queue}});
    let bare = json!({"external_id": "bare", "text": "It is broken.", "conversation": {"id": "talk-bare"}});
    assert_eq!(agent.call("POST", "/api/v1/interactions", Some(&bare)).await.status, 201);
    for talk in ["talk-open", "talk-bare"] {
        agent.may_not_hand_in("conversation.queue", &of(talk, "lonely")).await;
        agent.refused("PUT", &format!("/api/v1/conversations/{talk}"), &json!({"queue": "lonely"})).await;
    }
    // What is so already, and what nobody knows.
    for (talk, queue) in [("talk-open", "billing"), ("talk-new", "lonely")] {
        let taken = agent.call("POST", "/api/v1/interactions", Some(&of(talk, queue))).await;
        assert_eq!(taken.status, 201, "{}", taken.text);
    }
    let path = "/api/v1/conversations/talk-open";
    let told = planted.bench.call("PUT", path, "ut_mine_ingest", Some(&json!({"queue": "lonely"}))).await;
    assert_eq!(told.status, 200, "{}", told.text);
    agent.may_not_hand_in("conversation.queue", &of("talk-open", "billing")).await;
}
