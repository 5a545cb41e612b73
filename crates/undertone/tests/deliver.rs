//! Messages to destinations from the built program: nothing is lost when it is killed, and what is slow or away holds up nothing else.
//! `make bench-deliver` measures with the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use undertone_testkit::process::{Service, run};
use undertone_testkit::receiver::{Receiver, Reply};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_undertone"))
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into()
}

/// The service on a folder of its own, which may send to this machine.
struct Site {
    folder: tempfile::TempDir,
    key: String,
    service: Service,
    http: ureq::Agent,
}

impl Site {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let master = folder.path().join("master.key");
        let config = format!(
            "allowed_networks = [\"127.0.0.0/8\"]\nmaster_key_file = {:?}\nworkers = 0\nrequests_per_key = 0\nrequests_per_address = 0\n",
            master.to_str().unwrap()
        );
        std::fs::write(folder.path().join("undertone.toml"), config).unwrap();
        let place = folder.path().to_str().unwrap().to_owned();
        let with = |command: &[&str]| run(program(), &[command, &["--data-dir", &place]].concat());
        let _ = run(program(), &["secrets", "new-key", master.to_str().unwrap()]);
        let _ = with(&["tenant", "create", "acme"]);
        let key = with(&["key", "create", "acme", "--scope", "read", "--scope", "admin"]);
        let service = Service::start(program(), &["--data-dir", &place]);
        Self { folder, key: key.trim().to_owned(), service, http: agent() }
    }

    fn crash(&mut self) {
        self.service.kill();
        self.service = Service::start(program(), &["--data-dir", self.folder.path().to_str().unwrap()]);
    }

    /// One attempt; `None` where there was no answer.
    fn try_post(&self, path: &str, body: &Value) -> Option<Value> {
        let answer = self
            .http
            .post(format!("{}{path}", self.service.address))
            .header("Authorization", format!("Bearer {}", self.key))
            .send_json(body);
        let mut answer = answer.ok()?;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.body_mut().read_json().ok()
    }

    fn get(&self, path: &str) -> Value {
        let address = format!("{}{path}", self.service.address);
        let answer = self.http.get(address).header("Authorization", format!("Bearer {}", self.key)).call();
        answer.unwrap().body_mut().read_json().unwrap()
    }

    fn destination(&self, name: &str, url: &str) -> String {
        let body = json!({"kind": "webhook", "name": name, "url": url, "events": ["module.*"]});
        let made = self.try_post("/api/v1/destinations", &body).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Switches the module, which is an event.
    fn switch(&self, on: bool) -> bool {
        let word = if on { "activate" } else { "deactivate" };
        self.try_post(&format!("/api/v1/module/{word}"), &json!({})).is_some()
    }

    /// Every event there is, by its id.
    fn events(&self) -> Vec<Value> {
        let (mut events, mut query) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/events?limit=500{query}"));
            events.extend(page["events"].as_array().unwrap().clone());
            if page["more"] != true {
                return events;
            }
            query = format!("&after={}", page["next"].as_str().unwrap());
        }
    }

    /// Writes so many events like the first one, as their causes would.
    fn cause(&self, count: u32) {
        let url = format!("sqlite://{}", self.folder.path().join("undertone.db").display());
        let statement = format!(
            "INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, created_at) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             SELECT o.tenant_id, 'many-' || printf('%08d', n.i), o.event, o.subject_id, 1, 1, o.payload, o.created_at \
             FROM n, (SELECT * FROM outbox ORDER BY id LIMIT 1) o"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::connect(url).await.unwrap();
            database.execute_unprepared("PRAGMA busy_timeout = 20000").await.unwrap();
            database.execute_unprepared(&statement).await.unwrap();
        });
    }

    /// Resident memory of the service, in MB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.service.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }
}

