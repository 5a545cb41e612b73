//! Incidents: many customers turning low about the same category at once are one incident. It holds back the alerts of its members and lets
//! those go that are still low when it ends.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Days, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde::Serialize;
use serde_json::json;
use undertone_core::Settings;
use undertone_core::event::EventKind;

use super::{AlertState, Low, Rules, list};
use crate::audit::{self, Act};
use crate::outbox::{self, Caused};
use crate::statement::{for_update, pieces, skip_locked, sql};
use crate::{Result, Store, StoreError, TenantId};

/// A surge is this many times what is usual, at least.
const TIMES_USUAL: f64 = 3.0;
/// What is usual is taken from this many days.
const USUAL_OF_DAYS: u64 = 28;
/// Alerts let go in one transaction.
const AT_ONCE: i64 = 200;

/// An incident.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// What its customers are low about.
    pub category: String,
    /// `open` or `closed`.
    pub state: String,
    /// When it was seen.
    pub opened_at: DateTime<Utc>,
    /// Customers in the window when it was seen.
    pub customers: i64,
    /// So many would have been usual in such a window.
    pub usual: f64,
    /// When a customer last turned low about it.
    pub last_member_at: DateTime<Utc>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
    /// Who ended it: a person, or the clock.
    pub closed_by: Option<String>,
    /// Which state of it this is.
    pub version: i64,
}

const COLUMNS: &str = "SELECT id, category, state, opened_at, customers, usual, last_member_at, closed_at, closed_by, version FROM incident ";

/// Notes who turned low about what, and opens incidents where that surges. Answers the open incident of each category that has one.
pub(super) async fn note(
    store: &Store,
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    at: DateTime<Utc>,
    settings: &Settings,
    lows: &[Low<'_>],
) -> Result<HashMap<String, String>> {
    let mut incidents = HashMap::new();
    if settings.incident_customers == 0 {
        return Ok(incidents);
    }
    let members: BTreeSet<(&str, &str)> =
        lows.iter().filter_map(|low| Some((low.category, low.customer?))).collect();
    let rows: Vec<[Value; 4]> = members
        .iter()
        .map(|(category, customer)| [tenant.0.into(), (*category).into(), (*customer).into(), at.into()])
        .collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO surge (tenant_id, category, customer_id, at) VALUES ? \
             ON CONFLICT (tenant_id, category, customer_id) DO UPDATE SET at = excluded.at")
        .rows(piece.iter().cloned())
        .run(tx)
        .await?;
    }
    let categories: BTreeSet<&str> = members.iter().map(|(category, _)| *category).collect();
    for category in categories {
        if let Some(id) = surging(store, tx, tenant, at, settings, category).await? {
            incidents.insert(category.to_owned(), id);
        }
    }
    Ok(incidents)
}

/// The open incident of a category; opened now where it surges.
async fn surging(
    store: &Store,
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    at: DateTime<Utc>,
    settings: &Settings,
    category: &str,
) -> Result<Option<String>> {
    let open = sql("UPDATE incident SET last_member_at = ? WHERE tenant_id = ? AND category = ? AND state = 'open' RETURNING id")
        .bind(at)
        .bind(tenant.0)
        .bind(category)
        .value::<String>(tx)
        .await?;
    if open.is_some() {
        return Ok(open);
    }
    let window = TimeDelta::minutes(settings.incident_minutes.into());
    let customers = sql("SELECT COUNT(*) FROM surge WHERE tenant_id = ? AND category = ? AND at > ?")
        .bind(tenant.0)
        .bind(category)
        .bind(at - window)
        .value::<i64>(tx)
        .await?
        .unwrap_or_default();
    if customers < i64::from(settings.incident_customers) {
        return Ok(None);
    }
    let usual = usual(tx, tenant, at, window, category).await?;
    if (customers as f64) < TIMES_USUAL * usual {
        return Ok(None);
    }
    let id = store.new_id(at);
    let opened = sql("INSERT INTO incident (tenant_id, id, category, state, opened_at, customers, usual, last_member_at, version) VALUES ? \
         ON CONFLICT DO NOTHING RETURNING id")
    .rows([[
        tenant.0.into(),
        id.as_str().into(),
        category.into(),
        "open".into(),
        at.into(),
        customers.into(),
        usual.into(),
        at.into(),
        1_i64.into(),
    ]])
    .value::<String>(tx)
    .await?;
    if opened.is_none() {
        // Somebody else opened it at the same moment.
        return sql("SELECT id FROM incident WHERE tenant_id = ? AND category = ? AND state = 'open'")
            .bind(tenant.0)
            .bind(category)
            .value::<String>(tx)
            .await;
    }
    let payload = json!({
        "tenant_id": tenant, "incident_id": id, "category": category, "customers": customers, "usual": usual,
        "window_minutes": settings.incident_minutes, "state": "open", "at": at,
    });
    outbox::emit(store, tx, tenant, at, vec![Caused::new(EventKind::IncidentOpened, &id, payload)]).await?;
    Ok(Some(id))
}

