//! The people of a tenant: invite, look up, change, deactivate, log out. A key may do none of this; somebody has to answer for it.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use undertone_core::Role;
use undertone_store::users::{Authority, Change, Filter, NewUser, Profile, State as Standing};

use super::body::{Json, Query, cut, limited};
use super::caller::Caller;
use super::interactions::place;
use super::problem::{ApiError, INVALID_QUERY};
use super::secrets;
use crate::app::App;

/// People in an answer, where nothing is said.
const PEOPLE: u64 = 50;
/// People in an answer at most.
const MOST_PEOPLE: u64 = 200;

/// Somebody as they are told.
pub fn told(profile: &Profile) -> Value {
    let user = &profile.user;
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "state": user.state().as_str(),
        "teams": profile.teams,
        "agent": profile.agent,
        "version": user.version,
        "created_at": user.created_at,
        "last_login_at": user.last_login_at,
        "link": profile.link.as_ref().map(|link| json!({"purpose": link.purpose, "expires_at": link.expires_at})),
    })
}

/// The same with a new link, which is told only this once.
fn told_with_link(app: &App, profile: &Profile, token: &str) -> Value {
    let mut value = told(profile);
    value["link"]["address"] = json!(address(&app.config.address(), token));
    value
}

/// Where a link's owner sets their password, at a service that is reached under `base`.
pub fn address(base: &str, token: &str) -> String {
    format!("{}/set-password?token={token}", base.trim_end_matches('/'))
}

fn missing() -> ApiError {
    ApiError::not_found("user")
}

fn found(profile: Option<Profile>) -> Result<Profile, ApiError> {
    profile.ok_or_else(missing)
}

fn role(word: &str) -> Result<Role, ApiError> {
    word.parse().map_err(|message: String| ApiError::invalid_field("role", message))
}

/// Which people to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<String>,
    role: Option<String>,
    team: Option<String>,
    cursor: Option<String>,
    limit: Option<u64>,
}

/// People, in the order they were invited in.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Value>, ApiError> {
    let limit = limited(query.limit, PEOPLE, MOST_PEOPLE)?;
    let after = place(query.cursor.as_deref())?;
    let named = |name: &str, told: String| ApiError::new(INVALID_QUERY, format!("{name}: {told}"));
    let filter = Filter {
        state: query
            .state
            .as_deref()
            .map(str::parse::<Standing>)
            .transpose()
            .map_err(|told| named("state", told))?,
        role: query
            .role
            .as_deref()
            .map(str::parse::<Role>)
            .transpose()
            .map_err(|told| named("role", told))?,
        team: query.team.as_deref(),
        after: after.as_deref(),
        limit: limit + 1,
    };
    let mut people = app.store.profiles(caller.tenant_id(), &filter).await?;
    let next = cut(&mut people, limit as usize, |last| &last.user.id);
    Ok(axum::Json(json!({"items": people.iter().map(told).collect::<Vec<_>>(), "next_cursor": next})))
}

/// Somebody.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    Ok(axum::Json(told(&found(app.store.profile(caller.tenant_id(), &id).await?)?)))
}

/// Somebody to invite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    email: String,
    #[serde(default)]
    name: Option<String>,
    role: String,
    #[serde(default)]
    teams: Vec<String>,
    #[serde(default)]
    agent: Option<String>,
}

/// Invites somebody. The answer has the link that lets them set a password; whoever asked passes it on.
pub async fn invite(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<Invitation>,
) -> Result<Response, ApiError> {
    let new = NewUser {
        email: &given.email,
        name: given.name.as_deref(),
        role: role(&given.role)?,
        teams: &given.teams,
        agent: given.agent.as_deref(),
    };
    let token = secrets::token();
    let by = Authority::User(caller.person()?);
    let made = app.store.invite_user(&caller.act(), by, (&new, &token)).await?;
    let place = format!("/api/v1/users/{}", made.user.id);
    let told = axum::Json(told_with_link(&app, &made, &token));
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], told).into_response())
}

/// What to change. What is left out stays; `null` takes a name or an agent away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "left out, it stays; null takes it away")]
pub struct Changes {
    /// The version that was seen.
    version: i64,
    #[serde(default, deserialize_with = "given")]
    name: Option<Option<String>>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    teams: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    agent: Option<Option<String>>,
}

/// What was given, be it `null`.
#[expect(clippy::option_option, reason = "as above")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes somebody, if nobody else did since they were read.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(given): Json<Changes>,
) -> Result<axum::Json<Value>, ApiError> {
    let change = Change {
        name: given.name,
        role: given.role.as_deref().map(role).transpose()?,
        teams: given.teams,
        agent: given.agent,
        active: None,
    };
    let by = Authority::User(caller.person()?);
    let changed = app.store.change_user(&caller.act(), by, (&id, Some(given.version)), &change).await?;
    Ok(axum::Json(told(&found(changed)?)))
}

/// Another link to set a password with, in place of the one before: for the first password, or for another one.
pub async fn issue_link(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let token = secrets::token();
    let by = Authority::User(caller.person()?);
    let with = found(app.store.issue_link(&caller.act(), by, (&id, &token)).await?)?;
    Ok(axum::Json(told_with_link(&app, &with, &token)))
}

/// Lets somebody log in no more, at once.
pub async fn deactivate(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    set_active(&app, &caller, &id, false).await
}

/// Lets somebody log in again.
pub async fn activate(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    set_active(&app, &caller, &id, true).await
}

async fn set_active(
    app: &App,
    caller: &Caller,
    id: &str,
    active: bool,
) -> Result<axum::Json<Value>, ApiError> {
    let change = Change { active: Some(active), ..Change::default() };
    let by = Authority::User(caller.person()?);
    let changed = app.store.change_user(&caller.act(), by, (id, None), &change).await?;
    Ok(axum::Json(told(&found(changed)?)))
}

/// Ends all sessions of somebody.
pub async fn log_out(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let by = Authority::User(caller.person()?);
    let ended = app.store.end_sessions(&caller.act(), by, &id).await?.ok_or_else(missing)?;
    Ok(axum::Json(json!({"sessions": ended})))
}
