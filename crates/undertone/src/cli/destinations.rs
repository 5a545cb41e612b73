//! `undertone destinations`: where events go, how that fares, what was sent, and sending it again.

mod sent;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use undertone_store::destinations::{Destination, REFUSED_OFTEN};
use undertone_store::secrets::Keyring;
use undertone_store::{Act, Store, TenantId};

use super::admin::{ACTOR, say, tenant, with_store};
use super::listing::{Format, Listing, as_json, moment};
use super::secrets::with_keys;
use crate::config::ConfigArguments;
use crate::deliver::Secrets;
use crate::error::{CliError, Outcome};
use crate::output::clean;

/// How long a test message may take to be sent, with an answer, and how often is looked.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// List destinations of events and what was sent to them, send it again, and send a test message.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone destinations list acme
  undertone destinations test acme \"On call\"       sends a test message, and tells what was answered
  undertone destinations log acme \"On call\" --state failed
  undertone destinations replay acme \"On call\" 01945f…
  undertone destinations replay acme \"On call\" --from 2026-11-29T08:00:00Z --to 2026-11-29T12:00:00Z

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
    /// List what was sent to a destination or waits for it, the youngest first; or tell of one message, with every try
    Log {
        /// The tenant's short name
        slug: String,
        /// The destination's name or id
        destination: String,
        /// One delivery, by its id
        delivery: Option<String>,
        /// Only those in this state
        #[arg(long, value_enum, conflicts_with = "delivery")]
        state: Option<sent::State>,
        #[command(flatten)]
        page: Listing,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Send a message again, or all that failed in a time, as they were and under the ids they had
    Replay {
        /// The tenant's short name
        slug: String,
        /// The destination's name or id
        destination: String,
        /// One delivery, by its id
        #[arg(required_unless_present = "from", conflicts_with_all = ["from", "to"])]
        delivery: Option<String>,
        #[command(flatten)]
        range: sent::Range,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Runs `undertone destinations`.
pub fn run(arguments: &DestinationsArguments) -> Result<Outcome, CliError> {
    match &arguments.action {
        DestinationsAction::List { slug, format, config } => with_keys(config, async |store, keys| {
            let tenant = tenant(&store, slug).await?;
            let found = store.destinations(tenant.id).await?;
            list(slug, tenant.id, &found, keys.keyring(), *format)
        }),
        DestinationsAction::Test { slug, destination, config } => with_keys(config, async |store, keys| {
            let tenant = tenant(&store, slug).await?;
            let found = named(&store, (tenant.id, slug), destination).await?;
            is_on(&found)?;
            test(&store, tenant.id, &found, keys.keyring()).await
        }),
        DestinationsAction::Log { slug, destination, delivery, state, page, config } => {
            with_store(config, async |store| {
                let tenant = tenant(&store, slug).await?;
                let found = named(&store, (tenant.id, slug), destination).await?;
                match delivery {
                    Some(id) => sent::show(&store, (tenant.id, &found), id, page.format).await,
                    None => sent::list(&store, (tenant.id, &found), *state, page).await,
                }
            })
        }
        DestinationsAction::Replay { slug, destination, delivery, range, config } => {
            with_store(config, async |store| {
                let tenant = tenant(&store, slug).await?;
                let found = named(&store, (tenant.id, slug), destination).await?;
                is_on(&found)?;
                match delivery {
                    Some(id) => sent::replay(&store, (tenant.id, &found), id).await,
                    None => sent::replay_range(&store, (tenant.id, &found), range).await,
                }
            })
        }
    }
}

/// A tenant's destination, by its name or id.
async fn named(
    store: &Store,
    (tenant, slug): (TenantId, &str),
    named: &str,
) -> Result<Destination, CliError> {
    let mut all = store.destinations(tenant).await?.into_iter();
    all.find(|one| one.name == named || one.id == named).ok_or_else(|| {
        CliError::Failed(format!(
            "{slug} has no destination “{named}”; see: undertone destinations list {slug}"
        ))
    })
}

fn is_on(destination: &Destination) -> Result<(), CliError> {
    if destination.active {
        return Ok(());
    }
    let name = &destination.name;
    Err(CliError::Failed(format!("“{name}” is switched off, and nothing is sent to it; switch it on first")))
}

/// How a destination fares, in words; `Err` where something is wrong.
pub fn standing(destination: &Destination) -> Result<String, String> {
    if !destination.active {
        let why = destination.inactive_reason.as_deref().unwrap_or("somebody switched it off");
        return Err(format!("is switched off: {why}"));
    }
    let failures = destination.failures;
    match (destination.failing_since, destination.resume_at) {
        (Some(since), Some(at)) if failures > 0 => {
            let (since, at) = (moment(since), moment(at));
            Err(format!("fails since {since}: {failures} tries in a row, tried again at {at}"))
        }
        (Some(since), Some(at)) => Err(format!(
            "took nothing since {} and wants to be left alone until {}",
            moment(since),
            moment(at)
        )),
        (Some(since), None) => {
            let told = format!("refused {failures} messages in a row since {}", moment(since));
            if failures >= REFUSED_OFTEN { Err(told) } else { Ok(told) }
        }
        (None, _) => Ok(destination.last_delivered_at.map_or_else(
            || "nothing was sent to it yet".to_owned(),
            |at| format!("last reached at {}", moment(at)),
        )),
    }
}

fn list(
    slug: &str,
    tenant: TenantId,
    found: &[Destination],
    keyring: &Keyring,
    format: Format,
) -> Result<Outcome, CliError> {
    let problem = |one: &Destination| Secrets::open(keyring, tenant, one).err();
    if format == Format::Json {
        let told = |one| {
            let mut told = json!(one);
            told["problem"] = problem(one).into();
            told
        };
        return as_json(&json!({"destinations": found.iter().map(told).collect::<Vec<_>>()}));
    }
    if found.is_empty() {
        say(&format!("{slug} has no destination; people are told in the inbox and by e-mail"))?;
    }
    for destination in found {
        say(&line(destination, problem(destination)))?;
    }
    Ok(Outcome::Done)
}

fn line(destination: &Destination, problem: Option<String>) -> String {
    let (Ok(mut standing) | Err(mut standing)) = standing(destination);
    if let Some(why) = problem {
        standing += &format!("; nothing can be sent to it: {why}");
    }
    let events = destination.config.events.patterns().join(", ");
    let Destination { id, name, kind, shown_address, .. } = destination;
    clean(&format!("{id} “{name}”: {}, {shown_address}, {events}; {standing}", kind.as_str()))
}

/// Sends a test message and waits for what comes of it.
async fn test(
    store: &Store,
    tenant: TenantId,
    destination: &Destination,
    keyring: &Keyring,
) -> Result<Outcome, CliError> {
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
    // The service may have been given another key than this process.
    let likely = Secrets::open(keyring, tenant, destination).err();
    let likely = likely.unwrap_or_else(|| "is undertone serve running?".to_owned());
    Err(CliError::Failed(format!(
        "nothing was sent within {} seconds, and the message waits ({id}): {likely}",
        PATIENCE.as_secs()
    )))
}
