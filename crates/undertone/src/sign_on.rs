//! Single sign-on with OpenID Connect: the authorization code flow with PKCE, at the provider that a tenant chose.
//!
//! [`SignOn::begin`] says where a browser is sent, and what it keeps meanwhile, sealed; [`SignOn::finish`] asks the provider who came
//! back, and believes what is signed with one of its published keys, for this client, this log-in and this moment, and of an e-mail
//! address only what the provider says it verified. Who that is here is [`undertone_store::Store::sign_on`]'s business.

mod draft;
mod exchange;
mod flow;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreGenderClaim, CoreIdToken,
    CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreTokenResponse,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EmptyAdditionalClaims, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, TokenResponse, UserInfoClaims,
};
use undertone_scoring::llm::ask::Outside;
use undertone_store::TenantId;
use undertone_store::secrets::{KeyError, Keyring};
use undertone_store::sign_on::SignOnProvider;

use crate::api::secrets::equal;
use exchange::Asking;

pub use draft::Draft;
pub use flow::{FLOW_LASTS, Flow};

/// Where a provider sends the browser back to; `service` is the address under which people reach the service.
pub fn redirect_address(service: &str) -> String {
    format!("{}/login/sign-on/callback", service.trim_end_matches('/'))
}

/// What a provider says of itself is believed for this long. Its keys are asked for again as soon as one is missing.
const KNOWN_FOR: TimeDelta = TimeDelta::minutes(10);
/// Clocks differ by less than this.
const SKEW: TimeDelta = TimeDelta::minutes(2);
/// An ID token is of this log-in, which takes ten minutes at most.
const OLDEST_TOKEN: TimeDelta = TimeDelta::minutes(15);

/// Signatures that are believed. Every one has a public key: what can be made with something both sides know is not, and none is none.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why somebody could not sign on. None of it holds a secret, or a word of what the provider answered.
#[derive(Debug, thiserror::Error)]
pub enum SignOnError {
    /// The provider can not be asked, or is not one.
    #[error("the provider can not be asked: {0}")]
    Provider(String),
    /// What it says can not be believed.
    #[error("what the provider says can not be believed: {0}")]
    NotBelieved(String),
    /// It gives no e-mail address that it verified.
    #[error(
        "the provider gives no verified e-mail address; ask its administrator to release the claims email and email_verified"
    )]
    NoAddress,
    /// The browser comes back from a log-in that was not begun in it, or too long ago.
    #[error("this log-in was not begun in this browser, or too long ago; begin again")]
    NotBegun,
    /// The provider sent the person back without a code.
    #[error("the provider did not let you in: {0}")]
    Denied(String),
    /// The client secret, or what the browser keeps, can not be sealed or opened.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Who came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Whom the provider means, the same for ever.
    pub subject: String,
    /// Their e-mail address, verified.
    pub email: String,
}

/// What a provider adds to the address it sends a browser back to.
#[derive(Debug, Clone, Copy)]
pub struct Returned<'a> {
    /// What is exchanged for the tokens.
    pub code: &'a str,
    /// What the browser was sent away with.
    pub state: &'a str,
    /// Who sends it back (RFC 9207), where they say so.
    pub issuer: Option<&'a str>,
}

struct Known {
    issuer: String,
    since: DateTime<Utc>,
    metadata: CoreProviderMetadata,
}

/// The way to providers.
#[derive(Clone)]
pub struct SignOn {
    outside: Arc<dyn Outside>,
    known: Arc<Mutex<HashMap<TenantId, Known>>>,
}

impl SignOn {
    /// With nothing known.
    pub fn new(outside: Arc<dyn Outside>) -> Self {
        Self { outside, known: Arc::default() }
    }

