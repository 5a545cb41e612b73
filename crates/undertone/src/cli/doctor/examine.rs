//! What of a tenant is looked at: the module guide's list for an empty dashboard in its order, then what else keeps interactions unscored.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use undertone_core::overview::Count;
use undertone_core::usage::price::Prices;
use undertone_core::verdict::ScorerKind;
use undertone_core::{Channel, Settings};
use undertone_scoring::Knowledge;
use undertone_store::budget::{Budget, Caps};
use undertone_store::interactions::Filter;
use undertone_store::secrets::{KeyError, Provider};
use undertone_store::{Store, Tenant};

use super::Check;
use super::unasked::unasked;
use crate::api::explanation;
use crate::cli::secrets::ending;
use crate::error::CliError;
use crate::llm::provider::{least_request, may_serve, model_of, named, not_kept, not_served, order};
use crate::output::amount::{dollars, grouped};
use crate::output::clean;
use crate::secrets::{ProviderKey, ProviderKeys, Source};
use crate::usage::{Measure, Standing};

/// The newest interactions, of which it is told what became of them.
pub const RECENT: i64 = 200;
/// What waits longer is worth a look.
const LONG: TimeDelta = TimeDelta::minutes(2);

/// What is looked at, and whether it is well (`Ok`) or not (`Err`), for a person.
pub type Told = (Check, Result<String, String>);

/// What a tenant is examined with.
pub struct Means<'a> {
    /// Where everything is.
    pub store: &'a Store,
    /// Keys for providers, where they can be read.
    pub keys: Option<&'a ProviderKeys>,
    /// Prices, where they can be read.
    pub prices: Option<&'a Prices>,
    /// The operator named a server that sends e-mail.
    pub mails: bool,
}

