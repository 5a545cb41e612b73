//! Which scorer a command's texts are put to, and what it may use: the flags, and what they make.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use undertone_core::usage::price::Prices;
use undertone_core::verdict::ScorerKind;
use undertone_core::{Clock, Settings};
use undertone_scoring::Scorer;
use undertone_scoring::cascade::Cascade;
use undertone_scoring::llm::ask::{Api, Endpoint, LlmScorer, Manner};
use undertone_scoring::llm::claude::CacheTime;
use undertone_scoring::local::{Artifact, ArtifactError, LocalScorer};
use undertone_store::secrets::{Credentials, Provider, Secret};

use crate::clock::MachineClock;
use crate::config::{Config, ConfigArguments};
use crate::error::CliError;
use crate::llm::meter::{Caps, Meter};
use crate::llm::provider::{may_serve, not_served, order};
use crate::llm::{CLAUDE_MODEL, Web};
use crate::prices;
use crate::secrets::Given;

/// Texts the cascade is handed at once, for each text of a request: it asks its LLM about a part of them, and a request should be full.
const CASCADE_PACK: usize = 8;

/// A scorer, as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// The embedded model: nothing leaves the machine and nothing is charged
    Local,
    /// Claude, with a key of Anthropic's
    Claude,
    /// OpenAI, or any server that speaks its chat completions
    Openai,
    /// The embedded model, and an LLM for what it is unsure of
    Cascade,
}

impl Who {
    /// The same in the domain's words.
    pub fn kind(self) -> ScorerKind {
        match self {
            Self::Local => ScorerKind::Local,
            Self::Claude => ScorerKind::Claude,
            Self::Openai => ScorerKind::Openai,
            Self::Cascade => ScorerKind::Cascade,
        }
    }
}

/// Flags of commands that may ask an LLM.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "With an LLM")]
pub struct LlmArguments {
    /// The LLM's model (default: the settings' model, else claude-haiku-5-5 for Claude). With --scorer local: the folder of another
    /// embedded model
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Where the LLM is asked, in place of the configured address: for Claude without /v1, for openai with it
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    /// Stop asking before more tokens than this are used, read and written together
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens: Option<u64>,

    /// Stop asking before it costs more than this, in US dollars
    #[arg(long, value_name = "USD", value_parser = micros)]
    pub max_cost: Option<u64>,

    /// Requests under way at once, at most
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub at_once: u16,

    /// Configuration file, for keys, addresses and prices (default: undertone.toml in the data directory, where there is one)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Dollars as millionths: "0.50", at most six decimals.
fn micros(text: &str) -> Result<u64, String> {
    let wrong = || "give an amount in US dollars such as 0.50, more than 0 and at most 1000000".to_owned();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 || (whole.is_empty() && decimals.is_empty())
    {
        return Err(wrong());
    }
    let part = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let micros = part(whole)
        .and_then(|whole| whole.checked_mul(1_000_000))
        .and_then(|whole| Some(whole + part(&format!("{decimals:0<6}"))?));
    micros.filter(|micros| (1..=1_000_000_000_000).contains(micros)).ok_or_else(wrong)
}

/// What a file of settings holds; an empty object without one.
///
/// # Errors
/// Where it can not be read or is no JSON.
pub fn settings_json(path: Option<&Path>) -> Result<Value, CliError> {
    let Some(path) = path else { return Ok(json!({})) };
    let failed = |told: String| CliError::Failed(format!("{} {told}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| failed(format!("can not be read: {e}")))?;
    serde_json::from_str(&text).map_err(|e| failed(format!("is not JSON: {e}")))
}

/// The settings in it.
///
/// # Errors
/// With everything that is wrong with them.
pub fn settings(json: &Value) -> Result<Settings, CliError> {
    Settings::from_json(json).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        CliError::Failed(format!("the settings can not be used:\n  {}", told.join("\n  ")))
    })
}

/// Keys, addresses and prices of the configuration.
pub struct Means {
    given: Given,
    prices: Prices,
    web: Arc<Web>,
}

impl Means {
    /// Those of the configuration `arguments` name.
    ///
    /// # Errors
    /// With what of it can not be used.
    pub fn load(arguments: &LlmArguments) -> Result<Self, CliError> {
        let flags = ConfigArguments { config: arguments.config.clone(), ..ConfigArguments::default() };
        let config = Config::load(&flags, json!({}))?;
        let given = Given::to_this_process(&config)?;
        Ok(Self { given, prices: prices::load(&config)?, web: Arc::new(Web::new()?) })
    }

