//! The keys this process was given: in its environment, or in files of their own. They are never part of the configuration, which is
//! printed and checked aloud.

use std::fs::{File, Metadata};
use std::path::Path;

use undertone_store::secrets::{Credentials, Keyring, MasterKey, Provider, Secret};

use crate::config::Config;
use crate::error::CliError;

/// Looks a variable of the environment up. Tests have an environment of their own.
type Environment<'a> = &'a dyn Fn(&str) -> Option<Secret>;

/// The installation's key for a provider.
#[derive(Debug)]
pub struct InstallationKey {
    /// The key and its address.
    pub credentials: Credentials,
    /// The variable or file it came from.
    pub from: String,
}

/// The keys this process was given.
#[derive(Debug, Default)]
pub struct Given {
    /// What seals and opens the keys that tenants set.
    pub keyring: Keyring,
    /// What the SMTP server is shown.
    pub smtp_password: Option<Secret>,
    /// What whoever reads `/metrics` shows; `None`: nobody reads it.
    pub metrics_token: Option<Secret>,
    installation: Vec<InstallationKey>,
    /// Variables of a provider's own clients that can not be used, and why.
    passed_over: Vec<(Provider, String)>,
}

/// Where one key may stand.
struct Place<'a> {
    /// The variable that holds it.
    variable: &'static str,
    /// The setting that names a file with it.
    setting: &'static str,
    /// That file; empty: none.
    file: &'a Path,
}

/// What a provider's key and address are called.
struct Names<'a> {
    key: Place<'a>,
    base_url: &'a str,
    /// The variable that the provider's own clients read.
    usual_key: &'static str,
    /// The same for the address.
    usual_base_url: &'static str,
}

/// Our variable for a key, the setting that names a file with it, and the variable of the provider's own clients.
fn places(provider: Provider) -> (&'static str, &'static str, &'static str) {
    match provider {
        Provider::Claude => ("UNDERTONE_CLAUDE_API_KEY", "claude_api_key_file", "ANTHROPIC_API_KEY"),
        Provider::Openai => ("UNDERTONE_OPENAI_API_KEY", "openai_api_key_file", "OPENAI_API_KEY"),
    }
}

fn names(config: &Config, provider: Provider) -> Names<'_> {
    let (variable, setting, usual_key) = places(provider);
    let (file, base_url, usual_base_url) = match provider {
        Provider::Claude => (&config.claude_api_key_file, &config.claude_base_url, "ANTHROPIC_BASE_URL"),
        Provider::Openai => (&config.openai_api_key_file, &config.openai_base_url, "OPENAI_BASE_URL"),
    };
    Names { key: Place { variable, setting, file }, base_url, usual_key, usual_base_url }
}

/// What was found where a key may stand.
enum Found {
    Nothing,
    Key(InstallationKey),
    /// A key that was not set for us and can not be used, and why.
    PassedOver(String),
}

impl Given {
    /// These.
    pub fn new(keyring: Keyring, installation: Vec<InstallationKey>) -> Self {
        Self { keyring, installation, ..Self::default() }
    }

    /// What the machine's environment and the files of `config` hold.
    ///
    /// # Errors
    /// With the name of the variable or setting whose key can not be used, and not the key.
    pub fn to_this_process(config: &Config) -> Result<Self, CliError> {
        let environment = |name: &str| {
            let value = std::env::var_os(name)?;
            // A sign that is no text is refused later, with the name of the variable.
            Some(Secret::new(
                value.into_string().unwrap_or_else(|other| other.to_string_lossy().into_owned()),
            ))
        };
        Self::read(config, &environment)
    }

