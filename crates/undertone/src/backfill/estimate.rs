//! What a run will take, told before it begins.
//!
//! Tokens of a verdict are what this tenant's verdicts by the same scorer took in the last 30 days, by the ledger; the cost is that of as many
//! by the price of the model that is asked now, at once or in batches, however they were made then. Where there are fewer than
//! [`ENOUGH`], they are guessed: four bytes a token, [`ANSWER`] tokens of answer, nothing from a cache; for the cascade, of the share of texts
//! that it would ask about by what the embedded model read so far. The most is what is set aside for
//! such requests, which no answer exceeds; texts that are asked about a second time come on top.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use undertone_core::Settings;
use undertone_core::backfill::Asked;
use undertone_core::usage::Usage;
use undertone_core::usage::calendar::day_of;
use undertone_core::usage::price::Price;
use undertone_core::usage::sums::{Group, Sums};
use undertone_core::verdict::ScorerKind;
use undertone_scoring::llm::ask::batch::{Prepared, prepare};
use undertone_scoring::{Knowledge, Utterance};
use undertone_store::{StoreError, Tenant, TenantId};

use super::{LeftOut, Means, Sorted};
use crate::llm::provider::not_kept;
use crate::llm::{CLAUDE_MODEL, Chosen};

/// So many texts with a verdict are enough to go by.
const ENOUGH: u64 = 20;
/// They are those of so many days.
const MEASURED_OVER: TimeDelta = TimeDelta::days(30);
/// The lengths of so many texts, the newest, stand for all.
const SAMPLE: u16 = 500;
/// Tokens of an answer about one text, where nothing was measured.
const ANSWER: u64 = 200;
/// Bytes a token, where nothing was measured.
const BYTES_A_TOKEN: u64 = 4;
/// What a text takes the embedded model, in seconds, with little of the machine.
const LOCAL_SECONDS: f64 = 0.02;
/// What a request to an LLM takes, in seconds.
const REQUEST_SECONDS: f64 = 2.0;

/// A figure that is expected, and the most it can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// What is expected.
    pub expected: u64,
    /// The most.
    pub most: u64,
}

/// What the expected figures rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The embedded model takes no tokens.
    Free,
    /// What verdicts of this scorer took in the last 30 days.
    Measured,
    /// The length of the texts.
    Guessed,
}

/// What a run will take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Interactions it takes.
    pub rows: i64,
    /// The same by why they have no verdict; of a refresh under `scored`.
    pub by_reason: std::collections::BTreeMap<String, i64>,
    /// Interactions without a verdict that it leaves out.
    pub stays_skipped: Vec<LeftOut>,
    /// Who scores them.
    pub scorer: ScorerKind,
    /// The model that is asked; `None` for the embedded one.
    pub model: Option<String>,
    /// Tokens, of every kind together.
    pub tokens: Amount,
    /// What they cost, in millionths of a US dollar; `None` where the model has no price.
    pub cost_micros: Option<Amount>,
    /// What the expected figures rest on.
    pub basis: Basis,
    /// About how long it takes, in seconds, where the LLM answers in 2 seconds and no cap is reached; `None` for batches, which take up to a
    /// day each.
    pub seconds: Option<u64>,
    /// Days of the tenant over which the daily token cap spreads it, the expected tokens against what a whole day allows; `None` without a cap.
    pub days_by_token_cap: Option<u64>,
    /// What makes it dearer than it need be.
    #[serde(default)]
    pub remark: Option<String>,
    /// Why it can not begin.
    pub problem: Option<String>,
}

/// What a text takes.
#[derive(Debug, Clone, Copy, Default)]
struct PerText {
    tokens: f64,
    micros: Option<f64>,
}

impl PerText {
    fn times(self, rows: f64) -> (u64, Option<u64>) {
        let whole = |figure: f64| (figure * rows).ceil() as u64;
        (whole(self.tokens), self.micros.map(whole))
    }
}

