//! `undertone user`: what an operator does about the people of a tenant, when none of its administrators can.

use clap::{Args, Subcommand};
use undertone_core::Role;
use undertone_store::users::{Authority, Change, Filter, NewUser, Profile, User};
use undertone_store::{Act, Store, Tenant};

use super::admin::{ACTOR, say, tenant, with_store};
use crate::api::{secrets, users};
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::output::clean;

/// Invite people, and change what they may.
#[derive(Debug, Args)]
pub struct UserArguments {
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Debug, Subcommand)]
enum UserAction {
    /// List a tenant's people
    List {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Add somebody, and print the link that lets them set a password, once and within seven days
    Invite {
        #[command(flatten)]
        who: Who,
        /// Their role, such as supervisor, agent or analyst; docs/access.md lists them
        #[arg(long, value_parser = str::parse::<Role>)]
        role: Role,
        /// Their name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        belongs: Belongs,
    },
    /// Change what somebody may do, or what they belong to
    Change {
        #[command(flatten)]
        who: Who,
        /// What they may do from now on
        #[arg(long, value_parser = str::parse::<Role>)]
        role: Option<Role>,
        #[command(flatten)]
        belongs: Belongs,
        /// They are in no team any more
        #[arg(long, conflicts_with = "teams")]
        no_team: bool,
        /// They are no agent any more
        #[arg(long, conflicts_with = "agent")]
        no_agent: bool,
    },
    /// Print a new link to set a password with: an invitation, or for whoever has a password a reset, within a day
    Link(Who),
    /// Let somebody log in no more, at once
    Deactivate(Who),
    /// Let somebody log in again
    Activate(Who),
    /// End all sessions of somebody
    LogOut(Who),
    /// Remove the second factor of somebody who has lost it; their sessions end
    ResetSecondFactor(Who),
    /// Forget whom the single sign-on means by somebody; their sessions end
    UnlinkSignOn(Who),
}

#[derive(Debug, Args)]
struct Who {
    /// The tenant's short name
    slug: String,
    /// Their e-mail address
    email: String,
    #[command(flatten)]
    config: ConfigArguments,
}

#[derive(Debug, Args)]
struct Belongs {
    /// A team they are in, by the source's id; may be given several times. In place of those before
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<String>,
    /// The agent they are, by the source's id
    #[arg(long)]
    agent: Option<String>,
}

const BY: Authority<'static> = Authority::Operator;

/// Runs `undertone user`.
pub fn run(arguments: UserArguments) -> Result<Outcome, CliError> {
    match arguments.action {
        UserAction::List { slug, config } => with_store(&config, async |store| {
            list(&store, &tenant(&store, &slug).await?).await?;
            Ok(Outcome::Done)
        }),
        UserAction::Invite { who, role, name, belongs } => {
            let config = Config::load(&who.config, serde_json::json!({}))?;
            with_store(&who.config, async |store| {
                let tenant = tenant(&store, &who.slug).await?;
                let new = NewUser {
                    email: &who.email,
                    name: name.as_deref(),
                    role,
                    teams: &belongs.teams,
                    agent: belongs.agent.as_deref(),
                };
                let token = secrets::token();
                let act = Act::new(tenant.id, ACTOR);
                let made = store.invite_user(&act, BY, (&new, &token)).await?;
                tell_link(&made, &config, &token)
            })
        }
        UserAction::Change { who, role, belongs, no_team, no_agent } => {
            let change = Change {
                role,
                teams: (no_team || !belongs.teams.is_empty()).then_some(belongs.teams),
                agent: belongs.agent.map(Some).or(no_agent.then_some(None)),
                ..Change::default()
            };
            if change == Change::default() {
                return Err(CliError::Failed(
                    "say what to change: --role, --team, --no-team, --agent or --no-agent".to_owned(),
                ));
            }
            apply(&who, &change)
        }
        UserAction::Link(who) => {
            let config = Config::load(&who.config, serde_json::json!({}))?;
            with_store(&who.config, async |store| {
                let (tenant, id) = found(&store, &who).await?;
                let token = secrets::token();
                let act = Act::new(tenant.id, ACTOR);
                let with = store.issue_link(&act, BY, (&id, &token)).await?;
                tell_link(&with.ok_or_else(|| missing(&who))?, &config, &token)
            })
        }
        UserAction::Deactivate(who) => apply(&who, &Change { active: Some(false), ..Change::default() }),
        UserAction::Activate(who) => apply(&who, &Change { active: Some(true), ..Change::default() }),
        UserAction::ResetSecondFactor(who) => with_store(&who.config, async |store| {
            let (tenant, id) = found(&store, &who).await?;
            if !store.remove_second_factor(&Act::new(tenant.id, ACTOR), BY, &id).await? {
                return Err(CliError::Failed(format!("{} has no second factor", clean(&who.email))));
            }
            say("Removed. They log in with their password, and set up another where their role takes one.")?;
            Ok(Outcome::Done)
        }),
        UserAction::UnlinkSignOn(who) => with_store(&who.config, async |store| {
            let (tenant, id) = found(&store, &who).await?;
            if !store.unlink_sign_on(&Act::new(tenant.id, ACTOR), BY, &id).await? {
                return Err(CliError::Failed(format!("{} never signed on at a provider", clean(&who.email))));
            }
            say("Unlinked. The next who signs on with this address is this person.")?;
            Ok(Outcome::Done)
        }),
        UserAction::LogOut(who) => with_store(&who.config, async |store| {
            let (tenant, id) = found(&store, &who).await?;
            let ended = store.end_sessions(&Act::new(tenant.id, ACTOR), BY, &id).await?;
            say(&format!("Sessions ended: {}.", ended.unwrap_or_default()))?;
            Ok(Outcome::Done)
        }),
    }
}

async fn list(store: &Store, tenant: &Tenant) -> Result<(), CliError> {
    let mut after: Option<String> = None;
    loop {
        let filter = Filter { after: after.as_deref(), limit: 200, ..Filter::default() };
        let page = store.profiles(tenant.id, &filter).await?;
        for profile in &page {
            say(line(profile).trim_end())?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.user.id.clone());
    }
}

fn line(profile: &Profile) -> String {
    let user = &profile.user;
    let teams =
        if profile.teams.is_empty() { String::new() } else { format!("in {} ", profile.teams.join(", ")) };
    let agent = profile.agent.as_ref().map_or_else(String::new, |agent| format!("agent {agent}"));
    let belongs = clean(&format!("{teams}{agent}"));
    format!("{:<32} {:<16} {:<12} {belongs}", clean(&user.email), clean(&user.role), user.state().as_str())
}

async fn found(store: &Store, who: &Who) -> Result<(Tenant, String), CliError> {
    let tenant = tenant(store, &who.slug).await?;
    let user = person(store, &tenant, &who.email).await?;
    Ok((tenant, user.id))
}

/// Somebody of the tenant, by their address.
pub async fn person(store: &Store, tenant: &Tenant, email: &str) -> Result<User, CliError> {
    let user = store.user_by_email(email).await?.filter(|user| user.tenant_id == tenant.id.0);
    user.ok_or_else(|| nobody(&tenant.slug, email))
}

fn missing(who: &Who) -> CliError {
    nobody(&who.slug, &who.email)
}

fn nobody(slug: &str, email: &str) -> CliError {
    CliError::Failed(format!("{slug} has nobody with the address {email}; see: undertone user list {slug}"))
}

fn apply(who: &Who, change: &Change) -> Result<Outcome, CliError> {
    with_store(&who.config, async |store| {
        let (tenant, id) = found(&store, who).await?;
        let changed = store.change_user(&Act::new(tenant.id, ACTOR), BY, (&id, None), change).await?;
        say(line(&changed.ok_or_else(|| missing(who))?).trim_end())?;
        Ok(Outcome::Done)
    })
}

fn tell_link(profile: &Profile, config: &Config, token: &str) -> Result<Outcome, CliError> {
    let until = profile.link.as_ref().map(|link| link.expires_at.format("%Y-%m-%d %H:%M UTC").to_string());
    say(&users::address(&config.address(), token))?;
    say(&format!(
        "{} sets a password there, once, until {}.",
        clean(&profile.user.email),
        until.unwrap_or_default()
    ))?;
    if config.public_url.is_empty() {
        say(
            "The link begins with the address the service listens on; set public_url to the one people use.",
        )?;
    }
    Ok(Outcome::Done)
}
