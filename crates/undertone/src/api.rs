//! HTTP. [`ROUTES`] is the one table of what there is: it builds the router, the OpenAPI document is compared with it, and the tests try
//! every line of it without a key, with the wrong scope and with another tenant's ids.

pub mod agents;
mod ai_usage;
pub mod alerts;
mod audit;
mod backfills;
pub mod body;
mod calibration;
pub mod caller;
mod cascade;
mod customers;
mod destinations;
mod events;
mod groups;
mod guide;
mod health;
pub mod inbox;
pub mod interactions;
mod keys;
pub mod live;
mod llm_model;
pub mod me;
mod module;
mod notifications;
mod openapi;
mod overrides;
mod overview;
mod people;
pub mod privacy;
pub mod problem;
mod provider_keys;
mod review;
mod score;
pub mod second_factor;
pub mod secrets;
mod settings;
pub mod sign_on;
#[cfg(test)]
mod tests;
pub mod users;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

pub use interactions::explanation;

use crate::app::App;
use crate::{limits, pages};
use caller::Access::{self, Needs, Page, PageFor, Public};
use undertone_core::Permission as May;

/// The longest body that is read as a whole, in bytes. Files of interactions are read in pieces and may be longer.
pub const MAX_BODY: usize = crate::intake::MOST_ITEM;

/// One line of the table.
pub struct Route {
    /// `GET`, `POST` …
    pub method: &'static str,
    /// The address; `{id}` stands for an id, `{*file}` for all the rest.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    handler: fn() -> MethodRouter<App>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    handler: fn() -> MethodRouter<App>,
) -> Route {
    Route { method, path, access, handler }
}

