//! The review queue as raters and those who look after it see it.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::document::assert_documented;
use super::{Answer, Bench, JSON};

const TEXTS: [&str; 4] = [
    "Third week without an answer. I am furious and about to give up on you.",
    "Thank you so much, the new oven is wonderful and your people were kind.",
    "Please send me the invoice of October once more.",
    "You promised a refund and nothing came; I am deeply disappointed.",
];

struct Rater<'a> {
    bench: &'a Bench,
    session: (String, String),
    document: Value,
}

impl<'a> Rater<'a> {
    async fn new(bench: &'a Bench, role: &str) -> Self {
        let document = serde_json::from_str(crate::api::openapi::DOCUMENT).unwrap();
        Self { bench, session: bench.session(role).await, document }
    }

    async fn send(&self, method: &str, path: &str, id: &str, query: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{query}", path.replace("{id}", id)))
            .header(header::COOKIE, &self.session.0)
            .header("x-csrf-token", &self.session.1)
            .header(header::CONTENT_TYPE, JSON)
            .body(Body::from(body.to_string()));
        let answer = self.bench.send(request.unwrap()).await;
        assert_documented(&self.document, method, path, &answer);
        answer
    }

    async fn list(&self, query: &str) -> Value {
        self.send("GET", "/api/v1/review", "", query, json!({})).await.json()
    }

    async fn label(&self, item: &str, body: Value) -> Answer {
        self.send("POST", "/api/v1/review/{id}/label", item, "", body).await
    }
}

async fn filled(bench: &Bench) {
    let settings =
        json!({"review": {"random": 100, "called_positive": 100, "unsure": 0, "labelled_twice": 100}});
    bench.set(settings).await;
    for text in TEXTS {
        bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&json!({"text": text}))).await;
    }
    bench.settled(&bench.mine).await;
}

#[tokio::test]
async fn raters_are_told_nothing_of_verdicts_and_each_other() {
    let bench = Bench::open().await;
    filled(&bench).await;
    let (one, two) = (Rater::new(&bench, "reviewer").await, Rater::new(&bench, "supervisor").await);
    let listed = one.list("").await;
    let items = listed["items"].as_array().unwrap();
    assert_eq!((items.len(), &listed["next_cursor"]), (4, &Value::Null));
    let page = one.list("?limit=3").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = one.list(&format!("?limit=3&cursor={cursor}")).await;
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (3, 1));
    for query in ["?limit=0", "?limit=101", "?cursor=x", "?reason=called_positive"] {
        assert_eq!(one.send("GET", "/api/v1/review", "", query, json!({})).await.status, 400, "{query}");
    }

    let handed = one.send("POST", "/api/v1/review/claims", "", "", json!({"limit": 4})).await;
    let item = handed.json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(two.list("").await["items"], json!([]));
    assert_eq!(one.list("?mine=true").await["items"].as_array().unwrap().len(), 4);
    assert_eq!(two.label(&item, json!({"label": "negative"})).await.status, 409);
    let back = one.send("DELETE", "/api/v1/review/{id}/claim", &item, "", json!({})).await;
    assert_eq!(back.json(), json!({"released": true}));
    for body in [
        json!({}),
        json!({"label": "happy"}),
        json!({"score": 80, "label": "negative"}),
        json!({"score": 300}),
    ] {
        assert_eq!(one.label(&item, body.clone()).await.status, 422, "{body}");
    }
    assert_eq!(one.label("x", json!({"score": 1})).await.status, 404);
    let given = one.label(&item, json!({"score": -70, "note": "canary-note-88"})).await;
    assert_eq!((given.status, given.json()), (200, json!({"done": false})), "{}", given.text);

    // The second rater: neither the verdict nor the first's label is in anything the review tells them.
    let interactions = bench.get("/api/v1/interactions").await;
    for answer in [
        two.send("GET", "/api/v1/review", "", "", json!({})).await,
        two.send("POST", "/api/v1/review/claims", "", "", json!({"limit": 4})).await,
        two.send("GET", "/api/v1/review/{id}", &item, "", json!({})).await,
        two.send("GET", "/api/v1/review/results", "", "", json!({})).await,
    ] {
        for told in
            ["canary-note-88", "\"negative\"", "\"score\"", "\"reasons\"", "random", "confidence", "ratings"]
        {
            assert!(!answer.text.contains(told), "{told} in {}", answer.text);
        }
        for id in interactions["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap()) {
            assert!(!answer.text.contains(id), "the interaction would tell: {}", answer.text);
        }
    }
    let hidden = one.send("GET", "/api/v1/review/{id}", &item, "", json!({})).await;
    assert_eq!(hidden.status, 404, "not even their own, until it is done");
    assert_eq!(two.label(&item, json!({"label": "negative"})).await.json(), json!({"done": true}));
    let told = one.send("GET", "/api/v1/review/{id}", &item, "", json!({})).await.json();
    assert_eq!((&told["done"], &told["outcome"]["settled_label"]), (&json!(true), &json!("negative")));
    assert_eq!(told["outcome"]["ratings"].as_array().unwrap().len(), 2);
    assert!(told["outcome"]["reasons"].to_string().contains("random"));
    let other = Rater::new(&bench, "admin").await;
    assert_eq!(other.send("GET", "/api/v1/review/{id}", &item, "", json!({})).await.status, 200);
    let key = bench.call("GET", "/api/v1/review", "ut_mine", None).await;
    assert_eq!(key.status, 403, "labels are people's");
    let log = bench.get("/api/v1/audit?limit=100").await.to_string();
    assert!(log.contains("review_label") && !log.contains("canary-note-88"), "{log}");
}

