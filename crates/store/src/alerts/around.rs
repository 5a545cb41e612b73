//! The alerts around interactions, which say why one of them raised none.

use chrono::{DateTime, Utc};

use super::list::{Alert, COLUMNS, Row};
use crate::statement::sql;
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

    /// The alerts of these customers that were raised since a moment, the oldest first and at most `most`.
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
            .then(" AND raised_at >= ? ORDER BY id LIMIT ?")
            .bind(since)
            .bind(i64::from(most))
            .all::<Row>(&self.reader)
            .await?;
        rows.into_iter().map(Alert::try_from).collect()
    }
}
