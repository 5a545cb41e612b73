//! The configuration: defaults, then a file, then the environment, then flags. The commented `default.toml` is the lowest layer itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use undertone_store::secrets::{Provider, usable_address};

use crate::error::CliError;
use crate::limits::Proxies;
use crate::mail::SmtpSecurity;

/// The default configuration, with its comments.
pub const DEFAULT: &str = include_str!("default.toml");

/// Every name, as in `default.toml`.
pub const NAMES: [&str; 28] = [
    "listen",
    "data_dir",
    "database_url",
    "connections",
    "workers",
    "public_url",
    "trusted_proxies",
    "allowed_networks",
    "requests_per_key",
    "requests_per_address",
    "attempts_per_address",
    "intake_queue",
    "metrics_token_file",
    "log",
    "log_format",
    "master_key_file",
    "previous_master_key_file",
    "claude_api_key_file",
    "claude_base_url",
    "openai_api_key_file",
    "openai_base_url",
    "prices_file",
    "smtp_host",
    "smtp_port",
    "smtp_security",
    "smtp_user",
    "smtp_password_file",
    "mail_from",
];

/// Flags that every command with a database has.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct ConfigArguments {
    /// Configuration file (default: undertone.toml in the data directory, where there is one)
    #[arg(long, value_name = "FILE", global = true)]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where files are kept; also UNDERTONE_DATA_DIR
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,

    /// Address of the database, SQLite's or PostgreSQL's; also UNDERTONE_DATABASE_URL. See: undertone config show --default
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
}

/// The configuration in force.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the service listens.
    pub listen: SocketAddr,
    /// Where files are kept.
    pub data_dir: PathBuf,
    /// The database's address; empty for the file in `data_dir`.
    pub database_url: String,
    /// Connections to the database at most.
    pub connections: u32,
    /// Threads that read texts; `None`: one for each core.
    #[serde(deserialize_with = "number_or_empty")]
    pub workers: Option<u16>,
    /// The address under which people reach the service.
    pub public_url: String,
    /// The networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Proxies,
    /// The networks that messages to destinations may go to besides the internet.
    pub allowed_networks: Proxies,
    /// Requests a minute with one API key or by one person; 0: without bounds.
    pub requests_per_key: u32,
    /// Requests a minute from one network address; 0: without bounds.
    pub requests_per_address: u32,
    /// Failed attempts to get in, a minute and from one network address; 0: without bounds.
    pub attempts_per_address: u32,
    /// Requests taken in but not yet on disk.
    pub intake_queue: usize,
    /// The file with the token that opens `/metrics`; empty: none.
    pub metrics_token_file: PathBuf,
    /// What is logged.
    pub log: String,
    /// `text` or `json`.
    pub log_format: LogFormat,
    /// The file with what seals tenants' keys; empty: none. No key stands in the configuration itself.
    pub master_key_file: PathBuf,
    /// The file with what sealed them before; empty: none.
    pub previous_master_key_file: PathBuf,
    /// The file with the installation's key for Claude; empty: none.
    pub claude_api_key_file: PathBuf,
    /// Where Claude is asked with it; empty: the usual variable, or Claude's own address.
    pub claude_base_url: String,
    /// The file with the installation's key for `openai`; empty: none.
    pub openai_api_key_file: PathBuf,
    /// Where `openai` is asked with it; empty: the usual variable, or `OpenAI`'s own address.
    pub openai_base_url: String,
    /// The file with prices of LLMs in place of the built-in ones; empty: none. See [`crate::prices`].
    pub prices_file: PathBuf,
    /// The server that takes e-mail to people; empty: none, and nobody gets any.
    pub smtp_host: String,
    /// Its port; 0: the usual one.
    pub smtp_port: u16,
    /// How the connection to it is kept from others.
    pub smtp_security: SmtpSecurity,
    /// Who we are there; empty: it asks nobody.
    pub smtp_user: String,
    /// The file with the password for that; empty: none.
    pub smtp_password_file: PathBuf,
    /// Whom e-mail comes from.
    pub mail_from: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

fn number_or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(u16),
        Word(String),
    }
    match Given::deserialize(deserializer)? {
        Given::Number(number) => Ok(Some(number)),
        Given::Word(word) if word.is_empty() => Ok(None),
        Given::Word(word) => {
            Err(serde::de::Error::custom(format!("“{word}” is no number from 0 to 256, nor empty")))
        }
    }
}

