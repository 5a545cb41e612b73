use chrono::{DateTime, NaiveDate};
use undertone_core::cascade::advice::{Readings, Taken, advise};
use undertone_core::cascade::sums::Sums;
use undertone_core::cascade::{FirstReading, WhyAsked};
use undertone_core::{Confidence, Label, Score};

use super::*;
use crate::cascade::Line;

fn plain(told: &str) -> String {
    anstream::adapter::strip_str(told).to_string()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn nothing_done() -> Report {
    Report {
        from: day("2026-11-01"),
        to: day("2026-11-20"),
        zone: "Europe/Berlin",
        currency: "USD",
        scorer: ScorerKind::Cascade,
        threshold: 70,
        total: Sums::default().into(),
        why: Vec::new(),
        days: Vec::new(),
        disagreements: Vec::new(),
    }
}

#[test]
fn a_report_reads_well() {
    assert_eq!(
        report_as_text(&nothing_done()),
        "2026-11-01 to 2026-11-20, days of Europe/Berlin\nThe cascade scored nothing in these days.\n"
    );
    let asked = Sums {
        verdicts: 260,
        asked: 260,
        unanswered: 12,
        changed: 61,
        disagreed: 66,
        tokens_in: 180_400,
        tokens_out: 37_600,
        cost_micros: 24_310,
    };
    let sure = Sums { verdicts: 840, ..Sums::default() };
    let line = |key: &str, sums: Sums| Line { key: key.to_owned(), figures: sums.into() };
    let first = FirstReading {
        scorer: ScorerKind::Local,
        model: "undertone-reader".to_owned(),
        model_version: "2.1.0".to_owned(),
        score: Score::new(12).unwrap(),
        label: Label::Neutral,
        confidence: Confidence::try_from(58).unwrap(),
    };
    let report = Report {
        scorer: ScorerKind::Local,
        total: asked.plus(sure).into(),
        why: vec![line("sure", sure), line("unsure", asked)],
        days: vec![line("2026-11-20", asked.plus(sure))],
        disagreements: vec![Disagreement {
            interaction_id: "019c1234-5678-7abc-8def-0123456789ab".to_owned(),
            scored_at: DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
            why: Some(WhyAsked::Unsure),
            first: Some(first),
            score: -45,
            label: "negative".to_owned(),
        }],
        ..nothing_done()
    };
    insta::assert_snapshot!(plain(&report_as_text(&report)));
}

fn advised(readings: &Readings, daily_tokens: u64, measured: bool) -> Advised {
    let taken = Taken { tokens: 4_000, verdicts: 5 };
    Advised {
        daily_tokens,
        threshold: 70,
        readings: readings.total(),
        days: readings.days,
        few_readings: readings.total() < 200,
        tokens_per_verdict: taken.each(),
        measured,
        advice: advise(readings, taken, daily_tokens),
    }
}

#[test]
fn advice_reads_well() {
    let mut readings = Readings { days: 28, busiest_day: 300, regardless: 280, ..Readings::default() };
    for (confidence, slot) in readings.by_confidence.iter_mut().enumerate() {
        *slot = confidence as u64;
    }
    insta::assert_snapshot!(plain(&advice_as_text(&advised(&readings, 60_000, true))));
    let told = |readings: &Readings, daily| plain(&advice_as_text(&advised(readings, daily, false)));
    let too_few = told(&readings, 7_000);
    assert!(
        too_few.contains(
            "7,000 tokens a day are too few: what is asked about at any threshold takes 8,000 a day"
        ),
        "{too_few}"
    );
    let none = told(&Readings::default(), 7_000);
    assert!(none.contains("0 texts read in 1 day;") && none.contains("nothing to go by yet"), "{none}");
    let mut one = Readings::default();
    one.by_confidence[30] = 1;
    let one = told(&one, 7_000);
    assert!(one.starts_with("1 text read in 1 day; 800 tokens a verdict of the LLM, an estimate"), "{one}");
    assert!(one.contains("So few texts say little"), "{one}");
}
