//! An erasure on the built program: of a customer whose words went everywhere that words go, no byte is left in the data folder, in what the
//! service logged, or in anything that is exported afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_testkit::process::{Service, call, configure, until};
use undertone_testkit::receiver::{Receiver, Reply};

/// What nothing else in any file holds: a word of the customer's, their name, their address, and what people wrote of them.
const CANARIES: [&str; 4] = ["bandicoot8812", "Numbatina Potoroo", "potoroo5521@example.com", "kowari3307"];

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// With a master key, and messages to this machine allowed.
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(bench.path("data")).unwrap();
        configure(Path::new(env!("CARGO_BIN_EXE_undertone")), &bench.path("data"), "");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_undertone"))
            .args(arguments)
            .env("UNDERTONE_DATA_DIR", self.path("data"))
            .env_remove("UNDERTONE_DATABASE_URL")
            .env_remove("UNDERTONE_MASTER_KEY")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
        told
    }

    fn serve(&self, log: &Path) -> Service {
        Service::start_into(
            Path::new(env!("CARGO_BIN_EXE_undertone")),
            &["--data-dir", self.path("data").to_str().unwrap()],
            &[("UNDERTONE_LOG", "debug")],
            File::create(log).unwrap(),
        )
    }
}

/// The service over HTTP, with a key that may do everything.
struct Api<'a> {
    service: &'a Service,
    key: String,
}

