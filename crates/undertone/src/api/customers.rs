//! Customers and what they feel, and who of them needs a person.

use axum::extract::{Path, State};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::visibility::{Reason, Sight};
use undertone_store::people::Customer;
use undertone_store::sentiments::{CustomerSentiment, Escalation};

use super::body::{Query, limited};
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

/// What somebody sees of what a customer feels.
pub struct Seen {
    /// The sums and the last verdict, without what they may not see.
    sentiment: CustomerSentiment,
    /// What they see of the sums.
    sums: Sight,
    /// When something was scored last, where they see the sums or that verdict.
    last_scored_at: Option<DateTime<Utc>>,
    /// What they see of all that is told here.
    all: Sight,
}

impl Default for Seen {
    /// Of whom nothing is known, everything is seen.
    fn default() -> Self {
        let sentiment = CustomerSentiment::default();
        Self { sentiment, sums: Sight::ALL, last_scored_at: None, all: Sight::ALL }
    }
}

/// A customer's sums and last verdict as the caller sees them. Either may be seen where the other may not.
pub async fn seen(app: &App, caller: &Caller, id: &str) -> Result<Seen, ApiError> {
    let eyes = Eyes::of(&app.store, caller).await?;
    let CustomerSentiment { totals, first_scored_at, last } =
        app.store.customer_sentiment(caller.tenant_id(), id).await?;
    let sums = eyes.on_customer(&app.store, id).await?;
    let of_last = match &last {
        Some(last) => eyes.on_interaction(&app.store, &last.interaction_id).await?,
        None => Sight::ALL,
    };
    let last_scored_at =
        last.as_ref().filter(|_| sums.is_open() || of_last.is_open()).map(|last| last.scored_at);
    let last = last.filter(|_| of_last.is_open());
    let sentiment = if sums.is_open() {
        CustomerSentiment { totals, first_scored_at, last }
    } else {
        CustomerSentiment { last, ..CustomerSentiment::default() }
    };
    let all = if sums.is_open() { of_last } else { sums };
    Ok(Seen { sentiment, sums, last_scored_at, all })
}

/// The sums and the last verdict of a customer, with the keys of the module guide; `time` writes moments. What is not to be seen is null.
pub fn told(seen: &Seen, time: impl Fn(DateTime<Utc>) -> Value) -> Value {
    let Seen { sentiment, sums, last_scored_at, all } = seen;
    let totals = &sentiment.totals;
    let average = totals.average().map(|average| (average * 10.0).round() / 10.0);
    let last = sentiment.last.as_ref();
    let shown = |figure: Value| if sums.is_open() { figure } else { Value::Null };
    json!({
        "rollup": {
            "total_scored": shown(json!(totals.scored)),
            "avg_score": average,
            "count_positive": shown(json!(totals.positive)),
            "count_negative": shown(json!(totals.negative)),
            "count_neutral": shown(json!(totals.neutral)),
            "count_mixed": shown(json!(totals.mixed)),
            "first_scored_at": sentiment.first_scored_at.map(&time),
            "last_scored_at": last_scored_at.map(&time),
        },
        "hidden": visibility::told(*all),
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
    let hours = hours.unwrap_or(24);
    if !(1..=720).contains(&hours) {
        return Err(ApiError::new(INVALID_QUERY, format!("hours is {hours}; it must be 1 to 720")));
    }
    Ok((TimeDelta::hours(hours), limited(limit, 100, MOST_ESCALATIONS)?))
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
