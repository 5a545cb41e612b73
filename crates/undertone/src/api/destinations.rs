//! Where events go. Addresses and keys go in here and never come out, but for a signing key that is made here, once.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use undertone_core::destination::{DestinationConfig, DestinationKind, Detail};
use undertone_core::event::Wanted;
use undertone_store::destinations::{DeliveryState, Destination, NewDestination, Which};

use super::body::{Json, Query};
use super::caller::Caller;
use super::problem::{ApiError, CONFLICT, FieldError};
use crate::app::App;
use crate::deliver::{Secrets, check_address, check_options, check_signing_key, new_signing_key};

/// Where `PagerDuty` takes events, unless another address is given.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of a name.
const LONGEST_NAME: usize = 100;
/// Deliveries on a page, unless asked otherwise, and at most.
const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 200;

/// All destinations.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<axum::Json<Value>, ApiError> {
    Ok(axum::Json(json!({"destinations": app.store.destinations(caller.tenant_id()).await?})))
}

/// One destination.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Destination>, ApiError> {
    Ok(axum::Json(existing(&app, &caller, &id).await?))
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
    let given = Given::read(body, &app)?;
    let kind = given.kind.ok_or_else(|| invalid("kind", KINDS))?;
    let mut errors = Vec::new();
    let url =
        given.url.clone().or_else(|| (kind == DestinationKind::Pagerduty).then(|| PAGERDUTY.to_owned()));
    if url.is_none() {
        errors.push(field("url", "give the address that messages go to"));
    }
    let made = (kind == DestinationKind::Webhook && given.key.is_none()).then(new_signing_key);
    let key = given.key.clone().or_else(|| made.clone());
    if let Err(why) = check_key(kind, key.as_deref()) {
        errors.push(field("key", &why));
    }
    if given.name.is_none() {
        errors.push(field("name", "give it a name, so that people can tell it from others"));
    }
    if let Err(why) = check_options(kind, given.options.as_ref().unwrap_or(&Map::new())) {
        errors.push(field("options", &why));
    }
    let (Some(url), true) = (url, errors.is_empty()) else { return Err(ApiError::invalid(errors)) };
    let secrets = Secrets { url, key, previous: None };
    let new = given.over(&app, &caller, kind, &secrets, None)?;
    let destination = app.store.create_destination(&caller.act(), &new).await?;
    let mut answer = json!(destination);
    if let Some(key) = made {
        answer["signing_key"] = key.into();
    }
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Changes a destination. What is left out stays, address and key too.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<axum::Json<Destination>, ApiError> {
    let before = existing(&app, &caller, &id).await?;
    let given = Given::read(body, &app)?;
    if given.kind.is_some_and(|kind| kind != before.kind) {
        return Err(invalid("kind", "it stays what it is; make another destination and remove this one"));
    }
    let secrets = opened(&app, &caller, &before)?;
    let now = app.store.now();
    let secrets = match &given.key {
        Some(key) => {
            check_key(before.kind, Some(key)).map_err(|why| invalid("key", &why))?;
            secrets.with_key(key.clone(), now)
        }
        None => secrets,
    };
    let secrets = Secrets { url: given.url.clone().unwrap_or(secrets.url), ..secrets };
    check_options(before.kind, given.options.as_ref().unwrap_or(&before.config.options))
        .map_err(|why| invalid("options", &why))?;
    let version = given.version;
    let new = given.over(&app, &caller, before.kind, &secrets, Some(before))?;
    let changed = app.store.change_destination(&caller.act(), (&id, version), &new).await?;
    changed.map(axum::Json).ok_or_else(|| ApiError::not_found("destination"))
}

/// Gives a webhook a new signing key, told this once; the old one signs too for a day.
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
    let key = new_signing_key();
    let secrets = opened(&app, &caller, &before)?.with_key(key.clone(), app.store.now());
    let until = secrets.previous.as_ref().map(|(_, until)| *until);
    let version = Some(before.version);
    let new = Given::default().over(&app, &caller, before.kind, &secrets, Some(before))?;
    let changed = app.store.change_destination(&caller.act(), (&id, version), &new).await?;
    let mut answer = json!(changed.ok_or_else(|| ApiError::not_found("destination"))?);
    answer["signing_key"] = key.into();
    answer["previous_key_until"] = json!(until);
    Ok(axum::Json(answer))
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

