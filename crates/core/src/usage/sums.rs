//! What a report of LLM use adds up.

use serde::{Deserialize, Serialize};

use super::Usage;

/// What was not paid because of how requests are made. Against the same texts sent alone, at once and without a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// By reading the prompt from a cache, in millionths of a dollar. Writing it there costs more than not: what was never read again is
    /// negative.
    pub cache_micros: i64,
    /// By several texts in one request: tokens of prompt that were not sent again for each.
    pub packing_tokens: u64,
    /// What they would have cost at the least, in millionths of a dollar.
    pub packing_micros: u64,
    /// By the price of batches, in millionths of a dollar.
    pub batch_micros: u64,
}

impl Saved {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cache_micros: self.cache_micros.saturating_add(other.cache_micros),
            packing_tokens: self.packing_tokens.saturating_add(other.packing_tokens),
            packing_micros: self.packing_micros.saturating_add(other.packing_micros),
            batch_micros: self.batch_micros.saturating_add(other.batch_micros),
        }
    }
}

/// What many calls took and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Calls whose use the provider reported.
    pub calls: u64,
    /// Texts in them.
    pub texts: u64,
    /// Their tokens.
    #[serde(flatten)]
    pub usage: Usage,
    /// What they cost, in millionths of a US dollar, as far as there is a price.
    pub cost_micros: u64,
    /// Of the calls, those whose model has no price; their tokens count and their cost does not.
    pub unpriced_calls: u64,
    /// Tokens the provider charged beyond what was reserved for the call.
    pub overrun_tokens: u64,
    /// The same in millionths of a US dollar.
    pub overrun_micros: u64,
    /// Calls that were begun and of which nothing was heard again. They are not among `calls`.
    pub lost_calls: u64,
    /// The most tokens they can have taken; the budget counts them as spent.
    pub lost_tokens: u64,
    /// The most they can have cost, in millionths of a US dollar.
    pub lost_micros: u64,
    /// What was not paid.
    pub saved: Saved,
}

impl Sums {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            texts: self.texts.saturating_add(other.texts),
            usage: self.usage.plus(other.usage),
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
            unpriced_calls: self.unpriced_calls.saturating_add(other.unpriced_calls),
            overrun_tokens: self.overrun_tokens.saturating_add(other.overrun_tokens),
            overrun_micros: self.overrun_micros.saturating_add(other.overrun_micros),
            lost_calls: self.lost_calls.saturating_add(other.lost_calls),
            lost_tokens: self.lost_tokens.saturating_add(other.lost_tokens),
            lost_micros: self.lost_micros.saturating_add(other.lost_micros),
            saved: self.saved.plus(other.saved),
        }
    }
}

/// By what a report is broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// By the tenant's day.
    Day,
    /// By the tenant's month.
    Month,
    /// By what it was for.
    Feature,
    /// By the model that was asked.
    Model,
    /// By the scorer that asked it.
    Scorer,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums with another number in each field, so that one left out or doubled shows.
    fn numbered(from: u64) -> Sums {
        let n = |i: u64| from * 100 + i;
        Sums {
            calls: n(1),
            texts: n(2),
            usage: Usage {
                input: n(3),
                cache_read: n(4),
                cache_write_5m: n(5),
                cache_write_1h: n(6),
                output: n(7),
            },
            cost_micros: n(8),
            unpriced_calls: n(9),
            overrun_tokens: n(10),
            overrun_micros: n(11),
            lost_calls: n(12),
            lost_tokens: n(13),
            lost_micros: n(14),
            saved: Saved {
                cache_micros: -n(15).cast_signed(),
                packing_tokens: n(16),
                packing_micros: n(17),
                batch_micros: n(18),
            },
        }
    }

    #[test]
    fn every_field_is_added_to_its_own() {
        let (one, two) =
            (serde_json::to_value(numbered(1)).unwrap(), serde_json::to_value(numbered(2)).unwrap());
        let both = serde_json::to_value(numbered(1).plus(numbered(2))).unwrap();
        let leaf = |json: &serde_json::Value, key: &str| {
            json.get(key).or_else(|| json["saved"].get(key)).and_then(serde_json::Value::as_i64).unwrap()
        };
        let mut seen = 0;
        for (key, value) in both.as_object().unwrap().iter().chain(both["saved"].as_object().unwrap()) {
            if value.is_number() {
                assert_eq!(leaf(&both, key), leaf(&one, key) + leaf(&two, key), "{key}");
                seen += 1;
            }
        }
        assert_eq!(seen, 18);
    }
}