/// How many negative interactions about a category a window has as a rule, from the days before today.
async fn usual(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    at: DateTime<Utc>,
    window: TimeDelta,
    category: &str,
) -> Result<f64> {
    let today = at.date_naive();
    let first = today.checked_sub_days(Days::new(USUAL_OF_DAYS)).unwrap_or(today);
    let negative = sql("SELECT CAST(COALESCE(SUM(negative), 0) AS bigint) FROM sentiment_daily \
         WHERE tenant_id = ? AND day >= ? AND day < ? AND category = ?")
    .bind(tenant.0)
    .bind(first)
    .bind(today)
    .bind(category)
    .value::<i64>(on)
    .await?
    .unwrap_or_default();
    let windows = (USUAL_OF_DAYS as f64) * 24.0 * 60.0 / (window.num_minutes().max(1) as f64);
    Ok(negative as f64 / windows)
}

impl Store {
    /// The tenants with an open incident.
    pub async fn tenants_with_incidents(&self) -> Result<Vec<TenantId>> {
        sql("SELECT DISTINCT tenant_id FROM incident WHERE state = 'open' ORDER BY tenant_id")
            .tenants(&self.reader)
            .await
    }

    /// Incidents, the youngest first, those before `before` if it is given.
    pub async fn incidents(
        &self,
        tenant: TenantId,
        before: Option<&str>,
        most: u16,
    ) -> Result<Vec<Incident>> {
        let mut statement = sql(COLUMNS).then("WHERE tenant_id = ?").bind(tenant.0);
        if let Some(before) = before {
            statement = statement.then(" AND id < ?").bind(before);
        }
        statement.then(" ORDER BY id DESC LIMIT ?").bind(i64::from(most)).all::<Incident>(&self.reader).await
    }

