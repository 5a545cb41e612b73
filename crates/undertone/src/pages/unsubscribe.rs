//! The link in e-mails that ends them. Looking at it changes nothing, because programs look at links too; the button does, and so does what
//! mail programs post for their readers (RFC 8058), without a log-in.

use axum::extract::State;
use axum::response::Html;
use serde::Deserialize;
use undertone_core::notification::Category;
use undertone_store::Act;
use undertone_store::notices::preferences::Subscription;
use undertone_ui::words::EN;

use crate::api::body::Query;
use crate::api::problem::{ApiError, NOT_FOUND};
use crate::app::App;
use crate::limits::ClientAddress;

/// What the link carries.
#[derive(Debug, Deserialize)]
pub struct Token {
    #[serde(default)]
    token: String,
}

async fn subscription(app: &App, token: &Token) -> Result<Subscription, ApiError> {
    let unknown = || {
        let told = "this link is not one of ours, or its account is gone; what you are told about is chosen after logging in";
        ApiError::new(NOT_FOUND, told)
    };
    app.store.subscription(&token.token).await?.ok_or_else(unknown)
}

fn about(subscription: &Subscription) -> &'static str {
    subscription.category.map_or(EN.all_notices, Category::meaning)
}

/// Asks whether they are to end.
pub async fn show(State(app): State<App>, Query(token): Query<Token>) -> Result<Html<String>, ApiError> {
    let found = subscription(&app, &token).await?;
    Ok(Html(undertone_ui::unsubscribe(&undertone_ui::Unsubscribe {
        email: &found.email,
        about: about(&found),
        token: &token.token,
    })))
}

/// Ends them. Said twice, it is true once.
pub async fn end(
    State(app): State<App>,
    address: ClientAddress,
    Query(token): Query<Token>,
) -> Result<Html<String>, ApiError> {
    let found = subscription(&app, &token).await?;
    let (actor, from) = (format!("user:{}", found.user), address.text());
    let act = Act { from: from.as_deref(), ..Act::new(found.tenant, &actor) };
    app.store.unsubscribe(&act, &found.user, found.category).await?;
    let detail = EN.unsubscribed_more.replace("{about}", about(&found)).replace("{email}", &found.email);
    Ok(Html(undertone_ui::done(&undertone_ui::Done { title: EN.unsubscribed, detail: &detail })))
}
