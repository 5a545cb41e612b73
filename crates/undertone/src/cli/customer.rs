//! `undertone customer`: the rights of one customer, at the command line. `undertone retention`: what the clocks remove.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures::StreamExt;
use undertone_store::privacy::erase::{Erasure, Whom};
use undertone_store::privacy::retention::Clocks;
use undertone_store::privacy::tombstone::{Replayed, Tombstone};
use undertone_store::{Act, Store, Tenant};

use super::admin::{ACTOR, tenant as find_tenant};
use super::service::opened;
use crate::config::{Config, ConfigArguments};
use crate::customer_copy::{CustomerCopy, Format};
use crate::error::{CliError, Outcome};
use crate::output::clean;
use crate::pipeline::keeper;

/// Erase a customer, give out what is held of one, place one under legal hold.
#[derive(Debug, Args)]
pub struct CustomerArguments {
    #[command(subcommand)]
    action: Action,
}

/// Whom it is about.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// Their id, ours or their source's
    #[arg(long)]
    id: Option<String>,
    /// Their e-mail address: everybody who has it
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Their phone number: everybody who has it
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Remove everything that is held of a customer, and print the receipt
    Erase {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Write everything that is held of a customer, for the customer
    Export {
        /// The tenant's short name
        slug: String,
        /// Their id, ours or their source's
        id: String,
        /// JSON for programs, Markdown for people
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
        /// Where to write it, instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Keep everything of a customer, whatever the clocks and requests say
    Hold {
        /// The tenant's short name
        slug: String,
        /// Their id, ours or their source's
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Lift the hold of a customer
    Release {
        /// The tenant's short name
        slug: String,
        /// Their id, ours or their source's
        id: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Write the list of erased customers, to be kept beside backups; it names nobody
    Tombstones {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// After a backup was restored: erase again whom this list names
    Replay {
        /// The tenant's short name
        slug: String,
        /// What `undertone customer tombstones` wrote
        file: PathBuf,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Remove what was kept long enough; the service does this once a day.
#[derive(Debug, Args)]
pub struct RetentionArguments {
    /// Only this tenant
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

fn load(arguments: &ConfigArguments) -> Result<Config, CliError> {
    Config::load(arguments, serde_json::json!({}))
}

/// Runs `undertone customer`.
pub fn run_customer(arguments: CustomerArguments) -> Result<Outcome, CliError> {
    super::in_runtime(async {
        match arguments.action {
            Action::Erase { slug, who, config } => erase(&load(&config)?, &slug, &who).await,
            Action::Export { slug, id, format, output, config } => {
                export(&load(&config)?, &slug, &id, format, output).await
            }
            Action::Hold { slug, id, reason, config } => {
                let (store, tenant, customer) = customer(&load(&config)?, &slug, &id).await?;
                store.place_hold(&Act::new(tenant.id, ACTOR), &customer, &reason).await?;
                told(&format!("customer {customer} is under legal hold"))
            }
            Action::Release { slug, id, config } => {
                let (store, tenant, customer) = customer(&load(&config)?, &slug, &id).await?;
                let lifted = store.lift_hold(&Act::new(tenant.id, ACTOR), &customer).await?;
                told(&format!(
                    "customer {customer} {}",
                    if lifted { "is free again" } else { "was not held" }
                ))
            }
            Action::Tombstones { slug, config } => tombstones(&load(&config)?, &slug).await,
            Action::Replay { slug, file, config } => replay(&load(&config)?, &slug, &file).await,
        }
    })
}

/// Runs `undertone retention`.
pub fn run_retention(arguments: &RetentionArguments) -> Result<Outcome, CliError> {
    let config = load(&arguments.config)?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenants = match &arguments.tenant {
            Some(slug) => vec![find_tenant(&store, slug).await?],
            None => store.tenants().await?,
        };
        for tenant in tenants {
            let settings = store.module(tenant.id).await?.settings;
            let clocks = Clocks::of(&tenant, &settings, store.now());
            let (removed, words) = if arguments.dry_run {
                (store.purge_preview(tenant.id, &clocks).await?, "would be removed")
            } else {
                let act = Act::new(tenant.id, ACTOR);
                (store.purge(&tenant, &clocks, &act, Duration::ZERO).await?.removed, "removed")
            };
            let mut out = anstream::stdout().lock();
            if removed.is_empty() {
                writeln!(out, "{}: nothing is due", tenant.slug)?;
            }
            for (what, many) in &removed.0 {
                writeln!(out, "{}: {many} {} {words}", tenant.slug, what.replace('_', " "))?;
            }
        }
        if !arguments.dry_run {
            store.scrub().await?;
        }
        Ok(Outcome::Done)
    })
}

fn told(text: &str) -> Result<Outcome, CliError> {
    writeln!(anstream::stdout(), "{}", clean(text))?;
    Ok(Outcome::Done)
}

async fn customer(config: &Config, slug: &str, id: &str) -> Result<(Store, Tenant, String), CliError> {
    let store = opened(config).await?;
    let tenant = find_tenant(&store, slug).await?;
    let found = store.customer(tenant.id, id).await?;
    let missing = || CliError::Failed(format!("{slug} has no customer with the id {}", clean(id)));
    let customer = found.ok_or_else(missing)?;
    Ok((store, tenant, customer.id))
}

async fn erase(config: &Config, slug: &str, who: &Who) -> Result<Outcome, CliError> {
    let store = opened(config).await?;
    let tenant = find_tenant(&store, slug).await?;
    let whom = Whom::of(who.id.as_deref(), who.email.as_deref(), who.phone.as_deref())?;
    let begun = store.erase(&Act::new(tenant.id, ACTOR), &whom).await?;
    if begun.is_empty() {
        return told("nothing is held of anybody with that; nothing was removed");
    }
    finish(&store, &tenant, begun).await
}

/// Brings erasures to their end, scrubs the file, and prints the receipts.
async fn finish(store: &Store, tenant: &Tenant, begun: Vec<Erasure>) -> Result<Outcome, CliError> {
    keeper::erase(store).await?;
    if !store.scrub().await? {
        writeln!(
            anstream::stderr(),
            "warning: the write-ahead log could not be emptied, since somebody reads for long; the service tries again"
        )?;
    }
    for erasure in begun {
        let receipt = store.erasure(tenant.id, &erasure.id).await?.unwrap_or(erasure);
        writeln!(anstream::stdout(), "{}", serde_json::to_string(&receipt).unwrap_or_default())?;
    }
    Ok(Outcome::Done)
}

async fn export(
    config: &Config,
    slug: &str,
    id: &str,
    format: Format,
    output: Option<PathBuf>,
) -> Result<Outcome, CliError> {
    let store = opened(config).await?;
    let tenant = find_tenant(&store, slug).await?;
    let missing = || CliError::Failed(format!("{slug} has no customer with the id {}", clean(id)));
    let customer = store.customer(tenant.id, id).await?.ok_or_else(missing)?;
    let payload = serde_json::json!({"format": format.as_str()});
    store.note(&Act::new(tenant.id, ACTOR), ("customer_exported", &customer.id), &payload).await?;
    let settings = store.module(tenant.id).await?.settings;
    let mut pieces = std::pin::pin!(CustomerCopy { store, tenant, settings, customer }.stream(format));
    let mut out: Box<dyn Write> = match output {
        Some(path) => Box::new(private(&path)?),
        None => Box::new(std::io::stdout()),
    };
    while let Some(piece) = pieces.next().await {
        out.write_all(&piece?)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// A new file that only its owner may read.
fn private(path: &std::path::Path) -> Result<std::fs::File, CliError> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| CliError::Failed(format!("{} can not be written: {e}", path.display())))
}

async fn tombstones(config: &Config, slug: &str) -> Result<Outcome, CliError> {
    let store = opened(config).await?;
    let tenant = find_tenant(&store, slug).await?;
    let mut out = std::io::stdout();
    let mut after = String::new();
    loop {
        let page = store.tombstones(tenant.id, &after).await?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        for (_, tombstone) in page {
            writeln!(out, "{}", serde_json::to_string(&tombstone).unwrap_or_default())?;
        }
    }
    Ok(Outcome::Done)
}

async fn replay(config: &Config, slug: &str, file: &std::path::Path) -> Result<Outcome, CliError> {
    let store = opened(config).await?;
    let tenant = find_tenant(&store, slug).await?;
    let opened = std::fs::File::open(file)
        .map_err(|e| CliError::Failed(format!("{} can not be read: {e}", file.display())))?;
    let mut tombstones: Vec<Tombstone> = Vec::new();
    for (number, line) in std::io::BufReader::new(opened).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let told =
            |e| CliError::Failed(format!("line {} of {} is no tombstone: {e}", number + 1, file.display()));
        tombstones.push(serde_json::from_str(&line).map_err(told)?);
    }
    let Replayed { erased, held } = store.replay(&Act::new(tenant.id, ACTOR), &tombstones).await?;
    if erased.is_empty() && held.is_empty() {
        return told(&format!("nobody of {} erased customers is there", tombstones.len()));
    }
    for id in &held {
        writeln!(
            anstream::stderr(),
            "error: customer {id} is there and under legal hold; lift the hold (undertone customer release {slug} {id}) and replay again"
        )?;
    }
    let done = finish(&store, &tenant, erased).await?;
    Ok(if held.is_empty() { done } else { Outcome::SomeFailed })
}
