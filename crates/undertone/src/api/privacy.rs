//! The rights of customers: erasure and its receipts, the copy of what is held, legal hold, the clocks, and what customers are told.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::notice::{Facts, Language};
use undertone_store::StoreError;
use undertone_store::privacy::erase::{Erasure, Whom};
use undertone_store::privacy::retention::Clocks;

use super::body::{Json, Query, limited};
use super::caller::Caller;
use super::customers::find;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::customer_copy::{CustomerCopy, Format};

/// So many slices are done before an erasure is answered; the rest goes on by itself.
const SLICES: usize = 8;
/// Default and most of a page.
const PAGE: (i64, i64) = (20, 100);

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Only those before the one of this id.
    before: Option<String>,
    /// Default 20, at most 100.
    limit: Option<i64>,
}

impl Page {
    fn limit(&self) -> Result<i64, ApiError> {
        limited(self.limit, PAGE.0, PAGE.1)
    }
}

/// Whom to erase: exactly one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    id: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

impl Asked {
    fn whom(&self) -> Result<Whom<'_>, ApiError> {
        Ok(Whom::of(self.id.as_deref(), self.email.as_deref(), self.phone.as_deref())?)
    }
}

/// Does what can be done at once of each.
async fn some(app: &App, caller: &Caller, begun: Vec<Erasure>) -> Vec<Erasure> {
    let mut erasures = Vec::with_capacity(begun.len());
    let mut slices = SLICES;
    for mut erasure in begun {
        while slices > 0 && erasure.done_at.is_none() {
            slices -= 1;
            // Where the database is busy, it goes on by itself.
            match app.store.continue_erasure(caller.tenant_id(), &erasure.id).await {
                Ok(Some(now)) => erasure = now,
                Ok(None) | Err(_) => break,
            }
        }
        erasures.push(erasure);
    }
    erasures
}

fn answer(erasures: &[Erasure], body: Value) -> Response {
    let is_done = erasures.iter().all(|erasure| erasure.done_at.is_some());
    let status = if is_done { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, axum::Json(body)).into_response()
}

/// Erases a customer, by our id or the source's.
pub async fn erase_customer(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let begun = app.store.erase(&caller.act(), &Whom::Id(&id)).await?;
    let erasures = some(&app, &caller, begun).await;
    let erasure = erasures.first().ok_or_else(|| ApiError::not_found("customer"))?;
    Ok(answer(&erasures, json!(erasure)))
}

/// Erases whoever is named by an id, an e-mail address or a phone number.
pub async fn erase(
    State(app): State<App>,
    caller: Caller,
    Json(asked): Json<Asked>,
) -> Result<Response, ApiError> {
    let begun = app.store.erase(&caller.act(), &asked.whom()?).await?;
    if begun.is_empty() {
        // That somebody asked, and that nothing was held, can be shown later.
        let told = json!({"found": 0});
        app.store.note(&caller.act(), ("customer_erasure_asked", "nobody"), &told).await?;
    }
    let erasures = some(&app, &caller, begun).await;
    Ok(answer(&erasures, json!({"items": erasures})))
}

/// Erasures, the latest first.
pub async fn erasures(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, ApiError> {
    let items = app.store.erasures(caller.tenant_id(), page.before.as_deref(), page.limit()?).await?;
    Ok(axum::Json(json!({"items": items})))
}

/// An erasure, or its receipt.
pub async fn erasure(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Erasure>, ApiError> {
    let erasure = app.store.erasure(caller.tenant_id(), &id).await?;
    Ok(axum::Json(erasure.ok_or_else(|| ApiError::not_found("erasure"))?))
}

/// How a copy should be written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyQuery {
    /// `json` (default) or `text`.
    format: Option<String>,
}

/// The copy of everything that is held of a customer, as a file.
pub async fn export(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<CopyQuery>,
) -> Result<Response, ApiError> {
    let (format, kind, ending) = match query.format.as_deref() {
        None | Some("json") => (Format::Json, "application/json", "json"),
        Some("text") => (Format::Text, "text/markdown; charset=utf-8", "md"),
        Some(_) => return Err(ApiError::new(INVALID_QUERY, "format may be json or text, or left out")),
    };
    let customer = find(&app, &caller, &id).await?;
    let told = json!({"format": format.as_str()});
    app.store.note(&caller.act(), ("customer_exported", &customer.id), &told).await?;
    let name = format!("attachment; filename=\"customer-{}.{ending}\"", customer.id);
    let settings = app.store.module(caller.tenant_id()).await?.settings;
    let copy = CustomerCopy { store: app.store.clone(), tenant: caller.tenant, settings, customer };
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(copy.stream(format))).into_response())
}

