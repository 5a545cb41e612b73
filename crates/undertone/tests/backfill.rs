//! Runs over what is there already, with the built program: killed without warning in the middle, and cut off from its provider.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_llm_server::{Script, Server, items};
use undertone_testkit::process::run;

const KEY: &str = "local-key";

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_undertone"))
}

/// The service, with a key for the local server, on a folder of its own.
struct Site {
    folder: tempfile::TempDir,
    provider: Server,
    key: String,
    process: Option<std::process::Child>,
    address: String,
}

impl Site {
    fn open(latency: Duration) -> Self {
        // The machine's own time: leases and pauses are measured by it.
        #[expect(clippy::disallowed_methods, reason = "the service runs by the machine's clock")]
        let script = Script { items: items::fenced(), latency, ..Script::new(Arc::new(chrono::Utc::now)) };
        let (provider, folder) = (Server::start(script).unwrap(), tempfile::tempdir().unwrap());
        let place = folder.path().to_str().unwrap().to_owned();
        let with = |command: &[&str]| run(program(), &[command, &["--data-dir", &place]].concat());
        let _ = with(&["tenant", "create", "acme"]);
        let key =
            with(&["key", "create", "acme", "--scope", "ingest", "--scope", "read", "--scope", "admin"]);
        let mut site =
            Self { folder, provider, key: key.trim().to_owned(), process: None, address: String::new() };
        site.start();
        site
    }

    fn place(&self) -> String {
        self.folder.path().to_str().unwrap().to_owned()
    }

    fn start(&mut self) {
        use std::io::BufRead;
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", &self.place()])
            .env("UNDERTONE_LOG", "warn")
            .env("ANTHROPIC_API_KEY", KEY)
            .env("ANTHROPIC_BASE_URL", self.provider.url())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line.trim().strip_prefix("Listening on ").unwrap().clone_into(&mut self.address);
        self.process = Some(process);
    }

    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    fn call(&self, method: &str, path: &str, body: Option<&str>) -> Value {
        let http: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build()
            .into();
        let (url, bearer) = (format!("{}{path}", self.address), format!("Bearer {}", self.key));
        let kind = if path.ends_with("/interactions") { "application/x-ndjson" } else { "application/json" };
        let mut answer = match (method, body) {
            ("GET", _) => http.get(url).header("Authorization", bearer).call().unwrap(),
            ("PUT", body) => {
                let request = http.put(url).header("Authorization", bearer).header("Content-Type", kind);
                request.send(body.unwrap_or_default()).unwrap()
            }
            (_, body) => {
                let request = http.post(url).header("Authorization", bearer).header("Content-Type", kind);
                request.send(body.unwrap_or_default()).unwrap()
            }
        };
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        answer.body_mut().read_json().unwrap()
    }

