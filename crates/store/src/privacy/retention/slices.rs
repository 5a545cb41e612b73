//! A slice of what is due is removed, in a transaction of its own; the audit log looks after its own.

use sea_orm::DatabaseTransaction;

use super::super::reach::{self, AT_ONCE, Counters};
use super::due::{Asked, due};
use super::texts::{forget_old_labels, forget_subjects, forget_texts};
use super::waiting::end_waiting;
use super::{Clocks, Slice, Stage};
use crate::privacy::Removed;
use crate::rollups::hold_days;
use crate::statement::{for_update, sql};
use crate::{Act, Result, Store, Tenant, TenantId};

impl Store {
    /// Removes some of what is due in a stage, from after `cursor` on.
    pub(super) async fn purge_slice(
        &self,
        tenant: &Tenant,
        act: &Act<'_>,
        clocks: &Clocks,
        (stage, cursor): (Stage, &str),
    ) -> Result<Slice> {
        if stage == Stage::Audit {
            let mut removed = Removed::default();
            let slice = self.remove_old_audit(act, clocks.audit_before).await?;
            removed.count(stage.what(), slice.entries);
            return Ok(Slice { removed, next: slice.more.then(String::new) });
        }
        if stage == Stage::Scores && cursor.is_empty() && self.are_scores_due(tenant.id, clocks).await? {
            self.seal_days(tenant.id, clocks.sealed_before).await?;
        }
        let tx = self.begin().await?;
        // Before the rows, as recording takes them.
        let days = hold_days(self, &tx, tenant.id).await?;
        let ids = self.due_in(&tx, (tenant.id, clocks), (stage, cursor)).await?;
        if ids.is_empty() {
            tx.commit().await?;
            return Ok(Slice { removed: Removed::default(), next: None });
        }
        let removed = match stage {
            Stage::Labels => forget_old_labels(&tx, tenant.id, &ids).await?,
            Stage::Texts => {
                end_waiting(self, &tx, (tenant.id, &days), &ids).await?;
                forget_texts(&tx, tenant.id, &ids).await?
            }
            Stage::Subjects => forget_subjects(&tx, tenant.id, &ids).await?,
            Stage::Scores => reach::forget(self, &tx, tenant.id, &ids, Counters::Stand).await?,
            Stage::Alerts => reach::forget_alerts(self, &tx, tenant.id, &ids).await?,
            Stage::Incidents => reach::forget_incidents(&tx, tenant.id, &ids).await?,
            Stage::Cooldowns => reach::forget_cooldowns(&tx, tenant.id, &ids).await?,
            Stage::Customers => forget_customers(&tx, tenant.id, &ids).await?,
            Stage::Conversations => forget_conversations(&tx, tenant.id, &ids).await?,
            Stage::Audit => Removed::default(),
        };
        tx.commit().await?;
        let next = (ids.len() == AT_ONCE.unsigned_abs() as usize).then(|| ids.last().cloned()).flatten();
        Ok(Slice { removed, next })
    }

    /// The next that are due, held until the transaction ends.
    async fn due_in(
        &self,
        tx: &DatabaseTransaction,
        whose: (TenantId, &Clocks),
        place: (Stage, &str),
    ) -> Result<Vec<String>> {
        // Whoever comes to belong to one of them at this moment waits, or was first.
        due(sql(""), whose, place, Asked::InTurn)
            .then(" ORDER BY 1 LIMIT ?")
            .bind(AT_ONCE)
            .then(for_update(self.backend()))
            .column(tx)
            .await
    }
}

async fn forget_conversations(tx: &DatabaseTransaction, tenant: TenantId, ids: &[String]) -> Result<Removed> {
    const CONVERSATIONS: [(&str, &str); 1] =
        [("conversations", "DELETE FROM conversation WHERE tenant_id = ? AND id IN ?")];
    reach::each(tx, tenant, &CONVERSATIONS, ids).await
}

async fn forget_customers(tx: &DatabaseTransaction, tenant: TenantId, held: &[String]) -> Result<Removed> {
    let mut removed = Removed::default();
    // Somebody may have written to one of them just before they were held.
    let ids: Vec<String> = sql("SELECT i.id FROM customer i WHERE i.tenant_id = ? AND i.id IN ? AND NOT EXISTS (SELECT 1 FROM interaction x \
         WHERE x.tenant_id = i.tenant_id AND x.customer_id = i.id) ORDER BY i.id")
        .bind(tenant.0)
        .list(held.iter().map(String::as_str))
        .column(tx)
        .await?;
    let gone = sql("DELETE FROM conversation WHERE tenant_id = ? AND customer_id IN ? AND NOT EXISTS (SELECT 1 FROM interaction x \
         WHERE x.tenant_id = conversation.tenant_id AND x.conversation_id = conversation.id)")
    .bind(tenant.0)
    .list(ids.iter().map(String::as_str));
    removed.count("conversations", gone.run(tx).await?);
    removed.add(&reach::forget_people(tx, tenant, &ids).await?);
    Ok(removed)
}
