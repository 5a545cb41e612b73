//! Single sign-on: the OpenID provider that a tenant trusts to say who somebody is.
//!
//! What a provider says is checked by the caller; `identity` decides who that is here. A provider signs in nobody whom the one who set it
//! could not have appointed: whoever chooses the provider chooses who may be anybody.

mod identity;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::{Value as Json, json};
use undertone_core::Role;

use crate::audit::{self, Act};
use crate::rows::word;
use crate::secrets::{KeyError, Keyring, Resealed, Sealed, Secret};
use crate::statement::{for_update, sql};
use crate::users::{Authority, left};
use crate::{Result, Store, StoreError, TenantId};

pub use identity::{Refusal, SignedOn, Vouched};

/// A tenant's provider, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOnProvider {
    /// Whose.
    pub tenant: TenantId,
    /// Its address, as it calls itself in what it signs.
    pub issuer: String,
    /// What it calls this service.
    pub client_id: String,
    /// What the log-in page calls it.
    pub label: String,
    /// Domains of e-mail addresses that may sign on, in lower case; at least one.
    pub allowed_domains: BTreeSet<String>,
    /// What somebody becomes who is not known yet; `None`: only people who are known may sign on.
    pub default_role: Option<Role>,
    /// It asks for a second factor itself.
    pub trusts_second_factor: bool,
    /// The role of whoever set it.
    pub vouched_by: Role,
    /// Moves with each change.
    pub version: i64,
    /// Who set it, as in the audit log.
    pub set_by: String,
    /// When.
    pub set_at: DateTime<Utc>,
    sealed: Sealed,
}

impl SignOnProvider {
    /// Opens the client secret.
    ///
    /// # Errors
    /// [`KeyError::SealedElsewhere`] and [`KeyError::NotAsSealed`].
    pub fn client_secret(&self, keyring: &Keyring) -> std::result::Result<Secret, KeyError> {
        let bound = bound_to(self.tenant, &self.issuer, &self.client_id);
        keyring.open_text("the client secret of the single sign-on", &bound, &self.sealed)
    }

    /// Somebody with this address may sign on, by its domain.
    pub(crate) fn admits(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
        self.allowed_domains.contains(domain)
    }

    /// What the audit log tells of it.
    fn told(&self) -> Json {
        json!({
            "issuer": self.issuer,
            "client_id": self.client_id,
            "label": self.label,
            "allowed_domains": self.allowed_domains,
            "default_role": self.default_role,
            "trusts_second_factor": self.trusts_second_factor,
            "vouched_by": self.vouched_by,
            "master_key": self.sealed.key_id,
        })
    }
}

/// What a provider is set to. The caller has checked the address and the domains.
#[derive(Debug, Clone)]
pub struct NewSignOnProvider {
    /// Its address.
    pub issuer: String,
    /// What it calls this service.
    pub client_id: String,
    /// What it and this service share; `None` keeps the one there is, for the same issuer and client.
    pub client_secret: Option<Secret>,
    /// What the log-in page calls it.
    pub label: String,
    /// Domains of e-mail addresses that may sign on.
    pub allowed_domains: BTreeSet<String>,
    /// What somebody becomes who is not known yet.
    pub default_role: Option<Role>,
    /// It asks for a second factor itself.
    pub trusts_second_factor: bool,
    /// The version that was looked at; `None`: there was none.
    pub version: Option<i64>,
}

/// A provider that the log-in page offers.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Offer {
    /// The tenant's short name.
    pub slug: String,
    /// What the page calls the provider.
    pub label: String,
}

#[derive(FromQueryResult)]
struct Row {
    tenant_id: i64,
    issuer: String,
    client_id: String,
    key_id: String,
    sealed: String,
    label: String,
    allowed_domains: String,
    default_role: Option<String>,
    trusts_second_factor: bool,
    vouched_by: String,
    version: i64,
    set_by: String,
    set_at: DateTime<Utc>,
}

impl TryFrom<Row> for SignOnProvider {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let role = |role: &str| word::<Role>("sign_on_provider", role);
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            issuer: row.issuer,
            client_id: row.client_id,
            label: row.label,
            allowed_domains: serde_json::from_str(&row.allowed_domains)
                .map_err(|e| StoreError::Unreadable { table: "sign_on_provider", detail: e.to_string() })?,
            default_role: row.default_role.as_deref().map(role).transpose()?,
            trusts_second_factor: row.trusts_second_factor,
            vouched_by: role(&row.vouched_by)?,
            version: row.version,
            set_by: row.set_by,
            set_at: row.set_at,
            sealed: Sealed { key_id: row.key_id, text: row.sealed },
        })
    }
}

