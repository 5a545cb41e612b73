//! A tenant's own keys as a caller sees them: they go in, and nothing that leaves the service has them.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use undertone_store::Act;
use undertone_store::secrets::{Credentials, Keyring, MasterKey, Provider, Secret};

use super::{Answer, Bench, JSON};
use crate::api::router;
use crate::app::App;
use crate::secrets::{Given, ProviderKeys, Source};

const PATH: &str = "/api/v1/provider-keys";
const CLAUDE: &str = "/api/v1/provider-keys/claude";
const OPENAI: &str = "/api/v1/provider-keys/openai";
/// Every key in these tests begins so; nothing else does.
const MARKER: &str = "marker-7f3a";

fn key(end: &str) -> String {
    format!("{MARKER}-of-a-test-{end}")
}

async fn put(bench: &Bench, path: &str, body: &Value) -> Answer {
    bench.call("PUT", path, "ut_mine", Some(body)).await
}

/// Log lines of this thread, everything down to trace.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Takes down what is logged until the guard goes.
    pub(super) fn taken_down() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(lines.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_key_is_set_told_of_and_removed() {
    let bench = Bench::open().await;
    let told = bench.get(PATH).await;
    let nothing = json!({"provider": "claude", "source": null, "usable": false, "problem": null, "base_url": null,
                         "last_four": null, "set_at": null, "set_by": null});
    let shared = json!({"provider": "openai", "source": "installation", "usable": true, "problem": null, "base_url": null,
                        "last_four": null, "set_at": null, "set_by": null});
    assert_eq!(
        told,
        json!({"providers": [nothing, shared]}),
        "of the installation's key only that there is one"
    );

    let saved = put(&bench, CLAUDE, &json!({"key": format!(" {}\n", key("wxyz"))})).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    let saved = saved.json();
    assert_eq!((&saved["source"], &saved["usable"]), (&json!("tenant"), &json!(true)));
    assert_eq!(
        (&saved["last_four"], &saved["base_url"]),
        (&json!("wxyz"), &json!("https://api.anthropic.com"))
    );
    assert!(saved["set_by"].as_str().unwrap().starts_with("key:") && saved["set_at"].is_string(), "{saved}");
    let body = json!({"key": key("abcd"), "base_url": "http://localhost:8000/v1/"});
    assert_eq!(put(&bench, OPENAI, &body).await.json()["base_url"], "http://localhost:8000/v1");
    let told = bench.get(PATH).await;
    assert_eq!((&told["providers"][0], &told["providers"][1]["last_four"]), (&saved, &json!("abcd")));

    // It is what a scorer gets, for this tenant alone.
    let keys = &bench.app.provider_keys;
    let used = keys.provider_key(bench.mine.id, Provider::Openai).await.unwrap().unwrap();
    assert_eq!((used.key.expose(), used.source), (key("abcd").as_str(), Source::Tenant));
    let theirs = bench.call("GET", PATH, "ut_theirs", None).await;
    assert_eq!(theirs.json(), json!({"providers": [nothing, shared]}));
    assert!(keys.provider_key(bench.theirs.id, Provider::Claude).await.unwrap().is_none());

    // An address never changes without its key, or a key would be sent to wherever somebody likes.
    let alone = put(&bench, CLAUDE, &json!({"base_url": "https://evil.example"})).await;
    assert_eq!(alone.status, 422);
    assert_eq!(bench.get(PATH).await, told);

    let removed = bench.call("DELETE", OPENAI, "ut_mine", None).await;
    assert_eq!((removed.status, removed.json()), (200, shared));
    let again = bench.call("DELETE", OPENAI, "ut_mine", None).await;
    assert_eq!((again.status, &again.json()["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn only_administrators_and_only_of_their_own_tenant() {
    let bench = Bench::open().await;
    let body = json!({"key": key("wxyz")});
    assert_eq!(put(&bench, CLAUDE, &body).await.status, 200);
    let before = bench.get(PATH).await;
    for (method, path) in [("GET", PATH), ("PUT", CLAUDE), ("DELETE", CLAUDE)] {
        for (by, status) in [("", 401), ("ut_unknown", 401), ("ut_mine_read", 403), ("ut_mine_ingest", 403)] {
            let answer = bench.call(method, path, by, Some(&body)).await;
            assert_eq!(answer.status, status, "{method} with “{by}”: {}", answer.text);
        }
    }
    // Theirs is another world: there is nothing to remove, and what they set is theirs.
    assert_eq!(bench.call("DELETE", CLAUDE, "ut_theirs", None).await.status, 404);
    let other = json!({"key": key("0000"), "base_url": "https://gateway.example"});
    assert_eq!(bench.call("PUT", CLAUDE, "ut_theirs", Some(&other)).await.status, 200);
    assert_eq!(bench.call("DELETE", CLAUDE, "ut_theirs", None).await.status, 200);
    assert_eq!(bench.get(PATH).await, before);

    // A session needs its token, and a role that may.
    let request = |(cookie, csrf): &(String, String), method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookie);
        let request = request.header("x-csrf-token", csrf).header(header::CONTENT_TYPE, JSON);
        request.body(Body::from(body.to_string())).unwrap()
    };
    let (admin, agent) = (bench.session("tenant_admin").await, bench.session("agent").await);
    let forged = (admin.0.clone(), "forged".to_owned());
    for (method, path) in [("GET", PATH), ("PUT", CLAUDE), ("DELETE", CLAUDE)] {
        assert_eq!(bench.send(request(&agent, method, path)).await.status, 403, "{method} by an agent");
        let forged = bench.send(request(&forged, method, path)).await.status;
        assert_eq!(forged, if method == "GET" { 200 } else { 403 }, "{method} without a token");
    }
    let by_admin = bench.send(request(&admin, "PUT", CLAUDE)).await;
    assert!(by_admin.json()["set_by"].as_str().unwrap().starts_with("user:"), "{}", by_admin.text);
    assert_eq!(bench.send(request(&admin, "DELETE", CLAUDE)).await.status, 200);
}

#[tokio::test]
async fn what_can_not_be_used_is_told_by_field() {
    let bench = Bench::open().await;
    let cases: [(Value, &[&str]); 10] = [
        (json!({}), &["key"]),
        (json!({"key": null}), &["key"]),
        (json!({"key": 7}), &["key"]),
        (json!({"key": ""}), &["key"]),
        (json!({"key": "two words"}), &["key"]),
        (json!({"key": "fine", "base_url": "gateway.example"}), &["base_url"]),
        (json!({"key": "fine", "base_url": 7}), &["base_url"]),
        (
            json!({"key": "", "base_url": "https://user@gateway.example", "model": 1}),
            &["key", "base_url", ""],
        ),
        (json!([]), &[""]),
        (json!("fine"), &[""]),
    ];
    for (body, fields) in cases {
        let answer = put(&bench, CLAUDE, &body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text);
        let errors = answer.json()["errors"].clone();
        let told: Vec<&str> =
            errors.as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
        assert_eq!(told, fields, "{body}");
    }
    assert_eq!(bench.get(PATH).await["providers"][0]["source"], Value::Null);
    let unknown = put(&bench, "/api/v1/provider-keys/gemini", &json!({"key": "fine"})).await;
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("not_found")));
    assert!(put(&bench, CLAUDE, &json!({"key": "fine", "base_url": null})).await.status == 200);
}

