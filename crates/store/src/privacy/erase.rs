//! Erasure: a customer loses their name at once, and everything they left behind goes in slices, each in a transaction of its own, until there
//! is nothing but the receipt. Whoever does the slices may end between any two: the next one goes on where they were.

mod slices;
mod whom;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::tombstone::Key;
use super::{Removed, digits_of_number};
use crate::audit::{self, Act};
use crate::rows::as_word;
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

use whom::named;
pub use whom::{How, Whom};

/// An erasure: under way, or the receipt of one that is done. It holds nothing by which the customer could be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// Its id.
    pub id: String,
    /// Our id of the customer.
    pub customer_id: String,
    /// How they were named: `id`, `email`, `phone` or `replay`.
    pub asked_by: String,
    /// Who had it done.
    pub actor: String,
    /// When. From then on the customer can not be found any more, and nothing of theirs is scored.
    pub asked_at: DateTime<Utc>,
    /// What is being removed: `interactions`, `conversations`, `person`, `audit`; or `done`.
    pub stage: String,
    /// What was removed so far.
    pub removed: Removed,
    /// When everything was.
    pub done_at: Option<DateTime<Utc>>,
    /// When the database's file was written anew without it; only where the database is SQLite.
    pub scrubbed_at: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    customer_id: String,
    asked_by: String,
    actor: String,
    asked_at: DateTime<Utc>,
    stage: String,
    removed: Json,
    done_at: Option<DateTime<Utc>>,
    scrubbed_at: Option<DateTime<Utc>>,
}

impl From<Row> for Erasure {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            customer_id: row.customer_id,
            asked_by: row.asked_by,
            actor: row.actor,
            asked_at: row.asked_at,
            stage: row.stage,
            removed: Removed::read(row.removed),
            done_at: row.done_at,
            scrubbed_at: row.scrubbed_at,
        }
    }
}

const ERASURE: &str = "SELECT id, customer_id, asked_by, actor, asked_at, stage, removed, done_at, scrubbed_at FROM erasure WHERE tenant_id = ?";

/// What a customer is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identifiers {
    pub(super) external_id: String,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    /// Kind and value.
    #[serde(default)]
    pub(super) aliases: Vec<(String, String)>,
}

