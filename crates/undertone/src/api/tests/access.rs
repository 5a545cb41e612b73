//! Who may do what, from the route table itself: no key, the wrong scope, another tenant's ids, sessions, too many at once.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;
use undertone_core::{Role, Scope};
use undertone_store::Act;

use super::{Bench, FORM, JSON, address, scoped};
use crate::api::{ROUTES, router, secrets};
use crate::app::App;
use crate::intake::gather::Gather;

#[tokio::test]
async fn every_route_asks_who_calls_and_what_they_may() {
    let bench = Bench::open().await;
    let revoked = bench.key(&bench.mine, "ut_revoked", &["ingest", "read", "admin"]).await;
    bench.store().revoke_key(&Act::new(bench.mine.id, "test"), &revoked).await.unwrap();
    let body = json!({});
    for (route, permission) in scoped() {
        let path = address(route, "x");
        for key in ["", "ut_unknown", "ut_revoked"] {
            let answer = bench.call(route.method, &path, key, Some(&body)).await;
            assert_eq!(answer.status, 401, "{} {path} with “{key}”: {}", route.method, answer.text);
        }
        for scope in Scope::ALL {
            let key = format!("ut_mine_{}", scope.as_str());
            let answer = bench.call(route.method, &path, &key, Some(&body)).await;
            let told = format!("{} {path} with the scope {}: {}", route.method, scope.as_str(), answer.text);
            if scope.may(permission) {
                assert!(!matches!(answer.status, 401 | 403 | 405) && answer.status < 500, "{told}");
            } else {
                assert_eq!(answer.status, 403, "{told}");
            }
        }
    }
    for route in ROUTES.iter().filter(|route| route.access.is_page()) {
        let answer = bench.call(route.method, &address(route, "x"), "", None).await;
        assert_eq!(
            (answer.status, answer.header("location").starts_with("/login?next=")),
            (303, true),
            "{}",
            route.path
        );
        let answer = bench.call(route.method, &address(route, "x"), "ut_mine", None).await;
        assert_eq!(answer.status, 403, "a key opens no page: {}", route.path);
    }
}

#[tokio::test]
async fn a_role_may_what_the_table_says_and_no_more() {
    let bench = Bench::open().await;
    for role in Role::ALL {
        let (cookie, csrf) = bench.session(role.as_str()).await;
        for (route, permission) in scoped() {
            let request = Request::builder()
                .method(route.method)
                .uri(address(route, "x"))
                .header(header::COOKIE, &cookie)
                .header("x-csrf-token", &csrf)
                .header(header::CONTENT_TYPE, JSON)
                .body(Body::from("{}"));
            let answer = bench.send(request.unwrap()).await;
            let told = format!("{} {} as {}: {}", route.method, route.path, role.as_str(), answer.text);
            if role.may(permission) {
                // What is permitted may still be switched off.
                let is_off = answer.text.contains("\"numbers_off\"");
                assert!(is_off || !matches!(answer.status, 401 | 403 | 405) && answer.status < 500, "{told}");
            } else {
                assert_eq!(answer.status, 403, "{told}");
                assert!(!answer.text.contains("numbers_off"), "they are not told that much: {told}");
            }
        }
    }
    let (cookie, _) = bench.session("boss").await;
    let request = Request::get("/api/v1/overview").header(header::COOKIE, &cookie).body(Body::empty());
    assert_eq!(bench.send(request.unwrap()).await.status, 403, "a word that is no role has no permission");
}

#[tokio::test]
async fn nothing_of_another_tenant_can_be_reached() {
    let bench = Bench::open().await;
    let canary = "We were promised the canary-7731 refund three weeks ago and nobody answers";
    let posted = bench
        .call("POST", "/api/v1/interactions", "ut_theirs", Some(&json!({
            "external_id": "canary-1", "text": canary, "agent": "canary-agent", "conversation": "canary-talk",
            "customer": {"id": "canary-customer", "name": "Canary Name", "account": "canary-account"},
        })))
        .await;
    assert_eq!(posted.status, 201, "{}", posted.text);
    bench.settled(&bench.theirs).await;
    let interaction = posted.json()["id"].as_str().unwrap().to_owned();
    let shown =
        bench.call("GET", &format!("/api/v1/interactions/{interaction}"), "ut_theirs", None).await.json();
    assert_eq!(shown["state"], "scored");
    let customer = shown["customer_id"].as_str().unwrap().to_owned();
    let ids = [
        interaction.as_str(),
        customer.as_str(),
        "canary-1",
        "canary-customer",
        "canary-account",
        "canary-agent",
        "canary-talk",
    ];
    for (route, _) in scoped() {
        for id in ids {
            for query in [
                "",
                "?customer_id=canary-customer&action=customer_rollup",
                "?action=escalation_queue",
                "?external_id=canary-1",
                "?days=90",
            ] {
                let answer = bench
                    .call(
                        route.method,
                        &format!("{}{query}", address(route, id)),
                        "ut_mine",
                        Some(&json!({})),
                    )
                    .await;
                let leaked = ["canary-7731", "Canary Name"].iter().any(|c| answer.text.contains(c));
                assert!(!leaked && answer.status < 500, "{} {}: {}", route.method, route.path, answer.text);
                if route.method == "GET" && route.path.contains("{id}") && !matches!(answer.status, 400 | 404)
                {
                    // What mine made above under the same name is mine.
                    assert!(
                        !answer.text.contains(&customer) && !answer.text.contains(&interaction),
                        "{}",
                        answer.text
                    );
                }
            }
        }
    }
    // Nothing of theirs changed either.
    let after =
        bench.call("GET", &format!("/api/v1/interactions/{interaction}"), "ut_theirs", None).await.json();
    assert_eq!(after, shown);
    let theirs = bench.call("GET", "/api/v1/customers/canary-customer", "ut_theirs", None).await.json();
    assert_eq!((&theirs["name"], &theirs["opted_out_at"]), (&json!("Canary Name"), &Value::Null));
}

