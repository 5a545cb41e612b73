//! The module of each tenant: whether it is active, what it is set to, and since when it is paid for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult};
use serde::Serialize;
use serde_json::{Map, Value, json};
use undertone_core::event::EventKind;
use undertone_core::event::payload::ModuleSwitched;
use undertone_core::visibility::Choice;
use undertone_core::{Role, Settings};

use crate::audit::{self, Act};
use crate::outbox::{self, Caused};
use crate::queue::hasten;
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

/// The module's name, and the key of its settings.
pub const MODULE: &str = "sentiment_analysis";

/// What a month of the module costs, in cents, from activation on.
pub const MONTHLY_PRICE_CENTS: i64 = 9999;

/// A stretch of time in which the module was active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Period {
    /// When it began.
    pub activated_at: DateTime<Utc>,
    /// Who began it.
    pub activated_by: String,
    /// When it ended; `None` while it lasts.
    pub deactivated_at: Option<DateTime<Utc>>,
    /// Who ended it.
    pub deactivated_by: Option<String>,
    /// Price of a month in it, in cents.
    pub monthly_price_cents: i64,
}

/// The module of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// It scores what arrives.
    pub active: bool,
    /// What it is set to. Where no model is chosen for the module, `model` is the tenant's default.
    pub settings: Settings,
    /// The settings that were saved; those left out are at their default.
    pub saved: Value,
    /// The model that was chosen for the module.
    pub chosen_model: Option<String>,
    /// The model that the tenant's LLMs are asked for where a module chose none ([`Store::set_default_model`]).
    pub default_model: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    active: bool,
    settings: Value,
    default_model: Option<String>,
}

async fn read(on: &impl ConnectionTrait, tenant: TenantId, lock: &'static str) -> Result<Option<Row>> {
    sql("SELECT active, settings, (SELECT llm_model FROM tenant WHERE id = tenant_modules.tenant_id) AS default_model \
         FROM tenant_modules WHERE tenant_id = ? AND module = ?")
        .bind(tenant.0)
        .bind(MODULE)
        .then(lock)
        .one::<Row>(on)
        .await
}

/// The same, kept as it is until the transaction ends. Where nothing was ever set, the tenant is held instead: of two who are the first to
/// set something, the second sees what the first did.
async fn held(store: &Store, tx: &DatabaseTransaction, tenant: TenantId) -> Result<Option<Row>> {
    let lock = for_update(store.backend());
    if let Some(row) = read(tx, tenant, lock).await? {
        return Ok(Some(row));
    }
    sql("SELECT id FROM tenant WHERE id = ?").bind(tenant.0).then(lock).run(tx).await?;
    read(tx, tenant, lock).await
}

/// The module of a tenant, kept as it is until the transaction ends.
pub(crate) async fn locked(store: &Store, tx: &DatabaseTransaction, tenant: TenantId) -> Result<Module> {
    Ok(held(store, tx, tenant).await?.into())
}

/// The module of a tenant, as a transaction sees it.
pub(crate) async fn module_on(on: &impl ConnectionTrait, tenant: TenantId) -> Result<Module> {
    Ok(read(on, tenant, "").await?.into())
}

impl Module {
    /// What would be saved after `changes`: settings given, the others kept, and those that are `null` left out, which is their default. It is
    /// not looked whether they can be read.
    #[must_use]
    pub fn merged(&self, changes: &Map<String, Value>) -> Value {
        let mut saved = self.saved.as_object().cloned().unwrap_or_default();
        for (key, value) in changes {
            // `model` may be null itself, which is its default.
            if value.is_null() && Settings::KEYS.contains(&key.as_str()) {
                saved.shift_remove(key);
            } else {
                saved.insert(key.clone(), value.clone());
            }
        }
        Value::Object(saved)
    }

    /// The settings as they were chosen for the module: `model` is none where the tenant's default holds.
    #[must_use]
    pub fn chosen(&self) -> Settings {
        Settings { model: self.chosen_model.clone(), ..self.settings.clone() }
    }
}

