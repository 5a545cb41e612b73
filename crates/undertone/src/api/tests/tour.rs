//! The auditor's tour: everybody who should get nothing tries every route there is, with everything they could have got hold of. Whoever adds
//! a route takes part in it by the route table.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use tower::ServiceExt;
use undertone_core::Role;
use undertone_store::{Act, Tenant};
use undertone_testkit::issuer::Issuer;

use super::{Answer, Bench, FORM, JSON};
use crate::api::caller::Access;
use crate::api::{ROUTES, Route, router, secrets};
use crate::app::App;
use crate::config::Config;
use crate::limits::Limits;

/// What stands in my data and in nobody's requests.
const CANARIES: [&str; 4] = ["canary-7731", "Canary Name", "canary@mine.example", "Canary Account"];

/// Routes that anybody may use, by hand: a new one is a decision, and is written down here.
const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/api/docs"),
    ("GET", "/api/docs/"),
    ("GET", "/api/docs/errors"),
    ("GET", "/api/docs/events"),
    ("GET", "/api/docs/{*file}"),
    ("GET", "/api/openapi.json"),
    ("GET", "/assets/{name}"),
    ("GET", "/healthz"),
    ("GET", "/login"),
    ("GET", "/login/second-factor"),
    ("GET", "/login/sign-on"),
    ("GET", "/login/sign-on/callback"),
    // With the operator's token: `answers.rs`.
    ("GET", "/metrics"),
    ("GET", "/readyz"),
    ("GET", "/set-password"),
    ("GET", "/unsubscribe"),
    ("POST", "/login"),
    ("POST", "/login/second-factor"),
    ("POST", "/set-password"),
    ("POST", "/unsubscribe"),
];

/// Pages that everybody who is logged in may use, whatever their role, by hand: of what they show each asks what may be seen.
const PAGES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/account"),
    ("GET", "/account/second-factor"),
    ("GET", "/accuracy"),
    ("GET", "/admin/backfill-sentiment.php"),
    ("GET", "/inbox"),
    ("GET", "/live"),
    ("GET", "/privacy"),
    ("GET", "/tenant-admin/modules/sentiment-analysis-dashboard.php"),
    ("GET", "/tenant-admin/modules/sentiment-settings.php"),
    ("POST", "/account/log-out"),
    ("POST", "/account/password"),
    ("POST", "/account/second-factor"),
    ("POST", "/account/second-factor/codes"),
    ("POST", "/account/second-factor/confirm"),
    ("POST", "/account/second-factor/remove"),
    ("POST", "/inbox/read-all"),
    ("POST", "/inbox/{id}/read"),
    ("POST", "/logout"),
];

/// Tables of which the tour has no row, by hand: they need an LLM, a mail server or the clock, and no route takes their ids.
const EMPTY: [&str; 5] = ["ai_call", "mail", "message_batch", "message_batch_request", "purge_run"];

/// Somebody who tries.
struct Intruder {
    name: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl Intruder {
    fn with_key(name: &'static str, key: &str) -> Self {
        Self { name, headers: vec![("authorization", format!("Bearer {key}"))] }
    }

    fn with_session(name: &'static str, cookie: &str, csrf: &str) -> Self {
        Self { name, headers: vec![("cookie", cookie.to_owned()), ("x-csrf-token", csrf.to_owned())] }
    }
}

struct Tour {
    bench: Bench,
    raw: DatabaseConnection,
}

impl Tour {
    async fn open() -> Self {
        let mut bench = Bench::open().await;
        // Whoever tries is slowed down otherwise; that is tested with the limits.
        let config = Config {
            requests_per_key: 0,
            requests_per_address: 0,
            attempts_per_address: 0,
            ..Config::clone(&bench.app.config)
        };
        bench.app = App { limits: Limits::new(&config), ..bench.app.clone() };
        bench.router = router(&bench.app);
        let url = format!("sqlite://{}", bench.folder.path().join("undertone.db").display());
        Self { raw: sea_orm::Database::connect(url).await.unwrap(), bench }
    }

