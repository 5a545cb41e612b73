//! Events on their way out. An event is a row written in the transaction of its cause; once that is over, [`Store::place_events`] gives it
//! its place in the tenant's order and makes a delivery for every destination that wants it, in one transaction of its own.

mod stream;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde_json::Value as Json;
use undertone_core::Settings;
use undertone_core::event::EventKind;
use undertone_core::notification::Category;

use crate::destinations::{self, Destination, NewDelivery};
use crate::statement::{pieces, sql};
use crate::{Result, Store, StoreError, TenantId, modules};

pub use stream::{Following, Kept, Sequence, Told};

/// An event as its cause writes it.
#[derive(Debug, Clone)]
pub(crate) struct Caused<'a> {
    /// What happened.
    pub kind: EventKind,
    /// To what: an id, by which it is found when that is erased.
    pub subject: &'a str,
    /// What is told of it.
    pub payload: Json,
    /// It is told to workflows: the stream of events.
    pub to_workflow: bool,
    /// It is sent to destinations.
    pub to_webhooks: bool,
}

impl<'a> Caused<'a> {
    /// An event for everybody.
    pub(crate) fn new(kind: EventKind, subject: &'a str, payload: Json) -> Self {
        Self { kind, subject, payload, to_workflow: true, to_webhooks: true }
    }
}

/// Writes events in the transaction of their cause. One that nobody is told of is left out; what the tenant switched off goes that way not.
pub(crate) async fn emit(
    store: &Store,
    on: &impl ConnectionTrait,
    tenant: TenantId,
    at: DateTime<Utc>,
    events: Vec<Caused<'_>>,
) -> Result<()> {
    // Where the causes have decided, what the tenant chose is not asked for again.
    let settings = if events.iter().all(|event| is_decided(event.kind)) {
        Settings::default()
    } else {
        modules::module_on(on, tenant).await?.settings
    };
    emit_under(store, on, (tenant, at), &settings, events).await
}

/// The same, under settings that were read in the same transaction.
pub(crate) async fn emit_under(
    store: &Store,
    on: &impl ConnectionTrait,
    (tenant, at): (TenantId, DateTime<Utc>),
    settings: &Settings,
    mut events: Vec<Caused<'_>>,
) -> Result<()> {
    for event in events.iter_mut().filter(|event| !is_decided(event.kind)) {
        event.to_workflow &= settings.emit_workflow_events;
        event.to_webhooks &= settings.dispatch_webhooks;
    }
    // People are told through channels of their own, whatever other systems get.
    let told =
        |event: &Caused<'_>| event.to_workflow || event.to_webhooks || Category::of(event.kind).is_some();
    let rows: Vec<[Value; 8]> = events.into_iter().filter(told).map(|e| row(store, tenant, at, e)).collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, created_at) VALUES ?")
            .rows(piece.iter().cloned())
            .run(on)
            .await?;
    }
    Ok(())
}

/// Whether the cause has said itself to whom the event goes.
fn is_decided(kind: EventKind) -> bool {
    use EventKind::{BudgetThreshold, CustomerErased, Test};
    // Of an erasure whoever holds copies has to hear, whatever is switched off.
    matches!(kind, BudgetThreshold | CustomerErased | Test)
}

fn row(store: &Store, tenant: TenantId, at: DateTime<Utc>, event: Caused<'_>) -> [Value; 8] {
    [
        tenant.0.into(),
        store.new_id(at).into(),
        event.kind.as_str().into(),
        event.subject.into(),
        event.to_workflow.into(),
        event.to_webhooks.into(),
        event.payload.into(),
        at.into(),
    ]
}

/// Writes one event, told to anybody or not; answers what a delivery needs of it.
pub(crate) async fn keep(
    store: &Store,
    on: &impl ConnectionTrait,
    tenant: TenantId,
    at: DateTime<Utc>,
    event: Caused<'_>,
) -> Result<Row> {
    let row = row(store, tenant, at, event);
    sql("INSERT INTO outbox (tenant_id, id, event, subject_id, to_workflow, to_webhooks, payload, created_at) VALUES ? \
         RETURNING id, event, to_webhooks, created_at")
    .rows([row])
    .one::<Row>(on)
    .await?
    .ok_or_else(|| StoreError::Unreadable { table: "outbox", detail: "nothing came back of what was written".to_owned() })
}

/// An event that has its place, on its way to those who want it.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) to_webhooks: bool,
    pub(crate) created_at: DateTime<Utc>,
}

/// Deliveries made in one transaction, about: others write in between.
const DELIVERIES_AT_ONCE: usize = 1000;

