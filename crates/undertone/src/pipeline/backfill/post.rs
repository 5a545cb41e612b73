//! The Message Batches API: what is asked of it, and what it answers (`reference/claude.md` §7).

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_scoring::llm::ask::{Call, Method, Outside, Response, Unreachable};
use undertone_scoring::llm::{Failure, REFUSED, Retry, claude, explanation};
use undertone_store::backfill::RequestRow;

use super::making::MOST_WAIT;
use crate::secrets::ProviderKey;

/// Batches on one page of the list.
const PAGE: usize = 100;
/// Pages that are read at most.
const MOST_PAGES: usize = 20;

/// A batch as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Told {
    pub id: String,
    pub processing_status: String,
    pub created_at: DateTime<Utc>,
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(default)]
    request_counts: Counts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Counts {
    #[serde(default)]
    processing: u64,
    #[serde(default)]
    succeeded: u64,
    #[serde(default)]
    errored: u64,
    #[serde(default)]
    canceled: u64,
    #[serde(default)]
    expired: u64,
}

impl Told {
    /// Requests in it.
    pub fn requests(&self) -> u64 {
        let of = self.request_counts;
        [of.processing, of.succeeded, of.errored, of.canceled, of.expired].iter().sum()
    }

    /// The provider is done with it.
    pub fn has_ended(&self) -> bool {
        self.processing_status == "ended"
    }
}

/// How one request of a batch ended.
#[derive(Deserialize)]
struct Line {
    custom_id: String,
    result: Outcome,
}

/// The provider's word for it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Outcome {
    /// With a message, which is read like the answer to a single request.
    Succeeded { message: Value },
    /// With an error.
    Errored { error: Value },
    /// Not begun when the batch was cancelled.
    Canceled,
    /// Not begun when the batch expired.
    Expired,
}

/// Why a question about batches was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// What was asked for is not there, or was not done, for certain.
    #[error("{detail}")]
    No {
        detail: String,
        gone: bool,
        /// How long asking again is no use.
        wait: Option<TimeDelta>,
        /// What the provider said.
        failure: Option<Box<Failure>>,
    },
    /// Nobody knows whether it was done.
    #[error("{0}")]
    Unknown(String),
}

impl Trouble {
    /// How long asking again is no use, where that is known.
    pub fn wait(&self) -> Option<TimeDelta> {
        match self {
            Self::No { wait, .. } => *wait,
            Self::Unknown(_) => None,
        }
    }

    /// The key is not accepted, whatever it is asked for with it.
    pub fn refuses_the_key(&self) -> bool {
        let Self::No { failure: Some(failure), .. } = self else { return false };
        matches!(failure.status, 401 | 403)
    }

    fn unreadable() -> Self {
        Self::Unknown("the provider's answer about a batch can not be read".to_owned())
    }
}

/// Asks about batches, with one key at one address.
pub(super) struct Post<'a> {
    pub outside: &'a dyn Outside,
    pub key: &'a ProviderKey,
}

