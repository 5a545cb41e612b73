//! `undertone eval`: how good a scorer is, on labelled texts or on behavioural packs.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use undertone_core::Label;
use undertone_core::accuracy::{Truth, measure};
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};

use crate::error::{CliError, Outcome};
use crate::eval::answers::{Peer, answer, verdicts};
use crate::eval::labelled::{self, Columns, Labelled};
use crate::eval::packs;
use crate::eval::report::{Group, Report, Scored, packs_as_markdown, packs_as_text};
use crate::output;

/// Groups of fewer texts say nothing.
const LEAST_IN_GROUP: usize = 5;

/// Measure how good the verdicts are on labelled texts, or on behavioural packs.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone eval labelled.csv --compare vader
  undertone eval march.jsonl april.jsonl --by team --format markdown > accuracy.md
  undertone eval --pack
  undertone eval --pack our-cases.jsonl

A labelled file is CSV, TSV or JSON Lines with a text and a label (positive, neutral, negative, mixed). It may have a valence (-100 to 100), emotion, urgency, category and kind too, and the labels of several people in columns label_1, label_2 …: then it is told how often two of them agree, which is the most to ask of a scorer. 300 texts or more make ranges narrow enough to decide by.

Exit status: 0 done; 1 rows could not be used, or a pack has more failures than it may; 2 wrong usage.")]
pub struct EvalArguments {
    /// Labelled files
    #[arg(required_unless_present = "pack")]
    pub files: Vec<PathBuf>,

    /// Run behavioural packs: those in the files, or those built in
    #[arg(long, conflicts_with_all = ["compare", "by", "text", "label"])]
    pub pack: bool,

    /// Set another scorer beside it
    #[arg(long, value_enum)]
    pub compare: Vec<Peer>,

    /// Tell the figures by what this column holds too
    #[arg(long, value_name = "COLUMN")]
    pub by: Vec<String>,

    /// Column that holds the text
    #[arg(long, value_name = "COLUMN")]
    pub text: Option<String>,

    /// Column that holds the label
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,

    /// Folder of another model
    #[arg(long, value_name = "FOLDER")]
    pub model: Option<PathBuf>,

    /// How to write the figures
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// How figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    Table,
    /// For a program
    Json,
    /// For a document
    Markdown,
    /// A page to keep or send on
    Html,
}

/// Runs the command.
pub fn run(arguments: &EvalArguments) -> Result<Outcome, CliError> {
    let artifact = match &arguments.model {
        Some(folder) => Artifact::from_folder(folder)?,
        None => Artifact::embedded()?,
    };
    let name = format!("{} {}", artifact.manifest.name, artifact.manifest.version);
    let scorer = LocalScorer::new(artifact, Capacity::default())?;
    if arguments.pack { run_packs(arguments, &scorer) } else { run_files(arguments, &name, &scorer) }
}

fn run_files(arguments: &EvalArguments, name: &str, scorer: &LocalScorer) -> Result<Outcome, CliError> {
    let columns =
        Columns { text: arguments.text.clone(), label: arguments.label.clone(), by: arguments.by.clone() };
    let (mut rows, mut unusable, mut rejected): (Vec<Labelled>, Vec<String>, usize) =
        (Vec::new(), Vec::new(), 0);
    for file in &arguments.files {
        let read = labelled::read(file, &columns)?;
        rows.extend(read.rows);
        unusable.extend(read.unusable);
        rejected += read.rejected;
    }
    let texts: Vec<_> = rows.iter().map(|row| &row.interaction).collect();
    let truths: Vec<Truth> = rows.iter().map(|row| row.truth.clone()).collect();
    let labels: Vec<Label> = truths.iter().map(|truth| truth.label).collect();
    let bar = output::progress(std::io::stderr().is_terminal(), None);
    let said = verdicts(scorer, &texts, |done| {
        bar.set_message(format!("{done} of {} read", texts.len()));
        bar.tick();
    })?;
    bar.finish_and_clear();
    let said: Vec<_> = said.iter().map(|v| v.as_ref().map(answer)).collect();

    let nothing = || CliError::Failed("there is nothing to compare".to_owned());
    let mut scorers =
        vec![Scored { name: name.to_owned(), accuracy: measure(&truths, &said).ok_or_else(nothing)? }];
    let mut peers = arguments.compare.clone();
    peers.push(Peer::Majority);
    peers.dedup();
    for peer in peers {
        let accuracy = measure(&truths, &peer.answers(&texts, &labels)).ok_or_else(nothing)?;
        scorers.push(Scored { name: peer.name().to_owned(), accuracy });
    }
    let mut groups = Vec::new();
    for (at, by) in arguments.by.iter().enumerate() {
        let mut values: Vec<&String> = rows.iter().flat_map(|row| &row.groups[at]).collect();
        values.sort();
        values.dedup();
        for value in values {
            let inside: Vec<usize> =
                (0..rows.len()).filter(|i| rows[*i].groups[at].contains(value)).collect();
            if inside.len() < LEAST_IN_GROUP {
                continue;
            }
            let truths: Vec<Truth> = inside.iter().map(|i| truths[*i].clone()).collect();
            let said: Vec<_> = inside.iter().map(|i| said[*i].clone()).collect();
            if let Some(accuracy) = measure(&truths, &said) {
                groups.push(Group { by: by.clone(), value: value.clone(), accuracy });
            }
        }
    }
    let files = arguments.files.iter().map(|file| file.display().to_string()).collect();
    let report = Report { files, scorers, groups };
    let out = match arguments.format {
        Format::Table => report.as_text(),
        Format::Markdown => report.as_markdown(),
        Format::Html => page(&report.as_markdown()),
        Format::Json => json(&report)?,
    };
    anstream::stdout().write_all(out.as_bytes())?;
    if unusable.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut err = anstream::stderr();
    let rows = if rejected == 1 { "row" } else { "rows" };
    let _ = writeln!(err, "{rejected} {rows} could not be used:");
    for told in unusable.iter().take(10) {
        let _ = writeln!(err, "  {}", output::clean(told));
    }
    Ok(Outcome::SomeFailed)
}

fn run_packs(arguments: &EvalArguments, scorer: &LocalScorer) -> Result<Outcome, CliError> {
    let mut cases = Vec::new();
    if arguments.files.is_empty() {
        cases = packs::built_in().map_err(CliError::Failed)?;
    }
    for path in &arguments.files {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| CliError::Failed(format!("{shown} can not be read: {e}")))?;
        cases.extend(packs::parse(&shown, &text).map_err(CliError::Failed)?);
    }
    let texts: Vec<_> = cases.iter().flat_map(packs::Case::texts).collect();
    let said = verdicts(scorer, &texts.iter().collect::<Vec<_>>(), |_| {})?;
    let outcomes = packs::judge(&cases, &said);
    let out = match arguments.format {
        Format::Table => packs_as_text(&outcomes),
        Format::Markdown => packs_as_markdown(&outcomes),
        Format::Html => page(&packs_as_markdown(&outcomes)),
        Format::Json => json(&outcomes)?,
    };
    anstream::stdout().write_all(out.as_bytes())?;
    Ok(if outcomes.iter().all(packs::Outcome::is_held) { Outcome::Done } else { Outcome::SomeFailed })
}

fn page(markdown: &str) -> String {
    undertone_ui::standalone("Accuracy", &output::document::html(markdown))
}

fn json(value: &impl serde::Serialize) -> Result<String, CliError> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| CliError::Failed(e.to_string()))
}
