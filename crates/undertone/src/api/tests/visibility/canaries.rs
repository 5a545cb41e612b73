//! Everything that can be read, as everybody, under every policy, is searched for what was planted and may not be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::HeaderValue;
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use undertone_store::Act;
use undertone_store::agents::NewSwitch;

use super::expected::{Line, lines};
use super::{FIRST, PLANTED, Planted, RATED, Somebody};
use crate::api::{ROUTES, Route};

/// Addresses at which somebody reads more than the policy shows: the customer's own copy of what is held on them.
const EXCEPT: [&str; 1] = ["/api/v1/customers/{id}/export"];

/// What a person makes of the score of the second interaction of `open`.
const CORRECTED: i64 = -84;

/// What streams tell is read for so long.
const PATIENCE: Duration = Duration::from_millis(150);

/// Where what is planted is to be found by an administrator under full transparency, and by which word: a surface that is empty proves nothing.
/// By hand: whoever adds one writes it down.
const SURFACES: [(&str, &str); 34] = [
    ("GET /api/v1/agents/numbers", "agent-of-all"),
    ("GET /api/v1/agents/{id}/numbers", "agent-of-all"),
    ("GET /api/v1/audit", "\"sentiment_override\""),
    ("GET /api/v1/interactions", "\"score\":-83"),
    ("GET /api/v1/interactions/export", "summary-canary-open"),
    ("GET /api/v1/interactions/{id}", "summary-canary-open"),
    ("GET /api/v1/interactions/{id}/override", "\"score\":-84"),
    ("GET /api/v1/customers/{id}/sentiment", "\"avg_score\":-83"),
    ("GET /api/v1/escalations", "summary-canary-open"),
    ("GET /api/v1/overview", "summary-canary-apart"),
    ("GET /api/v1/alerts", "\"score\":-83"),
    ("GET /api/v1/alerts/{id}", "\"score\":-83"),
    ("GET /api/v1/incidents", "\"usual\":"),
    ("GET /api/v1/incidents/{id}", "\"usual\":"),
    ("GET /api/v1/events", "summary-canary-open"),
    ("stream of /api/v1/events", "summary-canary-open"),
    ("GET /api/v1/inbox", "summary-canary-open"),
    ("stream of /api/v1/inbox/live", "summary-canary-open"),
    ("stream of /live", "summary-canary-"),
    ("GET /api/v1/destinations/{id}/deliveries", "\"alert.acknowledged\""),
    ("GET /api/v1/deliveries/{id}", "\"event\":"),
    ("GET /api/v1/review", "text-canary-open"),
    ("POST /api/v1/review/claims", "text-canary-"),
    ("GET /api/v1/review/results", "note-canary-open"),
    ("GET /api/v1/review/results", "\"score\":-71"),
    ("GET /api/v1/review/{id}", "note-canary-open"),
    ("GET /api/v1/review/agreement", "\"kappa\""),
    ("GET /api/v1/cascade", "\"score\":-23"),
    ("GET /api/v1/audit", "\"score\":-71"),
    ("GET /api/v1/groups", "\"queues\""),
    ("GET /crm/api/sentiment.php", "summary-canary-open"),
    ("GET /api/v1/backfills/{id}", "\"state\":"),
    ("GET /", "summary-canary-"),
    ("GET /inbox", "\u{2212}83"),
];

/// Routes of one thing by its id of which there is none here, by hand: what they tell holds nothing of what customers feel.
const NOTHING_PLANTED: [&str; 1] = ["/api/v1/erasures/{id}"];

