//! What was sent, what became of it, and sending it again.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use serde_json::json;
use undertone_core::event::{EventKind, payload};

use super::{Destination, NewDelivery, insert, one};
use crate::audit::{self, Act};
use crate::outbox::{self, Caused};
use crate::statement::{Sql, sql};
use crate::{Result, Store, StoreError, TenantId};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It waits, or is under way.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// The word in the API and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A delivery as people see it; what it says is not among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// Where to.
    pub destination_id: String,
    /// The message's id, as the receiver sees it.
    pub event_id: String,
    /// The event's name.
    pub event: String,
    /// What it is about.
    pub subject_id: String,
    /// 0, or the how manieth replay it is.
    pub replay: i64,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// Tries so far.
    pub attempts: i64,
    /// While it waits: when it is tried next, at the earliest.
    pub next_at: DateTime<Utc>,
    /// The HTTP status of the last try.
    pub last_status: Option<i64>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// The how manieth it was, from 1; a receiver that asks for patience does not count.
    pub attempt: i64,
    /// How long it took, in milliseconds.
    pub millis: i64,
    /// The HTTP status, where there was an answer.
    pub status: Option<i64>,
    /// `delivered`, `failed`, `throttled`, `refused`, `withheld` or `gone`.
    pub outcome: String,
    /// What was wrong.
    pub error: Option<String>,
}

/// Which deliveries of a destination are wanted.
#[derive(Copy, Debug, Clone, Default)]
pub struct Which<'a> {
    /// Those in this state.
    pub state: Option<DeliveryState>,
    /// Those older than this id.
    pub before: Option<&'a str>,
    /// At most so many.
    pub most: u16,
}

pub(super) const COLUMNS: &str = "SELECT id, destination_id, event_id, event, subject_id, replay, state, attempts, next_at, last_status, last_error, \
    created_at, finished_at FROM delivery ";

/// What is to be sent again: what a destination was to get in a stretch of time and that ended so.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// What was made from then on.
    pub from: DateTime<Utc>,
    /// And before then.
    pub to: DateTime<Utc>,
    /// How it ended. What failed and was sent again since is not sent once more, unless that failed too.
    pub state: DeliveryState,
    /// Behind this delivery, given by when it was made and by its id; `None`: from the beginning.
    pub after: Option<(DateTime<Utc>, &'a str)>,
}

/// What was sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// So many messages.
    pub count: u64,
    /// There is more behind this delivery, given by when it was made and by its id.
    pub next: Option<(DateTime<Utc>, String)>,
}

#[derive(FromQueryResult)]
struct Old {
    id: String,
    event_id: String,
    created_at: DateTime<Utc>,
    last_replay: i64,
}

/// What an [`Old`] is read from. A delivery is among those of its event, so there is a last replay.
const OLD: &str = "SELECT d.id, d.event_id, d.created_at, (SELECT MAX(x.replay) FROM delivery x WHERE x.tenant_id = d.tenant_id \
    AND x.destination_id = d.destination_id AND x.event_id = d.event_id) AS last_replay \
    FROM delivery d JOIN outbox o ON o.tenant_id = d.tenant_id AND o.id = d.event_id ";

/// What lists deliveries. The state stands in the text, so that an index of those in it serves: few fail among many that arrive.
pub(super) fn listed(begin: Sql, (tenant, destination): (TenantId, &str), which: Which<'_>) -> Sql {
    let mut statement =
        begin.then("WHERE tenant_id = ? AND destination_id = ?").bind(tenant.0).bind(destination);
    if let Some(state) = which.state {
        statement = statement.then(" AND state = '").then(state.as_str()).then("'");
    }
    if let Some(before) = which.before {
        statement = statement.then(" AND id < ?").bind(before);
    }
    statement.then(" ORDER BY id DESC LIMIT ?").bind(i64::from(which.most))
}

/// The destination, if messages are sent to it.
fn taking(found: Option<Destination>) -> Result<Destination> {
    match found {
        None => Err(StoreError::Conflict(
            "the destination was removed, and nothing is sent to it any more".to_owned(),
        )),
        Some(destination) if !destination.active => Err(StoreError::Conflict(format!(
            "“{}” is switched off, and nothing is sent to it; switch it on first",
            destination.name
        ))),
        Some(destination) => Ok(destination),
    }
}

impl Store {
    /// The deliveries of a destination, the youngest first.
    pub async fn deliveries(
        &self,
        tenant: TenantId,
        destination: &str,
        which: Which<'_>,
    ) -> Result<Vec<Delivery>> {
        listed(sql(COLUMNS), (tenant, destination), which).all::<Delivery>(&self.reader).await
    }

    /// One delivery with its tries, the oldest first.
    pub async fn delivery(&self, tenant: TenantId, id: &str) -> Result<Option<(Delivery, Vec<Attempt>)>> {
        let Some(delivery) = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(id)
            .one::<Delivery>(&self.reader)
            .await?
        else {
            return Ok(None);
        };
        let attempts = sql("SELECT at, attempt, millis, status, outcome, error FROM delivery_attempt WHERE tenant_id = ? AND delivery_id = ? \
             ORDER BY at")
        .bind(tenant.0)
        .bind(id)
        .all::<Attempt>(&self.reader)
        .await?;
        Ok(Some((delivery, attempts)))
    }

