//! What can go wrong with a call: every error of the providers' tables, broken connections, and answers that are no use.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::ledger::Dialect;

/// What happens to a call instead of, or on top of, its answer.
#[derive(Clone)]
pub enum Failure {
    /// An error of the table, in the shape of the wire format. Nothing is billed.
    Error(Problem),
    /// A proxy in front answers with this status and a page of HTML, and none of the provider's headers. Nothing is billed.
    Gateway(u16),
    /// The connection is reset before a byte of the answer. Nothing is billed.
    ResetBefore,
    /// The connection is reset after half of the answer's body. The answer is billed.
    ResetMidway,
    /// No answer comes; when [`crate::Server::release`] is called, the connection is reset. Nothing is billed.
    Hang,
    /// The answer waits until [`crate::Server::release`] is called.
    Hold,
    /// The answer takes this much longer, in real time.
    Slow(Duration),
    /// HTTP is in order, but the body is the first half of its JSON. The answer is billed.
    CutShort,
    /// The answer stops halfway with `max_tokens` (`length`), and all of `max_tokens` is billed.
    MaxTokens,
    /// All of `max_tokens` goes into thinking; there is no text.
    NoText,
    /// The model declines, with HTTP 200.
    Refusal {
        /// `stop_details.category`, such as `general_harms`. Chat completions tell a refusal without one as `content_filter`.
        category: Option<&'static str>,
    },
    /// The text is prose.
    NotJson,
    /// The text is JSON that follows another schema.
    WrongShape,
    /// The answer does not say what it took. It is billed.
    NoUsage,
    /// The answer does what the texts demand, as a naive model would; see [`crate::obey`].
    Obey,
    /// The answer is changed by this function before it becomes text.
    Edit(Arc<dyn Fn(Value) -> Value + Send + Sync>),
    /// The item of a batch expires. Only strikes items.
    Expired,
}

impl Failure {
    /// Whether it can happen to an item of a batch, which has no connection of its own.
    pub(crate) fn fits_items(&self) -> bool {
        !matches!(
            self,
            Self::Gateway(_)
                | Self::ResetBefore
                | Self::ResetMidway
                | Self::Hang
                | Self::Hold
                | Self::Slow(_)
                | Self::CutShort
        )
    }
}

/// An error as providers answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// `error.type` of the Messages API.
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// `error.details`.
    pub details: Option<Box<Value>>,
    /// The field it is about; `error.param` of chat completions.
    pub param: Option<String>,
    /// Headers beside those of every response.
    pub headers: Vec<(&'static str, String)>,
}

impl Problem {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), details: None, param: None, headers: Vec::new() }
    }

    /// 400: the request is wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 400: the field at this path is wrong.
    pub(crate) fn field(path: &str, message: impl std::fmt::Display) -> Self {
        let param = (!path.is_empty()).then(|| path.to_owned());
        let message = param.as_ref().map_or_else(|| message.to_string(), |path| format!("{path}: {message}"));
        Self { param, ..Self::invalid(message) }
    }

    /// 400: the limit that the customer set themselves is reached.
    #[must_use]
    pub fn own_spend_limit() -> Self {
        Self::invalid("You have reached your specified workspace API usage limits.")
    }

    /// 401: the key is missing or wrong.
    #[must_use]
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(401, "authentication_error", message)
    }

    /// 402: the account can not pay.
    #[must_use]
    pub fn billing() -> Self {
        Self::new(402, "billing_error", "There is a problem with the billing of this account.")
    }

    /// 403: the key may not do this.
    #[must_use]
    pub fn permission() -> Self {
        Self::new(403, "permission_error", "This API key may not use the resource.")
    }

    /// 404: there is no such model, batch or address.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found_error", message)
    }

    /// 409: something else happens to it at the same time.
    #[must_use]
    pub fn conflict() -> Self {
        Self::new(409, "conflict_error", "The resource is being changed by another request.")
    }

    /// 413: the body is too long.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(413, "request_too_large", "Request exceeds the maximum allowed number of bytes.")
    }

    /// 429: too much in too short a time; `retry-after` says for how long, in whole seconds, rounded up.
    #[must_use]
    pub fn rate_limited(retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self::new(429, "rate_limit_error", "This request would exceed your rate limit.")
            .with_header("retry-after", seconds.to_string())
    }

    /// 429 of a spend limit that the provider enforces: no `retry-after`, and no use in trying before next month.
    #[must_use]
    pub fn spend_limit() -> Self {
        let details = json!({"error_code": "enforced_spend_limit_reached"});
        Self {
            details: Some(Box::new(details)),
            ..Self::new(429, "rate_limit_error", "The spend limit of this organization is reached.")
        }
    }

    /// 500: it broke.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(500, "api_error", "Internal server error")
    }

    /// 504: it took too long.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(504, "timeout_error", "The request timed out.")
    }

    /// 529: everybody asks at once.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::new(529, "overloaded_error", "Overloaded")
    }

    /// The same with one more header, such as `x-should-retry`.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body in the shape of `dialect`.
    pub(crate) fn body(&self, dialect: Dialect, request_id: &str) -> Value {
        match dialect {
            Dialect::Messages => {
                let mut error = json!({"type": self.kind, "message": self.message});
                if let Some(details) = &self.details {
                    error["details"] = (**details).clone();
                }
                json!({"type": "error", "error": error, "request_id": request_id})
            }
            Dialect::ChatCompletions => {
                let (kind, code) = self.chat_kind();
                json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": code}})
            }
        }
    }

    /// `type` and `code` that chat completions use for it.
    fn chat_kind(&self) -> (&'static str, Option<&'static str>) {
        match self.status {
            401 => ("invalid_request_error", Some("invalid_api_key")),
            404 if self.param.as_deref() == Some("model") => {
                ("invalid_request_error", Some("model_not_found"))
            }
            402 => ("insufficient_quota", Some("insufficient_quota")),
            429 if self.details.is_some() => ("insufficient_quota", Some("insufficient_quota")),
            429 => ("rate_limit_error", Some("rate_limit_exceeded")),
            500.. => ("server_error", None),
            _ => ("invalid_request_error", None),
        }
    }
}

/// Its body is written where the wire format and the request's id are known, in `http::around`.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
