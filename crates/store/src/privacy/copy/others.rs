//! Whom a copy must not name: people who work for the tenant, and customers who have to do with the one it is for.

use sea_orm::FromQueryResult;

use crate::people::Customer;
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// Somebody else.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Other {
    /// To go on after.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
}

impl Store {
    /// People of the tenant's: agents and users, from after `after` on.
    pub async fn staff(&self, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<Other>> {
        sql("SELECT id, name, email, CAST(NULL AS text) AS phone FROM (SELECT 'a' || id AS id, name, email FROM agent WHERE tenant_id = ? \
             UNION ALL SELECT 'u' || id, name, email FROM app_user WHERE tenant_id = ?) AS staff WHERE id > ? ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(tenant.0)
            .bind(after)
            .bind(limit)
            .all(&self.reader)
            .await
    }

    /// Customers of the same company, and whoever takes part in a conversation with this customer, from after `after` on: each of them, and
    /// once more for each further address or number they go by.
    pub async fn customers_beside(
        &self,
        tenant: TenantId,
        customer: &Customer,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Other>> {
        sql("WITH talks AS (SELECT t.id FROM conversation t WHERE t.tenant_id = ? AND t.customer_id = ? \
             UNION SELECT g.conversation_id FROM conversation_guest g WHERE g.tenant_id = ? AND g.customer_id = ?), \
             beside AS (SELECT o.id, o.name, o.email, o.phone FROM customer o WHERE o.tenant_id = ? AND o.id > ? AND o.id <> ? AND o.erased_at IS NULL AND (o.account_id = ? \
             OR o.id IN (SELECT t.customer_id FROM conversation t WHERE t.tenant_id = ? AND t.id IN (SELECT id FROM talks)) \
             OR o.id IN (SELECT g.customer_id FROM conversation_guest g WHERE g.tenant_id = ? AND g.conversation_id IN (SELECT id FROM talks))) \
             ORDER BY o.id LIMIT ?) SELECT id, name, email, phone FROM beside UNION ALL SELECT b.id, NULL, \
             CASE WHEN a.kind = 'email' THEN a.value END, CASE WHEN a.kind = 'phone' THEN a.value END FROM beside b \
             JOIN customer_alias a ON a.tenant_id = ? AND a.customer_id = b.id AND a.kind IN ('email', 'phone') ORDER BY 1")
            .bind(tenant.0)
            .bind(&customer.id)
            .bind(tenant.0)
            .bind(&customer.id)
            .bind(tenant.0)
            .bind(after)
            .bind(&customer.id)
            .bind(customer.account_id.as_deref())
            .bind(tenant.0)
            .bind(tenant.0)
            .bind(limit)
            .bind(tenant.0)
            .all(&self.reader)
            .await
    }
}
