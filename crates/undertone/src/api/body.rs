//! Bodies, queries and pages of lists, refused in the shape of every other failure.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::interactions::cursor_of;
use super::problem::{ApiError, INVALID, INVALID_JSON, INVALID_QUERY, TOO_LARGE, UNSUPPORTED};

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
            Err(other) if other.status().as_u16() == 413 => {
                Err(ApiError::new(TOO_LARGE, format!("a body has {} bytes at most", super::MAX_BODY)))
            }
            Err(other) => Err(ApiError::new(INVALID_JSON, other.to_string())),
        }
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

/// Cuts what was found down to `most`, where one more was asked for; answers the cursor of the next page, if there is one.
pub fn cut<T>(found: &mut Vec<T>, most: u16, id: impl Fn(&T) -> &str) -> Option<String> {
    let more = found.len() > usize::from(most);
    found.truncate(most.into());
    found.last().filter(|_| more).map(|last| cursor_of(id(last)))
}

/// What the innermost error says; the outer ones only say that there is one.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
