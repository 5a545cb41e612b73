//! Contacts follow what is recorded. Whoever changes what an agent's numbers rest on marks the customer in the same transaction; a task
//! counts the contacts of marked customers anew. So it does not matter in which order things arrive, are scored again, corrected or erased.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use undertone_core::agents::{BEFORE_WITHIN, Contact, Moment, contacts};

use super::MOST_DAYS;
use crate::rollups::hold_days;
use crate::rows::{day_in, zone};
use crate::statement::{for_key_share, for_update, pieces, skip_locked, sql};
use crate::{Result, Store, TenantId};

/// Customers counted in one transaction: whoever wants to mark one of them waits as long.
const AT_ONCE: i64 = 25;
/// Of a customer so many interactions are looked at, the latest; and as many replies that name no customer, or another whose conversation it is.
const LATEST: i64 = 500;
/// Rows that are removed at once.
const REMOVED_AT_ONCE: i64 = 1000;

/// Marks customers, and those of conversations, where the numbers are on: whoever takes part in one is concerned by what agents wrote in it.
/// All in the order of their ids, so that nobody waits in a circle.
pub(crate) async fn mark<'a>(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    customers: impl IntoIterator<Item = &'a str>,
    conversations: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut customers: BTreeSet<String> = customers.into_iter().map(str::to_owned).collect();
    let conversations: Vec<&str> = conversations.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    if customers.is_empty() && conversations.is_empty() || !is_on(on, tenant).await? {
        return Ok(());
    }
    for piece in pieces(&conversations) {
        let found = sql("SELECT customer_id FROM conversation WHERE tenant_id = ? AND id IN ? AND customer_id IS NOT NULL")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .then(" UNION SELECT customer_id FROM conversation_guest WHERE tenant_id = ? AND conversation_id IN ?")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .column::<String>(on)
            .await?;
        customers.extend(found);
    }
    write_marks(on, tenant, &customers.into_iter().collect::<Vec<_>>()).await
}

/// Marks everybody whose contacts rest on these interactions, before they go or become somebody else's: their customers, but for those who are
/// being erased, and whoever takes part in the conversations in which they were written for everybody.
pub(crate) async fn mark_those_of(on: &impl ConnectionTrait, tenant: TenantId, ids: &[&str]) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Of {
        customer: Option<String>,
        conversation: Option<String>,
    }
    if ids.is_empty() || !is_on(on, tenant).await? {
        return Ok(());
    }
    let mut all = Vec::new();
    for piece in pieces(ids) {
        let found = sql("SELECT DISTINCT c.id AS customer, CASE WHEN i.author_kind = 'agent' OR i.customer_id IS NULL THEN i.conversation_id END \
             AS conversation FROM interaction i LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id AND c.erased_at IS NULL \
             WHERE i.tenant_id = ? AND i.id IN ?")
        .bind(tenant.0)
        .list(piece.iter().copied())
        .all::<Of>(on)
        .await?;
        all.extend(found);
    }
    let customers = all.iter().filter_map(|of| of.customer.as_deref());
    mark(on, tenant, customers, all.iter().filter_map(|of| of.conversation.as_deref())).await
}

/// Marks customers, who are in the order of their ids.
async fn write_marks(on: &impl ConnectionTrait, tenant: TenantId, customers: &[String]) -> Result<()> {
    for piece in pieces(customers) {
        let rows =
            piece.iter().map(|customer| [tenant.0.into(), Value::from(customer.as_str()), 1_i64.into()]);
        sql(MARK).rows(rows).then(MARKED).run(on).await?;
    }
    Ok(())
}

const MARK: &str = "INSERT INTO agent_stale AS s (tenant_id, customer_id, marks) VALUES ?";
// A mark that is there is written again: whoever counts takes no mark that somebody still holds.
const MARKED: &str = " ON CONFLICT (tenant_id, customer_id) DO UPDATE SET marks = s.marks + 1";

pub(super) async fn is_on(on: &impl ConnectionTrait, tenant: TenantId) -> Result<bool> {
    let is_on =
        sql("SELECT is_on FROM agent_numbers WHERE tenant_id = ?").bind(tenant.0).value::<bool>(on).await?;
    Ok(is_on == Some(true))
}

/// An interaction, as far as contacts are made of it.
#[derive(FromQueryResult)]
struct Row {
    id: String,
    conversation_id: Option<String>,
    agent_id: Option<String>,
    author_kind: String,
    occurred_at: DateTime<Utc>,
    score: Option<i64>,
}