fn until(what: &str, most: Duration, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < most, "{what}: not within {most:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// Killed without warning while messages are under way, it loses none. What was under way is sent again under the same id, once whoever
/// held it is known to be gone.
#[test]
fn nothing_is_lost_when_it_is_killed_while_it_sends() {
    const SWITCHES: usize = 60;
    let mut site = Site::open();
    let receiver = Receiver::start(|_| {
        std::thread::sleep(Duration::from_millis(30));
        Reply::text(200, "")
    });
    site.destination("all", &receiver.address);
    for number in 0..SWITCHES {
        // Killed wherever it is by then.
        if number % 20 == 10 {
            std::thread::sleep(Duration::from_millis(7 * number as u64));
            site.crash();
        }
        while !site.switch(number % 2 == 1) {}
    }
    // What a killed process held is free again after 90 seconds.
    let ids = || {
        let mut ids: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for one in receiver.taken() {
            ids.entry(one.header("webhook-id").to_owned()).or_default().push(one.json());
        }
        ids
    };
    until("everything arrives", Duration::from_secs(150), || ids().len() >= SWITCHES);
    let events = site.events();
    assert_eq!(events.len(), SWITCHES, "each act is one event, however often it was killed");
    let sent = ids();
    assert_eq!(sent.len(), SWITCHES);
    for event in &events {
        let told = &sent[event["id"].as_str().unwrap()];
        assert!(
            told.iter().all(|one| one["timestamp"] == event["timestamp"] && one["type"] == event["type"])
        );
    }
    let twice = receiver.count() - SWITCHES;
    assert!(twice <= 3 * 4, "{twice} were sent twice, and three times four were under way at most");
}

/// How long it takes until so many messages are at everybody healthy, and what the messages at the others were worth.
fn healthy_receivers(healthy: usize, hanging: usize, failing: usize, each: u32) -> Duration {
    let site = Site::open();
    let good: Vec<Receiver> = (0..healthy).map(|_| Receiver::start(|_| Reply::text(204, ""))).collect();
    let hang: Vec<Receiver> = (0..hanging).map(|_| Receiver::start(|_| Reply::HangMidBody(200))).collect();
    let fail: Vec<Receiver> = (0..failing).map(|_| Receiver::start(|_| Reply::text(500, "no"))).collect();
    for (number, receiver) in hang.iter().chain(&fail).chain(&good).enumerate() {
        site.destination(&format!("d{number}"), &receiver.address);
    }
    assert!(site.switch(false));
    site.cause(each - 1);
    let all = || good.iter().all(|receiver| receiver.count() >= each as usize);
    let took = until("the healthy have everything", Duration::from_mins(9), all);
    assert!(good.iter().all(|receiver| receiver.count() == each as usize), "nothing is sent twice");
    assert!(hang.iter().chain(&fail).all(|receiver| receiver.count() < each as usize));
    took
}

#[test]
fn who_hangs_or_fails_delays_nobody_else() {
    let bench = std::env::var_os("UNDERTONE_BENCH_DELIVER").is_some();
    let each = if bench { 200 } else { 20 };
    let alone = healthy_receivers(40, 0, 0, each);
    let beside = healthy_receivers(40, 5, 5, each);
    println!("FIGURES healthy alone {alone:.2?}, beside 5 that hang and 5 that fail {beside:.2?}");
    // In short rounds the machine's other work says more than ours.
    let most = if bench { alone.mul_f64(1.10) } else { alone.mul_f64(1.5) + Duration::from_secs(3) };
    assert!(beside < most, "{alone:?} alone, {beside:?} beside them");
}

#[test]
fn memory_is_flat_while_a_destination_is_away() {
    let events = if std::env::var_os("UNDERTONE_BENCH_DELIVER").is_some() { 100_000 } else { 5000 };
    let site = Site::open();
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let id = site.destination("away", &format!("http://{gone}/"));
    assert!(site.switch(false));
    std::thread::sleep(Duration::from_secs(2));
    let before = site.memory();
    let begun = Instant::now();
    site.cause(events);
    let mut most = before;
    until("every event has its delivery", Duration::from_mins(9), || site.sent_through(&id, events));
    let placed = begun.elapsed();
    for _ in 0..40 {
        most = most.max(site.memory());
        std::thread::sleep(Duration::from_millis(250));
    }
    println!("FIGURES {events} events placed in {placed:.2?}; memory {before} MB before, {most} MB at most");
    assert!(most < before + 60, "{before} MB before, {most} MB while {events} messages wait");
    let now = site.get(&format!("/api/v1/destinations/{id}"));
    assert!(now["active"] == true && now["failures"].as_i64().unwrap() >= 1, "{now}");
}

impl Site {
    /// The last of the events has its delivery.
    fn sent_through(&self, destination: &str, events: u32) -> bool {
        let page = self.get(&format!("/api/v1/destinations/{destination}/deliveries?limit=1"));
        page["deliveries"][0]["event_id"] == json!(format!("many-{events:08}"))
    }
}
