//! What people and programs see: verdicts as a table, CSV, JSON Lines or Markdown.

pub mod amount;
pub mod asked;
pub mod clean;
pub mod columns;
pub mod document;
mod machine;
mod markdown;
pub mod summary;
mod table;
pub mod usage;

use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Format, Scored};
use crate::error::CliError;

pub use clean::clean;
pub use machine::guard;

/// A Markdown table is for reading; past so many bytes nobody does.
const MOST_MARKDOWN: usize = 4 << 20;

/// Writes verdicts as they come, in one of the formats.
pub struct Writer {
    out: Out,
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
    /// A writer to standard output.
    pub fn new(format: Format) -> Result<Self, CliError> {
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
        Ok(Self { out })
    }

    /// Writes one row.
    pub fn write(&mut self, scored: &Scored) -> Result<(), CliError> {
        match &mut self.out {
            Out::Table(table) => {
                anstream::stdout().write_all(table.row(scored).as_bytes())?;
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

/// A bar on standard error, by the bytes of the file read, or a spinner where their number is not known; nothing unless `shown`.
pub fn progress(shown: bool, bytes: Option<u64>) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent:>3} %  {msg}  {elapsed}"),
        None => (ProgressBar::new_spinner(), "{spinner}  {msg}  {elapsed}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