    fn read(config: &Config, environment: Environment<'_>) -> Result<Self, CliError> {
        let current = Place {
            variable: "UNDERTONE_MASTER_KEY",
            setting: "master_key_file",
            file: &config.master_key_file,
        };
        let previous = Place {
            variable: "UNDERTONE_PREVIOUS_MASTER_KEY",
            setting: "previous_master_key_file",
            file: &config.previous_master_key_file,
        };
        let keyring = Keyring::new(master_key(&current, environment)?, master_key(&previous, environment)?);
        let smtp = Place {
            variable: "UNDERTONE_SMTP_PASSWORD",
            setting: "smtp_password_file",
            file: &config.smtp_password_file,
        };
        let smtp_password = find(&smtp, environment)?.map(|(secret, _)| secret);
        let metrics_token = metrics_token(config, environment)?;
        let mut given = Self { keyring, smtp_password, metrics_token, ..Self::default() };
        for provider in Provider::ALL {
            match installation_key(provider, &names(config, provider), environment)? {
                Found::Nothing => {}
                Found::Key(key) => given.installation.push(key),
                Found::PassedOver(told) => {
                    tracing::warn!(provider = provider.as_str(), "{told}");
                    given.passed_over.push((provider, told));
                }
            }
        }
        Ok(given)
    }

    /// The installation's key for a provider.
    pub fn installation(&self, provider: Provider) -> Option<&InstallationKey> {
        self.installation.iter().find(|given| given.credentials.provider() == provider)
    }

    /// Where a key for a provider can be given, for a person who has given none that can be used.
    pub fn missing(&self, provider: Provider) -> String {
        let (ours, setting, usual) = places(provider);
        let passed_over = self.passed_over.iter().find(|(of, _)| *of == provider);
        let passed_over = passed_over.map(|(_, told)| format!(" ({told})")).unwrap_or_default();
        format!(
            "set the variable {usual} or {ours}, or name a file with the key as {setting} in the configuration{passed_over}"
        )
    }

    /// What there is, in a line for people: names, no keys.
    pub fn told(&self) -> String {
        let of = |provider| match self.installation(provider) {
            Some(given) => format!("{} from {}", provider.as_str(), given.from),
            None => format!("none for {}", provider.as_str()),
        };
        let keys = Provider::ALL.map(of).join(", ");
        let master = match self.keyring.current() {
            Some(id) => format!("tenants' keys are sealed with master key {id}"),
            None => "no master key, so tenants can set no keys of their own and no destinations".to_owned(),
        };
        let previous = self.keyring.previous().map(|id| format!(", {id} still opens")).unwrap_or_default();
        format!("Keys of the installation: {keys}; {master}{previous}.")
    }
}

/// A key that stands in the environment or else in a file, and where it stood.
fn find(place: &Place<'_>, environment: Environment<'_>) -> Result<Option<(Secret, String)>, CliError> {
    if let Some(text) = set(environment, place.variable) {
        return Ok(Some((text, place.variable.to_owned())));
    }
    if place.file.as_os_str().is_empty() {
        return Ok(None);
    }
    let from = format!("{} {}", place.setting, place.file.display());
    Ok(Some((read_file(place.setting, place.file)?, from)))
}

/// A variable's value; an empty one is none.
fn set(environment: Environment<'_>, variable: &str) -> Option<Secret> {
    environment(variable).map(|value| value.trimmed()).filter(|value| !value.expose().is_empty())
}

fn master_key(place: &Place<'_>, environment: Environment<'_>) -> Result<Option<MasterKey>, CliError> {
    let Some((text, from)) = find(place, environment)? else { return Ok(None) };
    let unusable = |error| CliError::Failed(format!("{from} can not be used: {error}"));
    MasterKey::from_text(&text).map(Some).map_err(unusable)
}

/// What opens `/metrics`. It is not guessed: long enough, and of signs that a header can hold.
fn metrics_token(config: &Config, environment: Environment<'_>) -> Result<Option<Secret>, CliError> {
    const SHORTEST: usize = 20;
    let place = Place {
        variable: "UNDERTONE_METRICS_TOKEN",
        setting: "metrics_token_file",
        file: &config.metrics_token_file,
    };
    let Some((token, from)) = find(&place, environment)? else { return Ok(None) };
    let text = token.expose();
    if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::Failed(format!(
            "{from} can not be used: a token has {SHORTEST} letters, digits and signs or more and no spaces; make one with: openssl rand -hex 32"
        )));
    }
    Ok(Some(token))
}

