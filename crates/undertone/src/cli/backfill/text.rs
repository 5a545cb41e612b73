//! What is printed of an estimate, a run and its report.

use chrono::{DateTime, Utc};
use serde_json::Value;
use undertone_core::backfill::{Asked, Mode};
use undertone_store::Tenant;

use crate::backfill::{Amount, Basis, Estimate};
use crate::output::amount::{dollars, grouped};
use crate::output::clean;

/// What a run will take.
pub fn estimate(estimate: &Estimate, asked: &Asked, tenant: &Tenant) -> String {
    let rows = grouped(estimate.rows.unsigned_abs());
    let scorer = serde_json::to_value(estimate.scorer).ok();
    let scorer = scorer.as_ref().and_then(Value::as_str).unwrap_or_default();
    let by = match &estimate.model {
        Some(model) => format!("{scorer} ({})", clean(model)),
        None => scorer.to_owned(),
    };
    let mut out = match asked.mode {
        Mode::Refresh => format!("{}: {rows} interactions are scored again, with {by}.\n", tenant.slug),
        Mode::Unscored | Mode::Single => {
            format!("{}: {rows} interactions without a verdict are scored, with {by}.\n", tenant.slug)
        }
    };
    if asked.mode == Mode::Unscored {
        for (reason, count) in &estimate.by_reason {
            out += &format!("  {:<24}{:>9}\n", clean(reason), grouped(count.unsigned_abs()));
        }
    }
    if !estimate.stays_skipped.is_empty() {
        out += "Left out, because the reason still stands:\n";
        for left in &estimate.stays_skipped {
            let how = if left.on_request { format!("  --include {}", left.reason) } else { String::new() };
            out += &format!("  {:<24}{:>9}{how}\n", clean(&left.reason), grouped(left.rows.unsigned_abs()));
        }
    }
    if estimate.rows == 0 {
        return out;
    }
    if estimate.basis == Basis::Free {
        out += "Tokens   none: the embedded model costs nothing\n";
    } else {
        let about = |of: &Amount, told: fn(u64) -> String| {
            format!("about {}, at most {}", told(of.expected), told(of.most))
        };
        let basis = match estimate.basis {
            Basis::Measured => "by what verdicts took in the last 30 days",
            Basis::Free | Basis::Guessed => "guessed from the length of the texts",
        };
        out += &format!("Tokens   {} ({basis})\n", about(&estimate.tokens, grouped));
        out += &match &estimate.cost_micros {
            Some(cost) => format!("Cost     {}\n", about(cost, dollars)),
            None => "Cost     unknown: no price is known for this model (undertone prices)\n".to_owned(),
        };
        if let Some(remark) = &estimate.remark {
            out += &format!("Note     {}\n", clean(remark));
        }
        if let Some(days) = estimate.days_by_token_cap.filter(|days| *days > 1) {
            out += &format!("The daily token cap spreads it over about {days} days.\n");
        }
    }
    out += &match estimate.seconds {
        Some(seconds) => format!("Time     about {}\n", duration(seconds)),
        None => "Time     up to a day for each batch\n".to_owned(),
    };
    out
}

