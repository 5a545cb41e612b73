//! Incidents: many customers turning low about the same category at once are one incident. It holds back the alerts of its members and lets
//! those go that are still low when it ends.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use serde_json::json;
use undertone_core::event::EventKind;
use undertone_core::event::payload::IncidentClosed;

use super::clock::{CLOCK, MOST_ESCALATIONS};
use super::{AlertState, Rules, begin_cooldown, list, moves};
use crate::audit::{self, Act};
use crate::outbox::{self, Caused};
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

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
    /// Customers who turned low about it: those in the window when it was seen, and those who followed.
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
            self.end_incident(tenant, &incident.id, Ender::Clock { quiet_since: self.now() - window })
                .await?;
        }
        Ok(())
    }

    /// Ends an incident because a person says so; `None`: there is no such incident.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended already.
    pub async fn close_incident(&self, act: &Act<'_>, id: &str) -> Result<Option<Incident>> {
        let Some(incident) = self.incident(act.tenant, id).await? else { return Ok(None) };
        if incident.state != "open" || !self.end_incident(act.tenant, id, Ender::Person(act)).await? {
            return Err(StoreError::Conflict("the incident has ended already".to_owned()));
        }
        self.incident(act.tenant, id).await
    }

    /// Lets go what an incident holds, in slices, and ends it; answers whether it did, for somebody else may have been first.
    async fn end_incident(&self, tenant: TenantId, id: &str, ender: Ender<'_>) -> Result<bool> {
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
            let Some(incident) = incident else { return Ok(false) };
            if matches!(ender, Ender::Clock { quiet_since } if incident.last_member_at > quiet_since) {
                return Ok(false);
            }
            let rules = Rules::of(&tx, tenant).await?;
            let released = release(self, &tx, &rules, (id, ender.name())).await?;
            told += released.told;
            withdrawn += released.withdrawn;
            if released.told + released.withdrawn == AT_ONCE as usize {
                tx.commit().await?;
                continue;
            }
            let at = self.now();
            wind_up(&tx, &rules, at, &incident).await?;
            sql("UPDATE incident SET state = 'closed', closed_at = ?, closed_by = ?, version = version + 1 WHERE tenant_id = ? AND id = ?")
                .bind(at)
                .bind(ender.name())
                .bind(tenant.0)
                .bind(id)
                .run(&tx)
                .await?;
            if let Ender::Person(act) = ender {
                let category = json!({"category": incident.category});
                audit::note(self, &tx, act, ("incident_closed", id), &category).await?;
            }
            let payload = json!(IncidentClosed {
                tenant_id: tenant.0,
                incident_id: id,
                category: &incident.category,
                state: "closed",
                opened_at: incident.opened_at,
                still_low: told as u64,
                no_longer_low: withdrawn as u64,
                at,
            });
            let event = Caused::new(EventKind::IncidentClosed, id, payload);
            outbox::emit_under(self, &tx, (tenant, at), &rules.settings, vec![event]).await?;
            tx.commit().await?;
            return Ok(true);
        }
    }
}

/// What an incident leaves when it ends: the escalation of alerts that people were told of before it was seen goes on, and whoever turned
/// low is forgotten, so that those who were low already are no new surge.
async fn wind_up(
    tx: &impl ConnectionTrait,
    rules: &Rules,
    at: DateTime<Utc>,
    incident: &Incident,
) -> Result<()> {
    sql("UPDATE alert SET next_at = ?, version = version + 1 WHERE tenant_id = ? AND incident_id = ? AND state = 'open' \
         AND next_at IS NULL AND escalated < ?")
    .bind(rules.escalation(at))
    .bind(rules.tenant.0)
    .bind(&incident.id)
    .bind(MOST_ESCALATIONS)
    .run(tx)
    .await?;
    sql("DELETE FROM surge WHERE tenant_id = ? AND category = ?")
        .bind(rules.tenant.0)
        .bind(&incident.category)
        .run(tx)
        .await?;
    Ok(())
}

/// Who ends an incident.
#[derive(Clone, Copy)]
enum Ender<'a> {
    /// The clock, if nobody turned low after this moment.
    Clock { quiet_since: DateTime<Utc> },
    /// A person.
    Person(&'a Act<'a>),
}

impl Ender<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Clock { .. } => CLOCK,
            Self::Person(act) => act.actor,
        }
    }
}

/// What an incident let go.
#[derive(Debug, Clone, Copy, Default)]
struct Released {
    /// Alerts of customers who are still low: people are told.
    told: usize,
    /// Alerts of customers who are not.
    withdrawn: usize,
}

/// Lets go some of what an incident holds, because `by` ended it. It waits for whoever has one of its alerts in hand: what is passed over
/// here, nobody would come back to.
async fn release(
    store: &Store,
    tx: &impl ConnectionTrait,
    rules: &Rules,
    (incident, by): (&str, &str),
) -> Result<Released> {
    let tenant = rules.tenant;
    let held = sql(list::COLUMNS)
        .then("WHERE tenant_id = ? AND incident_id = ? AND state = 'held' ORDER BY id LIMIT ?")
        .bind(tenant.0)
        .bind(incident)
        .bind(AT_ONCE)
        .then(for_update(store.backend()))
        .all::<list::Row>(tx)
        .await?;
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
        sql("UPDATE alert SET state = ?, next_at = ?, ended_at = ?, ended_by = ?, due_at = ?, version = version + 1 \
             WHERE tenant_id = ? AND id = ?")
        .bind(state.as_str())
        .bind(next_at)
        .bind(ended)
        .bind(ended.map(|_| by))
        .bind(rules.due(at))
        .bind(tenant.0)
        .bind(&row.id)
        .run(tx)
        .await?;
        if !is_low {
            let why = "the incident ended, and the customer is no longer low";
            moves::step(store, tx, (tenant, &row.id), ("withdrawn", by), Some(why)).await?;
        }
    }
    let told = still_low.iter().filter_map(|row| row.customer_id.as_deref()).collect();
    begin_cooldown(tx, tenant, at, &told).await?;
    let payloads = list::payloads(tx, tenant, &still_low, at).await?;
    let events = still_low.iter().zip(payloads);
    let events = events.map(|(row, payload)| Caused::new(EventKind::AlertRaised, &row.id, json!(payload)));
    outbox::emit_under(store, tx, (tenant, at), &rules.settings, events.collect()).await?;
    Ok(released)
}
