//! The command line: what can be typed, and which module does it.

mod explain;
mod model;
mod score;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::{CliError, Outcome};

pub use score::{Answer, Format, Scored};

/// Reads every customer interaction, says how the customer feels and why.
#[derive(Debug, Parser)]
#[command(name = "undertone", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// When to use colours; the variable NO_COLOR switches them off too
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    #[command(subcommand)]
    pub command: Command,
}

/// What it can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Score a file of customer messages and sum it up
    Score(Box<score::ScoreArguments>),
    /// Show what in a text led to its verdict
    Explain(explain::ExplainArguments),
    /// Tell about the embedded model
    Model(model::ModelArguments),
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where a terminal shows them
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

impl Color {
    /// Makes the choice hold for all output of this process.
    pub fn apply(self) {
        match self {
            Self::Auto => {}
            Self::Always => anstream::ColorChoice::Always.write_global(),
            Self::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// Runs a command.
pub fn run(command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::Score(arguments) => score::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
    }
}
