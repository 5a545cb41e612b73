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

/// What a known row has in a column afterwards: what is told, or else what stands there.
macro_rules! told {
    ($table:literal $column:literal) => {
        concat!("COALESCE(excluded.", $column, ", ", $table, ".", $column, ")")
    };
}

/// A [`Table`]: its name, its columns after the five that all have, and those that are filled in where the row is known.
macro_rules! table {
    ($table:literal, [$($column:literal),+], [$first:literal $(, $filled:literal)*]) => {
        Table {
            known: concat!("SELECT external_id, id FROM ", $table, " WHERE tenant_id = ? AND external_id IN ?"),
            upsert: concat!(
                "INSERT INTO ", $table, " (tenant_id, id, external_id, created_at, updated_at", $(", ", $column,)+
                ") VALUES ? ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, ",
                $first, " = ", told!($table $first),
                $(", ", $filled, " = ", told!($table $filled),)*
                " WHERE ", told!($table $first), " IS DISTINCT FROM ", $table, ".", $first,
                $(" OR ", told!($table $filled), " IS DISTINCT FROM ", $table, ".", $filled,)*
            ),
            columns: [$($column),+].len(),
            erasable: false,
        }
    };
}

pub(crate) const ACCOUNT: Table =
    table!("account", ["name", "plan", "value_cents"], ["name", "plan", "value_cents"]);

pub(crate) const TEAM: Table = table!("team", ["name"], ["name"]);

const AGENT: Table = table!("agent", ["name", "email", "team_id"], ["name", "email", "team_id"]);

/// [`AGENT`] without what decides who sees what.
const AGENT_ADDED: Table = table!("agent", ["name", "email", "team_id"], ["name", "email"]);

const CUSTOMER: Table = Table {
    erasable: true,
    ..table!(
        "customer",
        ["name", "email", "phone", "segment", "attributes", "account_id"],
        ["name", "email", "phone", "segment", "attributes", "account_id"]
    )
};

/// [`CUSTOMER`] without what decides who sees what.
const CUSTOMER_ADDED: Table = Table {
    erasable: true,
    ..table!(
        "customer",
        ["name", "email", "phone", "segment", "attributes", "account_id"],
        ["name", "email", "phone", "attributes"]
    )
};

/// Whose a known one is, is said by [`Store::give`](crate::Store), with what stands in it.
const CONVERSATION: Table = table!(
    "conversation",
    ["customer_id", "subject", "priority", "queue", "tags", "opened_at"],
    ["subject", "priority", "queue", "tags"]
);

/// [`CONVERSATION`] without its queue, by which figures of groups are published.
const CONVERSATION_ADDED: Table = table!(
    "conversation",
    ["customer_id", "subject", "priority", "queue", "tags", "opened_at"],
    ["subject", "priority", "tags"]
);

/// Conversations, and what of known ones is changed.
pub(crate) fn conversations(reach: Reach) -> &'static Table {
    match reach {
        Reach::Changes => &CONVERSATION,
        Reach::Additions => &CONVERSATION_ADDED,
    }
}

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
