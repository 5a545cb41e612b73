//! One's own second factor: setting it up, other recovery codes, removing it.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::status;
use crate::api::caller::{Caller, Person};
use crate::api::problem::{ApiError, CONFLICT, INVALID, RATE_LIMITED};
use crate::api::second_factor as own;
use crate::app::App;
use crate::second_factor::{self as factor, Enrolment};

/// Where the page is.
const PLACE: &str = "/account/second-factor";

/// The password, of somebody who has one.
#[derive(Deserialize)]
pub struct Password {
    #[serde(default)]
    password: String,
}

/// A code.
#[derive(Deserialize)]
pub struct Code {
    code: String,
}

/// The page.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    page(&app, &caller, None).await
}

/// Begins to set one up.
pub async fn begin(
    State(app): State<App>,
    caller: Caller,
    Form(given): Form<Password>,
) -> Result<Response, ApiError> {
    match own::begin_for(&app, &caller, given.password).await {
        Ok(enrolment) => scan(&caller, &enrolment, None),
        Err(error) => shown(&app, &caller, error).await,
    }
}

/// Confirms it with a first code, and shows the recovery codes.
pub async fn confirm(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Form(given): Form<Code>,
) -> Result<Response, ApiError> {
    match own::confirm_for(&app, &caller, &headers, &given.code).await {
        Ok(codes) => Ok(codes_page(&codes)),
        Err(error) if [INVALID, RATE_LIMITED].contains(&error.code) => {
            // What is begun here takes a password: nothing is, where nothing waits.
            match factor::go_on(&app, &caller.act(), own::who(&caller)?).await? {
                Some(enrolment) => scan(&caller, &enrolment, Some(&error)),
                None => shown(&app, &caller, error).await,
            }
        }
        Err(error) => shown(&app, &caller, error).await,
    }
}

/// Other recovery codes.
pub async fn renew(
    State(app): State<App>,
    caller: Caller,
    Form(given): Form<Code>,
) -> Result<Response, ApiError> {
    match own::renew_for(&app, &caller, &given.code).await {
        Ok(codes) => Ok(codes_page(&codes)),
        Err(error) => shown(&app, &caller, error).await,
    }
}

/// Removes it.
pub async fn remove(
    State(app): State<App>,
    caller: Caller,
    Form(given): Form<Code>,
) -> Result<Response, ApiError> {
    match own::remove_for(&app, &caller, &given.code).await {
        Ok(()) => Ok(Redirect::to(PLACE).into_response()),
        Err(error) => shown(&app, &caller, error).await,
    }
}

fn codes_page(codes: &[String]) -> Response {
    let view = undertone_ui::RecoveryCodes { codes, next: PLACE };
    Html(undertone_ui::recovery_codes(&view)).into_response()
}

fn scan(caller: &Caller, enrolment: &Enrolment, error: Option<&ApiError>) -> Result<Response, ApiError> {
    let Person { email, csrf, .. } = caller.session()?;
    let html = undertone_ui::set_up(&undertone_ui::SetUp {
        email,
        is_required: false,
        picture: &factor::picture(enrolment)?,
        seed: enrolment.seed.expose(),
        action: "/account/second-factor/confirm",
        error: error.map(|error| error.detail.as_str()),
        csrf,
    });
    Ok((status(error), Html(html)).into_response())
}

/// The page with what a person can do something about; everything else is a failure of its own.
async fn shown(app: &App, caller: &Caller, error: ApiError) -> Result<Response, ApiError> {
    if [INVALID, RATE_LIMITED, CONFLICT].contains(&error.code) {
        return page(app, caller, Some(&error)).await;
    }
    Err(error)
}

async fn page(app: &App, caller: &Caller, error: Option<&ApiError>) -> Result<Response, ApiError> {
    let Person { user, email, csrf } = caller.session()?;
    let missing = || ApiError::not_found("user");
    let person = app.store.user(caller.tenant_id(), user).await?.ok_or_else(missing)?;
    let factor = app.store.second_factor(caller.tenant_id(), user).await?;
    let active = factor.filter(|factor| factor.confirmed_at.is_some());
    let html = undertone_ui::second_factor(&undertone_ui::SecondFactor {
        tenant: &caller.tenant.name,
        email,
        is_active: active.is_some(),
        codes_left: active.map_or(0, |factor| factor.recovery_codes_left),
        is_required: factor::is_required(app, caller.tenant_id(), caller.role()).await?,
        has_password: person.password_hash.is_some(),
        error: error.map(|error| error.detail.as_str()),
        csrf,
    });
    Ok((status(error), Html(html)).into_response())
}
