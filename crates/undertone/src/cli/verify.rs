//! `undertone verify`: count everything anew and compare. `undertone doctor`: what is wrong, and why is this not scored?

use std::io::Write;

use chrono::TimeDelta;
use clap::Args;
use undertone_core::Channel;
use undertone_core::settings::Recipients;
use undertone_core::verdict::ScorerKind;
use undertone_store::interactions::Filter;
use undertone_store::{Store, Tenant};

use super::admin::tenant as find_tenant;
use super::service::opened;
use crate::api::explanation;
use crate::app::open_store;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::prices;
use crate::secrets::{Given, ProviderKeys};

/// Count everything anew and compare it with the counters.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Only this tenant
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Put counters that differ to what was counted
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Runs `undertone verify`.
pub fn run_verify(arguments: &VerifyArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenants = match &arguments.tenant {
            Some(slug) => vec![find_tenant(&store, slug).await?],
            None => store.tenants().await?,
        };
        let mut out = anstream::stdout();
        let mut differing = 0;
        for tenant in tenants {
            let differences = store.verify(tenant.id).await?;
            differing += differences.len();
            for d in &differences {
                if d.kept == d.counted {
                    writeln!(out, "{}: {} differs from what was counted", tenant.slug, d.counter)?;
                } else {
                    let (kept, counted) = (d.kept, d.counted);
                    writeln!(
                        out,
                        "{}: {} holds {} verdicts with a sum of {}, counted {} with {}",
                        tenant.slug,
                        d.counter,
                        kept.scored,
                        kept.sum_score,
                        counted.scored,
                        counted.sum_score
                    )?;
                }
            }
            if !differences.is_empty() && arguments.repair {
                store.rebuild(tenant.id).await?;
                writeln!(out, "{}: counters put to what was counted", tenant.slug)?;
            }
        }
        if differing == 0 {
            writeln!(out, "no difference")?;
            return Ok(Outcome::Done);
        }
        Ok(if arguments.repair { Outcome::Done } else { Outcome::SomeFailed })
    })
}

/// Say what is misconfigured, or why an interaction is not scored.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// An interaction's id, ours or its source's
    interaction: Option<String>,
    /// Only this tenant
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Runs `undertone doctor`.
pub fn run_doctor(arguments: &DoctorArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = open_store(&config).await?;
        let mut report = Report::default();
        if let [_, ..] = store.pending_migrations().await?.as_slice() {
            report.bad("the database lacks migrations; run: undertone migrate")?;
            return Ok(report.outcome());
        }
        Report::good(&format!("{} answers and has every migration", store.engine()))?;
        let tenants = match &arguments.tenant {
            Some(slug) => vec![find_tenant(&store, slug).await?],
            None => store.tenants().await?,
        };
        if tenants.is_empty() {
            report.bad("there is no tenant; make one with: undertone tenant create")?;
        }
        let keys = match Given::to_this_process(&config) {
            Ok(given) => Some(ProviderKeys::new(&store, given)),
            Err(error) => {
                report.bad(&error.to_string())?;
                None
            }
        };
        let mut found = false;
        for tenant in &tenants {
            if let Some(id) = &arguments.interaction {
                found |= examine_interaction(&store, tenant, id, &mut report).await?;
                continue;
            }
            examine_tenant(&store, tenant, &config, &mut report).await?;
            if let Some(keys) = &keys {
                examine_keys(&store, tenant, keys, &mut report).await?;
            }
        }
        if let Some(id) = arguments.interaction.as_ref().filter(|_| !found) {
            report.bad(&format!(
                "no interaction has the id {id}; it was never handed in, or belongs to another tenant"
            ))?;
        }
        Ok(report.outcome())
    })
}

#[derive(Default)]
struct Report {
    problems: usize,
}

impl Report {
    fn good(text: &str) -> Result<(), CliError> {
        writeln!(anstream::stdout(), "ok    {}", crate::output::clean(text))?;
        Ok(())
    }

    fn bad(&mut self, text: &str) -> Result<(), CliError> {
        self.problems += 1;
        writeln!(anstream::stdout(), "LOOK  {}", crate::output::clean(text))?;
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        if self.problems == 0 { Outcome::Done } else { Outcome::SomeFailed }
    }
}

