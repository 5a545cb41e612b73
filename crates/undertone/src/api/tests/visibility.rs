//! Who sees what under which policy: every surface is held to a table that was written down by hand, and everything that can be read is
//! searched for scores and words that were planted.

mod canaries;
mod expected;
mod figures;
mod handed_in;
mod incidents;
mod letters;
mod postgres;
mod standing;
mod surfaces;
mod walked;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use undertone_core::cascade::{Cascaded, FirstReading, WhyAsked};
use undertone_core::verdict::{Coverage, Evidence, Provenance, ScorerKind, Span};
use undertone_core::visibility::Viewer;
use undertone_core::{CategoryId, Confidence, Emotion, Scope, Score, Urgency, Verdict};
use undertone_store::Act;
use undertone_store::queue::Claim;
use undertone_store::record::{Finished, Outcome};

use super::{Answer, Bench, JSON};
use crate::api::router;
use crate::app::App;
use crate::visibility;
use expected::{Line, lines};

/// What is planted: a customer, and the score of both of their interactions.
const PLANTED: [(&str, i64); 4] = [("open", -83), ("closed", -79), ("mild", 34), ("apart", -81)];

/// What the embedded model had said of both, before an LLM was asked.
const FIRST: [(&str, i64); 4] = [("open", -23), ("closed", -27), ("mild", -37), ("apart", -29)];

/// What a reviewer says of the first one, where they label it.
const RATED: [(&str, i64); 4] = [("open", -71), ("closed", -73), ("mild", -67), ("apart", -78)];

/// What of these is negative.
const NEGATIVE: [&str; 3] = ["open", "closed", "apart"];

/// A service with the planted interactions, and nobody who would score anything else.
struct Planted {
    bench: Bench,
    router: Router,
    /// Keeps streams from ending.
    _going_on: watch::Sender<bool>,
    /// Ids of each customer's interactions.
    ids: Vec<(&'static str, [String; 2])>,
}

fn verdict(word: &str, score: i64) -> Verdict {
    let score = Score::new(score).unwrap();
    let first = FIRST.iter().find(|(known, _)| *known == word).map(|(_, score)| Score::new(*score).unwrap());
    let first = first.map(|score| FirstReading {
        scorer: ScorerKind::Local,
        model: "planted".to_owned(),
        model_version: "1".to_owned(),
        score,
        label: score.label(),
        confidence: Confidence::try_from(52).unwrap(),
    });
    Verdict {
        score,
        label: score.label(),
        confidence: Confidence::try_from(91).unwrap(),
        dominant_emotion: Emotion::new("frustration").unwrap(),
        emotions: Vec::new(),
        urgency: Urgency::Medium,
        category: CategoryId::new("billing").unwrap(),
        aspects: Vec::new(),
        summary: format!("summary-canary-{word}"),
        outside: Some(format!("summary-canary-{word}")),
        evidence: vec![Evidence::found(Span { start: 0, end: 4 }, format!("evidence-canary-{word}"), -7.25)],
        coverage: Coverage { truncated: false, unread_percent: 0 },
        provenance: Provenance {
            scorer: if first.is_some() { ScorerKind::Claude } else { ScorerKind::Local },
            model: "planted".to_owned(),
            model_version: "1".to_owned(),
            prompt_version: None,
            language: "en".to_owned(),
            tokens_in: 0,
            tokens_out: 0,
            cost_micros: 0,
            duration_us: 1,
        },
        cascade: first.map(|first| Cascaded {
            threshold: 70,
            why: Some(WhyAsked::Unsure),
            first: Some(first),
            unanswered: None,
        }),
        suspicions: vec![],
    }
}

impl Planted {
    async fn open() -> Self {
        let bench = Bench::open().await;
        // Nobody else decides about what is handed in from here on.
        bench.end.send(true).unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let (going_on, ending) = watch::channel(false);
        let router = router(&App { ending, ..bench.app.clone() });
        let mut planted = Self { bench, router, _going_on: going_on, ids: Vec::new() };
        planted.bench.set(json!({"review": {"random": 100, "labelled_twice": 0}})).await;
        for (word, score) in PLANTED {
            let ids = [planted.plant(word, score, 1).await, planted.plant(word, score, 2).await];
            planted.ids.push((word, ids));
        }
        let closed = json!({"state": "closed"});
        for word in ["closed", "mild"] {
            let path = format!("/api/v1/conversations/talk-{word}");
            assert_eq!(planted.bench.call("PUT", &path, "ut_mine", Some(&closed)).await.status, 200);
        }
        planted
    }

