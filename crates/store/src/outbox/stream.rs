//! Reading events in their order, for those who can not be called.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde_json::Value as Json;

use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// An event as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Told {
    /// Its place in the tenant's order, from 1, without gaps when it is given.
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

impl Store {
    /// The events after a place that are told to workflows, at most `most`, in order.
    pub async fn events_after(&self, tenant: TenantId, position: i64, most: u16) -> Result<Vec<Told>> {
        sql("SELECT position, id, event, created_at, payload FROM outbox WHERE tenant_id = ? AND position > ? AND to_workflow = ? \
             ORDER BY position LIMIT ?")
        .bind(tenant.0)
        .bind(position)
        .bind(true)
        .bind(i64::from(most))
        .all::<Told>(&self.reader)
        .await
    }

    /// The places of the oldest event that is still kept and of the youngest; both 0 where there is none.
    pub async fn event_places(&self, tenant: TenantId) -> Result<(i64, i64)> {
        let oldest = sql("SELECT position FROM outbox WHERE tenant_id = ? AND position IS NOT NULL ORDER BY position LIMIT 1")
            .bind(tenant.0)
            .value::<i64>(&self.reader)
            .await?;
        let last = sql("SELECT last FROM event_sequence WHERE tenant_id = ?")
            .bind(tenant.0)
            .value::<i64>(&self.reader)
            .await?
            .unwrap_or_default();
        Ok((oldest.unwrap_or(last), last))
    }
}
