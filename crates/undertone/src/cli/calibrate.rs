//! `undertone calibrate`: teach the embedded model what a tenant's own people say.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use undertone_core::accuracy::Figure;
use undertone_scoring::local::lesson::Worth;
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_store::{Act, Store};

use super::admin::{ACTOR, tenant};
use super::service::opened;
use crate::calibrate::{self, CalibrationError, MOST_BYTES, Made, Standing};
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::eval::labelled::{Columns, with_flags};
use crate::output::clean;

/// Teach the embedded model what a tenant's own people say of their customers' messages.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone calibrate acme labels.csv          keep these labels, learn, and use the lesson if it helps
  undertone calibrate acme march.csv --label mood  the label stands in the column mood
  undertone calibrate acme                     learn again from labels, review and corrections
  undertone calibrate acme --status            labels, what is missing, and every lesson
  undertone calibrate acme --use 2             put lesson 2 in force
  undertone calibrate acme --revert            the model as it came

A file of labels is CSV, TSV or JSON Lines with a text and a label (positive, neutral, negative, mixed); a kind (message, note, transcript) may stand beside them. 300 texts of each of positive, neutral and negative are needed. A lesson is tried on texts it was not learnt from and that were not labelled because of their verdict (handed in, or drawn at random by the review: 100 of each), and comes into force where macro-F1 rises by 0.02 or more, no more negative texts are missed, and the lesson in force did no better when it was tried. It concerns what is scored from then on.

Exit status: 0 done; 1 rows could not be used, or there are too few labels; 2 wrong usage.")]
pub struct CalibrateArguments {
    /// The tenant's short name
    slug: String,

    /// Files of labels to keep first
    files: Vec<PathBuf>,

    /// Column that holds the text
    #[arg(long, value_name = "COLUMN", requires = "files")]
    text: Option<String>,

    /// Column that holds the label
    #[arg(long, value_name = "COLUMN", requires = "files")]
    label: Option<String>,

    /// Only tell how things stand
    #[arg(long, conflicts_with = "files")]
    status: bool,

    /// Put this lesson in force
    #[arg(long = "use", value_name = "VERSION", conflicts_with_all = ["files", "status"])]
    lesson: Option<u32>,

    /// Put the model back as it came
    #[arg(long, conflicts_with_all = ["files", "status", "lesson"])]
    revert: bool,

    /// Remove every label that was handed in, and its text
    #[arg(long, conflicts_with_all = ["files", "status", "lesson", "revert"])]
    forget: bool,

    #[command(flatten)]
    config: ConfigArguments,
}

/// Runs the command.
pub fn run(arguments: &CalibrateArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenant = tenant(&store, &arguments.slug).await?;
        let act = Act::new(tenant.id, ACTOR);
        let capacity = Capacity { threads: NonZeroUsize::MIN, waiting: 1 };
        let reader = Arc::new(LocalScorer::new(Artifact::embedded()?, capacity)?);
        let mut out = anstream::stdout();
        if arguments.forget {
            let removed = store.forget_labels(&act).await?;
            writeln!(out, "{removed} labels removed, with their texts. Lessons stay.")?;
            return Ok(Outcome::Done);
        }
        if let Some(version) = arguments.lesson {
            if !calibrate::activate(&store, &reader, &act, version).await? {
                let told = format!("{} has no lesson {version}; --status lists those there are", tenant.slug);
                return Err(CliError::Failed(told));
            }
            writeln!(out, "Lesson {version} is in force for what is scored from now on.")?;
            return Ok(Outcome::Done);
        }
        if arguments.revert {
            store.use_lesson(&act, None).await?;
            writeln!(out, "The model is in force as it came, for what is scored from now on.")?;
            return Ok(Outcome::Done);
        }
        let mut outcome = Outcome::Done;
        if !arguments.status {
            outcome = take_files(&store, &act, arguments).await?;
            match calibrate::learn(&store, &reader, &act).await {
                Ok(made) => out.write_all(told(&made).as_bytes())?,
                Err(CalibrationError::TooFew(few)) => {
                    writeln!(out, "Nothing learnt yet: {few}.")?;
                    outcome = Outcome::SomeFailed;
                }
                Err(CalibrationError::Store(error)) => return Err(error.into()),
                Err(CalibrationError::Broke(why)) => return Err(CliError::Failed(why)),
            }
        }
        let standing = calibrate::standing(&store, &reader, tenant.id).await?;
        out.write_all(as_text(&standing).as_bytes())?;
        Ok(outcome)
    })
}

