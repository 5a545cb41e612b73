//! Tenants: each one company's closed world.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::{self, Act};
use crate::queue::hasten;
use crate::rows;
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, modules};

/// A tenant's number. It stands in every key, so it is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub i64);

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its number.
    pub id: TenantId,
    /// Its short name, as typed in commands.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where its days begin.
    pub zone: Tz,
    /// Days before this one are kept as counters only.
    pub sealed_before: Option<NaiveDate>,
    /// Rows are still being moved to days of the current zone.
    pub zone_is_changing: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    slug: String,
    name: String,
    zone: String,
    zone_cursor: Option<String>,
    sealed_before: Option<NaiveDate>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Tenant {
    fn from(row: Row) -> Self {
        Self {
            id: TenantId(row.id),
            slug: row.slug,
            name: row.name,
            zone: rows::zone(&row.zone),
            sealed_before: row.sealed_before,
            zone_is_changing: row.zone_cursor.is_some(),
            created_at: row.created_at,
        }
    }
}

const COLUMNS: &str = "SELECT id, slug, name, zone, zone_cursor, sealed_before, created_at FROM tenant ";

/// What a new tenant is given.
#[derive(Debug, Clone)]
pub struct NewTenant<'a> {
    /// 1 to 40 lower-case letters, digits and `-`, beginning with a letter.
    pub slug: &'a str,
    /// 1 to 200 characters.
    pub name: &'a str,
    /// Where its days begin.
    pub zone: Tz,
    /// Who makes it.
    pub actor: &'a str,
}

/// Where a tenant's days begin.
pub(crate) async fn zone_of(on: &impl ConnectionTrait, tenant: TenantId) -> Result<Tz> {
    let name = sql("SELECT zone FROM tenant WHERE id = ?").bind(tenant.0).value::<String>(on).await?;
    Ok(rows::zone(&name.unwrap_or_default()))
}

impl Store {
    /// Makes a tenant with the module active and the default settings.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a slug or name that is none, [`StoreError::Conflict`] when the slug is taken.
    pub async fn create_tenant(&self, new: &NewTenant<'_>) -> Result<Tenant> {
        self.create_tenant_with(new, &json!({})).await
    }

    /// The same with these settings instead of their defaults, in one transaction: nobody looks at the tenant under other ones.
    ///
    /// # Errors
    /// As [`Store::create_tenant`], and [`StoreError::Invalid`] for settings that can not be used.
    pub async fn create_tenant_with(&self, new: &NewTenant<'_>, settings: &Value) -> Result<Tenant> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=40).contains(&new.slug.len())
            || !new.slug.chars().all(fits)
            || !new.slug.starts_with(|c: char| c.is_ascii_lowercase())
        {
            return Err(StoreError::Invalid(format!(
                "“{}” is no short name for a tenant: take 1 to 40 of a-z, 0-9 and -, a letter first",
                new.slug
            )));
        }
        if !(1..=200).contains(&new.name.trim().chars().count()) || new.name.contains('\0') {
            return Err(StoreError::Invalid("a tenant's name has 1 to 200 characters".to_owned()));
        }
        let tx = self.begin().await?;
        let at = self.now();
        // Two makers at once take the same number; the second one's insert finds it taken and changes nothing.
        let made = sql("INSERT INTO tenant (id, slug, name, zone, created_at) \
             SELECT COALESCE(MAX(id), 0) + 1, CAST(? AS text), CAST(? AS text), CAST(? AS text), ")
        .bind(new.slug)
        .bind(new.name.trim())
        .bind(new.zone.name())
        .then("? FROM tenant WHERE true ON CONFLICT DO NOTHING RETURNING id")
        .bind(at)
        .value::<i64>(&tx)
        .await?;
        let Some(id) = made else {
            return Err(StoreError::Conflict(format!("there is a tenant “{}” already", new.slug)));
        };
        let act = Act::new(TenantId(id), new.actor);
        audit::note(self, &tx, &act, ("tenant_created", new.slug), &json!({"name": new.name})).await?;
        modules::set_active(self, &tx, &act, true).await?;
        if settings.as_object().is_none_or(|settings| !settings.is_empty()) {
            self.change_settings_on(&tx, &act, settings).await?;
        }
        tx.commit().await?;
        self.tenant(act.tenant).await?.ok_or_else(|| StoreError::Conflict("the tenant is gone".to_owned()))
    }

    /// The tenant with this number.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>> {
        let row = sql(COLUMNS).then("WHERE id = ?").bind(id.0).one::<Row>(&self.reader).await?;
        Ok(row.map(Tenant::from))
    }

    /// The tenant with this short name.
    pub async fn tenant_by_slug(&self, slug: &str) -> Result<Option<Tenant>> {
        let row = sql(COLUMNS).then("WHERE slug = ?").bind(slug).one::<Row>(&self.reader).await?;
        Ok(row.map(Tenant::from))
    }

    /// All tenants, the oldest first.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let rows = sql(COLUMNS).then("ORDER BY id").all::<Row>(&self.reader).await?;
        Ok(rows.into_iter().map(Tenant::from).collect())
    }

    /// The tenants whose rows are being moved to days of another zone.
    pub async fn tenants_changing_zone(&self) -> Result<Vec<TenantId>> {
        sql("SELECT id FROM tenant WHERE zone_cursor IS NOT NULL").tenants(&self.reader).await
    }

    /// Changes where the tenant's days begin. What was counted already is moved by [`Store::move_days`], piece by piece.
    pub async fn set_zone(&self, act: &Act<'_>, zone: Tz) -> Result<()> {
        let tx = self.begin().await?;
        let before =
            sql("SELECT zone FROM tenant WHERE id = ?").bind(act.tenant.0).value::<String>(&tx).await?;
        if before.as_deref() != Some(zone.name()) {
            sql("UPDATE tenant SET zone = ?, zone_cursor = '' WHERE id = ?")
                .bind(zone.name())
                .bind(act.tenant.0)
                .run(&tx)
                .await?;
            let change = json!({"before": before, "after": zone.name()});
            audit::note(self, &tx, act, ("tenant_zone", ""), &change).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Changes the model that the tenant's LLMs are asked for where a module chose none; `None`: the provider's, where we know one.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for what is no model's name: it has 1 to 200 bytes.
    pub async fn set_default_model(&self, act: &Act<'_>, model: Option<&str>) -> Result<()> {
        let fits = |model: &str| (1..=200).contains(&model.trim().len()) && !model.contains(char::is_control);
        if !model.is_none_or(fits) {
            return Err(StoreError::Invalid("a model's name has 1 to 200 bytes".to_owned()));
        }
        let model = model.map(str::trim);
        let tx = self.begin().await?;
        let before = sql("SELECT llm_model FROM tenant WHERE id = ?")
            .bind(act.tenant.0)
            .then(for_update(self.backend()))
            .value::<Option<String>>(&tx)
            .await?
            .flatten();
        if before.as_deref() == model {
            return Ok(());
        }
        sql("UPDATE tenant SET llm_model = ? WHERE id = ?").bind(model).bind(act.tenant.0).run(&tx).await?;
        // What waits for a model that there is now is due at once.
        hasten(&tx, act.tenant, self.now()).await?;
        audit::note(self, &tx, act, ("tenant_model", ""), &json!({"before": before, "after": model})).await?;
        tx.commit().await?;
        self.hasten_after_change(act.tenant).await;
        Ok(())
    }
}