    /// Reads what a provider says of itself.
    ///
    /// # Errors
    /// [`SignOnError::Provider`].
    pub async fn discover(&self, issuer: &str) -> Result<CoreProviderMetadata, SignOnError> {
        let wrong = |told: String| SignOnError::Provider(told);
        let asking = Asking::new(&self.outside, issuer);
        let url = IssuerUrl::new(issuer.to_owned()).map_err(|_| wrong("its address is none".to_owned()))?;
        let metadata = CoreProviderMetadata::discover_async(url, &asking)
            .await
            .map_err(|error| wrong(exchange::of_discovery(&error)))?;
        let places = [
            Some(metadata.authorization_endpoint().as_str()),
            metadata.token_endpoint().map(|url| url.as_str()),
            metadata.userinfo_endpoint().map(|url| url.as_str()),
        ];
        if let Some(place) = places.into_iter().flatten().find(|place| !exchange::may_be_asked(issuer, place))
        {
            return Err(wrong(format!("it names an address without TLS: {place}")));
        }
        if metadata.token_endpoint().is_none() {
            return Err(wrong("it names no token endpoint".to_owned()));
        }
        Ok(metadata)
    }

    async fn metadata(
        &self,
        provider: &SignOnProvider,
        now: DateTime<Utc>,
    ) -> Result<CoreProviderMetadata, SignOnError> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |known: &&Known| known.issuer == provider.issuer && now - known.since < KNOWN_FOR;
            if let Some(known) = known.get(&provider.tenant).filter(fits) {
                return Ok(known.metadata.clone());
            }
        }
        self.metadata_anew(provider, now).await
    }

    async fn metadata_anew(
        &self,
        provider: &SignOnProvider,
        now: DateTime<Utc>,
    ) -> Result<CoreProviderMetadata, SignOnError> {
        let metadata = self.discover(&provider.issuer).await?;
        let known = Known { issuer: provider.issuer.clone(), since: now, metadata: metadata.clone() };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(provider.tenant, known);
        Ok(metadata)
    }

    /// Where the browser is sent, and what it keeps until it comes back to `redirect`.
    pub async fn begin(
        &self,
        keyring: &Keyring,
        provider: &SignOnProvider,
        (redirect, next): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<(String, String), SignOnError> {
        let metadata = self.metadata(provider, now).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let redirect = redirect_url(redirect)?;
        let client =
            CoreClient::from_provider_metadata(metadata, ClientId::new(provider.client_id.clone()), None)
                .set_redirect_uri(redirect);
        let (address, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        let flow = Flow {
            tenant: provider.tenant,
            issuer: provider.issuer.clone(),
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            next: next.to_owned(),
            ends_at: now + FLOW_LASTS,
        };
        Ok((address.into(), flow.sealed(keyring)?))
    }

    /// Who came back to `redirect`, from a log-in that `flow` was begun with.
    pub async fn finish(
        &self,
        keyring: &Keyring,
        (provider, flow): (&SignOnProvider, &Flow),
        returned: Returned<'_>,
        redirect: &str,
        now: DateTime<Utc>,
    ) -> Result<Person, SignOnError> {
        let begun = flow.tenant == provider.tenant && flow.issuer == provider.issuer && now < flow.ends_at;
        if !begun || !equal(&flow.state, returned.state) {
            return Err(SignOnError::NotBegun);
        }
        if returned.issuer.is_some_and(|issuer| issuer != provider.issuer) {
            return Err(SignOnError::NotBelieved("another provider sent the browser back".to_owned()));
        }
        let metadata = self.metadata(provider, now).await?;
        let secret = provider.client_secret(keyring)?;
        let asking = Asking::new(&self.outside, &provider.issuer);
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(provider.client_id.clone()),
            Some(ClientSecret::new(secret.expose().to_owned())),
        )
        .set_redirect_uri(redirect_url(redirect)?)
        .set_auth_type(auth_type(&metadata));
        let answer = client
            .exchange_code(AuthorizationCode::new(returned.code.to_owned()))
            .map_err(|e| SignOnError::Provider(e.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()))
            .request_async(&asking)
            .await
            .map_err(|error| SignOnError::Provider(exchange::of_token(&error)))?;
        let claims = self.claims(provider, &answer, (flow, metadata), now).await?;
        if let Some(email) = claims.email() {
            return person(claims.subject().as_str(), email.as_str(), claims.email_verified());
        }
        // Some providers tell addresses on request only.
        let asked = client
            .user_info(answer.access_token().clone(), Some(claims.subject().clone()))
            .map_err(|_| SignOnError::NoAddress)?;
        let told: UserInfoClaims<EmptyAdditionalClaims, CoreGenderClaim> = asked
            .request_async(&asking)
            .await
            .map_err(|error| SignOnError::NotBelieved(exchange::of_user_info(&error)))?;
        let email = told.email().ok_or(SignOnError::NoAddress)?;
        person(claims.subject().as_str(), email.as_str(), told.email_verified())
    }

    /// The claims of the ID token, believed. Where no published key fits, the keys are asked for once more: providers change them.
    async fn claims(
        &self,
        provider: &SignOnProvider,
        answer: &CoreTokenResponse,
        (flow, metadata): (&Flow, CoreProviderMetadata),
        now: DateTime<Utc>,
    ) -> Result<CoreIdTokenClaims, SignOnError> {
        let unbelieved = |told: &str| SignOnError::NotBelieved(told.to_owned());
        let token = answer.id_token().ok_or_else(|| unbelieved("there is no ID token"))?;
        let nonce = Nonce::new(flow.nonce.clone());
        let mut verifier = verifier(provider, &metadata, now);
        let mut claims = token.claims(&verifier, &nonce);
        if matches!(claims, Err(ClaimsVerificationError::SignatureVerification(_))) {
            let metadata = self.metadata_anew(provider, now).await?;
            verifier = self::verifier(provider, &metadata, now);
            claims = token.claims(&verifier, &nonce);
        }
        let claims = claims.map_err(|error| unbelieved(reason(&error)))?;
        if let Some(hash) = claims.access_token_hash() {
            check_hash(token, answer, hash, &verifier)
                .ok_or_else(|| unbelieved("the access token is another log-in's"))?;
        }
        Ok(claims.clone())
    }
}

