//! The embedded reader as a scorer: a few threads behind a queue of bounded length. What does not fit is refused, not piled up.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, join_all};
use undertone_core::verdict::ScorerKind;
use undertone_core::{Category, Verdict};

use super::artifact::{Artifact, ArtifactError};
use super::encoder::Lane;
use super::lesson::{Example, Learned, TooFew};
use super::reader::{CategorySpace, Reader};
use crate::{Batch, Knowledge, NoVerdict, Scorer, Utterance};

/// Tenants whose categories stay prepared. One more, and all are prepared again when next asked for.
const MOST_TENANTS: usize = 64;

/// How many threads read, and how many texts may wait for them.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Threads; each keeps a core busy.
    pub threads: NonZeroUsize,
    /// Texts that may wait. More are answered [`NoVerdict::Busy`].
    pub waiting: usize,
}

impl Default for Capacity {
    /// A thread for each core, and a thousand texts waiting.
    fn default() -> Self {
        Self { threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN), waiting: 1000 }
    }
}

type Answer = Result<Verdict, NoVerdict>;

/// A text on its way through the queue.
struct Job {
    utterance: Utterance,
    knowledge: Arc<Knowledge>,
    answer: oneshot::Sender<Answer>,
}

/// Lists of categories with their places, each found once.
type Prepared = Vec<(Arc<Knowledge>, Arc<OnceLock<CategorySpace>>)>;

/// What the threads share.
struct Shared {
    reader: Reader,
    prepared: Mutex<Prepared>,
}

/// The embedded reader on threads.
///
/// ```
/// use futures::executor::block_on;
/// use undertone_core::Label;
/// use undertone_scoring::local::LocalScorer;
/// use undertone_scoring::{Batch, Scorer, Utterance};
///
/// let scorer = LocalScorer::embedded()?;
/// let batch = Batch::new(vec![Utterance::message("This is the third time I write and nobody answers.")]);
/// let verdict = block_on(scorer.score(batch)).remove(0)?;
/// assert_eq!(verdict.label, Label::Negative);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LocalScorer {
    card: std::borrow::Cow<'static, str>,
    shared: Arc<Shared>,
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl LocalScorer {
    /// With the model compiled into this program, a thread for each core.
    pub fn embedded() -> Result<Self, ArtifactError> {
        Self::new(Artifact::embedded()?, Capacity::default())
    }

    /// With `artifact` on as many threads as `capacity` says.
    pub fn new(artifact: Artifact, capacity: Capacity) -> Result<Self, ArtifactError> {
        let card = artifact.card.clone();
        let shared = Arc::new(Shared { reader: Reader::new(artifact)?, prepared: Mutex::default() });
        let (queue, jobs) = sync_channel(capacity.waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = (0..capacity.threads.get())
            .map(|number| {
                let (shared, jobs) = (shared.clone(), jobs.clone());
                std::thread::Builder::new()
                    .name(format!("reader-{number}"))
                    .spawn(move || work(&shared, &jobs))
                    .map_err(ArtifactError::NoThread)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { card, shared, queue: Some(queue), threads })
    }

    /// The categories nothing can be sorted under, because neither name nor examples are in a language this model reads.
    pub fn unreadable_categories<'c>(
        &'c self,
        categories: &'c [Category],
    ) -> impl Iterator<Item = &'c Category> {
        categories.iter().filter(|category| self.shared.reader.is_unreadable(category))
    }

    /// Learns from what a tenant's people say of `examples`, as that tenant's lesson number `version`, on the caller's thread: reading a
    /// thousand texts takes some seconds.
    pub fn learn(&self, examples: &[Example], version: u32) -> Result<Learned, TooFew> {
        self.shared.reader.learn(examples, version)
    }

    /// The model card, Markdown.
    #[must_use]
    pub fn card(&self) -> &str {
        &self.card
    }

    /// The version of the model.
    #[must_use]
    pub fn model_version(&self) -> &str {
        self.shared.reader.version()
    }

    fn enqueue(&self, utterance: Utterance, knowledge: &Arc<Knowledge>) -> BoxFuture<'static, Answer> {
        let (answer, answered) = oneshot::channel();
        let job = Job { utterance, knowledge: knowledge.clone(), answer };
        let refused = match self.queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Ok(())) => None,
            Some(Err(TrySendError::Full(_))) => Some(NoVerdict::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => {
                Some(NoVerdict::failed("the reading threads have ended".to_owned()))
            }
        };
        async move {
            match refused {
                Some(reason) => Err(reason),
                None => answered
                    .await
                    .unwrap_or_else(|_| Err(NoVerdict::failed("the reading thread ended".to_owned()))),
            }
        }
        .boxed()
    }
}

impl Scorer for LocalScorer {
    fn kind(&self) -> ScorerKind {
        ScorerKind::Local
    }

    fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Answer>> {
        let Batch { utterances, knowledge, .. } = batch;
        join_all(utterances.into_iter().map(|utterance| self.enqueue(utterance, &knowledge))).boxed()
    }
}

impl Drop for LocalScorer {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing more to give back.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared, jobs: &Mutex<Receiver<Job>>) {
    let lane = Lane::new();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { utterance, knowledge, answer }) = next else { return };
        // Nobody waits for it any more.
        if answer.is_canceled() {
            continue;
        }
        let read = AssertUnwindSafe(|| shared.read(&utterance, &knowledge, &lane));
        let verdict = catch_unwind(read).unwrap_or_else(|_| {
            Err(NoVerdict::failed("reading this text broke; please report it".to_owned()))
        });
        // Gone meanwhile: the same as above.
        let _ = answer.send(verdict);
    }
}

impl Shared {
    fn read(&self, utterance: &Utterance, knowledge: &Arc<Knowledge>, lane: &Lane) -> Answer {
        let space = (!knowledge.categories.is_empty()).then(|| self.space(knowledge));
        let space = space
            .as_ref()
            .map(|slot| slot.get_or_init(|| self.reader.place_categories(&knowledge.categories, lane)));
        self.reader.read(utterance, space, knowledge, lane)
    }

    /// Where the places of a tenant's categories are kept.
    fn space(&self, knowledge: &Arc<Knowledge>) -> Arc<OnceLock<CategorySpace>> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        // Mostly it is the very same list; comparing what is in it is for a tenant whose settings were loaded again.
        let known = prepared
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, knowledge))
            .or_else(|| prepared.iter().find(|(known, _)| known.categories == knowledge.categories));
        if let Some((_, slot)) = known {
            return slot.clone();
        }
        if prepared.len() >= MOST_TENANTS {
            prepared.clear();
        }
        let slot = Arc::default();
        prepared.push((knowledge.clone(), Arc::clone(&slot)));
        slot
    }
}
