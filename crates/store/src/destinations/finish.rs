//! What became of messages that were sent: how it is kept, and when one is tried again.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, Value};
use undertone_core::event::EventKind;

use super::deliveries::{ClaimedDelivery, GIVEN_UP_AFTER};
use super::one;
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

impl Store {
    /// Keeps what became of messages that `owner` held for a destination, all or nothing; what it no longer holds is left alone. Answers
    /// how many were kept.
    pub async fn finish_deliveries(
        &self,
        tenant: TenantId,
        destination: &str,
        owner: &str,
        finished: &[FinishedDelivery],
    ) -> Result<usize> {
        let tx = self.begin().await?;
        let now = self.now();
        let destination = one(&tx, tenant, destination, for_update(self.backend())).await?;
        let kept = keep_states(&tx, tenant, (owner, now), finished).await?;
        log_attempts(&tx, tenant, finished).await?;
        if let Some(destination) = &destination {
            let calls = finished.iter().filter(|done| {
                done.sent == Sent::Delivered
                    && done.claimed.event.parse().is_ok_and(EventKind::calls_for_somebody)
            });
            let heard = calls.map(|done| (done.claimed.subject_id.as_str(), destination.id.as_str()));
            heard::note(&tx, (tenant, now), heard.collect()).await?;
        }
        // Where it was kept before, it was judged before.
        if let Some(destination) = destination.filter(|_| kept > 0) {
            self.judge(&tx, tenant, &destination, finished).await?;
        }
        tx.commit().await?;
        Ok(kept)
    }
}

/// Keeps where each message stands, if `owner` still holds it; answers how many.
async fn keep_states(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    (owner, now): (&str, DateTime<Utc>),
    finished: &[FinishedDelivery],
) -> Result<usize> {
    let rows: Vec<[Value; 8]> = finished
        .iter()
        .map(|done| {
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
            ]
        })
        .collect();
    let mut kept = 0;
    for piece in pieces(&rows) {
        kept += sql("UPDATE delivery SET state = v.column3, next_at = v.column4, attempts = delivery.attempts + v.column5, last_status = v.column6, \
             last_error = v.column7, finished_at = v.column8, lease_owner = NULL FROM (VALUES ?) AS v WHERE delivery.tenant_id = ? \
             AND delivery.id = v.column1 AND delivery.attempts = v.column2 AND delivery.lease_owner = ? AND delivery.state = 'pending'")
        .rows(piece.iter().cloned())
        .bind(tenant.0)
        .bind(owner)
        .run(tx)
        .await?;
    }
    Ok(usize::try_from(kept).unwrap_or(usize::MAX))
}

async fn log_attempts(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    finished: &[FinishedDelivery],
) -> Result<()> {
    let rows: Vec<[Value; 8]> = finished
        .iter()
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
