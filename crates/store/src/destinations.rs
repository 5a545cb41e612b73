//! Destinations of events, and the deliveries on their way to them.

mod deliveries;
mod finish;
mod health;
mod log;
#[cfg(test)]
mod plans;
mod reseal;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use undertone_core::destination::{DestinationConfig, DestinationKind, Detail};
use undertone_core::event::Wanted;

use crate::audit::{self, Act};
use crate::rows::word;
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, StoreError, TenantId};

pub use deliveries::{ClaimedDelivery, GIVEN_UP_AFTER};
pub(crate) use deliveries::{NewDelivery, insert};
pub use finish::{FinishedDeliveries, FinishedDelivery, Sent};
pub use health::REFUSED_OFTEN;
pub use log::{Attempt, Delivery, DeliveryState, Replayed, Stretch, Which};
pub use reseal::bound_to;

/// A destination, its secrets sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// Its id.
    pub id: String,
    /// What kind of receiver it is.
    pub kind: DestinationKind,
    /// What people call it; no two of a tenant are called the same.
    pub name: String,
    /// What is no secret of it.
    #[serde(flatten)]
    pub config: DestinationConfig,
    /// Its address without what is secret in it.
    #[serde(rename = "address")]
    pub shown_address: String,
    /// Messages are sent to it.
    pub active: bool,
    /// Why not, in words.
    pub inactive_reason: Option<String>,
    /// Since when nothing reaches it; `None` while it works.
    pub failing_since: Option<DateTime<Utc>>,
    /// Since when what is sent to it fails or is put off; `None` where it works, or only refuses.
    #[serde(skip)]
    pub away_since: Option<DateTime<Utc>>,
    /// When people were told that it takes nothing; `None` where they were not, this time.
    #[serde(skip)]
    pub failing_told_at: Option<DateTime<Utc>>,
    /// Tries that failed in a row, or messages that were refused in a row.
    pub failures: i64,
    /// While it fails, or wants to be left alone: when it is tried again. `None` while it refuses.
    pub resume_at: Option<DateTime<Utc>>,
    /// When something last reached it.
    pub last_delivered_at: Option<DateTime<Utc>>,
    /// Which state of it this is; a change names the state that it changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When a person last changed it.
    pub updated_at: DateTime<Utc>,
    /// Its address and keys, sealed.
    #[serde(skip)]
    pub secrets: String,
    /// The master key that opens them, by its id.
    #[serde(skip)]
    pub key_id: String,
}

/// What a destination is made of, or changed to.
#[derive(Debug, Clone)]
pub struct NewDestination {
    /// What kind of receiver it is; never changed afterwards.
    pub kind: DestinationKind,
    /// What people call it.
    pub name: String,
    /// What is no secret of it.
    pub config: DestinationConfig,
    /// Its address without what is secret in it.
    pub shown_address: String,
    /// Its address and keys, sealed, and the id of the master key that opens them.
    pub secrets: (String, String),
    /// Messages are sent to it.
    pub active: bool,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    kind: String,
    name: String,
    config: Json,
    secrets: String,
    key_id: String,
    shown_address: String,
    active: bool,
    inactive_reason: Option<String>,
    failing_since: Option<DateTime<Utc>>,
    away_since: Option<DateTime<Utc>>,
    failing_told_at: Option<DateTime<Utc>>,
    failures: i64,
    resume_at: Option<DateTime<Utc>>,
    last_delivered_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Destination {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            kind: word("destination", &row.kind)?,
            config: config_of(&row.config)?,
            id: row.id,
            name: row.name,
            shown_address: row.shown_address,
            active: row.active,
            inactive_reason: row.inactive_reason,
            failing_since: row.failing_since,
            away_since: row.away_since,
            failing_told_at: row.failing_told_at,
            failures: row.failures,
            resume_at: row.resume_at,
            last_delivered_at: row.last_delivered_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            secrets: row.secrets,
            key_id: row.key_id,
        })
    }
}

/// The configuration in a row. A pattern that fits no event of this version wants none.
fn config_of(json: &Json) -> Result<DestinationConfig> {
    let unreadable =
        |detail: &str| StoreError::Unreadable { table: "destination", detail: detail.to_owned() };
    let patterns = json["events"].as_array().ok_or_else(|| unreadable("no events"))?;
    let known = patterns.iter().filter_map(Json::as_str).map(str::to_owned);
    let known = known.filter(|pattern| Wanted::new(vec![pattern.clone()]).is_ok()).collect();
    let options = json["options"].as_object().cloned().unwrap_or_else(Map::new);
    let detail: Detail = word("destination", json["detail"].as_str().unwrap_or_default())?;
    let events = Wanted::new(known).map_err(|e| unreadable(&e))?;
    let audience = word("destination", json["audience"].as_str().unwrap_or_default())?;
    Ok(DestinationConfig { events, detail, audience, options })
}

