//! The interaction row is its own job. A worker claims some of a tenant's for a while; what it does not finish by then is due again, which is
//! all that recovery from a crash takes.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use undertone_core::{Channel, Interaction};

use crate::backfill;
use crate::rows::word;
use crate::statement::{pieces, skip_locked, sql};
use crate::{Result, Store, TenantId};

/// Who claims, for how long, how much.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// A name of this process that no other has, nor had.
    pub owner: &'a str,
    /// After that long it is due again.
    pub lease: TimeDelta,
    /// At most so many.
    pub limit: u16,
    /// Instead, one alone that was begun [`SUSPECT_AFTER`] times or more and never finished: it may be what ends the process.
    pub suspect: bool,
}

/// What was begun this often is tried alone from then on.
pub const SUSPECT_AFTER: i64 = 2;

/// An interaction a worker holds.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Our id.
    pub id: String,
    /// How often it was begun, this time included. With the owner it fences the end.
    pub attempts: i64,
    /// Which revision of its content this is, from 1.
    pub revision: i64,
    /// The interaction; its ids of people are ours.
    pub interaction: Interaction,
    /// The customer's segment when it arrived.
    pub segment: String,
    /// The customer opted out.
    pub opted_out: bool,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
}

/// What a [`Row`] is read from, but for its attempts: an interaction `i`, its text `t` and its customer `c`.
pub(crate) const CLAIMED: &str = "i.id, i.source, i.external_id, i.revision, i.kind, i.author_kind, i.direction, i.visibility, i.channel, \
    i.channel_name, i.customer_id, i.agent_id, i.conversation_id, i.segment, i.occurred_at, i.received_at, t.body, c.opted_out_at, c.erased_at";

#[derive(FromQueryResult)]
pub(crate) struct Row {
    id: String,
    source: String,
    external_id: String,
    attempts: i64,
    revision: i64,
    kind: String,
    author_kind: String,
    direction: String,
    visibility: String,
    channel: String,
    channel_name: Option<String>,
    customer_id: Option<String>,
    agent_id: Option<String>,
    conversation_id: Option<String>,
    segment: String,
    occurred_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
    body: Option<String>,
    opted_out_at: Option<DateTime<Utc>>,
    erased_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Claimed {
    type Error = crate::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            attempts: row.attempts,
            revision: row.revision,
            interaction: Interaction {
                source: row.source,
                external_id: row.external_id,
                customer: row.customer_id,
                account: None,
                conversation: row.conversation_id,
                agent: row.agent_id,
                channel: Channel::from_word(&row.channel).unwrap_or(Channel::Other),
                channel_name: row.channel_name,
                author_kind: word("interaction", &row.author_kind)?,
                kind: word("interaction", &row.kind)?,
                direction: word("interaction", &row.direction)?,
                visibility: word("interaction", &row.visibility)?,
                occurred_at: Some(row.occurred_at),
                text: row.body.unwrap_or_default(),
            },
            segment: row.segment,
            opted_out: row.opted_out_at.is_some() || row.erased_at.is_some(),
            occurred_at: row.occurred_at,
            received_at: row.received_at,
        })
    }
}

impl Store {
    /// The tenants that have something due.
    pub async fn tenants_with_work(&self) -> Result<Vec<TenantId>> {
        // One look into the index of what is due for each tenant, however much waits.
        sql("SELECT t.id FROM tenant t WHERE (SELECT 1 FROM interaction i WHERE i.tenant_id = t.id AND i.score_state = 'pending' \
             AND i.next_attempt_at <= ? LIMIT 1) IS NOT NULL ORDER BY t.id")
        .bind(self.now())
        .tenants(&self.reader).await
    }

    /// How much is due of one tenant, as far as `most`.
    pub async fn due(&self, tenant: TenantId, most: u16) -> Result<u16> {
        let due = sql(
            "SELECT COUNT(*) FROM (SELECT 1 FROM interaction WHERE tenant_id = ? AND score_state = 'pending' \
             AND next_attempt_at <= ? LIMIT ?) AS counted",
        )
        .bind(tenant.0)
        .bind(self.now())
        .bind(i64::from(most))
        .value::<i64>(&self.reader)
        .await?;
        Ok(due.and_then(|due| u16::try_from(due).ok()).unwrap_or_default())
    }

