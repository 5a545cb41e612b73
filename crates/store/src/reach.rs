//! How far those go who tell of people and interactions. A customer's account and segment, an agent's team, whose a conversation is, in which
//! queue and whether it is closed, and what an interaction says of itself decide who sees what (see [`undertone_core::visibility`]): not
//! everybody who adds to them changes them.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, FromQueryResult};
use undertone_core::{Arrival, Interaction};

use crate::accept::{Accepted, Incoming, existing};
use crate::people::Person;
use crate::statement::{pieces, sql};
use crate::{Result, Store, StoreError, TenantId};

/// What becomes of what somebody tells about what is known already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// It is changed, whatever it is.
    Changes,
    /// It is filled in where that decides nothing about who sees what; else it is refused. What is new is taken in.
    Additions,
}

/// What somebody told and may not: the field of an interaction, and why, for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beyond {
    field: &'static str,
    why: &'static str,
}

const ACCOUNT: Beyond =
    Beyond { field: "account", why: "the customer is known and belongs to another account, or to none" };
const SEGMENT: Beyond =
    Beyond { field: "customer.segment", why: "the customer is known and in another segment, or in none" };
const TEAM: Beyond =
    Beyond { field: "agent.team", why: "the agent is known and in another team, or in none" };
const QUEUE: Beyond =
    Beyond { field: "conversation.queue", why: "the conversation is known and in another queue, or in none" };
const CLOSED: Beyond = Beyond {
    field: "conversation.state",
    why: "an interaction that you hand in does not close its conversation; send PUT /api/v1/conversations/{id}, \
          which the audit log notes",
};
const REVISED: Beyond =
    Beyond { field: "on_conflict", why: "the interaction is known and says something else" };

impl Store {
    /// Takes in what one tenant handed in together, as [`Store::accept`] does, and within [`Reach::Additions`] without what is beyond it: that is
    /// answered with [`Accepted::NotAllowed`].
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub async fn accept_within(
        &self,
        tenant: TenantId,
        reach: Reach,
        items: &[Incoming],
    ) -> Result<Vec<Accepted>> {
        if reach == Reach::Changes {
            return self.accept_all(tenant, reach, items).await;
        }
        let beyond = of_items(&self.reader, tenant, items).await?;
        let mut within: Vec<Incoming> = items
            .iter()
            .zip(&beyond)
            .filter(|(_, beyond)| beyond.is_none())
            .map(|(item, _)| item.clone())
            .collect();
        for item in &mut within {
            // Whoever was faster with the same id is not revised: it is a conflict.
            item.arrival.update = false;
        }
        let taken =
            if within.is_empty() { Vec::new() } else { self.accept_all(tenant, reach, &within).await? };
        let mut taken = taken.into_iter();
        let answers = beyond.into_iter().filter_map(|beyond| match beyond {
            Some(Beyond { field, why }) => Some(Accepted::NotAllowed { field, why }),
            None => taken.next(),
        });
        Ok(answers.collect())
    }
}

/// Nothing, where `reach` goes as far as what is told of `person`.
///
/// # Errors
/// [`StoreError::NotAllowed`] where it does not.
pub(crate) async fn allow(
    on: &impl ConnectionTrait,
    (tenant, reach): (TenantId, Reach),
    (id, person): (&str, &Person),
) -> Result<()> {
    let beyond = match person {
        _ if reach == Reach::Changes => return Ok(()),
        Person::Customer(details, account) => {
            let (account, segment) = (account.as_deref(), details.segment.as_deref());
            of_customers(on, tenant, &[Some(Customer { id, account, segment })]).await?
        }
        Person::Agent(details) => {
            of_agents(on, tenant, &[Some(Agent { id, team: details.team.as_deref() })]).await?
        }
        Person::Conversation(details, _) => {
            let told = Conversation { id, queue: details.queue.as_deref() };
            of_conversations(on, tenant, &[Some(told)]).await?
        }
        Person::Account(_) | Person::Team(_) => return Ok(()),
    };
    match beyond.into_iter().flatten().next() {
        Some(beyond) => Err(StoreError::NotAllowed(beyond.why.to_owned())),
        None => Ok(()),
    }
}

/// What is told of a customer: by the source's ids.
#[derive(Debug, Clone, Copy)]
struct Customer<'a> {
    id: &'a str,
    account: Option<&'a str>,
    segment: Option<&'a str>,
}

/// What is told of an agent: by the source's ids.
#[derive(Debug, Clone, Copy)]
struct Agent<'a> {
    id: &'a str,
    team: Option<&'a str>,
}

/// What is told of a conversation: by the source's id.
#[derive(Debug, Clone, Copy)]
struct Conversation<'a> {
    id: &'a str,
    queue: Option<&'a str>,
}

