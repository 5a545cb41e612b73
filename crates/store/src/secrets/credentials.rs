//! A key and the address it is used at, looked at before they are kept or used.

use url::Url;

use super::{Provider, Secret};

/// The longest key, in characters.
const MOST_KEY: usize = 1000;
/// The longest address, in characters.
const MOST_ADDRESS: usize = 500;

const WRONG_KEY: &str = "a key is 1 to 1000 visible ASCII characters without a space among them";
const WRONG_ADDRESS: &str = "a base address is http:// or https:// with a host, at most 500 characters, without user, password, query or fragment";

/// What can not be used. Neither is repeated: a key may have been pasted where the address belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unusable {
    /// What a key must be, where this one is not.
    pub key: Option<&'static str>,
    /// What an address must be, where this one is not.
    pub base_url: Option<&'static str>,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told: Vec<&str> = [self.key, self.base_url].into_iter().flatten().collect();
        f.write_str(&told.join("; "))
    }
}

/// A provider's key and the address it is used at. The two belong together: a key goes to no address it was not set with.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub(super) provider: Provider,
    pub(super) key: Secret,
    pub(super) base_url: Option<String>,
}

impl Credentials {
    /// Looks at both. White space around the key is left out; `None` is the provider's own address.
    ///
    /// # Errors
    /// With everything that can not be used, and none of it repeated.
    pub fn new(provider: Provider, key: &Secret, base_url: Option<&str>) -> Result<Self, Unusable> {
        let key = key.trimmed();
        let text = key.expose();
        let fits = (1..=MOST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let address = base_url.map(|address| usable_address(provider, address)).transpose();
        match address {
            Ok(base_url) if fits => Ok(Self { provider, key, base_url }),
            address => Err(Unusable { key: (!fits).then_some(WRONG_KEY), base_url: address.err() }),
        }
    }

    /// Whose API they are for.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// The address it is used at, without a slash at its end.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base_url.as_deref().unwrap_or(self.provider.own_address())
    }
}

/// An address in its plain form: without a slash at its end, and Claude's without `/v1`, which every request adds.
///
/// # Errors
/// With what an address must be.
pub fn usable_address(provider: Provider, address: &str) -> Result<String, &'static str> {
    let address = address.trim();
    if address.len() > 4 * MOST_ADDRESS {
        return Err(WRONG_ADDRESS);
    }
    let url = Url::parse(address).map_err(|_| WRONG_ADDRESS)?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.as_str().len() <= MOST_ADDRESS;
    if !fits {
        return Err(WRONG_ADDRESS);
    }
    let plain = url.as_str().trim_end_matches('/');
    let plain = match provider {
        Provider::Claude => plain.strip_suffix("/v1").unwrap_or(plain),
        Provider::Openai => plain,
    };
    Ok(plain.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn addresses_come_in_their_plain_form() {
        use Provider::{Claude, Openai};
        for (provider, given, plain) in [
            (Claude, "https://api.anthropic.com", "https://api.anthropic.com"),
            (Claude, " https://API.Anthropic.com/v1/ \n", "https://api.anthropic.com"),
            (Claude, "https://gateway.example/claude//", "https://gateway.example/claude"),
            (Claude, "https://gateway.example/claude/v1", "https://gateway.example/claude"),
            (Openai, "http://localhost:11434/v1", "http://localhost:11434/v1"),
            (Openai, "http://[::1]:8000", "http://[::1]:8000"),
            (Openai, "https://müller.example/v1/", "https://xn--mller-kva.example/v1"),
        ] {
            assert_eq!(usable_address(provider, given).as_deref(), Ok(plain), "{given}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for given in [
            "",
            "api.anthropic.com",
            "ftp://api.anthropic.com",
            "file:///etc/passwd",
            "https://",
            "https://user@gateway.example",
            "https://:password@gateway.example",
            "https://gateway.example?key=1",
            "https://gateway.example/#a",
            "https://gateway.example:99999",
            "a-key-in-the-wrong-place",
            &format!("https://gateway.example/{}", "a".repeat(500)),
            &"a".repeat(8 << 20),
        ] {
            assert_eq!(usable_address(Provider::Openai, given), Err(WRONG_ADDRESS), "{given:.60}");
        }
    }

    #[test]
    fn keys_are_looked_at_and_not_repeated() {
        let credentials = Credentials::new(Provider::Claude, &secret(" a-key-0123456789\r\n"), None).unwrap();
        assert_eq!(credentials.key().expose(), "a-key-0123456789");
        assert_eq!(credentials.address(), "https://api.anthropic.com");
        let longest = "k".repeat(MOST_KEY);
        assert!(Credentials::new(Provider::Openai, &secret(&longest), Some("http://localhost:1")).is_ok());
        for key in ["", " \n", "two words", "line\nbreak", "schlüssel", "nul\0", &"k".repeat(MOST_KEY + 1)] {
            let wrong = Credentials::new(Provider::Claude, &secret(key), None).unwrap_err();
            assert_eq!((wrong.key, wrong.base_url), (Some(WRONG_KEY), None), "{key:?}");
            assert_eq!(wrong.to_string(), WRONG_KEY);
        }
        let both = Credentials::new(Provider::Claude, &secret("two words"), Some("two words")).unwrap_err();
        assert_eq!(both.to_string(), format!("{WRONG_KEY}; {WRONG_ADDRESS}"));
    }
}