/// Why a customer is held.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    reason: String,
}

/// Places a customer under legal hold.
pub async fn place_hold(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(given): Json<Reason>,
) -> Result<axum::Json<Value>, ApiError> {
    let customer = find(&app, &caller, &id).await?;
    let hold = app.store.place_hold(&caller.act(), &customer.id, &given.reason).await;
    let hold = hold.map_err(|error| match error {
        StoreError::Invalid(told) => ApiError::invalid_field("reason", told),
        error => error.into(),
    })?;
    Ok(axum::Json(json!(hold.ok_or_else(|| ApiError::not_found("customer"))?)))
}

/// Lifts the hold of a customer.
pub async fn lift_hold(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let customer = find(&app, &caller, &id).await?;
    if app.store.lift_hold(&caller.act(), &customer.id).await? {
        return Ok(axum::Json(json!({"customer_id": customer.id, "held": false})));
    }
    Err(ApiError::not_found("legal hold"))
}

/// A page of the list of holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldsPage {
    /// Only customers after the one of this id.
    after: Option<String>,
    /// Default 20, at most 100.
    limit: Option<i64>,
}

/// Customers under legal hold.
pub async fn holds(
    State(app): State<App>,
    caller: Caller,
    Query(HoldsPage { after, limit }): Query<HoldsPage>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = Page { before: None, limit }.limit()?;
    let items = app.store.legal_holds(caller.tenant_id(), after.as_deref(), limit).await?;
    Ok(axum::Json(json!({"items": items})))
}

/// What the clocks say, and what they removed, the latest run first.
pub async fn retention(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, ApiError> {
    let settings = app.store.module(caller.tenant_id()).await?.settings;
    let runs = app.store.purge_runs(caller.tenant_id(), page.before.as_deref(), page.limit()?).await?;
    Ok(axum::Json(json!({
        "text_days": settings.retention_text_days,
        "scores_days": settings.retention_scores_days,
        "alerts_days": settings.retention_alerts_days,
        "audit_days": settings.retention_audit_days,
        "clocks": Clocks::of(&caller.tenant, &settings, app.store.now()),
        "runs": runs,
    })))
}

/// What the clocks would remove now.
pub async fn preview(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let settings = app.store.module(caller.tenant_id()).await?.settings;
    let clocks = Clocks::of(&caller.tenant, &settings, app.store.now());
    let due = app.store.purge_preview(caller.tenant_id(), &clocks).await?;
    Ok(axum::Json(json!({"clocks": clocks, "due": due})))
}

/// In which language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeQuery {
    /// `en` (default), `de` or `es`.
    language: Option<String>,
}

impl NoticeQuery {
    /// The language that is asked for.
    pub fn language(&self) -> Result<Language, ApiError> {
        self.language.as_deref().map_or(Ok(Language::English), |word| {
            word.parse().map_err(|told: String| ApiError::new(INVALID_QUERY, told))
        })
    }
}

/// What customers are told.
pub async fn notice(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<NoticeQuery>,
) -> Result<axum::Json<Facts>, ApiError> {
    Ok(axum::Json(facts(&app, &caller, &query).await?))
}

/// The same for the page, from the settings in force and the runs over what was there already.
pub async fn facts(app: &App, caller: &Caller, query: &NoticeQuery) -> Result<Facts, ApiError> {
    let settings = app.store.module(caller.tenant_id()).await?.settings;
    let runs = app.store.scorers_of_runs(caller.tenant_id(), settings.retention_text_days).await?;
    Ok(Facts::of(&caller.tenant.name, &settings, &runs, query.language()?))
}