impl Api<'_> {
    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        call(&self.service.address, &self.key, (method, path), body)
    }

    fn text(&self, method: &str, path: &str, body: &Value) -> String {
        let (status, text) = self.call(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {text}");
        text
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text("GET", path, &Value::Null)).unwrap()
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        serde_json::from_str(&self.text(method, path, body)).unwrap()
    }

    /// Asks until it is so.
    fn until(&self, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let told = self.get(path);
            if is_so(&told) {
                return told;
            }
            assert!(Instant::now() < deadline, "{what}: {told}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Where in these bytes a canary stands, however its letters are written.
fn canary_in(bytes: &[u8]) -> Option<&'static str> {
    let lower = bytes.to_ascii_lowercase();
    let stands = |canary: &&str| {
        let canary = canary.to_ascii_lowercase();
        lower.windows(canary.len()).any(|window| window == canary.as_bytes())
    };
    CANARIES.into_iter().find(|canary| stands(canary))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn assert_nowhere(folder: &Path) -> usize {
    let all = files(folder);
    for path in &all {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(canary_in(&bytes), None, "it stands in {}", path.display());
    }
    all.len()
}

/// Ana's words go everywhere: read, told to people and systems that take and refuse them, corrected, noted. Answers whether she was told of.
fn let_them_go_everywhere(api: &Api<'_>, receiver: &Receiver) {
    let [word, name, email, note] = CANARIES;
    let item = |id: &str, text: String| {
        json!({"external_id": id, "text": text, "channel": "email", "conversation": {"id": format!("talk-{id}"), "subject": format!("About {word}")},
            "customer": {"id": "ana", "name": name, "email": email, "phone": "+49 170 55501", "attributes": {"note": note}}})
    };
    let angry = format!("Third week without {word}. I am furious and about to give up on you, says {name}.");
    let first = api.send("POST", "/api/v1/interactions", &item("1", angry));
    api.send(
        "POST",
        "/api/v1/interactions",
        &item("2", format!("The {word} is a disgrace. Write to {email}.")),
    );
    // Of what is said of her some names her by the conversation alone.
    for (id, kind) in [("reply", "message"), ("note", "note")] {
        let text = format!("Dear {name}, the {word} is on its way, and {email} is told; {note} was furious.");
        let said = json!({"external_id": id, "text": text, "channel": "email", "conversation": "talk-1", "kind": kind,
            "author_kind": "agent", "agent": "support", "direction": "outgoing"});
        api.send("POST", "/api/v1/interactions", &said);
    }
    let other = json!({"external_id": "3", "text": "Thank you, that was quick and very kind of you!", "customer": "bo"});
    api.send("POST", "/api/v1/interactions", &other);
    let id = first["id"].as_str().unwrap();
    let path = format!("/api/v1/interactions/{id}");
    let scored = api.until(&path, "it is scored", |told| told["sentiment"].is_object());
    assert!(canary_in(scored["sentiment"].to_string().as_bytes()).is_some(), "its verdict quotes: {scored}");

    // Told to who takes it and to who answers with what it was told.
    let told = || {
        let taken = receiver.taken();
        let quoting = |end: &str| {
            taken.iter().any(|request| request.path.ends_with(end) && canary_in(&request.body).is_some())
        };
        quoting("/takes") && quoting("/refuses")
    };
    until("who takes and who refuses is told", Duration::from_mins(1), told);
    let destinations = api.get("/api/v1/destinations");
    let bad = destinations["destinations"].as_array().unwrap().iter().find(|d| d["name"] == "Bad").unwrap();
    let path = format!("/api/v1/destinations/{}/deliveries", bad["id"].as_str().unwrap());
    api.until(&path, "what it answered is kept", |told| canary_in(told.to_string().as_bytes()).is_some());

    // People write of them.
    let correction = json!({"score": 20, "reason": format!("{note} was joking"), "version": scored["sentiment"]["version"]});
    api.send("POST", &format!("/api/v1/interactions/{id}/override"), &correction);
    let alerts = api.get("/api/v1/alerts");
    for alert in alerts["alerts"].as_array().unwrap() {
        let path = format!("/api/v1/alerts/{}/resolve", alert["id"].as_str().unwrap());
        // One that the correction withdrew has ended already.
        api.call("POST", &path, &json!({"note": format!("called {note}")}));
    }
    assert!(!alerts["alerts"].as_array().unwrap().is_empty(), "there was an alert");
}

#[test]
fn of_an_erased_customer_no_byte_is_left_on_the_machine_or_in_later_exports() {
    let bench = Bench::new();
    let receiver = Receiver::start(|request| {
        if request.path.ends_with("/refuses") {
            return Reply::text(400, request.json()["data"]["summary"].as_str().unwrap_or_default());
        }
        Reply::text(200, "ok")
    });
    bench.done(&["tenant", "create", "acme"]);
    bench.done(&["tenant", "user", "acme", "lead@example.org"]);
    let file = bench.path("alerts.yaml");
    let hooks = format!(
        "version: 1\nsettings: {{alert_threshold: -1, cooldown_minutes: 0}}\ndestinations:\n  \
         - {{name: Hook, kind: webhook, url: '{0}/takes', detail: full, events: ['alert.*', 'sentiment.*', 'customer.*']}}\n  \
         - {{name: Bad, kind: webhook, url: '{0}/refuses', detail: full, events: ['alert.*', 'sentiment.*']}}\n",
        receiver.address
    );
    std::fs::write(&file, hooks).unwrap();
    bench.done(&["apply", "acme", file.to_str().unwrap(), "--yes"]);
    let scopes = ["--scope", "ingest", "--scope", "read", "--scope", "admin"];
    let key = bench.done(&[&["key", "create", "acme"], &scopes[..]].concat()).trim().to_owned();
    let (log, before, after) = (bench.path("service.log"), bench.path("before"), bench.path("after"));
    for folder in [&before, &after] {
        std::fs::create_dir(folder).unwrap();
    }
    let keep = |folder: &Path, name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();

    let mut service = bench.serve(&log);
    let api = Api { service: &service, key };
    let_them_go_everywhere(&api, &receiver);
    let copy = api.text("GET", "/api/v1/customers/ana/export", &Value::Null);
    let copied = before.join("copy.md");
    bench.done(&[
        "customer",
        "export",
        "acme",
        "ana",
        "--format",
        "text",
        "--output",
        copied.to_str().unwrap(),
    ]);
    keep(&before, "copy.json", &copy);
    for canary in CANARIES {
        assert!(copy.contains(canary), "the copy has everything that is held: {canary}");
    }
    let planted =
        files(&bench.path("data")).iter().any(|path| canary_in(&std::fs::read(path).unwrap()).is_some());
    assert!(planted, "the database holds them");

    // By address, in another spelling; then until the file was written anew.
    let email = CANARIES[2].to_uppercase();
    let erased = api.send("POST", "/api/v1/erasures", &json!({"email": email}));
    let id = erased["items"][0]["id"].as_str().unwrap().to_owned();
    let receipt = api
        .until(&format!("/api/v1/erasures/{id}"), "it is scrubbed", |told| told["scrubbed_at"].is_string());
    assert_eq!((&receipt["stage"], &receipt["removed"]["interactions"]), (&json!("done"), &json!(4)));
    let heard = |request: &undertone_testkit::receiver::Request| {
        request.json()["type"] == "customer.erased" && canary_in(&request.body).is_none()
    };
    until("who holds copies is told", Duration::from_mins(1), || receiver.taken().iter().any(heard));

    // Everything that can be exported or listed from now on.
    for (name, path) in [
        ("audit.jsonl", "/api/v1/audit/export"),
        ("audit.csv", "/api/v1/audit/export?format=csv"),
        ("audit.json", "/api/v1/audit?limit=500"),
        ("interactions.json", "/api/v1/interactions"),
        ("alerts.json", "/api/v1/alerts"),
        ("overview.json", "/api/v1/overview"),
        ("erasures.json", "/api/v1/erasures"),
        ("bo.json", "/api/v1/customers/bo/export"),
    ] {
        keep(&after, name, &api.text("GET", path, &Value::Null));
    }
    assert_eq!(api.call("GET", "/api/v1/customers/ana/export", &Value::Null).0, 404);
    for (name, arguments) in [
        ("audit-by-command.jsonl", &["audit", "export", "acme"][..]),
        ("tombstones.jsonl", &["customer", "tombstones", "acme"]),
        ("alerts.txt", &["alerts", "list", "acme"]),
        ("settings.yaml", &["export", "acme"]),
        ("doctor.txt", &["doctor"]),
    ] {
        keep(&after, name, &String::from_utf8_lossy(&bench.run(arguments).stdout));
    }
    let exported = std::fs::read_to_string(after.join("audit-by-command.jsonl")).unwrap();
    assert!(exported.contains("customer_erased") && exported.contains("customer_exported"), "{exported}");
    bench.done(&["audit", "verify", "acme"]);
    bench.done(&["verify"]);
    assert!(assert_nowhere(&after) >= 13);
    // While the service runs, so that its write-ahead log is there; and once it has ended.
    assert!(assert_nowhere(&bench.path("data")) >= 3);
    assert!(service.terminate(Duration::from_secs(30)).success());
    assert_nowhere(&bench.path("data"));
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("DEBUG") && logged.lines().count() > 20, "{logged}");
    assert_eq!(canary_in(logged.as_bytes()), None, "the service logged it: {}", around_canary(&logged));
    // What was exported before is in other hands, and stays as it is.
    assert!(files(&before).iter().all(|path| canary_in(&std::fs::read(path).unwrap()).is_some()));
}

/// The first line that holds a canary.
fn around_canary(text: &str) -> &str {
    text.lines().find(|line| canary_in(line.as_bytes()).is_some()).unwrap_or_default()
}
