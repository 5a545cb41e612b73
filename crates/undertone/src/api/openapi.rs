//! The OpenAPI document, and the pages that show it and the table of failures.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use utoipa_swagger_ui::{Config, serve};

use super::problem::{ApiError, CODES, INTERNAL};

/// The document, written by hand and compared with the route table and with real answers by the tests.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The document.
pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// To the page to browse it.
pub async fn to_browser() -> Redirect {
    Redirect::to("/api/docs/")
}

/// The page to browse it, with nothing from elsewhere.
pub async fn browser() -> Result<Response, ApiError> {
    shipped("index.html")
}

/// A file of that page.
pub async fn browser_file(Path(file): Path<String>) -> Result<Response, ApiError> {
    shipped(&file)
}

fn shipped(file: &str) -> Result<Response, ApiError> {
    let config = Arc::new(Config::from("/api/openapi.json").try_it_out_enabled(true));
    let found = serve(file, config).map_err(|error| ApiError::new(INTERNAL, error.to_string()))?;
    let found = found.ok_or_else(|| ApiError::not_found("file"))?;
    let kind = [(header::CONTENT_TYPE, found.content_type)];
    let mut response = (kind, Body::from(found.bytes.into_owned())).into_response();
    if found.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Every kind of failure, and what to do about it.
pub async fn errors() -> Html<String> {
    let mut rows = String::new();
    for code in CODES {
        rows.push_str(&format!(
            "<tr id=\"{}\"><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td><td>{}</td></tr>",
            code.word, code.word, code.status, code.title, code.help
        ));
    }
    Html(undertone_ui::document(
        "Errors",
        &format!(
            "<table class=\"tbl\"><thead><tr><th>Code</th><th>Status</th><th>What it means</th><th>What to do</th></tr></thead><tbody>{rows}</tbody></table>"
        ),
    ))
}
