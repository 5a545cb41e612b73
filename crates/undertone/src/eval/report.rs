//! Figures as a person, a document or a program takes them.

mod detail;
mod taken;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use undertone_core::accuracy::{Accuracy, Figure, Task};

use super::packs::Outcome;
use taken::Row;
pub use taken::Taken;

/// What was measured on some files.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The files, as they were named.
    pub files: Vec<String>,
    /// Each scorer; the first is the one in question.
    pub scorers: Vec<Scored>,
    /// The first scorer by group.
    pub groups: Vec<Group>,
}

/// A scorer and how well it did.
#[derive(Debug, Serialize)]
pub struct Scored {
    /// Its name.
    pub name: String,
    /// How well it did.
    pub accuracy: Accuracy,
    /// What an LLM took for it, where one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
}

/// How well the first scorer did on some of the texts.
#[derive(Debug, Serialize)]
pub struct Group {
    /// The column.
    pub by: String,
    /// What stands in it.
    pub value: String,
    /// How well it did there.
    pub accuracy: Accuracy,
}

/// A line of the table: its name and each scorer's figure.
struct Line {
    name: &'static str,
    figures: Vec<Option<Figure>>,
    percent: bool,
}

impl Report {
    fn lines(&self) -> Vec<Line> {
        let task = |a: &Accuracy, task| a.tasks.iter().find(|(t, _)| *t == task).map(|(_, f)| *f);
        let line = |name, percent, figure: &dyn Fn(&Accuracy) -> Option<Figure>| Line {
            name,
            figures: self.scorers.iter().map(|s| figure(&s.accuracy)).collect(),
            percent,
        };
        let mut lines = vec![
            line("label macro-F1", false, &|a| Some(a.macro_f1)),
            line("label macro recall", false, &|a| Some(a.macro_recall)),
            line("label accuracy", false, &|a| Some(a.accuracy)),
            line("negative recall", false, &|a| a.negative_recall),
            line("negatives called positive", true, &|a| a.negatives_called_positive),
            line("valence, rank correlation", false, &|a| a.valence_rank_correlation),
            line("emotion macro-F1", false, &|a| task(a, Task::Emotion)),
            line("urgency macro-F1", false, &|a| task(a, Task::Urgency)),
            line("category macro-F1", false, &|a| task(a, Task::Category)),
            line("calibration error", false, &|a| a.calibration_error),
            line("asks for a person", true, &|a| a.review.map(|r| r.share)),
            line("errors among those", true, &|a| a.review.map(|r| r.errors_caught)),
            line("errors in the least sure 15 %", true, &|a| a.review.map(|r| r.errors_in_15_percent)),
            line("two people agree", true, &|a| a.raters_agree),
        ];
        lines.retain(|line| line.figures.iter().any(Option::is_some));
        lines
    }

    fn taken(&self) -> Vec<Row> {
        taken::rows(&self.scorers.iter().map(|s| s.taken.as_ref()).collect::<Vec<_>>())
    }

    /// Which prices the costs go by.
    fn prices_of(&self) -> String {
        let day = self.scorers.iter().find_map(|s| s.taken.as_ref()).map(|taken| taken.prices_of);
        day.map_or_else(String::new, |day| format!("\nCosts go by the price list of {day}.\n"))
    }

    fn head(&self) -> String {
        let Some(first) = self.scorers.first() else { return String::new() };
        let a = &first.accuracy;
        let abstained = match a.abstained {
            0 => String::new(),
            n => format!(", {n} of them left unscored by {}, which counts as wrong", first.name),
        };
        format!("{} labelled texts{abstained}", a.texts)
    }

    /// For a terminal.
    pub fn as_text(&self) -> String {
        let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
        let mut out = format!("{}\n\n{bold}{:<30}", self.head(), "");
        for scorer in &self.scorers {
            let _ = write!(out, "  {:<22}", scorer.name);
        }
        let _ = writeln!(out, "{bold:#}");
        for line in self.lines() {
            let _ = write!(out, "{:<30}", line.name);
            for figure in &line.figures {
                let (value, range) =
                    figure.map_or_else(|| ("–".to_owned(), String::new()), |f| told(f, line.percent));
                let _ = write!(out, "  {value:<7}{dim}{range:<15}{dim:#}");
            }
            out += "\n";
        }
        out += "\nThe range is where the figure lies nineteen times in twenty, were other texts drawn.\n";
        let taken = self.taken();
        if !taken.is_empty() {
            let _ = writeln!(out, "\n{bold}What an LLM took{bold:#}");
            for Row { name, cells } in &taken {
                let _ = write!(out, "{name:<30}");
                for cell in cells {
                    let _ = write!(out, "  {cell:<22}");
                }
                out.truncate(out.trim_end().len());
                out += "\n";
            }
            out += &self.prices_of();
        }
        if let Some(first) = self.scorers.first() {
            out += &detail::as_text(&first.accuracy);
        }
        for (i, group) in self.groups.iter().enumerate() {
            if i == 0 || self.groups[i - 1].by != group.by {
                let _ = writeln!(
                    out,
                    "\n{bold}{:<24}{:>7}  {:<19}{:<19}neg. as pos.{bold:#}",
                    group.by, "texts", "accuracy", "neg. recall"
                );
            }
            let a = &group.accuracy;
            let _ = writeln!(
                out,
                "{:<24}{:>7}  {:<19}{:<19}{}",
                crate::output::clean(&group.value),
                a.texts,
                in_one(Some(a.accuracy), false),
                in_one(a.negative_recall, false),
                in_one(a.negatives_called_positive, true)
            );
        }
        out
    }

