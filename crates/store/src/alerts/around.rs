//! The alerts around interactions, which say why one of them raised none.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use super::list::{Alert, COLUMNS, Row};
use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId};

impl Store {
    /// The alerts that these interactions raised.
    pub async fn alerts_of(&self, tenant: TenantId, interactions: &[&str]) -> Result<Vec<Alert>> {
        if interactions.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND interaction_id IN ?")
            .bind(tenant.0)
            .list(interactions.iter().copied())
            .all::<Row>(&self.reader)
            .await?;
        rows.into_iter().map(Alert::try_from).collect()
    }

    /// An alert is not over: it is open, held, snoozed or somebody's.
    pub async fn alert_stands(&self, tenant: TenantId, id: &str) -> Result<bool> {
        let found = sql("SELECT state FROM alert WHERE tenant_id = ? AND id = ? AND state NOT IN ('resolved', 'withdrawn')")
            .bind(tenant.0)
            .bind(id)
            .value::<String>(&self.reader)
            .await?;
        Ok(found.is_some())
    }

    /// The interactions that these alerts are about, by the alerts' ids; those that are not there are left out.
    pub async fn interactions_of_alerts(
        &self,
        tenant: TenantId,
        alerts: &[&str],
    ) -> Result<HashMap<String, String>> {
        #[derive(FromQueryResult)]
        struct Of {
            id: String,
            interaction_id: String,
        }
        let mut found = HashMap::with_capacity(alerts.len());
        for piece in pieces(alerts) {
            let rows = sql("SELECT id, interaction_id FROM alert WHERE tenant_id = ? AND id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .all::<Of>(&self.reader)
                .await?;
            found.extend(rows.into_iter().map(|of| (of.id, of.interaction_id)));
        }
        Ok(found)
    }

    /// The alerts of these customers that were raised or told since a moment or are held, the oldest first and at most `most`.
    pub async fn alerts_of_customers(
        &self,
        tenant: TenantId,
        customers: &[&str],
        since: DateTime<Utc>,
        most: u16,
    ) -> Result<Vec<Alert>> {
        if customers.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND customer_id IN ?")
            .bind(tenant.0)
            .list(customers.iter().copied())
            .then(" AND (raised_at >= ? OR told_at >= ? OR state = 'held' OR told_at IS NULL AND ended_at >= ?) ORDER BY id LIMIT ?")
            .bind(since)
            .bind(since)
            .bind(since)
            .bind(i64::from(most))
            .all::<Row>(&self.reader)
            .await?;
        rows.into_iter().map(Alert::try_from).collect()
    }
}
