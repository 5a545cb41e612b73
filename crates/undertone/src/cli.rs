//! The command line: what can be typed, and which module does it.

mod admin;
mod alerts;
mod audit;
mod backfill;
mod calibrate;
mod cascade;
mod configuration;
mod customer;
mod default_model;
mod demo;
mod destinations;
pub mod doctor;
mod eval;
mod explain;
mod incidents;
mod key;
mod listing;
mod mail;
mod model;
mod review;
mod score;
mod scorer;
mod secrets;
mod service;
mod sign_on;
mod usage;
mod user;
mod verify;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::{CliError, Outcome};

pub use score::{Answer, Format, Scored};
pub use scorer::LlmRun;
#[cfg(test)]
pub use {crate::config::ConfigArguments, service::reader};

/// Reads every customer interaction, says how the customer feels and why.
#[derive(Debug, Parser)]
#[command(name = "undertone", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// When to use colours; the variable NO_COLOR switches them off too
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    #[command(subcommand)]
    pub command: Command,
}

/// What it can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the service with sample data, on a database that is thrown away afterwards
    Demo(demo::DemoArguments),
    /// Run the service: intake, scoring, API and pages
    Serve(service::ServeArguments),
    /// Score a file of customer messages and sum it up
    Score(Box<score::ScoreArguments>),
    /// Show what in a text led to its verdict
    Explain(explain::ExplainArguments),
    /// Measure how good the verdicts are, on labelled texts or behavioural packs
    Eval(eval::EvalArguments),
    /// Score what was not scored, or score again
    Backfill(Box<backfill::BackfillArguments>),
    /// Teach the embedded model what a tenant's own people say
    Calibrate(calibrate::CalibrateArguments),
    /// Tell about the embedded model
    Model(model::ModelArguments),
    /// Make and list tenants and the people who log in to them
    Tenant(admin::TenantArguments),
    /// Invite people, change what they may, deactivate them
    User(user::UserArguments),
    /// Make, list and revoke API keys
    Key(key::KeyArguments),
    /// Set and remove a tenant's own keys for LLM providers; replace what seals them
    Secrets(secrets::SecretsArguments),
    /// Let a tenant's people log in at an OpenID provider
    SignOn(sign_on::SignOnArguments),
    /// Tell what LLMs took and cost for a tenant
    Usage(usage::UsageArguments),
    /// Tell what of a tenant's budget for LLMs is used and left
    Budget(usage::BudgetArguments),
    /// Print what LLMs cost, and where each price comes from
    Prices(usage::PricesArguments),
    /// Tell what the cascade did, and which threshold fits a budget
    Cascade(cascade::CascadeArguments),
    /// Switch the module on and off for a tenant
    Module(admin::ModuleArguments),
    /// Read, verify and export the audit log: who did what, and proof of it
    Audit(audit::AuditArguments),
    /// List alerts, take them on and resolve them
    Alerts(alerts::AlertsArguments),
    /// Have verdicts checked by people who do not know them, and tell how far these agree
    Review(review::ReviewArguments),
    /// List, show and close incidents: many customers low about the same thing at once
    Incidents(incidents::IncidentsArguments),
    /// List destinations of events and what was sent to them; send again, and test
    Destinations(destinations::DestinationsArguments),
    /// Try the way to the SMTP server
    Mail(mail::MailArguments),
    /// Bring settings of alerts and destinations to what a file says
    Apply(configuration::ApplyArguments),
    /// Write settings of alerts and destinations as a file
    Export(configuration::ExportArguments),
    /// Erase a customer, give out what is held of one, place one under legal hold
    Customer(customer::CustomerArguments),
    /// Remove what was kept long enough; the service does this once a day
    Retention(customer::RetentionArguments),
    /// Bring the database's tables up to this program's version
    Migrate(admin::MigrateArguments),
    /// Count everything anew and compare it with the counters
    Verify(verify::VerifyArguments),
    /// Say what is misconfigured, why an interaction is not scored, or why nobody was told
    Doctor(doctor::DoctorArguments),
    /// Show or check the configuration
    Config(admin::ConfigCommand),
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where a terminal shows them
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

impl Color {
    /// Makes the choice hold for all output of this process.
    pub fn apply(self) {
        match self {
            Self::Auto => {}
            Self::Always => anstream::ColorChoice::Always.write_global(),
            Self::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// Runs a command.
pub fn run(command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::Score(arguments) => score::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Backfill(arguments) => backfill::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => service::run(&arguments),
        Command::Tenant(arguments) => admin::run_tenant(arguments),
        Command::User(arguments) => user::run(arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Secrets(arguments) => secrets::run(arguments),
        Command::SignOn(arguments) => sign_on::run(arguments),
        Command::Usage(arguments) => usage::run_usage(&arguments),
        Command::Budget(arguments) => usage::run_budget(&arguments),
        Command::Prices(arguments) => usage::run_prices(&arguments),
        Command::Cascade(arguments) => cascade::run(arguments),
        Command::Module(arguments) => admin::run_module(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Alerts(arguments) => alerts::run_alerts(&arguments),
        Command::Review(arguments) => review::run(&arguments),
        Command::Incidents(arguments) => incidents::run(&arguments),
        Command::Destinations(arguments) => destinations::run(&arguments),
        Command::Mail(arguments) => mail::run(&arguments),
        Command::Apply(arguments) => configuration::run_apply(&arguments),
        Command::Export(arguments) => configuration::run_export(&arguments),
        Command::Customer(arguments) => customer::run_customer(arguments),
        Command::Retention(arguments) => customer::run_retention(&arguments),
        Command::Migrate(arguments) => admin::run_migrate(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Config(arguments) => admin::run_config(arguments),
    }
}

/// Runs `work` to its end on a runtime of its own.
fn in_runtime<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // What still reads from a client that hangs is not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}
