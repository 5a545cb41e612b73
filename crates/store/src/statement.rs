//! SQL with values. The text says `?` where a value goes; PostgreSQL gets `$1`, `$2` …

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement, Value};

use crate::{Result, TenantId};

/// A statement whose values are given in the order of its `?`.
pub(crate) struct Sql {
    rest: &'static str,
    text: String,
    values: Vec<Value>,
}

/// Starts a statement.
pub(crate) fn sql(text: &'static str) -> Sql {
    Sql { rest: text, text: String::with_capacity(text.len() + 64), values: Vec::new() }
}

impl Sql {
    /// Copies up to the next `?` and leaves it out.
    fn advance(&mut self) {
        let (before, after) = self.rest.split_once('?').unwrap_or((self.rest, ""));
        self.text.push_str(before);
        self.rest = after;
    }

    fn place(&mut self, value: Value) {
        self.values.push(value);
        self.text.push('?');
    }

    /// The next `?` is `value`.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.advance();
        self.place(value.into());
        self
    }

    /// The next `?` is the list `(a, b, c)`; an empty one is `(NULL)`, which nothing is in.
    pub(crate) fn list<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.advance();
        self.text.push('(');
        self.tuple(values.into_iter().map(Into::into));
        if self.text.ends_with('(') {
            self.text.push_str("NULL");
        }
        self.text.push(')');
        self
    }

    /// The next `?` is the rows `(a, b), (c, d)`. There must be one.
    pub(crate) fn rows<R: IntoIterator<Item = Value>>(mut self, rows: impl IntoIterator<Item = R>) -> Self {
        self.advance();
        for (i, row) in rows.into_iter().enumerate() {
            self.text.push_str(if i == 0 { "(" } else { ", (" });
            self.tuple(row);
            self.text.push(')');
        }
        self
    }

    fn tuple(&mut self, values: impl IntoIterator<Item = Value>) {
        for (i, value) in values.into_iter().enumerate() {
            if i > 0 {
                self.text.push_str(", ");
            }
            self.place(value);
        }
    }

    /// More of the statement.
    pub(crate) fn then(mut self, text: &'static str) -> Self {
        self.text.push_str(self.rest);
        self.rest = text;
        self
    }

    fn finish(mut self, backend: DbBackend) -> Statement {
        self.text.push_str(self.rest);
        // SQLite keeps `?` as it is: it looks for the name of each numbered place among all of them, which for a hundred rows costs more
        // than writing them.
        let text = if backend == DbBackend::Postgres { numbered(&self.text) } else { self.text };
        Statement::from_sql_and_values(backend, text, self.values)
    }

    /// Runs it; answers how many rows changed.
    pub(crate) async fn run(self, on: &impl ConnectionTrait) -> Result<u64> {
        Ok(on.execute_raw(self.finish(on.get_database_backend())).await?.rows_affected())
    }

    /// How the database would run it, in its words.
    #[cfg(test)]
    pub(crate) async fn plan(mut self, on: &impl ConnectionTrait) -> String {
        #[derive(FromQueryResult)]
        struct Step {
            detail: String,
        }
        if on.get_database_backend() == DbBackend::Postgres {
            self.text.insert_str(0, "EXPLAIN ");
            return self.column::<String>(on).await.unwrap().join(" ");
        }
        self.text.insert_str(0, "EXPLAIN QUERY PLAN ");
        let steps = self.all::<Step>(on).await.unwrap();
        steps.into_iter().map(|step| step.detail + " ").collect()
    }

    /// Every row.
    pub(crate) async fn all<R: FromQueryResult>(self, on: &impl ConnectionTrait) -> Result<Vec<R>> {
        let rows: Vec<QueryResult> = on.query_all_raw(self.finish(on.get_database_backend())).await?;
        Ok(rows.iter().map(|row| R::from_query_result(row, "")).collect::<std::result::Result<_, _>>()?)
    }

    /// The first row, if there is one.
    pub(crate) async fn one<R: FromQueryResult>(self, on: &impl ConnectionTrait) -> Result<Option<R>> {
        let row = on.query_one_raw(self.finish(on.get_database_backend())).await?;
        Ok(row.map(|row| R::from_query_result(&row, "")).transpose()?)
    }

    /// The first column of every row.
    pub(crate) async fn column<V: sea_orm::TryGetable>(self, on: &impl ConnectionTrait) -> Result<Vec<V>> {
        let rows = on.query_all_raw(self.finish(on.get_database_backend())).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<std::result::Result<_, _>>()?)
    }

    /// The first column of every row, which holds tenants' ids.
    pub(crate) async fn tenants(self, on: &impl ConnectionTrait) -> Result<Vec<TenantId>> {
        Ok(self.column(on).await?.into_iter().map(TenantId).collect())
    }

    /// The first column of the first row, if there is one.
    pub(crate) async fn value<V: sea_orm::TryGetable>(self, on: &impl ConnectionTrait) -> Result<Option<V>> {
        let row = on.query_one_raw(self.finish(on.get_database_backend())).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }
}

/// `text` with its places numbered from 1.
fn numbered(text: &str) -> String {
    let mut numbered = String::with_capacity(2 * text.len());
    for (number, part) in text.split('?').enumerate() {
        if number > 0 {
            numbered.push('$');
            numbered.push_str(&number.to_string());
        }
        numbered.push_str(part);
    }
    numbered
}

/// `items` in pieces whose sizes are powers of two, at most 128: so few different statements come of it that the database keeps them
/// prepared.
pub(crate) fn pieces<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if items.is_empty() {
            return None;
        }
        let size = (1 << items.len().ilog2()).min(128);
        let (piece, rest) = items.split_at(size);
        items = rest;
        Some(piece)
    })
}

/// `FOR UPDATE SKIP LOCKED` where several may write; SQLite has one writer and no such words.
pub(crate) fn skip_locked(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" }
}

/// `FOR UPDATE` where several may write.
pub(crate) fn for_update(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { " FOR UPDATE" } else { "" }
}

/// `FOR SHARE` where several may write: the row stays as it is until the transaction ends.
pub(crate) fn for_share(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { " FOR SHARE" } else { "" }
}

/// `FOR KEY SHARE` where several may write: the row stays and keeps its keys until the transaction ends, and others may still fill it in.
/// Whoever takes it [`for_update`] waits.
pub(crate) fn for_key_share(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { " FOR KEY SHARE" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_text() {
        let statement = sql("SELECT a FROM t WHERE b = ? AND c IN ?")
            .bind(1_i64)
            .list([2_i64, 3])
            .then(" AND d = ?")
            .bind("x")
            .finish(DbBackend::Postgres);
        assert_eq!(statement.sql, "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3) AND d = $4");
        let none = sql("SELECT a FROM t WHERE c IN ?").list(Vec::<i64>::new()).finish(DbBackend::Sqlite);
        assert_eq!(none.sql, "SELECT a FROM t WHERE c IN (NULL)");
        let rows = sql("INSERT INTO t (a, b) VALUES ? RETURNING a")
            .rows([[1_i64.into(), 2_i64.into()], [3_i64.into(), 4_i64.into()]])
            .finish(DbBackend::Sqlite);
        assert_eq!(rows.sql, "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) RETURNING a");
    }

    #[test]
    fn pieces_are_everything_in_order() {
        for length in 0..700 {
            let items: Vec<usize> = (0..length).collect();
            assert_eq!(pieces(&items).flatten().copied().collect::<Vec<_>>(), items);
            assert!(pieces(&items).all(|piece| piece.len().is_power_of_two() && piece.len() <= 128));
        }
    }
}
