//! Sealing and opening: `XChaCha20-Poly1305` with a random nonce, bound to the tenant, the provider and the address.

use std::sync::Arc;

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use zeroize::Zeroize;

use super::master_key::unhex;
use super::{Credentials, KeptKey, MasterKey, Provider, Resealed, Secret};
use crate::audit::hex;
use crate::{StoreError, TenantId};

/// Random nonces of this many bytes do not meet: among 2^80 of them the chance is one in eight billion.
const NONCE: usize = 24;

/// Why a key can not be kept or used. No variant holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is nothing to seal it with.
    #[error(
        "without a master key no tenant's key, and no address of a destination, can be kept here: the operator makes one with undertone secrets new-key and gives it as UNDERTONE_MASTER_KEY or in the file that master_key_file names"
    )]
    NoMasterKey,
    /// It was sealed with a master key that this process was not given.
    #[error(
        "the tenant's key for {} was sealed with the master key {key_id}, which this process was not given: give it as master key or previous master key, or set the tenant's key again",
        .provider.as_str()
    )]
    OtherMasterKey {
        /// Whose key.
        provider: Provider,
        /// The master key it was sealed with, by its id.
        key_id: String,
    },
    /// The row is not what was sealed for this tenant.
    #[error(
        "the tenant's key for {} does not open: its row was changed, or is another tenant's; set the key again",
        .provider.as_str()
    )]
    Damaged {
        /// Whose key.
        provider: Provider,
    },
    /// Another secret was sealed with a master key that this process was not given.
    #[error(
        "{what} was sealed with the master key {key_id}, which this process was not given: give it as master key or previous master key, or set it anew"
    )]
    SealedElsewhere {
        /// What it is, for people.
        what: &'static str,
        /// The master key it was sealed with, by its id.
        key_id: String,
    },
    /// Another secret is not what was sealed for this row.
    #[error("{what} does not open: its row was changed, or belongs to another; set it anew")]
    NotAsSealed {
        /// What it is, for people.
        what: &'static str,
    },
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers: {0}")]
    NoRandomness(getrandom::Error),
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The master keys of this process: one that seals, and one that still opens while keys are sealed anew.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    current: Option<Arc<MasterKey>>,
    previous: Option<Arc<MasterKey>>,
}

/// A secret as it stands in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which master key opens it.
    pub key_id: String,
    /// Nonce, cipher text and tag in hexadecimal digits.
    pub text: String,
}

/// Why a sealed text does not open.
enum Shut {
    /// None of the master keys at hand sealed it.
    OtherMasterKey,
    /// It is not what was sealed, or not for this.
    Damaged,
}

impl Keyring {
    /// `current` seals; both open.
    #[must_use]
    pub fn new(current: Option<MasterKey>, previous: Option<MasterKey>) -> Self {
        Self { current: current.map(Arc::new), previous: previous.map(Arc::new) }
    }

    /// The same with another master key that seals.
    #[must_use]
    pub fn with_current(self, key: MasterKey) -> Self {
        Self { current: Some(Arc::new(key)), ..self }
    }

    /// The same with another master key that only opens.
    #[must_use]
    pub fn with_previous(self, key: MasterKey) -> Self {
        Self { previous: Some(Arc::new(key)), ..self }
    }

