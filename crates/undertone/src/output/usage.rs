//! What LLMs took and what is left of the budget, for people and for spreadsheets.

use std::fmt::Write;

use anstyle::Style;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use undertone_core::usage::sums::Group;
use undertone_store::modules::Period;

use super::amount::{dollars, grouped};
use super::columns::{Columns, Side};
use super::machine::{guard, unwritten};
use super::markdown::escape;
use crate::error::CliError;
use crate::usage::{Figures, Measure, Part, Report, Saved, Spared, Standing, usd};

/// The head of the column of keys.
fn key_of(group: Group) -> &'static str {
    match group {
        Group::Day => "day",
        Group::Month => "month",
        Group::Feature => "feature",
        Group::Model => "model",
        Group::Scorer => "scorer",
    }
}

/// What of the kinds of tokens a table shows; both kinds of cache writes are one column.
const HEADS: [&str; 8] = ["calls", "texts", "input", "cache read", "cache write", "output", "tokens", "cost"];
/// Those of [`HEADS`] that remain on a narrow terminal.
const NARROW: [usize; 4] = [0, 1, 6, 7];

fn cells(figures: &Figures) -> [String; HEADS.len()] {
    [
        grouped(figures.calls),
        grouped(figures.texts),
        grouped(figures.input_tokens),
        grouped(figures.cache_read_tokens),
        grouped(figures.cache_write_5m_tokens.saturating_add(figures.cache_write_1h_tokens)),
        grouped(figures.output_tokens),
        grouped(figures.tokens),
        cost(figures),
    ]
}

/// What is known of a cost: of a model without a price nobody knows it.
fn cost(figures: &Figures) -> String {
    match figures.unpriced_calls {
        0 => dollars(figures.cost_micros),
        unpriced if unpriced < figures.calls => format!("over {}", dollars(figures.cost_micros)),
        _ => "unknown".to_owned(),
    }
}

/// For a terminal `width` columns wide.
pub fn table(slug: &str, report: &Report, width: usize) -> String {
    let bold = Style::new().bold();
    let title = format!("AI usage of {slug}, {} to {} ({})", report.from, report.to, report.zone);
    let mut out = format!("{bold}{title}{bold:#}\n\n");
    if report.lines.is_empty() {
        out += "No LLM was asked in this time.\n";
    } else {
        let wide = columns(report, &(0..HEADS.len()).collect::<Vec<_>>());
        let columns = if wide.width() <= width { wide } else { columns(report, &NARROW) };
        out += &columns.text();
        out += "\n";
        for note in notes(&report.total) {
            out += &format!("{note}\n");
        }
    }
    if let Some(spared) = &report.cascade {
        out += &format!("{}\n", cascade(spared));
    }
    for period in &report.subscription {
        out += &format!("{}\n", subscription(period, report.clock));
    }
    out
}

fn columns(report: &Report, shown: &[usize]) -> Columns {
    let key = key_of(report.group).to_uppercase();
    let names = HEADS.map(str::to_uppercase);
    let mut heads = vec![(key.as_str(), Side::Left)];
    heads.extend(shown.iter().map(|place| (names[*place].as_str(), Side::Right)));
    let mut columns = Columns::new(&heads);
    let mut row = |key: &str, figures: &Figures| {
        let cells = cells(figures);
        let shown = shown.iter().map(|place| cells[*place].clone());
        columns.row(std::iter::once(key.to_owned()).chain(shown));
    };
    for line in &report.lines {
        row(&line.key, &line.figures);
    }
    row("all", &report.total);
    columns
}

/// What the table does not show, in sentences.
fn notes(total: &Figures) -> Vec<String> {
    let mut notes = vec![saved(&total.saved)];
    if total.unpriced_calls > 0 {
        notes.push(format!(
            "Without a price: {}. Their tokens count, their cost is not known; give the model a price in prices_file (undertone prices).",
            calls(total.unpriced_calls)
        ));
    }
    if total.lost_calls > 0 {
        notes.push(format!(
            "Lost: {}, of which nothing was heard again. They took at most {} tokens and {}, which the budget counts as used and the figures above do not.",
            calls(total.lost_calls),
            grouped(total.lost_tokens),
            dollars(total.lost_micros)
        ));
    }
    if total.overrun_tokens > 0 || total.overrun_micros > 0 {
        notes.push(format!(
            "Charged beyond what was set aside before the calls: {} tokens, {}.",
            grouped(total.overrun_tokens),
            dollars(total.overrun_micros)
        ));
    }
    notes
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{} calls", grouped(count)) }
}

