//! The program as people use it: files in, verdicts out, exit statuses, pipes, Ctrl-C.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn undertone(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_undertone"));
    command.args(arguments).current_dir(root()).env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(arguments: &[&str]) -> Output {
    undertone(arguments).stdin(Stdio::null()).output().unwrap()
}

fn feed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = undertone(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // A program that stopped reading is what some tests are about.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file in a folder of its own that goes with the test.
fn temporary(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn the_sample_inbox_as_json_lines() {
    let output = run(&["score", "--format", "jsonl", "samples/inbox.csv"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let rows = objects(&output);
    let inbox = std::fs::read_to_string(root().join("samples/inbox.csv")).unwrap();
    let ids: Vec<String> = csv::Reader::from_reader(inbox.as_bytes())
        .records()
        .map(|r| r.unwrap().get(0).unwrap().to_owned())
        .collect();
    let told: Vec<&str> = rows.iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(told, ids, "one object per input, in input order");
    for row in &rows {
        assert_eq!(row["label"].is_null(), row["reason"].is_string(), "{row}");
        if row["label"].is_string() {
            for key in
                ["score", "confidence", "dominant_emotion", "urgency", "category", "summary", "keywords"]
            {
                assert!(!row[key].is_null(), "{key} in {row}");
            }
        }
    }
    let reasons: Vec<&str> = rows.iter().filter_map(|r| r["reason"].as_str()).collect();
    for reason in ["agent_message", "language_not_validated"] {
        assert!(reasons.contains(&reason), "{reason}");
    }
    let audit = err(&output);
    assert!(audit.contains("330 interactions read") && audit.contains("Negative and urgent"), "{audit}");
}

#[test]
fn a_table_ends_with_the_audit() {
    let output = run(&["score", "samples/inbox.csv"]);
    let table = out(&output);
    for needed in [
        "LINE",
        "330 interactions read",
        "Not scored, and counted nowhere above",
        "highest share of negative verdicts",
        "lowest score first",
    ] {
        assert!(table.contains(needed), "{needed} in\n{table}");
    }
    assert!(!table.contains('\u{1b}'), "no colours where they are not wanted");
}

#[test]
fn a_terminal_gets_colours() {
    let program = env!("CARGO_BIN_EXE_undertone");
    let typed = format!("{program} explain 'I am very angry, nobody ever calls me back'");
    let output = Command::new("script")
        .args(["-qec", &typed, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(out(&output).contains("\u{1b}["), "{}", out(&output));
}

#[test]
fn customers_can_not_drive_the_terminal_or_the_spreadsheet() {
    let nasty = "{\"text\": \"\\u001b]0;owned\\u0007\\u001b[2J I want my money back now please \\u202egnp.exe\", \"customer\": \"\\u001b[31mred\"}\n{\"text\": \"=HYPERLINK(1) you never answer my letters\"}";
    let table = out(&feed(&["score", "-"], nasty.as_bytes()));
    assert!(!table.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{table:?}");
    assert!(table.contains("I want my money back"));
    let csv = out(&feed(&["score", "--format", "csv", "-"], nasty.as_bytes()));
    assert!(csv.contains("'=HYPERLINK"), "{csv}");
    let json = out(&feed(
        &["score", "--format", "jsonl", "-"],
        "{\"text\": \"I want my money back \u{202e}now please\", \"customer\": \"\u{9b}31mred\"}".as_bytes(),
    ));
    assert!(json.contains("\\u009b31mred") && !json.contains(['\u{9b}', '\u{202e}']), "{json:?}");
    let header = temporary("header.csv", b"a\x1b]0;owned\x07,b\x1b[2J\n1,2\n");
    let told = err(&run(&["score", header.to_str().unwrap()]));
    assert!(told.contains("--text") && !told.contains(['\u{1b}', '\u{7}']), "{told:?}");
    let markdown = out(&feed(
        &["score", "--format", "markdown", "-"],
        b"buy <script>alert(1)</script> [here](http://x) now | or never",
    ));
    assert!(!markdown.contains("<script>") && markdown.contains("&lt;script"), "{markdown}");
}

#[test]
fn a_bad_line_is_named_and_the_others_are_scored() {
    let input = b"{\"text\": \"The app is great and I love it so much\"}\n{broken\n{\"text\": \"The app is awful and I hate it so much\"}\n";
    let output = feed(&["score", "--format", "jsonl", "-"], input);
    assert_eq!(output.status.code(), Some(1));
    let rows = objects(&output);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["label"], "positive");
    assert_eq!((rows[1]["line"].as_u64(), rows[1]["label"].is_null()), (Some(2), true));
    assert_eq!(rows[1]["reason"], "failed");
    assert!(rows[1]["detail"].as_str().unwrap().contains("not JSON"));
    assert_eq!(rows[2]["label"], "negative");
    assert!(err(&output).contains("1 failed"));
}

#[test]
fn exit_statuses_and_messages() {
    let missing = run(&["score", "nowhere.csv"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).starts_with("error: nowhere.csv can not be opened"), "{}", err(&missing));
    assert_eq!(run(&["score"]).status.code(), Some(2));
    assert_eq!(run(&["score", "--format", "xml", "x"]).status.code(), Some(2));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
    let folder = run(&["score", "samples"]);
    assert!(err(&folder).contains("is a folder"), "{}", err(&folder));
    let tickets = temporary("tickets.csv", b"Ticket ID,Subject,Status,Priority\n1,Refund,open,high\n");
    let refused = run(&["score", tickets.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("one row per ticket"), "{}", err(&refused));
    let settings = temporary("settings.json", br#"{"alert_treshold": -40, "min_note_length": -1}"#);
    let wrong = run(&["score", "--settings", settings.to_str().unwrap(), "samples/inbox.csv"]);
    assert!(
        err(&wrong).contains("did you mean `alert_threshold`?") && err(&wrong).contains("from 0 to 1000")
    );
}

#[test]
fn a_reader_who_leaves_is_no_failure() {
    let mut child = undertone(&["score", "--format", "jsonl", "--quiet", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let feeder = std::thread::spawn(move || {
        for _ in 0..2000 {
            if stdin.write_all(b"Where is my order, it was due on Monday morning?\n").is_err() {
                return;
            }
        }
    });
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.starts_with('{'));
    drop(stdout);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""));
    feeder.join().unwrap();
}

#[test]
fn nobody_on_standard_error_is_no_failure_and_no_reason_to_stop() {
    let command = format!(
        "{} score --format jsonl samples/inbox.csv 2> >(exit 0) | wc -l",
        env!("CARGO_BIN_EXE_undertone")
    );
    let output = Command::new("bash").args(["-c", &command]).current_dir(root()).output().unwrap();
    assert_eq!(out(&output).trim(), "330");
}

#[test]
fn who_streams_messages_in_gets_each_answer_at_once() {
    let mut child = undertone(&["score", "--format", "jsonl", "--quiet", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for text in ["The parcel never came and nobody answers.", "Thank you, it is perfect now!"] {
        writeln!(stdin, "{{\"text\": \"{text}\"}}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.contains("\"label\""), "{line}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn ctrl_c_writes_what_is_done_and_says_so() {
    let mut child = undertone(&["score", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open: the program waits for more when it is interrupted.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&b"Where is my order, it was due on Monday morning?\n".repeat(2000)).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..3 {
        line.clear();
        stdout.read_line(&mut line).unwrap();
    }
    let status = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(status.success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("then interrupted"), "{rest}");
    drop(stdin);
}

#[test]
fn two_batches_are_compared() {
    let first = feed(
        &["score", "--format", "csv", "--quiet", "-"],
        "Thank you so much, everything works perfectly now.\n".repeat(10).as_bytes(),
    );
    let earlier = temporary("earlier.csv", &first.stdout);
    let now = "I have asked four times and nobody has answered me, I am done with you.\n".repeat(10);
    let output = feed(&["score", "-", "--compare", earlier.to_str().unwrap()], now.as_bytes());
    let table = out(&output);
    assert!(
        table.contains("0 % of 10 then, 100 % of 10 now: 100 points up, more than chance explains"),
        "{table}"
    );
    let wrong = run(&["score", "samples/inbox.csv", "--compare", "samples/inbox.csv"]);
    assert!(err(&wrong).contains("no column label"), "{}", err(&wrong));
}

#[test]
fn files_from_spreadsheets_are_read() {
    let file = temporary("export.csv", b"Ticket;Requester;Comment\r\n1;Jos\xe9;\"The caf\xe9 machine broke again; third time, I want my money back\"\r\n");
    let rows = objects(&run(&["score", "--format", "jsonl", file.to_str().unwrap()]));
    assert_eq!(rows[0]["customer"], "José");
    assert_eq!(rows[0]["label"], "negative");
}

#[test]
fn tenants_settings_apply() {
    let settings = temporary(
        "own.json",
        br#"{"min_note_length": 3, "categories": [{"id": "coffee", "name": "Coffee machines", "examples": ["The coffee machine leaks."]},
            {"id": "beds", "name": "Beds and mattresses", "examples": ["The mattress sags."]}]}"#,
    );
    let rows = objects(&feed(
        &["score", "--format", "jsonl", "--settings", settings.to_str().unwrap(), "-"],
        b"The espresso machine leaks all over the counter\nugh no\n",
    ));
    assert_eq!(rows[0]["category"], "coffee");
    assert!(rows[1]["reason"].is_null(), "three characters are enough here: {}", rows[1]);
    let german = temporary(
        "german.json",
        "{\"categories\": [{\"id\": \"lieferung\", \"name\": \"Verspätete oder verlorene Lieferungen\"}]}"
            .as_bytes(),
    );
    let told =
        err(&run(&["score", "--format", "csv", "--settings", german.to_str().unwrap(), "samples/inbox.csv"]));
    assert!(told.contains("nothing will be sorted under “lieferung”"), "{told}");
}

#[test]
fn explain_shows_the_evidence_where_it_stands() {
    let page = out(&run(&[
        "explain",
        "Your driver threw the parcel over my fence and the lamp is in pieces. I am furious.",
    ]));
    assert!(
        page.contains("negative -") && page.contains("[-") && page.contains("What pulled which way"),
        "{page}"
    );
    let foreign = run(&["explain", "Ich warte seit drei Wochen auf eine Antwort von Ihnen."]);
    assert_eq!(foreign.status.code(), Some(1));
    assert!(err(&foreign).contains("not validated on this language"), "{}", err(&foreign));
}

#[test]
fn the_model_tells_about_itself_and_a_damaged_one_stops() {
    let card = out(&run(&["model", "info"]));
    assert!(card.contains("# undertone-reader") && card.contains("SHA-256"), "{card}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("damaged-model");
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(root().join("crates/scoring/artifacts/reader-2")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.join("heads.safetensors"), b"not these").unwrap();
    let output = run(&["score", "--model", folder.to_str().unwrap(), "samples/inbox.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("heads.safetensors is damaged"), "{}", err(&output));
    assert!(output.stdout.is_empty(), "nothing is scored with it");
}

#[test]
fn help_reads_well() {
    let mut told = String::new();
    for arguments in [
        &["--help"][..],
        &["score", "--help"],
        &["eval", "--help"],
        &["demo", "--help"],
        &["explain", "--help"],
        &["model", "info", "--help"],
    ] {
        told += &format!("$ undertone {}\n{}\n", arguments.join(" "), out(&run(arguments)));
    }
    insta::assert_snapshot!(told);
}

/// A file of labelled texts, easy ones, of which one is wrong on purpose.
const LABELLED: &str = "text,label,team\n\
    \"This is the worst service I have ever had, I want my money back\",negative,north\n\
    \"Third week without an answer. I am furious and about to leave\",negative,north\n\
    \"Thank you so much, everything works perfectly again, I am delighted\",positive,north\n\
    \"What are your opening hours on Saturday?\",neutral,south\n\
    \"Absolutely wonderful, thank you for the quick help\",negative,south\n\
    \"The parcel arrived broken and nobody answers my calls\",negative,north\n\
    \"no label here\",,south\n";

#[test]
fn eval_tells_figures_and_what_it_could_not_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labelled.csv");
    std::fs::write(&path, LABELLED).unwrap();
    let path = path.to_str().unwrap();
    let output = run(&["eval", path, "--compare", "vader", "--by", "team", "--format", "json"]);
    // One row has no label: it is told, and the others are measured.
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("1 row could not be used") && told.contains("line 8: no label"), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        report["scorers"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(
        names[0].starts_with("undertone-reader") && names[1..] == ["VADER", "most frequent"],
        "{names:?}"
    );
    let first = &report["scorers"][0]["accuracy"];
    assert_eq!(first["texts"], 6);
    let called_positive = first["negatives_called_positive"]["value"].as_f64().unwrap();
    assert!((called_positive - 0.25).abs() < 1e-9, "the one that is wrong on purpose: {first}");
    assert!(first["negatives_called_positive"]["high"].as_f64().unwrap() > called_positive);
    // Groups of fewer than five texts say nothing.
    assert_eq!(report["groups"].as_array().unwrap().len(), 0);

    let mistyped = run(&["eval", path, "--by", "teem"]);
    assert_eq!(mistyped.status.code(), Some(1));
    assert!(err(&mistyped).contains("no row has anything in a column teem"), "{}", err(&mistyped));
    let twice = run(&["eval", path, "--compare", "vader", "--compare", "majority", "--compare", "vader"]);
    assert_eq!(out(&twice).matches("VADER").count(), 1, "each is measured once");

    let table = run(&["eval", path]);
    let shown = String::from_utf8_lossy(&table.stdout);
    for needed in ["6 labelled texts", "negatives called positive", "most frequent", "What it says (columns)"]
    {
        assert!(shown.contains(needed), "{needed} in {shown}");
    }
}

#[test]
fn eval_runs_packs_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.jsonl");
    let case = |id: &str, label: &str| {
        format!(
            "{{\"id\": \"{id}\", \"phenomenon\": \"ours\", \"text\": \"I am furious, this is the worst service ever\", \"label\": [\"{label}\"]}}\n"
        )
    };
    let pack = |cases: &str| {
        std::fs::write(&path, cases).unwrap();
        run(&["eval", "--pack", path.to_str().unwrap()])
    };
    let held = pack(&case("a", "negative"));
    assert!(held.status.success(), "{}", String::from_utf8_lossy(&held.stdout));
    let failed = pack(&(case("a", "negative") + &case("b", "positive")));
    let shown = String::from_utf8_lossy(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1));
    assert!(shown.contains("too many") && shown.contains("must be positive"), "{shown}");
    let broken = pack("{\"id\": \"a\"}\n");
    assert!(String::from_utf8_lossy(&broken.stderr).contains("line 1"), "{broken:?}");
}

/// How often each phenomenon fails today, and how often it may. Some fail more often than they may: docs/accuracy.md says so, and a better
/// model is seen here to be better.
#[test]
fn the_built_in_packs_fail_no_more_often_than_they_did() {
    let output = run(&["eval", "--pack", "--format", "json"]);
    let outcomes: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut told = String::new();
    for outcome in outcomes.as_array().unwrap() {
        let (failed, allowed) =
            (outcome["failed"].as_array().unwrap().len(), outcome["allowed"].as_u64().unwrap());
        let name = outcome["name"].as_str().unwrap();
        let mark = if failed as u64 > allowed { "  TOO MANY" } else { "" };
        told += &format!("{name:<26}{failed:>3} of {:>3}, may {allowed}{mark}\n", outcome["cases"]);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn eval_writes_a_page_that_stands_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labelled.csv");
    std::fs::write(&path, LABELLED).unwrap();
    let output = run(&["eval", path.to_str().unwrap(), "--compare", "vader", "--format", "html"]);
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(page.starts_with("<!doctype html>") && page.contains("negatives called positive"), "{page}");
    assert!(page.contains("What it says (columns)") && page.contains("How often it is right"), "{page}");
    assert!(
        ["<script", "src=", "@import", "https://"].iter().all(|w| !page.contains(w)),
        "nothing from elsewhere"
    );
}
