//! Message batches.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Call, Made, deliver, paging};
use crate::batch::{Batch, Stage};
use crate::fields::Checked;
use crate::state::{Shared, State as Remembered};
use crate::{Calls, Problem};

/// `POST /v1/messages/batches`.
pub(super) async fn make(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    let batch = Batch::read(&call.json()?, &shared.script, &call.key)?;
    let now = shared.script.now();
    shared.settled().rates(&call.key, &shared.script).admit(0, now)?;
    answered(shared, call, move |state, shared, call| {
        let now = shared.script.now();
        Ok(state.add(batch, now).body(&base(call), now))
    })
    .await
}

/// `GET /v1/messages/batches`, newest first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    answered(shared, call, |state, shared, call| {
        let own: Vec<&Batch> = state.batches.iter().rev().filter(|batch| batch.key == call.key).collect();
        let ids: Vec<&str> = own.iter().map(|batch| batch.id.as_str()).collect();
        let page = paging::page(&ids, &call.uri)?;
        let (base, now) = (base(call), shared.script.now());
        let data: Vec<Value> = own[page.entries].iter().map(|batch| batch.body(&base, now)).collect();
        Ok(json!({
            "first_id": data.first().map(|batch| &batch["id"]),
            "last_id": data.last().map(|batch| &batch["id"]),
            "has_more": page.has_more,
            "data": data,
        }))
    })
    .await
}

/// `GET /v1/messages/batches/{id}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    answered(shared, call, move |state, shared, call| {
        let at = place(state, call, &id)?;
        Ok(state.batches[at].body(&base(call), shared.script.now()))
    })
    .await
}

/// `GET /v1/messages/batches/{id}/results`.
pub(super) async fn results(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    deliver(shared, call, Calls::Batches, move |shared, call, _| async move {
        let state = shared.settled();
        let batch = &state.batches[place(&state, &call, &id)?];
        let now = shared.script.now();
        if batch.stage(now) != Stage::Ended || batch.is_archived(now) {
            return Err(Problem::not_found(format!("{id} has no results, or has them no longer")));
        }
        let response = ([(header::CONTENT_TYPE, "application/x-jsonl")], batch.results()).into_response();
        Ok(Made { response, billed: None })
    })
    .await
}

/// `POST /v1/messages/batches/{id}/cancel`. Asking again changes nothing.
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    answered(shared, call, move |state, shared, call| {
        let at = place(state, call, &id)?;
        let now = shared.script.now();
        let batch = &mut state.batches[at];
        if batch.stage(now) == Stage::Ended {
            return Err(Problem::invalid(format!("{id} has ended and can not be canceled")));
        }
        batch.cancelled.get_or_insert(now);
        Ok(batch.body(&base(call), now))
    })
    .await
}

/// `DELETE /v1/messages/batches/{id}`, once it has ended.
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    answered(shared, call, move |state, shared, call| {
        let at = place(state, call, &id)?;
        if state.batches[at].stage(shared.script.now()) != Stage::Ended {
            return Err(Problem::invalid(format!(
                "{id} can not be deleted while it is in progress; cancel it first"
            )));
        }
        state.batches.remove(at);
        Ok(json!({"id": id, "type": "message_batch_deleted"}))
    })
    .await
}

/// Answers a call about batches, once they have caught up with the clock.
async fn answered<F>(shared: Arc<Shared>, call: Call, answer: F) -> Result<Response, Problem>
where
    F: FnOnce(&mut Remembered, &Shared, &Call) -> Checked<Value> + Send + 'static,
{
    deliver(shared, call, Calls::Batches, move |shared, call, _| async move {
        answer(&mut shared.settled(), &shared, &call).map(Made::free)
    })
    .await
}

/// Where a batch of the caller's is.
fn place(state: &Remembered, call: &Call, id: &str) -> Checked<usize> {
    let is_it = |batch: &Batch| batch.id == id && batch.key == call.key;
    state.batches.iter().position(is_it).ok_or_else(|| Problem::not_found(format!("message batch: {id}")))
}

/// The server's address as the caller knows it.
fn base(call: &Call) -> String {
    format!("http://{}", call.host)
}
