//! Secrets in a file stand elsewhere: in a variable of the environment, or in a file of their own.

use std::path::Path;

use undertone_store::secrets::Secret;

use crate::error::CliError;
use crate::secrets::read_file;

/// Looks a variable of the environment up. Tests have an environment of their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<Secret>;

/// How a secret is written.
pub const HOW: &str = "write it as ${env:NAME}, a variable of the environment, or as file:PATH";

/// Where a secret stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// A variable of the environment.
    Variable(&'a str),
    /// A file; relative to the file that names it.
    File(&'a str),
}

impl<'a> Reference<'a> {
    /// What a text refers to; `None`: it is no reference.
    pub fn of(text: &'a str) -> Option<Self> {
        let variable = text.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}'));
        let file = || text.strip_prefix("file:").filter(|path| !path.is_empty());
        let is_name =
            |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        variable.filter(is_name).map(Self::Variable).or_else(|| file().map(Self::File))
    }

    /// What stands there.
    ///
    /// # Errors
    /// Why it can not be had, and never what it is.
    pub fn look_up(&self, beside: &Path, environment: Environment<'_>) -> Result<String, String> {
        match self {
            Self::Variable(name) => {
                let found = environment(name).map(|secret| secret.trimmed().expose().to_owned());
                found.filter(|text| !text.is_empty()).ok_or_else(|| {
                    format!("the variable {name} of the environment is not set, or is empty; set it where this command runs")
                })
            }
            Self::File(path) => {
                let secret = read_file("file", &beside.join(path));
                secret.map(|secret| secret.expose().to_owned()).map_err(|error| match error {
                    CliError::Failed(told) => told,
                    other => other.to_string(),
                })
            }
        }
    }
}
