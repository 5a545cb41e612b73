//! `undertone eval` with an LLM.

use serde_json::{Value, json};
use undertone_llm_server::{Failure, Fault, Problem};

use crate::bench::{Bench, HAIKU, KEY, err, out, run};

const LABELLED: &str = "text,label,customer_name\n\
    \"This is the worst service I have ever had, I want a refund\",negative,Ann Other\n\
    \"Third week without an answer. I am furious and about to leave\",negative,\n\
    \"Thank you so much, everything works perfectly again, I am delighted\",positive,\n\
    \"What are your opening hours on Saturday?\",neutral,\n\
    \"Absolutely wonderful, Ann says thank you for the quick help\",positive,Ann Other\n\
    \"The parcel arrived broken and nobody answers my calls\",negative,\n";

#[test]
fn eval_tells_what_an_llm_takes() {
    let bench = Bench::new();
    let file = bench.file("labelled.csv", LABELLED);
    let arguments =
        ["eval", &file, "--scorer", "claude", "--compare", "local", "--compare", "vader", "--format"];
    let output = run(&mut bench.claude(&[&arguments[..], &["json"]].concat()));
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        report["scorers"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(
        names[0] == HAIKU && names[1].starts_with("undertone-reader") && names[2] == "VADER",
        "{names:?}"
    );
    let taken = &report["scorers"][0]["taken"];
    assert_eq!((&taken["model"], &taken["requests"], &taken["texts"]), (&json!(HAIKU), &json!(1), &json!(6)));
    let usage = bench.usage();
    assert_eq!(taken["tokens"], serde_json::to_value(usage).unwrap());
    assert_eq!(taken["cost_micros"], bench.cost(HAIKU));
    assert!(report["scorers"][1].get("taken").is_none());
    let body = bench.server.requests()[0].body.to_lowercase();
    assert!(!body.contains(" ann ") && body.contains("[name_1]"), "{body}");

    let table = out(&run(&mut bench.claude(&[&arguments[..], &["table"]].concat())));
    assert!(table.contains("What an LLM took") && table.contains("cost of 1,000 texts"), "{table}");
    let markdown = out(&run(&mut bench.claude(&[&arguments[..], &["markdown"]].concat())));
    assert!(markdown.contains("| requests | 1 | – | – | – |"), "{markdown}");
    assert!(markdown.contains("Costs go by the price list of 2"), "{markdown}");
}

#[test]
fn eval_of_a_cascade_tells_what_was_changed() {
    let bench = Bench::new();
    let file = bench.file("labelled.csv", LABELLED);
    let settings = bench.file("settings.json", "{\"cascade_threshold\": 100}");
    let arguments = [
        "eval",
        &file,
        "--scorer",
        "cascade",
        "--compare",
        "claude:claude-sonnet-5-5",
        "--settings",
        &settings,
    ];
    let output = run(&mut bench.claude(&[&arguments[..], &["--format", "json"]].concat()));
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["scorers"][0]["name"], format!("cascade, {HAIKU}"));
    let effect = &report["scorers"][0]["taken"]["cascade"];
    assert_eq!((&effect["texts"], &effect["verdicts"]), (&json!(6), &json!(6)));
    let number = |key: &str| effect[key].as_u64().unwrap();
    assert!(number("asked") >= 1 && number("right_before") >= 4, "{effect}");
    assert_eq!(
        number("right_after"),
        number("right_before") + number("mended") - number("spoilt"),
        "{effect}"
    );
    assert_eq!(report["scorers"][1]["taken"]["model"], "claude-sonnet-5-5");
    let table = out(&run(&mut bench.claude(&arguments)));
    assert!(table.contains("texts put to the LLM") && table.contains("right in the end"), "{table}");
}

#[test]
fn what_can_not_be_asked_about_all_texts_is_not_measured() {
    let bench = Bench::new();
    let file = bench.file("labelled.csv", LABELLED);
    bench.server.set(Fault::always(Failure::Error(Problem::permission())));
    let output = run(&mut bench.claude(&["eval", &file, "--scorer", "claude"]));
    assert_eq!(output.status.code(), Some(1));
    let error = err(&output);
    assert!(
        error.contains("so nothing is measured") && error.contains("0 requests with 0 tokens"),
        "{error}"
    );
    assert!(out(&output).is_empty());
}

#[test]
fn a_key_goes_to_no_other_provider() {
    let bench = Bench::new();
    let file = bench.file("labelled.csv", LABELLED);
    let mut command = bench.claude(&["eval", &file, "--scorer", "claude", "--compare", "openai:local-model"]);
    // Somewhere else, where nobody listens.
    command.env("OPENAI_API_KEY", "marker-of-another").env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    let error = err(&run(&mut command));
    assert!(error.contains("127.0.0.1:1: no connection"), "{error}");
    for seen in bench.server.requests() {
        assert!(!format!("{:?}", seen.headers).contains("marker"), "{:?}", seen.headers);
    }
}

#[test]
fn eval_measures_any_chat_completions_server() {
    let bench = Bench::new();
    let file = bench.file("labelled.csv", LABELLED);
    let url = bench.server.chat_url();
    let arguments = [
        "eval",
        &file,
        "--scorer",
        "openai",
        "--model",
        "local-model",
        "--base-url",
        &url,
        "--format",
        "json",
    ];
    let output = run(bench.command(&arguments).env("OPENAI_API_KEY", KEY));
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let measured = &report["scorers"][0];
    assert_eq!(measured["name"], "local-model", "{report}");
    let taken = &measured["taken"];
    assert_eq!((&taken["requests"], &taken["texts"]), (&json!(1), &json!(6)), "{taken}");
    assert_eq!(taken["tokens"], serde_json::to_value(bench.usage()).unwrap());
    let request = &bench.server.requests()[0];
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert!(!request.body.to_lowercase().contains(" ann "), "{}", request.body);
}
