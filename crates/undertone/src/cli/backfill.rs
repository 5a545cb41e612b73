//! `undertone backfill`: score what was not scored, or score again. The service does the work; this says what it will take, starts it and
//! looks on.

mod text;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use undertone_core::backfill::Asked;
use undertone_store::backfill::{Run, RunState};
use undertone_store::{Act, Store, Tenant};

use super::admin::{ACTOR, tenant, yes};
use super::scorer::Who;
use super::service::{opened, reader};
use crate::backfill::{self, Means};
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::llm::{Llms, Web};
use crate::prices;
use crate::secrets::{Given, ProviderKeys};

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A service that works takes a run in hand within this.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// Score what was not scored, or score again.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "\
Examples:
  undertone backfill acme                                    what has no verdict: what it will take, then a question
  undertone backfill acme --include too_short --yes          also what was too short, without a question
  undertone backfill acme --mode refresh --scorer claude     what has a verdict, again; the earlier one stays as a revision
  undertone backfill acme --mode refresh --limit 200 --from 2026-11-01
  undertone backfill acme --via-batches                      through Claude's Message Batches, at half the price
  undertone backfill status acme                             how far it is, or what came of it
  undertone backfill pause acme; undertone backfill resume acme

Goes from what was taken in last to what was taken in first, whenever it happened; --from and --to choose by the day it happened. Corrections by people stay in force. Nothing is told to workflows or webhooks unless --notify says so. What is new does not wait for a run, but caps are shared: what a run spends is spent. The service does the work (undertone serve); Ctrl-C only stops looking on.

Exit status: 0 done, or nothing was started; 1 it failed; 2 wrong usage; 130 looking on was stopped."
)]
pub struct BackfillArguments {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    start: StartArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell how far a run is, or what came of it
    Status(Which),
    /// Stop a run for now
    Pause(Which),
    /// Let a run go on where it was
    Resume(Which),
    /// End a run
    Cancel(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// The tenant's short name
    slug: String,
    /// The run's id; left out, the one that runs or is paused, else the latest
    id: Option<String>,
    #[command(flatten)]
    config: ConfigArguments,
}

/// What is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeWord {
    /// What has no verdict, where the reason may have passed
    Unscored,
    /// What has one; it costs tokens with every call to an LLM
    Refresh,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Args)]
struct StartArguments {
    /// The tenant's short name
    #[arg(required = true)]
    slug: Option<String>,

    /// What is scored
    #[arg(long, value_enum, default_value_t = ModeWord::Unscored)]
    mode: ModeWord,

    /// Who scores; left out, whom the settings name
    #[arg(long, value_enum)]
    scorer: Option<Who>,

    /// Interactions scored together, 1 to 100
    #[arg(long, value_name = "NUMBER", default_value_t = 25)]
    batch_size: u16,

    /// Pause between two batches, in milliseconds
    #[arg(long = "sleep", value_name = "MS", default_value_t = 200)]
    sleep_ms: u32,

    /// At most so many interactions, those taken in last
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,

    /// Only what happened on this day or later, such as 2026-11-20
    #[arg(long, value_name = "DAY")]
    from: Option<String>,

    /// Only what happened on this day or earlier
    #[arg(long, value_name = "DAY")]
    to: Option<String>,

    /// Only this customer's, by our id or the source's
    #[arg(long, value_name = "ID")]
    customer: Option<String>,

    /// Only what came this way
    #[arg(long)]
    channel: Option<String>,

    /// Also what was skipped for this reason, such as `too_short`; may be given several times
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    include: Vec<String>,

    /// Send events as for what is new
    #[arg(long)]
    notify: bool,

    /// Through Claude's Message Batches: half the price, and up to a day for each batch
    #[arg(long)]
    via_batches: bool,

    /// Start without a question
    #[arg(long, short)]
    yes: bool,

    /// Start and do not look on
    #[arg(long)]
    detach: bool,

    #[command(flatten)]
    config: ConfigArguments,
}

/// Runs the command.
pub fn run(arguments: &BackfillArguments) -> Result<Outcome, CliError> {
    match &arguments.action {
        None => start(&arguments.start),
        Some(Action::Status(which)) => look(which),
        Some(Action::Pause(which)) => {
            order(which, "paused", &async |store, act, id| store.pause_backfill(act, id).await)
        }
        Some(Action::Resume(which)) => {
            order(which, "running", &async |store, act, id| store.resume_backfill(act, id).await)
        }
        Some(Action::Cancel(which)) => {
            order(which, "cancelled", &async |store, act, id| store.cancel_backfill(act, id).await)
        }
    }
}

impl StartArguments {
    /// What is asked for, as the API takes it.
    fn body(&self) -> Value {
        let mode = if self.mode == ModeWord::Refresh { "refresh" } else { "unscored" };
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        put("mode", mode.into());
        put("scorer", json!(self.scorer.map(Who::kind)));
        put("batch_size", self.batch_size.into());
        put("sleep_ms", self.sleep_ms.into());
        put("limit", json!(self.limit));
        put("from", json!(self.from));
        put("to", json!(self.to));
        put("customer", json!(self.customer));
        put("channel", json!(self.channel));
        put("include", json!(self.include));
        put("notify", self.notify.into());
        put("via_batches", self.via_batches.into());
        Value::Object(body)
    }

