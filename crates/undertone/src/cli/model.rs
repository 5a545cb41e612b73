//! `undertone model`: what the embedded model is, and what it is worth.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use undertone_scoring::local::Artifact;

use crate::error::{CliError, Outcome};

/// Tell about the embedded model.
#[derive(Debug, Args)]
pub struct ModelArguments {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Print the model card: what it is, what it was trained on, how often it is right
    Info {
        /// Folder of another model
        #[arg(long, value_name = "FOLDER")]
        model: Option<PathBuf>,
    },
}

/// Runs the command.
pub fn run(arguments: &ModelArguments) -> Result<Outcome, CliError> {
    let ModelCommand::Info { model } = &arguments.command;
    let artifact = match model {
        Some(folder) => Artifact::from_folder(folder)?,
        None => Artifact::embedded()?,
    };
    let mut out = anstream::stdout();
    writeln!(out, "{}", artifact.card.trim_end())?;
    writeln!(
        out,
        "\n## Files, checked against their checksums\n\n| file | bytes | SHA-256 |\n|---|---:|---|"
    )?;
    for (name, entry) in &artifact.manifest.files {
        writeln!(out, "| {name} | {} | {} |", entry.bytes, entry.sha256)?;
    }
    Ok(Outcome::Done)
}
