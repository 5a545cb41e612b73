//! The `undertone` program. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod api;
mod app;
mod backfill;
mod calibrate;
mod cascade;
mod cli;
mod clock;
mod config;
mod error;
mod eval;
mod input;
mod intake;
mod knowledge;
mod llm;
mod output;
mod pages;
mod pipeline;
mod prices;
mod secrets;
mod telemetry;
mod usage;

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
