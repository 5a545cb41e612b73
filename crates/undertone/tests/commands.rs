//! What an operator types, on the built program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_testkit::process::Service;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_undertone"))
            .args(arguments)
            .env("UNDERTONE_DATA_DIR", self.folder.path())
            .env_remove("UNDERTONE_DATABASE_URL")
            .output()
            .unwrap()
    }

    /// Its standard output; it must succeed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// What it says when it fails.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} must fail");
        text(&output.stderr)
    }

    fn serve(&self) -> Service {
        Service::start(
            Path::new(env!("CARGO_BIN_EXE_undertone")),
            &["--data-dir", self.folder.path().to_str().unwrap()],
        )
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn call(method: &str, address: &str, key: &str, body: Option<&Value>) -> Value {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(address)
        .header("Authorization", format!("Bearer {key}"))
        .header("Content-Type", "application/json")
        .body(body.map(ToString::to_string).unwrap_or_default());
    let mut answer = ureq::Agent::new_with_defaults().run(request.unwrap()).unwrap();
    answer.body_mut().read_json().unwrap()
}

#[test]
fn a_tenant_from_nothing_to_a_verdict() {
    let bench = Bench::new();
    assert!(bench.done(&["migrate"]).starts_with("Applied: 0001_initial, 0002_lessons"));
    assert_eq!(bench.done(&["migrate"]), "Up to date; nothing to do.\n");
    assert!(
        bench
            .done(&["tenant", "create", "acme", "--name", "Acme", "--zone", "Europe/Berlin"])
            .contains("Europe/Berlin")
    );
    assert!(bench.refused(&["tenant", "create", "acme"]).contains("there is a tenant “acme” already"));
    assert!(bench.refused(&["tenant", "create", "Acme"]).contains("short name"));
    assert!(bench.refused(&["tenant", "create", "b", "--zone", "Berlin"]).contains("Berlin"));
    assert!(bench.done(&["tenant", "list"]).contains("acme"));
    let user = bench.done(&["tenant", "user", "acme", "ana@example.com"]);
    assert!(user.contains("logs in with the password"));
    let key =
        bench.done(&["key", "create", "acme", "--scope", "ingest", "--scope", "read"]).trim().to_owned();
    assert!(key.starts_with("ut_") && key.len() == 46);
    assert!(
        bench
            .refused(&["key", "create", "acme", "--scope", "all"])
            .contains("is none of ingest, read, admin")
    );

    let service = bench.serve();
    let body =
        json!({"external_id": "7", "text": "Third week without an answer. I am about to give up on you."});
    call("POST", &format!("{}/api/v1/interactions", service.address), &key, Some(&body));
    call(
        "POST",
        &format!("{}/api/v1/interactions", service.address),
        &key,
        Some(&json!({"external_id": "8", "text": "Hi"})),
    );
    let deadline = Instant::now() + Duration::from_secs(10);
    let address = format!("{}/api/v1/interactions?external_id=7", service.address);
    let scored = loop {
        let item = call("GET", &address, &key, None)["items"][0].clone();
        if item["state"] != "pending" {
            break item;
        }
        assert!(Instant::now() < deadline, "not scored within 10 s");
    };
    assert_eq!(scored["label"], "negative");
    assert!(bench.done(&["doctor", "7"]).contains("is scored: -"));
    let short = bench.run(&["doctor", "8"]);
    assert!(text(&short.stdout).contains("shorter than min_note_length") && short.status.code() == Some(1));
    let short: Value =
        serde_json::from_slice(&bench.run(&["doctor", "8", "--format", "json"]).stdout).unwrap();
    assert_eq!((&short["well"], &short["findings"][1]["check"]), (&json!(false), &json!("interaction")));
    assert!(text(&bench.run(&["doctor", "9"]).stdout).contains("no interaction has the id 9"));
    assert_eq!(bench.done(&["verify"]), "no difference\n");
    assert_eq!(bench.done(&["tenant", "zone", "acme", "America/New_York"]).lines().count(), 1);
    assert_eq!(bench.done(&["verify"]), "no difference\n");

    let report = bench.done(&["cascade", "report", "acme"]);
    assert!(report.contains("The cascade scored nothing in these days"), "{report}");
    let advice = bench.done(&["cascade", "advise", "acme", "--daily-tokens", "5000"]);
    assert!(advice.starts_with("1 text read in 1 day") && advice.contains("a threshold of 100"), "{advice}");
    let advice = bench.done(&["cascade", "advise", "acme", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&advice).unwrap()["daily_tokens"], 100_000);
    assert!(bench.refused(&["cascade", "report", "acme", "--from", "soon"]).contains("such as 2026-11-20"));
    assert!(bench.refused(&["cascade", "advise", "nobody"]).contains("nobody"));

    let doctor = bench.done(&["doctor"]);
    assert!(doctor.contains("the module is active") && !doctor.contains("LOOK"), "{doctor}");
    assert!(
        doctor.contains(
            "ok    acme: of the newest 2 interactions 1 are scored; not scored: 1 too_short (shorter than"
        ),
        "{doctor}"
    );
    assert_eq!(bench.done(&["module", "deactivate", "acme"]), "acme is inactive.\n");
    let doctor = bench.run(&["doctor"]);
    assert!(text(&doctor.stdout).contains("LOOK  acme: the module is not active"));
    assert!(bench.done(&["module", "status", "acme"]).contains("99.99 USD a month"));
    assert_eq!(bench.done(&["module", "activate", "acme"]), "acme is active.\n");

    let listed = bench.done(&["key", "list", "acme"]);
    let id = listed.split_whitespace().next().unwrap().to_owned();
    assert!(listed.contains("last used"));
    assert_eq!(bench.done(&["key", "revoke", "acme", &id]), "Revoked.\n");
    assert!(bench.refused(&["key", "revoke", "acme", &id]).contains("no working key"));
    let refused = ureq::get(&address).header("Authorization", format!("Bearer {key}")).call();
    assert!(matches!(refused, Err(ureq::Error::StatusCode(401))));
}

#[test]
fn the_configuration_has_layers_and_tells_what_is_wrong() {
    let bench = Bench::new();
    let file = bench.folder.path().join("undertone.toml");
    std::fs::write(&file, "connections = 3\nlog = \"debug\"\ndatabase_url = \"postgres://u:secret@db/x\"\n")
        .unwrap();
    let shown = bench.done(&["config", "show"]);
    assert!(
        shown.contains("connections = 3")
            && shown.contains("postgres://u:•••@db/x")
            && !shown.contains("secret"),
        "{shown}"
    );
    assert!(bench.done(&["config", "show", "--default"]).contains("# Where the service listens."));
    let local = format!("sqlite://{}/other.db", bench.folder.path().display());
    assert!(bench.done(&["config", "check", "--database-url", &local]).contains("SQLite answers"));
    for (content, told) in [
        ("conections = 3", "conections"),
        ("connections = \"three\"", "connections"),
        ("connections = 0", "it must be 1 to 200"),
        ("listen = \"here\"", "listen"),
        ("public_url = \"undertone.example\"", "http:// or https://"),
    ] {
        std::fs::write(&file, content).unwrap();
        let refused = bench.refused(&["config", "check"]);
        assert!(
            refused.starts_with("error: the configuration can not be used") && refused.contains(told),
            "{refused}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    assert!(
        bench
            .refused(&["config", "check", "--config", "/nowhere.toml"])
            .contains("/nowhere.toml is not there")
    );
    assert!(
        bench
            .refused(&["config", "check", "--database-url", "mysql://x"])
            .contains("sqlite:// or postgres://")
    );
    let unreachable =
        bench.refused(&["config", "check", "--database-url", "postgres://u:secret@127.0.0.1:1/x"]);
    assert!(!unreachable.contains("secret"), "{unreachable}");
}

#[test]
fn calibrate_keeps_labels_says_what_is_missing_and_learns_from_enough() {
    let bench = Bench::new();
    bench.done(&["tenant", "create", "acme"]);
    let file = bench.folder.path().join("labels.csv");
    let path = file.to_str().unwrap().to_owned();
    std::fs::write(
        &file,
        "text,label\nWhere is my order?,neutral\nstill nothing from you,negative\nno label,\n",
    )
    .unwrap();
    let output = bench.run(&["calibrate", "acme", &path]);
    assert_eq!(output.status.code(), Some(1));
    let (told, wrong) = (text(&output.stdout), text(&output.stderr));
    assert!(told.contains("2 labels added, 0 changed, 0 known already"), "{told}");
    assert!(told.contains("300 more positive, 299 more neutral, 299 more negative are needed"), "{told}");
    assert!(
        told.contains("neutral         1, 299 missing of 300") && told.contains("No lesson yet"),
        "{told}"
    );
    assert!(wrong.contains("1 rows could not be used") && wrong.contains("line 4"), "{wrong}");

    // Enough of them, by somebody who calls negative what we call mixed.
    let mut rows = "text,label,kind\n".to_owned();
    let mut count = [0; 4];
    let labels = ["positive", "neutral", "negative", "mixed"];
    for message in undertone_testkit::corpus::messages("train") {
        let at = labels.iter().position(|label| *label == message.label).unwrap();
        if count[at] == 310 || message.phenomena.iter().any(|p| p == "transcript" || p == "agent_note") {
            continue;
        }
        count[at] += 1;
        let label = if message.label == "mixed" { "negative" } else { &message.label };
        rows += &format!("\"{}\",{label},message\n", message.text.replace('"', "\"\""));
    }
    std::fs::write(&file, rows).unwrap();
    let told = bench.done(&["calibrate", "acme", &path]);
    assert!(told.contains("Lesson 1, tried on") && told.contains("label macro-F1"), "{told}");
    assert!(told.contains("Better: macro-F1 rises by") && told.contains("Lesson 1 is in force"), "{told}");
    assert!(bench.done(&["calibrate", "acme", "--revert"]).contains("as it came"));
    assert!(bench.done(&["calibrate", "acme", "--use", "1"]).contains("Lesson 1 is in force"));
    assert!(bench.refused(&["calibrate", "acme", "--use", "7"]).contains("has no lesson 7; --status lists"));
    assert!(bench.done(&["calibrate", "acme", "--status"]).contains("in force"));
    assert!(bench.done(&["calibrate", "acme", "--forget"]).contains("removed, with their texts"));
    assert!(bench.refused(&["calibrate", "nobody"]).contains("nobody"));
    assert!(bench.refused(&["calibrate", "acme", "nowhere.csv"]).contains("nowhere.csv can not be opened"));
}
