//! People who log in: who they are, and what they belong to. [`change`] invites them and changes what they may, [`links`] lets them set a
//! password, [`sessions`] keeps them logged in, [`logins`] holds up whoever guesses.

pub mod change;
pub(crate) mod left;
pub mod links;
pub mod logins;
pub mod sessions;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;
use undertone_core::Role;

use crate::audit::{self, Act};
use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId, second_factor};

pub use change::{Authority, Change, NewUser};
pub use links::{Link, Purpose};
pub use logins::{Attempt, BROWSER_KNOWN_FOR, Guesser};
pub use sessions::{ROTATE_AFTER, SESSION_IDLE, SESSION_MAX, Session};

/// A person who may log in.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct User {
    /// Their id.
    pub id: String,
    /// The tenant they belong to.
    pub tenant_id: i64,
    /// Their e-mail address, in lower case. One account has it, whatever the tenant.
    pub email: String,
    /// Their name.
    pub name: Option<String>,
    /// What they may do, as the word of a [`Role`].
    pub role: String,
    /// Their password's hash, in PHC form; none until they set one.
    pub password_hash: Option<String>,
    /// They may log in.
    pub active: bool,
    /// Moves with each change that an administrator makes.
    pub version: i64,
    /// When they were invited.
    pub created_at: DateTime<Utc>,
    /// When they last logged in.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// How it stands with a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They log in.
    Active,
    /// They may, and never did.
    Invited,
    /// They may not.
    Deactivated,
}

impl State {
    /// The word in the API and in commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Invited => "invited",
            Self::Deactivated => "deactivated",
        }
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(word: &str) -> std::result::Result<Self, String> {
        [Self::Active, Self::Invited, Self::Deactivated]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| format!("“{word}” is none of active, invited, deactivated"))
    }
}

impl User {
    /// How it stands with them.
    #[must_use]
    pub fn state(&self) -> State {
        match (self.active, self.password_hash.is_some() || self.last_login_at.is_some()) {
            (false, _) => State::Deactivated,
            (true, true) => State::Active,
            (true, false) => State::Invited,
        }
    }
}

/// A person with what they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The person.
    pub user: User,
    /// The source's ids of their teams, in order.
    pub teams: Vec<String>,
    /// The source's id of the agent they are.
    pub agent: Option<String>,
    /// The link that lets them set a password, where one is open.
    pub link: Option<Link>,
}

/// Which people to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// In this state only.
    pub state: Option<State>,
    /// In this role only.
    pub role: Option<Role>,
    /// In the team with this id of the source only.
    pub team: Option<&'a str>,
    /// Those after this id.
    pub after: Option<&'a str>,
    /// So many at most.
    pub limit: u64,
}

const COLUMNS: &str = "SELECT id, tenant_id, email, name, role, password_hash, active, version, created_at, last_login_at FROM app_user ";

/// The address as it is kept.
///
/// # Errors
/// [`StoreError::Invalid`] for what is none.
pub(crate) fn address(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let is_one = email.len() <= 320
        && email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && !email.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_one { Ok(email) } else { Err(StoreError::Invalid(format!("“{email}” is no e-mail address"))) }
}

/// Why an address can not be had. It says no more than that: whose it is, is not this tenant's business.
fn taken(email: &str) -> StoreError {
    StoreError::Conflict(format!("{email} has an account of its own already; take another address"))
}

impl Store {
    /// Makes a user with a password, or gives one of the same tenant another password, which ends their sessions. Their role stays.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an address that is none, [`StoreError::Conflict`] when it has an account in another tenant.
    pub async fn save_user(
        &self,
        act: &Act<'_>,
        email: &str,
        role: &str,
        password_hash: &str,
    ) -> Result<String> {
        let email = address(email)?;
        let tx = self.begin().await?;
        let at = self.now();
        let saved = sql(
            "INSERT INTO app_user (id, tenant_id, email, role, password_hash, active, created_at) VALUES ? \
             ON CONFLICT (email) DO UPDATE SET password_hash = excluded.password_hash \
             WHERE app_user.tenant_id = excluded.tenant_id RETURNING id",
        )
        .rows([[
            self.new_id(at).into(),
            act.tenant.0.into(),
            email.as_str().into(),
            role.into(),
            password_hash.into(),
            true.into(),
            at.into(),
        ]])
        .value::<String>(&tx)
        .await?;
        let Some(id) = saved else { return Err(taken(&email)) };
        self.forget_ways_in(&tx, &id, &email).await?;
        audit::note(self, &tx, act, ("user_saved", &id), &json!({"role": role})).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Ends what an earlier password opened: sessions, an open link, known browsers, a second factor that is only half set up, and what was
    /// counted against the address.
    async fn forget_ways_in(&self, on: &impl ConnectionTrait, id: &str, email: &str) -> Result<()> {
        sql("DELETE FROM session WHERE user_id = ?").bind(id).run(on).await?;
        sql("DELETE FROM user_link WHERE user_id = ?").bind(id).run(on).await?;
        sql("DELETE FROM login_step WHERE user_id = ?").bind(id).run(on).await?;
        sql("DELETE FROM known_browser WHERE user_id = ?").bind(id).run(on).await?;
        second_factor::forget_unconfirmed(on, id).await?;
        logins::forgive(on, Guesser::Inside(id), self.now()).await?;
        logins::forgive(on, email.into(), self.now()).await
    }

    /// The user with this address, whatever the case of its letters.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        sql(COLUMNS).then("WHERE email = ?").bind(email.trim().to_lowercase()).one(&self.reader).await
    }