    /// One incident.
    pub async fn incident(&self, tenant: TenantId, id: &str) -> Result<Option<Incident>> {
        sql(COLUMNS)
            .then("WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(id)
            .one::<Incident>(&self.reader)
            .await
    }

    /// Ends the incidents of a tenant in which nobody turned low for a whole window, and lets go what they held.
    pub async fn end_incidents(&self, tenant: TenantId) -> Result<()> {
        let settings = self.module(tenant).await?.settings;
        let window = TimeDelta::minutes(settings.incident_minutes.into());
        let over = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND state = 'open' AND last_member_at <= ?")
            .bind(tenant.0)
            .bind(self.now() - window)
            .all::<Incident>(&self.reader)
            .await?;
        for incident in over {
            self.end_incident(tenant, &incident.id, "the clock", Some(self.now() - window)).await?;
        }
        let tx = self.begin().await?;
        // What lies before every window is nobody's any more.
        sql("DELETE FROM surge WHERE tenant_id = ? AND at <= ?")
            .bind(tenant.0)
            .bind(self.now() - window)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends an incident because a person says so; `None`: there is no such incident.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended already.
    pub async fn close_incident(&self, act: &Act<'_>, id: &str) -> Result<Option<Incident>> {
        let Some(incident) = self.incident(act.tenant, id).await? else { return Ok(None) };
        if incident.state != "open" {
            return Err(StoreError::Conflict("the incident has ended already".to_owned()));
        }
        let tx = self.begin().await?;
        audit::note(self, &tx, act, ("incident_closed", id), &json!({"category": incident.category})).await?;
        tx.commit().await?;
        self.end_incident(act.tenant, id, act.actor, None).await?;
        self.incident(act.tenant, id).await
    }

    /// Lets go what an incident holds, in slices, and ends it. With `quiet_since`, only while nobody turned low after that.
    async fn end_incident(
        &self,
        tenant: TenantId,
        id: &str,
        by: &str,
        quiet_since: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let (mut told, mut withdrawn) = (0, 0);
        loop {
            let tx = self.begin().await?;
            let incident = sql(COLUMNS)
                .then("WHERE tenant_id = ? AND id = ? AND state = 'open'")
                .bind(tenant.0)
                .bind(id)
                .then(for_update(self.backend()))
                .one::<Incident>(&tx)
                .await?;
            let Some(incident) = incident else { return Ok(()) };
            if quiet_since.is_some_and(|since| incident.last_member_at > since) {
                return Ok(());
            }
            let released = release(self, &tx, tenant, id).await?;
            told += released.told;
            withdrawn += released.withdrawn;
            if released.told + released.withdrawn == AT_ONCE as usize {
                tx.commit().await?;
                continue;
            }
            let at = self.now();
            sql("UPDATE incident SET state = 'closed', closed_at = ?, closed_by = ?, version = version + 1 WHERE tenant_id = ? AND id = ?")
                .bind(at)
                .bind(by)
                .bind(tenant.0)
                .bind(id)
                .run(&tx)
                .await?;
            let payload = json!({
                "tenant_id": tenant, "incident_id": id, "category": incident.category, "state": "closed",
                "opened_at": incident.opened_at, "still_low": told, "no_longer_low": withdrawn, "at": at,
            });
            outbox::emit(self, &tx, tenant, at, vec![Caused::new(EventKind::IncidentClosed, id, payload)])
                .await?;
            tx.commit().await?;
            return Ok(());
        }
    }
}

/// What an incident let go.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Released {
    /// Alerts of customers who are still low: people are told.
    told: usize,
    /// Alerts of customers who are not.
    withdrawn: usize,
}

/// Lets go some of what an incident holds.
pub(crate) async fn release(
    store: &Store,
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    incident: &str,
) -> Result<Released> {
    let held = sql(list::COLUMNS)
        .then("WHERE tenant_id = ? AND incident_id = ? AND state = 'held' ORDER BY id LIMIT ?")
        .bind(tenant.0)
        .bind(incident)
        .bind(AT_ONCE)
        .then(skip_locked(store.backend()))
        .all::<list::Row>(tx)
        .await?;
    let rules = Rules::of(tx, tenant).await?;
    let at = store.now();
    let mut released = Released::default();
    let mut still_low = Vec::new();
    for row in &held {
        let is_low = list::is_still_low(tx, tenant, row).await?;
        let (state, next_at, ended) = if is_low {
            released.told += 1;
            still_low.push(row);
            (AlertState::Open, rules.escalation(at), None)
        } else {
            released.withdrawn += 1;
            (AlertState::Withdrawn, None, Some(at))
        };
        sql("UPDATE alert SET state = ?, next_at = ?, ended_at = ?, due_at = ?, version = version + 1 WHERE tenant_id = ? AND id = ?")
            .bind(state.as_str())
            .bind(next_at)
            .bind(ended)
            .bind(rules.due(at))
            .bind(tenant.0)
            .bind(&row.id)
            .run(tx)
            .await?;
    }
    let payloads = list::payloads(tx, tenant, &still_low, at).await?;
    let events = still_low.iter().zip(payloads);
    let events = events.map(|(row, payload)| Caused::new(EventKind::AlertRaised, &row.id, payload));
    outbox::emit(store, tx, tenant, at, events.collect()).await?;
    Ok(released)
}
