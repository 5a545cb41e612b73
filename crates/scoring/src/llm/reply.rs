//! What came back from an API that answered, in words that do not depend on whose it is.

use serde_json::Value;
use undertone_core::Usage;

use super::visible::visible;

/// What the model did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answered this; what it is worth, [`answer::read`](super::answer::read) says.
    Answer(String),
    /// It, or a filter around it, declined. With several items in the request any one may be the reason: ask about each alone.
    Refused {
        /// What the provider calls the reason, at most 80 characters.
        category: Option<String>,
    },
    /// The answer was longer than allowed and is worth nothing. Ask once more with the limit doubled.
    CutOff,
    /// The request was longer than the model can read.
    TooLong,
    /// There is no text in the answer.
    Nothing {
        /// Why it stopped, in the provider's word, at most 80 characters.
        stop: String,
    },
}

/// A response that says what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What the model did.
    pub outcome: Outcome,
    /// What it took; `None` where the provider does not say, so that nobody takes it for free.
    pub usage: Option<Usage>,
    /// The model that answered, in the provider's words, at most 80 characters.
    pub model: Option<String>,
    /// The provider's name for this request, for its support; at most 80 characters.
    pub request_id: Option<String>,
}

/// A response that claims success and is no answer: another program's page, or a body cut in half.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer can not be read: {detail}")]
pub struct Unreadable {
    /// What is wrong with it.
    pub detail: String,
}

impl Unreadable {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}

/// The object in `body`.
pub(super) fn parse(body: &[u8]) -> Result<Value, Unreadable> {
    let value: Value = serde_json::from_slice(body).map_err(|e| Unreadable::new(format!("no JSON: {e}")))?;
    if value.is_object() { Ok(value) } else { Err(Unreadable::new("no object")) }
}

/// A word of the provider's, fit for a log: visible, on one line, at most 80 characters; `None` where nothing is left.
pub(super) fn word(value: &Value) -> Option<String> {
    short(value.as_str()?, 80)
}

/// The first `most` characters of `text` that can be seen, on one line.
pub(super) fn short(text: &str, most: usize) -> Option<String> {
    let text: String = text.chars().take(most * 4).collect();
    let line = visible(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().take(most).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_provider_are_fit_for_a_log() {
        let word = |text: &str| word(&Value::from(text));
        assert_eq!(word("req_1\n\u{1b}[31m\u{202e}x").as_deref(), Some("req_1 [31mx"));
        assert_eq!(word(&"é".repeat(500)).map(|w| w.chars().count()), Some(80));
        assert_eq!(word(" \n\u{202e} "), None);
        assert_eq!(super::word(&Value::from(7)), None);
        assert_eq!(word(""), None);
    }

    #[test]
    fn what_is_no_object_is_unreadable() {
        assert!(parse(b"{}").is_ok());
        for body in [&b"<html>"[..], b"", b"[1]", b"{\"a\":", b"\xff"] {
            let error = parse(body).unwrap_err();
            assert!(error.to_string().starts_with("the provider's answer can not be read: no "), "{error}");
        }
    }
}
