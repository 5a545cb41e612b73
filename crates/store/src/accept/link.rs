//! Everybody and everything that interactions mention: created or filled in before the interactions themselves are written.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use undertone_core::{AuthorKind, Direction};

use super::{Accepted, Incoming};
use crate::conversations::Mentioned;
use crate::people::{self, Ids, Mentions};
use crate::statement::{pieces, sql};
use crate::{Reach, Result, Store, TenantId};

/// Our ids of everybody mentioned, by the source's ids.
pub(super) struct Linked {
    pub(super) customers: Ids,
    pub(super) agents: Ids,
    pub(super) conversations: Ids,
    segments: Ids,
}

impl Linked {
    pub(super) fn segment_of(&self, customer: Option<&str>) -> String {
        customer.and_then(|external| self.segments.get(external)).cloned().unwrap_or_default()
    }
}

/// Our id of what `external` names.
pub(super) fn id_of(ids: &Ids, external: Option<&String>) -> Option<String> {
    external.and_then(|external| ids.get(external)).cloned()
}

impl Store {
    /// Creates or fills in everybody and everything the items mention.
    pub(super) async fn link(
        &self,
        tx: &impl ConnectionTrait,
        (tenant, at): (TenantId, DateTime<Utc>),
        reach: Reach,
        items: &[&Incoming],
    ) -> Result<Linked> {
        let when = (tenant, at);
        let (mut accounts, mut teams) = (Mentions::new(), Mentions::new());
        for Incoming { arrival, .. } in items.iter().copied() {
            if let Some(external) = &arrival.interaction.account {
                people::merge(&mut accounts, external, people::account(&arrival.account));
            }
            if let Some(external) = &arrival.agent.team {
                people::merge(&mut teams, external, people::team(None));
            }
        }
        let accounts = self.resolve(tx, &people::ACCOUNT, when, accounts).await?;
        let teams = self.resolve(tx, &people::TEAM, when, teams).await?;

        let (mut customers, mut agents) = (Mentions::new(), Mentions::new());
        for Incoming { arrival, .. } in items.iter().copied() {
            let interaction = &arrival.interaction;
            if let Some(external) = &interaction.customer {
                let account = interaction.account.as_ref().and_then(|account| accounts.get(account));
                people::merge(&mut customers, external, people::customer(&arrival.customer, account));
            }
            if let Some(external) = &interaction.agent {
                let team = arrival.agent.team.as_ref().and_then(|team| teams.get(team));
                people::merge(&mut agents, external, people::agent(&arrival.agent, team));
            }
        }
        let agents = self.resolve(tx, people::agents(reach), when, agents).await?;
        let customers = self.resolve(tx, people::customers(reach), when, customers).await?;

        let mut conversations = Mentions::new();
        for Incoming { arrival, .. } in items.iter().copied() {
            let interaction = &arrival.interaction;
            if let Some(external) = &interaction.conversation {
                let customer = interaction.customer.as_ref().and_then(|customer| customers.get(customer));
                let opened_at = interaction.occurred_at.unwrap_or(at).trunc_subsecs(6);
                people::merge(
                    &mut conversations,
                    external,
                    people::conversation(&arrival.conversation, customer, opened_at),
                );
            }
        }
        let conversations = self.resolve(tx, &people::CONVERSATION, when, conversations).await?;
        let segments = self.segments(tx, tenant, &customers).await?;
        Ok(Linked { customers, agents, conversations, segments })
    }

    /// Segments by the source's customer id, of those who have one.
    async fn segments(&self, tx: &impl ConnectionTrait, tenant: TenantId, customers: &Ids) -> Result<Ids> {
        #[derive(FromQueryResult)]
        struct Row {
            external_id: String,
            segment: String,
        }
        let mut segments = Ids::new();
        let externals: Vec<&String> = customers.keys().collect();
        for piece in pieces(&externals) {
            let rows = sql("SELECT external_id, segment FROM customer WHERE tenant_id = ? AND external_id IN ? AND segment IS NOT NULL")
                .bind(tenant.0)
                .list(piece.iter().map(|external| external.as_str()))
                .all::<Row>(tx)
                .await?;
            segments.extend(rows.into_iter().map(|row| (row.external_id, row.segment)));
        }
        Ok(segments)
    }
}

/// What the items say about their conversations. What was there already says nothing new but whether it is closed.
pub(super) fn mentioned(
    at: DateTime<Utc>,
    items: &[Incoming],
    linked: &Linked,
    answers: &[Option<Accepted>],
) -> Vec<Mentioned> {
    let mentioned = items.iter().zip(answers).filter_map(|(item, answer)| {
        let interaction = &item.arrival.interaction;
        if matches!(answer, Some(Accepted::AliasTaken { .. })) {
            return None;
        }
        let is_new = matches!(answer, Some(Accepted::Created { .. } | Accepted::Updated { .. }));
        let closed = item.arrival.conversation.closed;
        let conversation = id_of(&linked.conversations, interaction.conversation.as_ref())?;
        (is_new || closed.is_some()).then(|| Mentioned {
            conversation,
            customer: id_of(&linked.customers, interaction.customer.as_ref()),
            at: interaction.occurred_at.map_or(at, |occurred| occurred.trunc_subsecs(6)),
            goes_on: is_new
                && interaction.author_kind == AuthorKind::Customer
                && interaction.direction == Direction::Incoming,
            closed,
        })
    });
    mentioned.collect()
}
