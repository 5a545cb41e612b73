//! How good the verdicts are: the model card with its figures, and what the tenant's own labels taught it.

use axum::extract::State;
use axum::response::Html;
use undertone_ui::words::EN;

use crate::api::caller::{Caller, Person};
use crate::api::problem::ApiError;
use crate::app::App;
use crate::calibrate;
use crate::output::document;

/// The page.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<Html<String>, ApiError> {
    let Person { email, csrf, .. } = caller.session()?;
    let lessons = calibrate::lessons(&app.store, &app.reader, caller.tenant_id()).await?;
    let mut own = format!("## {}\n\n", EN.own_labels);
    if lessons.is_empty() {
        own += EN.no_lesson;
        own += "\n\n";
    } else {
        own += &format!(
            "| {} | {} | {} | {} |\n|---:|---|---|---|\n",
            EN.lesson, EN.made, EN.in_force, EN.what_came
        );
        for lesson in &lessons {
            let verdict = lesson.trial["verdict"].as_str().unwrap_or_default().replace('|', "\\|");
            let made = lesson.made_at.with_timezone(&caller.tenant.zone).format("%Y-%m-%d %H:%M");
            let active = if lesson.active { EN.yes } else { "" };
            own += &format!("| {} | {made} | {active} | {verdict} |\n", lesson.version);
        }
        own += "\n";
    }
    let body = document::html(&own) + document::html(app.reader.card()).as_str();
    Ok(Html(undertone_ui::accuracy(&caller.tenant.name, (email, csrf), &body)))
}
