//! Lists on the command line: how long, from where on, and how they are written.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::admin::say;
use crate::api::body::cut;
use crate::api::interactions::place;
use crate::error::{CliError, Outcome};
use crate::output::clean;

/// How what is told is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For reading
    Text,
    /// For programs
    Json,
}

/// A page of a list.
#[derive(Debug, Args)]
pub struct Listing {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Where the list goes on, as the page before told
    #[arg(long)]
    cursor: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

impl Listing {
    /// The id after which the list goes on.
    ///
    /// # Errors
    /// [`CliError::Failed`] for a cursor that no page told.
    pub fn before(&self) -> Result<Option<String>, CliError> {
        place(self.cursor.as_deref()).map_err(|error| CliError::Failed(error.detail))
    }

    /// One more than is told: whether there is more.
    pub fn and_one(&self) -> u16 {
        self.limit + 1
    }

    /// Cuts off what is not told, and answers where the list goes on.
    pub fn next<T>(&self, items: &mut Vec<T>, id: impl Fn(&T) -> &str) -> Option<String> {
        cut(items, self.limit.into(), id)
    }

    /// Tells of `items`, in a document under `name`, for reading a `line` of each or that there are `none`; and where the list goes on.
    pub fn tell<T: Serialize>(
        &self,
        (name, items): (&str, &[T]),
        next: Option<String>,
        none: &str,
        line: impl Fn(&T) -> String,
    ) -> Result<Outcome, CliError> {
        if self.format == Format::Json {
            return as_json(&json!({name: items, "next_cursor": next}));
        }
        if items.is_empty() {
            say(none)?;
        }
        for item in items {
            say(&line(item))?;
        }
        more(next)
    }
}

/// Says how the next page is read, where there is one.
pub fn more(next: Option<String>) -> Result<Outcome, CliError> {
    if let Some(next) = next {
        say(&format!("More: --cursor {next}"))?;
    }
    Ok(Outcome::Done)
}

/// Writes a document for programs.
pub fn as_json(told: &serde_json::Value) -> Result<Outcome, CliError> {
    writeln!(anstream::stdout(), "{told:#}")?;
    Ok(Outcome::Done)
}

/// A moment, for reading.
pub fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// Columns stay apart, and each is clean.
pub fn spaced(text: &str) -> String {
    text.split("  ").map(clean).collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_behind_its_last_row_and_ends_where_nothing_follows() {
        let page = |cursor: Option<String>| Listing { limit: 2, cursor, format: Format::Text };
        let id = |n: usize| format!("019c1234-5678-7abc-8def-{n:012}");
        let mut found: Vec<String> = (0..3).map(id).collect();
        let next = page(None).next(&mut found, |id| id);
        assert_eq!(found.len(), 2);
        assert_eq!(page(next).before().unwrap(), Some(id(1)));
        assert_eq!(page(None).next(&mut found, |id| id), None, "exactly a page is the last one");
        assert_eq!(page(None).before().unwrap(), None);
        let wrong = page(Some(id(0))).before().unwrap_err();
        assert!(wrong.to_string().contains("begin without one"), "{wrong}");
    }
}
