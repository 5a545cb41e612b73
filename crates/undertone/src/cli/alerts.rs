//! `undertone alerts` and `undertone incidents`: what is open, for whoever operates the service.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use undertone_store::alerts::incidents::Incident;
use undertone_store::alerts::{Alert, AlertState, Step, Wanted};

use super::admin::{say, tenant, with_store};
use crate::config::ConfigArguments;
use crate::error::{CliError, Outcome};
use crate::output::clean;

/// List alerts, and tell what became of one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone alerts list acme                       the youngest first
  undertone alerts list acme --state open --format json
  undertone alerts show acme 01945f…               with every step it took

Why nobody was told of something: undertone doctor --tenant acme, or undertone doctor with the interaction's id.")]
pub struct AlertsArguments {
    #[command(subcommand)]
    action: AlertsAction,
}

#[derive(Debug, Subcommand)]
enum AlertsAction {
    /// List alerts, the youngest first
    List {
        /// The tenant's short name
        slug: String,
        /// Only those in this state
        #[arg(long, value_enum)]
        state: Option<State>,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Tell of one alert, and what became of it
    Show {
        /// The tenant's short name
        slug: String,
        /// The alert's id
        id: String,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// List incidents.
#[derive(Debug, Args)]
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
        page: Page,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

#[derive(Debug, Args)]
struct Page {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Only those older than this id, which is how the next page is read
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For reading
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Open,
    Acknowledged,
    Snoozed,
    Held,
    Resolved,
    Withdrawn,
}

impl From<State> for AlertState {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Acknowledged => Self::Acknowledged,
            State::Snoozed => Self::Snoozed,
            State::Held => Self::Held,
            State::Resolved => Self::Resolved,
            State::Withdrawn => Self::Withdrawn,
        }
    }
}

/// Runs `undertone alerts`.
pub fn run_alerts(arguments: &AlertsArguments) -> Result<Outcome, CliError> {
    match &arguments.action {
        AlertsAction::List { slug, state, page, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let wanted = Wanted {
                state: state.map(AlertState::from),
                before: page.before.as_deref(),
                most: page.limit,
                ..Wanted::default()
            };
            let found = store.alerts(tenant.id, &wanted).await?;
            if page.format == Format::Json {
                return as_json(&json!({"alerts": found}));
            }
            if found.is_empty() {
                say("There is no such alert. Why not? See: undertone doctor")?;
            }
            for alert in &found {
                say(&line(alert))?;
            }
            more(found.len(), page, found.last().map(|last| last.id.as_str()))
        }),
        AlertsAction::Show { slug, id, format, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let found = store.alert(tenant.id, id).await?;
            let (alert, steps) = found.ok_or_else(|| {
                CliError::Failed(format!(
                    "{slug} has no alert {id}; list them with: undertone alerts list {slug}"
                ))
            })?;
            if *format == Format::Json {
                let mut told = json!(alert);
                told["steps"] = json!(steps);
                return as_json(&told);
            }
            show(&alert, &steps)
        }),
    }
}

/// Runs `undertone incidents`.
pub fn run_incidents(arguments: &IncidentsArguments) -> Result<Outcome, CliError> {
    let IncidentsAction::List { slug, page, config } = &arguments.action;
    with_store(config, async |store| {
        let tenant = tenant(&store, slug).await?;
        let found = store.incidents(tenant.id, page.before.as_deref(), page.limit).await?;
        if page.format == Format::Json {
            return as_json(&json!({"incidents": found}));
        }
        if found.is_empty() {
            say("There was no incident.")?;
        }
        for incident in &found {
            say(&incident_line(incident))?;
        }
        more(found.len(), page, found.last().map(|last| last.id.as_str()))
    })
}

/// Says how the next page is read, where there may be one.
fn more(count: usize, page: &Page, last: Option<&str>) -> Result<Outcome, CliError> {
    if count == usize::from(page.limit)
        && let Some(last) = last
    {
        say(&format!("More: --before {last}"))?;
    }
    Ok(Outcome::Done)
}

/// Writes a document for programs.
pub fn as_json(told: &serde_json::Value) -> Result<Outcome, CliError> {
    writeln!(anstream::stdout(), "{told:#}")?;
    Ok(Outcome::Done)
}

/// A moment, for reading.
pub fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

fn line(alert: &Alert) -> String {
    let customer = alert.customer_id.as_deref().unwrap_or("nobody known");
    let more = match alert.state {
        AlertState::Open => format!("due {}", moment(alert.due_at)),
        AlertState::Acknowledged => {
            format!(
                "by {}, due {}",
                alert.acknowledged_by.as_deref().unwrap_or_default(),
                moment(alert.due_at)
            )
        }
        AlertState::Snoozed => {
            alert.snoozed_until.map(|until| format!("until {}", moment(until))).unwrap_or_default()
        }
        AlertState::Held => format!("by incident {}", alert.incident_id.as_deref().unwrap_or_default()),
        AlertState::Resolved | AlertState::Withdrawn => {
            alert.ended_at.map(|at| format!("at {}", moment(at))).unwrap_or_default()
        }
    };
    let text = format!(
        "{}  {}  {:<12}  {:>4}  {}  customer {customer}  {more}",
        alert.id,
        moment(alert.raised_at),
        alert.state.as_str(),
        alert.score.map(|score| score.to_string()).unwrap_or_default(),
        alert.category,
    );
    spaced(&text)
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

/// Columns stay apart, and each is clean.
pub fn spaced(text: &str) -> String {
    text.split("  ").map(clean).collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn show(alert: &Alert, steps: &[Step]) -> Result<Outcome, CliError> {
    say(&line(alert))?;
    say(&format!("interaction {}, channel {}", clean(&alert.interaction_id), clean(&alert.channel)))?;
    if let (Some(score), Some(threshold)) = (alert.score, alert.threshold) {
        say(&format!("score {score}, the threshold was {threshold}"))?;
    }
    if let Some(user) = &alert.assigned_to {
        say(&format!("assigned to {}", clean(user)))?;
    }
    for step in steps {
        let detail = step.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        say(&clean(&format!("{} {} by {}{detail}", moment(step.at), step.step, step.made_by)))?;
    }
    Ok(Outcome::Done)
}
