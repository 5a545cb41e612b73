//! Scorers as they are compared: what each says of texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, stream};
use undertone_core::Interaction;
use undertone_core::accuracy::{Answer, Task, Truth, always};
use undertone_core::{Label, Verdict};
use undertone_scoring::{Batch, Knowledge, NoVerdict, Scorer, Utterance};
use vader_sentiment::SentimentIntensityAnalyzer;

/// What needs no model to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The rule-based VADER, at its usual cut of ±0.05.
    Vader,
    /// Always what is most frequent in the file, each label and word by itself.
    Majority,
}

impl Rule {
    /// As in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vader => "VADER",
            Self::Majority => "most frequent",
        }
    }

    /// What it says of each text.
    pub fn answers(self, texts: &[&Interaction], truths: &[Truth]) -> Vec<Option<Answer>> {
        match self {
            Self::Vader => {
                let analyser = SentimentIntensityAnalyzer::new();
                texts.iter().map(|i| Some(vader(&analyser, &i.text))).collect()
            }
            Self::Majority => {
                let count = |label: &Label| truths.iter().filter(|t| t.label == *label).count();
                let most = Label::ALL.into_iter().max_by_key(count).unwrap_or(Label::Neutral);
                let words: [Option<String>; Task::ALL.len()] = std::array::from_fn(|task| {
                    most_frequent(truths.iter().filter_map(|t| t.words[task].as_deref()))
                });
                let mut answers = always(most, texts.len());
                answers.iter_mut().flatten().for_each(|answer| answer.words.clone_from(&words));
                answers
            }
        }
    }
}

/// The word that is there most often; of two that are equally frequent the later one of the alphabet.
fn most_frequent<'w>(words: impl Iterator<Item = &'w str>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(word, _)| word.to_owned())
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

/// A scorer, and how many texts it is handed.
pub struct Asked<'s> {
    /// The scorer.
    pub scorer: &'s dyn Scorer,
    /// Texts at once.
    pub pack: usize,
    /// Packs under way at once.
    pub packs: usize,
}

/// What a scorer said of some texts.
#[derive(Debug, Default)]
pub struct Said {
    /// Text by text; `None` where there is no verdict.
    pub verdicts: Vec<Option<Verdict>>,
    /// Of those without one, the texts about which an LLM answered what can not be used.
    pub unusable: usize,
}

/// What `asked` says of each of `texts`.
///
/// # Errors
/// Where an LLM can not be asked about one of them, or the embedded model breaks: figures about the rest would be figures about something
/// else. With the reason.
pub async fn verdicts(
    asked: Asked<'_>,
    knowledge: &Arc<Knowledge>,
    texts: &[Utterance],
    mut done: impl FnMut(usize),
) -> Result<Said, NoVerdict> {
    let batch =
        |part: &[Utterance]| Batch { utterances: part.to_vec(), knowledge: knowledge.clone(), model: None };
    let answers = stream::iter(texts.chunks(asked.pack.max(1))).map(|part| asked.scorer.score(batch(part)));
    let mut answers = answers.buffered(asked.packs.max(1));
    let is_local = asked.scorer.kind() == undertone_core::verdict::ScorerKind::Local;
    let mut said = Said::default();
    while let Some(part) = answers.next().await {
        for answer in part {
            said.verdicts.push(match answer {
                Ok(verdict) => Some(verdict),
                Err(NoVerdict::Abstained { .. }) => None,
                Err(NoVerdict::Failed { .. }) if !is_local => {
                    said.unusable += 1;
                    None
                }
                Err(error) => return Err(error),
            });
        }
        done(said.verdicts.len());
    }
    Ok(said)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_word_of_each_task_is_the_least_to_beat() {
        let mut truths: Vec<Truth> =
            [Label::Negative, Label::Negative, Label::Positive].map(Truth::of).into();
        for (truth, emotion) in truths.iter_mut().zip(["anger", "joy", "joy"]) {
            truth.words[0] = Some(emotion.to_owned());
        }
        let text = Interaction::message("test", "1", "a text");
        let answers = Rule::Majority.answers(&[&text, &text, &text], &truths);
        let first = answers[0].as_ref().unwrap();
        assert_eq!(first.label, Label::Negative);
        assert_eq!(first.words, [Some("joy".to_owned()), None, None]);
        assert_eq!(answers.iter().flatten().filter(|answer| *answer == first).count(), 3);
    }
}