/// What of each customer that is told is beyond [`Reach::Additions`].
async fn of_customers(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    told: &[Option<Customer<'_>>],
) -> Result<Vec<Option<Beyond>>> {
    #[derive(FromQueryResult)]
    struct Row {
        external_id: String,
        segment: Option<String>,
        account: Option<String>,
    }
    let asked: Vec<&str> = told
        .iter()
        .flatten()
        .filter(|one| one.account.is_some() || one.segment.is_some())
        .map(|one| one.id)
        .collect();
    let mut known = HashMap::new();
    for piece in pieces(&asked) {
        let rows = sql("SELECT c.external_id, c.segment, a.external_id AS account FROM customer c \
             LEFT JOIN account a ON a.tenant_id = c.tenant_id AND a.id = c.account_id WHERE c.tenant_id = ? AND c.external_id IN ?")
        .bind(tenant.0)
        .list(piece.iter().copied())
        .all::<Row>(on)
        .await?;
        known.extend(rows.into_iter().map(|row| (row.external_id.clone(), row)));
    }
    let beyond = told.iter().map(|told| {
        let told = (*told)?;
        let row = known.get(told.id)?;
        let changes = |new: Option<&str>, old: &Option<String>| new.is_some() && new != old.as_deref();
        if changes(told.account, &row.account) {
            return Some(ACCOUNT);
        }
        changes(told.segment, &row.segment).then_some(SEGMENT)
    });
    Ok(beyond.collect())
}

/// What of each agent that is told is beyond [`Reach::Additions`].
async fn of_agents(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    told: &[Option<Agent<'_>>],
) -> Result<Vec<Option<Beyond>>> {
    #[derive(FromQueryResult)]
    struct Row {
        external_id: String,
        team: Option<String>,
    }
    let asked: Vec<&str> = told.iter().flatten().filter(|one| one.team.is_some()).map(|one| one.id).collect();
    let mut known = HashMap::new();
    for piece in pieces(&asked) {
        let rows = sql("SELECT g.external_id, t.external_id AS team FROM agent g \
             LEFT JOIN team t ON t.tenant_id = g.tenant_id AND t.id = g.team_id WHERE g.tenant_id = ? AND g.external_id IN ?")
        .bind(tenant.0)
        .list(piece.iter().copied())
        .all::<Row>(on)
        .await?;
        known.extend(rows.into_iter().map(|row| (row.external_id, row.team)));
    }
    let beyond = told.iter().map(|told| {
        let told = (*told)?;
        let team = known.get(told.id)?;
        (told.team.is_some() && told.team != team.as_deref()).then_some(TEAM)
    });
    Ok(beyond.collect())
}

/// What of each conversation that is told is beyond [`Reach::Additions`]: figures are published by queue, and whoever moved one next to others that
/// they know would work it out.
async fn of_conversations(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    told: &[Option<Conversation<'_>>],
) -> Result<Vec<Option<Beyond>>> {
    #[derive(FromQueryResult)]
    struct Row {
        external_id: String,
        queue: Option<String>,
    }
    let asked: Vec<&str> =
        told.iter().flatten().filter(|one| one.queue.is_some()).map(|one| one.id).collect();
    let mut known = HashMap::new();
    for piece in pieces(&asked) {
        let rows =
            sql("SELECT external_id, queue FROM conversation WHERE tenant_id = ? AND external_id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .all::<Row>(on)
                .await?;
        known.extend(rows.into_iter().map(|row| (row.external_id, row.queue)));
    }
    let beyond = told.iter().map(|told| {
        let told = (*told)?;
        let queue = known.get(told.id)?;
        (told.queue.is_some() && told.queue != queue.as_deref()).then_some(QUEUE)
    });
    Ok(beyond.collect())
}

/// What of each item is beyond [`Reach::Additions`].
async fn of_items(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    items: &[Incoming],
) -> Result<Vec<Option<Beyond>>> {
    let customers: Vec<Option<Customer<'_>>> = items.iter().map(customer_of).collect();
    let agents: Vec<Option<Agent<'_>>> = items.iter().map(agent_of).collect();
    let customers = of_customers(on, tenant, &customers).await?;
    let agents = of_agents(on, tenant, &agents).await?;
    let conversations: Vec<Option<Conversation<'_>>> = items.iter().map(conversation_of).collect();
    let conversations = of_conversations(on, tenant, &conversations).await?;
    let revised = revised(on, tenant, items).await?;
    let each = items.iter().zip(customers).zip(agents).zip(conversations).zip(revised);
    let beyond = each.map(|((((item, customer), agent), conversation), revised)| {
        let closed = (item.arrival.conversation.closed == Some(true)).then_some(CLOSED);
        customer.or(agent).or(conversation).or(closed).or(revised)
    });
    Ok(beyond.collect())
}

fn customer_of(item: &Incoming) -> Option<Customer<'_>> {
    let Arrival { interaction, customer, .. } = &item.arrival;
    let (account, segment) = (interaction.account.as_deref(), customer.segment.as_deref());
    Some(Customer { id: interaction.customer.as_deref()?, account, segment })
}

fn agent_of(item: &Incoming) -> Option<Agent<'_>> {
    let Arrival { interaction, agent, .. } = &item.arrival;
    Some(Agent { id: interaction.agent.as_deref()?, team: agent.team.as_deref() })
}

fn conversation_of(item: &Incoming) -> Option<Conversation<'_>> {
    let Arrival { interaction, conversation, .. } = &item.arrival;
    Some(Conversation { id: interaction.conversation.as_deref()?, queue: conversation.queue.as_deref() })
}

/// Which items would give a known interaction other content.
async fn revised(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    items: &[Incoming],
) -> Result<Vec<Option<Beyond>>> {
    let asked: Vec<&Interaction> = items
        .iter()
        .filter(|item| item.arrival.update)
        .map(|item| &item.arrival.interaction)
        .filter(|interaction| !interaction.external_id.is_empty())
        .collect();
    let mut known = HashMap::new();
    for piece in pieces(&asked) {
        known.extend(existing(on, tenant, piece.iter().copied()).await?);
    }
    let of = |item: &Incoming| {
        let interaction = &item.arrival.interaction;
        let known = known.get(&(interaction.source.clone(), interaction.external_id.clone()))?;
        (item.arrival.update && known.digest != item.digest).then_some(REVISED)
    };
    Ok(items.iter().map(of).collect())
}
