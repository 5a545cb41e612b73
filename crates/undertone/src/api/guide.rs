//! The module guide's own addresses: a thin layer over the same functions, so that a CRM written against that guide works unchanged. Ids
//! echo the caller's, times are the tenant's, failures are `{"ok":false,"error":…}`.

pub mod correction;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Redirect;
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use undertone_core::Settings;
use undertone_store::accept::Accepted;

use super::body::Query;
use super::caller::Caller;
use super::problem::{ApiError, CONFLICT, INVALID_JSON, INVALID_QUERY};
use super::{customers, interactions};
use crate::app::App;
use crate::intake::form;
use crate::intake::item::Context;
use crate::visibility;

/// What is wanted. Which parameters count depends on the action.
#[derive(Debug, Default, Deserialize)]
pub struct Action {
    #[serde(rename = "action")]
    wanted: Option<String>,
    customer_id: Option<String>,
    hours: Option<i64>,
}

/// An id as the caller wrote it: whole numbers come back as numbers.
fn echo(id: &str) -> Value {
    match id.parse::<i64>() {
        Ok(number) if number.to_string() == id => json!(number),
        _ => json!(id),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/json")
}

fn pairs(bytes: &Bytes) -> Result<Vec<(String, String)>, ApiError> {
    serde_urlencoded::from_bytes(bytes)
        .map_err(|e| ApiError::new(INVALID_JSON, format!("the form can not be read: {e}")))
}

/// A time as the guide writes it, `2026-04-22 18:33:11` by the tenant's clock, with its zone. Anything else stays as it is.
fn with_zone(time: &str, zone: Tz) -> String {
    let local = NaiveDateTime::parse_from_str(time.trim(), "%Y-%m-%d %H:%M:%S").ok();
    // In the hour that the clock goes through twice, the first pass is as good as the second.
    let at = local.and_then(|local| zone.from_local_datetime(&local).earliest());
    at.map_or_else(|| time.to_owned(), |at| at.to_rfc3339())
}

/// Logs an interaction.
pub async fn log_interaction(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let context = Context { now: app.store.now(), default_source: interactions::SOURCE };
    let read = if is_json(&headers) {
        form::read_json(&bytes, &context)
    } else {
        let mut pairs = pairs(&bytes)?;
        for (_, value) in pairs.iter_mut().filter(|(name, _)| name == "occurred_at") {
            *value = with_zone(value, caller.tenant.zone);
        }
        form::read(&pairs, &context)
    };
    let given =
        read.as_ref().ok().map(|arrival| arrival.interaction.external_id.clone()).filter(|id| !id.is_empty());
    let accepted = interactions::accept(&app, &caller, read).await?;
    if let Accepted::Conflict { id } = &accepted {
        return Err(ApiError::new(CONFLICT, format!("interaction {id} has this id and other content")));
    }
    let shown = given.as_deref().map_or_else(|| json!(accepted.id()), echo);
    Ok(axum::Json(json!({"ok": true, "interaction_id": shown, "id": accepted.id()})))
}

/// A customer's sums, or what needs attention.
pub async fn sentiment(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Action>,
) -> Result<axum::Json<Value>, ApiError> {
    let zone = caller.tenant.zone;
    let local = |at: DateTime<Utc>| json!(at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string());
    match query.wanted.as_deref() {
        Some("customer_rollup") => {
            let Some(id) = query.customer_id else {
                return Err(ApiError::new(INVALID_QUERY, "customer_id is missing"));
            };
            // A customer nobody wrote about yet has no sums, which is no failure.
            let seen = match app.store.customer(caller.tenant_id(), &id).await? {
                Some(customer) => customers::seen(&app, &caller, &customer.id).await?,
                None => customers::Seen::default(),
            };
            let mut told = json!({"ok": true});
            if let (Some(told), Value::Object(sums)) = (told.as_object_mut(), customers::told(&seen, local)) {
                // The module guide's own keys, and another only where something is held back.
                told.extend(sums.into_iter().filter(|(key, value)| key != "hidden" || !value.is_null()));
            }
            Ok(axum::Json(told))
        }
        Some("escalation_queue") => {
            let (span, limit) = customers::window(query.hours, None)?;
            let (items, hidden) = customers::needing_attention(&app, &caller, span, limit).await?;
            let items: Vec<Value> = items
                .iter()
                .map(|e| {
                    json!({
                        // A correction is made under the interaction's own id.
                        "sentiment_id": e.interaction_id,
                        "interaction_id": echo(&e.external_id),
                        "customer_id": e.customer_external_id.as_deref().map(echo),
                        "customer_name": e.customer_name,
                        "agent_id": e.agent_external_id.as_deref().map(echo),
                        "channel": e.channel,
                        "score": e.score,
                        "label": e.label,
                        "confidence": e.confidence,
                        "dominant_emotion": e.dominant_emotion,
                        "summary": e.summary,
                        "created_at": local(e.scored_at),
                    })
                })
                .collect();
            let mut told = json!({"ok": true, "count": items.len(), "items": items});
            if let Some(reason) = hidden {
                told["hidden"] = visibility::why(reason);
            }
            Ok(axum::Json(told))
        }
        _ => Err(ApiError::new(
            INVALID_QUERY,
            "action must be customer_rollup or escalation_queue; set_override is sent with POST",
        )),
    }
}

/// The settings in force.
pub async fn settings(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Action>,
) -> Result<axum::Json<Value>, ApiError> {
    if query.wanted.as_deref().is_some_and(|action| action != "get") {
        return Err(ApiError::new(INVALID_QUERY, "action must be get; save and reset are sent with POST"));
    }
    let module = app.store.module(caller.tenant_id()).await?;
    Ok(axum::Json(json!({"ok": true, "active": module.active, "settings": module.chosen()})))
}

/// Saves or resets the settings.
pub async fn change_settings(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Action>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let (mut changes, mut action) = (json!({}), query.wanted);
    if is_json(&headers) {
        let value = serde_json::from_slice(&bytes).map_err(|e| ApiError::new(INVALID_JSON, e.to_string()))?;
        if let Value::Object(mut object) = value {
            if let Some(Value::String(told)) = object.shift_remove("action") {
                action = action.or(Some(told));
            }
            object.shift_remove("csrf_token");
            changes = object.shift_remove("settings").unwrap_or(Value::Object(object));
        }
    } else {
        let (told, settings) = settings_of(pairs(&bytes)?);
        action = action.or(told);
        changes = settings;
    }
    let settings = match action.as_deref() {
        Some("save") => super::settings::change(&app, &caller, &changes).await?,
        Some("reset") => app.store.reset_settings(&caller.act()).await?,
        _ => return Err(ApiError::new(INVALID_QUERY, "action must be save or reset")),
    };
    Ok(axum::Json(json!({"ok": true, "settings": settings})))
}

/// A form's pairs as settings: a form knows only texts, so each value is read as what the setting is.
fn settings_of(pairs: Vec<(String, String)>) -> (Option<String>, Value) {
    let defaults = json!(Settings::default());
    let (mut action, mut settings) = (None, Map::new());
    for (name, value) in pairs {
        let name = name.trim_end_matches("[]").to_owned();
        match name.as_str() {
            "action" => action = Some(value),
            "csrf" | "csrf_token" => {}
            "channels" => {
                let list = settings.entry(name).or_insert(json!([]));
                if let Value::Array(list) = list {
                    list.extend(value.split(',').map(str::trim).filter(|c| !c.is_empty()).map(Value::from));
                }
            }
            _ => {
                let read = match (&defaults[&name], value.as_str()) {
                    (Value::Bool(_), "1" | "on" | "true" | "yes") => json!(true),
                    (Value::Bool(_), "0" | "off" | "false" | "no" | "") => json!(false),
                    (Value::Number(_), text) => text.trim().parse::<i64>().map_or(json!(text), Value::from),
                    (Value::Null, "") => Value::Null,
                    (Value::Object(_) | Value::Array(_), text) => {
                        serde_json::from_str(text).unwrap_or(json!(text))
                    }
                    (_, text) => json!(text),
                };
                settings.insert(name, read);
            }
        }
    }
    (action, Value::Object(settings))
}

/// The guide's dashboard is our first page.
pub async fn to_overview() -> Redirect {
    Redirect::to("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_sent() {
        assert_eq!((echo("123"), echo("0123"), echo("a-1")), (json!(123), json!("0123"), json!("a-1")));
    }

    #[test]
    fn times_without_a_zone_are_the_tenants() {
        assert_eq!(with_zone("2026-04-22 18:33:11", Tz::Europe__Berlin), "2026-04-22T18:33:11+02:00");
        assert_eq!(with_zone("2026-04-22T18:33:11Z", Tz::Europe__Berlin), "2026-04-22T18:33:11Z");
    }

    #[test]
    fn a_form_of_settings_is_read_as_what_they_are() {
        let pairs = [
            ("action", "save"),
            ("enabled", "0"),
            ("alert_threshold", "-40"),
            ("channels[]", "web"),
            ("channels[]", "chat"),
            ("model", ""),
            ("daily_token_cap", "lots"),
        ];
        let (action, settings) = settings_of(pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec());
        assert_eq!(action.as_deref(), Some("save"));
        assert_eq!(
            settings,
            json!({"enabled": false, "alert_threshold": -40, "channels": ["web", "chat"], "model": null, "daily_token_cap": "lots"})
        );
    }
}