fn saved(saved: &Saved) -> String {
    if (saved.cache_micros, saved.packing_micros, saved.packing_tokens, saved.batch_micros) == (0, 0, 0, 0) {
        return "Saved: nothing by caching, packing or batches.".to_owned();
    }
    let cache = if saved.cache_micros < 0 {
        format!(
            "-{} by caching (more was paid for writing than was saved by reading)",
            dollars(saved.cache_micros.unsigned_abs())
        )
    } else {
        format!("{} by caching", dollars(saved.cache_micros.unsigned_abs()))
    };
    format!(
        "Saved: {cache}, {} by packing ({} tokens of prompt not sent again), {} by batches.",
        dollars(saved.packing_micros),
        grouped(saved.packing_tokens),
        dollars(saved.batch_micros)
    )
}

fn cascade(spared: &Spared) -> String {
    let sums = spared.sums;
    let texts = |count: u64| match count {
        1 => "1 text".to_owned(),
        _ => format!("{} texts", grouped(count)),
    };
    let not_asked = format!("The cascade did not put {} to the LLM", texts(sums.texts));
    let (Some(each), Some(tokens), Some(micros)) = (sums.tokens_each, sums.tokens, sums.cost_micros) else {
        return format!("{not_asked}; what that saved is not known, since the LLM answered about none.");
    };
    // Of a model without a price, and of one's own server, the tokens say it.
    let money = if micros > 0 { format!(" and {}", dollars(micros)) } else { String::new() };
    format!(
        "{not_asked}: an estimated {} tokens{money}, at {} tokens a text as {} took.",
        grouped(tokens),
        grouped(each),
        texts(sums.answered)
    )
}

fn subscription(period: &Period, zone: Tz) -> String {
    let day = |at: DateTime<Utc>| at.with_timezone(&zone).format("%Y-%m-%d").to_string();
    let ended = period.deactivated_at.map_or_else(|| "on".to_owned(), |at| format!("to {}", day(at)));
    let cents = period.monthly_price_cents;
    format!(
        "Subscription: ${}.{:02} a month for the module, from {} {ended}.",
        cents / 100,
        cents % 100,
        day(period.activated_at)
    )
}

/// As Markdown.
pub fn markdown(slug: &str, report: &Report) -> String {
    let mut out =
        format!("# AI usage of {}\n\n{} to {} ({})\n\n", escape(slug), report.from, report.to, report.zone);
    if report.lines.is_empty() {
        out += "No LLM was asked in this time.\n";
    } else {
        let _ = writeln!(out, "| {} | {} |", key_of(report.group), HEADS.join(" | "));
        let _ = writeln!(out, "|---|{}", "---:|".repeat(HEADS.len()));
        for line in &report.lines {
            let _ = writeln!(out, "| {} | {} |", escape(&line.key), cells(&line.figures).join(" | "));
        }
        let _ = writeln!(out, "| **all** | {} |\n", cells(&report.total).join(" | "));
        for note in notes(&report.total) {
            let _ = writeln!(out, "- {}", escape(&note));
        }
    }
    if let Some(spared) = &report.cascade {
        let _ = writeln!(out, "- {}", escape(&cascade(spared)));
    }
    for period in &report.subscription {
        let _ = writeln!(out, "- {}", escape(&subscription(period, report.clock)));
    }
    out
}

const CSV_HEADS: [&str; 21] = [
    "calls",
    "texts",
    "tokens",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "cost_micros",
    "cost_usd",
    "unpriced_calls",
    "overrun_tokens",
    "overrun_micros",
    "lost_calls",
    "lost_tokens",
    "lost_micros",
    "saved_cache_micros",
    "saved_packing_tokens",
    "saved_packing_micros",
    "saved_batch_micros",
    "saved_usd",
];

