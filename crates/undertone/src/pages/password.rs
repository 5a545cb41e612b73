//! Setting a password by a link: an invitation, or a reset. The token stands in the query, which no log of ours has.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use undertone_store::TenantId;
use undertone_store::users::{Link, Purpose, User};
use undertone_ui::words::EN;

use super::{check_form, form_page};
use crate::api::me;
use crate::api::problem::{ApiError, INVALID};
use crate::api::secrets::{self, BROWSER_COOKIE};
use crate::app::App;
use crate::limits::ClientAddress;
use crate::passwords;

/// What a link carries.
#[derive(Deserialize)]
pub struct Token {
    #[serde(default)]
    token: String,
}

/// A new password.
#[derive(Deserialize)]
pub struct NewPassword {
    token: String,
    password: String,
    again: String,
    #[serde(default)]
    csrf: String,
}

/// The page a link leads to.
pub async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    Query(given): Query<Token>,
) -> Result<Response, ApiError> {
    match app.store.password_link(&given.token).await? {
        Some(link) => form(&app, &headers, &given.token, &link, None).await,
        None => Ok(ended()),
    }
}

/// Sets the password, and ends the link.
pub async fn save(
    State(app): State<App>,
    from: ClientAddress,
    headers: HeaderMap,
    Form(given): Form<NewPassword>,
) -> Result<Response, ApiError> {
    check_form(&headers, &given.csrf, "open the link again")?;
    let Some(link) = app.store.password_link(&given.token).await? else { return Ok(ended()) };
    let wrong = if given.password == given.again {
        passwords::check(&given.password, &link.0.email, "password").err()
    } else {
        Some(ApiError::new(INVALID, EN.passwords_differ))
    };
    if let Some(error) = wrong {
        return form(&app, &headers, &given.token, &link, Some(&error.detail)).await;
    }
    let hash = passwords::hashed(given.password).await?;
    let Some(user) = app.store.set_password_by_link(&given.token, &hash, from.text().as_deref()).await?
    else {
        return Ok(ended());
    };
    let done = undertone_ui::Done { title: EN.password_is_set, detail: EN.password_is_set_more };
    let mut response = Html(undertone_ui::done(&done)).into_response();
    // A link lets in whom strangers keep out: they log in from here next.
    let before = secrets::cookie(&headers, BROWSER_COOKIE);
    let cookie = me::known_browser(&app, &user.id, before.as_deref()).await?;
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

async fn form(
    app: &App,
    headers: &HeaderMap,
    token: &str,
    (user, link): &(User, Link),
    error: Option<&str>,
) -> Result<Response, ApiError> {
    let tenant = app.store.tenant(TenantId(user.tenant_id)).await?;
    let csrf = secrets::form_token(headers);
    let page = undertone_ui::set_password(&undertone_ui::SetPassword {
        email: &user.email,
        tenant: tenant.as_ref().map_or("", |tenant| tenant.name.as_str()),
        is_invitation: link.purpose == Purpose::Invitation,
        token,
        error,
        csrf: &csrf,
    });
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(form_page(app, &csrf, (status, page)))
}

fn ended() -> Response {
    let told = undertone_ui::Done { title: EN.link_ended, detail: EN.link_ended_more };
    (StatusCode::GONE, Html(undertone_ui::done(&told))).into_response()
}
