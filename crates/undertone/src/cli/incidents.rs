//! `undertone incidents`: many customers low about the same thing at once, for whoever operates the service.

use clap::{Args, Subcommand};
use serde_json::json;
use undertone_store::Act;
use undertone_store::alerts::Wanted;
use undertone_store::alerts::incidents::Incident;

use super::admin::{ACTOR, say, tenant, with_store};
use super::alerts::line;
use super::listing::{Format, Listing, as_json, moment, more, spaced};
use crate::config::ConfigArguments;
use crate::error::{CliError, Outcome};

/// List incidents, tell of one with its alerts, and end one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone incidents list acme                    the youngest first
  undertone incidents show acme 01945f…            with its alerts
  undertone incidents close acme 01945f…           lets go the alerts it holds")]
pub struct IncidentsArguments {
    #[command(subcommand)]
    action: IncidentsAction,
}

#[derive(Debug, Subcommand)]
enum IncidentsAction {
    /// List incidents, the youngest first
    List {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        page: Listing,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Tell of one incident, and list its alerts, the youngest first
    Show {
        /// The tenant's short name
        slug: String,
        /// The incident's id
        id: String,
        #[command(flatten)]
        page: Listing,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// End an incident before the clock does: people are told of what it holds and is still low
    Close {
        /// The tenant's short name
        slug: String,
        /// The incident's id
        id: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Runs `undertone incidents`.
pub fn run(arguments: &IncidentsArguments) -> Result<Outcome, CliError> {
    match &arguments.action {
        IncidentsAction::List { slug, page, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let before = page.before()?;
            let mut found = store.incidents(tenant.id, before.as_deref(), page.and_one()).await?;
            let next = page.next(&mut found, |incident| &incident.id);
            page.tell(("incidents", &found), next, "There was no incident.", incident_line)
        }),
        IncidentsAction::Show { slug, id, page, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let incident = store.incident(tenant.id, id).await?.ok_or_else(|| missing(slug, id))?;
            let before = page.before()?;
            let wanted = Wanted {
                incident: Some(id),
                before: before.as_deref(),
                most: page.and_one(),
                ..Wanted::default()
            };
            let mut alerts = store.alerts(tenant.id, &wanted).await?;
            let next = page.next(&mut alerts, |alert| &alert.id);
            if page.format == Format::Json {
                let mut told = json!(incident);
                told["alerts"] = json!(alerts);
                told["next_cursor"] = json!(next);
                return as_json(&told);
            }
            say(&incident_line(&incident))?;
            for alert in &alerts {
                say(&line(alert))?;
            }
            more(next)
        }),
        IncidentsAction::Close { slug, id, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let closed = store.close_incident(&Act::new(tenant.id, ACTOR), id).await?;
            say(&incident_line(&closed.ok_or_else(|| missing(slug, id))?))?;
            Ok(Outcome::Done)
        }),
    }
}

fn missing(slug: &str, id: &str) -> CliError {
    CliError::Failed(format!("{slug} has no incident {id}; list them with: undertone incidents list {slug}"))
}

fn incident_line(incident: &Incident) -> String {
    let until = incident.closed_at.map(|at| format!("until {}", moment(at))).unwrap_or_default();
    spaced(&format!(
        "{}  {}  {:<6}  {}  {} customers, {:.1} are usual  {until}",
        incident.id,
        moment(incident.opened_at),
        incident.state,
        incident.category,
        incident.customers,
        incident.usual,
    ))
}
