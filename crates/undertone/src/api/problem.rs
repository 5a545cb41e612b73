//! How a request fails: one table of codes, and one answer for each surface (problem+json, the module guide's JSON, a page).

use axum::Json;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use undertone_store::StoreError;

use crate::intake::gather::Refused;
use crate::intake::item::ItemError;

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The word programs look for.
    pub word: &'static str,
    /// HTTP status.
    pub status: u16,
    /// In a few words.
    pub title: &'static str,
    /// What to do about it.
    pub help: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal $status:literal $title:literal $help:literal;)*) => {
        $(pub const $name: Code = Code { word: $code, status: $status, title: $title, help: $help };)*
        /// Every kind of failure.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    INVALID_JSON = "invalid_json" 400 "The body is not JSON" "Send the body as JSON in UTF-8; the detail says where it broke off.";
    INVALID_QUERY = "invalid_query" 400 "The address has a wrong parameter" "The detail names the parameter and what it may be.";
    UNAUTHENTICATED = "unauthenticated" 401 "Nobody is logged in" "Send Authorization: Bearer and an API key that is neither expired nor revoked, or log in.";
    FORBIDDEN = "forbidden" 403 "Not allowed" "The key lacks the scope, or the user the role, that the detail names.";
    NUMBERS_OFF = "numbers_off" 403 "The numbers of agents are off" "An administrator of the tenant switches them on, with a reason: PUT /api/v1/agents/numbers/switch. GET on the same address says what that takes.";
    CSRF = "csrf" 403 "The form is out of date" "Load the page again and repeat; requests of a session bring their CSRF token along.";
    NOT_FOUND = "not_found" 404 "Not there" "Nothing of this tenant has that id, or the address is wrong.";
    METHOD_NOT_ALLOWED = "method_not_allowed" 405 "Not with this method" "The OpenAPI document at /api/openapi.json lists what each address takes.";
    CONFLICT = "conflict" 409 "Something else is there already" "The same source and external id with other content is not taken over; send on_conflict: update to revise it.";
    NO_MASTER_KEY = "no_master_key" 409 "Tenants' keys can not be kept here" "The operator makes a master key with undertone secrets new-key and gives it to the service as UNDERTONE_MASTER_KEY or in the file of master_key_file.";
    GONE = "gone" 410 "Not kept any more" "Begin anew without after; what was missed meanwhile is in the pages of alerts and interactions.";
    TOO_LARGE = "too_large" 413 "Too long" "Send less at once; the detail says how much is taken.";
    UNSUPPORTED = "unsupported_media_type" 415 "Not a type that is taken" "Send application/json, or application/x-ndjson for interactions.";
    INVALID = "invalid" 422 "Something in it can not be used" "errors lists each field and what it may be.";
    RATE_LIMITED = "rate_limited" 429 "Too many attempts" "Wait as long as Retry-After says.";
    INTERNAL = "internal" 500 "Something broke here" "The log has the cause under the request id; nothing was half done.";
    BUSY = "busy" 503 "Too much at once" "Try again after Retry-After seconds; nothing was taken in.";
    LLM_UNAVAILABLE = "llm_unavailable" 503 "The LLM can not be asked" "The detail says why. Try again after Retry-After seconds, raise the cap or set the key that it names, or let the embedded model read instead: when_unavailable local.";
    UNAVAILABLE = "unavailable" 503 "The database does not answer" "Try again after Retry-After seconds; what was answered with 2xx is safe.";
}

/// One field that can not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Which; empty for the whole.
    pub field: String,
    /// What kind of wrong.
    pub code: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// A field that can not be used, and what would be right.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), code: "invalid".to_owned(), message: message.into() }
    }
}

impl From<ItemError> for FieldError {
    fn from(error: ItemError) -> Self {
        Self { field: error.field, code: error.code.to_owned(), message: error.message }
    }
}

/// What is wrong with one item that is all of the body.
impl From<Vec<ItemError>> for ApiError {
    fn from(errors: Vec<ItemError>) -> Self {
        match errors.as_slice() {
            [only] if matches!(only.code, "invalid_json" | "invalid_utf8") => {
                Self::new(INVALID_JSON, only.message.clone())
            }
            _ => Self::invalid(errors.into_iter().map(FieldError::from).collect()),
        }
    }
}

/// A request that failed.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// What kind.
    pub code: Code,
    /// What exactly.
    pub detail: String,
    /// Fields that can not be used.
    pub errors: Vec<FieldError>,
    /// What only the log is told.
    pub cause: Option<String>,
    /// For 429 and 503: seconds after which trying again may help.
    pub retry_after: u32,
}