/// Everything there is.
pub const ROUTES: &[Route] = &[
    route("POST", "/api/v1/interactions", Needs(May::Ingest), || post(interactions::take)),
    route("GET", "/api/v1/interactions", Needs(May::Read), || get(interactions::list)),
    route("GET", "/api/v1/interactions/export", Needs(May::Export), || get(interactions::export)),
    route("GET", "/api/v1/interactions/{id}", Needs(May::Read), || get(interactions::show)),
    route("POST", "/api/v1/interactions/{id}/rescore", Needs(May::Backfill), || post(backfills::rescore)),
    route("GET", "/api/v1/interactions/{id}/override", Needs(May::Read), || get(overrides::show)),
    route("POST", "/api/v1/interactions/{id}/override", Needs(May::Correct), || post(overrides::set)),
    route("DELETE", "/api/v1/interactions/{id}/override", Needs(May::Correct), || delete(overrides::clear)),
    route("GET", "/api/v1/review", Needs(May::Review), || get(review::list)),
    route("POST", "/api/v1/review/claims", Needs(May::Review), || post(review::claim)),
    route("PUT", "/api/v1/review/shares", Needs(May::ManageReview), || put(review::shares)),
    route("GET", "/api/v1/review/results", Needs(May::ManageReview), || get(review::results)),
    route("GET", "/api/v1/review/agreement", Needs(May::ManageReview), || get(review::agreement)),
    route("GET", "/api/v1/review/{id}", Needs(May::Review), || get(review::show)),
    route("POST", "/api/v1/review/{id}/label", Needs(May::Review), || post(review::label)),
    route("DELETE", "/api/v1/review/{id}/claim", Needs(May::Review), || delete(review::release)),
    route("GET", "/api/v1/customers/{id}", Needs(May::Read), || get(customers::show)),
    route("GET", "/api/v1/customers/{id}/sentiment", Needs(May::Read), || get(customers::sentiment)),
    route("PUT", "/api/v1/customers/{id}", Needs(May::Ingest), || put(people::save_customer)),
    route("PUT", "/api/v1/customers/{id}/opt-out", Needs(May::Ingest), || put(people::opt_out)),
    route("DELETE", "/api/v1/customers/{id}/opt-out", Needs(May::Privacy), || delete(people::opt_in)),
    route("DELETE", "/api/v1/customers/{id}", Needs(May::Privacy), || delete(privacy::erase_customer)),
    route("GET", "/api/v1/customers/{id}/export", Needs(May::Privacy), || get(privacy::export)),
    route("PUT", "/api/v1/customers/{id}/legal-hold", Needs(May::Privacy), || put(privacy::place_hold)),
    route("DELETE", "/api/v1/customers/{id}/legal-hold", Needs(May::Privacy), || delete(privacy::lift_hold)),
    route("GET", "/api/v1/legal-holds", Needs(May::Privacy), || get(privacy::holds)),
    route("POST", "/api/v1/erasures", Needs(May::Privacy), || post(privacy::erase)),
    route("GET", "/api/v1/erasures", Needs(May::Privacy), || get(privacy::erasures)),
    route("GET", "/api/v1/erasures/{id}", Needs(May::Privacy), || get(privacy::erasure)),
    route("GET", "/api/v1/retention", Needs(May::Privacy), || get(privacy::retention)),
    route("GET", "/api/v1/retention/preview", Needs(May::Privacy), || get(privacy::preview)),
    route("GET", "/api/v1/privacy", Needs(May::Read), || get(privacy::notice)),
    route("PUT", "/api/v1/accounts/{id}", Needs(May::Ingest), || put(people::save_account)),
    route("PUT", "/api/v1/accounts/{id}/manager", Needs(May::Users), || put(people::set_manager)),
    route("PUT", "/api/v1/agents/{id}", Needs(May::Ingest), || put(people::save_agent)),
    route("GET", "/api/v1/agents/numbers", Needs(May::AgentNumbers), || get(agents::list)),
    route("GET", "/api/v1/agents/numbers/switch", Needs(May::Read), || get(agents::show_switch)),
    route("PUT", "/api/v1/agents/numbers/switch", Needs(May::Settings), || put(agents::switch)),
    route("GET", "/api/v1/agents/{id}/numbers", Needs(May::AgentNumbers), || get(agents::show)),
    route("GET", "/api/v1/me/numbers", Needs(May::OwnNumbers), || get(agents::mine)),
    route("PUT", "/api/v1/teams/{id}", Needs(May::Ingest), || put(people::save_team)),
    route("PUT", "/api/v1/conversations/{id}", Needs(May::Ingest), || put(people::save_conversation)),
    route("GET", "/api/v1/escalations", Needs(May::Read), || get(customers::escalations)),
    route("GET", "/api/v1/groups", Needs(May::Read), || get(groups::show)),
    route("GET", "/api/v1/overview", Needs(May::Read), || get(overview::show)),
    route("GET", "/api/v1/settings", Needs(May::Read), || get(settings::show)),
    route("PUT", "/api/v1/settings", Needs(May::Settings), || put(settings::save)),
    route("DELETE", "/api/v1/settings", Needs(May::Settings), || delete(settings::reset)),
    route("GET", "/api/v1/llm-model", Needs(May::Read), || get(llm_model::show)),
    route("PUT", "/api/v1/llm-model", Needs(May::Settings), || put(llm_model::save)),
    route("GET", "/api/v1/module", Needs(May::Read), || get(module::show)),
    route("POST", "/api/v1/module/activate", Needs(May::Settings), || post(module::activate)),
    route("POST", "/api/v1/module/deactivate", Needs(May::Settings), || post(module::deactivate)),
    route("POST", "/api/v1/score", Needs(May::Score), || post(score::score)),
    route("GET", "/api/v1/calibration", Needs(May::Read), || get(calibration::show)),
    route("POST", "/api/v1/calibration", Needs(May::Calibrate), || post(calibration::learn)),
    route("POST", "/api/v1/calibration/labels", Needs(May::Calibrate), || post(calibration::take)),
    route("DELETE", "/api/v1/calibration/labels", Needs(May::Calibrate), || delete(calibration::forget)),
    route("POST", "/api/v1/calibration/lessons/{id}/activate", Needs(May::Calibrate), || {
        post(calibration::activate)
    }),
    route("POST", "/api/v1/calibration/revert", Needs(May::Calibrate), || post(calibration::revert)),
    route("GET", "/api/v1/ai-usage", Needs(May::Read), || get(ai_usage::usage)),
    route("GET", "/api/v1/ai-budget", Needs(May::Read), || get(ai_usage::budget)),
    route("GET", "/api/v1/ai-calls", Needs(May::Calls), || get(ai_usage::calls)),
    route("GET", "/api/v1/cascade", Needs(May::Read), || get(cascade::show)),
    route("GET", "/api/v1/cascade/advice", Needs(May::Read), || get(cascade::advise)),
    route("POST", "/api/v1/backfills", Needs(May::Backfill), || post(backfills::start)),
    route("GET", "/api/v1/backfills", Needs(May::Read), || get(backfills::list)),
    route("GET", "/api/v1/backfills/{id}", Needs(May::Read), || get(backfills::show)),
    route("POST", "/api/v1/backfills/{id}/pause", Needs(May::Backfill), || post(backfills::pause)),
    route("POST", "/api/v1/backfills/{id}/resume", Needs(May::Backfill), || post(backfills::resume)),
    route("POST", "/api/v1/backfills/{id}/cancel", Needs(May::Backfill), || post(backfills::cancel)),
    route("GET", "/api/v1/provider-keys", Needs(May::Keys), || get(provider_keys::show)),
    route("PUT", "/api/v1/provider-keys/{provider}", Needs(May::Keys), || put(provider_keys::save)),
    route("DELETE", "/api/v1/provider-keys/{provider}", Needs(May::Keys), || delete(provider_keys::remove)),
    route("GET", "/api/v1/audit", Needs(May::Audit), || get(audit::list)),
    route("GET", "/api/v1/audit/head", Needs(May::Audit), || get(audit::head)),
    route("GET", "/api/v1/audit/verify", Needs(May::Audit), || get(audit::verify)),
    route("GET", "/api/v1/audit/export", Needs(May::Audit), || get(audit::export)),
    route("GET", "/api/v1/alerts", Needs(May::Read), || get(alerts::list)),
    route("GET", "/api/v1/alerts/{id}", Needs(May::Read), || get(alerts::show)),
    route("POST", "/api/v1/alerts/{id}/acknowledge", Needs(May::Alerts), || post(alerts::acknowledge)),
    route("POST", "/api/v1/alerts/{id}/assign", Needs(May::Alerts), || post(alerts::assign)),
    route("POST", "/api/v1/alerts/{id}/snooze", Needs(May::Alerts), || post(alerts::snooze)),
    route("POST", "/api/v1/alerts/{id}/resolve", Needs(May::Alerts), || post(alerts::resolve)),
    route("GET", "/api/v1/incidents", Needs(May::Read), || get(alerts::incidents)),
    route("GET", "/api/v1/incidents/{id}", Needs(May::Read), || get(alerts::incident)),
    route("POST", "/api/v1/incidents/{id}/close", Needs(May::Alerts), || post(alerts::close_incident)),
    route("GET", "/api/v1/events", Needs(May::Read), || get(events::follow)),
    route("GET", "/api/v1/destinations", Needs(May::Settings), || get(destinations::list)),
    route("POST", "/api/v1/destinations", Needs(May::Settings), || post(destinations::create)),
    route("GET", "/api/v1/destinations/{id}", Needs(May::Settings), || get(destinations::show)),
    route("PUT", "/api/v1/destinations/{id}", Needs(May::Settings), || put(destinations::change)),
    route("DELETE", "/api/v1/destinations/{id}", Needs(May::Settings), || delete(destinations::remove)),
    route("POST", "/api/v1/destinations/{id}/test", Needs(May::Settings), || post(destinations::test)),
    route("POST", "/api/v1/destinations/{id}/rotate-key", Needs(May::Settings), || {
        post(destinations::rotate_key)
    }),
    route("GET", "/api/v1/destinations/{id}/deliveries", Needs(May::Settings), || {
        get(destinations::deliveries)
    }),
    route("POST", "/api/v1/destinations/{id}/replay", Needs(May::Settings), || {
        post(destinations::replay_range)
    }),
    route("GET", "/api/v1/deliveries/{id}", Needs(May::Settings), || get(destinations::delivery)),
    route("POST", "/api/v1/deliveries/{id}/replay", Needs(May::Settings), || post(destinations::replay)),
    route("GET", "/api/v1/inbox", Needs(May::Account), || get(inbox::list)),
    route("GET", "/api/v1/inbox/live", Needs(May::Account), || get(inbox::follow)),
    route("POST", "/api/v1/inbox/read-all", Needs(May::Account), || post(inbox::read_all)),
    route("POST", "/api/v1/inbox/{id}/read", Needs(May::Account), || post(inbox::read)),
    route("GET", "/api/v1/me/notifications", Needs(May::Account), || get(notifications::show)),
    route("PUT", "/api/v1/me/notifications", Needs(May::Account), || put(notifications::save)),
    route("GET", "/api/v1/me", Needs(May::Read), || get(me::show)),
    route("POST", "/api/v1/me/password", Needs(May::Account), || post(me::change_password)),
    route("POST", "/api/v1/me/log-out", Needs(May::Account), || post(me::log_out)),
    route("GET", "/api/v1/me/second-factor", Needs(May::Account), || get(second_factor::show)),
    route("POST", "/api/v1/me/second-factor", Needs(May::Account), || post(second_factor::begin)),
    route("POST", "/api/v1/me/second-factor/confirm", Needs(May::Account), || post(second_factor::confirm)),
    route("POST", "/api/v1/me/second-factor/recovery-codes", Needs(May::Account), || {
        post(second_factor::renew)
    }),
    route("POST", "/api/v1/me/second-factor/remove", Needs(May::Account), || post(second_factor::remove)),
    route("DELETE", "/api/v1/users/{id}/second-factor", Needs(May::Users), || delete(second_factor::reset)),
    route("DELETE", "/api/v1/users/{id}/single-sign-on", Needs(May::Users), || delete(sign_on::unlink)),
    route("GET", "/api/v1/single-sign-on", Needs(May::Users), || get(sign_on::show)),
    route("PUT", "/api/v1/single-sign-on", Needs(May::Users), || put(sign_on::save)),
    route("DELETE", "/api/v1/single-sign-on", Needs(May::Users), || delete(sign_on::remove)),
    route("GET", "/api/v1/users", Needs(May::Users), || get(users::list)),
    route("POST", "/api/v1/users", Needs(May::Users), || post(users::invite)),
    route("GET", "/api/v1/users/{id}", Needs(May::Users), || get(users::show)),
    route("PUT", "/api/v1/users/{id}", Needs(May::Users), || put(users::change)),
    route("POST", "/api/v1/users/{id}/link", Needs(May::Users), || post(users::issue_link)),
    route("POST", "/api/v1/users/{id}/deactivate", Needs(May::Users), || post(users::deactivate)),
    route("POST", "/api/v1/users/{id}/activate", Needs(May::Users), || post(users::activate)),
    route("POST", "/api/v1/users/{id}/log-out", Needs(May::Users), || post(users::log_out)),
    route("GET", "/api/v1/keys", Needs(May::Keys), || get(keys::list)),
    route("POST", "/api/v1/keys", Needs(May::Keys), || post(keys::create)),
    route("DELETE", "/api/v1/keys/{id}", Needs(May::Keys), || delete(keys::revoke)),
    // The module guide's own addresses.
    route("POST", "/crm/api/log-interaction.php", Needs(May::Ingest), || post(guide::log_interaction)),
    route("GET", "/crm/api/sentiment.php", Needs(May::Read), || get(guide::sentiment)),
    route("POST", "/crm/api/sentiment.php", Needs(May::Correct), || post(guide::correction::set_override)),
    route("GET", "/tenant-admin/api/sentiment-settings.php", Needs(May::Read), || get(guide::settings)),
    route("POST", "/tenant-admin/api/sentiment-settings.php", Needs(May::Settings), || {
        post(guide::change_settings)
    }),
    route("POST", "/api/v2/interactions", Needs(May::Ingest), || post(interactions::take)),
    route("GET", "/tenant-admin/modules/sentiment-analysis-dashboard.php", Page, || get(guide::to_overview)),
    route("GET", "/tenant-admin/modules/sentiment-settings.php", Page, || get(guide::to_overview)),
    route("GET", "/admin/backfill-sentiment.php", Page, || get(guide::to_overview)),
    // What is there for everybody.
    route("GET", "/healthz", Public, || get(health::alive)),
    route("GET", "/readyz", Public, || get(health::ready)),
    route("GET", "/metrics", Public, || get(health::metrics)),
    route("GET", "/api/openapi.json", Public, || get(openapi::document)),
    route("GET", "/api/docs", Public, || get(openapi::to_browser)),
    route("GET", "/api/docs/", Public, || get(openapi::browser)),
    route("GET", "/api/docs/{*file}", Public, || get(openapi::browser_file)),
    route("GET", "/api/docs/errors", Public, || get(openapi::errors)),
    route("GET", "/api/docs/events", Public, || get(events::catalogue)),
    // Pages.
    route("GET", "/login", Public, || get(pages::login::show)),
    route("POST", "/login", Public, || post(pages::login::log_in)),
    route("GET", "/set-password", Public, || get(pages::password::show)),
    route("POST", "/set-password", Public, || post(pages::password::save)),
    route("GET", "/unsubscribe", Public, || get(pages::unsubscribe::show)),
    route("POST", "/unsubscribe", Public, || post(pages::unsubscribe::end)),
    route("GET", "/inbox", Page, || get(pages::inbox::show)),
    route("POST", "/inbox/read-all", Page, || post(pages::inbox::read_all)),
    route("POST", "/inbox/{id}/read", Page, || post(pages::inbox::read)),
    route("POST", "/inbox/alerts/{id}", PageFor(May::Alerts), || post(pages::inbox::act)),
    route("GET", "/account", Page, || get(pages::account::show)),
    route("POST", "/account/password", Page, || post(pages::account::change_password)),
    route("POST", "/account/log-out", Page, || post(pages::account::log_out)),
    route("GET", "/login/second-factor", Public, || get(pages::login::second_factor::show)),
    route("POST", "/login/second-factor", Public, || post(pages::login::second_factor::take)),
    route("GET", "/login/sign-on", Public, || get(pages::login::sign_on::begin)),
    route("GET", "/login/sign-on/callback", Public, || get(pages::login::sign_on::back)),
    route("GET", "/account/second-factor", Page, || get(pages::second_factor::show)),
    route("POST", "/account/second-factor", Page, || post(pages::second_factor::begin)),
    route("POST", "/account/second-factor/confirm", Page, || post(pages::second_factor::confirm)),
    route("POST", "/account/second-factor/codes", Page, || post(pages::second_factor::renew)),
    route("POST", "/account/second-factor/remove", Page, || post(pages::second_factor::remove)),
    route("POST", "/logout", Page, || post(pages::login::log_out)),
    route("GET", "/", Page, || get(pages::overview::show)),
    route("GET", "/accuracy", Page, || get(pages::accuracy::show)),
    route("GET", "/privacy", Page, || get(pages::privacy::show)),
    route("GET", "/live", Page, || get(pages::overview::live)),
    route("GET", "/assets/{name}", Public, || get(pages::asset)),
];