/// How a run goes, on one line.
pub fn state(told: &Value, tenant: &Tenant) -> String {
    let mut parts = vec![told["state"].as_str().unwrap_or_default().to_owned()];
    if let Some(rate) = told["progress"]["per_minute"].as_f64() {
        parts.push(format!("{rate:.0} a minute"));
    }
    if let Some(seconds) = told["progress"]["seconds_left"].as_f64() {
        parts.push(format!("{} left", duration(seconds as u64)));
    }
    if let Some(tokens) = told["tokens"].as_u64().filter(|tokens| *tokens > 0) {
        let cost = told["cost_micros"].as_u64().unwrap_or_default();
        parts.push(format!("{} tokens, {}", grouped(tokens), dollars(cost)));
    }
    if let Some(batches) = told["in_batches"].as_u64().filter(|batches| *batches > 0) {
        parts.push(format!("{} in batches at the provider's", grouped(batches)));
    }
    if let Some(reason) = told["waiting"]["for"].as_str() {
        let until = told["waiting"]["until"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
        let until = until.map(|at| format!(" until {}", at.with_timezone(&tenant.zone).format("%H:%M:%S")));
        let detail = told["waiting"]["detail"].as_str().map(|detail| format!(" ({})", clean(detail)));
        parts.push(format!("waits: {reason}{}{}", until.unwrap_or_default(), detail.unwrap_or_default()));
    }
    parts.join(", ")
}

/// A run: how it goes, and once it has ended, what came of it.
pub fn run(told: &Value, tenant: &Tenant) -> String {
    let text = |value: &Value| clean(value.as_str().unwrap_or_default());
    let count = |value: &Value| grouped(value.as_u64().unwrap_or_default());
    let mut out =
        format!("Run {} ({}): {}\n", text(&told["id"]), text(&told["asked"]["mode"]), state(told, tenant));
    let progress = &told["progress"];
    out += &format!(
        "{} of {} decided: {} scored, {} without a verdict, {} failed, {} revised meanwhile\n",
        count(&progress["done"]),
        count(&progress["total"]),
        count(&told["scored"]),
        count(&told["skipped"]),
        count(&told["failed"]),
        count(&told["superseded"]),
    );
    if told["state"] == "running" && told["worked_on"] == false {
        out += "No service works on it: undertone serve\n";
    }
    if told["report"].is_object() {
        out += &report(&told["report"]);
    }
    out
}

fn report(report: &Value) -> String {
    let mut out = String::new();
    let counts = |value: &Value| -> Vec<(String, u64)> {
        let object = value.as_object().into_iter().flatten();
        object.map(|(name, n)| (clean(name), n.as_u64().unwrap_or_default())).collect()
    };
    for (reason, n) in counts(&report["skipped"]) {
        out += &format!("  without a verdict, {reason:<20}{:>9}\n", grouped(n));
    }
    for left in report["stays_skipped"].as_array().into_iter().flatten() {
        let reason = clean(left["reason"].as_str().unwrap_or_default());
        let rows = grouped(left["rows"].as_u64().unwrap_or_default());
        out += &format!("  left out, {reason:<29}{rows:>9}\n");
    }
    let changes = &report["changes"];
    let Some(pairs) = changes["pairs"].as_u64() else { return out };
    let figure = |value: &Value| value.as_f64().unwrap_or_default();
    out += &format!(
        "\nOf {} that had a verdict, {:.1} % have another label and {:.1} % another score.\n",
        grouped(pairs),
        100.0 * figure(&changes["share_other_label"]),
        100.0 * figure(&changes["share_other_score"])
    );
    out += &format!(
        "Mean score {:.1} before, {:.1} after",
        figure(&changes["mean_before"]),
        figure(&changes["mean_after"])
    );
    let shift = &changes["shift"];
    out += &if shift.is_object() {
        let [value, low, high] = ["value", "low", "high"].map(|name| figure(&shift[name]));
        format!(": {value:+.1} ({low:+.1} to {high:+.1})\n")
    } else {
        "\n".to_owned()
    };
    let moved: Vec<&Value> =
        changes["labels"].as_array().into_iter().flatten().filter(|m| m["from"] != m["to"]).collect();
    for one in moved {
        let word = |name: &str| clean(one[name].as_str().unwrap_or_default());
        let n = grouped(one["count"].as_u64().unwrap_or_default());
        out += &format!("  {:>8} to {:<8}{n:>9}\n", word("from"), word("to"));
    }
    let pairs = report["pairs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !pairs.is_empty() {
        out += "Look at these first (GET /api/v1/interactions/ID shows text and both verdicts):\n";
    }
    for pair in pairs {
        let word = |name: &str| clean(pair[name].as_str().unwrap_or_default());
        let score = |name: &str| pair[name].as_i64().unwrap_or_default();
        out += &format!(
            "  {}  {:>4} {:<8} to {:>4} {}\n",
            word("interaction_id"),
            score("old_score"),
            word("old_label"),
            score("new_score"),
            word("new_label")
        );
    }
    out
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use serde_json::json;
    use undertone_core::verdict::ScorerKind;
    use undertone_store::TenantId;

    use super::*;
    use crate::backfill::LeftOut;

    fn tenant() -> Tenant {
        Tenant {
            id: TenantId(1),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            zone: Tz::Europe__Berlin,
            sealed_before: None,
            zone_is_changing: false,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_estimate_tells_what_it_takes_and_what_it_leaves_out() {
        let told = estimate(
            &Estimate {
                rows: 41_234,
                by_reason: [("no_key".to_owned(), 41_000), ("scoring_failed".to_owned(), 234)].into(),
                stays_skipped: vec![
                    LeftOut { reason: "agent_message".to_owned(), rows: 12, on_request: false },
                    LeftOut { reason: "too_short".to_owned(), rows: 7, on_request: true },
                ],
                scorer: ScorerKind::Claude,
                model: Some("claude-haiku-5-5".to_owned()),
                tokens: Amount { expected: 14_000_000, most: 90_000_000 },
                cost_micros: Some(Amount { expected: 2_345_678, most: 45_000_000 }),
                basis: Basis::Measured,
                seconds: Some(7_300),
                days_by_token_cap: Some(140),
                remark: None,
                problem: None,
            },
            &Asked::default(),
            &tenant(),
        );
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_report_tells_what_changed() {
        let told = json!({
            "id": "019c", "state": "done", "asked": {"mode": "refresh"}, "scored": 90, "skipped": 8, "failed": 1, "superseded": 1,
            "tokens": 32_000, "cost_micros": 4_100, "worked_on": false, "waiting": null,
            "progress": {"total": 100, "done": 100, "left": 0, "per_minute": 240.0, "seconds_left": null},
            "report": {
                "skipped": {"refused": 8},
                "changes": {
                    "pairs": 90, "share_other_label": 0.1, "share_other_score": 0.8, "mean_before": -12.04, "mean_after": -15.5,
                    "shift": {"value": -3.46, "low": -5.1, "high": -1.8},
                    "labels": [{"from": "neutral", "to": "neutral", "count": 81}, {"from": "neutral", "to": "negative", "count": 9}],
                },
                "pairs": [{"interaction_id": "019b", "old_score": 0, "old_label": "neutral", "new_score": -80, "new_label": "negative"}],
            },
        });
        insta::assert_snapshot!(run(&told, &tenant()));
        let waits = json!({
            "state": "running", "progress": {"per_minute": null}, "in_batches": 40,
            "waiting": {"for": "daily_token_cap", "detail": "all used", "until": "2026-11-20T12:00:00Z"},
        });
        assert_eq!(
            state(&waits, &tenant()),
            "running, 40 in batches at the provider's, waits: daily_token_cap until 13:00:00 (all used)"
        );
    }

    #[test]
    fn times_are_rounded_up() {
        assert_eq!([0, 119, 121, 7_200].map(duration), ["0 seconds", "119 seconds", "3 minutes", "2 hours"]);
    }
}
