//! A log-in that is at the provider. The browser keeps it, sealed: nothing is kept here for everybody who looks at the log-in page.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use undertone_store::TenantId;
use undertone_store::secrets::{KeyError, Keyring, Sealed, Secret};

/// Whoever is sent to the provider comes back within this time.
pub const FLOW_LASTS: TimeDelta = TimeDelta::minutes(10);
/// What the seal is for.
const BOUND: &str = "undertone single sign-on flow 1";

/// What a log-in was begun with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The tenant whose provider it is at.
    pub tenant: TenantId,
    /// That provider.
    pub issuer: String,
    /// What must come back in the address.
    pub state: String,
    /// What must stand in the ID token.
    pub nonce: String,
    /// What proves that it was begun here (RFC 7636).
    pub verifier: String,
    /// The place of this service to go to afterwards.
    pub next: String,
    /// When it is too late.
    pub ends_at: DateTime<Utc>,
}

impl Flow {
    /// As a cookie's value.
    pub fn sealed(&self, keyring: &Keyring) -> Result<String, KeyError> {
        let text = serde_json::to_string(self).map(Secret::new);
        let text = text.map_err(|e| undertone_store::StoreError::Invalid(e.to_string()))?;
        let sealed = keyring.seal_text(BOUND, &text)?;
        Ok(format!("{}.{}", sealed.key_id, sealed.text))
    }

    /// What a cookie holds; nothing where it was not sealed here.
    pub fn opened(keyring: &Keyring, cookie: &str) -> Option<Self> {
        let (key_id, text) = cookie.split_once('.')?;
        let sealed = Sealed { key_id: key_id.to_owned(), text: text.to_owned() };
        let opened = keyring.open_text("a log-in", BOUND, &sealed).ok()?;
        serde_json::from_str(opened.expose()).ok()
    }
}

#[cfg(test)]
mod tests {
    use undertone_store::secrets::MasterKey;

    use super::*;

    #[test]
    fn the_browser_can_neither_read_nor_change_it() {
        let keyring = Keyring::new(Some(MasterKey::generate().unwrap()), None);
        let flow = Flow {
            tenant: TenantId(7),
            issuer: "https://id.example.com".to_owned(),
            state: "state".to_owned(),
            nonce: "nonce".to_owned(),
            verifier: "v".repeat(43),
            next: format!("/{}", "x".repeat(499)),
            ends_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        };
        let cookie = flow.sealed(&keyring).unwrap();
        assert!(cookie.len() < 3000 && !cookie.contains("vvv"), "{}", cookie.len());
        assert!(Flow::opened(&keyring, &cookie).is_some_and(|opened| opened == flow));
        let last = if cookie.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", &cookie[..cookie.len() - 1]);
        let other = Keyring::new(Some(MasterKey::generate().unwrap()), None);
        assert!(Flow::opened(&keyring, &changed).is_none() && Flow::opened(&other, &cookie).is_none());
        assert!(Flow::opened(&keyring, "").is_none() && Flow::opened(&Keyring::default(), ".").is_none());
    }
}
