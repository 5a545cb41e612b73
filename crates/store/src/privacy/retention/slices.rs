//! What is due, a page at a time, from the oldest on. Ids begin with the moment of arrival, so the end of what is due is a place among them,
//! and nothing younger is looked at.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde_json::{Value as Json, json};

use super::super::reach::{self, AT_ONCE, Counters};
use super::{Clocks, Slice, Stage};
use crate::privacy::Removed;
use crate::statement::{for_update, sql};
use crate::{Result, Store, Tenant, TenantId};

#[derive(FromQueryResult)]
struct Verdict {
    id: String,
    body: String,
}

/// Texts that are due: interactions that are decided about, arrived before a moment, and whose customer is not under hold.
const TEXTS: &str = "SELECT i.id FROM interaction i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.received_at < ? \
    AND i.score_state <> 'pending' AND EXISTS (SELECT 1 FROM interaction_text t WHERE t.tenant_id = i.tenant_id AND t.interaction_id = i.id) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id)";

/// Interactions that are due: the same, and their day is sealed.
const SCORES: &str = "SELECT i.id FROM interaction i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.received_at < ? \
    AND i.score_state <> 'pending' AND NOT EXISTS (SELECT 1 FROM interaction_sentiment s WHERE s.tenant_id = i.tenant_id \
    AND s.interaction_id = i.id AND s.occurred_on >= ?) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id)";

/// Customers of whom nothing is left, of whom nothing was heard since, and who do not have to stay: one who opted out stays opted out.
const CUSTOMERS: &str = "SELECT i.id FROM customer i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.updated_at < ? \
    AND i.erased_at IS NULL AND i.opted_out_at IS NULL \
    AND NOT EXISTS (SELECT 1 FROM interaction x WHERE x.tenant_id = i.tenant_id AND x.customer_id = i.id) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.id)";

/// Conversations of which nothing is left.
const CONVERSATIONS: &str = "SELECT i.id FROM conversation i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.updated_at < ? \
    AND NOT EXISTS (SELECT 1 FROM interaction x WHERE x.tenant_id = i.tenant_id AND x.conversation_id = i.id) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id)";

/// The id that an interaction of this moment would be the first to have.
fn first_id_of(at: DateTime<Utc>) -> String {
    let millis = at.timestamp_millis().max(0);
    format!("{:08x}-{:04x}", millis >> 16, millis & 0xffff)
}

impl Store {
    /// Removes some of what is due in a stage, from after `cursor` on.
    pub(super) async fn purge_slice(
        &self,
        tenant: &Tenant,
        clocks: &Clocks,
        stage: Stage,
        cursor: &str,
    ) -> Result<Slice> {
        if stage == Stage::Scores && cursor.is_empty() && self.are_scores_due(tenant.id, clocks).await? {
            self.seal_days(tenant.id, clocks.sealed_before).await?;
        }
        let tx = self.begin().await?;
        let ids = self.due_in(&tx, tenant.id, clocks, (stage, cursor)).await?;
        let removed = match stage {
            Stage::Texts => forget_texts(&tx, tenant.id, &ids).await?,
            Stage::Scores => reach::forget(self, &tx, tenant.id, &ids, Counters::Stand).await?,
            Stage::Customers => forget_customers(&tx, tenant.id, &ids).await?,
            Stage::Conversations => {
                let mut removed = Removed::default();
                let gone = sql("DELETE FROM conversation WHERE tenant_id = ? AND id IN ?")
                    .bind(tenant.id.0)
                    .list(ids.iter().map(String::as_str));
                removed.count("conversations", gone.run(&tx).await?);
                removed
            }
        };
        tx.commit().await?;
        let next = (ids.len() == AT_ONCE.unsigned_abs() as usize).then(|| ids.last().cloned()).flatten();
        Ok(Slice { removed, next })
    }

    /// The next that are due, held until the transaction ends.
    async fn due_in(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        clocks: &Clocks,
        (stage, cursor): (Stage, &str),
    ) -> Result<Vec<String>> {
        let before = if stage == Stage::Texts { clocks.texts_before } else { clocks.scores_before };
        let statement = match stage {
            Stage::Texts => TEXTS,
            Stage::Scores => SCORES,
            Stage::Customers => CUSTOMERS,
            Stage::Conversations => CONVERSATIONS,
        };
        let mut query = sql(statement).bind(tenant.0).bind(cursor).bind(first_id_of(before)).bind(before);
        if stage == Stage::Scores {
            query = query.bind(clocks.sealed_before);
        }
        // Whoever comes to belong to one of them at this moment waits, or was first.
        query.then(" ORDER BY i.id LIMIT ?").bind(AT_ONCE).then(for_update(self.backend())).column(tx).await
    }

    async fn are_scores_due(&self, tenant: TenantId, clocks: &Clocks) -> Result<bool> {
        let due = sql("SELECT id FROM interaction WHERE tenant_id = ? AND id < ? AND received_at < ? ORDER BY id LIMIT 1")
            .bind(tenant.0)
            .bind(first_id_of(clocks.scores_before))
            .bind(clocks.scores_before)
            .value::<String>(&self.reader)
            .await?;
        Ok(due.is_some())
    }
}

