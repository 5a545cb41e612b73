//! What was sent to a destination, and sending it again.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde_json::json;
use undertone_store::destinations::{Attempt, Delivery, DeliveryState, Destination, Stretch, Which};
use undertone_store::{Act, Store, TenantId};

use crate::cli::admin::{ACTOR, say};
use crate::cli::listing::{Format, Listing, as_json, moment};
use crate::error::{CliError, Outcome};
use crate::output::clean;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    Pending,
    Delivered,
    Failed,
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Delivered => Self::Delivered,
            State::Failed => Self::Failed,
        }
    }
}

/// What is sent again.
#[derive(Debug, Args)]
pub struct Range {
    /// What was made from then on
    #[arg(long, requires = "to", value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// And before then
    #[arg(long, requires = "from", value_name = "TIME")]
    to: Option<DateTime<Utc>>,
    /// What ended so, with --from and --to: what failed and was not sent again since, or what arrived [default: failed]
    #[arg(long, value_enum, requires = "from", conflicts_with = "delivery")]
    state: Option<Ended>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ended {
    Failed,
    Delivered,
}

/// A page of deliveries.
pub async fn list(
    store: &Store,
    (tenant, destination): (TenantId, &Destination),
    state: Option<State>,
    page: &Listing,
) -> Result<Outcome, CliError> {
    let before = page.before()?;
    let which =
        Which { state: state.map(DeliveryState::from), before: before.as_deref(), most: page.and_one() };
    let mut found = store.deliveries(tenant, &destination.id, which).await?;
    let next = page.next(&mut found, |one| &one.id);
    page.tell(("deliveries", &found), next, "There is no such message.", line)
}

/// One delivery with every try.
pub async fn show(
    store: &Store,
    of: (TenantId, &Destination),
    id: &str,
    format: Format,
) -> Result<Outcome, CliError> {
    let (delivery, tries) = existing(store, of, id).await?;
    if format == Format::Json {
        let mut told = json!(delivery);
        told["tries"] = json!(tries);
        return as_json(&told);
    }
    say(&line(&delivery))?;
    let mut out = std::io::stdout().lock();
    for one in &tries {
        let status = one.status.map(|status| format!(", status {status}")).unwrap_or_default();
        let why = one.error.as_deref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
        let Attempt { at, attempt, millis, outcome, .. } = one;
        writeln!(out, "  {} try {attempt}, {millis} ms{status}: {outcome}{why}", moment(*at))?;
    }
    Ok(Outcome::Done)
}

/// Sends one message again.
pub async fn replay(
    store: &Store,
    (tenant, destination): (TenantId, &Destination),
    id: &str,
) -> Result<Outcome, CliError> {
    existing(store, (tenant, destination), id).await?;
    let again = store.replay_delivery(&Act::new(tenant, ACTOR), id).await?;
    let again = again.ok_or_else(|| none(destination, id))?;
    say(&format!("It is sent again, as the delivery {again}."))?;
    Ok(Outcome::Done)
}

/// Sends again what ended so in a time, all of it.
pub async fn replay_range(
    store: &Store,
    (tenant, destination): (TenantId, &Destination),
    range: &Range,
) -> Result<Outcome, CliError> {
    let (Some(from), Some(to)) = (range.from, range.to) else {
        return Err(CliError::Failed("give a delivery, or --from and --to".to_owned()));
    };
    if from >= to {
        return Err(CliError::Failed(
            "--to is not later than --from, and so there is nothing between them".to_owned(),
        ));
    }
    let state = match range.state {
        None | Some(Ended::Failed) => DeliveryState::Failed,
        Some(Ended::Delivered) => DeliveryState::Delivered,
    };
    let (mut count, mut reached) = (0, None);
    loop {
        let after = reached.as_ref().map(|(at, id): &(DateTime<Utc>, String)| (*at, id.as_str()));
        let stretch = Stretch { from, to, state, after };
        let done = store.replay_deliveries(&Act::new(tenant, ACTOR), &destination.id, &stretch).await?;
        count += done.count;
        if done.next.is_none() {
            break;
        }
        reached = done.next;
    }
    say(&format!("{count} messages are sent again."))?;
    Ok(Outcome::Done)
}

/// A delivery of this destination, with its tries.
async fn existing(
    store: &Store,
    (tenant, destination): (TenantId, &Destination),
    id: &str,
) -> Result<(Delivery, Vec<Attempt>), CliError> {
    let found = store.delivery(tenant, id).await?;
    found.filter(|(one, _)| one.destination_id == destination.id).ok_or_else(|| none(destination, id))
}

fn none(destination: &Destination, id: &str) -> CliError {
    CliError::Failed(format!("“{}” has no delivery {id}; see: undertone destinations log", destination.name))
}

fn line(one: &Delivery) -> String {
    let Delivery { id, event, state, attempts, created_at, .. } = one;
    let status = one.last_status.map(|status| format!(", status {status}")).unwrap_or_default();
    let why = one.last_error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let again = if one.replay > 0 { format!(", replay {}", one.replay) } else { String::new() };
    let next = if state == "pending" { format!(", next at {}", moment(one.next_at)) } else { String::new() };
    clean(&format!(
        "{id} {} {event}: {state}, {attempts} tries{again}{status}{next}{why}",
        moment(*created_at)
    ))
}
