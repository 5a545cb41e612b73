//! The numbers of agents: whether they are on, what they are made of, and that somebody looked. While they are off, nothing is counted and
//! nothing is kept.

mod recount;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::FromQueryResult;
use serde_json::json;
use undertone_core::agents::Sums;

use crate::audit::{self, Act};
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};
pub(crate) use recount::{mark, mark_those_of};

/// Numbers are about so many of the tenant's days at most; contacts before that are not kept.
pub const MOST_DAYS: u16 = 92;

/// Whether the numbers are on, and who said so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switch {
    /// They are on.
    pub on: bool,
    /// Why they were switched on, or off.
    pub reason: Option<String>,
    /// The version of the text that was acknowledged.
    pub acknowledged: Option<String>,
    /// Who switched last.
    pub by: Option<String>,
    /// When.
    pub at: Option<DateTime<Utc>>,
    /// Everything is counted; not yet, for a while after switching on.
    pub complete: bool,
}

/// How the numbers are to be switched.
#[derive(Debug, Clone, Copy)]
pub struct NewSwitch<'a> {
    /// On, or off.
    pub on: bool,
    /// Why.
    pub reason: Option<&'a str>,
    /// The version of the text that is acknowledged.
    pub acknowledged: Option<&'a str>,
}

/// What an agent's numbers are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSums {
    /// The sums; the agent by our id.
    pub sums: Sums,
    /// How many customers they are about.
    pub customers: i64,
}

/// An agent, as people know them.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Agent {
    /// Our id.
    pub id: String,
    /// The source's id.
    pub external_id: String,
    /// Their name.
    pub name: Option<String>,
    /// Our id of their team.
    pub team_id: Option<String>,
    /// Their team's name, or its id in the source.
    pub team: Option<String>,
}

#[derive(FromQueryResult)]
struct SwitchRow {
    is_on: bool,
    reason: Option<String>,
    acknowledged: Option<String>,
    switched_by: String,
    switched_at: DateTime<Utc>,
    counted_to: Option<String>,
}

impl From<SwitchRow> for Switch {
    fn from(row: SwitchRow) -> Self {
        Self {
            on: row.is_on,
            reason: row.reason,
            acknowledged: row.acknowledged,
            by: Some(row.switched_by),
            at: Some(row.switched_at),
            complete: row.is_on && row.counted_to.is_none(),
        }
    }
}

const SWITCH: &str = "SELECT is_on, reason, acknowledged, switched_by, switched_at, counted_to FROM agent_numbers WHERE tenant_id = ?";

const AGENT: &str = "SELECT a.id, a.external_id, a.name, a.team_id, COALESCE(t.name, t.external_id) AS team FROM agent a \
    LEFT JOIN team t ON t.tenant_id = a.tenant_id AND t.id = a.team_id WHERE a.tenant_id = ?";

impl Store {
    /// Whether a tenant's numbers of agents are on.
    pub async fn agent_numbers(&self, tenant: TenantId) -> Result<Switch> {
        let row = sql(SWITCH).bind(tenant.0).one::<SwitchRow>(&self.reader).await?;
        Ok(row.map(Switch::from).unwrap_or_default())
    }

    /// Switches them on or off. Off, what was counted is removed, soon and in pieces.
    pub async fn switch_agent_numbers(&self, act: &Act<'_>, new: &NewSwitch<'_>) -> Result<Switch> {
        let tx = self.begin().await?;
        // Whoever records verdicts shares this row: they know whether to mark, and no record under way is missed by the count from the start.
        sql("SELECT id FROM tenant WHERE id = ?")
            .bind(act.tenant.0)
            .then(for_update(self.backend()))
            .value::<i64>(&tx)
            .await?;
        let before =
            sql(SWITCH).bind(act.tenant.0).one::<SwitchRow>(&tx).await?.map(Switch::from).unwrap_or_default();
        let begins = new.on && !before.on;
        sql("INSERT INTO agent_numbers (tenant_id, is_on, reason, acknowledged, switched_by, switched_at, counted_to) VALUES ? \
             ON CONFLICT (tenant_id) DO UPDATE SET is_on = excluded.is_on, reason = excluded.reason, acknowledged = excluded.acknowledged, \
             switched_by = excluded.switched_by, switched_at = excluded.switched_at")
        .rows([[
            act.tenant.0.into(),
            new.on.into(),
            new.reason.into(),
            new.acknowledged.into(),
            act.actor.into(),
            self.now().into(),
            // Before all ids.
            begins.then_some("").into(),
        ]])
        .then(if begins || !new.on { ", counted_to = excluded.counted_to" } else { "" })
        .run(&tx)
        .await?;
        let action = if new.on { "agent_numbers_on" } else { "agent_numbers_off" };
        let payload = json!({
            "before": {"on": before.on, "reason": before.reason},
            "after": {"on": new.on, "reason": new.reason, "acknowledged": new.acknowledged},
        });
        audit::note(self, &tx, act, (action, "agents"), &payload).await?;
        tx.commit().await?;
        self.agent_numbers(act.tenant).await
    }

