//! Requests in, responses out: what all addresses share. Each request is written down, its key is checked, its answer is held up or broken
//! off as the faults want it, and the headers that every response has are put on.

mod answers;
mod batches;
mod models;
mod paging;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::fields::Checked;
use crate::line::Wire;
use crate::state::{Seen, Shared};
use crate::{Calls, Dialect, Failure, LABEL, NOT_A_MODEL, Problem};

const VERSION: &str = "anthropic-version";

/// All addresses.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| async { format!("This is a {NOT_A_MODEL}.\n") }))
        .route("/v1/messages", post(answers::message))
        .route("/v1/messages/count_tokens", post(answers::count))
        .route("/v1/chat/completions", post(answers::completion))
        .route("/v1/messages/batches", get(batches::list).post(batches::make))
        .route("/v1/messages/batches/{id}", get(batches::show).delete(batches::delete))
        .route("/v1/messages/batches/{id}/results", get(batches::results))
        .route("/v1/messages/batches/{id}/cancel", post(batches::cancel))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::show))
        .fallback(|| async { Problem::not_found("Not Found") })
        .method_not_allowed_fallback(|| async {
            Problem { status: 405, ..Problem::invalid("Method Not Allowed") }
        })
        .layer(middleware::from_fn_with_state(shared.clone(), around))
        .with_state(shared.clone())
}

/// A request whose key is good.
#[derive(Clone)]
struct Call {
    request_id: String,
    key: String,
    dialect: Dialect,
    uri: Uri,
    /// What the caller calls this server.
    host: String,
    body: Bytes,
    wire: Wire,
}

impl Call {
    /// The body as JSON.
    fn json(&self) -> Checked<Value> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::invalid(format!("The request body is not valid JSON: {error}")))
    }
}

/// Everything before and after the handler of an address.
async fn around(
    State(shared): State<Arc<Shared>>,
    Extension(wire): Extension<Wire>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    // Read to its end even where it is too long: a caller that still writes would miss the answer.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let dialect = dialect(parts.uri.path(), &parts.headers);
    let mut origin = Origin { dialect, request_id: see(&shared, &parts, &body), key: None };
    let response = match check(&shared, dialect, &parts, &body) {
        Err(problem) => problem.into_response(),
        Ok(key) => {
            origin.key = Some(key.clone());
            let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let call = Call {
                request_id: origin.request_id.clone(),
                key,
                dialect,
                uri: parts.uri.clone(),
                host: host.unwrap_or_default().to_owned(),
                body,
                wire,
            };
            let mut request = Request::from_parts(parts, Body::empty());
            request.extensions_mut().insert(call);
            next.run(request).await
        }
    };
    finish(&shared, response, &origin)
}

/// What a response must know of its request.
struct Origin {
    dialect: Dialect,
    request_id: String,
    /// None where it was not good.
    key: Option<String>,
}

/// Writes a request down. Answers its id.
fn see(shared: &Shared, parts: &Parts, body: &Bytes) -> String {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut state = shared.state();
    let request_id = state.next_request_id();
    let seen = Seen {
        request_id: request_id.clone(),
        at: shared.script.now(),
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8_lossy(body).into_owned(),
    };
    state.see(seen, shared.script.remember);
    request_id
}

/// The wire format of an address. Both have models; the version header tells whose are meant.
fn dialect(path: &str, headers: &HeaderMap) -> Dialect {
    let is_messages = path.starts_with("/v1/messages") || headers.contains_key(VERSION);
    if is_messages { Dialect::Messages } else { Dialect::ChatCompletions }
}

/// Size, key, version and type of the body. Answers the key.
fn check(shared: &Shared, dialect: Dialect, parts: &Parts, body: &Bytes) -> Checked<String> {
    let path = parts.uri.path();
    if path == "/" {
        return Ok(String::new());
    }
    let limits = &shared.script.limits;
    let most = if path == "/v1/messages/batches" { limits.batch_body_bytes } else { limits.body_bytes };
    if body.len() > most {
        return Err(Problem::too_large());
    }
    let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let bearer = text("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or_default());
    let key = match (dialect, text("x-api-key"), bearer) {
        (Dialect::Messages, Some(_), Some(_)) => {
            return Err(Problem::authentication("x-api-key and Authorization may not both be sent"));
        }
        (Dialect::Messages, Some(key), None) | (_, _, Some(key)) => key,
        // A server of one's own, with no key set, asks for none.
        (Dialect::ChatCompletions, _, None) if shared.script.key.is_empty() => return Ok(String::new()),
        (Dialect::Messages, None, None) => {
            return Err(Problem::authentication("x-api-key header is required"));
        }
        (Dialect::ChatCompletions, _, None) => {
            return Err(Problem::authentication("You didn't provide an API key."));
        }
    };
    let is_good = if shared.script.key.is_empty() { !key.is_empty() } else { key == shared.script.key };
    if !is_good {
        return Err(Problem::authentication("invalid x-api-key"));
    }
    if dialect == Dialect::Messages {
        match text(VERSION) {
            None => return Err(Problem::invalid("anthropic-version: header is required")),
            Some("2023-06-01") => {}
            Some(other) => {
                return Err(Problem::invalid(format!(
                    "anthropic-version: \"{other}\" is not a valid version"
                )));
            }
        }
    }
    let kind = text("content-type").unwrap_or_default();
    let is_json =
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if parts.method == Method::POST && !body.is_empty() && !is_json {
        return Err(Problem::invalid("content-type: must be application/json"));
    }
    Ok(key.to_owned())
}

/// A response that a proxy in front made, without anything of the provider's.
#[derive(Clone)]
struct FromGateway;

/// Writes the body of a problem, and the headers of every response.
fn finish(shared: &Shared, mut response: Response, origin: &Origin) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = problem.body(origin.dialect, &origin.request_id);
        response = (response.status(), Json(body)).into_response();
        for (name, value) in problem.headers {
            set(&mut response, name, &value);
        }
    }
    set(&mut response, LABEL, NOT_A_MODEL);
    if response.extensions().get::<FromGateway>().is_some() {
        return response;
    }
    let id_header = match origin.dialect {
        Dialect::Messages => "request-id",
        Dialect::ChatCompletions => "x-request-id",
    };
    set(&mut response, id_header, &origin.request_id);
    if let Some(key) = &origin.key {
        let now = shared.script.now();
        let headers = shared.state().rates(key, &shared.script).headers(origin.dialect, now);
        for (name, value) in headers {
            set(&mut response, &name, &value);
        }
    }
    response
}

