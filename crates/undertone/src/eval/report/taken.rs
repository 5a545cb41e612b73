//! What an LLM took for the verdicts of a scorer, and what a cascade changed by it.

use chrono::NaiveDate;
use serde::Serialize;
use undertone_core::Usage;
use undertone_core::cascade::effect::Effect;

use crate::output::amount::{dollars, grouped};

/// What an LLM took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Taken {
    /// The model that was asked.
    pub model: String,
    /// Texts that were measured, asked about or not.
    pub texts: u64,
    /// Requests it answered.
    pub requests: u64,
    /// Their tokens.
    pub tokens: Usage,
    /// What they cost, in millionths of a US dollar; `None` where the model has no price.
    pub cost_micros: Option<u64>,
    /// The UTC day whose prices hold.
    pub prices_of: NaiveDate,
    /// Requests without an answer that may have been charged; they are not among the above.
    pub lost_requests: u64,
    /// Texts about which it answered what can not be used. They count as wrong.
    pub unusable_answers: usize,
    /// What it changed, where it was asked about a part of the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cascade: Option<Effect>,
}

/// A line of the table.
pub struct Row {
    pub name: &'static str,
    pub cells: Vec<String>,
}

/// The lines for scorers of which some took nothing; a line that says nothing of any is left out.
pub fn rows(scorers: &[Option<&Taken>]) -> Vec<Row> {
    let row = |name, cell: &dyn Fn(&Taken) -> Option<String>| {
        let cells: Vec<Option<String>> = scorers.iter().map(|taken| taken.and_then(cell)).collect();
        cells.iter().any(Option::is_some).then(|| {
            let told = |cell: Option<String>| cell.unwrap_or_else(|| "–".to_owned());
            Row { name, cells: cells.into_iter().map(told).collect() }
        })
    };
    let some = |count: u64| (count > 0).then(|| grouped(count));
    let effect = |cell: &dyn Fn(&Effect) -> String, taken: &Taken| taken.cascade.as_ref().map(cell);
    let part = |part: u64, whole: u64| {
        let percent = if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
        format!("{} ({percent:.1} %)", grouped(part))
    };
    let each = |total: u64, texts: u64| if texts == 0 { 0 } else { total.div_ceil(texts) };
    let rows = [
        row("texts put to the LLM", &|t| effect(&|e| part(e.sums.asked, e.texts), t)),
        row("labels it changed", &|t| effect(&|e| part(e.sums.changed, e.texts), t)),
        row("… from wrong to right", &|t| effect(&|e| grouped(e.mended), t)),
        row("… from right to wrong", &|t| effect(&|e| grouped(e.spoilt), t)),
        row("right before it was asked", &|t| effect(&|e| part(e.right_before, e.texts), t)),
        row("right in the end", &|t| effect(&|e| part(e.right_after, e.texts), t)),
        row("texts without its answer", &|t| t.cascade.as_ref().and_then(|e| some(e.sums.unanswered))),
        row("answers that can not be used", &|t| some(t.unusable_answers as u64)),
        row("requests", &|t| Some(grouped(t.requests))),
        row("requests lost", &|t| some(t.lost_requests)),
        row("tokens", &|t| Some(grouped(t.tokens.total()))),
        row("… input", &|t| Some(grouped(t.tokens.input))),
        row("… read from the cache", &|t| some(t.tokens.cache_read)),
        row("… put into the cache", &|t| some(t.tokens.cache_write_5m + t.tokens.cache_write_1h)),
        row("… output", &|t| Some(grouped(t.tokens.output))),
        row("tokens a text", &|t| Some(grouped(each(t.tokens.total(), t.texts)))),
        row("cost", &|t| Some(t.cost_micros.map_or_else(|| "no price known".to_owned(), dollars))),
        row("cost of 1,000 texts", &|t| Some(dollars(each(t.cost_micros?.saturating_mul(1000), t.texts)))),
    ];
    rows.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_nothing_has_no_lines() {
        assert!(rows(&[None, None]).is_empty());
    }

    #[test]
    fn a_scorer_without_an_llm_has_dashes() {
        let taken = Taken {
            model: "m".to_owned(),
            texts: 300,
            requests: 38,
            tokens: Usage { input: 61_000, output: 30_500, ..Usage::default() },
            cost_micros: None,
            prices_of: NaiveDate::from_ymd_opt(2026, 11, 28).unwrap(),
            lost_requests: 0,
            unusable_answers: 2,
            cascade: None,
        };
        let told: Vec<(&str, String)> =
            rows(&[Some(&taken), None]).into_iter().map(|row| (row.name, row.cells.join(" | "))).collect();
        assert_eq!(
            told,
            [
                ("answers that can not be used", "2 | –".to_owned()),
                ("requests", "38 | –".to_owned()),
                ("tokens", "91,500 | –".to_owned()),
                ("… input", "61,000 | –".to_owned()),
                ("… output", "30,500 | –".to_owned()),
                ("tokens a text", "305 | –".to_owned()),
                ("cost", "no price known | –".to_owned()),
            ]
        );
    }
}