#[tokio::test]
async fn agreement_is_counted_from_what_was_said() {
    let bench = Bench::open().await;
    filled(&bench).await;
    let (one, two) = (Rater::new(&bench, "reviewer").await, Rater::new(&bench, "supervisor").await);
    let read = async |rater: &Rater<'_>, query: &str| {
        rater.send("GET", "/api/v1/review/agreement", "", query, json!({})).await
    };
    let nothing = read(&two, "").await;
    assert_eq!((nothing.status, &nothing.json()["items"]), (200, &json!(0)), "{}", nothing.text);
    for item in one.list("").await["items"].as_array().unwrap() {
        let id = item["id"].as_str().unwrap();
        let text = item["text"].as_str().unwrap();
        let label = if text.starts_with("Thank") {
            "positive"
        } else if text.starts_with("Please") {
            "neutral"
        } else {
            "negative"
        };
        one.label(
            id,
            json!({"label": label, "score": match label { "positive" => 70, "neutral" => 0, _ => -60 }}),
        )
        .await;
        // The second sees a complaint less.
        let second = if text.starts_with("You promised") {
            json!({"label": "neutral", "score": -10})
        } else {
            json!({"label": label})
        };
        two.label(id, second).await;
    }
    let told = read(&two, "").await;
    assert_eq!(told.status, 200, "{}", told.text);
    let told = told.json();
    assert_eq!((&told["items"], &told["labels"]), (&json!(3), &json!(6)), "one waits for a third: {told}");
    let pair = &told["pairs"][0];
    assert_eq!(
        (&pair["items"], &pair["agreed"]["value"], &pair["kappa"]["value"]),
        (&json!(3), &json!(1.0), &json!(1.0))
    );
    assert_eq!(told["scorer"][1]["reason"], json!("called_positive"));
    assert_eq!(told["scorer"][1]["positive_is_not"]["value"], json!(0.0), "{told}");
    assert_eq!(told["scorer"].as_array().unwrap().last().unwrap()["reason"], json!("random"));
    let third = Rater::new(&bench, "tenant_admin").await;
    let left = third.list("").await["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(third.label(&left, json!({"label": "negative"})).await.json(), json!({"done": true}));
    let told = read(&two, "").await.json();
    assert_eq!(told["pairs"].as_array().unwrap().len(), 1, "the third is no pair");
    assert_eq!((&told["pairs"][0]["items"], &told["ceiling"]["people"]["value"]), (&json!(4), &json!(0.75)));
    assert_eq!(told["scorer"][0]["items"], json!(4));
    // What was settled on is there to learn from, and what is missing counts it.
    let standing = bench.get("/api/v1/calibration").await;
    let negative = json!({"texts": 2, "handed_in": 0, "reviewed": 2, "corrected": 0, "missing": 298, "missing_to_try": 98});
    assert_eq!(standing["labels"]["negative"], negative);
    let refused = bench.post("/api/v1/calibration", "application/json", "").await.json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("299 more positive, 299 more neutral, 298 more negative are needed"), "{detail}");
    let read_only = one.send("GET", "/api/v1/calibration", "", "", json!({})).await.json();
    assert_eq!(read_only["labels"], Value::Null, "who may not teach counts no corrections");
    assert_eq!(read(&two, "?from=2020-01-01&to=2020-01-31").await.json()["items"], json!(0));
    assert_eq!(read(&two, "?from=x").await.status, 400);
    assert_eq!(read(&one, "").await.status, 403, "a reviewer does not look after the review");
    // Where nobody sees single verdicts, nobody counts over them, and outcomes lose theirs.
    bench.set(json!({"visibility": {"policy": "aggregate_only"}})).await;
    assert_eq!(read(&two, "").await.status, 403);
    let results = two.send("GET", "/api/v1/review/results", "", "", json!({})).await.json();
    assert_eq!(results["items"].as_array().unwrap().len(), 4);
    for item in results["items"].as_array().unwrap() {
        assert!(item["score"].is_null() && item["label"].is_null() && item["ratings"].is_null(), "{item}");
    }
    let differing = two.send("GET", "/api/v1/review/results", "", "?differing=true", json!({})).await;
    assert_eq!(differing.status, 403);
}

