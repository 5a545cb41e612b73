//! Figures of teams and queues, for everybody who may read: what was published, from which nobody can be worked out.

use axum::extract::State;
use serde_json::{Value, json};
use undertone_core::overview::Summary;
use undertone_core::usage::calendar::day_of;
use undertone_core::visibility::{Level, LookedAt};
use undertone_store::visibility::Group;

use super::body::Query;
use super::caller::Caller;
use super::cascade::Period;
use super::problem::{ApiError, INVALID_QUERY};
use crate::app::App;
use crate::usage::Days;
use crate::visibility::Eyes;

/// The longest period, in days: what is published goes back so far.
const MOST_DAYS: i64 = 732;

/// What was published of teams and queues in some days.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<Period>,
) -> Result<axum::Json<Value>, ApiError> {
    let (store, tenant) = (&app.store, &caller.tenant);
    let today = day_of(tenant.zone, store.now());
    let days = Days::read(period.from.as_deref(), period.to.as_deref(), today)
        .map_err(|told| ApiError::new(INVALID_QUERY, told))?;
    if (days.to - days.from).num_days() >= MOST_DAYS {
        return Err(ApiError::new(INVALID_QUERY, format!("a period has {MOST_DAYS} days at most")));
    }
    let eyes = Eyes::of(store, &caller).await?;
    let min_group = eyes.choice().min_group;
    let sees = |level| eyes.see(&LookedAt::Group { level, customers: min_group.into() }).is_open();
    let span = (days.from, days.to);
    let (mut teams, mut queues, mut total) = (Vec::new(), Vec::new(), Summary::default());
    if sees(Level::Tenant) {
        let published = store.published_days(tenant.id, span, min_group).await?;
        total = published.iter().fold(Summary::default(), |sum, day| sum.totals.plus(day.totals).into());
    }
    if sees(Level::Team) {
        teams = store.published_teams(tenant.id, span, min_group).await?;
    }
    if sees(Level::Queue) {
        queues = store.published_queues(tenant.id, span, min_group).await?;
    }
    let told = |group: &Group| {
        let mut told = json!(Summary::from(group.totals));
        told["id"] = json!(group.id);
        told["name"] = json!(group.name);
        told
    };
    Ok(axum::Json(json!({
        "from": days.from,
        "to": days.to,
        "zone": tenant.zone.name(),
        "min_group": min_group,
        "total": total,
        "teams": teams.iter().map(told).collect::<Vec<_>>(),
        "queues": queues.iter().map(told).collect::<Vec<_>>(),
    })))
}
