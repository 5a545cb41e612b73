//! What the cascade keeps of an LLM's accuracy and what it takes, at each threshold: a part of `docs/performance.md`.
//!
//! `cascade [TEXTS]` writes Markdown. The LLM is the local server, which knows the labels of the test part and answers one text in ten
//! with another label, always the same ones. So the first table says what the cascade keeps of an LLM that is right nine times in ten, not
//! how good any LLM is. Tokens are the server's stated estimate. With TEXTS, only so many texts of the test part and of the samples
//! are used, to see that it works.

#[path = "../../tests/support/provider.rs"]
mod provider;
mod run;
mod simulator;
mod texts;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use futures::executor::block_on;
use undertone_core::accuracy::{Accuracy, Answer, Figure, Truth, measure};
use undertone_core::{Label, Settings};
use undertone_scoring::cascade::effect;
use undertone_scoring::local::LocalScorer;
use undertone_scoring::{Batch, Scorer, Utterance};

use run::{Run, Told};
use simulator::Gold;

/// Texts a worker of the service claims together.
const AT_ONCE: usize = 32;
/// Texts in a request at most: the default of the setting `llm_together`.
const TOGETHER: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let default = Settings::default().cascade_threshold;
    let most = std::env::args().nth(1).map(|text| text.parse::<usize>()).transpose()?.unwrap_or(usize::MAX);
    let mut labelled = texts::test_part()?;
    labelled.truncate(most);
    let mut samples = texts::samples()?;
    samples.truncate(most);
    let (utterances, labels): (Vec<Utterance>, Vec<Label>) = labelled.into_iter().unzip();

    // The embedded model reads each text once; every threshold sees the same readings.
    let embedded = LocalScorer::embedded()?;
    let mut known = HashMap::new();
    for utterance in utterances.iter().chain(&samples) {
        let answer = block_on(embedded.score(Batch::new(vec![utterance.clone()]))).remove(0);
        known.insert(utterance.text.clone(), answer);
    }
    let known = Arc::new(known);
    let gold = Arc::new(Gold::of(&utterances, &labels));

    println!(
        "{} messages of the test part, {AT_ONCE} at a time, {TOGETHER} in a request at most.\n",
        utterances.len()
    );
    println!(
        "| threshold | to the LLM | macro-F1 | negatives found | negatives called positive | labels changed, for the better | input tokens a verdict | once the rubric is kept |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for threshold in (0..=100).step_by(10) {
        let run = Run::cascade(&known, gold.clone(), threshold)?;
        let told = run.score(&utterances, AT_ONCE);
        let effect = effect(&told.verdicts, &labels);
        let accuracy = accuracy(&told, &labels).ok_or("there is nothing to compare")?;
        let mark = if threshold == default { "**" } else { "" };
        println!(
            "| {mark}{threshold}{mark} | {:.1} % | {} | {} | {} | {}, {} | {:.1} | {:.1} |",
            effect.sums.asked_share() * 100.0,
            figure(Some(accuracy.macro_f1)),
            figure(accuracy.negative_recall),
            share(accuracy.negatives_called_positive),
            effect.sums.changed,
            effect.mended,
            told.billed_input_each(),
            told.kept_input_each(),
        );
    }
    println!("| the LLM alone | 100 % | {} |\n", alone(&utterances, &labels, gold.clone())?);

    println!("{} interactions of `samples/inbox.csv` that are scored:\n", samples.len());
    println!(
        "| | verdicts | to the LLM | requests | input tokens a verdict | once the rubric is kept | tokens of all kinds a text the LLM read |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut runs = vec![("claude alone".to_owned(), Run::alone(gold.clone())?, AT_ONCE)];
    for threshold in [50, 60, default, 80] {
        runs.push((
            format!("cascade at {threshold}"),
            Run::cascade(&known, gold.clone(), threshold)?,
            AT_ONCE,
        ));
    }
    let alone = format!("cascade at {default}, texts that come one at a time");
    runs.push((alone, Run::cascade(&known, gold, default)?, 1));
    let mut written = 0.0;
    for (name, run, at_once) in runs {
        let told = run.score(&samples, at_once);
        written = told.billed_input_each() - told.kept_input_each();
        println!(
            "| {name} | {} | {:.1} % | {} | {:.1} | {:.1} | {} |",
            told.verdicts.iter().flatten().count(),
            told.asked as f64 * 100.0 / samples.len().max(1) as f64,
            told.requests,
            told.billed_input_each(),
            told.kept_input_each(),
            told.usage.total().div_ceil(told.asked.max(1)),
        );
    }
    println!(
        "\n{written:.0} of the input tokens a verdict are the rubric and the schema of the answer being written to the provider's cache for an \
         hour, at twice the price of input, once for these few verdicts. A service that asks at least once an hour pays that once and reads \
         them for a tenth from then on, as in the column beside it."
    );
    Ok(())
}

/// The last row of the first table.
fn alone(utterances: &[Utterance], labels: &[Label], gold: Arc<Gold>) -> Result<String, Box<dyn Error>> {
    let told = Run::alone(gold)?.score(utterances, AT_ONCE);
    let accuracy = accuracy(&told, labels).ok_or("there is nothing to compare")?;
    Ok(format!(
        "{} | {} | {} | – | {:.1} | {:.1}",
        figure(Some(accuracy.macro_f1)),
        figure(accuracy.negative_recall),
        share(accuracy.negatives_called_positive),
        told.billed_input_each(),
        told.kept_input_each(),
    ))
}

fn accuracy(told: &Told, labels: &[Label]) -> Option<Accuracy> {
    let truths: Vec<Truth> = labels.iter().map(|label| Truth::of(*label)).collect();
    let answers: Vec<Option<Answer>> = told
        .verdicts
        .iter()
        .map(|verdict| {
            verdict.as_ref().map(|verdict| Answer {
                label: verdict.label,
                score: verdict.score.get().into(),
                confidence: None,
                words: [None, None, None],
            })
        })
        .collect();
    measure(&truths, &answers)
}

fn figure(figure: Option<Figure>) -> String {
    figure.map_or_else(|| "–".to_owned(), |f| format!("{:.3}", f.value))
}

fn share(figure: Option<Figure>) -> String {
    figure.map_or_else(|| "–".to_owned(), |f| format!("{:.1} %", f.value * 100.0))
}