    /// Fills my tenant with what must not be seen.
    async fn fill(&self) {
        let bench = &self.bench;
        for (id, text) in [
            ("1", "I want the canary-7731 refund, this is a disgrace"),
            ("2", "canary-7731 works, thank you!"),
        ] {
            let item = json!({
                "external_id": format!("canary-{id}"), "text": text, "agent": "canary-agent", "conversation": "canary-talk",
                "customer": {"id": "canary-customer", "name": "Canary Name", "email": "canary@mine.example"},
                "account": {"id": "canary-account", "name": "Canary Account"},
            });
            let posted = bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
            assert_eq!(posted.status, 201, "{}", posted.text);
        }
        let label = json!({"text": "canary-7731 is late", "label": "negative"});
        assert!(bench.call("POST", "/api/v1/calibration/labels", "ut_mine", Some(&label)).await.status < 300);
        bench.session("tenant_admin").await;
        bench.settled(&bench.mine).await;
        let run = json!({"mode": "refresh", "confirm": true});
        assert_eq!(bench.call("POST", "/api/v1/backfills", "ut_mine", Some(&run)).await.status, 202);
        for _ in 0..600 {
            let runs = bench.get("/api/v1/backfills").await;
            if runs["items"][0]["report"].is_object() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.fill_more().await;
        // They are there to be found by whoever may.
        let mine = bench.get("/api/v1/customers/canary-customer").await;
        assert_eq!(mine["name"], "Canary Name", "{mine}");
        bench.store().seal_audit(bench.mine.id).await.unwrap();
    }

    /// One of everything that somebody could guess the id of.
    async fn fill_more(&self) {
        let bench = &self.bench;
        let ok = async |method: &str, path: &str, body: Value| {
            let answer = bench.call(method, path, "ut_mine", Some(&body)).await;
            assert!(answer.status < 300, "{method} {path}: {}", answer.text);
            answer.json()
        };
        let id = |of: &Value| of["id"].as_str().unwrap().to_owned();
        let all = json!({"random": 100, "labelled_twice": 0});
        ok(
            "PUT",
            "/api/v1/settings",
            json!({"alert_threshold": -20, "incident_customers": 3, "review": all}),
        )
        .await;
        let hook = json!({"kind": "webhook", "name": "canary-hook", "url": "http://127.0.0.1:49151/canary", "events": ["*"]});
        let hook = ok("POST", "/api/v1/destinations", hook).await;
        ok("POST", &format!("/api/v1/destinations/{}/test", id(&hook)), json!({})).await;
        ok("PUT", "/api/v1/teams/canary-team", json!({"name": "North"})).await;
        for n in 0..4 {
            let text = format!(
                "This is a disgrace, canary-7731. Week {n} without an answer, I am furious and want my money back."
            );
            let item = json!({"external_id": format!("low-{n}"), "text": text, "customer": format!("canary-low-{n}")});
            ok("POST", "/api/v1/interactions", item).await;
            bench.settled(&bench.mine).await;
        }
        assert!(ok("GET", "/api/v1/incidents", Value::Null).await["incidents"][0].is_object());
        let alert = id(&ok("GET", "/api/v1/alerts?state=open", Value::Null).await["alerts"][0]);
        ok("POST", &format!("/api/v1/alerts/{alert}/acknowledge"), json!({})).await;
        let low = id(&ok("GET", "/api/v1/interactions?external_id=low-0", Value::Null).await["items"][0]);
        super::events::correct(bench, &low, "neutral").await;
        ok("PUT", "/api/v1/customers/canary-customer/legal-hold", json!({"reason": "canary-7731"})).await;
        ok("DELETE", "/api/v1/customers/canary-low-3", json!({})).await;
        // What a person has to do.
        let person = bench.person("tenant_admin").await;
        let by_person = async |method: &str, path: &str, body: Value| {
            let answer = bench.by(&person, method, path, Some(&body)).await;
            assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        };
        let invited = json!({"email": "canary@mine.example", "role": "agent", "teams": ["canary-team"]});
        by_person("POST", "/api/v1/users", invited).await;
        let issuer = Issuer::start("undertone", "a-secret", "http://127.0.0.1:9/back").unwrap();
        let draft = json!({"issuer": issuer.url(), "client_id": "undertone", "client_secret": "a-secret", "label": "Canary ID",
            "allowed_domains": ["example.com"]});
        by_person("PUT", "/api/v1/single-sign-on", draft).await;
        bench.tell().await;
        bench.settled(&bench.mine).await;
    }

    async fn rows(&self, statement: &str) -> Vec<Value> {
        use sea_orm::FromQueryResult;
        let statement = Statement::from_string(DbBackend::Sqlite, statement);
        let rows = self.raw.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| sea_orm::JsonValue::from_query_result(row, "").unwrap()).collect()
    }

