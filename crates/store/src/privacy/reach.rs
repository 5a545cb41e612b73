//! What an interaction leaves behind, and how all of it goes in one transaction.

use sea_orm::{DatabaseTransaction, FromQueryResult};
use undertone_core::Label;

use super::Removed;
use crate::alerts::CLOCK;
use crate::alerts::heard::{self, Going};
use crate::lessons::{LabelledText, digest};
use crate::rollups::{COUNTED, Counted, Deltas, hold_days};
use crate::rows::word;
use crate::statement::{for_update, sql};
use crate::{Result, Store, TenantId, agents};

/// So many interactions go in one transaction: nobody waits long for it.
pub(super) const AT_ONCE: i64 = 128;

/// What becomes of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counters {
    /// They move as if the interactions had never been.
    Move,
    /// Those of days stand, which are sealed; those of customers move.
    Stand,
}

impl Counters {
    /// Because of whom interactions go whose counters do this, as it is told with alerts that go along.
    fn by(self) -> &'static str {
        match self {
            Self::Move => "an erasure",
            Self::Stand => CLOCK,
        }
    }
}

/// What is told of something and may quote what was written, by the id of what it is about: events, what receivers answered to them, and
/// people's notices.
const TOLD_OF: [(&str, &str); 7] = [
    ("events", "DELETE FROM outbox WHERE tenant_id = ? AND subject_id IN ?"),
    // A delivery stays as a fact, and says nothing by itself; what a receiver answered may quote what it was told.
    (
        "answers",
        "UPDATE delivery_attempt SET error = NULL WHERE tenant_id = ? AND error IS NOT NULL AND delivery_id IN (SELECT d.id FROM delivery d \
         WHERE d.tenant_id = ? AND d.subject_id IN ?)",
    ),
    (
        "answers",
        "UPDATE delivery SET last_error = NULL WHERE tenant_id = ? AND subject_id IN ? AND last_error IS NOT NULL",
    ),
    // After the events: whoever tells people holds those until the notices are there.
    (
        "notices",
        "DELETE FROM inbox_item WHERE tenant_id = ? AND position IN (SELECT n.position FROM notice n \
         WHERE n.tenant_id = ? AND n.subject_id IN ?)",
    ),
    // What a server said of a letter may quote any part of it.
    (
        "answers",
        "UPDATE mail SET last_error = NULL WHERE tenant_id = ? AND last_error IS NOT NULL AND letter_id IN (SELECT m.letter_id FROM mail m \
         JOIN notice n ON n.tenant_id = m.tenant_id AND n.position = m.position WHERE n.tenant_id = ? AND n.subject_id IN ?)",
    ),
    (
        "notices",
        "DELETE FROM mail WHERE tenant_id = ? AND position IN (SELECT n.position FROM notice n \
         WHERE n.tenant_id = ? AND n.subject_id IN ?)",
    ),
    ("notices", "DELETE FROM notice WHERE tenant_id = ? AND subject_id IN ?"),
];

/// What else is removed with an interaction, by its id, under the name it is counted under.
const GOES_ALONG: [(&str, &str); 9] = [
    ("texts", "DELETE FROM interaction_text WHERE tenant_id = ? AND interaction_id IN ?"),
    ("verdicts", "DELETE FROM verdict WHERE tenant_id = ? AND interaction_id IN ?"),
    ("corrections", "DELETE FROM sentiment_override WHERE tenant_id = ? AND interaction_id IN ?"),
    ("sentiments", "DELETE FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id IN ?"),
    (
        "alert_steps",
        "DELETE FROM alert_step WHERE tenant_id = ? AND alert_id IN (SELECT a.id FROM alert a \
         WHERE a.tenant_id = ? AND a.interaction_id IN ?)",
    ),
    ("alerts", "DELETE FROM alert WHERE tenant_id = ? AND interaction_id IN ?"),
    (
        "review_labels",
        "DELETE FROM review_label WHERE tenant_id = ? AND item_id IN (SELECT r.id FROM review_item r \
         WHERE r.tenant_id = ? AND r.interaction_id IN ?)",
    ),
    ("review_items", "DELETE FROM review_item WHERE tenant_id = ? AND interaction_id IN ?"),
    ("backfill_items", "DELETE FROM backfill_item WHERE tenant_id = ? AND interaction_id IN ?"),
];

/// What is kept of a customer beside their interactions and conversations, by their id.
const GOES_WITH_CUSTOMER: [(&str, &str); 8] = [
    ("aliases", "DELETE FROM customer_alias WHERE tenant_id = ? AND customer_id IN ?"),
    ("customer_counters", "DELETE FROM customer_sentiment WHERE tenant_id = ? AND customer_id IN ?"),
    ("conversation_guests", "DELETE FROM conversation_guest WHERE tenant_id = ? AND customer_id IN ?"),
    ("cooldowns", "DELETE FROM alert_cooldown WHERE tenant_id = ? AND customer_id IN ?"),
    ("surges", "DELETE FROM surge WHERE tenant_id = ? AND customer_id IN ?"),
    ("agent_contacts", "DELETE FROM agent_contact WHERE tenant_id = ? AND customer_id IN ?"),
    ("agent_contacts", "DELETE FROM agent_stale WHERE tenant_id = ? AND customer_id IN ?"),
    ("customers", "DELETE FROM customer WHERE tenant_id = ? AND id IN ?"),
];

