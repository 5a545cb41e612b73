//! A small OpenID provider: discovery, the code flow with PKCE, real signatures, and a list of faults. It speaks the wire formats of
//! OpenID Connect Core 1.0 and Discovery 1.0 and has been written from them, not from a client.

mod http;
mod keys;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use http::{Answer, Request};
use keys::Key;

/// What is wrong with what the provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The ID token belongs to another log-in.
    WrongNonce,
    /// The ID token has no nonce.
    NoNonce,
    /// The ID token is for another client.
    WrongAudience,
    /// The ID token is for this client and another one.
    TwoAudiences,
    /// The ID token is of yesterday.
    Expired,
    /// The ID token says that it needs no signature, and has none.
    NoneAlgorithm,
    /// The ID token is signed with the public key as if it were a shared secret.
    PublicKeyAsSecret,
    /// The ID token is signed with a key that nobody published.
    UnknownKey,
    /// The ID token's claims were changed after it was signed.
    ChangedAfterwards,
    /// The ID token says that another provider issued it.
    ForeignIssuer,
    /// The document of discovery says that it is another provider's.
    ForeignDiscovery,
    /// The document of discovery sends the client secret somewhere that is neither this machine nor behind TLS.
    PlainTokenEndpoint,
    /// The e-mail address is not verified.
    UnverifiedEmail,
    /// Nothing is said about whether it is.
    UnsaidEmail,
    /// The ID token has no e-mail address; the user info endpoint has.
    EmailElsewhere,
    /// As before, but the user info endpoint speaks of somebody else.
    UserInfoOfAnother,
    /// The token endpoint fails.
    Broken,
}

/// Whom the provider knows.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who, for ever.
    pub subject: String,
    /// Their address.
    pub email: String,
}

/// What a code stands for.
struct Grant {
    challenge: String,
    redirect: String,
    nonce: Option<String>,
}

struct State {
    fault: Option<Fault>,
    person: Person,
    key: Key,
    /// Not published.
    other_key: Key,
    grants: HashMap<String, Grant>,
    tokens: Vec<String>,
    counted: u64,
    seen: Vec<String>,
}

struct Shared {
    url: String,
    client_id: String,
    client_secret: String,
    redirect: String,
    state: Mutex<State>,
}

/// A running provider, for as long as the process lasts.
pub struct Issuer {
    shared: Arc<Shared>,
}

