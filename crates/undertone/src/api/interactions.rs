//! Handing in interactions, and looking them up.

mod export;
mod file;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use undertone_core::visibility::Sight;
use undertone_core::{Arrival, SkipReason};
use undertone_store::accept::Accepted;
use undertone_store::interactions::{Filter, Listed};

pub use export::export;

use super::body::{Query, cut, limited};
use super::caller::Caller;
use super::problem::{
    ApiError, CONFLICT, FORBIDDEN, FieldError, INTERNAL, INVALID_JSON, INVALID_QUERY, TOO_LARGE, UNSUPPORTED,
};
use crate::app::App;
use crate::intake::body::Body;
use crate::intake::item::{Context, ItemError};
use crate::intake::{incoming, item};
use crate::visibility::{self, Eyes};

/// How the answer should be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeQuery {
    /// `all`: what became of every single item.
    results: Option<String>,
}

/// Takes in one interaction, an array of them, or a file with one a line.
pub async fn take(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TakeQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let every_result = match query.results.as_deref() {
        None => false,
        Some("all") => true,
        Some(_) => return Err(ApiError::new(INVALID_QUERY, "results may be all, or left out")),
    };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut stream = request.into_body().into_data_stream();
    let mut start = Vec::new();
    let body = loop {
        let told =
            Body::detect(kind.as_deref(), &start).map_err(|e| ApiError::new(UNSUPPORTED, e.to_string()))?;
        if let Some(body) = told {
            break body;
        }
        match stream.next().await {
            Some(chunk) => start.extend_from_slice(&chunk.map_err(|_| broken_off())?),
            None => break Body::Object,
        }
        if start.len() > super::MAX_BODY {
            return Err(too_long());
        }
    };
    if body != Body::Object {
        return file::take(&app, &caller, body, &start, stream, every_result).await;
    }
    while let Some(chunk) = stream.next().await {
        start.extend_from_slice(&chunk.map_err(|_| broken_off())?);
        if start.len() > super::MAX_BODY {
            return Err(too_long());
        }
    }
    let context = Context { now: app.store.now(), default_source: SOURCE };
    one(&app, &caller, item::read(&start, &context)).await
}

/// The source of interactions that name none.
pub const SOURCE: &str = "api";

fn too_long() -> ApiError {
    ApiError::new(TOO_LARGE, format!("one interaction has {} bytes at most", super::MAX_BODY))
}

fn broken_off() -> ApiError {
    ApiError::new(INVALID_JSON, "the connection broke off before the body ended")
}

async fn one(
    app: &App,
    caller: &Caller,
    read: Result<Arrival, Vec<ItemError>>,
) -> Result<Response, ApiError> {
    let accepted = accept(app, caller, read).await?;
    let (status, result) = match &accepted {
        Accepted::Created { .. } => (StatusCode::CREATED, "created"),
        Accepted::Updated { .. } => (StatusCode::OK, "updated"),
        Accepted::Duplicate { .. } => (StatusCode::OK, "duplicate"),
        Accepted::Conflict { .. } | Accepted::AliasTaken { .. } | Accepted::NotAllowed { .. } => {
            return Err(ApiError::new(
                CONFLICT,
                format!(
                    "{} has the same source and external_id and other content; send on_conflict: update to revise it",
                    accepted.id()
                ),
            ));
        }
    };
    let address = format!("/api/v1/interactions/{}", accepted.id());
    Ok((status, [(header::LOCATION, address)], axum::Json(json!({"id": accepted.id(), "result": result})))
        .into_response())
}

/// The error of an item whose alias with this number another customer goes by.
fn alias_taken(at: usize, why: &str) -> FieldError {
    let field = format!("customer.aliases[{at}]");
    FieldError { field, code: "conflict".to_owned(), message: why.to_owned() }
}

/// The error of an item that tells in `field` what the caller may not.
fn not_allowed(field: &str, why: &str) -> FieldError {
    let message = format!("{why}; {}", Caller::who_revises());
    FieldError { field: field.to_owned(), code: FORBIDDEN.word.to_owned(), message }
}

/// Takes in one interaction that was read, unless it tells an alias of another customer, or what the caller may not change.
pub async fn accept(
    app: &App,
    caller: &Caller,
    read: Result<Arrival, Vec<ItemError>>,
) -> Result<Accepted, ApiError> {
    let mut accepted =
        app.gather.take((caller.tenant_id(), caller.reach_of_interactions()), vec![incoming(read?)]).await?;
    match accepted.pop() {
        Some(Accepted::AliasTaken { at, why }) => {
            let errors = vec![alias_taken(at, &why)];
            Err(ApiError { errors, ..ApiError::new(CONFLICT, why) })
        }
        Some(Accepted::NotAllowed { field, why }) => {
            let error = not_allowed(field, why);
            let detail = error.message.clone();
            Err(ApiError { errors: vec![error], ..ApiError::new(FORBIDDEN, detail) })
        }
        Some(accepted) => Ok(accepted),
        None => Err(ApiError::new(INTERNAL, "the interaction was not answered for")),
    }
}

/// Which interactions to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<String>,
    customer: Option<String>,
    source: Option<String>,
    external_id: Option<String>,
    cursor: Option<String>,
    limit: Option<i64>,
}

/// Which interactions are wanted, by a list or an export.
#[derive(Debug, Serialize)]
struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Our id, once it is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

