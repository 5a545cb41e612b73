//! Whoever walks through events or an inbox learns nothing of what they do not see: not by how much there is on a page, where it ends, or whether
//! there is more.

use axum::http::HeaderValue;
use chrono::TimeDelta;
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Planted, Somebody, verdict};

/// Under each policy that hides a score of an open conversation, somebody whom it is hidden from.
const LOOKING: [(&str, &[&str]); 4] = [
    ("supervisor_overlay", &["agent", "account_manager", "analyst", "key:read"]),
    ("post_conversation", &["admin", "agent", "key:admin"]),
    ("aggregate_only", &["admin", "supervisor", "analyst"]),
    ("threshold_rules", &["admin", "agent"]),
];
/// What may be asked for.
const TYPES: [&str; 6] = [
    "*",
    "sentiment.*",
    "sentiment.negative",
    "alert.*",
    "alert.raised,sentiment.scored",
    "sentiment.scored",
];

impl Planted {
    /// The policy; past a threshold only a supervisor sees something.
    async fn hide(&self, policy: &str) {
        let rules = json!([{"roles": ["supervisor"], "at_or_under": -50}]);
        self.choose(json!({"policy": policy, "thresholds": rules})).await;
    }

    /// The place behind all events there are.
    async fn end_of_events(&self) -> String {
        self.bench.place().await;
        let page = self.bench.get("/api/v1/events?limit=500").await;
        assert_eq!(page["more"], json!(false));
        page["next"].as_str().unwrap().to_owned()
    }

    async fn plant_at(&self, word: &str, score: i64, number: i64) {
        self.plant(word, score, number).await;
        self.bench.place().await;
    }
}

impl Somebody<'_> {
    /// What pages of one event each tell: the type of the event, and whether there is more.
    async fn walk(&self, after: &str, types: &str) -> Vec<(Vec<String>, bool)> {
        let (mut pages, mut after) = (Vec::new(), after.to_owned());
        loop {
            let page = self.get(&format!("/api/v1/events?limit=1&types={types}&after={after}")).await;
            let events = page["events"].as_array().unwrap();
            let told = events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
            pages.push((told, page["more"] == json!(true)));
            if page["more"] != json!(true) {
                return pages;
            }
            page["next"].as_str().unwrap().clone_into(&mut after);
        }
    }

    /// What the stream tells from a place on: types of events and their places.
    async fn heard(&self, after: &str) -> Vec<(String, String)> {
        let mut request = self.request("GET", "/api/v1/events", None);
        request.headers_mut().insert("accept", HeaderValue::from_static("text/event-stream"));
        request.headers_mut().insert("last-event-id", HeaderValue::from_str(after).unwrap());
        let response = self.planted.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let (mut body, mut told) = (response.into_body().into_data_stream(), String::new());
        let patience = std::time::Duration::from_millis(150);
        while let Ok(Some(piece)) = tokio::time::timeout(patience, body.next()).await {
            told += &String::from_utf8_lossy(&piece.unwrap());
        }
        let of = |block: &str, name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).map_or(String::new(), str::to_owned)
        };
        let blocks = told.split("\n\n").filter(|block| block.contains("event:"));
        blocks.map(|block| (of(block, "event:"), of(block, "id:").trim().to_owned())).collect()
    }
}

/// Everything that those who look are told of a text and of one that comes after it.
async fn told_of(planted: &Planted, word: &str, score: i64) -> Vec<(String, Value)> {
    let begin = planted.end_of_events().await;
    planted.plant_at(word, score, 1).await;
    planted.plant_at(word, 34, 2).await;
    let mut told = Vec::new();
    for (policy, roles) in LOOKING {
        planted.hide(policy).await;
        for who in roles {
            let somebody = planted.somebody(who).await;
            for types in TYPES {
                let pages = somebody.walk(&begin, types).await;
                told.push((format!("{who} under {policy}: {types}"), json!(pages)));
            }
            let heard: Vec<String> = somebody.heard(&begin).await.into_iter().map(|(kind, _)| kind).collect();
            told.push((format!("{who} under {policy}: stream"), json!(heard)));
        }
    }
    told
}

