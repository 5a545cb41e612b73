//! Who calls, and whether they may: an API key, or a session with its CSRF token.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use undertone_core::visibility::Viewer;
use undertone_core::{Permission, Role, Scope};
use undertone_store::users::SESSION_MAX;
use undertone_store::{Act, Reach, Store, StoreError, Tenant, TenantId};

use super::problem::{ApiError, CSRF, FORBIDDEN, INTERNAL, TOO_LARGE, UNAUTHENTICATED};
use super::secrets::{self, equal};
use crate::app::App;
use crate::limits::{self, ClientAddress};
use crate::second_factor;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Keys and people who are permitted this.
    Needs(Permission),
    /// People who are logged in; others are sent to the log-in page.
    Page,
    /// People who are logged in and permitted this; who is not logged in is sent to the log-in page.
    PageFor(Permission),
}

impl Access {
    /// What a caller has to be permitted.
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::Public | Self::Page => None,
            Self::Needs(permission) | Self::PageFor(permission) => Some(permission),
        }
    }

    /// It is a page, or what a form of one does: for people only.
    pub fn is_page(self) -> bool {
        matches!(self, Self::Page | Self::PageFor(_))
    }
}

/// How a caller showed who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// With an API key of this id.
    Key(String),
    /// By a session.
    Session {
        /// The user's id.
        user: String,
        /// Their address.
        email: String,
        /// What their forms bring along.
        csrf: String,
    },
}

/// A person who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person<'a> {
    /// Their id.
    pub user: &'a str,
    /// Their address.
    pub email: &'a str,
    /// What their forms bring along.
    pub csrf: &'a str,
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Their tenant. Nothing outside it exists for them.
    pub tenant: Tenant,
    /// How they showed who they are.
    pub by: By,
    rights: Rights,
    actor: String,
    from: Option<String>,
    ends_at: Option<DateTime<Utc>>,
    renewed: Option<String>,
}

/// Where a caller's permissions come from.
#[derive(Debug, Clone)]
enum Rights {
    /// From a person's role; a word that is none has no permission at all.
    Role(Option<Role>),
    /// From a key's scopes.
    Scopes(Vec<Scope>),
}

impl Caller {
    /// The act of this caller, for the audit log.
    pub fn act(&self) -> Act<'_> {
        Act { from: self.from.as_deref(), ..Act::new(self.tenant.id, &self.actor) }
    }

    /// They may do this.
    pub fn may(&self, permission: Permission) -> bool {
        match &self.rights {
            Rights::Role(role) => role.is_some_and(|role| role.may(permission)),
            Rights::Scopes(scopes) => scopes.iter().any(|scope| scope.may(permission)),
        }
    }

    /// How far they go who tell of a customer, an agent or a conversation; what a person changes there is in the audit log.
    pub fn reach(&self) -> Reach {
        if self.may(Permission::Revise) { Reach::Changes } else { Reach::Additions }
    }

    /// How far they go who hand in interactions: people only add, since nothing notes what they would change.
    pub fn reach_of_interactions(&self) -> Reach {
        match self.by {
            By::Key(_) => self.reach(),
            By::Session { .. } => Reach::Additions,
        }
    }

    /// Who goes further than [`Reach::Additions`], for whoever does not.
    pub fn who_revises() -> String {
        let (roles, scopes) = (Permission::Revise.roles(), Permission::Revise.scopes());
        let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        format!(
            "an API key with the scope {} may, and people in the role {} with a PUT of their own to the customer, the agent or the \
             conversation, which the audit log notes",
            scopes.join(" or "),
            roles.join(" or ")
        )
    }

    /// A person's role; none for a key.
    pub fn role(&self) -> Option<Role> {
        if let Rights::Role(role) = self.rights { role } else { None }
    }

    /// As whom they look at what customers feel: with the role, agent, teams and accounts of this moment, also while a stream lasts. Who may
    /// not log in any more sees nothing, nor does whoever logged out or holds a key that was revoked or has ended.
    pub async fn viewer(&self, store: &Store) -> Result<Viewer, StoreError> {
        match (&self.by, &self.rights) {
            (By::Session { user, csrf, .. }, _) if store.session_lasts(user, csrf).await? => {
                Ok(store.viewer(self.tenant.id, user).await?.unwrap_or_default())
            }
            (By::Key(id), Rights::Scopes(scopes)) if store.key_works(self.tenant.id, id).await? => {
                Ok(Viewer::of_scopes(scopes))
            }
            (By::Session { .. } | By::Key(_), _) => Ok(Viewer::default()),
        }
    }

    /// They may do this by now, with the role of this moment, and while their session or key lasts.
    pub async fn still_may(&self, store: &Store, permission: Permission) -> Result<bool, StoreError> {
        Ok(match &self.by {
            By::Session { .. } => self.viewer(store).await?.role.is_some_and(|role| role.may(permission)),
            By::Key(id) => self.may(permission) && store.key_works(self.tenant.id, id).await?,
        })
    }

    /// The id of the person who calls.
    ///
    /// # Errors
    /// For a key: a person has to answer for it.
    pub fn person(&self) -> Result<&str, ApiError> {
        self.session().map(|person| person.user)
    }

    /// The person who calls, with what their pages show.
    ///
    /// # Errors
    /// For a key: a person has to answer for it.
    pub fn session(&self) -> Result<Person<'_>, ApiError> {
        match &self.by {
            By::Session { user, email, csrf } => Ok(Person { user, email, csrf }),
            By::Key(_) => Err(ApiError::new(FORBIDDEN, "a person has to do this: log in")),
        }
    }

    /// They may give a key this scope.
    pub fn may_give(&self, scope: Scope) -> bool {
        match &self.rights {
            Rights::Role(role) => role.is_some_and(|role| role.may_give(scope)),
            Rights::Scopes(scopes) => scopes.contains(&scope),
        }
    }

    /// The scopes of a key; none for a person.
    pub fn scopes(&self) -> &[Scope] {
        if let Rights::Scopes(scopes) = &self.rights { scopes } else { &[] }
    }

    /// When the key ends that they called with.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        self.ends_at
    }

    /// Their tenant's id.
    pub fn tenant_id(&self) -> TenantId {
        self.tenant.id
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Only a route without access rules has no caller, and such a route must not ask for one.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::new(INTERNAL, "nobody was asked who calls"))
    }
}

