//! Where events go. Addresses and keys go in here and never come out, but for a signing key that is made here, once.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::destination::DestinationKind;
use undertone_core::event::EventKind;
use undertone_core::visibility::Reason;
use undertone_store::destinations::{Delivery, DeliveryState, Destination, Stretch, Which};

use super::audit::{cursor_of, place_of};
use super::body::{Json, Query, cut};
use super::caller::Caller;
use super::interactions::place;
use super::problem::{ApiError, CONFLICT, FieldError};
use crate::app::App;
use crate::deliver::{Draft, Keys, Secrets, Wrong, new_signing_key};
use crate::visibility::{self, Eyes};

/// Deliveries on a page, unless asked otherwise, and at most.
const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 200;

/// All destinations.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    let all = app.store.destinations(caller.tenant_id()).await?;
    let all: Vec<Value> = all.iter().map(|one| answer(&app, &caller, one)).collect();
    Ok(axum::Json(json!({"destinations": all})))
}

/// A destination as it is told, and why nothing can be sent to it, where its address does not open here.
fn answer(app: &App, caller: &Caller, destination: &Destination) -> Value {
    let mut told = json!(destination);
    told["problem"] = opened(app, caller, destination).err().into();
    told
}

/// One destination.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let destination = existing(&app, &caller, &id).await?;
    Ok(axum::Json(answer(&app, &caller, &destination)))
}

async fn existing(app: &App, caller: &Caller, id: &str) -> Result<Destination, ApiError> {
    app.store.destination(caller.tenant_id(), id).await?.ok_or_else(|| ApiError::not_found("destination"))
}

/// Makes a destination. A webhook without a key gets one, which is told this once.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<(StatusCode, axum::Json<Value>), ApiError> {
    let (draft, _) = drafted(body, &app)?;
    let (wished, made) = draft.made(app.outward.allowed()).map_err(told)?;
    let new = wished.sealed(app.provider_keys.keyring(), caller.tenant_id())?;
    let destination = app.store.create_destination(&caller.act(), &new).await?;
    let mut told = answer(&app, &caller, &destination);
    if let Some(key) = made {
        told["signing_key"] = key.into();
    }
    Ok((StatusCode::CREATED, axum::Json(told)))
}

/// Changes a destination. What is left out stays, address and key too; where those do not open any more, both can be given anew.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<axum::Json<Value>, ApiError> {
    let before = existing(&app, &caller, &id).await?;
    let (draft, version) = drafted(body, &app)?;
    let secrets = opened(&app, &caller, &before).ok();
    let wished = draft.over(&before, secrets.as_ref(), app.store.now()).map_err(told)?;
    let new = wished.sealed(app.provider_keys.keyring(), caller.tenant_id())?;
    // What is left out is as it was read here, a key that was replaced meanwhile too.
    let seen = (id.as_str(), version.or(Some(before.version)));
    let changed = app.store.change_destination(&caller.act(), seen, &new).await?;
    let changed = changed.ok_or_else(|| ApiError::not_found("destination"))?;
    Ok(axum::Json(answer(&app, &caller, &changed)))
}

/// Gives a webhook a new signing key, told this once; each one before it signs too until a day after it was replaced.
pub async fn rotate_key(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let before = existing(&app, &caller, &id).await?;
    if before.kind != DestinationKind::Webhook {
        let told = "only webhooks are signed with a key of ours; change this one's key with PUT";
        return Err(ApiError::new(CONFLICT, told));
    }
    let (key, version) = (new_signing_key(), Some(before.version));
    let draft = Draft { key: Some(key.clone()), ..Draft::default() };
    let secrets = opened(&app, &caller, &before).map_err(|why| ApiError::new(CONFLICT, why))?;
    // Nothing but the key changes, so nothing else can be in the way.
    let in_the_way = |wrong: Vec<Wrong>| wrong.into_iter().map(|(_, why)| why).collect::<String>();
    let wished = draft
        .over(&before, Some(&secrets), app.store.now())
        .map_err(|wrong| ApiError::new(CONFLICT, in_the_way(wrong)))?;
    let until = match &wished.keys {
        Keys::Anew(secrets) => secrets.replaced.first().map(|(_, until)| *until),
        Keys::Kept(..) => None,
    };
    let new = wished.sealed(app.provider_keys.keyring(), caller.tenant_id())?;
    let changed = app.store.change_destination(&caller.act(), (&id, version), &new).await?;
    let changed = changed.ok_or_else(|| ApiError::not_found("destination"))?;
    let mut told = answer(&app, &caller, &changed);
    told["signing_key"] = key.into();
    told["previous_key_until"] = json!(until);
    Ok(axum::Json(told))
}

/// Removes a destination.
pub async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    if app.store.remove_destination(&caller.act(), &id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("destination"))
    }
}

/// Sends a test message to a destination that messages can be sent to; its delivery says what became of it.
pub async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<Value>), ApiError> {
    let destination = existing(&app, &caller, &id).await?;
    if !destination.active {
        let told = "it is switched off, and nothing is sent to it; switch it on first";
        return Err(ApiError::new(CONFLICT, told));
    }
    opened(&app, &caller, &destination).map_err(|why| ApiError::new(CONFLICT, why))?;
    let delivery = app.store.test_destination(&caller.act(), &id).await?;
    let delivery = delivery.ok_or_else(|| ApiError::not_found("destination"))?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"delivery_id": delivery}))))
}

/// Which deliveries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    state: Option<DeliveryState>,
    cursor: Option<String>,
    limit: Option<u16>,
}