#[tokio::test]
async fn pages_of_events_are_the_same_whether_or_not_a_text_was_a_bad_one() {
    let planted = Planted::open().await;
    let bad = told_of(&planted, "bad", -83).await;
    let good = told_of(&planted, "good", 34).await;
    assert_eq!(bad.len(), good.len());
    for ((told, bad), (same, good)) in bad.iter().zip(&good) {
        assert_eq!(told, same);
        assert_eq!(bad, good, "{told}");
    }
    let of = |what: &str| &good.iter().find(|(told, _)| told == what).unwrap().1;
    let both = json!([[["sentiment.scored"], true], [["sentiment.scored"], false]]);
    assert_eq!(of("admin under aggregate_only: *"), &both);
    assert_eq!(of("agent under supervisor_overlay: *"), &both);
    assert_eq!(of("agent under supervisor_overlay: alert.*"), &json!([[[], false]]));
}

/// A place is told of for seven days; whether it is still one hangs on nothing that was hidden behind it.
#[tokio::test]
async fn places_last_as_long_whether_or_not_a_text_was_a_bad_one() {
    let planted = Planted::open().await;
    let mut lasted = Vec::new();
    for (word, score) in [("bad", -83), ("good", 34)] {
        let begin = planted.end_of_events().await;
        planted.plant_at(word, score, 1).await;
        let mut held = Vec::new();
        for (policy, roles) in LOOKING {
            planted.hide(policy).await;
            for who in roles {
                let somebody = planted.somebody(who).await;
                let page = somebody.get(&format!("/api/v1/events?limit=1&after={begin}")).await;
                held.push((policy, *who, page["next"].as_str().unwrap().to_owned()));
                let heard = somebody.heard(&begin).await;
                held.push((policy, *who, heard[0].1.clone()));
            }
        }
        planted.bench.store().remove_old_events(planted.bench.mine.id, TimeDelta::zero()).await.unwrap();
        let mut answers = Vec::new();
        for (policy, who, after) in held {
            planted.hide(policy).await;
            let somebody = planted.somebody(who).await;
            let path = format!("/api/v1/events?after={after}");
            answers.push((policy, who, somebody.call("GET", &path, None).await.status));
        }
        lasted.push(answers);
    }
    assert_eq!(lasted[0], lasted[1]);
    assert!(lasted[0].iter().all(|(.., status)| *status == 200), "{lasted:?}");
}

/// Who sees everything goes on behind what they were told, also where pages are as long as the look.
#[tokio::test]
async fn who_sees_everything_misses_nothing() {
    let planted = Planted::open().await;
    let begin = planted.end_of_events().await;
    planted.plant_at("bad", -83, 1).await;
    let admin = planted.somebody("admin").await;
    let pages = admin.walk(&begin, "*").await;
    let told: Vec<&str> = pages.iter().flat_map(|(told, _)| told).map(String::as_str).collect();
    assert_eq!(told, ["sentiment.scored", "sentiment.negative", "alert.raised"]);
    let heard = admin.heard(&begin).await;
    assert_eq!(heard.iter().map(|(kind, _)| kind.trim()).collect::<Vec<_>>(), told);
    for (n, (_, place)) in heard.iter().enumerate() {
        let rest = admin.walk(place, "*").await;
        let rest: Vec<&str> = rest.iter().flat_map(|(told, _)| told).map(String::as_str).collect();
        assert_eq!(rest, told[n + 1..]);
    }
}

#[tokio::test]
async fn an_inbox_counts_and_pages_what_is_seen() {
    let planted = Planted::open().await;
    planted.tell_everybody().await;
    let (agent, manager) = (planted.somebody("agent").await, planted.somebody("account_manager").await);
    let whole = agent.get("/api/v1/inbox?limit=200").await;
    let youngest = whole["notices"][0]["id"].clone();
    assert!(whole["notices"].as_array().unwrap().len() > 3, "{whole}");
    planted.choose(json!("supervisor_overlay")).await;
    let none = json!({"notices": [], "next": null, "unread": 0, "more_unread": false});
    for query in ["?limit=1", "?limit=1&unread=true", ""] {
        assert_eq!(agent.get(&format!("/api/v1/inbox{query}")).await, none, "{query}");
    }
    let page = agent.call("GET", "/inbox", None).await.text;
    assert!(!page.contains("before="), "{page}");
    let read = agent.call("POST", "/api/v1/inbox/read-all", Some(&json!({"up_to": youngest}))).await;
    assert_eq!(read.json(), json!({"read": 0, "unread": 0, "more_unread": false}));
    // Each page is full, and the last one says that it is.
    let mine = manager.get("/api/v1/inbox?limit=200").await;
    let mine = mine["notices"].as_array().unwrap();
    assert!(!mine.is_empty());
    let mut next = String::new();
    for (n, notice) in mine.iter().enumerate() {
        let page = manager.get(&format!("/api/v1/inbox?limit=1{next}")).await;
        assert_eq!(page["notices"], json!([notice]));
        assert_eq!(page["next"].is_null(), n + 1 == mine.len(), "{page}");
        next = page["next"].as_str().map(|place| format!("&before={place}")).unwrap_or_default();
    }
    let all = json!({"up_to": mine[0]["id"]});
    let read = manager.call("POST", "/api/v1/inbox/read-all", Some(&all)).await;
    assert_eq!(read.json()["read"], json!(mine.len()));
}

