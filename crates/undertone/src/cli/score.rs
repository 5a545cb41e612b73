//! `undertone score`: a file of messages in, verdicts and an audit out.

use std::io::{IsTerminal, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use clap::{Args, ValueEnum};
use futures::channel::mpsc;
use futures::future::{BoxFuture, ready};
use futures::{FutureExt, SinkExt, StreamExt, executor, select};
use undertone_core::gate::{Circumstances, Decision, decide};
use undertone_core::report::{Audit, Counts};
use undertone_core::{Interaction, Label, Settings, SkipReason, Urgency, Verdict};
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_scoring::{Batch, Knowledge, NoVerdict, Scorer, Utterance};

use crate::error::{CliError, Outcome};
use crate::input::columns::Chosen;
use crate::input::{self, Input, Row};
use crate::output::{self, Writer, summary};

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

What is scored: what customers wrote, and agents' notes, summaries and transcripts about them. A column author, role or direction tells who wrote a row, a column kind or type what it is. What is not scored is listed with its reason, and never counted as neutral.

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

    /// Folder of another model
    #[arg(long, value_name = "FOLDER")]
    pub model: Option<PathBuf>,

    /// No progress, no audit on standard error
    #[arg(long, short)]
    pub quiet: bool,
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
    let artifact = match &arguments.model {
        Some(folder) => Artifact::from_folder(folder)?,
        None => Artifact::embedded()?,
    };
    let mut capacity = Capacity { waiting: IN_FLIGHT, ..Capacity::default() };
    if let Some(threads) = arguments.threads.and_then(|n| NonZeroUsize::new(n.into())) {
        capacity.threads = threads;
    }
    let scorer = LocalScorer::new(artifact, capacity)?;
    let knowledge = Arc::new(Knowledge::of(&settings));
    for category in scorer.unreadable_categories(&knowledge.categories) {
        tell(&format!(
            "warning: nothing will be sorted under “{}”: neither its name nor its examples are in English, which is what the \
             embedded model reads",
            category.id.as_str()
        ));
    }
    let mut stops = interrupts();

    if to_person && !input.notice.is_empty() {
        tell(&format!("Reading {}: {}", arguments.file.display(), input.notice));
    }
    let mut out = Writer::new(arguments.format)?;
    let mut audit = Audit::default();
    // Whoever streams messages in waits for each answer; from a file they are written in larger pieces.
    let streamed = arguments.file.as_os_str() == "-";
    let (rows, reading) = read_ahead(input);
    let mut verdicts = rows.map(|row| score(row, &settings, &knowledge, &scorer)).buffered(IN_FLIGHT).fuse();
    let stopped = executor::block_on(async {
        loop {
            select! {
                _ = stops.next() => return Ok::<bool, CliError>(true),
                row = verdicts.next() => {
                    let Some(row) = row else { return Ok(false) };
                    count(&mut audit, &row);
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
    let report = summary::Report { audit: &audit, compared, interrupted: stopped };
    match arguments.format {
        Format::Table => Writer::append(&report.as_text())?,
        Format::Markdown => out.prepend_markdown(&report.as_markdown())?,
        Format::Csv | Format::Jsonl if to_person => {
            // Nobody may be listening there, which is no reason to fail.
            let _ = write!(anstream::stderr(), "{}", report.as_text());
        }
        Format::Csv | Format::Jsonl => {}
    }
    Ok(match (report.interrupted, audit.failed) {
        (true, _) => Outcome::Interrupted,
        (false, 0) => Outcome::Done,
        (false, _) => Outcome::SomeFailed,
    })
}

fn settings(arguments: &ScoreArguments) -> Result<Settings, CliError> {
    let mut json = match &arguments.settings {
        None => serde_json::json!({}),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| CliError::Failed(format!("{} can not be read: {e}", path.display())))?;
            serde_json::from_str(&text)
                .map_err(|e| CliError::Failed(format!("{} is not JSON: {e}", path.display())))?
        }
    };
    if let (Some(least), Some(object)) = (arguments.min_length, json.as_object_mut()) {
        object.insert("min_note_length".to_owned(), least.into());
    }
    let settings = Settings::from_json(&json).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        CliError::Failed(format!("the settings can not be used:\n  {}", told.join("\n  ")))
    })?;
    // A file is read by the embedded model; asking an LLM is the service's business until it has a budget to ask within.
    Ok(Settings { scorer: undertone_core::verdict::ScorerKind::Local, ..settings })
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
        keep: false,
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

/// Puts a row on its way; the future answers what became of it.
fn score<'s>(
    row: Row,
    settings: &Settings,
    knowledge: &Arc<Knowledge>,
    scorer: &'s LocalScorer,
) -> BoxFuture<'s, Scored> {
    let line = row.line;
    let interaction = match row.interaction {
        Ok(interaction) => interaction,
        Err(told) => return ready(Scored { line, interaction: None, answer: Answer::Failed(told) }).boxed(),
    };
    let outcome = match decide(&interaction, settings, Circumstances::default()) {
        Decision::Score { read_bytes, .. } => {
            let batch = Batch {
                utterances: vec![Utterance::of(&interaction, read_bytes)],
                knowledge: knowledge.clone(),
                model: None,
            };
            scorer.score(batch).map(|mut answers| answers.pop().map_or_else(lost, answer)).boxed()
        }
        Decision::Skip(reason) => ready(Answer::Skipped { reason, language: None }).boxed(),
        // Only an LLM is waited for.
        Decision::Defer(reason) => ready(Answer::Skipped { reason: reason.into(), language: None }).boxed(),
    };
    outcome.map(move |answer| Scored { line, interaction: Some(interaction), answer }).boxed()
}

fn lost() -> Answer {
    Answer::Failed("the scorer gave no answer".to_owned())
}

fn answer(verdict: Result<Verdict, NoVerdict>) -> Answer {
    match verdict {
        Ok(verdict) => Answer::Verdict(Box::new(verdict)),
        Err(NoVerdict::Abstained { reason, language }) => Answer::Skipped { reason, language },
        Err(error @ (NoVerdict::Busy | NoVerdict::Unavailable { .. } | NoVerdict::Failed { .. })) => {
            Answer::Failed(error.to_string())
        }
    }
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
