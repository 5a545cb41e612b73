//! Customers, accounts, agents, teams and conversations. A mention in an interaction creates them; what it tells about them is kept.

pub(crate) mod aliases;
mod known;
mod noted;
mod tables;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use serde::Serialize;
use serde_json::json;
use undertone_core::arrival::{AccountDetails, AgentDetails, ConversationDetails, CustomerDetails};

use self::aliases::Telling;
use self::noted::Noted;
use crate::audit::{self, Act};
use crate::conversations::whose::{self, Owner};
use crate::statement::{for_key_share, for_update, pieces, sql};
use crate::{Reach, Result, Store, StoreError, TenantId, reach};

pub use known::{People, Traces};
pub(crate) use tables::{ACCOUNT, TEAM, Table, agents, conversations, customers};

/// Told where several transactions give the same aliases at the same moment.
pub(crate) const TOGETHER: &str =
    "others were given some of these aliases at the same moment; nothing was saved, so send it again";

/// Our ids by the source's.
pub(crate) type Ids = HashMap<String, String>;

/// A mention: what is told (a value for each of the table's columns), and whether that is more than the id.
pub(crate) struct Mention {
    values: Vec<Value>,
    tells: bool,
}

impl Mention {
    /// Its row is held until the transaction ends, whether or not it tells something.
    pub(crate) fn hold(&mut self) {
        self.tells = true;
    }
}

/// Mentions by external id, in order: rows are always locked in the same order, so that writers never wait for each other in a circle.
pub(crate) type Mentions = BTreeMap<String, Mention>;

/// Adds a mention; of two of the same, what the later one tells counts.
pub(crate) fn merge(mentions: &mut Mentions, external: &str, mention: Mention) {
    let Some(earlier) = mentions.get_mut(external) else {
        mentions.insert(external.to_owned(), mention);
        return;
    };
    earlier.tells |= mention.tells;
    for (old, new) in earlier.values.iter_mut().zip(mention.values) {
        if !is_null(&new) {
            *old = new;
        }
    }
}

fn is_null(value: &Value) -> bool {
    value == &value.as_null()
}

#[derive(FromQueryResult)]
struct Known {
    external_id: String,
    id: String,
}

async fn known(
    on: &impl ConnectionTrait,
    table: &Table,
    tenant: TenantId,
    wanted: &[&String],
    ids: &mut Ids,
) -> Result<()> {
    for piece in pieces(wanted) {
        let list = piece.iter().map(|external| external.as_str());
        let lock = if table.erasable { for_key_share(on.get_database_backend()) } else { "" };
        for row in sql(table.known).bind(tenant.0).list(list).then(lock).all::<Known>(on).await? {
            ids.insert(row.external_id, row.id);
        }
    }
    Ok(())
}

impl Store {
    /// Our ids of everything mentioned; creates it, or fills in what is told.
    pub(crate) async fn resolve(
        &self,
        on: &impl ConnectionTrait,
        table: &Table,
        (tenant, at): (TenantId, DateTime<Utc>),
        mentions: Mentions,
    ) -> Result<Ids> {
        if mentions.is_empty() {
            return Ok(Ids::new());
        }
        let mut ids = Ids::with_capacity(mentions.len());
        known(on, table, tenant, &mentions.keys().collect::<Vec<_>>(), &mut ids).await?;
        let (mut rows, mut missing) = (Vec::new(), Vec::new());
        for (external, mention) in &mentions {
            let is_known = ids.contains_key(external);
            if is_known && !mention.tells {
                continue;
            }
            if !is_known {
                missing.push(external);
            }
            let mut row: Vec<Value> =
                vec![tenant.0.into(), self.new_id(at).into(), external.as_str().into(), at.into(), at.into()];
            row.extend(mention.values.iter().cloned());
            debug_assert_eq!(row.len(), 5 + table.columns);
            rows.push(row);
        }
        for piece in pieces(&rows) {
            sql(table.upsert).rows(piece.iter().cloned()).run(on).await?;
        }
        known(on, table, tenant, &missing, &mut ids).await?;
        Ok(ids)
    }
}

/// A mention of an account.
pub(crate) fn account(details: &AccountDetails) -> Mention {
    Mention {
        tells: *details != AccountDetails::default(),
        values: vec![details.name.clone().into(), details.plan.clone().into(), details.value_cents.into()],
    }
}

/// A mention of a team.
pub(crate) fn team(name: Option<&str>) -> Mention {
    Mention { tells: name.is_some(), values: vec![name.map(str::to_owned).into()] }
}

/// A mention of an agent; `team` is our id.
pub(crate) fn agent(details: &AgentDetails, team: Option<&String>) -> Mention {
    Mention {
        tells: *details != AgentDetails::default(),
        values: vec![details.name.clone().into(), details.email.clone().into(), team.cloned().into()],
    }
}