    /// Hands in texts and waits until the embedded model has scored them.
    fn fill(&self, count: usize) {
        let lines: Vec<String> = (0..count)
            .map(|n| json!({"external_id": n.to_string(), "text": format!("Parcel {n} came late and broken."), "customer": format!("c{}", n % 17)}).to_string())
            .collect();
        let taken = self.call("POST", "/api/v1/interactions", Some(&lines.join("\n")));
        assert_eq!(taken["accepted"], count);
        let begun = Instant::now();
        while self.call("GET", "/api/v1/overview", None)["all_time"]["scored"] != count {
            assert!(begun.elapsed() < Duration::from_mins(1), "not scored within a minute");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.call("PUT", "/api/v1/settings", Some(&json!({"daily_token_cap": 0}).to_string()));
    }

    fn start_run(&self, body: &Value) -> String {
        let told = self.call("POST", "/api/v1/backfills", Some(&body.to_string()));
        told["run"]["id"].as_str().unwrap().to_owned()
    }

    fn run(&self, id: &str) -> Value {
        self.call("GET", &format!("/api/v1/backfills/{id}"), None)
    }

    fn run_until(&self, id: &str, within: Duration, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let run = self.run(id);
            if done(&run) {
                return run;
            }
            assert!(begun.elapsed() < within, "not within {within:?}: {run:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn verify(&self) {
        assert_eq!(run(program(), &["verify", "--data-dir", &self.place()]).trim(), "no difference");
    }

    /// How many verdicts each interaction has, by how many interactions have so many.
    fn revisions(&self, count: usize) -> Vec<usize> {
        let mut revisions = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.call("GET", &format!("/api/v1/interactions?limit=500{cursor}"), None);
            for item in page["items"].as_array().unwrap() {
                let shown =
                    self.call("GET", &format!("/api/v1/interactions/{}", item["id"].as_str().unwrap()), None);
                assert_eq!(shown["state"], "scored", "{shown}");
                revisions.push(shown["revisions"].as_array().unwrap().len());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(revisions.len(), count);
        revisions
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let mut site = Site::open(Duration::from_millis(60));
    site.fill(300);
    let id = site.start_run(
        &json!({"mode": "refresh", "scorer": "claude", "batch_size": 20, "sleep_ms": 20, "confirm": true}),
    );
    for part in [40, 120] {
        site.run_until(&id, Duration::from_mins(1), |run| run["scored"].as_i64().unwrap() >= part);
        site.kill();
        site.start();
    }
    // The lease of the one that was killed ends after 30 seconds.
    let run = site.run_until(&id, Duration::from_secs(150), |run| run["report"].is_object());
    assert_eq!((&run["state"], &run["opened"], &run["scored"]), (&json!("done"), &json!(300), &json!(300)));
    assert_eq!(run["report"]["changes"]["pairs"], 300);
    assert!(site.revisions(300).iter().all(|count| *count == 2), "each was scored again once");
    site.verify();
    // What two crashes cost is what was under way.
    let billed = site.provider.ledger().billed.len();
    assert!(billed <= 300_usize.div_ceil(4) + 2 * 8, "{billed} requests");
}

#[test]
fn with_the_plug_pulled_it_waits_and_finishes_by_itself() {
    let site = Site::open(Duration::from_millis(40));
    site.fill(400);
    let id = site.start_run(
        &json!({"mode": "refresh", "scorer": "claude", "batch_size": 32, "sleep_ms": 200, "confirm": true}),
    );
    site.run_until(&id, Duration::from_mins(1), |run| run["scored"].as_i64().unwrap() >= 60);
    site.provider.unplug().unwrap();
    let run = site.run_until(&id, Duration::from_mins(1), |run| run["waiting"]["for"] == "llm_unavailable");
    let before = run["scored"].as_i64().unwrap();
    std::thread::sleep(Duration::from_secs(5));
    assert!(site.run(&id)["scored"].as_i64().unwrap() <= before + 32);
    site.provider.plug_in().unwrap();
    let run = site.run_until(&id, Duration::from_mins(4), |run| run["report"].is_object());
    assert_eq!((&run["state"], &run["scored"], &run["failed"]), (&json!("done"), &json!(400), &json!(0)));
    assert!(site.revisions(400).iter().all(|count| *count == 2));
    site.verify();
    // The usage report has what the provider delivered, to the token. What was billed and never arrived is held as lost.
    let ledger = site.provider.ledger();
    let delivered: u64 = ledger.delivered().map(|billed| billed.usage.total()).sum();
    let report = site.call("GET", "/api/v1/ai-usage?group=scorer", None);
    assert_eq!(report["total"]["tokens"].as_u64(), Some(delivered), "{report}");
}

#[test]
fn the_command_says_what_it_takes_and_who_is_to_do_it() {
    let mut site = Site::open(Duration::ZERO);
    site.fill(12);
    let (place, provider) = (site.place(), site.provider.url());
    let say = |arguments: &[&str]| {
        let output = Command::new(program())
            .args(arguments)
            .args(["--data-dir", &place])
            .env("NO_COLOR", "1")
            .env("ANTHROPIC_API_KEY", KEY)
            .env("ANTHROPIC_BASE_URL", &provider)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{out}{err}"))
    };
    let (status, told) = say(&["backfill", "acme"]);
    assert_eq!(status, Some(0));
    assert!(
        told.contains("0 interactions without a verdict") && told.contains("Nothing was started."),
        "{told}"
    );
    let (status, told) = say(&["backfill", "acme", "--mode", "refresh", "--scorer", "claude"]);
    assert_eq!(status, Some(0));
    assert!(
        told.contains("12 interactions are scored again, with claude")
            && told.contains("Say --yes to start it."),
        "{told}"
    );
    assert!(told.contains("Cost     about $0.") && told.contains("guessed"), "{told}");
    let (status, told) =
        say(&["backfill", "acme", "--mode", "refresh", "--scorer", "claude", "--sleep", "0", "--yes"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("12 of 12 decided: 12 scored") && told.contains("Of 12 that had a verdict"),
        "{told}"
    );
    let (status, told) = say(&["backfill", "acme", "--batch-size", "101", "--from", "soon"]);
    assert_eq!(status, Some(1));
    assert!(told.contains("from 1 to 100") && told.contains("`from`"), "{told}");
    let (status, told) = say(&["backfill", "status", "acme"]);
    assert!(status == Some(0) && told.contains("done"), "{told}");
    // Without a service nothing happens, and it says so.
    site.kill();
    let (status, told) = say(&["backfill", "acme", "--mode", "refresh", "--limit", "5", "--yes"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("No service works on it yet"), "{told}");
    let (_, told) = say(&["backfill", "pause", "acme"]);
    assert!(told.contains("is paused"), "{told}");
    let (_, told) = say(&["backfill", "cancel", "acme"]);
    assert!(told.contains("is cancelled"), "{told}");
    let (status, told) = say(&["backfill", "resume", "acme"]);
    assert!(status == Some(1) && told.contains("this run is cancelled"), "{told}");
}
