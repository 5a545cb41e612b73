//! `undertone eval`: how good a scorer is, on labelled texts or on behavioural packs.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use undertone_core::accuracy::{Answer, Truth, measure};
use undertone_core::cascade::effect::effect;
use undertone_core::{Label, Settings, Verdict};
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_scoring::{Knowledge, NoVerdict, Utterance};

use super::scorer::{self, LlmArguments, LlmRun, Means, Who};
use crate::error::{CliError, Outcome};
use crate::eval::answers::{Asked, Rule, Said, answer, verdicts};
use crate::eval::labelled::{self, Columns, Labelled};
use crate::eval::report::{Report, Scored, Taken, packs_as_markdown, packs_as_text};
use crate::eval::{groups, packs};
use crate::output;
use crate::output::amount::{dollars, grouped};

/// Texts the embedded model is handed at once.
const AT_ONCE: usize = 64;

/// Measure how good the verdicts are on labelled texts, or on behavioural packs.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone eval labelled.csv --compare vader
  undertone eval march.jsonl april.jsonl --by team --format markdown > accuracy.md
  undertone eval labelled.csv --scorer claude --compare local --max-cost 0.50
  undertone eval labelled.csv --scorer cascade --compare claude:claude-sonnet-5-5
  undertone eval --pack
  undertone eval --pack our-cases.jsonl

A labelled file is CSV, TSV or JSON Lines with a text and a label (positive, neutral, negative, mixed). It may have a valence (-100 to 100), emotion, urgency, category and kind too, and the labels of several people in columns label_1, label_2 …: then it is told how often two of them agree, which is the most to ask of a scorer. 300 texts or more make ranges narrow enough to decide by.

With an LLM, what can not be asked about all texts is not measured at all. What it took stands below the figures; caps hold for each scorer by itself.

Exit status: 0 done; 1 rows could not be used, or a pack has more failures than it may; 2 wrong usage.")]
pub struct EvalArguments {
    /// Labelled files
    #[arg(required_unless_present = "pack")]
    pub files: Vec<PathBuf>,

    /// Run behavioural packs: those in the files, or those built in
    #[arg(long, conflicts_with_all = ["compare", "by", "text", "label"])]
    pub pack: bool,

    /// Set another scorer beside it: vader, majority, local, claude, openai or cascade. An LLM's model may follow, as in
    /// claude:claude-sonnet-5-5
    #[arg(long, value_name = "SCORER", value_parser = peer)]
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

    /// A file with the tenant's settings, a JSON object
    #[arg(long, value_name = "JSON")]
    pub settings: Option<PathBuf>,

    /// How to write the figures
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Who is measured
    #[arg(long, value_enum, default_value_t = Who::Local)]
    pub scorer: Who,

    #[command(flatten)]
    pub llm: LlmArguments,
}

/// What is set beside a scorer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A rule.
    Rule(Rule),
    /// Another scorer, with a model of its own where one is named.
    Scorer(Who, Option<String>),
}

fn peer(text: &str) -> Result<Peer, String> {
    let (name, model) = match text.split_once(':') {
        Some((name, model)) => (name, Some(model)),
        None => (text, None),
    };
    let scorer = |who| match model {
        Some("") => Err(format!("{text} names no model after the colon")),
        model => Ok(Peer::Scorer(who, model.map(str::to_owned))),
    };
    match (name, model) {
        ("vader", None) => Ok(Peer::Rule(Rule::Vader)),
        ("majority", None) => Ok(Peer::Rule(Rule::Majority)),
        ("local", _) => scorer(Who::Local),
        ("claude", _) => scorer(Who::Claude),
        ("openai", _) => scorer(Who::Openai),
        ("cascade", _) => scorer(Who::Cascade),
        _ => Err("give one of vader, majority, local, claude, openai and cascade".to_owned()),
    }
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
    let settings = scorer::settings(&scorer::settings_json(arguments.settings.as_deref())?)?;
    let asks = |peer: &Peer| matches!(peer, Peer::Scorer(who, _) if *who != Who::Local);
    let asks = arguments.scorer != Who::Local || arguments.compare.iter().any(asks);
    let means = asks.then(|| Means::load(&arguments.llm)).transpose()?;
    let bench = Bench { arguments, settings, means };
    if arguments.pack { run_packs(&bench) } else { run_files(&bench) }
}