/// The sums of a customer may be seen past a threshold where the last verdict is not past it.
#[tokio::test]
async fn a_last_verdict_is_hidden_where_its_interaction_is() {
    let planted = Planted::open().await;
    for (score, number) in [(-95, 1), (-95, 2)] {
        planted.plant("swing", score, number).await;
    }
    let last = planted.plant("swing", 35, 3).await;
    planted.choose(json!("threshold_rules")).await;
    for (who, reads) in [("admin", true), ("agent", true), ("analyst", false), ("key:read", true)] {
        let somebody = planted.somebody(who).await;
        let one = somebody.get(&format!("/api/v1/interactions/{last}")).await;
        assert_eq!(one["score"], Value::Null);
        let guide = "/crm/api/sentiment.php?action=customer_rollup&customer_id=customer-";
        for path in ["/api/v1/customers/customer-SWING/sentiment", &format!("{guide}SWING")] {
            let of = async |word: &str| somebody.get(&path.replace("SWING", word)).await;
            let told = of("swing").await;
            assert_eq!(told["rollup"]["avg_score"], json!(-51.7), "{who} at {path}: {told}");
            assert_eq!(told["last"], Value::Null, "{who} at {path}: {told}");
            assert!(told["rollup"]["last_scored_at"].is_string(), "{who} at {path}: {told}");
            assert_eq!(told["hidden"]["reason"], json!("not_past_threshold"), "{who} at {path}: {told}");
            assert_eq!(of("open").await["last"]["score"], json!(-83));
        }
        let overview = somebody.get("/api/v1/overview").await;
        let of = |word: &str| {
            let listed = overview["customers_at_risk"].as_array().unwrap();
            listed.iter().find(|one| one["external_id"] == json!(format!("customer-{word}"))).unwrap().clone()
        };
        let told = of("swing");
        assert_eq!(told["last_score"], Value::Null, "{who}: {told}");
        assert_eq!(told["last_said"].is_string(), reads, "{who}: {told}");
        assert_eq!(of("open")["last_score"], json!(-83));
        if somebody.is_person() {
            let page = somebody.call("GET", "/", None).await.text;
            assert!(page.contains("customer-swing") && !page.contains("+35"), "{who}: {page}");
        }
    }
    // What a person sees by themselves they see here as well.
    planted.choose(json!("full_transparency")).await;
    let told = planted.somebody("agent").await.get("/api/v1/customers/customer-swing/sentiment").await;
    assert_eq!((&told["last"]["score"], &told["hidden"]), (&json!(35), &Value::Null));
}

/// What stands in a conversation that is nobody's is not opened by naming a customer in it.
#[tokio::test]
async fn nobody_gives_a_conversation_to_their_customer_with_a_message() {
    let planted = Planted::open().await;
    let note = json!({"external_id": "note", "text": "They sound cross, and more words", "conversation": {"id": "talk-nobodys"}});
    let note = planted.bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&note)).await;
    let note = note.json()["id"].as_str().unwrap().to_owned();
    planted.record(verdict("note", -61)).await;
    planted.choose(json!("supervisor_overlay")).await;
    let manager = planted.somebody("account_manager").await;
    let score = async || manager.get(&format!("/api/v1/interactions/{note}")).await["score"].clone();
    assert_eq!(score().await, Value::Null);
    let said = json!({"text": "It is broken.", "customer": {"id": "customer-open"}, "conversation": {"id": "talk-nobodys"}});
    for _ in 0..2 {
        let taken = manager.call("POST", "/api/v1/interactions", Some(&said)).await;
        assert_eq!(taken.status, 201, "{}", taken.text);
        assert_eq!(score().await, Value::Null);
    }
    // A source says whose it is.
    let taken = planted.bench.call("POST", "/api/v1/interactions", "ut_mine_ingest", Some(&said)).await;
    assert_eq!((taken.status, score().await), (201, json!(-61)), "{}", taken.text);
}
