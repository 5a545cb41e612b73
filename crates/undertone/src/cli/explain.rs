//! `undertone explain`: what in a text led to its verdict.

use std::fmt::Write as _;
use std::io::{Read, Write};

use anstyle::{AnsiColor, Style};
use clap::Args;
use futures::executor;
use undertone_core::text::cut;
use undertone_core::verdict::Evidence;
use undertone_core::{Interaction, Kind, Settings, Verdict};
use undertone_scoring::local::LocalScorer;
use undertone_scoring::{Batch, Scorer, Utterance};

use crate::error::{CliError, Outcome};
use crate::output::clean;

/// Show what in a text led to its verdict.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone explain 'Lovely sofa, but the courier threw it over the fence'
  pbpaste | undertone explain -
  undertone explain --kind note 'cust called again re refund, v upset'")]
pub struct ExplainArguments {
    /// The text, or - to read it from standard input
    #[arg(allow_hyphen_values = true)]
    pub text: String,

    /// What sort of text it is
    #[arg(long, value_enum, default_value_t = TextKind::Message)]
    pub kind: TextKind,
}

/// What sort of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TextKind {
    /// A customer's own words
    Message,
    /// An agent's note about a customer
    Note,
    /// Both sides' words, speaker by speaker
    Transcript,
}

/// Runs the command.
pub fn run(arguments: &ExplainArguments) -> Result<Outcome, CliError> {
    let mut text = arguments.text.clone();
    if text == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|e| CliError::Failed(format!("standard input can not be read: {e}")))?;
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let mut interaction = Interaction::message("cli", "1", &text);
    interaction.kind = match arguments.kind {
        TextKind::Message => Kind::Message,
        TextKind::Note => Kind::Note,
        TextKind::Transcript => Kind::Transcript,
    };
    let read = cut(&text, Settings::default().max_note_length as usize);
    let scorer = LocalScorer::embedded()?;
    let batch = Batch::new(vec![Utterance::of(&interaction, read)]);
    let answer = executor::block_on(scorer.score(batch)).pop();
    let verdict = match answer {
        Some(Ok(verdict)) => verdict,
        Some(Err(reason)) => return Err(CliError::Failed(format!("no verdict: {reason}"))),
        None => return Err(CliError::Failed("the scorer gave no answer".to_owned())),
    };
    anstream::stdout().write_all(page(&text, &verdict).as_bytes())?;
    Ok(Outcome::Done)
}

fn page(text: &str, v: &Verdict) -> String {
    let mut out = String::new();
    let bold = Style::new().bold();
    let dim = Style::new().dimmed();
    // Writing into a string can not fail.
    let _ = write!(out, "\n  {}\n\n", marked(text, &v.evidence));
    let review = if v.needs_review() { ", so a person should look" } else { "" };
    let _ = writeln!(
        out,
        "  {bold}{} {:+}{bold:#}  {} % sure{review}\n  {}, urgency {}, about {}\n  {}",
        v.label.as_str(),
        v.score.get(),
        v.confidence.get(),
        v.dominant_emotion.as_str(),
        v.urgency.as_str(),
        v.category.words(),
        clean(&v.summary),
    );
    if !v.evidence.is_empty() {
        let _ = writeln!(out, "\n  {bold}What pulled which way{bold:#}");
        for e in &v.evidence {
            let style = pull(e);
            let _ = writeln!(out, "  {style}{:>+6.1}{style:#}  {}", e.weight, clean(&e.text));
        }
    }
    if v.aspects.len() > 1 {
        let _ = writeln!(out, "\n  {bold}Issue by issue{bold:#}");
        for a in &v.aspects {
            let clause = a.span.of(text).map(clean).unwrap_or_default();
            let _ = writeln!(out, "  {:>+6}  {:<17} {dim}{clause}{dim:#}", a.score.get(), a.category.words());
        }
    }
    let strong: Vec<String> = v
        .emotions
        .iter()
        .filter(|e| e.strength >= 0.1)
        .map(|e| format!("{} {:.2}", e.emotion.as_str(), e.strength))
        .collect();
    if !strong.is_empty() {
        let _ = writeln!(out, "\n  {bold}Emotions{bold:#}  {}", strong.join(", "));
    }
    if v.coverage.unread_percent > 0 {
        let _ = writeln!(
            out,
            "\n  {} % of the text is in a language the model was not validated on, and was not read.",
            v.coverage.unread_percent
        );
    }
    if v.coverage.truncated {
        let _ = writeln!(out, "\n  The text is long; only its beginning was read.");
    }
    let _ = writeln!(
        out,
        "\n  {dim}{} {}, {} word pieces, {:.1} ms{dim:#}",
        v.provenance.model,
        v.provenance.model_version,
        v.provenance.tokens_in,
        v.provenance.duration_us as f64 / 1000.0
    );
    out
}

fn pull(e: &Evidence) -> Style {
    let color = if e.weight < 0.0 { AnsiColor::Red } else { AnsiColor::Green };
    Style::new().fg_color(Some(color.into())).bold()
}

/// The text with its evidence in colour, and in brackets, so that it shows without colour too.
fn marked(text: &str, evidence: &[Evidence]) -> String {
    let mut spans: Vec<&Evidence> = evidence.iter().collect();
    spans.sort_by_key(|e| e.span.start);
    let mut out = String::new();
    let mut at = 0;
    for e in spans {
        if e.span.start < at {
            continue;
        }
        let style = pull(e);
        out += &spaced(text.get(at..e.span.start).unwrap_or_default());
        let sign = if e.weight < 0.0 { '-' } else { '+' };
        out += &format!("{style}[{sign}{}]{style:#}", clean(&e.text));
        at = e.span.end;
    }
    out += &spaced(text.get(at..).unwrap_or_default());
    out
}

/// Cleaned, with a space left where there was one at either end.
fn spaced(text: &str) -> String {
    let inner = clean(text);
    let open = if text.starts_with(char::is_whitespace) { " " } else { "" };
    let close = if !inner.is_empty() && text.ends_with(char::is_whitespace) { " " } else { "" };
    format!("{open}{inner}{close}")
}
