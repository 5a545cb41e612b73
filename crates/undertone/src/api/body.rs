//! Bodies, queries and pages of lists, refused in the shape of every other failure; and answers that are files.

use std::fmt::Display;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, TryStreamExt};
use serde::de::DeserializeOwned;

use super::caller::Caller;
use super::interactions::cursor_of;
use super::problem::{ApiError, INVALID, INVALID_JSON, INVALID_QUERY, TOO_LARGE, UNSUPPORTED};
use crate::app::App;
use crate::audit::Format;

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::JsonSyntaxError(e)) => Err(ApiError::new(INVALID_JSON, cause(&e))),
            Err(JsonRejection::JsonDataError(e)) => Err(ApiError::new(INVALID, cause(&e))),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(ApiError::new(UNSUPPORTED, "send the header Content-Type: application/json"))
            }
            Err(other) => Err(refused(other.status().as_u16(), other.to_string())),
        }
    }
}

/// A JSON body that may be left out: nothing says as much as `{}`.
pub struct OptionalJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let read = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let mut bytes = read.map_err(|e| refused(e.status().as_u16(), e.body_text()))?;
        if bytes.is_empty() {
            bytes = Bytes::from_static(b"{}");
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = Request::from_parts(parts, Body::from(bytes));
        Json::from_request(request, state).await.map(|Json(value)| Self(value))
    }
}

/// A body that could not be read.
fn refused(status: u16, told: String) -> ApiError {
    match status {
        413 => ApiError::new(TOO_LARGE, format!("a body has {} bytes at most", super::MAX_BODY)),
        _ => ApiError::new(INVALID_JSON, told),
    }
}

/// A query.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|query| Self(query.0))
            .map_err(|e: QueryRejection| ApiError::new(INVALID_QUERY, cause(&e)))
    }
}

/// How many are asked for: `default` where nothing is said, and 1 to `most`.
///
/// # Errors
/// A wrong query.
pub fn limited<N: Copy + Display + PartialOrd + From<u8>>(
    limit: Option<N>,
    default: N,
    most: N,
) -> Result<N, ApiError> {
    let limit = limit.unwrap_or(default);
    if (1.into()..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::new(INVALID_QUERY, format!("limit is {limit}; it must be 1 to {most}")))
}

/// Cuts what was found down to `most`, where one more was asked for; answers the cursor of the next page, if there is one.
pub fn cut<T>(found: &mut Vec<T>, most: usize, id: impl Fn(&T) -> &str) -> Option<String> {
    let more = found.len() > most;
    found.truncate(most);
    found.last().filter(|_| more).map(|last| cursor_of(id(last)))
}

/// The answer that is a file: `pieces` of `what` as they are read, under the name of tenant and day.
pub fn file<B, E>(
    app: &App,
    caller: &Caller,
    (what, format): (&'static str, Format),
    pieces: impl Stream<Item = Result<B, E>> + Send + 'static,
) -> Response
where
    B: Into<Bytes> + 'static,
    E: Into<BoxError> + Display + 'static,
{
    let day = app.store.now().with_timezone(&caller.tenant.zone).format("%Y-%m-%d");
    let name = format!("{what}-{}-{day}.{}", caller.tenant.slug, format.extension());
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    // The answer has begun; it is cut off, and the reason is in the log.
    let pieces = pieces.inspect_err(move |error| tracing::error!(%error, "an export broke off: {what}"));
    (headers, Body::from_stream(pieces)).into_response()
}

/// What the innermost error says; the outer ones only say that there is one.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
