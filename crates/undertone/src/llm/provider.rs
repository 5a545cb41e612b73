//! How the service speaks to each provider, and which of them the cascade asks. Its setting says that an LLM is asked where the embedded
//! model is unsure, and not whose; so that follows from the model, and from where there are keys.

use serde::Serialize;
use undertone_core::usage::RequestSize;
use undertone_core::usage::price::Caching;
use undertone_core::verdict::ScorerKind;
use undertone_scoring::Knowledge;
use undertone_scoring::llm::ask::{Api, Endpoint};
use undertone_scoring::llm::claude::{CacheTime, cache_minimum, frozen_tokens};
use undertone_store::modules::Module;
use undertone_store::secrets::Provider;

use super::CLAUDE_MODEL;
use crate::output::amount::grouped;

/// A name among Claude's models, wherever it is served: `claude-haiku-5-5`, `anthropic/claude-haiku-5-5`.
fn is_claudes(model: &str) -> bool {
    model.to_ascii_lowercase().contains("claude")
}

/// The providers in the order in which they are asked for a model; no model: Claude's default one.
pub fn order(model: Option<&str>) -> [Provider; 2] {
    match model {
        Some(model) if !is_claudes(model) => [Provider::Openai, Provider::Claude],
        _ => [Provider::Claude, Provider::Openai],
    }
}

/// Whether a provider may serve a model at the address that its key is for. At their own addresses they serve their own; a gateway may
/// serve any.
pub fn may_serve(provider: Provider, address: &str, model: Option<&str>) -> bool {
    let own = address.trim_end_matches('/') == provider.own_address();
    match (provider, model) {
        (Provider::Claude, Some(model)) => !own || is_claudes(model),
        (Provider::Openai, Some(model)) => !own || !is_claudes(model),
        (_, None) => true,
    }
}

/// The provider that a scorer names. The cascade asks whom the model belongs to.
pub fn named(scorer: ScorerKind) -> Option<Provider> {
    match scorer {
        ScorerKind::Claude => Some(Provider::Claude),
        ScorerKind::Openai => Some(Provider::Openai),
        ScorerKind::Local | ScorerKind::Cascade => None,
    }
}

/// Why the `provider` that the scorer names has no `model` at the `address` that its key is for (its own, where there is no key), and what to
/// do; `None` where it may have it.
pub fn not_served(provider: Provider, model: Option<&str>, address: Option<&str>) -> Option<String> {
    let other = match provider {
        Provider::Claude => "openai",
        Provider::Openai => "claude",
    };
    let (name, address) = (provider.as_str(), address.unwrap_or(provider.own_address()));
    let model = model.filter(|model| !may_serve(provider, address, Some(model)))?;
    Some(format!(
        "{address} has no {model}: choose a model of {name}'s, or {other} as scorer; where a gateway has it, set the key for {name} with its \
         base_url first"
    ))
}

/// Who chose the model that an LLM is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// The setting `model` of the module.
    Module,
    /// The tenant's default.
    Tenant,
    /// Nobody: it is the provider's that is built in.
    BuiltIn,
}

impl ModelSource {
    /// For people, behind the name of the model.
    pub fn words(self) -> &'static str {
        match self {
            Self::Module => "the setting model",
            Self::Tenant => "the tenant's default",
            Self::BuiltIn => "which is built in",
        }
    }
}

/// The model that an LLM is asked for with `module`, and who chose it; `None` where the scorer is `openai` and nobody did.
pub fn model_of(module: &Module) -> Option<(&str, ModelSource)> {
    match (module.settings.model.as_deref(), &module.chosen_model) {
        (Some(model), Some(_)) => Some((model, ModelSource::Module)),
        (Some(model), None) => Some((model, ModelSource::Tenant)),
        (None, _) if module.settings.scorer == ScorerKind::Openai => None,
        (None, _) => Some((CLAUDE_MODEL, ModelSource::BuiltIn)),
    }
}

/// How the service speaks to a provider.
pub fn api_of(provider: Provider) -> Api {
    match provider {
        // An hour, since interactions of one company come now and then: writing the rubric anew every time costs more.
        Provider::Claude => Api::Claude { cache: Some(CacheTime::OneHour) },
        Provider::Openai => Api::Openai,
    }
}