/// A mention of a customer; `account` is our id.
pub(crate) fn customer(details: &CustomerDetails, account: Option<&String>) -> Mention {
    Mention {
        tells: *details != CustomerDetails::default() || account.is_some(),
        values: vec![
            details.name.clone().into(),
            details.email.clone().into(),
            details.phone.clone().into(),
            details.segment.clone().into(),
            details.attributes.clone().map(serde_json::Value::Object).into(),
            account.cloned().into(),
        ],
    }
}

/// A mention of a conversation; `customer` is our id, `opened_at` when it is first heard of.
pub(crate) fn conversation(
    details: &ConversationDetails,
    customer: Option<&String>,
    opened_at: DateTime<Utc>,
) -> Mention {
    Mention {
        tells: *details != ConversationDetails::default(),
        values: vec![
            customer.cloned().into(),
            details.subject.clone().into(),
            details.priority.clone().into(),
            details.queue.clone().into(),
            details.tags.as_ref().map(|tags| json!(tags)).into(),
            opened_at.into(),
        ],
    }
}

/// A customer, as they are told.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Customer {
    /// Our id.
    pub id: String,
    /// The source's id.
    pub external_id: String,
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// The tenant's own grouping.
    pub segment: Option<String>,
    /// Our id of the customer's company.
    pub account_id: Option<String>,
    /// Anything else.
    pub attributes: Option<serde_json::Value>,
    /// Since when the customer does not want to be scored.
    pub opted_out_at: Option<DateTime<Utc>>,
    /// When we first heard of them.
    pub created_at: DateTime<Utc>,
}

/// What can be told about by a route of its own.
#[derive(Debug, Clone)]
pub enum Person {
    /// A customer, with their account's external id.
    Customer(CustomerDetails, Option<String>),
    /// An account.
    Account(AccountDetails),
    /// An agent.
    Agent(AgentDetails),
    /// A team, by name.
    Team(Option<String>),
    /// A conversation, with its customer's external id.
    Conversation(ConversationDetails, Option<String>),
}

impl Store {
    /// Creates or fills in what `external_id` stands for; answers our id. What is not told stays as it was. Aliases of a customer, where told,
    /// are all of them; what changed of them is in the audit log, and so is what a person changes of a customer, an agent or a conversation's queue.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another customer goes by one of the aliases; nothing is saved.
    pub async fn save_person(&self, act: &Act<'_>, external_id: &str, person: &Person) -> Result<String> {
        self.save_person_within(act, Reach::Changes, external_id, person).await
    }

    /// The same, as far as `reach` goes.
    ///
    /// # Errors
    /// As [`Store::save_person`], and [`StoreError::NotAllowed`] where `reach` does not go as far as what is told; nothing is saved.
    pub async fn save_person_within(
        &self,
        act: &Act<'_>,
        reach: Reach,
        external_id: &str,
        person: &Person,
    ) -> Result<String> {
        let (tx, tenant) = (self.begin().await?, act.tenant);
        reach::allow(&tx, (tenant, reach), (external_id, person)).await?;
        let before = Noted::of(&tx, act, (external_id, person)).await?;
        let when = (tenant, self.now());
        let one = |external: &str, mention: Mention| Mentions::from([(external.to_owned(), mention)]);
        let ids = match person {
            Person::Account(details) => {
                self.resolve(&tx, &ACCOUNT, when, one(external_id, account(details))).await?
            }
            Person::Team(name) => {
                self.resolve(&tx, &TEAM, when, one(external_id, team(name.as_deref()))).await?
            }
            Person::Agent(details) => {
                let teams = match &details.team {
                    Some(external) => self.resolve(&tx, &TEAM, when, one(external, team(None))).await?,
                    None => Ids::new(),
                };
                self.resolve(
                    &tx,
                    agents(reach),
                    when,
                    one(external_id, agent(details, teams.values().next())),
                )
                .await?
            }
            Person::Customer(details, company) => {
                let accounts = match company {
                    Some(external) => {
                        let mention = account(&AccountDetails::default());
                        self.resolve(&tx, &ACCOUNT, when, one(external, mention)).await?
                    }
                    None => Ids::new(),
                };
                let told: Vec<aliases::Told<'_>> = details
                    .aliases
                    .iter()
                    .map(|aliases| aliases::Told { customer: external_id, aliases, replaces: true })
                    .collect();
                let mention = customer(details, accounts.values().next());
                let ids = self.resolve(&tx, customers(reach), when, one(external_id, mention)).await?;
                let telling = Telling::of(&tx, tenant, &told).await?;
                if let Some(alias) = telling.refused.iter().find_map(|refused| *refused) {
                    return Err(StoreError::Conflict(aliases::taken(alias)));
                }
                let Some(change) = telling.keep(&tx, tenant, &ids).await? else {
                    return Err(StoreError::Conflict(TOGETHER.to_owned()));
                };
                if let Some(id) = ids.get(external_id).filter(|_| !change.is_empty()) {
                    // How many and of which kind: the values are the customer's.
                    audit::note(self, &tx, act, ("customer_aliases", id), &json!(change)).await?;
                }
                ids
            }
            Person::Conversation(details, whose) => {
                let customers = match whose {
                    Some(external) => {
                        let mention = customer(&CustomerDetails::default(), None);
                        self.resolve(&tx, customers(reach), when, one(external, mention)).await?
                    }
                    None => Ids::new(),
                };
                let mention = conversation(details, customers.values().next(), when.1);
                let ids = self.resolve(&tx, conversations(reach), when, one(external_id, mention)).await?;
                self.keep_whose(&tx, act, ids.get(external_id), customers.values().next()).await?;
                if let (Some(closed), Some(id)) = (details.closed, ids.get(external_id)) {
                    self.set_closed(&tx, act, id, closed).await?;
                }
                ids
            }
        };
        if let (Some(before), Some(id)) = (before, ids.get(external_id)) {
            before.note(self, &tx, act, (external_id, person), id).await?;
        }
        tx.commit().await?;
        Ok(ids.into_values().next().unwrap_or_default())
    }

