//! What else customers go by: further addresses and numbers, and ids of other sources. Each belongs to one customer.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use undertone_core::arrival::Alias;

use super::{Customer, Ids};
use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId};

/// An alias as it is kept, kind and value: addresses and numbers in one spelling, so that one that is taken is found to be.
type Kept = (String, String);

fn kept(alias: &Alias) -> Kept {
    let value = match alias.kind.as_str() {
        "email" => alias.value.trim().to_ascii_lowercase(),
        "phone" => number(&alias.value),
        _ => alias.value.trim().to_owned(),
    };
    (alias.kind.clone(), value)
}

/// A phone number in the spelling in which aliases are kept: digits only, and `+` where it begins with the `00` that stands for it.
pub(crate) fn number(phone: &str) -> String {
    let digits = crate::privacy::tombstone::digits(phone);
    match digits.strip_prefix("00") {
        Some(bare) if !bare.is_empty() => format!("+{bare}"),
        _ => digits,
    }
}

/// The same number in all spellings in which it may have been kept, that of [`number`] first: `+` and `00` were told apart once.
pub(crate) fn spellings(phone: &str) -> Vec<String> {
    let kept = number(phone);
    let before = kept.strip_prefix('+').map(|bare| format!("00{bare}"));
    std::iter::once(kept.clone()).chain(before).collect()
}

/// Why an alias is refused.
pub(crate) fn taken(alias: &Alias) -> String {
    let kind = &alias.kind;
    format!(
        "another customer goes by this alias of the kind {kind}; take it from them first, or tell of that customer"
    )
}

/// A customer by the source's id, and what else they go by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) customer: &'a str,
    pub(crate) aliases: &'a [Alias],
    /// That is all of it: what they went by before and is not told ends. Otherwise it is added.
    pub(crate) replaces: bool,
}

/// How many aliases of each kind came and went.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Change {
    pub(crate) added: BTreeMap<String, u64>,
    pub(crate) removed: BTreeMap<String, u64>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// The source's ids of customers by what they go by.
type Holders = BTreeMap<Kept, String>;

/// What is told of aliases in one transaction, one after the other, and what becomes of it.
pub(crate) struct Telling<'a> {
    told: &'a [Told<'a>],
    before: Holders,
    after: Holders,
    /// For each that was told: which of its aliases another customer goes by. Then nothing of it is kept.
    pub(crate) refused: Vec<Option<&'a Alias>>,
}

impl<'a> Telling<'a> {
    /// What would become of `told` as things are.
    pub(crate) async fn of(
        on: &impl ConnectionTrait,
        tenant: TenantId,
        told: &'a [Told<'a>],
    ) -> Result<Self> {
        let before = holders(on, tenant, told).await?;
        let mut after = before.clone();
        let refused = told.iter().map(|told| tell(&mut after, *told)).collect();
        Ok(Self { told, before, after, refused })
    }

    /// Keeps what was not refused. `ids` are ours of these customers, whose rows the transaction holds since it told something of them:
    /// nobody else changes their aliases meanwhile. Answers what changed; nothing where others were given some of the same since it was
    /// looked, and then the transaction is begun anew.
    pub(crate) async fn keep(
        self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        ids: &Ids,
    ) -> Result<Option<Change>> {
        let mut change = Change::default();
        if self.after == self.before {
            return Ok(Some(change));
        }
        let now = Telling::of(on, tenant, self.told).await?;
        if now.refused != self.refused {
            return Ok(None);
        }
        for ((kind, value), holder) in &now.before {
            if now.after.get(&(kind.clone(), value.clone())) != Some(holder) {
                *change.removed.entry(kind.clone()).or_default() += 1;
                sql("DELETE FROM customer_alias WHERE tenant_id = ? AND kind = ? AND value = ?")
                    .bind(tenant.0)
                    .bind(kind)
                    .bind(value)
                    .run(on)
                    .await?;
            }
        }
        // In the order of their keys, so that two who say the same do not wait for each other in a circle.
        let new = now.after.iter().filter(|(alias, holder)| now.before.get(*alias) != Some(*holder));
        let rows: Vec<[sea_orm::Value; 4]> = new
            .filter_map(|((kind, value), holder)| {
                let customer = ids.get(holder)?;
                *change.added.entry(kind.clone()).or_default() += 1;
                Some([tenant.0.into(), kind.as_str().into(), value.as_str().into(), customer.as_str().into()])
            })
            .collect();
        for piece in pieces(&rows) {
            let written = sql("INSERT INTO customer_alias (tenant_id, kind, value, customer_id) VALUES ? ON CONFLICT (tenant_id, kind, value) DO NOTHING")
                .rows(piece.iter().cloned())
                .run(on)
                .await?;
            if written < piece.len() as u64 {
                return Ok(None);
            }
        }
        Ok(Some(change))
    }
}

