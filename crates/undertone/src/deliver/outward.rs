//! The way out: one HTTP exchange with an address a user chose, with bounds on everything.
//!
//! Names are looked up anew for each connection, and addresses inside closed networks are left out of what comes of it, so that a name
//! can not be pointed elsewhere after it was looked at. No redirect is followed, no proxy of the environment is used.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use super::address::{literal, may_go, not_open};
use crate::error::CliError;
use crate::llm::web::{tls, trusted, what_broke};

/// From the beginning to the last byte of the answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// Until there is a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// The rest of an answer whose status says all is waited for this long: it ends the connection in order.
const REST: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read.
const MOST_READ: usize = 64 << 10;
/// Bytes of a document that are read.
const LARGEST_DOCUMENT: usize = 4 << 20;
/// Characters of an answer that are told.
const MOST_TOLD: usize = 200;

/// The way out; its clones share their connections.
#[derive(Debug, Clone)]
pub struct Outward {
    /// With TLS, to wherever is open.
    secure: reqwest::Client,
    /// Without, only to networks the operator named.
    plain: reqwest::Client,
    allowed: Arc<[IpNet]>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct OutRequest {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl OutRequest {
    /// The usual one.
    pub fn post(url: &str, headers: HeaderMap, body: String) -> Self {
        Self { method: Method::POST, url: url.to_owned(), headers, body }
    }
}

/// What an answer is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Its status: what follows a yes explains at most.
    Status,
    /// A few words, which may make a no of a yes.
    Words,
    /// A document in which something is looked for.
    Document,
}

impl Reads {
    /// Bytes that are read, and how long they are waited for.
    fn bounds(self, status: u16) -> (usize, Duration) {
        match self {
            Self::Status if (200..300).contains(&status) => (MOST_READ, REST),
            Self::Document if (200..300).contains(&status) => (LARGEST_DOCUMENT, DEADLINE),
            _ => (MOST_READ, DEADLINE),
        }
    }
}

/// An answer, as far as it was read.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The beginning of the body on one line, with a colon before it; nothing where there is none.
    pub fn excerpt(&self) -> String {
        let text = crate::output::clean(&String::from_utf8_lossy(&self.body));
        let text: String =
            text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_TOLD).collect();
        if text.is_empty() { text } else { format!(": {text}") }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoReply {
    /// Messages may not go there, now or later.
    NotAllowed(String),
    /// Something went wrong on the way.
    Failed(String),
}

impl Outward {
    /// The way out, into `allowed` networks too.
    ///
    /// # Errors
    /// Where TLS can not be used.
    pub fn new(allowed: &[IpNet]) -> Result<Self, CliError> {
        Self::trusting(allowed, trusted())
    }

    pub(super) fn trusting(allowed: &[IpNet], trusted: rustls::RootCertStore) -> Result<Self, CliError> {
        let lookup: Lookup = Arc::new(|name| Box::pin(look_up(name)));
        Self::asking(allowed, trusted, &lookup)
    }

    /// The way out, where `lookup` says which addresses a name has.
    fn asking(allowed: &[IpNet], trusted: rustls::RootCertStore, lookup: &Lookup) -> Result<Self, CliError> {
        let failed = |e: &dyn Error| CliError::Failed(format!("messages can not be sent from here: {e}"));
        let tls = tls(trusted).map_err(|e| failed(&e))?;
        let allowed: Arc<[IpNet]> = allowed.into();
        let client = |only_named| {
            reqwest::Client::builder()
                .user_agent(crate::llm::web::USER_AGENT)
                .connect_timeout(CONNECT)
                .timeout(DEADLINE)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .pool_max_idle_per_host(4)
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(Filtered {
                    allowed: allowed.clone(),
                    only_named,
                    lookup: lookup.clone(),
                }))
                .build()
                .map_err(|e| failed(&e))
        };
        Ok(Self { secure: client(false)?, plain: client(true)?, allowed })
    }

    /// Networks that are open besides the internet.
    pub fn allowed(&self) -> &[IpNet] {
        &self.allowed
    }

    /// Makes one request and reads its answer as far as it is needed. One that breaks off is an answer too: whoever needs all of it sees that.
    pub async fn exchange(&self, request: OutRequest, reads: Reads) -> Result<Reply, NoReply> {
        let url = Url::parse(&request.url)
            .map_err(|_| NoReply::NotAllowed("its address can not be read".to_owned()))?;
        let is_plain = url.scheme() != "https";
        if let Some(address) = literal(&url).filter(|one| !may_go(*one, is_plain, &self.allowed)) {
            return Err(NoReply::NotAllowed(not_open(&address.to_string())));
        }
        let client = if is_plain { &self.plain } else { &self.secure };
        let sent =
            client.request(request.method, url).headers(request.headers).body(request.body).send().await;
        let mut response = sent.map_err(|e| no_reply(&e.without_url()))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (most, patience) = reads.bounds(status);
        let mut body = Vec::new();
        let rest = async {
            while body.len() < most {
                match response.chunk().await {
                    Ok(Some(part)) => body.extend_from_slice(&part[..part.len().min(most - body.len())]),
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let _ = tokio::time::timeout(patience, rest).await;
        Ok(Reply { status, headers, body })
    }
}

/// Says which addresses a name has.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

async fn look_up(name: String) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

/// Looks names up and leaves closed addresses out.
struct Filtered {
    allowed: Arc<[IpNet]>,
    only_named: bool,
    lookup: Lookup,
}

/// Every address of a name is closed.
#[derive(Debug, thiserror::Error)]
#[error("{}", not_open(.0))]
struct Closed(String);

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, only_named) = (self.allowed.clone(), self.only_named);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await?;
            let fits = |address: &SocketAddr| may_go(address.ip(), only_named, &allowed);
            let any = !found.is_empty();
            let open: Vec<SocketAddr> = found.into_iter().filter(fits).collect();
            if open.is_empty() && any {
                return Err(Closed(name.as_str().to_owned()).into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

fn no_reply(error: &reqwest::Error) -> NoReply {
    let mut cause = error.source();
    while let Some(one) = cause {
        if let Some(closed) = one.downcast_ref::<Closed>() {
            return NoReply::NotAllowed(closed.to_string());
        }
        cause = one.source();
    }
    NoReply::Failed(what_broke(error, CONNECT, DEADLINE))
}

#[cfg(test)]
mod tests;
