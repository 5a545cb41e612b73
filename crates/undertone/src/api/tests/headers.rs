//! What every answer says to browsers, on every route there is; cookies behind TLS; and that there is no route but those of the table.

use axum::body::Body;
use axum::http::{Request, header};
use undertone_store::Act;

use super::{Answer, Bench, FORM, JSON, address};
use crate::api::{ROUTES, router, secrets};
use crate::app::App;
use crate::config::Config;

/// Answers that may stay in a browser: they are the same for everybody.
const KEPT: [&str; 1] = ["/assets/{name}"];

fn assert_guarded(path: &str, kept: bool, answer: &Answer) {
    let told = format!("{path}: {} {:?}", answer.status, answer.headers);
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part} {told}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http:") && !policy.contains('*'), "{told}");
    assert_eq!(policy.contains("unsafe-inline"), path.starts_with("/api/docs"), "{told}");
    assert!(!policy.contains("script-src 'self' 'unsafe-inline'"), "{told}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{told}");
    assert_eq!(answer.header("referrer-policy"), "same-origin", "{told}");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{told}");
    assert!(answer.headers.contains_key("permissions-policy"), "{told}");
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "{told}");
    assert!(kept || answer.header("cache-control") == "no-store", "{told}");
}

#[tokio::test]
async fn every_answer_of_every_route_is_guarded() {
    let bench = Bench::open().await;
    let (cookie, csrf) = bench.session("admin").await;
    let mut seen = std::collections::BTreeSet::new();
    for route in ROUTES {
        let path = address(route, if route.path == "/assets/{name}" { "style.css" } else { "x" });
        for inside in [false, true] {
            let mut request =
                Request::builder().method(route.method).uri(&path).header(header::CONTENT_TYPE, JSON);
            if inside {
                request = request.header(header::COOKIE, &cookie).header("x-csrf-token", &csrf);
            }
            let answer = bench.send(request.body(Body::from("{}")).unwrap()).await;
            seen.insert(answer.status);
            assert_guarded(&path, KEPT.contains(&route.path), &answer);
        }
    }
    // Not of refusals alone.
    for status in [200, 303, 401, 403, 404, 422] {
        assert!(seen.contains(&status), "{seen:?}");
    }
    for (method, path) in [("GET", "/nowhere"), ("GET", "/api/v1/nowhere"), ("PATCH", "/login")] {
        let answer = bench.call(method, path, "", None).await;
        assert!(matches!(answer.status, 404 | 405), "{path}: {}", answer.status);
        assert_guarded(path, false, &answer);
    }
}

#[tokio::test]
async fn cookies_travel_over_tls_only_where_there_is_tls() {
    for (address, secure) in [("https://undertone.example", true), ("http://undertone.example", false)] {
        let mut bench = Bench::open().await;
        let config = Config { public_url: address.to_owned(), ..Config::clone(&bench.app.config) };
        bench.app = App { config: std::sync::Arc::new(config), ..bench.app.clone() };
        bench.router = router(&bench.app);
        let act = Act::new(bench.mine.id, "test");
        let hash = secrets::hash_password("correct horse battery").unwrap();
        bench.store().save_user(&act, "ana@example.com", "tenant_admin", &hash).await.unwrap();
        let form = bench.call("GET", "/login", "", None).await;
        let kept = form.header("set-cookie").split(';').next().unwrap().to_owned();
        let csrf = kept.split_once('=').unwrap().1.to_owned();
        let body = format!("email=ana%40example.com&password=correct+horse+battery&csrf={csrf}&next=/");
        let log_in = Request::post("/login").header(header::COOKIE, &kept).header(header::CONTENT_TYPE, FORM);
        let inside = bench.send(log_in.body(Body::from(body)).unwrap()).await;
        assert_eq!(inside.status, 303, "{}", inside.text);
        let session = |answer: &Answer| {
            let told = answer.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
            told.filter(|cookie| cookie.starts_with(secrets::SESSION_COOKIE)).map(str::to_owned).next()
        };
        let kept = session(&inside).unwrap();
        let kept = kept.split(';').next().unwrap();
        let page = Request::get("/").header(header::COOKIE, kept).body(Body::empty()).unwrap();
        let page = bench.send(page).await;
        let csrf = page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let out = Request::post("/logout").header(header::COOKIE, kept).header(header::CONTENT_TYPE, FORM);
        let outside = bench.send(out.body(Body::from(format!("csrf={csrf}"))).unwrap()).await;
        assert!(session(&inside).is_some() && session(&outside).is_some(), "a session is set and taken away");
        for answer in [&form, &inside, &outside] {
            for cookie in answer.headers.get_all("set-cookie") {
                let cookie = cookie.to_str().unwrap();
                assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{address}: {cookie}");
                assert_eq!(cookie.ends_with("; Secure"), secure, "{address}: {cookie}");
            }
        }
    }
}

/// A route that is made beside the table would have no access rule, no limit and no place in the tour.
#[test]
fn there_is_no_route_beside_the_table() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root];
    let mut made = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend(Some(path).filter(|path| !path.ends_with("tests")));
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let code = std::fs::read_to_string(&path).unwrap();
                for making in ["Router::new()", ".route(", ".route_service(", ".nest(\"", ".fallback"] {
                    let count = code.matches(making).count();
                    if count > 0 {
                        made.push((path.file_name().unwrap().to_string_lossy().into_owned(), making, count));
                    }
                }
            }
        }
    }
    made.sort();
    assert_eq!(made, [("api.rs".to_owned(), ".route(", 1), ("api.rs".to_owned(), "Router::new()", 1)]);
    assert!(
        !include_str!("../../api.rs").contains("\n        .merge("),
        "a router that is merged has routes of its own"
    );
}
