//! What people change of customers, accounts, agents, teams and conversations, as the audit log has it: an account, a segment and a team
//! decide who sees what, and by an address an erasure finds somebody.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult};
use serde_json::{Map, Value as Json, json};

use super::Person;
use crate::audit::{self, Act};
use crate::statement::sql;
use crate::{Result, Store};

/// What is known of whom or what is told about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// What the audit log has with its values, which are the tenant's own words.
    values: Vec<(&'static str, Json)>,
    /// What it has by its name alone.
    names: Vec<(&'static str, Option<String>)>,
}

const CUSTOMER: &str = "SELECT a.external_id AS account, p.segment, p.name, p.email, p.phone, p.attributes FROM customer p \
    LEFT JOIN account a ON a.tenant_id = p.tenant_id AND a.id = p.account_id";
const ACCOUNT: &str = "SELECT p.name, p.plan, p.value_cents FROM account p";
const AGENT: &str = "SELECT t.external_id AS team, p.name, p.email FROM agent p \
    LEFT JOIN team t ON t.tenant_id = p.tenant_id AND t.id = p.team_id";
const TEAM: &str = "SELECT p.name FROM team p";
const CONVERSATION: &str = "SELECT p.subject, p.priority, p.queue, p.tags FROM conversation p";

#[derive(FromQueryResult)]
struct Customer {
    account: Option<String>,
    segment: Option<String>,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    attributes: Option<Json>,
}

#[derive(FromQueryResult)]
struct Account {
    name: Option<String>,
    plan: Option<String>,
    value_cents: Option<i64>,
}

#[derive(FromQueryResult)]
struct Agent {
    team: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

#[derive(FromQueryResult)]
struct Team {
    name: Option<String>,
}

#[derive(FromQueryResult)]
struct Conversation {
    subject: Option<String>,
    priority: Option<String>,
    queue: Option<String>,
    tags: Option<Json>,
}

fn action(person: &Person) -> &'static str {
    match person {
        Person::Customer(..) => "customer_changed",
        Person::Account(_) => "account_changed",
        Person::Agent(_) => "agent_changed",
        Person::Team(_) => "team_changed",
        Person::Conversation(..) => "conversation_changed",
    }
}

impl Noted {
    /// What is known now, where a person changes it; nobody else changes it until the transaction ends.
    pub(super) async fn of(
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        (external, person): (&str, &Person),
    ) -> Result<Option<Self>> {
        if !act.is_by_person() {
            return Ok(None);
        }
        Ok(Some(match person {
            Person::Customer(..) => Self::read::<Customer>(tx, act, external, CUSTOMER).await?,
            Person::Account(_) => Self::read::<Account>(tx, act, external, ACCOUNT).await?,
            Person::Agent(_) => Self::read::<Agent>(tx, act, external, AGENT).await?,
            Person::Team(_) => Self::read::<Team>(tx, act, external, TEAM).await?,
            Person::Conversation(..) => Self::read::<Conversation>(tx, act, external, CONVERSATION).await?,
        }))
    }

    /// What stands in the row, which the statement calls `p`.
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
        let old_value = |name: &str| {
            self.values
                .iter()
                .find(|(other, _)| *other == name)
                .map_or(Json::Null, |(_, value)| value.clone())
        };
        let old_name = |name: &str| {
            self.names.iter().find(|(other, _)| *other == name).and_then(|(_, value)| value.as_ref())
        };
        let before: Map<String, Json> =
            now.values.iter().map(|(name, _)| ((*name).to_owned(), old_value(name))).collect();
        let after: Map<String, Json> =
            now.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let changed: Vec<&str> = now
            .names
            .iter()
            .filter(|(name, value)| value.as_ref() != old_name(name))
            .map(|(name, _)| *name)
            .collect();
        if before == after && changed.is_empty() {
            return Ok(());
        }
        // What has changed by its name alone may hold a customer's words.
        let payload = json!({"before": before, "after": after, "changed": changed});
        audit::note(store, tx, act, (action(person), id), &payload).await
    }
}

impl From<Customer> for Noted {
    fn from(row: Customer) -> Self {
        Self {
            values: vec![("account", json!(row.account)), ("segment", json!(row.segment))],
            names: vec![
                ("name", row.name),
                ("email", row.email),
                ("phone", row.phone),
                ("attributes", row.attributes.map(|attributes| attributes.to_string())),
            ],
        }
    }
}

impl From<Account> for Noted {
    fn from(row: Account) -> Self {
        Self {
            values: vec![("plan", json!(row.plan)), ("value_cents", json!(row.value_cents))],
            names: vec![("name", row.name)],
        }
    }
}

impl From<Agent> for Noted {
    fn from(row: Agent) -> Self {
        Self {
            values: vec![("team", json!(row.team))],
            names: vec![("name", row.name), ("email", row.email)],
        }
    }
}

impl From<Team> for Noted {
    fn from(row: Team) -> Self {
        Self { values: vec![("name", json!(row.name))], names: vec![] }
    }
}

impl From<Conversation> for Noted {
    fn from(row: Conversation) -> Self {
        Self {
            values: vec![("priority", json!(row.priority)), ("queue", json!(row.queue))],
            names: vec![("subject", row.subject), ("tags", row.tags.map(|tags| tags.to_string()))],
        }
    }
}
