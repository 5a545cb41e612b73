//! What SQLite is told of how full the tables are, so that it plans for tenants with many rows before there are any.
//!
//! Without statistics it takes a tenant's rows to be ten in every table, and rather reads all of them than look a few up by their keys or
//! sort what it found: the alerts of one interaction by reading every alert of the tenant. `ANALYZE` would count what is there, which is
//! nothing when the service is set up and says little of the next tenant. So what is written are guesses, the same in every database, and
//! plans are the same wherever the tests passed. PostgreSQL counts by itself.

use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};

use crate::Result;
use crate::statement::{pieces, sql};

/// Rows of a table, of all tenants.
const ROWS: i64 = 1_000_000;
/// Of a table that has a row for each thing people set up or switch on.
const FEW_ROWS: i64 = 1000;
/// An index that holds only some, such as what waits or was corrected, has one in so many of its table's rows.
const SOME: i64 = 100;
/// Tenants that share them.
const TENANTS: i64 = 10;
/// Values that a word has, or parents that a tenant's rows have.
const WORDS: i64 = 5;
/// Rows of one tenant with the same value in any other column.
const ALIKE: i64 = 10;
/// The same where the value may be missing: it is missing in many.
const MISSING: i64 = 100;

/// Tables with few rows.
const SMALL: [&str; 11] = [
    "app_user",
    "backfill_run",
    "destination",
    "incident",
    "lesson",
    "message_batch",
    "module_period",
    "provider_key",
    "surge",
    "team",
    "user_team",
];

/// Columns that have few values: words, and parents with many children.
const FEW_VALUES: [&str; 17] = [
    "action",
    "actor",
    "agent_id",
    "category",
    "channel",
    "counter",
    "destination_id",
    "given",
    "kind",
    "language",
    "minutes",
    "run_id",
    "score_state",
    "source",
    "state",
    "team_id",
    "user_id",
];

/// A column of an index.
#[derive(FromQueryResult)]
struct Column {
    in_table: String,
    in_index: String,
    is_unique: bool,
    is_partial: bool,
    /// None for an expression.
    name: Option<String>,
    may_be_missing: bool,
}

/// Writes the guesses for every index that begins with the tenant, in place of all that was there.
pub(crate) async fn write(tx: &DatabaseTransaction) -> Result<()> {
    // Dropped and made anew, so that every connection reads them again. What `ANALYZE` saw of values goes as well: it holds addresses.
    for table in ["sqlite_stat1", "sqlite_stat4"] {
        tx.execute_unprepared(&format!("DROP TABLE IF EXISTS {table}")).await?;
    }
    tx.execute_unprepared("ANALYZE sqlite_schema").await?;
    let columns = columns(tx).await?;
    let indexes = columns.chunk_by(|a, b| a.in_index == b.in_index);
    let rows: Vec<[Value; 3]> = indexes
        .filter(|columns| columns[0].name.as_deref() == Some("tenant_id"))
        .map(|columns| {
            let (table, index) = (columns[0].in_table.as_str(), columns[0].in_index.as_str());
            [table.into(), index.into(), guess(columns).into()]
        })
        .collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ?").rows(piece.iter().cloned()).run(tx).await?;
    }
    // This connection reads them only when told to.
    tx.execute_unprepared("ANALYZE sqlite_schema").await?;
    Ok(())
}

/// The columns of all indexes, index by index and in their order.
async fn columns(on: &impl ConnectionTrait) -> Result<Vec<Column>> {
    sql("SELECT m.name AS in_table, l.name AS in_index, l.\"unique\" AS is_unique, l.partial AS is_partial, i.name, \
         COALESCE(t.\"notnull\", 1) = 0 AS may_be_missing FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) i \
         LEFT JOIN pragma_table_info(m.name) t ON t.name = i.name WHERE m.type = 'table' ORDER BY l.name, i.seqno")
    .all::<Column>(on)
    .await
}