/// Lets a request through to a route with `access`, or refuses it.
pub async fn authorize(
    State((app, access)): State<(App, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    match check(&app, access, &mut request).await {
        Ok(renewed) => {
            let mut response = next.run(request).await;
            if let Some(token) = renewed {
                keep_session(&app, &mut response, &token);
            }
            response
        }
        Err(Refused::Told(error)) if access.is_page() && error.code == UNAUTHENTICATED => {
            let wanted = request.uri().path_and_query().map_or("/", |p| p.as_str());
            let next = if request.method() == Method::GET { wanted } else { "/" };
            Redirect::to(&format!("/login?next={}", encode(next))).into_response()
        }
        Err(Refused::Told(error)) => error.into_response(),
        Err(Refused::TooMuch(response)) => response,
    }
}

/// Why a request is not let through.
enum Refused {
    /// Nobody is known by it, or they may not.
    Told(ApiError),
    /// They may not, and ask too often.
    TooMuch(Response),
}

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Told(error.into())
    }
}

/// Whether this caller may, and showed that the request is theirs.
async fn permit(access: Access, caller: &Caller, request: &mut Request) -> Result<(), ApiError> {
    if access.is_page() && matches!(caller.by, By::Key(_)) {
        return Err(ApiError::new(FORBIDDEN, "pages are for people; log in"));
    }
    if let Some(permission) = access.permission()
        && !caller.may(permission)
    {
        return Err(ApiError::new(FORBIDDEN, refusal(caller, permission)));
    }
    match &caller.by {
        By::Session { csrf, .. } if !request.method().is_safe() => check_csrf(request, csrf).await,
        _ => Ok(()),
    }
}

/// Gives the browser its session's new token, unless the answer says something about the session itself.
fn keep_session(app: &App, response: &mut Response, token: &str) {
    let begins = format!("{}=", secrets::SESSION_COOKIE);
    let told = response.headers().get_all(header::SET_COOKIE);
    if told.iter().any(|cookie| cookie.as_bytes().starts_with(begins.as_bytes())) {
        return;
    }
    let lasts = SESSION_MAX.num_seconds();
    let cookie = secrets::set_cookie(secrets::SESSION_COOKIE, token, lasts, app.config.is_secure());
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
}

