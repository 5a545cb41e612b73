//! How much anybody may ask: by address, by key and person, and of attempts to get in.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use axum::{Extension, Router};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Answer, Bench, FORM, address};
use crate::api::caller::Access;
use crate::api::{ROUTES, router};
use crate::app::App;
use crate::config::Config;
use crate::limits::Limits;

/// The service with these bounds, as it is reached over connections from `peer`.
struct Bounded(Router);

impl Bounded {
    fn new(bench: &Bench, bounds: &Value, peer: &str) -> Self {
        let mut all = serde_json::to_value(bench.app.config.as_ref()).unwrap();
        all.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        all["workers"] = json!("");
        let config: Config = serde_json::from_value(all).unwrap();
        let limits = Limits::new(&config);
        Self::of(&App { limits, config: Arc::new(config), ..bench.app.clone() }, peer)
    }

    fn of(app: &App, peer: &str) -> Self {
        let peer: SocketAddr = peer.parse().unwrap();
        Self(router(app).layer(Extension(ConnectInfo(peer))))
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post_form(&self, path: &str, cookie: &str, body: String) -> Answer {
        let request = Request::post(path).header(header::COOKIE, cookie).header(header::CONTENT_TYPE, FORM);
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

const KEY: (&str, &str) = ("authorization", "Bearer ut_mine");

#[tokio::test]
async fn a_key_may_ask_so_often_and_is_told_how_often() {
    let bench = Bench::open().await;
    let service = Bounded::new(&bench, &json!({"requests_per_key": 3}), "192.0.2.1:1");
    for left in [2, 1, 0] {
        let answer = service.get("/api/v1/settings", &[KEY]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("ratelimit-policy"), "\"key\";q=3;w=60");
        assert!(
            answer.header("ratelimit").starts_with(&format!("\"key\";r={left};t=")),
            "{:?}",
            answer.headers
        );
    }
    let refused = service.get("/api/v1/settings", &[KEY]).await;
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("rate_limited")));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!(refused.header("ratelimit").starts_with("\"key\";r=0;t="));
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((15..=20).contains(&wait), "{wait}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("3 requests a minute"), "{}", refused.text);
    // From wherever it asks; and nobody else is held back.
    let guide = service.get("/crm/api/sentiment.php?action=escalation_queue", &[KEY]).await;
    assert_eq!((guide.status, &guide.json()["ok"]), (429, &json!(false)), "in the way of each surface");
    let other = service.get("/api/v1/settings", &[("authorization", "Bearer ut_mine_read")]).await;
    assert_eq!(other.status, 200);
    let (cookie, _) = bench.session("tenant_admin").await;
    for status in [200, 200, 200, 429] {
        let person = service.get("/api/v1/settings", &[("cookie", &cookie)]).await;
        assert_eq!(person.status, status, "people have a bucket of their own");
    }
    let page = service.get("/", &[("cookie", &cookie)]).await;
    assert!(page.status == 429 && page.text.contains("<html"), "{}", page.text);
}

#[tokio::test]
async fn an_address_may_ask_so_often_whoever_it_is() {
    let bench = Bench::open().await;
    let bounds = json!({"requests_per_address": 2, "trusted_proxies": ["10.0.0.0/8"]});
    let service = Bounded::new(&bench, &bounds, "192.0.2.1:1");
    for status in [401, 401, 429] {
        assert_eq!(service.get("/api/v1/overview", &[]).await.status, status);
    }
    let with_key = service.get("/api/v1/overview", &[KEY]).await;
    assert_eq!(with_key.status, 429, "before anybody asks the database who it is");
    assert!(with_key.header("ratelimit-policy").starts_with("\"address\""));
    let elsewhere = service.get("/api/v1/overview", &[KEY, ("x-forwarded-for", "192.0.2.77")]).await;
    assert_eq!(elsewhere.status, 429, "whoever is no proxy of ours serves nobody else");
    assert_eq!(service.get("/nowhere", &[]).await.status, 429);
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 401)] {
        assert_eq!(service.get(path, &[]).await.status, status, "{path} is for orchestrators");
    }

