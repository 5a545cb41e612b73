//! Reading events in their order, for those who can not be called.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde_json::Value as Json;
use undertone_core::event::EventKind;

use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId};

/// An event as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Told {
    /// Its place in the tenant's order, from 1, without gaps when it is given. It is not told: a gap would say that there was an event.
    #[serde(skip)]
    pub position: i64,
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(rename = "type")]
    pub event: String,
    /// When it happened.
    #[serde(rename = "timestamp")]
    pub created_at: DateTime<Utc>,
    /// What is told of it.
    #[serde(rename = "data")]
    pub payload: Json,
}

/// Places that one look goes over at most.
const STRETCH: i64 = 1000;

/// Which events somebody follows.
#[derive(Debug, Clone, Copy)]
pub struct Following<'a> {
    /// Only these; `None`: all.
    pub kinds: Option<&'a [EventKind]>,
    /// At most so many at once.
    pub most: u16,
}

/// How far somebody's next look goes, see [`Store::events_stretch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The last place of it.
    pub to: i64,
    /// An event of those by which it is measured follows.
    pub more: bool,
}

/// How far a tenant's events have come.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Sequence {
    /// The place of the youngest event.
    pub last: i64,
    /// The place of the youngest event that is not kept any more; 0: all are.
    pub removed: i64,
    /// What hides places from those who follow.
    pub cursor_key: String,
}

/// An event with what is told of it.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Its name.
    pub event: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// What is told of it.
    pub payload: Json,
}

impl Store {
    /// Events by their ids; those that were erased, or are not kept any more, are missing.
    pub async fn events_of(&self, tenant: TenantId, ids: &[&str]) -> Result<Vec<Kept>> {
        let mut events = Vec::with_capacity(ids.len());
        for piece in pieces(ids) {
            events.extend(
                sql("SELECT id, event, created_at, payload FROM outbox WHERE tenant_id = ? AND id IN ?")
                    .bind(tenant.0)
                    .list(piece.iter().copied())
                    .all::<Kept>(&self.reader)
                    .await?,
            );
        }
        Ok(events)
    }

    /// The events after a place that are told to workflows, in order, and the place up to which was looked: behind it there may be more.
    /// Each look goes over a bounded stretch, so that rare events cost no more than frequent ones.
    pub async fn events_after(
        &self,
        tenant: TenantId,
        position: i64,
        what: &Following<'_>,
    ) -> Result<(Vec<Told>, i64)> {
        let Some(sequence) = self.event_sequence(tenant).await? else { return Ok((Vec::new(), position)) };
        let until = sequence.last.min(position.saturating_add(STRETCH));
        if until <= position {
            return Ok((Vec::new(), position));
        }
        let mut statement = sql("SELECT position, id, event, created_at, payload FROM outbox WHERE tenant_id = ? AND position > ? \
             AND position <= ? AND to_workflow = ?")
        .bind(tenant.0)
        .bind(position)
        .bind(until)
        .bind(true);
        if let Some(kinds) = what.kinds {
            statement = statement.then(" AND event IN ?").list(kinds.iter().map(|kind| kind.as_str()));
        }
        let found = statement
            .then(" ORDER BY position LIMIT ?")
            .bind(i64::from(what.most))
            .all::<Told>(&self.reader)
            .await?;
        let is_full = found.len() == usize::from(what.most);
        let looked_to = found.last().filter(|_| is_full).map_or(until, |last| last.position);
        Ok((found, looked_to))
    }

    /// The stretch behind a place that has at most so many events of these kinds, and ends where the next of them follows, or else with the
    /// youngest event. Whoever looks through one stretch after the other learns by where they end of events of these kinds only.
    pub async fn events_stretch(
        &self,
        tenant: TenantId,
        position: i64,
        kinds: &[EventKind],
        most: u16,
    ) -> Result<Stretch> {
        let last = self.event_sequence(tenant).await?.map_or(position, |sequence| sequence.last);
        if last <= position {
            return Ok(Stretch { to: position, more: false });
        }
        let next = sql("SELECT position FROM outbox WHERE tenant_id = ? AND position > ? AND position <= ? AND to_workflow = ? AND event IN ? \
             ORDER BY position LIMIT 1 OFFSET ?")
        .bind(tenant.0)
        .bind(position)
        .bind(last)
        .bind(true)
        .list(kinds.iter().map(|kind| kind.as_str()))
        .bind(i64::from(most))
        .value::<i64>(&self.reader)
        .await?;
        Ok(next.map_or(Stretch { to: last, more: false }, |next| Stretch { to: next - 1, more: true }))
    }

    /// How far a tenant's events have come; `None` before the first has its place.
    pub async fn event_sequence(&self, tenant: TenantId) -> Result<Option<Sequence>> {
        sql("SELECT last, removed, cursor_key FROM event_sequence WHERE tenant_id = ?")
            .bind(tenant.0)
            .one::<Sequence>(&self.reader)
            .await
    }
}
