//! What people change of customers and agents, as the audit log has it: an account, a segment and a team decide who sees what, and by an
//! address an erasure finds somebody.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult};
use serde_json::{Map, Value as Json, json};

use super::Person;
use crate::audit::{self, Act};
use crate::statement::sql;
use crate::{Result, Store};

/// What is known of a customer or an agent: what decides who sees what, and by what they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// What the audit log has with its values, which are the tenant's own words.
    decides: Vec<(&'static str, Option<String>)>,
    /// What it has by its name alone.
    names: Vec<(&'static str, Option<String>)>,
}

const CUSTOMER: &str = "SELECT a.external_id AS account, p.segment, p.name, p.email, p.phone FROM customer p \
    LEFT JOIN account a ON a.tenant_id = p.tenant_id AND a.id = p.account_id";
const AGENT: &str = "SELECT t.external_id AS team, p.name, p.email FROM agent p \
    LEFT JOIN team t ON t.tenant_id = p.tenant_id AND t.id = p.team_id";

#[derive(FromQueryResult)]
struct Customer {
    account: Option<String>,
    segment: Option<String>,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

#[derive(FromQueryResult)]
struct Agent {
    team: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

impl Noted {
    /// What is known now, where a person changes a customer or an agent; nobody else changes them until the transaction ends.
    pub(super) async fn of(
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        (external, person): (&str, &Person),
    ) -> Result<Option<Self>> {
        if !act.is_by_person() {
            return Ok(None);
        }
        Ok(match person {
            Person::Customer(..) => Some(Self::read::<Customer>(tx, act, external, CUSTOMER).await?),
            Person::Agent(_) => Some(Self::read::<Agent>(tx, act, external, AGENT).await?),
            Person::Account(_) | Person::Team(_) | Person::Conversation(..) => None,
        })
    }

    /// What stands in the row of the person, whom the statement calls `p`.
    async fn read<Row: FromQueryResult + Into<Self>>(
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        external: &str,
        statement: &'static str,
    ) -> Result<Self> {
        let is_postgres = tx.get_database_backend() == DbBackend::Postgres;
        let row = sql(statement)
            .then(" WHERE p.tenant_id = ? AND p.external_id = ?")
            .bind(act.tenant.0)
            .bind(external)
            .then(if is_postgres { " FOR NO KEY UPDATE OF p" } else { "" })
            .one::<Row>(tx)
            .await?;
        Ok(row.map(Into::into).unwrap_or_default())
    }

    /// Notes what is otherwise now, if something is.
    pub(super) async fn note(
        self,
        store: &Store,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        (external, person): (&str, &Person),
        id: &str,
    ) -> Result<()> {
        let Some(now) = Self::of(tx, act, (external, person)).await? else { return Ok(()) };
        if now == self {
            return Ok(());
        }
        let action = if matches!(person, Person::Agent(_)) { "agent_changed" } else { "customer_changed" };
        let old = |of: &[(&str, Option<String>)], name: &str| {
            of.iter().find(|(other, _)| *other == name).and_then(|(_, value)| value.clone())
        };
        let values = |of: &Self| -> Map<String, Json> {
            now.decides.iter().map(|(name, _)| ((*name).to_owned(), json!(old(&of.decides, name)))).collect()
        };
        let changed = now.names.iter().filter(|(name, value)| *value != old(&self.names, name));
        let payload = json!({
            "before": values(&self),
            "after": values(&now),
            // Values are the customer's.
            "changed": changed.map(|(name, _)| *name).collect::<Vec<_>>(),
        });
        audit::note(store, tx, act, (action, id), &payload).await
    }
}

impl From<Customer> for Noted {
    fn from(row: Customer) -> Self {
        Self {
            decides: vec![("account", row.account), ("segment", row.segment)],
            names: vec![("name", row.name), ("email", row.email), ("phone", row.phone)],
        }
    }
}

impl From<Agent> for Noted {
    fn from(row: Agent) -> Self {
        Self { decides: vec![("team", row.team)], names: vec![("name", row.name), ("email", row.email)] }
    }
}
