//! The purse of a tenant: its budget in the database, asked before each request to an LLM and told after it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::Instant;
use undertone_core::Usage;
use undertone_core::gate::DeferReason;
use undertone_core::usage::Feature;
use undertone_core::usage::price::{Made, Price, Prices};
use undertone_core::usage::sums::Saved;
use undertone_core::verdict::ScorerKind;
use undertone_scoring::llm::ask::{Ending, Hold, Line, Planned, Purse, Refused};
use undertone_store::budget::{Bill, Caps, Frees, Refusal, Reservation, ReserveRequest, Reserved};
use undertone_store::{Store, StoreError, TenantId};

/// A request is one exchange of at most two minutes. One of which nothing was heard for so long is lost.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// How long a request waits for others to be settled that hold what it needs.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the budget is looked at meanwhile: requests of other nodes are settled without a word to this one.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When asking again may be worth it, where requests under way hold the rest of a budget.
const SETTLES_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// How often the database is tried at most before a request is given up, or left to the end of its lease.
const TRIES: u32 = 8;
/// The pause after a try that failed: this, and twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A tenant's purse. Its clones are the same purse.
///
/// Requests to a provider ask for money one after the other, in the order they came: the database lets them do nothing else, and so nobody who waits
/// for others to be settled is overtaken.
#[derive(Clone)]
pub struct TenantPurse(Arc<Inner>);

struct Inner {
    store: Store,
    tenant: TenantId,
    prices: Arc<Prices>,
    owner: Arc<str>,
    patience: Duration,
    /// A line for each provider, since whoever is first in one may wait for the provider too.
    of_claude: Mutex<()>,
    of_openai: Mutex<()>,
    settled: Notify,
}

impl TenantPurse {
    /// The purse of `tenant`; `owner` is this process's name in the ledger.
    pub fn new(store: &Store, tenant: TenantId, prices: Arc<Prices>, owner: Arc<str>) -> Self {
        Self::patient(store, tenant, prices, owner, PATIENCE)
    }

    fn patient(
        store: &Store,
        tenant: TenantId,
        prices: Arc<Prices>,
        owner: Arc<str>,
        patience: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            store: store.clone(),
            tenant,
            prices,
            owner,
            patience,
            of_claude: Mutex::default(),
            of_openai: Mutex::default(),
            settled: Notify::new(),
        }))
    }
}

impl Purse for TenantPurse {
    fn reserve<'a>(&'a self, planned: Planned<'a>) -> BoxFuture<'a, Result<Hold, Refused>> {
        async move {
            let mut line = self.line(planned.scorer).await;
            loop {
                if let Some(decided) = line.ask(planned).await {
                    return decided;
                }
                line.wait().await;
            }
        }
        .boxed()
    }

    fn line(&self, scorer: ScorerKind) -> BoxFuture<'_, Box<dyn Line + '_>> {
        async move {
            let (inner, begun) = (&*self.0, Instant::now());
            let line = if scorer == ScorerKind::Openai { &inner.of_openai } else { &inner.of_claude };
            let held = line.lock().await;
            let place: Box<dyn Line + '_> =
                Box::new(First { inner, begun, failed: 0, waits: None, _line: held });
            place
        }
        .boxed()
    }

    fn settle<'a>(&'a self, hold: Hold, planned: Planned<'a>, ending: Ending) -> BoxFuture<'a, u64> {
        let Some((day, call)) = named(&hold) else { return std::future::ready(0).boxed() };
        let price = self.0.prices.of(planned.model, day).copied();
        let bill = match ending {
            Ending::Charged(usage) => Some(bill(usage, price.as_ref(), planned.texts)),
            Ending::Free => None,
            // The most it can have taken counts as spent once its lease has ended, until somebody knows better.
            Ending::Unknown => return std::future::ready(0).boxed(),
        };
        let cost = bill.and_then(|bill| bill.micros).unwrap_or_default();
        let (inner, call) = (self.0.clone(), call.to_owned());
        // Whoever waits for the verdict may go away; what the request took is counted all the same.
        let settling = tokio::spawn(async move { inner.settle(&call, bill).await });
        async move {
            // It logs its own failures, and what a request cost is known without it.
            let _ = settling.await;
            cost
        }
        .boxed()
    }
}

/// Who is first in line.
struct First<'p> {
    inner: &'p Inner,
    /// When it came into the line.
    begun: Instant,
    /// Times in a row that the database could not be asked.
    failed: u32,
    waits: Option<Waits<'p>>,
    _line: MutexGuard<'p, ()>,
}

/// What is waited for before the next look.
enum Waits<'p> {
    /// Somebody settles. It notices who does so from when it is made.
    Settled(Pin<Box<Notified<'p>>>),
    /// The database is well again.
    Pause(Duration),
}

