//! The review queue: items out, blind labels in, what came of them, and how far people and the scorer agree.

use axum::extract::{Path, State};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::correction::Correction;
use undertone_core::review::report::Agreement;
use undertone_core::usage::calendar::begins;
use undertone_core::visibility::Figures;
use undertone_core::{Label, Score};
use undertone_store::review::{self, Handed, Labelled, MOST_NOTE, Outcome, Outcomes, Page};

use super::body::{Json, Query};
use super::caller::{By, Caller};
use super::interactions::{cursor_of, place};
use super::problem::{ApiError, FORBIDDEN, FieldError, INTERNAL, INVALID_QUERY};
use crate::app::App;
use crate::usage::Days;
use crate::visibility::{Eyes, told};

/// So many items are handed out at once at most.
const MOST_CLAIMED: i64 = 20;
/// So many items are in a page at most.
const MOST_LISTED: i64 = 100;
/// Agreement is counted from so many items at most, the latest.
const MOST_RATED: usize = 5000;

/// The user who rates. Labels are a person's: a key gives none.
fn rater(caller: &Caller) -> Result<&str, ApiError> {
    match &caller.by {
        By::Session { user, .. } => Ok(user),
        By::Key(_) => Err(ApiError::new(FORBIDDEN, "labels are given by people; log in")),
    }
}

fn limited(limit: Option<i64>, default: i64, most: i64) -> Result<i64, ApiError> {
    let limit = limit.unwrap_or(default);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::new(INVALID_QUERY, format!("limit is {limit}; it must be 1 to {most}")))
}

/// Which items to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[serde(default)]
    mine: bool,
    cursor: Option<String>,
    limit: Option<i64>,
}

/// Items the caller may label, the latest first, without anything that tells the verdict.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(query.limit, 20, MOST_LISTED)?;
    let before = place(query.cursor.as_deref())?;
    let page = Page { mine: query.mine, before: before.as_deref(), limit: limit + 1 };
    let mut items = app.store.review_items(caller.tenant_id(), rater(&caller)?, page).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|item| cursor_of(&item.id));
    let items = readable(&app, &caller, items).await?;
    Ok(axum::Json(json!({"items": items, "next_cursor": next})))
}

/// Those whose text the caller may see.
async fn readable(app: &App, caller: &Caller, mut items: Vec<Handed>) -> Result<Vec<Handed>, ApiError> {
    let ids: Vec<&str> = items.iter().map(|item| item.interaction_id.as_str()).collect();
    let sights = Eyes::of(&app.store, caller).await?.on_interactions(&app.store, &ids).await?;
    items.retain(|item| sights.of(&item.interaction_id).shows_text());
    Ok(items)
}

/// How many to hand out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    limit: Option<i64>,
}

/// Hands out items to the caller.
pub async fn claim(
    State(app): State<App>,
    caller: Caller,
    Json(Claim { limit }): Json<Claim>,
) -> Result<axum::Json<Value>, ApiError> {
    let most = limited(limit, 1, MOST_CLAIMED)
        .map_err(|error| ApiError::invalid(vec![FieldError::invalid("limit", error.detail)]))?;
    let items = app.store.claim_review(caller.tenant_id(), rater(&caller)?, most).await?;
    let items = readable(&app, &caller, items).await?;
    Ok(axum::Json(json!({"items": items})))
}

/// Gives an item back.
pub async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let released = app.store.release_review(caller.tenant_id(), rater(&caller)?, &id).await?;
    Ok(axum::Json(json!({"released": released})))
}

/// What a rater says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rated {
    label: Option<Label>,
    score: Option<Score>,
    note: Option<String>,
}

/// Keeps the caller's label of an item.
pub async fn label(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(Rated { label, score, note }): Json<Rated>,
) -> Result<axum::Json<Labelled>, ApiError> {
    let note = note.as_deref().map(str::trim).filter(|note| !note.is_empty());
    let mut errors = Vec::new();
    if note.is_some_and(|note| note.chars().count() > MOST_NOTE || note.contains('\0')) {
        errors.push(FieldError::invalid(
            "note",
            format!("a note has at most {MOST_NOTE} characters and no NUL"),
        ));
    }
    let rating = match Correction::of(score, label) {
        // A score that nobody gave is not made up here: agreement is counted from what raters said.
        Ok(Some(given)) => Some(review::Label { label: given.label, score, note }),
        Ok(None) => {
            errors.push(FieldError::invalid(
                "label",
                "give positive, neutral, negative or mixed, or a score of -100 to 100",
            ));
            None
        }
        Err(contradiction) => {
            errors.push(FieldError::invalid("label", contradiction.to_string()));
            None
        }
    };
    let Some(rating) = rating.filter(|_| errors.is_empty()) else { return Err(ApiError::invalid(errors)) };
    let done = app.store.label_review(&caller.act(), rater(&caller)?, &id, rating).await?;
    Ok(axum::Json(done.ok_or_else(|| ApiError::not_found("item of the review"))?))
}

