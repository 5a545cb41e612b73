//! How much anybody may ask of this process. Each network address and each key or person has a bucket of requests, and each address one
//! of attempts to get in; whoever has emptied theirs is answered 429 and told when to come back. Buckets are this process's own: several
//! nodes allow several times as much.

mod address;
mod bucket;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::caller::{Access, By, Caller};
use crate::api::problem::{ApiError, RATE_LIMITED};
use crate::app::App;
use crate::config::Config;
pub use address::{ClientAddress, Proxies};
use bucket::{Buckets, Taken, WINDOW};

/// What orchestrators ask all the time, from wherever they are.
const UNBOUNDED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The buckets of this process.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    addresses: Buckets<IpAddr>,
    callers: Buckets<String>,
    attempts: Buckets<IpAddr>,
}

impl Limits {
    /// As the configuration has them.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Inner {
            addresses: Buckets::new(config.requests_per_address),
            callers: Buckets::new(config.requests_per_key),
            attempts: Buckets::new(config.attempts_per_address),
        }))
    }
}

/// Finds out where a request comes from, and refuses it where too many do. Before anybody asks the database who it is.
pub async fn by_address(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = peer.map_or_else(ClientAddress::default, |peer| {
        ClientAddress::of(peer, request.headers(), &app.config.trusted_proxies)
    });
    request.extensions_mut().insert(address);
    if let Some(client) = address.client()
        && !UNBOUNDED.contains(&request.uri().path())
        && let Some(taken) = app.limits.0.addresses.take(client, Instant::now())
        && let Some(wait) = taken.refused_for
    {
        return refuse("address", "your network address", (taken, wait));
    }
    next.run(request).await
}

/// Refuses callers who ask too much, and whoever tries too often to get in where nobody has to be anybody yet.
pub async fn by_caller(State((app, access)): State<(App, Access)>, request: Request, next: Next) -> Response {
    if access == Access::Public {
        return if request.method().is_safe() {
            next.run(request).await
        } else {
            attempt(&app, request, next).await
        };
    }
    let caller = request.extensions().get::<Caller>().map(bucket_of);
    let Some((key, policy, who)) = caller else { return next.run(request).await };
    let Some(taken) = app.limits.0.callers.take(key, Instant::now()) else { return next.run(request).await };
    if let Some(wait) = taken.refused_for {
        return refuse(policy, who, (taken, wait));
    }
    let mut response = next.run(request).await;
    tell(response.headers_mut(), policy, taken);
    response
}

/// Whose bucket a caller's requests are taken from, and how both are called.
fn bucket_of(caller: &Caller) -> (String, &'static str, &'static str) {
    match &caller.by {
        By::Key(id) => (format!("key:{id}"), "key", "this API key"),
        By::Session { user, .. } => (format!("user:{user}"), "user", "you"),
    }
}

/// Counts a request of a caller who may not make it; answers what they are told instead where they ask too much.
pub fn count_refused(app: &App, caller: &Caller) -> Option<Response> {
    let (key, policy, who) = bucket_of(caller);
    let taken = app.limits.0.callers.take(key, Instant::now())?;
    taken.refused_for.map(|wait| refuse(policy, who, (taken, wait)))
}

/// A log-in, a code, an invitation: what fails counts, what succeeds does not.
async fn attempt(app: &App, request: Request, next: Next) -> Response {
    let attempts = &app.limits.0.attempts;
    let client = request.extensions().get::<ClientAddress>().and_then(|address| address.client());
    let Some(client) = client else { return next.run(request).await };
    // It is taken before, so that many at once are counted too.
    let Some(taken) = attempts.take(client, Instant::now()) else { return next.run(request).await };
    if let Some(wait) = taken.refused_for {
        return refuse("attempts", "your network address", (taken, wait));
    }
    let response = next.run(request).await;
    if !response.status().is_client_error() {
        attempts.put_back(&client);
    }
    response
}

fn refuse(policy: &'static str, who: &str, (taken, wait): (Taken, Duration)) -> Response {
    metrics::counter!("undertone_rate_limited_total", "policy" => policy).increment(1);
    let seconds = up(wait);
    let what = if policy == "attempts" { "failed attempts" } else { "requests" };
    let detail = format!(
        "{who} may make {} {what} a minute, and did; there is room for the next in {seconds} s",
        taken.quota
    );
    let mut response =
        ApiError { retry_after: seconds, ..ApiError::new(RATE_LIMITED, detail) }.into_response();
    tell(response.headers_mut(), policy, taken);
    response
}

/// `RateLimit-Policy` and `RateLimit`, as in draft-ietf-httpapi-ratelimit-headers-10: the quota and its window in seconds; what is left,
/// and after how many seconds all of it is there again.
fn tell(headers: &mut HeaderMap, policy: &str, taken: Taken) {
    let window = WINDOW.as_secs();
    let told = [
        ("ratelimit-policy", format!("\"{policy}\";q={};w={window}", taken.quota)),
        ("ratelimit", format!("\"{policy}\";r={};t={}", taken.remaining, up(taken.full_in))),
    ];
    for (name, value) in told {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Whole seconds, upwards.
fn up(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).unwrap_or(u32::MAX)
}