    /// The master key that seals, by its id.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref().map(MasterKey::id)
    }

    /// The master key that only opens, by its id.
    #[must_use]
    pub fn previous(&self) -> Option<&str> {
        self.previous.as_deref().map(MasterKey::id)
    }

    pub(super) fn seal(&self, tenant: TenantId, credentials: &Credentials) -> Result<Sealed, KeyError> {
        let bound = bound_to(tenant, credentials.provider, credentials.base_url.as_deref());
        self.seal_text(&bound, &credentials.key)
    }

    /// Seals a secret. `bound` says what it is for, and begins with words that nothing else here begins with: it opens for that only.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal it with.
    pub fn seal_text(&self, bound: &str, secret: &Secret) -> Result<Sealed, KeyError> {
        let master = self.current.as_deref().ok_or(KeyError::NoMasterKey)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(KeyError::NoRandomness)?;
        let payload = Payload { msg: secret.expose().as_bytes(), aad: bound.as_bytes() };
        // It fails for texts of many gigabytes only.
        let text = cipher(master)
            .encrypt((&nonce).into(), payload)
            .map_err(|_| StoreError::Invalid("the key is too long to be kept".to_owned()))?;
        Ok(Sealed { key_id: master.id().to_owned(), text: hex(&nonce) + &hex(&text) })
    }

    /// Opens a key.
    ///
    /// # Errors
    /// [`KeyError::OtherMasterKey`] and [`KeyError::Damaged`].
    pub fn open(&self, kept: &KeptKey) -> Result<Secret, KeyError> {
        let provider = kept.provider;
        self.unseal(&kept.bound(), &kept.key_id, &kept.sealed).map_err(|shut| match shut {
            Shut::OtherMasterKey => KeyError::OtherMasterKey { provider, key_id: kept.key_id.clone() },
            Shut::Damaged => KeyError::Damaged { provider },
        })
    }

    /// Opens what [`Keyring::seal_text`] sealed for `bound`; `what` it is goes into the error.
    ///
    /// # Errors
    /// [`KeyError::SealedElsewhere`] and [`KeyError::NotAsSealed`].
    pub fn open_text(&self, what: &'static str, bound: &str, sealed: &Sealed) -> Result<Secret, KeyError> {
        self.unseal(bound, &sealed.key_id, &sealed.text).map_err(|shut| match shut {
            Shut::OtherMasterKey => KeyError::SealedElsewhere { what, key_id: sealed.key_id.clone() },
            Shut::Damaged => KeyError::NotAsSealed { what },
        })
    }

    /// A secret sealed anew with the current master key, while one is replaced: `open` opens it, sealed as it is now with the master key
    /// `key_id`. `None` where nothing is to be written, which `done` counts.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal it with. One that does not open is told in [`Resealed::unopened`].
    pub(crate) fn reseal(
        &self,
        done: &mut Resealed,
        bound: &str,
        key_id: &str,
        open: impl FnOnce(&Self) -> Result<Secret, KeyError>,
    ) -> Result<Option<Sealed>, KeyError> {
        let current = self.current().ok_or(KeyError::NoMasterKey)?;
        if key_id == current {
            done.already += 1;
            return Ok(None);
        }
        match open(self) {
            Ok(secret) => self.seal_text(bound, &secret).map(Some),
            Err(error) => {
                done.unopened.push(error);
                Ok(None)
            }
        }
    }

    fn unseal(&self, bound: &str, key_id: &str, sealed: &str) -> Result<Secret, Shut> {
        let fits = |master: &&Arc<MasterKey>| master.id() == key_id;
        let master = [&self.current, &self.previous].into_iter().flatten().find(fits);
        let master = master.ok_or(Shut::OtherMasterKey)?;
        let sealed = unhex(sealed).ok_or(Shut::Damaged)?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE>().ok_or(Shut::Damaged)?;
        let payload = Payload { msg: text, aad: bound.as_bytes() };
        let key = cipher(master).decrypt(nonce.into(), payload).map_err(|_| Shut::Damaged)?;
        String::from_utf8(key).map(Secret::new).map_err(|error| {
            error.into_bytes().zeroize();
            Shut::Damaged
        })
    }
}

impl KeptKey {
    /// What it is sealed for.
    pub(super) fn bound(&self) -> String {
        bound_to(self.tenant, self.provider, self.base_url.as_deref())
    }
}

/// The cipher forgets its copy of the key when it is dropped.
fn cipher(master: &MasterKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(master.bytes().into())
}