#[tokio::test]
async fn supervisors_choose_what_is_checked() {
    let bench = Bench::open().await;
    let (supervisor, reviewer) =
        (Rater::new(&bench, "supervisor").await, Rater::new(&bench, "reviewer").await);
    let shares = "/api/v1/review/shares";
    let put = async |who: &Rater<'_>, body: Value| who.send("PUT", shares, "", "", body).await;
    let changed = put(&supervisor, json!({"random": 12.5, "labelled_twice": 50})).await;
    let expected = json!({"unsure": 10.0, "disagreed": 100.0, "overridden": 100.0, "called_positive": 2.0, "random": 12.5, "labelled_twice": 50.0});
    assert_eq!((changed.status, changed.json()), (200, expected.clone()));
    assert_eq!(bench.get("/api/v1/settings").await["settings"]["review"], expected);
    // What is left out stays, and that is no other setting's way in.
    assert_eq!(put(&supervisor, json!({})).await.json(), expected);
    for wrong in [
        json!({"random": 101}),
        json!({"random": 0.001}),
        json!({"alert_threshold": -1}),
        json!({"random": null, "x": 1}),
    ] {
        assert_eq!(put(&supervisor, wrong.clone()).await.status, 422, "{wrong}");
    }
    assert_eq!(put(&reviewer, json!({"random": 1})).await.status, 403);
    let others = supervisor.send("PUT", "/api/v1/settings", "", "", json!({"review": {"random": 1}})).await;
    assert_eq!(others.status, 403, "of settings they change no other");
    let log = bench.get("/api/v1/audit?action=settings_saved").await;
    let told = &log["items"][0];
    assert_eq!(
        (log["items"].as_array().unwrap().len(), &told["payload"]["after"]["review"]["random"]),
        (1, &json!(12.5))
    );
}