/// The methods of an address; `{id}` stands for anything but a slash.
pub fn methods_of(path: &str) -> Vec<&'static str> {
    ROUTES.iter().filter(|route| fits(route, path)).map(|route| route.method).collect()
}

fn fits(route: &Route, path: &str) -> bool {
    let (mut given, mut known) = (path.split('/'), route.path.split('/'));
    loop {
        match (given.next(), known.next()) {
            (None, None) => return true,
            (Some(_), Some(known)) if known.starts_with("{*") => return true,
            (Some(given), Some(known)) if given == known || known.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// The whole service.
pub fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let access = middleware::from_fn_with_state((app.clone(), route.access), caller::authorize);
        let bounds = middleware::from_fn_with_state((app.clone(), route.access), limits::by_caller);
        router = router.route(route.path, (route.handler)().route_layer(bounds).route_layer(access));
    }
    let pages_are_compressed = SizeAbove::new(1024).and(NotForContentType::const_new("text/event-stream"));
    router
        .with_state(app.clone())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(without_nul))
        .layer(middleware::from_fn_with_state(app.clone(), limits::by_address))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::from_fn(headers))
        .layer(CompressionLayer::new().compress_when(pages_are_compressed))
        .layer(middleware::from_fn(measure))
        .layer(tower_http::timeout::RequestBodyTimeoutLayer::new(Duration::from_mins(1)))
}

