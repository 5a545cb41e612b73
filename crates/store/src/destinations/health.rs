//! How a destination fares, as the tries say: it takes messages, fails, wants patience, refuses, or is switched off.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde_json::json;
use undertone_core::event::{EventKind, payload};

use super::finish::{FinishedDelivery, Sent};
use super::{Destination, one};
use crate::outbox::{self, Caused};
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId};

/// A destination that fails is left alone for this long at first, twice as long each time, and at most [`PAUSE_MOST`].
const PAUSE_FIRST: TimeDelta = TimeDelta::seconds(5);
/// The longest of these pauses.
pub(super) const PAUSE_MOST: TimeDelta = TimeDelta::minutes(30);
/// A destination that nothing reaches for this long is switched off.
const SWITCHED_OFF_AFTER: TimeDelta = TimeDelta::days(5);
/// So many refusals in a row say something of the destination; fewer may be the messages'.
pub const REFUSED_OFTEN: i64 = 3;
/// After so long in which messages failed or were put off, and none was taken, administrators are told.
const FAILING_LONG: TimeDelta = TimeDelta::minutes(10);

/// Destinations that are away since a moment, which was not told, and of whose messages some wait while none is due now.
const SILENT: &str = "WHERE d.active = ? AND d.failing_told_at IS NULL AND d.away_since <= ? \
    AND EXISTS (SELECT 1 FROM delivery w WHERE w.tenant_id = d.tenant_id AND w.destination_id = d.id AND w.state = 'pending') \
    AND (d.resume_at > ? OR NOT EXISTS (SELECT 1 FROM delivery x WHERE x.tenant_id = d.tenant_id AND x.destination_id = d.id \
    AND x.state = 'pending' AND x.next_at <= ?))";

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
    /// What these tries say of the destination itself.
    pub(super) async fn judge(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        destination: &Destination,
        finished: &[&FinishedDelivery],
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
            let why = format!("nothing reached it for five days; the last try said: {}", said(told));
            return self.switch_off(tx, tenant, destination, &why).await;
        }
        let is_news =
            destination.failing_told_at.is_none() && spell.lasts(now, FAILING_LONG, TimeDelta::zero());
        if is_news {
            let said = said(told);
            let what = (resume_at.is_none(), failures, said.as_str(), spell.since);
            self.tell_of_failing(tx, tenant, destination, what).await?;
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

    /// The tenants with a destination that has failed for long, of which nobody was told because nothing was tried since: it asked to be left
    /// alone, or what waits for it is tried later. What is due at this moment says by itself how the destination fares.
    pub async fn tenants_with_silent_destinations(&self) -> Result<Vec<TenantId>> {
        let now = self.now();
        sql("SELECT DISTINCT d.tenant_id FROM destination d ")
            .then(SILENT)
            .bind(true)
            .bind(now - FAILING_LONG)
            .bind(now)
            .bind(now)
            .then(" ORDER BY d.tenant_id")
            .tenants(&self.reader)
            .await
    }

    /// Tells administrators of such destinations of a tenant, by the clock; answers whether there may be more.
    pub async fn tell_of_silent_destinations(&self, tenant: TenantId) -> Result<bool> {
        #[derive(FromQueryResult)]
        struct Last {
            last_status: Option<i64>,
            last_error: Option<String>,
        }
        let now = self.now();
        let silent = sql("SELECT d.id FROM destination d ")
            .then(SILENT)
            .bind(true)
            .bind(now - FAILING_LONG)
            .bind(now)
            .bind(now)
            .then(" AND d.tenant_id = ?")
            .bind(tenant.0)
            .column::<String>(&self.reader)
            .await?;
        for id in silent {
            let tx = self.begin().await?;
            let destination = one(&tx, tenant, &id, for_update(self.backend())).await?;
            // A try may have ended meanwhile, or another node have told.
            let Some(destination) = destination.filter(|one| {
                one.active
                    && one.failing_told_at.is_none()
                    && one.away_since.is_some_and(|since| now - since >= FAILING_LONG)
            }) else {
                continue;
            };
            let last = sql("SELECT last_status, last_error FROM delivery WHERE tenant_id = ? AND destination_id = ? AND state = 'pending' \
                 AND last_error IS NOT NULL ORDER BY id DESC LIMIT 1")
            .bind(tenant.0)
            .bind(&id)
            .one::<Last>(&tx)
            .await?;
            let said = last.map(|last| words(last.last_status, last.last_error.as_deref()));
            let said = said.unwrap_or_else(|| "messages wait for it".to_owned());
            let since = destination.failing_since.unwrap_or(now);
            self.tell_of_failing(&tx, tenant, &destination, (false, destination.failures, &said, since))
                .await?;
            sql("UPDATE destination SET failing_told_at = ? WHERE tenant_id = ? AND id = ?")
                .bind(now)
                .bind(tenant.0)
                .bind(&id)
                .run(&tx)
                .await?;
            tx.commit().await?;
        }
        Ok(false)
    }

    /// That a destination takes nothing: whether it refuses, how often in a row, what the last try came to, and since when.
    async fn tell_of_failing(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        destination: &Destination,
        (refused, failures, reason, failing_since): (bool, i64, &str, DateTime<Utc>),
    ) -> Result<()> {
        let now = self.now();
        let payload = json!(payload::DestinationFailing {
            tenant_id: tenant.0,
            destination_id: &destination.id,
            name: &destination.name,
            kind: destination.kind,
            refused,
            failures,
            reason,
            failing_since,
            at: now,
        });
        let event = Caused::new(EventKind::DestinationFailing, &destination.id, payload);
        outbox::emit(self, tx, tenant, now, vec![event]).await
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

/// How long a destination is left alone after it failed `failures` times in a row.
fn pause(failures: i64) -> TimeDelta {
    let doubled = 1_i32 << (failures - 1).clamp(0, 16);
    (PAUSE_FIRST * doubled).min(PAUSE_MOST)
}

/// What the receiver said, without its words: they may quote what was sent, and are told on where no erasure reaches them.
fn said(done: &FinishedDelivery) -> String {
    words(done.status.map(i64::from), done.sent.error())
}

fn words(status: Option<i64>, ours: Option<&str>) -> String {
    match status {
        Some(status @ 200..300) => {
            format!(
                "it answers {status}, but not as one that took the message; see the log of the destination"
            )
        }
        Some(status) => format!("it answers {status}"),
        None => ours.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_to_half_an_hour() {
        let seconds: Vec<i64> = [1, 2, 3, 9, 10, 1000].into_iter().map(|n| pause(n).num_seconds()).collect();
        assert_eq!(seconds, [5, 10, 20, 1280, 1800, 1800]);
    }

    #[test]
    fn a_yes_alone_is_no_reason_to_fail() {
        assert_eq!(words(Some(503), Some("Zendesk answers 503: …")), "it answers 503");
        let told = words(Some(200), Some("Zendesk answers 200 without the ticket"));
        assert!(told.starts_with("it answers 200, but not as one that took the message"), "{told}");
        assert_eq!(words(None, Some("it does not answer in time")), "it does not answer in time");
    }
}
