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

/// What a known row has in a column afterwards: what is `told` before what stands there, or the other way round.
macro_rules! either {
    (told $table:literal $column:literal) => {
        concat!("COALESCE(excluded.", $column, ", ", $table, ".", $column, ")")
    };
    (kept $table:literal $column:literal) => {
        concat!("COALESCE(", $table, ".", $column, ", excluded.", $column, ")")
    };
}

/// A [`Table`]: its name, its columns after the five that all have, and those that are filled in where the row is known.
macro_rules! table {
    ($table:literal, [$($column:literal),+], [$first_is:ident $first:literal $(, $is:ident $filled:literal)*]) => {
        Table {
            known: concat!("SELECT external_id, id FROM ", $table, " WHERE tenant_id = ? AND external_id IN ?"),
            upsert: concat!(
                "INSERT INTO ", $table, " (tenant_id, id, external_id, created_at, updated_at", $(", ", $column,)+
                ") VALUES ? ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = excluded.updated_at, ",
                $first, " = ", either!($first_is $table $first),
                $(", ", $filled, " = ", either!($is $table $filled),)*
                " WHERE ", either!($first_is $table $first), " IS DISTINCT FROM ", $table, ".", $first,
                $(" OR ", either!($is $table $filled), " IS DISTINCT FROM ", $table, ".", $filled,)*
            ),
            columns: [$($column),+].len(),
            erasable: false,
        }
    };
}

pub(crate) const ACCOUNT: Table =
    table!("account", ["name", "plan", "value_cents"], [told "name", told "plan", told "value_cents"]);

pub(crate) const TEAM: Table = table!("team", ["name"], [told "name"]);

const AGENT: Table =
    table!("agent", ["name", "email", "team_id"], [told "name", told "email", told "team_id"]);

/// [`AGENT`] without what decides who sees what.
const AGENT_ADDED: Table = table!("agent", ["name", "email", "team_id"], [told "name", told "email"]);

const CUSTOMER: Table = Table {
    erasable: true,
    ..table!(
        "customer",
        ["name", "email", "phone", "segment", "attributes", "account_id"],
        [told "name", told "email", told "phone", told "segment", told "attributes", told "account_id"]
    )
};

/// [`CUSTOMER`] without what decides who sees what.
const CUSTOMER_ADDED: Table = Table {
    erasable: true,
    ..table!(
        "customer",
        ["name", "email", "phone", "segment", "attributes", "account_id"],
        [told "name", told "email", told "phone", told "attributes"]
    )
};

pub(crate) const CONVERSATION: Table = table!(
    "conversation",
    ["customer_id", "subject", "priority", "queue", "tags", "opened_at"],
    [kept "customer_id", told "subject", told "priority", told "queue", told "tags"]
);

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
