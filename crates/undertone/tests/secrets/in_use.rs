//! A key that requests are made with, at the most talkative log there is, with a provider that repeats it in its errors.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_llm_server::{Calls, Failure, Fault, Problem, Script, Server, items};
use undertone_testkit::process::until;

use super::{Bench, MARKER, Service, assert_nowhere, key};

struct Asking {
    provider: Server,
    service: Service,
    admin: String,
    said: String,
}

impl Asking {
    fn call(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.service.call(method, path, &self.admin, body);
        self.said += &answer;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn hand_in(&mut self, id: &str) {
        let item = json!({"external_id": id, "text": "The parcel came late and broken, nobody answers me."});
        self.call("POST", "/api/v1/interactions", &item);
    }

    /// Asks until `done` says so; answers what it was.
    fn until(&mut self, path: &str, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let told = self.call("GET", path, &Value::Null);
            if done(&told) {
                return told;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "not within a minute: {what}: {told:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the interaction's verdict; answers the interaction.
    fn scored(&mut self, id: &str) -> Value {
        let is = |told: &Value| -> Option<Value> {
            let mut items = told["items"].as_array()?.iter();
            items.find(|item| item["external_id"] == id && item["state"] == "scored").cloned()
        };
        let told = self.until("/api/v1/interactions?limit=50", id, |told| is(told).is_some());
        is(&told).unwrap()
    }

    /// From now on this fails, with the key in the provider's words.
    fn fail(&self, calls: Calls, problem: impl Fn(String) -> Problem) {
        let problem = problem(format!("the key {} is not known here", key("used")));
        self.provider.set(Fault::always(Failure::Error(problem)).on(calls));
    }
}

#[test]
fn a_key_in_use_stands_in_no_log_no_answer_and_no_file_though_the_provider_repeats_it() {
    #[expect(clippy::disallowed_methods, reason = "the service runs by the machine's clock")]
    let clock = Arc::new(chrono::Utc::now);
    let script = Script { items: items::fenced(), key: key("used"), ..Script::new(clock) };
    let provider = Server::start(script).unwrap();
    let mut bench = Bench::new();
    bench.variables = vec![("ANTHROPIC_API_KEY", key("used")), ("ANTHROPIC_BASE_URL", provider.url())];
    bench.done(&["tenant", "create", "acme"], "");
    let scopes = ["--scope", "ingest", "--scope", "read", "--scope", "admin"];
    let admin = bench.done(&[&["key", "create", "acme"][..], &scopes].concat(), "").trim().to_owned();
    let log = bench.path("service.log");
    let mut asking = Asking { provider, service: Service::start(&bench, &log), admin, said: String::new() };
    asking.call("PUT", "/api/v1/settings", &json!({"scorer": "claude", "daily_token_cap": 0}));

    asking.hand_in("answered");
    assert!(asking.scored("answered")["reason"].is_null(), "the LLM read it");
    let sent = asking.provider.requests();
    assert_eq!(sent[0].header("x-api-key"), Some(key("used").as_str()), "otherwise this would say nothing");

    // A batch that is refused. The first request of a run goes by itself, so there has to be more than one holds.
    let more: Vec<String> = (0..40).map(|number| format!("more-{number}")).collect();
    for id in &more {
        asking.hand_in(id);
    }
    for id in &more {
        asking.scored(id);
    }
    asking.fail(Calls::Batches, Problem::invalid);
    let run = json!({"mode": "refresh", "scorer": "claude", "via_batches": true, "confirm": true});
    let id = asking.call("POST", "/api/v1/backfills", &run)["run"]["id"].as_str().unwrap().to_owned();
    until("a batch is made", Duration::from_mins(1), || {
        asking.provider.requests().iter().any(|seen| seen.path.contains("batches"))
    });
    std::thread::sleep(Duration::from_millis(500));
    asking.call("GET", &format!("/api/v1/backfills/{id}"), &Value::Null);
    asking.call("POST", &format!("/api/v1/backfills/{id}/cancel"), &json!({}));

    // A request that is refused: the embedded model reads instead, and says why.
    asking.fail(Calls::All, Problem::authentication);
    asking.hand_in("refused");
    let refused = asking.scored("refused");
    assert!(refused["reason"].is_string() && refused["detail"].is_string(), "{refused}");
    asking.call("GET", &format!("/api/v1/interactions/{}", refused["id"].as_str().unwrap()), &Value::Null);
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("TRACE") && logged.contains("DEBUG"), "the log is as talkative as can be");

    // It crashes in the middle of a request.
    drop(asking.service);
    asking.provider.set(Fault::always(Failure::Hang));
    let crash = bench.path("crash.log");
    asking.service = Service::start(&bench, &crash);
    let before = asking.provider.requests().len();
    asking.hand_in("under-way");
    until("somebody asks", Duration::from_mins(1), || asking.provider.requests().len() != before);
    let pid = asking.service.0.id().to_string();
    assert!(Command::new("kill").args(["-ABRT", &pid]).status().unwrap().success());
    assert!(!asking.service.0.wait().unwrap().success());
    asking.provider.release();

    assert!(assert_nowhere(bench.folder.path()) >= 4, "two logs, the database and its journal");
    // Whoever closes the database last takes the journal away.
    bench.run(&["doctor"], "");
    assert!(assert_nowhere(bench.folder.path()) >= 3);
    assert!(!asking.said.contains(MARKER), "{}", asking.said);
    assert!(!bench.said.contains(MARKER), "{}", bench.said);
}
