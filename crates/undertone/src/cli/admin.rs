//! `undertone tenant`, `module`, `migrate` and `config`: what an operator does at the command line.

use std::io::{IsTerminal, Read, Write};

use chrono_tz::Tz;
use clap::{Args, Subcommand};
use undertone_core::visibility::{Choice, Policy};
use undertone_core::{Role, Settings};
use undertone_store::modules::Module;
use undertone_store::tenants::NewTenant;
use undertone_store::users::{Authority, Change};
use undertone_store::{Act, Store, Tenant};

use super::default_model;
use super::secrets::with_keys;
use super::service::opened;
use crate::api::secrets;
use crate::config::{Config, ConfigArguments, DEFAULT};
use crate::error::{CliError, Outcome};
use crate::llm::provider::{ModelSource, model_of};
use crate::output::clean;
use crate::secrets::Given;

/// Who did it, in the audit log.
pub const ACTOR: &str = "command line";

/// Make and list tenants and the people who log in to them.
#[derive(Debug, Args)]
pub struct TenantArguments {
    #[command(subcommand)]
    action: TenantAction,
}

#[derive(Debug, Subcommand)]
enum TenantAction {
    /// Make a tenant, with the module active
    Create {
        /// Its short name: a-z, 0-9 and -
        slug: String,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        /// Where its days begin, such as Europe/Berlin
        #[arg(long, default_value = "UTC")]
        zone: Tz,
        #[arg(long, value_name = "POLICY", value_parser = str::parse::<Policy>, help = "Who sees single scores: full_transparency, \
            supervisor_overlay, post_conversation, aggregate_only or threshold_rules. Asked for on a terminal; else full_transparency")]
        visibility: Option<Policy>,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// List the tenants
    List {
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Change where a tenant's days begin; what was counted is moved by the service
    Zone {
        /// The tenant's short name
        slug: String,
        /// Such as Europe/Berlin
        zone: Tz,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Tell or change the model that an LLM is asked for where the module has none of its own (the setting model)
    Model {
        /// The tenant's short name
        slug: String,
        /// The model, as its provider has it, such as claude-haiku-5-5; left out, it is only told
        model: Option<String>,
        /// Take the default away: the provider's that is built in holds
        #[arg(long, conflicts_with = "model")]
        none: bool,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Let somebody log in, or give them another password
    User {
        /// The tenant's short name
        slug: String,
        /// Their e-mail address
        email: String,
        /// Their role, such as supervisor, agent or analyst; docs/access.md lists them. Without it somebody new runs the tenant, and others
        /// stay what they are
        #[arg(long, value_parser = str::parse::<Role>)]
        role: Option<Role>,
        /// Read the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Switch the module on and off for a tenant.
#[derive(Debug, Args)]
pub struct ModuleArguments {
    #[command(subcommand)]
    action: ModuleAction,
}

#[derive(Debug, Subcommand)]
enum ModuleAction {
    /// Score what arrives from now on
    Activate(ModuleOf),
    /// Score nothing new; history and pages stay
    Deactivate(ModuleOf),
    /// Tell whether it is active, since when, and what is set
    Status(ModuleOf),
}

#[derive(Debug, Args)]
struct ModuleOf {
    /// The tenant's short name
    slug: String,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Show or check the configuration.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Print what is in force, without secrets
    Show {
        /// Print the commented default instead
        #[arg(long)]
        default: bool,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Say whether it can be used, and whether the database answers
    Check {
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Bring the database's tables up to this program's version.
#[derive(Debug, Args)]
pub struct MigrateArguments {
    #[command(flatten)]
    config: ConfigArguments,
}

/// Runs `act` on the database of the configuration.
pub fn with_store<F>(flags: &ConfigArguments, act: impl FnOnce(Store) -> F) -> Result<Outcome, CliError>
where
    F: Future<Output = Result<Outcome, CliError>>,
{
    let config = Config::load(flags, serde_json::json!({}))?;
    super::in_runtime(async { act(opened(&config).await?).await })
}

/// The tenant with this short name.
pub async fn tenant(store: &Store, slug: &str) -> Result<Tenant, CliError> {
    store
        .tenant_by_slug(slug)
        .await?
        .ok_or_else(|| CliError::Failed(format!("there is no tenant “{slug}”; see: undertone tenant list")))
}

/// Prints a line.
pub fn say(text: &str) -> Result<(), CliError> {
    writeln!(anstream::stdout(), "{text}")?;
    Ok(())
}

/// Whether a person says yes to a question; no is what they say with anything else.
pub fn yes(question: &str) -> Result<bool, CliError> {
    let mut out = anstream::stdout();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Runs `undertone tenant`.
pub fn run_tenant(arguments: TenantArguments) -> Result<Outcome, CliError> {
    match arguments.action {
        TenantAction::Create { slug, name, zone, visibility, config } => with_store(&config, async |store| {
            let new = NewTenant { slug: &slug, name: name.as_deref().unwrap_or(&slug), zone, actor: ACTOR };
            let chosen = match visibility {
                None if std::io::stdin().is_terminal() => Some(ask_who_sees()?),
                given => given,
            };
            let settings = chosen.map_or_else(
                || serde_json::json!({}),
                |policy| serde_json::json!({"visibility": {"policy": policy}}),
            );
            let policy = chosen.unwrap_or(Choice::default().policy);
            let made = store.create_tenant_with(&new, &settings).await?;
            say(&format!("Tenant {} made; its days are those of {}.", made.slug, made.zone))?;
            say(&format!(
                "Visibility: {}, {}; the setting `visibility` changes it.",
                policy.as_str(),
                policy.meaning()
            ))?;
            say(&format!(
                "Next: undertone key create {slug} --scope ingest --scope read, undertone tenant user {slug} you@example.com"
            ))?;
            Ok(Outcome::Done)
        }),
        TenantAction::List { config } => with_store(&config, async |store| {
            for tenant in store.tenants().await? {
                say(&format!("{:<20} {:<24} {}", tenant.slug, tenant.zone.name(), tenant.name))?;
            }
            Ok(Outcome::Done)
        }),
        TenantAction::Zone { slug, zone, config } => with_store(&config, async |store| {
            let tenant = tenant(&store, &slug).await?;
            store.set_zone(&Act::new(tenant.id, ACTOR), zone).await?;
            let mut pieces = 0;
            while store.move_days(tenant.id).await? {
                pieces += 1;
                tracing::debug!(pieces, "days moved");
            }
            say(&format!("Days of {slug} are those of {zone} now, and everything counted was moved."))?;
            Ok(Outcome::Done)
        }),
        TenantAction::Model { slug, model, none, config } => with_keys(&config, async |store, keys| {
            let tenant = tenant(&store, &slug).await?;
            let mut unchecked = None;
            if none || model.is_some() {
                unchecked = default_model::check(&store, &keys, tenant.id, model.as_deref()).await?;
                store.set_default_model(&Act::new(tenant.id, ACTOR), model.as_deref()).await?;
            }
            say(&told_model(&store.module(tenant.id).await?))?;
            unchecked.iter().try_for_each(|told| say(told))?;
            Ok(Outcome::Done)
        }),
        TenantAction::User { slug, email, role, password_stdin, config } => {
            with_store(&config, async |store| {
                let tenant = tenant(&store, &slug).await?;
                let password = if password_stdin { given_password(&email)? } else { secrets::password() };
                let hash = secrets::hash_password(&password)?;
                let act = Act::new(tenant.id, ACTOR);
                let id =
                    store.save_user(&act, &email, role.unwrap_or(Role::TenantAdmin).as_str(), &hash).await?;
                if role.is_some() {
                    let change = Change { role, ..Change::default() };
                    store.change_user(&act, Authority::Operator, (&id, None), &change).await?;
                }
                if !password_stdin {
                    say(&format!("{email} logs in with the password {password}"))?;
                }
                Ok(Outcome::Done)
            })
        }
    }
}

/// Which model an LLM is asked for, and who chose it.
fn told_model(module: &Module) -> String {
    let Some((model, source)) = model_of(module) else {
        return "No model is chosen, and openai has none of its own.".to_owned();
    };
    let asked = format!("An LLM is asked for {}, {}.", clean(model), source.words());
    match module.default_model.as_deref().filter(|_| source == ModelSource::Module) {
        Some(default) => format!("{asked} The tenant's default is {}.", clean(default)),
        None => asked,
    }
}

/// Asks on the terminal who sees single scores: deliberately, not by default.
fn ask_who_sees() -> Result<Policy, CliError> {
    let default = Choice::default().policy;
    let mut out = anstream::stderr();
    writeln!(out, "Who sees single scores?")?;
    for (number, policy) in Policy::ALL.iter().enumerate() {
        writeln!(out, "  {}  {:<20} {}", number + 1, policy.as_str(), policy.meaning())?;
    }
    loop {
        write!(out, "A number or a word; Enter for {}: ", default.as_str())?;
        out.flush()?;
        let mut answer = String::new();
        let ended = std::io::stdin().read_line(&mut answer)? == 0;
        let answer = answer.trim();
        if ended {
            return Err(CliError::Failed(
                "nothing was chosen, and no tenant made; give --visibility".to_owned(),
            ));
        }
        if answer.is_empty() {
            return Ok(default);
        }
        let by_number =
            answer.parse::<usize>().ok().and_then(|n| Policy::ALL.get(n.checked_sub(1)?).copied());
        match by_number.map_or_else(|| answer.parse(), Ok) {
            Ok(policy) => return Ok(policy),
            Err(told) => writeln!(out, "{told}")?,
        }
    }
}

fn given_password(email: &str) -> Result<String, CliError> {
    if std::io::stdin().is_terminal() {
        return Err(CliError::Failed(
            "give the password on standard input, such as: … --password-stdin < file".to_owned(),
        ));
    }
    let mut password = String::new();
    std::io::stdin().take(4096).read_to_string(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    undertone_core::password::check(password, email)
        .map_err(|refused| CliError::Failed(refused.to_string()))?;
    Ok(password.to_owned())
}

/// Runs `undertone module`.
pub fn run_module(arguments: ModuleArguments) -> Result<Outcome, CliError> {
    let (of, wanted) = match arguments.action {
        ModuleAction::Activate(of) => (of, Some(true)),
        ModuleAction::Deactivate(of) => (of, Some(false)),
        ModuleAction::Status(of) => (of, None),
    };
    with_store(&of.config, async |store| {
        let tenant = tenant(&store, &of.slug).await?;
        let act = Act::new(tenant.id, ACTOR);
        if let Some(active) = wanted {
            let changed = store.set_module_active(&act, active).await?;
            let word = if active { "active" } else { "inactive" };
            say(&format!("{} is {word}{}.", of.slug, if changed { "" } else { " already" }))?;
            return Ok(Outcome::Done);
        }
        let module = store.module(tenant.id).await?;
        say(if module.active { "active" } else { "inactive" })?;
        for period in store.module_periods(tenant.id).await? {
            let day = |at: chrono::DateTime<chrono::Utc>| {
                at.with_timezone(&tenant.zone).format("%Y-%m-%d %H:%M").to_string()
            };
            let end = period.deactivated_at.map_or_else(|| "now".to_owned(), day);
            say(&format!(
                "  {} to {end}, {:.2} USD a month",
                day(period.activated_at),
                period.monthly_price_cents as f64 / 100.0
            ))?;
        }
        let changed = serde_json::json!(module.chosen());
        let default = serde_json::json!(Settings::default());
        for key in Settings::KEYS.into_iter().filter(|key| changed[*key] != default[*key]) {
            say(&format!("  {key} = {}", changed[key]))?;
        }
        Ok(Outcome::Done)
    })
}

/// Runs `undertone config`.
pub fn run_config(arguments: ConfigCommand) -> Result<Outcome, CliError> {
    match arguments.action {
        ConfigAction::Show { default: true, .. } => write!(anstream::stdout(), "{DEFAULT}")?,
        ConfigAction::Show { config, .. } => {
            let config = Config::load(&config, serde_json::json!({}))?.without_secrets();
            let shown = serde_json::json!(config);
            for name in crate::config::NAMES {
                let value = if shown[name].is_null() { serde_json::json!("") } else { shown[name].clone() };
                say(&format!("{name} = {value}"))?;
            }
        }
        ConfigAction::Check { config } => {
            let config = Config::load(&config, serde_json::json!({}))?;
            let prices = crate::prices::load(&config)?;
            super::in_runtime(async {
                let store = crate::app::open_store(&config).await?;
                store.ping().await?;
                let pending = store.pending_migrations().await?;
                let given = Given::to_this_process(&config)?;
                say(&format!("The configuration can be used; {} answers.", store.engine()))?;
                say(&given.told())?;
                let own = prices.all().filter(|listed| !listed.built_in).count();
                if own > 0 {
                    say(&format!(
                        "Prices of LLMs from {}: {own}.",
                        crate::output::clean(&config.prices_file.display().to_string())
                    ))?;
                }
                if !pending.is_empty() {
                    say(&format!(
                        "Migrations to come, at the next start or with undertone migrate: {}",
                        pending.join(", ")
                    ))?;
                }
                Ok(())
            })?;
        }
    }
    Ok(Outcome::Done)
}

/// Runs `undertone migrate`.
pub fn run_migrate(arguments: &MigrateArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = crate::app::open_store(&config).await?;
        let taken = store.migrate().await?;
        match taken.as_slice() {
            [] => say("Up to date; nothing to do.")?,
            taken => say(&format!("Applied: {}", taken.join(", ")))?,
        }
        Ok(Outcome::Done)
    })
}
