//! Interactions that still wait when the time of their texts is over: nobody reads them any more.

use sea_orm::{DatabaseTransaction, FromQueryResult};
use undertone_core::SkipReason;

use crate::rollups::{COUNTED, Counted, Days, Deltas};
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId, agents};

#[derive(FromQueryResult)]
struct Ended {
    id: String,
    revision: i64,
    customer_id: Option<String>,
    conversation_id: Option<String>,
}

/// Ends the waiting of those of `ids` that wait, as when they are left unscored for another reason: the verdict on an earlier revision goes along.
/// The transaction holds their rows and the tenant's days.
pub(super) async fn end_waiting(
    store: &Store,
    tx: &DatabaseTransaction,
    (tenant, days): (TenantId, &Days),
    ids: &[String],
) -> Result<()> {
    let ended: Vec<Ended> = sql("UPDATE interaction SET score_state = 'skipped', reason = ?, detail = NULL, decided_at = ?, lease_owner = NULL \
         WHERE tenant_id = ? AND score_state = 'pending' AND id IN ? RETURNING id, revision, customer_id, conversation_id")
    .bind(SkipReason::TextExpired.as_str())
    .bind(store.now())
    .bind(tenant.0)
    .list(ids.iter().map(String::as_str))
    .all(tx)
    .await?;
    let revised = || ended.iter().filter(|one| one.revision > 1).map(|one| one.id.as_str());
    let counted: Vec<Counted> = sql(COUNTED)
        .bind(tenant.0)
        .then(" AND interaction_id IN ? ORDER BY interaction_id")
        .list(revised())
        .then(for_update(store.backend()))
        .all(tx)
        .await?;
    let mut deltas = Deltas::default();
    for row in &counted {
        deltas.add(row, -1, days.sealed_before)?;
    }
    sql("DELETE FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id IN ?")
        .bind(tenant.0)
        .list(revised())
        .run(tx)
        .await?;
    // As wherever something is decided: a reply that names no customer is about the conversation's.
    let customers = ended.iter().filter_map(|one| one.customer_id.as_deref());
    let nameless = ended.iter().filter(|one| one.customer_id.is_none());
    agents::mark(tx, tenant, customers, nameless.filter_map(|one| one.conversation_id.as_deref())).await?;
    deltas.apply(tx, tenant).await
}
