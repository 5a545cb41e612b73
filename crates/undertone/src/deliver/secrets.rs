//! Address and keys of a destination, as they are sealed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use undertone_core::destination::DestinationKind;
use undertone_store::TenantId;
use undertone_store::destinations::{Destination, bound_to};
use undertone_store::secrets::{KeyError, Keyring, Sealed, Secret};

/// A signing key that was replaced still signs for this long, beside the new one.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// What is secret of a destination.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Where messages go.
    pub url: String,
    /// The key that signs or opens: of a webhook `whsec_…`, of `PagerDuty` the routing key, of Zendesk `e-mail/token:key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key before it, and until when it signs too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<(String, DateTime<Utc>)>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(•••)")
    }
}

impl Secrets {
    /// Those of a webhook.
    #[cfg(test)]
    pub fn of_webhook(url: &str, key: &str) -> Self {
        Self { url: url.to_owned(), key: Some(key.to_owned()), previous: None }
    }

    /// Sealed for a destination of this kind.
    pub fn seal(
        &self,
        keyring: &Keyring,
        tenant: TenantId,
        kind: DestinationKind,
    ) -> Result<Sealed, KeyError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        keyring.seal_text(&bound_to(tenant, kind), &Secret::new(text))
    }

    /// Opened.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn open(keyring: &Keyring, tenant: TenantId, destination: &Destination) -> Result<Self, String> {
        const WHAT: &str = "the destination's address";
        let sealed = Sealed { key_id: destination.key_id.clone(), text: destination.secrets.clone() };
        let opened = keyring
            .open_text(WHAT, &bound_to(tenant, destination.kind), &sealed)
            .map_err(|e| e.to_string())?;
        // The parser's message may repeat what it read.
        serde_json::from_str(opened.expose()).map_err(|_| format!("{WHAT} can not be read; set it anew"))
    }

    /// The same with another key; the one before it signs too for a day.
    pub fn with_key(self, key: String, at: DateTime<Utc>) -> Self {
        let previous = self.key.filter(|old| *old != key).map(|old| (old, at + OVERLAP));
        Self { url: self.url, key: Some(key), previous }
    }

    /// The keys that sign now, the newest first.
    pub fn signing_keys(&self, at: DateTime<Utc>) -> impl Iterator<Item = &str> {
        let previous = self.previous.as_ref().filter(|(_, until)| at < *until).map(|(key, _)| key.as_str());
        self.key.as_deref().into_iter().chain(previous)
    }
}

/// A new key for signing webhooks: 32 random bytes, written as Standard Webhooks write them.
pub fn new_signing_key() -> String {
    let bytes: [u8; 32] = rand::random();
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// Whether a key can sign webhooks: 24 to 64 bytes in base64 after `whsec_`.
pub fn check_signing_key(key: &str) -> Result<(), String> {
    let bytes = key.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    match bytes.map(|bytes| bytes.len()) {
        Some(24..=64) => Ok(()),
        Some(length) => Err(format!("it holds {length} bytes; a signing key has 24 to 64")),
        None => Err("it must be whsec_ and base64; leave it out, and one is made".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use undertone_store::secrets::MasterKey;

    use super::*;

    #[test]
    fn two_keys_sign_while_one_replaces_the_other() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let secrets =
            Secrets::of_webhook("https://example.com/", "whsec_old").with_key("whsec_new".to_owned(), now);
        let signing = |at| secrets.signing_keys(at).collect::<Vec<_>>();
        assert_eq!(signing(now + TimeDelta::hours(23)), ["whsec_new", "whsec_old"]);
        assert_eq!(signing(now + TimeDelta::hours(25)), ["whsec_new"]);
    }

    #[test]
    fn keys_that_are_made_can_sign_and_others_are_told() {
        assert_eq!(check_signing_key(&new_signing_key()), Ok(()));
        assert!(check_signing_key("whsec_c2hvcnQ=").unwrap_err().contains("5 bytes"));
        assert!(check_signing_key("secret").unwrap_err().contains("whsec_"));
    }

    #[test]
    fn they_open_for_their_own_tenant_and_kind_and_are_never_shown() {
        let keyring = Keyring::new(Some(MasterKey::generate().unwrap()), None);
        let secrets = Secrets::of_webhook("https://example.com/hook-marker", "whsec_marker");
        let sealed = secrets.seal(&keyring, TenantId(1), DestinationKind::Webhook).unwrap();
        let open = |tenant, kind| keyring.open_text("it", &bound_to(TenantId(tenant), kind), &sealed);
        assert!(open(1, DestinationKind::Webhook).is_ok());
        assert!(open(2, DestinationKind::Webhook).is_err() && open(1, DestinationKind::Slack).is_err());
        assert!(!format!("{secrets:?}").contains("marker") && !sealed.text.contains("marker"));
    }
}
