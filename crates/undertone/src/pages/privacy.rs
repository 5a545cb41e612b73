//! What customers are told about what is done with their texts, as it follows from the settings in force.

use axum::extract::State;
use axum::response::Html;
use undertone_core::notice::Facts;

use crate::api::body::Query;
use crate::api::caller::{Caller, Person};
use crate::api::privacy::NoticeQuery;
use crate::api::problem::ApiError;
use crate::app::App;

/// The page.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<NoticeQuery>,
) -> Result<Html<String>, ApiError> {
    let Person { email, csrf, .. } = caller.session()?;
    let settings = app.store.module(caller.tenant_id()).await?.settings;
    let runs = app.store.scorers_of_runs(caller.tenant_id(), settings.retention_text_days).await?;
    let facts = Facts::of(&caller.tenant.name, &settings, &runs, query.language()?);
    Ok(Html(undertone_ui::policy(&caller.tenant.name, (email, csrf), &facts)))
}