/// The roles among words some of which are none of this version's; all of them where it is no list of words at all.
fn roles_in(words: &Value) -> BTreeSet<Role> {
    let known = |words: &Vec<Value>| words.iter().filter_map(|word| word.as_str()?.parse().ok()).collect();
    words.as_array().map_or_else(|| Role::ALL.iter().copied().collect(), known)
}

impl From<Option<Row>> for Module {
    fn from(row: Option<Row>) -> Self {
        let (active, settings, default_model) =
            row.map_or((false, Value::Null, None), |row| (row.active, row.settings, row.default_model));
        let saved = settings.get(MODULE).cloned().unwrap_or_else(|| json!({}));
        // Written by an earlier version, a key may have gone out of use: the rest still holds.
        let mut read = Settings::from_json(&saved).unwrap_or_else(|errors| {
            let mut usable = saved.clone();
            if let Some(object) = usable.as_object_mut() {
                object.retain(|key, _| !errors.iter().any(|error| error.key == *key));
            }
            let mut settings = Settings::from_json(&usable).unwrap_or_default();
            // What nobody can read here does not open what somebody closed.
            if errors.iter().any(|error| error.key == "visibility") {
                settings.visibility = Choice::strictest();
            }
            if errors.iter().any(|error| error.key == "second_factor_roles") {
                settings.second_factor_roles = roles_in(&saved["second_factor_roles"]);
            }
            settings
        });
        let chosen_model = read.model.clone();
        read.model = read.model.or_else(|| default_model.clone());
        Self { active, settings: read, saved, chosen_model, default_model }
    }
}

/// Switches the module on or off, in the ledger too. Answers whether that changed anything.
pub(crate) async fn set_active(
    store: &Store,
    tx: &DatabaseTransaction,
    act: &Act<'_>,
    active: bool,
) -> Result<bool> {
    let at = store.now();
    sql("INSERT INTO tenant_modules (tenant_id, module, active, settings, updated_at) VALUES ? ON CONFLICT DO NOTHING")
        .rows([[act.tenant.0.into(), MODULE.into(), false.into(), json!({}).into(), at.into()]])
        .run(tx)
        .await?;
    let changed = sql("UPDATE tenant_modules SET active = ?, updated_at = ? WHERE tenant_id = ? AND module = ? AND active <> ?")
        .bind(active)
        .bind(at)
        .bind(act.tenant.0)
        .bind(MODULE)
        .bind(active)
        .run(tx)
        .await?;
    if changed == 0 {
        return Ok(false);
    }
    if active {
        sql("INSERT INTO module_period (tenant_id, id, module, activated_at, activated_by, monthly_price_cents) VALUES ?")
            .rows([[
                act.tenant.0.into(),
                store.new_id(at).into(),
                MODULE.into(),
                at.into(),
                act.actor.into(),
                MONTHLY_PRICE_CENTS.into(),
            ]])
            .run(tx)
            .await?;
    } else {
        sql("UPDATE module_period SET deactivated_at = ?, deactivated_by = ? WHERE tenant_id = ? AND module = ? AND deactivated_at IS NULL")
            .bind(at)
            .bind(act.actor)
            .bind(act.tenant.0)
            .bind(MODULE)
            .run(tx)
            .await?;
    }
    let action = if active { "module_activated" } else { "module_deactivated" };
    audit::note(store, tx, act, (action, MODULE), &json!({})).await?;
    Ok(true)
}

impl Store {
    /// The tenant's module.
    pub async fn module(&self, tenant: TenantId) -> Result<Module> {
        Ok(read(&self.reader, tenant, "").await?.into())
    }

