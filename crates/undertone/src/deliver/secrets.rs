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
/// Keys that were replaced and still sign, at most: each is a signature more in every message.
const MOST_REPLACED: usize = 4;

/// What is secret of a destination.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Where messages go.
    pub url: String,
    /// The key that signs or opens: of a webhook `whsec_…`, of `PagerDuty` the routing key, of Zendesk `e-mail/token:key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The keys before it, the one replaced last first, and until when each signs too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<(String, DateTime<Utc>)>,
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
        Self { url: url.to_owned(), key: Some(key.to_owned()), replaced: Vec::new() }
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

    /// The same with another key; each key before it signs too until a day after it was replaced.
    ///
    /// # Errors
    /// Too many of them still sign, and when the first of them ends.
    pub fn with_key(self, key: String, at: DateTime<Utc>) -> Result<Self, String> {
        let mut replaced: Vec<_> =
            self.key.filter(|old| *old != key).map(|old| (old, at + OVERLAP)).into_iter().collect();
        replaced.extend(self.replaced.into_iter().filter(|(old, until)| at < *until && *old != key));
        match replaced.get(MOST_REPLACED..) {
            Some([.., (_, until)]) => Err(format!(
                "{MOST_REPLACED} keys that were replaced sign beside this one already, as was promised for 24 hours; change it again after {}",
                until.format("%Y-%m-%dT%H:%M:%SZ")
            )),
            _ => Ok(Self { url: self.url, key: Some(key), replaced }),
        }
    }

    /// The keys that sign now, the newest first.
    pub fn signing_keys(&self, at: DateTime<Utc>) -> impl Iterator<Item = &str> {
        let replaced =
            self.replaced.iter().filter(move |(_, until)| at < *until).map(|(key, _)| key.as_str());
        self.key.as_deref().into_iter().chain(replaced)
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
    fn every_key_that_was_replaced_signs_for_a_day() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let with = |secrets: Secrets, key: &str, at| secrets.with_key(key.to_owned(), at).unwrap();
        let secrets = Secrets::of_webhook("https://example.com/", "whsec_a");
        let secrets = with(secrets, "whsec_b", now);
        let secrets = with(secrets, "whsec_c", now + TimeDelta::hours(1));
        let signing = |secrets: &Secrets, hours| {
            secrets.signing_keys(now + TimeDelta::hours(hours)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(signing(&secrets, 23), ["whsec_c", "whsec_b", "whsec_a"]);
        assert_eq!(signing(&secrets, 24), ["whsec_c", "whsec_b"]);
        assert_eq!(signing(&secrets, 25), ["whsec_c"]);
        // One that comes back signs once; what signs no more is not kept.
        let back = with(secrets, "whsec_b", now + TimeDelta::hours(24));
        assert_eq!(signing(&back, 24), ["whsec_b", "whsec_c"]);
        assert_eq!(back.replaced.len(), 1);
    }

    #[test]
    fn no_message_holds_signatures_without_end() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut secrets = Secrets::of_webhook("https://example.com/", "whsec_0");
        for number in 1..=MOST_REPLACED {
            let at = now + TimeDelta::minutes(number as i64);
            secrets = secrets.with_key(format!("whsec_{number}"), at).unwrap();
        }
        let told = secrets.clone().with_key("whsec_x".to_owned(), now + TimeDelta::hours(24)).unwrap_err();
        assert!(told.contains("2027-01-16T08:01:00Z") && !told.contains("whsec"), "{told}");
        let first_ends = now + OVERLAP + TimeDelta::minutes(1);
        assert!(secrets.with_key("whsec_x".to_owned(), first_ends).is_ok());
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
