//! Scoring what was not scored, and scoring again.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::backfill::{Asked, AskedError};
use undertone_core::text;
use undertone_store::StoreError;
use undertone_store::backfill::Run;

use super::body::{Json, Query, limited};
use super::caller::Caller;
use super::problem::{ApiError, FieldError, INVALID_QUERY};
use crate::app::App;
use crate::backfill::{self, Means};
use crate::visibility::Eyes;

/// How much of the text of a pair is told, in characters.
const SHOWN: usize = 400;
/// Runs in an answer, where nothing is said, and at most.
const RUNS: (u16, u16) = (20, 100);

fn means(app: &App) -> Means<'_> {
    Means { store: &app.store, llms: &app.llms, prices: &app.prices, local: app.reader.clone() }
}

impl From<AskedError> for FieldError {
    fn from(error: AskedError) -> Self {
        Self::invalid(&error.field, error.message)
    }
}

fn invalid(errors: Vec<AskedError>) -> ApiError {
    ApiError::invalid(errors.into_iter().map(FieldError::from).collect())
}

/// What is asked for, and whether it is confirmed.
async fn read(app: &App, caller: &Caller, mut body: Value) -> Result<(Asked, bool), ApiError> {
    let confirm = body.as_object_mut().and_then(|object| object.remove("confirm"));
    let mut asked = Asked::from_json(&body);
    let confirmed = match confirm {
        None | Some(Value::Null) => false,
        Some(Value::Bool(confirmed)) => confirmed,
        Some(_) => {
            let message = "`confirm` must be true or false".to_owned();
            let wrong = AskedError { field: "confirm".to_owned(), message };
            asked = Err(asked.err().into_iter().flatten().chain([wrong]).collect());
            false
        }
    };
    let mut asked = asked.map_err(invalid)?;
    if let Some(customer) = &asked.customer {
        asked.customer = Some(super::customers::find(app, caller, customer).await?.id);
    }
    Ok((asked, confirmed))
}

/// Says what a run will take; with `confirm`, starts it.
pub async fn start(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Response, ApiError> {
    let (asked, confirmed) = read(&app, &caller, body).await?;
    let means = means(&app);
    let estimate = means.estimate(&caller.tenant, &asked).await?;
    if !confirmed {
        let told = json!({"estimate": estimate, "asked": asked, "run": null});
        return Ok(axum::Json(told).into_response());
    }
    let run = backfill::start(&app.store, &caller.act(), &asked, &estimate).await?;
    let told = json!({"estimate": estimate, "asked": asked, "run": told(&app, &caller, &run).await?});
    Ok(accepted(&run, told))
}

fn accepted(run: &Run, told: Value) -> Response {
    let address = format!("/api/v1/backfills/{}", run.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, address)], axum::Json(told)).into_response()
}

/// How far a run is, and what came of it as far as the caller sees it.
async fn told(app: &App, caller: &Caller, run: &Run) -> Result<Value, StoreError> {
    told_to(app, caller, &Eyes::of(&app.store, caller).await?, run).await
}

async fn told_to(app: &App, caller: &Caller, eyes: &Eyes, run: &Run) -> Result<Value, StoreError> {
    let mut told = backfill::progress(&app.store, &caller.tenant, run).await?;
    if eyes.see_everything() || !told["report"].is_object() {
        return Ok(told);
    }
    // A run may be about one interaction, or few.
    told["report"]["labels"] = Value::Null;
    if let Some(report) = told["report"].as_object_mut().filter(|report| report.contains_key("changes")) {
        report.insert("changes".to_owned(), Value::Null);
    }
    if let Some(pairs) = told.pointer_mut("/report/pairs").and_then(Value::as_array_mut) {
        let id_of = |pair: &Value| pair["interaction_id"].as_str().unwrap_or_default().to_owned();
        let ids: Vec<String> = pairs.iter().map(id_of).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let sights = eyes.on_interactions(&app.store, &ids).await?;
        pairs.retain(|pair| sights.of(&id_of(pair)).is_open());
    }
    Ok(told)
}

/// Which runs to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Those before the run of this id.
    before: Option<String>,
    limit: Option<u16>,
    /// Also those over one interaction.
    single: Option<bool>,
}

/// Runs, the latest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(page.limit, RUNS.0, RUNS.1)?;
    if page.before.as_ref().is_some_and(|id| id.len() > 64 || id.contains('\0')) {
        return Err(ApiError::new(INVALID_QUERY, "before is the id of a run"));
    }
    let single = page.single.unwrap_or_default();
    let runs = app.store.backfills(caller.tenant_id(), single, page.before.as_deref(), limit).await?;
    let eyes = Eyes::of(&app.store, &caller).await?;
    let mut items = Vec::with_capacity(runs.len());
    for run in &runs {
        items.push(told_to(&app, &caller, &eyes, run).await?);
    }
    Ok(axum::Json(json!({"items": items})))
}

/// How far a run is, and once it has ended, what came of it.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let run = app.store.backfill(caller.tenant_id(), &id).await?;
    let run = run.ok_or_else(|| ApiError::not_found("backfill"))?;
    let mut told = told(&app, &caller, &run).await?;
    // Texts stay where they are erased; the report only names them.
    for pair in told.pointer_mut("/report/pairs").and_then(Value::as_array_mut).into_iter().flatten() {
        let id = pair["interaction_id"].as_str().unwrap_or_default();
        let body = app.store.text(caller.tenant_id(), id).await?;
        pair["text"] = json!(body.map(|body| body[..text::cut(&body, SHOWN)].to_owned()));
    }
    Ok(axum::Json(told))
}

/// Stops a run after what is under way.
pub async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let run = app.store.pause_backfill(&caller.act(), &id).await?;
    answer(&app, &caller, run).await
}

/// Lets a run go on where it was.
pub async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let run = app.store.resume_backfill(&caller.act(), &id).await?;
    answer(&app, &caller, run).await
}

/// Ends a run after what is under way.
pub async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let run = app.store.cancel_backfill(&caller.act(), &id).await?;
    answer(&app, &caller, run).await
}

async fn answer(app: &App, caller: &Caller, run: Option<Run>) -> Result<axum::Json<Value>, ApiError> {
    let run = run.ok_or_else(|| ApiError::not_found("backfill"))?;
    Ok(axum::Json(told(app, caller, &run).await?))
}

/// How one interaction is scored again.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Again {
    scorer: Option<Value>,
    include: Option<Value>,
    notify: Option<Value>,
}

/// Scores one interaction again.
pub async fn rescore(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(again): Json<Again>,
) -> Result<Response, ApiError> {
    let asked = json!({"scorer": again.scorer, "include": again.include, "notify": again.notify});
    let asked = Asked::from_json(&asked).map_err(invalid)?;
    let run = backfill::rescore(&means(&app), &caller.act(), &id, &asked).await?;
    let run = run.ok_or_else(|| ApiError::not_found("interaction"))?;
    let told = told(&app, &caller, &run).await?;
    Ok(accepted(&run, told))
}
