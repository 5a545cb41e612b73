//! What an LLM takes: tokens by the price they have, a bound on them before the request is sent, and what is told when a budget runs low.
//!
//! [`price`] says what they cost, [`calendar`] to which of the tenant's days and months they belong, [`sums`] what a report adds up.

pub mod calendar;
pub mod price;
pub mod sums;

use serde::{Deserialize, Serialize};

/// What a token was, as far as its price goes. Every token is of exactly one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// Read, and neither taken from a cache nor put into one.
    Input,
    /// Read from a cache.
    CacheRead,
    /// Read, and put into a cache for five minutes.
    CacheWrite5m,
    /// Read, and put into a cache for an hour.
    CacheWrite1h,
    /// Written, thinking included.
    Output,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Input, Self::CacheRead, Self::CacheWrite5m, Self::CacheWrite1h, Self::Output];

    /// The word used in configuration and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
        }
    }
}

/// Tokens of one request, or of many, by kind, as the provider reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// See [`TokenKind::Input`].
    pub input: u64,
    /// See [`TokenKind::CacheRead`].
    pub cache_read: u64,
    /// See [`TokenKind::CacheWrite5m`].
    pub cache_write_5m: u64,
    /// See [`TokenKind::CacheWrite1h`].
    pub cache_write_1h: u64,
    /// See [`TokenKind::Output`].
    pub output: u64,
}

impl Usage {
    /// The tokens of one kind.
    #[must_use]
    pub fn of(self, kind: TokenKind) -> u64 {
        match kind {
            TokenKind::Input => self.input,
            TokenKind::CacheRead => self.cache_read,
            TokenKind::CacheWrite5m => self.cache_write_5m,
            TokenKind::CacheWrite1h => self.cache_write_1h,
            TokenKind::Output => self.output,
        }
    }

    /// The size of the prompt: all that was read, wherever it came from.
    #[must_use]
    pub fn prompt(self) -> u64 {
        let cached = self.cache_read.saturating_add(self.cache_write_5m).saturating_add(self.cache_write_1h);
        self.input.saturating_add(cached)
    }

    /// What a cap counts: all that was read and all that was written.
    #[must_use]
    pub fn total(self) -> u64 {
        self.prompt().saturating_add(self.output)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
        }
    }
}

/// What the tokens are taken for. All of it comes out of one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Feature {
    /// Verdicts.
    Scoring,
    /// Drafts of messages to customers.
    Drafts,
}

impl Feature {
    /// The word used in the store and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scoring => "scoring",
            Self::Drafts => "drafts",
        }
    }
}

/// Tokens a provider may add to each message that nobody sees: who speaks, where a turn begins and ends.
const PER_MESSAGE: u64 = 16;
/// Tokens a provider may add to a request that nobody sees, such as its own words about the schema of the answer.
const PER_REQUEST: u64 = 1024;

/// What is known of a request before it is sent.
///
/// Its bytes bound its tokens: every token a model reads stands for at least one byte of text, and the body holds all of the text, in an
/// escaped form that is never shorter. Two things are not in the body as the model reads it. The provider writes the schema of the answer
/// into the prompt once more in a form of its own, so the schema's bytes count twice; and it marks where turns begin and end, for which
/// there is a margin. The bound is loose, four times and more what such a request takes, and holds only until the provider's own numbers
/// arrive.
///
/// It is no promise of the provider's. A model whose tokeniser first normalises text to NFKC can make eighteen characters of one
/// (U+FDFA, three bytes), and a text of nothing else would exceed it. What exceeds it is recorded as overrun.
///
/// ```
/// use undertone_core::usage::RequestSize;
/// let size = RequestSize { body_bytes: 6_000, schema_bytes: 1_500, messages: 2, max_tokens: 1_024 };
/// assert_eq!(size.most_prompt(), 6_000 + 1_500 + 2 * 16 + 1_024);
/// assert_eq!(size.most_tokens(), size.most_prompt() + 1_024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestSize {
    /// Bytes of the body as it is sent.
    pub body_bytes: usize,
    /// Of them, bytes of the schema of the answer and of tools.
    pub schema_bytes: usize,
    /// Messages in it, the system prompt among them.
    pub messages: usize,
    /// The most tokens the answer may have, thinking included.
    pub max_tokens: u64,
}

impl RequestSize {
    /// The most tokens its prompt can have.
    #[must_use]
    pub fn most_prompt(self) -> u64 {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        count(self.body_bytes)
            .saturating_add(count(self.schema_bytes))
            .saturating_add(count(self.messages).saturating_mul(PER_MESSAGE))
            .saturating_add(PER_REQUEST)
    }

