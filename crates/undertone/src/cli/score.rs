//! `undertone score`: a file of messages in, verdicts and an audit out.

mod flow;

use std::io::{IsTerminal, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use clap::{Args, ValueEnum};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, executor, select};
use undertone_core::report::{Audit, Counts};
use undertone_core::verdict::ScorerKind;
use undertone_core::{Interaction, Label, Settings, SkipReason, Urgency, Verdict};
use undertone_scoring::Knowledge;
use undertone_scoring::local::{Capacity, LocalScorer};

use super::scorer::{self, LlmArguments, LlmRun, Means, Who};
use crate::error::{CliError, Outcome};
use crate::input::columns::Chosen;
use crate::input::{self, Input, Row};
use crate::output::asked::Asked;
use crate::output::{self, Writer, summary};
use flow::Flow;

/// Texts that are read ahead of the one being written.
const IN_FLIGHT: usize = 256;

/// Score a file of customer messages and sum it up.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone score tickets.csv
  undertone score --format markdown chats.jsonl > report.md
  undertone score --format csv october.csv > october.verdicts.csv
  undertone score november.csv --compare october.verdicts.csv
  echo 'Third week, still no answer from you' | undertone score -
  ANTHROPIC_API_KEY=… undertone score tickets.csv --scorer claude --max-cost 0.50

What is scored: what customers wrote, and agents' notes, summaries and transcripts about them. A column author, role or direction tells who wrote a row, a column kind or type what it is. What is not scored is listed with its reason, and never counted as neutral.

With an LLM, names, e-mail addresses, telephone numbers and the like are taken out of each text before it is sent, those of the row's own columns among them; names beyond these stay. What the LLM can not be asked, the embedded model reads, marked so (when_unavailable in the settings).

Exit status: 0 all read; 1 something failed, or some rows could not be read; 2 wrong usage; 130 interrupted.")]
pub struct ScoreArguments {
    /// A file, or - for standard input: CSV, TSV, JSON Lines or plain lines
    pub file: PathBuf,

    /// How to write the verdicts. CSV and JSON Lines keep the audit to standard error
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Compare with the verdicts of an earlier batch, as written by --format csv
    #[arg(long, value_name = "CSV")]
    pub compare: Option<PathBuf>,

    /// What the file is, where it can not be told by its name and look
    #[arg(long, value_enum)]
    pub input_format: Option<input::Format>,

    /// Delimiter of a CSV file, where it can not be told: one character, or \t
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,

    /// Column that holds the customers' words
    #[arg(long, value_name = "COLUMN")]
    pub text: Option<String>,

    /// Column that holds a row's own id
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,

    /// Column that tells the customer
    #[arg(long, value_name = "COLUMN")]
    pub customer: Option<String>,

    /// Column that tells when
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,

    /// Column that tells the channel
    #[arg(long, value_name = "COLUMN")]
    pub channel: Option<String>,

    /// Column that tells who wrote it: customer, agent, bot, incoming, outgoing …
    #[arg(long, value_name = "COLUMN")]
    pub author: Option<String>,

    /// A file with the tenant's settings, a JSON object
    #[arg(long, value_name = "JSON")]
    pub settings: Option<PathBuf>,

    /// Leave shorter texts unscored, in characters (default 20, as in the settings)
    #[arg(long, value_name = "CHARACTERS")]
    pub min_length: Option<u32>,

    /// Threads to read with (default: one for each core)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// No progress, no audit on standard error
    #[arg(long, short)]
    pub quiet: bool,

    /// Who scores
    #[arg(long, value_enum, default_value_t = Who::Local)]
    pub scorer: Who,

    #[command(flatten)]
    pub llm: LlmArguments,
}

/// How verdicts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line each, for a person, then the audit
    Table,
    /// For a spreadsheet
    Csv,
    /// An object each, for a program
    Jsonl,
    /// The audit and the verdicts, to be forwarded
    Markdown,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [one] if !one.is_ascii_alphanumeric() && *one != b'"' => Ok(*one),
        _ => Err("give one ASCII sign such as ; or \\t".to_owned()),
    }
}

/// A row with what became of it.
pub struct Scored {
    /// Line of the file, from 1.
    pub line: u64,
    /// The row; `None` when it could not be read.
    pub interaction: Option<Interaction>,
    /// Its verdict, or why there is none.
    pub answer: Answer,
    /// Why the LLM that was to be asked gave no answer, where that is so: a verdict is the embedded model's then.
    pub note: Option<String>,
}

/// What became of a row.
pub enum Answer {
    /// A verdict.
    Verdict(Box<Verdict>),
    /// None, for a reason.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// The language it seems to be in, where that is the reason.
        language: Option<String>,
    },
    /// None, because something is wrong with the row or broke.
    Failed(String),
}