impl Issuer {
    /// Starts one on this machine that knows one client, and one person. It signs with RSA, as most do.
    pub fn start(client_id: &str, client_secret: &str, redirect: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = State {
            fault: None,
            person: Person { subject: "subject-1".to_owned(), email: "ana@example.com".to_owned() },
            key: Key::rsa("key-1"),
            other_key: Key::elliptic("key-1"),
            grants: HashMap::new(),
            tokens: Vec::new(),
            counted: 0,
            seen: Vec::new(),
        };
        let shared = Arc::new(Shared {
            url,
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect: redirect.to_owned(),
            state: Mutex::new(state),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || http::serve(stream, |request| served.answer(request)));
            }
        });
        Ok(Self { shared })
    }

    /// Its address, as it calls itself.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// From now on this is wrong; `None`: nothing.
    pub fn fail(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// From now on this person logs in.
    pub fn log_in(&self, subject: &str, email: &str) {
        self.shared.state().person = Person { subject: subject.to_owned(), email: email.to_owned() };
    }

    /// From now on it signs with a new key, on an elliptic curve, and publishes only that.
    pub fn rotate(&self) {
        let mut state = self.shared.state();
        state.counted += 1;
        state.key = Key::elliptic(&format!("rotated-{}", state.counted));
    }

    /// The paths that were asked for, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.shared.state().seen.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Answer {
        self.state().seen.push(request.path.clone());
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => Answer::json(200, &self.metadata()),
            ("GET", "/jwks") => Answer::json(200, &json!({"keys": [self.state().key.published()]})),
            ("GET", "/authorize") => self.authorize(request),
            ("POST", "/token") => self.token(request),
            ("GET", "/userinfo") => self.user_info(request),
            _ => Answer::json(404, &json!({"error": "not_found"})),
        }
    }

    fn metadata(&self) -> Value {
        let (url, fault) = (&self.url, self.state().fault);
        let issuer =
            if fault == Some(Fault::ForeignDiscovery) { "https://elsewhere.example" } else { url.as_str() };
        let token =
            if fault == Some(Fault::PlainTokenEndpoint) { "http://198.51.100.1" } else { url.as_str() };
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{token}/token"),
            "userinfo_endpoint": format!("{url}/userinfo"),
            "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "scopes_supported": ["openid", "email"],
        })
    }

    /// The person is logged in already, so they are sent back at once.
    fn authorize(&self, request: &Request) -> Answer {
        let asked = &request.query;
        let is = |name: &str, value: &str| asked.get(name).is_some_and(|given| given == value);
        let fits = is("response_type", "code")
            && is("client_id", &self.client_id)
            && is("redirect_uri", &self.redirect)
            && is("code_challenge_method", "S256")
            && asked.get("scope").is_some_and(|scope| scope.split(' ').any(|scope| scope == "openid"));
        let challenge = asked.get("code_challenge").filter(|challenge| challenge.len() == 43);
        let (Some(challenge), true, Some(state)) = (challenge, fits, asked.get("state")) else {
            return Answer::json(400, &json!({"error": "invalid_request", "asked": asked}));
        };
        let mut kept = self.state();
        kept.counted += 1;
        let code = format!("code-{}", kept.counted);
        let grant = Grant {
            challenge: challenge.clone(),
            redirect: self.redirect.clone(),
            nonce: asked.get("nonce").cloned(),
        };
        kept.grants.insert(code.clone(), grant);
        Answer::redirect(&format!(
            "{}?code={code}&state={}&iss={}",
            self.redirect,
            http::encoded(state),
            http::encoded(&self.url)
        ))
    }

    fn token(&self, request: &Request) -> Answer {
        let refused = |error: &str| Answer::json(400, &json!({"error": error}));
        let basic = STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret));
        if request.header("authorization") != Some(format!("Basic {basic}").as_str()) {
            return Answer::json(401, &json!({"error": "invalid_client"}));
        }
        let form = http::fields(&request.body);
        let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let mut state = self.state();
        if state.fault == Some(Fault::Broken) {
            return Answer::json(500, &json!({"error": "server_error"}));
        }
        // A code works once, right or wrong.
        let Some(grant) = state.grants.remove(given("code")) else { return refused("invalid_grant") };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(given("code_verifier")));
        let fits = given("grant_type") == "authorization_code"
            && given("redirect_uri") == grant.redirect
            && challenge == grant.challenge;
        if !fits {
            return refused("invalid_grant");
        }
        state.counted += 1;
        let access = format!("access-{}", state.counted);
        state.tokens.push(access.clone());
        let id_token = self.id_token(&state, grant.nonce.as_deref());
        Answer::json(
            200,
            &json!({"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": id_token}),
        )
    }

    #[allow(clippy::disallowed_methods, reason = "it is another program, with a clock of its own")]
    fn id_token(&self, state: &State, nonce: Option<&str>) -> String {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
        let fault = state.fault;
        let issued = if fault == Some(Fault::Expired) { now - 86_400 } else { now };
        let mut claims = json!({
            "iss": self.url,
            "sub": state.person.subject,
            "aud": self.client_id,
            "iat": issued,
            "exp": issued + 300,
            "nonce": nonce,
            "email": state.person.email,
            "email_verified": true,
        });
        let remove = |claims: &mut Value, names: &[&str]| {
            if let Some(claims) = claims.as_object_mut() {
                claims.retain(|name, _| !names.contains(&name.as_str()));
            }
        };
        match fault {
            Some(Fault::WrongNonce) => claims["nonce"] = json!("of-another-log-in"),
            Some(Fault::NoNonce) => remove(&mut claims, &["nonce"]),
            Some(Fault::WrongAudience) => claims["aud"] = json!("another-client"),
            Some(Fault::TwoAudiences) => claims["aud"] = json!([self.client_id, "another-client"]),
            Some(Fault::ForeignIssuer) => claims["iss"] = json!("https://elsewhere.example"),
            Some(Fault::UnverifiedEmail) => claims["email_verified"] = json!(false),
            Some(Fault::UnsaidEmail) => remove(&mut claims, &["email_verified"]),
            Some(Fault::EmailElsewhere | Fault::UserInfoOfAnother) => {
                remove(&mut claims, &["email", "email_verified"]);
            }
            _ => {}
        }
        match fault {
            Some(Fault::NoneAlgorithm) => keys::unsigned(&claims),
            Some(Fault::PublicKeyAsSecret) => state.key.signed_with_its_public_part(&claims),
            Some(Fault::UnknownKey) => state.other_key.signed(&claims),
            Some(Fault::ChangedAfterwards) => {
                let honest = state.key.signed(&claims);
                claims["email"] = json!("admin@example.com");
                let changed = URL_SAFE_NO_PAD.encode(claims.to_string());
                let mut parts: Vec<&str> = honest.split('.').collect();
                parts[1] = &changed;
                parts.join(".")
            }
            _ => state.key.signed(&claims),
        }
    }

    fn user_info(&self, request: &Request) -> Answer {
        let state = self.state();
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| state.tokens.iter().any(|known| known == token)) {
            return Answer::json(401, &json!({"error": "invalid_token"}));
        }
        let subject = if state.fault == Some(Fault::UserInfoOfAnother) {
            "another-subject"
        } else {
            state.person.subject.as_str()
        };
        Answer::json(200, &json!({"sub": subject, "email": state.person.email, "email_verified": true}))
    }
}