    /// The tables whose rows belong to tenants, with their columns.
    async fn tables(&self) -> BTreeMap<String, Vec<String>> {
        let columns = self
            .rows("SELECT m.name AS t, p.name AS c FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'")
            .await;
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &columns {
            let word = |name: &str| row[name].as_str().unwrap().to_owned();
            tables.entry(word("t")).or_default().push(word("c"));
        }
        tables.retain(|_, columns| columns.iter().any(|column| column == "tenant_id"));
        assert!(tables.len() > 20, "{tables:?}");
        tables
    }

    /// Some ids of everything of mine, whatever table it is in, and the names its source gave it.
    async fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            ["canary-1", "canary-customer", "canary-account", "canary-agent", "canary-talk"]
                .map(str::to_owned)
                .into();
        for (table, columns) in self.tables().await {
            if columns.iter().any(|column| column == "id") {
                let rows = self
                    .rows(&format!(
                        "SELECT id FROM {table} WHERE tenant_id = {} ORDER BY id LIMIT 1",
                        self.bench.mine.id.0
                    ))
                    .await;
                assert!(
                    !rows.is_empty() || EMPTY.contains(&table.as_str()),
                    "{table}: either the tour tries an id of it, or it stands among those it does not"
                );
                ids.extend(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)));
            }
        }
        assert!(ids.len() > 15, "{ids:?}");
        ids
    }

    /// Everything a tenant has, but for what its own service does by itself.
    async fn holds(&self, tenant: &Tenant) -> BTreeMap<String, Vec<Value>> {
        let mut holds = BTreeMap::new();
        for (table, columns) in self.tables().await {
            // When its own jobs are due, and how far they are.
            if matches!(table.as_str(), "audit_chain" | "upkeep" | "purge_run") {
                continue;
            }
            let kept: Vec<String> = columns
                .into_iter()
                .filter(|column| {
                    !matches!(
                        column.as_str(),
                        "last_used_at" | "last_seen_at" | "scrubbed_at" | "seq" | "digest"
                    )
                })
                .collect();
            let list = kept.join(", ");
            let rows = self
                .rows(&format!(
                    "SELECT {list} FROM {table} WHERE tenant_id = {} ORDER BY {list}",
                    tenant.id.0
                ))
                .await;
            holds.insert(table, rows);
        }
        holds
    }

    /// Nothing of mine is another than it was.
    async fn assert_unchanged(&self, before: &BTreeMap<String, Vec<Value>>, who: &str) {
        let after = self.holds(&self.bench.mine).await;
        for (table, rows) in before {
            assert_eq!(after.get(table), Some(rows), "{who} changed {table}");
        }
    }

    /// Sends a request as somebody; of a stream that does not end, what comes at once.
    async fn send(&self, who: &Intruder, route: &Route, path: &str, (kind, body): (&str, &str)) -> Answer {
        let mut request =
            Request::builder().method(route.method).uri(path).header(header::CONTENT_TYPE, kind);
        for (name, value) in &who.headers {
            request = request.header(*name, value);
        }
        let response = self
            .bench
            .router
            .clone()
            .oneshot(request.body(Body::from(body.to_owned())).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let mut stream = body.into_data_stream();
        let mut bytes = Vec::new();
        let live = parts
            .headers
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let patience = Duration::from_millis(if live { 100 } else { 60_000 });
        while let Ok(Some(piece)) = tokio::time::timeout(patience, stream.next()).await {
            bytes.extend_from_slice(&piece.unwrap());
            if live && bytes.len() > 1 << 20 {
                break;
            }
        }
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

fn told(who: &Intruder, route: &Route, path: &str, answer: &Answer) -> String {
    let text: String = answer.text.chars().take(400).collect();
    format!("{}: {} {path} ({}): {} {text}", who.name, route.method, route.path, answer.status)
}

fn assert_tells_nothing(who: &Intruder, route: &Route, path: &str, answer: &Answer) {
    let told = told(who, route, path, answer);
    assert!(answer.status < 500 || answer.status == 503, "{told}");
    for canary in CANARIES {
        assert!(!answer.text.contains(canary), "{canary} is told to {told}");
    }
}

/// The address with `id` in each of its places, as it goes over the wire.
fn with_id(route: &Route, id: &str) -> String {
    let id: String = id
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let parts: Vec<&str> =
        route.path.split('/').map(|part| if part.starts_with('{') { id.as_str() } else { part }).collect();
    parts.join("/")
}

fn closed() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| route.access != Access::Public)
}

