//! The `undertone` program. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod api;
mod app;
mod calibrate;
mod cli;
mod clock;
mod config;
mod error;
mod eval;
mod input;
mod intake;
mod knowledge;
mod output;
mod pages;
mod pipeline;
mod secrets;
mod telemetry;

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