impl Means<'_> {
    /// What `asked` will take of `tenant`.
    pub async fn estimate(&self, tenant: &Tenant, asked: &Asked) -> Result<Estimate, StoreError> {
        let settings = self.store.module(tenant.id).await?.settings;
        let counted = self.store.count_for_backfill(tenant, asked).await?;
        let sorted = Sorted::of(&counted, asked, &settings);
        let limit = asked.limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = sorted.rows().min(limit);
        let settings = asked.over(&settings);
        let llm = settings.scorer != ScorerKind::Local;
        let model = llm.then(|| settings.model.clone().unwrap_or_else(|| CLAUDE_MODEL.to_owned()));
        let (expected, most, basis) = if let Some(model) = &model {
            self.per_text(tenant, asked, &settings, model).await?
        } else {
            let nothing = PerText { tokens: 0.0, micros: Some(0.0) };
            (nothing, nothing, Basis::Free)
        };
        let count = rows.max(0) as f64;
        let ((tokens, _), (most_tokens, _)) = (expected.times(count), most.times(count));
        let paid = count + self.dearer(asked, &settings, model.as_deref(), count);
        let (micros, most_micros) = (expected.times(paid).1, most.times(paid).1);
        let cost_micros =
            micros.zip(most_micros).map(|(expected, most)| Amount { expected, most: most.max(expected) });
        let cap = settings.daily_token_cap;
        Ok(Estimate {
            rows,
            by_reason: sorted.taken,
            stays_skipped: sorted.stays_skipped,
            scorer: settings.scorer,
            tokens: Amount { expected: tokens, most: most_tokens.max(tokens) },
            cost_micros,
            basis,
            seconds: (!asked.via_batches).then(|| seconds(rows, asked, &settings)),
            days_by_token_cap: (llm && cap > 0).then(|| tokens.div_ceil(cap).max(1)),
            remark: model.as_deref().and_then(|model| not_kept(&Knowledge::of(&settings), model)),
            problem: self.problem(tenant.id, &settings).await?,
            model,
        })
    }

    /// For how many texts more than `count` a run through batches pays: its first request goes at once, at the full price.
    fn dearer(&self, asked: &Asked, settings: &Settings, model: Option<&str>, count: f64) -> f64 {
        let price = model.and_then(|model| self.prices.of(model, self.store.now().date_naive()));
        let Some(price) = price.filter(|price| asked.via_batches && price.batch_percent > 0) else {
            return 0.0;
        };
        f64::from(settings.llm_together.max(1)).min(count) * (100.0 / f64::from(price.batch_percent) - 1.0)
    }

    /// Why the scorer that `settings` name can not be used, where it can not.
    pub async fn problem(&self, tenant: TenantId, settings: &Settings) -> Result<Option<String>, StoreError> {
        match self.llms.choose(tenant, settings, &self.local).await? {
            Chosen::Unusable(why) => Ok(Some(why)),
            Chosen::Local | Chosen::Llm(_) => Ok(None),
        }
    }

    /// Expected and most for one text.
    async fn per_text(
        &self,
        tenant: &Tenant,
        asked: &Asked,
        settings: &Settings,
        model: &str,
    ) -> Result<(PerText, PerText, Basis), StoreError> {
        let lengths = self.store.newest_lengths(tenant, asked, SAMPLE).await?;
        let longest = i64::from(settings.max_note_length) * 4;
        let mean = if lengths.is_empty() {
            500
        } else {
            lengths.iter().map(|bytes| (*bytes).clamp(1, longest)).sum::<i64>()
                / lengths.len().cast_signed() as i64
        };
        let together = usize::from(settings.llm_together.max(1));
        let text = "x".repeat(usize::try_from(mean).unwrap_or(1).max(1));
        let texts: Vec<Utterance> = (0..together).map(|_| Utterance::message(&text)).collect();
        let Prepared { size, caching, .. } = prepare(&texts, &Knowledge::of(settings), model);
        let price = self.prices.of(model, self.store.now().date_naive());
        let share = |whole: u64| whole as f64 / together as f64;
        let batched = asked.via_batches;
        let most = PerText {
            tokens: share(size.most_tokens()),
            micros: price
                .map(|price| share(price.most_cost(size.most_prompt(), size.max_tokens, caching, batched))),
        };
        if let Some(measured) = self.measured(tenant, settings.scorer, price, batched).await? {
            return Ok((measured, most, Basis::Measured));
        }
        let usage = Usage {
            input: size.body_bytes as u64 / BYTES_A_TOKEN,
            output: ANSWER * together as u64,
            ..Usage::default()
        };
        let asked = self.share_asked(tenant, settings).await?;
        let guessed = PerText {
            tokens: share(usage.total()) * asked,
            micros: price.map(|price| share(price.cost(usage, batched)) * asked),
        };
        Ok((guessed, most, Basis::Guessed))
    }

    /// About which share of the texts an LLM is asked: of the cascade's, those of the tenant's texts so far of which the embedded model was less
    /// sure than it has to be. All, where it has read none.
    async fn share_asked(&self, tenant: &Tenant, settings: &Settings) -> Result<f64, StoreError> {
        if settings.scorer != ScorerKind::Cascade {
            return Ok(1.0);
        }
        let readings = self.store.readings(tenant).await?;
        let total = readings.total();
        Ok(if total == 0 { 1.0 } else { readings.asked(settings.cascade_threshold) as f64 / total as f64 })
    }

    /// What a text took lately, where there are enough to go by, and what as much costs at `price`.
    async fn measured(
        &self,
        tenant: &Tenant,
        scorer: ScorerKind,
        price: Option<&Price>,
        batched: bool,
    ) -> Result<Option<PerText>, StoreError> {
        let now = self.store.now();
        let since = now - MEASURED_OVER;
        let (from, to) = (day_of(tenant.zone, since), day_of(tenant.zone, now));
        let report = self.store.ai_usage(tenant, from, to, Group::Scorer).await?;
        if scorer == ScorerKind::Cascade {
            // Most of its verdicts ask nobody, which the ledger of calls does not know; of what kinds the tokens are, only that does.
            let (verdicts, tokens, _) = self.store.tokens_of_verdicts(tenant.id, scorer, since).await?;
            let tokens = tokens.max(0) as f64 / verdicts as f64;
            let a_text = taken(&report.total, price, batched);
            let micros = a_text.micros.map(|micros| micros / a_text.tokens.max(1.0) * tokens);
            return Ok((verdicts.unsigned_abs() >= ENOUGH).then_some(PerText { tokens, micros }));
        }
        let name = serde_json::to_value(scorer).ok();
        let line = report.lines.iter().find(|line| name.as_ref().is_some_and(|name| *name == *line.key));
        let enough = line.filter(|line| line.sums.texts >= ENOUGH);
        Ok(enough.map(|line| taken(&line.sums, price, batched)))
    }
}