/// Texts with what people say of them.
struct Texts {
    utterances: Vec<Utterance>,
    labels: Vec<Label>,
}

/// What scorers are measured with.
struct Bench<'a> {
    arguments: &'a EvalArguments,
    settings: Settings,
    /// Keys and prices, where an LLM is asked.
    means: Option<Means>,
}

/// What came of one of them.
struct Measured {
    name: String,
    verdicts: Vec<Option<Verdict>>,
    taken: Option<Taken>,
}

impl Measured {
    fn answers(&self) -> Vec<Option<Answer>> {
        self.verdicts.iter().map(|v| v.as_ref().map(answer)).collect()
    }
}

impl Bench<'_> {
    /// What a scorer says of `texts`.
    fn run(&self, who: Who, llm: &LlmArguments, texts: &Texts) -> Result<Measured, CliError> {
        let artifact = scorer::artifact(who, llm)?;
        let local_name = format!("{} {}", artifact.manifest.name, artifact.manifest.version);
        let Some(means) = self.means.as_ref().filter(|_| who != Who::Local) else {
            let local = local(artifact, AT_ONCE)?;
            let asked = Asked { scorer: &local, pack: AT_ONCE, packs: 1 };
            let said = self.said(asked, texts).map_err(|e| CliError::Failed(e.to_string()))?;
            return Ok(Measured { name: local_name, verdicts: said.verdicts, taken: None });
        };
        let local = Arc::new(local(artifact, scorer::most_texts(who, llm, &self.settings))?);
        let run = LlmRun::new(who, llm, &self.settings, means, &local)?;
        let asked = Asked { scorer: &*run.scorer, pack: run.pack, packs: run.packs };
        let said = self.said(asked, texts).map_err(|error| not_asked(&run, &error))?;
        let tally = run.meter.tally().sums;
        let cascade = (who == Who::Cascade).then(|| effect(&said.verdicts, &texts.labels));
        let taken = Taken {
            model: run.model.clone(),
            texts: texts.utterances.len() as u64,
            requests: tally.calls,
            tokens: tally.usage,
            cost_micros: run.meter.price(&run.model).map(|_| tally.cost_micros),
            prices_of: run.meter.day(),
            lost_requests: tally.lost_calls,
            unusable_answers: said.unusable,
            cascade,
        };
        let name = match who {
            Who::Cascade => format!("cascade, {}", run.model),
            _ => run.model.clone(),
        };
        Ok(Measured { name, verdicts: said.verdicts, taken: Some(taken) })
    }

    /// The flags of a peer: a model of its own, and the address only where the same provider is asked at it.
    fn flags(&self, who: Who, model: Option<String>) -> LlmArguments {
        let EvalArguments { llm, scorer, compare, .. } = self.arguments;
        let llms = std::iter::once(*scorer).chain(compare.iter().filter_map(|peer| match peer {
            Peer::Scorer(who, _) => Some(*who),
            Peer::Rule(_) => None,
        }));
        let first = { llms }.find(|who| *who != Who::Local);
        let same = self.means.as_ref().zip(first).is_some_and(|(means, first)| {
            let of = |who, address, model: Option<&str>| {
                means.provider(who, address, model.or(self.settings.model.as_deref()))
            };
            of(first, llm.base_url.as_deref(), llm.model.as_deref()) == of(who, None, model.as_deref())
        });
        LlmArguments { model, base_url: llm.base_url.clone().filter(|_| same), ..llm.clone() }
    }

    fn said(&self, asked: Asked<'_>, texts: &Texts) -> Result<Said, NoVerdict> {
        let knowledge = Arc::new(Knowledge::of(&self.settings));
        let count = texts.utterances.len();
        let bar = output::progress(std::io::stderr().is_terminal(), None);
        let said = super::in_runtime(async {
            let progress = |done| {
                bar.set_message(format!("{done} of {count} read"));
                bar.tick();
            };
            Ok(verdicts(asked, &knowledge, &texts.utterances, progress).await)
        });
        bar.finish_and_clear();
        said.unwrap_or_else(|error| Err(NoVerdict::Failed { detail: error.to_string() }))
    }
}