/// Gives a customer the aliases that are told; answers the first that is another's, and then changes nothing.
fn tell<'a>(holders: &mut Holders, told: Told<'a>) -> Option<&'a Alias> {
    let is_anothers =
        |alias: &&Alias| holders.get(&kept(alias)).is_some_and(|holder| holder != told.customer);
    let refused = told.aliases.iter().find(is_anothers);
    if refused.is_none() {
        if told.replaces {
            holders.retain(|_, holder| holder != told.customer);
        }
        holders.extend(told.aliases.iter().map(|alias| (kept(alias), told.customer.to_owned())));
    }
    refused
}

/// Who goes by any of the aliases that are told, and everything that those go by of whom all is told.
async fn holders(on: &impl ConnectionTrait, tenant: TenantId, told: &[Told<'_>]) -> Result<Holders> {
    #[derive(FromQueryResult)]
    struct Row {
        kind: String,
        value: String,
        external_id: String,
    }
    let customers: Vec<&str> = told.iter().filter(|told| told.replaces).map(|told| told.customer).collect();
    let aliases: Vec<Kept> = told.iter().flat_map(|told| told.aliases).map(kept).collect();
    let mut rows: Vec<Row> = Vec::new();
    for piece in pieces(&customers) {
        let statement = sql(
            "SELECT a.kind, a.value, c.external_id FROM customer c JOIN customer_alias a ON a.tenant_id = c.tenant_id \
             AND a.customer_id = c.id WHERE c.tenant_id = ? AND c.external_id IN ?",
        );
        rows.extend(statement.bind(tenant.0).list(piece.iter().copied()).all::<Row>(on).await?);
    }
    for piece in pieces(&aliases) {
        let statement = sql(
            "SELECT a.kind, a.value, c.external_id FROM customer_alias a JOIN customer c ON c.tenant_id = a.tenant_id \
             AND c.id = a.customer_id WHERE a.tenant_id = ? AND a.kind IN ? AND a.value IN ?",
        );
        let (kinds, values) =
            (piece.iter().map(|(kind, _)| kind.as_str()), piece.iter().map(|(_, value)| value.as_str()));
        rows.extend(statement.bind(tenant.0).list(kinds).list(values).all::<Row>(on).await?);
    }
    Ok(rows.into_iter().map(|row| ((row.kind, row.value), row.external_id)).collect())
}

impl Store {
    /// The customer who goes by `kind:value`. Addresses and numbers name nobody this way: several may have them, and what stands in the
    /// address of a page is written down by others.
    pub(super) async fn customer_by_alias(&self, tenant: TenantId, alias: &str) -> Result<Option<Customer>> {
        let Some(id) = whose(&self.reader, tenant, alias).await? else { return Ok(None) };
        self.customer_by_id(tenant, &id).await
    }
}

/// Our id of whoever goes by `kind:value`, an id of another source.
pub(crate) async fn whose(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    alias: &str,
) -> Result<Option<String>> {
    let Some((kind, value)) = alias.split_once(':') else { return Ok(None) };
    if matches!(kind, "email" | "phone") {
        return Ok(None);
    }
    sql("SELECT customer_id FROM customer_alias WHERE tenant_id = ? AND kind = ? AND value = ?")
        .bind(tenant.0)
        .bind(kind)
        .bind(value)
        .value(on)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_in_one_spelling() {
        for spelled in ["+49 (170) 12-34", "0049 170/12.34", "+491701234"] {
            assert_eq!(number(spelled), "+491701234", "{spelled}");
        }
        assert_eq!(number("0170 1234"), "01701234");
        assert_eq!(number("00"), "00");
    }
}
