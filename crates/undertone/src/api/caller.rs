//! Who calls, and whether they may: an API key, or a session with its CSRF token.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use undertone_store::{Act, Tenant, TenantId};

use super::problem::{ApiError, CSRF, FORBIDDEN, INTERNAL, TOO_LARGE, UNAUTHENTICATED};
use super::secrets::{self, equal};
use crate::app::App;

/// What a key, or a user's role, permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Handing in interactions, customers and what belongs to them.
    Ingest,
    /// Reading what was handed in and what came of it.
    Read,
    /// Settings and the module.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Read, Self::Admin];

    /// The word in commands and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Keys and sessions with this scope.
    Scoped(Scope),
    /// People who are logged in; others are sent to the log-in page.
    Page,
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

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Their tenant. Nothing outside it exists for them.
    pub tenant: Tenant,
    /// How they showed who they are.
    pub by: By,
    scopes: Vec<Scope>,
    actor: String,
}

impl Caller {
    /// The act of this caller, for the audit log.
    pub fn act(&self) -> Act<'_> {
        Act { tenant: self.tenant.id, actor: &self.actor }
    }

    /// They may do this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
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
        Ok(()) => next.run(request).await,
        Err(error) if access == Access::Page && error.code == UNAUTHENTICATED => {
            let wanted = request.uri().path_and_query().map_or("/", |p| p.as_str());
            let next = if request.method() == Method::GET { wanted } else { "/" };
            Redirect::to(&format!("/login?next={}", encode(next))).into_response()
        }
        Err(error) => error.into_response(),
    }
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

async fn check(app: &App, access: Access, request: &mut Request) -> Result<(), ApiError> {
    if access == Access::Public {
        return Ok(());
    }
    let caller = caller(app, request.headers()).await?;
    if let Access::Scoped(scope) = access
        && !caller.may(scope)
    {
        let whose = if matches!(caller.by, By::Key(_)) {
            "this key lacks the scope"
        } else {
            "your role lacks the right"
        };
        return Err(ApiError::new(FORBIDDEN, format!("{whose} “{}”", scope.as_str())));
    }
    if access == Access::Page && matches!(caller.by, By::Key(_)) {
        return Err(ApiError::new(FORBIDDEN, "pages are for people; log in"));
    }
    if let By::Session { csrf, .. } = &caller.by
        && !request.method().is_safe()
    {
        let csrf = csrf.clone();
        check_csrf(request, &csrf).await?;
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

async fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
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
        let scopes =
            Scope::ALL.into_iter().filter(|scope| key.scopes.iter().any(|s| s == scope.as_str())).collect();
        return Ok(Caller { tenant, scopes, actor: format!("key:{}", key.id), by: By::Key(key.id) });
    }
    let nobody = || ApiError::new(UNAUTHENTICATED, "send an API key as Authorization: Bearer …, or log in");
    let token = secrets::cookie(headers, secrets::SESSION_COOKIE).ok_or_else(nobody)?;
    let session = app.store.session(&token).await?.ok_or_else(nobody)?;
    let tenant = app.store.tenant(TenantId(session.tenant_id)).await?.ok_or_else(nobody)?;
    // Roles come with the issue on people; until then only administrators can be made.
    let scopes = match session.role.as_str() {
        "admin" | "tenant_admin" => Scope::ALL.to_vec(),
        _ => vec![Scope::Read],
    };
    Ok(Caller {
        tenant,
        scopes,
        actor: format!("user:{}", session.user_id),
        by: By::Session { user: session.user_id, email: session.email, csrf: session.csrf_token },
    })
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