#[derive(FromQueryResult)]
struct Known {
    id: String,
    created_at: DateTime<Utc>,
    external_id: String,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

#[derive(FromQueryResult)]
struct Alias {
    customer_id: String,
    kind: String,
    value: String,
}

impl Identifiers {
    /// Those of customers who were not erased, after the customer `after`: our id, since when they are known, by what.
    pub(super) async fn page(
        tx: &DatabaseTransaction,
        tenant: TenantId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(String, DateTime<Utc>, Self)>> {
        let rows: Vec<Known> = sql("SELECT id, created_at, external_id, name, email, phone FROM customer WHERE tenant_id = ? AND id > ? \
             AND erased_at IS NULL ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(after)
            .bind(limit)
            .all(tx)
            .await?;
        let aliases: Vec<Alias> = sql(
            "SELECT customer_id, kind, value FROM customer_alias WHERE tenant_id = ? AND customer_id IN ?",
        )
        .bind(tenant.0)
        .list(rows.iter().map(|row| row.id.as_str()))
        .all(tx)
        .await?;
        let of = |row: Known| {
            let own = aliases.iter().filter(|alias| alias.customer_id == row.id);
            let aliases = own.map(|alias| (alias.kind.clone(), alias.value.clone())).collect();
            let Known { id, created_at, external_id, name, email, phone } = row;
            (id, created_at, Self { external_id, name, email, phone, aliases })
        };
        Ok(rows.into_iter().map(of).collect())
    }

    /// A JSON text tells of them: a string in it is one of them, or holds their address, their number or their name in full.
    fn are_told_in(&self, json: &Json, key: &str) -> bool {
        match json {
            Json::String(text) => self.are_told_by(text, key),
            Json::Array(items) => items.iter().any(|item| self.are_told_in(item, key)),
            Json::Object(fields) => {
                fields.iter().any(|(key, value)| self.are_told_by(key, "") || self.are_told_in(value, key))
            }
            _ => false,
        }
    }

    fn are_told_by(&self, text: &str, key: &str) -> bool {
        // A short id, such as 5, says nothing unless it stands where a customer is named.
        const TELLING: usize = 4;
        let text = text.trim().to_lowercase();
        let phones =
            self.phone.iter().chain(self.aliases.iter().filter(|(kind, _)| kind == "phone").map(|(_, v)| v));
        if phones.filter_map(|phone| digits_of_number(phone)).any(|digits| has_number(&text, &digits)) {
            return true;
        }
        if self.name.as_ref().is_some_and(|name| has_name(&text, &name.trim().to_lowercase())) {
            return true;
        }
        let aliases = self.aliases.iter().map(|(_, value)| value);
        let known = [Some(&self.external_id), self.name.as_ref(), self.email.as_ref(), self.phone.as_ref()];
        known.into_iter().flatten().chain(aliases).any(|known| {
            let known = known.trim().to_lowercase();
            let is_same =
                text == known && !known.is_empty() && (known.len() >= TELLING || key.contains("customer"));
            is_same || (known.contains('@') && known.len() > TELLING && text.contains(&known))
        })
    }
}

/// A number with these digits is in the text, however they are grouped.
fn has_number(text: &str, digits: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit() && !" +-()/.".contains(c)).any(|run| {
        run.len() >= digits.len()
            && run.chars().filter(char::is_ascii_digit).collect::<String>().contains(digits)
    })
}

/// The name is in the text, not as a part of longer words. One word alone is too often something else.
fn has_name(text: &str, name: &str) -> bool {
    name.split_whitespace().nth(1).is_some()
        && text.match_indices(name).any(|(at, found)| {
            let (before, after) = (text.get(..at), text.get(at + found.len()..));
            !before.is_some_and(|before| before.ends_with(char::is_alphanumeric))
                && !after.is_some_and(|after| after.starts_with(char::is_alphanumeric))
        })
}

impl Store {
    /// Begins to erase whom `whom` names, all or none. They lose everything they are known by at once; the rest goes by
    /// [`Store::continue_erasure`]. Nobody is found: no erasure. One who is being erased already: that erasure.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for a customer under legal hold.
    pub async fn erase(&self, act: &Act<'_>, whom: &Whom<'_>) -> Result<Vec<Erasure>> {
        let tx = self.begin().await?;
        let mut erasures = Vec::new();
        for id in named(&tx, act.tenant, whom).await? {
            erasures.extend(self.begin_erasure(&tx, act, &id, whom.how()).await?);
        }
        if let (Whom::Id(id), []) = (whom, erasures.as_slice()) {
            let known = sql(ERASURE).bind(act.tenant.0).then(" AND customer_id = ?").bind(*id);
            erasures.extend(known.one::<Row>(&tx).await?.map(Erasure::from));
        }
        tx.commit().await?;
        Ok(erasures)
    }

