//! Which verdicts are checked: the shares of the setting `review`.

use clap::Args;
use serde_json::json;
use undertone_core::review::{Share, ShareChanges};
use undertone_store::Act;

use crate::cli::admin::{ACTOR, say, tenant, with_store};
use crate::cli::listing::{Format, as_json};
use crate::config::ConfigArguments;
use crate::error::{CliError, Outcome};

/// Shares are in percent, with at most two decimals. What is left out stays as it is.
#[derive(Debug, Args)]
pub struct SampleArguments {
    /// The tenant's short name
    slug: String,
    /// Of verdicts whose confidence is under 60
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    unsure: Option<Share>,
    /// Of verdicts in which the cascade's two scorers contradict each other
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    disagreed: Option<Share>,
    /// Of verdicts that somebody corrected
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    overridden: Option<Share>,
    /// Of verdicts called positive
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    called_positive: Option<Share>,
    /// Of all verdicts
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    random: Option<Share>,
    /// Of what is in the queue: the part that two people label
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    labelled_twice: Option<Share>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    config: ConfigArguments,
}

fn share(text: &str) -> Result<Share, String> {
    let percent: f64 = text.parse().map_err(|_| format!("“{text}” is no percentage from 0 to 100"))?;
    Share::try_from(percent)
}

/// Tells the shares, after changing those that are given.
pub fn run(arguments: &SampleArguments) -> Result<Outcome, CliError> {
    with_store(&arguments.config, async |store| {
        let tenant = tenant(&store, &arguments.slug).await?;
        let act = Act::new(tenant.id, ACTOR);
        let shares = store.change_review_shares(&act, |before| arguments.changes().over(before)).await?;
        if arguments.format == Format::Json {
            return as_json(&json!(shares));
        }
        let told = [
            ("unsure", shares.unsure, "of verdicts whose confidence is under 60"),
            ("disagreed", shares.disagreed, "of verdicts that the cascade's two scorers dispute"),
            ("overridden", shares.overridden, "of verdicts that somebody corrected"),
            ("called positive", shares.called_positive, "of verdicts called positive"),
            ("random", shares.random, "of all verdicts"),
            ("labelled twice", shares.labelled_twice, "of what is in the queue"),
        ];
        for (name, share, of) in told {
            say(&format!("{name:<16}{:>6} %  {of}", f64::from(share)))?;
        }
        Ok(Outcome::Done)
    })
}

impl SampleArguments {
    fn changes(&self) -> ShareChanges {
        ShareChanges {
            unsure: self.unsure,
            disagreed: self.disagreed,
            overridden: self.overridden,
            called_positive: self.called_positive,
            random: self.random,
            labelled_twice: self.labelled_twice,
        }
    }
}
