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
use super::{LOAD_AGAIN, noted, with_session};
use crate::api::problem::{ApiError, CONFLICT, INVALID, RATE_LIMITED};
use crate::api::secrets::{self, STEP_COOKIE};
use crate::app::App;
use crate::limits::ClientAddress;
use crate::second_factor::{self as factor, Need};

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

fn over() -> Response {
    Redirect::to("/login").into_response()
}

/// The page that asks for a code, or sets a second factor up.
pub async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    match waiting(&app, &headers).await? {
        Some((_, step)) => page(&app, &headers, &step, None).await,
        None => Ok(over()),
    }
}

async fn page(
    app: &App,
    headers: &HeaderMap,
    step: &LoginStep,
    error: Option<&ApiError>,
) -> Result<Response, ApiError> {
    let (tenant, csrf) = (TenantId(step.tenant_id), secrets::form_token(headers));
    let told = error.map(|error| error.detail.as_str());
    let page = match factor::need(app, tenant, &step.user_id, step.role.parse().ok()).await? {
        Need::SetUp => {
            let actor = format!("user:{}", step.user_id);
            let act = Act::new(tenant, &actor);
            let enrolment = factor::set_up_or_go_on(app, &act, &step.user_id, &step.email).await?;
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
    let Some((token, step)) = waiting(&app, &headers).await? else { return Ok(over()) };
    match taken(&app, from, &step, &given.code).await {
        Ok(codes) => inside(&app, from, (&token, &step), &codes).await,
        Err(error) if [INVALID, RATE_LIMITED].contains(&error.code) => {
            noted::refused(&app, from, (TenantId(step.tenant_id), &step.user_id), "second_factor");
            page(&app, &headers, &step, Some(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// Checks the code; answers recovery codes where it was the first one.
async fn taken(
    app: &App,
    from: ClientAddress,
    step: &LoginStep,
    code: &str,
) -> Result<Vec<String>, ApiError> {
    let (tenant, who) = (TenantId(step.tenant_id), (step.user_id.as_str(), step.email.as_str()));
    let (actor, from) = (format!("user:{}", step.user_id), from.text());
    let act = Act { from: from.as_deref(), ..Act::new(tenant, &actor) };
    match factor::need(app, tenant, who.0, step.role.parse().ok()).await? {
        Need::SetUp => factor::confirm(app, &act, who, code, None).await,
        Need::Code if !factor::is_right(app, &act, who, code).await? => Err(factor::wrong_code()),
        Need::Code => Ok(Vec::new()),
        // It was removed, and the role does not take one.
        Need::Nothing => Err(ApiError::new(CONFLICT, "no code is needed any more; log in again")),
    }
}

async fn inside(
    app: &App,
    from: ClientAddress,
    (token, step): (&str, &LoginStep),
    codes: &[String],
) -> Result<Response, ApiError> {
    let session = secrets::token();
    if !app.store.finish_login_step(token, (&session, &secrets::token())).await? {
        return Ok(over());
    }
    noted::came_in(app, from, (TenantId(step.tenant_id), &step.user_id), "second_factor").await?;
    let response = if codes.is_empty() {
        Redirect::to(&step.next).into_response()
    } else {
        let shown = undertone_ui::RecoveryCodes { codes, next: &step.next };
        Html(undertone_ui::recovery_codes(&shown)).into_response()
    };
    Ok(with_session(app, &session, response))
}