/// What bounds the smallest request of a tenant who told `knowledge`, and whether it has its prompt cached: under a cap below that, none is made.
pub fn least_request(provider: Provider, knowledge: &Knowledge, model: &str) -> (RequestSize, Caching) {
    let (base_url, model) = (provider.own_address().to_owned(), model.to_owned());
    Endpoint { api: api_of(provider), base_url, key: None, model: model.clone() }.least(knowledge, &model)
}

/// That the provider of `model` keeps nothing of the prompts of a tenant who told `knowledge`, so that each request pays for all of it; `None`
/// where it keeps them, or that is not known.
pub fn not_kept(knowledge: &Knowledge, model: &str) -> Option<String> {
    let (least, has) = (cache_minimum(model)?, frozen_tokens(knowledge));
    (has < least).then(|| {
        format!(
            "{model} keeps prompts from {} tokens on, and the rubric has about {}: each request pays for all of it anew; {CLAUDE_MODEL} keeps it",
            grouped(least),
            grouped(has)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_is_too_short_to_be_kept_is_told_of() {
        let told = |model| not_kept(&Knowledge::default(), model);
        assert_eq!((told(CLAUDE_MODEL), told("local-model")), (None, None));
        let told = told("claude-haiku-4-5").unwrap();
        assert!(
            told.starts_with(
                "claude-haiku-4-5 keeps prompts from 4,096 tokens on, and the rubric has about 3,1"
            ),
            "{told}"
        );
    }

    #[test]
    fn a_scorer_and_a_model_of_another_provider_do_not_go_together() {
        let gateway = Some("http://localhost:4000/v1");
        for (scorer, model, address) in [
            (ScorerKind::Claude, Some("gpt-6-mini"), None),
            (ScorerKind::Claude, Some("gpt-6-mini"), Some(Provider::Claude.own_address())),
            (ScorerKind::Openai, Some("claude-haiku-5-5"), None),
        ] {
            let told = not_served(named(scorer).unwrap(), model, address).unwrap();
            assert!(told.contains(model.unwrap()) && told.contains("as scorer"), "{told}");
        }
        for (scorer, model, address) in [
            (ScorerKind::Claude, None, None),
            (ScorerKind::Claude, Some("claude-haiku-5-5"), None),
            (ScorerKind::Claude, Some("deepseek-chat"), gateway),
            (ScorerKind::Openai, Some("gpt-6-mini"), None),
            (ScorerKind::Openai, Some("anthropic/claude-haiku-5-5"), gateway),
            (ScorerKind::Cascade, Some("gpt-6-mini"), None),
            (ScorerKind::Local, Some("gpt-6-mini"), None),
        ] {
            let told = named(scorer).and_then(|provider| not_served(provider, model, address));
            assert_eq!(told, None, "{scorer:?} {model:?} {address:?}");
        }
    }

    /// Who is asked for `model` where these keys are set for these addresses.
    fn asked(model: Option<&str>, claude: Option<&str>, openai: Option<&str>) -> Option<Provider> {
        let address = |provider| if provider == Provider::Claude { claude } else { openai };
        let serves =
            |provider: &Provider| address(*provider).is_some_and(|at| may_serve(*provider, at, model));
        order(model).into_iter().find(serves)
    }

    #[test]
    fn no_provider_is_asked_for_a_model_of_another() {
        let (claude, openai) = (Some(Provider::Claude.own_address()), Some(Provider::Openai.own_address()));
        let gateway = Some("http://localhost:4000/v1");
        for (model, keys, wanted) in [
            (None, (claude, openai), Some(Provider::Claude)),
            (None, (None, openai), Some(Provider::Openai)),
            (Some("claude-haiku-5-5"), (claude, openai), Some(Provider::Claude)),
            (Some("gpt-6-mini"), (claude, openai), Some(Provider::Openai)),
            (Some("gpt-6-mini"), (claude, None), None),
            (Some("claude-haiku-5-5"), (None, openai), None),
            // A gateway may have it.
            (Some("qwen3-32b"), (claude, gateway), Some(Provider::Openai)),
            (Some("anthropic/Claude-haiku-5-5"), (None, gateway), Some(Provider::Openai)),
            (Some("deepseek-chat"), (gateway, None), Some(Provider::Claude)),
            (Some("qwen3-32b"), (None, None), None),
        ] {
            assert_eq!(asked(model, keys.0, keys.1), wanted, "{model:?} {keys:?}");
        }
    }
}
