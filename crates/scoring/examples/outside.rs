//! Tells what it costs that summaries leave without names: for `docs/performance.md`.
//!
//! `outside ROUNDS < texts.jsonl` scores each text once, then redacts its summary over and over, and prints
//! `{"texts", "reading_us", "redacting_us"}`, both per text on one thread. Each text has a redactor of its own, which knows a customer and an
//! agent, as where verdicts are recorded.

mod shared;

use std::num::NonZeroUsize;
use std::time::Instant;

use futures::executor::block_on;
use undertone_core::Verdict;
use undertone_core::verdict::Span;
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_scoring::redact::Redactor;
use undertone_scoring::{Batch, Scorer, Utterance};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: u32 = std::env::args().nth(1).ok_or("usage: outside ROUNDS < texts.jsonl")?.parse()?;
    let texts = shared::texts()?;
    let scorer = LocalScorer::new(
        Artifact::embedded()?,
        Capacity { threads: NonZeroUsize::MIN, waiting: texts.len() },
    )?;
    let utterances: Vec<Utterance> = texts.iter().map(|text| Utterance::message(text)).collect();
    let began = Instant::now();
    let answers = block_on(scorer.score(Batch::new(utterances)));
    let reading = began.elapsed();
    let scored: Vec<(&String, Verdict)> =
        texts.iter().zip(answers).filter_map(|(text, answer)| Some((text, answer.ok()?))).collect();
    let known = shared::known();
    let began = Instant::now();
    let mut left = 0;
    for _ in 0..rounds {
        for (text, verdict) in &scored {
            let quoted: Vec<Span> = verdict.evidence.iter().map(|evidence| evidence.span).collect();
            left += Redactor::new(&known).redact_about(&verdict.summary, text, &quoted).len();
        }
    }
    let redacting = began.elapsed() / rounds.max(1);
    assert!(left > 0 || scored.is_empty() || rounds == 0, "nothing is left of any summary");
    let each = |took: std::time::Duration, count: usize| took.as_secs_f64() * 1e6 / count.max(1) as f64;
    println!(
        "{{\"texts\": {}, \"reading_us\": {:.0}, \"redacting_us\": {:.1}}}",
        scored.len(),
        each(reading, texts.len()),
        each(redacting, scored.len())
    );
    Ok(())
}
