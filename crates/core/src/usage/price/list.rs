//! Whose price holds when: the built-in list, and what a configuration says instead.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound::{Excluded, Unbounded};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{LongPrompt, Price, Rates};

/// The dearest rate that is taken for one, in US dollars for a million tokens. What is dearer is a slip.
const DEAREST: f64 = 100_000.0;

/// What of a price is paid in a batch where nothing else is said.
const BATCH_PERCENT: u8 = 50;

/// A model, the day its rates hold from (0: always), input, output, five-minute write, one-hour write and read, in thousandths of a dollar
/// for a million tokens.
type BuiltIn = (&'static str, (i32, u32, u32), [u64; 5]);

const ALWAYS: (i32, u32, u32) = (0, 0, 0);

/// `reference/claude.md` §8: model pages and price trackers of October and November 2026.
const BUILT_IN: [BuiltIn; 13] = [
    ("claude-haiku-5-5", ALWAYS, [100, 500, 125, 200, 10]),
    ("claude-sonnet-5-5", ALWAYS, [2_000, 10_000, 2_500, 4_000, 200]),
    // §4: its reads were halved.
    ("claude-sonnet-5-5", (2026, 10, 7), [2_000, 10_000, 2_500, 4_000, 100]),
    ("claude-opus-5-5", ALWAYS, [4_000, 20_000, 5_000, 8_000, 200]),
    ("claude-fable-5-1", ALWAYS, [10_000, 50_000, 12_500, 20_000, 250]),
    ("claude-haiku-4-5", ALWAYS, [1_000, 5_000, 1_250, 2_000, 100]),
    ("claude-sonnet-5", ALWAYS, [2_000, 10_000, 2_500, 4_000, 200]),
    ("claude-sonnet-4-6", ALWAYS, [3_000, 15_000, 3_750, 6_000, 300]),
    ("claude-opus-5", ALWAYS, [5_000, 25_000, 6_250, 10_000, 500]),
    ("claude-opus-4-8", ALWAYS, [5_000, 25_000, 6_250, 10_000, 500]),
    ("claude-opus-4-7", ALWAYS, [5_000, 25_000, 6_250, 10_000, 500]),
    ("claude-opus-4-6", ALWAYS, [5_000, 25_000, 6_250, 10_000, 500]),
    ("claude-opus-4-5", ALWAYS, [5_000, 25_000, 6_250, 10_000, 500]),
];

/// The one model whose rates depend on the length of the prompt: beyond 100,000 tokens five times as much, answer included.
const LONG: (&str, u64, [u64; 5]) = ("claude-haiku-5-5", 100_000, [500, 2_500, 625, 1_000, 50]);

fn built_in_rates(thousandths: [u64; 5]) -> Rates {
    let [input, output, five_minutes, one_hour, cache_read] = thousandths.map(|rate| rate * 1_000);
    Rates { input, cache_read, cache_write_5m: five_minutes, cache_write_1h: one_hour, output }
}

/// A model's price in the configuration. Rates are US dollars for a million tokens, with at most six decimals.
///
/// ```toml
/// [[prices]]
/// model = "claude-haiku-5-5"
/// from = "2026-10-07"   # UTC; left out: always
/// input = 0.10
/// output = 0.50
/// cache_read = 0.01     # left out: as input
/// cache_write_5m = 0.125  # left out: 1.25 times input
/// cache_write_1h = 0.20   # left out: twice input
/// batch_percent = 50    # left out: 50
/// # For the whole request once the prompt has more than `over` tokens; the same names, except `model`, `from` and `batch_percent`.
/// long = { over = 100000, input = 0.50, output = 2.50, cache_read = 0.05 }
/// ```
///
/// A model named there has the prices given there from the first of their days on. What is built in holds before that day, so that a price
/// announced for next year can be entered today. A model that costs nothing is given the rates 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceEntry {
    /// The model, as it is asked for.
    pub model: String,
    /// The UTC day from which on it holds, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// For what is read.
    pub input: f64,
    /// For what is written.
    pub output: f64,
    /// For what is read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    /// For what is put into a cache for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<f64>,
    /// For what is put into a cache for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<f64>,
    /// What is paid of it in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_percent: Option<u8>,
    /// The rates for long prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<LongEntry>,
}