impl ApiError {
    /// A failure of this kind.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), cause: None, retry_after: 1 }
    }

    /// Nothing has this id.
    pub fn not_found(what: &str) -> Self {
        Self::new(NOT_FOUND, format!("there is no such {what}"))
    }

    /// Fields that can not be used. The detail tells the first few; `errors` has all.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().take(3).map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ");
        Self { errors, ..Self::new(INVALID, detail) }
    }

    /// One field that can not be used.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::invalid(field, message)])
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(told) => Self::new(CONFLICT, told),
            StoreError::NotAllowed(told) => Self::new(FORBIDDEN, told),
            StoreError::Invalid(told) => {
                Self::invalid(told.lines().map(|line| FieldError::invalid("", line)).collect())
            }
            passing if passing.is_passing() => Self {
                cause: Some(passing.to_string()),
                ..Self::new(UNAVAILABLE, "the database does not answer right now")
            },
            broken => Self {
                cause: Some(broken.to_string()),
                ..Self::new(INTERNAL, "the cause is in the log under this request id")
            },
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::new(BUSY, refused.to_string()),
            Refused::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    /// The status only; [`render`] writes the body, which depends on who asked.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if matches!(self.code.status, 429 | 503) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after));
        }
        if self.code == UNAUTHENTICATED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Which kind of answer an address gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `/api/…`: problem+json.
    Api,
    /// The module guide's own addresses: `{"ok":false,"error":…}`.
    Guide,
    /// Pages.
    Page,
}

impl Surface {
    /// By the address.
    pub fn of(path: &str) -> Self {
        if path.starts_with("/crm/api/") || path.starts_with("/tenant-admin/api/") {
            Self::Guide
        } else if path.starts_with("/api/") || matches!(path, "/healthz" | "/readyz" | "/metrics") {
            Self::Api
        } else {
            Self::Page
        }
    }
}

/// Gives every request an id, answers failures in the way of their surface, and logs those that are ours.
pub async fn render(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let surface = Surface::of(&path);
    let mut response = next.run(request).await;
    if response.extensions().get::<ApiError>().is_none()
        && let Some(error) = from_status(response.status(), &path, surface, &response)
    {
        let made = error.into_response();
        response.extensions_mut().extend(made.extensions().clone());
    }
    let error = response.extensions_mut().remove::<ApiError>();
    if let Some(error) = error {
        if error.code.status >= 500 {
            let cause = error.cause.as_deref().unwrap_or(&error.detail);
            // Not the address itself: an id in it may be a customer's e-mail address, and no erasure reaches a log.
            let path = route.as_ref().map_or("an unknown address", MatchedPath::as_str);
            tracing::error!(request_id = id, %method, path, code = error.code.word, cause, "{method} {path} failed: {cause}");
        }
        let (parts, _) = response.into_parts();
        let mut body = body_of(&error, &id, surface);
        for (name, value) in &parts.headers {
            if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
                body.headers_mut().append(name, value.clone());
            }
        }
        response = body;
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// Failures that the framework answers by itself.
fn from_status(status: StatusCode, path: &str, surface: Surface, response: &Response) -> Option<ApiError> {
    let has_body = response.headers().contains_key(header::CONTENT_TYPE) && surface != Surface::Page;
    match status.as_u16() {
        404 => Some(ApiError::new(NOT_FOUND, "there is nothing at this address")),
        405 => Some(ApiError::new(
            METHOD_NOT_ALLOWED,
            format!("this address takes {}", super::methods_of(path).join(", ")),
        )),
        413 => Some(ApiError::new(TOO_LARGE, "the body is too long")),
        500 if !has_body || surface == Surface::Page => {
            Some(ApiError::new(INTERNAL, "the cause is in the log"))
        }
        _ => None,
    }
}

fn body_of(error: &ApiError, id: &str, surface: Surface) -> Response {
    let status = StatusCode::from_u16(error.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match surface {
        Surface::Api => {
            let mut body = json!({
                "type": format!("/api/docs/errors#{}", error.code.word),
                "title": error.code.title,
                "status": error.code.status,
                "detail": error.detail,
                "code": error.code.word,
                "request_id": id,
            });
            if !error.errors.is_empty() {
                body["errors"] = json!(error.errors);
            }
            let mut response = (status, Json(body)).into_response();
            let kind = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Surface::Guide => {
            (status, Json(json!({"ok": false, "error": error.detail, "code": error.code.word})))
                .into_response()
        }
        Surface::Page => {
            let page = undertone_ui::problem(&undertone_ui::Problem {
                status: error.code.status,
                title: error.code.title,
                detail: &error.detail,
                request_id: id,
                user: None,
            });
            (status, Html(page)).into_response()
        }
    }
}

/// The caller's id for the request where it is a plain word, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
        .map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned)
}