/// No id has a NUL, and PostgreSQL takes none: there is nothing at an address with one.
async fn without_nul(request: axum::extract::Request, next: Next) -> Response {
    if request.uri().path().contains("%00") {
        return StatusCode::NOT_FOUND.into_response();
    }
    next.run(request).await
}

/// What every answer says to browsers: nothing from elsewhere, no frames, no guessing.
async fn headers(request: axum::extract::Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
        form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    // The API browser sets styles from its script; nothing of ours is on that page.
    const DOCS_POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src 'self' data:; \
        connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    let docs = request.uri().path().starts_with("/api/docs");
    let mut response = next.run(request).await;
    let all = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, if docs { DOCS_POLICY } else { POLICY }),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        all.insert(name, HeaderValue::from_static(value));
    }
    // Customers' words do not stay in caches; what is the same for everybody says so. A stream of events would say `no-cache`, which keeps it.
    if !all.get(header::CACHE_CONTROL).is_some_and(|told| told.as_bytes().starts_with(b"public")) {
        all.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Counts and times requests, by route rather than by address.
async fn measure(request: axum::extract::Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let path = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let begun = std::time::Instant::now();
    let response = next.run(request).await;
    let labels = [("method", method), ("route", path), ("status", response.status().as_u16().to_string())];
    metrics::counter!("undertone_http_requests_total", &labels).increment(1);
    metrics::histogram!("undertone_http_request_seconds", &labels[..2]).record(begun.elapsed().as_secs_f64());
    response
}