    /// The user of this tenant with this id.
    pub async fn user(&self, tenant: TenantId, id: &str) -> Result<Option<User>> {
        sql(COLUMNS).then("WHERE id = ? AND tenant_id = ?").bind(id).bind(tenant.0).one(&self.reader).await
    }

    /// All users of a tenant.
    pub async fn users(&self, tenant: TenantId) -> Result<Vec<User>> {
        sql(COLUMNS).then("WHERE tenant_id = ? ORDER BY id").bind(tenant.0).all(&self.reader).await
    }

    /// A page of a tenant's people, in the order they were invited in.
    pub async fn profiles(&self, tenant: TenantId, filter: &Filter<'_>) -> Result<Vec<Profile>> {
        let mut wanted = sql(COLUMNS)
            .then("WHERE tenant_id = ? AND id > ?")
            .bind(tenant.0)
            .bind(filter.after.unwrap_or_default());
        wanted = match filter.state {
            None => wanted,
            Some(State::Deactivated) => wanted.then(" AND active = ?").bind(false),
            Some(State::Invited) => {
                wanted.then(" AND active = ? AND password_hash IS NULL AND last_login_at IS NULL").bind(true)
            }
            Some(State::Active) => wanted
                .then(" AND active = ? AND (password_hash IS NOT NULL OR last_login_at IS NOT NULL)")
                .bind(true),
        };
        if let Some(role) = filter.role {
            wanted = wanted.then(" AND role = ?").bind(role.as_str());
        }
        if let Some(team) = filter.team {
            wanted = wanted
                .then(" AND id IN (SELECT m.user_id FROM user_team m JOIN team t ON t.tenant_id = m.tenant_id AND t.id = m.team_id \
                      WHERE t.tenant_id = ? AND t.external_id = ?)")
                .bind(tenant.0)
                .bind(team);
        }
        let users = wanted.then(" ORDER BY id LIMIT ?").bind(filter.limit as i64).all(&self.reader).await?;
        self.with_memberships(&self.reader, tenant, users).await
    }

    /// The person with this id.
    pub async fn profile(&self, tenant: TenantId, id: &str) -> Result<Option<Profile>> {
        self.profile_on(&self.reader, tenant, id).await
    }

    async fn profile_on(
        &self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Profile>> {
        let user: Option<User> =
            sql(COLUMNS).then("WHERE id = ? AND tenant_id = ?").bind(id).bind(tenant.0).one(on).await?;
        let profiles = self.with_memberships(on, tenant, user.into_iter().collect()).await?;
        Ok(profiles.into_iter().next())
    }

    async fn with_memberships(
        &self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        users: Vec<User>,
    ) -> Result<Vec<Profile>> {
        #[derive(FromQueryResult)]
        struct Belongs {
            user_id: String,
            external_id: String,
        }
        let ids = || users.iter().map(|user| user.id.as_str());
        let teams = sql("SELECT m.user_id, t.external_id FROM user_team m JOIN team t ON t.tenant_id = m.tenant_id AND t.id = m.team_id \
             WHERE m.tenant_id = ? AND m.user_id IN ? ORDER BY t.external_id")
        .bind(tenant.0)
        .list(ids())
        .all::<Belongs>(on)
        .await?;
        let agents = sql("SELECT user_id, external_id FROM agent WHERE tenant_id = ? AND user_id IN ?")
            .bind(tenant.0)
            .list(ids())
            .all::<Belongs>(on)
            .await?;
        let links = links::open(on, self.now(), ids()).await?;
        let mut teams_of: HashMap<String, Vec<String>> = HashMap::new();
        for team in teams {
            teams_of.entry(team.user_id).or_default().push(team.external_id);
        }
        let mut agent_of: HashMap<String, String> =
            agents.into_iter().map(|agent| (agent.user_id, agent.external_id)).collect();
        let mut link_of: HashMap<String, Link> =
            links.into_iter().map(|link| (link.user_id.clone(), link)).collect();
        let with = |user: User| Profile {
            teams: teams_of.remove(&user.id).unwrap_or_default(),
            agent: agent_of.remove(&user.id),
            link: link_of.remove(&user.id),
            user,
        };
        Ok(users.into_iter().map(with).collect())
    }
}