/// Requests that change something and answer with what it is about; `{}` or this is sent.
fn changes() -> [(&'static str, Value); 5] {
    [
        ("/api/v1/review/claims", json!({"limit": 20})),
        ("/api/v1/alerts/{id}/acknowledge", json!({})),
        ("/api/v1/interactions/{id}/override", json!({"agree": true, "version": "x"})),
        ("/api/v1/backfills", json!({"mode": "refresh"})),
        ("/api/v1/interactions/{id}/rescore", json!({"confirm": false, "nothing": 1})),
    ]
}

/// Ids to read, by the beginning of the addresses they go into.
struct Ids(Vec<(&'static str, Vec<String>)>);

impl Ids {
    async fn of(planted: &Planted, incident: String, run: String, done: Vec<String>) -> Self {
        let listed = async |path: &str, key: &str| -> Vec<String> {
            let answer = planted.bench.get(path).await;
            let ids = answer[key].as_array().unwrap().iter();
            ids.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        let interactions: Vec<String> =
            planted.ids.iter().flat_map(|(_, ids)| ids.iter().take(1)).cloned().collect();
        let customers = PLANTED.iter().map(|(word, _)| format!("customer-{word}")).collect();
        let alerts = listed("/api/v1/alerts", "alerts").await;
        let destinations = listed("/api/v1/destinations", "destinations").await;
        let users = planted.bench.store().users(planted.bench.mine.id).await.unwrap();
        let path = format!("/api/v1/destinations/{}/deliveries", destinations[0]);
        let deliveries = listed(&path, "deliveries").await.into_iter().take(3).collect();
        let admin = planted.somebody("admin").await;
        let items = admin.get("/api/v1/review").await["items"].clone();
        let items = items.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        Self(vec![
            ("/api/v1/interactions/", interactions),
            ("/api/v1/customers/", customers),
            ("/api/v1/agents/", vec!["agent-of-all".to_owned()]),
            ("/api/v1/backfills/", vec![run]),
            ("/api/v1/alerts/", alerts),
            ("/api/v1/incidents/", vec![incident]),
            ("/api/v1/destinations/", destinations),
            ("/api/v1/deliveries/", deliveries),
            ("/api/v1/users/", users.into_iter().take(2).map(|user| user.id).collect()),
            ("/api/v1/review/", items.take(4).chain(done).collect()),
        ])
    }

    /// The addresses of a route.
    fn addresses(&self, path: &str) -> Vec<String> {
        if !path.contains("{id}") {
            return vec![path.replace("{name}", "x").replace("{*file}", "x")];
        }
        let known = self.0.iter().find(|(begins, _)| path.starts_with(begins));
        let ids = known.map_or_else(|| vec!["x".to_owned()], |(_, ids)| ids.clone());
        ids.iter().map(|id| path.replace("{id}", id)).collect()
    }
}

/// What somebody was told, by surface.
struct Told<'a> {
    line: &'a Line,
    by_surface: BTreeMap<String, String>,
    /// Routes that answered with something.
    found: BTreeSet<&'static str>,
}

impl Told<'_> {
    fn take(&mut self, surface: &str, path: &str, text: &str) {
        assert_nothing_hidden(self.line, path, text);
        self.by_surface.entry(surface.to_owned()).or_default().push_str(text);
    }
}

#[tokio::test]
pub(super) async fn nothing_that_can_be_read_holds_what_is_not_to_be_seen() {
    let planted = Planted::open().await;
    let incident = planted.tell_everybody().await;
    let done = planted.rate().await;
    let begun = json!({"mode": "refresh", "confirm": true});
    let run = planted.bench.call("POST", "/api/v1/backfills", "ut_mine", Some(&begun)).await;
    let run = run.json()["run"]["id"].as_str().unwrap_or("x").to_owned();
    // What a person said of a score is one itself.
    let corrected = planted.ids_of("open")[1].clone();
    let version =
        planted.bench.get(&format!("/api/v1/interactions/{corrected}")).await["sentiment"]["version"].clone();
    let said = json!({"score": CORRECTED, "version": version});
    let path = format!("/api/v1/interactions/{corrected}/override");
    assert_eq!(planted.bench.call("POST", &path, "ut_mine", Some(&said)).await.status, 200);
    let (store, mine) = (planted.bench.store(), planted.bench.mine.id);
    let on = NewSwitch {
        on: true,
        reason: Some("Coaching, agreed with the works council."),
        acknowledged: Some("1"),
    };
    store.switch_agent_numbers(&Act::new(mine, "test"), &on).await.unwrap();
    while store.recount_agents(mine).await.unwrap() {}
    let mut ids = Ids::of(&planted, incident, run, done).await;
    ids.0[0].1.push(corrected);
    let mut policy = String::new();
    for line in lines() {
        if policy != line.policy {
            planted.choose(json!(line.policy)).await;
            policy.clone_from(&line.policy);
        }
        let somebody = planted.somebody(&line.who).await;
        let mut told = Told { line: &line, by_surface: BTreeMap::new(), found: BTreeSet::new() };
        let is_read =
            |route: &&Route| route.method == "GET" && route.path != "/live" && !EXCEPT.contains(&route.path);
        for route in ROUTES.iter().filter(is_read) {
            if route.access.is_page() && !somebody.is_person() {
                continue;
            }
            for path in ids.addresses(route.path) {
                // One thing by its id is asked for as it is, lists in the ways they can be.
                let queries: &[&str] = match route.path {
                    "/crm/api/sentiment.php" => {
                        &["?action=escalation_queue", "?action=customer_rollup&customer_id=customer-open"]
                    }
                    "/api/v1/interactions/export" => &["?texts=true", "?texts=true&format=csv"],
                    path if path.ends_with("/deliveries") => &["?limit=200"],
                    path if path.contains("{id}") => &[""],
                    _ => &["", "?limit=100", "?days=90", "?single=true"],
                };
                for query in queries {
                    let path = format!("{path}{query}");
                    let answer = somebody.call("GET", &path, None).await;
                    assert_ne!(answer.status, 429, "{path}: the test asks faster than is allowed");
                    if answer.status == 200 {
                        told.found.insert(route.path);
                    }
                    told.take(&format!("GET {}", route.path), &path, &answer.text);
                }
            }
        }
        for (surface, path) in
            [("/api/v1/events", "/api/v1/events"), ("/api/v1/inbox/live", "/api/v1/inbox/live")]
        {
            let text = somebody.stream(path).await;
            told.take(&format!("stream of {surface}"), path, &text);
        }
        if somebody.is_person() {
            told.take("stream of /live", "/live", &somebody.live().await);
        }
        for (change, body) in changes() {
            for path in ids.addresses(change) {
                let answer = somebody.call("POST", &path, Some(&body)).await;
                told.take(&format!("POST {change}"), &path, &answer.text);
            }
        }
        // What may be seen is found at each of the places, so it was looked for in the right way.
        if (line.who.as_str(), line.policy.as_str()) == ("admin", "full_transparency") {
            for (surface, word) in SURFACES {
                let text = told.by_surface.get(surface).map(String::as_str).unwrap_or_default();
                assert!(text.contains(word), "{surface} does not tell {word}: {text}");
            }
            for route in ROUTES.iter().filter(is_read).filter(|route| route.path.contains("{id}")) {
                let is_searched = told.found.contains(route.path) || NOTHING_PLANTED.contains(&route.path);
                assert!(
                    is_searched,
                    "{}: none of the ids is one of its own, so nothing was searched",
                    route.path
                );
            }
        }
        for (word, _) in PLANTED.iter().filter(|(word, _)| line.texts_of(word) == 'A') {
            let found = told.by_surface.values().any(|text| text.contains(&format!("summary-canary-{word}")));
            assert!(found, "{} under {}", line.who, line.policy);
        }
    }
}

impl Somebody<'_> {
    /// What a stream tells from its beginning, as far as it does so at once.
    async fn stream(&self, path: &str) -> String {
        // The place before everything that is kept, but for the first event.
        let first = self.call("GET", "/api/v1/events?limit=1", None).await.json();
        let begin = if path.ends_with("/events") { first["next"].as_str().unwrap() } else { "0" };
        let mut request = self.request("GET", path, None);
        request.headers_mut().insert("accept", HeaderValue::from_static("text/event-stream"));
        request.headers_mut().insert("last-event-id", HeaderValue::from_str(begin).unwrap());
        let response = self.planted.router.clone().oneshot(request).await.unwrap();
        let mut body = response.into_body().into_data_stream();
        let mut told = String::new();
        while let Ok(Some(piece)) = tokio::time::timeout(PATIENCE, body.next()).await {
            told += &String::from_utf8_lossy(&piece.unwrap());
        }
        told
    }
}

pub(super) fn assert_nothing_hidden(line: &Line, path: &str, told: &str) {
    let where_ = format!("{} under {} at {path}", line.who, line.policy);
    // Documents that everybody may read show examples.
    let is_example = path.starts_with("/api/openapi.json") || path.starts_with("/api/docs");
    if line.figures != "live" && !is_example {
        assert!(!told.contains("\"usual\":"), "an incident is told to {where_}: {told}");
    }
    for (word, _) in PLANTED {
        let sees = line.texts_of(word);
        if sees != 'A' {
            // What it was scored, first and then, and what people said of that.
            let of_word = PLANTED.into_iter().chain(FIRST).chain(RATED).filter(|(known, _)| *known == word);
            let mut scores: Vec<i64> = of_word.map(|(_, score)| score).collect();
            if word == "open" {
                scores.push(CORRECTED);
            }
            let words = ["summary", "evidence", "note"].map(|what| format!("{what}-canary-{word}"));
            let numbers = scores
                .iter()
                .flat_map(|score| [format!("\u{2212}{}", -score), format!("\"score\":{score},")]);
            for canary in words.into_iter().chain(numbers) {
                assert!(!told.contains(&canary), "{canary} is told to {where_}: {told}");
            }
            let is_score = |number: &Value| {
                let is = |other: &i64| number.as_f64().is_some_and(|one| (one - *other as f64).abs() < 1e-9);
                scores.iter().any(is)
            };
            if let Ok(json) = serde_json::from_str::<Value>(told) {
                assert!(!holds(&json, &is_score), "one of {scores:?} is told to {where_}: {told}");
            }
        }
        if sees == '-' {
            assert!(!told.contains(&format!("text-canary-{word}")), "the text is told to {where_}: {told}");
        }
    }
}

/// A value is somewhere in it.
fn holds(json: &Value, wanted: &dyn Fn(&Value) -> bool) -> bool {
    match json {
        Value::Object(fields) => fields.values().any(|value| holds(value, wanted)),
        Value::Array(items) => items.iter().any(|value| holds(value, wanted)),
        other => wanted(other),
    }
}