fn installation_key(
    provider: Provider,
    names: &Names<'_>,
    environment: Environment<'_>,
) -> Result<Found, CliError> {
    let own = find(&names.key, environment)?;
    let is_ours = own.is_some() || !names.base_url.is_empty();
    let usual = || Some((set(environment, names.usual_key)?, names.usual_key.to_owned()));
    let Some((key, from)) = own.or_else(usual) else { return Ok(Found::Nothing) };
    let base_url = if names.base_url.is_empty() {
        set(environment, names.usual_base_url)
    } else {
        Some(Secret::new(names.base_url.to_owned()))
    };
    match Credentials::new(provider, &key, base_url.as_ref().map(Secret::expose)) {
        Ok(credentials) => Ok(Found::Key(InstallationKey { credentials, from })),
        Err(unusable) if is_ours => Err(CliError::Failed(format!(
            "the {} key of {from} can not be used: {unusable}",
            provider.as_str()
        ))),
        // It was not set for us, and nothing but this provider needs it.
        Err(unusable) => {
            let with = names.usual_base_url;
            Ok(Found::PassedOver(format!("{from} is passed over, with {with}: {unusable}")))
        }
    }
}

/// A secret from a file that `setting` named.
///
/// # Errors
/// Where it can not be read, is empty, or others than its owner and its group may read it or anybody but its owner write to it.
pub fn read_file(setting: &str, path: &Path) -> Result<Secret, CliError> {
    let failed = |told: String| CliError::Failed(format!("{setting} {}: {told}", path.display()));
    let file = File::open(path).map_err(|e| failed(format!("it can not be opened: {e}")))?;
    let about = file.metadata().map_err(|e| failed(format!("it can not be looked at: {e}")))?;
    if let Some(told) = too_open(&about) {
        return Err(failed(format!("{told}; run: chmod 600 {}", path.display())));
    }
    let secret = Secret::read(file).map_err(|e| failed(format!("it can not be read: {e}")))?.trimmed();
    if secret.expose().is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    Ok(secret)
}

/// Who may use a file that should not. A group may read: that is how orchestrators hand secrets to a process that is not root.
#[cfg(unix)]
fn too_open(about: &Metadata) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    const FORBIDDEN: u32 = 0o037;
    let mode = about.permissions().mode();
    // A pipe has no owner to speak of; it is whoever opened it.
    (about.is_file() && mode & FORBIDDEN != 0)
        .then(|| format!("it is too open (mode {:03o}): only its owner may write to it, and nobody but its owner and group read it", mode & 0o777))
}

