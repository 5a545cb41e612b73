//! One's own account: who one is, another password, logging out everywhere.

use axum::Form;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use undertone_core::Role;
use undertone_ui::words::EN;

use super::status;
use crate::api::caller::{Caller, Person};
use crate::api::me;
use crate::api::problem::{ApiError, CONFLICT, INVALID, RATE_LIMITED};
use crate::app::App;

/// The page.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let notice = (query.as_deref() == Some("changed")).then_some(EN.password_changed);
    page(&app, &caller, notice, None).await
}

/// The password one has, and another.
#[derive(Deserialize)]
pub struct Passwords {
    current: String,
    password: String,
    again: String,
}

/// Changes the password. This browser stays logged in, and no other does.
pub async fn change_password(
    State(app): State<App>,
    caller: Caller,
    Form(given): Form<Passwords>,
) -> Result<Response, ApiError> {
    let changed = if given.password == given.again {
        me::renew(&app, &caller, given.current, given.password).await
    } else {
        Err(ApiError::new(INVALID, EN.passwords_differ))
    };
    match changed {
        Ok(cookie) => Ok((cookie, Redirect::to("/account?changed")).into_response()),
        Err(error) if [INVALID, RATE_LIMITED, CONFLICT].contains(&error.code) => {
            page(&app, &caller, None, Some(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// Ends all sessions of whoever is logged in, this one too.
pub async fn log_out(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    me::everywhere(&app, &caller).await?;
    Ok((me::without_session(&app), Redirect::to("/login")).into_response())
}

async fn page(
    app: &App,
    caller: &Caller,
    notice: Option<&str>,
    error: Option<&ApiError>,
) -> Result<Response, ApiError> {
    let Person { user, email, csrf } = caller.session()?;
    let missing = || ApiError::not_found("user");
    let user = app.store.user(caller.tenant_id(), user).await?.ok_or_else(missing)?;
    let role = user.role.parse::<Role>().ok();
    let html = undertone_ui::account(&undertone_ui::Account {
        tenant: &caller.tenant.name,
        email,
        name: user.name.as_deref(),
        role: &user.role.replace('_', " "),
        role_meaning: role.map_or("", Role::meaning),
        has_password: user.password_hash.is_some(),
        sessions: app.store.sessions_of(&user.id).await?,
        notice,
        error: error.map(|error| error.detail.as_str()),
        csrf,
    });
    Ok((status(error), Html(html)).into_response())
}