impl Destination {
    /// What the audit log tells of it: no address of which a part is a secret, and no key.
    fn told(&self) -> Json {
        json!({
            "kind": self.kind, "name": self.name, "address": self.shown_address, "active": self.active,
            "events": self.config.events, "detail": self.config.detail, "audience": self.config.audience, "options": self.config.options,
        })
    }
}

const COLUMNS: &str = "SELECT id, kind, name, config, secrets, key_id, shown_address, active, inactive_reason, failing_since, away_since, \
    failing_told_at, failures, resume_at, last_delivered_at, version, created_at, updated_at FROM destination ";

/// Those that messages are sent to. One that this version can not read, made by a later one, gets nothing, and stands in nobody's way.
pub(crate) async fn active(on: &impl ConnectionTrait, tenant: TenantId) -> Result<Vec<Destination>> {
    let rows = sql(COLUMNS)
        .then("WHERE tenant_id = ? AND active = ? ORDER BY id")
        .bind(tenant.0)
        .bind(true)
        .all::<Row>(on)
        .await?;
    let readable = |row: Row| {
        let id = row.id.clone();
        let read = Destination::try_from(row);
        read.inspect_err(|error| {
            tracing::warn!(%error, destination = id, "the destination {id} can not be read and gets nothing: {error}");
        })
        .ok()
    };
    Ok(rows.into_iter().filter_map(readable).collect())
}

async fn one(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    id: &str,
    lock: &'static str,
) -> Result<Option<Destination>> {
    let row = sql(COLUMNS)
        .then("WHERE tenant_id = ? AND id = ?")
        .bind(tenant.0)
        .bind(id)
        .then(lock)
        .one::<Row>(on)
        .await?;
    row.map(Destination::try_from).transpose()
}

/// Those of these destinations that are there, by id; taken in the ids' order, that two who want the same do not wait for each other.
pub(crate) async fn some(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    ids: BTreeSet<&str>,
    lock: &'static str,
) -> Result<BTreeMap<String, Destination>> {
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut found = BTreeMap::new();
    for piece in pieces(&ids) {
        let rows = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND id IN ? ORDER BY id")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .then(lock)
            .all::<Row>(on)
            .await?;
        for row in rows {
            found.insert(row.id.clone(), row.try_into()?);
        }
    }
    Ok(found)
}

/// Which state of a destination is there now, until the transaction ends.
pub(crate) async fn version(
    store: &Store,
    tx: &DatabaseTransaction,
    tenant: TenantId,
    id: &str,
) -> Result<Option<i64>> {
    Ok(one(tx, tenant, id, for_update(store.backend())).await?.map(|now| now.version))
}

impl Store {
    /// All destinations of a tenant, by name.
    pub async fn destinations(&self, tenant: TenantId) -> Result<Vec<Destination>> {
        let rows = sql(COLUMNS)
            .then("WHERE tenant_id = ? ORDER BY name")
            .bind(tenant.0)
            .all::<Row>(&self.reader)
            .await?;
        rows.into_iter().map(Destination::try_from).collect()
    }

    /// One destination.
    pub async fn destination(&self, tenant: TenantId, id: &str) -> Result<Option<Destination>> {
        one(&self.reader, tenant, id, "").await
    }

    /// Makes a destination.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the tenant has one of this name, or as many as it may have.
    pub async fn create_destination(&self, act: &Act<'_>, new: &NewDestination) -> Result<Destination> {
        let tx = self.begin().await?;
        let made = self.create_destination_on(&tx, act, new).await?;
        tx.commit().await?;
        Ok(made)
    }

    pub(crate) async fn create_destination_on(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        new: &NewDestination,
    ) -> Result<Destination> {
        /// Each costs a look at every event.
        const MOST: i64 = 200;
        let at = self.now();
        let id = self.new_id(at);
        let count = sql("SELECT COUNT(*) FROM destination WHERE tenant_id = ?")
            .bind(act.tenant.0)
            .value::<i64>(tx)
            .await?
            .unwrap_or_default();
        if count >= MOST {
            return Err(StoreError::Conflict(format!(
                "a tenant has {MOST} destinations at most; remove one first"
            )));
        }
        let made = sql("INSERT INTO destination (tenant_id, id, kind, name, config, secrets, key_id, shown_address, active, failures, version, \
             created_at, updated_at) VALUES ? ON CONFLICT DO NOTHING")
        .rows([[
            act.tenant.0.into(),
            id.as_str().into(),
            new.kind.as_str().into(),
            new.name.as_str().into(),
            json!(new.config).into(),
            new.secrets.0.as_str().into(),
            new.secrets.1.as_str().into(),
            new.shown_address.as_str().into(),
            new.active.into(),
            0_i64.into(),
            1_i64.into(),
            at.into(),
            at.into(),
        ]])
        .run(tx)
        .await?;
        if made == 0 {
            return Err(taken(&new.name));
        }
        let destination = one(tx, act.tenant, &id, "").await?.ok_or_else(|| gone(&id))?;
        audit::note(self, tx, act, ("destination_created", &id), &json!({"after": destination.told()}))
            .await?;
        Ok(destination)
    }

