//! Who somebody is here of whom a provider says who they are.

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;
use undertone_core::Role;

use super::{SignOnProvider, provider};
use crate::audit::{self, Act};
use crate::statement::sql;
use crate::users::{self, Authority};
use crate::{Result, Store, TenantId};

/// What the caller checked: signature, issuer, audience, time, and that the address is verified.
#[derive(Debug, Clone, Copy)]
pub struct Vouched<'a> {
    /// Who says so.
    pub issuer: &'a str,
    /// Whom they mean; the same for ever.
    pub subject: &'a str,
    /// Their e-mail address now.
    pub email: &'a str,
}

/// Somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOn {
    /// Who.
    pub user_id: String,
    /// Their role.
    pub role: Role,
    /// The provider asked them for a second factor.
    pub second_factor: bool,
}

/// Why somebody may not come in, for them to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The tenant has another provider now, or none.
    #[error("The single sign-on was changed in the meantime. Begin again.")]
    Changed,
    /// Not one of the domains.
    #[error(
        "Addresses of this domain may not sign on here. Ask an administrator to allow it, or log in with a password."
    )]
    Domain,
    /// Nobody has this address, or somebody of another tenant.
    #[error("There is no account for you here yet. Ask an administrator to invite you.")]
    Unknown,
    /// An administrator deactivated the account.
    #[error("Your account is deactivated. Ask an administrator.")]
    Deactivated,
    /// The address is that of somebody the provider told apart from them.
    #[error(
        "Your address belongs to the account of somebody whom your provider knows as another person. An administrator can separate the two."
    )]
    OtherPerson,
    /// Whoever set the provider could not have appointed them.
    #[error(
        "Your role does not sign on this way, because somebody with fewer rights set it up. Log in with your password."
    )]
    Above,
}

#[derive(FromQueryResult)]
struct Known {
    id: String,
    tenant_id: i64,
    role: String,
    active: bool,
}

impl Store {
    /// Who somebody is here: the person known by this subject, or by this address, or a new one where the provider makes some. The first
    /// time is noted, so that the subject stays who they are whatever becomes of their address.
    pub async fn sign_on(
        &self,
        tenant: TenantId,
        from: Option<&str>,
        vouched: Vouched<'_>,
    ) -> Result<std::result::Result<SignedOn, Refusal>> {
        let tx = self.begin().await?;
        let Some(provider) = provider(&tx, tenant, "").await?.filter(|p| p.issuer == vouched.issuer) else {
            return Ok(Err(Refusal::Changed));
        };
        let email = vouched.email.trim().to_lowercase();
        if !provider.admits(&email) {
            return Ok(Err(Refusal::Domain));
        }
        let act = Act { from, ..Act::new(tenant, "single sign-on") };
        let linked = sql("SELECT u.id, u.tenant_id, u.role, u.active FROM sign_on_identity i JOIN app_user u ON u.id = i.user_id \
             WHERE i.tenant_id = ? AND i.issuer = ? AND i.subject = ?")
            .bind(tenant.0)
            .bind(vouched.issuer)
            .bind(vouched.subject)
            .one::<Known>(&tx)
            .await?;
        if let Some(known) = linked {
            return Ok(admitted(&provider, known));
        }
        let by_address = sql("SELECT id, tenant_id, role, active FROM app_user WHERE email = ?")
            .bind(email.as_str())
            .one::<Known>(&tx)
            .await?;
        let is_new = by_address.is_none();
        let known = match by_address {
            Some(known) if known.tenant_id == tenant.0 => known,
            Some(_) => return Ok(Err(Refusal::Unknown)),
            None => match self.join(&tx, &provider, &email).await? {
                Some(known) => known,
                None => return Ok(Err(Refusal::Unknown)),
            },
        };
        let admitted = match admitted(&provider, known) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let linked = sql("INSERT INTO sign_on_identity (tenant_id, issuer, subject, user_id, linked_at) VALUES ? ON CONFLICT DO NOTHING")
            .rows([[
                tenant.0.into(),
                vouched.issuer.into(),
                vouched.subject.into(),
                admitted.user_id.as_str().into(),
                self.now().into(),
            ]])
            .run(&tx)
            .await?;
        if linked == 0 {
            return Ok(Err(Refusal::OtherPerson));
        }
        if is_new {
            let payload = json!({"after": {"role": admitted.role}});
            audit::note(self, &tx, &act, ("user_joined", &admitted.user_id), &payload).await?;
        }
        let payload = json!({"issuer": vouched.issuer});
        audit::note(self, &tx, &act, ("sign_on_linked", &admitted.user_id), &payload).await?;
        tx.commit().await?;
        Ok(Ok(admitted))
    }

    /// Makes a user of somebody who is not known yet, where the provider says in which role.
    async fn join(
        &self,
        tx: &impl ConnectionTrait,
        provider: &SignOnProvider,
        email: &str,
    ) -> Result<Option<Known>> {
        let Some(role) = provider.default_role else { return Ok(None) };
        let at = self.now();
        let id = sql("INSERT INTO app_user (id, tenant_id, email, role, active, created_at) VALUES ? ON CONFLICT DO NOTHING RETURNING id")
            .rows([[
                self.new_id(at).into(),
                provider.tenant.0.into(),
                users::address(email)?.into(),
                role.as_str().into(),
                true.into(),
                at.into(),
            ]])
            .value::<String>(tx)
            .await?;
        // Somebody took the address in this moment: it is theirs, and the person tries again.
        Ok(id.map(|id| Known {
            id,
            tenant_id: provider.tenant.0,
            role: role.as_str().to_owned(),
            active: true,
        }))
    }

    /// Forgets whom providers mean by somebody of the tenant, and ends their sessions; answers whether they were known to any.
    ///
    /// # Errors
    /// [`crate::StoreError::NotAllowed`] where `by` may not.
    pub async fn unlink_sign_on(&self, act: &Act<'_>, by: Authority<'_>, user_id: &str) -> Result<bool> {
        let tx = self.begin().await?;
        if !self.right_over(&tx, act.tenant, by, user_id).await? {
            return Ok(false);
        }
        let gone = sql("DELETE FROM sign_on_identity WHERE tenant_id = ? AND user_id = ?")
            .bind(act.tenant.0)
            .bind(user_id)
            .run(&tx)
            .await?;
        if gone == 0 {
            return Ok(false);
        }
        sql("DELETE FROM session WHERE user_id = ?").bind(user_id).run(&tx).await?;
        audit::note(self, &tx, act, ("sign_on_unlinked", user_id), &json!({})).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn admitted(provider: &SignOnProvider, known: Known) -> std::result::Result<SignedOn, Refusal> {
    if !known.active {
        return Err(Refusal::Deactivated);
    }
    let role = known.role.parse::<Role>().map_err(|_| Refusal::Above)?;
    if !provider.vouched_by.may_appoint(role) {
        return Err(Refusal::Above);
    }
    Ok(SignedOn { user_id: known.id, role, second_factor: provider.trusts_second_factor })
}