    /// Claims what is due of one tenant, the longest waiting first.
    pub async fn claim(&self, tenant: TenantId, claim: Claim<'_>) -> Result<Vec<Claimed>> {
        let now = self.now();
        let tx = self.begin().await?;
        // The rows are chosen once, before anything else: PostgreSQL may run a subquery in IN again for each row, and choose others.
        let chosen = sql("WITH due AS MATERIALIZED (SELECT id FROM interaction WHERE tenant_id = ? AND score_state = 'pending' \
             AND next_attempt_at <= ? AND ")
        .bind(tenant.0)
        .bind(now)
        .then(if claim.suspect { "attempts >= ?" } else { "attempts < ?" })
        .bind(SUSPECT_AFTER)
        .then(" ORDER BY next_attempt_at, id LIMIT ?")
        .bind(if claim.suspect { 1 } else { i64::from(claim.limit) })
        .then(skip_locked(self.backend()))
        .then(") UPDATE interaction SET lease_owner = ?, attempts = attempts + 1, next_attempt_at = ? WHERE tenant_id = ? \
             AND id IN (SELECT id FROM due) RETURNING id")
        .bind(claim.owner)
        .bind(now + claim.lease)
        .bind(tenant.0)
        .column::<String>(&tx)
        .await?;
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sql("SELECT i.attempts, ")
            .then(CLAIMED)
            .then(
                " FROM interaction i \
                 LEFT JOIN interaction_text t ON t.tenant_id = i.tenant_id AND t.interaction_id = i.id AND t.revision = i.revision \
                 LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id WHERE i.tenant_id = ? AND i.id IN ? ORDER BY i.id",
            )
            .bind(tenant.0)
            .list(chosen.iter().map(String::as_str))
            .all::<Row>(&tx)
            .await?;
        tx.commit().await?;
        rows.into_iter().map(Claimed::try_from).collect()
    }

    /// Lengthens the lease of what `owner` still holds of `held`, given by id and attempt, to end `lease` from now.
    pub async fn renew(
        &self,
        tenant: TenantId,
        owner: &str,
        lease: TimeDelta,
        held: &[(String, i64)],
    ) -> Result<u64> {
        let tx = self.begin().await?;
        let mut renewed = 0;
        for piece in pieces(held) {
            renewed += sql("UPDATE interaction SET next_attempt_at = ? WHERE tenant_id = ? AND lease_owner = ? AND score_state = 'pending' \
                 AND (id, attempts) IN (VALUES ?)")
            .bind(self.now() + lease)
            .bind(tenant.0)
            .bind(owner)
            .rows(piece.iter().map(|(id, attempts)| [id.as_str().into(), Value::from(*attempts)]))
            .run(&tx)
            .await?;
        }
        tx.commit().await?;
        Ok(renewed)
    }

    /// Gives back what `owner` holds of a tenant and did not finish; answers how many.
    pub async fn release(&self, tenant: TenantId, owner: &str) -> Result<u64> {
        let tx = self.begin().await?;
        let released = release(&tx, tenant, owner, self.now()).await?;
        tx.commit().await?;
        Ok(released)
    }
}

/// What waits for an LLM is due now: something changed that it may have waited for.
pub(crate) async fn hasten(on: &impl ConnectionTrait, tenant: TenantId, now: DateTime<Utc>) -> Result<u64> {
    backfill::hasten(on, tenant, now).await?;
    sql("UPDATE interaction SET next_attempt_at = ? WHERE tenant_id = ? AND score_state = 'pending' AND next_attempt_at > ? \
         AND lease_owner IS NULL AND reason IN ('daily_token_cap', 'monthly_budget', 'no_key', 'llm_unavailable')")
    .bind(now)
    .bind(tenant.0)
    .bind(now)
    .run(on)
    .await
}

async fn release(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    owner: &str,
    now: DateTime<Utc>,
) -> Result<u64> {
    sql("UPDATE interaction SET lease_owner = NULL, attempts = attempts - 1, next_attempt_at = ? \
         WHERE tenant_id = ? AND score_state = 'pending' AND lease_owner = ?")
    .bind(now)
    .bind(tenant.0)
    .bind(owner)
    .run(on)
    .await
}