fn local(artifact: Artifact, waiting: usize) -> Result<LocalScorer, CliError> {
    Ok(LocalScorer::new(artifact, Capacity { waiting, ..Capacity::default() })?)
}

/// The LLM could not be asked about all texts.
fn not_asked(run: &LlmRun, error: &NoVerdict) -> CliError {
    let sums = run.meter.tally().sums;
    CliError::Failed(format!(
        "{} could not be asked about all texts, so nothing is measured: {error}. {} requests with {} tokens ({}) were made until then",
        run.model,
        grouped(sums.calls),
        grouped(sums.usage.total()),
        dollars(sums.cost_micros)
    ))
}

fn run_files(bench: &Bench<'_>) -> Result<Outcome, CliError> {
    let arguments = bench.arguments;
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
    if let Some(column) = groups::nowhere(&arguments.by, &rows) {
        return Err(CliError::Failed(format!(
            "no row has anything in a column {column}, so no figures can be told by it; --by takes a column's name"
        )));
    }
    let truths: Vec<Truth> = rows.iter().map(|row| row.truth.clone()).collect();
    let texts = Texts {
        utterances: rows.iter().map(Labelled::utterance).collect(),
        labels: truths.iter().map(|truth| truth.label).collect(),
    };
    let interactions: Vec<_> = rows.iter().map(|row| &row.interaction).collect();

    let nothing = || CliError::Failed("there is nothing to compare".to_owned());
    let scored = |measured: Measured, said: &[Option<Answer>]| {
        let Measured { name, taken, .. } = measured;
        Ok::<_, CliError>(Scored { name, accuracy: measure(&truths, said).ok_or_else(nothing)?, taken })
    };
    let first = bench.run(arguments.scorer, &arguments.llm, &texts)?;
    let said = first.answers();
    let mut scorers = vec![scored(first, &said)?];
    let mut peers: Vec<Peer> = Vec::new();
    for peer in arguments.compare.iter().cloned().chain([Peer::Rule(Rule::Majority)]) {
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    for peer in peers {
        scorers.push(match peer {
            Peer::Rule(rule) => {
                let said = rule.answers(&interactions, &truths);
                scored(Measured { name: rule.name().to_owned(), verdicts: Vec::new(), taken: None }, &said)?
            }
            Peer::Scorer(who, model) => {
                let measured = bench.run(who, &bench.flags(who, model), &texts)?;
                let said = measured.answers();
                scored(measured, &said)?
            }
        });
    }
    let groups = groups::measured(&arguments.by, &rows, &said);
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

fn run_packs(bench: &Bench<'_>) -> Result<Outcome, CliError> {
    let arguments = bench.arguments;
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
    let utterances = texts.iter().map(|i| Utterance::of(i, i.text.len())).collect();
    // Cases have no one label each; only files tell what a cascade mended.
    let measured = bench.run(arguments.scorer, &arguments.llm, &Texts { utterances, labels: Vec::new() })?;
    let outcomes = packs::judge(&cases, &measured.verdicts);
    let out = match arguments.format {
        Format::Table => packs_as_text(&outcomes),
        Format::Markdown => packs_as_markdown(&outcomes),
        Format::Html => page(&packs_as_markdown(&outcomes)),
        Format::Json => json(&outcomes)?,
    };
    anstream::stdout().write_all(out.as_bytes())?;
    if let Some(taken) = &measured.taken {
        // Beside the document, which is about the cases.
        let cost = taken.cost_micros.map_or_else(|| "no price known".to_owned(), dollars);
        let _ = writeln!(
            anstream::stderr(),
            "{}: {} requests, {} tokens, {cost} by the price list of {}",
            taken.model,
            grouped(taken.requests),
            grouped(taken.tokens.total()),
            taken.prices_of
        );
    }
    Ok(if outcomes.iter().all(packs::Outcome::is_held) { Outcome::Done } else { Outcome::SomeFailed })
}

fn page(markdown: &str) -> String {
    undertone_ui::standalone("Accuracy", &output::document::html(markdown))
}

fn json(value: &impl serde::Serialize) -> Result<String, CliError> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| CliError::Failed(e.to_string()))
}
