//! Reads texts over and over and tells what that cost: for `bench/`.
//!
//! `throughput THREADS ROUNDS < texts.jsonl` prints `{"texts", "pieces", "wall_s", "cpu_s"}`, the model's start left out.

use std::io::BufRead;
use std::num::NonZeroUsize;
use std::time::Instant;

use futures::executor::block_on;
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_scoring::{Batch, Scorer, Utterance};

#[derive(serde::Deserialize)]
struct Row {
    text: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [threads, rounds] = arguments.as_slice() else {
        return Err("usage: throughput THREADS ROUNDS < texts.jsonl".into());
    };
    let (threads, rounds): (NonZeroUsize, usize) = (threads.parse()?, rounds.parse()?);
    let mut utterances = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let row: Row = serde_json::from_str(&line?)?;
        utterances.push(Utterance::message(&row.text));
    }
    let scorer = LocalScorer::new(Artifact::embedded()?, Capacity { threads, waiting: utterances.len() })?;
    block_on(scorer.score(Batch::new(utterances.clone())));
    let (cpu, started) = (cpu_seconds()?, Instant::now());
    let mut pieces = 0;
    for _ in 0..rounds {
        let verdicts = block_on(scorer.score(Batch::new(utterances.clone())));
        pieces = verdicts.iter().flatten().map(|v| v.provenance.tokens_in).sum();
    }
    println!(
        "{{\"texts\": {}, \"pieces\": {pieces}, \"wall_s\": {:.4}, \"cpu_s\": {:.4}}}",
        utterances.len() * rounds,
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
