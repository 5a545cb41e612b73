//! The review queue: items out, blind labels in, what came of them, and how far people and the scorer agree.

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::review::{ShareChanges, Shares};
use undertone_core::usage::calendar::day_of;
use undertone_core::visibility::Figures;
use undertone_core::{Label, Permission, Score};
use undertone_store::review::{Handed, Labelled, Outcomes, Page};

use super::body::{Json, Query, cut, limited};
use super::caller::Caller;
use super::cascade::Period;
use super::interactions::place;
use super::problem::{ApiError, FORBIDDEN, FieldError, INTERNAL, INVALID_QUERY};
use crate::app::App;
use crate::review::{self, Counted, outcome, rated};
use crate::usage::Days;
use crate::visibility::Eyes;

/// So many items are handed out at once at most.
const MOST_CLAIMED: i64 = 20;
/// So many items are in a page at most.
const MOST_LISTED: i64 = 100;

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
    let mut items = app.store.review_items(caller.tenant_id(), caller.person()?, page).await?;
    let next = cut(&mut items, limit as usize, |item| &item.id);
    let items = readable(&app, &caller, items).await?;
    Ok(axum::Json(json!({"items": items, "next_cursor": next})))
}

/// Those whose text the caller may see.
async fn readable(app: &App, caller: &Caller, items: Vec<Handed>) -> Result<Vec<Handed>, ApiError> {
    let ids: Vec<&str> = items.iter().map(|item| item.interaction_id.as_str()).collect();
    let sights = Eyes::of(&app.store, caller).await?.on_interactions(&app.store, &ids).await?;
    Ok(review::readable(items, &sights))
}

/// Changes the shares given by which verdicts come into the queue, and keeps the others; answers those in force from now on.
pub async fn shares(
    State(app): State<App>,
    caller: Caller,
    Json(changes): Json<ShareChanges>,
) -> Result<axum::Json<Shares>, ApiError> {
    Ok(axum::Json(app.store.change_review_shares(&caller.act(), |before| changes.over(before)).await?))
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
    let items = app.store.claim_review(caller.tenant_id(), caller.person()?, most).await?;
    let items = readable(&app, &caller, items).await?;
    Ok(axum::Json(json!({"items": items})))
}

/// Gives an item back.
pub async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let released = app.store.release_review(caller.tenant_id(), caller.person()?, &id).await?;
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
    let given = review::label(label, score, note.as_deref()).map_err(|errors| {
        let told = errors.into_iter().map(|(field, message)| FieldError::invalid(field, message));
        ApiError::invalid(told.collect())
    })?;
    let done = app.store.label_review(&caller.act(), caller.person()?, &id, given).await?;
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
    let next = cut(&mut outcomes, limit as usize, |item| &item.id);
    let ids: Vec<&str> = outcomes.iter().map(|item| item.interaction_id.as_str()).collect();
    let sights = eyes.on_interactions(&app.store, &ids).await?;
    let items: Vec<Value> = outcomes.iter().map(|item| outcome(item, &sights)).collect();
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
        let rated = caller.person().is_ok_and(|rater| item.ratings.iter().any(|given| given.rater == rater));
        if rated || caller.may(Permission::ManageReview) {
            let eyes = Eyes::of(&app.store, &caller).await?;
            let sights = eyes.on_interactions(&app.store, &[&item.interaction_id]).await?;
            let shown = outcome(item, &sights);
            return Ok(axum::Json(json!({"done": true, "outcome": shown, "item": null})));
        }
    }
    let item = app.store.review_item(caller.tenant_id(), caller.person()?, &id).await?;
    let item = readable(&app, &caller, item.into_iter().collect()).await?.pop();
    let item = item.ok_or_else(|| ApiError::not_found("item of the review that is yours to label"))?;
    Ok(axum::Json(json!({"done": false, "outcome": null, "item": item})))
}

/// How far people agree with each other, and the scorer with them.
pub async fn agreement(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<Period>,
) -> Result<axum::Json<Counted>, ApiError> {
    let today = day_of(caller.tenant.zone, app.store.now());
    let days = Days::read(period.from.as_deref(), period.to.as_deref(), today)
        .map_err(|told| ApiError::new(INVALID_QUERY, told))?;
    let eyes = Eyes::of(&app.store, &caller).await?;
    if eyes.figures() != Figures::Live {
        let told = "agreement with the scorer is counted over single verdicts, which your organisation does not show you";
        return Err(ApiError::new(FORBIDDEN, told));
    }
    let read = rated(&app.store, &caller.tenant, days).await?;
    let counted = tokio::task::spawn_blocking(move || Counted::of(days, &read)).await;
    Ok(axum::Json(counted.map_err(|e| ApiError {
        cause: Some(e.to_string()),
        ..ApiError::new(INTERNAL, "the agreement could not be counted")
    })?))
}
