//! Requests that arrive together go to disk together: a commit waits for the disk, so one commit for many is what makes intake fast.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};
use undertone_store::accept::{Accepted, Incoming};
use undertone_store::{Reach, Store, StoreError, TenantId};

use crate::patience::patiently;
use crate::pipeline::Work;

/// Interactions written in one transaction, about.
const AT_ONCE: usize = 500;

/// Whose something is, and how far those go who hand it in: only what is alike in both is written together.
type Of = (TenantId, Reach);

/// What one request hands in.
struct Request {
    of: Of,
    items: Vec<Incoming>,
    answer: oneshot::Sender<Result<Vec<Accepted>, StoreError>>,
}

/// The way to disk.
#[derive(Clone)]
pub struct Gather(mpsc::Sender<Request>);

/// Why interactions were not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Too many requests wait already.
    #[error("too many requests wait to be written; try again in a second")]
    Busy,
    /// The database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gather {
    /// Starts `writers` tasks that write; `waiting` requests may wait for them.
    pub fn start(store: &Store, work: &Work, waiting: usize, writers: usize) -> Self {
        let (sender, receiver) = mpsc::channel::<Request>(waiting);
        let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..writers {
            let (store, work, receiver) = (store.clone(), work.clone(), receiver.clone());
            tokio::spawn(async move {
                loop {
                    let requests = {
                        let mut receiver = receiver.lock().await;
                        let Some(first) = receiver.recv().await else { return };
                        let mut count = first.items.len();
                        let mut requests = vec![first];
                        while count < AT_ONCE
                            && let Ok(request) = receiver.try_recv()
                        {
                            count += request.items.len();
                            requests.push(request);
                        }
                        requests
                    };
                    write(&store, &work, requests).await;
                }
            });
        }
        Self(sender)
    }

    /// One that nobody writes for, while what is answered beside it lives: every request waits.
    #[cfg(test)]
    pub fn stuck(waiting: usize) -> (Self, impl Sized) {
        let (sender, receiver) = mpsc::channel(waiting);
        (Self(sender), receiver)
    }

    /// Takes `items` in, or refuses at once when too many wait.
    pub async fn take(&self, of: Of, items: Vec<Incoming>) -> Result<Vec<Accepted>, Refused> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Request { of, items, answer }).map_err(|_| Refused::Busy)?;
        Ok(answered.await.map_err(|_| Refused::Busy)??)
    }

    /// Takes `items` in and waits for room, which holds back whoever sends a long file.
    pub async fn take_patiently(&self, of: Of, items: Vec<Incoming>) -> Result<Vec<Accepted>, Refused> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Request { of, items, answer }).await.map_err(|_| Refused::Busy)?;
        Ok(answered.await.map_err(|_| Refused::Busy)??)
    }
}

/// How often writing is tried while the database is busy or away for a moment.
const TRIES: u32 = 4;

async fn accept(store: &Store, (tenant, reach): Of, items: &[Incoming]) -> Result<Vec<Accepted>, StoreError> {
    patiently(TRIES, || store.accept_within(tenant, reach, items)).await
}

/// Writes requests, those that are alike in one transaction; where that fails, each alone, so that nobody suffers for a neighbour.
async fn write(store: &Store, work: &Work, requests: Vec<Request>) {
    let mut alike: BTreeMap<Of, Vec<Request>> = BTreeMap::new();
    for request in requests {
        alike.entry(request.of).or_default().push(request);
    }
    for (of, requests) in alike {
        if let [_] = requests.as_slice() {
            write_alone(store, of, requests).await;
        } else {
            write_together(store, of, requests).await;
        }
        work.wake(of.0);
    }
}

async fn write_together(store: &Store, of: Of, mut requests: Vec<Request>) {
    let sizes: Vec<usize> = requests.iter().map(|request| request.items.len()).collect();
    let items: Vec<Incoming> =
        requests.iter_mut().flat_map(|request| std::mem::take(&mut request.items)).collect();
    if let Ok(accepted) = accept(store, of, &items).await {
        let mut accepted = accepted.into_iter();
        for (request, size) in requests.into_iter().zip(sizes) {
            // Whoever asked may have gone; it is on disk all the same.
            let _ = request.answer.send(Ok(accepted.by_ref().take(size).collect()));
        }
        return;
    }
    let mut items = items.into_iter();
    for (request, size) in requests.iter_mut().zip(sizes) {
        request.items = items.by_ref().take(size).collect();
    }
    write_alone(store, of, requests).await;
}

async fn write_alone(store: &Store, of: Of, requests: Vec<Request>) {
    for request in requests {
        let _ = request.answer.send(accept(store, of, &request.items).await);
    }
}