/// Percent-encodes what is not plain in a query.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// Refuses, or answers the session's new token where it was replaced.
async fn check(app: &App, access: Access, request: &mut Request) -> Result<Option<String>, Refused> {
    if access == Access::Public {
        return Ok(None);
    }
    let from = request.extensions().get::<ClientAddress>().and_then(|address| address.text());
    let caller = caller(app, request.headers(), from).await?;
    if let Err(told) = permit(access, &caller, request).await {
        // What is refused is a request like any other.
        return Err(limits::count_refused(app, &caller).map_or(Refused::Told(told), Refused::TooMuch));
    }
    let renewed = caller.renewed.clone();
    request.extensions_mut().insert(caller);
    Ok(renewed)
}

async fn caller(app: &App, headers: &HeaderMap, from: Option<String>) -> Result<Caller, ApiError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let refused = || ApiError::new(UNAUTHENTICATED, "this API key is unknown, expired or revoked");
        let key = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).ok_or_else(|| {
            ApiError::new(
                UNAUTHENTICATED,
                "the header Authorization must be: Bearer, a space, and an API key",
            )
        })?;
        let key = app.store.key(key.trim()).await?.ok_or_else(refused)?;
        let tenant = app.store.tenant(key.tenant).await?.ok_or_else(refused)?;
        let rights = Rights::Scopes(key.scopes.iter().filter_map(|scope| scope.parse().ok()).collect());
        return Ok(Caller {
            tenant,
            rights,
            actor: format!("key:{}", key.id),
            from,
            ends_at: key.expires_at,
            renewed: None,
            by: By::Key(key.id),
        });
    }
    let nobody = || ApiError::new(UNAUTHENTICATED, "send an API key as Authorization: Bearer …, or log in");
    let token = secrets::cookie(headers, secrets::SESSION_COOKIE).ok_or_else(nobody)?;
    let session = app.store.session_shown(&token, from.as_deref()).await?.ok_or_else(nobody)?;
    let tenant = app.store.tenant(TenantId(session.tenant_id)).await?.ok_or_else(nobody)?;
    // A requirement that came after the log-in holds at once.
    if !session.has_second_factor
        && second_factor::is_required(app, tenant.id, session.role.parse().ok()).await?
    {
        return Err(ApiError::new(UNAUTHENTICATED, "your role needs a second factor now; log in again"));
    }
    let mut renewed = None;
    if session.is_due {
        let new = secrets::token();
        renewed = app.store.rotate_session(&token, &new).await?.then_some(new);
    }
    Ok(Caller {
        tenant,
        rights: Rights::Role(session.role.parse().ok()),
        actor: format!("user:{}", session.user_id),
        from,
        ends_at: None,
        renewed,
        by: By::Session { user: session.user_id, email: session.email, csrf: session.csrf_token },
    })
}

/// Why they may not, and who may.
fn refusal(caller: &Caller, permission: Permission) -> String {
    let named = |words: Vec<&str>| words.join(", ");
    if matches!(caller.by, By::Key(_)) {
        let scopes = named(permission.scopes().iter().map(|scope| scope.as_str()).collect());
        return if scopes.is_empty() {
            "a person has to do this: no API key may, whatever its scopes; log in".to_owned()
        } else {
            format!("this key lacks the scope it takes: {scopes}")
        };
    }
    let roles = named(permission.roles().iter().map(|role| role.as_str()).collect());
    format!("your role lacks the permission “{}”; it is given to: {roles}", permission.as_str())
}

/// A session's request that changes something proves that it comes from our page: by a header, or by a field of its form.
async fn check_csrf(request: &mut Request, expected: &str) -> Result<(), ApiError> {
    const MOST: usize = 2 << 20;
    if let Some(given) = request.headers().get("x-csrf-token").and_then(|v| v.to_str().ok()) {
        return if equal(given, expected) { Ok(()) } else { Err(out_of_date()) };
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(out_of_date());
    }
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let bytes: Bytes = axum::body::to_bytes(body, MOST)
        .await
        .map_err(|_| ApiError::new(TOO_LARGE, "a form has 2 MB at most"))?;
    let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(&bytes).unwrap_or_default();
    let is_right = fields
        .iter()
        .any(|(name, value)| matches!(name.as_str(), "csrf" | "csrf_token") && equal(value, expected));
    *request.body_mut() = Body::from(bytes);
    if is_right { Ok(()) } else { Err(out_of_date()) }
}

fn out_of_date() -> ApiError {
    ApiError::new(CSRF, "the CSRF token is missing or out of date; load the page again")
}