#[tokio::test]
async fn without_a_master_key_only_setting_one_is_refused() {
    let bench = Bench::open().await;
    put(&bench, CLAUDE, &json!({"key": key("wxyz")})).await;
    let without = ProviderKeys::new(bench.store(), Given::default());
    let service = router(&App { provider_keys: without, ..bench.app.clone() });
    let send = async |method: &str, path: &str, body: &str| {
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, "Bearer ut_mine");
        let request = request.header(header::CONTENT_TYPE, JSON).body(Body::from(body.to_owned())).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let (status, refused) = send("PUT", OPENAI, &json!({"key": key("abcd")}).to_string()).await;
    assert_eq!((status, &refused["code"]), (409, &json!("no_master_key")));
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("undertone secrets new-key") && detail.contains("master_key_file"), "{detail}");
    // What was set before stays, can not be used, says why, and can be removed.
    let (_, told) = send("GET", PATH, "").await;
    let claude = &told["providers"][0];
    assert_eq!((&claude["source"], &claude["usable"]), (&json!("tenant"), &json!(false)));
    assert!(claude["problem"].as_str().unwrap().contains("this process was not given"), "{claude}");
    assert_eq!(send("GET", "/api/v1/settings", "").await.0, 200);
    assert_eq!(send("DELETE", CLAUDE, "").await.0, 200);
}

