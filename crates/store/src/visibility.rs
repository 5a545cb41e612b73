//! What a visibility policy asks about: who looks, where conversations stand, and what is published of groups.

mod groups;
mod managers;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use undertone_core::visibility::{LookedAt, OfCustomer, OfInteraction, Standing, Viewer};

pub use groups::{Group, PublishedDay};

use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId};

/// What a policy asks about one interaction.
#[derive(Debug, Clone, PartialEq)]
pub struct InteractionFacts {
    /// Its effective score, where it has one.
    pub score: Option<i64>,
    /// The customer's segment; empty where there is none.
    pub segment: String,
    /// Our id of the customer's account.
    pub account: Option<String>,
    /// Where its conversation stands.
    pub standing: Standing,
}

impl InteractionFacts {
    /// As it is looked at.
    #[must_use]
    pub fn looked_at(&self) -> LookedAt<'_> {
        LookedAt::Interaction(OfInteraction {
            score: self.score,
            segment: &self.segment,
            account: self.account.as_deref(),
            standing: self.standing,
        })
    }
}

/// What a policy asks about one customer.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerFacts {
    /// Their average effective score, where anything was scored.
    pub average: Option<f64>,
    /// Their segment; empty where there is none.
    pub segment: String,
    /// Our id of their account.
    pub account: Option<String>,
    /// Open where any of their conversations is, apart where any message of theirs is.
    pub standing: Standing,
}

impl CustomerFacts {
    /// As they are looked at.
    #[must_use]
    pub fn looked_at(&self) -> LookedAt<'_> {
        LookedAt::Customer(OfCustomer {
            average: self.average,
            segment: &self.segment,
            account: self.account.as_deref(),
            standing: self.standing,
        })
    }
}

impl Store {
    /// Somebody who may log in, as they look at this moment; `None` where there is no such user, or they may not.
    pub async fn viewer(&self, tenant: TenantId, user: &str) -> Result<Option<Viewer>> {
        #[derive(FromQueryResult)]
        struct Agent {
            id: String,
            team_id: Option<String>,
        }
        let role = sql("SELECT role FROM app_user WHERE tenant_id = ? AND id = ? AND active = ?")
            .bind(tenant.0)
            .bind(user)
            .bind(true)
            .value::<String>(&self.reader)
            .await?;
        let Some(role) = role else { return Ok(None) };
        let agent = sql("SELECT id, team_id FROM agent WHERE tenant_id = ? AND user_id = ? AND user_id IS NOT NULL ORDER BY id LIMIT 1")
            .bind(tenant.0)
            .bind(user)
            .one::<Agent>(&self.reader)
            .await?;
        let accounts =
            sql("SELECT id FROM account WHERE tenant_id = ? AND manager_id = ? AND manager_id IS NOT NULL")
                .bind(tenant.0)
                .bind(user)
                .column::<String>(&self.reader)
                .await?;
        let teams = sql("SELECT team_id FROM user_team WHERE tenant_id = ? AND user_id = ?")
            .bind(tenant.0)
            .bind(user)
            .column::<String>(&self.reader)
            .await?;
        let (agent, team) = agent.map(|agent| (agent.id, agent.team_id)).unzip();
        Ok(Some(Viewer {
            role: role.parse().ok(),
            user: Some(user.to_owned()),
            agent,
            teams: teams.into_iter().chain(team.flatten()).collect::<BTreeSet<_>>(),
            accounts: accounts.into_iter().collect(),
        }))
    }

    /// What a policy asks about these interactions, by their ids; those that do not exist are left out.
    pub async fn interaction_facts(
        &self,
        tenant: TenantId,
        ids: &[&str],
    ) -> Result<HashMap<String, InteractionFacts>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: String,
            kind: String,
            conversation_id: Option<String>,
            closed_at: Option<DateTime<Utc>>,
            segment: String,
            account_id: Option<String>,
            score: Option<i64>,
        }
        let mut facts = HashMap::with_capacity(ids.len());
        for piece in pieces(ids) {
            let rows = sql("SELECT i.id, i.kind, i.conversation_id, v.closed_at, i.segment, c.account_id, s.effective_score AS score FROM interaction i \
                 LEFT JOIN conversation v ON v.tenant_id = i.tenant_id AND v.id = i.conversation_id \
                 LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id \
                 LEFT JOIN interaction_sentiment s ON s.tenant_id = i.tenant_id AND s.interaction_id = i.id \
                 WHERE i.tenant_id = ? AND i.id IN ?")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .all::<Row>(&self.reader)
            .await?;
            facts.extend(rows.into_iter().map(|row| {
                let afterwards = matches!(row.kind.as_str(), "note" | "summary" | "transcript");
                let standing = match (row.conversation_id, row.closed_at) {
                    (Some(_), None) => Standing::Open,
                    (Some(_), Some(_)) => Standing::Closed,
                    (None, _) if afterwards => Standing::Closed,
                    (None, _) => Standing::Apart,
                };
                let told = InteractionFacts {
                    score: row.score,
                    segment: row.segment,
                    account: row.account_id,
                    standing,
                };
                (row.id, told)
            }));
        }
        Ok(facts)
    }

    /// What a policy asks about these customers, by our ids; those that do not exist are left out. Costs the same however much they wrote.
    pub async fn customer_facts(
        &self,
        tenant: TenantId,
        ids: &[&str],
    ) -> Result<HashMap<String, CustomerFacts>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: String,
            segment: Option<String>,
            account_id: Option<String>,
            average: Option<f64>,
            open: i64,
            apart: i64,
        }
        let mut facts = HashMap::with_capacity(ids.len());
        for piece in pieces(ids) {
            let rows = sql("SELECT c.id, c.segment, c.account_id, r.average, \
                 CAST(CASE WHEN EXISTS (SELECT 1 FROM conversation v WHERE v.tenant_id = c.tenant_id AND v.customer_id = c.id AND v.closed_at IS NULL) \
                 OR EXISTS (SELECT 1 FROM conversation_guest g JOIN conversation v ON v.tenant_id = g.tenant_id AND v.id = g.conversation_id \
                 WHERE g.tenant_id = c.tenant_id AND g.customer_id = c.id AND v.closed_at IS NULL) THEN 1 ELSE 0 END AS bigint) AS open, \
                 CAST(CASE WHEN EXISTS (SELECT 1 FROM interaction i WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id \
                 AND i.conversation_id IS NULL AND i.kind IN ('message', 'comment')) THEN 1 ELSE 0 END AS bigint) AS apart \
                 FROM customer c LEFT JOIN customer_sentiment r ON r.tenant_id = c.tenant_id AND r.customer_id = c.id \
                 WHERE c.tenant_id = ? AND c.id IN ?")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .all::<Row>(&self.reader)
            .await?;
            facts.extend(rows.into_iter().map(|row| {
                let standing = match (row.open, row.apart) {
                    (0, 0) => Standing::Closed,
                    (0, _) => Standing::Apart,
                    _ => Standing::Open,
                };
                let told = CustomerFacts {
                    average: row.average,
                    segment: row.segment.unwrap_or_default(),
                    account: row.account_id,
                    standing,
                };
                (row.id, told)
            }));
        }
        Ok(facts)
    }
}