/// Which outcomes to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultsQuery {
    #[serde(default)]
    differing: bool,
    cursor: Option<String>,
    limit: Option<i64>,
}

/// Items that are done, the latest first.
pub async fn results(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ResultsQuery>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(query.limit, 20, MOST_LISTED)?;
    let before = place(query.cursor.as_deref())?;
    let wanted =
        Outcomes { id: None, differing: query.differing, before: before.as_deref(), limit: limit + 1 };
    let eyes = Eyes::of(&app.store, &caller).await?;
    if query.differing && !eyes.see_everything() {
        let told = "which labels differ from verdicts is for those who see every verdict";
        return Err(ApiError::new(FORBIDDEN, told));
    }
    let mut outcomes = app.store.review_outcomes(caller.tenant_id(), wanted).await?;
    let more = outcomes.len() > limit as usize;
    outcomes.truncate(limit as usize);
    let next = outcomes.last().filter(|_| more).map(|item| cursor_of(&item.id));
    let items = shown(&app, &eyes, &outcomes).await?;
    Ok(axum::Json(json!({"items": items, "next_cursor": next})))
}

/// One item: as a rater sees it while it is open, with verdict and labels once it is done.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let wanted = Outcomes { id: Some(&id), differing: false, before: None, limit: 1 };
    let outcomes = app.store.review_outcomes(caller.tenant_id(), wanted).await?;
    if let Some(item) = outcomes.first() {
        // Whoever rated it may see what came of it, and so may whoever looks after the review.
        let rated = rater(&caller).is_ok_and(|rater| item.ratings.iter().any(|given| given.rater == rater));
        if rated || caller.may(undertone_core::Permission::ManageReview) {
            let eyes = Eyes::of(&app.store, &caller).await?;
            let shown = shown(&app, &eyes, &outcomes).await?;
            return Ok(axum::Json(json!({"done": true, "outcome": shown.first(), "item": null})));
        }
    }
    let item = app.store.review_item(caller.tenant_id(), rater(&caller)?, &id).await?;
    let item = readable(&app, &caller, item.into_iter().collect()).await?.pop();
    let item = item.ok_or_else(|| ApiError::not_found("item of the review that is yours to label"))?;
    Ok(axum::Json(json!({"done": false, "outcome": null, "item": item})))
}

/// Outcomes without the verdicts the caller may not see, and without what says as much: why an item was in the queue.
async fn shown(app: &App, eyes: &Eyes, outcomes: &[Outcome]) -> Result<Vec<Value>, ApiError> {
    let ids: Vec<&str> = outcomes.iter().map(|item| item.interaction_id.as_str()).collect();
    let sights = eyes.on_interactions(&app.store, &ids).await?;
    let told = |item: &Outcome| {
        let sight = sights.of(&item.interaction_id);
        let mut value = json!(item);
        value["visibility"] = told(sight);
        if !sight.is_open() {
            for hidden in ["score", "label", "reasons", "settled_label", "ratings"] {
                value[hidden] = Value::Null;
            }
        }
        value
    };
    Ok(outcomes.iter().map(told).collect())
}

/// Which days are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first of the tenant's days.
    from: Option<String>,
    /// The last.
    to: Option<String>,
}

/// How far people agree with each other, and the scorer with them.
pub async fn agreement(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<Period>,
) -> Result<axum::Json<Value>, ApiError> {
    let zone = caller.tenant.zone;
    let today = undertone_core::usage::calendar::day_of(zone, app.store.now());
    let days = Days::read(period.from.as_deref(), period.to.as_deref(), today)
        .map_err(|told| ApiError::new(INVALID_QUERY, told))?;
    let eyes = Eyes::of(&app.store, &caller).await?;
    if eyes.figures() != Figures::Live {
        let told = "agreement with the scorer is counted over single verdicts, which your organisation does not show you";
        return Err(ApiError::new(FORBIDDEN, told));
    }
    let moment = |day: NaiveDate| -> DateTime<Utc> { begins(zone, day) };
    let until = days.to.succ_opt().unwrap_or(days.to);
    let span = (moment(days.from), moment(until));
    let read = app.store.rated(caller.tenant_id(), span, MOST_RATED).await?;
    // A thousand draws of some thousand items keep a core busy for a moment.
    let counted = tokio::task::spawn_blocking(move || Agreement::of(&read.rated)).await;
    let agreement = counted.map_err(|e| ApiError {
        cause: Some(e.to_string()),
        ..ApiError::new(INTERNAL, "the agreement could not be counted")
    })?;
    let mut value = json!(agreement);
    value["from"] = json!(days.from);
    value["to"] = json!(days.to);
    value["only_the_latest"] = json!(read.more);
    Ok(axum::Json(value))
}