/// Every file under `folder`, byte by byte.
fn assert_not_in_files(folder: &Path) -> usize {
    let (mut files, hex) =
        (0, MARKER.bytes().fold(String::new(), |text, byte| text + format!("{byte:02x}").as_str()));
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_not_in_files(&path);
            continue;
        }
        files += 1;
        let bytes = std::fs::read(&path).unwrap();
        for needle in [MARKER.as_bytes(), hex.as_bytes()] {
            let found = bytes.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle));
            assert!(!found, "the key stands in {}", path.display());
        }
    }
    files
}

#[tokio::test]
async fn a_key_is_in_no_answer_no_log_line_and_no_file() {
    let (lines, _guard) = Lines::taken_down();
    let bench = Bench::open().await;
    let marker = key("wxyz");
    let mut answers = Vec::new();
    // In its place, and in every other where somebody may put it.
    let bodies = [
        json!({"key": marker}).to_string(),
        json!({"key": marker, "base_url": "https://gateway.example"}).to_string(),
        json!({"key": marker, "base_url": marker}).to_string(),
        json!({"key": marker, "base_url": format!("https://{marker}@gateway.example")}).to_string(),
        json!({"key": format!("{marker} {marker}")}).to_string(),
        json!({"key": [marker]}).to_string(),
        json!({"key": {"key": marker}}).to_string(),
        json!({"api_key": marker}).to_string(),
        json!({"key": "fine", (marker.clone()): 1}).to_string(),
        json!([marker]).to_string(),
        json!(marker).to_string(),
        format!("{{\"key\": \"{marker}"),
        format!("{{\"key\": \"{marker}\\x\"}}"),
        format!("{{\"key\": {marker}}}"),
        format!("key={marker}"),
        marker.clone(),
    ];
    for body in bodies {
        for kind in [JSON, super::FORM] {
            for by in ["ut_mine", "ut_mine_read", ""] {
                let request = Request::put(CLAUDE)
                    .header(header::AUTHORIZATION, format!("Bearer {by}"))
                    .header(header::CONTENT_TYPE, kind)
                    .body(Body::from(body.clone()));
                answers.push(bench.send(request.unwrap()).await);
            }
        }
    }
    assert!(answers.iter().any(|a| a.status == 200) && answers.iter().any(|a| a.status == 422));
    let elsewhere = put(&bench, &format!("{PATH}/{marker}"), &json!({"key": marker})).await;
    assert_eq!(elsewhere.status, 404);
    answers.push(elsewhere);
    answers.push(put(&bench, &format!("{CLAUDE}?key={marker}"), &json!({"key": marker})).await);
    answers.push(bench.call("POST", CLAUDE, "ut_mine", Some(&json!({"key": marker}))).await);
    for path in [PATH, "/api/v1/settings", "/metrics", "/readyz"] {
        answers.push(bench.call("GET", path, "ut_mine", None).await);
    }
    // A key that can not be opened: sealed with a master key this service does not have.
    let other = Keyring::new(Some(MasterKey::generate().unwrap()), None);
    let new = Credentials::new(Provider::Claude, &Secret::new(marker.clone()), None).unwrap();
    let act = Act::new(bench.mine.id, "test");
    bench.store().save_provider_key(&act, &other, &new).await.unwrap();
    let unusable = bench.app.provider_keys.provider_key(bench.mine.id, Provider::Claude).await.unwrap_err();
    let told = bench.call("GET", PATH, "ut_mine", None).await;
    assert_eq!(told.json()["providers"][0]["usable"], json!(false));
    answers.push(told);
    for answer in &answers {
        assert!(!answer.text.contains(MARKER), "{}", answer.text);
        assert!(!format!("{:?}", answer.headers).contains(MARKER), "{:?}", answer.headers);
    }
    assert!(!format!("{unusable} {unusable:?} {new:?}").contains(MARKER));

    let log = lines.text();
    assert!(!log.is_empty() && !log.contains(MARKER), "{log}");
    // The database, its write-ahead log and whatever else lies there.
    let files = assert_not_in_files(bench.folder.path());
    assert!(files >= 2, "{files} files");
    assert!(bench.folder.path().join("undertone.db-wal").is_file());
}