    async fn asked(&self, store: &Store, tenant: &Tenant) -> Result<Asked, CliError> {
        let mut asked = Asked::from_json(&self.body()).map_err(|errors| {
            CliError::Failed(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        if let Some(customer) = &asked.customer {
            let known = store.customer(tenant.id, customer).await?;
            let gone = || CliError::Failed(format!("{} has no customer {customer}", tenant.slug));
            asked.customer = Some(known.ok_or_else(gone)?.id);
        }
        Ok(asked)
    }
}

fn start(arguments: &StartArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        // clap asks for it unless there is a subcommand.
        let tenant = tenant(&store, arguments.slug.as_deref().unwrap_or_default()).await?;
        let asked = arguments.asked(&store, &tenant).await?;
        let prices = Arc::new(prices::load(&config)?);
        let keys = ProviderKeys::new(&store, Given::to_this_process(&config)?);
        let llms = Llms::new(&store, &keys, Arc::new(Web::new()?), &prices);
        let means = Means { store: &store, llms: &llms, prices: &prices, local: reader(1)? };
        let estimate = means.estimate(&tenant, &asked).await?;
        let mut out = anstream::stdout();
        out.write_all(text::estimate(&estimate, &asked, &tenant).as_bytes())?;
        if estimate.rows == 0 {
            writeln!(out, "\nNothing was started.")?;
            return Ok(Outcome::Done);
        }
        if let Some(problem) = &estimate.problem {
            return Err(CliError::Failed(problem.clone()));
        }
        if !arguments.yes && !agreed()? {
            writeln!(out, "\nNothing was started.")?;
            return Ok(Outcome::Done);
        }
        let act = Act::new(tenant.id, ACTOR);
        let run = backfill::start(&store, &act, &asked, &estimate).await?;
        writeln!(out, "\nRun {} has begun.", run.id)?;
        if arguments.detach {
            writeln!(out, "Look at it with: undertone backfill status {}", tenant.slug)?;
            return Ok(Outcome::Done);
        }
        follow(&store, &tenant, run).await
    })
}

/// Asks whether to start. Where nobody can answer, that is no.
fn agreed() -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        writeln!(anstream::stdout(), "\nSay --yes to start it.")?;
        return Ok(false);
    }
    yes("\nStart it?")
}

/// Looks on until the run ends or somebody stops looking.
async fn follow(store: &Store, tenant: &Tenant, mut run: Run) -> Result<Outcome, CliError> {
    let slug = &tenant.slug;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    let begun = Instant::now();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let told = backfill::progress(store, tenant, &run).await?;
        if !matches!(run.state, RunState::Running | RunState::Paused) {
            bar.finish_and_clear();
            anstream::stdout().write_all(text::run(&told, tenant).as_bytes())?;
            return Ok(Outcome::Done);
        }
        if run.driven_at.is_none() && begun.elapsed() > TAKEN_WITHIN {
            bar.finish_and_clear();
            writeln!(
                anstream::stdout(),
                "No service works on it yet; it goes on by itself as soon as one does: undertone serve\nLook at it with: undertone backfill status {slug}"
            )?;
            return Ok(Outcome::Done);
        }
        let figure = |name: &str| told["progress"][name].as_u64().unwrap_or_default();
        bar.set_length(figure("total"));
        bar.set_position(figure("done"));
        bar.set_message(text::state(&told, tenant));
        tokio::select! {
            _ = &mut interrupted => {
                bar.finish_and_clear();
                writeln!(anstream::stdout(), "It goes on. Look at it with: undertone backfill status {slug}\nEnd it with: undertone backfill cancel {slug}")?;
                return Ok(Outcome::Interrupted);
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        run = store.backfill(tenant.id, &run.id).await?.ok_or_else(gone)?;
    }
}

fn gone() -> CliError {
    CliError::Failed("the run is gone".to_owned())
}

/// The run that is meant.
async fn find(store: &Store, tenant: &Tenant, id: Option<&str>) -> Result<Run, CliError> {
    if let Some(id) = id {
        let known = store.backfill(tenant.id, id).await?;
        return known.ok_or_else(|| CliError::Failed(format!("{} has no run {id}", tenant.slug)));
    }
    let latest = store.backfills(tenant.id, false, None, 1).await?.pop();
    latest.ok_or_else(|| {
        let slug = &tenant.slug;
        CliError::Failed(format!("{slug} has no backfill; start one with: undertone backfill {slug}"))
    })
}

fn look(which: &Which) -> Result<Outcome, CliError> {
    let config = Config::load(&which.config, json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenant = tenant(&store, &which.slug).await?;
        let run = find(&store, &tenant, which.id.as_deref()).await?;
        let told = backfill::progress(&store, &tenant, &run).await?;
        anstream::stdout().write_all(text::run(&told, &tenant).as_bytes())?;
        Ok(Outcome::Done)
    })
}

fn order(
    which: &Which,
    word: &str,
    act: &impl AsyncFn(&Store, &Act<'_>, &str) -> Result<Option<Run>, undertone_store::StoreError>,
) -> Result<Outcome, CliError> {
    let config = Config::load(&which.config, json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenant = tenant(&store, &which.slug).await?;
        let run = find(&store, &tenant, which.id.as_deref()).await?;
        let by = Act::new(tenant.id, ACTOR);
        let run = act(&store, &by, &run.id).await?.ok_or_else(gone)?;
        writeln!(anstream::stdout(), "Run {} is {word}; {} decided so far.", run.id, run.decided())?;
        Ok(Outcome::Done)
    })
}
