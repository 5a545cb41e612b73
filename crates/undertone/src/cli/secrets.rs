//! `undertone secrets`: a tenant's own keys for providers, and the master key that seals them.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use undertone_store::secrets::{Credentials, KeyError, Keyring, MasterKey, Provider, Secret};
use undertone_store::{Act, Store, Tenant};

use super::admin::ACTOR;
use super::service::opened;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::output::clean;
use crate::secrets::{Given, ProviderKeys, Source, Standing, read_file};

/// Set and remove a tenant's own keys for LLM providers; replace what seals them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone secrets new-key master.key             make a master key, once for an installation
  undertone secrets set acme claude < key.txt      keep acme's key, sealed with the master key
  undertone secrets list acme                      which key is used for which provider
  undertone secrets rotate                         seal everything anew with another master key

The master key is read from UNDERTONE_MASTER_KEY or the file of master_key_file. To replace it, make a new one, give the service the new one as master key and the old one as previous master key (UNDERTONE_PREVIOUS_MASTER_KEY, previous_master_key_file), start it again, run undertone secrets rotate with the same, and take the old one away.

Exit status: 0 done; 1 it failed, or keys could not be opened; 2 wrong usage.")]
pub struct SecretsArguments {
    #[command(subcommand)]
    action: SecretsAction,
}

