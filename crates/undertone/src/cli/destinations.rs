//! `undertone destinations`: where events go, how that fares, and a test message.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use undertone_store::destinations::Destination;
use undertone_store::{Act, Store, TenantId};

use super::admin::{ACTOR, say, tenant, with_store};
use super::alerts::{Format, as_json, moment};
use crate::config::ConfigArguments;
use crate::error::{CliError, Outcome};
use crate::output::clean;

/// How long a test message may take to be sent, with an answer, and how often is looked.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// List destinations of events, and send a test message.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone destinations list acme
  undertone destinations test acme \"On call\"       sends a test message, and tells what was answered

Destinations are made and changed with undertone apply, or with the API.

Exit status: 0 done; 1 it failed, or the test message did not arrive; 2 wrong usage.")]
pub struct DestinationsArguments {
    #[command(subcommand)]
    action: DestinationsAction,
}

#[derive(Debug, Subcommand)]
enum DestinationsAction {
    /// List a tenant's destinations
    List {
        /// The tenant's short name
        slug: String,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Send a test message; the service has to run, since it is what sends
    Test {
        /// The tenant's short name
        slug: String,
        /// The destination's name or id
        destination: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Runs `undertone destinations`.
pub fn run(arguments: &DestinationsArguments) -> Result<Outcome, CliError> {
    match &arguments.action {
        DestinationsAction::List { slug, format, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let found = store.destinations(tenant.id).await?;
            if *format == Format::Json {
                return as_json(&json!({"destinations": found}));
            }
            if found.is_empty() {
                say(&format!("{slug} has no destination; people are told in the inbox and by e-mail"))?;
            }
            for destination in &found {
                say(&line(destination))?;
            }
            Ok(Outcome::Done)
        }),
        DestinationsAction::Test { slug, destination, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let all = store.destinations(tenant.id).await?;
            let mut fitting = all.iter().filter(|one| one.name == *destination || one.id == *destination);
            let found = fitting.next().ok_or_else(|| {
                let told = format!(
                    "{slug} has no destination “{destination}”; see: undertone destinations list {slug}"
                );
                CliError::Failed(told)
            })?;
            if !found.active {
                let told = format!(
                    "“{}” is switched off, and nothing is sent to it; switch it on first",
                    found.name
                );
                return Err(CliError::Failed(told));
            }
            test(&store, tenant.id, found).await
        }),
    }
}

/// How a destination fares, in words; `Err` where something is wrong.
pub fn standing(destination: &Destination) -> Result<String, String> {
    if !destination.active {
        let why = destination.inactive_reason.as_deref().unwrap_or("somebody switched it off");
        return Err(format!("is switched off: {why}"));
    }
    match destination.failing_since {
        Some(since) => {
            let next = destination
                .resume_at
                .map(|at| format!(", tried again at {}", moment(at)))
                .unwrap_or_default();
            Err(format!("fails since {}: {} tries in a row{next}", moment(since), destination.failures))
        }
        None => Ok(destination.last_delivered_at.map_or_else(
            || "nothing was sent to it yet".to_owned(),
            |at| format!("last reached at {}", moment(at)),
        )),
    }
}

fn line(destination: &Destination) -> String {
    let (Ok(standing) | Err(standing)) = standing(destination);
    let events = destination.config.events.patterns().join(", ");
    let Destination { id, name, kind, shown_address, .. } = destination;
    clean(&format!("{id} “{name}”: {}, {shown_address}, {events}; {standing}", kind.as_str()))
}

/// Sends a test message and waits for what comes of it.
async fn test(store: &Store, tenant: TenantId, destination: &Destination) -> Result<Outcome, CliError> {
    let gone = || CliError::Failed(format!("“{}” was removed meanwhile", destination.name));
    let act = Act::new(tenant, ACTOR);
    let id = store.test_destination(&act, &destination.id).await?.ok_or_else(gone)?;
    let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        tokio::time::sleep(LOOK_EVERY).await;
        let (delivery, _) = store.delivery(tenant, &id).await?.ok_or_else(gone)?;
        let status = delivery.last_status.map(|status| format!(" with status {status}")).unwrap_or_default();
        let why = delivery.last_error.as_deref().map(clean).unwrap_or_default();
        match delivery.state.as_str() {
            "delivered" => {
                say(&format!("“{}” took the test message{status}.", clean(&destination.name)))?;
                return Ok(Outcome::Done);
            }
            "failed" => {
                return Err(CliError::Failed(format!("the test message was not taken{status}: {why}")));
            }
            _ if delivery.last_error.is_some() => {
                let told =
                    format!("the test message was not taken{status}: {why}; it is tried again by itself");
                return Err(CliError::Failed(told));
            }
            _ => {}
        }
    }
    Err(CliError::Failed(format!(
        "nothing was sent within {} seconds; is undertone serve running? The message waits: {id}",
        PATIENCE.as_secs()
    )))
}
