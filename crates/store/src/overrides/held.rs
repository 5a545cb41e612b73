//! What must not change while a person's word on it is recorded.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};

use super::conflict;
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId};

impl Store {
    /// Keeps an interaction and its customer from changing until the transaction ends; answers the revision of its text.
    pub(super) async fn hold(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        interaction: &str,
    ) -> Result<Option<i64>> {
        #[derive(FromQueryResult)]
        struct Held {
            revision: i64,
            customer_id: Option<String>,
        }
        #[derive(FromQueryResult)]
        struct Customer {
            opted_out_at: Option<DateTime<Utc>>,
            erased_at: Option<DateTime<Utc>>,
        }
        const HELD: &str = "SELECT revision, customer_id FROM interaction WHERE tenant_id = ? AND id = ?";
        // The customer first, as whoever takes interactions in does.
        let before = sql(HELD).bind(tenant.0).bind(interaction).one::<Held>(tx).await?;
        let Some(before) = before else { return Ok(None) };
        if let Some(id) = &before.customer_id {
            let customer = sql("SELECT opted_out_at, erased_at FROM customer WHERE tenant_id = ? AND id = ?")
                .bind(tenant.0)
                .bind(id)
                .then(for_update(self.backend()))
                .one::<Customer>(tx)
                .await?;
            if customer.is_none_or(|c| c.opted_out_at.is_some() || c.erased_at.is_some()) {
                return conflict(
                    "its customer opted out of being scored, or was erased: nothing is said about their texts any more",
                );
            }
        }
        let held = sql(HELD)
            .bind(tenant.0)
            .bind(interaction)
            .then(for_update(self.backend()))
            .one::<Held>(tx)
            .await?;
        match held {
            Some(held) if held.customer_id != before.customer_id => {
                conflict("it was handed in anew this moment; look at it again")
            }
            held => Ok(held.map(|held| held.revision)),
        }
    }
}
