//! A real browser, driven through Debian's chromedriver.

#![expect(clippy::expect_used, clippy::panic, reason = "tests can not go on without it, and say so")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::process::bound;

/// A driver that is not up by then is broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// What Chromium is started with: no window, and no sandbox, which root may not have.
pub const FLAGS: [&str; 5] =
    ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1000"];

/// A running chromedriver; it ends with this value, and its browsers with it.
pub struct Driver {
    process: Child,
    /// Where it takes commands of the browser protocol.
    pub address: String,
}

impl Driver {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// Where it is not installed, or does not start: a test that needs it must not pass without.
    #[must_use]
    pub fn start() -> Self {
        let mut process = bound(Path::new("chromedriver"))
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; `make needs` installs it");
        let stdout = process.stdout.take().expect("its output is ours");
        let mut driver = Self { process, address: String::new() };
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    let _ = said.send(port.trim_end_matches('.').to_owned());
                }
            }
        });
        let port = heard
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("chromedriver was not up within {PATIENCE:?}"));
        driver.address = format!("http://127.0.0.1:{port}");
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked, not killed: it then ends its browsers, also those of a test that failed.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}
