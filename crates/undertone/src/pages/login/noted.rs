//! Log-ins in the audit log: who came in how, and whom a wrong password or code was tried on.

use serde_json::json;
use undertone_store::{Act, StoreError, TenantId};

use crate::app::App;
use crate::limits::ClientAddress;

/// Notes that somebody came in with `with`: `password`, `second_factor` or `single_sign_on`.
pub async fn came_in(
    app: &App,
    from: ClientAddress,
    who: (TenantId, &str),
    with: &str,
) -> Result<(), StoreError> {
    note(app, from, who, ("logged_in", with)).await
}

/// Notes that `with` was wrong. Nobody waits for it: how long an answer takes must not tell who has an account.
pub fn refused(app: &App, from: ClientAddress, (tenant, user): (TenantId, &str), with: &'static str) {
    let (app, user) = (app.clone(), user.to_owned());
    tokio::spawn(async move {
        if let Err(error) = note(&app, from, (tenant, &user), ("login_refused", with)).await {
            tracing::warn!(%error, "a refused log-in could not be noted: {error}");
        }
    });
}

async fn note(
    app: &App,
    from: ClientAddress,
    (tenant, user): (TenantId, &str),
    (action, with): (&'static str, &str),
) -> Result<(), StoreError> {
    let (actor, from) = (format!("user:{user}"), from.text());
    let act = Act { from: from.as_deref(), ..Act::new(tenant, &actor) };
    app.store.note(&act, (action, user), &json!({"with": with})).await
}
