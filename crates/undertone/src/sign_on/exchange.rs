//! One request to a provider, over the way that every request of this program takes out.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    AsyncHttpClient, DiscoveryError, HttpRequest, HttpResponse, RequestTokenError, StandardErrorResponse,
    UserInfoError, http,
};
use undertone_scoring::llm::ask::{Call, Method, Outside, Unreachable};

/// A provider answers within this time. Somebody waits in front of a page.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a provider says at most, in bytes.
const MOST: usize = 1 << 20;

/// Whom to ask, and how.
pub struct Asking {
    outside: Arc<dyn Outside>,
    issuer: String,
}

impl Asking {
    pub fn new(outside: &Arc<dyn Outside>, issuer: &str) -> Self {
        Self { outside: Arc::clone(outside), issuer: issuer.to_owned() }
    }
}

impl AsyncHttpClient<'_> for Asking {
    type Error = Unreachable;
    type Future = BoxFuture<'static, Result<HttpResponse, Unreachable>>;

    fn call(&self, request: HttpRequest) -> Self::Future {
        send(Arc::clone(&self.outside), self.issuer.clone(), request).boxed()
    }
}

/// One request. A redirect is an answer like another: the client secret does not follow it.
async fn send(
    outside: Arc<dyn Outside>,
    issuer: String,
    request: HttpRequest,
) -> Result<HttpResponse, Unreachable> {
    let failed = |detail: &str, sent| Unreachable { detail: detail.to_owned(), sent };
    let (parts, body) = request.into_parts();
    let url = parts.uri.to_string();
    if !may_be_asked(&issuer, &url) {
        return Err(failed("it names an address without TLS", false));
    }
    let method = if parts.method == http::Method::POST { Method::Post } else { Method::Get };
    let named = |name: &'static str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.map(|value| (name, value.to_owned()))
    };
    let headers = ["accept", "authorization", "content-type"].into_iter().filter_map(named).collect();
    let call = Call { method, url, headers, body };
    let answer = tokio::time::timeout(PATIENCE, outside.send(call))
        .await
        .map_err(|_| failed("no answer within 10 s", true))??;
    if answer.body.len() > MOST {
        return Err(failed("it answers more than 1 MiB", true));
    }
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        if name.eq_ignore_ascii_case("content-type") {
            response = response.header(http::header::CONTENT_TYPE, value);
        }
    }
    response.body(answer.body).map_err(|_| failed("its answer is none", true))
}

/// Whether an address that a provider names may be asked: behind TLS, or on this machine where the provider itself is on it without TLS.
pub fn may_be_asked(issuer: &str, address: &str) -> bool {
    let is_near = |address: &str| {
        reqwest::Url::parse(address).is_ok_and(|url| {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            let loops = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            url.scheme() == "http" && (host == "localhost" || loops)
        })
    };
    address.starts_with("https://") || (is_near(issuer) && is_near(address))
}

/// Why discovery failed, without what was answered.
pub fn of_discovery(error: &DiscoveryError<Unreachable>) -> String {
    match error {
        DiscoveryError::Request(error) => error.detail.clone(),
        DiscoveryError::Response(status, ..) => {
            format!("its configuration answers with {status}, or is no JSON")
        }
        DiscoveryError::Validation(told) => told.clone(),
        DiscoveryError::Parse(error) => format!("its configuration lacks something: {}", error.path()),
        _ => "its configuration is none".to_owned(),
    }
}

/// Why there is no token.
pub fn of_token(
    error: &RequestTokenError<Unreachable, StandardErrorResponse<CoreErrorResponseType>>,
) -> String {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            let word: String =
                answer.error().as_ref().chars().filter(char::is_ascii_graphic).take(60).collect();
            format!("its token endpoint refuses: {word}")
        }
        RequestTokenError::Request(error) => error.detail.clone(),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            "its token endpoint answers something else".to_owned()
        }
    }
}

/// Why there is nothing about the person.
pub fn of_user_info(error: &UserInfoError<Unreachable>) -> String {
    match error {
        UserInfoError::ClaimsVerification(_) => "its user info endpoint speaks of somebody else".to_owned(),
        UserInfoError::Request(error) => error.detail.clone(),
        _ => "its user info endpoint answers something else".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_nowhere_else_than_here() {
        let (far, near) = ("https://id.example.com", "http://127.0.0.1:4000");
        for (issuer, address, may) in [
            (far, "https://id.example.com/token", true),
            (far, "https://elsewhere.example/token", true),
            (far, "http://id.example.com/token", false),
            (far, "http://127.0.0.1:4000/token", false),
            (far, "file:///etc/passwd", false),
            (near, "http://127.0.0.1:4000/token", true),
            (near, "http://localhost/token", true),
            (near, "http://[::1]:4000/token", true),
            (near, "http://198.51.100.1/token", false),
            (near, "http://localhost.evil.example/token", false),
        ] {
            assert_eq!(may_be_asked(issuer, address), may, "{issuer} {address}");
        }
    }
}
