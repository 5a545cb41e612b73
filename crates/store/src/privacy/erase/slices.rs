//! The slices of an erasure. Each removes some and moves on, in one transaction that holds the erasure.

use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde_json::{Value as Json, json};
use undertone_core::event::EventKind;
use undertone_core::event::payload::CustomerErased;

use super::super::reach::{self, AT_ONCE, Counters};
use super::{ERASURE, Erasure, Identifiers, Row};
use crate::audit::{self, Act};
use crate::conversations::whose;
use crate::outbox::{self, Caused};
use crate::privacy::Removed;
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId};

/// So many entries of the audit log are looked through in one transaction.
const ENTRIES_AT_ONCE: usize = 500;

/// What the erasure itself is noted as; these entries say nothing of the customer, and stay whole.
const OWN_NOTES: [&str; 2] = ["customer_erasure_asked", "customer_erased"];

/// What names nobody in the customer's conversations, and was not made theirs yet.
const NOBODYS: &str = "SELECT i.id FROM conversation v JOIN interaction i ON i.tenant_id = v.tenant_id AND i.conversation_id = v.id \
    AND i.customer_id IS NULL WHERE v.tenant_id = ? AND v.customer_id = ? ORDER BY i.id LIMIT ?";

/// Where a slice leaves the erasure.
struct Next {
    stage: &'static str,
    cursor: String,
    removed: Removed,
}

impl Next {
    fn stage(stage: &'static str, removed: Removed) -> Self {
        Self { stage, cursor: String::new(), removed }
    }
}