/// Runs statements about these ids. Their last `?` is the list of them, every other one the tenant: a subquery that took the tenant from the
/// row around it would be asked for every row there is.
pub(super) async fn each(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    statements: &'static [(&'static str, &'static str)],
    ids: &[String],
) -> Result<Removed> {
    let mut removed = Removed::default();
    for (what, statement) in statements {
        let mut query = sql(statement);
        for _ in 1..statement.matches('?').count() {
            query = query.bind(tenant.0);
        }
        removed.count(what, query.list(ids.iter().map(String::as_str)).run(tx).await?);
    }
    Ok(removed)
}

/// Removes what is told of these subjects, by their ids.
pub(super) async fn forget_told(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    subjects: &[String],
) -> Result<Removed> {
    each(tx, tenant, &TOLD_OF, subjects).await
}

/// Removes what is told of these interactions and of the alerts they raised: all of it may quote their texts.
pub(super) async fn forget_quotes(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    ids: &[String],
) -> Result<Removed> {
    let mut subjects: Vec<String> =
        sql("SELECT id FROM alert WHERE tenant_id = ? AND interaction_id IN ? ORDER BY id")
            .bind(tenant.0)
            .list(ids.iter().map(String::as_str))
            .column(tx)
            .await?;
    subjects.extend_from_slice(ids);
    forget_told(tx, tenant, &subjects).await
}

/// Removes alerts, with what became of them and what was told of them; that they are gone is told to whoever heard of them.
pub(super) async fn forget_alerts(
    store: &Store,
    tx: &DatabaseTransaction,
    tenant: TenantId,
    ids: &[String],
) -> Result<Removed> {
    const ALERTS: [(&str, &str); 2] = [
        ("alert_steps", "DELETE FROM alert_step WHERE tenant_id = ? AND alert_id IN ?"),
        ("alerts", "DELETE FROM alert WHERE tenant_id = ? AND id IN ?"),
    ];
    let going = heard::going(store, tx, tenant, (Going::Themselves, ids)).await?;
    let mut removed = forget_told(tx, tenant, ids).await?;
    removed.add(&each(tx, tenant, &ALERTS, ids).await?);
    heard::gone(store, tx, tenant, (going, CLOCK)).await?;
    Ok(removed)
}

/// Removes incidents, with what was told of them.
pub(super) async fn forget_incidents(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    ids: &[String],
) -> Result<Removed> {
    const INCIDENTS: [(&str, &str); 1] =
        [("incidents", "DELETE FROM incident WHERE tenant_id = ? AND id IN ?")];
    let mut removed = forget_told(tx, tenant, ids).await?;
    removed.add(&each(tx, tenant, &INCIDENTS, ids).await?);
    Ok(removed)
}

/// Removes the moments at which people were last told of somebody, by what the cooldown is kept by.
pub(super) async fn forget_cooldowns(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    keys: &[String],
) -> Result<Removed> {
    const COOLDOWNS: [(&str, &str); 1] =
        [("cooldowns", "DELETE FROM alert_cooldown WHERE tenant_id = ? AND customer_id IN ?")];
    each(tx, tenant, &COOLDOWNS, keys).await
}

/// Removes customers of whom no interaction is left, with everything that is kept by their id.
pub(super) async fn forget_people(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    ids: &[String],
) -> Result<Removed> {
    let mut removed = forget_told(tx, tenant, ids).await?;
    removed.add(&each(tx, tenant, &GOES_WITH_CUSTOMER, ids).await?);
    Ok(removed)
}

#[derive(FromQueryResult)]
struct Text {
    kind: String,
    body: String,
}

/// Removes interactions and what they left behind; at most [`AT_ONCE`]. Answers how much that was.
pub(crate) async fn forget(
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
        agents::mark_those_of(tx, tenant, &list().collect::<Vec<_>>()).await?;
        removed.count("labels", forget_labels(tx, tenant, ids).await?);
        let payloads =
            sql("UPDATE audit_log SET payload = NULL WHERE tenant_id = ? AND subject IN ? AND payload IS NOT NULL")
                .bind(tenant.0)
                .list(list())
                .run(tx)
                .await?;
        removed.count("audit_payloads", payloads);
    }
    let going = heard::going(store, tx, tenant, (Going::OfInteractions, ids)).await?;
    removed.add(&forget_quotes(tx, tenant, ids).await?);
    removed.add(&each(tx, tenant, &GOES_ALONG, ids).await?);
    heard::gone(store, tx, tenant, (going, counters.by())).await?;
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
pub(super) async fn forget_labels(tx: &DatabaseTransaction, tenant: TenantId, ids: &[String]) -> Result<u64> {
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