    /// The key for a provider, and the address it is used at: the person's own, where they named one.
    fn credentials(
        &self,
        provider: Provider,
        base_url: Option<&str>,
    ) -> Result<Option<Credentials>, CliError> {
        let given = self.given.installation(provider).map(|given| &given.credentials);
        let Some(address) = base_url else { return Ok(given.cloned()) };
        let Some(given) = given else { return Ok(None) };
        Credentials::new(provider, given.key(), Some(address)).map(Some).map_err(unusable)
    }

    /// Whose API `who` asks for `model`. Of the cascade's two it is the one that may serve the model and has a key; a server at an address of
    /// one's own may need no key, and speaks chat completions then.
    pub fn provider(&self, who: Who, base_url: Option<&str>, model: Option<&str>) -> Provider {
        let serves = |provider: &Provider| {
            let given = self.given.installation(*provider).map(|given| given.credentials.address());
            match base_url {
                Some(_) => *provider == Provider::Openai || given.is_some(),
                None => given.is_some_and(|address| may_serve(*provider, address, model)),
            }
        };
        let [first, second] = order(model);
        match who {
            Who::Openai => Provider::Openai,
            Who::Cascade => [first, second].into_iter().find(serves).unwrap_or(first),
            Who::Local | Who::Claude => Provider::Claude,
        }
    }
}

fn unusable(told: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("--base-url can not be used: {told}"))
}

/// A scorer that asks an LLM, alone or behind the embedded model.
pub struct LlmRun {
    /// The scorer.
    pub scorer: Arc<dyn Scorer>,
    /// Counts what it takes.
    pub meter: Arc<Meter>,
    /// The model that is asked.
    pub model: String,
    /// Where.
    pub host: String,
    /// Texts to hand over at once.
    pub pack: usize,
    /// Packs to hand over at once.
    pub packs: usize,
}

impl LlmRun {
    /// `who`, with what `arguments` and `settings` say.
    ///
    /// # Errors
    /// Where there is no key, no model, a model of another provider's, or no price for a cap on cost. The message says what to do.
    pub fn new(
        who: Who,
        arguments: &LlmArguments,
        settings: &Settings,
        means: &Means,
        local: &Arc<LocalScorer>,
    ) -> Result<Self, CliError> {
        let model = model(arguments, settings);
        let provider = means.provider(who, arguments.base_url.as_deref(), model);
        let endpoint = endpoint(who, provider, arguments, settings, means)?;
        let caps = Caps { tokens: arguments.max_tokens, micros: arguments.max_cost };
        let meter = Arc::new(Meter::new(means.prices.clone(), MachineClock.now().date_naive(), caps));
        let model = endpoint.model.clone();
        if caps.micros.is_some() && meter.price(&model).is_none() {
            return Err(CliError::Failed(format!(
                "no price is known for {model}, so --max-cost can not be kept; use --max-tokens, or put its price into the file that \
                 prices_file of the configuration names"
            )));
        }
        let manner = Manner {
            together: settings.llm_together.into(),
            at_once: arguments.at_once.into(),
            ..Manner::default()
        };
        let host = host(&endpoint.base_url).to_owned();
        let llm = LlmScorer::new(endpoint, manner, means.web.clone(), meter.clone());
        let scorer: Arc<dyn Scorer> = if who == Who::Cascade {
            let (local, threshold) = (local.clone(), settings.cascade_threshold);
            Arc::new(Cascade { local, llm: Arc::new(llm), threshold })
        } else {
            Arc::new(llm)
        };
        let (pack, packs) = packs(who, arguments, settings);
        Ok(Self { scorer, meter, model, host, pack, packs })
    }
}

