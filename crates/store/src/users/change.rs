//! What administrators do about people: invite, change what they may and belong to, deactivate, log out.
//!
//! Changes to the people of one tenant happen one after the other: each locks the tenant's row first. So two administrators who remove
//! each other at the same moment can not both succeed, and who was demoted a moment ago appoints nobody any more.

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;
use undertone_core::{Permission, Role};

use super::links::{self, Purpose};
use super::{Profile, State, User, address, left, taken};
use crate::alerts;
use crate::audit::{self, Act};
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId, second_factor};

/// Teams one person belongs to at most.
const MOST_TEAMS: usize = 50;
/// Characters of a name at most.
const LONGEST_NAME: usize = 200;

/// By whose right it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority<'a> {
    /// The operator's, at the command line.
    Operator,
    /// A user's, with this id. What they may is read in the transaction itself.
    User(&'a str),
}

/// Somebody to invite.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    /// Their e-mail address.
    pub email: &'a str,
    /// Their name, 200 characters at most.
    pub name: Option<&'a str>,
    /// What they may do.
    pub role: Role,
    /// The source's ids of their teams, 50 at most.
    pub teams: &'a [String],
    /// The source's id of the agent they are.
    pub agent: Option<&'a str>,
}

/// What to change; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Their name; `Some(None)` removes it.
    pub name: Option<Option<String>>,
    /// What they may do.
    pub role: Option<Role>,
    /// The source's ids of all their teams.
    pub teams: Option<Vec<String>>,
    /// The source's id of the agent they are; `Some(None)`: they are none.
    pub agent: Option<Option<String>>,
    /// Whether they may log in.
    pub active: Option<bool>,
}

/// Somebody's right to change people, while the tenant's row is locked. `None` is the operator.
pub(crate) struct Right(Option<Role>);

impl Right {
    /// The role; the operator's right is that of an admin.
    pub(crate) fn role(&self) -> Role {
        self.0.unwrap_or(Role::Admin)
    }

    /// They may give this role to somebody, or change who has it.
    pub(crate) fn over(&self, role: &str) -> Result<()> {
        let Some(mine) = self.0 else { return Ok(()) };
        // A word that is no role of this version may be more than it looks.
        if role.parse().map_or(mine == Role::Admin, |role| mine.may_appoint(role)) {
            return Ok(());
        }
        Err(StoreError::NotAllowed(format!(
            "somebody in the role {} does not appoint, change or remove somebody in the role {role}",
            mine.as_str()
        )))
    }
}

impl Store {
    pub(crate) async fn right(
        &self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        by: Authority<'_>,
    ) -> Result<Right> {
        let locked = if for_update(self.backend()).is_empty() { "" } else { " FOR NO KEY UPDATE" };
        sql("SELECT id FROM tenant WHERE id = ?").bind(tenant.0).then(locked).value::<i64>(on).await?;
        let Authority::User(id) = by else { return Ok(Right(None)) };
        let role = sql("SELECT role FROM app_user WHERE id = ? AND tenant_id = ? AND active = ?")
            .bind(id)
            .bind(tenant.0)
            .bind(true)
            .value::<String>(on)
            .await?;
        let role = role.and_then(|role| role.parse::<Role>().ok()).filter(|role| role.may(Permission::Users));
        let told = || StoreError::NotAllowed("you may not change who works here any more".to_owned());
        role.map(|role| Right(Some(role))).ok_or_else(told)
    }

    /// Whether there is somebody of this id, over whom `by` has the right to change what they are; see [`Store::right`].
    pub(crate) async fn right_over(
        &self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        by: Authority<'_>,
        id: &str,
    ) -> Result<bool> {
        let right = self.right(on, tenant, by).await?;
        let role = sql("SELECT role FROM app_user WHERE id = ? AND tenant_id = ?")
            .bind(id)
            .bind(tenant.0)
            .value::<String>(on)
            .await?;
        role.map(|role| right.over(&role)).transpose().map(|over| over.is_some())
    }

