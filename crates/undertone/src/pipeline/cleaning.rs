//! Cleaning up: what nobody waits for or asks about any more is removed, tenant by tenant, a slice at a time.

use chrono::TimeDelta;
use undertone_store::{Store, StoreError, TenantId};

use super::backfill::Driver;

/// Events are kept this long.
const KEEP_EVENTS: TimeDelta = TimeDelta::days(7);
/// LLM calls are kept this long, one by one; what they took together stays.
const KEEP_CALLS: TimeDelta = TimeDelta::days(90);
/// What nobody reviewed leaves the queue after this long.
const KEEP_REVIEW: TimeDelta = TimeDelta::days(30);
/// Notices are kept this long.
const KEEP_NOTICES: TimeDelta = TimeDelta::days(30);
/// Deliveries are kept this long, with every try.
const KEEP_DELIVERIES: TimeDelta = TimeDelta::days(30);

/// Cleans up after every tenant; one where that fails holds up nobody. Its error is logged.
pub async fn clean(store: &Store) -> Result<(), StoreError> {
    for tenant in store.tenants().await? {
        if let Err(error) = clean_tenant(store, tenant.id).await {
            tracing::warn!(%error, tenant = tenant.slug, "cleaning up after tenant {} failed: {error}", tenant.slug);
        }
    }
    Ok(())
}

/// Removes events, notices and deliveries that are old, LLM calls nobody asks about any more, and what no surge can be seen in any more.
async fn clean_tenant(store: &Store, tenant: TenantId) -> Result<(), StoreError> {
    while store.remove_old_events(tenant, KEEP_EVENTS).await? {}
    while store.tidy_notices(tenant, KEEP_NOTICES).await? {}
    while store.tidy_heard(tenant, KEEP_NOTICES).await? {}
    while store.tidy_deliveries(tenant, KEEP_DELIVERIES).await? {}
    while store.remove_old_calls(tenant, KEEP_CALLS).await? {}
    while store.tidy_surge(tenant).await? {}
    while store.expire_review(tenant, KEEP_REVIEW).await? {}
    Driver::clean(store, tenant).await
}
