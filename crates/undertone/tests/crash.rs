//! Nothing accepted is lost: streams of interactions into the built program, which is killed without warning at a random moment and
//! started again, or told to end while they come. `make soak` runs longer rounds of the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "crash/alerts.rs"]
mod alerts;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use undertone_testkit::postgres::Postgres;
use undertone_testkit::process::{Service, run};
use undertone_testkit::workspace;

const CLIENTS: usize = 4;
/// How many interactions the first client hands in at once.
const CHUNK: usize = 50;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_undertone"))
}

fn from_environment(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Random numbers from a seed that is printed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Texts as they come: how those of the sample inbox begin, because reading is not what is tried here, and what nobody wants to read.
fn texts() -> Vec<String> {
    let mut inbox = csv::Reader::from_path(workspace("samples/inbox.csv")).unwrap();
    let column = inbox.headers().unwrap().iter().position(|name| name == "text").unwrap();
    let mut texts: Vec<String> =
        inbox.records().map(|row| row.unwrap()[column].chars().take(160).collect()).collect();
    texts.extend([
        String::new(),
        "\u{1}\u{2}\u{7f}".repeat(30),
        "😀".repeat(20_000),
        "\u{202e}drawkcab si siht tub ,enif si sihT".to_owned(),
    ]);
    texts
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into()
}

/// The tenant's processes, one of which may be away.
struct Site<'a> {
    services: Mutex<Vec<Service>>,
    database: &'a [&'a str],
    key: String,
}