impl Config {
    /// Reads all layers; `flags` is the highest.
    ///
    /// # Errors
    /// With the name and layer of what can not be used.
    pub fn load(flags: &ConfigArguments, more: impl Serialize) -> Result<Self, CliError> {
        let environment = || Env::prefixed("UNDERTONE_").only(&NAMES);
        let beneath = || Figment::from(Toml::string(DEFAULT));
        // The file lies in the data directory, which the environment and flags may move.
        let data_dir: PathBuf = beneath()
            .merge(environment())
            .merge(Serialized::defaults(flags))
            .extract_inner("data_dir")
            .map_err(told)?;
        let file = flags.config.clone().unwrap_or_else(|| data_dir.join("undertone.toml"));
        if flags.config.is_some() && !file.is_file() {
            return Err(CliError::Failed(format!("{} is not there; --config names a file", file.display())));
        }
        let config: Self = beneath()
            .merge(Toml::file(file))
            .merge(environment())
            .merge(Serialized::defaults(flags))
            .merge(Serialized::defaults(more))
            .extract()
            .map_err(told)?;
        config.check()
    }

    fn check(self) -> Result<Self, CliError> {
        let wrong =
            |told: String| Err(CliError::Failed(format!("the configuration can not be used: {told}")));
        if !(1..=200).contains(&self.connections) {
            return wrong(format!("connections is {}; it must be 1 to 200", self.connections));
        }
        if self.workers.is_some_and(|workers| workers > 256) {
            return wrong(format!("workers is {}; it must be 0 to 256", self.workers.unwrap_or_default()));
        }
        if !(1..=100_000).contains(&self.intake_queue) {
            return wrong(format!("intake_queue is {}; it must be 1 to 100000", self.intake_queue));
        }
        for (name, most) in [
            ("requests_per_key", self.requests_per_key),
            ("requests_per_address", self.requests_per_address),
            ("attempts_per_address", self.attempts_per_address),
        ] {
            if most > 6_000_000 {
                return wrong(format!("{name} is {most}; it must be 0 to 6000000"));
            }
        }
        let url = &self.public_url;
        if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
            return wrong(format!("public_url is {url}; it must begin with http:// or https://"));
        }
        for (name, provider, address) in [
            ("claude_base_url", Provider::Claude, &self.claude_base_url),
            ("openai_base_url", Provider::Openai, &self.openai_base_url),
        ] {
            if !address.is_empty()
                && let Err(told) = usable_address(provider, address)
            {
                return wrong(format!("{name}: {told}"));
            }
        }
        Ok(self)
    }

    /// The database's address, the default one spelled out.
    pub fn database(&self) -> String {
        if self.database_url.is_empty() {
            format!("sqlite://{}", self.data_dir.join("undertone.db").display())
        } else {
            self.database_url.clone()
        }
    }

    /// The same without secrets: the database's password.
    pub fn without_secrets(&self) -> Self {
        Self { database_url: hide_password(&self.database_url), ..self.clone() }
    }

    /// The address under which people reach the service: `public_url`, or where it listens.
    pub fn address(&self) -> String {
        if self.public_url.is_empty() {
            format!("http://{}", self.listen)
        } else {
            self.public_url.trim_end_matches('/').to_owned()
        }
    }

    /// People reach the service over TLS.
    pub fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// An address with `•••` where its password was.
pub fn hide_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // The last @ ends the password, which may hold others.
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let hidden = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or_default();
            let mark = if user.contains(':') { ":•••" } else { "" };
            format!("{name}{mark}@{host}{}", &rest[authority.len()..])
        }
        None => rest.to_owned(),
    };
    match hidden.split_once("password=") {
        Some((before, after)) => {
            let end = after.find('&').unwrap_or(after.len());
            format!("{scheme}://{before}password=•••{}", &after[end..])
        }
        None => format!("{scheme}://{hidden}"),
    }
}

fn told(error: figment::Error) -> CliError {
    let mut lines = vec!["the configuration can not be used:".to_owned()];
    lines.extend(error.into_iter().map(|e| format!("  {e}")));
    CliError::Failed(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        for (url, shown) in [
            ("postgres://u:secret@host:5432/db", "postgres://u:•••@host:5432/db"),
            ("postgres://u:se@cr:et@host/db?sslmode=require", "postgres://u:•••@host/db?sslmode=require"),
            ("postgres://u@host/db", "postgres://u@host/db"),
            ("postgres://host/db?password=secret&x=1", "postgres://host/db?password=•••&x=1"),
            ("sqlite:///data/undertone.db", "sqlite:///data/undertone.db"),
        ] {
            assert_eq!(hide_password(url), shown);
        }
    }

    #[test]
    fn the_default_is_complete_and_every_name_is_known() {
        let table: std::collections::BTreeMap<String, figment::value::Value> =
            Figment::from(Toml::string(DEFAULT)).extract().unwrap();
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(table.keys().collect::<Vec<_>>(), names);
        let config: Config = Figment::from(Toml::string(DEFAULT)).extract().unwrap();
        assert_eq!((config.workers, config.listen.port()), (None, 8080));
    }
}