#[tokio::test]
async fn sessions_bring_their_token_and_their_role() {
    let bench = Bench::open().await;
    let (cookie, csrf) = bench.session("tenant_admin").await;
    let request = |method: Method, path: &str, token: Option<&str>, body: &str, kind: &str| {
        let mut request = Request::builder().method(method).uri(path).header(header::COOKIE, &cookie);
        if let Some(token) = token {
            request = request.header("x-csrf-token", token);
        }
        request.header(header::CONTENT_TYPE, kind).body(Body::from(body.to_owned())).unwrap()
    };
    for (route, _) in scoped().filter(|(route, _)| route.method != "GET") {
        for token in [None, Some("wrong")] {
            let method = route.method.parse().unwrap();
            let answer = bench.send(request(method, &address(route, "x"), token, "{}", JSON)).await;
            assert_eq!(answer.status, 403, "{} {} with the token {token:?}", route.method, route.path);
        }
    }
    let settings = bench
        .send(request(Method::PUT, "/api/v1/settings", Some(&csrf), "{\"alert_threshold\": -40}", JSON))
        .await;
    assert_eq!((settings.status, &settings.json()["changed"]), (200, &json!(["alert_threshold"])));
    let form = format!(
        "csrf_token={csrf}&notes=Customer+called%2C+upset+about+the+late+parcel&customer_id=123&channel=phone&direction=incoming"
    );
    let logged = bench.send(request(Method::POST, "/crm/api/log-interaction.php", None, &form, FORM)).await;
    assert_eq!(logged.status, 200, "{}", logged.text);
    let read = bench.send(request(Method::GET, "/api/v1/overview", None, "", JSON)).await;
    assert_eq!(read.status, 200);

    let (cookie, csrf) = bench.session("agent").await;
    let put = Request::put("/api/v1/settings")
        .header(header::COOKIE, cookie)
        .header("x-csrf-token", csrf)
        .header(header::CONTENT_TYPE, JSON);
    let lesser = bench.send(put.body(Body::from("{}")).unwrap()).await;
    assert_eq!((lesser.status, &lesser.json()["code"]), (403, &json!("forbidden")));
}

#[tokio::test]
async fn people_log_in_and_out() {
    let bench = Bench::open().await;
    let act = Act::new(bench.mine.id, "test");
    let hash = secrets::hash_password("correct horse battery").unwrap();
    bench.store().save_user(&act, "ana@example.com", "tenant_admin", &hash).await.unwrap();
    let form = bench.call("GET", "/login?next=/%3Fdays%3D7", "", None).await;
    let cookie = form.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(form.header("set-cookie").contains("HttpOnly; SameSite=Lax"));
    let token = cookie.split_once('=').unwrap().1.to_owned();
    assert!(form.text.contains(&format!("value=\"{token}\"")));
    let log_in = async |password: &str, csrf: &str| {
        let body = format!("email=Ana%40example.com&password={password}&csrf={csrf}&next=//evil.example");
        let request = Request::post("/login")
            .header(header::COOKIE, &cookie)
            .header(header::CONTENT_TYPE, FORM)
            .body(Body::from(body));
        bench.send(request.unwrap()).await
    };
    assert_eq!(log_in("correct+horse+battery", "forged").await.status, 403);
    let wrong = log_in("wrong", &token).await;
    assert!(wrong.status == 401 && wrong.text.contains("do not go together"));
    let inside = log_in("correct+horse+battery", &token).await;
    assert_eq!((inside.status, inside.header("location")), (303, "/"));
    let session = inside
        .headers
        .get_all("set-cookie")
        .iter()
        .find_map(|c| c.to_str().ok().filter(|c| c.starts_with(secrets::SESSION_COOKIE)))
        .unwrap();
    let session = session.split(';').next().unwrap().to_owned();
    let page = Request::get("/").header(header::COOKIE, &session).body(Body::empty()).unwrap();
    let page = bench.send(page).await;
    assert!(page.status == 200 && page.text.contains("ana@example.com"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let csrf = page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let out = Request::post("/logout")
        .header(header::COOKIE, &session)
        .header(header::CONTENT_TYPE, FORM)
        .body(Body::from(format!("csrf={csrf}")));
    assert_eq!(bench.send(out.unwrap()).await.header("location"), "/login");
    let gone = Request::get("/").header(header::COOKIE, &session).body(Body::empty()).unwrap();
    assert_eq!(bench.send(gone).await.status, 303);
    for _ in 0..5 {
        log_in("wrong", &token).await;
    }
    assert_eq!(log_in("correct+horse+battery", &token).await.status, 429);
}

#[tokio::test]
async fn too_much_at_once_is_told_to_come_back() {
    let bench = Bench::open().await;
    let (gather, _waiting) = Gather::stuck(1);
    let busy = router(&App { gather, ..bench.app.clone() });
    let post = || {
        let request = Request::post("/api/v1/interactions")
            .header(header::AUTHORIZATION, "Bearer ut_mine")
            .header(header::CONTENT_TYPE, JSON)
            .body(Body::from("{\"text\": \"It broke again.\"}"));
        busy.clone().oneshot(request.unwrap())
    };
    let waiting = tokio::spawn(post());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished(), "one request waits");
    let refused = post().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers()[header::RETRY_AFTER].to_str().unwrap()),
        (503, "1")
    );
    waiting.abort();
}