/// The rows of the index, and then those alike in its first column, in its first two, and so on.
fn guess(columns: &[Column]) -> String {
    let first = &columns[0];
    let rows = if SMALL.contains(&first.in_table.as_str()) { FEW_ROWS } else { ROWS };
    let all = if first.is_partial { rows / SOME } else { rows };
    let mut alike = vec![all, all / TENANTS];
    for column in &columns[1..] {
        let before = alike[alike.len() - 1];
        let is_word = column.name.as_deref().is_some_and(|name| FEW_VALUES.contains(&name));
        alike.push(match (is_word, column.may_be_missing && !first.is_partial) {
            (true, _) => (before / WORDS).max(ALIKE.min(before)),
            (false, true) => before.min(MISSING),
            (false, false) => before.min(ALIKE),
        });
    }
    if first.is_unique {
        *alike.last_mut().unwrap_or(&mut 0) = 1;
    }
    alike.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use undertone_core::clock::{CountedIds, SetClock};

    use super::*;
    use crate::lessons::CORRECTED;
    use crate::{Options, Store};

    #[tokio::test]
    async fn what_a_tenant_has_much_of_is_looked_up_by_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/undertone.db", folder.path().display());
        let options = Options { url, connections: 2 };
        let clock = Arc::new(SetClock::new(DateTime::UNIX_EPOCH));
        let store = Store::open(&options, clock, Arc::new(CountedIds::default())).await.unwrap();
        // This connection is open before they are written.
        sql("SELECT 1 AS one").value::<i64>(&store.reader).await.unwrap();
        store.migrate().await.unwrap();
        let known = columns(&store.reader).await.unwrap();
        for name in FEW_VALUES {
            assert!(known.iter().any(|column| column.name.as_deref() == Some(name)), "no index has {name}");
        }
        for name in SMALL {
            assert!(known.iter().any(|column| column.in_table == name), "no index is of {name}");
        }
        let many = ["'a'"; 128].join(", ");
        let again = format!(
            "SELECT id FROM interaction WHERE tenant_id = 1 AND source IN ('a', 'b') AND external_id IN ({many})"
        );
        let given = format!(
            "UPDATE alert SET customer_id = '' WHERE tenant_id = 1 AND interaction_id IN ({many}) AND COALESCE(customer_id, '') = ''"
        );
        for (statement, index) in [
            (
                again.leak() as &'static str,
                "interaction_external (tenant_id=? AND source=? AND external_id=?)",
            ),
            (
                "SELECT id FROM interaction WHERE tenant_id = 1 AND source IN ('a') AND external_id IN ('a', 'b')",
                "interaction_external (tenant_id=? AND source=? AND external_id=?)",
            ),
            (given.leak(), "alert_interaction"),
            (CORRECTED, "interaction_sentiment_corrected"),
            (
                "SELECT id FROM alert WHERE tenant_id = 1 AND interaction_id = 'a' ORDER BY id",
                "alert_interaction",
            ),
            (
                "SELECT id FROM alert WHERE tenant_id = 1 AND interaction_id IN ('a', 'b', 'c') ORDER BY id",
                "alert_interaction",
            ),
            (
                "SELECT value FROM customer_alias WHERE tenant_id = 1 AND customer_id = 'c' ORDER BY kind, value",
                "customer_alias_customer",
            ),
            (
                "SELECT id FROM customer WHERE tenant_id = 1 AND email IS NOT NULL AND lower(email) IN ('a', 'b') ORDER BY 1",
                "customer_email",
            ),
            (
                "UPDATE interaction SET reason = '' WHERE tenant_id = 1 AND lease_owner = 'o' AND score_state = 'pending' AND (id, attempts) IN (VALUES ('a', 1), ('b', 1))",
                "sqlite_autoindex_interaction_1 (tenant_id=? AND id=?)",
            ),
            (
                "SELECT position FROM inbox_item WHERE tenant_id = 1 AND user_id = 'u' AND position < 9 AND read_at IS NULL ORDER BY position DESC LIMIT 5",
                "inbox_unread",
            ),
            (
                "SELECT position FROM mail WHERE tenant_id = 1 AND user_id = 'u' AND state = 'pending' AND next_at <= '' ORDER BY position LIMIT 5",
                "mail_pending",
            ),
            (
                "SELECT id FROM delivery WHERE tenant_id = 1 AND destination_id = 'd' AND created_at >= 'a' AND created_at < 'b' ORDER BY created_at, id LIMIT 5",
                "delivery_made",
            ),
            (
                "SELECT i.run_id FROM backfill_run r JOIN backfill_item i ON i.tenant_id = r.tenant_id AND i.run_id = r.id WHERE r.tenant_id = 1 AND r.ended_at < '' LIMIT 5",
                "backfill_run_ended",
            ),
        ] {
            for on in [&store.writer, &store.reader] {
                let plan = sql(statement).plan(on).await;
                assert!(plan.contains(index), "{statement}: {plan}");
            }
        }
    }
}
