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
fn who_sees_scores_is_chosen_with_the_tenant_and_audited() {
    let bench = Bench::new();
    bench.done(&["migrate"]);
    let made = bench.done(&["tenant", "create", "quiet", "--visibility", "aggregate_only"]);
    assert!(made.contains("Visibility: aggregate_only"), "{made}");
    assert!(bench.done(&["module", "status", "quiet"]).contains("aggregate_only"));
    assert!(bench.done(&["audit", "export", "quiet"]).contains("aggregate_only"));
    let refused = bench.refused(&["tenant", "create", "b", "--visibility", "everybody"]);
    assert!(refused.contains("supervisor_overlay"), "{refused}");
    assert!(bench.done(&["tenant", "create", "open"]).contains("Visibility: full_transparency"));
    let quietly = bench.done(&["audit", "export", "open"]);
    assert!(!quietly.contains("settings_saved"), "nothing was chosen: {quietly}");
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
    std::fs::write(&file, "words,mood\nWhere is my order?,neutral\n").unwrap();
    let refused = bench.refused(&["calibrate", "acme", &path, "--text", "words"]);
    assert!(refused.contains("Another column is named with --label COLUMN"), "{refused}");
    let output = bench.run(&["calibrate", "acme", &path, "--text", "words", "--label", "mood"]);
    let told = text(&output.stdout);
    assert!(told.contains("0 labels added, 0 changed, 1 known already"), "{told}");
    let foreign = "text,label\nIch warte seit drei Wochen auf eine Antwort von Ihnen.,negative\n";
    std::fs::write(&file, foreign).unwrap();
    let told = text(&bench.run(&["calibrate", "acme", &path]).stdout);
    assert!(told.contains("299 more negative are needed, 300 of each; 1 more could not be read"), "{told}");

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

/// A tenant with two raters and an agent, whose two scored messages are in the queue.
fn with_raters(bench: &Bench) -> Service {
    bench.done(&["tenant", "create", "acme"]);
    bench.done(&["tenant", "create", "other"]);
    for (email, role) in
        [("ana@example.com", "reviewer"), ("bo@example.com", "supervisor"), ("cy@example.com", "agent")]
    {
        bench.done(&["tenant", "user", "acme", email, "--role", role]);
    }
    bench.done(&["review", "sample", "acme", "--random", "100", "--labelled-twice", "100"]);
    let key =
        bench.done(&["key", "create", "acme", "--scope", "ingest", "--scope", "read"]).trim().to_owned();
    let service = bench.serve();
    let address = format!("{}/api/v1/interactions", service.address);
    for text in
        ["Third week without an answer.\n\u{1b}[31mI am furious.", "Thank you so much, it is wonderful."]
    {
        call("POST", &address, &key, Some(&json!({"customer": "ana", "channel": "email", "text": text})));
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let items = call("GET", &address, &key, None)["items"].clone();
        let items = items.as_array().unwrap();
        if items.len() == 2 && items.iter().all(|item| item["state"] == "scored") {
            break;
        }
        assert!(Instant::now() < deadline, "not scored within 10 s: {items:?}");
    }
    service
}

#[test]
fn what_is_reviewed_is_chosen_by_shares() {
    let bench = Bench::new();
    bench.done(&["tenant", "create", "acme"]);
    let shares = bench.done(&[
        "review",
        "sample",
        "acme",
        "--random",
        "100",
        "--labelled-twice",
        "100",
        "--called-positive",
        "2.5",
    ]);
    assert!(
        shares.contains("random             100 %") && shares.contains("called positive    2.5 %"),
        "{shares}"
    );
    let shares: Value =
        serde_json::from_str(&bench.done(&["review", "sample", "acme", "--format", "json"])).unwrap();
    assert_eq!(
        (&shares["random"], &shares["unsure"]),
        (&json!(100.0), &json!(10.0)),
        "the rest is as it was"
    );
    let refused = bench.run(&["review", "sample", "acme", "--random", "101"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn people_label_what_they_do_not_know_and_their_labels_are_told() {
    let bench = Bench::new();
    let _service = with_raters(&bench);
    let ana = ["--rater", "ana@example.com"];
    let as_ana = |arguments: &[&str]| -> Vec<String> {
        ["review"].iter().chain(arguments).chain(&ana).map(ToString::to_string).collect()
    };
    let done = |arguments: Vec<String>| bench.done(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let refused =
        |arguments: Vec<String>| bench.refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let page = done(as_ana(&["queue", "acme", "--limit", "1"]));
    let cursor = page.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(page.contains("Thank you") && page.contains("More: --cursor "), "{page}");
    let rest = done(as_ana(&["queue", "acme", "--limit", "1", "--cursor", &cursor]));
    assert!(rest.contains("Third week") && !rest.contains("More"), "{rest}");
    assert!(refused(as_ana(&["queue", "acme", "--cursor", "x"])).contains("none of ours"));

    let handed = done(as_ana(&["next", "acme", "--format", "json"]));
    let item = serde_json::from_str::<Value>(&handed).unwrap()["item"].clone();
    let id = item["id"].as_str().unwrap();
    for told in ["score", "\"label\"", "reason", "interaction_id"] {
        assert!(!handed.contains(told), "{told} in {handed}");
    }
    assert!(done(as_ana(&["next", "acme"])).contains(id), "who asks again gets the same");
    let bo = ["--rater", "bo@example.com"];
    let label = |id: &str, rater: [&str; 2], label: &str| {
        bench.run(&["review", "label", "acme", id, rater[0], rater[1], "--label", label])
    };
    let held = label(id, bo, "neutral");
    assert!(text(&held.stderr).contains("somebody else has it in hand"), "{held:?}");
    assert_eq!(done(as_ana(&["release", "acme", id])), "Given back.\n");
    assert!(refused(as_ana(&["release", "acme", id])).contains("does not have"));
    let contradicts = refused(as_ana(&["label", "acme", id, "--label", "positive", "--score", "-50"]));
    assert!(contradicts.starts_with("error: --label: "), "{contradicts}");
    assert!(
        refused(as_ana(&["label", "acme", "nothing", "--score", "-50"])).contains("undertone review queue")
    );
    assert_eq!(
        done(as_ana(&["label", "acme", id, "--score", "70", "--note", "canary-note"])),
        "Kept. Somebody else labels it too.\n"
    );
    assert_eq!(text(&label(id, bo, "positive").stdout), "Kept. The text is done.\n");
    let second = done(as_ana(&["next", "acme"]));
    assert!(second.contains("I am furious.") && !second.contains('\u{1b}'), "{second}");

    // Who may not label, is not there, or is another tenant's.
    let agent = bench.refused(&["review", "next", "acme", "--rater", "cy@example.com"]);
    assert!(agent.contains("cy@example.com may not label") && agent.contains("reviewer"), "{agent}");
    assert!(bench.refused(&["review", "next", "other", ana[0], ana[1]]).contains("other has nobody"));
    bench.done(&["user", "deactivate", "acme", "ana@example.com"]);
    assert!(refused(as_ana(&["next", "acme"])).contains("may not label"));

    let results = bench.done(&["review", "results", "acme"]);
    assert!(
        results.contains("people positive (positive, positive)") && results.contains("random"),
        "{results}"
    );
    let results: Value =
        serde_json::from_str(&bench.done(&["review", "results", "acme", "--format", "json"])).unwrap();
    assert_eq!(results["items"][0]["ratings"][0]["note"], json!("canary-note"));
    assert!(bench.done(&["review", "results", "other"]).contains("Nothing was labelled yet"));
    let agreement = bench.done(&["review", "agreement", "acme"]);
    assert!(agreement.contains("2 labels on 1 texts"), "{agreement}");
    assert!(
        agreement.contains("ana@example.com and bo@example.com")
            || agreement.contains("bo@example.com and ana@example.com")
    );
    assert!(bench.refused(&["review", "agreement", "acme", "--from", "soon"]).contains("such as 2026-11-20"));
    let standing = bench.done(&["calibrate", "acme", "--status"]);
    assert!(
        standing
            .contains("positive        1 (0 handed in, 1 of the review, 0 corrected), 299 missing of 300"),
        "{standing}"
    );
    let log = bench.done(&["audit", "export", "acme"]);
    assert!(log.contains("review_label") && log.contains("rater") && !log.contains("canary-note"), "{log}");
}