/// Sends a test message, switched off or not; its delivery says what became of it.
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
    let delivery = app.store.test_destination(&caller.act(), &id).await?;
    let delivery = delivery.ok_or_else(|| ApiError::not_found("destination"))?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"delivery_id": delivery}))))
}

/// Which deliveries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    state: Option<DeliveryState>,
    before: Option<String>,
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
    let which = Which { state: page.state, before: page.before.as_deref(), most };
    let found = app.store.deliveries(caller.tenant_id(), &id, which).await?;
    let next = (found.len() == usize::from(most)).then(|| found.last().map(|last| last.id.clone())).flatten();
    Ok(axum::Json(json!({"deliveries": found, "next": next})))
}

/// One delivery with every try.
pub async fn delivery(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let found = app.store.delivery(caller.tenant_id(), &id).await?;
    let (delivery, attempts) = found.ok_or_else(|| ApiError::not_found("delivery"))?;
    let mut answer = json!(delivery);
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
    if !matches!(state, DeliveryState::Failed | DeliveryState::Delivered) {
        return Err(invalid(
            "state",
            "it is failed or delivered: what waits is sent anyway, what was erased is gone",
        ));
    }
    let replayed = app.store.replay_deliveries(&caller.act(), &id, (range.from, range.to), state).await?;
    Ok((
        StatusCode::ACCEPTED,
        axum::Json(json!({"replayed": replayed.count, "next_from": replayed.next_from})),
    ))
}

const KINDS: &str = "it is webhook, slack, pagerduty, teams or zendesk";

fn field(field: &str, message: &str) -> FieldError {
    FieldError { field: field.to_owned(), code: "invalid".to_owned(), message: message.to_owned() }
}

fn invalid(name: &str, message: &str) -> ApiError {
    ApiError::invalid(vec![field(name, message)])
}

fn check_key(kind: DestinationKind, key: Option<&str>) -> Result<(), String> {
    match (kind, key) {
        (DestinationKind::Webhook, Some(key)) => check_signing_key(key),
        (DestinationKind::Webhook, None) => Ok(()),
        (DestinationKind::Slack | DestinationKind::Teams, None) => Ok(()),
        (DestinationKind::Slack | DestinationKind::Teams, Some(_)) => {
            Err("its address is its key; leave this out".to_owned())
        }
        (DestinationKind::Pagerduty, Some(key))
            if key.len() == 32 && key.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            Ok(())
        }
        (DestinationKind::Pagerduty, _) => {
            Err("give the integration key of the service: 32 letters and digits".to_owned())
        }
        (DestinationKind::Zendesk, Some(key))
            if key
                .split_once("/token:")
                .is_some_and(|(user, token)| user.contains('@') && !token.is_empty()) =>
        {
            Ok(())
        }
        (DestinationKind::Zendesk, _) => {
            Err("give e-mail address, /token: and the API token, as in ana@example.com/token:…".to_owned())
        }
    }
}

fn opened(app: &App, caller: &Caller, destination: &Destination) -> Result<Secrets, ApiError> {
    let keyring = app.provider_keys.keyring();
    Secrets::open(keyring, caller.tenant_id(), destination).map_err(|why| ApiError::new(CONFLICT, why))
}

/// What a body says. Everything may be left out.
#[derive(Default)]
struct Given {
    kind: Option<DestinationKind>,
    name: Option<String>,
    url: Option<String>,
    shown: Option<String>,
    key: Option<String>,
    events: Option<Wanted>,
    detail: Option<Detail>,
    options: Option<Map<String, Value>>,
    active: Option<bool>,
    version: Option<i64>,
}

