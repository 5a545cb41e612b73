//! Reading the log: by who, what, on what and when.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use super::{COLUMNS, Entry};
use crate::statement::{Sql, sql};
use crate::{Result, Store, TenantId};

/// Which entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Only what they did.
    pub actor: Option<&'a str>,
    /// Only what is called that.
    pub action: Option<&'a str>,
    /// Only what was done to that.
    pub subject: Option<&'a str>,
    /// Only from this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Only before this moment.
    pub until: Option<DateTime<Utc>>,
}

impl Filter<'_> {
    fn narrow(&self, mut query: Sql) -> Sql {
        for (column, value) in [
            (" AND actor = ?", self.actor),
            (" AND action = ?", self.action),
            (" AND subject = ?", self.subject),
        ] {
            if let Some(value) = value {
                query = query.then(column).bind(value);
            }
        }
        if let Some(since) = self.since {
            query = query.then(" AND at >= ?").bind(since);
        }
        if let Some(until) = self.until {
            query = query.then(" AND at < ?").bind(until);
        }
        query
    }
}

impl Store {
    /// Entries, the latest first; those before the one of this moment and id, where that is given.
    pub async fn audit(
        &self,
        tenant: TenantId,
        filter: &Filter<'_>,
        before: Option<(DateTime<Utc>, &str)>,
        limit: u16,
    ) -> Result<Vec<Entry>> {
        let mut query = filter.narrow(sql(COLUMNS).bind(tenant.0));
        if let Some((at, id)) = before {
            query = query.then(" AND (at, id) < (?, ?)").bind(at).bind(id);
        }
        query.then(" ORDER BY at DESC, id DESC LIMIT ?").bind(i64::from(limit)).all(&self.reader).await
    }

    /// Entries in the order of the chain, after the one that was answered last; those that are not sealed yet come at the end.
    pub async fn audit_in_order(
        &self,
        tenant: TenantId,
        filter: &Filter<'_>,
        after: Option<&Entry>,
        limit: u16,
    ) -> Result<Vec<Entry>> {
        let limit = i64::from(limit);
        let unsealed = after.filter(|entry| entry.seq.is_none());
        let mut entries = Vec::new();
        if unsealed.is_none() {
            entries = filter
                .narrow(sql(COLUMNS).bind(tenant.0))
                .then(" AND seq > ? ORDER BY seq LIMIT ?")
                .bind(after.and_then(|entry| entry.seq).unwrap_or_default())
                .bind(limit)
                .all(&self.reader)
                .await?;
        }
        if entries.is_empty() {
            entries = filter
                .narrow(sql(COLUMNS).bind(tenant.0))
                .then(" AND seq IS NULL AND id > ? ORDER BY id LIMIT ?")
                .bind(unsealed.map(|entry| entry.id.as_str()).unwrap_or_default())
                .bind(limit)
                .all(&self.reader)
                .await?;
        }
        Ok(entries)
    }

    /// What the people and keys of these entries are called now: e-mail addresses and names of keys, by what the log calls them.
    pub async fn actors(&self, tenant: TenantId, entries: &[Entry]) -> Result<BTreeMap<String, String>> {
        #[derive(FromQueryResult)]
        struct Row {
            actor: String,
            name: String,
        }
        let ids = |kind: &str| -> Vec<String> {
            let mut ids: Vec<String> = entries
                .iter()
                .filter_map(|entry| entry.actor.strip_prefix(kind))
                .map(str::to_owned)
                .collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let mut names = BTreeMap::new();
        for (statement, kind) in [
            (
                "SELECT 'user:' || id AS actor, email AS name FROM app_user WHERE tenant_id = ? AND id IN ?",
                "user:",
            ),
            ("SELECT 'key:' || id AS actor, name FROM api_key WHERE tenant_id = ? AND id IN ?", "key:"),
        ] {
            let ids = ids(kind);
            if !ids.is_empty() {
                let rows = sql(statement).bind(tenant.0).list(ids).all::<Row>(&self.reader).await?;
                names.extend(rows.into_iter().map(|row| (row.actor, row.name)));
            }
        }
        Ok(names)
    }
}