    /// Sends a message again, as it was, under the same message id; answers the new delivery's id.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] while it is still on its way, where it was erased, where the destination was removed or is switched off, or
    /// where somebody else does the same at this moment.
    pub async fn replay_delivery(&self, act: &Act<'_>, id: &str) -> Result<Option<String>> {
        let tx = self.begin().await?;
        let Some(found) = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND id = ?")
            .bind(act.tenant.0)
            .bind(id)
            .one::<Delivery>(&tx)
            .await?
        else {
            return Ok(None);
        };
        taking(one(&tx, act.tenant, &found.destination_id, "").await?)?;
        if found.state == "pending" {
            return Err(StoreError::Conflict(
                "it is still on its way; nothing is to be sent again".to_owned(),
            ));
        }
        let old = sql(OLD)
            .then("WHERE d.tenant_id = ? AND d.id = ?")
            .bind(act.tenant.0)
            .bind(id)
            .one::<Old>(&tx)
            .await?;
        let Some(old) = old else {
            return Err(StoreError::Conflict(
                "what it told of was erased, or is not kept any more; it can not be sent again".to_owned(),
            ));
        };
        let (at, destination) = (self.now(), found.destination_id.as_str());
        let (id_again, replay) = (self.new_id(at), old.last_replay + 1);
        let again = NewDelivery { id: id_again, destination, event: &old.event_id, replay };
        if insert(&tx, act.tenant, (at, at), std::slice::from_ref(&again)).await? == 0 {
            return Err(StoreError::Conflict("somebody else is sending it again at this moment".to_owned()));
        }
        audit::note(self, &tx, act, ("delivery_replayed", id), &json!({"destination": found.destination_id}))
            .await?;
        tx.commit().await?;
        Ok(Some(again.id))
    }

    /// Sends again what `stretch` says, each as it was, up to 1000 at a time.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the destination was removed or is switched off.
    pub async fn replay_deliveries(
        &self,
        act: &Act<'_>,
        destination: &str,
        stretch: &Stretch<'_>,
    ) -> Result<Replayed> {
        const MOST: usize = 1000;
        let Stretch { from, to, state, after } = *stretch;
        let tx = self.begin().await?;
        taking(one(&tx, act.tenant, destination, "").await?)?;
        let mut statement = sql(OLD)
            .then("WHERE d.tenant_id = ? AND d.destination_id = ? AND d.created_at >= ? AND d.created_at < ? AND d.state = ? AND d.replay = 0")
            .bind(act.tenant.0)
            .bind(destination)
            .bind(from)
            .bind(to)
            .bind(state.as_str());
        if state == DeliveryState::Failed {
            statement = statement.then(
                " AND NOT EXISTS (SELECT 1 FROM delivery s WHERE s.tenant_id = d.tenant_id AND s.destination_id = d.destination_id \
                 AND s.event_id = d.event_id AND s.state <> 'failed')",
            );
        }
        if let Some((at, id)) = after {
            statement = statement.then(" AND (d.created_at, d.id) > (?, ?)").bind(at).bind(id);
        }
        let found = statement
            .then(" ORDER BY d.created_at, d.id LIMIT ?")
            .bind(MOST as i64 + 1)
            .all::<Old>(&tx)
            .await?;
        let next = found.get(MOST - 1).filter(|_| found.len() > MOST);
        let next = next.map(|last| (last.created_at, last.id.clone()));
        let at = self.now();
        let again: Vec<NewDelivery<'_>> = found
            .iter()
            .take(MOST)
            .map(|old| NewDelivery {
                id: self.new_id(at),
                destination,
                event: &old.event_id,
                replay: old.last_replay + 1,
            })
            .collect();
        let count = insert(&tx, act.tenant, (at, at), &again).await?;
        let payload = json!({"from": from, "to": to, "state": state, "count": count});
        audit::note(self, &tx, act, ("deliveries_replayed", destination), &payload).await?;
        tx.commit().await?;
        Ok(Replayed { count, next })
    }

    /// Makes a test message for a destination, which goes at once and before all others; answers the delivery's id.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the destination is switched off.
    pub async fn test_destination(&self, act: &Act<'_>, id: &str) -> Result<Option<String>> {
        let tx = self.begin().await?;
        let found = one(&tx, act.tenant, id, "").await?;
        if found.is_none() {
            return Ok(None);
        }
        let destination = taking(found)?;
        let at = self.now();
        let payload = json!(payload::Test {
            tenant_id: act.tenant.0,
            destination_id: id,
            name: &destination.name,
            text: "This is a test from Undertone. Nothing happened.",
            requested_at: at,
        });
        // It stands among the events, and goes to nobody who did not ask for it.
        let caused =
            Caused { kind: EventKind::Test, subject: id, payload, to_workflow: false, to_webhooks: false };
        let event = outbox::keep(self, &tx, act.tenant, at, caused).await?;
        // Somebody waits for it: it goes before all others, also while the destination is left alone.
        let due_at = destination.created_at;
        let message = NewDelivery { id: self.new_id(at), destination: id, event: &event.id, replay: 0 };
        insert(&tx, act.tenant, (at, due_at), std::slice::from_ref(&message)).await?;
        audit::note(self, &tx, act, ("destination_tested", id), &json!({"name": destination.name})).await?;
        tx.commit().await?;
        Ok(Some(message.id))
    }
}