const COLUMNS: &str = "SELECT tenant_id, issuer, client_id, key_id, sealed, label, allowed_domains, default_role, \
    trusts_second_factor, vouched_by, version, set_by, set_at FROM sign_on_provider WHERE tenant_id = ?";

/// What a client secret is sealed for: it goes to no issuer it was not set with.
fn bound_to(tenant: TenantId, issuer: &str, client_id: &str) -> String {
    format!("undertone client secret 1\n{}\n{client_id}\n{issuer}", tenant.0)
}

pub(crate) async fn provider(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    lock: &'static str,
) -> Result<Option<SignOnProvider>> {
    let row = sql(COLUMNS).bind(tenant.0).then(lock).one::<Row>(on).await?;
    row.map(SignOnProvider::try_from).transpose()
}

async fn write(on: &impl ConnectionTrait, new: &SignOnProvider) -> Result<()> {
    sql("INSERT INTO sign_on_provider (tenant_id, issuer, client_id, key_id, sealed, label, allowed_domains, default_role, \
         trusts_second_factor, vouched_by, version, set_by, set_at) VALUES ? \
         ON CONFLICT (tenant_id) DO UPDATE SET issuer = excluded.issuer, client_id = excluded.client_id, key_id = excluded.key_id, \
         sealed = excluded.sealed, label = excluded.label, allowed_domains = excluded.allowed_domains, \
         default_role = excluded.default_role, trusts_second_factor = excluded.trusts_second_factor, \
         vouched_by = excluded.vouched_by, version = excluded.version, set_by = excluded.set_by, set_at = excluded.set_at")
    .rows([[
        new.tenant.0.into(),
        new.issuer.as_str().into(),
        new.client_id.as_str().into(),
        new.sealed.key_id.as_str().into(),
        new.sealed.text.as_str().into(),
        new.label.as_str().into(),
        json!(new.allowed_domains).to_string().into(),
        new.default_role.map(Role::as_str).into(),
        new.trusts_second_factor.into(),
        new.vouched_by.as_str().into(),
        new.version.into(),
        new.set_by.as_str().into(),
        new.set_at.into(),
    ]])
    .run(on)
    .await?;
    Ok(())
}

/// Whether somebody in this role may change the provider: it signs in whom the one who set it could have appointed, and these would be kept
/// out.
fn may_change(role: Role, before: Option<&SignOnProvider>) -> Result<()> {
    let Some(above) = before.map(|before| before.vouched_by).filter(|other| !role.may_appoint(*other)) else {
        return Ok(());
    };
    Err(StoreError::NotAllowed(format!(
        "the single sign-on was set by somebody in the role {0}, and signs in people in that role; only they change or remove it",
        above.as_str()
    )))
}

/// Refuses what leaves nobody of a role who can log in and change people; `able` are those who could before.
async fn somebody_is_left(on: &impl ConnectionTrait, tenant: TenantId, able: &[Role]) -> Result<()> {
    let Some(role) = left::lost(able, &left::able(on, tenant).await?) else { return Ok(()) };
    Err(StoreError::Conflict(format!(
        "nobody who may change people in the role {} could log in any more; let one of them set a password first",
        role.as_str()
    )))
}

