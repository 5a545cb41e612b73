//! What an interaction leaves behind, and how all of it goes in one transaction.

use sea_orm::{DatabaseTransaction, FromQueryResult};
use undertone_core::Label;

use super::Removed;
use crate::lessons::{LabelledText, digest};
use crate::rollups::{COUNTED, Counted, Deltas, hold_days};
use crate::rows::word;
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId};

/// So many interactions go in one transaction: nobody waits long for it.
pub(super) const AT_ONCE: i64 = 128;

/// What becomes of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counters {
    /// They move as if the interactions had never been.
    Move,
    /// Those of days stand, which are sealed; those of customers move.
    Stand,
}

/// What is removed with an interaction, by its id, under the name it is counted under.
const GOES_ALONG: [(&str, &str); 18] = [
    ("texts", "DELETE FROM interaction_text WHERE tenant_id = ? AND interaction_id IN ?"),
    ("verdicts", "DELETE FROM verdict WHERE tenant_id = ? AND interaction_id IN ?"),
    ("corrections", "DELETE FROM sentiment_override WHERE tenant_id = ? AND interaction_id IN ?"),
    ("sentiments", "DELETE FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id IN ?"),
    (
        "events",
        "DELETE FROM outbox WHERE tenant_id = ? AND subject_id IN (SELECT a.id FROM alert a \
         WHERE a.tenant_id = outbox.tenant_id AND a.interaction_id IN ?)",
    ),
    // A delivery stays as a fact, and says nothing by itself; what a receiver answered may quote what it was told.
    (
        "answers",
        "UPDATE delivery_attempt SET error = NULL WHERE tenant_id = ? AND error IS NOT NULL AND delivery_id IN (SELECT d.id FROM delivery d \
         JOIN alert a ON a.tenant_id = d.tenant_id AND a.id = d.subject_id WHERE d.tenant_id = delivery_attempt.tenant_id AND a.interaction_id IN ?)",
    ),
    (
        "answers",
        "UPDATE delivery SET last_error = NULL WHERE tenant_id = ? AND last_error IS NOT NULL AND subject_id IN (SELECT a.id FROM alert a \
         WHERE a.tenant_id = delivery.tenant_id AND a.interaction_id IN ?)",
    ),
    (
        "alert_steps",
        "DELETE FROM alert_step WHERE tenant_id = ? AND alert_id IN (SELECT a.id FROM alert a \
         WHERE a.tenant_id = alert_step.tenant_id AND a.interaction_id IN ?)",
    ),
    ("alerts", "DELETE FROM alert WHERE tenant_id = ? AND interaction_id IN ?"),
    (
        "review_labels",
        "DELETE FROM review_label WHERE tenant_id = ? AND item_id IN (SELECT r.id FROM review_item r \
         WHERE r.tenant_id = review_label.tenant_id AND r.interaction_id IN ?)",
    ),
    ("review_items", "DELETE FROM review_item WHERE tenant_id = ? AND interaction_id IN ?"),
    ("backfill_items", "DELETE FROM backfill_item WHERE tenant_id = ? AND interaction_id IN ?"),
    ("events", "DELETE FROM outbox WHERE tenant_id = ? AND subject_id IN ?"),
    (
        "answers",
        "UPDATE delivery_attempt SET error = NULL WHERE tenant_id = ? AND error IS NOT NULL AND delivery_id IN (SELECT d.id FROM delivery d \
         WHERE d.tenant_id = delivery_attempt.tenant_id AND d.subject_id IN ?)",
    ),
    (
        "answers",
        "UPDATE delivery SET last_error = NULL WHERE tenant_id = ? AND subject_id IN ? AND last_error IS NOT NULL",
    ),
    // After the events: whoever tells people holds those until the notices are there.
    (
        "notices",
        "DELETE FROM inbox_item WHERE tenant_id = ? AND position IN (SELECT n.position FROM notice n \
         WHERE n.tenant_id = inbox_item.tenant_id AND n.interaction_id IN ?)",
    ),
    (
        "notices",
        "DELETE FROM mail WHERE tenant_id = ? AND position IN (SELECT n.position FROM notice n \
         WHERE n.tenant_id = mail.tenant_id AND n.interaction_id IN ?)",
    ),
    ("notices", "DELETE FROM notice WHERE tenant_id = ? AND interaction_id IN ?"),
];

#[derive(FromQueryResult)]
struct Text {
    kind: String,
    body: String,
}

