//! Tenants invented for tests and for `examples/preview.rs`: a busy one, and one that nothing was handed in to.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use undertone_core::overview::{
    Count, CustomerAtRisk, Day, Latest, Overview, Seen, Summary, Today, Totals, Waiting,
};
use undertone_core::verdict::{Evidence, ScorerKind, Span};
use undertone_core::{Channel, Label, Urgency};

/// When the sample pages are looked at.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_183_500, 0).unwrap_or_default()
}

fn today() -> NaiveDate {
    now().date_naive()
}

/// `scored` verdicts of this average, in plausible parts.
fn totals(scored: i64, average: i64) -> Totals {
    let positive = scored * (35 + average / 2) / 100;
    let (neutral, mixed) = (scored * 28 / 100, scored * 9 / 100);
    let negative = scored - positive - neutral - mixed;
    Totals { scored, sum_score: scored * average, positive, neutral, negative, mixed }
}

/// A tenant that nothing was handed in to.
pub fn empty(days: u64) -> Overview {
    let day = |i| Day {
        day: today() - Days::new(days - 1 - i),
        summary: Summary::default(),
        before: Summary::default(),
    };
    Overview {
        tenant: "New tenant".into(),
        zone: "Europe/Berlin".into(),
        at: now(),
        active: true,
        visibility: Seen::ALL,
        all_time: Summary::default(),
        today: Today { day: today(), summary: Some(Summary::default()), tokens_used: 0, token_cap: 50_000 },
        period: Summary::default(),
        period_before: Summary::default(),
        days: (0..days).map(day).collect(),
        at_risk: Some(Count::default()),
        customers_at_risk: vec![],
        latest: vec![],
        waiting: Waiting::default(),
    }
}

/// A tenant with weeks of history: a bad week in the middle, days without data, all that can be marked.
pub fn busy(days: u64) -> Overview {
    // The bad week, and what else moves a day.
    let mood = |i: u64| -> i64 {
        let dip = (8 - i.abs_diff(days * 3 / 5).cast_signed()).max(0) * 7;
        24 + (i * 37 % 13).cast_signed() - dip
    };
    let day = |i: u64| {
        let is_missing = i % 30 == 4 || i % 30 == 5;
        let now = if is_missing { 0 } else { 40 + (i * 53 % 37).cast_signed() - 20 * i64::from(i % 7 > 4) };
        Day {
            day: today() - Days::new(days - 1 - i),
            summary: totals(now, mood(i)).into(),
            before: totals(45, 12 + (i * 29 % 9).cast_signed()).into(),
        }
    };
    let days: Vec<Day> = (0..days).map(day).collect();
    let sum = |of: fn(&Day) -> Totals| days.iter().map(of).fold(Totals::default(), Totals::plus);
    let (period, before) = (sum(|d| d.summary.totals), sum(|d| d.before.totals));
    Overview {
        tenant: "Harbour & Pike".into(),
        all_time: totals(48_161, 14).into(),
        today: Today {
            day: today(),
            summary: Some(totals(38, 31).into()),
            tokens_used: 36_400,
            token_cap: 50_000,
        },
        period: period.into(),
        period_before: before.into(),
        days,
        at_risk: Some(Count { count: 1000, more: true }),
        customers_at_risk: customers(),
        latest: latest(),
        waiting: Waiting {
            pending: Count { count: 12, more: false },
            oldest: Some(now() - TimeDelta::seconds(40)),
            failed: Count { count: 3, more: false },
        },
        ..empty(7)
    }
}