/// The first events of a tenant that have no place yet.
pub(crate) const UNPLACED: &str = "SELECT id, event, to_webhooks, created_at FROM outbox WHERE tenant_id = ? AND position IS NULL ORDER BY id LIMIT ?";

/// What was placed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Placed {
    /// Events.
    pub events: usize,
    /// Messages to destinations that came of them.
    pub deliveries: usize,
    /// There may be more events without a place.
    pub more: bool,
}

impl Store {
    /// The tenants that have events without a place.
    pub async fn tenants_with_events(&self) -> Result<Vec<TenantId>> {
        sql("SELECT t.id FROM tenant t WHERE (SELECT 1 FROM outbox o WHERE o.tenant_id = t.id AND o.position IS NULL LIMIT 1) \
             IS NOT NULL ORDER BY t.id")
            .tenants(&self.reader).await
    }

    /// Gives up to `most` events of a tenant their places, fewer where there are many destinations, and makes the deliveries that come of
    /// them. Several nodes may do it at once: one waits for the other.
    pub async fn place_events(&self, tenant: TenantId, most: u16) -> Result<Placed> {
        let tx = self.begin().await?;
        let first =
            sql("INSERT INTO event_sequence (tenant_id, last, removed, cursor_key) VALUES (?, 0, 0, ?) \
             ON CONFLICT (tenant_id) DO UPDATE SET last = event_sequence.last RETURNING last")
            .bind(tenant.0)
            .bind(format!("{}{}", self.new_id(self.now()), self.new_id(self.now())))
            .value::<i64>(&tx)
            .await?
            .unwrap_or_default();
        let destinations = destinations::active(&tx, tenant).await?;
        let at_once = usize::from(most).min(DELIVERIES_AT_ONCE / destinations.len().max(1)).max(1);
        let rows = sql(UNPLACED).bind(tenant.0).bind(at_once as i64).all::<Row>(&tx).await?;
        if rows.is_empty() {
            return Ok(Placed::default());
        }
        let places: Vec<(&str, i64)> = rows.iter().map(|row| row.id.as_str()).zip(first + 1..).collect();
        for piece in pieces(&places) {
            sql("UPDATE outbox SET position = v.column2 FROM (VALUES ?) AS v WHERE outbox.tenant_id = ? AND outbox.id = v.column1")
                .rows(piece.iter().map(|(id, place)| [Value::from(*id), Value::from(*place)]))
                .bind(tenant.0)
                .run(&tx)
                .await?;
        }
        sql("UPDATE event_sequence SET last = ? WHERE tenant_id = ?")
            .bind(first + rows.len() as i64)
            .bind(tenant.0)
            .run(&tx)
            .await?;
        let deliveries = self.fan_out(&tx, tenant, &rows, &destinations).await?;
        tx.commit().await?;
        Ok(Placed { events: rows.len(), deliveries, more: rows.len() == at_once })
    }

    /// A delivery for each destination that wants an event; answers how many.
    async fn fan_out(
        &self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        events: &[Row],
        destinations: &[Destination],
    ) -> Result<usize> {
        let at = self.now();
        let mut deliveries = Vec::new();
        for event in events.iter().filter(|event| event.to_webhooks) {
            let Ok(kind) = event.event.parse::<EventKind>() else { continue };
            // What happened before somebody asked for it is history.
            let wants = |d: &&Destination| d.config.events.has(kind) && d.created_at <= event.created_at;
            for destination in destinations.iter().filter(wants) {
                let id = self.new_id(at);
                deliveries.push(NewDelivery {
                    id,
                    destination: &destination.id,
                    event: &event.id,
                    replay: 0,
                });
            }
        }
        destinations::insert(on, tenant, (at, at), &deliveries).await?;
        Ok(deliveries.len())
    }

    /// Removes the first of a tenant's events that have their place and are older than `age`; answers whether there may be more.
    pub async fn remove_old_events(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: i64 = 1000;
        let tx = self.begin().await?;
        let removed = sql("DELETE FROM outbox WHERE tenant_id = ? AND id IN (SELECT id FROM (SELECT id, created_at FROM outbox WHERE tenant_id = ? \
             AND position IS NOT NULL ORDER BY position LIMIT ?) AS first WHERE created_at < ?) RETURNING position")
            .bind(tenant.0)
            .bind(tenant.0)
            .bind(SOME)
            .bind(self.now() - age)
            .column::<i64>(&tx)
            .await?;
        if let Some(&last) = removed.iter().max() {
            sql("UPDATE event_sequence SET removed = ? WHERE tenant_id = ? AND removed < ?")
                .bind(last)
                .bind(tenant.0)
                .bind(last)
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(removed.len() == SOME as usize)
    }
}
