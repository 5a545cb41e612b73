//! Single sign-on at the log-in: to the tenant's provider and back.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use undertone_store::Tenant;
use undertone_store::second_factor::NewSession;
use undertone_store::sign_on::{Refusal, SignOnProvider, SignedOn, Vouched};

use super::{Before, Shown, Tokens, form, noted, own_place, second_factor, with_session};
use crate::api::problem::ApiError;
use crate::api::secrets::{self, SIGN_ON_COOKIE};
use crate::app::App;
use crate::limits::ClientAddress;
use crate::second_factor::{self as factor, Need};
use crate::sign_on::{FLOW_LASTS, Flow, Returned, SignOnError, redirect_address};

/// Where a tenant's single sign-on begins.
pub fn place(slug: &str, next: &str) -> String {
    let query = serde_urlencoded::to_string([("tenant", slug), ("next", next)]).unwrap_or_default();
    format!("/login/sign-on?{query}")
}

/// Whose, and where to afterwards.
#[derive(Debug, Deserialize)]
pub struct Begin {
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    next: String,
}

/// What the provider adds to the address.
#[derive(Deserialize)]
pub struct Back {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    iss: Option<String>,
    error: Option<String>,
}

/// Sends the browser to the provider.
pub async fn begin(
    State(app): State<App>,
    headers: HeaderMap,
    Query(asked): Query<Begin>,
) -> Result<Response, ApiError> {
    let next = own_place(&asked.next);
    let shown = Shown { next, tenant: &asked.tenant, ..Shown::default() };
    let tenant = app.store.tenant_by_slug(&asked.tenant).await?;
    let provider = match &tenant {
        Some(tenant) => app.store.sign_on_provider(tenant.id).await?,
        None => None,
    };
    let Some(provider) = provider else { return form(&app, &headers, shown).await };
    let keyring = app.provider_keys.keyring();
    let begun = app
        .sign_on
        .begin(keyring, &provider, (&redirect_address(&app.config.address()), next), app.store.now())
        .await;
    let (address, cookie) = match begun {
        Ok(begun) => begun,
        Err(error) => return refused(&app, &headers, shown, &error).await,
    };
    let mut response = Redirect::to(&address).into_response();
    let kept = secrets::set_cookie(SIGN_ON_COOKIE, &cookie, FLOW_LASTS.num_seconds(), app.config.is_secure());
    response.headers_mut().extend(kept.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// Takes whoever comes back from the provider in.
pub async fn back(
    State(app): State<App>,
    from: ClientAddress,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Result<Response, ApiError> {
    let keyring = app.provider_keys.keyring();
    let flow = secrets::cookie(&headers, SIGN_ON_COOKIE).and_then(|kept| Flow::opened(keyring, &kept));
    let Some(flow) = flow else {
        return refused(&app, &headers, Shown::default(), &SignOnError::NotBegun).await;
    };
    let tenant = app.store.tenant(flow.tenant).await?;
    let provider = app.store.sign_on_provider(flow.tenant).await?;
    let Some((tenant, provider)) = tenant.zip(provider) else {
        return refused(&app, &headers, Shown::default(), &SignOnError::NotBegun).await;
    };
    let shown = Shown { next: &flow.next, tenant: &tenant.slug, ..Shown::default() };
    match who(&app, (&provider, &flow), &back).await {
        Ok((subject, email)) => {
            let vouched = Vouched { issuer: &provider.issuer, subject: &subject, email: &email };
            match app.store.sign_on(tenant.id, from.text().as_deref(), vouched).await? {
                Ok(person) => inside(&app, (&headers, from), &tenant, &person, shown).await,
                Err(refusal) => {
                    tracing::warn!(tenant = tenant.slug, ?refusal, "a single sign-on was refused: {refusal}");
                    let told = refusal.to_string();
                    form(&app, &headers, Shown { error: Some(&told), ..shown }).await
                }
            }
        }
        Err(error) => refused(&app, &headers, shown, &error).await,
    }
}

/// Whom the provider means, and their address.
async fn who(
    app: &App,
    (provider, flow): (&SignOnProvider, &Flow),
    back: &Back,
) -> Result<(String, String), SignOnError> {
    if let Some(error) = &back.error {
        // Anybody can write this address: nothing of it but a plain word is told.
        let word: String =
            error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        return Err(SignOnError::Denied(word));
    }
    let returned = Returned { code: &back.code, state: &back.state, issuer: back.iss.as_deref() };
    let keyring = app.provider_keys.keyring();
    let redirect = redirect_address(&app.config.address());
    let person = app.sign_on.finish(keyring, (provider, flow), returned, &redirect, app.store.now()).await?;
    Ok((person.subject, person.email))
}

async fn inside(
    app: &App,
    (headers, from): (&HeaderMap, ClientAddress),
    tenant: &Tenant,
    person: &SignedOn,
    shown: Shown<'_>,
) -> Result<Response, ApiError> {
    let next = own_place(shown.next);
    let role = Some(person.role);
    let response = if !person.second_factor
        && factor::need(app, tenant.id, &person.user_id, role).await? != Need::Nothing
    {
        let asked = second_factor::ask(app, (&person.user_id, None), next).await?;
        asked.map(|asked| without_flow(app, asked))
    } else {
        let (tokens, before) = (Tokens::new(), Before::of(headers));
        let new = NewSession { second_factor: person.second_factor, ..tokens.begin(&before) };
        let begun = app.store.begin_session_as(&person.user_id, new).await?;
        if begun {
            noted::came_in(app, from, (tenant.id, &person.user_id), "single_sign_on").await?;
        }
        begun.then(|| with_session(app, &tokens, Redirect::to(next).into_response()))
    };
    if let Some(response) = response {
        return Ok(response);
    }
    let told = Refusal::Deactivated.to_string();
    form(app, headers, Shown { error: Some(&told), ..shown }).await
}

fn without_flow(app: &App, mut response: Response) -> Response {
    let gone = secrets::set_cookie(SIGN_ON_COOKIE, "", 0, app.config.is_secure());
    response.headers_mut().extend(gone.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

/// The log-in page with what went wrong. What an administrator has to look into is in the log too.
async fn refused(
    app: &App,
    headers: &HeaderMap,
    shown: Shown<'_>,
    error: &SignOnError,
) -> Result<Response, ApiError> {
    tracing::warn!(tenant = shown.tenant, "single sign-on: {error}");
    let told = match error {
        SignOnError::Key(_) => "Single sign-on can not be used right now; the log has the cause.".to_owned(),
        other => format!("Single sign-on: {other}"),
    };
    let answered = form(app, headers, Shown { error: Some(&told), ..shown }).await?;
    Ok(without_flow(app, answered))
}
