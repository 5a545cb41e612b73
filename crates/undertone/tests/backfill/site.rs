//! The service as a process, beside a provider that can be cut off from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_llm_server::{Script, Server, items};
use undertone_testkit::process::{Service, run};

use super::{KEY, program};

/// The service, with a key for the local server, on a folder of its own.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub provider: Server,
    pub key: String,
    service: Service,
}

impl Site {
    pub fn open(latency: Duration) -> Self {
        // The machine's own time: leases and pauses are measured by it.
        #[expect(clippy::disallowed_methods, reason = "the service runs by the machine's clock")]
        let script = Script { items: items::fenced(), latency, ..Script::new(Arc::new(chrono::Utc::now)) };
        let (provider, folder) = (Server::start(script).unwrap(), tempfile::tempdir().unwrap());
        let place = folder.path().to_str().unwrap().to_owned();
        let with = |command: &[&str]| run(program(), &[command, &["--data-dir", &place]].concat());
        let _ = with(&["tenant", "create", "acme"]);
        let key =
            with(&["key", "create", "acme", "--scope", "ingest", "--scope", "read", "--scope", "admin"]);
        let service = Self::service(&place, &provider);
        Self { folder, provider, key: key.trim().to_owned(), service }
    }

    fn service(place: &str, provider: &Server) -> Service {
        let variables = [("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_BASE_URL", &provider.url())];
        Service::start_with(program(), &["--data-dir", place], &variables)
    }

    pub fn place(&self) -> String {
        self.folder.path().to_str().unwrap().to_owned()
    }

    pub fn start(&mut self) {
        self.service = Self::service(&self.place(), &self.provider);
    }

    pub fn kill(&mut self) {
        self.service.kill();
    }

    pub fn call(&self, method: &str, path: &str, body: Option<&str>) -> Value {
        let http: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build()
            .into();
        let (url, bearer) = (format!("{}{path}", self.service.address), format!("Bearer {}", self.key));
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
    pub fn fill(&self, count: usize) {
        self.hand_in(count);
        let (begun, within) =
            (Instant::now(), Duration::from_mins(1) + Duration::from_millis(60) * count as u32);
        while self.call("GET", "/api/v1/overview", None)["all_time"]["scored"] != count {
            assert!(begun.elapsed() < within, "not scored within {within:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.call("PUT", "/api/v1/settings", Some(&json!({"daily_token_cap": 0}).to_string()));
    }

    /// Hands in texts, by numbers from 0.
    pub fn hand_in(&self, count: usize) {
        let lines: Vec<String> = (0..count)
            .map(|n| json!({"external_id": n.to_string(), "text": format!("Parcel {n} came late and broken."), "customer": format!("c{}", n % 17)}).to_string())
            .collect();
        let taken = self.call("POST", "/api/v1/interactions", Some(&lines.join("\n")));
        assert_eq!(taken["accepted"], count);
    }

    pub fn start_run(&self, body: &Value) -> String {
        let told = self.call("POST", "/api/v1/backfills", Some(&body.to_string()));
        told["run"]["id"].as_str().unwrap().to_owned()
    }

    pub fn run(&self, id: &str) -> Value {
        self.call("GET", &format!("/api/v1/backfills/{id}"), None)
    }

    pub fn run_until(&self, id: &str, within: Duration, done: impl Fn(&Value) -> bool) -> Value {
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

    pub fn verify(&self) {
        assert_eq!(run(program(), &["verify", "--data-dir", &self.place()]).trim(), "no difference");
    }

    /// How many verdicts each interaction has, by how many interactions have so many.
    pub fn revisions(&self, count: usize) -> Vec<usize> {
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
