//! Surges: customers who turn low about a category are noted, and where they are many at once, and more than is usual, an incident is opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde_json::json;
use undertone_core::event::EventKind;
use undertone_core::event::payload::IncidentOpened;

use super::usual::{self, Slot};
use super::{Low, Rules};
use crate::outbox::{self, Caused};
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};

/// A surge is this many times what is usual, at least.
const TIMES_USUAL: f64 = 3.0;

/// Notes who turned low about what, and opens incidents where that surges. Answers the open incident of each category that has one. Of
/// customers nobody knows none is counted: one of them may be several, or several one. An open incident holds their alerts all the same.
pub(super) async fn note(
    store: &Store,
    tx: &impl ConnectionTrait,
    rules: &Rules,
    at: DateTime<Utc>,
    lows: &[Low<'_>],
) -> Result<HashMap<String, String>> {
    let mut incidents = HashMap::new();
    if !rules.may_make_incidents() {
        return Ok(incidents);
    }
    let mut members: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for low in lows {
        members.entry(low.category).or_default().extend(low.customer);
    }
    let slot = Slot::of(rules.zone, at, rules.settings.incident_minutes);
    let surge = Surge { store, tx, rules, at, slot };
    let mut counted: Vec<(&str, i64)> = Vec::new();
    for (category, customers) in members {
        let (incident, new) = surge.join(category, &customers).await?;
        if let Some(id) = incident {
            incidents.insert(category.to_owned(), id);
        }
        if new > 0 {
            counted.push((category, new));
        }
    }
    slot.count(tx, rules.tenant, &counted).await?;
    Ok(incidents)
}

/// So many customers low about a category within a window are a surge, where so many are usual.
pub(super) fn needed(rules: &Rules, usual: f64) -> f64 {
    (TIMES_USUAL * usual).max(rules.settings.incident_customers.into())
}

/// How many customers turned low anew about a category after `since`.
pub(super) async fn turned_since(
    on: &impl ConnectionTrait,
    (tenant, category): (TenantId, &str),
    since: DateTime<Utc>,
) -> Result<i64> {
    let turned = sql("SELECT COUNT(*) FROM surge WHERE tenant_id = ? AND category = ? AND at > ? AND COALESCE(turned_at, at) > ?")
        .bind(tenant.0)
        .bind(category)
        .bind(since)
        .bind(since)
        .value::<i64>(on)
        .await?;
    Ok(turned.unwrap_or_default())
}

/// Some who turn low now.
struct Surge<'a, C> {
    store: &'a Store,
    tx: &'a C,
    rules: &'a Rules,
    at: DateTime<Utc>,
    /// The window of the tenant's day that this is in.
    slot: Slot,
}

#[derive(FromQueryResult)]
struct Open {
    id: String,
    opened_at: DateTime<Utc>,
}

