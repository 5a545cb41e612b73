use chrono::{FixedOffset, NaiveDate, TimeZone};
use undertone_core::usage::sums::{self, Sums};
use undertone_core::{Usage, cascade};

use super::*;
use crate::usage::Line;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn sums(times: u64) -> Sums {
    Sums {
        calls: 12 * times,
        texts: 96 * times,
        usage: Usage {
            input: 41_234 * times,
            cache_read: 310_000 * times,
            cache_write_5m: 5_000 * times,
            cache_write_1h: 200 * times,
            output: 9_800 * times,
        },
        cost_micros: 12_345 * times,
        saved: sums::Saved {
            cache_micros: 27_000,
            packing_tokens: 180_000,
            packing_micros: 1_800,
            batch_micros: 0,
        },
        ..Sums::default()
    }
}

fn report(group: Group, lines: &[(&str, Sums)]) -> Report {
    let total = lines.iter().fold(Sums::default(), |total, (_, sums)| total.plus(*sums));
    let line = |(key, sums): &(&str, Sums)| Line { key: (*key).to_owned(), figures: sums.into() };
    let began = "2026-10-01T22:30:00Z".parse().unwrap();
    Report {
        from: day("2026-11-01"),
        to: day("2026-11-20"),
        zone: "Europe/Berlin",
        clock: Tz::Europe__Berlin,
        group,
        currency: "USD",
        lines: lines.iter().map(line).collect(),
        total: (&total).into(),
        cascade: None,
        subscription: vec![Period {
            activated_at: began,
            activated_by: "test".to_owned(),
            deactivated_at: None,
            deactivated_by: None,
            monthly_price_cents: 9_999,
        }],
    }
}

#[test]
fn a_table_lines_up_and_says_what_was_saved() {
    let report = report(Group::Day, &[("2026-11-19", sums(1)), ("2026-11-20", sums(100))]);
    assert_eq!(
        plain(&table("acme", &report, 100)),
        "AI usage of acme, 2026-11-01 to 2026-11-20 (Europe/Berlin)\n\
         \n\
         DAY         CALLS  TEXTS      INPUT  CACHE READ  CACHE WRITE   OUTPUT      TOKENS       COST\n\
         2026-11-19     12     96     41,234     310,000        5,200    9,800     366,234  $0.012345\n\
         2026-11-20  1,200  9,600  4,123,400  31,000,000      520,000  980,000  36,623,400    $1.2345\n\
         all         1,212  9,696  4,164,634  31,310,000      525,200  989,800  36,989,634    $1.2468\n\
         \n\
         Saved: $0.054000 by caching, $0.003600 by packing (360,000 tokens of prompt not sent again), $0.000000 by batches.\n\
         Subscription: $99.99 a month for the module, from 2026-10-02 on.\n"
    );
    let cascade = |verdicts, asked, tokens_in, cost_micros| {
        let sums = cascade::sums::Sums { verdicts, asked, tokens_in, cost_micros, ..Default::default() };
        let report = Report { cascade: sums.spared().map(Into::into), ..self::report(Group::Day, &[]) };
        plain(&table("acme", &report, 100)).lines().nth(3).unwrap_or_default().to_owned()
    };
    assert_eq!(
        cascade(1_500, 300, 243_600, 36_000),
        "The cascade did not put 1,200 texts to the LLM: an estimated 974,400 tokens and $0.144000, at 812 tokens a text as 300 texts took."
    );
    assert_eq!(
        cascade(2, 1, 4_000, 0),
        "The cascade did not put 1 text to the LLM: an estimated 4,000 tokens, at 4,000 tokens a text as 1 text took."
    );
    assert_eq!(
        cascade(7, 0, 0, 0),
        "The cascade did not put 7 texts to the LLM; what that saved is not known, since the LLM answered about none."
    );
    // Narrow terminals get what matters most.
    let narrow = plain(&table("acme", &report, 80));
    assert!(narrow.contains("DAY         CALLS  TEXTS      TOKENS       COST\n"), "{narrow}");
}

#[test]
fn where_no_llm_was_asked_that_is_what_is_said() {
    let mut empty = report(Group::Model, &[]);
    assert_eq!(
        plain(&table("acme", &empty, 100)),
        "AI usage of acme, 2026-11-01 to 2026-11-20 (Europe/Berlin)\n\nNo LLM was asked in this time.\n\
         Subscription: $99.99 a month for the module, from 2026-10-02 on.\n"
    );
    empty.subscription[0].deactivated_at = Some("2026-11-10T23:30:00Z".parse().unwrap());
    let told = markdown("acme", &empty);
    assert!(told.ends_with("No LLM was asked in this time.\n- Subscription: $99.99 a month for the module, from 2026-10-02 to 2026-11-11.\n"), "{told}");
    let mut out = Vec::new();
    csv(&empty, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), format!("model,{}\n", CSV_HEADS.join(",")));
}

