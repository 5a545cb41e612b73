//! A text that nobody may see.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

/// The longest secret that is read, in bytes. A provider's key has some hundred.
const MOST: usize = 4096;
/// Of a secret with fewer characters, four would tell too much.
const LEAST_TO_SHOW_FOUR: usize = 12;

/// A text that nobody may see: a provider's key, a master key as it is written down.
///
/// There is one copy of it in memory, whoever holds it, and that is overwritten when the last of them lets go. It can not be printed:
///
/// ```compile_fail,E0277
/// println!("{}", undertone_store::secrets::Secret::new("sk-1".to_owned()));
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes a text over without copying it.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    /// Reads a text to its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it is not UTF-8 or has more than 4,096 bytes; and what `from` fails with. No error repeats
    /// what was read.
    pub fn read(from: impl Read) -> io::Result<Self> {
        // Room for all of it at once: a vector that grew would leave what it held before behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 64));
        from.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MOST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it is longer than {MOST} bytes"),
            ));
        }
        String::from_utf8(std::mem::take(&mut *bytes)).map(Self::new).map_err(|error| {
            error.into_bytes().zeroize();
            io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8")
        })
    }

    /// The text: for the header of a request, or the cipher, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Without white space at both ends.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let trimmed = self.0.trim();
        if trimmed.len() == self.0.len() { self.clone() } else { Self::new(trimmed.to_owned()) }
    }

    /// The last four characters, by which people know their keys apart; none of a secret with fewer than twelve.
    #[must_use]
    pub fn last_four(&self) -> Option<&str> {
        let (start, _) = self.0.char_indices().rev().nth(3)?;
        (self.0.chars().count() >= LEAST_TO_SHOW_FOUR).then(|| &self.0[start..])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(•••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_show() {
        let secret = Secret::new("sk-very-secret-thing".to_owned());
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "Secret(•••) Some(\n    Secret(•••),\n)");
        assert_eq!(secret.expose(), "sk-very-secret-thing");
    }

    #[test]
    fn there_is_one_copy() {
        let secret = Secret::new("sk-very-secret-thing".to_owned());
        let (copy, trimmed) = (secret.clone(), secret.trimmed());
        assert!(
            std::ptr::eq(secret.expose(), copy.expose()) && std::ptr::eq(secret.expose(), trimmed.expose())
        );
        assert_eq!(Secret::new(" \tsk-1\r\n".to_owned()).trimmed().expose(), "sk-1");
        let given = "sk-1".to_owned();
        let place = given.as_ptr();
        assert_eq!(Secret::new(given).expose().as_ptr(), place);
    }

    #[test]
    fn four_characters_are_shown_of_twelve_and_more() {
        for (text, shown) in [
            ("", None),
            ("abcd", None),
            ("12345678901", None),
            ("123456789012", Some("9012")),
            ("ääääääääöüäß", Some("öüäß")),
        ] {
            assert_eq!(Secret::new(text.to_owned()).last_four(), shown, "{text}");
        }
    }

    #[test]
    fn it_is_read_whole_or_refused() {
        assert_eq!(Secret::read(&b"sk-1\n"[..]).unwrap().expose(), "sk-1\n");
        assert_eq!(Secret::read(&vec![b'a'; MOST][..]).unwrap().expose().len(), MOST);
        for (bytes, told) in [(vec![b'a'; MOST + 1], "longer than 4096 bytes"), (vec![0xff, 0xfe], "UTF-8")] {
            let error = Secret::read(&bytes[..]).unwrap_err();
            assert!(
                error.kind() == io::ErrorKind::InvalidData && error.to_string().contains(told),
                "{error}"
            );
        }
    }
}
