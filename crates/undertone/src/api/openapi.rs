//! The OpenAPI document, and the pages that show it and the table of failures.

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::CODES;
use crate::app::App;

/// The document, written by hand and compared with the route table and with real answers by the tests.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The document.
pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// A page to browse it, with nothing from elsewhere.
pub fn browser() -> Router<App> {
    SwaggerUi::new("/api/docs").config(Config::from("/api/openapi.json").try_it_out_enabled(true)).into()
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
