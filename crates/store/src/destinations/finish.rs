//! What became of messages that were sent, and of the destination they went to.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, Value};
use serde_json::json;
use undertone_core::event::{EventKind, payload};

use super::deliveries::{ClaimedDelivery, GIVEN_UP_AFTER};
use super::{Destination, one};
use crate::alerts::heard;
use crate::outbox::{self, Caused};
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};

/// How long after a failed try the next follows, in seconds: ten tries in three days, as Standard Webhooks propose. Each is later by up to
/// [`SPREAD`] of it.
const RETRY_AFTER: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
const SPREAD: f64 = 0.3;
/// A destination that fails is left alone for this long at first, twice as long each time, and at most [`PAUSE_MOST`].
const PAUSE_FIRST: TimeDelta = TimeDelta::seconds(5);
const PAUSE_MOST: TimeDelta = TimeDelta::minutes(30);
/// A destination that nothing reaches for this long is switched off.
const SWITCHED_OFF_AFTER: TimeDelta = TimeDelta::days(5);
/// So many refusals in a row say something of the destination; fewer may be the messages'.
pub const REFUSED_OFTEN: i64 = 3;
/// After so long in which messages failed or were put off, and none was taken, administrators are told.
const FAILING_LONG: TimeDelta = TimeDelta::minutes(10);

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

    fn error(&self) -> Option<&str> {
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
    /// What the receiver said, without its words: they may quote what was sent, and are told on where no erasure reaches them.
    fn said(&self) -> String {
        match self.status {
            Some(status) => format!("it answers {status}"),
            None => self.sent.error().unwrap_or_default().to_owned(),
        }
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

/// How long a destination is left alone after it failed `failures` times in a row.
fn pause(failures: i64) -> TimeDelta {
    let doubled = 1_i32 << (failures - 1).clamp(0, 16);
    (PAUSE_FIRST * doubled).min(PAUSE_MOST)
}

/// A time in which a destination takes nothing, from the first message that it does not take to the next that it does.
struct Spell {
    since: DateTime<Utc>,
    /// Since messages fail or are put off; `None` while all were refused.
    away_since: Option<DateTime<Utc>>,
    /// Messages that were refused in a row until now.
    refused: i64,
}

impl Spell {
    /// It has been away for `away`, or has refused messages for `refusing`, and not only one or two.
    fn lasts(&self, now: DateTime<Utc>, away: TimeDelta, refusing: TimeDelta) -> bool {
        self.away_since.is_some_and(|since| now - since >= away)
            || self.refused >= REFUSED_OFTEN && now - self.since >= refusing
    }
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

    /// What these tries say of the destination itself.
    async fn judge(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        destination: &Destination,
        finished: &[FinishedDelivery],
    ) -> Result<()> {
        let now = self.now();
        let gone = finished.iter().find_map(|done| match done.sent {
            Sent::Gone { hint, .. } => Some(match done.status {
                Some(status) => format!("it answers {status}; {hint}"),
                None => hint.to_owned(),
            }),
            _ => None,
        });
        if let Some(why) = gone {
            return self.switch_off(tx, tenant, destination, &why).await;
        }
        let throttled = finished.iter().filter_map(|done| match done.sent {
            Sent::Throttled(after, _) => Some(now + after),
            _ => None,
        });
        let throttled_until = throttled.max();
        if finished.iter().any(|done| done.sent == Sent::Delivered) {
            return self.is_reached(tx, tenant, destination, throttled_until).await;
        }
        // What was not sent says nothing of the receiver.
        let failed = finished.iter().find(|done| matches!(done.sent, Sent::Failed(_)));
        let throttled = finished.iter().find(|done| matches!(done.sent, Sent::Throttled(..)));
        let refused = finished.iter().find(|done| matches!(done.sent, Sent::Refused(_)));
        let Some(told) = failed.or(throttled).or(refused) else { return Ok(()) };
        // Whoever refuses messages is there: it is not left alone, and has no time to resume.
        let was_refusing = destination.failing_since.is_some() && destination.resume_at.is_none();
        // What was under way when it failed tells nothing more of it.
        let is_left_alone = destination.resume_at.is_some_and(|at| at > now);
        let before = destination.failures;
        let (failed_before, refused_before) = if was_refusing { (0, before) } else { (before, 0) };
        let (failures, resume_at) = match told.sent {
            Sent::Failed(_) => {
                let failures = if is_left_alone { failed_before.max(1) } else { failed_before + 1 };
                (failures, Some(now + pause(failures)).max(throttled_until))
            }
            Sent::Throttled(..) => (failed_before, throttled_until),
            _ => {
                let refused = finished.iter().filter(|done| matches!(done.sent, Sent::Refused(_))).count();
                (refused_before + refused as i64, None)
            }
        };
        let spell = Spell {
            since: destination.failing_since.unwrap_or(told.began_at),
            // A refusal or two say nothing of the destination: how long it is away counts from what came after them.
            away_since: destination.away_since.or_else(|| resume_at.is_some().then_some(told.began_at)),
            refused: if resume_at.is_none() { failures } else { 0 },
        };
        // Where it answers again, a refusal or two are about the messages.
        let is_about_it = resume_at.is_some() || failures >= REFUSED_OFTEN;
        if is_about_it && spell.lasts(now, SWITCHED_OFF_AFTER, SWITCHED_OFF_AFTER) {
            let why = format!("nothing reached it for five days; the last try said: {}", told.said());
            return self.switch_off(tx, tenant, destination, &why).await;
        }
        let is_news =
            destination.failing_told_at.is_none() && spell.lasts(now, FAILING_LONG, TimeDelta::zero());
        if is_news {
            let payload = json!(payload::DestinationFailing {
                tenant_id: tenant.0,
                destination_id: &destination.id,
                name: &destination.name,
                kind: destination.kind,
                refused: resume_at.is_none(),
                failures,
                reason: &told.said(),
                failing_since: spell.since,
                at: now,
            });
            let event = Caused::new(EventKind::DestinationFailing, &destination.id, payload);
            outbox::emit(self, tx, tenant, now, vec![event]).await?;
        }
        sql("UPDATE destination SET failures = ?, failing_since = ?, resume_at = ?, away_since = ?, failing_told_at = ? \
             WHERE tenant_id = ? AND id = ?")
        .bind(failures)
        .bind(spell.since)
        .bind(resume_at)
        .bind(spell.away_since)
        .bind(if is_news { Some(now) } else { destination.failing_told_at })
        .bind(tenant.0)
        .bind(&destination.id)
        .run(tx)
        .await?;
        Ok(())
    }

    /// Something reached it just now; it may still want to be left alone until then.
    async fn is_reached(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        destination: &Destination,
        throttled_until: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let now = self.now();
        // Most of the time there is nothing to change but a moment nobody needs to the second.
        let is_news = destination.failing_since.is_some()
            || throttled_until != destination.resume_at
            || destination.last_delivered_at.is_none_or(|last| now - last > TimeDelta::seconds(10));
        if is_news {
            sql("UPDATE destination SET failures = 0, failing_since = NULL, away_since = NULL, failing_told_at = NULL, resume_at = ?, \
                 last_delivered_at = ? WHERE tenant_id = ? AND id = ?")
            .bind(throttled_until)
            .bind(now)
            .bind(tenant.0)
            .bind(&destination.id)
            .run(tx)
            .await?;
        }
        Ok(())
    }

    /// Nothing is sent to it any more, until a person switches it on again; people are told.
    async fn switch_off(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        destination: &Destination,
        why: &str,
    ) -> Result<()> {
        let now = self.now();
        let changed = sql("UPDATE destination SET active = ?, inactive_reason = ?, version = version + 1 \
             WHERE tenant_id = ? AND id = ? AND active = ?")
        .bind(false)
        .bind(why)
        .bind(tenant.0)
        .bind(&destination.id)
        .bind(true)
        .run(tx)
        .await?;
        if changed == 1 {
            let payload = json!(payload::DestinationDisabled {
                tenant_id: tenant.0,
                destination_id: &destination.id,
                name: &destination.name,
                kind: destination.kind,
                reason: why,
                failing_since: destination.failing_since,
                disabled_at: now,
            });
            let event = Caused::new(EventKind::DestinationDisabled, &destination.id, payload);
            outbox::emit(self, tx, tenant, now, vec![event]).await?;
        }
        Ok(())
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

    #[test]
    fn a_pause_grows_to_half_an_hour() {
        let seconds: Vec<i64> = [1, 2, 3, 9, 10, 1000].into_iter().map(|n| pause(n).num_seconds()).collect();
        assert_eq!(seconds, [5, 10, 20, 1280, 1800, 1800]);
    }
}
