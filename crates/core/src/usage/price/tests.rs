use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

fn november() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

fn price(model: &str) -> Price {
    *Prices::built_in().of(model, november()).unwrap()
}

fn entry(model: &str, input: f64, output: f64) -> PriceEntry {
    PriceEntry { model: model.to_owned(), input, output, ..PriceEntry::default() }
}

#[test]
fn costs_are_those_counted_by_hand() {
    // The example of the reference: 24 at 0.10, 1,979 written for five minutes at 0.125, 29 out at 0.50: 2.4 + 247.375 + 14.5.
    let first = Usage { input: 24, cache_write_5m: 1_979, output: 29, ..Usage::default() };
    assert_eq!(price("claude-haiku-5-5").cost(first, false), 264);
    // The same a moment later, from the cache at 0.01: 2.4 + 19.79 + 14.5 = 36.69.
    let second = Usage { input: 24, cache_read: 1_979, output: 29, ..Usage::default() };
    assert_eq!(price("claude-haiku-5-5").cost(second, false), 37);
    assert_eq!(price("claude-haiku-5-5").cost(second, true), 18, "18.345 in a batch");
    // A million of each: 2 + 0.10 + 2.50 + 4 + 10 dollars.
    let million = 1_000_000;
    let each = Usage {
        input: million,
        cache_read: million,
        cache_write_5m: million,
        cache_write_1h: million,
        output: million,
    };
    assert_eq!(price("claude-sonnet-5-5").cost(each, false), 18_600_000);
    assert_eq!(price("claude-opus-5-5").cost(each, false), 37_200_000, "4 + 0.20 + 5 + 8 + 20");
    assert_eq!(price("claude-fable-5-1").cost(each, false), 92_750_000, "10 + 0.25 + 12.50 + 20 + 50");
    assert_eq!(price("claude-haiku-4-5").cost(each, false), 9_350_000, "1 + 0.10 + 1.25 + 2 + 5");
    assert_eq!(price("claude-sonnet-5").cost(each, false), 18_700_000, "2 + 0.20 + 2.50 + 4 + 10");
    assert_eq!(price("claude-sonnet-4-6").cost(each, false), 28_050_000, "3 + 0.30 + 3.75 + 6 + 15");
    for opus in ["claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-opus-4-5"]
    {
        assert_eq!(price(opus).cost(each, false), 46_750_000, "{opus}: 5 + 0.50 + 6.25 + 10 + 25");
    }
}

#[test]
fn the_long_band_holds_for_the_whole_request() {
    let haiku = price("claude-haiku-5-5");
    // 100,000 at 0.10 and 1,000 at 0.50: a cent and half a thousandth.
    let short =
        Usage { input: 60_000, cache_read: 0, cache_write_5m: 40_000, output: 1_000, ..Usage::default() };
    assert_eq!(haiku.cost(short, false), 6_000 + 5_000 + 500);
    // One token more, and wherever it came from: 60,000 at 0.50, 40,000 at 0.625, 1 at 0.05, 1,000 at 2.50.
    let long = Usage { cache_read: 1, ..short };
    assert_eq!(haiku.cost(long, false), 30_000 + 25_000 + 2_500);
    assert_eq!(haiku.cost(long, true), 28_750);
    // The answer does not make a prompt long.
    assert_eq!(haiku.cost(Usage { output: 128_000, ..short }, false), 11_000 + 64_000);
    assert_eq!(
        price("claude-sonnet-5-5").cost(Usage { input: 500_000, ..Usage::default() }, false),
        1_000_000
    );
}

#[test]
fn halves_are_rounded_up_and_once() {
    // A token at 0.50 is half a millionth of a dollar.
    let haiku = price("claude-haiku-5-5");
    let written = |output| Usage { output, ..Usage::default() };
    let costs: Vec<u64> = (0..6).map(|n| haiku.cost(written(n), false)).collect();
    assert_eq!(costs, [0, 1, 1, 2, 2, 3]);
    // Each of its parts alone would be rounded away: 4 at 0.10, 1 at 0.125 and 2 at 0.01 are 0.545 together.
    assert_eq!(
        haiku.cost(Usage { input: 4, cache_write_5m: 1, cache_read: 2, ..Usage::default() }, false),
        1
    );
    assert_eq!(haiku.cost(written(u64::MAX), false), u64::MAX / 2 + 1, "nothing wraps");
    assert_eq!(price("claude-opus-5-5").cost(written(u64::MAX), false), u64::MAX);
}

