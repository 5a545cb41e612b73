//! A verdict on a text that is not kept.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::gate::{Circumstances, Decision, decide};
use undertone_core::settings::WhenUnavailable;
use undertone_core::{Interaction, Kind, Settings, SkipReason};
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, BUSY, INTERNAL, LLM_UNAVAILABLE};
use crate::app::App;
use crate::llm::{Chosen, Unavailable};
use crate::visibility::Eyes;

/// When asking an LLM again may be worth it, in seconds, where nobody knows.
const RETRY_AFTER: u32 = 30;
/// Nobody is told to wait longer: a cap may be raised at any time.
const LONGEST_RETRY_AFTER: u32 = 3600;

/// A text to be read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The text.
    text: String,
    /// What sort of text it is. Default a message.
    kind: Option<Kind>,
}

/// Reads a text with the tenant's settings, as if a customer had written it. Nothing is stored; what an LLM takes is counted.
pub async fn score(
    State(app): State<App>,
    caller: Caller,
    Json(text): Json<Text>,
) -> Result<axum::Json<Value>, ApiError> {
    let tenant = caller.tenant_id();
    let eyes = Eyes::of(&app.store, &caller).await?;
    eyes.may_try(None)?;
    let (module, knowledge) = app.lessons.knowledge(&app.store, tenant).await?;
    // What is switched off for interactions can still be tried out.
    let settings = Settings { enabled: true, ..module.settings };
    let local: Arc<dyn Scorer> = app.reader.clone();
    let chosen = app.llms.choose(tenant, &settings, &local).await?;
    let unusable = chosen.unusable();
    let mut interaction = Interaction::message("api", "", &text.text);
    interaction.kind = text.kind.unwrap_or(Kind::Message);
    let llm_unusable = unusable.as_ref().map(|why| why.reason);
    let circumstances = Circumstances { llm_unusable, ..Circumstances::default() };
    let read_bytes = match (decide(&interaction, &settings, circumstances), &unusable) {
        (Decision::Score { read_bytes, .. }, _) => read_bytes,
        (Decision::Defer(_), Some(why)) => return Err(can_not_be_asked(why, app.store.now())),
        (Decision::Skip(reason), Some(why)) if reason == why.reason.into() => return Ok(without_llm(why)),
        (Decision::Skip(reason), _) => return Ok(skipped(reason, None)),
        (Decision::Defer(reason), None) => return Ok(skipped(reason.into(), None)),
    };
    let utterances = vec![Utterance::of(&interaction, read_bytes)];
    let batch = Batch { utterances, knowledge, model: settings.model.clone() };
    let (mut answer, why) = match &chosen {
        Chosen::Llm(llm) => {
            let answer = app.llms.ask(llm, batch.clone()).await;
            let why = Unavailable::of(&answer);
            (answer, why)
        }
        Chosen::Local | Chosen::Unusable(_) => (read(&local, batch.clone()).await, unusable),
    };
    if let Some(why) = &why {
        match settings.when_unavailable {
            WhenUnavailable::Wait => return Err(can_not_be_asked(why, app.store.now())),
            WhenUnavailable::Skip => return Ok(without_llm(why)),
            WhenUnavailable::Local if matches!(answer, Err(NoVerdict::Unavailable { .. })) => {
                answer = read(&local, batch).await;
            }
            WhenUnavailable::Local => {}
        }
    }
    let mut told = match answer {
        Ok(verdict) => {
            eyes.may_try(Some(verdict.score.get().into()))?;
            json!({"verdict": verdict, "needs_review": verdict.needs_review()})
        }
        Err(NoVerdict::Abstained { reason, language }) => return Ok(skipped(reason, language.as_deref())),
        Err(NoVerdict::Busy) => {
            return Err(ApiError::new(BUSY, "the scorer is busy; try again in a second"));
        }
        Err(NoVerdict::Failed { detail } | NoVerdict::Unavailable { detail, .. }) => {
            return Err(ApiError {
                cause: Some(detail),
                ..ApiError::new(INTERNAL, "this text could not be read")
            });
        }
    };
    if let Some(why) = why {
        told["reason"] = json!(SkipReason::from(why.reason));
        told["detail"] = json!(why.told());
    }
    Ok(axum::Json(told))
}

async fn read(local: &Arc<dyn Scorer>, batch: Batch) -> Result<undertone_core::Verdict, NoVerdict> {
    let nothing = || Err(NoVerdict::Failed { detail: "the scorer did not answer".to_owned() });
    local.score(batch).await.pop().unwrap_or_else(nothing)
}

fn skipped(reason: SkipReason, language: Option<&str>) -> axum::Json<Value> {
    axum::Json(json!({
        "verdict": null, "reason": reason, "explanation": reason.explanation(), "language": language,
    }))
}

/// The tenant would rather have no verdict than the embedded model's.
fn without_llm(why: &Unavailable) -> axum::Json<Value> {
    let mut told = skipped(why.reason.into(), None);
    told["detail"] = json!(why.detail);
    told
}

/// The tenant would rather wait.
fn can_not_be_asked(why: &Unavailable, now: DateTime<Utc>) -> ApiError {
    let seconds = why.until.map(|until| (until - now).num_seconds().clamp(1, LONGEST_RETRY_AFTER.into()));
    let retry_after = seconds.and_then(|s| u32::try_from(s).ok()).unwrap_or(RETRY_AFTER);
    ApiError { retry_after, ..ApiError::new(LLM_UNAVAILABLE, why.told()) }
}