    /// Activates or deactivates the module; answers whether that changed anything. Activating it concerns what arrives from then on.
    pub async fn set_module_active(&self, act: &Act<'_>, active: bool) -> Result<bool> {
        let tx = self.begin().await?;
        let changed = set_active(self, &tx, act, active).await?;
        if changed {
            let at = self.now();
            let kind = if active { EventKind::ModuleActivated } else { EventKind::ModuleDeactivated };
            let payload =
                json!(ModuleSwitched { tenant_id: act.tenant.0, module: MODULE, made_by: act.actor, at });
            outbox::emit(self, &tx, act.tenant, at, vec![Caused::new(kind, MODULE, payload)]).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// The ledger, the latest period first.
    pub async fn module_periods(&self, tenant: TenantId) -> Result<Vec<Period>> {
        sql("SELECT activated_at, activated_by, deactivated_at, deactivated_by, monthly_price_cents FROM module_period \
             WHERE tenant_id = ? AND module = ? ORDER BY activated_at DESC, id DESC")
        .bind(tenant.0)
        .bind(MODULE)
        .all(&self.reader)
        .await
    }

    /// Changes the settings named in `changes` and keeps the others; `null` puts one back to its default. All or none.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] with everything that is wrong, a line each.
    pub async fn change_settings(&self, act: &Act<'_>, changes: &Value) -> Result<Settings> {
        let tx = self.begin().await?;
        let settings = self.change_settings_on(&tx, act, changes).await?;
        tx.commit().await?;
        self.hasten_after_change(act.tenant).await;
        Ok(settings)
    }

    /// The same in a transaction; once it is over, [`Store::hasten_after_change`] is due.
    pub(crate) async fn change_settings_on(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        changes: &Value,
    ) -> Result<Settings> {
        let Some(changes) = changes.as_object() else {
            return Err(StoreError::Invalid("settings are a JSON object of names and values".to_owned()));
        };
        let row = held(self, tx, act.tenant).await?;
        let mut all = row.as_ref().map_or_else(|| json!({}), |row| row.settings.clone());
        let module = Module::from(row);
        let saved = module.merged(changes);
        let settings = Settings::from_json(&saved).map_err(|errors| {
            StoreError::Invalid(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        if let Some(all) = all.as_object_mut() {
            all.insert(MODULE.to_owned(), saved.clone());
        }
        self.save_settings(tx, act, all, ("settings_saved", json!({"before": module.saved, "after": saved})))
            .await?;
        Ok(settings)
    }

    /// Puts every setting back to its default, except who sees what and who needs a second factor: that opens only when somebody says so.
    pub async fn reset_settings(&self, act: &Act<'_>) -> Result<Settings> {
        let tx = self.begin().await?;
        let row = held(self, &tx, act.tenant).await?;
        let mut all = row.as_ref().map_or_else(|| json!({}), |row| row.settings.clone());
        let before = Module::from(row).saved;
        let mut kept = before.clone();
        if let Some(kept) = kept.as_object_mut() {
            kept.retain(|key, _| matches!(key.as_str(), "visibility" | "second_factor_roles"));
        }
        if let Some(all) = all.as_object_mut() {
            all.insert(MODULE.to_owned(), kept.clone());
        }
        let row = Row { active: false, settings: all.clone(), default_model: None };
        let settings = Module::from(Some(row)).settings;
        self.save_settings(&tx, act, all, ("settings_reset", json!({"before": before, "after": kept})))
            .await?;
        tx.commit().await?;
        self.hasten_after_change(act.tenant).await;
        Ok(settings)
    }

    async fn save_settings(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        all: Value,
        (action, payload): (&'static str, Value),
    ) -> Result<()> {
        sql("INSERT INTO tenant_modules (tenant_id, module, active, settings, updated_at) VALUES ? \
             ON CONFLICT (tenant_id, module) DO UPDATE SET settings = excluded.settings, updated_at = excluded.updated_at")
        .rows([[act.tenant.0.into(), MODULE.into(), false.into(), all.into(), self.now().into()]])
        .run(tx)
        .await?;
        // A cap that was raised, another scorer or model: it holds at once.
        hasten(tx, act.tenant, self.now()).await?;
        audit::note(self, tx, act, (action, MODULE), &payload).await
    }
}
