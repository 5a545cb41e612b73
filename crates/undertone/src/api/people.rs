//! Customers, accounts, agents, teams and conversations, told about on their own. The id in the address is the source's.

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_store::StoreError;
use undertone_store::people::Person;

use super::body::Json;
use super::caller::Caller;
use super::problem::{ApiError, FORBIDDEN};
use crate::app::App;
use crate::intake::item;
use crate::intake::item::check::{Check, MOST_NAME};
use crate::intake::item::given::Given;
use crate::intake::item::mentions::{ACCOUNT, AGENT, CONVERSATION};

/// Reads what a body tells in `fields`, by the rules of the intake; answers it with the id of the address.
fn read<T, const N: usize>(
    (id, body): (&str, &Bytes),
    fields: [&str; N],
    told: impl FnOnce(&mut Check, [Given<'_>; N]) -> T,
) -> Result<(String, T), ApiError> {
    let pairs = item::object(body).map_err(ApiError::from)?;
    let mut check = Check::default();
    let id = check.id("id", Given::String(id.into())).unwrap_or_default();
    let given = check.sort("", pairs, fields);
    let told = told(&mut check, given);
    Ok(check.finish((id, told))?)
}

async fn save(app: &App, caller: &Caller, id: &str, person: Person) -> Result<axum::Json<Value>, ApiError> {
    let saved = app.store.save_person_within(&caller.act(), caller.reach(), id, &person).await;
    let ours = saved.map_err(|error| match error {
        StoreError::NotAllowed(why) => ApiError::new(FORBIDDEN, format!("{why}; {}", Caller::who_revises())),
        error => error.into(),
    })?;
    Ok(axum::Json(json!({"id": ours, "external_id": id})))
}

/// Creates a customer or fills in what is told; aliases, where told, are all of them.
pub async fn save_customer(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let fields = ["account", "name", "email", "phone", "segment", "attributes", "aliases"];
    let (id, person) = read((&id, &body), fields, |check, [account, told @ ..]| {
        Person::Customer(check.customer_details("", told), check.id("account", account))
    })?;
    save(&app, &caller, &id, person).await
}

/// Creates an account or fills in what is told.
pub async fn save_account(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let (id, person) =
        read((&id, &body), ACCOUNT, |check, told| Person::Account(check.account_details("", told)))?;
    save(&app, &caller, &id, person).await
}

/// In whose care an account is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manager {
    /// The user's id; null: nobody's.
    user: Option<String>,
}

/// Gives an account into somebody's care.
pub async fn set_manager(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(manager): Json<Manager>,
) -> Result<axum::Json<Value>, ApiError> {
    if !app.store.set_account_manager(&caller.act(), &id, manager.user.as_deref()).await? {
        return Err(ApiError::not_found("account"));
    }
    Ok(axum::Json(json!({"external_id": id, "manager": manager.user})))
}

/// Creates an agent or fills in what is told.
pub async fn save_agent(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let (id, person) = read((&id, &body), AGENT, |check, told| Person::Agent(check.agent_details("", told)))?;
    save(&app, &caller, &id, person).await
}

/// Creates a team or names it.
pub async fn save_team(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let (id, person) =
        read((&id, &body), ["name"], |check, [name]| Person::Team(check.string("name", name, MOST_NAME)))?;
    save(&app, &caller, &id, person).await
}

/// Creates a conversation or fills in what is told.
pub async fn save_conversation(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let [subject, priority, queue, tags, state] = CONVERSATION;
    let fields = ["customer", subject, priority, queue, tags, state];
    let (id, person) = read((&id, &body), fields, |check, [customer, told @ ..]| {
        Person::Conversation(check.conversation_details("", told), check.id("customer", customer))
    })?;
    save(&app, &caller, &id, person).await
}

/// Notes that a customer does not want to be scored.
pub async fn opt_out(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    set_opted_out(app, caller, &id, true).await
}

/// Notes that a customer may be scored again.
pub async fn opt_in(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    set_opted_out(app, caller, &id, false).await
}

async fn set_opted_out(
    app: App,
    caller: Caller,
    id: &str,
    opted_out: bool,
) -> Result<axum::Json<Value>, ApiError> {
    let missing = || ApiError::not_found("customer");
    let customer = app.store.customer(caller.tenant_id(), id).await?.ok_or_else(missing)?;
    app.store.set_opted_out(&caller.act(), &customer.id, opted_out).await?;
    Ok(axum::Json(json!({"id": customer.id, "external_id": customer.external_id, "opted_out": opted_out})))
}
