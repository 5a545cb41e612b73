//! `undertone sign-on`: a tenant's single sign-on, set by the operator.

use std::io::IsTerminal;
use std::sync::Arc;

use clap::{Args, Subcommand};
use undertone_core::Role;
use undertone_store::secrets::{KeyError, Secret};
use undertone_store::sign_on::SignOnProvider;
use undertone_store::users::Authority;
use undertone_store::{Act, Store};

use super::admin::{ACTOR, say, tenant};
use super::service::opened;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::llm::Web;
use crate::output::clean;
use crate::secrets::Given;
use crate::sign_on::{Draft, SignOn, redirect_address};

/// Set, show and remove a tenant's single sign-on.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone sign-on set acme --issuer https://accounts.google.com --client-id 123.apps.googleusercontent.com --domain acme.com < secret.txt
  undertone sign-on show acme                      what is set, and the addresses to give to the provider and to people
  undertone sign-on remove acme

The client secret is read from standard input. Without it the one there is stays, for the same issuer and client. It is sealed with the master key; see undertone secrets.

Exit status: 0 done; 1 it failed; 2 wrong usage.")]
pub struct SignOnArguments {
    #[command(subcommand)]
    action: SignOnAction,
}

#[derive(Debug, Subcommand)]
enum SignOnAction {
    /// Trust an OpenID provider to say who somebody is; its client secret is read from standard input
    Set {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        provider: Provider,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Tell what is set
    Show {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Trust nobody any more
    Remove {
        /// The tenant's short name
        slug: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

#[derive(Debug, Args)]
struct Provider {
    /// The provider's address, as it calls itself in its documentation
    #[arg(long, value_name = "ADDRESS")]
    issuer: String,
    /// What the provider calls this service
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// A domain of e-mail addresses that may sign on; may be given several times
    #[arg(long = "domain", value_name = "DOMAIN", required = true)]
    domains: Vec<String>,
    /// What the log-in page calls the provider
    #[arg(long)]
    label: Option<String>,
    /// What somebody becomes who is not known yet; left out, only invited people sign on
    #[arg(long, value_name = "ROLE", value_parser = str::parse::<Role>)]
    default_role: Option<Role>,
    /// The provider asks for a second factor itself
    #[arg(long)]
    trusts_second_factor: bool,
}

/// Runs `undertone sign-on`.
pub fn run(arguments: SignOnArguments) -> Result<Outcome, CliError> {
    match arguments.action {
        SignOnAction::Set { slug, provider, config } => {
            let config = Config::load(&config, serde_json::json!({}))?;
            let given = Given::to_this_process(&config)?;
            let secret = given_secret()?;
            super::in_runtime(async {
                let store = opened(&config).await?;
                let kept = set(&store, &given, &slug, (provider, secret)).await?;
                tell(&config, &slug, &kept)
            })
        }
        SignOnAction::Show { slug, config } => with(&config, async |store, config| {
            let tenant = tenant(&store, &slug).await?;
            let provider = store.sign_on_provider(tenant.id).await?.ok_or_else(|| none(&slug))?;
            tell(&config, &slug, &provider)
        }),
        SignOnAction::Remove { slug, config } => with(&config, async |store, _| {
            let tenant = tenant(&store, &slug).await?;
            if !store.remove_sign_on_provider(&Act::new(tenant.id, ACTOR), Authority::Operator).await? {
                return Err(none(&slug));
            }
            say("Removed. Who is logged in stays so until their session ends.")?;
            Ok(Outcome::Done)
        }),
    }
}

fn with<F>(flags: &ConfigArguments, act: impl FnOnce(Store, Config) -> F) -> Result<Outcome, CliError>
where
    F: Future<Output = Result<Outcome, CliError>>,
{
    let config = Config::load(flags, serde_json::json!({}))?;
    super::in_runtime(async { act(opened(&config).await?, config).await })
}

fn none(slug: &str) -> CliError {
    CliError::Failed(format!("{slug} has no single sign-on; set it with: undertone sign-on set {slug}"))
}

/// What standard input holds; nothing where it is a terminal or empty.
fn given_secret() -> Result<Option<String>, CliError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Ok(None);
    }
    let secret = Secret::read(input.lock()).map_err(|e| {
        CliError::Failed(format!("the client secret can not be read from standard input: {e}"))
    })?;
    let secret = secret.trimmed();
    Ok((!secret.expose().is_empty()).then(|| secret.expose().to_owned()))
}

async fn set(
    store: &Store,
    given: &Given,
    slug: &str,
    (provider, client_secret): (Provider, Option<String>),
) -> Result<SignOnProvider, CliError> {
    let tenant = tenant(store, slug).await?;
    let before = store.sign_on_provider(tenant.id).await?;
    let draft = Draft {
        issuer: provider.issuer,
        client_id: provider.client_id,
        client_secret,
        label: provider.label,
        allowed_domains: provider.domains,
        default_role: provider.default_role,
        trusts_second_factor: provider.trusts_second_factor,
        version: before.map(|before| before.version),
    };
    // Who operates the service may appoint anybody.
    let new = draft.checked(Role::Admin).map_err(|errors| {
        let told: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        CliError::Failed(told.join("; "))
    })?;
    let sign_on = SignOn::new(Arc::new(Web::new()?));
    sign_on.discover(&new.issuer).await.map_err(|error| CliError::Failed(clean(&error.to_string())))?;
    let act = Act::new(tenant.id, ACTOR);
    store.save_sign_on_provider(&act, Authority::Operator, &given.keyring, new).await.map_err(|error| {
        match error {
            KeyError::Store(error) => error.into(),
            other => CliError::Failed(other.to_string()),
        }
    })
}

fn tell(config: &Config, slug: &str, provider: &SignOnProvider) -> Result<Outcome, CliError> {
    let base = config.address();
    let base = base.trim_end_matches('/');
    let domains: Vec<&str> = provider.allowed_domains.iter().map(String::as_str).collect();
    let joins = provider.default_role.map_or_else(
        || "only people who were invited sign on".to_owned(),
        |role| format!("who is not known yet becomes {}", role.as_str()),
    );
    let factor = if provider.trusts_second_factor { "the provider's own" } else { "asked for here" };
    for line in [
        format!("Issuer           {}", provider.issuer),
        format!("Client           {}", provider.client_id),
        format!("Shown as         {}", provider.label),
        format!("Domains          {}", domains.join(", ")),
        format!("New people       {joins}"),
        format!("Second factor    {factor}"),
        format!("Signs in         everybody whom {} may appoint", provider.vouched_by.as_str()),
        format!("Set              {} by {}", provider.set_at.format("%Y-%m-%d %H:%M UTC"), provider.set_by),
        String::new(),
        format!("Redirect address, for the provider:  {}", redirect_address(base)),
        format!("Log-in page, for people:             {base}/login?tenant={slug}"),
    ] {
        say(&clean(&line))?;
    }
    Ok(Outcome::Done)
}
