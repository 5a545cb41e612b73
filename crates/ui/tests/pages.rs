//! Pages as a browser gets them: whatever the data, nothing of it runs, and the browser may refuse styles and scripts of a page's own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use chrono::{NaiveDate, TimeZone, Utc};
use undertone_core::overview::{
    Count, CustomerAtRisk, Day, Latest, Overview, Seen, Summary, Today, Totals, Waiting,
};
use undertone_core::verdict::{Evidence, ScorerKind, Span};
use undertone_core::{Channel, Label, Urgency};
use undertone_ui::{Code, Login, OverviewPage, Problem, RecoveryCodes, SecondFactor, SetUp};

const HOSTILE: &str =
    "<script>alert(1)</script>\" onmouseover=\"x ' & \u{202e}evil <img src=https://evil.example/x>";

fn totals(positive: i64, negative: i64) -> Totals {
    Totals {
        scored: positive + negative,
        sum_score: 50 * (positive - negative),
        positive,
        negative,
        ..Totals::default()
    }
}

fn overview(name: &str, text: Option<&str>) -> Overview {
    let at = Utc.with_ymd_and_hms(2026, 11, 21, 9, 0, 0).unwrap();
    let first = NaiveDate::from_ymd_opt(2026, 11, 15).unwrap();
    let days = first.iter_days().take(7).enumerate().map(|(i, day)| {
        let n = i64::try_from(i).unwrap();
        let summary: Summary = if i == 3 { Totals::default() } else { totals(n, 7 - n) }.into();
        Day { day, summary, before: totals(1, 1).into() }
    });
    Overview {
        tenant: name.to_owned(),
        zone: "Europe/Berlin".to_owned(),
        at,
        active: false,
        visibility: Seen::ALL,
        all_time: totals(1200, 34).into(),
        today: Today {
            day: first,
            summary: Some(totals(3, 2).into()),
            tokens_used: 70_000,
            token_cap: 100_000,
        },
        period: totals(10, 12).into(),
        period_before: totals(7, 7).into(),
        days: days.collect(),
        at_risk: Some(Count { count: 1000, more: true }),
        customers_at_risk: vec![CustomerAtRisk {
            id: "1".to_owned(),
            external_id: "c1".to_owned(),
            name: Some(name.to_owned()),
            account: Some(name.to_owned()),
            summary: totals(0, 2).into(),
            last_id: "1".to_owned(),
            last_score: Some(-50),
            last_scored_at: at,
            last_said: text.map(str::to_owned),
        }],
        latest: vec![Latest {
            interaction_id: "1".to_owned(),
            customer_id: None,
            customer: Some(name.to_owned()),
            channel: Channel::Email,
            occurred_at: at,
            scored_at: at,
            score: -50,
            label: Label::Negative,
            overridden: false,
            confidence: 55,
            needs_review: true,
            dominant_emotion: "anger".to_owned(),
            urgency: Urgency::High,
            category: "product_quality".to_owned(),
            summary: name.to_owned(),
            scorer: ScorerKind::Local,
            read_instead: None,
            text: text.map(str::to_owned),
            evidence: vec![Evidence::found(Span { start: 0, end: 8 }, String::new(), -9.0)],
        }],
        waiting: Waiting {
            pending: Count { count: 12, more: false },
            oldest: Some(at),
            failed: Count { count: 3, more: false },
        },
    }
}

fn empty() -> Overview {
    let day = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap();
    Overview {
        all_time: Summary::default(),
        today: Today { day, summary: Some(Summary::default()), tokens_used: 0, token_cap: 0 },
        period: Summary::default(),
        period_before: Summary::default(),
        days: vec![Day { day, summary: Summary::default(), before: Summary::default() }],
        at_risk: Some(Count::default()),
        customers_at_risk: Vec::new(),
        latest: Vec::new(),
        waiting: Waiting::default(),
        active: true,
        visibility: Seen::ALL,
        ..overview("Acme", None)
    }
}

fn page(overview: &Overview) -> OverviewPage<'_> {
    OverviewPage {
        user_email: "ana@example.com",
        csrf: "token",
        overview,
        period_days: 7,
        moment: "1.-60.1.0",
        categories: &[],
        welcome: "curl http://127.0.0.1:8080/api/v1/interactions",
    }
}

/// What no page may have: styles and scripts of its own, handlers, anything from elsewhere.
fn assert_harmless(html: &str) {
    for bad in ["style=", "<style", "javascript:", "<img", "src=\"http", "href=\"http"] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
    assert_eq!(html.matches("<script").count(), html.matches("<script src=\"/assets/").count(), "{html}");
    assert!(!html.contains("\" onmouseover"), "a stranger's quote ends an attribute: {html}");
}