    /// Makes a conversation the customer's that was told, where it is nobody's, which is noted where a person does it: it decides who sees what
    /// stands in it. Of one whose customer was erased nothing is kept that was told.
    async fn keep_whose(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        conversation: Option<&String>,
        customer: Option<&String>,
    ) -> Result<()> {
        let (Some(conversation), tenant) = (conversation, act.tenant) else { return Ok(()) };
        if let Some(customer) = customer {
            let is_noted = act.is_by_person() && self.is_nobodys(tx, tenant, conversation).await?;
            let mut left = whose::AT_ONCE;
            self.give(tx, tenant, (conversation, customer), &mut left).await?;
            if is_noted {
                let change = json!({"before": {"customer": null}, "after": {"customer": customer}});
                audit::note(self, tx, act, ("conversation_given", conversation), &change).await?;
            }
        } else if self.owners(tx, tenant, &[conversation]).await?.get(conversation) == Some(&Owner::Erased) {
            whose::forget_words(tx, tenant, &[conversation]).await?;
        }
        Ok(())
    }

    /// Whether a conversation is nobody's; so it stays until the transaction ends, unless that changes it.
    async fn is_nobodys(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        conversation: &str,
    ) -> Result<bool> {
        let nobodys =
            sql("SELECT id FROM conversation WHERE tenant_id = ? AND id = ? AND customer_id IS NULL")
                .bind(tenant.0)
                .bind(conversation)
                .then(for_update(self.backend()))
                .value::<String>(tx)
                .await?;
        Ok(nobodys.is_some())
    }

    /// The customer with this id, ours or the source's, or that of another source as `kind:value`.
    pub async fn customer(&self, tenant: TenantId, id: &str) -> Result<Option<Customer>> {
        match self.customer_by_id(tenant, id).await? {
            Some(customer) => Ok(Some(customer)),
            None => self.customer_by_alias(tenant, id).await,
        }
    }

    async fn customer_by_id(&self, tenant: TenantId, id: &str) -> Result<Option<Customer>> {
        sql("SELECT id, external_id, name, email, phone, segment, account_id, attributes, opted_out_at, created_at FROM customer \
             WHERE tenant_id = ? AND erased_at IS NULL AND (id = ? OR external_id = ?) ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1")
        .bind(tenant.0)
        .bind(id)
        .bind(id)
        .bind(id)
        .one(&self.reader)
        .await
    }

    /// Notes that a customer does not want to be scored, or does again; holds from the next text on. Answers whether there is such a customer.
    pub async fn set_opted_out(&self, act: &Act<'_>, customer_id: &str, opted_out: bool) -> Result<bool> {
        let tx = self.begin().await?;
        let at = opted_out.then(|| self.now());
        // What is being recorded of theirs is recorded first; what comes later sees it.
        let before = sql("SELECT opted_out_at FROM customer WHERE tenant_id = ? AND id = ?")
            .bind(act.tenant.0)
            .bind(customer_id)
            .then(for_update(self.backend()))
            .value::<Option<DateTime<Utc>>>(&tx)
            .await?;
        let Some(before) = before else { return Ok(false) };
        // Said again, it holds since it was said first.
        if before.is_some() != opted_out {
            sql("UPDATE customer SET opted_out_at = ? WHERE tenant_id = ? AND id = ?")
                .bind(at)
                .bind(act.tenant.0)
                .bind(customer_id)
                .run(&tx)
                .await?;
            let change = json!({"before": {"opted_out": !opted_out}, "after": {"opted_out": opted_out}});
            audit::note(self, &tx, act, ("customer_opt_out", customer_id), &change).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}
