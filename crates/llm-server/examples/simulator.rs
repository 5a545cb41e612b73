//! The local server by itself, to try the product against it and to measure it: `bench/llm.py` does. **It is no model**: a few word rules
//! answer.
//!
//! ```text
//! cargo run -p undertone-llm-server --example simulator -- [MILLISECONDS]
//! ```
//!
//! It prints the variables that lead the product to it, answers each request after so many milliseconds, and ends with its input: on an
//! empty line it prints its ledger so far as a line of JSON, `{"requests", "input", "cache_read", "cache_write_5m", "cache_write_1h",
//! "output", "most_in_flight", "seconds"}`, whose tokens are the estimate of [`undertone_llm_server::tokens_of`] and whose seconds are
//! those between its first and its last answer.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use undertone_llm_server::{Script, Server, items};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let latency = std::env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    let mut script = Script::new(Arc::new(now));
    script.items = items::fenced();
    script.latency = Duration::from_millis(latency);
    // What is only measured need not be remembered.
    script.remember = 1;
    let key = script.key.clone();
    let models = script.chat_models.join(", ");
    let server = Server::start(script)?;
    println!("export ANTHROPIC_BASE_URL={} ANTHROPIC_API_KEY={key}", server.url());
    println!("export OPENAI_BASE_URL={} OPENAI_API_KEY={key}   # model {models}", server.chat_url());
    for line in std::io::stdin().lock().lines() {
        if line?.is_empty() {
            println!("{}", ledger(&server));
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the clock of a program of its own")]
fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

fn ledger(server: &Server) -> serde_json::Value {
    let ledger = server.ledger();
    let usage = ledger.usage();
    let (first, last) = (ledger.billed.first(), ledger.billed.last());
    let between = first.zip(last).and_then(|(first, last)| (last.at - first.at).num_microseconds());
    serde_json::json!({
        "requests": ledger.billed.len(),
        "input": usage.input,
        "cache_read": usage.cache_read,
        "cache_write_5m": usage.cache_write_5m,
        "cache_write_1h": usage.cache_write_1h,
        "output": usage.output,
        "most_in_flight": server.most_in_flight(),
        "seconds": between.unwrap_or_default() as f64 / 1e6,
    })
}