/// Rates for long prompts in the configuration; see [`PriceEntry`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongEntry {
    /// They hold for prompts of more tokens than this.
    pub over: u64,
    /// For what is read.
    pub input: f64,
    /// For what is written.
    pub output: f64,
    /// For what is read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    /// For what is put into a cache for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<f64>,
    /// For what is put into a cache for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<f64>,
}

/// One thing wrong with the prices given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("prices[{entry}].{key}: {message}")]
pub struct PriceError {
    /// Which entry, from 0.
    pub entry: usize,
    /// Which of its keys.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A price in the list, with the days it holds on and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'p> {
    /// The model.
    pub model: &'p str,
    /// The UTC day from which on it holds; `None`: always.
    pub from: Option<NaiveDate>,
    /// The UTC day from which on another one holds; `None`: there is none yet.
    pub until: Option<NaiveDate>,
    /// The price.
    pub price: &'p Price,
    /// It came with the program, and not from the configuration.
    pub built_in: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    price: Price,
    built_in: bool,
}

type ByDay = BTreeMap<NaiveDate, Kept>;

/// The prices in force, by model and day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices(BTreeMap<String, ByDay>);

impl Default for Prices {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Prices {
    /// What is known without any configuration.
    #[must_use]
    pub fn built_in() -> Self {
        let mut models: BTreeMap<String, ByDay> = BTreeMap::new();
        for (model, (year, month, day), rates) in BUILT_IN {
            let long = LongPrompt { over: LONG.1, rates: built_in_rates(LONG.2) };
            let price = Price {
                rates: built_in_rates(rates),
                long: (model == LONG.0).then_some(long),
                batch_percent: BATCH_PERCENT,
            };
            let from = NaiveDate::from_ymd_opt(year, month, day).unwrap_or(NaiveDate::MIN);
            models.entry(model.to_owned()).or_default().insert(from, Kept { price, built_in: true });
        }
        Self(models)
    }

