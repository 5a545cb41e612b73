//! `set_override` of the module guide: a person's score or label in place of the scorer's.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Map, Value, json};
use undertone_core::{Label, Score};
use undertone_store::overrides::Seen;

use super::{Action, echo, is_json, pairs};
use crate::api::body::Query;
use crate::api::caller::Caller;
use crate::api::overrides;
use crate::api::problem::{ApiError, FieldError, INVALID_JSON, INVALID_QUERY};
use crate::app::App;

/// What the guide's body may hold, each as the caller wrote it: a form knows only texts.
#[derive(Debug, Default)]
struct Given {
    action: Option<String>,
    sentiment_id: Option<String>,
    score: Option<Value>,
    label: Option<String>,
    reason: Option<String>,
    version: Option<String>,
}

/// Sets a correction, or clears it where neither score nor label is given. Without `version`, which the guide does not know, nothing that
/// somebody else said is replaced.
pub async fn set_override(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Action>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let given = read(is_json(&headers), &bytes)?;
    if query.wanted.as_deref().or(given.action.as_deref()) != Some("set_override") {
        return Err(ApiError::new(
            INVALID_QUERY,
            "action must be set_override; what is read is sent with GET",
        ));
    }
    let mut errors = Vec::new();
    let id = given.sentiment_id.unwrap_or_default();
    if id.is_empty() {
        errors.push(FieldError::invalid("sentiment_id", "sentiment_id is missing"));
    }
    let score = given.score.as_ref().and_then(|score| {
        let read = score.as_i64().or_else(|| score.as_str()?.trim().parse().ok()).and_then(Score::new);
        if read.is_none() {
            errors.push(FieldError::invalid("score", "score must be a whole number from -100 to 100"));
        }
        read
    });
    let label = given.label.as_deref().and_then(|word| match word.parse::<Label>() {
        Ok(label) => Some(label),
        Err(told) => {
            errors.push(FieldError::invalid("label", &told));
            None
        }
    });
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let said = overrides::said(score, label, given.reason.as_deref())?;
    let seen = given.version.as_deref().map_or(Seen::Unknown, Seen::Version);
    let standing = overrides::say(&app, &caller, &id, said, seen).await?;
    let correction = standing.correction;
    Ok(axum::Json(json!({
        "ok": true,
        "sentiment_id": echo(&standing.interaction_id),
        "score": correction.map(|c| c.score),
        "label": correction.map(|c| c.label),
        "version": standing.version,
    })))
}

fn read(json: bool, bytes: &Bytes) -> Result<Given, ApiError> {
    let fields: Map<String, Value> = if json {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(ApiError::new(INVALID_JSON, "the body must be an object")),
            Err(e) => return Err(ApiError::new(INVALID_JSON, e.to_string())),
        }
    } else {
        pairs(bytes)?.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
    };
    let mut given = Given::default();
    let mut errors = Vec::new();
    for (name, value) in fields {
        // An empty field of a form is one that nobody filled in.
        if value.is_null() || value.as_str() == Some("") {
            continue;
        }
        let mut text = |slot: &mut Option<String>| match &value {
            Value::String(text) => *slot = Some(text.clone()),
            Value::Number(number) => *slot = Some(number.to_string()),
            _ => errors.push(FieldError::invalid(&name, format!("{name} must be a text"))),
        };
        match name.as_str() {
            "action" => text(&mut given.action),
            "sentiment_id" => text(&mut given.sentiment_id),
            "score" => given.score = Some(value.clone()),
            "label" => text(&mut given.label),
            "reason" => text(&mut given.reason),
            "version" => text(&mut given.version),
            "csrf" | "csrf_token" => {}
            _ => errors.push(FieldError::invalid(
                &name,
                "the fields are sentiment_id, score, label, reason and version",
            )),
        }
    }
    if errors.is_empty() { Ok(given) } else { Err(ApiError::invalid(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_json_are_read_alike() {
        let form =
            read(false, &Bytes::from_static(b"sentiment_id=7&score=&label=negative&csrf_token=x")).unwrap();
        let json =
            read(true, &Bytes::from_static(br#"{"sentiment_id": 7, "score": null, "label": "negative"}"#));
        for given in [form, json.unwrap()] {
            assert_eq!(
                (given.sentiment_id.as_deref(), given.label.as_deref()),
                (Some("7"), Some("negative"))
            );
            assert_eq!((given.score, given.version), (None, None));
        }
        let told = read(true, &Bytes::from_static(br#"{"sentimentid": 7, "label": []}"#)).unwrap_err();
        assert_eq!(
            told.errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(),
            ["sentimentid", "label"]
        );
        assert_eq!(read(true, &Bytes::from_static(b"[]")).unwrap_err().code, INVALID_JSON);
    }
}