impl Store {
    /// Sets the tenant's provider, which signs in from then on whom `by` could appoint.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal the secret with; a conflict where somebody else changed it since
    /// `version`, or where nobody would be left who could undo it; what can not be kept: no secret, or a default role that `by` could not
    /// give; and [`StoreError::NotAllowed`] where `by` may not, or may not in place of the one there is.
    pub async fn save_sign_on_provider(
        &self,
        act: &Act<'_>,
        by: Authority<'_>,
        keyring: &Keyring,
        new: NewSignOnProvider,
    ) -> std::result::Result<SignOnProvider, KeyError> {
        let tx = self.begin().await?;
        let vouched_by = self.right(&tx, act.tenant, by).await?.role();
        if new.default_role.is_some_and(|role| !vouched_by.may_appoint(role)) {
            return Err(StoreError::Invalid(format!(
                "default_role: your role, {}, may not make anybody {}",
                vouched_by.as_str(),
                new.default_role.map_or("", Role::as_str)
            ))
            .into());
        }
        let before = provider(&tx, act.tenant, for_update(self.backend())).await?;
        may_change(vouched_by, before.as_ref())?;
        let able = left::able(&tx, act.tenant).await?;
        if before.as_ref().map(|before| before.version) != new.version {
            return Err(conflict(before.as_ref()).into());
        }
        let sealed = match (&new.client_secret, &before) {
            (Some(secret), _) => {
                keyring.seal_text(&bound_to(act.tenant, &new.issuer, &new.client_id), secret)?
            }
            (None, Some(before)) if before.issuer == new.issuer && before.client_id == new.client_id => {
                before.sealed.clone()
            }
            (None, _) => {
                let told = "client_secret: a secret belongs to one issuer and client; send the one that goes with these";
                return Err(StoreError::Invalid(told.to_owned()).into());
            }
        };
        let after = SignOnProvider {
            tenant: act.tenant,
            issuer: new.issuer,
            client_id: new.client_id,
            label: new.label,
            allowed_domains: new.allowed_domains,
            default_role: new.default_role,
            trusts_second_factor: new.trusts_second_factor,
            vouched_by,
            version: new.version.unwrap_or_default() + 1,
            set_by: act.actor.to_owned(),
            set_at: self.now(),
            sealed,
        };
        write(&tx, &after).await?;
        somebody_is_left(&tx, act.tenant, &able).await?;
        let payload = json!({"before": before.map(|before| before.told()), "after": after.told()});
        audit::note(self, &tx, act, ("sign_on_set", &after.issuer), &payload).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Removes the tenant's provider; answers whether there was one. Who is known by what it said stays known, should it come back.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] where `by` may not, [`StoreError::Conflict`] where nobody would be left who could undo it.
    pub async fn remove_sign_on_provider(&self, act: &Act<'_>, by: Authority<'_>) -> Result<bool> {
        let tx = self.begin().await?;
        let right = self.right(&tx, act.tenant, by).await?;
        let Some(before) = provider(&tx, act.tenant, for_update(self.backend())).await? else {
            return Ok(false);
        };
        may_change(right.role(), Some(&before))?;
        let able = left::able(&tx, act.tenant).await?;
        sql("DELETE FROM sign_on_provider WHERE tenant_id = ?").bind(act.tenant.0).run(&tx).await?;
        somebody_is_left(&tx, act.tenant, &able).await?;
        let payload = json!({"before": before.told()});
        audit::note(self, &tx, act, ("sign_on_removed", &before.issuer), &payload).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The tenant's provider.
    pub async fn sign_on_provider(&self, tenant: TenantId) -> Result<Option<SignOnProvider>> {
        provider(&self.reader, tenant, "").await
    }

    /// What the log-in page offers: the provider of the tenant with this short name, or of the only tenant there is.
    pub async fn sign_on_offer(&self, slug: Option<&str>) -> Result<Option<Offer>> {
        const OFFERS: &str =
            "SELECT t.slug, p.label FROM tenant t JOIN sign_on_provider p ON p.tenant_id = t.id WHERE ";
        match slug {
            Some(slug) => sql(OFFERS).then("t.slug = ?").bind(slug).one(&self.reader).await,
            None => {
                sql(OFFERS)
                    .then("NOT EXISTS (SELECT 1 FROM tenant o WHERE o.id <> t.id)")
                    .one(&self.reader)
                    .await
            }
        }
    }

    /// Seals a tenant's client secret anew with the current master key.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal it with. One that does not open is told in [`Resealed::unopened`].
    pub async fn reseal_sign_on_provider(
        &self,
        act: &Act<'_>,
        keyring: &Keyring,
    ) -> std::result::Result<Resealed, KeyError> {
        let current = keyring.current().ok_or(KeyError::NoMasterKey)?;
        let mut done = Resealed::default();
        let tx = self.begin().await?;
        let Some(mut kept) = provider(&tx, act.tenant, for_update(self.backend())).await? else {
            return Ok(done);
        };
        let bound = bound_to(act.tenant, &kept.issuer, &kept.client_id);
        let open = |keyring: &Keyring| kept.client_secret(keyring);
        let Some(sealed) = keyring.reseal(&mut done, &bound, &kept.sealed.key_id, open)? else {
            return Ok(done);
        };
        let before = std::mem::replace(&mut kept.sealed, sealed);
        write(&tx, &kept).await?;
        let payload = json!({"master_key": {"before": before.key_id, "after": current}});
        audit::note(self, &tx, act, ("sign_on_resealed", &kept.issuer), &payload).await?;
        tx.commit().await.map_err(StoreError::from)?;
        done.resealed = 1;
        Ok(done)
    }
}

fn conflict(before: Option<&SignOnProvider>) -> StoreError {
    StoreError::Conflict(match before {
        Some(before) => format!(
            "the single sign-on is at version {} now; look at it again and send that version with your change",
            before.version
        ),
        None => "there is no single sign-on any more; leave the version out to set it anew".to_owned(),
    })
}
