//! What people and programs see: verdicts as a table, CSV, JSON Lines or Markdown.

pub mod clean;
mod machine;
mod markdown;
pub mod summary;
mod table;

use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Format, Scored};
use crate::error::CliError;

pub use clean::clean;

/// A Markdown table is for reading; past so many bytes nobody does.
const MOST_MARKDOWN: usize = 4 << 20;

/// Writes verdicts as they come, in one of the formats.
pub struct Writer {
    out: Out,
    bar: ProgressBar,
}

enum Out {
    Table(table::Table),
    Csv(Box<csv::Writer<std::io::BufWriter<std::io::Stdout>>>),
    Jsonl(std::io::BufWriter<std::io::Stdout>),
    /// The audit stands above the verdicts, so the verdicts wait for it.
    Markdown {
        rows: String,
        left_out: usize,
    },
}

impl Writer {
    /// A writer to standard output; `bar` is hidden while it writes.
    pub fn new(format: Format, bar: ProgressBar) -> Result<Self, CliError> {
        let stdout = || std::io::BufWriter::new(std::io::stdout());
        let out = match format {
            Format::Table => Out::Table(table::Table::new()),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(stdout());
                machine::csv_header(&mut writer)?;
                Out::Csv(Box::new(writer))
            }
            Format::Jsonl => Out::Jsonl(stdout()),
            Format::Markdown => Out::Markdown { rows: String::new(), left_out: 0 },
        };
        Ok(Self { out, bar })
    }

    /// Writes one row.
    pub fn write(&mut self, scored: &Scored) -> Result<(), CliError> {
        match &mut self.out {
            Out::Table(table) => {
                let lines = table.row(scored);
                self.bar.suspend(|| anstream::stdout().write_all(lines.as_bytes()))?;
            }
            Out::Csv(writer) => machine::csv(writer, scored)?,
            Out::Jsonl(writer) => {
                writeln!(writer, "{}", machine::json_line(scored))?;
            }
            Out::Markdown { rows, left_out } => {
                if rows.len() < MOST_MARKDOWN {
                    markdown::row(rows, scored);
                } else {
                    *left_out += 1;
                }
            }
        }
        Ok(())
    }

    /// Writes out what is held back.
    pub fn flush(&mut self) -> Result<(), CliError> {
        match &mut self.out {
            Out::Csv(writer) => writer.flush()?,
            Out::Jsonl(writer) => writer.flush()?,
            Out::Table(_) | Out::Markdown { .. } => {}
        }
        Ok(())
    }

    /// Writes text for a person below the verdicts.
    pub fn append(text: &str) -> Result<(), CliError> {
        Ok(anstream::stdout().write_all(text.as_bytes())?)
    }

    /// Writes `text` and the verdicts below it.
    pub fn prepend_markdown(&mut self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if let Out::Markdown { rows, left_out } = &self.out {
            out.write_all(markdown::HEAD.as_bytes())?;
            out.write_all(rows.as_bytes())?;
            if *left_out > 0 {
                writeln!(out, "\n{left_out} more are left out; --format csv writes all of them.")?;
            }
        }
        Ok(out.flush()?)
    }
}

/// A count on standard error while rows are read, or nothing. How many there will be is not known before they are read.
pub fn progress(shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} read · {per_sec} · {elapsed}") {
        bar.set_style(style);
    }
    bar
}
