//! The program beside a local server that speaks the providers' wire formats.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use serde_json::Value;
use undertone_core::Usage;
use undertone_core::usage::price::Prices;
use undertone_llm_server::{Billed, Script, Server, items};

pub const KEY: &str = "local-key";
pub const HAIKU: &str = "claude-haiku-5-5";

pub struct Bench {
    pub server: Server,
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Script)) -> Self {
        let noon = DateTime::from_timestamp(1_795_867_200, 0).unwrap();
        let mut script = Script::new(Arc::new(move || noon));
        script.items = items::fenced();
        change(&mut script);
        Self { server: Server::start(script).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program, with nothing of the environment of whoever runs the tests.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undertone"));
        command
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("NO_COLOR", "1")])
            .env("UNDERTONE_DATA_DIR", self.folder.path())
            .args(arguments)
            .current_dir(root());
        command
    }

    /// The same with a key for Claude.
    pub fn claude(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env("ANTHROPIC_API_KEY", KEY).args(["--base-url", &self.server.url()]);
        command
    }

    pub fn billed(&self) -> Vec<Billed> {
        self.server.ledger().billed
    }

    /// What the server billed, in the product's words.
    pub fn usage(&self) -> Usage {
        self.billed().iter().map(usage).fold(Usage::default(), Usage::plus)
    }

    /// What it costs, request by request.
    pub fn cost(&self, model: &str) -> u64 {
        let prices = Prices::built_in();
        let price = prices.of(model, NaiveDate::from_ymd_opt(2026, 11, 28).unwrap()).unwrap();
        self.billed().iter().map(|billed| price.cost(usage(billed), false)).sum()
    }

    /// How many texts each request was about.
    pub fn packs(&self) -> Vec<usize> {
        let split = items::fenced();
        let user = |body: Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
        self.server.requests().iter().map(|seen| split(&user(seen.json())).len()).collect()
    }
}

fn usage(billed: &Billed) -> Usage {
    let told = billed.usage;
    Usage {
        input: told.input,
        cache_read: told.cache_read,
        cache_write_5m: told.cache_write_5m,
        cache_write_1h: told.cache_write_1h,
        output: told.output,
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn objects(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap()).collect();
    parts.join(",")
}

pub fn dollars(micros: u64) -> String {
    assert!(micros < 1_000_000);
    format!("$0.{micros:06}")
}
