//! Logging in and out.

use std::sync::OnceLock;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;
use undertone_store::users::SESSION_MAX;

use crate::api::problem::{ApiError, CSRF, INTERNAL, RATE_LIMITED};
use crate::api::secrets::{self, LOGIN_COOKIE, SESSION_COOKIE};
use crate::app::App;

/// Passwords checked at a time: each takes some 20 ms of a core and 19 MiB.
static CHECKING: OnceLock<Semaphore> = OnceLock::new();

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
pub struct Next {
    next: Option<String>,
}

/// A log-in.
#[derive(Debug, Deserialize)]
pub struct LogIn {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    csrf: String,
}

/// A place of this service, whatever was asked for: never another one's.
fn own_place(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if is_path { next } else { "/" }
}

fn form(app: &App, headers: &HeaderMap, (next, email): (&str, &str), error: Option<&str>) -> Response {
    // The form belongs to this browser: what is in the cookie must come back in the form.
    let known = secrets::cookie(headers, LOGIN_COOKIE).filter(|token| token.len() == 43);
    let token = known.unwrap_or_else(secrets::token);
    let page = undertone_ui::login(&undertone_ui::Login {
        next: own_place(next),
        email,
        error,
        csrf: &token,
        hint: app.log_in_hint.as_deref(),
    });
    let status = if error.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let mut response = (status, Html(page)).into_response();
    if let Some(cookie) = secrets::set_cookie(LOGIN_COOKIE, &token, 3600, app.config.is_secure()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The log-in page.
pub async fn show(State(app): State<App>, headers: HeaderMap, Query(next): Query<Next>) -> Response {
    form(&app, &headers, (next.next.as_deref().unwrap_or("/"), ""), None)
}

/// Logs in.
pub async fn log_in(
    State(app): State<App>,
    headers: HeaderMap,
    Form(given): Form<LogIn>,
) -> Result<Response, ApiError> {
    let cookie = secrets::cookie(&headers, LOGIN_COOKIE).unwrap_or_default();
    if cookie.is_empty() || !secrets::equal(&cookie, &given.csrf) {
        return Err(ApiError::new(CSRF, "this log-in form is out of date; load it again"));
    }
    let user = app.store.user_by_email(&given.email).await?;
    if user.as_ref().and_then(|user| user.locked_until).is_some_and(|until| app.store.now() < until) {
        return Err(ApiError::new(RATE_LIMITED, "too many wrong passwords; wait a minute and try again"));
    }
    let hash = user.as_ref().filter(|user| user.active).and_then(|user| user.password_hash.clone());
    let password = given.password;
    let turn = CHECKING.get_or_init(|| Semaphore::new(2)).acquire().await;
    let is_right = tokio::task::spawn_blocking(move || secrets::is_password(&password, hash.as_deref()))
        .await
        .map_err(|e| ApiError {
            cause: Some(e.to_string()),
            ..ApiError::new(INTERNAL, "the password could not be checked")
        })?;
    drop(turn);
    let Some(user) = user.filter(|_| is_right) else {
        if let Some(user) = app.store.user_by_email(&given.email).await? {
            app.store.note_failed_login(&user.id).await?;
        }
        let told = Some("This e-mail address and password do not go together.");
        return Ok(form(&app, &headers, (&given.next, &given.email), told));
    };
    let token = secrets::token();
    app.store.begin_session(&user.id, &token, &secrets::token()).await?;
    let mut response = Redirect::to(own_place(&given.next)).into_response();
    let secure = app.config.is_secure();
    for cookie in [
        secrets::set_cookie(SESSION_COOKIE, &token, SESSION_MAX.num_seconds(), secure),
        secrets::set_cookie(LOGIN_COOKIE, "", 0, secure),
    ] {
        response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    }
    Ok(response)
}

/// Logs out.
pub async fn log_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = secrets::cookie(&headers, SESSION_COOKIE) {
        app.store.end_session(&token).await?;
    }
    let mut response = Redirect::to("/login").into_response();
    if let Some(cookie) = secrets::set_cookie(SESSION_COOKIE, "", 0, app.config.is_secure()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for elsewhere in ["", "https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nb", "x"] {
            assert_eq!(own_place(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(own_place("/?days=7"), "/?days=7");
    }
}
