//! `undertone apply` and `undertone export`: settings of alerts and destinations as a file.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use undertone_store::secrets::{KeyError, Secret};
use undertone_store::{Store, Tenant};

use super::admin::{ACTOR, say, tenant, with_store, yes};
use super::service::opened;
use crate::config::{Config, ConfigArguments};
use crate::configuration::{Asked, Ground, Means, NoPlan, Plan, Wrong, export};
use crate::error::{CliError, Outcome};
use crate::output::clean;
use crate::secrets::Given;
use crate::tell;

/// A file that is longer is none of ours, in bytes.
const LONGEST: u64 = 1_000_000;

/// Bring settings of alerts and destinations to what a file says.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone export acme > alerts.yaml              what is there, as a file
  undertone apply acme alerts.yaml --plan          what the file would change; changes nothing
  undertone apply acme alerts.yaml                 the same, and then asks whether to do it
  undertone apply acme alerts.yaml --yes --prune   does it without asking, and removes destinations that are not in the file

What the file leaves out stays as it is. All of it is changed, or nothing. Keys, and addresses of Slack and Teams, stand in no file: write ${env:NAME} for a variable of the environment, or file:PATH, relative to the file.

Exit status: 0 done, or there is nothing to do; 1 it failed, and nothing was changed; 2 wrong usage.")]
pub struct ApplyArguments {
    /// The tenant's short name
    slug: String,
    /// The file, in YAML; - reads standard input
    file: PathBuf,
    /// Only tell what would be changed
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Remove destinations that are not in the file
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Write settings of alerts and destinations as a file.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The tenant's short name
    slug: String,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Runs `undertone export`.
pub fn run_export(arguments: &ExportArguments) -> Result<Outcome, CliError> {
    with_store(&arguments.config, async |store| {
        let tenant = tenant(&store, &arguments.slug).await?;
        let settings = store.module(tenant.id).await?.settings;
        let destinations = store.destinations(tenant.id).await?;
        let users = store.users(tenant.id).await?;
        write!(anstream::stdout(), "{}", export(&tenant, &settings, &destinations, &users))?;
        Ok(Outcome::Done)
    })
}

/// Runs `undertone apply`.
pub fn run_apply(arguments: &ApplyArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    let given = Given::to_this_process(&config)?;
    let text = read(&arguments.file)?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenant = tenant(&store, &arguments.slug).await?;
        let ground = Ground {
            store: &store,
            tenant: &tenant,
            keyring: &given.keyring,
            allowed: config.allowed_networks.networks(),
            prune: arguments.prune,
        };
        let plan = planned(&text, &arguments.file, &ground).await?;
        for line in plan.told().lines() {
            tell(line)?;
        }
        if plan.is_empty() {
            say(&format!("{} is as the file says; nothing to change.", tenant.slug))?;
            return Ok(Outcome::Done);
        }
        if arguments.plan {
            say("Nothing was changed.")?;
            return Ok(Outcome::Done);
        }
        if !arguments.yes && !agreed(&arguments.file)? {
            say("Nothing was changed.")?;
            return Ok(Outcome::Done);
        }
        apply(plan, &ground, &store, &tenant).await
    })
}

async fn apply(plan: Plan, ground: &Ground<'_>, store: &Store, tenant: &Tenant) -> Result<Outcome, CliError> {
    let keys = plan.apply(ground, ACTOR).await.map_err(|error| match error {
        KeyError::Store(error) => error.into(),
        other => CliError::Failed(other.to_string()),
    })?;
    say("Done.")?;
    for (name, key) in keys {
        say(&format!("“{}” signs with {key}, which is told this once.", clean(&name)))?;
    }
    let settings = store.module(tenant.id).await?.settings;
    if let Some(why) = store.nobody_hears(tenant.id, &settings).await? {
        say(&format!("But {why}."))?;
    }
    if let Some(why) = tell::nobody_sees(store, tenant.id, &settings).await? {
        say(&format!("But {why}."))?;
    }
    Ok(Outcome::Done)
}

async fn planned(text: &str, file: &Path, ground: &Ground<'_>) -> Result<Plan, CliError> {
    let users = ground.store.users(ground.tenant.id).await?;
    let environment = |name: &str| {
        let value = std::env::var_os(name)?;
        Some(Secret::new(value.into_string().unwrap_or_else(|other| other.to_string_lossy().into_owned())))
    };
    let means = Means {
        beside: if file == Path::new("-") { Path::new("") } else { file.parent().unwrap_or(Path::new("")) },
        environment: &environment,
        allowed: ground.allowed,
        users: &users,
    };
    let asked = Asked::read(text, &means).map_err(|wrong| refused(file, &wrong))?;
    Plan::make(asked, ground).await.map_err(|why| match why {
        NoPlan::Wrong(wrong) => refused(file, &wrong),
        NoPlan::Store(error) => error.into(),
    })
}

fn refused(file: &Path, wrong: &[Wrong]) -> CliError {
    let lines: Vec<String> = wrong.iter().map(|wrong| format!("  {wrong}")).collect();
    CliError::Failed(format!(
        "{} can not be applied, and nothing was changed:\n{}",
        file.display(),
        lines.join("\n")
    ))
}

fn read(file: &Path) -> Result<String, CliError> {
    let failed = |told: String| CliError::Failed(format!("{}: {told}", file.display()));
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(|e| failed(format!("it can not be opened: {e}")))?)
    };
    let mut text = String::new();
    let read = reader.take(LONGEST + 1).read_to_string(&mut text);
    let length = read.map_err(|e| failed(format!("it can not be read: {e}")))?;
    if length as u64 > LONGEST {
        return Err(failed(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// Whether a person agrees; where nobody can be asked, they say so with a flag.
fn agreed(file: &Path) -> Result<bool, CliError> {
    if file == Path::new("-") || !std::io::stdin().is_terminal() {
        let told = "nobody can be asked here, and nothing was changed; add --yes to change it, or --plan to only look";
        return Err(CliError::Failed(told.to_owned()));
    }
    yes("Change this?")
}

/// A line of the plan, with its indent.
fn tell(line: &str) -> Result<(), CliError> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    say(&format!("{}{}", &line[..indent], clean(line)))
}
