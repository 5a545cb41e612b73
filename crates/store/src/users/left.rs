//! Somebody is left who could undo it: whoever can log in and may change people.

use sea_orm::{ConnectionTrait, FromQueryResult};
use undertone_core::{Permission, Role};

use crate::statement::sql;
use crate::{Result, TenantId, sign_on};

#[derive(FromQueryResult)]
struct Row {
    role: String,
    email: String,
    password_hash: Option<String>,
    subject: Option<String>,
}

/// The roles of those who may change people and can log in: with a password, or at the single sign-on where they did before and it would let
/// them in. Who was only invited can not undo anything yet.
pub(crate) async fn able(on: &impl ConnectionTrait, tenant: TenantId) -> Result<Vec<Role>> {
    let provider = sign_on::provider(on, tenant, "").await?;
    let roles = Role::ALL.iter().filter(|role| role.may(Permission::Users)).map(|role| role.as_str());
    let rows =
        sql("SELECT u.role, u.email, u.password_hash, (SELECT MIN(i.subject) FROM sign_on_identity i \
         WHERE i.user_id = u.id AND i.tenant_id = u.tenant_id AND i.issuer = ?) AS subject \
         FROM app_user u WHERE u.tenant_id = ? AND u.active = ? AND u.role IN ?")
        .bind(provider.as_ref().map_or("", |provider| provider.issuer.as_str()))
        .bind(tenant.0)
        .bind(true)
        .list(roles)
        .all::<Row>(on)
        .await?;
    let mut able = Vec::new();
    for row in rows {
        let Ok(role) = row.role.parse::<Role>() else { continue };
        let signs_on = provider.as_ref().is_some_and(|provider| {
            row.subject.is_some() && provider.vouched_by.may_appoint(role) && provider.admits(&row.email)
        });
        if row.password_hash.is_some() || signs_on {
            able.push(role);
        }
    }
    Ok(able)
}

/// A role that somebody of it or above could give before, and nobody can afterwards.
pub(crate) fn lost(before: &[Role], after: &[Role]) -> Option<Role> {
    before.iter().copied().find(|role| !after.iter().any(|other| other.may_appoint(*role)))
}
