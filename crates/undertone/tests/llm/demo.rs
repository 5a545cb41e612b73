//! `undertone demo --llm-simulator`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::{Bench, KEY};

/// A process that ends with the test.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, key: &str) -> Value {
    let request =
        ureq::http::Request::builder().uri(address).header("Authorization", format!("Bearer {key}"));
    ureq::Agent::new_with_defaults().run(request.body(()).unwrap()).unwrap().body_mut().read_json().unwrap()
}

#[test]
fn the_simulator_of_the_demo_says_what_it_is_wherever_it_shows() {
    const NAME: &str = "simulator (no model)";
    let bench = Bench::new();
    let mut command = bench.command(&["demo", "--llm-simulator", "--listen", "127.0.0.1:0"]);
    // Keys of whoever starts it are nobody's to spend in a demo.
    command.env("ANTHROPIC_API_KEY", KEY).env("ANTHROPIC_BASE_URL", bench.server.url());
    let mut demo = Process(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut banner = String::new();
    for line in BufReader::new(demo.0.stdout.take().unwrap()).lines() {
        banner += &(line.unwrap() + "\n");
        if banner.contains("Read in ") {
            break;
        }
    }
    assert!(
        banner.contains(&format!("a SIMULATED LLM, “{NAME}”")) && banner.contains("It is no model"),
        "{banner}"
    );
    let after =
        |words: &str| banner.split(words).nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let (address, key) = (after("demo is at ") + "/api/v1", after("API key"));
    let asked: u64 = after("The simulator was asked ").parse().unwrap();
    assert!(asked >= 5, "{banner}");

    let usage = get(&format!("{address}/ai-usage?group=model"), &key);
    let lines = usage["lines"].as_array().unwrap();
    assert_eq!(
        (lines.len(), &lines[0]["key"], &lines[0]["calls"]),
        (1, &json!(NAME), &json!(asked)),
        "{usage}"
    );
    assert_eq!(lines[0]["cost_micros"], 0);
    let items = get(&format!("{address}/interactions?limit=100"), &key)["items"].clone();
    let sentiments =
        items.as_array().unwrap().iter().filter(|item| item["state"] == "scored").take(40).map(|item| {
            let one = get(&format!("{address}/interactions/{}", item["id"].as_str().unwrap()), &key);
            one["sentiment"].clone()
        });
    let (simulated, local): (Vec<Value>, Vec<Value>) =
        sentiments.partition(|sentiment| sentiment["scorer"] == "openai");
    assert!(!simulated.is_empty() && !local.is_empty());
    for sentiment in simulated {
        assert_eq!(sentiment["model"], NAME);
        assert!(sentiment["summary"].as_str().unwrap().starts_with("Simulated"), "{sentiment}");
    }
    assert!(local.iter().all(|sentiment| sentiment["model"] == "undertone-reader"));
    assert!(bench.server.requests().is_empty(), "the key of the environment was used");
}
