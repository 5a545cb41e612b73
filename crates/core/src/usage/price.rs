//! What tokens cost. Integers only: a rate is millionths of a dollar for a million tokens, so tokens times rate are millionths of millionths.
//!
//! A call's cost is rounded once, to the nearest millionth of a dollar, halves up. It is off by half a millionth at most: twenty thousand
//! calls together by a cent, if every one of them were off by the most and in the same direction. A bound is rounded up.

mod list;

pub use list::{Listed, LongEntry, PriceEntry, PriceError, Prices};

use super::sums::Saved;
use super::{TokenKind, Usage};

/// Millionths of millionths in a millionth.
const MILLION: u128 = 1_000_000;

/// What a million tokens of each kind cost, in millionths of a US dollar: 2,500,000 is $2.50.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
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

impl Rates {
    /// The rate of one kind.
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

    /// Millionths of millionths of a dollar.
    fn exact(self, usage: Usage) -> u128 {
        TokenKind::ALL.iter().map(|kind| exact(usage.of(*kind), self.of(*kind))).fold(0, u128::saturating_add)
    }

    /// The dearest a prompt token can be in a request that asks for this caching.
    fn dearest(self, caching: Caching) -> u64 {
        // What is cached already is read whether or not the request asks for it, and an own price list may make that dear.
        let read = self.input.max(self.cache_read);
        match caching {
            Caching::None => read,
            Caching::FiveMinutes => read.max(self.cache_write_5m),
            Caching::OneHour => read.max(self.cache_write_5m).max(self.cache_write_1h),
        }
    }
}

fn exact(tokens: u64, rate: u64) -> u128 {
    u128::from(tokens) * u128::from(rate)
}

/// Whether a request has its prompt cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// It does not.
    None,
    /// For five minutes.
    FiveMinutes,
    /// For an hour. Parts of it may be cached for five minutes.
    OneHour,
}

/// Rates that hold for the whole request, its answer included, once the prompt is longer than so many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongPrompt {
    /// They hold beyond this.
    pub over: u64,
    /// The rates.
    pub rates: Rates,
}

/// The price of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The rates.
    pub rates: Rates,
    /// Those for long prompts, where they differ.
    pub long: Option<LongPrompt>,
    /// What of it is paid in a batch, in percent, 0..=100.
    pub batch_percent: u8,
}

/// How a call was made, as far as it saves something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// In a batch.
    pub batched: bool,
    /// Texts in the request.
    pub texts: u64,
    /// Tokens of the prompt that are there once for all texts, as far as known; 0 claims no saving.
    pub shared_tokens: u64,
}

impl Made {
    /// Tokens of the prompt that were not sent again for each further text.
    #[must_use]
    pub fn packing_tokens(self) -> u64 {
        self.shared_tokens.saturating_mul(self.texts.saturating_sub(1))
    }
}

impl Price {
    /// The rates for a prompt of this length.
    fn rates_for(&self, prompt: u64) -> Rates {
        self.long.filter(|long| prompt > long.over).map_or(self.rates, |long| long.rates)
    }

    /// What is paid of 100, batched or not.
    fn percent(&self, batched: bool) -> u128 {
        if batched { self.batch_percent.into() } else { 100 }
    }

    /// What a call costs, in millionths of a US dollar, rounded to the nearest.
    ///
    /// ```
    /// use chrono::NaiveDate;
    /// use undertone_core::usage::{Usage, price::Prices};
    /// let prices = Prices::built_in();
    /// let price = prices.of("claude-sonnet-5-5", NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()).unwrap();
    /// // 1,000 tokens read at $2 a million, 200 written at $10.
    /// let usage = Usage { input: 1_000, output: 200, ..Usage::default() };
    /// assert_eq!(price.cost(usage, false), 4_000);
    /// assert_eq!(price.cost(usage, true), 2_000);
    /// ```
    #[must_use]
    pub fn cost(&self, usage: Usage, batched: bool) -> u64 {
        nearest(self.rates_for(usage.prompt()).exact(usage), self.percent(batched))
    }

    /// The most a call can cost whose prompt and answer have at most so many tokens, in millionths of a US dollar, rounded up.
    #[must_use]
    pub fn most_cost(&self, most_prompt: u64, most_output: u64, caching: Caching, batched: bool) -> u64 {
        let most = |rates: Rates| {
            exact(most_prompt, rates.dearest(caching)).saturating_add(exact(most_output, rates.output))
        };
        // A shorter prompt than the bound may fall under the other rates.
        let long = self.long.filter(|long| most_prompt > long.over).map_or(0, |long| most(long.rates));
        let exact = most(self.rates).max(long).saturating_mul(self.percent(batched));
        fit(exact.div_ceil(100 * MILLION))
    }

    /// What a call did not cost because of how it was made.
    ///
    /// Caching is set against the same prompt read anew, at the same rates. Packing is set against the shared part read once more for every
    /// further text, from the cache where this call had one: what it would have cost at the least.
    #[must_use]
    pub fn saved(&self, usage: Usage, made: Made) -> Saved {
        let rates = self.rates_for(usage.prompt());
        let percent = self.percent(made.batched);
        let uncached = Usage { input: usage.prompt(), output: usage.output, ..Usage::default() };
        let again = made.packing_tokens();
        let cached = usage.prompt() > usage.input;
        let rate = if cached { rates.cache_read.min(rates.input) } else { rates.input };
        let signed = |micros: u64| i64::try_from(micros).unwrap_or(i64::MAX);
        let full = nearest(rates.exact(usage), 100);
        Saved {
            cache_micros: signed(nearest(rates.exact(uncached), percent))
                - signed(nearest(rates.exact(usage), percent)),
            packing_tokens: again,
            packing_micros: nearest(exact(again, rate), percent),
            batch_micros: full - nearest(rates.exact(usage), percent).min(full),
        }
    }
}

/// So many percent of millionths of millionths, in millionths.
fn nearest(exact: u128, percent: u128) -> u64 {
    fit((exact.saturating_mul(percent).saturating_add(50 * MILLION)) / (100 * MILLION))
}

fn fit(micros: u128) -> u64 {
    u64::try_from(micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
