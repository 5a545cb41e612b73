//! Scorers as they are compared: what each says of texts.

use clap::ValueEnum;
use futures::executor;
use undertone_core::Interaction;
use undertone_core::accuracy::{Answer, always};
use undertone_core::{Label, Verdict};
use undertone_scoring::local::LocalScorer;
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};
use vader_sentiment::SentimentIntensityAnalyzer;

use crate::error::CliError;

/// Texts handed over at once.
const AT_ONCE: usize = 64;

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// The rule-based VADER, at its usual cut of ±0.05
    Vader,
    /// Always what is most frequent in the file
    Majority,
}

impl Peer {
    /// As in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vader => "VADER",
            Self::Majority => "most frequent",
        }
    }

    /// What it says of each text.
    pub fn answers(self, texts: &[&Interaction], truths: &[Label]) -> Vec<Option<Answer>> {
        match self {
            Self::Vader => {
                let analyser = SentimentIntensityAnalyzer::new();
                texts.iter().map(|i| Some(vader(&analyser, &i.text))).collect()
            }
            Self::Majority => {
                let count = |label: &Label| truths.iter().filter(|t| *t == label).count();
                let most = Label::ALL.into_iter().max_by_key(count).unwrap_or(Label::Neutral);
                always(most, texts.len())
            }
        }
    }
}

fn vader(analyser: &SentimentIntensityAnalyzer<'_>, text: &str) -> Answer {
    let compound = analyser.polarity_scores(text).get("compound").copied().unwrap_or_default();
    let label = match compound {
        c if c >= 0.05 => Label::Positive,
        c if c <= -0.05 => Label::Negative,
        _ => Label::Neutral,
    };
    Answer { label, score: compound * 100.0, confidence: None, words: [None, None, None] }
}

/// The embedded model's verdicts, text by text; `None` where it abstains.
pub fn verdicts(
    scorer: &LocalScorer,
    texts: &[&Interaction],
    mut done: impl FnMut(usize),
) -> Result<Vec<Option<Verdict>>, CliError> {
    let mut verdicts = Vec::with_capacity(texts.len());
    for part in texts.chunks(AT_ONCE) {
        let utterances = part.iter().map(|i| Utterance::of(i, i.text.len())).collect();
        for answer in executor::block_on(scorer.score(Batch::new(utterances))) {
            verdicts.push(match answer {
                Ok(verdict) => Some(verdict),
                Err(NoVerdict::Abstained { .. }) => None,
                Err(error) => return Err(CliError::Failed(error.to_string())),
            });
        }
        done(verdicts.len());
    }
    Ok(verdicts)
}

/// What counts of a verdict.
pub fn answer(verdict: &Verdict) -> Answer {
    Answer {
        label: verdict.label,
        score: verdict.score.get().into(),
        confidence: Some(f64::from(verdict.confidence.get()) / 100.0),
        words: [
            Some(verdict.dominant_emotion.as_str().to_owned()),
            Some(verdict.urgency.as_str().to_owned()),
            Some(verdict.category.as_str().to_owned()),
        ],
    }
}