    /// What the numbers of all agents are made of, on the tenant's days `from` to `to`, both included; none while they are off. Reads one index whole:
    /// every contact that is kept, of [`MOST_DAYS`] days, however many of them are asked for and whatever was before.
    pub async fn agent_sums(
        &self,
        tenant: TenantId,
        (from, to): (NaiveDate, NaiveDate),
    ) -> Result<Vec<AgentSums>> {
        #[derive(FromQueryResult)]
        struct Row {
            agent_id: String,
            contacts: i64,
            customers: i64,
            scored: i64,
            sum_after: i64,
            squares_after: i64,
            with_before: i64,
            sum_before: i64,
            squares_before: i64,
            sum_both: i64,
            products: i64,
        }
        let rows = sql("SELECT agent_id, COUNT(*) AS contacts, COUNT(DISTINCT customer_id) AS customers, \
             CAST(SUM(scored) AS bigint) AS scored, CAST(SUM(score_after) AS bigint) AS sum_after, \
             CAST(SUM(score_after * score_after) AS bigint) AS squares_after, COUNT(score_before) AS with_before, \
             CAST(COALESCE(SUM(score_before), 0) AS bigint) AS sum_before, \
             CAST(COALESCE(SUM(score_before * score_before), 0) AS bigint) AS squares_before, \
             CAST(SUM(CASE WHEN score_before IS NULL THEN 0 ELSE score_after END) AS bigint) AS sum_both, \
             CAST(COALESCE(SUM(score_before * score_after), 0) AS bigint) AS products FROM agent_contact \
             WHERE tenant_id = ? AND day >= ? AND day <= ? AND EXISTS (SELECT 1 FROM agent_numbers n WHERE n.tenant_id = ? AND n.is_on = ?) \
             GROUP BY agent_id ORDER BY agent_id")
        .bind(tenant.0)
        .bind(from)
        .bind(to)
        .bind(tenant.0)
        .bind(true)
        .all::<Row>(&self.reader)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| AgentSums {
                customers: row.customers,
                sums: Sums {
                    agent: row.agent_id,
                    contacts: row.contacts,
                    scored: row.scored,
                    after: (row.sum_after, row.squares_after),
                    with_before: row.with_before,
                    before: (row.sum_before, row.squares_before),
                    both: (row.sum_both, row.products),
                },
            })
            .collect())
    }

    /// The agents of these ids of ours.
    pub async fn agents(&self, tenant: TenantId, ids: &[&str]) -> Result<Vec<Agent>> {
        let mut agents = Vec::with_capacity(ids.len());
        for piece in pieces(ids) {
            let found = sql(AGENT).bind(tenant.0).then(" AND a.id IN ?").list(piece.iter().copied());
            agents.extend(found.all::<Agent>(&self.reader).await?);
        }
        Ok(agents)
    }

    /// The agent of this id in the source.
    pub async fn agent_by_external_id(&self, tenant: TenantId, external: &str) -> Result<Option<Agent>> {
        sql(AGENT).bind(tenant.0).then(" AND a.external_id = ?").bind(external).one(&self.reader).await
    }

    /// Notes that the numbers of `agents`, by our ids, over `days` days are about to be shown; `false`, and nothing is noted, where they are
    /// off by now.
    pub async fn note_look(&self, act: &Act<'_>, agents: &[&str], days: u16) -> Result<bool> {
        let tx = self.begin().await?;
        if !recount::is_on(&tx, act.tenant).await? {
            return Ok(false);
        }
        let subject = if let [only] = agents { only } else { "agents" };
        let payload = json!({"agents": agents, "days": days});
        audit::note(self, &tx, act, ("agent_numbers_seen", subject), &payload).await?;
        tx.commit().await?;
        Ok(true)
    }
}