/// What a sealed key is bound to. A row that is copied to another tenant or provider does not open, nor does one whose address was
/// changed, so that nobody who can write to the database has a key sent to them. Only the address may hold any sign; it comes last.
fn bound_to(tenant: TenantId, provider: Provider, base_url: Option<&str>) -> String {
    let (tenant, provider, base_url) = (tenant.0, provider.as_str(), base_url.unwrap_or_default());
    format!("undertone provider key 1\n{tenant}\n{provider}\n{base_url}")
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;

    const KEY: &str = "a-key-that-only-this-test-knows-0123";

    fn credentials(base_url: Option<&str>) -> Credentials {
        Credentials::new(Provider::Claude, &Secret::new(KEY.to_owned()), base_url).unwrap()
    }

    fn kept(keyring: &Keyring, base_url: Option<&str>) -> KeptKey {
        let credentials = credentials(base_url);
        let sealed = keyring.seal(TenantId(7), &credentials).unwrap();
        KeptKey {
            tenant: TenantId(7),
            provider: Provider::Claude,
            base_url: credentials.base_url,
            key_id: sealed.key_id,
            last_four: None,
            set_by: "test".to_owned(),
            set_at: Utc.with_ymd_and_hms(2026, 11, 20, 22, 30, 0).unwrap(),
            sealed: sealed.text,
        }
    }

    /// Not one byte over and over, which is refused.
    fn master(digit: &str) -> MasterKey {
        MasterKey::from_text(&Secret::new(digit.repeat(63) + "e")).unwrap()
    }

    fn ring(current: Option<&str>, previous: Option<&str>) -> Keyring {
        Keyring::new(current.map(master), previous.map(master))
    }

    #[test]
    fn what_is_sealed_opens_and_looks_like_nothing() {
        let keyring = ring(Some("1"), None);
        let (one, other) = (kept(&keyring, None), kept(&keyring, None));
        assert_eq!(keyring.open(&one).unwrap().expose(), KEY);
        assert_ne!(one.sealed, other.sealed, "each has a nonce of its own");
        assert_ne!(one.sealed[..2 * NONCE], other.sealed[..2 * NONCE]);
        // Nonce, text and tag.
        assert_eq!(one.sealed.len(), 2 * (NONCE + KEY.len() + 16));
        assert!(!one.sealed.contains(&hex(KEY.as_bytes())));
    }

    #[test]
    fn it_opens_for_its_tenant_provider_and_address_only() {
        let keyring = ring(Some("1"), None);
        let kept = kept(&keyring, Some("https://gateway.example/claude"));
        assert!(keyring.open(&kept).is_ok());
        for other in [
            KeptKey { tenant: TenantId(8), ..kept.clone() },
            KeptKey { provider: Provider::Openai, ..kept.clone() },
            KeptKey { base_url: Some("https://evil.example".to_owned()), ..kept.clone() },
            KeptKey { base_url: None, ..kept.clone() },
        ] {
            let error = keyring.open(&other).unwrap_err();
            assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("does not open"));
        }
    }

    #[test]
    fn a_changed_row_does_not_open() {
        let keyring = ring(Some("1"), None);
        let kept = kept(&keyring, None);
        for at in 0..kept.sealed.len() {
            let mut sealed = kept.sealed.clone();
            let other = if sealed.as_bytes()[at] == b'0' { "1" } else { "0" };
            sealed.replace_range(at..=at, other);
            assert!(keyring.open(&KeptKey { sealed, ..kept.clone() }).is_err(), "digit {at}");
        }
        for sealed in ["", "0", "zz", "ä", "00", &"00".repeat(NONCE), &kept.sealed[..kept.sealed.len() - 2]]
        {
            let changed = KeptKey { sealed: sealed.to_owned(), ..kept.clone() };
            assert!(matches!(keyring.open(&changed), Err(KeyError::Damaged { .. })), "“{sealed}”");
        }
    }

    #[test]
    fn a_sealed_text_opens_for_what_it_is_for() {
        let (keyring, secret) = (ring(Some("1"), None), Secret::new(KEY.to_owned()));
        let sealed = keyring.seal_text("of a test\n7", &secret).unwrap();
        assert_eq!(keyring.open_text("the text", "of a test\n7", &sealed).unwrap().expose(), KEY);
        let error = keyring.open_text("the text", "of a test\n8", &sealed).unwrap_err();
        assert!(error.to_string().starts_with("the text does not open"), "{error}");
        let error = ring(Some("2"), None).open_text("the text", "of a test\n7", &sealed).unwrap_err();
        assert!(error.to_string().contains(&sealed.key_id), "{error}");
        assert!(ring(Some("2"), Some("1")).open_text("the text", "of a test\n7", &sealed).is_ok());
    }

    #[test]
    fn the_previous_master_key_opens_and_does_not_seal() {
        let (old, both, new) = (ring(Some("1"), None), ring(Some("2"), Some("1")), ring(Some("2"), None));
        let kept_before = kept(&old, None);
        assert_eq!(both.open(&kept_before).unwrap().expose(), KEY);
        let kept_after = kept(&both, None);
        assert_eq!((kept_after.key_id.as_str(), both.previous()), (new.current().unwrap(), old.current()));
        assert_eq!(new.open(&kept_after).unwrap().expose(), KEY);
        for (keyring, kept) in
            [(&new, &kept_before), (&old, &kept_after), (&Keyring::default(), &kept_before)]
        {
            let error = keyring.open(kept).unwrap_err();
            assert!(matches!(error, KeyError::OtherMasterKey { .. }), "{error}");
            assert!(error.to_string().contains(&kept.key_id), "{error}");
        }
        let swapped = both.with_current(master("1")).with_previous(master("2"));
        assert_eq!((swapped.current(), swapped.previous()), (old.current(), new.current()));
        let none = Keyring::default().seal(TenantId(7), &credentials(None));
        assert!(matches!(none, Err(KeyError::NoMasterKey)));
        assert!(matches!(
            ring(None, Some("1")).seal(TenantId(7), &credentials(None)),
            Err(KeyError::NoMasterKey)
        ));
    }
}