    /// For a document.
    pub fn as_markdown(&self) -> String {
        let names: Vec<&str> = self.scorers.iter().map(|s| s.name.as_str()).collect();
        let mut out = format!("{}.\n\n| | {} |\n|---|", self.head(), names.join(" | "));
        out += &"---|".repeat(names.len());
        out += "\n";
        for line in self.lines() {
            let cells: Vec<String> = line.figures.iter().map(|f| in_one(*f, line.percent)).collect();
            let _ = writeln!(out, "| {} | {} |", line.name, cells.join(" | "));
        }
        let taken = self.taken();
        for Row { name, cells } in &taken {
            let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
        }
        if !taken.is_empty() {
            out += &self.prices_of();
        }
        if let Some(first) = self.scorers.first() {
            out += &detail::as_markdown(&first.accuracy);
        }
        for (i, group) in self.groups.iter().enumerate() {
            if i == 0 || self.groups[i - 1].by != group.by {
                let _ = write!(
                    out,
                    "\n| {} | texts | accuracy | negative recall | negatives called positive |\n|---|---|---|---|---|\n",
                    group.by
                );
            }
            let a = &group.accuracy;
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                crate::output::clean(&group.value).replace('|', "\\|"),
                a.texts,
                in_one(Some(a.accuracy), false),
                in_one(a.negative_recall, false),
                in_one(a.negatives_called_positive, true)
            );
        }
        out
    }
}

/// A figure with its range, or a dash.
fn in_one(figure: Option<Figure>, percent: bool) -> String {
    figure.map_or_else(
        || "–".to_owned(),
        |f| {
            let (value, range) = told(f, percent);
            format!("{value} {range}")
        },
    )
}

/// A figure and its range, in short.
fn told(f: Figure, percent: bool) -> (String, String) {
    let short = |v: f64| {
        if percent {
            return format!("{:.1} %", v * 100.0);
        }
        let text = format!("{v:.3}");
        text.strip_prefix('0').map_or_else(|| text.clone(), str::to_owned)
    };
    let plain = |v: f64| if percent { format!("{:.1}", v * 100.0) } else { short(v) };
    // A dash before a negative number reads as two.
    let to = if f.low < 0.0 || f.high < 0.0 { " to " } else { "–" };
    (short(f.value), format!("({}{to}{})", plain(f.low), plain(f.high)))
}

/// Packs for a terminal: a line for each phenomenon, and what failed.
pub fn packs_as_text(outcomes: &[Outcome]) -> String {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let mut out = format!("{bold}{:<24}{:>6}{:>8}{:>8}{bold:#}\n", "", "cases", "failed", "may");
    for o in outcomes {
        let (mark, style) = if o.is_held() { ("", Style::new()) } else { ("  too many", red) };
        let _ = writeln!(
            out,
            "{style}{:<24}{:>6}{:>8}{:>8}{mark}{style:#}",
            o.name,
            o.cases,
            o.failed.len(),
            o.allowed
        );
    }
    for o in outcomes.iter().filter(|o| !o.failed.is_empty()) {
        let _ = writeln!(out, "\n{bold}{}{bold:#}", o.name);
        for f in &o.failed {
            let text = crate::output::clean(&f.text);
            let _ = writeln!(out, "  {dim}{}{dim:#} {text}\n      {}", f.id, crate::output::clean(&f.told));
        }
    }
    let held = outcomes.iter().filter(|o| o.is_held()).count();
    let _ = writeln!(out, "\n{held} of {} held", outcomes.len());
    out
}

/// Packs for a document.
pub fn packs_as_markdown(outcomes: &[Outcome]) -> String {
    let mut out = "| phenomenon | cases | failed | may fail |\n|---|---|---|---|\n".to_owned();
    for o in outcomes {
        let mark = if o.is_held() { "" } else { " **too many**" };
        let _ = writeln!(out, "| {} | {} | {}{mark} | {} |", o.name, o.cases, o.failed.len(), o.allowed);
    }
    out
}