#[derive(Debug, Subcommand)]
enum SecretsAction {
    /// Make a master key
    NewKey {
        /// A new file for it, that only its owner may read; left out, the key is printed
        file: Option<PathBuf>,
    },
    /// Keep a tenant's key for a provider; the key is read from standard input
    Set {
        /// The tenant's short name
        slug: String,
        /// claude or openai
        provider: String,
        /// Where the key is used, if not at the provider's own address
        #[arg(long, value_name = "ADDRESS")]
        base_url: Option<String>,
        /// Somebody's key, for certain: it is refused, and not repeated as another argument too many would be.
        #[arg(hide = true)]
        too_many: Vec<String>,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Tell which key is used for which provider
    List {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Remove a tenant's key for a provider
    Remove {
        /// The tenant's short name
        slug: String,
        /// claude or openai
        provider: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Seal every tenant's keys anew with another master key; may be broken off and said again
    Rotate {
        /// A file with the master key they are sealed with, instead of the previous master key of the configuration
        #[arg(long, value_name = "FILE")]
        old_key_file: Option<PathBuf>,
        /// A file with the master key to seal them with, instead of the master key of the configuration
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// Runs the command.
pub fn run(arguments: SecretsArguments) -> Result<Outcome, CliError> {
    match arguments.action {
        SecretsAction::NewKey { file } => new_key(file.as_deref()),
        SecretsAction::Set { slug, provider, base_url, too_many, config } => {
            if !too_many.is_empty() {
                return Err(CliError::Failed(
                    "a key is read from standard input, never from an argument: those stand in the shell's history and in the list of processes. If that was a key, take it for known to others and have a new one made".to_owned(),
                ));
            }
            let provider = known(&provider)?;
            let key = given_key()?;
            let new = Credentials::new(provider, &key, base_url.as_deref())
                .map_err(|unusable| CliError::Failed(unusable.to_string()))?;
            with_keys(&config, async |store, keys| set(&keys, &tenant(&store, &slug).await?, &new).await)
        }
        SecretsAction::List { slug, config } => with_keys(&config, async |store, keys| {
            for standing in keys.standing(tenant(&store, &slug).await?.id).await? {
                say(&as_text(&standing))?;
            }
            Ok(Outcome::Done)
        }),
        SecretsAction::Remove { slug, provider, config } => {
            let provider = known(&provider)?;
            with_keys(&config, async |store, keys| {
                let act = Act::new(tenant(&store, &slug).await?.id, ACTOR);
                if !keys.remove(&act, provider).await? {
                    return Err(CliError::Failed(format!(
                        "{slug} has no key of its own for {}; see: undertone secrets list {slug}",
                        provider.as_str()
                    )));
                }
                say("Removed.")?;
                Ok(Outcome::Done)
            })
        }
        SecretsAction::Rotate { old_key_file, new_key_file, config } => {
            let config = Config::load(&config, serde_json::json!({}))?;
            let keyring = both(&config, old_key_file.as_deref(), new_key_file.as_deref())?;
            super::in_runtime(async { rotate(&opened(&config).await?, &keyring).await })
        }
    }
}

/// Runs `act` on the database of the configuration, with the keys that this process was given.
pub fn with_keys<F>(
    flags: &ConfigArguments,
    act: impl FnOnce(Store, ProviderKeys) -> F,
) -> Result<Outcome, CliError>
where
    F: Future<Output = Result<Outcome, CliError>>,
{
    let config = Config::load(flags, serde_json::json!({}))?;
    let given = Given::to_this_process(&config)?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let keys = ProviderKeys::new(&store, given);
        act(store, keys).await
    })
}

fn say(text: &str) -> Result<(), CliError> {
    writeln!(anstream::stdout(), "{text}")?;
    Ok(())
}

/// The tenant with this short name. It is not repeated where there is none: a key may have been typed in its place.
async fn tenant(store: &Store, slug: &str) -> Result<Tenant, CliError> {
    store.tenant_by_slug(slug).await?.ok_or_else(|| {
        CliError::Failed("there is no tenant of that name; see: undertone tenant list".to_owned())
    })
}

fn known(word: &str) -> Result<Provider, CliError> {
    Provider::of_word(word).ok_or_else(|| CliError::Failed("a provider is claude or openai".to_owned()))
}

fn given_key() -> Result<Secret, CliError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(CliError::Failed(
            "give the key on standard input, such as: undertone secrets set acme claude < file".to_owned(),
        ));
    }
    Secret::read(input.lock())
        .map_err(|e| CliError::Failed(format!("the key can not be read from standard input: {e}")))
}

fn new_key(file: Option<&Path>) -> Result<Outcome, CliError> {
    let key = MasterKey::generate().map_err(failed)?;
    let Some(path) = file else {
        say(key.to_text().expose())?;
        return Ok(Outcome::Done);
    };
    let shown = path.display();
    let mut options = OpenOptions::new();
    // Never over another one: what that sealed would be lost.
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut out =
        options.open(path).map_err(|e| CliError::Failed(format!("{shown} can not be made: {e}")))?;
    writeln!(out, "{}", key.to_text().expose())
        .and_then(|()| out.sync_all())
        .map_err(|e| CliError::Failed(format!("{shown} can not be written: {e}")))?;
    say(&format!(
        "Master key {} is in {}, for its owner only. Keep a copy apart from the database and its backups: without it no tenant's key opens, and nothing can be sent to a destination.\n\
         Next: set master_key_file (UNDERTONE_MASTER_KEY_FILE) to its path and start the service again.",
        key.id(),
        clean(&shown.to_string())
    ))?;
    Ok(Outcome::Done)
}

fn failed(error: KeyError) -> CliError {
    match error {
        KeyError::Store(error) => error.into(),
        other => CliError::Failed(other.to_string()),
    }
}

async fn set(keys: &ProviderKeys, tenant: &Tenant, new: &Credentials) -> Result<Outcome, CliError> {
    let kept = keys.save(&Act::new(tenant.id, ACTOR), new).await.map_err(failed)?;
    say(&format!(
        "{}'s key for {} is kept{}, sealed with master key {}. It is used at {} from now on.",
        tenant.slug,
        kept.provider.as_str(),
        ending(kept.last_four.as_deref()),
        kept.key_id,
        kept.address()
    ))?;
    Ok(Outcome::Done)
}

/// The end of a key, where it may be shown.
pub fn ending(last_four: Option<&str>) -> String {
    last_four.map(|four| format!(" (…{four})")).unwrap_or_default()
}

fn as_text(standing: &Standing) -> String {
    let told = match standing.source {
        None => "no key".to_owned(),
        Some(Source::Installation) => "the installation's key".to_owned(),
        Some(Source::Tenant) => {
            let at = standing
                .set_at
                .map(|at| at.format(", set %Y-%m-%d %H:%M UTC").to_string())
                .unwrap_or_default();
            let by = standing.set_by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            let address = standing.base_url.as_deref().unwrap_or_default();
            let problem =
                standing.problem.as_deref().map(|p| format!("; it can not be used: {p}")).unwrap_or_default();
            format!("own key{}{at}{by}, used at {address}{problem}", ending(standing.last_four.as_deref()))
        }
    };
    format!("{:<8} {}", standing.provider.as_str(), clean(&told))
}

/// The old and the new master key: from the files given, or else those that this process was given.
fn both(config: &Config, old: Option<&Path>, new: Option<&Path>) -> Result<Keyring, CliError> {
    let from_file = |flag: &str, path: &Path| {
        let unusable = |error| CliError::Failed(format!("{flag} {}: {error}", path.display()));
        MasterKey::from_text(&read_file(flag, path)?).map_err(unusable)
    };
    let mut keyring = Given::to_this_process(config)?.keyring;
    if let Some(path) = old {
        keyring = keyring.with_previous(from_file("--old-key-file", path)?);
    }
    if let Some(path) = new {
        keyring = keyring.with_current(from_file("--new-key-file", path)?);
    }
    let missing = |which: &str, variable: &str, setting: &str, flag: &str| {
        Err(CliError::Failed(format!(
            "{which} is missing: give it as {variable}, in the file of {setting}, or with {flag}"
        )))
    };
    match (keyring.previous(), keyring.current()) {
        (_, None) => missing(
            "the master key that is to seal from now on",
            "UNDERTONE_MASTER_KEY",
            "master_key_file",
            "--new-key-file",
        ),
        (None, _) => missing(
            "the master key that keys are sealed with",
            "UNDERTONE_PREVIOUS_MASTER_KEY",
            "previous_master_key_file",
            "--old-key-file",
        ),
        (Some(old), Some(new)) if old == new => {
            Err(CliError::Failed("the old and the new master key are the same".to_owned()))
        }
        _ => Ok(keyring),
    }
}

async fn rotate(store: &Store, keyring: &Keyring) -> Result<Outcome, CliError> {
    let (mut resealed, mut already, mut unopened) = (0, 0, 0);
    for tenant in store.tenants().await? {
        let act = Act::new(tenant.id, ACTOR);
        for done in [
            store.reseal_provider_keys(&act, keyring).await.map_err(failed)?,
            store.reseal_second_factors(&act, keyring).await.map_err(failed)?,
            store.reseal_sign_on_provider(&act, keyring).await.map_err(failed)?,
            store.reseal_destinations(&act, keyring).await.map_err(failed)?,
        ] {
            resealed += done.resealed;
            already += done.already;
            for error in &done.unopened {
                unopened += 1;
                say(&format!("{}: {}", tenant.slug, clean(&error.to_string())))?;
            }
        }
    }
    let current = keyring.current().unwrap_or_default();
    say(&format!(
        "Keys sealed anew with master key {current}: {resealed}. Sealed with it already: {already}."
    ))?;
    if unopened > 0 {
        say(&format!("Keys that stay as they were, since neither master key opens them: {unopened}."))?;
        return Ok(Outcome::SomeFailed);
    }
    say("When every process of the service has this master key, the previous one is not needed any more.")?;
    Ok(Outcome::Done)
}
