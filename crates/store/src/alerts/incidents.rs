//! Incidents: many customers turning low about the same category at once are one incident. It holds back the alerts of its members and lets
//! those go that are still low when it ends.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use serde_json::json;
use undertone_core::event::EventKind;
use undertone_core::event::payload::IncidentClosed;

use super::clock::{CLOCK, MOST_ESCALATIONS};
use super::{AlertState, Rules, list, moves, surge, win};
use crate::audit::{self, Act};
use crate::outbox::{self, Caused};
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

/// Alerts let go in one transaction.
const AT_ONCE: i64 = 200;
/// One that goes on for longer ends all the same: no alert is held back for more than a day.
const LONGEST: TimeDelta = TimeDelta::hours(24);

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
    /// When a customer last turned low about it who was none of them yet.
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

    /// Lets go some of what an incident of a tenant holds that is over, and ends it once it holds nothing: a slice, so that nobody else's
    /// incidents wait for a large one. Answers whether there may be more.
    ///
    /// One is over when it is no surge any more: in the last window, and that is one since it was seen, fewer than half as many customers
    /// turned low anew as make one, however often those write who were low already. So it is after 24 hours, and where nobody is told of
    /// incidents by now.
    pub async fn end_incidents(&self, tenant: TenantId) -> Result<bool> {
        let open = sql(ENDING)
            .then("WHERE tenant_id = ? AND state = 'open' ORDER BY id")
            .bind(tenant.0)
            .all::<Ending>(&self.reader)
            .await?;
        let rules = Rules::of(&self.reader, tenant).await?;
        let mut over = Vec::new();
        for ending in &open {
            if ending.is_over(&self.reader, &rules, self.now()).await? {
                over.push(ending.id.as_str());
            }
        }
        let Some(first) = over.first() else { return Ok(false) };
        let slice = self.end_slice(tenant, first, Ender::Clock).await?;
        Ok(slice == Slice::More || over.len() > 1)
    }

    /// Ends an incident because a person says so; `None`: there is no such incident.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended already.
    pub async fn close_incident(&self, act: &Act<'_>, id: &str) -> Result<Option<Incident>> {
        if self.incident(act.tenant, id).await?.is_none() {
            return Ok(None);
        }
        loop {
            match self.end_slice(act.tenant, id, Ender::Person(act)).await? {
                Slice::More => {}
                Slice::Ended => return self.incident(act.tenant, id).await,
                Slice::NotMine => {
                    return Err(StoreError::Conflict("the incident has ended already".to_owned()));
                }
            }
        }
    }

    /// Lets go some of what an incident holds, and ends it once it holds nothing.
    async fn end_slice(&self, tenant: TenantId, id: &str, ender: Ender<'_>) -> Result<Slice> {
        let tx = self.begin().await?;
        let ending = sql(ENDING)
            .then("WHERE tenant_id = ? AND id = ? AND state = 'open'")
            .bind(tenant.0)
            .bind(id)
            .then(for_update(self.backend()))
            .one::<Ending>(&tx)
            .await?;
        let Some(ending) = ending else { return Ok(Slice::NotMine) };
        let rules = Rules::of(&tx, tenant).await?;
        if matches!(ender, Ender::Clock) && !ending.is_over(&tx, &rules, self.now()).await? {
            return Ok(Slice::NotMine);
        }
        let released = release(self, &tx, &rules, (id, ender.name())).await?;
        let (still_low, no_longer_low) =
            (ending.still_low + released.told, ending.no_longer_low + released.withdrawn);
        if released.told + released.withdrawn == AT_ONCE {
            sql("UPDATE incident SET still_low = ?, no_longer_low = ? WHERE tenant_id = ? AND id = ?")
                .bind(still_low)
                .bind(no_longer_low)
                .bind(tenant.0)
                .bind(id)
                .run(&tx)
                .await?;
            tx.commit().await?;
            return Ok(Slice::More);
        }
        let at = self.now();
        wind_up(&tx, &rules, at, (id, &ending.category)).await?;
        sql("UPDATE incident SET state = 'closed', closed_at = ?, closed_by = ?, still_low = ?, no_longer_low = ?, version = version + 1 \
             WHERE tenant_id = ? AND id = ?")
            .bind(at)
            .bind(ender.name())
            .bind(still_low)
            .bind(no_longer_low)
            .bind(tenant.0)
            .bind(id)
            .run(&tx)
            .await?;
        if let Ender::Person(act) = ender {
            let category = json!({"category": ending.category});
            audit::note(self, &tx, act, ("incident_closed", id), &category).await?;
        }
        let payload = json!(IncidentClosed {
            tenant_id: tenant.0,
            incident_id: id,
            category: &ending.category,
            state: "closed",
            opened_at: ending.opened_at,
            still_low: still_low.unsigned_abs(),
            no_longer_low: no_longer_low.unsigned_abs(),
            at,
        });
        let event = Caused::new(EventKind::IncidentClosed, id, payload);
        outbox::emit_under(self, &tx, (tenant, at), &rules.settings, vec![event]).await?;
        tx.commit().await?;
        Ok(Slice::Ended)
    }
}

const ENDING: &str = "SELECT id, category, opened_at, usual, still_low, no_longer_low FROM incident ";