    /// Changes a destination from the state `version`; `None`: whatever it is now. Switched on again, or with another address, key or options,
    /// it begins anew; by another name or with other events it fails on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody else changed it meanwhile, or another has this name.
    pub async fn change_destination(
        &self,
        act: &Act<'_>,
        which: (&str, Option<i64>),
        new: &NewDestination,
    ) -> Result<Option<Destination>> {
        let tx = self.begin().await?;
        let changed = self.change_destination_on(&tx, act, which, new).await?;
        tx.commit().await?;
        Ok(changed)
    }

    pub(crate) async fn change_destination_on(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        (id, version): (&str, Option<i64>),
        new: &NewDestination,
    ) -> Result<Option<Destination>> {
        let Some(before) = one(tx, act.tenant, id, for_update(self.backend())).await? else {
            return Ok(None);
        };
        if version.is_some_and(|version| version != before.version) {
            return Err(StoreError::Conflict(format!(
                "somebody else changed “{}” meanwhile; load it again and repeat the change",
                before.name
            )));
        }
        if before.name != new.name {
            let other = sql("SELECT id FROM destination WHERE tenant_id = ? AND name = ? AND id <> ?")
                .bind(act.tenant.0)
                .bind(&new.name)
                .bind(id)
                .value::<String>(tx)
                .await?;
            if other.is_some() {
                return Err(taken(&new.name));
            }
        }
        let is_another = before.secrets != new.secrets.0 || before.config.options != new.config.options;
        let begins_anew = if is_another || before.active != new.active {
            "failing_since = NULL, away_since = NULL, failing_told_at = NULL, failures = 0, resume_at = NULL, "
        } else {
            ""
        };
        // Why it was switched off stays told while it is.
        let inactive_reason = before.inactive_reason.as_deref().filter(|_| !before.active && !new.active);
        sql("UPDATE destination SET ")
        .then(begins_anew)
        .then("name = ?, config = ?, secrets = ?, key_id = ?, shown_address = ?, active = ?, inactive_reason = ?, version = version + 1, \
             updated_at = ? WHERE tenant_id = ? AND id = ?")
        .bind(&new.name)
        .bind(json!(new.config))
        .bind(&new.secrets.0)
        .bind(&new.secrets.1)
        .bind(&new.shown_address)
        .bind(new.active)
        .bind(inactive_reason)
        .bind(self.now())
        .bind(act.tenant.0)
        .bind(id)
        .run(tx)
        .await?;
        let after = one(tx, act.tenant, id, "").await?.ok_or_else(|| gone(id))?;
        let new_secrets = before.secrets != after.secrets;
        let payload = json!({"before": before.told(), "after": after.told(), "new_secrets": new_secrets});
        audit::note(self, tx, act, ("destination_changed", id), &payload).await?;
        Ok(Some(after))
    }

    /// Removes a destination; what waited for it is not sent, and goes with the log when it is old. Answers whether there was one.
    pub async fn remove_destination(&self, act: &Act<'_>, id: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let removed = self.remove_destination_on(&tx, act, id).await?;
        tx.commit().await?;
        Ok(removed)
    }

    pub(crate) async fn remove_destination_on(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        id: &str,
    ) -> Result<bool> {
        let Some(before) = one(tx, act.tenant, id, for_update(self.backend())).await? else {
            return Ok(false);
        };
        sql("DELETE FROM destination WHERE tenant_id = ? AND id = ?")
            .bind(act.tenant.0)
            .bind(id)
            .run(tx)
            .await?;
        audit::note(self, tx, act, ("destination_removed", id), &json!({"before": before.told()})).await?;
        Ok(true)
    }
}

fn taken(name: &str) -> StoreError {
    StoreError::Conflict(format!("there is a destination called “{name}” already; choose another name"))
}

fn gone(id: &str) -> StoreError {
    StoreError::Conflict(format!("the destination {id} was removed meanwhile"))
}
