//! What one chose about being told: channels by category, quiet hours, a daily digest.

use axum::extract::State;
use serde_json::{Map, Value, json};
use undertone_core::notification::{Category, Channels, Preferences};

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, FieldError};
use crate::app::App;

/// What is in force: every category with its channels, whether it was chosen or not.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let (preferences, version) =
        app.store.notification_preferences(caller.tenant_id(), caller.person()?).await?;
    Ok(axum::Json(told(&app, &preferences, version)))
}

fn told(app: &App, preferences: &Preferences, version: i64) -> Value {
    let categories: Map<String, Value> = Category::ALL
        .into_iter()
        .map(|category| (category.as_str().to_owned(), json!(preferences.channels(category))))
        .collect();
    json!({
        "categories": categories,
        "quiet_hours": preferences.quiet_hours,
        "digest_at": preferences.digest_at,
        "zone": preferences.zone.map(chrono_tz::Tz::name),
        "urgent_at_once": preferences.urgent_at_once,
        "email_is_set_up": !app.config.smtp_host.is_empty(),
        "version": version,
    })
}

/// Changes what is given and keeps the rest; `null` puts one back to its default. With `version`, only if it is still that one.
pub async fn save(
    State(app): State<App>,
    caller: Caller,
    Json(changes): Json<Value>,
) -> Result<axum::Json<Value>, ApiError> {
    let me = caller.person()?;
    let (before, seen) = app.store.notification_preferences(caller.tenant_id(), me).await?;
    let Value::Object(mut changes) = changes else {
        return Err(ApiError::invalid_field("body", "send an object with what is to be changed"));
    };
    let version = match changes.remove("version") {
        None | Some(Value::Null) => seen,
        Some(version) => version
            .as_i64()
            .ok_or_else(|| ApiError::invalid_field("version", "it is the number that was answered"))?,
    };
    let after = changed(&before, changes)?;
    after.check().map_err(|why| ApiError::invalid_field("quiet_hours", &why))?;
    let version = app.store.choose_notifications(&caller.act(), (me, Some(version)), &after).await?;
    Ok(axum::Json(told(&app, &after, version)))
}

/// The preferences with these changes; everything wrong at once.
fn changed(before: &Preferences, changes: Map<String, Value>) -> Result<Preferences, ApiError> {
    let mut after = json!(before);
    let mut errors = Vec::new();
    for (key, value) in changes {
        let mut tried = json!(Preferences::default());
        if tried.get(&key).is_none() && key != "zone" {
            errors.push(FieldError::invalid(
                &key,
                "it is none of categories, quiet_hours, digest_at, zone, urgent_at_once",
            ));
            continue;
        }
        if value.is_null() {
            if let Some(fields) = after.as_object_mut() {
                fields.remove(&key);
            }
            continue;
        }
        let value = if key == "categories" { with_defaults(before, value) } else { value };
        tried[&key] = value.clone();
        match serde_json::from_value::<Preferences>(tried) {
            Ok(_) => after[&key] = value,
            Err(error) => errors.push(FieldError::invalid(&key, error.to_string())),
        }
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    serde_json::from_value(after).map_err(|error| ApiError::invalid_field("body", error.to_string()))
}

/// Categories as given over those that were, channel by channel.
fn with_defaults(before: &Preferences, given: Value) -> Value {
    let Value::Object(given) = given else { return given };
    let mut all = json!(before.categories);
    for (name, channels) in given {
        let known = name.parse().map_or(Channels::BOTH, |category| before.channels(category));
        let mut merged = json!(known);
        match (channels, merged.as_object_mut()) {
            (Value::Object(fields), Some(merged)) => merged.extend(fields),
            (Value::Null, _) => {}
            (other, _) => merged = other,
        }
        all[name] = merged;
    }
    all
}
