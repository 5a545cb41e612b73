//! Legal hold: of a customer under it their texts, scores, conversations and alerts are not removed, neither by a clock nor on request, until it
//! is lifted. What has a clock of its own goes on: texts that were labelled, which are nobody's any more, entries of the audit log, and events
//! with what was told of them.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde_json::json;

use crate::audit::{self, Act};
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

/// The longest reason of a hold, in characters.
const MOST_REASON: usize = 500;

/// A customer under legal hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Hold {
    /// Our id of the customer.
    pub customer_id: String,
    /// Why, as written by whoever placed it.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: DateTime<Utc>,
}

const HOLD: &str = "SELECT customer_id, reason, placed_by, placed_at FROM legal_hold WHERE tenant_id = ?";

impl Store {
    /// Places a customer, by our id, under legal hold, or gives the hold another reason. `None`: there is no such customer, or they are being erased.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a reason that is blank or longer than 500 characters.
    pub async fn place_hold(&self, act: &Act<'_>, customer: &str, reason: &str) -> Result<Option<Hold>> {
        let reason = reason.trim();
        if !(1..=MOST_REASON).contains(&reason.chars().count()) {
            let told = format!("reason says why, in 1 to {MOST_REASON} characters");
            return Err(StoreError::Invalid(told));
        }
        let tx = self.begin().await?;
        // An erasure that begins at the same moment waits, or was first.
        let there = sql("SELECT id FROM customer WHERE tenant_id = ? AND id = ? AND erased_at IS NULL")
            .bind(act.tenant.0)
            .bind(customer)
            .then(for_update(self.backend()))
            .value::<String>(&tx)
            .await?;
        if there.is_none() {
            return Ok(None);
        }
        let before =
            sql(HOLD).bind(act.tenant.0).then(" AND customer_id = ?").bind(customer).one::<Hold>(&tx).await?;
        let hold = Hold {
            customer_id: customer.to_owned(),
            reason: reason.to_owned(),
            placed_by: act.actor.to_owned(),
            placed_at: self.now(),
        };
        sql("INSERT INTO legal_hold (tenant_id, customer_id, reason, placed_by, placed_at) VALUES ? \
             ON CONFLICT (tenant_id, customer_id) DO UPDATE SET reason = excluded.reason, placed_by = excluded.placed_by, \
             placed_at = excluded.placed_at")
            .rows([[
                act.tenant.0.into(),
                customer.into(),
                reason.into(),
                act.actor.into(),
                hold.placed_at.into(),
            ]])
            .run(&tx)
            .await?;
        let payload = json!({"before": before.map(|hold| hold.reason), "after": reason});
        audit::note(self, &tx, act, ("legal_hold_placed", customer), &payload).await?;
        tx.commit().await?;
        Ok(Some(hold))
    }

    /// Lifts the hold of a customer, by our id; answers whether there was one.
    pub async fn lift_hold(&self, act: &Act<'_>, customer: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let before = sql("DELETE FROM legal_hold WHERE tenant_id = ? AND customer_id = ? RETURNING reason")
            .bind(act.tenant.0)
            .bind(customer)
            .value::<String>(&tx)
            .await?;
        if let Some(reason) = &before {
            let change = json!({"before": reason, "after": null});
            audit::note(self, &tx, act, ("legal_hold_lifted", customer), &change).await?;
        }
        tx.commit().await?;
        Ok(before.is_some())
    }

    /// The hold of a customer, by our id.
    pub async fn legal_hold(&self, tenant: TenantId, customer: &str) -> Result<Option<Hold>> {
        sql(HOLD).bind(tenant.0).then(" AND customer_id = ?").bind(customer).one(&self.reader).await
    }

    /// Customers under hold, by our id, from after `after` on.
    pub async fn legal_holds(&self, tenant: TenantId, after: Option<&str>, limit: i64) -> Result<Vec<Hold>> {
        sql(HOLD)
            .bind(tenant.0)
            .then(" AND customer_id > ?")
            .bind(after.unwrap_or_default())
            .then(" ORDER BY customer_id LIMIT ?")
            .bind(limit)
            .all(&self.reader)
            .await
    }
}