impl Store {
    /// Does the next slice of an erasure; answers it as it is then. `None`: there is no such erasure. Several may do this at once: each waits for
    /// the other.
    pub async fn continue_erasure(&self, tenant: TenantId, id: &str) -> Result<Option<Erasure>> {
        #[derive(FromQueryResult)]
        struct Open {
            cursor: String,
            identifiers: Option<Json>,
        }
        let tx = self.begin().await?;
        let row = sql(ERASURE)
            .bind(tenant.0)
            .then(" AND id = ?")
            .bind(id)
            .then(for_update(self.backend()))
            .one::<Row>(&tx)
            .await?;
        let Some(mut erasure) = row.map(Erasure::from) else { return Ok(None) };
        if erasure.done_at.is_some() {
            return Ok(Some(erasure));
        }
        let open = sql("SELECT cursor, identifiers FROM erasure WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(id)
            .one::<Open>(&tx)
            .await?;
        let Some(Open { cursor, identifiers }) = open else { return Ok(None) };
        let customer = erasure.customer_id.as_str();
        let next = match erasure.stage.as_str() {
            "interactions" => self.interactions_go(&tx, tenant, customer).await?,
            "conversations" => conversations_go(&tx, tenant, customer).await?,
            "person" => person_goes(&tx, tenant, customer).await?,
            _ => mentions_go(&tx, tenant, &cursor, identifiers).await?,
        };
        erasure.removed.add(&next.removed);
        if next.stage == "done" {
            self.end_erasure(&tx, tenant, &mut erasure).await?;
        } else {
            sql("UPDATE erasure SET stage = ?, cursor = ?, removed = ? WHERE tenant_id = ? AND id = ?")
                .bind(next.stage)
                .bind(next.cursor)
                .bind(json!(erasure.removed))
                .bind(tenant.0)
                .bind(id)
                .run(&tx)
                .await?;
        }
        next.stage.clone_into(&mut erasure.stage);
        tx.commit().await?;
        Ok(Some(erasure))
    }

    async fn interactions_go(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        customer: &str,
    ) -> Result<Next> {
        let mut ids: Vec<String> =
            sql("SELECT id FROM interaction WHERE tenant_id = ? AND customer_id = ? ORDER BY id LIMIT ?")
                .bind(tenant.0)
                .bind(customer)
                .bind(AT_ONCE)
                .column(tx)
                .await?;
        if ids.is_empty() {
            ids = sql(NOBODYS).bind(tenant.0).bind(customer).bind(AT_ONCE).column(tx).await?;
        }
        if ids.is_empty() {
            return Ok(Next::stage("conversations", Removed::default()));
        }
        let removed = reach::forget(self, tx, tenant, &ids, Counters::Move).await?;
        Ok(Next::stage("interactions", removed))
    }

    /// Nothing is left but the receipt, and subscribers are told.
    async fn end_erasure(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        erasure: &mut Erasure,
    ) -> Result<()> {
        let at = self.now();
        erasure.done_at = Some(at);
        sql("UPDATE erasure SET stage = 'done', cursor = '', identifiers = NULL, removed = ?, done_at = ? WHERE tenant_id = ? AND id = ?")
            .bind(json!(erasure.removed))
            .bind(at)
            .bind(tenant.0)
            .bind(&erasure.id)
            .run(tx)
            .await?;
        let payload = json!(CustomerErased {
            tenant_id: tenant.0,
            customer_id: &erasure.customer_id,
            erasure_id: &erasure.id,
            asked_at: erasure.asked_at,
            erased_at: at,
        });
        let caused = Caused::new(EventKind::CustomerErased, &erasure.customer_id, payload);
        outbox::emit(self, tx, tenant, at, vec![caused]).await?;
        let act = Act::new(tenant, &erasure.actor);
        let told = json!({"erasure": erasure.id, "removed": erasure.removed});
        audit::note(self, tx, &act, ("customer_erased", &erasure.customer_id), &told).await
    }
}

/// Conversations go, except those that others take part in: these lose what they say of the customer.
async fn conversations_go(tx: &DatabaseTransaction, tenant: TenantId, customer: &str) -> Result<Next> {
    let ids: Vec<String> =
        sql("SELECT id FROM conversation WHERE tenant_id = ? AND customer_id = ? ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(customer)
            .bind(AT_ONCE)
            .column(tx)
            .await?;
    let mut removed = Removed::default();
    if ids.is_empty() {
        return Ok(Next::stage("person", removed));
    }
    // Replies may still come.
    whose::remember_erased(tx, tenant, &ids).await?;
    let list = || ids.iter().map(String::as_str);
    let gone = sql("DELETE FROM conversation WHERE tenant_id = ? AND id IN ? AND NOT EXISTS (SELECT 1 FROM interaction i \
     WHERE i.tenant_id = conversation.tenant_id AND i.conversation_id = conversation.id)")
    .bind(tenant.0)
    .list(list())
    .run(tx)
    .await?;
    let kept = sql("UPDATE conversation SET customer_id = NULL, subject = NULL, tags = NULL WHERE tenant_id = ? AND id IN ?")
    .bind(tenant.0)
    .list(list())
    .run(tx)
    .await?;
    removed.count("conversations", gone + kept);
    Ok(Next::stage("conversations", removed))
}

/// What is kept of the customer themselves goes.
async fn person_goes(tx: &DatabaseTransaction, tenant: TenantId, customer: &str) -> Result<Next> {
    let mut removed = reach::forget_people(tx, tenant, &[customer.to_owned()]).await?;
    let payloads = sql("UPDATE audit_log SET payload = NULL WHERE tenant_id = ? AND subject = ? AND payload IS NOT NULL AND action NOT IN ?")
        .bind(tenant.0)
        .bind(customer)
        .list(OWN_NOTES)
        .run(tx)
        .await?;
    removed.count("audit_payloads", payloads);
    Ok(Next::stage("audit", removed))
}

/// Payloads of the audit log that tell of the customer go, wherever they are.
async fn mentions_go(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    cursor: &str,
    identifiers: Option<Json>,
) -> Result<Next> {
    #[derive(FromQueryResult)]
    struct Entry {
        id: String,
        payload: String,
    }
    let identifiers: Identifiers =
        identifiers.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default();
    let entries: Vec<Entry> = sql("SELECT id, payload FROM audit_log WHERE tenant_id = ? AND id > ? AND payload IS NOT NULL ORDER BY id LIMIT ?")
        .bind(tenant.0)
        .bind(cursor)
        .bind(ENTRIES_AT_ONCE.cast_signed() as i64)
        .all(tx)
        .await?;
    let telling: Vec<&str> = entries
        .iter()
        .filter(|entry| {
            let payload = serde_json::from_str::<Json>(&entry.payload).unwrap_or_default();
            identifiers.are_told_in(&payload, "")
        })
        .map(|entry| entry.id.as_str())
        .collect();
    let mut removed = Removed::default();
    if !telling.is_empty() {
        let payloads = sql("UPDATE audit_log SET payload = NULL WHERE tenant_id = ? AND id IN ?")
            .bind(tenant.0)
            .list(telling)
            .run(tx)
            .await?;
        removed.count("audit_payloads", payloads);
    }
    Ok(match entries.last() {
        Some(last) if entries.len() == ENTRIES_AT_ONCE => {
            Next { stage: "audit", cursor: last.id.clone(), removed }
        }
        _ => Next::stage("done", removed),
    })
}
