//! Customers and what they feel, and who of them needs a person.

use axum::extract::{Path, State};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_store::people::Customer;
use undertone_store::sentiments::{CustomerSentiment, Escalation};

use super::body::Query;
use super::caller::Caller;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;

/// At most so many escalations are told.
const MOST_ESCALATIONS: i64 = 200;

/// A customer, by our id or the source's.
pub async fn find(app: &App, caller: &Caller, id: &str) -> Result<Customer, ApiError> {
    app.store.customer(caller.tenant_id(), id).await?.ok_or_else(|| ApiError::not_found("customer"))
}

/// A customer.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Customer>, ApiError> {
    Ok(axum::Json(find(&app, &caller, &id).await?))
}

/// The sums and the last verdict of a customer, with the keys of the module guide; `time` writes moments.
pub fn told(sentiment: &CustomerSentiment, time: impl Fn(chrono::DateTime<chrono::Utc>) -> Value) -> Value {
    let totals = &sentiment.totals;
    let average = totals.average().map(|average| (average * 10.0).round() / 10.0);
    let last = sentiment.last.as_ref();
    json!({
        "rollup": {
            "total_scored": totals.scored,
            "avg_score": average,
            "count_positive": totals.positive,
            "count_negative": totals.negative,
            "count_neutral": totals.neutral,
            "count_mixed": totals.mixed,
            "first_scored_at": sentiment.first_scored_at.map(&time),
            "last_scored_at": last.map(|last| time(last.scored_at)),
        },
        "last": last.map(|last| json!({
            "score": last.score,
            "label": last.label,
            "created_at": time(last.scored_at),
        })),
    })
}

/// What a customer feels, summed up.
pub async fn sentiment(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let customer = find(&app, &caller, &id).await?;
    let sentiment = app.store.customer_sentiment(caller.tenant_id(), &customer.id).await?;
    Ok(axum::Json(told(&sentiment, |at| json!(at))))
}

/// How far back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Hours, 1 to 720. Default 24.
    hours: Option<i64>,
    /// At most so many, 1 to 200. Default 100.
    limit: Option<i64>,
}

/// A window of hours, and how many of it.
pub fn window(hours: Option<i64>, limit: Option<i64>) -> Result<(TimeDelta, i64), ApiError> {
    let (hours, limit) = (hours.unwrap_or(24), limit.unwrap_or(100));
    if !(1..=720).contains(&hours) {
        return Err(ApiError::new(INVALID_QUERY, format!("hours is {hours}; it must be 1 to 720")));
    }
    if !(1..=MOST_ESCALATIONS).contains(&limit) {
        return Err(ApiError::new(
            INVALID_QUERY,
            format!("limit is {limit}; it must be 1 to {MOST_ESCALATIONS}"),
        ));
    }
    Ok((TimeDelta::hours(hours), limit))
}

/// Negative interactions scored lately, lowest score first.
pub async fn escalations(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Window>,
) -> Result<axum::Json<Value>, ApiError> {
    let (span, limit) = window(query.hours, query.limit)?;
    let items: Vec<Escalation> = app.store.escalations(caller.tenant_id(), span, limit).await?;
    Ok(axum::Json(json!({"items": items})))
}
