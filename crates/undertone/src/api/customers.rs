//! Customers and what they feel, and who of them needs a person.

use axum::extract::{Path, State};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::visibility::{Reason, Sight};
use undertone_store::people::Customer;
use undertone_store::sentiments::{CustomerSentiment, Escalation};

use super::body::Query;
use super::caller::Caller;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::visibility::{self, Eyes};

/// At most so many escalations are told.
const MOST_ESCALATIONS: i64 = 200;
/// Among so many of the lowest it is looked for those that somebody may see who does not see all.
const MOST_LOOKED_AT: i64 = 1000;

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

/// A customer's sums and last verdict, without what the caller may not see, and what they see of it.
pub async fn seen(app: &App, caller: &Caller, id: &str) -> Result<(CustomerSentiment, Sight), ApiError> {
    let eyes = Eyes::of(&app.store, caller).await?;
    let mut sentiment = app.store.customer_sentiment(caller.tenant_id(), id).await?;
    let sight = eyes.on_customer(&app.store, id).await?;
    if !sight.is_open() {
        // The last verdict may be seen where all of them together may not.
        let shown = match &sentiment.last {
            Some(last) => eyes.on_interaction(&app.store, &last.interaction_id).await?.is_open(),
            None => false,
        };
        let last = sentiment.last.filter(|_| shown);
        sentiment = CustomerSentiment { last, ..CustomerSentiment::default() };
    }
    Ok((sentiment, sight))
}

/// The sums and the last verdict of a customer, with the keys of the module guide; `time` writes moments. Sums that are not
/// to be seen are null.
pub fn told(
    (sentiment, sight): &(CustomerSentiment, Sight),
    time: impl Fn(chrono::DateTime<chrono::Utc>) -> Value,
) -> Value {
    let totals = &sentiment.totals;
    let average = totals.average().map(|average| (average * 10.0).round() / 10.0);
    let last = sentiment.last.as_ref();
    let shown = |figure: Value| if sight.is_open() { figure } else { Value::Null };
    json!({
        "rollup": {
            "total_scored": shown(json!(totals.scored)),
            "avg_score": average,
            "count_positive": shown(json!(totals.positive)),
            "count_negative": shown(json!(totals.negative)),
            "count_neutral": shown(json!(totals.neutral)),
            "count_mixed": shown(json!(totals.mixed)),
            "first_scored_at": sentiment.first_scored_at.map(&time),
            "last_scored_at": last.map(|last| time(last.scored_at)),
        },
        "hidden": visibility::told(*sight),
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
    let seen = seen(&app, &caller, &customer.id).await?;
    Ok(axum::Json(told(&seen, |at| json!(at))))
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
    let (items, hidden) = needing_attention(&app, &caller, span, limit).await?;
    Ok(axum::Json(json!({"items": items, "hidden": hidden.map(visibility::why)})))
}

/// The negative interactions the caller may see, and why there may be others they do not. That one is here says what its label is.
pub async fn needing_attention(
    app: &App,
    caller: &Caller,
    span: TimeDelta,
    limit: i64,
) -> Result<(Vec<Escalation>, Option<Reason>), ApiError> {
    let eyes = Eyes::of(&app.store, caller).await?;
    let looked_at = if eyes.see_everything() { limit } else { MOST_LOOKED_AT };
    let mut items = app.store.escalations(caller.tenant_id(), span, looked_at).await?;
    let ids: Vec<&str> = items.iter().map(|item| item.interaction_id.as_str()).collect();
    let sights = eyes.on_interactions(&app.store, &ids).await?;
    items.retain(|item| sights.of(&item.interaction_id).is_open());
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok((items, eyes.reserve()))
}
