//! Corrections of verdicts: 👎 says what it should be, 👍 that it is right, and either can be taken back.

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::correction::{Correction, MOST_REASON};
use undertone_core::{Label, Score};
use undertone_store::overrides::{Override, Said, Seen};

use super::body::{Json, Query};
use super::caller::Caller;
use super::problem::{ApiError, FORBIDDEN};
use crate::app::App;
use crate::visibility::Eyes;

/// What somebody says of a verdict. Neither score nor label: the correction is cleared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    score: Option<Score>,
    label: Option<Label>,
    reason: Option<String>,
    /// The verdict is right; goes with none of the others.
    #[serde(default)]
    agree: bool,
    /// What they saw, from `sentiment.version` or from here.
    version: String,
}

/// Score and label as they were given, made into what they say.
pub fn said(score: Option<Score>, label: Option<Label>, reason: Option<&str>) -> Result<Said<'_>, ApiError> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_some_and(|reason| reason.chars().count() > MOST_REASON || reason.contains('\0')) {
        return Err(ApiError::invalid_field(
            "reason",
            format!("a reason has at most {MOST_REASON} characters and no NUL"),
        ));
    }
    match Correction::of(score, label) {
        Ok(Some(correction)) => Ok(Said::Set { correction, reason }),
        Ok(None) => Ok(Said::Clear),
        Err(told) => Err(ApiError::invalid_field("label", told.to_string())),
    }
}

/// Records what the caller says of an interaction they may see the verdict of.
pub async fn say(
    app: &App,
    caller: &Caller,
    id: &str,
    said: Said<'_>,
    seen: Seen<'_>,
) -> Result<Override, ApiError> {
    look(app, caller, id).await?;
    let done = app.store.say(&caller.act(), id, said, seen).await?;
    done.ok_or_else(|| ApiError::not_found("interaction"))
}

/// Refuses whoever may not see the verdict: what they said of it would be a guess, and could bring it into sight.
async fn look(app: &App, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let tenant = caller.tenant_id();
    app.store.interaction(tenant, id).await?.ok_or_else(|| ApiError::not_found("interaction"))?;
    let sight = Eyes::of(&app.store, caller).await?.on_interaction(&app.store, id).await?;
    match sight.reason {
        Some(reason) if !sight.is_open() => Err(ApiError::new(FORBIDDEN, reason.explanation())),
        _ => Ok(()),
    }
}

/// What people said of an interaction, and what stands.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    look(&app, &caller, &id).await?;
    let standing = app.store.override_of(caller.tenant_id(), &id).await?;
    let revisions = app.store.override_revisions(caller.tenant_id(), &id).await?;
    Ok(axum::Json(json!({"override": standing, "revisions": revisions})))
}

/// Corrects a verdict, or agrees with it.
pub async fn set(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(asked): Json<Asked>,
) -> Result<axum::Json<Override>, ApiError> {
    let Asked { score, label, reason, agree, version } = asked;
    let said = match (agree, said(score, label, reason.as_deref())?) {
        (false, said) => said,
        (true, Said::Clear) if reason.is_none() => Said::Agree,
        (true, _) => {
            return Err(ApiError::invalid_field(
                "agree",
                "to agree goes with no score, label or reason".to_owned(),
            ));
        }
    };
    Ok(axum::Json(say(&app, &caller, &id, said, Seen::Version(&version)).await?))
}

/// What whoever clears a correction saw.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    version: String,
}

/// Clears a correction: the scorer's verdict counts again.
pub async fn clear(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(Version { version }): Query<Version>,
) -> Result<axum::Json<Override>, ApiError> {
    Ok(axum::Json(say(&app, &caller, &id, Said::Clear, Seen::Version(&version)).await?))
}