impl Line for First<'_> {
    fn ask<'a>(&'a mut self, planned: Planned<'a>) -> BoxFuture<'a, Option<Result<Hold, Refused>>> {
        async move {
            let inner = self.inner;
            // Before the look, so that nothing is missed that is settled in between.
            let settled = inner.settled.notified();
            let day = inner.store.now().date_naive();
            match inner.ask(planned, day).await {
                Ok(Reserved::Granted(Reservation { id, .. })) => Some(Ok(Hold(format!("{day} {id}")))),
                Ok(Reserved::Refused(refusal)) => {
                    let waits = refusal.frees == Frees::WhenCallsSettle;
                    if !waits || self.begun.elapsed() >= inner.patience {
                        return Some(Err(refused(&refusal, planned.texts, inner.store.now())));
                    }
                    self.failed = 0;
                    self.waits = Some(Waits::Settled(Box::pin(settled)));
                    None
                }
                Err(error) if may_pass(&error) && self.failed < TRIES => {
                    self.waits = Some(Waits::Pause(FIRST_PAUSE * (1 << self.failed)));
                    self.failed += 1;
                    None
                }
                Err(error) => {
                    let tenant = inner.tenant.0;
                    tracing::error!(%error, tenant, "the budget of tenant {tenant} can not be asked: {error}");
                    Some(Err(Refused {
                        reason: DeferReason::LlmUnavailable,
                        detail: "the budget can not be asked; the cause is in the log".to_owned(),
                        until: None,
                        smaller_may_fit: false,
                    }))
                }
            }
        }
        .boxed()
    }

    fn wait(&mut self) -> BoxFuture<'_, ()> {
        async {
            match self.waits.take() {
                // Whichever comes first.
                Some(Waits::Settled(settled)) => drop(tokio::time::timeout(LOOK_EVERY, settled).await),
                Some(Waits::Pause(pause)) => tokio::time::sleep(pause).await,
                None => {}
            }
        }
        .boxed()
    }
}

impl Inner {
    /// Caps are those of this moment: one that was raised a moment ago holds.
    async fn ask(&self, planned: Planned<'_>, day: NaiveDate) -> Result<Reserved, StoreError> {
        let gone = || StoreError::Invalid("the tenant is gone".to_owned());
        let tenant = self.store.tenant(self.tenant).await?.ok_or_else(gone)?;
        let Planned { scorer, model, texts, size, caching } = planned;
        let price = self.prices.of(model, day);
        let most = |price: &Price| price.most_cost(size.most_prompt(), size.max_tokens, caching, false);
        let request = ReserveRequest {
            feature: Feature::Scoring,
            model,
            scorer,
            owner: &self.owner,
            texts,
            batched: false,
            most_tokens: size.most_tokens(),
            most_micros: price.map(most),
            lease: LEASE,
        };
        self.store.reserve_call(&tenant, &self.caps().await?, &request).await
    }

    async fn caps(&self) -> Result<Caps, StoreError> {
        Ok(Caps::of(&self.store.module(self.tenant).await?.settings))
    }

    /// Counts `bill`, or gives back what was set aside where there is none.
    async fn settle(&self, call: &str, bill: Option<Bill>) {
        for tried in 0.. {
            let Err(error) = self.end(call, bill.as_ref()).await else { break };
            if tried == TRIES || !may_pass(&error) {
                let tenant = self.tenant.0;
                tracing::error!(
                    %error, tenant, call,
                    "call {call} of tenant {tenant} could not be settled; its most counts as spent when its lease ends: {error}"
                );
                return;
            }
            tokio::time::sleep(FIRST_PAUSE * (1 << tried)).await;
        }
        self.settled.notify_waiters();
    }

    async fn end(&self, call: &str, bill: Option<&Bill>) -> Result<(), StoreError> {
        let caps = self.caps().await?;
        match bill {
            Some(bill) => self.store.settle_call(self.tenant, &caps, call, bill).await.map(drop),
            None => self.store.release_call(self.tenant, &caps, call).await.map(drop),
        }
    }
}

/// The UTC day whose prices hold for a request, and its id in the ledger.
fn named(hold: &Hold) -> Option<(NaiveDate, &str)> {
    let (day, call) = hold.0.split_once(' ')?;
    Some((day.parse().ok()?, call))
}

fn bill(usage: Usage, price: Option<&Price>, texts: u32) -> Bill {
    // What all texts of a request share is what the provider kept of it, by its own count. Without a cache nobody counted it.
    let shared_tokens = usage.prompt().saturating_sub(usage.input);
    let made = Made { batched: false, texts: texts.into(), shared_tokens };
    Bill {
        usage,
        micros: price.map(|price| price.cost(usage, false)),
        saved: price.map_or_else(
            // What was not sent again is known without a price.
            || Saved { packing_tokens: made.packing_tokens(), ..Saved::default() },
            |price| price.saved(usage, made),
        ),
    }
}

/// Trying again may help. A conflict is a budget that somebody changed while it was read.
fn may_pass(error: &StoreError) -> bool {
    error.is_passing() || matches!(error, StoreError::Conflict(_))
}

fn refused(refusal: &Refusal, texts: u32, now: DateTime<Utc>) -> Refused {
    let until = match refusal.frees {
        Frees::At(at) => Some(at),
        Frees::WhenCallsSettle => Some(now + SETTLES_WITHIN),
        Frees::WithHigherCap => None,
    };
    Refused {
        reason: refusal.reason(),
        detail: refusal.to_string(),
        until,
        smaller_may_fit: refusal.frees == Frees::WithHigherCap && texts > 1,
    }
}

#[cfg(test)]
mod tests;
