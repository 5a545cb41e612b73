//! The audit log: reading, verifying and exporting it. Whoever reads or exports it is in it.

use axum::BoxError;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use undertone_core::Permission;
use undertone_store::audit::{Head, Verified};

use super::body::{Query, file};
use super::caller::Caller;
use super::problem::{ApiError, BUSY, INVALID_QUERY};
use crate::app::App;
use crate::audit::{Export, Format, Given, Wanted, hidden, told};
use crate::visibility::Eyes;

/// Entries in an answer, where nothing is said.
const ENTRIES: u16 = 50;
/// Entries in an answer at most.
const MOST_ENTRIES: u16 = 500;
/// Logs verified at a time: it reads a whole log.
static VERIFYING: Semaphore = Semaphore::const_new(1);

/// Which entries are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    since: Option<String>,
    until: Option<String>,
    cursor: Option<String>,
    limit: Option<u16>,
}

fn wanted(caller: &Caller, given: Given) -> Result<Wanted, ApiError> {
    Wanted::read(given, caller.tenant.zone).map_err(|told| ApiError::new(INVALID_QUERY, told))
}

/// Entries, the latest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = query.limit.unwrap_or(ENTRIES);
    if !(1..=MOST_ENTRIES).contains(&limit) {
        return Err(ApiError::new(INVALID_QUERY, format!("limit must be 1 to {MOST_ENTRIES}")));
    }
    let before =
        match &query.cursor {
            Some(cursor) => Some(place_of(cursor).ok_or_else(|| {
                ApiError::new(INVALID_QUERY, "this cursor is none of ours; begin without one")
            })?),
            None => None,
        };
    let ListQuery { actor, action, subject, since, until, .. } = query;
    let wanted = wanted(&caller, Given { actor, action, subject, since, until })?;
    let tenant = caller.tenant_id();
    let before = before.as_ref().map(|(at, id)| (*at, id.as_str()));
    let mut entries = app.store.audit(tenant, &wanted.filter(), before, limit + 1).await?;
    let more = entries.len() > usize::from(limit);
    entries.truncate(limit.into());
    let names = app.store.actors(tenant, &entries).await?;
    // Before they are shown, so that nobody sees them unnoted.
    app.store.note(&caller.act(), ("audit_read", "audit_log"), &json!({"wanted": wanted})).await?;
    let next = entries.last().filter(|_| more).map(|entry| cursor_of(entry.at, &entry.id));
    let hidden =
        hidden(&app.store, &Eyes::of(&app.store, &caller).await?, caller.tenant_id(), &entries).await?;
    let items: Vec<Value> =
        entries.iter().map(|entry| told(entry, &names, hidden.get(&entry.id).copied())).collect();
    Ok(axum::Json(json!({"items": items, "next_cursor": next})))
}

/// A place in a list that is ordered by time and id, as it is handed out.
pub(super) fn cursor_of(at: DateTime<Utc>, id: &str) -> String {
    format!("{:x}.{id}", at.timestamp_micros())
}

/// The place that a cursor names; `None`: it is none of ours.
pub(super) fn place_of(cursor: &str) -> Option<(DateTime<Utc>, String)> {
    let (at, id) = cursor.split_once('.')?;
    let at = DateTime::from_timestamp_micros(i64::from_str_radix(at, 16).ok()?)?;
    uuid::Uuid::try_parse(id).ok().map(|id| (at, id.to_string()))
}

/// Where the chain ends, to be kept somewhere else.
pub async fn head(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let head = app.store.audit_head(caller.tenant_id()).await?;
    Ok(axum::Json(
        json!({"seq": head.seq, "digest": head.digest, "head": (head.seq > 0).then(|| head.to_string())}),
    ))
}

/// What the chain is compared with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    head: Option<String>,
}

/// Follows the chain from its beginning to its end.
pub async fn verify(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<VerifyQuery>,
) -> Result<axum::Json<Verified>, ApiError> {
    let published = query.head.as_deref().map(str::parse::<Head>).transpose();
    let published = published.map_err(|told| ApiError::new(INVALID_QUERY, format!("head: {told}")))?;
    let Ok(_place) = VERIFYING.try_acquire() else {
        let busy = ApiError::new(BUSY, "another log is being verified; try again in a few seconds");
        return Err(ApiError { retry_after: 5, ..busy });
    };
    Ok(axum::Json(app.store.verify_audit(caller.tenant_id(), published).await?))
}

/// What is exported, and how it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    since: Option<String>,
    until: Option<String>,
    format: Option<Format>,
}

/// Entries as a file, in the order of the chain. It is sent while it is read.
pub async fn export(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let ExportQuery { actor, action, subject, since, until, format } = query;
    let format = format.unwrap_or(Format::Jsonl);
    let wanted = wanted(&caller, Given { actor, action, subject, since, until })?;
    let export = Export::begin(&app.store, &caller.act(), wanted, format).await?;
    let begun = (app.store.clone(), caller.clone(), export);
    let pieces = stream::try_unfold(begun, async |(store, caller, mut export)| {
        let eyes = Eyes::on_a_file(&store, &caller, Permission::Audit).await?;
        Ok::<_, BoxError>(export.next(Some(&eyes)).await?.map(|piece| (piece, (store, caller, export))))
    });
    Ok(file(&app, &caller, ("audit", format), pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_what_they_were() {
        let at = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap_or_default();
        let id = "019c1234-5678-7abc-8def-0123456789ab";
        assert_eq!(place_of(&cursor_of(at, id)), Some((at, id.to_owned())));
        for none in ["", "x", ".", "65.x", &format!("{}.{id}", "f".repeat(40))] {
            assert_eq!(place_of(none), None, "{none}");
        }
    }
}