#[test]
fn whatever_customers_write_stays_text() {
    let overview = overview(HOSTILE, Some(HOSTILE));
    let html = undertone_ui::overview(&page(&overview));
    assert_harmless(&html);
    assert!(html.contains("&#60;script&#62;") || html.contains("&lt;script&gt;"), "{html}");
    for fragment in undertone_ui::overview_fragments(&page(&overview)) {
        assert_harmless(&fragment.html);
        assert!(
            html.contains(&format!("id=\"{}\"", fragment.id)),
            "{} has its place on the page",
            fragment.id
        );
        assert!(fragment.template().starts_with(&format!("<template data-for=\"{}\"><", fragment.id)));
    }
    assert_harmless(&undertone_ui::login(&Login {
        next: HOSTILE,
        email: HOSTILE,
        error: Some(HOSTILE),
        csrf: HOSTILE,
        hint: Some(HOSTILE),
        sign_on: Some((HOSTILE, HOSTILE)),
        tenant: HOSTILE,
    }));
    assert_harmless(&undertone_ui::code(&Code { email: HOSTILE, error: Some(HOSTILE), csrf: HOSTILE }));
    assert_harmless(&undertone_ui::set_up(&SetUp {
        email: HOSTILE,
        is_required: true,
        picture: "<svg></svg>",
        seed: HOSTILE,
        action: HOSTILE,
        error: Some(HOSTILE),
        csrf: HOSTILE,
    }));
    let codes = [HOSTILE.to_owned()];
    assert_harmless(&undertone_ui::recovery_codes(&RecoveryCodes { codes: &codes, next: HOSTILE }));
    for is_active in [true, false] {
        assert_harmless(&undertone_ui::second_factor(&SecondFactor {
            tenant: HOSTILE,
            email: HOSTILE,
            is_active,
            codes_left: 3,
            is_required: !is_active,
            has_password: true,
            error: Some(HOSTILE),
            csrf: HOSTILE,
        }));
    }
    let problem = Problem { status: 404, title: HOSTILE, detail: HOSTILE, request_id: HOSTILE, user: None };
    assert_harmless(&undertone_ui::problem(&problem));
}

#[test]
fn monstrous_texts_are_cut() {
    let long = "😀".repeat(2_000_000);
    let overview = overview("Ana", Some(&long));
    let html: String = undertone_ui::overview_fragments(&page(&overview))
        .iter()
        .filter(|f| f.id == "latest")
        .map(|f| f.html.clone())
        .collect();
    assert!(html.len() < 10_000, "{}", html.len());
}

#[test]
fn every_card_says_what_is_true() {
    let full = overview("Ana", Some("Terrible service"));
    let html = undertone_ui::overview(&page(&full));
    for said in [
        "1,234",
        "1,000+",
        "Scoring is switched off.",
        "waiting for a verdict",
        "could not be scored",
        "Product quality",
        "Urgent",
        "Needs review",
        "70,000 of 100,000 used: more than 65 %",
        "<mark class=\"n s\">Terrible</mark>",
        "55 % sure",
        "Average by day, from 15 Nov to 21 Nov: lowest −50.0, highest +35.7.",
    ] {
        assert!(html.contains(said), "“{said}” in {html}");
    }
    assert_eq!(html.matches("class=\"pt").count(), 7 + 1, "a column for each day, in one group");
    let none = empty();
    let html = undertone_ui::overview(&page(&none));
    for said in [
        "Nothing happened in this period",
        "Nobody is at risk",
        "No verdict yet",
        "Hand in a first interaction:",
        "The embedded model reads without tokens.",
    ] {
        assert!(html.contains(said), "“{said}” in {html}");
    }
    assert_harmless(&html.replace("curl http://127.0.0.1:8080", ""));
    let gone = overview("Ana", None);
    assert!(undertone_ui::overview(&page(&gone)).contains("The text is no longer kept."));
    assert!(undertone_ui::said(&page(&none)).ends_with("none yet"));
}

#[test]
fn assets_are_found_by_the_names_pages_use() {
    let html = undertone_ui::login(&Login {
        next: "/",
        email: "",
        error: None,
        csrf: "x",
        hint: None,
        sign_on: None,
        tenant: "",
    });
    let names: Vec<&str> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(names.len(), 3);
    for name in names {
        let asset = undertone_ui::assets::find(name).unwrap();
        assert!(
            !asset.text.contains("http://") || asset.mime == "image/svg+xml",
            "{name} refers to nothing elsewhere"
        );
    }
    assert!(undertone_ui::assets::find("/assets/other.css").is_none());
}