    /// Adds somebody who may set a password with `token` within [`links::INVITED_FOR`].
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an address, name, team or agent that can not be used, [`StoreError::Conflict`] for an address that has
    /// an account or an agent who is somebody else, [`StoreError::NotAllowed`] where `by` does not appoint to that role.
    pub async fn invite_user(
        &self,
        act: &Act<'_>,
        by: Authority<'_>,
        (new, token): (&NewUser<'_>, &str),
    ) -> Result<Profile> {
        let email = address(new.email)?;
        let name = checked_name(new.name)?;
        let tx = self.begin().await?;
        self.right(&tx, act.tenant, by).await?.over(new.role.as_str())?;
        let at = self.now();
        let id = self.new_id(at);
        let added =
            sql("INSERT INTO app_user (id, tenant_id, email, name, role, active, created_at) VALUES ? \
             ON CONFLICT (email) DO NOTHING")
            .rows([[
                id.as_str().into(),
                act.tenant.0.into(),
                email.as_str().into(),
                name.into(),
                new.role.as_str().into(),
                true.into(),
                at.into(),
            ]])
            .run(&tx)
            .await?;
        if added == 0 {
            return Err(taken(&email));
        }
        set_teams(&tx, act.tenant, &id, new.teams).await?;
        set_agent(&tx, act.tenant, &id, new.agent).await?;
        links::issue(self, &tx, (act.tenant, &id), (Purpose::Invitation, token)).await?;
        let after = json!({"role": new.role.as_str(), "teams": new.teams, "agent": new.agent});
        audit::note(self, &tx, act, ("user_invited", &id), &json!({"before": null, "after": after})).await?;
        let made = self.profile_on(&tx, act.tenant, &id).await?;
        tx.commit().await?;
        made.ok_or_else(|| StoreError::Conflict("this user is gone".to_owned()))
    }

    /// Changes somebody, if `version` is still theirs (`None`: whatever it is); answers them as they are then, or nothing where the
    /// tenant has nobody with this id. Deactivating ends their sessions and links, and opens the alerts again that they looked after, as does a role that may not; another role
    /// gives their sessions new tokens.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for another version, for an agent who is somebody else, and where nobody would be left who could undo
    /// it; [`StoreError::Invalid`] for a name, team or agent that can not be used; [`StoreError::NotAllowed`] where `by` may not.
    pub async fn change_user(
        &self,
        act: &Act<'_>,
        by: Authority<'_>,
        (id, version): (&str, Option<i64>),
        change: &Change,
    ) -> Result<Option<Profile>> {
        let tx = self.begin().await?;
        let right = self.right(&tx, act.tenant, by).await?;
        let Some(before) = self.profile_on(&tx, act.tenant, id).await? else { return Ok(None) };
        let able = left::able(&tx, act.tenant).await?;
        right.over(&before.user.role)?;
        if let Some(role) = change.role {
            right.over(role.as_str())?;
        }
        if version.is_some_and(|version| version != before.user.version) {
            return Err(StoreError::Conflict(format!(
                "this user was changed meanwhile and has version {} now; load it again",
                before.user.version
            )));
        }
        if let Some(name) = &change.name {
            let name = checked_name(name.as_deref())?;
            sql("UPDATE app_user SET name = ? WHERE id = ?").bind(name).bind(id).run(&tx).await?;
        }
        if let Some(teams) = &change.teams {
            set_teams(&tx, act.tenant, id, teams).await?;
        }
        if let Some(agent) = &change.agent {
            set_agent(&tx, act.tenant, id, agent.as_deref()).await?;
        }
        if let Some(role) = change.role {
            sql("UPDATE app_user SET role = ? WHERE id = ?").bind(role.as_str()).bind(id).run(&tx).await?;
        }
        if let Some(active) = change.active {
            sql("UPDATE app_user SET active = ? WHERE id = ?").bind(active).bind(id).run(&tx).await?;
        }
        let after = self.profile_on(&tx, act.tenant, id).await?;
        let Some(after) = after else { return Ok(None) };
        if told(&before) == told(&after) {
            return Ok(Some(before));
        }
        if let Some(role) = left::lost(&able, &left::able(&tx, act.tenant).await?) {
            return Err(StoreError::Conflict(format!(
                "this is the last {} who can log in; appoint another first, and let them set their password",
                role.as_str()
            )));
        }
        if before.user.active && !after.user.active {
            sql("DELETE FROM session WHERE user_id = ?").bind(id).run(&tx).await?;
            sql("DELETE FROM user_link WHERE user_id = ?").bind(id).run(&tx).await?;
            sql("DELETE FROM login_step WHERE user_id = ?").bind(id).run(&tx).await?;
            second_factor::forget_unconfirmed(&tx, id).await?;
        } else if before.user.role != after.user.role {
            sql("UPDATE session SET rotate_at = ? WHERE user_id = ?")
                .bind(self.now())
                .bind(id)
                .run(&tx)
                .await?;
        }
        if let Some(why) = leaves_alerts(&before.user, &after.user) {
            alerts::leave(self, &tx, act, (id, why)).await?;
        }
        sql("UPDATE app_user SET version = version + 1 WHERE id = ?").bind(id).run(&tx).await?;
        let action = match change.active {
            Some(false) if before.user.active => "user_deactivated",
            Some(true) if !before.user.active => "user_activated",
            _ => "user_changed",
        };
        let payload = json!({"before": told(&before), "after": told(&after)});
        audit::note(self, &tx, act, (action, id), &payload).await?;
        let changed = self.profile_on(&tx, act.tenant, id).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Gives somebody another link to set a password with, in place of the one before: an invitation where they never logged in, else a
    /// reset, until which their password stays. Answers nothing where the tenant has nobody with this id.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for somebody who is deactivated, [`StoreError::NotAllowed`] where `by` may not.
    pub async fn issue_link(
        &self,
        act: &Act<'_>,
        by: Authority<'_>,
        (id, token): (&str, &str),
    ) -> Result<Option<Profile>> {
        let tx = self.begin().await?;
        let right = self.right(&tx, act.tenant, by).await?;
        let Some(before) = self.profile_on(&tx, act.tenant, id).await? else { return Ok(None) };
        right.over(&before.user.role)?;
        let (purpose, action) = match before.user.state() {
            State::Invited => (Purpose::Invitation, "user_invited"),
            State::Active => (Purpose::Reset, "password_reset_issued"),
            State::Deactivated => {
                return Err(StoreError::Conflict("this user is deactivated; activate them first".to_owned()));
            }
        };
        links::issue(self, &tx, (act.tenant, id), (purpose, token)).await?;
        audit::note(self, &tx, act, (action, id), &json!({})).await?;
        let with = self.profile_on(&tx, act.tenant, id).await?;
        tx.commit().await?;
        Ok(with)
    }

    /// Ends all sessions of somebody; answers how many there were, or nothing where the tenant has nobody with this id. Everybody may
    /// end their own.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] where `by` may not.
    pub async fn end_sessions(&self, act: &Act<'_>, by: Authority<'_>, id: &str) -> Result<Option<u64>> {
        let tx = self.begin().await?;
        let found = sql("SELECT role FROM app_user WHERE id = ? AND tenant_id = ?")
            .bind(id)
            .bind(act.tenant.0)
            .value::<String>(&tx)
            .await?;
        let Some(role) = found else { return Ok(None) };
        if by != Authority::User(id) {
            self.right(&tx, act.tenant, by).await?.over(&role)?;
        }
        let ended = sql("DELETE FROM session WHERE user_id = ?").bind(id).run(&tx).await?;
        audit::note(self, &tx, act, ("logged_out_everywhere", id), &json!({"sessions": ended})).await?;
        tx.commit().await?;
        Ok(Some(ended))
    }

    /// Puts another password in the place of one's own, if the one that `user` was read with still is the same. Ends all one's sessions
    /// and begins one with the tokens for the browser that asked; answers whether it did.
    pub async fn change_password(
        &self,
        act: &Act<'_>,
        (user, new_hash): (&User, &str),
        tokens: (&str, &str),
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let done = sql("UPDATE app_user SET password_hash = ? WHERE id = ? AND tenant_id = ? AND active = ? AND password_hash = ?")
            .bind(new_hash)
            .bind(&user.id)
            .bind(act.tenant.0)
            .bind(true)
            .bind(user.password_hash.as_deref())
            .run(&tx)
            .await?;
        if done == 0 {
            return Ok(false);
        }
        self.forget_ways_in(&tx, &user.id, &user.email).await?;
        super::sessions::insert(self, &tx, &user.id, tokens).await?;
        second_factor::carry_over(&tx, &user.id, tokens.0, self.now()).await?;
        audit::note(self, &tx, act, ("password_changed", &user.id), &json!({})).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Why the alerts that somebody looks after want somebody else from now on; `None`: they stay theirs.
fn leaves_alerts(before: &User, after: &User) -> Option<&'static str> {
    let may = |role: &str| role.parse::<Role>().is_ok_and(|role| role.may(Permission::Alerts));
    if before.active && !after.active {
        Some("whoever looked after it was deactivated")
    } else if may(&before.role) && !may(&after.role) {
        Some("whoever looked after it looks after alerts no more, in another role")
    } else {
        None
    }
}

/// What the audit log is told of somebody.
fn told(profile: &Profile) -> serde_json::Value {
    json!({
        "name": profile.user.name,
        "role": profile.user.role,
        "teams": profile.teams,
        "agent": profile.agent,
        "active": profile.user.active,
    })
}

fn checked_name(name: Option<&str>) -> Result<Option<String>> {
    let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else { return Ok(None) };
    if name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(StoreError::Invalid(format!(
            "a name has {LONGEST_NAME} characters at most, and no control characters"
        )));
    }
    Ok(Some(name.to_owned()))
}

#[derive(FromQueryResult)]
struct Known {
    id: String,
    external_id: String,
}

async fn set_teams(on: &impl ConnectionTrait, tenant: TenantId, user: &str, teams: &[String]) -> Result<()> {
    if teams.len() > MOST_TEAMS {
        return Err(StoreError::Invalid(format!("one person belongs to {MOST_TEAMS} teams at most")));
    }
    let known = sql("SELECT id, external_id FROM team WHERE tenant_id = ? AND external_id IN ?")
        .bind(tenant.0)
        .list(teams.iter().map(String::as_str))
        .all::<Known>(on)
        .await?;
    if let Some(missing) = teams.iter().find(|team| known.iter().all(|known| known.external_id != **team)) {
        return Err(StoreError::Invalid(format!(
            "there is no team “{missing}”; make it first, with PUT /api/v1/teams/{missing}"
        )));
    }
    sql("DELETE FROM user_team WHERE tenant_id = ? AND user_id = ?")
        .bind(tenant.0)
        .bind(user)
        .run(on)
        .await?;
    if !known.is_empty() {
        let rows = known.iter().map(|team| [tenant.0.into(), user.into(), team.id.as_str().into()]);
        sql("INSERT INTO user_team (tenant_id, user_id, team_id) VALUES ?").rows(rows).run(on).await?;
    }
    Ok(())
}

async fn set_agent(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    user: &str,
    agent: Option<&str>,
) -> Result<()> {
    sql("UPDATE agent SET user_id = NULL WHERE tenant_id = ? AND user_id = ?")
        .bind(tenant.0)
        .bind(user)
        .run(on)
        .await?;
    let Some(agent) = agent else { return Ok(()) };
    let linked =
        sql("UPDATE agent SET user_id = ? WHERE tenant_id = ? AND external_id = ? AND user_id IS NULL")
            .bind(user)
            .bind(tenant.0)
            .bind(agent)
            .run(on)
            .await?;
    if linked > 0 {
        return Ok(());
    }
    let known = sql("SELECT id FROM agent WHERE tenant_id = ? AND external_id = ?")
        .bind(tenant.0)
        .bind(agent)
        .value::<String>(on)
        .await?;
    Err(match known {
        Some(_) => StoreError::Conflict(format!("the agent “{agent}” is somebody else already")),
        None => StoreError::Invalid(format!(
            "there is no agent “{agent}”; make it first, with PUT /api/v1/agents/{agent}"
        )),
    })
}
