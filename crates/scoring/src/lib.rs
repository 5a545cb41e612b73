//! Text in, verdict out.
//!
//! [`Scorer`] is the edge: a [`Batch`] of [`Utterance`]s in, for each a verdict or the reason why there is none. It knows nothing of HTTP,
//! SQL or any runtime. [`local`] is the embedded reader; scorers that ask an LLM ([`llm`]) stand beside it behind the same trait, and [`cascade`] is made of one of each.

pub mod cascade;
pub mod llm;
pub mod local;
pub mod redact;
pub mod text;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use undertone_core::gate::DeferReason;
use undertone_core::verdict::ScorerKind;
use undertone_core::{
    Category, Channel, Direction, Interaction, Kind, Phrase, Settings, SkipReason, Verdict,
};

/// What a scorer is given of an interaction: the text and light context, and nothing that says who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utterance {
    /// The part of the text that is read; a beginning of the original, so that offsets hold for it too.
    pub text: String,
    /// That is not the whole text.
    pub truncated: bool,
    /// What sort of text it is.
    pub kind: Kind,
    /// The way it came.
    pub channel: Channel,
    /// Which way it went.
    pub direction: Direction,
    /// When it happened.
    pub occurred_at: Option<DateTime<Utc>>,
    /// Whom the text may name: taken out before it goes to an LLM. Never sent.
    pub known: redact::Known,
    /// The cascade asks the LLM however sure the embedded model is: the tenant wants it for this customer's segment. Never sent.
    pub always_llm: bool,
}

impl Utterance {
    /// The first `read_bytes` of `interaction`, as the gate decided. Takes the whole where `read_bytes` is no character boundary.
    #[must_use]
    pub fn of(interaction: &Interaction, read_bytes: usize) -> Self {
        let text = interaction.text.get(..read_bytes).unwrap_or(&interaction.text);
        Self {
            text: text.to_owned(),
            truncated: text.len() < interaction.text.len(),
            kind: interaction.kind,
            channel: interaction.channel,
            direction: interaction.direction,
            occurred_at: interaction.occurred_at,
            known: redact::Known::default(),
            always_llm: false,
        }
    }

    /// A customer's message that is read whole.
    #[must_use]
    pub fn message(text: &str) -> Self {
        Self::of(&Interaction::message("", "", text), text.len())
    }
}

/// What a tenant told of its own customers' language and concerns. It holds for every text of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Knowledge {
    /// Issue categories; empty stands for the default list for support.
    pub categories: Vec<Category>,
    /// Phrases that mean more, or something else, there.
    pub phrases: Vec<Phrase>,
    /// What the tenant's own labels taught the embedded model.
    pub lesson: Option<Arc<local::Lesson>>,
}

impl Knowledge {
    /// What stands in a tenant's settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { categories: settings.categories.clone(), phrases: settings.phrases.clone(), lesson: None }
    }
}

/// Texts of one tenant that are scored together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The texts.
    pub utterances: Vec<Utterance>,
    /// What their tenant told.
    pub knowledge: Arc<Knowledge>,
    /// The model a tenant chose over its default, for scorers that have several.
    pub model: Option<String>,
}

impl Batch {
    /// Texts of a tenant who told nothing, with the default model.
    #[must_use]
    pub fn new(utterances: Vec<Utterance>) -> Self {
        Self { utterances, knowledge: Arc::default(), model: None }
    }
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoVerdict {
    /// The scorer declines, for good: asking again would change nothing.
    #[error("{}", reason.explanation())]
    Abstained {
        /// Why.
        reason: SkipReason,
        /// The language the text seems to be in, ISO 639-1, where that is the reason.
        language: Option<String>,
    },
    /// The scorer's queue is full; ask again when it has worked something off.
    #[error("the scorer is busy; try again")]
    Busy,
    /// The LLM can not be asked at present: no connection, no credit, a limit. What then happens is the tenant's `when_unavailable`.
    #[error("the LLM can not be asked: {detail}")]
    Unavailable {
        /// Why, in the gate's word.
        reason: DeferReason,
        /// Why, for a person.
        detail: String,
        /// When asking again may be worth it, where that is known.
        until: Option<DateTime<Utc>>,
    },
    /// Something broke; asking again may help.
    #[error("scoring failed: {detail}")]
    Failed {
        /// What broke.
        detail: String,
    },
}

impl NoVerdict {
    fn failed(detail: String) -> Self {
        Self::Failed { detail }
    }
}

impl From<SkipReason> for NoVerdict {
    fn from(reason: SkipReason) -> Self {
        Self::Abstained { reason, language: None }
    }
}

/// Anything that turns text into verdicts.
pub trait Scorer: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> ScorerKind;

    /// Scores `batch`; the answers come in its order and are as many. One bad text never spoils its neighbours', and the same text gets
    /// the same answer whatever stands beside it.
    fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Result<Verdict, NoVerdict>>>;
}
