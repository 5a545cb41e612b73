//! HTTP. [`ROUTES`] is the one table of what there is: it builds the router, the OpenAPI document is compared with it, and the tests try
//! every line of it without a key, with the wrong scope and with another tenant's ids.

mod ai_usage;
mod backfills;
pub mod body;
mod calibration;
pub mod caller;
mod cascade;
mod customers;
mod guide;
mod health;
mod interactions;
mod module;
mod openapi;
mod overview;
mod people;
pub mod problem;
mod provider_keys;
mod score;
pub mod secrets;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

pub use interactions::explanation;

use crate::app::App;
use crate::pages;
use caller::Access::{self, Needs, Page, Public};
use undertone_core::Permission as May;

/// The longest body that is read as a whole, in bytes. Files of interactions are read in pieces and may be longer.
pub const MAX_BODY: usize = crate::intake::MOST_ITEM;

/// One line of the table.
pub struct Route {
    /// `GET`, `POST` …
    pub method: &'static str,
    /// The address; `{id}` stands for an id.
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
    route("GET", "/api/v1/interactions/{id}", Needs(May::Read), || get(interactions::show)),
    route("POST", "/api/v1/interactions/{id}/rescore", Needs(May::Backfill), || post(backfills::rescore)),
    route("GET", "/api/v1/customers/{id}", Needs(May::Read), || get(customers::show)),
    route("GET", "/api/v1/customers/{id}/sentiment", Needs(May::Read), || get(customers::sentiment)),
    route("PUT", "/api/v1/customers/{id}", Needs(May::Ingest), || put(people::save_customer)),
    route("PUT", "/api/v1/customers/{id}/opt-out", Needs(May::Ingest), || put(people::opt_out)),
    route("DELETE", "/api/v1/customers/{id}/opt-out", Needs(May::Ingest), || delete(people::opt_in)),
    route("PUT", "/api/v1/accounts/{id}", Needs(May::Ingest), || put(people::save_account)),
    route("PUT", "/api/v1/agents/{id}", Needs(May::Ingest), || put(people::save_agent)),
    route("PUT", "/api/v1/teams/{id}", Needs(May::Ingest), || put(people::save_team)),
    route("PUT", "/api/v1/conversations/{id}", Needs(May::Ingest), || put(people::save_conversation)),
    route("GET", "/api/v1/escalations", Needs(May::Read), || get(customers::escalations)),
    route("GET", "/api/v1/overview", Needs(May::Read), || get(overview::show)),
    route("GET", "/api/v1/settings", Needs(May::Read), || get(settings::show)),
    route("PUT", "/api/v1/settings", Needs(May::Settings), || put(settings::save)),
    route("DELETE", "/api/v1/settings", Needs(May::Settings), || delete(settings::reset)),
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
    // The module guide's own addresses.
    route("POST", "/crm/api/log-interaction.php", Needs(May::Ingest), || post(guide::log_interaction)),
    route("GET", "/crm/api/sentiment.php", Needs(May::Read), || get(guide::sentiment)),
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
    route("GET", "/api/docs/errors", Public, || get(openapi::errors)),
    // Pages.
    route("GET", "/login", Public, || get(pages::login::show)),
    route("POST", "/login", Public, || post(pages::login::log_in)),
    route("POST", "/logout", Page, || post(pages::login::log_out)),
    route("GET", "/", Page, || get(pages::overview::show)),
    route("GET", "/accuracy", Page, || get(pages::accuracy::show)),
    route("GET", "/live", Page, || get(pages::overview::live)),
    route("GET", "/assets/{name}", Public, || get(pages::asset)),
];

/// The methods of an address; `{id}` stands for anything but a slash.
pub fn methods_of(path: &str) -> Vec<&'static str> {
    let fits = |route: &&Route| {
        let (mut given, mut known) = (path.split('/'), route.path.split('/'));
        loop {
            match (given.next(), known.next()) {
                (None, None) => return true,
                (Some(given), Some(known)) if given == known || known.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    ROUTES.iter().filter(fits).map(|route| route.method).collect()
}

/// The whole service.
pub fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let access = middleware::from_fn_with_state((app.clone(), route.access), caller::authorize);
        router = router.route(route.path, (route.handler)().route_layer(access));
    }
    let pages_are_compressed = SizeAbove::new(1024).and(NotForContentType::const_new("text/event-stream"));
    router
        .merge(openapi::browser())
        .with_state(app.clone())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::from_fn(headers))
        .layer(CompressionLayer::new().compress_when(pages_are_compressed))
        .layer(middleware::from_fn(measure))
        .layer(tower_http::timeout::RequestBodyTimeoutLayer::new(Duration::from_mins(1)))
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
    // Customers' words do not stay in caches, unless an answer says otherwise.
    all.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
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