fn customers() -> Vec<CustomerAtRisk> {
    [
        (
            "Meridian Freight",
            "Enterprise · 214 seats",
            -71,
            9,
            "Third time this week the export stops halfway and nobody calls back.",
        ),
        (
            "Halden Dental Group",
            "Business",
            -54,
            4,
            "We were told the invoice would be corrected by Friday. It was not.",
        ),
        ("Oakline Schools", "", -46, 12, "Honestly considering whether we renew."),
        ("Łódź Ceramika 🏺", "Team", -38, 2, "Better than last month, but the mobile app still logs me out."),
        ("مكتبة الأندلس", "Business", -12, 3, "ما زلت أنتظر الرد منذ أسبوع."),
    ]
    .into_iter()
    .map(|(name, account, average, scored, said)| CustomerAtRisk {
        id: format!("id-{average}"),
        external_id: format!("crm-{scored}"),
        name: Some(name.into()),
        account: (!account.is_empty()).then(|| account.into()),
        summary: totals(scored, average).into(),
        last_id: String::new(),
        last_score: Some(average - 5),
        last_scored_at: now(),
        last_said: Some(said.into()),
    })
    .collect()
}

/// A verdict about `text`, in which these phrases have these weights.
pub fn verdict(text: &str, phrases: &[(&str, f32)]) -> Latest {
    let found = phrases.iter().filter_map(|(phrase, weight)| {
        let start = text.find(phrase)?;
        let span = Span { start, end: start + phrase.len() };
        Some(Evidence::found(span, (*phrase).into(), *weight))
    });
    Latest {
        interaction_id: "interaction".into(),
        customer_id: Some("customer".into()),
        customer: Some("Meridian Freight".into()),
        channel: Channel::Email,
        occurred_at: now() - TimeDelta::minutes(7),
        scored_at: now(),
        score: -71,
        label: Label::Negative,
        overridden: false,
        confidence: 91,
        needs_review: false,
        dominant_emotion: "anger".into(),
        urgency: Urgency::High,
        category: "late_delivery".into(),
        summary: "The customer is angry about repeated export failures and wants a call.".into(),
        scorer: ScorerKind::Local,
        read_instead: None,
        text: Some(text.into()),
        evidence: found.collect(),
    }
}

fn latest() -> Vec<Latest> {
    let angry = verdict(
        "Third time this week the export stops halfway and nobody calls back. I need it before three.",
        &[
            ("stops halfway", -31.0),
            ("nobody calls back", -22.0),
            ("Third time", -12.0),
            ("before three", -4.0),
        ],
    );
    let happy = Latest {
        customer: Some("Northgate Clinics".into()),
        channel: Channel::InApp,
        occurred_at: now() - TimeDelta::hours(5),
        score: 78,
        label: Label::Positive,
        dominant_emotion: "gratitude".into(),
        urgency: Urgency::Low,
        category: "own_category".into(),
        summary: "The customer thanks the team for a quick fix.".into(),
        scorer: ScorerKind::Claude,
        ..verdict(
            "Fixed within the hour, and you even rang me. Thank you!",
            &[("Fixed within the hour", 24.0), ("Thank you", 9.0)],
        )
    };
    let both = Latest {
        customer: None,
        channel: Channel::Survey,
        occurred_at: now() - TimeDelta::days(2),
        score: -4,
        label: Label::Mixed,
        confidence: 55,
        needs_review: true,
        dominant_emotion: "disappointment".into(),
        urgency: Urgency::Medium,
        category: "mobile_app".into(),
        summary: "Likes the new reports, is let down by the app.".into(),
        ..verdict(
            "Love the new reports, but the app logs me out every single morning.",
            &[("Love the new reports", 20.0), ("logs me out every single morning", -24.0)],
        )
    };
    let gone = Latest {
        customer: Some("مكتبة الأندلس".into()),
        channel: Channel::Voice,
        occurred_at: now() - TimeDelta::days(400),
        score: 0,
        label: Label::Neutral,
        overridden: true,
        dominant_emotion: "neutral".into(),
        urgency: Urgency::Low,
        category: "billing".into(),
        summary: "Asks for a copy of an invoice.".into(),
        scorer: ScorerKind::Openai,
        text: None,
        ..verdict("", &[])
    };
    vec![angry, happy, both, gone]
}
