//! Rows on their way through gate and scorer: gathered into packs, answered pack by pack, and handed on in the order of the file.

use std::sync::Arc;

use futures::stream::{self, Stream};
use futures::{FutureExt, StreamExt};
use undertone_core::gate::{Circumstances, Decision, DeferReason, decide};
use undertone_core::settings::WhenUnavailable;
use undertone_core::{Interaction, Settings, Verdict};
use undertone_scoring::{Batch, Knowledge, NoVerdict, Scorer, Utterance};

use super::{Answer, Scored};
use crate::input::{Row, people};

/// Rows in a pack at most, however few of them are to be scored.
const MOST_ROWS: usize = 256;

/// Whom texts are put to, and how.
pub struct Flow<'s> {
    /// Gives the verdicts.
    pub scorer: &'s dyn Scorer,
    /// Stands in for an LLM that can not be asked; `None` where the scorer is no LLM.
    pub stand_in: Option<&'s dyn Scorer>,
    /// What holds for all texts.
    pub settings: &'s Settings,
    /// What the settings tell of the customers' language and concerns.
    pub knowledge: Arc<Knowledge>,
    /// Texts handed over at once.
    pub pack: usize,
    /// Packs under way at once.
    pub packs: usize,
    /// Somebody waits for each answer, so a pack is not held back until it is full.
    pub streamed: bool,
}

/// A row after the gate.
enum Gated {
    /// It is decided.
    Decided(Box<Scored>),
    /// The scorer is to be asked.
    Open(Box<Open>),
}

/// A text that wants a verdict.
struct Open {
    line: u64,
    interaction: Interaction,
    utterance: Utterance,
}

impl<'s> Flow<'s> {
    /// What becomes of `rows`, in their order.
    pub fn run(&'s self, rows: impl Stream<Item = Row> + Unpin + 's) -> impl Stream<Item = Scored> + 's {
        let packs = self.packs(rows.map(|row| self.gate(row)));
        packs.map(|pack| self.answer(pack)).buffered(self.packs).flat_map(stream::iter)
    }

    fn gate(&self, row: Row) -> Gated {
        let Row { line, interaction, kept } = row;
        let decided =
            |interaction, answer| Gated::Decided(Box::new(Scored { line, interaction, answer, note: None }));
        let interaction = match interaction {
            Ok(interaction) => interaction,
            Err(told) => return decided(None, Answer::Failed(told)),
        };
        let reason = match decide(&interaction, self.settings, Circumstances::default()) {
            Decision::Score { read_bytes, .. } => {
                let mut utterance = Utterance::of(&interaction, read_bytes);
                utterance.known = people::known(&kept, interaction.customer.as_deref());
                let segments = &self.settings.cascade_segments;
                utterance.always_llm =
                    people::segment(&kept).is_some_and(|segment| segments.contains(segment));
                return Gated::Open(Box::new(Open { line, interaction, utterance }));
            }
            Decision::Skip(reason) => reason,
            Decision::Defer(reason) => reason.into(),
        };
        decided(Some(interaction), Answer::Skipped { reason, language: None })
    }

    /// `rows` in packs with as many open ones as are handed over at once.
    fn packs(&self, rows: impl Stream<Item = Gated> + Unpin + 's) -> impl Stream<Item = Vec<Gated>> + 's {
        let (most, streamed) = (self.pack, self.streamed);
        stream::unfold(rows.fuse(), move |mut rows| async move {
            let mut pack = vec![rows.next().await?];
            let mut open = usize::from(pack.iter().any(Gated::is_open));
            while open < most && pack.len() < MOST_ROWS {
                let next = if streamed { rows.next().now_or_never().flatten() } else { rows.next().await };
                let Some(row) = next else { break };
                open += usize::from(row.is_open());
                pack.push(row);
            }
            Some((pack, rows))
        })
    }

    async fn answer(&self, pack: Vec<Gated>) -> Vec<Scored> {
        let texts = pack.iter().filter_map(|row| match row {
            Gated::Open(open) => Some(open.utterance.clone()),
            Gated::Decided(_) => None,
        });
        let texts: Vec<Utterance> = texts.collect();
        let mut answers = self.ask(texts).await.into_iter();
        pack.into_iter()
            .map(|row| match row {
                Gated::Decided(scored) => *scored,
                Gated::Open(open) => {
                    let (answer, note) = answers.next().unwrap_or_else(|| (lost(), None));
                    Scored { line: open.line, interaction: Some(open.interaction), answer, note }
                }
            })
            .collect()
    }

    /// What becomes of each text, and why an LLM did not answer it where that is so.
    async fn ask(&self, texts: Vec<Utterance>) -> Vec<(Answer, Option<String>)> {
        if texts.is_empty() {
            return Vec::new();
        }
        let batch = |utterances| Batch { utterances, knowledge: self.knowledge.clone(), model: None };
        let mut answers = self.scorer.score(batch(texts.clone())).await;
        let stand_in = self.stand_in.filter(|_| self.settings.when_unavailable == WhenUnavailable::Local);
        let mut second = Vec::new();
        if let Some(local) = stand_in {
            let unanswered = texts.into_iter().zip(&answers).filter(|(_, answer)| is_unavailable(answer));
            let unanswered: Vec<Utterance> = unanswered.map(|(text, _)| text).collect();
            if !unanswered.is_empty() {
                second = local.score(batch(unanswered)).await;
            }
        }
        let mut second = second.into_iter();
        answers
            .drain(..)
            .map(|first| match first {
                Err(NoVerdict::Unavailable { reason, detail, .. }) => match second.next() {
                    Some(answered) => (answer(answered), Some(detail)),
                    None => self.unanswered(reason, detail),
                },
                first => {
                    let note = why_unanswered(&first);
                    (answer(first), note)
                }
            })
            .collect()
    }

    /// What becomes of a text that only an LLM may answer and that none did.
    fn unanswered(&self, reason: DeferReason, detail: String) -> (Answer, Option<String>) {
        if self.settings.when_unavailable == WhenUnavailable::Wait {
            let told = format!("{detail}; when_unavailable is wait, so it waits until you score it again");
            return (Answer::Failed(told), Some(detail));
        }
        (Answer::Skipped { reason: reason.into(), language: None }, Some(detail))
    }
}

impl Gated {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

fn is_unavailable(answer: &Result<Verdict, NoVerdict>) -> bool {
    matches!(answer, Err(NoVerdict::Unavailable { .. }))
}

/// Why the LLM of a cascade did not answer, so that the embedded model's verdict stands.
fn why_unanswered(answer: &Result<Verdict, NoVerdict>) -> Option<String> {
    let unanswered = answer.as_ref().ok()?.cascade.as_ref()?.unanswered.as_ref()?;
    Some(unanswered.detail.clone())
}

fn lost() -> Answer {
    Answer::Failed("the scorer gave no answer".to_owned())
}

fn answer(verdict: Result<Verdict, NoVerdict>) -> Answer {
    match verdict {
        Ok(verdict) => Answer::Verdict(Box::new(verdict)),
        Err(NoVerdict::Abstained { reason, language }) => Answer::Skipped { reason, language },
        Err(error @ (NoVerdict::Busy | NoVerdict::Unavailable { .. } | NoVerdict::Failed { .. })) => {
            Answer::Failed(error.to_string())
        }
    }
}
