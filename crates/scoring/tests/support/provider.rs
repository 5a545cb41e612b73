//! What tests and examples need to ask the local server as the product asks a provider.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use undertone_llm_server::Item;
use undertone_scoring::llm::ask::{Call, Outside, Response, Unreachable};

/// Saturday, 28 November 2026, noon.
pub const NOON: i64 = 1_795_867_200_000;

/// Real HTTP, and a clock that pauses move.
pub struct World {
    pub millis: Arc<AtomicI64>,
    pub pauses: Mutex<Vec<Duration>>,
    http: ureq::Agent,
}

impl World {
    pub fn new(millis: Arc<AtomicI64>) -> Self {
        let http = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(20)))
            .http_status_as_error(false)
            .build()
            .into();
        Self { millis, pauses: Mutex::default(), http }
    }

    pub fn now_of(millis: &AtomicI64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis.load(Ordering::SeqCst)).unwrap_or_default()
    }

    fn exchange(&self, call: &Call) -> Result<Response, ureq::Error> {
        let mut request = self.http.post(&call.url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let mut response = request.send(&call.body[..])?;
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        let status = response.status().as_u16();
        Ok(Response { status, headers, body: response.body_mut().read_to_vec()? })
    }
}

impl Outside for World {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        ready(self.exchange(&call).map_err(|e| Unreachable { detail: e.to_string(), sent: true })).boxed()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'_, ()> {
        if let Ok(mut pauses) = self.pauses.lock() {
            pauses.push(pause);
        }
        self.millis.fetch_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        ready(()).boxed()
    }

    fn now(&self) -> DateTime<Utc> {
        Self::now_of(&self.millis)
    }

    fn chance(&self) -> f64 {
        0.0
    }
}

/// The items of our own prompt.
pub fn fenced(user: &str) -> Vec<Item> {
    let fence = user.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
    let (open, close) = (format!("<{fence} item="), format!("\n</{fence}>"));
    user.split(&open)
        .skip(1)
        .filter_map(|part| {
            let (head, rest) = part.split_once(">\n")?;
            let index = head.split(' ').next()?.parse().ok()?;
            Some(Item { index, text: rest.split_once(&close)?.0.to_owned() })
        })
        .collect()
}
