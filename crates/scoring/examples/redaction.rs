//! Redacts texts over and over and tells what that cost: for `bench/`.
//!
//! `redaction ROUNDS < texts.jsonl` prints `{"bytes", "redacted_bytes", "wall_s", "cpu_s"}`. Eight texts share a redactor, as in a request, which knows a
//! customer and an agent.

use std::io::BufRead;
use std::time::Instant;

use undertone_scoring::redact::{Known, Redactor};

#[derive(serde::Deserialize)]
struct Row {
    text: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).ok_or("usage: redaction ROUNDS < texts.jsonl")?.parse()?;
    let mut texts = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let row: Row = serde_json::from_str(&line?)?;
        texts.push(row.text);
    }
    let known = Known {
        names: vec!["Bernadette Crowhurst".to_owned(), "Jolanta Wrzesniewska".to_owned()],
        emails: vec!["b.crowhurst@example.com".to_owned()],
        phones: vec!["+44 20 7946 0958".to_owned()],
    };
    let (cpu, started) = (cpu_seconds()?, Instant::now());
    let mut left = 0;
    for _ in 0..rounds {
        for request in texts.chunks(8) {
            let mut redactor = Redactor::new(&known);
            left += request.iter().map(|text| redactor.redact(text).text.len()).sum::<usize>();
        }
    }
    let bytes = texts.iter().map(String::len).sum::<usize>() * rounds;
    println!(
        "{{\"bytes\": {bytes}, \"redacted_bytes\": {left}, \"wall_s\": {:.4}, \"cpu_s\": {:.4}}}",
        started.elapsed().as_secs_f64(),
        cpu_seconds()? - cpu
    );
    Ok(())
}

/// Processor time of this process so far, user and system, to a hundredth of a second.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).ok_or("no times in /proc/self/stat");
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
