//! Scoring what was not scored, and scoring again, as people ask for it: what it will take, that it begins, how far it is, what it changed.
//! Driving a run is the pipeline's.

mod estimate;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use undertone_core::backfill::{Asked, Mode};
use undertone_core::usage::price::Prices;
use undertone_core::{Channel, SkipReason};
use undertone_scoring::Scorer;
use undertone_store::backfill::{Counted, Run, RunState};
use undertone_store::{Act, Store, StoreError, Tenant};

pub use estimate::{Amount, Basis, Estimate};

use crate::llm::Llms;

/// Pairs of verdicts a report names.
const PAIRS: u16 = 20;
/// A run that no node has had in hand for so long is worked on by none.
const SILENT: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// What an estimate is made with.
#[derive(Clone)]
pub struct Means<'a> {
    /// Where interactions are.
    pub store: &'a Store,
    /// The LLMs that can be asked.
    pub llms: &'a Llms,
    /// What they cost.
    pub prices: &'a Prices,
    /// The embedded model.
    pub local: Arc<dyn Scorer>,
}

/// Starts a run, with its estimate.
///
/// # Errors
/// [`StoreError::Conflict`] where there is something to put right first: another run, an inactive module, a missing key.
pub async fn start(
    store: &Store,
    act: &Act<'_>,
    asked: &Asked,
    estimate: &Estimate,
) -> Result<Run, StoreError> {
    may_start(store, act, estimate.problem.as_deref()).await?;
    store.start_backfill(act, asked, &json!(estimate)).await
}

/// Starts scoring one interaction again; `None` where there is no such interaction.
///
/// # Errors
/// As for [`start`].
pub async fn rescore(
    means: &Means<'_>,
    act: &Act<'_>,
    interaction: &str,
    asked: &Asked,
) -> Result<Option<Run>, StoreError> {
    let settings = asked.over(&means.store.module(act.tenant).await?.settings);
    let problem = means.problem(act.tenant, &settings).await?;
    if means.store.interaction(act.tenant, interaction).await?.is_none() {
        return Ok(None);
    }
    may_start(means.store, act, problem.as_deref()).await?;
    means.store.start_rescore(act, interaction, asked).await
}

async fn may_start(store: &Store, act: &Act<'_>, problem: Option<&str>) -> Result<(), StoreError> {
    let module = store.module(act.tenant).await?;
    let conflict = |told: &str| Err(StoreError::Conflict(told.to_owned()));
    if !module.active {
        return conflict("the module is not active; activate it first");
    }
    if !module.settings.enabled {
        return conflict("scoring is switched off in the settings (enabled); switch it on first");
    }
    match problem {
        Some(problem) => conflict(problem),
        None => Ok(()),
    }
}

/// How far a run is, as it is told.
pub async fn progress(store: &Store, tenant: &Tenant, run: &Run) -> Result<Value, StoreError> {
    let now = store.now();
    let mut told = json!(run);
    let total = run.estimate["rows"].as_i64().unwrap_or(run.opened).max(run.opened);
    let done = run.decided();
    let going = run.state == RunState::Running;
    let until = run.ended_at.unwrap_or(now);
    let seconds = (until - run.running_since).as_seconds_f64();
    let here = done - run.decided_before;
    let per_minute = (seconds >= 1.0 && here > 0).then(|| here as f64 * 60.0 / seconds);
    let left = if going || run.state == RunState::Paused { (total - done).max(0) } else { 0 };
    let seconds_left =
        per_minute.filter(|_| going && left > 0).map(|rate| (left as f64 * 60.0 / rate).ceil());
    told["progress"] = json!({
        "total": total,
        "done": done,
        "left": left,
        "per_minute": per_minute.map(|rate| (rate * 10.0).round() / 10.0),
        "seconds_left": seconds_left,
    });
    if matches!(run.state, RunState::Running | RunState::Paused) {
        let waiting = store.backfill_waiting(tenant.id, &run.id).await?;
        told["waiting"] = match waiting.until {
            Some(until) if until > now => {
                json!({"for": waiting.reason, "detail": waiting.detail, "until": until})
            }
            _ => Value::Null,
        };
        told["in_batches"] = json!(waiting.in_batches);
        let module = store.module(tenant.id).await?;
        if !module.active || !module.settings.enabled {
            told["waiting"] = json!({"for": "module_inactive", "detail": "nothing is scored while the module is not active or `enabled` is off"});
        }
    }
    told["worked_on"] = json!(is_worked_on(run, now));
    if run.asked.via_batches {
        told["batches"] = json!(store.batches(tenant.id, &run.id).await?);
        let results = store.batch_results(tenant.id, &run.id).await?;
        told["batch_requests"] = json!(results.into_iter().collect::<BTreeMap<_, _>>());
    }
    Ok(told)
}

/// A node has it in hand.
pub fn is_worked_on(run: &Run, now: DateTime<Utc>) -> bool {
    run.driven_at.is_some_and(|at| now - at < SILENT)
}

