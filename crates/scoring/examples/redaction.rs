//! Redacts texts over and over and tells what that cost: for `bench/`.
//!
//! `redaction ROUNDS < texts.jsonl` prints `{"bytes", "redacted_bytes", "wall_s", "cpu_s"}`. Eight texts share a redactor, as in a request, which knows a
//! customer and an agent.

mod shared;

use std::time::Instant;

use undertone_scoring::redact::Redactor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).ok_or("usage: redaction ROUNDS < texts.jsonl")?.parse()?;
    let texts = shared::texts()?;
    let known = shared::known();
    let (cpu, started) = (shared::cpu_seconds()?, Instant::now());
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
        shared::cpu_seconds()? - cpu
    );
    Ok(())
}