#[test]
fn what_the_figures_do_not_hold_is_told() {
    let odd = Sums {
        unpriced_calls: 3,
        lost_calls: 1,
        lost_tokens: 12_000,
        lost_micros: 1_200,
        overrun_tokens: 70,
        overrun_micros: 7,
        saved: sums::Saved { cache_micros: -250, ..sums::Saved::default() },
        ..sums(1)
    };
    let told = plain(&table("acme", &report(Group::Day, &[("2026-11-19", odd)]), 100));
    for words in [
        "Saved: -$0.000250 by caching (more was paid for writing than was saved by reading), $0.000000 by packing",
        "Without a price: 3 calls. ",
        "Lost: 1 call, of which nothing was heard again. They took at most 12,000 tokens and $0.001200,",
        "Charged beyond what was set aside before the calls: 70 tokens, $0.000007.",
    ] {
        assert!(told.contains(words), "“{words}” is missing: {told}");
    }
    let nothing = Sums { saved: sums::Saved::default(), ..sums(1) };
    let told = plain(&table("acme", &report(Group::Day, &[("2026-11-19", nothing)]), 100));
    assert!(told.contains("Saved: nothing by caching, packing or batches.\n"), "{told}");
    assert!(
        !told.contains("Lost") && !told.contains("Without a price") && !told.contains("beyond"),
        "{told}"
    );
}

#[test]
fn a_model_of_any_name_does_nothing_to_a_reader() {
    let name = "=cmd|'/c x'!A1\u{1b}[2J<b>";
    let report = report(Group::Model, &[(name, sums(1))]);
    assert!(
        !table("acme", &report, 200).contains('\u{7}')
            && plain(&table("acme", &report, 200)).contains("=cmd|'/c x'!A1[2J<b>")
    );
    assert!(
        markdown("acme", &report).contains("| =cmd\\|'/c x'\\!A1\\[2J&lt;b> | 12 |"),
        "{}",
        markdown("acme", &report)
    );
    let mut out = Vec::new();
    csv(&report, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(&record[0], "'=cmd|'/c x'!A1[2J<b>");
    assert_eq!(record.len(), CSV_HEADS.len() + 1);
    // Every figure under its head.
    let of = |head: &str| record[1 + CSV_HEADS.iter().position(|known| *known == head).unwrap()].to_owned();
    let figures = serde_json::to_value(&report.lines[0].figures).unwrap();
    for head in CSV_HEADS {
        let told = match head.strip_prefix("saved_") {
            Some("usd") => &figures["saved"]["total_usd"],
            Some(part) => &figures["saved"][part],
            None => &figures[head],
        };
        assert_eq!(of(head), told.as_str().map_or_else(|| told.to_string(), str::to_owned), "{head}");
    }
}

fn measured(cap: Option<u64>, used: u64, held: u64) -> Measure {
    Measure {
        cap,
        used,
        lost: 0,
        held,
        left: cap.map(|cap| cap.saturating_sub(used + held)),
        percent: cap.map(|cap| used * 100 / cap),
    }
}

fn budget(day_used: u64, held: u64, lost: u64) -> Standing {
    let at = |offset: i32, text: &str| {
        FixedOffset::east_opt(offset * 3600).unwrap().from_utc_datetime(&text.parse().unwrap())
    };
    Standing {
        zone: "Europe/Berlin",
        at: "2026-10-25T12:00:00Z".parse().unwrap(),
        day: Part {
            begins: day("2026-10-25"),
            ends_at: at(1, "2026-10-25T23:00:00"),
            tokens: measured(Some(100_000), day_used, held),
            cost_micros: measured(None, 8_400, 0),
        },
        month: Part {
            begins: day("2026-10-01"),
            ends_at: at(1, "2026-10-31T23:00:00"),
            tokens: Measure { lost, ..measured(None, 912_345, held) },
            cost_micros: measured(Some(50_000_000), 1_234_567, 0),
        },
    }
}

#[test]
fn a_budget_says_what_is_left_and_until_when() {
    assert_eq!(
        plain(&standing("acme", &budget(64_999, 6_000, 0))),
        "AI budget of acme on Sunday 2026-10-25 (Europe/Berlin)\n\
         \n\x20                   USED        OF     %       HELD      LEFT  UNTIL\n\
         day    tokens     64,999   100,000  64 %      6,000    29,001  2026-10-26 00:00 +01:00\n\
         day    cost    $0.008400    no cap        $0.000000            2026-10-26 00:00 +01:00\n\
         month  tokens    912,345    no cap            6,000            2026-11-01 00:00 +01:00\n\
         month  cost      $1.2346  $50.0000   2 %  $0.000000  $48.7654  2026-11-01 00:00 +01:00\n\
         \n\
         HELD is the most that calls under way can take; what they do not take is given back.\n"
    );
    let told = plain(&standing("acme", &budget(100_000, 0, 500)));
    assert!(told.ends_with("The day's budget is used up: no LLM is asked until 2026-10-26 00:00, or until the cap is raised.\n"), "{told}");
    assert!(
        told.contains(
            "USED holds up to 500 tokens and $0.000000 this month of calls of which nothing was heard again"
        ),
        "{told}"
    );
    assert!(!told.contains("HELD is"), "{told}");
}
