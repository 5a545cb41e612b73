//! `undertone doctor`: what is wrong, why is this not scored, and why was nobody told?

mod alerts;
pub mod examine;
mod people;
mod seen;
mod unasked;

#[cfg(test)]
pub use alerts::of_interaction;

use std::io::Write;

use clap::Args;
use serde::Serialize;
use undertone_store::interactions::Filter;
use undertone_store::secrets::Secret;
use undertone_store::{Store, Tenant};

use super::admin::tenant as find_tenant;
use super::listing::{Format, as_json};
use crate::api::explanation;
use crate::app::open_store;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::mail::Mailer;
use crate::output::clean;
use crate::prices;
use crate::secrets::{Given, ProviderKeys};

/// Say what is misconfigured, or why an interaction is not scored.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone doctor                          everything, of every tenant
  undertone doctor --tenant acme            one tenant's
  undertone doctor 4711                     why the interaction 4711 is not scored, or raised no alert
  undertone doctor --format json | jq '.findings[] | select(.level == \"look\")'

A line that begins with LOOK is something to put right; it says how.

Exit status: 0 nothing to look at; 1 something is, or it failed; 2 wrong usage.")]
pub struct DoctorArguments {
    /// An interaction's id, ours or its source's
    interaction: Option<String>,
    /// Only this tenant
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    config: ConfigArguments,
}

/// What of the service a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    Database,
    Configuration,
    Tenants,
    Module,
    Scorer,
    ProviderKey,
    MinimumLength,
    Channels,
    Recipients,
    Visibility,
    Alerts,
    Incidents,
    Destinations,
    Mail,
    Budget,
    ApiKeys,
    Days,
    Waiting,
    Failed,
    Suspicious,
    Recent,
    Interaction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Look,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    check: Check,
    /// The tenant's short name; `None`: it is about the whole installation.
    tenant: Option<String>,
    text: String,
}

/// What was found so far; as text it is told at once, as JSON at the end.
struct Report {
    format: Format,
    findings: Vec<Finding>,
}

impl Report {
    fn tell(&mut self, finding: Finding) -> Result<(), CliError> {
        if self.format == Format::Text {
            let level = if finding.level == Level::Ok { "ok   " } else { "LOOK " };
            let whose = finding.tenant.as_deref().map(|slug| format!("{slug}: ")).unwrap_or_default();
            writeln!(anstream::stdout(), "{level} {}", clean(&format!("{whose}{}", finding.text)))?;
        }
        self.findings.push(finding);
        Ok(())
    }

    /// Of the whole installation: `Ok` what is well, `Err` what is not.
    fn note(&mut self, check: Check, told: Result<String, String>) -> Result<(), CliError> {
        self.tell(Finding::of(check, None, told))
    }

    fn end(self) -> Result<Outcome, CliError> {
        let well = self.findings.iter().all(|finding| finding.level == Level::Ok);
        if self.format == Format::Json {
            as_json(&serde_json::json!({"well": well, "findings": self.findings}))?;
        }
        Ok(if well { Outcome::Done } else { Outcome::SomeFailed })
    }
}

impl Finding {
    fn of(check: Check, tenant: Option<&Tenant>, told: Result<String, String>) -> Self {
        let (level, text) = match told {
            Ok(text) => (Level::Ok, text),
            Err(text) => (Level::Look, text),
        };
        Self { level, check, tenant: tenant.map(|tenant| tenant.slug.clone()), text }
    }
}

/// Runs `undertone doctor`.
pub fn run(arguments: &DoctorArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = open_store(&config).await?;
        let mut report = Report { format: arguments.format, findings: Vec::new() };
        if let [_, ..] = store.pending_migrations().await?.as_slice() {
            let told = "the database lacks migrations; run: undertone migrate";
            report.note(Check::Database, Err(told.to_owned()))?;
            return report.end();
        }
        report.note(Check::Database, Ok(format!("{} answers and has every migration", store.engine())))?;
        let tenants = match &arguments.tenant {
            Some(slug) => vec![find_tenant(&store, slug).await?],
            None => store.tenants().await?,
        };
        if tenants.is_empty() {
            let told = "there is no tenant; make one with: undertone tenant create";
            report.note(Check::Tenants, Err(told.to_owned()))?;
        }
        match &arguments.interaction {
            Some(id) => interaction(&store, &tenants, id, &mut report).await?,
            None => everything(&store, &config, &tenants, &mut report).await?,
        }
        report.end()
    })
}