#[tokio::test]
async fn what_is_open_to_everybody_is_decided_by_hand() {
    let mut open: Vec<(&str, &str)> = ROUTES
        .iter()
        .filter(|route| route.access == Access::Public)
        .map(|route| (route.method, route.path))
        .collect();
    open.sort_unstable();
    assert_eq!(open, PUBLIC);
    let mut pages: Vec<(&str, &str)> = ROUTES
        .iter()
        .filter(|route| route.access == Access::Page)
        .map(|route| (route.method, route.path))
        .collect();
    pages.sort_unstable();
    assert_eq!(pages, PAGES, "a page that needs no permission is a decision; PageFor names one");
    let tour = Tour::open().await;
    tour.fill().await;
    let nobody = Intruder { name: "nobody", headers: Vec::new() };
    for route in ROUTES.iter().filter(|route| route.access == Access::Public) {
        for kind in [JSON, FORM] {
            let path = with_id(route, "x");
            let answer = tour.send(&nobody, route, &path, (kind, "{}")).await;
            assert_tells_nothing(&nobody, route, &path, &answer);
            // Without the token of its own page a form is nobody's.
            if route.method != "GET" {
                assert!((400..500).contains(&answer.status), "{}", told(&nobody, route, &path, &answer));
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_nobody_any_more_gets_nothing() {
    let tour = Tour::open().await;
    tour.fill().await;
    let (bench, store) = (&tour.bench, tour.bench.store());
    let act = Act::new(bench.mine.id, "test");
    let all = ["ingest", "read", "admin"];
    let revoked = bench.key(&bench.mine, "ut_revoked", &all).await;
    store.revoke_key(&act, &revoked).await.unwrap();
    bench.key(&bench.mine, "ut_expired", &all).await;
    // Sessions of people who have all rights: logged out, timed out, and of somebody who is not let in any more.
    let stolen = async |name: &'static str, role: &str| {
        let (cookie, csrf) = bench.session(role).await;
        (Intruder::with_session(name, &cookie, &csrf), cookie.split_once('=').unwrap().1.to_owned())
    };
    let (ended, token) = stolen("a session that was logged out", "admin").await;
    store.end_session(&token, None).await.unwrap();
    let (old, token) = stolen("a session that timed out", "supervisor").await;
    let digest = undertone_store::keys::digest(&token);
    let past = "'2020-01-01 00:00:00+00:00'";
    let (out, _) = stolen("a session of somebody deactivated", "manager").await;
    for statement in [
        format!(
            "UPDATE api_key SET expires_at = {past} WHERE token_digest = '{}'",
            undertone_store::keys::digest("ut_expired")
        ),
        format!("UPDATE session SET expires_at = {past} WHERE token_digest = '{digest}'"),
        "UPDATE app_user SET active = 0 WHERE email = 'manager@example.com'".to_owned(),
    ] {
        assert_eq!(tour.raw.execute_unprepared(&statement).await.unwrap().rows_affected(), 1, "{statement}");
    }
    let key_digest = undertone_store::keys::digest("ut_mine");
    let before = tour.holds(&bench.mine).await;
    let intruders = [
        Intruder { name: "nobody", headers: Vec::new() },
        Intruder::with_key("a key that never was", "ut_never"),
        Intruder::with_key("an expired key", "ut_expired"),
        Intruder::with_key("a revoked key", "ut_revoked"),
        Intruder::with_key("the digest of a key, as the database has it", &key_digest),
        Intruder {
            name: "a password instead of a key",
            headers: vec![("authorization", "Basic dXQ6bWluZQ==".to_owned())],
        },
        Intruder::with_session(
            "a session that never was",
            &format!("{}=never", secrets::SESSION_COOKIE),
            "never",
        ),
        Intruder::with_session(
            "the digest of a session, as the database has it",
            &format!("{}={digest}", secrets::SESSION_COOKIE),
            "x",
        ),
        ended,
        old,
        out,
    ];
    for route in closed() {
        for who in &intruders {
            for id in ["x", "canary-customer"] {
                let path = with_id(route, id);
                let answer = tour.send(who, route, &path, (JSON, "{}")).await;
                let told = told(who, route, &path, &answer);
                assert_tells_nothing(who, route, &path, &answer);
                if route.access.is_page() && answer.status == 303 {
                    assert!(answer.header("location").starts_with("/login"), "{told}");
                } else {
                    assert_eq!(answer.status, 401, "{told}");
                }
                assert!(!answer.headers.contains_key("set-cookie"), "{told}");
            }
        }
    }
    tour.assert_unchanged(&before, "somebody who is nobody").await;
}

#[tokio::test]
async fn a_lesser_role_and_a_forged_form_get_nothing() {
    let tour = Tour::open().await;
    tour.fill().await;
    let bench = &tour.bench;
    let mut sessions = Vec::new();
    for role in Role::ALL {
        sessions.push((*role, bench.session(role.as_str()).await));
    }
    let before = tour.holds(&bench.mine).await;
    for route in closed() {
        let path = with_id(route, "canary-customer");
        for (role, (cookie, csrf)) in &sessions {
            if let Some(permission) = route.access.permission()
                && !role.may(permission)
            {
                let who = Intruder::with_session(role.as_str(), cookie, csrf);
                let answer = tour.send(&who, route, &path, (JSON, "{}")).await;
                assert_tells_nothing(&who, route, &path, &answer);
                assert_eq!(answer.status, 403, "{}", told(&who, route, &path, &answer));
            }
            // A page elsewhere makes a browser send the cookie, and knows no token; another session's is none.
            if !matches!(route.method, "GET" | "HEAD") {
                let others = &sessions.iter().find(|(other, _)| other != role).unwrap().1.1;
                for (kind, body) in [
                    (JSON, "{}".to_owned()),
                    (FORM, String::new()),
                    (FORM, "csrf=&csrf_token=".to_owned()),
                    (FORM, format!("csrf={others}&csrf_token={others}")),
                    ("text/plain", "{}".to_owned()),
                    ("multipart/form-data; boundary=x", String::new()),
                ] {
                    let forged =
                        Intruder { name: "a forged form", headers: vec![("cookie", cookie.clone())] };
                    let answer = tour.send(&forged, route, &path, (kind, &body)).await;
                    assert_tells_nothing(&forged, route, &path, &answer);
                    assert_eq!(answer.status, 403, "{kind} {body}: {}", told(&forged, route, &path, &answer));
                }
            }
        }
    }
    tour.assert_unchanged(&before, "a lesser role or a forged form").await;
}

#[tokio::test]
async fn another_tenant_and_a_guessed_id_get_nothing() {
    let tour = Tour::open().await;
    tour.fill().await;
    let bench = &tour.bench;
    let (token, csrf) = (secrets::token(), secrets::token());
    let act = Act::new(bench.theirs.id, "test");
    let admin = bench.store().save_user(&act, "admin@theirs.example", "admin", "no hash").await.unwrap();
    bench.store().begin_session(&admin, &token, &csrf).await.unwrap();
    let intruders = [
        Intruder::with_key("another tenant's key", "ut_theirs"),
        Intruder::with_session(
            "another tenant's admin",
            &format!("{}={token}", secrets::SESSION_COOKIE),
            &csrf,
        ),
    ];
    let mut ids = tour.ids().await;
    ids.extend(
        [
            "0",
            "1",
            "-1",
            "2147483648",
            "..",
            "../..",
            "x' OR '1'='1",
            "%",
            "*",
            "null",
            "\u{202e}ü",
            "00000000-0000-0000-0000-000000000000",
        ]
        .map(str::to_owned),
    );
    ids.push("9".repeat(300));
    let before = tour.holds(&bench.mine).await;
    for route in closed() {
        // Whoever logs out, or changes their own password, ends their own tour.
        let ends = ["/logout", "/account/", "/me/", "/users/{id}/deactivate"]
            .iter()
            .any(|part| route.path.contains(part));
        for who in intruders.iter().filter(|who| !ends || who.name.ends_with("key")) {
            let has_id = route.path.contains('{');
            for id in ids.iter().take(if has_id { usize::MAX } else { 3 }) {
                let path = with_id(route, id);
                // Without an id in the address it may stand in the query, or in what is handed in.
                let queries: &[&str] = if has_id {
                    &[""]
                } else {
                    &["", "customer", "customer_id", "id", "external_id", "actor", "agent"]
                };
                for name in queries {
                    let path = if name.is_empty() {
                        path.clone()
                    } else {
                        format!("{path}?{name}={}", id.replace(' ', "+"))
                    };
                    let body = json!({"id": id, "customer": id, "customer_id": id, "user": id, "email": "canary-x@mine.example"}).to_string();
                    let answer = tour.send(who, route, &path, (JSON, &body)).await;
                    assert_tells_nothing(who, route, &path, &answer);
                    if has_id && route.method == "GET" && answer.status == 200 {
                        // What the tour itself made over there under that name is theirs.
                        assert!(
                            !ids.iter()
                                .any(|mine| mine.len() == 36 && mine != id && answer.text.contains(mine)),
                            "{}",
                            told(who, route, &path, &answer)
                        );
                    }
                }
            }
        }
    }
    tour.assert_unchanged(&before, "another tenant").await;
}
