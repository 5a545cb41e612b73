//! The way to an LLM's provider: HTTP over TLS, with bounds on everything.
//!
//! Whom TLS trusts: the authorities that browsers trust are built in, because a machine that was just set up, or a slim container, may have no
//! list of its own; those the machine knows count too (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), because a company's proxy signs
//! with an authority of its own. The variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` hold, except for addresses of this
//! machine itself.
//!
//! A redirect is not followed and no request is made twice: a key goes to no address but the one it was given for, and whoever pays knows
//! of every request.

use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use undertone_core::Clock;
use undertone_scoring::llm::ask::{Call, Method, Outside, Response, Unreachable};

use crate::clock::MachineClock;
use crate::error::CliError;

/// How this program calls itself.
pub(crate) const USER_AGENT: &str = concat!("undertone/", env!("CARGO_PKG_VERSION"));
/// Headers that are never shown, whoever prints a request.
const SECRET: [&str; 2] = ["x-api-key", "authorization"];
/// A shorter key is none: local servers take any word, such as `none`, and that word may stand in answers for other reasons.
const SHORTEST_KEY: usize = 8;
/// What is told of a cause at most, in characters.
const MOST_TOLD: usize = 200;

/// How long things may take, and how much may come back.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Until there is a connection, TLS included.
    connect: Duration,
    /// From the beginning to the last byte of the answer.
    exchange: Duration,
    /// Bytes of an answer.
    answer: usize,
}

/// No answer to a request of ours comes near these: 20 verdicts have some 20 KB.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(10), exchange: Duration::from_mins(2), answer: 8 << 20 };

/// An HTTP client; connections are kept and shared by its clones, so a process has one.
#[derive(Debug, Clone)]
pub struct Web {
    /// For the world.
    far: reqwest::Client,
    /// For this machine, past every proxy.
    near: reqwest::Client,
    bounds: Bounds,
}

impl Web {
    /// A client without connections. Needs a tokio runtime only when it is used.
    ///
    /// # Errors
    /// Where TLS or a proxy variable can not be used.
    pub fn new() -> Result<Self, CliError> {
        Self::within(BOUNDS, trusted())
    }

    fn within(bounds: Bounds, trusted: RootCertStore) -> Result<Self, CliError> {
        let failed = |told: &str| CliError::Failed(format!("LLMs can not be asked from here: {told}"));
        let tls = tls(trusted).map_err(|e| failed(&e.to_string()))?;
        let builder = || {
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(bounds.connect)
                .timeout(bounds.exchange)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .tls_backend_preconfigured(tls.clone())
        };
        let built =
            |builder: reqwest::ClientBuilder| builder.build().map_err(|e| failed(&cause(&e.without_url())));
        Ok(Self { far: built(builder())?, near: built(builder().no_proxy())?, bounds })
    }

    async fn exchange(&self, call: Call) -> Result<Response, Unreachable> {
        let host = host(&call.url);
        let told = |error: reqwest::Error| self.unreachable(&host, &error.without_url());
        let client = if is_this_machine(&call.url) { &self.near } else { &self.far };
        let keys = keys(&call.headers);
        let request = match call.method {
            Method::Get => client.get(call.url),
            Method::Post => client.post(call.url).body(call.body),
        };
        let mut response = request.headers(headers(call.headers)).send().await.map_err(told)?;
        let headers = response.headers().iter();
        let headers = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(told)? {
            if body.len() + part.len() > self.bounds.answer {
                let detail = format!("{host} answers more than {} MiB", self.bounds.answer >> 20);
                return Err(Unreachable { detail, sent: true });
            }
            body.extend_from_slice(&part);
        }
        // Nobody further on has to know that a provider may repeat the key it was given.
        let body = keys.iter().fold(body, |body, key| without(body, key.as_bytes()));
        Ok(Response { status: response.status().as_u16(), headers, body })
    }

    /// What `error` means, without the address it belongs to.
    fn unreachable(&self, host: &str, error: &reqwest::Error) -> Unreachable {
        let why = what_broke(error, self.bounds.connect, self.bounds.exchange);
        let detail = if error.is_builder() { why } else { format!("{host}: {why}") };
        // Whatever came after a connection may have arrived, and may be charged.
        Unreachable { detail, sent: !(error.is_connect() || error.is_builder()) }
    }
}

impl Outside for Web {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        self.exchange(call).boxed()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'_, ()> {
        tokio::time::sleep(pause).boxed()
    }

    fn now(&self) -> DateTime<Utc> {
        MachineClock.now()
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}

/// The authorities that this machine knows, read once.
pub(crate) fn known_here() -> &'static [CertificateDer<'static>] {
    static KNOWN: LazyLock<Vec<CertificateDer<'static>>> = LazyLock::new(|| {
        let known = rustls_native_certs::load_native_certs();
        for error in known.errors {
            tracing::debug!("an authority of this machine can not be read: {error}");
        }
        known.certs
    });
    &KNOWN
}

/// Browsers' authorities and the machine's own.
pub(crate) fn trusted() -> RootCertStore {
    static TRUSTED: LazyLock<RootCertStore> = LazyLock::new(|| {
        let mut trusted = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // One that can not be parsed is one of many, and as a rule for another purpose.
        trusted.add_parsable_certificates(known_here().iter().cloned());
        trusted
    });
    TRUSTED.clone()
}

pub(crate) fn tls(trusted: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth())
}

/// What can not be a header is left out: a key is looked at before it is kept.
fn headers(given: Vec<(&'static str, String)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            value.set_sensitive(SECRET.contains(&name));
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// The keys that a request carries.
fn keys(headers: &[(&'static str, String)]) -> Vec<String> {
    let secret = headers.iter().filter(|(name, _)| SECRET.contains(name));
    let keys = secret.map(|(_, value)| value.strip_prefix("Bearer ").unwrap_or(value).to_owned());
    keys.filter(|key| key.len() >= SHORTEST_KEY).collect()
}

/// `body` with `…` wherever `key` stands.
fn without(body: Vec<u8>, key: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = memchr::memmem::find_iter(&body, key).collect();
    if places.is_empty() {
        return body;
    }
    let (mut clean, mut from) = (Vec::with_capacity(body.len()), 0);
    for place in places {
        clean.extend_from_slice(&body[from..place]);
        clean.extend_from_slice("…".as_bytes());
        from = place + key.len();
    }
    clean.extend_from_slice(&body[from..]);
    clean
}

fn is_this_machine(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Host and port of an address; nothing else of it is ever told.
fn host(url: &str) -> String {
    let url = reqwest::Url::parse(url).ok();
    let host = url.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    match host {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        None => "the provider's address".to_owned(),
    }
}

/// Why there is no answer, for a person; `connect` and `exchange` are how long was waited for a connection and for the whole of it. The
/// error must be without its address, which may hold a key.
pub(crate) fn what_broke(error: &reqwest::Error, connect: Duration, exchange: Duration) -> String {
    match (error.is_connect(), error.is_timeout()) {
        _ if error.is_builder() => {
            format!("no request can be made of its address or headers: {}", cause(error))
        }
        (true, true) => format!("no connection within {connect:?}"),
        (true, false) => format!("no connection: {}", cause(error)),
        (false, true) => format!("no answer within {exchange:?}"),
        (false, false) => format!("the connection broke off: {}", cause(error)),
    }
}

/// The deepest cause of an error, on one line: those above only say that there is one.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    crate::output::clean(&deepest.to_string()).chars().take(MOST_TOLD).collect()
}

#[cfg(test)]
mod tests;
