//! Alerts at the command line, on the built program: configured by a file, told by the doctor, sent to somebody who answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_testkit::process::{Service, configure};
use undertone_testkit::receiver::{Receiver, Reply};

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// With a master key, and messages to this machine allowed.
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        configure(Path::new(env!("CARGO_BIN_EXE_undertone")), bench.folder.path(), "");
        bench
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_undertone"))
            .args(arguments)
            .env("UNDERTONE_DATA_DIR", self.folder.path())
            .env("PAGER_KEY", "0123456789abcdef0123456789abcdef")
            .env_remove("UNDERTONE_DATABASE_URL")
            .env_remove("UNDERTONE_MASTER_KEY")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?} must fail");
        text(&output.stderr)
    }

    fn doctor(&self, more: &[&str]) -> String {
        text(&self.run(&[&["doctor"], more].concat()).stdout)
    }

    fn apply(&self, content: &str, more: &[&str]) -> String {
        let file = self.folder.path().join("alerts.yaml");
        std::fs::write(&file, content).unwrap();
        self.done(&[&["apply", "acme", file.to_str().unwrap()], more].concat())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_file_is_planned_applied_and_exported() {
    let bench = Bench::new();
    bench.done(&["tenant", "create", "acme"]);
    let file = "version: 1\nsettings: {alert_threshold: -20, recipients: {mode: specific_users, users: []}}\ndestinations:\n  \
        - {name: On call, kind: pagerduty, key: '${env:PAGER_KEY}', events: ['alert.*']}\n";
    let planned = bench.apply(file, &["--plan"]);
    assert!(
        planned.contains("~ alert_threshold: -50 → -20") && planned.contains("+ destination “On call”"),
        "{planned}"
    );
    assert!(planned.ends_with("Nothing was changed.\n"), "{planned}");
    let path = bench.folder.path().join("alerts.yaml");
    assert!(bench.refused(&["apply", "acme", path.to_str().unwrap()]).contains("add --yes"));
    assert!(bench.done(&["destinations", "list", "acme"]).contains("acme has no destination"));

    let applied = bench.apply(file, &["--yes"]);
    assert!(
        applied.contains("Done.")
            && applied.contains("alerts go to specific users and none is selected: nobody is told;"),
        "{applied}"
    );
    assert!(bench.apply(file, &["--yes"]).contains("nothing to change"));
    let exported = bench.done(&["export", "acme"]);
    assert!(bench.apply(&exported, &["--yes", "--prune"]).contains("nothing to change"), "{exported}");
    assert!(!exported.contains("0123456789abcdef"), "{exported}");
    let listed = bench.done(&["destinations", "list", "acme"]);
    assert!(
        listed.contains("“On call”: pagerduty, https://events.pagerduty.com/…, alert.*; nothing was sent"),
        "{listed}"
    );

    std::fs::write(&path, "version: 1\nsettings:\n  alert_threshold: low\n  more: 1\n").unwrap();
    let wrong = bench.refused(&["apply", "acme", path.to_str().unwrap(), "--yes"]);
    assert!(
        wrong.contains("nothing was changed") && wrong.contains("\n  line 4: there is no such setting"),
        "{wrong}"
    );
    assert!(bench.refused(&["apply", "nobody", path.to_str().unwrap(), "--yes"]).contains("nobody"));
    let audit = bench.done(&["audit", "list", "acme"]);
    for act in ["settings_saved", "destination_created"] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
}

#[test]
fn the_doctor_says_why_nobody_was_told() {
    let bench = Bench::new();
    let receiver = Receiver::start(|request| {
        let refuses = request.path.contains("refuses");
        Reply::Answer(if refuses { 400 } else { 200 }, Vec::new(), "ok".to_owned())
    });
    bench.done(&["tenant", "create", "acme"]);
    assert!(
        bench.doctor(&[]).contains("LOOK  acme: nobody active has the role admin, tenant_admin, supervisor")
    );
    bench.done(&["tenant", "user", "acme", "ana@example.com"]);
    let hooks = format!(
        "version: 1\nsettings: {{alert_threshold: -1}}\ndestinations:\n  - {{name: Hook, kind: webhook, url: '{0}/takes'}}\n  \
         - {{name: Bad, kind: webhook, url: '{0}/refuses', events: [sentiment.*]}}\n",
        receiver.address
    );
    let applied = bench.apply(&hooks, &["--yes"]);
    assert!(applied.contains("“Hook” signs with whsec_"), "{applied}");
    let key =
        bench.done(&["key", "create", "acme", "--scope", "ingest", "--scope", "read"]).trim().to_owned();

    let service = Service::start(
        Path::new(env!("CARGO_BIN_EXE_undertone")),
        &["--data-dir", bench.folder.path().to_str().unwrap()],
    );
    let complain = |id: &str, more: &str| {
        let body = json!({"external_id": id, "customer": {"id": "c1"},
            "text": format!("Third week without an answer. I am about to give up on you. {more}")});
        let address = format!("{}/api/v1/interactions", service.address);
        let sent = ureq::post(&address).header("Authorization", format!("Bearer {key}")).send_json(&body);
        assert!(sent.is_ok(), "{sent:?}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !bench.doctor(&[id]).contains("is scored") {
            assert!(Instant::now() < deadline, "not scored: {}", bench.doctor(&[id]));
        }
    };
    complain("1", "");
    complain("2", "Still nothing.");
    let told = bench.doctor(&["1"]);
    assert!(told.contains("it raised an alert, which is open; see: undertone alerts show acme"), "{told}");
    let told = bench.doctor(&["2"]);
    assert!(told.contains("its customer had one at") && told.contains("(cooldown_minutes)"), "{told}");
    let told = bench.doctor(&[]);
    assert!(
        told.contains("of the newest 2 scores 2 are at or under -1 (alert_threshold): 1 raised an alert, 1 came within 30 minutes"),
        "{told}"
    );
    assert!(told.contains("alerts go to admins and supervisors: 1 person (recipients)"), "{told}");

    let sent = bench.done(&["destinations", "test", "acme", "Hook"]);
    assert_eq!(sent, "“Hook” took the test message with status 200.\n");
    let refused = bench.refused(&["destinations", "test", "acme", "Bad"]);
    assert!(refused.contains("the test message was not taken with status 400"), "{refused}");
    assert!(bench.refused(&["destinations", "test", "acme", "None"]).contains("has no destination “None”"));

    let alerts = bench.done(&["alerts", "list", "acme", "--state", "open"]);
    let id = alerts.split_whitespace().next().unwrap().to_owned();
    assert_eq!(alerts.lines().count(), 1, "{alerts}");
    let shown: Value =
        serde_json::from_str(&bench.done(&["alerts", "show", "acme", &id, "--format", "json"])).unwrap();
    assert_eq!((&shown["state"], &shown["threshold"]), (&json!("open"), &json!(-1)));
    assert!(bench.refused(&["alerts", "show", "acme", "nothing"]).contains("has no alert nothing"));
    assert!(bench.done(&["incidents", "list", "acme"]).contains("There was no incident."));
    assert!(bench.refused(&["incidents", "show", "acme", "nothing"]).contains("has no incident nothing"));
    assert!(bench.refused(&["incidents", "close", "acme", "nothing"]).contains("has no incident nothing"));
    assert!(bench.done(&["alerts", "acknowledge", "acme", &id]).contains("by command line"));
    let past = bench.refused(&["alerts", "snooze", "acme", &id, "--until", "2020-01-01T00:00:00Z"]);
    assert!(past.contains("it lies in the past"), "{past}");
    let quiet = bench.done(&["alerts", "snooze", "acme", &id, "--until", "2999-01-01T00:00:00Z"]);
    assert!(quiet.contains("snoozed") && quiet.contains("until 2999-01-01 00:00"), "{quiet}");
    let nobody = bench.refused(&["alerts", "assign", "acme", &id, "nobody@example.com"]);
    assert!(nobody.contains("has nobody with the address nobody@example.com"), "{nobody}");
    let done = bench.done(&["alerts", "resolve", "acme", &id, "--note", "called them"]);
    assert!(done.contains("resolved"), "{done}");
    let steps = bench.done(&["alerts", "show", "acme", &id]);
    assert!(steps.contains("resolved by command line: called them"), "{steps}");
    assert!(bench.refused(&["alerts", "acknowledge", "acme", &id]).contains("resolved already"));

    bench.apply("version: 1\nsettings: {alert_threshold: -100}\n", &["--yes"]);
    let told = bench.doctor(&[]);
    assert!(told.contains("2 are negative, and none is at or under -100, so no alert is raised"), "{told}");
    bench.apply(
        "version: 1\nsettings: {recipients: {mode: specific_users, users: []}, dispatch_webhooks: false}\n",
        &["--yes"],
    );
    let told = bench.doctor(&[]);
    assert!(told.contains("LOOK  acme: alerts go to specific users and none is selected"), "{told}");
    assert!(
        told.contains("LOOK  acme: a destination asks for events, and all but customer.erased"),
        "{told}"
    );
    bench.apply(
        "version: 1\ndestinations:\n  - {name: Hook, active: false}\n  - {name: Bad, active: false}\n",
        &["--yes"],
    );
    let told = bench.doctor(&[]);
    assert!(told.contains("LOOK  acme: destination “Hook” (webhook): is switched off"), "{told}");
}