impl Wanted {
    /// The same with our id of the customer, who may be named by the source's, and with a source wherever there is an id at one.
    ///
    /// # Errors
    /// For a word that is no state, a source without an id at it, and a customer nobody knows.
    async fn checked(self, app: &App, caller: &Caller) -> Result<Self, ApiError> {
        let Self { state, customer, source, external_id } = self;
        let wrong = |told: &str| ApiError::new(INVALID_QUERY, told);
        if state.as_deref().is_some_and(|s| !matches!(s, "pending" | "scored" | "skipped" | "failed")) {
            return Err(wrong("state must be pending, scored, skipped or failed"));
        }
        if source.is_some() && external_id.is_none() {
            return Err(wrong("source goes with external_id"));
        }
        // The index of ids begins with the source.
        let source = external_id.is_some().then(|| source.unwrap_or_else(|| SOURCE.to_owned()));
        let customer = match &customer {
            Some(id) => Some(super::customers::find(app, caller, id).await?.id),
            None => None,
        };
        Ok(Self { state, customer, source, external_id })
    }

    /// For the store: `limit` of them after `before`.
    fn filter<'a>(&'a self, before: Option<&'a str>, limit: i64) -> Filter<'a> {
        Filter {
            state: self.state.as_deref(),
            customer_id: self.customer.as_deref(),
            source: self.source.as_deref(),
            external_id: self.external_id.as_deref(),
            before,
            limit,
        }
    }
}

/// Interactions, the latest arrival first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(query.limit, 50, 500)?;
    let ListQuery { state, customer, source, external_id, cursor, .. } = query;
    let wanted = Wanted { state, customer, source, external_id }.checked(&app, &caller).await?;
    let before = place(cursor.as_deref())?;
    let filter = wanted.filter(before.as_deref(), limit + 1);
    let mut items = app.store.interactions(caller.tenant_id(), &filter).await?;
    let next = cut(&mut items, limit as usize, |item| &item.id);
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    let sights = Eyes::of(&app.store, &caller).await?.on_interactions(&app.store, &ids).await?;
    let items: Vec<Value> = items.iter().map(|item| told(item, sights.of(&item.id))).collect();
    Ok(axum::Json(json!({"items": items, "next_cursor": next})))
}

/// A place in a list, as it is handed out. It means nothing to whoever holds it.
pub fn cursor_of(id: &str) -> String {
    id.chars().filter_map(turned).collect()
}

/// The id after which a list goes on.
///
/// # Errors
/// For a cursor that none of our answers had.
pub fn place(cursor: Option<&str>) -> Result<Option<String>, ApiError> {
    let none_of_ours = || ApiError::new(INVALID_QUERY, "this cursor is none of ours; begin without one");
    cursor.map(|cursor| id_of(cursor).ok_or_else(none_of_ours)).transpose()
}

fn id_of(cursor: &str) -> Option<String> {
    let hex: String = cursor.chars().map(turned).collect::<Option<_>>()?;
    uuid::Uuid::try_parse(&hex).ok().map(|id| id.to_string())
}

/// Another digit in place of a hexadecimal one, and back: a cursor is copied into addresses and shells as it is.
fn turned(digit: char) -> Option<char> {
    char::from_digit(digit.to_digit(16)? ^ 5, 16)
}

/// An interaction with the reason in words a person reads, without what is not to be seen.
fn told(item: &Listed, sight: Sight) -> Value {
    let mut value = json!(item);
    value["hidden"] = visibility::told(sight);
    if !sight.is_open() {
        value["score"] = Value::Null;
        value["label"] = Value::Null;
    }
    let explanation = item.reason.as_deref().and_then(explanation);
    if let Some(explanation) = explanation {
        value["explanation"] = json!(explanation);
    }
    value
}

/// What a reason means.
pub fn explanation(reason: &str) -> Option<&'static str> {
    match reason {
        "retrying" => Some("scoring broke off; it is tried again"),
        "scoring_failed" => Some("scoring failed each time it was tried"),
        _ => SkipReason::ALL.into_iter().find(|r| r.as_str() == reason).map(SkipReason::explanation),
    }
}

/// An interaction with its text, its verdict or the reason why there is none, and every verdict it ever had.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let tenant = caller.tenant_id();
    let item = app.store.interaction(tenant, &id).await?.ok_or_else(|| ApiError::not_found("interaction"))?;
    let (text, sentiment) = (app.store.text(tenant, &id).await?, app.store.sentiment(tenant, &id).await?);
    let revisions = app.store.revisions(tenant, &id).await?;
    // Asked last: a conversation that is open again by now is not closed because it was when the rest was read.
    let sight = Eyes::of(&app.store, &caller).await?.on_interaction(&app.store, &id).await?;
    let mut value = told(&item, sight);
    value["text"] = json!(text.filter(|_| sight.shows_text()));
    value["sentiment"] = json!(sentiment.filter(|_| sight.is_open()));
    value["revisions"] = json!(if sight.is_open() { revisions } else { Vec::new() });
    Ok(axum::Json(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_what_they_were() {
        let id = "019c1234-5678-7abc-8def-0123456789ab";
        assert_eq!(id_of(&cursor_of(id)).as_deref(), Some(id));
        assert!(cursor_of(id).chars().all(|sign| sign.is_ascii_alphanumeric()), "{}", cursor_of(id));
        for none in ["", "x", "019c", "ü", &"0".repeat(40)] {
            assert_eq!(id_of(none), None, "{none}");
        }
    }
}