impl From<Row> for Moment {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            conversation: row.conversation_id,
            agent: row.agent_id,
            by_agent: row.author_kind == "agent",
            at: row.occurred_at,
            score: row.score,
        }
    }
}

/// What one transaction counts with.
struct Count<'a> {
    tx: &'a DatabaseTransaction,
    tenant: TenantId,
    zone: chrono_tz::Tz,
    /// Contacts before this day are not kept.
    from: NaiveDate,
    /// What happened before this matters to none that is.
    since: DateTime<Utc>,
}

impl Store {
    /// The tenants of which something is to be counted, or removed.
    pub async fn tenants_to_recount(&self) -> Result<Vec<TenantId>> {
        sql("SELECT n.tenant_id AS id FROM agent_numbers n WHERE n.counted_to IS NOT NULL \
             OR EXISTS (SELECT 1 FROM agent_stale s WHERE s.tenant_id = n.tenant_id) \
             OR (n.is_on = ? AND EXISTS (SELECT 1 FROM agent_contact c WHERE c.tenant_id = n.tenant_id)) ORDER BY n.tenant_id")
        .bind(false)
        .tenants(&self.reader).await
    }

    /// Counts some of a tenant's marked customers anew; answers whether there may be more. While the numbers are off, removes some of what
    /// is left of them instead.
    pub async fn recount_agents(&self, tenant: TenantId) -> Result<bool> {
        #[derive(FromQueryResult)]
        struct Switch {
            is_on: bool,
            counted_to: Option<String>,
        }
        let tx = self.begin().await?;
        let days = hold_days(self, &tx, tenant).await?;
        let switch = sql("SELECT is_on, counted_to FROM agent_numbers WHERE tenant_id = ?")
            .bind(tenant.0)
            .then(for_update(self.backend()))
            .one::<Switch>(&tx)
            .await?;
        let Some(switch) = switch else { return Ok(false) };
        if !switch.is_on {
            let removed = remove(&tx, tenant, CONTACTS).await? + remove(&tx, tenant, MARKS).await?;
            tx.commit().await?;
            return Ok(removed > 0);
        }
        if let Some(after) = &switch.counted_to {
            mark_next(&tx, tenant, after).await?;
        }
        let marked = sql("WITH due AS MATERIALIZED (SELECT customer_id FROM agent_stale WHERE tenant_id = ? ORDER BY customer_id LIMIT ?")
            .bind(tenant.0)
            .bind(AT_ONCE)
            .then(skip_locked(self.backend()))
            .then(") DELETE FROM agent_stale WHERE tenant_id = ? AND customer_id IN (SELECT customer_id FROM due) RETURNING customer_id AS id")
            .bind(tenant.0)
            .column::<String>(&tx)
            .await?;
        let zone = zone(&days.zone);
        let from = day_in(zone, self.now()) - TimeDelta::days(i64::from(MOST_DAYS) - 1);
        // A day more than a zone can make of it.
        let since = from.and_time(chrono::NaiveTime::MIN).and_utc() - TimeDelta::days(1) - BEFORE_WITHIN;
        let count = Count { tx: &tx, tenant, zone, from, since };
        for customer in &marked {
            count.customer(customer).await?;
        }
        tx.commit().await?;
        Ok(!marked.is_empty() || switch.counted_to.is_some())
    }

    /// Removes some of a tenant's contacts on days that no number is about any more; answers whether there may be more.
    pub async fn remove_old_contacts(&self, tenant: TenantId) -> Result<bool> {
        let tx = self.begin().await?;
        let days = hold_days(self, &tx, tenant).await?;
        let from = day_in(zone(&days.zone), self.now()) - TimeDelta::days(i64::from(MOST_DAYS) - 1);
        let removed = sql("DELETE FROM agent_contact WHERE tenant_id = ? AND (customer_id, contact_id, agent_id) IN \
             (SELECT customer_id, contact_id, agent_id FROM agent_contact WHERE tenant_id = ? AND day < ? LIMIT ?)")
        .bind(tenant.0)
        .bind(tenant.0)
        .bind(from)
        .bind(REMOVED_AT_ONCE)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(removed == REMOVED_AT_ONCE.cast_unsigned())
    }
}

const CONTACTS: &str = "DELETE FROM agent_contact WHERE tenant_id = ? AND (customer_id, contact_id, agent_id) IN \
    (SELECT customer_id, contact_id, agent_id FROM agent_contact WHERE tenant_id = ? LIMIT ?)";
const MARKS: &str = "DELETE FROM agent_stale WHERE tenant_id = ? AND customer_id IN (SELECT customer_id FROM agent_stale WHERE tenant_id = ? LIMIT ?)";

