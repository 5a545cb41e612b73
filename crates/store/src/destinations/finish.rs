//! What became of messages that were sent: how it is kept, and when one is tried again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, Value};
use undertone_core::event::EventKind;

use super::deliveries::{ClaimedDelivery, GIVEN_UP_AFTER};
use super::some;
use crate::alerts::heard;
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};

/// How long after a failed try the next follows, in seconds: ten tries in three days, as Standard Webhooks propose. Each is later by up to
/// [`SPREAD`] of it.
const RETRY_AFTER: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
const SPREAD: f64 = 0.3;

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The receiver took it.
    Delivered,
    /// It did not arrive; it is tried again on the schedule.
    Failed(String),
    /// The receiver wants to be left alone for a while. Does not count as a try.
    Throttled(TimeDelta, String),
    /// This message is nothing the receiver takes, now or later.
    Refused(String),
    /// It is not to be sent, now or later: what it told of was erased, may not be seen there, or is nothing for this kind of receiver.
    Withheld(String),
    /// The receiver is no more, or does not want us: the destination is switched off.
    Gone {
        /// What it answered; may quote it.
        why: String,
        /// What that means or what to do about it, in words of ours: it stays with the destination and is told to people.
        hint: &'static str,
    },
    /// It was not sent at all: there was no time left.
    Untried,
}

impl Sent {
    fn word(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed(_) => "failed",
            Self::Throttled(..) => "throttled",
            Self::Refused(_) => "refused",
            Self::Withheld(_) => "withheld",
            Self::Gone { .. } => "gone",
            Self::Untried => "untried",
        }
    }

    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(why)
            | Self::Throttled(_, why)
            | Self::Refused(why)
            | Self::Withheld(why)
            | Self::Gone { why, .. } => Some(why),
            Self::Delivered | Self::Untried => None,
        }
    }
}

/// A message that was held, and what became of it.
#[derive(Debug, Clone)]
pub struct FinishedDelivery {
    /// The message.
    pub claimed: ClaimedDelivery,
    /// What became of it.
    pub sent: Sent,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// When the try began.
    pub began_at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub millis: i64,
    /// A number from 0 to 1 that spreads the next try.
    pub chance: f64,
}

impl FinishedDelivery {
    /// Somebody was called by it.
    fn calls_for_somebody(&self) -> bool {
        self.sent == Sent::Delivered && self.claimed.event.parse().is_ok_and(EventKind::calls_for_somebody)
    }

    /// Where the message stands now: its state, when it is due, and how its tries are corrected.
    fn state(&self, now: DateTime<Utc>) -> (&'static str, DateTime<Utc>, i64) {
        match &self.sent {
            Sent::Delivered => ("delivered", now, 0),
            Sent::Refused(_) | Sent::Withheld(_) | Sent::Gone { .. } => ("failed", now, 0),
            Sent::Untried => ("pending", now, -1),
            Sent::Throttled(after, _) => ("pending", now + *after, -1),
            Sent::Failed(_) => {
                match next_try(now, self.claimed.created_at, self.claimed.attempts, self.chance) {
                    Some(next) => ("pending", next, 0),
                    None => ("failed", now, 0),
                }
            }
        }
    }
}

/// When the next try follows on try `attempts`; `None`: there is none.
fn next_try(
    now: DateTime<Utc>,
    created_at: DateTime<Utc>,
    attempts: i64,
    chance: f64,
) -> Option<DateTime<Utc>> {
    let after = RETRY_AFTER.get(usize::try_from(attempts - 1).unwrap_or(usize::MAX))?;
    let spread = 1.0 + SPREAD * chance.clamp(0.0, 1.0);
    let next = now + TimeDelta::milliseconds((*after as f64 * 1000.0 * spread) as i64);
    (next - created_at <= GIVEN_UP_AFTER).then_some(next)
}

/// What became of messages that one owner held for one destination.
#[derive(Debug, Clone)]
pub struct FinishedDeliveries {
    /// The destination, by id.
    pub destination: String,
    /// Who held them.
    pub owner: String,
    /// The messages.
    pub messages: Vec<FinishedDelivery>,
}