/// The embedded model beside `who`: alone it may be another one, from a folder.
pub fn artifact(who: Who, arguments: &LlmArguments) -> Result<Artifact, ArtifactError> {
    match &arguments.model {
        Some(folder) if who == Who::Local => Artifact::from_folder(Path::new(folder)),
        _ => Artifact::embedded(),
    }
}

/// Texts in a pack, and packs under way at once: one more than requests, so that the next one is ready when there is room.
fn packs(who: Who, arguments: &LlmArguments, settings: &Settings) -> (usize, usize) {
    let together = usize::from(settings.llm_together);
    let pack = if who == Who::Cascade { together * CASCADE_PACK } else { together };
    (pack, usize::from(arguments.at_once) + 1)
}

/// Texts that the embedded model can be handed at once where `who` is asked.
pub fn most_texts(who: Who, arguments: &LlmArguments, settings: &Settings) -> usize {
    let (pack, packs) = packs(who, arguments, settings);
    pack * packs
}

/// The model that the flags name, or the settings.
pub fn model<'a>(arguments: &'a LlmArguments, settings: &'a Settings) -> Option<&'a str> {
    arguments.model.as_deref().or(settings.model.as_deref())
}

fn endpoint(
    who: Who,
    provider: Provider,
    arguments: &LlmArguments,
    settings: &Settings,
    means: &Means,
) -> Result<Endpoint, CliError> {
    let credentials = means.credentials(provider, arguments.base_url.as_deref())?;
    let (base_url, key) = match (credentials, provider, &arguments.base_url) {
        (Some(credentials), ..) => {
            let key = Secret::expose(credentials.key()).to_owned();
            (credentials.address().to_owned(), Some(key))
        }
        // A server of one's own may ask for none.
        (None, Provider::Openai, Some(address)) => {
            (undertone_store::secrets::usable_address(provider, address).map_err(unusable)?, None)
        }
        (None, ..) => return Err(CliError::Failed(no_key(who, provider, model(arguments, settings), means))),
    };
    let chosen = model(arguments, settings).map(str::to_owned);
    if let Some(why) = not_served(provider, chosen.as_deref(), Some(&base_url)) {
        return Err(CliError::Failed(format!("{why}, or name its address with --base-url")));
    }
    let (api, model) = match provider {
        Provider::Claude => {
            let api = Api::Claude { cache: Some(CacheTime::FiveMinutes) };
            (api, chosen.unwrap_or_else(|| CLAUDE_MODEL.to_owned()))
        }
        Provider::Openai => (Api::Openai, chosen.ok_or_else(no_model)?),
    };
    Ok(Endpoint { api, base_url, key, model })
}

fn no_model() -> CliError {
    CliError::Failed("which model shall be asked? Name it with --model, as the server calls it".to_owned())
}

fn no_key(who: Who, provider: Provider, model: Option<&str>, means: &Means) -> String {
    let missing = |provider| means.given.missing(provider);
    let there = |provider| means.given.installation(provider).is_some();
    let (whose, missing) = match (who, model) {
        // The key that there is, is for another provider's own address.
        (Who::Cascade, Some(model)) if Provider::ALL.into_iter().any(there) => {
            (format!("a provider that may serve {model}"), missing(provider))
        }
        (Who::Cascade, _) => (
            "an LLM".to_owned(),
            format!("for Claude, {}; for openai, {}", missing(Provider::Claude), missing(Provider::Openai)),
        ),
        (_, _) if provider == Provider::Claude => ("Claude".to_owned(), missing(provider)),
        (_, _) => ("openai".to_owned(), missing(provider)),
    };
    format!("there is no key for {whose}: {missing}. --scorer local needs none, and sends nothing anywhere")
}