impl Means<'_> {
    /// Everything about one tenant.
    pub async fn tenant(&self, tenant: &Tenant) -> Result<Vec<Told>, CliError> {
        let (store, slug) = (self.store, &tenant.slug);
        let module = store.module(tenant.id).await?;
        let settings = &module.settings;
        let mut told = vec![(
            Check::Module,
            if module.active {
                Ok("the module is active".to_owned())
            } else {
                Err(format!("the module is not active; run: undertone module activate {slug}"))
            },
        )];
        told.push((Check::Scorer, Ok(scorer(settings.scorer).to_owned())));
        if let Some(keys) = self.keys {
            told.extend(provider_keys(keys, tenant, settings).await?);
        }
        if settings.scorer != ScorerKind::Local {
            let budget = store.budget(tenant).await?;
            let at = store.now();
            told.extend(budgets(tenant, settings, &budget, at).into_iter().map(|told| (Check::Budget, told)));
            if let Some((model, source)) = model_of(&module) {
                let asked = format!("an LLM is asked for {}, {}", clean(model), source.words());
                told.push((Check::Scorer, Ok(asked)));
                told.extend(
                    unpriced(settings, model, self.prices, at).map(|told| (Check::Scorer, Err(told))),
                );
                // Nothing is wrong with it but the price.
                let not_kept = not_kept(&Knowledge::of(settings), model);
                told.extend(not_kept.map(|told| (Check::Scorer, Ok(told))));
                let too_small = too_small(settings, model, self.prices, at);
                told.extend(too_small.into_iter().map(|told| (Check::Budget, Err(told))));
            } else {
                let none = "no model is chosen: openai has no default, so name one in the setting model or as the tenant's default";
                told.push((Check::Scorer, Err(none.to_owned())));
            }
        }
        told.push((
            Check::MinimumLength,
            Ok(format!(
                "texts of {} characters and more are scored (min_note_length)",
                settings.min_note_length
            )),
        ));
        if !settings.enabled {
            let off = "scoring is switched off in the settings (enabled)";
            told.push((Check::Module, Err(off.to_owned())));
        }
        let off = Channel::ALL.into_iter().filter(|channel| !settings.channels.contains(channel));
        let off: Vec<&str> = off.map(Channel::as_str).collect();
        told.push((
            Check::Channels,
            if off.is_empty() {
                Ok("every channel is scored (channels)".to_owned())
            } else {
                Err(format!("not scored are the channels {} (channels)", off.join(", ")))
            },
        ));
        told.extend(self.alerts(tenant, settings).await?);
        let keys = store.keys(tenant.id).await?;
        if !keys.iter().any(|key| key.works(store.now())) {
            let none = format!("no API key works; run: undertone key create {slug} --scope ingest");
            told.push((Check::ApiKeys, Err(none)));
        }
        if tenant.zone_is_changing {
            let moved = format!("days are still being moved to {}; keep the service running", tenant.zone);
            told.push((Check::Days, Err(moved)));
        }
        told.extend(self.waiting(tenant).await?);
        told.extend(self.suspicious(tenant).await?);
        told.extend(self.recent(tenant).await?);
        Ok(told)
    }

    async fn waiting(&self, tenant: &Tenant) -> Result<Vec<Told>, CliError> {
        let waiting = self.store.waiting(tenant.id).await?;
        let count = |c: Count| format!("{}{}", c.count, if c.more { "+" } else { "" });
        let now = self.store.now();
        let mut told = vec![(
            Check::Waiting,
            match waiting.oldest {
                Some(oldest) if now - oldest > LONG => Err(format!(
                    "{} interactions wait, the oldest for {} minutes; is undertone serve running?",
                    count(waiting.pending),
                    (now - oldest).num_minutes()
                )),
                Some(_) => Ok(format!("{} interactions wait, none for long", count(waiting.pending))),
                None => Ok("nothing waits".to_owned()),
            },
        )];
        if waiting.failed.count > 0 {
            let failed = format!(
                "{} could not be scored; list them with GET /api/v1/interactions?state=failed",
                count(waiting.failed)
            );
            told.push((Check::Failed, Err(failed)));
        }
        Ok(told)
    }

    /// Verdicts that somebody should look at twice.
    async fn suspicious(&self, tenant: &Tenant) -> Result<Option<Told>, CliError> {
        let Count { count, more } = self.store.suspicious(tenant.id).await?;
        let (slug, more) = (&tenant.slug, if more { "+" } else { "" });
        Ok((count > 0).then(|| {
            let told = format!(
                "{count}{more} verdicts of an LLM are suspicious: the text gives it orders or hides something, or its answer does not fit the text; \
                 somebody should label them: undertone review next {slug} --rater EMAIL"
            );
            (Check::Suspicious, Err(told))
        }))
    }

    /// What became of the newest interactions; worth a look where none of them is scored.
    async fn recent(&self, tenant: &Tenant) -> Result<Vec<Told>, CliError> {
        let filter = Filter { limit: RECENT, ..Filter::default() };
        let newest = self.store.interactions(tenant.id, &filter).await?;
        if newest.is_empty() {
            return Ok(vec![(Check::Recent, Ok("nothing was handed in yet".to_owned()))]);
        }
        let scored = newest.iter().filter(|item| item.state == "scored").count();
        let mut why: BTreeMap<&str, usize> = BTreeMap::new();
        for item in newest.iter().filter(|item| item.state == "skipped") {
            *why.entry(item.reason.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let mut why: Vec<(&str, usize)> = why.into_iter().collect();
        why.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let why: Vec<String> = why
            .into_iter()
            .map(|(reason, count)| format!("{count} {reason} ({})", explanation(reason).unwrap_or(reason)))
            .collect();
        let why = if why.is_empty() { String::new() } else { format!("; not scored: {}", why.join(", ")) };
        let told = format!("of the newest {} interactions {scored} are scored{why}", newest.len());
        let none = scored == 0 && newest.iter().all(|item| item.state == "skipped");
        let recent = (Check::Recent, if none { Err(told) } else { Ok(told) });
        Ok([recent].into_iter().chain(unasked(&newest, self.store.now())).collect())
    }
}

fn scorer(scorer: ScorerKind) -> &'static str {
    match scorer {
        ScorerKind::Local => "the embedded model scores; no key is needed",
        ScorerKind::Claude => "Claude scores (scorer)",
        ScorerKind::Openai => "an LLM that speaks chat completions scores (scorer)",
        ScorerKind::Cascade => "the embedded model scores, and an LLM is asked where it is unsure (scorer)",
    }
}

