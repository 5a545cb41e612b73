//! What else customers go by: further addresses and numbers, and ids of other sources. Each belongs to one customer.

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use undertone_core::arrival::{AccountDetails, CustomerDetails};

use super::{ACCOUNT, CUSTOMER, Customer, Ids, Mention, Mentions, account, customer};
use crate::privacy::copy::Alias;
use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId};

impl Alias {
    /// As it is kept: addresses and numbers in one spelling, so that one that is taken is found to be.
    fn kept(&self) -> (&str, String) {
        let value = match self.kind.as_str() {
            "email" => self.value.trim().to_ascii_lowercase(),
            "phone" => crate::privacy::tombstone::digits(&self.value),
            _ => self.value.trim().to_owned(),
        };
        (&self.kind, value)
    }
}

impl Store {
    /// Creates a customer or fills in what is told, as [`Store::save_person`] does; `aliases`, where given, are all they go by from now on.
    /// Answers our id.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another customer goes by one of the aliases; nothing is saved.
    pub async fn save_customer(
        &self,
        tenant: TenantId,
        external_id: &str,
        (details, company): (&CustomerDetails, Option<&str>),
        aliases: Option<&[Alias]>,
    ) -> Result<String> {
        let tx = self.begin().await?;
        let id = self.told_of_customer(&tx, tenant, external_id, (details, company)).await?;
        if let Some(aliases) = aliases {
            replace(&tx, tenant, &id, aliases).await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// What a customer tells about themselves is kept, and their company with it.
    pub(super) async fn told_of_customer(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        external_id: &str,
        (details, company): (&CustomerDetails, Option<&str>),
    ) -> Result<String> {
        let when = (tenant, self.now());
        let one = |external: &str, mention: Mention| Mentions::from([(external.to_owned(), mention)]);
        let accounts = match company {
            Some(external) => {
                self.resolve(tx, &ACCOUNT, when, one(external, account(&AccountDetails::default()))).await?
            }
            None => Ids::new(),
        };
        let mention = customer(details, accounts.values().next());
        let ids = self.resolve(tx, &CUSTOMER, when, one(external_id, mention)).await?;
        Ok(ids.into_values().next().unwrap_or_default())
    }

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

async fn replace(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    customer: &str,
    aliases: &[Alias],
) -> Result<()> {
    // In the order of their keys, so that two who say the same do not wait for each other in a circle.
    let aliases: std::collections::BTreeSet<(&str, String)> = aliases.iter().map(Alias::kept).collect();
    sql("DELETE FROM customer_alias WHERE tenant_id = ? AND customer_id = ?")
        .bind(tenant.0)
        .bind(customer)
        .run(tx)
        .await?;
    for (kind, value) in &aliases {
        let written = sql("INSERT INTO customer_alias (tenant_id, kind, value, customer_id) VALUES ? ON CONFLICT (tenant_id, kind, value) DO NOTHING")
            .rows([[tenant.0.into(), (*kind).into(), value.as_str().into(), customer.into()]])
            .run(tx)
            .await?;
        if written == 0 {
            return Err(StoreError::Conflict(format!(
                "another customer goes by this alias of the kind {kind}; take it from them first, or tell of that customer"
            )));
        }
    }
    Ok(())
}
