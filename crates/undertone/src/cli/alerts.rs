//! `undertone alerts`: what is open, and what is done about it, for whoever operates the service.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use undertone_store::Act;
use undertone_store::alerts::{Alert, AlertState, MOST_NOTE, Move, Step, Wanted};

use super::admin::{ACTOR, say, tenant, with_store};
use super::listing::{Format, Listing, as_json, moment, spaced};
use super::user::person;
use crate::config::ConfigArguments;
use crate::error::{CliError, Outcome};
use crate::output::clean;
use crate::tell::hears_of_no_assignment;

/// List alerts, tell what became of one, and look after one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone alerts list acme                       the youngest first
  undertone alerts list acme --state open --format json
  undertone alerts show acme 01945f…               with every step it took
  undertone alerts assign acme 01945f… ana@example.com
  undertone alerts snooze acme 01945f… --until 2026-12-01T09:00:00Z
  undertone alerts resolve acme 01945f… --note \"called them\"

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
        page: Listing,
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
    /// Somebody saw it and looks after it
    Acknowledge {
        #[command(flatten)]
        which: Which,
    },
    /// Make somebody responsible
    Assign {
        #[command(flatten)]
        which: Which,
        /// Who: the e-mail address they log in with
        email: String,
    },
    /// Leave it quiet for a while; it tells again if the customer is still low then
    Snooze {
        #[command(flatten)]
        which: Which,
        /// Until when, such as 2026-12-01T09:00:00Z
        #[arg(long)]
        until: DateTime<Utc>,
    },
    /// It is done with
    Resolve {
        #[command(flatten)]
        which: Which,
        /// Why, in 1000 characters at most
        #[arg(long)]
        note: Option<String>,
    },
}

/// The alert that something is done with.
#[derive(Debug, Args)]
struct Which {
    /// The tenant's short name
    slug: String,
    /// The alert's id
    id: String,
    #[command(flatten)]
    config: ConfigArguments,
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
            let before = page.before()?;
            let wanted = Wanted {
                state: state.map(AlertState::from),
                before: before.as_deref(),
                most: page.and_one(),
                ..Wanted::default()
            };
            let mut found = store.alerts(tenant.id, &wanted).await?;
            let next = page.next(&mut found, |alert| &alert.id);
            let none = "There is no such alert. Why not? See: undertone doctor";
            page.tell(("alerts", &found), next, none, line)
        }),
        AlertsAction::Show { slug, id, format, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let found = store.alert(tenant.id, id).await?;
            let (alert, steps) = found.ok_or_else(|| missing(slug, id))?;
            if *format == Format::Json {
                let mut told = json!(alert);
                told["steps"] = json!(steps);
                return as_json(&told);
            }
            show(&alert, &steps)
        }),
        AlertsAction::Acknowledge { which } => act(which, Doing::Plain(Move::Acknowledge)),
        AlertsAction::Assign { which, email } => act(which, Doing::Assign(email)),
        AlertsAction::Snooze { which, until } => act(which, Doing::Plain(Move::Snooze(*until))),
        AlertsAction::Resolve { which, note } => {
            if note.as_ref().is_some_and(|note| note.chars().count() > MOST_NOTE) {
                return Err(CliError::Failed(format!("the note has {MOST_NOTE} characters at most")));
            }
            act(which, Doing::Plain(Move::Resolve(note.as_deref())))
        }
    }
}

/// What is done with an alert.
#[derive(Clone, Copy)]
enum Doing<'a> {
    Plain(Move<'a>),
    /// Whoever has this e-mail address is responsible.
    Assign(&'a str),
}

fn missing(slug: &str, id: &str) -> CliError {
    CliError::Failed(format!("{slug} has no alert {id}; list them with: undertone alerts list {slug}"))
}

/// Does something with an alert and tells where it stands then.
fn act(which: &Which, doing: Doing<'_>) -> Result<Outcome, CliError> {
    let Which { slug, id, config } = which;
    with_store(config, async |store| {
        let tenant = tenant(&store, slug).await?;
        let user;
        let what = match doing {
            Doing::Plain(what) => what,
            Doing::Assign(email) => {
                user = person(&store, &tenant, email).await?.id;
                Move::Assign(&user)
            }
        };
        let after = store.move_alert(&Act::new(tenant.id, ACTOR), (id, None), what).await?;
        say(&line(&after.ok_or_else(|| missing(slug, id))?))?;
        if let Move::Assign(user) = what
            && let Some(why) = hears_of_no_assignment(&store, tenant.id, user).await?
        {
            say(&why)?;
        }
        Ok(Outcome::Done)
    })
}

/// An alert on one line.
pub fn line(alert: &Alert) -> String {
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