fn check_hash(
    token: &CoreIdToken,
    answer: &CoreTokenResponse,
    hash: &AccessTokenHash,
    verifier: &CoreIdTokenVerifier<'_>,
) -> Option<()> {
    let algorithm = token.signing_alg().ok()?;
    let key = token.signing_key(verifier).ok()?;
    let made = AccessTokenHash::from_token(answer.access_token(), algorithm, key).ok()?;
    (made == *hash).then_some(())
}

/// What every ID token must satisfy (OpenID Connect Core 1.0, 3.1.3.7).
fn verifier(
    provider: &SignOnProvider,
    metadata: &CoreProviderMetadata,
    now: DateTime<Utc>,
) -> CoreIdTokenVerifier<'static> {
    let client = ClientId::new(provider.client_id.clone());
    CoreIdTokenVerifier::new_public_client(client, metadata.issuer().clone(), metadata.jwks().clone())
        .set_allowed_algs(SIGNATURES)
        .set_time_fn(move || now - SKEW)
        .set_issue_time_verifier_fn(move |issued| {
            if (now - OLDEST_TOKEN..=now + SKEW).contains(&issued) {
                Ok(())
            } else {
                Err("it is of another time".to_owned())
            }
        })
}

fn person(subject: &str, email: &str, verified: Option<bool>) -> Result<Person, SignOnError> {
    // One without a word about it is not verified either.
    if verified != Some(true) || subject.is_empty() || subject.len() > 255 {
        return Err(SignOnError::NoAddress);
    }
    Ok(Person { subject: subject.to_owned(), email: email.to_owned() })
}

fn redirect_url(redirect: &str) -> Result<RedirectUrl, SignOnError> {
    RedirectUrl::new(redirect.to_owned())
        .map_err(|_| SignOnError::Provider("this service's public_url is no address".to_owned()))
}

/// As the provider wants the client secret; a header where it does not say (OpenID Connect Discovery 1.0, 3).
fn auth_type(metadata: &CoreProviderMetadata) -> AuthType {
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes = |method: CoreClientAuthMethod| methods.is_none_or(|known| known.contains(&method));
    if !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost) {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    }
}

/// Why a token is not believed, in words of ours: the library's repeat what stands in it.
fn reason(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "the ID token is of another time",
        ClaimsVerificationError::InvalidAudience(_) => "the ID token is for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "the ID token is another provider's",
        ClaimsVerificationError::InvalidNonce(_) => "the ID token is of another log-in",
        ClaimsVerificationError::SignatureVerification(_) => "the ID token's signature does not fit",
        _ => "the ID token is none",
    }
}
