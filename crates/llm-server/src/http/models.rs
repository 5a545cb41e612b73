//! Which models there are, in the manner of both wire formats.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, Made, deliver, paging};
use crate::models::{MODELS, Model};
use crate::state::Shared;
use crate::{Calls, Dialect, Problem};

/// `GET /v1/models`.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    let body = match call.dialect {
        Dialect::ChatCompletions => {
            let data: Vec<Value> = shared.script.chat_models.iter().map(|id| chat_body(id)).collect();
            json!({"object": "list", "data": data})
        }
        Dialect::Messages => {
            let ids: Vec<&str> = MODELS.iter().map(|model| model.id).collect();
            let page = paging::page(&ids, &call.uri)?;
            let data: Vec<Value> = MODELS[page.entries].iter().map(body).collect();
            json!({
                "first_id": data.first().map(|model| &model["id"]),
                "last_id": data.last().map(|model| &model["id"]),
                "has_more": page.has_more,
                "data": data,
            })
        }
    };
    deliver(shared, call, Calls::Models, move |_, _, _| async move { Ok(Made::free(body)) }).await
}

/// `GET /v1/models/{id}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(call): Extension<Call>,
) -> Result<Response, Problem> {
    let found = match call.dialect {
        Dialect::Messages => Model::of(&id).map(body),
        Dialect::ChatCompletions => {
            shared.script.chat_models.iter().find(|known| **known == id).map(|id| chat_body(id))
        }
    };
    let body = found.ok_or_else(|| Problem {
        param: Some("model".to_owned()),
        ..Problem::not_found(format!("model: {id}"))
    })?;
    deliver(shared, call, Calls::Models, move |_, _, _| async move { Ok(Made::free(body)) }).await
}

fn chat_body(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "undertone-llm-server"})
}

fn body(model: &Model) -> Value {
    let habits = model.habits;
    let thinks = |kind: &str| json!({"supported": habits.thinking.contains(&kind)});
    let mut effort = json!({"supported": !habits.efforts.is_empty()});
    for word in ["low", "medium", "high", "xhigh", "max"] {
        effort[word] = json!({"supported": habits.efforts.contains(&word)});
    }
    json!({
        "type": "model",
        "id": model.id,
        "display_name": format!("{} (local stand-in, no model)", model.display_name),
        "created_at": model.created_at,
        "max_input_tokens": model.context,
        "max_tokens": model.most_output,
        "capabilities": {
            "batch": {"supported": true},
            "structured_outputs": {"supported": habits.schemas},
            "thinking": {
                "supported": true,
                "types": {"adaptive": thinks("adaptive"), "enabled": thinks("enabled")},
            },
            "effort": effort,
        },
    })
}
