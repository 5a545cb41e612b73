//! Whom texts may name: what has to be taken out of them before they leave the machine.

use std::collections::{BTreeSet, HashMap};

use sea_orm::FromQueryResult;
use undertone_core::Interaction;

use crate::queue::Claimed;
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// What the records have of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// Names in full, and whatever else they go by.
    pub names: Vec<String>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Telephone numbers.
    pub phones: Vec<String>,
}

/// The people of some interactions, by our ids.
#[derive(Debug, Clone, Default)]
pub struct People {
    traces: HashMap<String, Traces>,
    /// Who answers in each conversation.
    agents: HashMap<String, Vec<String>>,
}

impl People {
    /// What is known of the customer and the agent of `claimed`, and of the agents who answer in its conversation.
    pub fn of<'p>(&'p self, claimed: &'p Claimed) -> impl Iterator<Item = &'p Traces> {
        let Interaction { customer, agent, conversation, .. } = &claimed.interaction;
        let others = conversation.as_ref().and_then(|id| self.agents.get(id)).into_iter().flatten();
        let others = others.filter(move |id| agent.as_ref() != Some(*id));
        [customer, agent].into_iter().flatten().chain(others).filter_map(|id| self.traces.get(id))
    }
}

/// So many of what came last into a conversation say who answers there: what is looked at does not grow with it.
const LATEST: i64 = 50;
/// So many conversations in one statement: SQLite takes five hundred at most.
const AT_ONCE: usize = 50;
/// Whom the latest of one conversation name; by its index.
const NAMED: &str = "SELECT * FROM (SELECT conversation_id, agent_id FROM interaction WHERE tenant_id = ? AND conversation_id = ? \
    ORDER BY id DESC LIMIT ?) AS latest";

#[derive(FromQueryResult)]
struct Row {
    person: String,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

/// A customer's aliases are addresses, numbers, or else something they go by.
const KNOWN: &str = "SELECT id AS person, name, email, phone FROM customer WHERE tenant_id = ? AND id IN ? \
    UNION ALL SELECT customer_id, CASE WHEN kind NOT IN ('email', 'phone') THEN value END, CASE WHEN kind = 'email' THEN value END, \
    CASE WHEN kind = 'phone' THEN value END FROM customer_alias WHERE tenant_id = ? AND customer_id IN ? \
    UNION ALL SELECT id, name, email, CAST(NULL AS text) FROM agent WHERE tenant_id = ? AND id IN ?";

impl Store {
    /// What the records have of the customers and agents of `claimed`, their aliases included. A customer's words name who answered them, and
    /// seldom tell it: the agents are those of the conversation as well.
    pub async fn people_of(&self, tenant: TenantId, claimed: &[Claimed]) -> Result<People> {
        let customers = ids(claimed.iter().map(|one| one.interaction.customer.as_deref()));
        let conversations = ids(claimed.iter().map(|one| one.interaction.conversation.as_deref()));
        let answering = self.answering(tenant, &conversations).await?;
        let others = answering.values().flatten().map(|id| Some(id.as_str()));
        let agents = ids(claimed.iter().map(|one| one.interaction.agent.as_deref()).chain(others));
        let mut traces: HashMap<String, Traces> = HashMap::new();
        if customers.is_empty() && agents.is_empty() {
            return Ok(People::default());
        }
        let rows: Vec<Row> = sql(KNOWN)
            .bind(tenant.0)
            .list(customers.iter().copied())
            .bind(tenant.0)
            .list(customers.iter().copied())
            .bind(tenant.0)
            .list(agents.iter().copied())
            .all(&self.reader)
            .await?;
        for Row { person, name, email, phone } in rows {
            let known = traces.entry(person).or_default();
            known.names.extend(name);
            known.emails.extend(email);
            known.phones.extend(phone);
        }
        Ok(People { traces, agents: answering })
    }

    /// The agents whom the latest of each conversation name.
    async fn answering(
        &self,
        tenant: TenantId,
        conversations: &[&str],
    ) -> Result<HashMap<String, Vec<String>>> {
        #[derive(FromQueryResult)]
        struct Named {
            conversation_id: String,
            agent_id: String,
        }
        let mut answering: HashMap<String, Vec<String>> = HashMap::new();
        for some in conversations.chunks(AT_ONCE) {
            let mut query = sql("SELECT DISTINCT conversation_id, agent_id FROM (");
            for (place, conversation) in some.iter().copied().enumerate() {
                query = query.then(if place == 0 { "" } else { " UNION ALL " }).then(NAMED);
                query = query.bind(tenant.0).bind(conversation).bind(LATEST);
            }
            let named =
                query.then(") AS named WHERE agent_id IS NOT NULL ORDER BY conversation_id, agent_id");
            for Named { conversation_id, agent_id } in named.all::<Named>(&self.reader).await? {
                answering.entry(conversation_id).or_default().push(agent_id);
            }
        }
        Ok(answering)
    }
}

/// Each id once, and then the last one until there are a power of two: so few different statements come of it that the database keeps them
/// prepared.
fn ids<'a>(all: impl Iterator<Item = Option<&'a str>>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = all.flatten().collect::<BTreeSet<_>>().into_iter().collect();
    if let Some(last) = ids.last().copied() {
        ids.resize(ids.len().next_power_of_two(), last);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_filled_up_to_a_power_of_two() {
        assert_eq!(ids([Some("b"), None, Some("a"), Some("b")].into_iter()), ["a", "b"]);
        assert_eq!(ids(["a", "b", "c"].into_iter().map(Some)), ["a", "b", "c", "c"]);
        assert!(ids([None].into_iter()).is_empty());
    }
}