/// What a text took of `sums`, and what as much costs at `price`: by the mean request, since a longer prompt may have other rates.
fn taken(sums: &Sums, price: Option<&Price>, batched: bool) -> PerText {
    let (calls, texts) = (sums.calls.max(1), sums.texts.max(1) as f64);
    let Usage { input, cache_read, cache_write_5m, cache_write_1h, output } = sums.usage;
    let request = Usage {
        input: input.div_ceil(calls),
        cache_read: cache_read.div_ceil(calls),
        cache_write_5m: cache_write_5m.div_ceil(calls),
        cache_write_1h: cache_write_1h.div_ceil(calls),
        output: output.div_ceil(calls),
    };
    let micros = price.map(|price| price.cost(request, batched) as f64 * calls as f64 / texts);
    PerText { tokens: sums.usage.total() as f64 / texts, micros }
}

/// About how long it takes.
fn seconds(rows: i64, asked: &Asked, settings: &Settings) -> u64 {
    let batch = i64::from(asked.batch_size.max(1));
    let slices = (rows.max(0) as u64).div_ceil(batch.unsigned_abs());
    let scoring = if settings.scorer == ScorerKind::Local {
        batch.min(rows.max(0)) as f64 * LOCAL_SECONDS
    } else {
        // A piece of up to 32 texts is asked about at once.
        (batch as f64 / 32.0).ceil() * REQUEST_SECONDS
    };
    (slices as f64 * (scoring + f64::from(asked.sleep_ms) / 1000.0)).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_sleep_and_scoring_for_each_batch() {
        let asked = |batch_size, sleep_ms| Asked { batch_size, sleep_ms, ..Asked::default() };
        let local = Settings::default();
        let claude = Settings { scorer: ScorerKind::Claude, ..Settings::default() };
        assert_eq!(seconds(0, &asked(25, 200), &local), 0);
        // 40 batches of half a second, and as much sleep.
        assert_eq!(seconds(1000, &asked(25, 500), &local), 40);
        assert_eq!(seconds(1000, &asked(100, 0), &claude), 80);
    }
}
