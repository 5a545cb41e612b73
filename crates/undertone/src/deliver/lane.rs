//! One destination's lane: claims what is due, sends it, keeps what became of it, and goes on until nothing is due.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use undertone_core::visibility::Viewer;
use undertone_store::destinations::{ClaimedDelivery, Destination, FinishedDelivery, Sent};
use undertone_store::{StoreError, TenantId};

use super::message::Message;
use super::{Outcome, Pace, Secrets, Tools, send};
use crate::{tell, visibility};

/// What is claimed is due again after this, whatever happened.
const LEASE: TimeDelta = TimeDelta::seconds(90);
/// Nothing of a batch is begun later than this: with the time a message may take it ends within the lease.
const BEGUN_WITHIN: Duration = Duration::from_secs(45);
/// Messages claimed at once: few at first, more while they go fast.
const FEWEST: u16 = 8;
const MOST: u16 = 64;
/// A batch within this time went fast.
const FAST: Duration = Duration::from_secs(1);

/// Sends what is due to a destination, until nothing is, it fails, or the service ends.
pub(super) async fn serve(
    tools: &Tools,
    tenant: TenantId,
    id: &str,
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
        // While it fails, one message finds out whether it works again.
        let fails = destination.failures > 0;
        let claimed =
            tools.store.claim_deliveries(tenant, id, (&owner, LEASE), if fails { 1 } else { most }).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let told = told(tools, tenant, &destination, claimed).await?;
        let finished = send_all(tools, &destination, &secrets, told, began, ending).await;
        let ended_badly =
            finished.iter().any(|done| !matches!(done.sent, Sent::Delivered | Sent::Refused(_)));
        let delivered = finished.iter().filter(|done| done.sent == Sent::Delivered).count() as u64;
        metrics::counter!("undertone_delivered_total").increment(delivered);
        metrics::counter!("undertone_undelivered_total").increment(finished.len() as u64 - delivered);
        tools.store.finish_deliveries(tenant, id, &owner, &finished).await?;
        if ended_badly {
            // The destination says when it is to be tried again.
            return Ok(());
        }
        most = if began.elapsed() < FAST { (most * 2).min(MOST) } else { FEWEST };
    }
    Ok(())
}

/// A message that is held, and what it says: the text, or why there is none.
type Told = (ClaimedDelivery, Result<String, &'static str>);

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
    let about = |payload: &Value| payload["interaction_id"].as_str().map(str::to_owned);
    let asked = events
        .iter()
        .map(|event| (event.event.as_str(), about(&event.payload), event.payload.clone()))
        .collect();
    let viewer = Viewer::of_role(destination.config.audience);
    let seen = visibility::payloads(&tools.store, tenant, viewer, asked).await?;
    let mut texts: HashMap<&str, Result<String, &'static str>> = HashMap::new();
    for (event, seen) in events.iter().zip(seen) {
        let text = seen.ok_or(WITHHELD).map(|payload| {
            let mut data = destination.config.data(&payload);
            if let (Some(path), false) = (tell::place(&payload), tools.public_url.is_empty()) {
                data["link"] = format!("{}{path}", tools.public_url).into();
            }
            json!({"type": event.event, "timestamp": event.created_at, "data": data}).to_string()
        });
        texts.insert(&event.id, text);
    }
    let told = claimed
        .iter()
        .map(|one| texts.remove(one.event_id.as_str()).unwrap_or(Err(GONE)))
        .collect::<Vec<_>>();
    Ok(claimed.into_iter().zip(told).collect())
}

async fn send_all(
    tools: &Tools,
    destination: &Destination,
    secrets: &Secrets,
    told: Vec<Told>,
    began: Instant,
    ending: &watch::Receiver<bool>,
) -> Vec<FinishedDelivery> {
    let pace = Pace::of(destination.kind);
    // Boxed: the compiler can not tell a stream of borrowing futures to be sendable otherwise.
    let sends: Vec<BoxFuture<'_, FinishedDelivery>> = told
        .into_iter()
        .enumerate()
        .map(|(place, told)| {
            async move {
                if !pace.gap.is_zero() {
                    let turn = pace.gap * u32::try_from(place).unwrap_or(u32::MAX);
                    tokio::time::sleep_until((began + turn).into()).await;
                }
                let untried = began.elapsed() > BEGUN_WITHIN || *ending.borrow();
                one(tools, destination, secrets, told, untried).await
            }
            .boxed()
        })
        .collect();
    futures::stream::iter(sends).buffered(pace.together).collect().await
}

async fn one(
    tools: &Tools,
    destination: &Destination,
    secrets: &Secrets,
    (claimed, told): Told,
    untried: bool,
) -> FinishedDelivery {
    let began_at = tools.store.now();
    let clock = Instant::now();
    let Outcome { sent, status } = match &told {
        _ if untried => Outcome { sent: Sent::Untried, status: None },
        Err(why) => Outcome { sent: Sent::Refused((*why).to_owned()), status: None },
        Ok(body) => {
            let message = Message {
                id: &claimed.event_id,
                event: &claimed.event,
                subject: &claimed.subject_id,
                body,
                at: began_at,
                options: &destination.config.options,
                secrets,
                public_url: &tools.public_url,
            };
            send(&tools.outward, destination.kind, &message).await
        }
    };
    if !matches!(sent, Sent::Delivered | Sent::Untried) {
        tracing::debug!(
            destination = destination.id,
            delivery = claimed.id,
            attempt = claimed.attempts,
            "{sent:?}"
        );
    }
    let millis = i64::try_from(clock.elapsed().as_millis()).unwrap_or(i64::MAX);
    FinishedDelivery { claimed, sent, status, began_at, millis, chance: rand::random() }
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

    #[test]
    fn what_is_begun_ends_within_the_lease() {
        let longest = BEGUN_WITHIN + super::super::outward::DEADLINE;
        assert!(TimeDelta::from_std(longest).unwrap() < LEASE);
        for (kind, pace) in Pace::of_every_kind() {
            assert!(pace.together > 0, "{kind:?}");
        }
    }
}
