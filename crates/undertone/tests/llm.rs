//! The program with an LLM, against a local server that speaks the providers' wire formats and keeps a ledger.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

#[path = "llm/bench.rs"]
mod bench;
#[path = "llm/demo.rs"]
mod demo;
#[path = "llm/eval.rs"]
mod eval;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use undertone_llm_server::{Failure, Fault, Problem};

use bench::{Bench, HAIKU, KEY, dollars, err, grouped, objects, out, run};

#[test]
fn claude_scores_a_file_and_the_audit_is_the_servers_ledger() {
    let bench = Bench::new();
    let output =
        run(&mut bench.claude(&["score", "samples/inbox.csv", "--scorer", "claude", "--format", "jsonl"]));
    let audit = err(&output);
    assert_eq!(output.status.code(), Some(0), "{audit}");
    let rows = objects(&output);
    assert_eq!(rows.len(), 330);
    let lines: Vec<u64> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert!(lines.is_sorted(), "in the order of the file");
    let scored: Vec<&Value> = rows.iter().filter(|row| row["label"].is_string()).collect();
    for row in &scored {
        assert_eq!(row["provenance"]["scorer"], "claude", "{row}");
        assert_eq!((&row["provenance"]["model"], &row["detail"]), (&json!(HAIKU), &Value::Null));
        assert!(row["summary"].as_str().unwrap().starts_with("Simulated by word rules"), "{row}");
    }
    // Languages that the embedded model does not read are no reason to leave a text out.
    assert!(rows.iter().all(|row| row["reason"] != "language_not_validated"));

    let (usage, cost) = (bench.usage(), bench.cost(HAIKU));
    let requests = bench.billed().len();
    let percent = (usage.cache_read as f64 * 100.0 / usage.prompt() as f64).round();
    let told = format!(
        "{requests} requests with {} tokens: {} input, {} from the cache ({percent} % of what was read), {} into the cache, {} output",
        grouped(usage.total()),
        grouped(usage.input),
        grouped(usage.cache_read),
        grouped(usage.cache_write_5m),
        grouped(usage.output)
    );
    assert!(audit.contains(&told), "{told}\n{audit}");
    assert!(audit.contains(&format!("{} by the price list of 2", dollars(cost))), "{audit}");
    let host = bench.server.url().replace("http://", "");
    assert!(audit.contains(&format!("Asked: {HAIKU} at {host}")), "{audit}");
    // What each row is charged adds up to the same.
    let sum = |key: &str| scored.iter().map(|row| row["provenance"][key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("tokens_in") + sum("tokens_out"), usage.total());
    assert_eq!(sum("cost_micros"), cost);
    // Requests are full, and the first went alone, so that the others found its rubric in the cache.
    let packs = bench.packs();
    assert!(packs.iter().filter(|texts| **texts == 8).count() >= packs.len() - 2, "{packs:?}");
    assert_eq!(bench.billed().iter().filter(|billed| billed.usage.cache_write_5m > 0).count(), 1);
}

#[test]
fn without_a_key_it_says_what_to_do() {
    let bench = Bench::new();
    let file = bench.file("a.txt", "Where is my order? It was due on Monday.\n");
    for (scorer, told) in [
        (
            "claude",
            "there is no key for Claude: set the variable ANTHROPIC_API_KEY or UNDERTONE_CLAUDE_API_KEY",
        ),
        ("openai", "there is no key for openai: set the variable OPENAI_API_KEY or UNDERTONE_OPENAI_API_KEY"),
        ("cascade", "there is no key for an LLM: for Claude, set the variable ANTHROPIC_API_KEY"),
    ] {
        for arguments in [["score", &file, "--scorer", scorer], ["eval", &file, "--scorer", scorer]] {
            let output = run(&mut bench.command(&arguments));
            let error = err(&output);
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(out(&output).is_empty());
            if arguments[0] == "score" {
                assert!(error.contains(told) && error.contains("--scorer local needs none"), "{error}");
            }
        }
    }
    let mut odd = bench.command(&["score", &file, "--scorer", "claude"]);
    let error = err(&run(odd.env("ANTHROPIC_API_KEY", "marker with spaces")));
    assert!(error.contains("ANTHROPIC_API_KEY is passed over") && !error.contains("marker"), "{error}");
    let output = run(&mut bench.command(&["score", &file]));
    assert_eq!(output.status.code(), Some(0), "the embedded model needs none");
}

#[test]
fn nothing_that_says_who_wrote_it_leaves() {
    let bench = Bench::new();
    let csv = bench.file(
        "personal.csv",
        "id,customer_id,customer_name,customer_email,Phone,agent,author,text\n\
         t-91,cust-4471,Bernadette Crowhurst,b.crowhurst@example.com,+44 20 7946 0958,Jolanta Wrzesniewska,customer,\
         \"Crowhurst here, Jolanta promised me a refund. Call 020 7946 0958 or write to b.crowhurst@example.com.\"\n\
         t-92,cust-4472,Olaf Ingebrigtsen,olaf@ingebrigtsen.example,,Jolanta Wrzesniewska,customer,\
         \"Bernadette is my neighbour. This is Olaf, and my lamp is broken, Ms Wrzesniewska!\"\n",
    );
    let json = bench.file(
        "personal.jsonl",
        "{\"id\": \"t-93\", \"customer\": {\"name\": \"Xiomara Echeverria\", \"email\": \"xio@example.org\"}, \
         \"text\": \"Xiomara Echeverria again, xio@example.org. Nobody has called me back.\"}\n",
    );
    for file in [&csv, &json] {
        let output = run(&mut bench.claude(&["score", file, "--scorer", "claude", "--format", "jsonl"]));
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        for row in objects(&output) {
            let evidence = row["evidence"].as_array().unwrap();
            assert!(evidence.iter().all(|e| !e["text"].as_str().unwrap().contains('[')), "{row}");
        }
    }
    let seen = bench.server.requests();
    assert_eq!(seen.len(), 2);
    for request in seen {
        let body = request.body.to_lowercase();
        for word in [
            "bernadette",
            "crowhurst",
            "jolanta",
            "wrzesniewska",
            "olaf",
            "ingebrigtsen",
            "7946",
            "example.com",
            "example.org",
            "t-9",
            "cust-",
            "xiomara",
            "echeverria",
            "local-key",
        ] {
            assert!(!body.contains(word), "{word} left in {body}");
        }
        assert!(body.contains("[name_1]") && body.contains("[email_1]"));
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        for name in &names {
            let known = [
                "accept",
                "anthropic-version",
                "content-length",
                "content-type",
                "host",
                "user-agent",
                "x-api-key",
            ];
            assert!(known.contains(name), "{names:?}");
        }
    }
}

const THREE: &str = "This is the third time I write and nobody answers!\n\
                     Thank you so much, the new lamp is wonderful.\n\
                     What are your opening hours on Saturday morning?\n";

#[test]
fn who_stands_in_for_an_llm_that_can_not_be_asked_is_the_tenants_choice() {
    let bench = Bench::new();
    let file = bench.file("three.txt", THREE);
    bench.server.set(Fault::always(Failure::Error(Problem::billing())));
    let score = |settings: &str, format: &str| {
        let settings = bench.file("settings.json", settings);
        run(&mut bench.claude(&[
            "score",
            &file,
            "--scorer",
            "claude",
            "--settings",
            &settings,
            "--format",
            format,
        ]))
    };
    let output = score("{}", "jsonl");
    assert_eq!(output.status.code(), Some(1), "it was never heard");
    for row in objects(&output) {
        assert_eq!(row["provenance"]["scorer"], "local");
        assert!(row["detail"].as_str().unwrap().contains("HTTP 402"), "{row}");
    }
    let audit = err(&output);
    let told = "3 texts were not answered by it; the embedded model's verdict stands, marked (embedded model):\n  3 × ";
    assert!(audit.contains(told), "{audit}");
    let table = out(&score("{}", "table"));
    assert_eq!(table.matches("(embedded model) ").count(), 3, "{table}");
    let markdown = out(&score("{}", "markdown"));
    assert_eq!(markdown.matches("| (embedded model) ").count(), 3, "{markdown}");

    let output = score("{\"when_unavailable\": \"skip\"}", "jsonl");
    for row in objects(&output) {
        assert_eq!((&row["label"], &row["reason"]), (&Value::Null, &json!("llm_unavailable")));
        assert!(row["detail"].as_str().unwrap().contains("HTTP 402"), "{row}");
    }
    let output = score("{\"when_unavailable\": \"wait\"}", "jsonl");
    assert_eq!(output.status.code(), Some(1));
    for row in objects(&output) {
        assert!(row["detail"].as_str().unwrap().contains("score it again"), "{row}");
    }
    assert!(bench.billed().is_empty());

    // The embedded model's own reasons stay reasons, and what the LLM declines is nobody else's to answer.
    bench.server.set(Fault::always(Failure::Refusal { category: None }));
    let output = score("{}", "csv");
    assert_eq!(out(&output).matches(",refused,").count(), 3, "{}", out(&output));
}

#[test]
fn a_cap_is_never_exceeded() {
    let bench = Bench::new();
    let mut arguments =
        vec!["score", "samples/inbox.csv", "--scorer", "claude", "--format", "jsonl", "--at-once", "16"];
    arguments.extend(["--max-tokens", "60000"]);
    let output = run(&mut bench.claude(&arguments));
    let audit = err(&output);
    let used = bench.usage().total();
    assert!((30_000..=60_000).contains(&used), "{used}");
    assert!(audit.contains("× --max-tokens 60,000 leaves no room: "), "{audit}");
    let by: Vec<String> = objects(&output)
        .iter()
        .filter_map(|row| row["provenance"]["scorer"].as_str().map(str::to_owned))
        .collect();
    assert!(by.contains(&"claude".to_owned()) && by.contains(&"local".to_owned()));

    let bench = Bench::new();
    let file = bench.file("three.txt", THREE);
    let mut command = bench.command(&["score", &file, "--scorer", "openai", "--model", "local-model"]);
    command.args(["--max-cost", "0.50", "--base-url", &bench.server.chat_url()]);
    let error = err(&run(command.env("OPENAI_API_KEY", KEY)));
    assert!(error.contains("no price is known for local-model, so --max-cost can not be kept"), "{error}");
    assert!(bench.server.requests().is_empty());
}

#[test]
fn what_the_settings_tell_goes_along() {
    let bench = Bench::new();
    let file = bench.file("three.txt", THREE);
    let settings = json!({
        "llm_together": 2,
        "model": "claude-sonnet-5-5",
        "categories": [{"id": "lamps", "name": "Lamps and light", "examples": ["My lamp is dark."]}],
        "phrases": [{"phrase": "wonderful lamp", "shift": 40}],
    });
    let settings = bench.file("settings.json", &settings.to_string());
    let mut command = bench.claude(&["score", &file, "--settings", &settings, "--quiet"]);
    assert_eq!(run(&mut command).status.code(), Some(0));
    assert!(bench.server.requests().is_empty(), "a file of settings alone sends nothing");
    assert_eq!(run(command.args(["--scorer", "claude"])).status.code(), Some(0));
    assert_eq!(bench.packs(), [2, 1]);
    let body = bench.server.requests()[0].json();
    assert_eq!(body["model"], "claude-sonnet-5-5");
    let own = body["system"][1]["text"].as_str().unwrap();
    assert!(own.contains("lamps: Lamps and light") && own.contains("“wonderful lamp”"), "{own}");
}

#[test]
fn any_chat_completions_server_will_do() {
    let bench = Bench::new();
    let file = bench.file("three.txt", THREE);
    let mut command = bench.command(&["score", &file, "--scorer", "openai"]);
    let error = err(&run(command.env("OPENAI_API_KEY", KEY)));
    assert!(error.contains("Name it with --model"), "{error}");
    command.args(["--model", "local-model", "--base-url", &bench.server.chat_url()]);
    let output = run(&mut command);
    let table = out(&output);
    assert_eq!(output.status.code(), Some(0), "{}{table}", err(&output));
    assert!(
        table.contains("1 request with ") && table.contains("No price is known for local-model"),
        "{table}"
    );
    assert_eq!(bench.billed().len(), 1);
}

#[test]
fn whoever_types_is_answered_at_once() {
    let bench = Bench::new();
    let mut child = bench
        .claude(&["score", "-", "--scorer", "claude", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for text in THREE.lines() {
        writeln!(stdin, "{text}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.contains("Simulated"), "{line}");
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(bench.packs(), [1, 1, 1]);
}

#[test]
fn ctrl_c_still_ends_with_what_was_taken() {
    let bench = Bench::new();
    // The first is answered, so that something is; the others wait.
    bench.server.set(Fault::every(2, Failure::Hang));
    bench.server.add(Fault::every(3, Failure::Hang));
    let mut child = bench
        .claude(&["score", "samples/inbox.csv", "--scorer", "claude"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while bench.server.requests().len() < 3 {
        assert!(Instant::now() < deadline, "it asks");
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(status.success());
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("then interrupted") && rest.contains("1 request with "), "{rest}");
    assert!(
        rest.contains("2 requests under way when it was interrupted, which may be charged: up to "),
        "{rest}"
    );
    assert!(rest.contains(&dollars(bench.cost(HAIKU))), "{rest}");
}

#[test]
fn a_proxy_in_the_environment_is_used() {
    let bench = Bench::new();
    let file = bench.file("three.txt", THREE);
    let mut command =
        bench.command(&["score", &file, "--scorer", "claude", "--base-url", "http://llm.invalid"]);
    command.env("ANTHROPIC_API_KEY", KEY).env("HTTP_PROXY", bench.server.url());
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    assert_eq!(bench.billed().len(), 1);
    let mut command =
        bench.command(&["score", &file, "--scorer", "claude", "--base-url", "http://llm.invalid"]);
    let output = run(command.env("ANTHROPIC_API_KEY", KEY));
    assert!(out(&output).contains("llm.invalid: no connection"), "{}", out(&output));
}

#[test]
fn the_cascade_asks_about_a_part() {
    let bench = Bench::new();
    let output =
        run(&mut bench.claude(&["score", "samples/inbox.csv", "--scorer", "cascade", "--format", "jsonl"]));
    let audit = err(&output);
    assert_eq!(output.status.code(), Some(0), "{audit}");
    let rows = objects(&output);
    let by = |scorer: &str| rows.iter().filter(|row| row["provenance"]["scorer"] == scorer).count();
    let (local, claude) = (by("local"), by("claude"));
    assert!(local > claude && claude > 20, "{local} and {claude}");
    let asked = rows.iter().filter(|row| row["cascade"]["why"].is_string()).count();
    assert_eq!(asked, claude);
    let verdicts = local + claude;
    assert!(audit.contains(&format!("{asked} of {verdicts} verdicts (")), "{audit}");
    assert!(audit.contains(&format!("The embedded model, and where it was unsure {HAIKU}")), "{audit}");
    assert!(audit.contains(&format!("{} by the price list", dollars(bench.cost(HAIKU)))), "{audit}");
    let packs = bench.packs();
    assert!(packs.iter().sum::<usize>() >= packs.len() * 5, "requests are mostly full: {packs:?}");
}