/// Runs the command.
pub fn run(arguments: &ScoreArguments) -> Result<Outcome, CliError> {
    let settings = settings(arguments)?;
    let before = arguments.compare.as_deref().map(counts_of).transpose()?;
    let to_person = !arguments.quiet;
    // A table on the terminal moves by itself; a bar would only flicker between its lines.
    let still = arguments.format != Format::Table || !std::io::stdout().is_terminal();
    let (source, bytes) = open(&arguments.file)?;
    let bar = output::progress(to_person && still && std::io::stderr().is_terminal(), bytes);
    let input = read(arguments, Box::new(bar.wrap_read(source)))?;
    let local = Arc::new(local(arguments, &settings)?);
    let llm = match arguments.scorer {
        Who::Local => None,
        who => {
            let means = Means::load(&arguments.llm)?;
            Some(LlmRun::new(who, &arguments.llm, &settings, &means, &local)?)
        }
    };
    let knowledge = Arc::new(Knowledge::of(&settings));
    if matches!(arguments.scorer, Who::Local | Who::Cascade) {
        warn_of_categories(&local, &knowledge);
    }
    let mut stops = interrupts();

    if to_person && !input.notice.is_empty() {
        tell(&format!("Reading {}: {}", arguments.file.display(), input.notice));
    }
    let mut out = Writer::new(arguments.format)?;
    let mut audit = Audit::default();
    let mut asked = llm.as_ref().map(|llm| Asked::of(arguments.scorer.kind(), llm));
    // Whoever streams messages in waits for each answer; from a file they are written in larger pieces.
    let streamed = arguments.file.as_os_str() == "-";
    let (rows, reading) = read_ahead(input);
    let flow = Flow {
        scorer: llm.as_ref().map_or(&*local, |llm| &*llm.scorer),
        stand_in: llm.as_ref().map(|_| &*local as _),
        settings: &settings,
        knowledge,
        pack: llm.as_ref().map_or(1, |llm| llm.pack),
        packs: llm.as_ref().map_or(IN_FLIGHT, |llm| llm.packs),
        streamed,
    };
    let stopped = super::in_runtime(async {
        let mut verdicts = std::pin::pin!(flow.run(rows).fuse());
        loop {
            select! {
                _ = stops.next() => return Ok::<bool, CliError>(true),
                row = verdicts.next() => {
                    let Some(row) = row else { return Ok(false) };
                    count(&mut audit, &row);
                    if let Some(asked) = &mut asked {
                        asked.count(&row);
                    }
                    out.write(&row)?;
                    if streamed {
                        out.flush()?;
                    }
                    bar.set_message(format!("{} read", audit.inputs));
                    bar.tick();
                }
            }
        }
    })?;
    bar.finish_and_clear();
    out.flush()?;
    if !stopped && reading.join().is_err() {
        return Err(CliError::Failed(
            "reading the file broke off; please report it with the file's first lines".to_owned(),
        ));
    }

    let compared = before.as_ref().map(|before| (before, arguments.compare.as_deref()));
    let report = summary::Report { audit: &audit, compared, interrupted: stopped, asked: asked.as_ref() };
    match arguments.format {
        Format::Table => Writer::append(&report.as_text())?,
        Format::Markdown => out.prepend_markdown(&report.as_markdown())?,
        Format::Csv | Format::Jsonl if to_person => {
            // Nobody may be listening there, which is no reason to fail.
            let _ = write!(anstream::stderr(), "{}", report.as_text());
        }
        Format::Csv | Format::Jsonl => {}
    }
    let unheard = asked.as_ref().is_some_and(Asked::is_unheard);
    Ok(match (report.interrupted, audit.failed) {
        (true, _) => Outcome::Interrupted,
        (false, 0) if !unheard => Outcome::Done,
        (false, _) => Outcome::SomeFailed,
    })
}

/// The embedded model.
fn local(arguments: &ScoreArguments, settings: &Settings) -> Result<LocalScorer, CliError> {
    let artifact = scorer::artifact(arguments.scorer, &arguments.llm)?;
    let waiting = match arguments.scorer {
        Who::Local => IN_FLIGHT,
        who => scorer::most_texts(who, &arguments.llm, settings),
    };
    let mut capacity = Capacity { waiting, ..Capacity::default() };
    if let Some(threads) = arguments.threads.and_then(|n| NonZeroUsize::new(n.into())) {
        capacity.threads = threads;
    }
    Ok(LocalScorer::new(artifact, capacity)?)
}

fn warn_of_categories(local: &LocalScorer, knowledge: &Knowledge) {
    for category in local.unreadable_categories(&knowledge.categories) {
        tell(&format!(
            "warning: nothing will be sorted under “{}”: neither its name nor its examples are in English, which is what the \
             embedded model reads",
            category.id.as_str()
        ));
    }
}

