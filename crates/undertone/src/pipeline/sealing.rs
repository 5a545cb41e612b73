//! Sealing the audit logs: what was noted gets its place in its tenant's chain a few seconds later, and the log of this process tells the
//! new end of the chain, so that whoever collects logs keeps what a later rewriting has to agree with.

use undertone_store::{Store, StoreError};

/// Seals what is not sealed yet, tenant by tenant.
pub async fn seal(store: &Store) -> Result<(), StoreError> {
    for tenant in store.tenants_with_unsealed_audit().await? {
        let entries = store.seal_audit(tenant).await?;
        if entries > 0 {
            let head = store.audit_head(tenant).await?;
            tracing::info!(tenant = tenant.0, %head, entries, "audit log of tenant {} sealed; its head is {head}", tenant.0);
        }
    }
    Ok(())
}