/// As CSV: a record for each part, none for the total, with every figure.
pub fn csv(report: &Report, out: impl std::io::Write) -> Result<(), CliError> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(std::iter::once(key_of(report.group)).chain(CSV_HEADS)).map_err(unwritten)?;
    for line in &report.lines {
        let (f, saved) = (&line.figures, &line.figures.saved);
        let figures = [
            f.calls.to_string(),
            f.texts.to_string(),
            f.tokens.to_string(),
            f.input_tokens.to_string(),
            f.cache_read_tokens.to_string(),
            f.cache_write_5m_tokens.to_string(),
            f.cache_write_1h_tokens.to_string(),
            f.output_tokens.to_string(),
            f.cost_micros.to_string(),
            f.cost_usd.clone(),
            f.unpriced_calls.to_string(),
            f.overrun_tokens.to_string(),
            f.overrun_micros.to_string(),
            f.lost_calls.to_string(),
            f.lost_tokens.to_string(),
            f.lost_micros.to_string(),
            saved.cache_micros.to_string(),
            saved.packing_tokens.to_string(),
            saved.packing_micros.to_string(),
            saved.batch_micros.to_string(),
            usd(saved.total_micros),
        ];
        writer.write_record(std::iter::once(guard(&line.key)).chain(figures)).map_err(unwritten)?;
    }
    writer.flush()?;
    Ok(())
}

/// What is left of a budget, for a terminal.
pub fn standing(slug: &str, standing: &Standing) -> String {
    let bold = Style::new().bold();
    let day = standing.day.begins;
    let mut out =
        format!("{bold}AI budget of {slug} on {} ({}){bold:#}\n\n", day.format("%A %Y-%m-%d"), standing.zone);
    let heads = ["", "", "USED", "OF", "%", "HELD", "LEFT", "UNTIL"];
    let side = |place: usize| if matches!(place, 0 | 1 | 7) { Side::Left } else { Side::Right };
    let heads: Vec<_> = heads.into_iter().enumerate().map(|(place, head)| (head, side(place))).collect();
    let mut columns = Columns::new(&heads);
    for (name, part) in [("day", &standing.day), ("month", &standing.month)] {
        measure(&mut columns, (name, "tokens"), part, &part.tokens, grouped);
        measure(&mut columns, (name, "cost"), part, &part.cost_micros, dollars);
    }
    out += &columns.text();
    let month = &standing.month;
    if month.tokens.held > 0 {
        out += "\nHELD is the most that calls under way can take; what they do not take is given back.\n";
    }
    if month.tokens.lost > 0 {
        let (tokens, micros) = (grouped(month.tokens.lost), dollars(month.cost_micros.lost));
        out += &format!(
            "\nUSED holds up to {tokens} tokens and {micros} this month of calls of which nothing was heard again: nobody knows what they took.\n"
        );
    }
    for (part, told) in [(&standing.day, "day"), (&standing.month, "month")] {
        let full = |measure: &Measure| measure.cap.is_some_and(|cap| measure.used >= cap);
        if full(&part.tokens) || full(&part.cost_micros) {
            let ends = part.ends_at.format("%Y-%m-%d %H:%M");
            out += &format!(
                "\nThe {told}'s budget is used up: no LLM is asked until {ends}, or until the cap is raised.\n"
            );
        }
    }
    out
}

fn measure(
    columns: &mut Columns,
    (period, what): (&str, &str),
    part: &Part,
    measure: &Measure,
    told: fn(u64) -> String,
) {
    let or = |given: Option<String>, otherwise: &str| given.unwrap_or_else(|| otherwise.to_owned());
    columns.row([
        period.to_owned(),
        what.to_owned(),
        told(measure.used),
        or(measure.cap.map(told), "no cap"),
        or(measure.percent.map(|percent| format!("{percent} %")), ""),
        told(measure.held),
        or(measure.left.map(told), ""),
        part.ends_at.format("%Y-%m-%d %H:%M %:z").to_string(),
    ]);
}

#[cfg(test)]
mod tests;
