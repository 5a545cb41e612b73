//! What customers are told about what is done with their texts, as it follows from the settings in force.

use axum::extract::State;
use axum::response::Html;

use crate::api::body::Query;
use crate::api::caller::{Caller, Person};
use crate::api::privacy::{NoticeQuery, facts};
use crate::api::problem::ApiError;
use crate::app::App;

/// The page.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<NoticeQuery>,
) -> Result<Html<String>, ApiError> {
    let Person { email, csrf, .. } = caller.session()?;
    let facts = facts(&app, &caller, &query).await?;
    Ok(Html(undertone_ui::policy(&caller.tenant.name, (email, csrf), &facts)))
}