/// What was sent to a destination, the youngest first.
pub async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, ApiError> {
    existing(&app, &caller, &id).await?;
    let most = page.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let before = place(page.cursor.as_deref())?;
    let which = Which { state: page.state, before: before.as_deref(), most: most + 1 };
    let mut found = app.store.deliveries(caller.tenant_id(), &id, which).await?;
    let next = cut(&mut found, most.into(), |last| &last.id);
    let reasons = reasons(&app, &caller, &found).await?;
    let shown: Vec<Value> = found.into_iter().zip(reasons).map(|(one, reason)| shown(one, reason)).collect();
    Ok(axum::Json(json!({"deliveries": shown, "next_cursor": next})))
}

/// Why the caller may not see what each of these deliveries told of; `None` where they may.
async fn reasons(
    app: &App,
    caller: &Caller,
    deliveries: &[Delivery],
) -> Result<Vec<Option<Reason>>, ApiError> {
    let ids: Vec<&str> = deliveries.iter().map(|one| one.event_id.as_str()).collect();
    let events = app.store.events_of(caller.tenant_id(), &ids).await?;
    let payloads: HashMap<&str, &Value> =
        events.iter().map(|event| (event.id.as_str(), &event.payload)).collect();
    let told: Vec<_> = deliveries
        .iter()
        .map(|one| (one.event.as_str(), payloads.get(one.event_id.as_str()).copied()))
        .collect();
    Ok(Eyes::of(&app.store, caller).await?.on_events(&app.store, &told).await?)
}

/// A delivery as it is told. What a receiver answered may quote the message: it is left out where that may not be seen. Without an answer the
/// words are ours. And so is what the message was about: which event came of it says what somebody felt, but for the one that comes of every
/// score.
fn shown(mut delivery: Delivery, reason: Option<Reason>) -> Value {
    if reason.is_some() && delivery.last_status.is_some() {
        delivery.last_error = None;
    }
    let tells = delivery.event != EventKind::SentimentScored.as_str();
    let mut told = json!(delivery);
    if reason.is_some() {
        told["subject_id"] = Value::Null;
        if tells {
            told["event"] = Value::Null;
            told["event_id"] = Value::Null;
        }
    }
    told["hidden"] = reason.map_or(Value::Null, visibility::why);
    told
}

/// One delivery with every try.
pub async fn delivery(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let found = app.store.delivery(caller.tenant_id(), &id).await?;
    let (delivery, mut attempts) = found.ok_or_else(|| ApiError::not_found("delivery"))?;
    let reason = reasons(&app, &caller, std::slice::from_ref(&delivery)).await?.pop().flatten();
    for attempt in attempts.iter_mut().filter(|one| reason.is_some() && one.status.is_some()) {
        attempt.error = None;
    }
    let mut answer = shown(delivery, reason);
    answer["tries"] = json!(attempts);
    Ok(axum::Json(answer))
}

/// Sends a message again, as it was and under the same id.
pub async fn replay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<Value>), ApiError> {
    let delivery = app.store.replay_delivery(&caller.act(), &id).await?;
    let delivery = delivery.ok_or_else(|| ApiError::not_found("delivery"))?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"delivery_id": delivery}))))
}

/// A range of messages to be sent again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    from: chrono::DateTime<chrono::Utc>,
    to: chrono::DateTime<chrono::Utc>,
    /// `failed` by default.
    state: Option<DeliveryState>,
    /// Where an earlier call ended.
    cursor: Option<String>,
}

/// Sends again what was made in a time and failed, or what is asked for instead; up to 1000 a call.
pub async fn replay_range(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(range): Json<Range>,
) -> Result<(StatusCode, axum::Json<Value>), ApiError> {
    existing(&app, &caller, &id).await?;
    let state = range.state.unwrap_or(DeliveryState::Failed);
    if state == DeliveryState::Pending {
        return Err(ApiError::invalid_field("state", "it is failed or delivered: what waits is sent anyway"));
    }
    if range.from >= range.to {
        return Err(ApiError::invalid_field(
            "to",
            "it is not later than from, and so there is nothing between them",
        ));
    }
    let after = match &range.cursor {
        Some(cursor) => Some(place_of(cursor).ok_or_else(|| {
            ApiError::invalid_field("cursor", "this cursor is none of ours; begin without one")
        })?),
        None => None,
    };
    let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
    let stretch = Stretch { from: range.from, to: range.to, state, after };
    let replayed = app.store.replay_deliveries(&caller.act(), &id, &stretch).await?;
    let next = replayed.next.map(|(at, id)| cursor_of(at, &id));
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"replayed": replayed.count, "next_cursor": next}))))
}

/// Its address and keys, or why they do not open.
fn opened(app: &App, caller: &Caller, destination: &Destination) -> Result<Secrets, String> {
    Secrets::open(app.provider_keys.keyring(), caller.tenant_id(), destination)
}

fn told(wrong: Vec<Wrong>) -> ApiError {
    ApiError::invalid(wrong.into_iter().map(|(name, why)| FieldError::invalid(name, &why)).collect())
}

/// What a body says, everything wrong with it at once; and the version that it changes.
fn drafted(body: Value, app: &App) -> Result<(Draft, Option<i64>), ApiError> {
    let Value::Object(fields) = body else {
        return Err(ApiError::invalid_field("", "send an object with kind, name, url and events"));
    };
    let (mut draft, mut version, mut errors) = (Draft::default(), None, Vec::new());
    for (name, value) in fields {
        let taken = match name.as_str() {
            "version" => match value.as_i64() {
                Some(number) => {
                    version = Some(number);
                    Ok(())
                }
                None => Err("it is the number that was read".to_owned()),
            },
            _ => draft.take(&name, value, app.outward.allowed()),
        };
        if let Err(why) = taken {
            errors.push(FieldError::invalid(&name, &why));
        }
    }
    if errors.is_empty() { Ok((draft, version)) } else { Err(ApiError::invalid(errors)) }
}
