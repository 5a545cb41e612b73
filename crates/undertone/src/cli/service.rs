//! `undertone serve`: the service.

use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_store::Store;

use crate::api;
use crate::app::{App, open_store};
use crate::config::{Config, ConfigArguments};
use crate::deliver;
use crate::deliver::{Deliveries, Outward, Stream};
use crate::error::{CliError, Outcome};
use crate::intake::gather::Gather;
use crate::knowledge::Lessons;
use crate::limits::Limits;
use crate::llm::{Llms, Web};
use crate::mail::Mailer;
use crate::pipeline::{Patience, Pipeline, Tools, Work};
use crate::prices;
use crate::secrets::{Given, ProviderKeys};
use crate::sign_on::SignOn;
use crate::telemetry;

/// Requests under way and texts being read have this long to end.
const PATIENCE: Duration = Duration::from_secs(7);
/// Writers of interactions, on a database that takes several at once.
const WRITERS: usize = 4;

/// Run the service: intake, scoring, API and pages
#[derive(Debug, Args)]
#[command(
    after_help = "Prometheus reads /metrics with a token of your own: the variable UNDERTONE_METRICS_TOKEN, or metrics_token_file in the configuration."
)]
pub struct ServeArguments {
    #[command(flatten)]
    pub config: ConfigArguments,

    #[command(flatten)]
    pub more: ServeFlags,
}

/// Flags of the service alone.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct ServeFlags {
    /// Where to listen; port 0 takes any that is free; also UNDERTONE_LISTEN
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,

    /// Threads that read texts; 0: take interactions in and score none; also UNDERTONE_WORKERS
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..=256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,
}

/// Runs the command.
pub fn run(arguments: &ServeArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, &arguments.more)?;
    telemetry::start(&config)?;
    super::in_runtime(async {
        let service = Service::start(config, None).await?;
        service.announce("Listening on")?;
        if service.app.store.tenants().await?.is_empty() {
            tracing::warn!(
                "there is no tenant yet; make one with: undertone tenant create NAME, then a key and a user"
            );
        }
        service.until_told().await?;
        Ok(Outcome::Done)
    })
}

/// The service, listening.
pub struct Service {
    /// What its parts share.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
    pipeline: Pipeline,
    deliveries: Deliveries,
    end: watch::Sender<bool>,
}

impl Service {
    /// Opens the database, brings its tables up to date, and starts to listen and to score.
    pub async fn start(config: Config, log_in_hint: Option<&str>) -> Result<Self, CliError> {
        let given = Given::to_this_process(&config)?;
        Self::start_with(config, given, log_in_hint).await
    }

    /// The same with these keys, whatever the environment holds.
    pub async fn start_with(
        config: Config,
        given: Given,
        log_in_hint: Option<&str>,
    ) -> Result<Self, CliError> {
        tracing::info!("{}", given.told());
        let prices = Arc::new(prices::load(&config)?);
        let store = open_store(&config).await.map_err(|e| cannot_open(&config, &e))?;
        store.migrate().await.map_err(|e| cannot_open(&config, &e))?;
        let listener = TcpListener::bind(config.listen).await.map_err(|e| {
            CliError::Failed(format!(
                "{} can not be listened on: {e}; choose another with --listen",
                config.listen
            ))
        })?;
        let address = listener.local_addr()?;
        let config = Config { listen: address, ..config };
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get();
        let workers = config.workers.map_or(cores, usize::from);
        let reader = reader(workers)?;
        let lessons = Lessons::default();
        let (end, ending) = watch::channel(false);
        let work = Work::default();
        let writers = if store.engine() == "SQLite" { 1 } else { WRITERS };
        let gather = Gather::start(&store, &work, config.intake_queue, writers);
        // One worker more than threads: while one records, the threads have something to read.
        let tasks = if workers == 0 { 0 } else { workers + 1 };
        let mailer = Mailer::new(&config, given.smtp_password.as_ref())?;
        let metrics_token = given.metrics_token.clone();
        let provider_keys = ProviderKeys::new(&store, given);
        let web = Arc::new(Web::new()?);
        let sign_on = SignOn::new(web.clone());
        let llms = Llms::new(&store, &provider_keys, web, &prices);
        let tools = Tools {
            store: store.clone(),
            local: reader.clone(),
            lessons: lessons.clone(),
            llms: llms.clone(),
            work,
            patience: Patience::default(),
        };
        let pipeline = Pipeline::start(&tools, tasks, &ending);
        let outward = Outward::new(config.allowed_networks.networks())?;
        let stream = Stream::default();
        let senders = deliver::Tools {
            store: store.clone(),
            outward: outward.clone(),
            keyring: provider_keys.keyring().clone(),
            public_url: config.public_url.trim_end_matches('/').into(),
        };
        let deliveries = Deliveries::start(&senders, &stream, mailer, &ending);
        let app = App {
            outward,
            stream,
            provider_keys,
            sign_on,
            llms,
            metrics_token,
            prices,
            store,
            limits: Limits::new(&config),
            config: Arc::new(config),
            reader,
            lessons,
            learning: Arc::default(),
            gather,
            ending,
            log_in_hint: log_in_hint.map(Arc::from),
        };
        Ok(Self { app, address, listener, pipeline, deliveries, end })
    }

    /// Says where it listens; programs that start this one wait for the line.
    pub fn announce(&self, words: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{words} http://{}", self.address)?;
        out.flush()?;
        Ok(())
    }

    /// Serves until the process is told to end, and ends in order.
    pub async fn until_told(self) -> Result<(), CliError> {
        let Self { app, listener, pipeline, deliveries, end, .. } = self;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut ending = app.ending.clone();
        let told = async move {
            let _ = ending.wait_for(|end| *end).await;
        };
        let router = api::router(&app).into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(listener, router).with_graceful_shutdown(told).into_future();
        let mut server = tokio::spawn(server);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
            ended = &mut server => {
                let why = match ended { Ok(Err(e)) => e.to_string(), _ => "the server ended".to_owned() };
                return Err(CliError::Failed(format!("the service ended: {why}")));
            }
        }
        tracing::info!("ending: no new work is taken, what is under way is finished");
        let _ = end.send(true);
        let (answered, (), ()) = tokio::join!(
            tokio::time::timeout(PATIENCE, &mut server),
            pipeline.end(PATIENCE),
            deliveries.end(PATIENCE)
        );
        if answered.is_err() {
            server.abort();
        }
        Ok(())
    }
}

/// The embedded model on this many threads.
pub fn reader(threads: usize) -> Result<Arc<LocalScorer>, CliError> {
    let capacity =
        Capacity { threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN), waiting: 4096 };
    Ok(Arc::new(LocalScorer::new(Artifact::embedded()?, capacity)?))
}

/// Opens the database for a command that wants it as it should be.
pub async fn opened(config: &Config) -> Result<Store, CliError> {
    let store = open_store(config).await.map_err(|e| cannot_open(config, &e))?;
    store.migrate().await.map_err(|e| cannot_open(config, &e))?;
    Ok(store)
}

fn cannot_open(config: &Config, error: &undertone_store::StoreError) -> CliError {
    let shown = crate::config::hide_password(&config.database());
    CliError::Failed(format!("the database {shown} can not be used: {error}"))
}
