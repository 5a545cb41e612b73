//! The purse of a command: counts what LLM calls take and cost, and stops where the person said so.
//!
//! A call is granted when the most it can take fits into what is left beside the calls under way, so a cap is never exceeded by what a
//! provider charges within those bounds, however many calls run at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::Notify;
use undertone_core::gate::DeferReason;
use undertone_core::usage::price::{Made, Price, Prices};
use undertone_core::usage::sums::Sums;
use undertone_scoring::llm::ask::{Ending, Hold, Planned, Purse, Refused};

use crate::output::amount::{dollars, grouped};

/// What a command may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Tokens, of every kind together.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub micros: Option<u64>,
}

/// What was taken until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Everything that ended.
    pub sums: Sums,
    /// Calls under way.
    pub open_calls: u64,
    /// The most tokens they can take.
    pub open_tokens: u64,
    /// The most they can cost, in millionths of a US dollar, as far as there is a price.
    pub open_micros: u64,
    /// Calls that were refused because a cap left no room.
    pub refused_calls: u64,
}

impl Tally {
    /// Tokens that are gone or may be.
    fn tokens(&self) -> u64 {
        let ended = self.sums.usage.total().saturating_add(self.sums.lost_tokens);
        ended.saturating_add(self.open_tokens)
    }

    /// Millionths of a dollar that are gone or may be.
    fn micros(&self) -> u64 {
        self.sums.cost_micros.saturating_add(self.sums.lost_micros).saturating_add(self.open_micros)
    }
}

/// Counts, and stops at a cap.
#[derive(Debug)]
pub struct Meter {
    prices: Prices,
    day: NaiveDate,
    caps: Caps,
    tally: Mutex<Tally>,
    ended: Notify,
}

/// The most a call can take.
#[derive(Debug, Clone, Copy)]
struct Most {
    tokens: u64,
    /// `None` where the model has no price.
    micros: Option<u64>,
}

impl Meter {
    /// Counts by the `prices` of the UTC day `day`.
    pub fn new(prices: Prices, day: NaiveDate, caps: Caps) -> Self {
        Self { prices, day, caps, tally: Mutex::default(), ended: Notify::new() }
    }

    /// What was taken until now.
    pub fn tally(&self) -> Tally {
        *self.lock()
    }

    /// The price of `model` on the day.
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.prices.of(model, self.day)
    }

    /// The day whose prices hold.
    pub fn day(&self) -> NaiveDate {
        self.day
    }

    fn most(&self, planned: &Planned<'_>) -> Most {
        let size = planned.size;
        let cost =
            |price: &Price| price.most_cost(size.most_prompt(), size.max_tokens, planned.caching, false);
        Most { tokens: size.most_tokens(), micros: self.price(planned.model).map(cost) }
    }

    /// Sets `most` aside where it fits; `None`: it may fit once calls under way have ended.
    fn try_reserve(&self, planned: &Planned<'_>, most: Most) -> Option<Result<(), Refused>> {
        let mut tally = self.lock();
        let over =
            |cap: Option<u64>, taken: u64, more: u64| cap.is_some_and(|cap| taken.saturating_add(more) > cap);
        let micros = most.micros.unwrap_or_default();
        let unpriced = self.caps.micros.is_some() && most.micros.is_none();
        if !(unpriced
            || over(self.caps.tokens, tally.tokens(), most.tokens)
            || over(self.caps.micros, tally.micros(), micros))
        {
            tally.open_calls += 1;
            tally.open_tokens = tally.open_tokens.saturating_add(most.tokens);
            tally.open_micros = tally.open_micros.saturating_add(micros);
            return Some(Ok(()));
        }
        let alone = Tally { open_tokens: 0, open_micros: 0, ..*tally };
        let never_tokens = over(self.caps.tokens, alone.tokens(), most.tokens);
        let never = unpriced || never_tokens || over(self.caps.micros, alone.micros(), micros);
        if !never {
            return None;
        }
        tally.refused_calls += 1;
        let detail = match (unpriced, never_tokens) {
            (true, _) => format!("no price is known for {}, so --max-cost can not be kept", planned.model),
            (false, true) => {
                let cap = self.caps.tokens.unwrap_or_default();
                Self::full("--max-tokens", cap, alone.tokens(), most.tokens, grouped)
            }
            (false, false) => {
                let cap = self.caps.micros.unwrap_or_default();
                Self::full("--max-cost", cap, alone.micros(), micros, dollars)
            }
        };
        let smaller_may_fit = planned.texts > 1 && !unpriced;
        Some(Err(Refused { reason: DeferReason::LlmUnavailable, detail, until: None, smaller_may_fit }))
    }

    /// Why a cap leaves no room.
    fn full(flag: &str, cap: u64, used: u64, wanted: u64, told: fn(u64) -> String) -> String {
        let (cap, used, wanted) = (told(cap), told(used), told(wanted));
        format!(
            "{flag} {cap} leaves no room: {used} may be used already, and a request can take up to {wanted}"
        )
    }

    fn end(&self, planned: &Planned<'_>, ending: Ending) -> u64 {
        let most = self.most(planned);
        let micros = most.micros.unwrap_or_default();
        let mut tally = self.lock();
        tally.open_calls = tally.open_calls.saturating_sub(1);
        tally.open_tokens = tally.open_tokens.saturating_sub(most.tokens);
        tally.open_micros = tally.open_micros.saturating_sub(micros);
        let ended = match ending {
            Ending::Free => Sums::default(),
            Ending::Charged(usage) => {
                let made = Made { batched: false, texts: planned.texts.into(), shared_tokens: 0 };
                let price = self.price(planned.model);
                let cost = price.map(|price| price.cost(usage, false));
                Sums {
                    calls: 1,
                    texts: planned.texts.into(),
                    usage,
                    cost_micros: cost.unwrap_or_default(),
                    unpriced_calls: cost.is_none().into(),
                    overrun_tokens: usage.total().saturating_sub(most.tokens),
                    overrun_micros: cost.unwrap_or_default().saturating_sub(micros),
                    saved: price.map(|price| price.saved(usage, made)).unwrap_or_default(),
                    ..Sums::default()
                }
            }
            Ending::Unknown => {
                Sums { lost_calls: 1, lost_tokens: most.tokens, lost_micros: micros, ..Sums::default() }
            }
        };
        tally.sums = tally.sums.plus(ended);
        drop(tally);
        self.ended.notify_waiters();
        ended.cost_micros
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Purse for Meter {
    fn reserve<'a>(&'a self, planned: Planned<'a>) -> BoxFuture<'a, Result<Hold, Refused>> {
        async move {
            let most = self.most(&planned);
            loop {
                // Taken before the look, so that a call which ends in between is noticed.
                let ended = self.ended.notified();
                if let Some(decided) = self.try_reserve(&planned, most) {
                    return decided.map(|()| Hold(String::new()));
                }
                ended.await;
            }
        }
        .boxed()
    }

    fn settle<'a>(&'a self, _: Hold, planned: Planned<'a>, ending: Ending) -> BoxFuture<'a, u64> {
        ready(self.end(&planned, ending)).boxed()
    }
}

#[cfg(test)]
mod tests;