    /// Begins to erase one customer, by our id; `None` where somebody else did.
    pub(super) async fn begin_erasure(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        customer: &str,
        how: How,
    ) -> Result<Option<Erasure>> {
        let (tenant, at, id) = (act.tenant, self.now(), self.new_id(self.now()));
        // Whoever is taking in something of theirs holds the row; whoever comes later does not find it.
        let known = sql("SELECT id, created_at, external_id, name, email, phone FROM customer WHERE tenant_id = ? AND id = ? \
             AND erased_at IS NULL")
        .bind(tenant.0)
        .bind(customer)
        .then(for_update(self.backend()))
        .one::<Known>(tx)
        .await?;
        let Some(Known { external_id, name, email, phone, .. }) = known else { return Ok(None) };
        let held = sql("SELECT customer_id FROM legal_hold WHERE tenant_id = ? AND customer_id = ?")
            .bind(tenant.0)
            .bind(customer)
            .value::<String>(tx)
            .await?;
        if held.is_some() {
            return Err(StoreError::Conflict(format!(
                "customer {customer} is under legal hold, so nothing of theirs may be removed; lift the hold first"
            )));
        }
        let aliases: Vec<Alias> =
            sql("SELECT customer_id, kind, value FROM customer_alias WHERE tenant_id = ? AND customer_id = ? ORDER BY kind, value")
                .bind(tenant.0)
                .bind(customer)
                .all(tx)
                .await?;
        let aliases: Vec<(String, String)> = aliases.into_iter().map(|a| (a.kind, a.value)).collect();
        let mut removed = Removed::default();
        removed.count("aliases", aliases.len() as u64);
        let identifiers = Identifiers { external_id, name, email, phone, aliases };

        let digests = Key::of(tx, tenant).await?.digests(&identifiers);
        sql("INSERT INTO erasure (tenant_id, id, customer_id, asked_by, actor, asked_at, stage, cursor, identifiers, removed) VALUES ?")
            .rows([[
                tenant.0.into(),
                id.as_str().into(),
                customer.into(),
                as_word(&how).into(),
                act.actor.into(),
                at.into(),
                "interactions".into(),
                "".into(),
                json!(identifiers).into(),
                json!(removed).into(),
            ]])
            .run(tx)
            .await?;
        sql("INSERT INTO tombstone (tenant_id, erasure_id, digest) VALUES ?")
            .rows(digests.into_iter().map(|digest| [tenant.0.into(), id.as_str().into(), digest.into()]))
            .run(tx)
            .await?;
        sql("UPDATE customer SET erased_at = ?, updated_at = ?, external_id = ?, name = NULL, email = NULL, phone = NULL, segment = NULL, \
             attributes = NULL, account_id = NULL WHERE tenant_id = ? AND id = ?")
            .bind(at)
            .bind(at)
            .bind(format!("erased:{id}"))
            .bind(tenant.0)
            .bind(customer)
            .run(tx)
            .await?;
        sql("DELETE FROM customer_alias WHERE tenant_id = ? AND customer_id = ?")
            .bind(tenant.0)
            .bind(customer)
            .run(tx)
            .await?;
        let payload = json!({"erasure": id, "asked_by": how});
        audit::note(self, tx, act, ("customer_erasure_asked", customer), &payload).await?;
        let row = sql(ERASURE).bind(tenant.0).then(" AND id = ?").bind(&id).one::<Row>(tx).await?;
        Ok(row.map(Erasure::from))
    }

    /// An erasure.
    pub async fn erasure(&self, tenant: TenantId, id: &str) -> Result<Option<Erasure>> {
        let row = sql(ERASURE).bind(tenant.0).then(" AND id = ?").bind(id).one::<Row>(&self.reader).await?;
        Ok(row.map(Erasure::from))
    }

    /// Erasures, the latest first; those before `before`.
    pub async fn erasures(&self, tenant: TenantId, before: Option<&str>, limit: i64) -> Result<Vec<Erasure>> {
        let mut query = sql(ERASURE).bind(tenant.0);
        if let Some(before) = before {
            query = query.then(" AND id < ?").bind(before);
        }
        let rows = query.then(" ORDER BY id DESC LIMIT ?").bind(limit).all::<Row>(&self.reader).await?;
        Ok(rows.into_iter().map(Erasure::from).collect())
    }

    /// The erasures that are not done, of all tenants, at most a hundred.
    pub async fn open_erasures(&self) -> Result<Vec<(TenantId, String)>> {
        #[derive(FromQueryResult)]
        struct Open {
            tenant_id: i64,
            id: String,
        }
        let open: Vec<Open> =
            sql("SELECT tenant_id, id FROM erasure WHERE done_at IS NULL ORDER BY tenant_id, id LIMIT 100")
                .all(&self.reader)
                .await?;
        Ok(open.into_iter().map(|row| (TenantId(row.tenant_id), row.id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_payload_tells_of_a_customer_by_whole_values_and_addresses() {
        let ana = Identifiers {
            external_id: "5".to_owned(),
            name: Some("Ana Lopez".to_owned()),
            email: Some("ana@example.com".to_owned()),
            phone: Some("+49 (170) 555-01".to_owned()),
            aliases: vec![("zendesk".to_owned(), "requester-77".to_owned())],
        };
        let told = |json: Json| ana.are_told_in(&json, "");
        assert!(told(json!({"before": {"name": "ana lopez"}})));
        assert!(told(json!({"note": "wrote to Ana@example.com twice"})));
        assert!(told(json!(["x", {"requester-77": 1}])));
        assert!(told(json!({"customer": "5"})));
        assert!(told(json!({"note": "rang (Ana Lopez) back"})));
        assert!(told(json!({"note": "rang 0049 170/55501 at 10.30"})));
        for other in ["Mariana Lopez", "Ana Lopezosa", "rang 0170 55502", "order 4917 and 055501"] {
            assert!(!told(json!({"note": other})), "{other}");
        }
        assert!(!told(json!({"score": "5", "name": "Ana", "many": 5, "none": null})));
    }
}