/// An incident that may be ending.
#[derive(FromQueryResult)]
struct Ending {
    id: String,
    category: String,
    opened_at: DateTime<Utc>,
    usual: f64,
    /// What was let go so far: alerts of customers who were still low then, and of those who were not.
    still_low: i64,
    no_longer_low: i64,
}

impl Ending {
    async fn is_over(&self, on: &impl ConnectionTrait, rules: &Rules, now: DateTime<Utc>) -> Result<bool> {
        let since = now - TimeDelta::minutes(rules.settings.incident_minutes.into());
        if now - self.opened_at >= LONGEST || !rules.makes_incidents(on).await? {
            return Ok(true);
        }
        if self.opened_at > since {
            return Ok(false);
        }
        let new = surge::turned_since(on, (rules.tenant, &self.category), since).await?;
        Ok(2.0 * (new as f64) < surge::needed(rules, self.usual))
    }
}

/// What became of an incident in one transaction of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slice {
    /// It holds more.
    More,
    /// It has ended.
    Ended,
    /// There is none to end: somebody else was first, or it is not over any more.
    NotMine,
}

/// What an incident leaves when it ends: the escalation of alerts that people were told of before it was seen goes on, and whoever turned
/// low is forgotten, so that those who were low already are no new surge.
async fn wind_up(
    tx: &impl ConnectionTrait,
    rules: &Rules,
    at: DateTime<Utc>,
    (incident, category): (&str, &str),
) -> Result<()> {
    sql("UPDATE alert SET next_at = ?, version = version + 1 WHERE tenant_id = ? AND incident_id = ? AND state = 'open' \
         AND next_at IS NULL AND escalated < ?")
    .bind(rules.escalation(at))
    .bind(rules.tenant.0)
    .bind(incident)
    .bind(MOST_ESCALATIONS)
    .run(tx)
    .await?;
    sql("DELETE FROM surge WHERE tenant_id = ? AND category = ?")
        .bind(rules.tenant.0)
        .bind(category)
        .run(tx)
        .await?;
    Ok(())
}

/// Who ends an incident.
#[derive(Clone, Copy)]
enum Ender<'a> {
    /// The clock, if it is over.
    Clock,
    /// A person.
    Person(&'a Act<'a>),
}

impl Ender<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Clock => CLOCK,
            Self::Person(act) => act.actor,
        }
    }
}

/// Whom an alert is about, as the cooldown has it.
fn key(row: &list::Row) -> Option<&str> {
    row.cooldown_key.as_deref()
}

/// What an incident let go.
#[derive(Debug, Clone, Copy, Default)]
struct Released {
    /// Alerts of customers who are still low: people are told.
    told: i64,
    /// Alerts of customers who are not, or of whom people were told just before.
    withdrawn: i64,
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
    let mut low = HashSet::new();
    for row in &held {
        if list::is_still_low(tx, tenant, row).await? {
            low.insert(row.id.as_str());
        }
    }
    // Of a customer of whom they were told about something else a moment ago, people are not told again.
    let keys: BTreeSet<&str> =
        held.iter().filter(|row| low.contains(row.id.as_str())).filter_map(key).collect();
    let over = at - rules.cooldown();
    let mut won = win(tx, tenant, at, over, keys.into_iter()).await?;
    let mut released = Released::default();
    let mut still_low = Vec::new();
    for row in &held {
        let is_low = low.contains(row.id.as_str());
        // Two are of one customer where one was held of a conversation that became theirs.
        let is_told = is_low && key(row).is_none_or(|key| won.remove(key));
        let (state, due_at, next_at, ended) = if is_told {
            released.told += 1;
            (AlertState::Open, rules.due(at), rules.escalation(at), None)
        } else {
            released.withdrawn += 1;
            (AlertState::Withdrawn, row.due_at, None, Some(at))
        };
        sql("UPDATE alert SET state = ?, told_at = ?, next_at = ?, ended_at = ?, ended_by = ?, due_at = ?, version = version + 1 \
             WHERE tenant_id = ? AND id = ?")
        .bind(state.as_str())
        .bind(is_told.then_some(at))
        .bind(next_at)
        .bind(ended)
        .bind(ended.map(|_| by))
        .bind(due_at)
        .bind(tenant.0)
        .bind(&row.id)
        .run(tx)
        .await?;
        if is_told {
            let state = state.as_str().to_owned();
            still_low.push(list::Row { state, told_at: Some(at), due_at, ..row.clone() });
        } else {
            let why = if is_low {
                "the incident ended, and people were told of the customer by another alert just before"
            } else {
                "the incident ended, and the customer is no longer low"
            };
            moves::step(store, tx, (tenant, &row.id), ("withdrawn", by), Some(why)).await?;
        }
    }
    let payloads = list::payloads(tx, tenant, &still_low.iter().collect::<Vec<_>>(), at).await?;
    let events = still_low.iter().zip(payloads);
    let events = events.map(|(row, payload)| Caused::new(EventKind::AlertRaised, &row.id, json!(payload)));
    outbox::emit_under(store, tx, (tenant, at), &rules.settings, events.collect()).await?;
    Ok(released)
}