fn settings(arguments: &ScoreArguments) -> Result<Settings, CliError> {
    let mut json = scorer::settings_json(arguments.settings.as_deref())?;
    if let (Some(least), Some(object)) = (arguments.min_length, json.as_object_mut()) {
        object.insert("min_note_length".to_owned(), least.into());
    }
    let settings = scorer::settings(&json)?;
    // What is sent out and charged is asked for on the command line; a file that came from elsewhere does not decide it.
    if arguments.scorer == Who::Local && settings.scorer != ScorerKind::Local && !arguments.quiet {
        tell(&format!(
            "The settings name the scorer {0}; the embedded model reads this file. Add --scorer {0} to have it asked.",
            settings.scorer.as_str()
        ));
    }
    Ok(Settings { scorer: arguments.scorer.kind(), ..settings })
}

/// The file and its size, where it has one.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), CliError> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let shown = path.display();
    let file =
        std::fs::File::open(path).map_err(|e| CliError::Failed(format!("{shown} can not be opened: {e}")))?;
    let meta = file.metadata().map_err(|e| CliError::Failed(format!("{shown} can not be read: {e}")))?;
    if meta.is_dir() {
        return Err(CliError::Failed(format!("{shown} is a folder; give a file of messages")));
    }
    Ok((Box::new(file), meta.is_file().then_some(meta.len())))
}

fn read(arguments: &ScoreArguments, source: Box<dyn Read + Send>) -> Result<Input, CliError> {
    let options = input::Options {
        format: arguments.input_format,
        delimiter: arguments.delimiter,
        columns: Chosen {
            text: arguments.text.clone(),
            id: arguments.id.clone(),
            customer: arguments.customer.clone(),
            time: arguments.time.clone(),
            channel: arguments.channel.clone(),
            author: arguments.author.clone(),
        },
        // Only what is sent to an LLM must be looked through for what other columns know.
        keep: arguments.scorer != Who::Local,
    };
    input::open(source, &arguments.file.to_string_lossy(), &options)
}

/// Answers at the first Ctrl-C. The second ends the process at once, for whoever can not wait.
fn interrupts() -> mpsc::UnboundedReceiver<()> {
    let (sender, receiver) = mpsc::unbounded();
    let again = AtomicBool::new(false);
    // Without a handler Ctrl-C still ends the program; only the audit of the part done is lost.
    let _ = ctrlc::set_handler(move || {
        if again.swap(true, Ordering::Relaxed) || sender.unbounded_send(()).is_err() {
            std::process::exit(130);
        }
    });
    receiver
}

/// Reads rows on a thread of its own, so that waiting for input never holds up an answer or Ctrl-C.
fn read_ahead(input: Input) -> (mpsc::Receiver<Row>, JoinHandle<()>) {
    let (mut sender, receiver) = mpsc::channel(IN_FLIGHT);
    let reading = std::thread::spawn(move || {
        for row in input.rows {
            // Nobody takes rows any more.
            if executor::block_on(sender.send(row)).is_err() {
                return;
            }
        }
    });
    (receiver, reading)
}

/// Tells a person on standard error, if one is there to read it.
fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", output::clean(text));
}

fn count(audit: &mut Audit, scored: &Scored) {
    match &scored.answer {
        Answer::Verdict(verdict) => {
            let customer = scored.interaction.as_ref().and_then(|i| i.customer.as_deref());
            audit.add_verdict(&scored.line.to_string(), customer, verdict);
        }
        Answer::Skipped { reason, .. } => audit.add_skipped(*reason),
        Answer::Failed(_) => audit.add_failed(),
    }
}

/// Counts of an earlier batch from its CSV.
fn counts_of(path: &Path) -> Result<Counts, CliError> {
    let shown = path.display();
    let failed = CliError::Failed;
    let mut reader =
        csv::Reader::from_path(path).map_err(|e| failed(format!("{shown} can not be read: {e}")))?;
    let names = reader.headers().map_err(|e| failed(format!("{shown} can not be read: {e}")))?.clone();
    let column = |name: &str| {
        names.iter().position(|h| h == name).ok_or_else(|| {
            failed(format!("{shown} has no column {name}; --compare takes what --format csv wrote"))
        })
    };
    let (label, urgency, category) = (column("label")?, column("urgency")?, column("category")?);
    let mut counts = Counts::default();
    for (record, line) in reader.records().zip(2..) {
        let record = record.map_err(|e| failed(format!("{shown} can not be read: {e}")))?;
        let field = |i: usize| record.get(i).unwrap_or_default();
        if field(label).is_empty() {
            continue;
        }
        let wrong = |what: &str| failed(format!("{shown}, row {line}: {what}"));
        let label: Label = field(label).parse().map_err(|e: String| wrong(&e))?;
        let urgency = Urgency::ALL
            .into_iter()
            .find(|u| u.as_str() == field(urgency))
            .ok_or_else(|| wrong("the urgency is none of low, medium, high"))?;
        let category = undertone_core::CategoryId::new(field(category))
            .ok_or_else(|| wrong("the category is none that Undertone writes"))?;
        counts.add(label, urgency, &category);
    }
    Ok(counts)
}