impl Post<'_> {
    /// Makes a batch of `requests`, each `custom_id` and `params`.
    pub async fn make(&self, requests: Vec<(String, Value)>) -> Result<Told, Trouble> {
        let requests: Vec<Value> =
            requests.into_iter().map(|(id, params)| json!({"custom_id": id, "params": params})).collect();
        let body = json!({"requests": requests}).to_string().into_bytes();
        Self::told(self.send(Method::Post, "", body).await)
    }

    /// What is known of a batch.
    pub async fn look(&self, id: &str) -> Result<Told, Trouble> {
        Self::told(self.send(Method::Get, &format!("/{id}"), Vec::new()).await)
    }

    /// Tells the provider to stop a batch.
    pub async fn cancel(&self, id: &str) -> Result<Told, Trouble> {
        Self::told(self.send(Method::Post, &format!("/{id}/cancel"), b"{}".to_vec()).await)
    }

    /// The batches made since then, newest first.
    pub async fn list(&self, since: DateTime<Utc>) -> Result<Vec<Told>, Trouble> {
        #[derive(Deserialize)]
        struct Page {
            data: Vec<Told>,
            #[serde(default)]
            has_more: bool,
        }
        let mut all = Vec::new();
        let mut after = String::new();
        for _ in 0..MOST_PAGES {
            let response = self.send(Method::Get, &format!("?limit={PAGE}{after}"), Vec::new()).await?;
            let page: Page = serde_json::from_slice(&response.body).map_err(|_| Trouble::unreadable())?;
            let Some(last) = page.data.last() else { break };
            after = format!("&after_id={}", last.id);
            let reached = last.created_at < since || !page.has_more;
            all.extend(page.data.into_iter().filter(|told| told.created_at >= since));
            if reached {
                break;
            }
        }
        Ok(all)
    }

    /// How those requests of a batch that has ended, ended that are `ours`, by their ids. Lines that can not be read are left out.
    pub async fn results(&self, id: &str, ours: &[RequestRow]) -> Result<HashMap<String, Outcome>, Trouble> {
        let ours: HashSet<&str> = ours.iter().map(|request| request.id.as_str()).collect();
        let mut outcomes = HashMap::new();
        let mut keep = |line: &[u8]| {
            let line: Option<Line> = serde_json::from_slice(line).ok();
            if let Some(Line { custom_id, result }) = line.filter(|line| ours.contains(&*line.custom_id)) {
                outcomes.insert(custom_id, result);
            }
        };
        let call = self.call(Method::Get, &format!("/{id}/results"), Vec::new());
        self.answered(self.outside.lines(call, &mut keep).await)?;
        Ok(outcomes)
    }

    fn told(response: Result<Response, Trouble>) -> Result<Told, Trouble> {
        serde_json::from_slice(&response?.body).map_err(|_| Trouble::unreadable())
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response, Trouble> {
        self.answered(self.outside.send(self.call(method, path, body)).await)
    }

    fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Call {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("anthropic-version", "2023-06-01".to_owned()),
            ("x-api-key", self.key.key.expose().to_owned()),
        ];
        let url = format!("{}/v1/messages/batches{path}", self.key.base_url.trim_end_matches('/'));
        Call { method, url, headers, body }
    }

    /// What came back, where it is what was asked for.
    fn answered(&self, answered: Result<Response, Unreachable>) -> Result<Response, Trouble> {
        let response = match answered {
            Ok(response) => response,
            Err(Unreachable { detail, sent: true }) => return Err(Trouble::Unknown(detail)),
            Err(Unreachable { detail, sent: false }) => {
                return Err(Trouble::No { detail, gone: false, wait: None, failure: None });
            }
        };
        if response.status == 200 {
            return Ok(response);
        }
        let header = |name: &str| response.header(name);
        let now = self.outside.now();
        let failure = claude::failed(response.status, &header, &response.body, now);
        // A server that broke may have done it all the same.
        if response.status >= 500 {
            return Err(Trouble::Unknown(failure.to_string()));
        }
        let (detail, wait) = (failure.to_string(), pause(&failure, now));
        Err(Trouble::No { detail, gone: response.status == 404, wait, failure: Some(Box::new(failure)) })
    }
}

/// How long the provider wants to be left alone, or refuses what is asked of it, as it was at `now`.
fn pause(failure: &Failure, now: DateTime<Utc>) -> Option<TimeDelta> {
    match failure.retry {
        Retry::After(pause) => TimeDelta::from_std(pause).ok(),
        Retry::BackOff => None,
        Retry::Never => {
            Some(failure.refuses(now).map_or(REFUSED, |refuses| refuses.until - now).min(MOST_WAIT))
        }
    }
}

/// How the provider refused a request in a batch: the error's kind, and a sentence for a person that quotes no request and names no key.
pub(super) fn refusal(error: &Value) -> (&str, String) {
    let kind = error["error"]["type"].as_str().unwrap_or_default();
    let told = explanation(error).unwrap_or_else(|| "it does not say why".to_owned());
    (kind, format!("the provider refuses the request ({}): {told}", crate::output::clean(kind)))
}

#[cfg(test)]
mod tests {
    use undertone_scoring::llm::FailureKind;

    use super::*;

    #[test]
    fn what_a_refusal_in_a_batch_says_names_no_key_and_no_customer() {
        let error = |message: &str| json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
        let told = |message: &str| refusal(&error(message)).1;
        let begins = "the provider refuses the request (invalid_request_error): ";
        assert_eq!(told("messages: too long"), format!("{begins}messages: too long"));
        assert_eq!(told("key sk-ant-api03-abcdefgh is\nno good"), format!("{begins}key … is no good"));
        assert_eq!(told("wrong: 'input': 'my husband died'"), format!("{begins}wrong:"));
        assert_eq!(told(""), format!("{begins}it does not say why"));
        assert_eq!(refusal(&json!({"error": {"type": "not_found_error"}})).0, "not_found_error");
    }

    #[test]
    fn what_only_a_person_can_mend_is_left_alone_for_long() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let wait = |kind, retry| {
            let failure =
                Failure { kind, status: 400, message: None, request_id: None, retry, is_the_providers: true };
            pause(&failure, now).map(|wait| wait.num_seconds())
        };
        let spent = |seconds| FailureKind::SpendLimit { resumes: now + TimeDelta::seconds(seconds) };
        assert_eq!(wait(FailureKind::Credentials, Retry::Never), Some(300));
        assert_eq!(wait(FailureKind::BadRequest, Retry::Never), Some(300));
        assert_eq!(wait(spent(7200), Retry::Never), Some(7200));
        assert_eq!(wait(spent(900_000), Retry::Never), Some(86_400), "a cap may be raised meanwhile");
        assert_eq!(wait(FailureKind::Overloaded, Retry::BackOff), None);
        let after = Retry::After(std::time::Duration::from_secs(7));
        assert_eq!(wait(FailureKind::RateLimited, after), Some(7));
    }
}