impl<'a> Site<'a> {
    fn open(database: &'a [&'a str], processes: usize, flags: &[&str]) -> Self {
        let with = |command: &[&str]| run(program(), &[command, database].concat());
        let _ = with(&["tenant", "create", "acme", "--zone", "Europe/Berlin"]);
        let key = with(&["key", "create", "acme", "--scope", "ingest", "--scope", "read"]);
        let flags = [database, flags].concat();
        let services = (0..processes).map(|_| Service::start(program(), &flags)).collect();
        Self { services: Mutex::new(services), database, key: key.trim().to_owned() }
    }

    /// The address for this attempt: clients go on to the next process when one does not answer.
    fn address(&self, attempt: usize) -> String {
        let services = self.services.lock().unwrap();
        services[attempt % services.len()].address.clone()
    }

    /// Kills one without warning and starts it again; the others are reached meanwhile.
    fn crash(&self, which: usize) {
        self.services.lock().unwrap()[which].kill();
        let again = Service::start(program(), self.database);
        self.services.lock().unwrap()[which] = again;
    }

    /// One attempt; `None` when there was no answer, or one that says to come again.
    fn post(&self, http: &ureq::Agent, address: &str, kind: &str, body: &str) -> Option<(u16, Value)> {
        let answer = http
            .post(format!("{address}/api/v1/interactions"))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Content-Type", kind)
            .send(body);
        let mut answer = answer.ok()?;
        let status = answer.status().as_u16();
        // Cut off in the middle is no answer either.
        let body: Value = answer.body_mut().read_json().ok()?;
        (!matches!(status, 429 | 503)).then_some((status, body))
    }

    /// Hands items in until they are answered for, as a client does who does not know whether the first attempt arrived.
    fn hand_in(&self, http: &ureq::Agent, items: &[Value]) {
        let deadline = Instant::now() + Duration::from_mins(2);
        for attempt in 0.. {
            assert!(Instant::now() < deadline, "not taken in within two minutes");
            if self.hand_in_once(http, &self.address(attempt), items) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn hand_in_once(&self, http: &ureq::Agent, address: &str, items: &[Value]) -> bool {
        let answer = if let [item] = items {
            self.post(http, address, "application/json", &item.to_string())
        } else {
            let lines = items.iter().fold(String::new(), |lines, item| lines + &item.to_string() + "\n");
            self.post(http, address, "application/x-ndjson", &lines)
        };
        let Some((status, body)) = answer else { return false };
        assert!(matches!(status, 200 | 201), "{status}: {body}");
        if items.len() > 1 {
            let taken = ["accepted", "duplicates"].map(|count| body[count].as_u64().unwrap());
            assert_eq!(taken.iter().sum::<u64>(), items.len() as u64, "{body}");
        }
        true
    }

    fn get(&self, http: &ureq::Agent, path: &str) -> Value {
        let address = format!("{}{path}", self.address(0));
        let mut answer =
            http.get(address).header("Authorization", format!("Bearer {}", self.key)).call().unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.body_mut().read_json().unwrap()
    }

    fn has_pending(&self, http: &ureq::Agent) -> bool {
        !self.pending(http, 1).is_empty()
    }

    fn pending(&self, http: &ureq::Agent, limit: usize) -> Vec<Value> {
        let found = self.get(http, &format!("/api/v1/interactions?state=pending&limit={limit}"));
        found["items"].as_array().unwrap().clone()
    }

    /// Waits until nothing is pending; answers what is there by external id, in a final state each.
    fn settle(&self) -> BTreeMap<String, String> {
        let http = agent();
        let deadline = Instant::now() + patience();
        while self.has_pending(&http) {
            assert!(Instant::now() < deadline, "something is still pending after {:?}", patience());
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut all = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&http, &format!("/api/v1/interactions?limit=500{cursor}"));
            for item in page["items"].as_array().unwrap() {
                let state = item["state"].as_str().unwrap().to_owned();
                match state.as_str() {
                    "scored" => assert!(item["score"].is_i64(), "{item}"),
                    "skipped" | "failed" => assert!(item["explanation"].is_string(), "{item}"),
                    _ => panic!("{item} is in no final state"),
                }
                let id = item["external_id"].as_str().unwrap().to_owned();
                assert!(all.insert(id, state).is_none(), "{item} is there more than once");
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    fn verify(&self) {
        assert_eq!(run(program(), &[&["verify"], self.database].concat()).trim(), "no difference");
    }
}

/// How long scoring what was handed in may take: two minutes, and more in longer rounds.
fn patience() -> Duration {
    let all = from_environment("UNDERTONE_SOAK_ROUNDS", 2) * from_environment("UNDERTONE_SOAK_COUNT", 2000);
    Duration::from_mins(2) + Duration::from_millis(20) * u32::try_from(all).unwrap()
}

/// One round: clients hand in `count` interactions while a process is killed and started again.
fn round(site: &Site<'_>, number: usize, count: usize, random: &mut Random) {
    let texts = texts();
    let next = AtomicUsize::new(0);
    let kill_at = random.below(count as u64) as usize;
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (next, texts) = (&next, &texts);
            scope.spawn(move || {
                let http = agent();
                // One alone, or a chunk of a file.
                let chunk = if client == 0 { CHUNK } else { 1 };
                loop {
                    let first = next.fetch_add(chunk, Ordering::Relaxed);
                    if first >= count {
                        return;
                    }
                    let items: Vec<Value> = (first..(first + chunk).min(count))
                        .map(|n| {
                            let customer = format!("c{}", n % 37);
                            // The most that is taken, once in a round.
                            let text = if n == 7 { "😀".repeat(225_000) } else { texts[n % texts.len()].clone() };
                            json!({"external_id": format!("r{number}-{n}"), "text": text, "customer": customer})
                        })
                        .collect();
                    site.hand_in(&http, &items);
                }
            });
        }
        let deadline = Instant::now() + patience();
        while next.load(Ordering::Relaxed) < kill_at && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let processes = site.services.lock().unwrap().len();
        site.crash(number % processes);
    });
}

/// What can not be taken is refused, and what stands beside it is not.
fn refuses_what_is_too_much(site: &Site<'_>) {
    let http = agent();
    let address = site.address(0);
    let long = |emoji: usize| json!({"external_id": "refused-1", "text": "😀".repeat(emoji)}).to_string();
    let (status, body) = site.post(&http, &address, "application/json", &long(300_000)).unwrap();
    assert_eq!(status, 422, "{body}");
    let good = |id: &str| json!({"external_id": id, "text": "The parcel came late, again."}).to_string();
    let nul = json!({"external_id": "refused-2", "text": "a\0b"}).to_string();
    let lines =
        [good("beside-1"), long(2_000_000), nul, "{\"external_id\":".to_owned(), good("beside-2")].join("\n");
    let (status, body) = site.post(&http, &address, "application/x-ndjson", &lines).unwrap();
    assert_eq!((status, &body["accepted"], &body["rejected"]), (200, &json!(2), &json!(3)), "{body}");
    let wrong: Vec<_> =
        body["errors"].as_array().unwrap().iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!(wrong, [2, 3, 4], "{body}");
}

