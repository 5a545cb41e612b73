//! `undertone audit`: what people and administrators did, and proof that nobody rewrote it.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use undertone_store::audit::{Finding, Head, Verified};
use undertone_store::{Act, Store, Tenant};

use super::admin::{ACTOR, tenant as find_tenant};
use super::service::opened;
use crate::audit::{Export, Format, Given, Wanted, verify_file};
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::output::clean;
use crate::output::columns::{Columns, Side};

/// Read, verify and export the audit log.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone audit list acme --action settings_saved --since 2026-11-01
  undertone audit head acme >> /mnt/elsewhere/heads     keep where the chain ends, where the database's administrator can not write
  undertone audit verify acme --head 117:3f…            follow the chain, and compare it with what was kept
  undertone audit export acme --output november.jsonl --since 2026-11-01 --until 2026-11-30
  undertone audit verify --file november.jsonl          without the database

Days are the tenant's, the last one included. Whoever reads or exports a log is in it.

Exit status: 0 done, nothing is wrong; 1 something is wrong with a log, or it failed; 2 wrong usage.")]
pub struct AuditArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List entries, the latest first
    List {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Follow the chain of digests from its beginning to its end
    Verify {
        /// The tenant's short name; left out, every tenant
        slug: Option<String>,
        /// A head that was kept, as `audit head` prints it
        #[arg(long, value_name = "SEQ:DIGEST")]
        head: Option<Head>,
        /// An export as JSON lines instead of the database
        #[arg(long, value_name = "FILE", conflicts_with = "slug")]
        file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Seal what was noted, and print where the chain ends
    Head {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Write entries to a file, in the order of the chain
    Export {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        which: Which,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        /// The file; left out, standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Which entries.
#[derive(Debug, Args)]
struct Which {
    /// Only what they did: user:ID, key:ID, or "command line"
    #[arg(long)]
    actor: Option<String>,
    /// Only what is called that, such as `settings_saved`
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to that
    #[arg(long)]
    subject: Option<String>,
    /// From this day or moment on
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// Until the end of this day, or before this moment
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
}

impl Which {
    fn wanted(self, tenant: &Tenant) -> Result<Wanted, CliError> {
        let Self { actor, action, subject, since, until } = self;
        Wanted::read(Given { actor, action, subject, since, until }, tenant.zone).map_err(CliError::Failed)
    }
}

/// Runs `undertone audit`.
pub fn run(arguments: AuditArguments) -> Result<Outcome, CliError> {
    match arguments.action {
        Action::List { slug, which, limit, config } => {
            with_tenant(&config, &slug, async |store, tenant| list(&store, &tenant, which, limit).await)
        }
        Action::Verify { file: Some(path), head, .. } => verify_export(&path, head),
        Action::Verify { slug: None, head: Some(_), .. } => Err(CliError::Failed(
            "a head belongs to one tenant: name it, such as undertone audit verify acme --head …".to_owned(),
        )),
        Action::Verify { slug, head, config, .. } => {
            let config = Config::load(&config, serde_json::json!({}))?;
            super::in_runtime(async { verify(&opened(&config).await?, slug.as_deref(), head).await })
        }
        Action::Head { slug, config } => with_tenant(&config, &slug, async |store, tenant| {
            store.seal_audit(tenant.id).await?;
            writeln!(anstream::stdout(), "{}", store.audit_head(tenant.id).await?)?;
            Ok(Outcome::Done)
        }),
        Action::Export { slug, which, format, output, config } => {
            with_tenant(&config, &slug, async |store, tenant| {
                let wanted = which.wanted(&tenant)?;
                export(&store, &tenant, wanted, format, output.as_deref()).await
            })
        }
    }
}

fn with_tenant<F>(
    flags: &ConfigArguments,
    slug: &str,
    act: impl FnOnce(Store, Tenant) -> F,
) -> Result<Outcome, CliError>
where
    F: Future<Output = Result<Outcome, CliError>>,
{
    let config = Config::load(flags, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenant = find_tenant(&store, slug).await?;
        act(store, tenant).await
    })
}

async fn list(store: &Store, tenant: &Tenant, which: Which, limit: u16) -> Result<Outcome, CliError> {
    let wanted = which.wanted(tenant)?;
    let entries = store.audit(tenant.id, &wanted.filter(), None, limit).await?;
    let names = store.actors(tenant.id, &entries).await?;
    let payload = serde_json::json!({"wanted": wanted});
    store.note(&Act::new(tenant.id, ACTOR), ("audit_read", "audit_log"), &payload).await?;
    let heads = ["WHEN", "WHO", "WHAT", "ON", "FROM", "PAYLOAD"].map(|head| (head, Side::Left));
    let mut columns = Columns::new(&heads);
    for entry in entries {
        let who = names.get(&entry.actor).cloned().unwrap_or(entry.actor);
        columns.row([
            entry.at.with_timezone(&tenant.zone).format("%Y-%m-%d %H:%M:%S").to_string(),
            who,
            entry.action,
            entry.subject,
            entry.from.unwrap_or_default(),
            entry.payload.unwrap_or_else(|| "erased".to_owned()),
        ]);
    }
    anstream::stdout().write_all(columns.text().as_bytes())?;
    Ok(Outcome::Done)
}

async fn export(
    store: &Store,
    tenant: &Tenant,
    wanted: Wanted,
    format: Format,
    output: Option<&Path>,
) -> Result<Outcome, CliError> {
    let mut out: Box<dyn Write + Send> = match output {
        // Nothing that is there already is written over.
        Some(path) => Box::new(File::create_new(path).map_err(|e| {
            CliError::Failed(format!(
                "{} can not be made: {e}; name a file that is not there yet",
                path.display()
            ))
        })?),
        None => Box::new(std::io::stdout()),
    };
    let mut export = Export::begin(store, &Act::new(tenant.id, ACTOR), wanted, format).await?;
    while let Some(piece) = export.next(None).await? {
        out.write_all(piece.as_bytes())?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

async fn verify(store: &Store, slug: Option<&str>, head: Option<Head>) -> Result<Outcome, CliError> {
    let tenants = match slug {
        Some(slug) => vec![find_tenant(store, slug).await?],
        None => store.tenants().await?,
    };
    let mut outcome = Outcome::Done;
    for tenant in tenants {
        let verified = store.verify_audit(tenant.id, head.clone()).await?;
        if !verified.ok {
            outcome = Outcome::SomeFailed;
        }
        anstream::stdout().write_all(as_text(&tenant, &verified).as_bytes())?;
    }
    Ok(outcome)
}

fn as_text(tenant: &Tenant, verified: &Verified) -> String {
    let slug = &tenant.slug;
    let mut text = findings(slug, &verified.findings, verified.more);
    if verified.ok {
        text += &format!("{slug}: {} entries, nothing was changed", verified.entries);
        if verified.erased > 0 {
            text += &format!("; the payload of {} was erased", verified.erased);
        }
        text += "\n";
    }
    if let Some(checkpoint) = &verified.checkpoint {
        let day = checkpoint.created_at.with_timezone(&tenant.zone).format("%Y-%m-%d");
        text += &format!(
            "{slug}: entries up to {} were removed by {day}, when their time was over\n",
            checkpoint.seq
        );
    }
    if let Some(oldest) = verified.oldest_unsealed {
        let since = oldest.with_timezone(&tenant.zone).format("%Y-%m-%d %H:%M:%S");
        text += &format!(
            "{slug}: {} entries are not sealed yet, the oldest since {since}; the service seals every five seconds\n",
            verified.unsealed
        );
    }
    if verified.head.seq > 0 {
        text += &format!("{slug}: head {}\n", verified.head);
    }
    text
}

fn findings(of: &str, findings: &[Finding], more: u64) -> String {
    let mut text = String::new();
    for finding in findings {
        text += &format!("{of}: {}\n", clean(&finding.told));
    }
    if more > 0 {
        text += &format!("{of}: and {more} more\n");
    }
    text
}

fn verify_export(path: &Path, head: Option<Head>) -> Result<Outcome, CliError> {
    let shown = clean(&path.display().to_string());
    let file = File::open(path).map_err(|e| CliError::Failed(format!("{shown} can not be opened: {e}")))?;
    let read = verify_file(BufReader::new(file), head).map_err(|told| {
        CliError::Failed(format!("{shown}: {told}; give an export made with --format jsonl"))
    })?;
    let follower = &read.follower;
    let mut text = findings(&shown, &follower.findings, follower.more);
    if follower.findings.is_empty() {
        text += &format!("{shown}: {} entries, nothing was changed\n", follower.entries);
    }
    if let Some(first) = read.first.filter(|first| *first > 1) {
        text += &format!("{shown}: begins with entry {first}; what it follows is not in the file\n");
    }
    if read.unsealed > 0 {
        text += &format!("{shown}: {} entries were not sealed yet\n", read.unsealed);
    }
    if follower.at.seq > 0 {
        text += &format!("{shown}: head {}\n", follower.at);
    }
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(if follower.findings.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}