async fn everything(
    store: &Store,
    config: &Config,
    tenants: &[Tenant],
    report: &mut Report,
) -> Result<(), CliError> {
    if config.workers == Some(0) {
        let told = "workers is 0 in this configuration: this node scores nothing";
        report.note(Check::Configuration, Err(told.to_owned()))?;
    }
    let mut mail = Err("the SMTP server was not tried: the keys can not be used".to_owned());
    let keys = match Given::to_this_process(config) {
        Ok(given) => {
            mail = the_way_of_mail(config, given.smtp_password.as_ref()).await;
            Some(ProviderKeys::new(store, given))
        }
        Err(error) => {
            report.note(Check::Configuration, Err(error.to_string()))?;
            None
        }
    };
    let prices = match prices::load(config) {
        Ok(prices) => Some(prices),
        Err(error) => {
            report.note(Check::Configuration, Err(error.to_string()))?;
            None
        }
    };
    report.note(Check::Mail, mail)?;
    for tenant in tenants {
        let mails = !config.smtp_host.is_empty();
        let means = examine::Means { store, keys: keys.as_ref(), prices: prices.as_ref(), mails };
        for (check, told) in means.tenant(tenant).await? {
            report.tell(Finding::of(check, Some(tenant), told))?;
        }
    }
    Ok(())
}

/// How e-mail goes, or why it does not; the SMTP server is asked whether it lets us in.
async fn the_way_of_mail(config: &Config, password: Option<&Secret>) -> Result<String, String> {
    let Some(mailer) = Mailer::new(config, password).map_err(|error| error.to_string())? else {
        return Ok("no SMTP server is set: people hear of alerts in their inbox only, and e-mail that waits is dropped after 72 hours (smtp_host)"
            .to_owned());
    };
    let host = &config.smtp_host;
    mailer.check().await.map_err(|why| format!("e-mail does not go through {host} (smtp_host): {why}"))?;
    Ok(format!("e-mail goes through {host} (smtp_host), which lets us in"))
}

/// Why an interaction is not scored, or that it is.
async fn interaction(
    store: &Store,
    tenants: &[Tenant],
    id: &str,
    report: &mut Report,
) -> Result<(), CliError> {
    let mut found = false;
    for tenant in tenants {
        let mut item = store.interaction(tenant.id, id).await?;
        if item.is_none() {
            let filter = Filter { external_id: Some(id), limit: 1, ..Filter::default() };
            item = store.interactions(tenant.id, &filter).await?.pop();
        }
        let Some(item) = item else { continue };
        found = true;
        let reason = item.reason.as_deref().and_then(explanation).unwrap_or_default();
        let detail = item.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let told = format!("{} {} of {}", item.source, item.external_id, tenant.slug);
        let told = match item.state.as_str() {
            "scored" => {
                let instead = if reason.is_empty() {
                    String::new()
                } else {
                    format!("; by the embedded model, since {reason}{detail}")
                };
                let label = item.label.as_deref().unwrap_or_default();
                let alert = alerts::of_interaction(store, tenant, &item).await?;
                Ok(format!("{told} is scored: {} {label}{instead}; {alert}", item.score.unwrap_or_default()))
            }
            "skipped" => Err(format!("{told} is not scored: {reason}{detail}")),
            "failed" => {
                Err(format!("{told} could not be scored, after {} attempts: {reason}{detail}", item.attempts))
            }
            _ => {
                let waits = (store.now() - item.received_at).num_seconds();
                let not_yet = "its turn has not come; is undertone serve running?";
                let why = if reason.is_empty() { not_yet } else { reason };
                Err(format!("{told} waits since {waits} seconds: {why}{detail}"))
            }
        };
        // The text names the tenant.
        report.note(Check::Interaction, told)?;
    }
    if !found {
        let told =
            format!("no interaction has the id {id}; it was never handed in, or belongs to another tenant");
        report.note(Check::Interaction, Err(told))?;
    }
    Ok(())
}
