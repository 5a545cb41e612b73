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
    /// From the beginning to the last byte of the answer; of one that comes in lines, from one piece to the next.
    exchange: Duration,
    /// From the beginning to the last byte of an answer that comes in lines.
    lines: Duration,
    /// Bytes of an answer, or of one of its lines.
    answer: usize,
}

/// No answer to a request of ours comes near these: 20 verdicts have some 20 KB. That of a batch has as much a line.
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(10),
    exchange: Duration::from_mins(2),
    lines: Duration::from_hours(1),
    answer: 8 << 20,
};

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

    /// Sends `call`; what comes back is still to be read, within `within` of now.
    async fn open(&self, call: Call, within: Duration) -> Result<Opened<'_>, Unreachable> {
        let host = host(&call.url);
        let client = if is_this_machine(&call.url) { &self.near } else { &self.far };
        let keys = keys(&call.headers);
        let request = match call.method {
            Method::Get => client.get(call.url),
            Method::Post => client.post(call.url).body(call.body),
        };
        let sent = request.timeout(within).headers(headers(call.headers)).send();
        let late = |_| Unreachable { detail: format!("{host}: {}", self.late()), sent: true };
        let response = tokio::time::timeout(self.bounds.exchange, sent).await.map_err(late)?;
        let response = response.map_err(|error| self.unreachable(&host, &error.without_url()))?;
        Ok(Opened { web: self, response, host, keys })
    }

    async fn exchange(&self, call: Call) -> Result<Response, Unreachable> {
        self.open(call, self.bounds.exchange).await?.whole().await
    }

    async fn line_by_line(
        &self,
        call: Call,
        line: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Response, Unreachable> {
        let mut opened = self.open(call, self.bounds.lines).await?;
        if opened.response.status() != 200 {
            return opened.whole().await;
        }
        // What came since the end of the last line.
        let mut rest = Vec::new();
        while let Some(part) = opened.part().await? {
            let searched = rest.len();
            rest.extend_from_slice(&part);
            let mut from = 0;
            while let Some(end) = memchr::memchr(b'\n', &rest[from.max(searched)..]) {
                let end = from.max(searched) + end;
                line(&opened.clean(rest[from..end].to_vec()));
                from = end + 1;
            }
            rest.drain(..from);
            opened.bound(rest.len())?;
        }
        if !rest.is_empty() {
            line(&opened.clean(rest));
        }
        Ok(opened.answered(Vec::new()))
    }

    fn late(&self) -> String {
        format!("no answer within {:?}", self.bounds.exchange)
    }

    /// What `error` means, without the address it belongs to.
    fn unreachable(&self, host: &str, error: &reqwest::Error) -> Unreachable {
        let why = what_broke(error, self.bounds.connect, self.bounds.exchange);
        let detail = if error.is_builder() { why } else { format!("{host}: {why}") };
        // Whatever came after a connection may have arrived, and may be charged.
        Unreachable { detail, sent: !(error.is_connect() || error.is_builder()) }
    }
}

/// An answer that is being read.
struct Opened<'w> {
    web: &'w Web,
    response: reqwest::Response,
    host: String,
    keys: Vec<String>,
}

impl Opened<'_> {
    /// The next piece of it.
    async fn part(&mut self) -> Result<Option<bytes::Bytes>, Unreachable> {
        let Ok(part) = tokio::time::timeout(self.web.bounds.exchange, self.response.chunk()).await else {
            let detail = format!("{}: {}", self.host, self.web.late());
            return Err(Unreachable { detail, sent: true });
        };
        part.map_err(|error| self.web.unreachable(&self.host, &error.without_url()))
    }

    /// An answer, or a line of one, of which so many bytes have come may go on.
    fn bound(&self, bytes: usize) -> Result<(), Unreachable> {
        let most = self.web.bounds.answer;
        if bytes <= most {
            return Ok(());
        }
        let detail = format!("{} answers more than {} MiB", self.host, most >> 20);
        Err(Unreachable { detail, sent: true })
    }

    /// All of it.
    async fn whole(mut self) -> Result<Response, Unreachable> {
        let mut body = Vec::new();
        while let Some(part) = self.part().await? {
            self.bound(body.len() + part.len())?;
            body.extend_from_slice(&part);
        }
        let body = self.clean(body);
        Ok(self.answered(body))
    }

    /// Nobody further on has to know that a provider may repeat the key it was given.
    fn clean(&self, body: Vec<u8>) -> Vec<u8> {
        self.keys.iter().fold(body, |body, key| without(body, key.as_bytes()))
    }

    fn answered(&self, body: Vec<u8>) -> Response {
        let headers = self.response.headers().iter();
        let headers = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        Response { status: self.response.status().as_u16(), headers, body }
    }
}

impl Outside for Web {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        self.exchange(call).boxed()
    }

    fn lines<'a>(
        &'a self,
        call: Call,
        line: &'a mut (dyn FnMut(&[u8]) + Send),
    ) -> BoxFuture<'a, Result<Response, Unreachable>> {
        self.line_by_line(call, line).boxed()
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
