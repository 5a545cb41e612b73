//! A verdict on a text that is not kept.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::gate::{Circumstances, Decision, decide};
use undertone_core::verdict::ScorerKind;
use undertone_core::{Interaction, Kind, Settings, SkipReason};
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, BUSY, INTERNAL};
use crate::app::App;

/// A text to be read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The text.
    text: String,
    /// What sort of text it is. Default a message.
    kind: Option<Kind>,
}

/// Reads a text with the tenant's settings, as if a customer had written it. Nothing is stored.
pub async fn score(
    State(app): State<App>,
    caller: Caller,
    Json(text): Json<Text>,
) -> Result<axum::Json<Value>, ApiError> {
    // What decides about history and budgets does not concern a text that is only tried out.
    let (module, knowledge) = app.lessons.knowledge(&app.store, caller.tenant_id()).await?;
    let settings = Settings { scorer: ScorerKind::Local, enabled: true, ..module.settings };
    let mut interaction = Interaction::message("api", "", &text.text);
    interaction.kind = text.kind.unwrap_or(Kind::Message);
    let skipped = |reason: SkipReason, language: Option<String>| {
        axum::Json(json!({
            "verdict": null, "reason": reason, "explanation": reason.explanation(), "language": language,
        }))
    };
    let read_bytes = match decide(&interaction, &settings, Circumstances::default()) {
        Decision::Score { read_bytes, .. } => read_bytes,
        Decision::Skip(reason) => return Ok(skipped(reason, None)),
        Decision::Defer(reason) => return Ok(skipped(reason.into(), None)),
    };
    let batch = Batch { utterances: vec![Utterance::of(&interaction, read_bytes)], knowledge, model: None };
    match app.reader.score(batch).await.pop() {
        Some(Ok(verdict)) => {
            Ok(axum::Json(json!({"verdict": verdict, "needs_review": verdict.needs_review()})))
        }
        Some(Err(NoVerdict::Abstained { reason, language })) => Ok(skipped(reason, language)),
        Some(Err(NoVerdict::Busy)) => Err(ApiError::new(BUSY, "the scorer is busy; try again in a second")),
        Some(Err(NoVerdict::Failed { detail } | NoVerdict::Unavailable { detail, .. })) => {
            Err(ApiError { cause: Some(detail), ..ApiError::new(INTERNAL, "this text could not be read") })
        }
        None => Err(ApiError::new(INTERNAL, "the scorer did not answer")),
    }
}
