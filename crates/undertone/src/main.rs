//! The `undertone` program. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod agents;
mod api;
mod app;
mod audit;
mod backfill;
mod calibrate;
mod cascade;
mod cli;
mod clock;
mod config;
mod configuration;
mod customer_copy;
mod deliver;
mod error;
mod eval;
mod input;
mod intake;
mod knowledge;
mod limits;
mod llm;
mod mail;
mod output;
mod pages;
mod passwords;
mod patience;
mod pipeline;
mod prices;
mod review;
mod second_factor;
mod secrets;
mod sign_on;
mod telemetry;
mod tell;
mod turns;
mod usage;
mod visibility;
mod watch;

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
