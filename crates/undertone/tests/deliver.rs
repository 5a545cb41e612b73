//! Messages to destinations from the built program: nothing is lost when it is killed, and what is slow or away holds up nothing else.
//! `make bench-deliver` measures with the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "deliver/kinds.rs"]
mod kinds;
#[path = "deliver/unopened.rs"]
mod unopened;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use undertone_testkit::postgres::Postgres;
use undertone_testkit::process::{Service, configure, run, until};
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
    /// Where it finds its folder and its database.
    flags: Vec<String>,
    key: String,
    service: Service,
    http: ureq::Agent,
}

impl Site {
    /// With its database in the folder.
    fn open() -> Self {
        Self::on(&[])
    }

    /// With what these flags name.
    fn on(database: &[&str]) -> Self {
        Self::scoring(0, database)
    }

    /// The same, which scores with so many workers.
    fn scoring(workers: u8, database: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let more = format!(
            "workers = {workers}\nrequests_per_key = 0\nrequests_per_address = 0\npublic_url = \"https://undertone.example\"\n"
        );
        configure(program(), folder.path(), &more);
        let place = folder.path().to_str().unwrap().to_owned();
        let flags = [&["--data-dir", &place], database].concat();
        let with = |command: &[&str]| run(program(), &[command, &flags].concat());
        let _ = with(&["tenant", "create", "acme"]);
        let key =
            with(&["key", "create", "acme", "--scope", "ingest", "--scope", "read", "--scope", "admin"]);
        let service = Service::start(program(), &flags);
        let flags = flags.into_iter().map(str::to_owned).collect();
        Self { folder, flags, key: key.trim().to_owned(), service, http: agent() }
    }

    fn crash(&mut self) {
        self.service.kill();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.service = Service::start(program(), &flags);
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

/// Killed without warning while messages are under way, it loses none. What was under way is sent again under the same id, once whoever
/// held it is known to be gone.
fn nothing_is_lost(mut site: Site) {
    const SWITCHES: usize = 60;
    let receiver = Receiver::start(|_| {
        std::thread::sleep(Duration::from_millis(150));
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
    // An answer takes longer than what was answered stays unkept. So at each kill four were under way at most, and the answers of the four
    // before them had come.
    let twice = receiver.count() - SWITCHES;
    assert!(twice <= 3 * 8, "{twice} were sent twice, and three times eight were not kept yet at most");
}

#[test]
fn nothing_is_lost_when_it_is_killed_while_it_sends() {
    nothing_is_lost(Site::open());
}

#[test]
fn nothing_is_lost_when_it_is_killed_while_it_sends_on_postgresql() {
    let server = Postgres::start();
    nothing_is_lost(Site::on(&["--database-url", &server.url()]));
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
    let (each, rounds) = if bench { (200, 11) } else { (20, 1) };
    let mut pairs: Vec<(Duration, Duration)> = (0..rounds)
        .map(|round| {
            let alone = || healthy_receivers(40, 0, 0, each);
            let beside = || healthy_receivers(40, 5, 5, each);
            // Now one first and now the other: the machine is not the same for both.
            let (alone, beside) = if round % 2 == 0 {
                let alone = alone();
                (alone, beside())
            } else {
                let beside = beside();
                (alone(), beside)
            };
            println!("FIGURES healthy alone {alone:.2?}, beside 5 that hang and 5 that fail {beside:.2?}");
            (alone, beside)
        })
        .collect();
    pairs.sort_by(|a, b| a.1.div_duration_f64(a.0).total_cmp(&b.1.div_duration_f64(b.0)));
    let (alone, beside) = pairs[rounds / 2];
    println!("FIGURES in the middle pair {:.2} times as long", beside.div_duration_f64(alone));
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

impl Site {
    /// What a command says, and whether it was content.
    fn command(&self, arguments: &[&str]) -> (bool, String) {
        let flags = self.flags.iter().map(String::as_str);
        let arguments: Vec<&str> = arguments.iter().copied().chain(flags).collect();
        let output = std::process::Command::new(program()).args(&arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (is_done, told) = self.command(arguments);
        assert!(is_done, "{arguments:?}: {told}");
        told
    }
}

#[test]
fn what_was_sent_is_listed_and_sent_again_by_command() {
    let site = Site::open();
    let takes = Arc::new(AtomicBool::new(false));
    let chat = Receiver::start({
        let takes = takes.clone();
        move |_| {
            if takes.load(Ordering::Relaxed) {
                Reply::text(200, "ok")
            } else {
                Reply::text(400, "invalid_blocks")
            }
        }
    });
    let body = json!({"kind": "slack", "name": "Chat", "url": chat.address, "events": ["module.*"]});
    site.try_post("/api/v1/destinations", &body).unwrap();
    site.destination("Other", "http://127.0.0.1:9999/");
    let log = |more: &[&str]| site.done(&[&["destinations", "log", "acme", "Chat"], more].concat());
    assert_eq!(log(&[]), "There is no such message.\n");
    assert!(site.switch(false) && site.switch(true));
    until("both are refused", Duration::from_secs(20), || log(&["--state", "failed"]).lines().count() == 2);
    let failed = log(&["--state", "failed", "--limit", "1"]);
    assert!(
        failed.contains(" module.activated: failed, 1 tries, status 400: Slack answers 400: invalid_blocks\nMore: --cursor "),
        "{failed}"
    );
    let id = failed.split_whitespace().next().unwrap();
    let told = log(&[id]);
    assert!(told.contains("\n  ") && told.contains(" ms, status 400: refused: Slack answers 400"), "{told}");
    let told: Value = serde_json::from_str(&log(&[id, "--format", "json"])).unwrap();
    assert_eq!((&told["id"], &told["tries"][0]["outcome"]), (&json!(id), &json!("refused")));
    // It is another destination's.
    let (is_done, told) = site.command(&["destinations", "replay", "acme", "Other", id]);
    assert!(!is_done && told.contains(&format!("“Other” has no delivery {id}")), "{told}");
    let from = ["--from", "2020-01-01T00:00:00Z"];
    for (wrong, why) in [
        (&[][..], "<DELIVERY>"),
        (&from[..], "--to"),
        (&["--state", "failed"][..], "--from"),
        (&[id, "--state", "failed"][..], "cannot be used with"),
        (&[from[0], from[1], "--to", "2019-01-01T00:00:00Z"][..], "not later than --from"),
        (&[id, from[0], from[1], "--to", "2999-01-01T00:00:00Z"][..], "cannot be used with"),
    ] {
        let (is_done, told) = site.command(&[&["destinations", "replay", "acme", "Chat"], wrong].concat());
        assert!(!is_done && told.contains(why), "{wrong:?}: {told}");
    }

    takes.store(true, Ordering::Relaxed);
    let range = ["--from", "2020-01-01T00:00:00Z", "--to", "2999-01-01T00:00:00Z"];
    let told = site.done(&[&["destinations", "replay", "acme", "Chat"], &range[..]].concat());
    assert_eq!(told, "2 messages are sent again.\n");
    until("both arrive", Duration::from_secs(20), || log(&["--state", "delivered"]).lines().count() == 2);
    assert!(log(&["--state", "delivered"]).contains("delivered, 1 tries, replay 1, status 200"));
    let told = site.done(&["destinations", "replay", "acme", "Chat", id]);
    assert!(told.starts_with("It is sent again, as the delivery "), "{told}");
    until("it arrives once more", Duration::from_secs(20), || {
        log(&["--state", "delivered"]).contains("replay 2")
    });
}
