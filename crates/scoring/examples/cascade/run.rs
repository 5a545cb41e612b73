//! One scorer over many texts, a batch at a time, and what that took.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{BoxFuture, ready};
use undertone_core::Verdict;
use undertone_core::verdict::ScorerKind;
use undertone_llm_server::{Script, Server, Usage};
use undertone_scoring::cascade::Cascade;
use undertone_scoring::llm::ask::{Api, Endpoint, LlmScorer, Manner, Unlimited};
use undertone_scoring::llm::claude::CacheTime;
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};

use crate::TOGETHER;
use crate::provider::{NOON, World, fenced};
use crate::simulator::Gold;

type Answer = Result<Verdict, NoVerdict>;

/// What the embedded model said of each text.
pub type Readings = Arc<HashMap<String, Answer>>;

/// The embedded model's readings, said again.
struct Remembered(Readings);

impl Scorer for Remembered {
    fn kind(&self) -> ScorerKind {
        ScorerKind::Local
    }

    fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Answer>> {
        let unknown = || Err(NoVerdict::Failed { detail: "it was not read".to_owned() });
        let answer = |utterance: &Utterance| self.0.get(&utterance.text).cloned().unwrap_or_else(unknown);
        ready(batch.utterances.iter().map(answer).collect()).boxed()
    }
}

/// A scorer with a server of its own.
pub struct Run {
    server: Server,
    scorer: Arc<dyn Scorer>,
}

/// What came of the texts.
pub struct Told {
    pub verdicts: Vec<Option<Verdict>>,
    /// Texts the LLM was asked about, those it was asked about again left out.
    pub asked: u64,
    pub requests: usize,
    pub usage: Usage,
}

impl Told {
    /// Input tokens of a verdict, whoever gave it, by what they cost: as many uncached ones as would cost the same. Reading from the
    /// provider's cache costs a tenth, writing there for an hour twice as much (`reference/claude.md`).
    pub fn billed_input_each(&self) -> f64 {
        self.input_each(2.0 * self.usage.cache_write_1h as f64)
    }

    /// The same where the rubric was kept already, as in a service that asks at least once an hour: what was written is read.
    pub fn kept_input_each(&self) -> f64 {
        self.input_each(0.1 * self.usage.cache_write_1h as f64)
    }

    fn input_each(&self, written: f64) -> f64 {
        let usage = &self.usage;
        let billed = usage.input as f64 + 0.1 * usage.cache_read as f64 + written;
        billed / self.verdicts.iter().flatten().count().max(1) as f64
    }
}

impl Run {
    /// Claude alone.
    pub fn alone(gold: Arc<Gold>) -> Result<Self, Box<dyn Error>> {
        let (server, llm) = llm(gold)?;
        Ok(Self { server, scorer: llm })
    }

    /// The embedded model, and Claude where it is unsure.
    pub fn cascade(known: &Readings, gold: Arc<Gold>, threshold: u8) -> Result<Self, Box<dyn Error>> {
        let (server, llm) = llm(gold)?;
        let local = Arc::new(Remembered(known.clone()));
        Ok(Self { server, scorer: Arc::new(Cascade { local, llm, threshold }) })
    }

    /// Scores `utterances`, so many at once.
    pub fn score(&self, utterances: &[Utterance], at_once: usize) -> Told {
        let mut verdicts = Vec::with_capacity(utterances.len());
        for part in utterances.chunks(at_once) {
            let answers = block_on(self.scorer.score(Batch::new(part.to_vec())));
            verdicts.extend(answers.into_iter().map(Result::ok));
        }
        let second = |verdict: &&Verdict| verdict.provenance.scorer != ScorerKind::Local;
        let asked = verdicts.iter().flatten().filter(second).count() as u64;
        let ledger = self.server.ledger();
        Told { verdicts, asked, requests: ledger.billed.len(), usage: ledger.usage() }
    }
}

/// The server and who asks it, as the service does: the rubric is kept for an hour, and the clock stands still.
fn llm(gold: Arc<Gold>) -> Result<(Server, Arc<LlmScorer>), Box<dyn Error>> {
    let millis = Arc::new(AtomicI64::new(NOON));
    let hand = millis.clone();
    let mut script = Script::new(Arc::new(move || World::now_of(&hand)));
    script.items = Arc::new(fenced);
    script.answer = Arc::new(move |seen| gold.answer(seen));
    let server = Server::start(script)?;
    let endpoint = Endpoint {
        api: Api::Claude { cache: Some(CacheTime::OneHour) },
        base_url: server.url(),
        key: Some("local-key".to_owned()),
        model: "claude-haiku-5-5".to_owned(),
    };
    let manner = Manner { together: TOGETHER, ..Manner::default() };
    let scorer = LlmScorer::new(endpoint, manner, Arc::new(World::new(millis)), Arc::new(Unlimited));
    Ok((server, Arc::new(scorer)))
}