    let behind = Bounded::new(&bench, &bounds, "10.1.2.3:1");
    for (client, status) in [("192.0.2.1", 200), ("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200)] {
        let answer = behind.get("/api/v1/overview", &[KEY, ("x-forwarded-for", client)]).await;
        assert_eq!(answer.status, status, "{client}");
    }
}

#[tokio::test]
async fn failed_attempts_to_get_in_are_bounded_and_others_are_not() {
    let bench = Bench::open().await;
    let service = Bounded::new(&bench, &json!({"attempts_per_address": 3}), "192.0.2.1:1");
    // The form's cookie and its field are one.
    let log_in = async |service: &Bounded, email: &str, csrf: &str| {
        let cookie = format!("{}={}", crate::api::secrets::LOGIN_COOKIE, "c".repeat(43));
        service.post_form("/login", &cookie, format!("email={email}&password=wrong&csrf={csrf}")).await.status
    };
    let right = "c".repeat(43);
    // Whichever account is tried.
    for (email, csrf, status) in
        [("a@x.com", &*right, 401), ("b@x.com", "forged", 403), ("c@x.com", &*right, 401)]
    {
        assert_eq!(log_in(&service, email, csrf).await, status);
    }
    assert_eq!(log_in(&service, "d@x.com", &right).await, 429);
    assert_eq!(service.get("/login", &[]).await.status, 200, "the form is shown all the same");
    assert_eq!(service.get("/api/v1/overview", &[KEY]).await.status, 200);
    // Whatever else takes a secret from somebody who is not logged in.
    for route in ROUTES.iter().filter(|route| route.access == Access::Public && route.method != "GET") {
        let answer = service.post_form(&address(route, "x"), "", String::new()).await;
        assert_eq!(answer.status, 429, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn the_audit_log_says_from_where() {
    let bench = Bench::open().await;
    let service = Bounded::new(&bench, &json!({"trusted_proxies": "10.1.2.3"}), "10.1.2.3:1");
    let request = Request::put("/api/v1/settings")
        .header("authorization", "Bearer ut_mine")
        .header("x-forwarded-for", "6.6.6.6, 2001:db8::7")
        .header(header::CONTENT_TYPE, "application/json");
    let saved = service.send(request.body(Body::from("{\"alert_threshold\": -40}")).unwrap()).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    let log = bench.get("/api/v1/audit").await.to_string();
    assert!(log.contains("\"2001:db8::7\"") && !log.contains("6.6.6.6"), "{log}");
}

#[tokio::test]
async fn a_form_that_is_too_long_is_not_read() {
    let bench = Bench::open().await;
    let (cookie, _) = bench.session("tenant_admin").await;
    let service = Bounded::new(&bench, &json!({}), "192.0.2.1:1");
    let long = format!("csrf=x&notes={}", "a".repeat(5 << 20));
    for path in ["/login", "/logout", "/crm/api/log-interaction.php"] {
        let answer = service.post_form(path, &cookie, long.clone()).await;
        assert_eq!(answer.status, 413, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_refused_counts_as_well() {
    let bench = Bench::open().await;
    bench.key(&bench.mine, "ut_reads", &["read"]).await;
    let reads = ("authorization", "Bearer ut_reads");
    let service = Bounded::new(&bench, &json!({"requests_per_key": 3}), "192.0.2.1:1");
    for _ in 0..3 {
        assert_eq!(service.get("/api/v1/users", &[reads]).await.status, 403);
    }
    let refused = service.get("/api/v1/users", &[reads]).await;
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("rate_limited")));
    assert_eq!(service.get("/api/v1/settings", &[reads]).await.status, 429, "it is the key's one bucket");
    // A person's forged forms.
    let (cookie, _) = bench.session("agent").await;
    for wanted in [403, 403, 403, 429] {
        let answer = service.post_form("/account/log-out", &cookie, "csrf=forged".to_owned()).await;
        assert_eq!(answer.status, wanted, "{}", answer.text);
    }
}