/// Removes interactions and what they left behind; at most [`AT_ONCE`]. Answers how much that was.
pub(super) async fn forget(
    store: &Store,
    tx: &DatabaseTransaction,
    tenant: TenantId,
    ids: &[String],
    counters: Counters,
) -> Result<Removed> {
    let mut removed = Removed::default();
    if ids.is_empty() {
        return Ok(removed);
    }
    let list = || ids.iter().map(String::as_str);
    // Locks are taken in the order in which recording takes them: runs, the tenant's days, interactions, sentiments, counters.
    leave_runs(store, tx, tenant, ids).await?;
    let days = hold_days(store, tx, tenant).await?;
    sql("SELECT id FROM interaction WHERE tenant_id = ? AND id IN ? ORDER BY id")
        .bind(tenant.0)
        .list(list())
        .then(for_update(store.backend()))
        .run(tx)
        .await?;
    let counted = sql(COUNTED)
        .bind(tenant.0)
        .then(" AND interaction_id IN ? ORDER BY interaction_id")
        .list(list())
        .then(for_update(store.backend()))
        .all::<Counted>(tx)
        .await?;
    let mut deltas = Deltas::default();
    for row in &counted {
        match counters {
            Counters::Move => deltas.add(row, -1, days.sealed_before)?,
            Counters::Stand => deltas.add_of_customer(row, -1)?,
        }
    }
    if counters == Counters::Move {
        removed.count("labels", forget_labels(tx, tenant, ids).await?);
        let payloads =
            sql("UPDATE audit_log SET payload = NULL WHERE tenant_id = ? AND subject IN ? AND payload IS NOT NULL")
                .bind(tenant.0)
                .list(list())
                .run(tx)
                .await?;
        removed.count("audit_payloads", payloads);
    }
    for (what, statement) in GOES_ALONG {
        removed.count(what, sql(statement).bind(tenant.0).list(list()).run(tx).await?);
    }
    let gone = sql("DELETE FROM interaction WHERE tenant_id = ? AND id IN ?").bind(tenant.0).list(list());
    removed.count("interactions", gone.run(tx).await?);
    deltas.apply(tx, tenant).await?;
    Ok(removed)
}

/// Interactions that a run still wants to score are out of it.
async fn leave_runs(store: &Store, tx: &DatabaseTransaction, tenant: TenantId, ids: &[String]) -> Result<()> {
    let list = || ids.iter().map(String::as_str);
    let runs: Vec<String> = sql("SELECT DISTINCT run_id FROM backfill_item WHERE tenant_id = ? AND interaction_id IN ? AND outcome IS NULL \
         ORDER BY run_id")
        .bind(tenant.0)
        .list(list())
        .column(tx)
        .await?;
    for run_id in runs {
        sql("SELECT id FROM backfill_run WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(&run_id)
            .then(for_update(store.backend()))
            .run(tx)
            .await?;
        let left = sql("UPDATE backfill_item SET outcome = 'superseded' WHERE tenant_id = ? AND run_id = ? AND interaction_id IN ? \
             AND outcome IS NULL")
            .bind(tenant.0)
            .bind(&run_id)
            .list(list())
            .run(tx)
            .await?;
        sql("UPDATE backfill_run SET superseded = superseded + ? WHERE tenant_id = ? AND id = ?")
            .bind(left.cast_signed())
            .bind(tenant.0)
            .bind(&run_id)
            .run(tx)
            .await?;
    }
    Ok(())
}

/// Texts that were labelled to teach the model are found by what they say.
async fn forget_labels(tx: &DatabaseTransaction, tenant: TenantId, ids: &[String]) -> Result<u64> {
    let texts: Vec<Text> =
        sql("SELECT i.kind, t.body FROM interaction_text t JOIN interaction i ON i.tenant_id = t.tenant_id \
         AND i.id = t.interaction_id WHERE t.tenant_id = ? AND t.interaction_id IN ?")
        .bind(tenant.0)
        .list(ids.iter().map(String::as_str))
        .all(tx)
        .await?;
    let mut digests = Vec::with_capacity(texts.len());
    for Text { kind, body } in texts {
        // The label is no part of the digest.
        let kind = word("interaction", &kind)?;
        digests.push(digest(&LabelledText { text: body, kind, label: Label::Neutral }));
    }
    sql("DELETE FROM labelled_text WHERE tenant_id = ? AND digest IN ?")
        .bind(tenant.0)
        .list(digests)
        .run(tx)
        .await
}