#[cfg(not(unix))]
fn too_open(_: &Metadata) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;
    use crate::config::ConfigArguments;

    const MASTER: &str = "111111111111111111111111111111111111111111111111111111111111111e";
    const BEFORE: &str = "222222222222222222222222222222222222222222222222222222222222222e";

    fn read(variables: &[(&str, &str)], settings: serde_json::Value) -> Result<Given, String> {
        let folder = tempfile::tempdir().unwrap();
        let flags =
            ConfigArguments { data_dir: Some(folder.path().to_owned()), ..ConfigArguments::default() };
        let config = Config::load(&flags, settings).map_err(|e| e.to_string())?;
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| Secret::new((*value).to_owned()))
        };
        Given::read(&config, &environment).map_err(|e| e.to_string())
    }

    fn used(given: &Given, provider: Provider) -> Option<(&str, &str, &str)> {
        let found = given.installation(provider)?;
        Some((found.credentials.key().expose(), found.credentials.address(), found.from.as_str()))
    }

    /// A file with these contents and this mode.
    fn file(folder: &tempfile::TempDir, name: &str, content: &str, mode: u32) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn nothing_given_is_nothing_wrong() {
        let given = read(&[("ANTHROPIC_API_KEY", " "), ("UNDERTONE_MASTER_KEY", "")], json!({})).unwrap();
        assert_eq!((used(&given, Provider::Claude), used(&given, Provider::Openai)), (None, None));
        assert_eq!((given.keyring.current(), given.keyring.previous()), (None, None));
        assert_eq!(
            given.told(),
            "Keys of the installation: none for claude, none for openai; no master key, so tenants can set no keys of their own and no destinations."
        );
    }

    #[test]
    fn our_variable_is_stronger_than_our_file_and_that_than_the_providers_variable() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "claude", "key-from-a-file\n", 0o600);
        let settings = json!({"claude_api_key_file": path});
        let (own, usual) =
            (("UNDERTONE_CLAUDE_API_KEY", "key-of-ours"), ("ANTHROPIC_API_KEY", "key-of-theirs"));
        let own_address = "https://api.anthropic.com";
        let given = read(&[own, usual], settings.clone()).unwrap();
        assert_eq!(used(&given, Provider::Claude), Some(("key-of-ours", own_address, own.0)));
        let given = read(&[usual], settings).unwrap();
        let from = format!("claude_api_key_file {path}");
        assert_eq!(used(&given, Provider::Claude), Some(("key-from-a-file", own_address, from.as_str())));
        let given = read(&[usual], json!({})).unwrap();
        assert_eq!(used(&given, Provider::Claude), Some(("key-of-theirs", own_address, usual.0)));
        assert!(given.told().contains("claude from ANTHROPIC_API_KEY, none for openai"), "{}", given.told());
    }

    #[test]
    fn addresses_come_from_the_setting_or_the_providers_variable() {
        let key = ("OPENAI_API_KEY", "any-word");
        let usual = ("OPENAI_BASE_URL", "http://localhost:11434/v1/");
        let address = |variables: &[(&str, &str)], settings| {
            let given = read(variables, settings).unwrap();
            used(&given, Provider::Openai).map(|(_, address, _)| address.to_owned()).unwrap()
        };
        assert_eq!(address(&[key], json!({})), "https://api.openai.com/v1");
        assert_eq!(address(&[key, usual], json!({})), "http://localhost:11434/v1");
        let settings = json!({"openai_base_url": "https://gateway.example/v1"});
        assert_eq!(address(&[key, usual], settings), "https://gateway.example/v1");
        // The other provider's variables are not for this one.
        let claude = ("ANTHROPIC_BASE_URL", "https://gateway.example");
        assert_eq!(address(&[key, claude], json!({})), "https://api.openai.com/v1");
        let given = read(&[usual], json!({})).unwrap();
        assert_eq!(used(&given, Provider::Openai), None, "an address is no key");
    }

    #[test]
    fn what_was_meant_for_us_is_refused_by_name_and_what_was_not_is_passed_over() {
        type Case<'a> = (&'a [(&'a str, &'a str)], serde_json::Value, &'a str);
        let bad = "marker key with spaces";
        let cases: [Case<'_>; 8] = [
            (&[("UNDERTONE_CLAUDE_API_KEY", bad)], json!({}), "the claude key of UNDERTONE_CLAUDE_API_KEY"),
            (&[("OPENAI_API_KEY", bad)], json!({"openai_base_url": "http://localhost:1"}), "OPENAI_API_KEY"),
            (
                &[("UNDERTONE_OPENAI_API_KEY", "fine"), ("OPENAI_BASE_URL", bad)],
                json!({}),
                "a base address is",
            ),
            (&[], json!({"claude_base_url": bad}), "claude_base_url"),
            (
                &[("UNDERTONE_MASTER_KEY", bad)],
                json!({}),
                "UNDERTONE_MASTER_KEY can not be used: a master key is",
            ),
            (
                &[("UNDERTONE_PREVIOUS_MASTER_KEY", bad)],
                json!({}),
                "UNDERTONE_PREVIOUS_MASTER_KEY can not be",
            ),
            (
                &[],
                json!({"master_key_file": "/nowhere/key"}),
                "master_key_file /nowhere/key: it can not be opened",
            ),
            // A key has no place in the configuration.
            (&[], json!({"claude_api_key": bad}), "claude_api_key"),
        ];
        for (variables, settings, told) in cases {
            let error = read(variables, settings).unwrap_err();
            assert!(error.contains(told) && !error.contains("marker"), "{error}");
        }
        // Somebody else's variable stops nothing, and a key is not sent where nobody said.
        let given = read(&[("ANTHROPIC_API_KEY", bad)], json!({})).unwrap();
        assert_eq!(used(&given, Provider::Claude), None);
        let given = read(&[("ANTHROPIC_API_KEY", "fine"), ("ANTHROPIC_BASE_URL", bad)], json!({})).unwrap();
        assert_eq!(used(&given, Provider::Claude), None);
        let told = given.missing(Provider::Claude);
        assert!(told.starts_with("set the variable ANTHROPIC_API_KEY or UNDERTONE_CLAUDE_API_KEY"), "{told}");
        assert!(told.contains("is passed over") && !told.contains("marker"), "{told}");
        let told = given.missing(Provider::Openai);
        assert!(told.ends_with("openai_api_key_file in the configuration"), "{told}");
    }

    #[test]
    fn master_keys_come_from_the_environment_or_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "before", &format!("{BEFORE}\n"), 0o440);
        let given =
            read(&[("UNDERTONE_MASTER_KEY", MASTER)], json!({"previous_master_key_file": path})).unwrap();
        let (current, previous) = (given.keyring.current().unwrap(), given.keyring.previous().unwrap());
        assert_ne!(current, previous);
        assert!(
            given.told().ends_with(&format!("sealed with master key {current}, {previous} still opens."))
        );
        let swapped =
            read(&[("UNDERTONE_PREVIOUS_MASTER_KEY", MASTER)], json!({"master_key_file": path})).unwrap();
        assert_eq!((swapped.keyring.previous(), swapped.keyring.current()), (Some(current), Some(previous)));
    }

    #[test]
    fn a_token_for_the_counters_is_long_and_stands_in_no_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let token = "0123456789abcdef0123456789abcdef";
        let path = file(&folder, "token", &format!("{token}\n"), 0o600);
        let shown = |given: Given| given.metrics_token.map(|token| token.expose().to_owned());
        assert_eq!(shown(read(&[], json!({})).unwrap()), None);
        assert_eq!(
            shown(read(&[("UNDERTONE_METRICS_TOKEN", token)], json!({})).unwrap()).as_deref(),
            Some(token)
        );
        assert_eq!(shown(read(&[], json!({"metrics_token_file": path})).unwrap()).as_deref(), Some(token));
        for marker in ["marker", "marker marker marker marker", "marker-märker-marker-marker"] {
            let error = read(&[("UNDERTONE_METRICS_TOKEN", marker)], json!({})).unwrap_err();
            assert!(error.contains("UNDERTONE_METRICS_TOKEN can not be used"), "{error}");
            assert!(!error.contains("marker"), "{error}");
        }
        assert!(read(&[], json!({"metrics_token": token})).is_err());
    }

    #[test]
    fn files_that_others_may_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o400, 0o640, 0o440, 0o700] {
            let path = file(&folder, &format!("{mode:o}"), "a-key", mode);
            assert_eq!(read_file("x", Path::new(&path)).unwrap().expose(), "a-key", "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o660, 0o602, 0o777, 0o444] {
            let path = file(&folder, &format!("{mode:o}"), "a-key", mode);
            let error = read_file("master_key_file", Path::new(&path)).unwrap_err().to_string();
            let begin = format!("master_key_file {path}: it is too open (mode {mode:o})");
            assert!(error.starts_with(&begin), "{error}");
            assert!(error.ends_with(&format!("; run: chmod 600 {path}")), "{error}");
        }
        for (content, told) in
            [("", "it is empty"), (" \n", "it is empty"), (&"a".repeat(5000), "longer than")]
        {
            let path = file(&folder, "wrong", content, 0o600);
            assert!(read_file("x", Path::new(&path)).unwrap_err().to_string().contains(told));
        }
        assert!(read_file("x", folder.path()).is_err(), "a folder is no file");
    }
}
