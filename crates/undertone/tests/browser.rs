//! What people see, in a real browser before the built program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, Key, WebDriver, WebElement};
use undertone_testkit::browser::{Driver, FLAGS};
use undertone_testkit::process::{Service, run};

const PASSWORD: &str = "correct horse battery staple";

/// A service with one tenant and one person, and a browser.
struct Bench {
    service: Service,
    key: String,
    browser: WebDriver,
    _driver: Driver,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_undertone"));
        let database = ["--data-dir", folder.path().to_str().unwrap()];
        let with = |command: &[&str]| run(program, &[command, &database].concat());
        let _ = with(&["tenant", "create", "acme", "--name", "Acme", "--zone", "Europe/Berlin"]);
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let user = ["tenant", "user", "acme", "ana@example.com", "--password-stdin"];
        let added = std::process::Command::new(program)
            .args([&user[..], &database].concat())
            .stdin(std::fs::File::open(&password).unwrap())
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let key = with(&["key", "create", "acme", "--scope", "ingest"]).trim().to_owned();
        let service = Service::start(program, &database);
        let driver = Driver::start();
        let mut wanted = DesiredCapabilities::chrome();
        for flag in FLAGS {
            wanted.add_arg(flag).unwrap();
        }
        // The driver's HTTP client makes itself ready for TLS, which it does not use, and leaves to us by whom. The first test did it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let browser = WebDriver::new(&driver.address, wanted).await.unwrap();
        Self { service, key, browser, _driver: driver, _folder: folder }
    }

    async fn go(&self, path: &str) {
        self.browser.goto(format!("{}{path}", self.service.address)).await.unwrap();
    }

    async fn one(&self, css: &str) -> WebElement {
        self.browser.find(By::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    async fn text(&self, css: &str) -> String {
        self.one(css).await.text().await.unwrap()
    }

    /// What a script on the page answers, as text.
    async fn script(&self, script: &str) -> String {
        let answer = self.browser.execute(script, Vec::new()).await.unwrap();
        answer.json().as_str().map_or_else(|| answer.json().to_string(), str::to_owned)
    }

    /// Waits until a text on the page holds `wanted`.
    async fn reads(&self, css: &str, wanted: &str) {
        let mut last = String::new();
        for _ in 0..300 {
            // The element may be replaced while it is read.
            if let Ok(element) = self.browser.find(By::Css(css)).await
                && let Ok(text) = element.text().await
            {
                if text.contains(wanted) {
                    return;
                }
                last = text;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{css} does not say “{wanted}” after 30 s but “{last}”");
    }

    async fn log_in(&self) {
        self.go("/").await;
        self.one("#email").await.send_keys("ana@example.com").await.unwrap();
        self.one("#password").await.send_keys(PASSWORD).await.unwrap();
        self.one("button.pri").await.click().await.unwrap();
        self.reads("h1", "Overview").await;
    }

    fn post(&self, text: &str) {
        let answer = ureq::post(format!("{}/api/v1/interactions", self.service.address))
            .header("Authorization", format!("Bearer {}", self.key))
            .send_json(json!({"customer": {"id": "ana", "name": "Ana <b>Bold</b>"}, "channel": "email", "text": text}))
            .unwrap();
        assert_eq!(answer.status(), 201);
    }
}

#[tokio::test]
async fn a_posted_verdict_stands_on_the_open_page_without_a_reload() {
    let bench = Bench::open().await;
    bench.log_in().await;
    assert!(bench.text("#main").await.contains("curl "), "an empty page says how to begin");
    bench.script("window.stayed = 'yes'").await;

    bench.post("Third week without an answer. I am about to give up on you.");
    bench.reads("#latest", "give up on you").await;
    bench.post("Fourth week. <script>alert(1)</script> Where is my refund?");
    bench.reads("#latest", "Fourth week. <script>alert(1)</script>").await;
    assert_eq!(bench.script("return window.stayed").await, "yes", "the page was loaded again");
    assert!(bench.text("#latest").await.contains("Ana <b>Bold</b>"), "a name is text, not markup");
    let marked = bench.script("return document.querySelectorAll('#latest mark').length > 0").await;
    assert_eq!(marked, "true", "evidence is highlighted in the text");
    bench.reads("#risk", "Ana").await;
    let said = bench.script("return document.querySelector('#say').textContent").await;
    assert!(!said.is_empty(), "a screen reader hears of it");
    bench.browser.quit().await.unwrap();
}

#[tokio::test]
async fn the_page_works_by_keyboard_and_logs_out() {
    let bench = Bench::open().await;
    bench.log_in().await;
    bench.post("Third week without an answer. I am about to give up on you.");
    bench.reads("#latest", "give up on you").await;
    // The chart is one stop for the tab key; arrows walk along the days.
    bench.script("[...document.querySelectorAll('.pt')].find(day => day.tabIndex === 0).focus()").await;
    let here = "return document.activeElement.getAttribute('aria-label')";
    let first = bench.script(here).await;
    let focused = bench.browser.active_element().await.unwrap();
    focused.send_keys(Key::Left + "").await.unwrap();
    let second = bench.script(here).await;
    assert!(first.len() > 5 && second.len() > 5 && first != second, "“{first}”, then “{second}”");

    bench.go("/api/docs/").await;
    bench.reads(".swagger-ui", "/api/v1/interactions").await;
    bench.go("/nowhere").await;
    bench.reads("h1", "Not there").await;

    bench.go("/").await;
    bench.one("form[action='/logout'] button").await.click().await.unwrap();
    bench.reads("h1", "Log in").await;
    bench.go("/").await;
    bench.reads("h1", "Log in").await;
    bench.browser.quit().await.unwrap();
}
