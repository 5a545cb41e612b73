//! One's own second factor, and removing somebody else's who has lost it.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_store::users::{Authority, Guesser};

use super::body::Json;
use super::caller::{Caller, Person};
use super::problem::{ApiError, CONFLICT, FieldError};
use super::secrets::{self, SESSION_COOKIE};
use crate::app::App;
use crate::passwords;
use crate::second_factor::{self as factor, Enrolment, Who};

/// The password, of somebody who has one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    #[serde(default)]
    password: String,
}

/// A code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    code: String,
}

/// Who has no password shows that it is them with a log-in that is no older.
const RECENT: TimeDelta = TimeDelta::minutes(10);

/// The person who calls.
pub fn who(caller: &Caller) -> Result<Who<'_>, ApiError> {
    let Person { user, email, csrf } = caller.session()?;
    Ok(Who { user, email, guesser: Guesser::Inside(user), setter: csrf })
}

/// How it stands.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let user = caller.person()?;
    Ok(axum::Json(factor::told(&app, caller.tenant_id(), user, caller.role()).await?))
}

/// Begins to set one up; the answer has the seed, which is told only until it is confirmed.
pub async fn begin(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<Password>,
) -> Result<axum::Json<Value>, ApiError> {
    let enrolment = begin_for(&app, &caller, given.password).await?;
    Ok(axum::Json(json!({"secret": enrolment.seed.expose(), "address": enrolment.address.expose()})))
}

/// Confirms it with a first code; the answer has the recovery codes, which are told only this once.
pub async fn confirm(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(given): Json<Code>,
) -> Result<axum::Json<Value>, ApiError> {
    let codes = confirm_for(&app, &caller, &headers, &given.code).await?;
    Ok(axum::Json(json!({"recovery_codes": codes})))
}

/// Other recovery codes, in place of those there are.
pub async fn renew(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<Code>,
) -> Result<axum::Json<Value>, ApiError> {
    Ok(axum::Json(json!({"recovery_codes": renew_for(&app, &caller, &given.code).await?})))
}

/// Removes it.
pub async fn remove(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<Code>,
) -> Result<axum::Json<Value>, ApiError> {
    remove_for(&app, &caller, &given.code).await?;
    Ok(axum::Json(json!({"removed": true})))
}

/// Removes somebody's who has lost it. Their sessions end.
pub async fn reset(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let me = caller.person()?;
    if me == id {
        let told = "remove your own with a code of it: POST /api/v1/me/second-factor/remove";
        return Err(ApiError::new(CONFLICT, told));
    }
    if !app.store.remove_second_factor(&caller.act(), Authority::User(me), &id).await? {
        return Err(ApiError::not_found("second factor of a user"));
    }
    Ok(axum::Json(json!({"removed": true})))
}

/// Begins for whoever calls. Who has a password types it again, and who has none has to have logged in a moment ago: whoever has only their
/// session must not lock them out.
pub async fn begin_for(app: &App, caller: &Caller, password: String) -> Result<Enrolment, ApiError> {
    let who = who(caller)?;
    let missing = || ApiError::not_found("user");
    let user = app.store.user(caller.tenant_id(), who.user).await?.ok_or_else(missing)?;
    if user.password_hash.is_some() {
        passwords::attempt(app, who.guesser, caller.act().from).await?;
        if !passwords::is_right(password, user.password_hash).await? {
            return Err(ApiError::invalid(vec![FieldError {
                field: "password".to_owned(),
                code: "wrong".to_owned(),
                message: "this is not your password".to_owned(),
            }]));
        }
        app.store.forgive_logins(who.guesser).await?;
    } else {
        let began = app.store.session_began(who.user, who.setter).await?;
        if began.is_none_or(|began| app.store.now() - began > RECENT) {
            let told = "you have no password to type again, so log out and in first; then there are ten minutes to set it up";
            return Err(ApiError::new(CONFLICT, told));
        }
    }
    factor::set_up(app, &caller.act(), who).await
}

/// Confirms for whoever calls. Their other sessions end.
pub async fn confirm_for(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    code: &str,
) -> Result<Vec<String>, ApiError> {
    let token = secrets::cookie(headers, SESSION_COOKIE);
    factor::confirm(app, &caller.act(), who(caller)?, code, token.as_deref()).await
}

/// Renews for whoever calls.
pub async fn renew_for(app: &App, caller: &Caller, code: &str) -> Result<Vec<String>, ApiError> {
    let who = who(caller)?;
    factor::check(app, &caller.act(), who, code).await?;
    factor::renew(app, &caller.act(), who.user).await
}

/// Removes for whoever calls.
pub async fn remove_for(app: &App, caller: &Caller, code: &str) -> Result<(), ApiError> {
    let who = who(caller)?;
    if factor::is_required(app, caller.tenant_id(), caller.role()).await? {
        let told = "your role logs in with a second factor; an administrator can remove it, and you set up another at the next log-in";
        return Err(ApiError::new(CONFLICT, told));
    }
    factor::check(app, &caller.act(), who, code).await?;
    app.store.remove_second_factor(&caller.act(), Authority::User(who.user), who.user).await?;
    Ok(())
}
