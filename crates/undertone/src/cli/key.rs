//! `undertone key`: API keys of a tenant.

use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use clap::{Args, Subcommand};
use undertone_core::Scope;
use undertone_core::usage::calendar::{begins, day_of};
use undertone_store::keys::{Key, NewKey};
use undertone_store::{Act, Tenant};

use super::admin::{ACTOR, say, tenant, with_store};
use crate::api::secrets;
use crate::config::ConfigArguments;
use crate::error::{CliError, Outcome};

/// Make, list and revoke API keys.
#[derive(Debug, Args)]
pub struct KeyArguments {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Make a key and print it; it is shown only this once
    Create {
        /// The tenant's short name
        slug: String,
        /// What it is for
        #[arg(long, default_value = "command line")]
        name: String,
        /// What it may do: ingest, read, admin; may be given several times
        #[arg(long = "scope", required = true, value_parser = str::parse::<Scope>)]
        scopes: Vec<Scope>,
        /// When it stops working: a number of days such as 90d, or the beginning of a day of the tenant such as 2027-01-01
        #[arg(long, value_name = "WHEN", value_parser = str::parse::<Expires>)]
        expires: Option<Expires>,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// List a tenant's keys
    List {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// End a key at once
    Revoke {
        /// The tenant's short name
        slug: String,
        /// The key's id, as listed
        id: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// When a key stops working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expires {
    /// So many days from now.
    In(u32),
    /// Where this day of the tenant begins.
    On(NaiveDate),
}

impl FromStr for Expires {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let days = given.strip_suffix('d').and_then(|days| days.parse().ok());
        if let Some(days @ 1..=3660) = days {
            return Ok(Self::In(days));
        }
        given.parse().map(Self::On).map_err(|_| {
            format!("“{given}” is neither 1 to 3660 days such as 90d nor a day such as 2027-01-01")
        })
    }
}

impl Expires {
    fn at(self, now: DateTime<Utc>, tenant: &Tenant) -> Result<DateTime<Utc>, CliError> {
        let day = match self {
            Self::In(days) => return Ok(now + TimeDelta::days(days.into())),
            Self::On(day) => day,
        };
        let begins = begins(tenant.zone, day);
        if begins > now {
            return Ok(begins);
        }
        let tomorrow = day_of(tenant.zone, now).checked_add_days(Days::new(1));
        let first = tomorrow.map_or_else(String::new, |day| format!(": {day} or later"));
        Err(CliError::Failed(format!("a key ends in the future{first}")))
    }
}

fn state(key: &Key, now: DateTime<Utc>) -> String {
    let day = |at: DateTime<Utc>| at.format("%Y-%m-%d").to_string();
    let used =
        key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {}", day(at)));
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", day(at)),
        (None, Some(end)) if key.works(now) => format!("until {}, {used}", day(end)),
        (None, Some(end)) => format!("expired {}, {used}", day(end)),
        (None, None) => used,
    }
}

/// Runs `undertone key`.
pub fn run(arguments: KeyArguments) -> Result<Outcome, CliError> {
    match arguments.action {
        KeyAction::Create { slug, name, mut scopes, expires, config } => with_store(&config, async |store| {
            let tenant = tenant(&store, &slug).await?;
            scopes.sort_unstable();
            scopes.dedup();
            let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            let key = secrets::api_key();
            let act = Act::new(tenant.id, ACTOR);
            let expires_at = expires.map(|expires| expires.at(store.now(), &tenant)).transpose()?;
            store.make_key(&act, &NewKey { name: &name, scopes: &words, expires_at }, &key).await?;
            say(&key)?;
            Ok(Outcome::Done)
        }),
        KeyAction::List { slug, config } => with_store(&config, async |store| {
            let tenant = tenant(&store, &slug).await?;
            for key in store.keys(tenant.id).await? {
                let state = state(&key, store.now());
                say(&format!(
                    "{}  {:<20} {:<18} {state}",
                    key.id,
                    crate::output::clean(&key.name),
                    key.scopes.join(" ")
                ))?;
            }
            Ok(Outcome::Done)
        }),
        KeyAction::Revoke { slug, id, config } => with_store(&config, async |store| {
            let tenant = tenant(&store, &slug).await?;
            let act = Act::new(tenant.id, ACTOR);
            if !store.revoke_key(&act, &id).await? {
                return Err(CliError::Failed(format!(
                    "{slug} has no working key {id}; see: undertone key list {slug}"
                )));
            }
            say("Revoked.")?;
            Ok(Outcome::Done)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_number_of_days_or_a_day() {
        assert_eq!("90d".parse(), Ok(Expires::In(90)));
        assert_eq!("2027-01-01".parse(), Ok(Expires::On(NaiveDate::from_ymd_opt(2027, 1, 1).unwrap())));
        for none in ["0d", "4000d", "90", "tomorrow", "2027-02-30", "-1d", ""] {
            assert!(none.parse::<Expires>().unwrap_err().contains("such as 90d"), "{none}");
        }
    }
}
