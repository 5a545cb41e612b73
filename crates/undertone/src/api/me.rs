//! Who calls, and what they do about their own account.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::Permission;
use undertone_store::users::{Authority, BROWSER_KNOWN_FOR, Guesser, SESSION_MAX, User};

use super::body::Json;
use super::caller::{By, Caller};
use super::problem::{ApiError, CONFLICT, FieldError};
use super::secrets::{self, BROWSER_COOKIE, SESSION_COOKIE};
use crate::app::App;
use crate::passwords;

/// Who calls, and what they may do.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let may: Vec<&str> =
        Permission::ALL.iter().filter(|one| caller.may(**one)).map(|one| one.as_str()).collect();
    let mut told = json!({
        "tenant": {"id": caller.tenant_id(), "slug": caller.tenant.slug, "name": caller.tenant.name},
        "permissions": may,
        "user": null,
        "key": null,
    });
    match &caller.by {
        By::Key(id) => {
            told["key"] = json!({"id": id, "scopes": caller.scopes(), "expires_at": caller.ends_at()});
        }
        By::Session { user, .. } => {
            let profile = app.store.profile(caller.tenant_id(), user).await?;
            told["user"] = json!(profile.as_ref().map(super::users::told));
        }
    }
    Ok(axum::Json(told))
}

/// The old password, and another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    current: String,
    new: String,
}

/// Changes one's own password. Every other session ends, and this one goes on with a new token.
pub async fn change_password(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<Passwords>,
) -> Result<Response, ApiError> {
    let cookie = renew(&app, &caller, given.current, given.new).await?;
    Ok((cookie, axum::Json(json!({"changed": true}))).into_response())
}

/// Puts `new` in the place of the password, if `current` is it; answers the cookie of the session that goes on.
///
/// # Errors
/// With `current` or `new` as the field that is wrong.
pub async fn renew(app: &App, caller: &Caller, current: String, new: String) -> Result<HeaderMap, ApiError> {
    let missing = || ApiError::not_found("user");
    let user = app.store.user(caller.tenant_id(), caller.person()?).await?.ok_or_else(missing)?;
    passwords::check(&new, &user.email, "new")?;
    // Whoever has somebody's session does not guess their password with it.
    passwords::attempt(app, Guesser::Inside(&user.id), caller.act().from).await?;
    if !passwords::is_right(current, user.password_hash.clone()).await? {
        return Err(ApiError::invalid(vec![FieldError {
            field: "current".to_owned(),
            code: "wrong".to_owned(),
            message: "this is not your password".to_owned(),
        }]));
    }
    replace(app, caller, &user, new).await
}

async fn replace(app: &App, caller: &Caller, user: &User, new: String) -> Result<HeaderMap, ApiError> {
    let hash = passwords::hashed(new).await?;
    let (token, csrf) = (secrets::token(), secrets::token());
    if !app.store.change_password(&caller.act(), (user, &hash), (&token, &csrf)).await? {
        return Err(ApiError::new(CONFLICT, "your password was changed meanwhile; log in with that one"));
    }
    let secure = app.config.is_secure();
    let session = secrets::set_cookie(SESSION_COOKIE, &token, SESSION_MAX.num_seconds(), secure);
    let browser = known_browser(app, &user.id, None).await?;
    Ok(session.into_iter().chain(browser).map(|cookie| (header::SET_COOKIE, cookie)).collect())
}

/// Knows the browser that is answered as one of this person's, and not by what it showed before; answers the cookie by which it is.
pub async fn known_browser(
    app: &App,
    user: &str,
    before: Option<&str>,
) -> Result<Option<HeaderValue>, ApiError> {
    let token = secrets::token();
    app.store.know_browser(user, before, &token).await?;
    Ok(browser_cookie(app, &token))
}

/// The cookie by which a browser is known.
pub fn browser_cookie(app: &App, token: &str) -> Option<HeaderValue> {
    secrets::set_cookie(BROWSER_COOKIE, token, BROWSER_KNOWN_FOR.num_seconds(), app.config.is_secure())
}

/// Where to log out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Where {
    everywhere: bool,
}

/// Ends this session, or all of one's own.
pub async fn log_out(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(place): Json<Where>,
) -> Result<Response, ApiError> {
    let ended = if place.everywhere {
        everywhere(&app, &caller).await?
    } else {
        if let Some(token) = secrets::cookie(&headers, SESSION_COOKIE) {
            app.store.end_session(&token, caller.act().from).await?;
        }
        1
    };
    Ok((without_session(&app), axum::Json(json!({"sessions": ended}))).into_response())
}

/// Ends all sessions of whoever calls; answers how many there were.
pub async fn everywhere(app: &App, caller: &Caller) -> Result<u64, ApiError> {
    let me = caller.person()?;
    let ended = app.store.end_sessions(&caller.act(), Authority::User(me), me).await?;
    Ok(ended.unwrap_or_default())
}

/// A header that takes the session's cookie away.
pub fn without_session(app: &App) -> HeaderMap {
    let cookie = secrets::set_cookie(SESSION_COOKIE, "", 0, app.config.is_secure());
    cookie.map(|cookie| (header::SET_COOKIE, cookie)).into_iter().collect()
}
