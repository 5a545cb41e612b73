//! E-mail from the built program to a server with TLS: no letter is lost when it is killed while it sends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use undertone_testkit::certificates::{localhost, pem};
use undertone_testkit::process::{Service, run, until};
use undertone_testkit::smtp::{Fault, Security, Smtp, Taken};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_undertone"))
}

/// The service on a folder of its own, which sends e-mail through a server that calls itself localhost.
struct Site {
    folder: tempfile::TempDir,
    key: String,
    service: Service,
}

impl Site {
    fn open(server: &Smtp, authority: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "smtp_host = \"localhost\"\nsmtp_port = {}\nsmtp_security = \"tls\"\nsmtp_user = \"undertone\"\n\
             mail_from = \"Undertone <undertone@example.com>\"\npublic_url = \"https://undertone.example\"\n",
            server.port()
        );
        std::fs::write(folder.path().join("undertone.toml"), config).unwrap();
        std::fs::write(folder.path().join("authority.pem"), authority).unwrap();
        let place = folder.path().to_str().unwrap().to_owned();
        let with = |command: &[&str]| run(program(), &[command, &["--data-dir", &place]].concat());
        let _ = with(&["tenant", "create", "acme"]);
        let _ = with(&["tenant", "user", "acme", "ana@example.com"]);
        let key = with(&["key", "create", "acme", "--scope", "ingest", "--scope", "admin"]);
        let service = Self::start(folder.path());
        Self { folder, key: key.trim().to_owned(), service }
    }

    fn start(folder: &Path) -> Service {
        let authority = folder.join("authority.pem");
        let variables =
            [("SSL_CERT_FILE", authority.to_str().unwrap()), ("UNDERTONE_SMTP_PASSWORD", "pass word")];
        Service::start_with(program(), &["--data-dir", folder.to_str().unwrap()], &variables)
    }

    fn send(&self, method: &str, path: &str, body: &Value) {
        let address = format!("{}{path}", self.service.address);
        let request = if method == "PUT" { ureq::put(address) } else { ureq::post(address) };
        request.header("Authorization", format!("Bearer {}", self.key)).send_json(body).unwrap();
    }

    fn database<T: Send>(&self, work: impl AsyncFnOnce(sea_orm::DatabaseConnection) -> T) -> T {
        let url = format!("sqlite://{}", self.folder.path().join("undertone.db").display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work(Database::connect(url).await.unwrap()).await })
    }

    /// Kills it without warning, and starts it again once what it held is free: its lease of ten minutes is over.
    fn crash(&mut self) {
        self.service.kill();
        let freed = self.database(async |database| {
            let over =
                "UPDATE mail SET next_at = created_at WHERE state = 'pending' AND lease_owner IS NOT NULL";
            database.execute_unprepared(over).await.unwrap().rows_affected()
        });
        assert!(freed > 0, "it held something when it was killed");
        self.service = Self::start(self.folder.path());
    }

    fn mails(&self, state: &str) -> u64 {
        self.database(async |database| {
            let query = format!("SELECT COUNT(*) AS n FROM mail WHERE state = '{state}'");
            let row =
                database.query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, query));
            row.await.unwrap().unwrap().try_get::<i64>("", "n").unwrap().unsigned_abs()
        })
    }
}

/// The alert that a letter is about.
fn alert(letter: &Taken) -> String {
    let whole = letter.text.replace("=\r\n", "");
    let (_, rest) = whole.split_once("#alert-").unwrap_or_else(|| panic!("no link: {whole}"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

#[test]
fn no_letter_is_lost_when_it_is_killed_while_it_sends() {
    const LETTERS: usize = 12;
    let (tls, authority) = localhost();
    let server = Smtp::start(Security::Implicit, tls, ("undertone", "pass word")).unwrap();
    server.fail(Some(Fault::SlowAfterData));
    let mut site = Site::open(&server, &pem(&authority));
    site.send("PUT", "/api/v1/settings", &json!({"alert_threshold": -20, "incident_customers": 0}));
    for number in 0..LETTERS {
        let text = "This is a disgrace. Third week without an answer, I am furious and want my money back.";
        site.send("POST", "/api/v1/interactions", &json!({"text": text, "customer": format!("c{number}")}));
    }
    let kills = [1, 4, 8];
    for taken in kills {
        // The server has it, and takes its time to say so.
        until("the next letter", Duration::from_mins(2), || server.taken().len() >= taken);
        site.crash();
    }
    server.fail(None);
    until("every alert has its letter", Duration::from_mins(2), || site.mails("sent") == LETTERS as u64);
    assert_eq!(site.mails("pending"), 0);

    let mut letters: BTreeMap<String, Vec<Taken>> = BTreeMap::new();
    for letter in server.taken() {
        assert!(letter.is_safe && letter.to == ["ana@example.com"]);
        letters.entry(letter.header("Message-ID")).or_default().push(letter);
    }
    assert_eq!(letters.len(), LETTERS, "{:?}", letters.keys());
    let mut alerts: Vec<String> = Vec::new();
    for (id, same) in &letters {
        assert!(same.iter().all(|one| alert(one) == alert(&same[0])), "{id} is about one alert");
        alerts.push(alert(&same[0]));
    }
    alerts.sort();
    alerts.dedup();
    assert_eq!(alerts.len(), LETTERS, "each alert has one Message-ID");
    let again = server.taken().len() - LETTERS;
    assert!((1..=kills.len()).contains(&again), "{again} came twice; one was under way at each kill");
}

#[test]
fn the_way_to_the_server_is_tried_by_command() {
    let (tls, authority) = localhost();
    let server = Smtp::start(Security::Implicit, tls, ("undertone", "pass word")).unwrap();
    let site = Site::open(&server, &pem(&authority));
    let place = site.folder.path().to_str().unwrap();
    let authority = site.folder.path().join("authority.pem");
    let say = |arguments: &[&str], password: &str| {
        let output = std::process::Command::new(program())
            .args(arguments)
            .args(["--data-dir", place])
            .env("SSL_CERT_FILE", &authority)
            .env("UNDERTONE_SMTP_PASSWORD", password)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), told)
    };
    let (done, told) = say(&["mail", "test", "ben@example.com"], "pass word");
    assert!(done && told.contains("localhost took a test message to ben@example.com"), "{told}");
    let letter = server.taken().pop().unwrap();
    assert!(
        letter.text.contains("Subject: A test from Undertone") && letter.text.contains("Nothing happened")
    );
    let (_, told) = say(&["doctor"], "pass word");
    assert!(told.contains("e-mail goes through localhost (smtp_host), which lets us in"), "{told}");
    // A wrong password is told before anything waits for it.
    for arguments in [&["mail", "test", "ben@example.com"][..], &["doctor"]] {
        let (done, told) = say(arguments, "another word");
        assert!(!done && told.contains("the SMTP server answered 535"), "{told}");
        assert!(!told.contains("another word"), "{told}");
    }
    let (done, told) = say(&["mail", "test", "nobody at all"], "pass word");
    assert!(!done && told.contains("nobody at all is no address"), "{told}");
}