#[test]
fn a_price_holds_from_its_day_on() {
    let prices = Prices::built_in();
    let read = |day| {
        let on = NaiveDate::from_ymd_opt(2026, 10, day).unwrap();
        prices
            .of("claude-sonnet-5-5", on)
            .unwrap()
            .cost(Usage { cache_read: 1_000_000, ..Usage::default() }, false)
    };
    assert_eq!([read(1), read(6), read(7), read(31)], [200_000, 200_000, 100_000, 100_000]);
    let later = PriceEntry { from: Some("2027-01-01".to_owned()), ..entry("house", 1.0, 2.0) };
    let prices = Prices::with(&[later]).unwrap();
    assert_eq!(prices.of("house", november()), None, "not yet");
    assert!(prices.of("house", NaiveDate::from_ymd_opt(2027, 1, 1).unwrap()).is_some());
}

#[test]
fn a_day_of_release_in_the_name_changes_no_price() {
    let prices = Prices::built_in();
    let on = november();
    assert_eq!(prices.of("claude-haiku-4-5-20251001", on), prices.of("claude-haiku-4-5", on));
    for unknown in
        ["", "-", "gpt", "claude-haiku-4-5-2025100", "claude-haiku-4-5-2025100x", "-20251001", "haiku-4-5"]
    {
        assert_eq!(prices.of(unknown, on), None, "{unknown}");
    }
    let own = Prices::with(&[entry("claude-haiku-4-5-20251001", 7.0, 7.0)]).unwrap();
    assert_ne!(own.of("claude-haiku-4-5-20251001", on), own.of("claude-haiku-4-5", on));
    let later =
        PriceEntry { from: Some("2027-01-01".to_owned()), ..entry("claude-haiku-4-5-20251001", 7.0, 7.0) };
    let own = Prices::with(&[later]).unwrap();
    assert_eq!(own.of("claude-haiku-4-5-20251001", on), own.of("claude-haiku-4-5", on), "not yet");
}

#[derive(serde::Deserialize)]
struct File {
    prices: Vec<PriceEntry>,
}

fn read(toml: &str) -> Vec<PriceEntry> {
    toml::from_str::<File>(toml).unwrap().prices
}

#[test]
fn a_configuration_replaces_the_prices_of_the_models_it_names() {
    let entries = read(
        r#"
        [[prices]]
        model = "claude-sonnet-5-5"
        input = 3
        output = 15.5
        cache_read = 0.000001
        cache_write_5m = 3.75
        cache_write_1h = 6
        batch_percent = 40
        long = { over = 200000, input = 6, output = 22.5, cache_read = 0.6 }

        [[prices]]
        model = "claude-sonnet-5-5"
        from = "2027-01-01"
        input = 1
        output = 2

        [[prices]]
        model = "qwen"
        input = 0
        output = 0
        "#,
    );
    let prices = Prices::with(&entries).unwrap();
    let now = prices.of("claude-sonnet-5-5", november()).unwrap();
    assert_eq!(
        *now,
        Price {
            rates: Rates {
                input: 3_000_000,
                cache_read: 1,
                cache_write_5m: 3_750_000,
                cache_write_1h: 6_000_000,
                output: 15_500_000,
            },
            long: Some(LongPrompt {
                over: 200_000,
                rates: Rates {
                    input: 6_000_000,
                    cache_read: 600_000,
                    cache_write_5m: 7_500_000,
                    cache_write_1h: 12_000_000,
                    output: 22_500_000,
                },
            }),
            batch_percent: 40,
        }
    );
    assert_eq!(now.cost(Usage { input: 100, ..Usage::default() }, true), 120);
    let later = prices.of("claude-sonnet-5-5", NaiveDate::from_ymd_opt(2027, 6, 1).unwrap()).unwrap();
    let Rates { cache_read, cache_write_5m: five_minutes, cache_write_1h: one_hour, .. } = later.rates;
    assert_eq!((cache_read, five_minutes, one_hour), (1_000_000, 1_250_000, 2_000_000), "left out");
    assert_eq!(later.batch_percent, 50);
    let free = prices.of("qwen", november()).unwrap();
    assert_eq!(free.cost(Usage { input: 1_000_000, output: 7, ..Usage::default() }, false), 0);
    assert_eq!(prices.of("claude-opus-5-5", november()), Some(&price("claude-opus-5-5")), "others stay");
    let listed: Vec<_> = prices
        .all()
        .filter(|listed| listed.model == "claude-sonnet-5-5")
        .map(|listed| (listed.from, listed.until, listed.built_in))
        .collect();
    let next_year = NaiveDate::from_ymd_opt(2027, 1, 1);
    assert_eq!(listed, [(None, next_year, false), (next_year, None, false)]);
}