impl<C: ConnectionTrait> Surge<'_, C> {
    fn tenant(&self) -> TenantId {
        self.rules.tenant
    }

    fn window(&self) -> TimeDelta {
        TimeDelta::minutes(self.rules.settings.incident_minutes.into())
    }

    /// Notes that customers turned low about a category. Answers its incident, opened now where it surges, and how many of them turned low anew.
    ///
    /// The incident is locked before those who make it up, as where it ends.
    async fn join(&self, category: &str, customers: &BTreeSet<&str>) -> Result<(Option<String>, i64)> {
        let open =
            sql("SELECT id, opened_at FROM incident WHERE tenant_id = ? AND category = ? AND state = 'open'")
                .bind(self.tenant().0)
                .bind(category)
                .then(for_update(self.store.backend()))
                .one::<Open>(self.tx)
                .await?;
        if customers.is_empty() {
            return Ok((open.map(|open| open.id), 0));
        }
        // Whoever was low since the incident began is one of its members already, however long it goes on.
        let since = open.as_ref().map_or(self.at, |open| open.opened_at.min(self.at)) - self.window();
        let new = self.turned(category, customers, since).await?;
        if let Some(open) = open {
            if new > 0 {
                self.grow(&open.id, new).await?;
            }
            return Ok((Some(open.id), new));
        }
        let low = sql("SELECT COUNT(*) FROM surge WHERE tenant_id = ? AND category = ? AND at > ?")
            .bind(self.tenant().0)
            .bind(category)
            .bind(self.at - self.window())
            .value::<i64>(self.tx)
            .await?
            .unwrap_or_default();
        if low < i64::from(self.rules.settings.incident_customers) {
            return Ok((None, new));
        }
        let usual = self.slot.usual(self.tx, self.tenant(), category).await?;
        if (low as f64) < needed(self.rules, usual) || !self.rules.makes_incidents(self.tx).await? {
            return Ok((None, new));
        }
        let opened = self.open(category, low, usual).await?;
        let incident = match opened {
            Some(id) => Some(id),
            None => self.join_other(category, new).await?,
        };
        Ok((incident, new))
    }

    /// Keeps that they are low now; answers how many were not since `since`.
    async fn turned(&self, category: &str, customers: &BTreeSet<&str>, since: DateTime<Utc>) -> Result<i64> {
        let customers: Vec<&str> = customers.iter().copied().collect();
        let mut new = 0;
        for piece in pieces(&customers) {
            let times = sql("INSERT INTO surge (tenant_id, category, customer_id, at, times, turned_at) VALUES ? \
                 ON CONFLICT (tenant_id, category, customer_id) DO UPDATE SET at = excluded.at, \
                 times = CASE WHEN surge.at > ? THEN surge.times + 1 ELSE 1 END, \
                 turned_at = CASE WHEN surge.at > ? THEN surge.turned_at ELSE excluded.turned_at END RETURNING times")
            .rows(piece.iter().map(|customer| {
                [
                    self.tenant().0.into(),
                    category.into(),
                    Value::from(*customer),
                    self.at.into(),
                    1_i64.into(),
                    self.at.into(),
                ]
            }))
            .bind(since)
            .bind(since)
            .column::<i64>(self.tx)
            .await?;
            new += times.into_iter().filter(|times| *times == 1).count() as i64;
        }
        Ok(new)
    }

    async fn grow(&self, incident: &str, new: i64) -> Result<()> {
        sql("UPDATE incident SET customers = customers + ?, last_member_at = ? WHERE tenant_id = ? AND id = ?")
            .bind(new)
            .bind(self.at)
            .bind(self.tenant().0)
            .bind(incident)
            .run(self.tx)
            .await?;
        Ok(())
    }

    /// Joins the incident that somebody else opened at the same moment.
    async fn join_other(&self, category: &str, new: i64) -> Result<Option<String>> {
        sql("UPDATE incident SET customers = customers + ?, last_member_at = ? WHERE tenant_id = ? AND category = ? AND state = 'open' \
             RETURNING id")
        .bind(new)
        .bind(self.at)
        .bind(self.tenant().0)
        .bind(category)
        .value::<String>(self.tx)
        .await
    }

    /// Opens an incident and takes in the alerts of its first members; `None`: somebody else was first.
    async fn open(&self, category: &str, customers: i64, usual: f64) -> Result<Option<String>> {
        let (tenant, at, settings) = (self.tenant(), self.at, &self.rules.settings);
        let id = self.store.new_id(at);
        let opened =
            sql("INSERT INTO incident (tenant_id, id, category, state, opened_at, customers, usual, last_member_at, version) VALUES ? \
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
            .value::<String>(self.tx)
            .await?;
        if opened.is_none() {
            return Ok(None);
        }
        self.adopt(category, &id).await?;
        let payload = json!(IncidentOpened {
            tenant_id: tenant.0,
            incident_id: &id,
            category,
            customers,
            usual,
            window_minutes: settings.incident_minutes,
            state: "open",
            at,
        });
        let event = Caused::new(EventKind::IncidentOpened, &id, payload);
        outbox::emit_under(self.store, self.tx, (tenant, at), settings, vec![event]).await?;
        Ok(Some(id))
    }

    /// The alerts of the first members, of which people were told before the surge could be seen, belong to the incident and are not
    /// escalated while it is open, unless somebody took them or was given them.
    async fn adopt(&self, category: &str, incident: &str) -> Result<()> {
        let since = self.at - self.window();
        let alerts = sql("SELECT id FROM alert WHERE tenant_id = ? AND category = ? AND state = 'open' AND acknowledged_at IS NULL \
             AND assigned_to IS NULL AND incident_id IS NULL AND raised_at > ? AND customer_id IN \
             (SELECT customer_id FROM surge WHERE tenant_id = ? AND category = ? AND at > ?) ORDER BY id")
        .bind(self.tenant().0)
        .bind(category)
        .bind(since)
        .bind(self.tenant().0)
        .bind(category)
        .bind(since)
        .then(for_update(self.store.backend()))
        .column::<String>(self.tx)
        .await?;
        for piece in pieces(&alerts) {
            sql("UPDATE alert SET incident_id = ?, next_at = NULL, version = version + 1 WHERE tenant_id = ? AND id IN ?")
                .bind(incident)
                .bind(self.tenant().0)
                .list(piece.iter().map(String::as_str))
                .run(self.tx)
                .await?;
        }
        Ok(())
    }
}

impl Store {
    /// Removes some of what a surge could be seen in and lies before the window, or before the days of which what is usual is taken; answers
    /// whether there may be more. Of an open incident the members stay.
    pub async fn tidy_surge(&self, tenant: TenantId) -> Result<bool> {
        const SOME: i64 = 1000;
        const OVER: &str = "s.tenant_id = ? AND s.at <= ? AND NOT EXISTS (SELECT 1 FROM incident i WHERE i.tenant_id = s.tenant_id \
             AND i.category = s.category AND i.state = 'open')";
        let window = self.module(tenant).await?.settings.incident_minutes;
        let (tx, now) = (self.begin().await?, self.now());
        let before = now - TimeDelta::minutes(window.into());
        // Whoever turns low at this moment stays: their row is looked at again before it goes.
        let removed = sql("DELETE FROM surge AS s WHERE ")
            .then(OVER)
            .bind(tenant.0)
            .bind(before)
            .then(" AND (category, customer_id) IN (SELECT category, customer_id FROM surge s WHERE ")
            .then(OVER)
            .bind(tenant.0)
            .bind(before)
            .then(" LIMIT ?)")
            .bind(SOME)
            .run(&tx)
            .await?;
        usual::tidy(&tx, tenant, now).await?;
        tx.commit().await?;
        Ok(removed == SOME.unsigned_abs())
    }
}
