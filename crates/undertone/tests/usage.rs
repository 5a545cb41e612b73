//! What LLMs took, what is left and what they cost, as an operator reads it from the built program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "the built program goes by the machine's clock")]

use std::process::{Command, Output};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use undertone_core::clock::SetClock;
use undertone_core::usage::Feature;
use undertone_core::usage::sums::Saved;
use undertone_core::verdict::ScorerKind;
use undertone_core::{Ids, Usage};
use undertone_store::budget::{Bill, Caps, ReserveRequest, Reserved};
use undertone_store::{Act, Options, Store, Tenant};

struct Bench {
    folder: tempfile::TempDir,
    prices: Option<String>,
}

/// Ids that count up with time.
struct TimeIds;

impl Ids for TimeIds {
    fn next(&self, at: DateTime<Utc>) -> String {
        format!("{:020}-{}", at.timestamp_micros(), std::process::id())
    }
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), prices: None };
        bench.done(&["tenant", "create", "acme", "--zone", "Europe/Berlin"]);
        bench
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undertone"));
        command
            .args(arguments)
            .env("UNDERTONE_DATA_DIR", self.folder.path())
            .env_remove("UNDERTONE_DATABASE_URL");
        match &self.prices {
            Some(path) => command.env("UNDERTONE_PRICES_FILE", path),
            None => command.env_remove("UNDERTONE_PRICES_FILE"),
        };
        command.output().unwrap()
    }

    /// Its standard output; it must succeed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// What it says when it fails.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(arguments)).unwrap()
    }

    /// A file of prices that every later command uses.
    fn prices(&mut self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        self.prices = Some(path.display().to_string());
    }

    /// The database, as a program finds it whose clock says `moment`.
    async fn store(&self, moment: DateTime<Utc>) -> (Store, Tenant) {
        let url = format!("sqlite://{}", self.folder.path().join("undertone.db").display());
        let clock = Arc::new(SetClock::new(moment));
        let store = Store::open(&Options { url, connections: 2 }, clock, Arc::new(TimeIds)).await.unwrap();
        let tenant = store.tenant_by_slug("acme").await.unwrap().unwrap();
        (store, tenant)
    }

    async fn set(&self, settings: Value) {
        let (store, tenant) = self.store(Utc::now()).await;
        store.change_settings(&Act::new(tenant.id, "test"), &settings).await.unwrap();
    }

    /// Makes a call at a moment that took these tokens and so many millionths of a dollar.
    async fn call(&self, moment: DateTime<Utc>, model: &str, usage: Usage, micros: Option<u64>) {
        let (store, tenant) = self.store(moment).await;
        let request = ReserveRequest {
            feature: Feature::Scoring,
            model,
            scorer: ScorerKind::Claude,
            owner: "test",
            texts: 8,
            batched: false,
            most_tokens: usage.total(),
            most_micros: micros,
            lease: TimeDelta::minutes(5),
        };
        let caps = Caps::default();
        let Reserved::Granted(granted) = store.reserve_call(&tenant, &caps, &request).await.unwrap() else {
            panic!("there is no cap")
        };
        let saved =
            Saved { cache_micros: 2_000, packing_tokens: 14_000, packing_micros: 140, batch_micros: 0 };
        store.settle_call(tenant.id, &caps, &granted.id, &Bill { usage, micros, saved }).await.unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn at(moment: &str) -> DateTime<Utc> {
    moment.parse().unwrap()
}

const USED: Usage =
    Usage { input: 1_200, cache_read: 2_000, cache_write_5m: 0, cache_write_1h: 100, output: 900 };

#[test]
fn an_installation_without_an_llm_says_so() {
    let bench = Bench::new();
    let told = bench.done(&["usage", "acme"]);
    assert!(told.starts_with("AI usage of acme, ") && told.contains("(Europe/Berlin)\n"), "{told}");
    assert!(
        told.contains("\nNo LLM was asked in this time.\nSubscription: $99.99 a month for the module, from "),
        "{told}"
    );
    let told = bench.done(&["budget", "acme"]);
    assert!(told.contains("day    tokens          0  100,000  0 %"), "{told}");
    assert!(told.contains("month  cost    $0.000000   no cap"), "{told}");
    assert_eq!(bench.json(&["usage", "acme", "--format", "json"])["lines"], json!([]));
    assert_eq!(bench.done(&["usage", "acme", "--format", "csv", "--by", "month"]).lines().count(), 1);
    for command in ["usage", "budget"] {
        assert!(
            bench
                .refused(&[command, "nobody"])
                .contains("there is no tenant “nobody”; see: undertone tenant list")
        );
    }
    for (arguments, told) in [
        (["--from", "1.11.2026"], "error: --from is “1.11.2026”; it must be a day such as 2026-11-20"),
        (["--to", "2026-11-31"], "error: --to is “2026-11-31”"),
        (["--from", "9999-01-01"], "from must not be later"),
    ] {
        let refused = bench.refused(&["usage", "acme", arguments[0], arguments[1]]);
        assert!(refused.contains(told), "{refused}");
    }
    assert_eq!(bench.run(&["usage", "acme", "--by", "week"]).status.code(), Some(2));
}

#[tokio::test]
async fn figures_are_the_same_in_every_form() {
    let bench = Bench::new();
    // In Berlin the second is of the next day, which begins November.
    bench.call(at("2026-10-31T22:30:00Z"), "claude-haiku-5-5", USED, Some(1_234_567)).await;
    bench.call(at("2026-10-31T23:30:00Z"), "claude-haiku-5-5", USED, Some(600)).await;
    bench.call(at("2026-11-02T10:00:00Z"), "qwen|3", USED, None).await;
    let span = ["--from", "2026-10-31", "--to", "2026-11-30"];
    let with = |more: &[&'static str]| [&["usage", "acme"][..], &span, more].concat();
    assert_eq!(
        bench.done(&with(&[])).split("\nSubscription").next().unwrap(),
        "AI usage of acme, 2026-10-31 to 2026-11-30 (Europe/Berlin)\n\
         \n\
         DAY         CALLS  TEXTS  INPUT  CACHE READ  CACHE WRITE  OUTPUT  TOKENS          COST\n\
         2026-10-31      1      8  1,200       2,000          100     900   4,200       $1.2346\n\
         2026-11-01      1      8  1,200       2,000          100     900   4,200     $0.000600\n\
         2026-11-02      1      8  1,200       2,000          100     900   4,200       unknown\n\
         all             3     24  3,600       6,000          300   2,700  12,600  over $1.2352\n\
         \n\
         Saved: $0.006000 by caching, $0.000420 by packing (42,000 tokens of prompt not sent again), $0.000000 by batches.\n\
         Without a price: 1 call. Their tokens count, their cost is not known; give the model a price in prices_file (undertone prices).\n"
            .trim_end_matches('\n')
    );
    let told = bench.json(&with(&["--by", "month", "--format", "json"]));
    let months: Vec<_> =
        told["lines"].as_array().unwrap().iter().map(|l| (&l["key"], &l["cost_usd"])).collect();
    assert_eq!(months, [(&json!("2026-10"), &json!("1.234567")), (&json!("2026-11"), &json!("0.000600"))]);
    let file = bench.done(&with(&["--by", "model", "--format", "csv"]));
    let costs: u64 = csv::Reader::from_reader(file.as_bytes())
        .records()
        .map(|record| record.unwrap()[9].parse::<u64>().unwrap())
        .sum();
    assert_eq!((costs, &told["total"]["cost_micros"]), (1_235_167, &json!(1_235_167)));
    let report = bench.done(&with(&["--by", "model", "--format", "markdown"]));
    assert!(
        report.contains("| claude-haiku-5-5 | 2 | 16 |") && report.contains("| qwen\\|3 | 1 | 8 |"),
        "{report}"
    );
    assert!(report.contains("| **all** | 3 | 24 |"), "{report}");
    let features = bench.done(&with(&["--by", "feature"]));
    assert!(features.contains("\nscoring      3 "), "{features}");
    assert!(bench.done(&with(&["--by", "scorer"])).contains("\nclaude      3 "));
}

#[test]
fn prices_say_where_they_come_from_and_wrong_ones_stop_the_start() {
    let mut bench = Bench::new();
    let told = bench.done(&["prices", "--at", "2026-11-20"]);
    assert!(
        told.starts_with("Prices of LLMs on 2026-11-20 (UTC), in US dollars for a million tokens\n"),
        "{told}"
    );
    let line = |told: &str, model: &str| -> String {
        let line =
            told.lines().find(|line| line.starts_with(model)).unwrap_or_else(|| panic!("no {model}: {told}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line(&told, "claude-haiku-5-5"),
        "claude-haiku-5-5 0.10 0.50 0.01 0.125 0.20 50 % always this program"
    );
    assert_eq!(
        line(&told, "… prompt over 100,000"),
        "… prompt over 100,000 0.50 2.50 0.05 0.625 1.00 50 % always this program"
    );
    assert_eq!(
        line(&told, "claude-sonnet-5-5"),
        "claude-sonnet-5-5 2.00 10.00 0.10 2.50 4.00 50 % 2026-10-07 this program"
    );
    let before = bench.done(&["prices", "--at", "2026-10-06"]);
    assert!(line(&before, "claude-sonnet-5-5").contains(" 0.20 2.50 4.00 50 % always"), "{before}");
    assert!(before.contains("Later prices: claude-sonnet-5-5 from 2026-10-07."), "{before}");
    assert!(
        bench.refused(&["prices", "--at", "today"]).contains("--at is “today”; it must be a day such as")
    );

    bench.prices(
        "prices.toml",
        "[[prices]]\nmodel = \"qwen\"\ninput = 0\noutput = 0\n\n[[prices]]\nmodel = \"claude-haiku-5-5\"\nfrom = \"2027-01-01\"\ninput = 0.2\noutput = 1\n",
    );
    let file = bench.prices.clone().unwrap();
    let told = bench.done(&["prices", "--at", "2026-11-20"]);
    assert_eq!(line(&told, "qwen"), format!("qwen 0.00 0.00 0.00 0.00 0.00 50 % always {file}"));
    assert!(line(&told, "claude-haiku-5-5").ends_with("always this program"), "{told}");
    assert!(told.contains("Later prices: claude-haiku-5-5 from 2027-01-01."), "{told}");
    let told = bench.done(&["prices", "--at", "2027-01-01"]);
    assert_eq!(
        line(&told, "claude-haiku-5-5"),
        format!("claude-haiku-5-5 0.20 1.00 0.20 0.25 0.40 50 % 2027-01-01 {file}")
    );
    let checked = bench.done(&["config", "check"]);
    assert!(checked.contains(&format!("Prices of LLMs from {file}: 2.")), "{checked}");
    assert!(bench.done(&["config", "show"]).contains(&format!("prices_file = \"{file}\"")));

    // What is wrong with it is told before anything is done, by every command that needs it.
    bench.prices("prices.json", "[{\"model\": \"qwen\", \"input\": -1, \"output\": 1}]");
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["config", "check"], &["prices"]] {
        let refused = bench.refused(command);
        assert!(
            refused.contains(
                "prices.json: these prices can not be used:\n  prices[0].input: -1 is not from 0 to 100000"
            ),
            "{refused}"
        );
    }
    bench.prices = Some("/nowhere/prices.toml".to_owned());
    assert!(
        bench
            .refused(&["serve", "--listen", "127.0.0.1:0"])
            .contains("prices_file /nowhere/prices.toml: it can not be read")
    );
    // What needs no price still works.
    bench.done(&["usage", "acme"]);
}

#[tokio::test]
async fn the_doctor_looks_at_the_budget_of_who_asks_an_llm() {
    let bench = Bench::new();
    let doctor = || text(&bench.run(&["doctor"]).stdout);
    assert!(
        doctor().contains("the embedded model scores; no key is needed") && !doctor().contains("for LLMs")
    );
    bench.set(json!({"scorer": "cascade", "daily_token_cap": 10_000, "monthly_cost_cap_cents": 500})).await;
    bench.call(Utc::now(), "claude-haiku-5-5", USED, Some(600)).await;
    let told = doctor();
    for line in [
        "ok    acme: the embedded model scores, and an LLM is asked where it is unsure (scorer)\n",
        "ok    acme: 42 % of the day's tokens for LLMs are used (daily_token_cap); see: undertone budget acme\n",
        "ok    acme: 0 % of the month's money for LLMs are used (monthly_cost_cap_cents)",
    ] {
        assert!(told.contains(line), "“{line}” is missing: {told}");
    }
    // Under what the smallest request can take, none is ever made.
    assert!(
        told.contains("LOOK  acme: daily_token_cap is 10,000, and the smallest request can take "),
        "{told}"
    );
    let report: Value = serde_json::from_slice(&bench.run(&["doctor", "--format", "json"]).stdout).unwrap();
    let looks = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        findings.filter(|f| f["level"] == "look").map(|f| f["check"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (&report["well"], looks(&report)),
        (&json!(false), ["provider_key", "budget", "recipients", "api_keys"].map(str::to_owned).to_vec())
    );
    bench
        .set(json!({"daily_token_cap": 40_000, "monthly_token_cap": 9_000, "monthly_cost_cap_cents": 0}))
        .await;
    assert!(doctor().contains("LOOK  acme: monthly_token_cap is 9,000, and the smallest request"));
    bench.set(json!({"monthly_token_cap": 0})).await;
    assert!(!doctor().contains("the smallest request"));
    bench.set(json!({"monthly_cost_cap_cents": 500})).await;
    bench.set(json!({"scorer": "openai", "model": "qwen", "daily_token_cap": 4_200})).await;
    let told = doctor();
    assert!(told.contains("LOOK  acme: the day's tokens for LLMs are used up until "), "{told}");
    assert!(
        told.contains("LOOK  acme: monthly_cost_cap_cents does not hold back qwen, whose price is not known"),
        "{told}"
    );
    bench.set(json!({"model": null})).await;
    assert!(doctor().contains("LOOK  acme: no model is chosen: openai has no default"));
}

#[tokio::test(flavor = "multi_thread")]
async fn which_model_is_asked_for_and_who_chose_it_is_told() {
    let bench = Bench::new();
    let model = |more: &[&str]| {
        let done = bench.run(&[&["tenant", "model", "acme"], more].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    let doctor = || text(&bench.run(&["doctor"]).stdout);
    assert!(!doctor().contains("an LLM is asked for"), "nobody is asked");
    bench.set(json!({"scorer": "claude"})).await;
    assert_eq!(model(&[]), "An LLM is asked for claude-haiku-5-5, which is built in.\n");
    assert!(doctor().contains("ok    acme: an LLM is asked for claude-haiku-5-5, which is built in\n"));
    let default = "An LLM is asked for claude-sonnet-5-5, the tenant's default.\n";
    assert_eq!(model(&["claude-sonnet-5-5"]), default);
    assert_eq!(model(&[]), default);
    assert!(doctor().contains("ok    acme: an LLM is asked for claude-sonnet-5-5, the tenant's default\n"));
    bench.set(json!({"model": "claude-opus-5-5"})).await;
    assert_eq!(
        model(&[]),
        "An LLM is asked for claude-opus-5-5, the setting model. The tenant's default is claude-sonnet-5-5.\n"
    );
    assert!(doctor().contains("ok    acme: an LLM is asked for claude-opus-5-5, the setting model\n"));
    bench.set(json!({"scorer": "openai", "model": null})).await;
    assert_eq!(model(&["--none"]), "No model is chosen, and openai has none of its own.\n");
    let wrong = bench.run(&["tenant", "model", "acme", " "]);
    assert!(
        !wrong.status.success() && text(&wrong.stderr).contains("1 to 200 bytes"),
        "{}",
        text(&wrong.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_that_the_scorers_provider_has_not_is_refused_or_told_to_be_unchecked() {
    let bench = Bench::new();
    bench.set(json!({"scorer": "claude"})).await;
    let with_key = |arguments: &[&str], address: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undertone"));
        command.args(["tenant", "model", "acme"]).args(arguments);
        command
            .env("UNDERTONE_DATA_DIR", bench.folder.path())
            .env("ANTHROPIC_API_KEY", "sk-a-key-0123456789");
        command.env_remove("UNDERTONE_DATABASE_URL").env("ANTHROPIC_BASE_URL", address);
        let output = command.output().unwrap();
        (output.status.success(), text(&[output.stdout, output.stderr].concat()))
    };
    let (is_done, told) = with_key(&["gpt-6-mini"], "https://api.anthropic.com");
    assert!(!is_done && told.contains("has no gpt-6-mini") && told.contains("as scorer"), "{told}");
    assert_eq!(
        bench.done(&["tenant", "model", "acme"]),
        "An LLM is asked for claude-haiku-5-5, which is built in.\n"
    );
    // A gateway may have it.
    let kept = "An LLM is asked for gpt-6-mini, the tenant's default.\n";
    assert_eq!(with_key(&["gpt-6-mini"], "http://localhost:4000"), (true, kept.to_owned()));
    // Whoever has no key does not know which address is asked.
    let told = bench.done(&["tenant", "model", "acme", "gpt-6-mini"]);
    assert!(told.starts_with(kept) && told.contains("Not checked whether claude has it"), "{told}");
    assert!(!bench.done(&["tenant", "model", "acme", "claude-sonnet-5-5"]).contains("Not checked"));
    // Nobody is asked for the default where the module has a model of its own.
    bench.set(json!({"model": "claude-opus-5-5"})).await;
    assert!(with_key(&["gpt-6-mini"], "https://api.anthropic.com").0);
}