impl Store {
    /// Keeps what became of messages of a tenant, all or nothing; what its owner no longer holds is left alone. Answers how many were kept.
    /// A transaction costs much more than a message in it: whoever has several destinations' messages keeps them together.
    pub async fn finish_deliveries(
        &self,
        tenant: TenantId,
        finished: &[Arc<FinishedDeliveries>],
    ) -> Result<usize> {
        let tx = self.begin().await?;
        let now = self.now();
        let ids = finished.iter().map(|done| done.destination.as_str()).collect();
        let destinations = some(&tx, tenant, ids, for_update(self.backend())).await?;
        let kept = keep_states(&tx, (tenant, now), finished).await?;
        log_attempts(&tx, tenant, finished).await?;
        let mut heard = BTreeSet::new();
        for (id, destination) in &destinations {
            let batches = finished.iter().filter(|done| done.destination == *id);
            let messages: Vec<&FinishedDelivery> = batches.flat_map(|done| &done.messages).collect();
            let calls = messages.iter().filter(|message| message.calls_for_somebody());
            heard.extend(calls.map(|message| (message.claimed.subject_id.as_str(), id.as_str())));
            // Where it was kept before, it was judged before.
            if messages.iter().any(|message| kept.contains(&message.claimed.id)) {
                self.judge(&tx, tenant, destination, &messages).await?;
            }
        }
        heard::note(&tx, (tenant, now), heard).await?;
        tx.commit().await?;
        Ok(kept.len())
    }
}

/// Keeps where each message stands, if its owner still holds it; answers which, by id.
async fn keep_states(
    tx: &DatabaseTransaction,
    (tenant, now): (TenantId, DateTime<Utc>),
    finished: &[Arc<FinishedDeliveries>],
) -> Result<HashSet<String>> {
    let mut messages: Vec<_> = each(finished).collect();
    // In one order, so that two who change the same rows do not wait for each other.
    messages.sort_by(|(_, a), (_, b)| a.claimed.id.cmp(&b.claimed.id));
    let rows: Vec<[Value; 9]> = messages
        .into_iter()
        .map(|(owner, done)| {
            let (state, next_at, attempts) = done.state(now);
            let finished_at = (state != "pending").then_some(now);
            [
                done.claimed.id.as_str().into(),
                done.claimed.attempts.into(),
                state.into(),
                next_at.into(),
                attempts.into(),
                done.status.map(i64::from).into(),
                done.sent.error().into(),
                finished_at.into(),
                owner.into(),
            ]
        })
        .collect();
    let mut kept = HashSet::with_capacity(rows.len());
    for piece in pieces(&rows) {
        let some = sql("UPDATE delivery SET state = v.column3, next_at = v.column4, attempts = delivery.attempts + v.column5, last_status = v.column6, \
             last_error = v.column7, finished_at = v.column8, lease_owner = NULL FROM (VALUES ?) AS v WHERE delivery.tenant_id = ? \
             AND delivery.id = v.column1 AND delivery.attempts = v.column2 AND delivery.lease_owner = v.column9 AND delivery.state = 'pending' \
             RETURNING delivery.id")
        .rows(piece.iter().cloned())
        .bind(tenant.0)
        .column::<String>(tx)
        .await?;
        kept.extend(some);
    }
    Ok(kept)
}

/// Each message, and who held it.
fn each(finished: &[Arc<FinishedDeliveries>]) -> impl Iterator<Item = (&str, &FinishedDelivery)> {
    finished.iter().flat_map(|done| done.messages.iter().map(|message| (done.owner.as_str(), message)))
}

async fn log_attempts(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    finished: &[Arc<FinishedDeliveries>],
) -> Result<()> {
    let rows: Vec<[Value; 8]> = each(finished)
        .map(|(_, done)| done)
        .filter(|done| done.sent != Sent::Untried)
        .map(|done| {
            [
                tenant.0.into(),
                done.claimed.id.as_str().into(),
                done.began_at.into(),
                done.claimed.attempts.into(),
                done.millis.into(),
                done.status.map(i64::from).into(),
                done.sent.word().into(),
                done.sent.error().into(),
            ]
        })
        .collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO delivery_attempt (tenant_id, delivery_id, at, attempt, millis, status, outcome, error) VALUES ? ON CONFLICT DO NOTHING")
            .rows(piece.iter().cloned())
            .run(tx)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::health::PAUSE_MOST;
    use super::*;

    #[test]
    fn ten_tries_take_three_days_and_the_last_is_before_it_is_given_up() {
        // A destination that fails is left alone for half an hour at most before each.
        let waits = [TimeDelta::zero(), PAUSE_MOST];
        for (chance, wait) in [0.0, 0.5, 1.0].into_iter().flat_map(|chance| waits.map(|wait| (chance, wait)))
        {
            let begin = DateTime::UNIX_EPOCH;
            let (mut now, mut tries) = (begin, 1);
            while let Some(next) = next_try(now, begin, tries, chance) {
                assert!(next > now);
                (now, tries) = (next + wait, tries + 1);
            }
            assert_eq!(tries, 10, "with {chance} and {wait}");
            assert!(now - begin >= TimeDelta::hours(72) && now - begin <= GIVEN_UP_AFTER, "{}", now - begin);
        }
        let middle = next_try(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH, 1, 0.5);
        assert_eq!(middle, DateTime::from_timestamp_millis(5750));
    }
}
