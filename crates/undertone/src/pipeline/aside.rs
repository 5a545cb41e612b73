//! The embedded model for batches that ask an LLM: they come many at a time, and take no more of it together than one worker would.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::sync::Semaphore;
use undertone_core::Verdict;
use undertone_core::verdict::ScorerKind;
use undertone_scoring::{Batch, Knowledge, NoVerdict, Scorer, Utterance};

/// The embedded model, of whose queue only so many places are used.
pub struct Aside {
    local: Arc<dyn Scorer>,
    places: Semaphore,
}

impl Aside {
    /// `local`, at most `places` texts at a time.
    pub fn new(local: Arc<dyn Scorer>, places: u16) -> Self {
        Self { local, places: Semaphore::new(places.into()) }
    }

    async fn score_one(&self, utterance: Utterance, knowledge: Arc<Knowledge>) -> Result<Verdict, NoVerdict> {
        // It is never closed.
        let _place = self.places.acquire().await;
        let batch = Batch { utterances: vec![utterance], knowledge, model: None };
        let nothing = || NoVerdict::Failed { detail: "the embedded model gave no answer".to_owned() };
        self.local.score(batch).await.pop().unwrap_or_else(|| Err(nothing()))
    }
}

impl Scorer for Aside {
    fn kind(&self) -> ScorerKind {
        self.local.kind()
    }

    fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Result<Verdict, NoVerdict>>> {
        let Batch { utterances, knowledge, .. } = batch;
        join_all(utterances.into_iter().map(|utterance| self.score_one(utterance, knowledge.clone()))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how many texts it has at once.
    #[derive(Default)]
    struct Counting {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Scorer for Counting {
        fn kind(&self) -> ScorerKind {
            ScorerKind::Local
        }

        fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Result<Verdict, NoVerdict>>> {
            async move {
                let now =
                    self.now.fetch_add(batch.utterances.len(), Ordering::SeqCst) + batch.utterances.len();
                self.most.fetch_max(now, Ordering::SeqCst);
                tokio::task::yield_now().await;
                self.now.fetch_sub(batch.utterances.len(), Ordering::SeqCst);
                batch.utterances.iter().map(|u| Err(NoVerdict::Failed { detail: u.text.clone() })).collect()
            }
            .boxed()
        }
    }

    #[tokio::test]
    async fn no_more_texts_at_a_time_than_it_has_places_and_answers_in_order() {
        let counting = Arc::new(Counting::default());
        let aside = Aside::new(counting.clone(), 3);
        let batch =
            |from: usize| Batch::new((from..from + 20).map(|n| Utterance::message(&n.to_string())).collect());
        let answers = join_all([aside.score(batch(0)), aside.score(batch(20))]).await.concat();
        let told: Vec<String> = answers.into_iter().map(|a| a.unwrap_err().to_string()).collect();
        assert_eq!(told, (0..40).map(|n| format!("scoring failed: {n}")).collect::<Vec<_>>());
        assert_eq!(counting.most.load(Ordering::SeqCst), 3);
    }
}
