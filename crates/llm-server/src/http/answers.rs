//! Messages, chat completions, and counting tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Call, Made, deliver};
use crate::ask::messages::Purpose;
use crate::ask::{Ask, chat, messages};
use crate::reply::{compose, told};
use crate::state::{Payer, Shared};
use crate::{Calls, Problem};

/// `POST /v1/messages`.
pub(super) async fn message(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    let ask = messages::read(&call.json()?, Purpose::Answer, &call.key)?;
    answer(shared, call, ask).await
}

/// `POST /v1/chat/completions`.
pub(super) async fn completion(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    let ask = chat::read(&call.json()?, &call.key, &shared.script.chat_models)?;
    answer(shared, call, ask).await
}

/// Lets the request in, and answers it. The cache is looked at when the request comes, and has what it writes when the answer goes.
async fn answer(shared: Arc<Shared>, call: Call, ask: Ask) -> Result<Response, Problem> {
    let divided = {
        let now = shared.script.now();
        let mut state = shared.settled();
        let divided = state.divide(&ask, now);
        // What is read from the cache does not count.
        let counts = divided.prompt() - divided.cache_read;
        state.rates(&call.key, &shared.script).admit(counts, now)?;
        divided
    };
    deliver(shared, call, Calls::Answers, move |shared, call, failure| async move {
        let reply = compose(&shared.script, &ask, failure.as_ref())?;
        let at = shared.script.now();
        let mut state = shared.state();
        state.rates(&call.key, &shared.script).wrote(reply.output, at);
        let payer = Payer { request_id: &call.request_id, custom_id: None, key: &call.key, at };
        let (id, body) = state.bill(&ask, &reply, divided, &payer);
        let body = told(body, failure.as_ref());
        Ok(Made { response: Json(body).into_response(), billed: Some(id) })
    })
    .await
}

/// `POST /v1/messages/count_tokens`. Free, with a limit of its own.
pub(super) async fn count(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    let ask = messages::read(&call.json()?, Purpose::Count, &call.key)?;
    let now = shared.script.now();
    shared.settled().rates(&call.key, &shared.script).admit_count(now)?;
    deliver(shared, call, Calls::CountTokens, move |_, _, _| async move {
        Ok(Made::free(json!({"input_tokens": ask.prompt.tokens()})))
    })
    .await
}