    /// The built-in prices, and `entries` in place of them from the first day of each model on; or everything that is wrong with them.
    pub fn with(entries: &[PriceEntry]) -> Result<Self, Vec<PriceError>> {
        let mut own: BTreeMap<String, ByDay> = BTreeMap::new();
        let mut errors = Vec::new();
        for (n, entry) in entries.iter().enumerate() {
            let mut reading = Reading { entry: n, errors: &mut errors };
            let (from, price) = (reading.day(entry.from.as_deref()), reading.price(entry));
            if !(1..=200).contains(&entry.model.len()) || entry.model.chars().any(char::is_control) {
                reading.refuse("model", "it must be a model's name of 1 to 200 bytes".to_owned());
            }
            match own.entry(entry.model.clone()).or_default().entry(from) {
                Entry::Vacant(place) => {
                    place.insert(Kept { price, built_in: false });
                }
                Entry::Occupied(_) => {
                    reading
                        .refuse("from", "an earlier entry of this model holds from the same day".to_owned());
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let Self(mut models) = Self::built_in();
        for (model, prices) in own {
            let all = models.entry(model).or_default();
            let first = prices.keys().next().copied().unwrap_or(NaiveDate::MIN);
            all.retain(|from, _| *from < first);
            all.extend(prices);
        }
        Ok(Self(models))
    }

    /// The price of `model` on a day, in UTC; `None` where none is known. A name that ends in a day of release, such as
    /// `claude-haiku-4-5-20251001`, has the price of the name without, unless there is one of its own.
    #[must_use]
    pub fn of(&self, model: &str, on: NaiveDate) -> Option<&Price> {
        let of = |name: &str| self.0.get(name)?.range(..=on).next_back().map(|(_, kept)| &kept.price);
        of(model).or_else(|| of(without_day(model)?))
    }

    /// Every model with a price, and each of its prices, the earliest first.
    pub fn all(&self) -> impl Iterator<Item = Listed<'_>> {
        self.0.iter().flat_map(|(model, prices)| {
            prices.iter().map(|(from, kept)| Listed {
                model,
                from: Some(*from).filter(|from| *from > NaiveDate::MIN),
                until: prices.range((Excluded(*from), Unbounded)).next().map(|(later, _)| *later),
                price: &kept.price,
                built_in: kept.built_in,
            })
        })
    }

    /// Every model with a price on a day, in UTC, and that price.
    pub fn on(&self, day: NaiveDate) -> impl Iterator<Item = Listed<'_>> {
        self.all().filter(move |listed| {
            listed.from.is_none_or(|from| from <= day) && listed.until.is_none_or(|until| day < until)
        })
    }
}

/// `model` without a day of release at its end; `None` where there is none.
fn without_day(model: &str) -> Option<&str> {
    let (name, day) = model.rsplit_once('-')?;
    (day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

/// Reads an entry and notes what is wrong with it.
struct Reading<'e> {
    entry: usize,
    errors: &'e mut Vec<PriceError>,
}

/// The rates of an entry: each with its key, and what it is where it is left out.
struct Given {
    keys: [&'static str; 5],
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write_5m: Option<f64>,
    cache_write_1h: Option<f64>,
}

impl Reading<'_> {
    fn refuse(&mut self, key: &'static str, message: String) {
        self.errors.push(PriceError { entry: self.entry, key, message });
    }

    fn day(&mut self, from: Option<&str>) -> NaiveDate {
        let Some(text) = from else { return NaiveDate::MIN };
        NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap_or_else(|_| {
            let shown: String = text.chars().take(40).collect();
            self.refuse("from", format!("“{shown}” is no day; write it as \"2026-10-07\""));
            NaiveDate::MIN
        })
    }

    fn price(&mut self, entry: &PriceEntry) -> Price {
        let rates = self.rates(&Given {
            keys: ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h"],
            input: entry.input,
            output: entry.output,
            cache_read: entry.cache_read,
            cache_write_5m: entry.cache_write_5m,
            cache_write_1h: entry.cache_write_1h,
        });
        let long = entry.long.as_ref().map(|long| {
            if long.over == 0 {
                self.refuse("long.over", "it must be 1 token or more".to_owned());
            }
            let rates = self.rates(&Given {
                keys: [
                    "long.input",
                    "long.output",
                    "long.cache_read",
                    "long.cache_write_5m",
                    "long.cache_write_1h",
                ],
                input: long.input,
                output: long.output,
                cache_read: long.cache_read,
                cache_write_5m: long.cache_write_5m,
                cache_write_1h: long.cache_write_1h,
            });
            LongPrompt { over: long.over, rates }
        });
        let batch_percent = entry.batch_percent.unwrap_or(BATCH_PERCENT);
        if batch_percent > 100 {
            self.refuse("batch_percent", format!("{batch_percent} is not from 0 to 100"));
        }
        Price { rates, long, batch_percent }
    }

    fn rates(&mut self, given: &Given) -> Rates {
        let [input, output, cache_read, five_minutes, one_hour] = given.keys;
        let base = self.rate(input, given.input);
        let written = self.rate(output, given.output);
        let mut or = |key, rate: Option<f64>, otherwise| rate.map_or(otherwise, |rate| self.rate(key, rate));
        Rates {
            input: base,
            cache_read: or(cache_read, given.cache_read, base),
            cache_write_5m: or(five_minutes, given.cache_write_5m, (base * 5).div_ceil(4)),
            cache_write_1h: or(one_hour, given.cache_write_1h, base * 2),
            output: written,
        }
    }

    /// A rate in millionths of a dollar. What is written with at most six decimals is taken exactly; what has more is refused, because
    /// nobody could say how it was rounded.
    fn rate(&mut self, key: &'static str, dollars: f64) -> u64 {
        if !(0.0..=DEAREST).contains(&dollars) {
            self.refuse(key, format!("{dollars} is not from 0 to {DEAREST} dollars for a million tokens"));
            return 0;
        }
        let micros = dollars * 1e6;
        // Up to a hundred thousand dollars, six decimals kept in 53 bits are away from a whole number by less than 0.00002.
        if (micros - micros.round()).abs() > 1e-4 {
            self.refuse(key, format!("{dollars} has more than six decimals"));
        }
        micros.round() as u64
    }
}