    async fn plant(&self, word: &str, score: i64, number: i64) -> String {
        let account = match word {
            "open" => json!("acme"),
            "closed" => json!("beta"),
            _ => Value::Null,
        };
        let mut item = json!({
            "external_id": format!("{word}-{number}"), "text": format!("This is text-canary-{word} of {number}, and more words"),
            "customer": {"id": format!("customer-{word}"), "account": account},
            "agent": {"id": "agent-of-all", "team": "north"},
        });
        if word != "apart" {
            item["conversation"] = json!({"id": format!("talk-{word}"), "queue": "billing"});
        }
        let answer = self.bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        self.record(verdict(word, score)).await;
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Gives what waits this verdict.
    async fn record(&self, verdict: Verdict) {
        let (store, mine) = (self.bench.store(), self.bench.mine.id);
        let claim = Claim { owner: "planter", lease: TimeDelta::minutes(1), limit: 9, suspect: false };
        let claimed = store.claim(mine, claim).await.unwrap();
        assert_eq!(claimed.len(), 1);
        let finished: Vec<Finished> = claimed
            .into_iter()
            .map(|claimed| Finished { claimed, outcome: Outcome::Scored(Box::new(verdict.clone())) })
            .collect();
        assert_eq!(store.record(mine, "planter", &finished).await.unwrap().scored, 1);
    }

    fn ids_of(&self, word: &str) -> &[String; 2] {
        &self.ids.iter().find(|(known, _)| *known == word).unwrap().1
    }

    async fn choose(&self, choice: Value) {
        self.bench.set(json!({"visibility": choice})).await;
    }

    /// Somebody who looks: a role, or a key with a scope.
    async fn somebody(&self, who: &str) -> Somebody<'_> {
        let (store, mine) = (self.bench.store(), self.bench.mine.id);
        if let Some(scope) = who.strip_prefix("key:") {
            let scopes = if scope == "admin" { vec![Scope::Read, Scope::Admin] } else { vec![Scope::Read] };
            let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            let key = format!("ut_{scope}_{}", uuid::Uuid::new_v4());
            self.bench.key(&self.bench.mine, &key, &words).await;
            let headers = vec![(header::AUTHORIZATION, format!("Bearer {key}"))];
            return Somebody { planted: self, headers, viewer: Viewer::of_scopes(&scopes) };
        }
        let (cookie, csrf) = self.bench.session(who).await;
        let users = store.users(mine).await.unwrap();
        let user = users.iter().find(|user| user.role == who).unwrap().id.clone();
        if who == "account_manager" {
            let act = Act::new(mine, "test");
            assert!(store.set_account_manager(&act, "acme", Some(&user)).await.unwrap());
        }
        let viewer = store.viewer(mine, &user).await.unwrap().unwrap();
        let headers = vec![(header::COOKIE, cookie), ("x-csrf-token".parse().unwrap(), csrf)];
        Somebody { planted: self, headers, viewer }
    }
}

struct Somebody<'a> {
    planted: &'a Planted,
    headers: Vec<(header::HeaderName, String)>,
    viewer: Viewer,
}

impl Somebody<'_> {
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, JSON);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.planted.bench.send(self.request(method, path, body)).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    fn is_person(&self) -> bool {
        self.viewer.user.is_some()
    }

    /// What the live stream sends to a page that shows another moment.
    async fn live(&self) -> String {
        let request = self.request("GET", "/live?days=30&seen=another", None);
        let response = self.planted.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body().into_data_stream();
        let mut told = String::new();
        while !told.contains("event: say") {
            let next = tokio::time::timeout(Duration::from_secs(10), futures::StreamExt::next(&mut body));
            told += &String::from_utf8_lossy(&next.await.unwrap().unwrap().unwrap());
        }
        told
    }
}

