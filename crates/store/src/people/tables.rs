//! The tables of customers, accounts, agents, teams and conversations: how rows are found, and what of known ones is filled in.

use crate::Reach;

/// A table whose rows are found by the id their source gave them.
pub(crate) struct Table {
    /// Ids of known ones.
    pub(super) known: &'static str,
    /// Inserts, or fills in what is told anew. A row that tells nothing new is not written.
    pub(super) upsert: &'static str,
    /// Columns after the five that all have.
    pub(super) columns: usize,
    /// Its rows may be erased: whoever mentions one holds it, so that nothing new comes to belong to it meanwhile.
    pub(super) erasable: bool,
}

pub(crate) const ACCOUNT: Table = Table {
    known: "SELECT external_id, id FROM account WHERE tenant_id = ? AND external_id IN ?",
    upsert: "INSERT INTO account (tenant_id, id, external_id, created_at, updated_at, name, plan, value_cents) VALUES ? \
             ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, \
             name = COALESCE(excluded.name, account.name), plan = COALESCE(excluded.plan, account.plan), \
             value_cents = COALESCE(excluded.value_cents, account.value_cents) \
             WHERE COALESCE(excluded.name, account.name) IS DISTINCT FROM account.name \
             OR COALESCE(excluded.plan, account.plan) IS DISTINCT FROM account.plan \
             OR COALESCE(excluded.value_cents, account.value_cents) IS DISTINCT FROM account.value_cents",
    columns: 3,
    erasable: false,
};

pub(crate) const TEAM: Table = Table {
    known: "SELECT external_id, id FROM team WHERE tenant_id = ? AND external_id IN ?",
    upsert: "INSERT INTO team (tenant_id, id, external_id, created_at, updated_at, name) VALUES ? \
             ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, \
             name = COALESCE(excluded.name, team.name) WHERE COALESCE(excluded.name, team.name) IS DISTINCT FROM team.name",
    columns: 1,
    erasable: false,
};

const AGENT: Table = Table {
    known: "SELECT external_id, id FROM agent WHERE tenant_id = ? AND external_id IN ?",
    upsert: "INSERT INTO agent (tenant_id, id, external_id, created_at, updated_at, name, email, team_id) VALUES ? \
             ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, \
             name = COALESCE(excluded.name, agent.name), email = COALESCE(excluded.email, agent.email), \
             team_id = COALESCE(excluded.team_id, agent.team_id) \
             WHERE COALESCE(excluded.name, agent.name) IS DISTINCT FROM agent.name \
             OR COALESCE(excluded.email, agent.email) IS DISTINCT FROM agent.email \
             OR COALESCE(excluded.team_id, agent.team_id) IS DISTINCT FROM agent.team_id",
    columns: 3,
    erasable: false,
};

const CUSTOMER: Table = Table {
    known: "SELECT external_id, id FROM customer WHERE tenant_id = ? AND external_id IN ?",
    upsert: "INSERT INTO customer (tenant_id, id, external_id, created_at, updated_at, name, email, phone, segment, attributes, account_id) \
             VALUES ? ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, \
             name = COALESCE(excluded.name, customer.name), email = COALESCE(excluded.email, customer.email), \
             phone = COALESCE(excluded.phone, customer.phone), segment = COALESCE(excluded.segment, customer.segment), \
             attributes = COALESCE(excluded.attributes, customer.attributes), account_id = COALESCE(excluded.account_id, customer.account_id) \
             WHERE COALESCE(excluded.name, customer.name) IS DISTINCT FROM customer.name \
             OR COALESCE(excluded.email, customer.email) IS DISTINCT FROM customer.email \
             OR COALESCE(excluded.phone, customer.phone) IS DISTINCT FROM customer.phone \
             OR COALESCE(excluded.segment, customer.segment) IS DISTINCT FROM customer.segment \
             OR COALESCE(excluded.attributes, customer.attributes) IS DISTINCT FROM customer.attributes \
             OR COALESCE(excluded.account_id, customer.account_id) IS DISTINCT FROM customer.account_id",
    columns: 6,
    erasable: true,
};

pub(crate) const CONVERSATION: Table = Table {
    known: "SELECT external_id, id FROM conversation WHERE tenant_id = ? AND external_id IN ?",
    upsert: "INSERT INTO conversation (tenant_id, id, external_id, created_at, updated_at, customer_id, subject, priority, queue, tags, opened_at) \
             VALUES ? ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, \
             customer_id = COALESCE(conversation.customer_id, excluded.customer_id), subject = COALESCE(excluded.subject, conversation.subject), \
             priority = COALESCE(excluded.priority, conversation.priority), queue = COALESCE(excluded.queue, conversation.queue), \
             tags = COALESCE(excluded.tags, conversation.tags) \
             WHERE COALESCE(conversation.customer_id, excluded.customer_id) IS DISTINCT FROM conversation.customer_id \
             OR COALESCE(excluded.subject, conversation.subject) IS DISTINCT FROM conversation.subject \
             OR COALESCE(excluded.priority, conversation.priority) IS DISTINCT FROM conversation.priority \
             OR COALESCE(excluded.queue, conversation.queue) IS DISTINCT FROM conversation.queue \
             OR COALESCE(excluded.tags, conversation.tags) IS DISTINCT FROM conversation.tags",
    columns: 6,
    erasable: false,
};

/// [`AGENT`] without what decides who sees what.
const AGENT_ADDED: Table = Table {
    upsert: "INSERT INTO agent (tenant_id, id, external_id, created_at, updated_at, name, email, team_id) VALUES ? \
             ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, \
             name = COALESCE(excluded.name, agent.name), email = COALESCE(excluded.email, agent.email) \
             WHERE COALESCE(excluded.name, agent.name) IS DISTINCT FROM agent.name \
             OR COALESCE(excluded.email, agent.email) IS DISTINCT FROM agent.email",
    ..AGENT
};

/// [`CUSTOMER`] without what decides who sees what.
const CUSTOMER_ADDED: Table = Table {
    upsert: "INSERT INTO customer (tenant_id, id, external_id, created_at, updated_at, name, email, phone, segment, attributes, account_id) \
             VALUES ? ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, \
             name = COALESCE(excluded.name, customer.name), email = COALESCE(excluded.email, customer.email), \
             phone = COALESCE(excluded.phone, customer.phone), attributes = COALESCE(excluded.attributes, customer.attributes) \
             WHERE COALESCE(excluded.name, customer.name) IS DISTINCT FROM customer.name \
             OR COALESCE(excluded.email, customer.email) IS DISTINCT FROM customer.email \
             OR COALESCE(excluded.phone, customer.phone) IS DISTINCT FROM customer.phone \
             OR COALESCE(excluded.attributes, customer.attributes) IS DISTINCT FROM customer.attributes",
    ..CUSTOMER
};

/// Agents, and what of known ones is changed.
pub(crate) fn agents(reach: Reach) -> &'static Table {
    match reach {
        Reach::Changes => &AGENT,
        Reach::Additions => &AGENT_ADDED,
    }
}

/// Customers, and what of known ones is changed.
pub(crate) fn customers(reach: Reach) -> &'static Table {
    match reach {
        Reach::Changes => &CUSTOMER,
        Reach::Additions => &CUSTOMER_ADDED,
    }
}