#[test]
fn what_is_built_in_holds_until_the_first_day_given() {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
    let dearer = PriceEntry { from: Some("2027-01-01".to_owned()), ..entry("claude-sonnet-5-5", 3.0, 15.0) };
    let prices = Prices::with(std::slice::from_ref(&dearer)).unwrap();
    let built_in = Prices::built_in();
    for before in [day(2026, 1, 1), day(2026, 10, 7), day(2026, 12, 31)] {
        assert_eq!(prices.of(&dearer.model, before), built_in.of(&dearer.model, before), "{before}");
    }
    assert_eq!(prices.of(&dearer.model, day(2027, 1, 1)).unwrap().rates.output, 15_000_000);
    let on = |day| {
        prices
            .on(day)
            .find(|listed| listed.model == dearer.model)
            .map(|l| (l.from, l.until, l.built_in))
            .unwrap()
    };
    assert_eq!(on(day(2026, 10, 6)), (None, Some(day(2026, 10, 7)), true));
    assert_eq!(on(day(2026, 12, 31)), (Some(day(2026, 10, 7)), Some(day(2027, 1, 1)), true));
    assert_eq!(on(day(2027, 1, 1)), (Some(day(2027, 1, 1)), None, false));
    // One of every model holds on any day, and a price given from an early day on ends all that came with the program.
    assert_eq!(prices.on(november()).count(), built_in.on(november()).count());
    let early = PriceEntry { from: Some("2026-09-28".to_owned()), ..dearer };
    let prices = Prices::with(&[early]).unwrap();
    assert_eq!(prices.of("claude-sonnet-5-5", november()).unwrap().rates.output, 15_000_000);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let told = |entries: &[PriceEntry]| -> Vec<String> {
        Prices::with(entries).unwrap_err().iter().map(ToString::to_string).collect()
    };
    let wrong = read(
        r#"
        [[prices]]
        model = ""
        from = "7.10.2026"
        input = -1
        output = nan
        cache_read = 0.0000005
        cache_write_5m = inf
        batch_percent = 101
        long = { over = 0, input = 1, output = 100001 }

        [[prices]]
        model = "a"
        input = 1
        output = 1

        [[prices]]
        model = "a"
        input = 2
        output = 2
        "#,
    );
    assert_eq!(
        told(&wrong),
        [
            "prices[0].from: “7.10.2026” is no day; write it as \"2026-10-07\"",
            "prices[0].input: -1 is not from 0 to 100000 dollars for a million tokens",
            "prices[0].output: NaN is not from 0 to 100000 dollars for a million tokens",
            "prices[0].cache_read: 0.0000005 has more than six decimals",
            "prices[0].cache_write_5m: inf is not from 0 to 100000 dollars for a million tokens",
            "prices[0].long.over: it must be 1 token or more",
            "prices[0].long.output: 100001 is not from 0 to 100000 dollars for a million tokens",
            "prices[0].batch_percent: 101 is not from 0 to 100",
            "prices[0].model: it must be a model's name of 1 to 200 bytes",
            "prices[2].from: an earlier entry of this model holds from the same day",
        ]
    );
    assert!(toml::from_str::<File>("prices = [{model = \"a\", input = 1, output = 1, colour = 2}]").is_err());
    assert!(
        toml::from_str::<File>("prices = [{model = \"a\", input = 1}]").is_err(),
        "nothing is free by omission"
    );
    assert_eq!(told(&[entry("a\nb", 1.0, 1.0)]).len(), 1);
    assert_eq!(told(&[entry(&"a".repeat(201), 1.0, 1.0)]).len(), 1);
    // Every rate with six decimals is taken exactly, the dearest too.
    for dollars in [0.000_001, 0.1, 0.125, 2.675, 99_999.999_999, 100_000.0] {
        let prices = Prices::with(&[entry("a", dollars, 0.0)]).unwrap();
        let micros = prices.of("a", november()).unwrap().rates.input;
        assert_eq!(format!("{dollars:.6}").replace('.', "").trim_start_matches('0'), micros.to_string());
    }
}

