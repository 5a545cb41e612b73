//! One destination's lane: claims what is due, sends it, keeps what became of it, and goes on until nothing is due.

use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::future::{BoxFuture, Fuse, FusedFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::json;
use tokio::sync::watch;
use undertone_core::destination::DestinationKind;
use undertone_core::visibility::Viewer;
use undertone_store::destinations::{
    ClaimedDelivery, Destination, FinishedDeliveries, FinishedDelivery, Sent,
};
use undertone_store::{StoreError, TenantId};

use super::keep::Keeper;
use super::message::Message;
use super::{Outcome, Pace, Secrets, Tools, send, zendesk};
use crate::patience::{BRIEF, LONG, patiently};
use crate::{tell, visibility};

/// What is claimed is due again after this, whatever happened.
const LEASE: TimeDelta = TimeDelta::seconds(90);
/// Nothing of a batch is begun later than this: with the time a message may take, and that in which keeping its answer is tried again, it ends
/// within the lease.
const BEGUN_WITHIN: Duration = Duration::from_secs(25);
/// From then on there is no time left for keeping it patiently.
const KEPT_PATIENTLY_WITHIN: Duration = Duration::from_secs(65);
/// Messages claimed at once: few at first, more while they go fast.
const FEWEST: u16 = 8;
const MOST: u16 = 64;
/// What became of messages is kept so often, and they are sent for so long while it is being kept: where the process dies, what was answered in
/// that time is sent again.
const KEPT_EVERY: Duration = Duration::from_millis(100);
/// A batch within this time went fast.
const FAST: Duration = Duration::from_secs(1);

/// Sends what is due to a destination, until nothing is, it fails, or the service ends. Nothing is begun before `turn`, which moves on with
/// each message where the receiver wants a pause between them.
pub(super) async fn serve(
    (tools, keeper): (&Tools, &Arc<Keeper>),
    tenant: TenantId,
    id: &str,
    turn: &mut Instant,
    ending: &watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let owner = uuid::Uuid::new_v4().to_string();
    let mut most = FEWEST;
    while !*ending.borrow() {
        // Read anew each time: a person may have changed it, or switched it off.
        let Some(destination) = tools.store.destination(tenant, id).await?.filter(|d| d.active) else {
            return Ok(());
        };
        let secrets = match Secrets::open(&tools.keyring, tenant, &destination) {
            Ok(secrets) => secrets,
            Err(why) => return Err(StoreError::Invalid(why)),
        };
        // While nothing reaches it, one message finds out whether it works again.
        let most_now = if destination.failing_since.is_some() { 1 } else { most };
        // Boxed here and below: the compiler can not tell futures that borrow to be sendable otherwise.
        let claim = tools.store.claim_deliveries(tenant, &destination, (&owner, LEASE), most_now);
        let claimed = claim.boxed().await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let told = told(tools, tenant, &destination, claimed).await?;
        let batch = Batch {
            tools: tools.clone(),
            keeper: keeper.clone(),
            tenant,
            destination,
            secrets,
            owner: owner.clone(),
            began,
            ending: ending.clone(),
            is_stopped: AtomicBool::new(false),
        };
        if !batch.send(told, turn).boxed().await? {
            // The destination says when it is to be tried again.
            return Ok(());
        }
        most = if began.elapsed() < FAST { (most * 2).min(MOST) } else { FEWEST };
    }
    Ok(())
}

/// A message that is held, and what it says: the text, or why there is none.
type Told = (ClaimedDelivery, Result<Arc<str>, &'static str>);

/// What the messages say to whoever reads them there, at this moment.
async fn told(
    tools: &Tools,
    tenant: TenantId,
    destination: &Destination,
    claimed: Vec<ClaimedDelivery>,
) -> Result<Vec<Told>, StoreError> {
    const GONE: &str = "what it told of was erased, or is not kept any more";
    const WITHHELD: &str = "the visibility policy shows this to nobody in the audience of the destination";
    let ids: Vec<&str> = claimed.iter().map(|one| one.event_id.as_str()).collect();
    let events = tools.store.events_of(tenant, &ids).await?;
    let asked: Vec<_> = events.iter().map(|event| (event.event.as_str(), &event.payload)).collect();
    let viewer = Viewer::of_role(destination.config.audience);
    let seen = visibility::sent(&tools.store, tenant, viewer, &asked).await?;
    let seen = tell::with_what_became(&tools.store, tenant, &destination.id, &asked, seen).await?;
    let mut texts: HashMap<&str, Result<Arc<str>, &'static str>> = HashMap::new();
    for (event, seen) in events.iter().zip(seen) {
        let text = seen.ok_or(WITHHELD).map(|payload| {
            let mut data = destination.config.data(&payload);
            if let Some(link) = tell::place(&payload).and_then(|path| tell::link(&tools.public_url, &path)) {
                data["link"] = link.into();
            }
            json!({"type": event.event, "timestamp": event.created_at, "data": data}).to_string().into()
        });
        texts.insert(&event.id, text);
    }
    // An event may be due more than once: whoever replays it twice gets it twice.
    let told: Vec<_> =
        claimed.iter().map(|one| texts.get(one.event_id.as_str()).cloned().unwrap_or(Err(GONE))).collect();
    Ok(claimed.into_iter().zip(told).collect())
}

/// After this another message may follow at once.
fn goes_on(sent: &Sent) -> bool {
    matches!(sent, Sent::Delivered | Sent::Refused(_) | Sent::Withheld(_))
}

/// The receiver takes nothing at this moment: others would only find the same.
fn says_stop(finished: &[FinishedDelivery]) -> bool {
    let any = |is_so: fn(&Sent) -> bool| finished.iter().any(|done| is_so(&done.sent));
    any(|sent| matches!(sent, Sent::Throttled(..) | Sent::Gone { .. }))
        || any(|sent| matches!(sent, Sent::Failed(_))) && !any(|sent| *sent == Sent::Delivered)
}

/// Messages that were claimed together.
struct Batch {
    tools: Tools,
    keeper: Arc<Keeper>,
    tenant: TenantId,
    destination: Destination,
    secrets: Secrets,
    owner: String,
    began: Instant,
    ending: watch::Receiver<bool>,
    is_stopped: AtomicBool,
}

impl Batch {
    /// Sends them and keeps what became of each; answers whether the destination takes more.
    async fn send(&self, told: Vec<Told>, turn: &mut Instant) -> Result<bool, StoreError> {
        let pace = Pace::of(self.destination.kind);
        if pace.together > 1 {
            return self.send_together(told, pace.together).await;
        }
        // Kept one by one: most of these receivers know no message again, and at worst one is there twice.
        let mut told = told.into_iter();
        while let Some(next) = told.next() {
            if next.1.is_ok() {
                tokio::time::sleep_until((*turn).into()).await;
                *turn = Instant::now() + pace.gap;
            }
            let mut ended = vec![self.one(next).boxed().await];
            if !goes_on(&ended[0].sent) {
                // The others are given back: they would find the same.
                ended.extend(told.by_ref().map(|(claimed, _)| self.untried(claimed)));
            }
            if !self.keep(ended).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Several under way at once. What became of some is kept while others go on.
    async fn send_together(&self, told: Vec<Told>, together: usize) -> Result<bool, StoreError> {
        let (mut waiting, mut under_way) = (told.into_iter(), FuturesUnordered::new());
        let (mut ended, mut takes_more) = (Vec::new(), true);
        let (mut keeping, mut kept_at) = (Fuse::terminated(), Instant::now());
        loop {
            // While keeping takes long, nothing is begun: what is answered then may not be kept either.
            if keeping.is_terminated() || kept_at.elapsed() < KEPT_EVERY {
                let next = waiting.by_ref().take(together - under_way.len());
                under_way.extend(next.map(|told| self.one(told).boxed()));
            }
            tokio::select! {
                kept = &mut keeping, if !keeping.is_terminated() => takes_more &= kept?,
                Some(done) = under_way.next() => ended.push(done),
                else => break,
            }
            if keeping.is_terminated() && !ended.is_empty() && kept_at.elapsed() > KEPT_EVERY {
                keeping = self.keep(take(&mut ended)).fuse();
                kept_at = Instant::now();
            }
        }
        if !ended.is_empty() {
            takes_more &= self.keep(ended).await?;
        }
        Ok(takes_more)
    }

    /// Nothing more is begun: there is no time left, or the destination takes nothing now.
    fn is_over(&self) -> bool {
        self.began.elapsed() > BEGUN_WITHIN
            || *self.ending.borrow()
            || self.is_stopped.load(Ordering::Relaxed)
    }

    /// Keeps what became of some; answers whether the destination takes more. Whether anything more is begun is settled before it is waited for.
    fn keep(&self, messages: Vec<FinishedDelivery>) -> BoxFuture<'_, Result<bool, StoreError>> {
        let delivered = messages.iter().filter(|done| done.sent == Sent::Delivered).count() as u64;
        metrics::counter!("undertone_delivered_total").increment(delivered);
        metrics::counter!("undertone_undelivered_total").increment(messages.len() as u64 - delivered);
        if says_stop(&messages) {
            self.is_stopped.store(true, Ordering::Relaxed);
        }
        let goes_on = messages.iter().all(|done| goes_on(&done.sent));
        let (destination, owner) = (self.destination.id.clone(), self.owner.clone());
        let finished = Arc::new(FinishedDeliveries { destination, owner, messages });
        async move {
            let mut tries = 0;
            let keep = || {
                tries += 1;
                if tries > 1 {
                    // What is begun now may not be kept either.
                    self.is_stopped.store(true, Ordering::Relaxed);
                }
                self.keeper.keep(&self.tools.store, self.tenant, &finished)
            };
            // A keep before this one may have taken long.
            let patience = if self.began.elapsed() > KEPT_PATIENTLY_WITHIN { BRIEF } else { LONG };
            patiently(patience, keep).await?;
            Ok(goes_on)
        }
        .boxed()
    }

    fn untried(&self, claimed: ClaimedDelivery) -> FinishedDelivery {
        let (sent, began_at) = (Sent::Untried, self.tools.store.now());
        FinishedDelivery { claimed, sent, status: None, began_at, millis: 0, chance: 0.0 }
    }

    /// The alert that a message calls for is over. Asked where a message changes what people work with: there an end that passes its beginning,
    /// tried again for days, would leave a mark for ever.
    async fn is_over_by_now(&self, claimed: &ClaimedDelivery) -> Result<bool, StoreError> {
        let is_to_stand = self.destination.kind == DestinationKind::Zendesk && zendesk::marks(&claimed.event);
        Ok(is_to_stand && !self.tools.store.alert_stands(self.tenant, &claimed.subject_id).await?)
    }

    async fn one(&self, (claimed, told): Told) -> FinishedDelivery {
        if self.is_over() {
            return self.untried(claimed);
        }
        let (tools, destination) = (&self.tools, &self.destination);
        let is_over = match self.is_over_by_now(&claimed).await {
            Ok(is_over) => is_over,
            Err(error) => {
                tracing::warn!(%error, delivery = claimed.id, "the delivery {} waits: {error}", claimed.id);
                return self.untried(claimed);
            }
        };
        let began_at = tools.store.now();
        let clock = Instant::now();
        let Outcome { sent, status } = match &told {
            Err(why) => Outcome { sent: Sent::Withheld((*why).to_owned()), status: None },
            Ok(body) => {
                let message = Message {
                    id: &claimed.event_id,
                    event: &claimed.event,
                    subject: &claimed.subject_id,
                    body,
                    at: began_at,
                    options: &destination.config.options,
                    secrets: &self.secrets,
                    public_url: &tools.public_url,
                    is_over,
                };
                send(&tools.outward, destination.kind, &message).await
            }
        };
        if sent != Sent::Delivered {
            // What was answered may quote what was sent: it stands with the delivery, where an erasure reaches it, and in no log.
            tracing::debug!(
                destination = destination.id,
                delivery = claimed.id,
                attempt = claimed.attempts,
                "the delivery {} did not arrive at attempt {}",
                claimed.id,
                claimed.attempts
            );
        }
        let millis = i64::try_from(clock.elapsed().as_millis()).unwrap_or(i64::MAX);
        FinishedDelivery { claimed, sent, status, began_at, millis, chance: rand::random() }
    }
}

impl Pace {
    /// For tests and the figures in the documentation.
    #[cfg(test)]
    fn of_every_kind() -> Vec<(undertone_core::destination::DestinationKind, Self)> {
        undertone_core::destination::DestinationKind::ALL
            .into_iter()
            .map(|kind| (kind, Self::of(kind)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::pauses;

    #[test]
    fn who_takes_nothing_is_not_asked_by_the_others() {
        let done = |sent| FinishedDelivery {
            claimed: ClaimedDelivery {
                id: "d1".to_owned(),
                event_id: "e1".to_owned(),
                event: "alert.raised".to_owned(),
                subject_id: "a1".to_owned(),
                attempts: 1,
                created_at: chrono::DateTime::UNIX_EPOCH,
            },
            sent,
            status: None,
            began_at: chrono::DateTime::UNIX_EPOCH,
            millis: 1,
            chance: 0.0,
        };
        let says = |some: &[Sent]| says_stop(&some.iter().cloned().map(done).collect::<Vec<_>>());
        let (failed, taken) = (Sent::Failed("it answers 500".to_owned()), Sent::Delivered);
        assert!(says(&[failed.clone(), failed.clone()]));
        assert!(!says(&[failed, taken.clone()]), "one message may be at fault");
        assert!(says(&[taken.clone(), Sent::Throttled(TimeDelta::seconds(5), "it answers 429".to_owned())]));
        assert!(!says(&[taken, Sent::Refused("it answers 400".to_owned()), Sent::Untried]));
    }

    #[test]
    fn what_is_begun_ends_within_the_lease() {
        let lease = LEASE.to_std().unwrap();
        assert!(
            BEGUN_WITHIN + super::super::LONGEST <= KEPT_PATIENTLY_WITHIN,
            "the last answer is kept patiently"
        );
        assert!(
            KEPT_PATIENTLY_WITHIN + pauses(LONG) + pauses(BRIEF) < lease,
            "also where one is kept after another"
        );
        assert!(pauses(LONG) > Duration::from_secs(20), "as the documents promise");
        for (kind, pace) in Pace::of_every_kind() {
            assert!(pace.together > 0, "{kind:?}");
        }
    }
}
