//! Keys, tokens, passwords and the cookies that carry them.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use axum::http::{HeaderMap, HeaderValue, header};

use crate::error::CliError;

/// The cookie of a session.
pub const SESSION_COOKIE: &str = "undertone_session";
/// The cookie that ties a log-in form to the browser it was sent to.
pub const LOGIN_COOKIE: &str = "undertone_login";
/// The cookie of a log-in that waits for a second factor.
pub const STEP_COOKIE: &str = "undertone_step";
/// The cookie of a log-in that is at a single sign-on's provider.
pub const SIGN_ON_COOKIE: &str = "undertone_sign_on";

/// The cookie by which a browser is known in which somebody logged in before: their attempts there are counted apart.
pub const BROWSER_COOKIE: &str = "undertone_browser";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 43 signs of base64url from the machine's random numbers: 258 bits.
pub fn token() -> String {
    let bytes: [u8; 43] = rand::random();
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect()
}

/// A new API key.
pub fn api_key() -> String {
    format!("ut_{}", token())
}

/// A password that can be typed: four groups of four signs that are not mistaken for each other, 79 bits.
pub fn password() -> String {
    signs(16)
}

/// So many signs that are not mistaken for each other, in groups of four: close to five bits each.
pub fn signs(count: usize) -> String {
    const SIGNS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let signs: Vec<char> =
        (0..count).map(|_| char::from(SIGNS[usize::from(rand::random::<u8>() % 31)])).collect();
    signs.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// A password as it is kept: argon2id with the library's own cost (19 MiB, two passes).
pub fn hash_password(password: &str) -> Result<String, CliError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|e| CliError::Failed(format!("the password can not be hashed: {e}")))
}

/// Whether `password` is the one kept as `hash`. Takes as long when there is no hash, so that nobody learns who has an account.
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    // Of no password anybody has.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else { return false };
    let fits = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
    fits && hash.is_some()
}

/// Whether two secrets are the same; takes as long wherever they differ.
pub fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differing, (x, y)| differing | (x ^ y)) == 0
}

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(given, _)| *given == name)
        .map(|(_, value)| value.to_owned())
}

/// What ties a form for everybody to the browser it is sent to: the cookie it has already, or a new token for one.
pub fn form_token(headers: &HeaderMap) -> String {
    cookie(headers, LOGIN_COOKIE).filter(|token| token.len() == 43).unwrap_or_else(token)
}

/// A header that sets a cookie no script can read; `max_age` 0 removes it.
pub fn set_cookie(name: &str, value: &str, max_age: i64, secure: bool) -> Option<HeaderValue> {
    let over_tls = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{over_tls}"
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_told_apart() {
        let hash = hash_password("correct horse").unwrap();
        assert!(is_password("correct horse", Some(&hash)));
        assert!(!is_password("wrong horse", Some(&hash)));
        assert!(!is_password("correct horse", None));
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (token(), token());
        assert!(a != b && a.len() == 43);
        assert!(equal(&a, &a) && !equal(&a, &b) && !equal(&a, &a[1..]));
    }

    #[test]
    fn cookies_are_found() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=1; undertone_session=xyz; b=2"));
        assert_eq!(cookie(&headers, SESSION_COOKIE).as_deref(), Some("xyz"));
        assert_eq!(cookie(&headers, LOGIN_COOKIE), None);
    }
}
