//! `undertone mail`: tries the way to the SMTP server.

use clap::{Args, Subcommand};

use super::admin::say;
use super::in_runtime;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::mail::Mailer;
use crate::output::clean;
use crate::secrets::Given;

/// The arguments of `undertone mail`.
#[derive(Debug, Args)]
pub struct MailArguments {
    #[command(subcommand)]
    command: MailCommand,
}

#[derive(Debug, Subcommand)]
enum MailCommand {
    /// Send a test message through the SMTP server of the configuration
    Test {
        /// To this address
        address: String,

        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Runs `undertone mail`.
pub fn run(arguments: &MailArguments) -> Result<Outcome, CliError> {
    let MailCommand::Test { address, config } = &arguments.command;
    let config = Config::load(config, serde_json::json!({}))?;
    let given = Given::to_this_process(&config)?;
    let host = config.smtp_host.as_str();
    // The connections end where they began, inside the runtime.
    in_runtime(async {
        let Some(mailer) = Mailer::new(&config, given.smtp_password.as_ref())? else {
            let why = "no SMTP server is set; name one as smtp_host in the configuration, or as UNDERTONE_SMTP_HOST";
            return Err(CliError::Failed(why.to_owned()));
        };
        mailer.test(address).await.map_err(CliError::Failed)
    })?;
    let address = clean(address);
    say(&format!(
        "{host} took a test message to {address}. If it does not arrive, look into its log and into the spam folder."
    ))?;
    Ok(Outcome::Done)
}