    /// The most tokens that prompt and answer can have together.
    #[must_use]
    pub fn most_tokens(self) -> u64 {
        self.most_prompt().saturating_add(self.max_tokens)
    }
}

/// The parts of a budget, in percent, at which people are told.
pub const THRESHOLDS: [u8; 3] = [65, 85, 100];

/// Those of [`THRESHOLDS`] that a use of `used` out of `cap` has reached, lowest first. A cap of 0 is none, and nothing reaches it.
///
/// ```
/// use undertone_core::usage::reached;
/// assert_eq!(reached(84, 100).collect::<Vec<_>>(), [65]);
/// assert_eq!(reached(100, 100).collect::<Vec<_>>(), [65, 85, 100]);
/// assert_eq!(reached(100, 0).count(), 0);
/// ```
pub fn reached(used: u64, cap: u64) -> impl Iterator<Item = u8> {
    let at = move |percent: &u8| u128::from(used) * 100 >= u128::from(cap) * u128::from(*percent);
    THRESHOLDS.into_iter().filter(move |percent| cap > 0 && at(percent))
}

/// Those of [`THRESHOLDS`] that are reached after a change and were not before it.
pub fn crossed(before: u64, after: u64, cap: u64) -> impl Iterator<Item = u8> {
    let held = reached(before, cap).count();
    reached(after, cap).skip(held)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_total_counts_every_kind_once() {
        let usage =
            Usage { input: 1, cache_read: 20, cache_write_5m: 300, cache_write_1h: 4000, output: 50_000 };
        assert_eq!((usage.prompt(), usage.total()), (4321, 54_321));
        assert_eq!(TokenKind::ALL.map(|kind| usage.of(kind)), [1, 20, 300, 4000, 50_000]);
        assert_eq!(usage.plus(usage).total(), 108_642);
        let absurd = Usage { input: u64::MAX, cache_read: 9, ..usage };
        assert_eq!((absurd.total(), absurd.plus(absurd).input), (u64::MAX, u64::MAX));
    }

    #[test]
    fn kinds_and_features_are_the_words_of_json() {
        let json = serde_json::to_value(Usage::default()).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, TokenKind::ALL.map(TokenKind::as_str));
        for feature in [Feature::Scoring, Feature::Drafts] {
            assert_eq!(serde_json::to_value(feature).unwrap(), feature.as_str());
        }
    }

    #[test]
    fn absurd_sizes_do_not_wrap() {
        let size = RequestSize {
            body_bytes: usize::MAX,
            schema_bytes: usize::MAX,
            messages: usize::MAX,
            max_tokens: 7,
        };
        assert_eq!((size.most_prompt(), size.most_tokens()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn thresholds_are_crossed_upwards_and_once() {
        let told = |before, after, cap| crossed(before, after, cap).collect::<Vec<_>>();
        let nothing = Vec::<u8>::new();
        assert_eq!(told(0, 64_999, 100_000), nothing);
        assert_eq!(told(64_999, 65_000, 100_000), [65]);
        assert_eq!(told(65_000, 84_999, 100_000), nothing);
        assert_eq!(told(0, 250_000, 100_000), [65, 85, 100]);
        assert_eq!(told(84_000, 100_000, 100_000), [85, 100]);
        assert_eq!(told(90_000, 10_000, 100_000), nothing, "nothing is told on the way down");
        assert_eq!(told(0, 250_000, 0), nothing, "there is no cap");
        assert_eq!(told(0, 2, 3), [65], "two thirds");
        assert_eq!(told(0, u64::MAX, u64::MAX), [65, 85, 100]);
    }

    proptest! {
        #[test]
        fn in_small_steps_each_is_crossed_exactly_once(cap in 1u64..5_000, steps in prop::collection::vec(0u64..400, 0..40)) {
            let mut used = 0;
            let mut told = Vec::new();
            for step in steps {
                told.extend(crossed(used, used + step, cap));
                used += step;
            }
            prop_assert_eq!(told, reached(used, cap).collect::<Vec<_>>());
        }

        #[test]
        fn no_text_has_more_bytes_than_its_body(text in "\\PC{0,40}[\\x00-\\x1f]{0,4}") {
            // What the bound rests on: escaping never shortens.
            prop_assert!(serde_json::to_string(&text).unwrap().len() >= text.len() + 2);
        }
    }
}