fn nothing_is_lost(database: &[&str], processes: usize) {
    let rounds = from_environment("UNDERTONE_SOAK_ROUNDS", 2);
    let count = from_environment("UNDERTONE_SOAK_COUNT", 2000);
    let seed = from_environment("UNDERTONE_SOAK_SEED", 20_261_121);
    println!("{rounds} rounds of {count}, UNDERTONE_SOAK_SEED={seed}");
    // Of nothing but zeros these random numbers make nothing else.
    let mut random = Random((seed as u64).max(1));
    let site = Site::open(database, processes, &[]);
    for number in 0..rounds {
        round(&site, number, count, &mut random);
    }
    refuses_what_is_too_much(&site);
    let all = site.settle();
    let expected = (0..rounds).flat_map(|number| (0..count).map(move |n| format!("r{number}-{n}")));
    for id in expected.chain(["beside-1".to_owned(), "beside-2".to_owned()]) {
        assert!(all.contains_key(&id), "{id} was accepted and is lost");
    }
    assert_eq!(all.len(), rounds * count + 2, "more is there than was handed in");
    let scored = all.values().filter(|state| *state == "scored").count();
    assert!(scored * 2 > all.len(), "only {scored} of {} are scored", all.len());
    site.verify();
}

/// Told to end while clients hand in and most is not scored yet, each process ends in order and in time; the next one need not wait
/// for what it held.
fn ends_in_order(database: &[&str], processes: usize) {
    // One worker, so that on any machine there is something left to score.
    let site = Site::open(database, processes, &["--workers", "1"]);
    let item =
        |id: &str| json!({"external_id": id, "text": "The parcel came late, again. I am tired of it."});
    let ids: Vec<String> = (0..600).map(|n| format!("before-{n}")).collect();
    let before: Vec<Value> = ids.iter().map(|id| item(id)).collect();
    site.hand_in(&agent(), &before);
    let accepted = Mutex::new(ids);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (site, accepted, item, address) = (&site, &accepted, &item, site.address(client));
            scope.spawn(move || {
                let http = agent();
                let deadline = Instant::now() + Duration::from_secs(30);
                for n in 0.. {
                    let id = format!("during-{client}-{n}");
                    if !site.hand_in_once(&http, &address, &[item(&id)]) || Instant::now() > deadline {
                        return;
                    }
                    accepted.lock().unwrap().push(id);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        // Not before the clients are at it.
        std::thread::sleep(Duration::from_millis(100));
        for service in site.services.lock().unwrap().iter_mut() {
            let status = service.terminate(Duration::from_secs(10));
            assert!(status.success(), "{status}");
        }
    });
    let accepted = accepted.into_inner().unwrap();
    assert!(accepted.len() > 600, "no client was at it");

    // One that scores nothing shows that something was left, and that nobody holds any of it.
    let restart = |flags: &[&str]| {
        *site.services.lock().unwrap() = vec![Service::start(program(), &[database, flags].concat())];
    };
    restart(&["--workers", "0"]);
    #[expect(clippy::disallowed_methods, reason = "the service runs by the machine's clock")]
    let now = Utc::now();
    let left = site.pending(&agent(), 500);
    assert!(!left.is_empty(), "everything was scored before it was told to end; nothing is shown");
    for item in left {
        let due: DateTime<Utc> = item["next_attempt_at"].as_str().unwrap().parse().unwrap();
        assert!(due <= now, "{item} was not given back");
    }
    restart(&[]);
    let all = site.settle();
    for id in accepted {
        assert!(all.contains_key(&id), "{id} was accepted and is lost");
    }
    site.verify();
}

fn on_sqlite(test: impl Fn(&[&str])) {
    let folder = tempfile::tempdir().unwrap();
    test(&["--data-dir", folder.path().to_str().unwrap()]);
}

fn on_postgresql(test: impl Fn(&[&str])) {
    let server = Postgres::start();
    test(&["--database-url", &server.url()]);
}

#[test]
fn nothing_is_lost_on_sqlite() {
    on_sqlite(|database| nothing_is_lost(database, 1));
}

#[test]
fn nothing_is_lost_on_postgresql_with_two_processes() {
    on_postgresql(|database| nothing_is_lost(database, 2));
}

#[test]
fn ends_in_order_on_sqlite() {
    on_sqlite(|database| ends_in_order(database, 1));
}

#[test]
fn ends_in_order_on_postgresql_with_two_processes() {
    on_postgresql(|database| ends_in_order(database, 2));
}
