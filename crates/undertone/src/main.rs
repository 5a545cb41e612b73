//! The `undertone` program. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod cli;
mod error;
mod input;
mod output;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    arguments.color.apply();
    match cli::run(arguments.command) {
        Ok(outcome) => outcome.into(),
        Err(error) => error.report(),
    }
}