fn set(response: &mut Response, name: &str, value: &str) {
    // All names are ours; a value that a script gave and that can not be sent is left out.
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}

/// The body of a response, and the answer in it that was billed.
struct Made {
    response: Response,
    billed: Option<String>,
}

impl Made {
    /// JSON that costs nothing.
    fn free(body: Value) -> Self {
        Self { response: Json(body).into_response(), billed: None }
    }
}

/// Makes a response with `make`, unless a fault wants it otherwise. It is made and billed also when the caller has hung up meanwhile, as a
/// provider may do.
async fn deliver<F, M>(shared: Arc<Shared>, call: Call, calls: Calls, make: F) -> Result<Response, Problem>
where
    F: FnOnce(Arc<Shared>, Call, Option<Failure>) -> M + Send + 'static,
    M: Future<Output = Checked<Made>> + Send + 'static,
{
    let (caller, failure, released) = shared.begin(calls);
    let pause = if calls == Calls::Answers { shared.script.latency } else { Duration::ZERO };
    let turn = Turn { failure, released, pause };
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let outcome = act(&shared, call, turn, make).await;
        let (response, billed) = match outcome {
            Ok(Made { response, billed }) => (Ok(response), billed),
            Err(problem) => (Err(problem), None),
        };
        if let (Err(_), Some(billed)) = (sender.send(response), billed) {
            shared.state().ledger.lost(&billed);
        }
    });
    let response = receiver.await.unwrap_or_else(|_| Err(Problem::internal()));
    drop(caller);
    response
}

/// What happens to a call, and how long it takes.
struct Turn {
    failure: Option<Failure>,
    released: watch::Receiver<u64>,
    pause: Duration,
}

/// What [`deliver`] does while the caller waits.
async fn act<F, M>(shared: &Arc<Shared>, call: Call, mut turn: Turn, make: F) -> Checked<Made>
where
    F: FnOnce(Arc<Shared>, Call, Option<Failure>) -> M,
    M: Future<Output = Checked<Made>>,
{
    let empty = |response: Response| Ok(Made { response, billed: None });
    match &turn.failure {
        Some(Failure::Error(problem)) => return Err(problem.clone()),
        Some(Failure::Gateway(status)) => return empty(gateway(*status)),
        Some(Failure::ResetBefore) => {
            call.wire.cut_before();
            return empty(StatusCode::OK.into_response());
        }
        // Waiting fails when the server ends, and whoever waits ends with it.
        Some(Failure::Hang) => {
            let _ = turn.released.changed().await;
            call.wire.cut_before();
            return empty(StatusCode::OK.into_response());
        }
        Some(Failure::Hold) => {
            let _ = turn.released.changed().await;
        }
        Some(Failure::Slow(longer)) => turn.pause = turn.pause.saturating_add(*longer),
        _ => {}
    }
    if !turn.pause.is_zero() {
        tokio::time::sleep(turn.pause).await;
    }
    let wire = call.wire.clone();
    let breaks_off = matches!(turn.failure, Some(Failure::ResetMidway));
    let cuts_short = matches!(turn.failure, Some(Failure::CutShort));
    let mut outcome = make(shared.clone(), call, turn.failure).await?;
    if breaks_off || cuts_short {
        outcome.response = halved(outcome.response, breaks_off, &wire).await;
        if let Some(billed) = outcome.billed.take() {
            shared.state().ledger.lost(&billed);
        }
    }
    Ok(outcome)
}

/// A response of which only half the body gets through: the connection breaks off there, or the body ends there as if that were all.
async fn halved(response: Response, breaks_off: bool, wire: &Wire) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if breaks_off {
        wire.cut_midway(body.len() / 2);
    } else {
        body.truncate(body.len() / 2);
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    Response::from_parts(parts, Body::from(body))
}

fn gateway(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
    let mut response = (status, [(header::CONTENT_TYPE, "text/html")], page).into_response();
    response.extensions_mut().insert(FromGateway);
    response
}