/// The keys there are, and the one that is missing.
async fn provider_keys(
    keys: &ProviderKeys,
    tenant: &Tenant,
    settings: &Settings,
) -> Result<Vec<Told>, CliError> {
    let (mut told, mut there): (Vec<Told>, Vec<(Provider, ProviderKey)>) = (Vec::new(), Vec::new());
    for provider in Provider::ALL {
        match keys.provider_key(tenant.id, provider).await {
            Ok(Some(key)) => {
                let whose =
                    if key.source == Source::Tenant { "its own key" } else { "the installation's key" };
                let ending = ending(key.key.last_four());
                let (name, address) = (provider.as_str(), &key.base_url);
                let is = format!("for {name} there is {whose}{ending}, used at {address}");
                told.push((Check::ProviderKey, Ok(is)));
                there.push((provider, key));
            }
            Ok(None) => {}
            Err(KeyError::Store(error)) => return Err(error.into()),
            Err(error) => told.push((Check::ProviderKey, Err(error.to_string()))),
        }
    }
    let model = settings.model.as_deref();
    let has = |provider| there.iter().any(|(of, _)| *of == provider);
    let missing = if settings.scorer == ScorerKind::Cascade {
        let serves = there.iter().any(|(provider, key)| may_serve(*provider, &key.base_url, model));
        let [first, _] = order(model);
        (!serves).then_some(first)
    } else {
        named(settings.scorer).filter(|provider| !has(*provider))
    };
    if let Some(provider) = named(settings.scorer) {
        let address = keys.address(tenant.id, provider).await?;
        told.extend(not_served(provider, model, address.as_deref()).map(|why| (Check::Scorer, Err(why))));
    }
    // One that is there and does not open was told already.
    if let Some(provider) = missing.filter(|_| told.iter().all(|(_, told)| told.is_ok())) {
        let (slug, provider) = (&tenant.slug, provider.as_str());
        let missing = format!(
            "the chosen scorer has no key for {provider}; run: undertone secrets set {slug} {provider} < file"
        );
        told.push((Check::ProviderKey, Err(missing)));
    }
    Ok(told)
}

/// How much of each cap is used.
fn budgets(
    tenant: &Tenant,
    settings: &Settings,
    budget: &Budget,
    at: DateTime<Utc>,
) -> Vec<Result<String, String>> {
    let standing = Standing::of(tenant, &Caps::of(settings), budget, at);
    let (day, month) = (&standing.day, &standing.month);
    let used = |(name, setting, part, measure): (&str, &str, &crate::usage::Part, Measure)| {
        let (cap, percent) = measure.cap.zip(measure.percent)?;
        Some(if measure.used >= cap {
            let ends = part.ends_at.format("%Y-%m-%d %H:%M");
            Err(format!(
                "{name} for LLMs are used up until {ends}; raise {setting} to have them asked before"
            ))
        } else {
            let slug = &tenant.slug;
            Ok(format!("{percent} % of {name} for LLMs are used ({setting}); see: undertone budget {slug}"))
        })
    };
    [
        ("the day's tokens", "daily_token_cap", day, day.tokens),
        ("the month's tokens", "monthly_token_cap", month, month.tokens),
        ("the month's money", "monthly_cost_cap_cents", month, month.cost_micros),
    ]
    .into_iter()
    .filter_map(used)
    .collect()
}

/// That the cap on money does not hold back a model whose price is not known.
fn unpriced(settings: &Settings, model: &str, prices: Option<&Prices>, at: DateTime<Utc>) -> Option<String> {
    let unpriced = settings.monthly_cost_cap_cents > 0
        && prices.is_some_and(|prices| prices.of(model, at.date_naive()).is_none());
    unpriced.then(|| {
        format!(
            "monthly_cost_cap_cents does not hold back {model}, whose price is not known; give it one in prices_file"
        )
    })
}

/// Caps under what the smallest request can take: no LLM is ever asked.
fn too_small(settings: &Settings, model: &str, prices: Option<&Prices>, at: DateTime<Utc>) -> Vec<String> {
    let provider = named(settings.scorer).unwrap_or(order(Some(model))[0]);
    let (size, caching) = least_request(provider, &Knowledge::of(settings), model);
    let caps = Caps::of(settings);
    let mut told = Vec::new();
    for (setting, cap) in [("daily_token_cap", caps.day_tokens), ("monthly_token_cap", caps.month_tokens)] {
        if (1..size.most_tokens()).contains(&cap) {
            told.push(format!(
                "{setting} is {}, and the smallest request can take {} tokens: no LLM is ever asked; raise it, best to many times that, or to 0 \
                 for no cap",
                grouped(cap),
                grouped(size.most_tokens())
            ));
        }
    }
    let price = prices.and_then(|prices| prices.of(model, at.date_naive()));
    let most = price.map(|price| price.most_cost(size.most_prompt(), size.max_tokens, caching, false));
    if let Some(most) = most.filter(|most| (1..*most).contains(&caps.month_micros)) {
        told.push(format!(
            "monthly_cost_cap_cents is {}, and the smallest request can cost {}: no LLM is ever asked; raise it",
            settings.monthly_cost_cap_cents,
            dollars(most)
        ));
    }
    told
}