async fn remove(tx: &DatabaseTransaction, tenant: TenantId, statement: &'static str) -> Result<u64> {
    sql(statement).bind(tenant.0).bind(tenant.0).bind(REMOVED_AT_ONCE).run(tx).await
}

/// After switching on: marks the customers that follow `after`, and moves on.
async fn mark_next(tx: &DatabaseTransaction, tenant: TenantId, after: &str) -> Result<()> {
    let next = sql("SELECT id FROM customer WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.0)
        .bind(after)
        .bind(AT_ONCE)
        .column::<String>(tx)
        .await?;
    write_marks(tx, tenant, &next).await?;
    sql("UPDATE agent_numbers SET counted_to = ? WHERE tenant_id = ?")
        .bind(next.last().map(String::as_str))
        .bind(tenant.0)
        .run(tx)
        .await?;
    Ok(())
}

impl Count<'_> {
    async fn customer(&self, customer: &str) -> Result<()> {
        // Whoever is being erased has no contacts; and the erasure waits until these are there to be removed.
        let stays = sql("SELECT id FROM customer WHERE tenant_id = ? AND id = ? AND erased_at IS NULL")
            .bind(self.tenant.0)
            .bind(customer)
            .then(for_key_share(self.tx.get_database_backend()))
            .value::<String>(self.tx)
            .await?;
        let moments = if stays.is_some() { self.moments(customer).await? } else { Vec::new() };
        sql("DELETE FROM agent_contact WHERE tenant_id = ? AND customer_id = ?")
            .bind(self.tenant.0)
            .bind(customer)
            .run(self.tx)
            .await?;
        let kept: Vec<(NaiveDate, Contact)> = contacts(&moments)
            .into_iter()
            .map(|contact| (day_in(self.zone, contact.at), contact))
            .filter(|(day, _)| *day >= self.from)
            .collect();
        for piece in pieces(&kept) {
            let rows = piece.iter().map(|(day, contact)| {
                [
                    self.tenant.0.into(),
                    customer.into(),
                    contact.of.as_str().into(),
                    contact.agent.as_str().into(),
                    Value::from(*day),
                    contact.scored.into(),
                    contact.after.into(),
                    contact.before.into(),
                ]
            });
            sql("INSERT INTO agent_contact (tenant_id, customer_id, contact_id, agent_id, day, scored, score_after, score_before) VALUES ?")
                .rows(rows)
                .run(self.tx)
                .await?;
        }
        Ok(())
    }

    /// The latest of what the customer and the agents wrote.
    async fn moments(&self, customer: &str) -> Result<Vec<Moment>> {
        let mut rows = sql("SELECT i.id, i.conversation_id, i.agent_id, i.author_kind, i.occurred_at, s.effective_score AS score FROM \
             (SELECT id, conversation_id, agent_id, author_kind, occurred_at FROM interaction \
              WHERE tenant_id = ? AND customer_id = ? ORDER BY id DESC LIMIT ?) i \
             LEFT JOIN interaction_sentiment s ON s.tenant_id = ? AND s.interaction_id = i.id WHERE i.occurred_at >= ?")
        .bind(self.tenant.0)
        .bind(customer)
        .bind(LATEST)
        .bind(self.tenant.0)
        .bind(self.since)
        .all::<Row>(self.tx)
        .await?;
        let conversations: Vec<String> = rows
            .iter()
            .filter_map(|row| row.conversation_id.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for piece in pieces(&conversations) {
            // A reply that names nobody has the id of the conversation's customer, and is read by whoever else writes there. One that names
            // another of these is not.
            let replies = sql("SELECT i.id, i.conversation_id, i.agent_id, i.author_kind, i.occurred_at, CAST(NULL AS bigint) AS score \
                 FROM interaction i JOIN conversation v ON v.tenant_id = i.tenant_id AND v.id = i.conversation_id \
                 WHERE i.tenant_id = ? AND i.conversation_id IN ? AND (i.customer_id IS NULL OR (i.customer_id = v.customer_id AND i.customer_id <> ?)) \
                 AND i.author_kind = 'agent' AND i.occurred_at >= ? LIMIT ?")
            .bind(self.tenant.0)
            .list(piece.iter().map(String::as_str))
            .bind(customer)
            .bind(self.since)
            .bind(LATEST)
            .all::<Row>(self.tx)
            .await?;
            rows.extend(replies);
        }
        Ok(rows.into_iter().map(Moment::from).collect())
    }
}
