//! Pages for people. What they look like is `undertone-ui`'s business.

pub mod account;
pub mod accuracy;
pub mod inbox;
pub mod login;
pub mod overview;
pub mod password;
pub mod privacy;
pub mod second_factor;
pub mod unsubscribe;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::api::problem::{ApiError, CSRF};
use crate::api::secrets::{self, LOGIN_COOKIE};
use crate::app::App;

/// How long a form waits for somebody who is not logged in, in seconds.
const FORM_LASTS: i64 = 3600;

/// The status of a page that tells of what went wrong, or of nothing.
fn status(error: Option<&ApiError>) -> StatusCode {
    error.and_then(|error| StatusCode::from_u16(error.code.status).ok()).unwrap_or(StatusCode::OK)
}

/// A page with a form for somebody who is not logged in. It belongs to this browser: what is in the cookie, `csrf`, must come back in it.
fn form_page(app: &App, csrf: &str, (status, page): (StatusCode, String)) -> Response {
    let mut response = (status, Html(page)).into_response();
    let cookie = secrets::set_cookie(LOGIN_COOKIE, csrf, FORM_LASTS, app.config.is_secure());
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

/// Refuses such a form where it was not sent to this browser; `again` is how another is had.
fn check_form(headers: &HeaderMap, csrf: &str, again: &str) -> Result<(), ApiError> {
    let cookie = secrets::cookie(headers, LOGIN_COOKIE).unwrap_or_default();
    if cookie.is_empty() || !secrets::equal(&cookie, csrf) {
        return Err(ApiError::new(CSRF, format!("this form is out of date; {again}")));
    }
    Ok(())
}

/// Style, script and icon, under names that change with their content.
pub async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    let asset =
        undertone_ui::assets::find(&format!("/assets/{name}")).ok_or_else(|| ApiError::not_found("file"))?;
    let headers =
        [(header::CONTENT_TYPE, asset.mime), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.text.as_str()).into_response())
}