async fn take_files(
    store: &Store,
    act: &Act<'_>,
    arguments: &CalibrateArguments,
) -> Result<Outcome, CliError> {
    let columns = Columns { text: arguments.text.clone(), label: arguments.label.clone(), by: Vec::new() };
    let mut outcome = Outcome::Done;
    for file in &arguments.files {
        let shown = file.display();
        let size = std::fs::metadata(file)
            .map_err(|e| CliError::Failed(format!("{shown} can not be opened: {e}")))?
            .len();
        if size > MOST_BYTES as u64 {
            return Err(CliError::Failed(format!(
                "{shown} is longer than {} MiB; split it",
                MOST_BYTES >> 20
            )));
        }
        let bytes =
            std::fs::read(file).map_err(|e| CliError::Failed(format!("{shown} can not be read: {e}")))?;
        let taken = calibrate::take(store, act, &file.to_string_lossy(), bytes, columns.clone())
            .await
            .map_err(with_flags)?;
        let kept = taken.kept;
        let mut out = anstream::stdout();
        writeln!(
            out,
            "{}: {} labels added, {} changed, {} known already",
            clean(&shown.to_string()),
            kept.added,
            kept.changed,
            kept.same
        )?;
        if taken.rejected > 0 {
            outcome = Outcome::SomeFailed;
            let mut err = anstream::stderr();
            let _ = writeln!(err, "{} rows could not be used:", taken.rejected);
            for told in taken.errors.iter().take(10) {
                let _ = writeln!(err, "  {}", clean(told));
            }
        }
    }
    Ok(outcome)
}

fn told(made: &Made) -> String {
    let line = |name: &str, figure: &dyn Fn(&Worth) -> Figure| {
        let cell = |f: Figure| format!("{:.3} ({:.3}–{:.3})", f.value, f.low, f.high);
        format!("  {name:<28}{:<24}{}\n", cell(figure(&made.trial.before)), cell(figure(&made.trial.after)))
    };
    let more = |count: usize, told: &str| match count {
        0 => String::new(),
        n => format!(", {n} more {told}"),
    };
    let chosen =
        more(made.trial.learnt_from_only, "with a label because of their verdict were only learnt from");
    let unread = more(made.trial.unread, "could not be read");
    format!(
        "\nLesson {}, tried on {} texts, each read by a lesson that was learnt without it{chosen}{unread}\n\n  {:<28}{:<24}{}\n{}{}{}{}\n{} Lesson {} {}.\n",
        made.version,
        made.trial.texts,
        "",
        "as it came",
        "with the lesson",
        line("label macro-F1", &|w| w.macro_f1),
        line("negative recall", &|w| w.negative_recall),
        line("negatives called positive", &|w| w.negatives_called_positive),
        line("calibration error", &|w| w.calibration_error),
        capital(&made.verdict),
        made.version,
        if made.active { "is in force for what is scored from now on" } else { "is kept and not in force" },
    )
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn as_text(standing: &Standing) -> String {
    let mut out = "\nLabels to learn from\n".to_owned();
    for (label, counts) in &standing.labels {
        let missing = match (counts["missing"].as_u64(), counts["missing_to_try"].as_u64()) {
            (Some(n), _) if n > 0 => format!(", {n} missing of {}", standing.needed),
            (_, Some(n)) if n > 0 => {
                format!(", {n} missing that were handed in or drawn at random, to try a lesson on")
            }
            _ => String::new(),
        };
        let [handed_in, reviewed, corrected] =
            ["handed_in", "reviewed", "corrected"].map(|source| counts[source].as_u64().unwrap_or_default());
        let sources = match (reviewed, corrected) {
            (0, 0) => String::new(),
            _ => format!(" ({handed_in} handed in, {reviewed} of the review, {corrected} corrected)"),
        };
        out += &format!("  {label:<10}{:>7}{sources}{missing}\n", counts["texts"].to_string());
    }
    if standing.lessons.is_empty() {
        return out + "No lesson yet: the model is in force as it came.\n";
    }
    out += "\nLessons\n";
    for lesson in &standing.lessons {
        let state = if lesson.model_version != standing.model_version {
            format!("for model {}, not this one", lesson.model_version)
        } else if lesson.active {
            "in force".to_owned()
        } else {
            String::new()
        };
        out += &format!(
            "  {:>3}  {}  {:<10}  {}\n",
            lesson.version,
            lesson.made_at.format("%Y-%m-%d %H:%M"),
            state,
            lesson.trial["verdict"].as_str().unwrap_or_default()
        );
    }
    out
}
