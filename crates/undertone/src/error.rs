//! How a command fails: what is said on standard error, and the exit status.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did all there was to do.
    Done,
    /// It did its work, and part of what it was given could not be used.
    SomeFailed,
    /// Ctrl-C ended it; what was done until then was written.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::SomeFailed => Self::from(1),
            Outcome::Interrupted => Self::from(130),
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The person can repair it; the text says how.
    #[error("{0}")]
    Failed(String),
    /// Output could not be written.
    #[error("could not write the output: {0}")]
    Output(#[from] std::io::Error),
    /// The database can not be used, or says no.
    #[error(transparent)]
    Store(#[from] undertone_store::StoreError),
    /// The embedded model can not be used.
    #[error(transparent)]
    Model(#[from] undertone_scoring::local::ArtifactError),
}

/// A line of a message that may quote what stands in a file, with its indent.
fn clean_line(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    format!("{}{}", &line[..indent], crate::output::clean(line))
}

impl CliError {
    /// Says what went wrong and answers the exit status. A reader who went away (`| head`) is no failure.
    pub fn report(&self) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        // Standard error may be gone too; there is nobody left to tell then.
        let told: Vec<String> = self.to_string().lines().map(clean_line).collect();
        let _ = writeln!(anstream::stderr(), "error: {}", told.join("\n"));
        ExitCode::from(1)
    }
}