/// The host of an address, with its port.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use undertone_store::secrets::Keyring;

    use super::*;
    use crate::secrets::InstallationKey;

    #[test]
    fn dollars_are_exact() {
        for (text, wanted) in [
            ("0.50", 500_000),
            ("2", 2_000_000),
            (".000001", 1),
            ("1.", 1_000_000),
            ("1000000", 1_000_000_000_000),
        ] {
            assert_eq!(micros(text), Ok(wanted), "{text}");
        }
        for text in
            ["", ".", "0", "0.0000001", "-1", "1,50", "1e3", "$1", "1000000.000001", "99999999999999999999"]
        {
            assert!(micros(text).is_err(), "{text}");
        }
    }

    fn without_keys() -> Means {
        Means { given: Given::default(), prices: Prices::built_in(), web: Arc::new(Web::new().unwrap()) }
    }

    #[test]
    fn a_server_of_ones_own_needs_no_key() {
        let means = without_keys();
        let arguments = LlmArguments {
            base_url: Some("http://localhost:11434/v1/".to_owned()),
            model: Some("qwen".to_owned()),
            ..LlmArguments::default()
        };
        for who in [Who::Openai, Who::Cascade] {
            let provider = means.provider(who, arguments.base_url.as_deref(), Some("qwen"));
            let endpoint = endpoint(who, provider, &arguments, &Settings::default(), &means).ok().unwrap();
            assert_eq!((endpoint.base_url.as_str(), endpoint.key), ("http://localhost:11434/v1", None));
        }
        let told = |base_url: &str| {
            let arguments = LlmArguments { base_url: Some(base_url.to_owned()), ..arguments.clone() };
            match endpoint(Who::Openai, Provider::Openai, &arguments, &Settings::default(), &means) {
                Err(error) => error.to_string(),
                Ok(_) => String::new(),
            }
        };
        assert!(
            told("http://user:marker@localhost/v1")
                .starts_with("--base-url can not be used: a base address is")
        );
        assert!(!told("http://user:marker@localhost/v1").contains("marker"));
    }

    #[test]
    fn nobody_is_asked_for_a_model_of_another() {
        let key = Secret::new("some-key-of-claudes".to_owned());
        let credentials = Credentials::new(Provider::Claude, &key, None).unwrap();
        let given = vec![InstallationKey { credentials, from: "a test".to_owned() }];
        let means = Means { given: Given::new(Keyring::default(), given), ..without_keys() };
        let asked_by = |who, model: &str| {
            let arguments = LlmArguments { model: Some(model.to_owned()), ..LlmArguments::default() };
            let provider = means.provider(who, None, Some(model));
            endpoint(who, provider, &arguments, &Settings::default(), &means)
                .map(|endpoint| endpoint.base_url)
                .map_err(|error| error.to_string())
        };
        let asked = |model| asked_by(Who::Cascade, model);
        assert_eq!(asked("claude-sonnet-5-5").as_deref(), Ok("https://api.anthropic.com"));
        let told = asked("gpt-6-mini").unwrap_err();
        assert!(
            told.starts_with(
                "there is no key for a provider that may serve gpt-6-mini: set the variable OPENAI"
            ),
            "{told}"
        );
        let told = asked_by(Who::Claude, "gpt-6-mini").unwrap_err();
        assert!(
            told.starts_with(
                "https://api.anthropic.com has no gpt-6-mini: choose a model of claude's, or openai"
            ),
            "{told}"
        );
        assert!(told.ends_with("or name its address with --base-url"), "{told}");
    }

    #[test]
    fn hosts_are_told_without_the_rest() {
        assert_eq!(host("https://api.anthropic.com"), "api.anthropic.com");
        assert_eq!(host("http://127.0.0.1:8000/v1"), "127.0.0.1:8000");
    }
}