impl Given {
    /// Reads a body, everything wrong with it at once, and in words of ours only: a key may stand anywhere in it.
    fn read(body: Value, app: &App) -> Result<Self, ApiError> {
        let Value::Object(fields) = body else {
            return Err(invalid("", "send an object with kind, name, url and events"));
        };
        let (mut given, mut errors) = (Self::default(), Vec::new());
        for (name, value) in fields {
            if let Err(why) = given.take(&name, value, app) {
                errors.push(field(&name, &why));
            }
        }
        if errors.is_empty() { Ok(given) } else { Err(ApiError::invalid(errors)) }
    }

    fn take(&mut self, name: &str, value: Value, app: &App) -> Result<(), String> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| "it is a text".to_owned());
        match name {
            "kind" => self.kind = Some(serde_json::from_value(value).map_err(|_| KINDS.to_owned())?),
            "name" => {
                let text = text(&value)?.trim().to_owned();
                if text.is_empty() || text.chars().count() > LONGEST_NAME || text.contains(char::is_control) {
                    return Err(format!("it has 1 to {LONGEST_NAME} characters, on one line"));
                }
                self.name = Some(text);
            }
            "url" => {
                let checked = check_address(&text(&value)?, app.outward.allowed())?;
                (self.url, self.shown) = (Some(checked.url), Some(checked.shown));
            }
            "key" => self.key = Some(text(&value)?.trim().to_owned()),
            "events" => {
                let patterns: Vec<String> = serde_json::from_value(value)
                    .map_err(|_| "it is a list of names of events".to_owned())?;
                if patterns.is_empty() {
                    return Err("name at least one event; * stands for all".to_owned());
                }
                self.events = Some(Wanted::new(patterns)?);
            }
            "detail" => {
                self.detail =
                    Some(serde_json::from_value(value).map_err(|_| "it is thin or full".to_owned())?);
            }
            "options" => {
                self.options = Some(serde_json::from_value(value).map_err(|_| "it is an object".to_owned())?);
            }
            "active" => self.active = Some(value.as_bool().ok_or("it is true or false")?),
            "version" => self.version = Some(value.as_i64().ok_or("it is the number that was read")?),
            _ => {
                let known = "kind, name, url, key, events, detail, options, active and version";
                return Err(format!("there is no such field; there are {known}"));
            }
        }
        Ok(())
    }

    /// The destination that comes of it, over what it was before.
    fn over(
        self,
        app: &App,
        caller: &Caller,
        kind: DestinationKind,
        secrets: &Secrets,
        before: Option<Destination>,
    ) -> Result<NewDestination, ApiError> {
        let sealed = secrets.seal(app.provider_keys.keyring(), caller.tenant_id(), kind)?;
        let shown = self.shown.or_else(|| before.as_ref().map(|b| b.shown_address.clone()));
        // Of an address nobody gave, such as PagerDuty's own.
        let shown = match shown {
            Some(shown) => shown,
            None => {
                check_address(&secrets.url, app.outward.allowed()).map_err(|why| invalid("url", &why))?.shown
            }
        };
        let old = before.as_ref().map(|b| &b.config);
        Ok(NewDestination {
            kind,
            name: self.name.or_else(|| before.as_ref().map(|b| b.name.clone())).unwrap_or_default(),
            config: DestinationConfig {
                events: self.events.or_else(|| old.map(|o| o.events.clone())).unwrap_or_else(usual_events),
                detail: self.detail.or_else(|| old.map(|o| o.detail)).unwrap_or_default(),
                options: self.options.or_else(|| old.map(|o| o.options.clone())).unwrap_or_default(),
            },
            shown_address: shown,
            secrets: (sealed.text, sealed.key_id),
            active: self.active.or_else(|| before.as_ref().map(|b| b.active)).unwrap_or(true),
        })
    }
}

/// What a destination gets where nothing is said: what people act on, and not every score.
fn usual_events() -> Wanted {
    let usual = ["alert.*", "incident.*", "customer.erased", "budget.threshold"];
    Wanted::new(usual.map(str::to_owned).to_vec()).unwrap_or_else(|_| Wanted::all())
}
