//! Everybody and everything that interactions mention: created or filled in before the interactions themselves are written.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult};
use undertone_core::{AuthorKind, Direction, Interaction};

use super::{Accepted, Incoming};
use crate::conversations::Mentioned;
use crate::conversations::whose::{self, Owner};
use crate::people::{self, Ids, Mentions};
use crate::statement::{pieces, sql};
use crate::{Reach, Result, Store, TenantId};

/// Our ids of everybody mentioned, by the source's ids.
pub(super) struct Linked {
    pub(super) customers: Ids,
    pub(super) agents: Ids,
    pub(super) conversations: Ids,
    segments: Ids,
    owners: HashMap<String, Owner>,
}

impl Linked {
    /// Whose an interaction is: whom it names, or else the conversation's customer.
    pub(super) fn whose(&self, interaction: &Interaction) -> Whose {
        if let Some(external) = &interaction.customer {
            return Whose {
                customer: self.customers.get(external).cloned(),
                segment: self.segments.get(external).cloned().unwrap_or_default(),
                is_erased: false,
            };
        }
        let conversation = id_of(&self.conversations, interaction.conversation.as_ref());
        match conversation.and_then(|id| self.owners.get(&id)) {
            Some(Owner::Customer { id, segment }) => {
                Whose { customer: Some(id.clone()), segment: segment.clone(), is_erased: false }
            }
            Some(Owner::Erased) => Whose { is_erased: true, ..Whose::default() },
            None => Whose::default(),
        }
    }
}

/// Whose an interaction is; nobody's by default.
#[derive(Debug, Default)]
pub(super) struct Whose {
    /// Our id of the customer.
    pub(super) customer: Option<String>,
    /// Their segment; empty where they have none.
    pub(super) segment: String,
    /// Theirs who was erased.
    pub(super) is_erased: bool,
}

/// Our id of what `external` names.
pub(super) fn id_of(ids: &Ids, external: Option<&String>) -> Option<String> {
    external.and_then(|external| ids.get(external)).cloned()
}

impl Store {
    /// Creates or fills in everybody and everything the items mention.
    pub(super) async fn link(
        &self,
        tx: &DatabaseTransaction,
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
        // A conversation is the customer's who is named first.
        let (mut owned, mut nameless) = (BTreeSet::new(), BTreeSet::new());
        for Incoming { arrival, .. } in items.iter().copied() {
            let interaction = &arrival.interaction;
            if let Some(external) = &interaction.conversation {
                let customer = interaction.customer.as_ref().and_then(|customer| customers.get(customer));
                let customer = customer.filter(|_| owned.insert(external));
                let opened_at = interaction.occurred_at.unwrap_or(at).trunc_subsecs(6);
                let mut mention = people::conversation(&arrival.conversation, customer, opened_at);
                if interaction.customer.is_none() {
                    // Whose it is stays so until this is written.
                    mention.hold();
                    nameless.insert(external);
                }
                people::merge(&mut conversations, external, mention);
            }
        }
        let conversations = self.resolve(tx, people::conversations(reach), when, conversations).await?;
        let nameless: Vec<&str> = nameless
            .into_iter()
            .filter_map(|external| conversations.get(external))
            .map(String::as_str)
            .collect();
        let owners = self.owners(tx, tenant, &nameless).await?;
        let erased: Vec<&str> =
            owners.iter().filter(|(_, owner)| **owner == Owner::Erased).map(|(id, _)| id.as_str()).collect();
        whose::forget_words(tx, tenant, &erased).await?;
        let segments = self.segments(tx, tenant, &customers).await?;
        Ok(Linked { customers, agents, conversations, segments, owners })
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