async fn examine_tenant(
    store: &Store,
    tenant: &Tenant,
    config: &Config,
    report: &mut Report,
) -> Result<(), CliError> {
    let slug = &tenant.slug;
    let module = store.module(tenant.id).await?;
    let settings = &module.settings;
    // The module guide's three checks, in its order, then the others.
    if module.active {
        Report::good(&format!("{slug}: the module is active"))?;
    } else {
        report.bad(&format!("{slug}: the module is not active; run: undertone module activate {slug}"))?;
    }
    Report::good(&match settings.scorer {
        ScorerKind::Local => format!("{slug}: the embedded model scores; no key is needed"),
        ScorerKind::Claude => format!("{slug}: Claude scores (scorer)"),
        ScorerKind::Openai => format!("{slug}: an LLM that speaks chat completions scores (scorer)"),
        ScorerKind::Cascade => {
            format!("{slug}: the embedded model scores, and an LLM is asked where it is unsure (scorer)")
        }
    })?;
    if settings.scorer != ScorerKind::Local {
        match prices::load(config) {
            Err(error) => report.bad(&error.to_string())?,
            Ok(prices) => {
                let (at, budget) = (store.now(), store.budget(tenant).await?);
                for told in super::usage::examine(tenant, settings, &budget, &prices, at) {
                    match told {
                        Ok(told) => Report::good(&told)?,
                        Err(told) => report.bad(&told)?,
                    }
                }
            }
        }
    }
    Report::good(&format!(
        "{slug}: texts of {} characters and more are scored (min_note_length)",
        settings.min_note_length
    ))?;
    if !settings.enabled {
        report.bad(&format!("{slug}: scoring is switched off in the settings (enabled)"))?;
    }
    let off: Vec<&str> =
        Channel::ALL.into_iter().filter(|c| !settings.channels.contains(c)).map(Channel::as_str).collect();
    if !off.is_empty() {
        report.bad(&format!("{slug}: not scored are the channels {} (channels)", off.join(", ")))?;
    }
    if matches!(&settings.recipients, Recipients::SpecificUsers { users } if users.is_empty()) {
        report.bad(&format!("{slug}: alerts go to specific users and none is selected (recipients)"))?;
    }
    if config.workers == Some(0) {
        report.bad("workers is 0 in this configuration: this node scores nothing")?;
    }
    let keys = store.keys(tenant.id).await?;
    if keys.iter().all(|key| key.revoked_at.is_some()) {
        report.bad(&format!("{slug}: no API key works; run: undertone key create {slug} --scope ingest"))?;
    }
    if tenant.zone_is_changing {
        report.bad(&format!(
            "{slug}: days are still being moved to {}; keep the service running",
            tenant.zone
        ))?;
    }
    let waiting = store.waiting(tenant.id).await?;
    let count = |c: undertone_core::overview::Count| format!("{}{}", c.count, if c.more { "+" } else { "" });
    match waiting.oldest {
        Some(oldest) if store.now() - oldest > TimeDelta::minutes(2) => {
            let minutes = (store.now() - oldest).num_minutes();
            report.bad(&format!(
                "{slug}: {} interactions wait, the oldest for {minutes} minutes; is undertone serve running?",
                count(waiting.pending)
            ))?;
        }
        Some(_) => {
            Report::good(&format!("{slug}: {} interactions wait, none for long", count(waiting.pending)))?;
        }
        None => Report::good(&format!("{slug}: nothing waits"))?,
    }
    if waiting.failed.count > 0 {
        report.bad(&format!(
            "{slug}: {} could not be scored; list them with GET /api/v1/interactions?state=failed",
            count(waiting.failed)
        ))?;
    }
    Ok(())
}

async fn examine_keys(
    store: &Store,
    tenant: &Tenant,
    keys: &ProviderKeys,
    report: &mut Report,
) -> Result<(), CliError> {
    let scorer = store.module(tenant.id).await?.settings.scorer;
    for told in super::secrets::examine(keys, tenant, scorer).await? {
        match told {
            Ok(told) => Report::good(&told)?,
            Err(told) => report.bad(&told)?,
        }
    }
    Ok(())
}

async fn examine_interaction(
    store: &Store,
    tenant: &Tenant,
    id: &str,
    report: &mut Report,
) -> Result<bool, CliError> {
    let mut found = store.interaction(tenant.id, id).await?;
    if found.is_none() {
        let filter = Filter { external_id: Some(id), limit: 1, ..Filter::default() };
        found = store.interactions(tenant.id, &filter).await?.pop();
    }
    let Some(item) = found else { return Ok(false) };
    let reason = item.reason.as_deref().and_then(explanation).unwrap_or_default();
    let detail = item.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let told = format!("{} {} of {}", item.source, item.external_id, tenant.slug);
    match item.state.as_str() {
        "scored" => Report::good(&format!(
            "{told} is scored: {} {}",
            item.score.unwrap_or_default(),
            item.label.as_deref().unwrap_or_default()
        ))?,
        "skipped" => report.bad(&format!("{told} is not scored: {reason}{detail}"))?,
        "failed" => report.bad(&format!(
            "{told} could not be scored, after {} attempts: {reason}{detail}",
            item.attempts
        ))?,
        _ => {
            let waits = (store.now() - item.received_at).num_seconds();
            let why =
                if reason.is_empty() { "its turn has not come; is undertone serve running?" } else { reason };
            report.bad(&format!("{told} waits since {waits} seconds: {why}{detail}"))?;
        }
    }
    Ok(true)
}
