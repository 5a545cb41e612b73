//! The second factor at the log-in: a code of somebody who has one, or setting one up where their role takes it.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use undertone_store::second_factor::{LoginStep, STEP_LASTS};
use undertone_store::users::User;
use undertone_store::{Act, TenantId};

use super::super::{check_form, form_page, status};
use super::{Before, LOAD_AGAIN, Tokens, noted, with_session};
use crate::api::problem::{ApiError, CONFLICT, INVALID, RATE_LIMITED};
use crate::api::secrets::{self, STEP_COOKIE};
use crate::app::App;
use crate::limits::ClientAddress;
use crate::second_factor::{self as factor, Need, Who};

/// Where the browser goes on.
const PLACE: &str = "/login/second-factor";

/// A code.
#[derive(Deserialize)]
pub struct Given {
    code: String,
    #[serde(default)]
    csrf: String,
}

/// Sends somebody who showed who they are on to their second factor; nothing where they may not come in any more. `checked` is whom a
/// password was found right for.
pub async fn ask(app: &App, who: (&str, Option<&User>), next: &str) -> Result<Option<Response>, ApiError> {
    let token = secrets::token();
    if !app.store.begin_login_step(who, &token, next).await? {
        return Ok(None);
    }
    let mut response = Redirect::to(PLACE).into_response();
    let cookie = secrets::set_cookie(STEP_COOKIE, &token, STEP_LASTS.num_seconds(), app.config.is_secure());
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(Some(response))
}

/// The log-in that waits in this browser.
async fn waiting(app: &App, headers: &HeaderMap) -> Result<Option<(String, LoginStep)>, ApiError> {
    let Some(token) = secrets::cookie(headers, STEP_COOKIE) else { return Ok(None) };
    Ok(app.store.login_step(&token).await?.map(|step| (token, step)))
}

/// Whose log-in waits under `token`, in a browser that brings that along.
fn who<'a>(step: &'a LoginStep, token: &'a str, before: &'a Before) -> Who<'a> {
    let (user, email) = (step.user_id.as_str(), step.email.as_str());
    Who { user, email, guesser: before.guesser(email), setter: token }
}

fn over() -> Response {
    Redirect::to("/login").into_response()
}

/// The page that asks for a code, or sets a second factor up.
pub async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    match waiting(&app, &headers).await? {
        Some(waiting) => page(&app, &headers, &waiting, None).await,
        None => Ok(over()),
    }
}

async fn page(
    app: &App,
    headers: &HeaderMap,
    (token, step): &(String, LoginStep),
    error: Option<&ApiError>,
) -> Result<Response, ApiError> {
    let (tenant, csrf) = (TenantId(step.tenant_id), secrets::form_token(headers));
    let told = error.map(|error| error.detail.as_str());
    let page = match factor::need(app, tenant, &step.user_id, step.role.parse().ok()).await? {
        Need::SetUp => {
            let actor = format!("user:{}", step.user_id);
            let act = Act::new(tenant, &actor);
            let before = Before::of(headers);
            let who = who(step, token, &before);
            let enrolment = match factor::go_on(app, &act, who).await? {
                Some(enrolment) => enrolment,
                None => factor::set_up(app, &act, who).await?,
            };
            undertone_ui::set_up(&undertone_ui::SetUp {
                email: &step.email,
                is_required: true,
                picture: &factor::picture(&enrolment)?,
                seed: enrolment.seed.expose(),
                action: PLACE,
                error: told,
                csrf: &csrf,
            })
        }
        Need::Code | Need::Nothing => {
            undertone_ui::code(&undertone_ui::Code { email: &step.email, error: told, csrf: &csrf })
        }
    };
    Ok(form_page(app, &csrf, (status(error), page)))
}

/// Takes the code, and logs in.
pub async fn take(
    State(app): State<App>,
    from: ClientAddress,
    headers: HeaderMap,
    Form(given): Form<Given>,
) -> Result<Response, ApiError> {
    check_form(&headers, &given.csrf, LOAD_AGAIN)?;
    let Some(waiting) = waiting(&app, &headers).await? else { return Ok(over()) };
    let (before, step) = (Before::of(&headers), &waiting.1);
    match taken(&app, from, (step, who(step, &waiting.0, &before)), &given.code).await {
        Ok(codes) => inside(&app, (from, &before), &waiting, &codes).await,
        Err(error) if error.code == INVALID => {
            noted::refused(&app, from, (TenantId(step.tenant_id), &step.user_id), "second_factor");
            page(&app, &headers, &waiting, Some(&error)).await
        }
        // While attempts are locked nothing is noted but the lock, and what was set up meanwhile elsewhere is set up anew.
        Err(error) if [RATE_LIMITED, CONFLICT].contains(&error.code) => {
            page(&app, &headers, &waiting, Some(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// Checks the code; answers recovery codes where it was the first one.
async fn taken(
    app: &App,
    from: ClientAddress,
    (step, who): (&LoginStep, Who<'_>),
    code: &str,
) -> Result<Vec<String>, ApiError> {
    let tenant = TenantId(step.tenant_id);
    let (actor, from) = (format!("user:{}", step.user_id), from.text());
    let act = Act { from: from.as_deref(), ..Act::new(tenant, &actor) };
    match factor::need(app, tenant, who.user, step.role.parse().ok()).await? {
        Need::SetUp => factor::confirm(app, &act, who, code, None).await,
        Need::Code if !factor::is_right(app, &act, who, code).await? => Err(factor::wrong_code()),
        Need::Code => Ok(Vec::new()),
        // It was removed, and the role does not take one.
        Need::Nothing => Err(ApiError::new(CONFLICT, "no code is needed any more; log in again")),
    }
}

async fn inside(
    app: &App,
    (from, before): (ClientAddress, &Before),
    (token, step): &(String, LoginStep),
    codes: &[String],
) -> Result<Response, ApiError> {
    let tokens = Tokens::new();
    if !app.store.finish_login_step(token, tokens.begin(before)).await? {
        return Ok(over());
    }
    noted::came_in(app, from, (TenantId(step.tenant_id), &step.user_id), "second_factor").await?;
    let response = if codes.is_empty() {
        Redirect::to(&step.next).into_response()
    } else {
        let shown = undertone_ui::RecoveryCodes { codes, next: &step.next };
        Html(undertone_ui::recovery_codes(&shown)).into_response()
    };
    Ok(with_session(app, &tokens, response))
}