/// What came of a run, for its end. Texts are not in it: pairs are named by the interaction.
pub async fn report_of(store: &Store, tenant: &Tenant, run: &Run) -> Result<Value, StoreError> {
    let without = store.backfill_without_verdict(tenant.id, &run.id).await?;
    let of = |wanted: &str| -> BTreeMap<String, i64> {
        let found = without.iter().filter(|(outcome, ..)| outcome == wanted);
        found.map(|(_, reason, count)| (reason.clone().unwrap_or_default(), *count)).collect()
    };
    let labels = store.backfill_labels(tenant.id, &run.id).await?;
    let mut report = json!({
        "scored": run.scored,
        "labels": labels.iter().map(|(label, count)| (label.as_str(), *count)).collect::<BTreeMap<_, _>>(),
        "skipped": of("skipped"),
        "failed": run.failed,
        "superseded": run.superseded,
        "tokens": run.tokens,
        "cost_micros": run.cost_micros,
    });
    match run.mode() {
        Mode::Refresh | Mode::Single => {
            report["changes"] = json!(store.backfill_changes(tenant.id, &run.id).await?);
            report["pairs"] = json!(store.backfill_pairs(tenant.id, &run.id, PAIRS).await?);
        }
        Mode::Unscored => {
            let settings = store.module(tenant.id).await?.settings;
            let counted = store.count_for_backfill(tenant, &run.asked).await?;
            let stays = Sorted::of(&counted, &run.asked, &settings);
            report["stays_skipped"] = json!(stays.stays_skipped);
        }
    }
    Ok(report)
}

/// Interactions without a verdict that a run leaves out, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeftOut {
    /// Why they have no verdict.
    pub reason: String,
    /// How many.
    pub rows: i64,
    /// They can be included.
    pub on_request: bool,
}

/// What was counted, sorted into what a run takes and what it leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sorted {
    /// What it takes, by reason; of a refresh under `scored`.
    pub taken: BTreeMap<String, i64>,
    /// What it leaves out, by reason.
    pub stays_skipped: Vec<LeftOut>,
}

impl Sorted {
    /// Sorts what was counted.
    pub fn of(counted: &[Counted], asked: &Asked, settings: &undertone_core::Settings) -> Self {
        let mut sorted = Self::default();
        let mut left_out: BTreeMap<(String, bool), i64> = BTreeMap::new();
        for Counted { state, reason, channel, count } in counted {
            let word = reason.clone().unwrap_or_else(|| state.clone());
            let known = SkipReason::ALL.into_iter().find(|known| known.as_str() == word);
            let channel = Channel::from_word(channel).unwrap_or(Channel::Other);
            let Some(reason) = known.filter(|_| state == "skipped") else {
                *sorted.taken.entry(if state == "scored" { state.clone() } else { word }).or_default() +=
                    count;
                continue;
            };
            if asked.takes(reason, channel, settings) {
                *sorted.taken.entry(word).or_default() += count;
            } else {
                let including = Asked { include: [reason].into(), ..asked.clone() };
                *left_out.entry((word, including.takes(reason, channel, settings))).or_default() += count;
            }
        }
        let stays = left_out.into_iter();
        sorted.stays_skipped =
            stays.map(|((reason, on_request), rows)| LeftOut { reason, rows, on_request }).collect();
        sorted
    }

    /// How many it takes.
    pub fn rows(&self) -> i64 {
        self.taken.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use undertone_core::Settings;

    use super::*;

    #[test]
    fn what_is_left_out_is_told_by_reason() {
        let counted = |state: &str, reason: &str, channel: &str, count| Counted {
            state: state.to_owned(),
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            channel: channel.to_owned(),
            count,
        };
        let all = [
            counted("skipped", "no_key", "email", 3),
            counted("skipped", "no_key", "sms", 4),
            counted("skipped", "too_short", "sms", 5),
            counted("skipped", "agent_message", "sms", 6),
            counted("skipped", "channel_disabled", "sms", 7),
            counted("skipped", "channel_disabled", "email", 8),
            counted("failed", "scoring_failed", "email", 9),
        ];
        let settings = Settings { channels: [Channel::Email].into(), ..Settings::default() };
        let sorted = Sorted::of(&all, &Asked::default(), &settings);
        let taken: Vec<(&str, i64)> = sorted.taken.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
        assert_eq!(taken, [("channel_disabled", 8), ("no_key", 7), ("scoring_failed", 9)]);
        assert_eq!(sorted.rows(), 24);
        let left: Vec<(&str, i64, bool)> =
            sorted.stays_skipped.iter().map(|l| (l.reason.as_str(), l.rows, l.on_request)).collect();
        assert_eq!(
            left,
            [("agent_message", 6, false), ("channel_disabled", 7, true), ("too_short", 5, true)]
        );
        let refresh = [counted("scored", "", "email", 2), counted("scored", "daily_token_cap", "email", 1)];
        assert_eq!(
            Sorted::of(&refresh, &Asked::default(), &settings).taken,
            [("scored".to_owned(), 3)].into()
        );
    }
}