/// The words of what is planted that `told` is about, in their order; `by` makes what is looked for.
fn found(told: &str, words: &[&'static str], by: &str) -> Vec<&'static str> {
    words.iter().copied().filter(|word| told.contains(&format!("{by}{word}"))).collect()
}

#[tokio::test]
async fn every_surface_shows_what_the_table_says() {
    let planted = Planted::open().await;
    let all = PLANTED.map(|(word, _)| word);
    let mut policy = String::new();
    for line in lines() {
        if policy != line.policy {
            planted.choose(json!(line.policy)).await;
            policy.clone_from(&line.policy);
        }
        let somebody = planted.somebody(&line.who).await;
        let told = |what: &str| format!("{} under {}: {what}", line.who, line.policy);

        for (word, score) in PLANTED {
            let sees = line.texts_of(word);
            for id in planted.ids_of(word) {
                let one = somebody.get(&format!("/api/v1/interactions/{id}")).await;
                let (all, text) = (sees == 'A', sees != '-');
                assert_eq!(one["score"], if all { json!(score) } else { Value::Null }, "{}", told(word));
                assert_eq!(one["sentiment"]["summary"].is_string(), all, "{}", told(word));
                assert_eq!(one["sentiment"]["keywords"].is_array(), all, "{}", told(word));
                assert_eq!(one["revisions"] != json!([]), all, "{}", told(word));
                assert_eq!(one["text"].is_string(), text, "{}", told(word));
                assert_eq!(one["hidden"]["explanation"].is_string(), !all, "{}", told(word));
                let listed = somebody.get("/api/v1/interactions?limit=100").await;
                let listed = listed["items"].as_array().unwrap();
                let same = listed.iter().find(|item| item["id"] == json!(id)).unwrap();
                assert_eq!(
                    (&same["score"], &same["label"]),
                    (&one["score"], &one["label"]),
                    "{}",
                    told(word)
                );
            }
            let average = if line.sums_of(word) { json!(score as f64) } else { Value::Null };
            let api = somebody.get(&format!("/api/v1/customers/customer-{word}/sentiment")).await;
            let guide = format!("/crm/api/sentiment.php?action=customer_rollup&customer_id=customer-{word}");
            for sums in [api, somebody.get(&guide).await] {
                assert_eq!(sums["rollup"]["avg_score"], average, "{}", told(word));
                assert_eq!(sums["rollup"]["total_scored"].is_null(), average.is_null(), "{}", told(word));
                assert_eq!(sums["last"].is_null(), sees != 'A', "{}", told(word));
            }
        }

        for path in ["/api/v1/escalations", "/crm/api/sentiment.php?action=escalation_queue"] {
            let told_items = somebody.get(path).await.to_string();
            assert_eq!(found(&told_items, &all, "summary-canary-"), line.attention(), "{}", told(path));
        }

        let mut pages = vec![somebody.get("/api/v1/overview").await.to_string()];
        if somebody.is_person() {
            pages.push(somebody.call("GET", "/", None).await.text);
            pages.push(somebody.live().await);
        }
        for page in &pages {
            assert_eq!(found(page, &all, "summary-canary-"), line.overview(), "{}", told("overview"));
            assert!(found(page, &NEGATIVE, "customer-").len() >= line.risk().len(), "{}", told("risk"));
        }
        let overview = somebody.get("/api/v1/overview").await;
        assert_eq!(
            found(&overview["customers_at_risk"].to_string(), &all, "customer-"),
            line.risk(),
            "{}",
            told("risk")
        );
        assert_eq!(overview["visibility"]["figures"], json!(line.figures), "{}", told("figures"));
        assert_eq!(overview["all_time"]["scored"], json!(if line.figures == "live" { 8 } else { 0 }));

        let tried = async |text: &str| {
            somebody.call("POST", "/api/v1/score", Some(&json!({"text": text}))).await.status
        };
        let furious = "This is the worst service ever, I am furious and I hate every minute of it.";
        let calm = "Thank you so much, that was wonderful help, I am delighted.";
        let may = match line.tries {
            'Y' => [200, 200],
            'S' => [200, 403],
            _ => [403, 403],
        };
        assert_eq!([tried(furious).await, tried(calm).await], may, "{}", told("try"));

        delivered(&planted, &somebody, &line).await;
    }
}

/// What is delivered of an event to somebody.
async fn delivered(planted: &Planted, somebody: &Somebody<'_>, line: &Line) {
    let (store, mine) = (planted.bench.store(), planted.bench.mine.id);
    let mut told_of = Vec::new();
    for (word, score) in PLANTED {
        let id = planted.ids_of(word)[0].as_str();
        let whole = json!({"interaction_id": id, "score": score, "label": "x", "summary": word, "text": "t", "channel": "web"});
        let of = async |event: &str| {
            let viewer = somebody.viewer.clone();
            visibility::payloads(store, mine, viewer, &[(event, &whole)]).await.unwrap().remove(0)
        };
        let scored = of("sentiment.scored").await.unwrap();
        if line.texts_of(word) == 'A' {
            assert_eq!(scored, whole);
        } else {
            let mut keys: Vec<&str> = scored.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(keys, ["channel", "hidden", "interaction_id"], "{} under {}", line.who, line.policy);
        }
        if NEGATIVE.contains(&word) && of("sentiment.negative").await.is_some() {
            told_of.push(word);
        }
    }
    assert_eq!(told_of, line.negative(), "{} under {}", line.who, line.policy);
}
