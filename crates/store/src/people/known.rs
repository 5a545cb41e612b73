//! Whom texts may name: what has to be taken out of them before they leave the machine.

use std::collections::{BTreeSet, HashMap};

use sea_orm::FromQueryResult;

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
pub struct People(HashMap<String, Traces>);

impl People {
    /// What is known of the customer and the agent of `claimed`.
    pub fn of<'p>(&'p self, claimed: &'p Claimed) -> impl Iterator<Item = &'p Traces> {
        let ids = [&claimed.interaction.customer, &claimed.interaction.agent];
        ids.into_iter().flatten().filter_map(|id| self.0.get(id))
    }
}

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
    /// What the records have of the customers and agents of `claimed`, their aliases included.
    pub async fn people_of(&self, tenant: TenantId, claimed: &[Claimed]) -> Result<People> {
        let customers = ids(claimed.iter().map(|one| one.interaction.customer.as_deref()));
        let agents = ids(claimed.iter().map(|one| one.interaction.agent.as_deref()));
        let mut people = People::default();
        if customers.is_empty() && agents.is_empty() {
            return Ok(people);
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
            let traces = people.0.entry(person).or_default();
            traces.names.extend(name);
            traces.emails.extend(email);
            traces.phones.extend(phone);
        }
        Ok(people)
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
