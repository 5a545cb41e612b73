//! The key that opens keys. It is never in the database.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KeyError, Secret};
use crate::audit::hex;

/// A master key, in bytes.
const LENGTH: usize = 32;

/// What is no master key. It does not repeat what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAMasterKey {
    /// It has another form.
    #[error(
        "a master key is 32 bytes, as 64 hexadecimal digits or 44 characters of base64; this has {0} characters. Make one with: undertone secrets new-key"
    )]
    Malformed(usize),
    /// Every byte is the same: somebody filled in a form.
    #[error(
        "this master key is one byte 32 times over. Make one from random numbers with: undertone secrets new-key"
    )]
    NotRandom,
}

/// The key that opens keys: 256 random bits, overwritten when it is dropped.
pub struct MasterKey {
    bytes: Box<Zeroizing<[u8; LENGTH]>>,
    id: String,
}

impl MasterKey {
    /// Reads one from its text: 64 hexadecimal digits, or base64 with either alphabet, with or without its `=`.
    pub fn from_text(text: &Secret) -> Result<Self, NotAMasterKey> {
        let text = text.expose().trim();
        let malformed = || NotAMasterKey::Malformed(text.chars().count());
        // As much room as the longest form takes, so that nothing is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LENGTH));
        if text.len() == 2 * LENGTH {
            bytes.extend(unhex(text).ok_or_else(malformed)?.iter());
        } else if text.len().abs_diff(4 * LENGTH / 3) <= 2 {
            let is_url_safe = text.contains(['-', '_']);
            let engine = if is_url_safe { &URL_SAFE_PAD_INDIFFERENT } else { &STANDARD_PAD_INDIFFERENT };
            // What the decoder says would quote a character.
            engine.decode_vec(text, &mut bytes).map_err(|_| malformed())?;
        }
        let bytes: &[u8; LENGTH] = bytes.as_slice().try_into().map_err(|_| malformed())?;
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(NotAMasterKey::NotRandom);
        }
        let mut key = Box::new(Zeroizing::new([0; LENGTH]));
        key.copy_from_slice(bytes);
        Ok(Self { bytes: key, id: id_of(bytes) })
    }

    /// A new one from the machine's random numbers.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Box::new(Zeroizing::new([0; LENGTH]));
        getrandom::fill(&mut bytes[..]).map_err(KeyError::NoRandomness)?;
        Ok(Self { id: id_of(&bytes[..]), bytes })
    }

    /// The key in base64, to be written down once.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        Secret::new(STANDARD_PAD_INDIFFERENT.encode(&self.bytes[..]))
    }

    /// What it is called: 16 hexadecimal digits that follow from it and do not lead back.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; LENGTH] {
        &self.bytes
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// Rows say by this which key they were sealed with. The digest is of the key and of words that no other digest here begins with.
fn id_of(bytes: &[u8]) -> String {
    let digest = Sha256::new().chain_update("undertone master key id\n").chain_update(bytes).finalize();
    hex(&digest[..8])
}

/// The bytes of a text in hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks_exact(2) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        bytes.push((high? * 16 + low?) as u8);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MasterKey, NotAMasterKey> {
        MasterKey::from_text(&Secret::new(text.to_owned()))
    }

    #[test]
    fn every_form_is_the_same_key() {
        let digits = "fbffbe000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c";
        let key = read(digits).unwrap();
        for other in [
            &digits.to_uppercase(),
            "+/++AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=",
            "+/++AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw",
            "-_--AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=",
            "  -_--AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw\r\n",
        ] {
            let other = read(other).unwrap();
            assert_eq!((other.bytes(), other.id()), (key.bytes(), key.id()));
        }
        assert_eq!(key.to_text().expose(), "+/++AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=");
        assert_eq!(read(key.to_text().expose()).unwrap().id(), key.id());
    }

    #[test]
    fn what_is_no_key_is_told_without_repeating_it() {
        for text in [
            "",
            "hunter2",
            "correct horse battery staple correct horse!!",
            "+/++AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGx",
            "+/++AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
            "fbffbe0001020304050607080-0a0b0c0d0e0f101112131415161718191a1b1c",
            "fbffbe0001020304050607080+0a0b0c0d0e0f101112131415161718191a1b1c",
            "äöäöäöäöäöäöäöäöäöäöäöäöäöäöäöäö",
            &"a".repeat(100_000),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error, NotAMasterKey::Malformed(text.chars().count()), "{text}");
            assert!(text.len() < 2 || !error.to_string().contains(text), "{error}");
            assert!(error.to_string().contains("undertone secrets new-key"));
        }
        assert_eq!(read(&"00".repeat(32)).unwrap_err(), NotAMasterKey::NotRandom);
        assert_eq!(read(&"A".repeat(43)).unwrap_err(), NotAMasterKey::NotRandom);
    }

    #[test]
    fn new_keys_differ_and_only_their_id_shows() {
        let (one, other) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
        assert!(one.bytes() != other.bytes() && one.id() != other.id());
        assert_eq!(format!("{one:?}"), format!("MasterKey({})", one.id()));
        let digits = hex(one.bytes());
        assert!(one.id().len() == 16 && !digits.contains(one.id()));
    }
}
