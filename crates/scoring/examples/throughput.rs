//! Reads texts over and over and tells what that cost: for `bench/`.
//!
//! `throughput THREADS ROUNDS < texts.jsonl` prints `{"texts", "pieces", "wall_s", "cpu_s"}`, the model's start left out.

mod shared;

use std::num::NonZeroUsize;
use std::time::Instant;

use futures::executor::block_on;
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_scoring::{Batch, Scorer, Utterance};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [threads, rounds] = arguments.as_slice() else {
        return Err("usage: throughput THREADS ROUNDS < texts.jsonl".into());
    };
    let (threads, rounds): (NonZeroUsize, usize) = (threads.parse()?, rounds.parse()?);
    let utterances: Vec<Utterance> = shared::texts()?.iter().map(|text| Utterance::message(text)).collect();
    let scorer = LocalScorer::new(Artifact::embedded()?, Capacity { threads, waiting: utterances.len() })?;
    block_on(scorer.score(Batch::new(utterances.clone())));
    let (cpu, started) = (shared::cpu_seconds()?, Instant::now());
    let mut pieces = 0;
    for _ in 0..rounds {
        let verdicts = block_on(scorer.score(Batch::new(utterances.clone())));
        pieces = verdicts.iter().flatten().map(|v| v.provenance.tokens_in).sum();
    }
    println!(
        "{{\"texts\": {}, \"pieces\": {pieces}, \"wall_s\": {:.4}, \"cpu_s\": {:.4}}}",
        utterances.len() * rounds,
        started.elapsed().as_secs_f64(),
        shared::cpu_seconds()? - cpu
    );
    Ok(())
}
