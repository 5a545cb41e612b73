//! `undertone demo`: the service on a fresh database, with the sample inbox scored before the user's eyes.

mod simulator;

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use clap::Args;
use serde_json::json;
use undertone_core::arrival::CustomerDetails;
use undertone_core::{Arrival, Interaction};
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Reach};

use super::admin::ACTOR;
use super::service::Service;
use crate::api::secrets;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::input::{self, Options};
use crate::intake::incoming;
use crate::output::amount::grouped;
use crate::pages::overview::curl;
use crate::secrets::Given;
use crate::telemetry;

/// The sample inbox, as in samples/.
const SAMPLES: &str = include_str!("../../../../samples/inbox.csv");
const EMAIL: &str = "demo@undertone.example";

/// Show the service with sample data, on a database that is thrown away afterwards.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Where to listen; without it 127.0.0.1:8080, or any free port where that one is taken
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Put what the embedded model is unsure of to a simulated LLM on this machine. It is no model: it answers what the embedded model says,
    /// costs nothing and makes nothing better; it shows how verdicts, tokens and budgets look with an LLM
    #[arg(long)]
    llm_simulator: bool,
}

/// Runs the command.
pub fn run(arguments: &DemoArguments) -> Result<Outcome, CliError> {
    let folder = tempfile::tempdir()?;
    let flags = ConfigArguments { data_dir: Some(folder.path().to_owned()), ..ConfigArguments::default() };
    let mut config = Config::load(&flags, json!({"database_url": "", "log": "warn"}))?;
    config.listen = arguments.listen.unwrap_or_else(free_address);
    telemetry::start(&config)?;
    super::in_runtime(async {
        let password = secrets::password();
        let hint = format!("Demo: {EMAIL} with the password {password}");
        let (simulator, given) = if arguments.llm_simulator {
            let (server, given) = simulator::start()?;
            (Some(server), given)
        } else {
            (None, Given::to_this_process(&config)?)
        };
        let service = Service::start_with(config, given, Some(&hint)).await?;
        let store = &service.app.store;
        let zone = Tz::UTC;
        let name = if simulator.is_some() { "Demo inbox, LLM simulated" } else { "Demo inbox" };
        let new = NewTenant { slug: "demo", name, zone, actor: ACTOR };
        let tenant = store.create_tenant(&new).await?;
        let act = Act::new(tenant.id, ACTOR);
        if simulator.is_some() {
            // Nothing is charged, so nothing needs a cap.
            let settings = json!({"scorer": "cascade", "model": simulator::MODEL, "daily_token_cap": 0});
            store.change_settings(&act, &settings).await?;
        }
        let hash = secrets::hash_password(&password)?;
        store.save_user(&act, EMAIL, "tenant_admin", &hash).await?;
        let key = secrets::api_key();
        store.create_key(&act, "demo", &["ingest", "read", "admin"], &key).await?;

        let address = format!("http://{}", service.address);
        let mut out = anstream::stdout();
        writeln!(out, "Undertone's demo is at {address}\n")?;
        writeln!(
            out,
            "  Log in     {EMAIL}\n  Password   {password}\n  API key    {key}\n  API        {address}/api/docs/\n"
        )?;
        if simulator.is_some() {
            writeln!(
                out,
                "What the embedded model is unsure of is put to a SIMULATED LLM, “{}”: a program on this machine that answers what the \
                 embedded model says. It is no model, costs nothing and makes nothing better.\n",
                simulator::MODEL
            )?;
        }
        let items = samples(store.now())?;
        let count = items.len();
        service
            .app
            .gather
            .take_patiently((tenant.id, Reach::Changes), items)
            .await
            .map_err(|e| CliError::Failed(e.to_string()))?;
        writeln!(
            out,
            "{count} sample interactions of the last weeks are being read now; watch them arrive on the page.\n"
        )?;
        writeln!(
            out,
            "Hand in one of your own and see it appear on the open page:\n\n  {}\n",
            curl(&address, &key)
        )?;
        out.flush()?;
        let begun = std::time::Instant::now();
        while store.waiting(tenant.id).await?.oldest.is_some() && begun.elapsed() < Duration::from_mins(1) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        if let Some(server) = &simulator {
            let ledger = server.ledger();
            writeln!(
                out,
                "The simulator was asked {} times; by its estimate that took {} tokens.",
                ledger.billed.len(),
                grouped(ledger.usage().total())
            )?;
        }
        writeln!(out, "Read in {seconds:.1} s. Ctrl-C ends the demo and removes its data.")?;
        out.flush()?;
        service.until_told().await?;
        Ok(Outcome::Done)
    })
}

/// The usual address, or any free one where somebody else has it.
fn free_address() -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], 8080));
    if std::net::TcpListener::bind(usual).is_ok() { usual } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
}

/// The sample inbox, moved so that its last message came a little while ago.
fn samples(now: chrono::DateTime<chrono::Utc>) -> Result<Vec<undertone_store::accept::Incoming>, CliError> {
    let input = input::open(Box::new(SAMPLES.as_bytes()), "inbox.csv", &Options::default())?;
    let mut interactions: Vec<Interaction> = input.rows.filter_map(|row| row.interaction.ok()).collect();
    let last = interactions.iter().filter_map(|i| i.occurred_at).max().unwrap_or(now);
    let moved = now - TimeDelta::minutes(7) - last;
    interactions.sort_by_key(|i| i.occurred_at);
    let names = names()?;
    Ok(interactions
        .into_iter()
        .map(|mut i| {
            "samples".clone_into(&mut i.source);
            i.occurred_at = i.occurred_at.map(|at| at + moved);
            let name = i.customer.as_ref().and_then(|id| names.get(id)).cloned();
            incoming(Arrival {
                customer: CustomerDetails { name, ..CustomerDetails::default() },
                ..Arrival::of(i)
            })
        })
        .collect())
}

/// Names of the samples' customers by their ids.
fn names() -> Result<HashMap<String, String>, CliError> {
    let mut reader = csv::Reader::from_reader(SAMPLES.as_bytes());
    let unreadable = |e: csv::Error| CliError::Failed(format!("the samples can not be read: {e}"));
    let header = reader.headers().map_err(unreadable)?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let (Some(id), Some(name)) = (place("customer_id"), place("customer_name")) else {
        return Ok(HashMap::new());
    };
    let mut names = HashMap::new();
    for row in reader.records() {
        let row = row.map_err(unreadable)?;
        names.insert(row[id].to_owned(), row[name].to_owned());
    }
    Ok(names)
}