#[test]
fn savings_are_those_counted_by_hand() {
    let haiku = price("claude-haiku-5-5");
    let alone = Made { batched: false, texts: 1, shared_tokens: 2_000 };
    // 2,000 read from the cache at 0.01 instead of 0.10.
    let hit = Usage { input: 500, cache_read: 2_000, output: 100, ..Usage::default() };
    assert_eq!(haiku.saved(hit, alone), Saved { cache_micros: 180, ..Saved::default() });
    // Written for an hour at 0.20 and not read yet: that cost 200 more than not caching.
    let write = Usage { input: 500, cache_write_1h: 2_000, output: 100, ..Usage::default() };
    assert_eq!(haiku.saved(write, alone).cache_micros, -200);
    // Ten texts share 2,000 tokens: 18,000 are not sent, which would have come from the cache at 0.01.
    let packed = haiku.saved(hit, Made { texts: 10, ..alone });
    assert_eq!((packed.packing_tokens, packed.packing_micros), (18_000, 180));
    // Without a cache, at 0.10.
    let plain = Usage { input: 2_500, output: 100, ..Usage::default() };
    let packed = haiku.saved(plain, Made { texts: 10, ..alone });
    assert_eq!((packed.packing_tokens, packed.packing_micros, packed.cache_micros), (18_000, 1_800, 0));
    // In a batch, half of 250 + 50; and what packing saves is half as much too.
    let batched = haiku.saved(plain, Made { batched: true, texts: 10, shared_tokens: 2_000 });
    assert_eq!((batched.batch_micros, batched.packing_micros), (150, 900));
    assert_eq!(haiku.saved(Usage::default(), Made { texts: 0, ..alone }), Saved::default());
}

fn any_rates() -> impl Strategy<Value = Rates> {
    let rate = 0..200_000_000u64;
    (rate.clone(), rate.clone(), rate.clone(), rate.clone(), rate).prop_map(
        |(input, cache_read, five_minutes, one_hour, output)| Rates {
            input,
            cache_read,
            cache_write_5m: five_minutes,
            cache_write_1h: one_hour,
            output,
        },
    )
}

proptest! {
    #[test]
    fn no_call_within_its_bounds_costs_more_than_the_most(
        rates in any_rates(), long in prop::option::of((1..4_000u64, any_rates())), batch_percent in 0..=100u8,
        kinds in prop::array::uniform5(0..1_000u64), more in (0..1_000u64, 0..1_000u64), batched: bool, caching in 0..3usize,
    ) {
        let price = Price { rates, long: long.map(|(over, rates)| LongPrompt { over, rates }), batch_percent };
        let [input, cache_read, five, hour, output] = kinds;
        let caching = [Caching::None, Caching::FiveMinutes, Caching::OneHour][caching];
        let usage = Usage {
            input,
            cache_read,
            cache_write_5m: if caching == Caching::None { 0 } else { five },
            cache_write_1h: if caching == Caching::OneHour { hour } else { 0 },
            output,
        };
        let most = price.most_cost(usage.prompt() + more.0, output + more.1, caching, batched);
        prop_assert!(price.cost(usage, batched) <= most);
        prop_assert!(price.cost(usage, batched) <= price.cost(usage, false), "a batch is never dearer");
    }

    #[test]
    fn a_cost_is_within_half_a_millionth_of_the_exact_one(rates in any_rates(), kinds in prop::array::uniform5(0..10_000_000u64)) {
        let price = Price { rates, long: None, batch_percent: 50 };
        let [input, cache_read, five_minutes, one_hour, output] = kinds;
        let usage = Usage { input, cache_read, cache_write_5m: five_minutes, cache_write_1h: one_hour, output };
        let exact: u128 = TokenKind::ALL.iter().map(|kind| u128::from(usage.of(*kind)) * u128::from(rates.of(*kind))).sum();
        let cost = u128::from(price.cost(usage, false)) * 1_000_000;
        prop_assert!(cost <= exact + 500_000 && exact < cost + 500_000);
    }
}