/// Texts go, and with them what verdicts repeat of them: the phrases they rest on and the summary, which quotes the strongest.
async fn forget_texts(tx: &DatabaseTransaction, tenant: TenantId, ids: &[String]) -> Result<Removed> {
    let mut removed = Removed::default();
    if ids.is_empty() {
        return Ok(removed);
    }
    let list = || ids.iter().map(String::as_str);
    let verdicts: Vec<Verdict> =
        sql("SELECT id, body FROM verdict WHERE tenant_id = ? AND interaction_id IN ?")
            .bind(tenant.0)
            .list(list())
            .all(tx)
            .await?;
    for Verdict { id, body } in verdicts {
        let Ok(mut body) = serde_json::from_str::<Json>(&body) else { continue };
        leave_out_words(&mut body);
        sql("UPDATE verdict SET body = ? WHERE tenant_id = ? AND id = ?")
            .bind(body.to_string())
            .bind(tenant.0)
            .bind(id)
            .run(tx)
            .await?;
    }
    sql("UPDATE interaction_sentiment SET summary = '', keywords = ? WHERE tenant_id = ? AND interaction_id IN ?")
        .bind(json!([]))
        .bind(tenant.0)
        .list(list())
        .run(tx)
        .await?;
    // Events say what the summary said.
    let events =
        sql("DELETE FROM outbox WHERE tenant_id = ? AND subject_id IN ?").bind(tenant.0).list(list());
    removed.count("events", events.run(tx).await?);
    let texts = sql("DELETE FROM interaction_text WHERE tenant_id = ? AND interaction_id IN ?")
        .bind(tenant.0)
        .list(list());
    removed.count("texts", texts.run(tx).await?);
    Ok(removed)
}

/// Empties what of a verdict is in the customer's words, wherever in it.
fn leave_out_words(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "evidence" if value.is_array() => *value = json!([]),
                    "summary" if value.is_string() => *value = json!(""),
                    _ => leave_out_words(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(leave_out_words),
        _ => {}
    }
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
    for (what, statement) in [
        ("aliases", "DELETE FROM customer_alias WHERE tenant_id = ? AND customer_id IN ?"),
        ("customer_counters", "DELETE FROM customer_sentiment WHERE tenant_id = ? AND customer_id IN ?"),
        ("alerts", "DELETE FROM alert_cooldown WHERE tenant_id = ? AND customer_id IN ?"),
        ("agent_contacts", "DELETE FROM agent_contact WHERE tenant_id = ? AND customer_id IN ?"),
        ("conversation_guests", "DELETE FROM conversation_guest WHERE tenant_id = ? AND customer_id IN ?"),
        (
            "conversations",
            "DELETE FROM conversation WHERE tenant_id = ? AND customer_id IN ? AND NOT EXISTS (SELECT 1 FROM interaction x \
            WHERE x.tenant_id = conversation.tenant_id AND x.conversation_id = conversation.id)",
        ),
        ("customers", "DELETE FROM customer WHERE tenant_id = ? AND id IN ?"),
    ] {
        let gone = sql(statement).bind(tenant.0).list(ids.iter().map(String::as_str));
        removed.count(what, gone.run(tx).await?);
    }
    Ok(removed)
}

/// How much is due, by what it is.
pub(super) async fn preview(store: &Store, tenant: TenantId, clocks: &Clocks) -> Result<Removed> {
    let mut due = Removed::default();
    for (what, before, statement) in [
        ("texts", clocks.texts_before, TEXTS),
        ("interactions", clocks.scores_before, SCORES),
        ("customers", clocks.scores_before, CUSTOMERS),
        ("conversations", clocks.scores_before, CONVERSATIONS),
    ] {
        let mut query = sql("SELECT COUNT(*) FROM (")
            .then(statement)
            .bind(tenant.0)
            .bind("")
            .bind(first_id_of(before))
            .bind(before);
        if what == "interactions" {
            query = query.bind(clocks.sealed_before);
        }
        let many = query.then(") AS due").value::<i64>(&store.reader).await?.unwrap_or_default();
        due.count(what, many.unsigned_abs());
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn ids_of_the_time_lie_on_its_sides() {
        let at = Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        // Ids as version 7 has them: 48 bits of milliseconds first.
        let id = |millis: i64| format!("{:08x}-{:04x}-7abc-8000-000000000000", millis >> 16, millis & 0xffff);
        let bound = first_id_of(at);
        assert!(id(at.timestamp_millis() - 1) < bound && bound < id(at.timestamp_millis()));
    }

    #[test]
    fn what_quotes_the_customer_is_left_out_wherever_it_stands() {
        let mut verdict = json!({"score": -60, "summary": "Strongest phrase: “canary”.", "evidence": [{"text": "canary"}],
            "aspects": [{"category": "billing", "score": -60}], "cascade": {"local": {"evidence": ["canary"], "label": "negative"}}});
        leave_out_words(&mut verdict);
        assert!(!verdict.to_string().contains("canary"), "{verdict}");
        assert_eq!(
            (&verdict["score"], &verdict["cascade"]["local"]["label"]),
            (&json!(-60), &json!("negative"))
        );
    }
}
