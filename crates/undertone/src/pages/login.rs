//! Logging in and out: a password, or single sign-on, then a second factor where one is needed.

mod noted;
pub mod second_factor;
pub mod sign_on;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use undertone_store::TenantId;
use undertone_store::second_factor::{self as kept, NewSession};
use undertone_store::users::{Guesser, SESSION_MAX, User};

use super::{check_form, form_page};
use crate::api::caller::Caller;
use crate::api::me;
use crate::api::problem::ApiError;
use crate::api::secrets::{self, BROWSER_COOKIE, LOGIN_COOKIE, SESSION_COOKIE, SIGN_ON_COOKIE, STEP_COOKIE};
use crate::app::App;
use crate::limits::ClientAddress;
use crate::passwords;
use crate::second_factor::{self as factor, Need};

/// How somebody comes to another log-in form.
const LOAD_AGAIN: &str = "load the log-in page again";
/// The longest place to go to after the log-in, in bytes.
const LONGEST_NEXT: usize = 500;

/// Where to go afterwards, and whose single sign-on to offer.
#[derive(Debug, Default, Deserialize)]
pub struct Next {
    next: Option<String>,
    #[serde(default)]
    tenant: String,
}

/// A log-in.
#[derive(Deserialize)]
pub struct LogIn {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    csrf: String,
}

/// What a log-in form shows besides its fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown<'a> {
    next: &'a str,
    email: &'a str,
    tenant: &'a str,
    error: Option<&'a str>,
}

/// A place of this service, whatever was asked for: never another one's.
fn own_place(next: &str) -> &str {
    let is_path = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_control())
        && next.len() <= LONGEST_NEXT;
    if is_path { next } else { "/" }
}

async fn form(app: &App, headers: &HeaderMap, shown: Shown<'_>) -> Result<Response, ApiError> {
    let token = secrets::form_token(headers);
    let next = own_place(shown.next);
    let offer = app.store.sign_on_offer(Some(shown.tenant).filter(|slug| !slug.is_empty())).await?;
    let place = offer.as_ref().map(|offer| sign_on::place(&offer.slug, next));
    let page = undertone_ui::login(&undertone_ui::Login {
        next,
        email: shown.email,
        error: shown.error,
        csrf: &token,
        hint: app.log_in_hint.as_deref(),
        sign_on: place.as_deref().zip(offer.as_ref().map(|offer| offer.label.as_str())),
        tenant: shown.tenant,
    });
    let status = if shown.error.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    Ok(form_page(app, &token, (status, page)))
}

/// The log-in page.
pub async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    Query(next): Query<Next>,
) -> Result<Response, ApiError> {
    let place = next.next.as_deref().unwrap_or("/");
    form(&app, &headers, Shown { next: place, tenant: &next.tenant, ..Shown::default() }).await
}

/// Logs in with a password, or goes on to the second factor.
pub async fn log_in(
    State(app): State<App>,
    from: ClientAddress,
    headers: HeaderMap,
    Form(given): Form<LogIn>,
) -> Result<Response, ApiError> {
    check_form(&headers, &given.csrf, LOAD_AGAIN)?;
    let before = Before::of(&headers);
    passwords::attempt(&app, before.guesser(&given.email), from.text().as_deref()).await?;
    let user = app.store.user_by_email(&given.email).await?;
    let hash = user.as_ref().filter(|user| user.active).and_then(|user| user.password_hash.clone());
    let is_right = passwords::is_right(given.password, hash).await?;
    let mut inside = None;
    match user {
        Some(user) if is_right => {
            inside = after_password(&app, (from, &before), &user, own_place(&given.next)).await?;
        }
        Some(user) => noted::refused(&app, from, (TenantId(user.tenant_id), &user.id), "password"),
        None => {}
    }
    if let Some(response) = inside {
        return Ok(response);
    }
    let shown = Shown {
        next: &given.next,
        email: &given.email,
        tenant: &given.tenant,
        error: Some("This e-mail address and password do not go together."),
    };
    form(&app, &headers, shown).await
}

/// What comes after the right password; nothing where it is not the right one any more.
async fn after_password(
    app: &App,
    (from, before): (ClientAddress, &Before),
    user: &User,
    next: &str,
) -> Result<Option<Response>, ApiError> {
    let tenant = TenantId(user.tenant_id);
    if factor::need(app, tenant, &user.id, user.role.parse().ok()).await? != Need::Nothing {
        return second_factor::ask(app, (&user.id, Some(user)), next).await;
    }
    let tokens = Tokens::new();
    let begun = app.store.log_in(user, tokens.begin(before)).await?;
    if begun {
        noted::came_in(app, from, (tenant, &user.id), "password").await?;
    }
    Ok(begun.then(|| with_session(app, &tokens, Redirect::to(next).into_response())))
}

/// What a browser brings along to a log-in.
struct Before {
    session: Option<String>,
    browser: Option<String>,
}

impl Before {
    fn of(headers: &HeaderMap) -> Self {
        let cookie = |name| secrets::cookie(headers, name);
        Self { session: cookie(SESSION_COOKIE), browser: cookie(BROWSER_COOKIE) }
    }

    /// With whom attempts at this address are counted from here.
    fn guesser<'a>(&'a self, email: &'a str) -> Guesser<'a> {
        Guesser::Outside { email, browser: self.browser.as_deref() }
    }
}

/// What a browser takes away from a log-in.
struct Tokens {
    session: String,
    csrf: String,
    browser: String,
}

impl Tokens {
    fn new() -> Self {
        Self { session: secrets::token(), csrf: secrets::token(), browser: secrets::token() }
    }

    /// A session under them, in a browser that had that before.
    fn begin<'a>(&'a self, before: &'a Before) -> NewSession<'a> {
        NewSession {
            browser: Some(&self.browser),
            before: kept::Before { session: before.session.as_deref(), browser: before.browser.as_deref() },
            ..NewSession::of(&self.session, &self.csrf)
        }
    }
}

/// An answer that gives the browser its session, and takes away what it kept on the way there.
fn with_session(app: &App, tokens: &Tokens, mut response: Response) -> Response {
    let secure = app.config.is_secure();
    for cookie in [
        secrets::set_cookie(SESSION_COOKIE, &tokens.session, SESSION_MAX.num_seconds(), secure),
        me::browser_cookie(app, &tokens.browser),
        secrets::set_cookie(LOGIN_COOKIE, "", 0, secure),
        secrets::set_cookie(STEP_COOKIE, "", 0, secure),
        secrets::set_cookie(SIGN_ON_COOKIE, "", 0, secure),
    ] {
        response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    }
    response
}

/// Logs out.
pub async fn log_out(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(token) = secrets::cookie(&headers, SESSION_COOKIE) {
        app.store.end_session(&token, caller.act().from).await?;
    }
    Ok((me::without_session(&app), Redirect::to("/login")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for elsewhere in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "x",
            "/\t/evil.example",
        ] {
            assert_eq!(own_place(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(own_place("/?days=7"), "/?days=7");
    }
}
