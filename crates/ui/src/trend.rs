//! Sentiment by day: the chart, the read-out of each day, and the table behind it.

use undertone_core::overview::Day;

use crate::chart::{self, Axis};
use crate::text;
use crate::words::Words;

/// One day: its read-out, and its row in the table.
pub(crate) struct DayView {
    pub(crate) short: String,
    pub(crate) long: String,
    pub(crate) spoken: String,
    pub(crate) average: String,
    pub(crate) scored: String,
    pub(crate) before: String,
    /// Whole per cent from the top.
    pub(crate) y: Option<u8>,
    pub(crate) named: bool,
    pub(crate) right: bool,
}

/// The chart and what is said of it.
pub(crate) struct Trend {
    pub(crate) is_empty: bool,
    pub(crate) ticks: Vec<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) zero: String,
    pub(crate) line: String,
    pub(crate) before: String,
    pub(crate) area: String,
    pub(crate) bars: String,
    pub(crate) summary: String,
    pub(crate) days: Vec<DayView>,
}

/// What of these days is shown.
pub(crate) fn trend(days: &[Day], w: &'static Words) -> Trend {
    let now: Vec<Option<f64>> = days.iter().map(|day| day.summary.average).collect();
    let before: Vec<Option<f64>> = days.iter().map(|day| day.before.average).collect();
    let axis = Axis::holding(now.iter().chain(&before).copied().flatten());
    // About six days are named, and always the first and the last.
    let every = (days.len() / 6).max(1);
    let shown = |average: Option<f64>| average.map_or_else(|| "–".to_owned(), text::fine_score);
    let views = days.iter().enumerate().map(|(i, day)| {
        let (long, scored) = (text::long_day(day.day, w), day.summary.totals.scored);
        let unit = if scored == 1 { w.interaction } else { w.interactions };
        let spoken = match day.summary.average {
            Some(average) => format!("{long}: {}, {} {unit}", text::fine_score(average), text::count(scored)),
            None => format!("{long}: {}", w.no_data),
        };
        DayView {
            short: text::short_day(day.day, w),
            long,
            spoken,
            average: shown(day.summary.average),
            scored: text::count(scored),
            before: shown(day.before.average),
            y: day.summary.average.map(|average| axis.y(average).round() as u8),
            named: i == 0 || (days.len() - 1 - i).is_multiple_of(every),
            right: i * 2 >= days.len(),
        }
    });
    let lowest = now.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let highest = now.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let day = |day: Option<&Day>| day.map(|d| text::short_day(d.day, w)).unwrap_or_default();
    Trend {
        is_empty: now.iter().chain(&before).all(Option::is_none),
        ticks: axis.ticks.iter().map(|tick| text::score(*tick as f64)).collect(),
        lines: axis.ticks.iter().filter(|t| **t != 0).map(|t| format!("{:.2}", axis.y(*t as f64))).collect(),
        zero: format!("{:.2}", axis.y(0.0)),
        line: chart::line(&axis, &now),
        before: chart::line(&axis, &before),
        area: chart::area(&axis, &now),
        bars: chart::bars(days),
        summary: w
            .trend_summary
            .replace("{first}", &day(days.first()))
            .replace("{last}", &day(days.last()))
            .replace("{low}", &shown(Some(lowest).filter(|v| v.is_finite())))
            .replace("{high}", &shown(Some(highest).filter(|v| v.is_finite()))),
        days: views.collect(),
    }
}
