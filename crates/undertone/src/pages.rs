//! Pages for people. What they look like is `undertone-ui`'s business.

pub mod account;
pub mod accuracy;
pub mod inbox;
pub mod login;
pub mod overview;
pub mod password;
pub mod privacy;
pub mod second_factor;
pub mod unsubscribe;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::api::problem::ApiError;

/// Style, script and icon, under names that change with their content.
pub async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    let asset =
        undertone_ui::assets::find(&format!("/assets/{name}")).ok_or_else(|| ApiError::not_found("file"))?;
    let headers =
        [(header::CONTENT_TYPE, asset.mime), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.text.as_str()).into_response())
}
