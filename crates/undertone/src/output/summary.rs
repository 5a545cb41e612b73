//! The audit of a batch in words: for a terminal, and as Markdown that can be forwarded.

use std::fmt::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use undertone_core::report::{Audit, Counts, MIN_CATEGORY, Move, moves};
use undertone_core::{Confidence, Label, SkipReason};

use super::asked::Asked;
use super::clean::{clean, pad};
use super::markdown::escape;
use super::table::style;

/// How many urgent messages a terminal shows; the file formats show all that are kept.
const SHOWN_URGENT: usize = 15;

/// An audit with what is told about it.
pub struct Report<'a> {
    /// The counts.
    pub audit: &'a Audit,
    /// Counts of an earlier batch and where they come from.
    pub compared: Option<(&'a Counts, Option<&'a Path>)>,
    /// Ctrl-C ended the batch early.
    pub interrupted: bool,
    /// What an LLM was asked, where one was.
    pub asked: Option<&'a Asked>,
}

impl Report<'_> {
    /// For a terminal; colours are stripped where there are none.
    pub fn as_text(&self) -> String {
        let mut out = String::new();
        // Writing into a string can not fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let audit = self.audit;
        let bold = Style::new().bold();
        let stopped = if self.interrupted { ", then interrupted" } else { "" };
        writeln!(out, "\n{bold}{} read{stopped}: {}{bold:#}", interactions(audit.inputs), self.fates())?;
        if audit.scored() == 0 {
            self.write_skipped(out)?;
            return self.write_asked(out);
        }
        for (label, count) in Label::ALL.into_iter().zip(audit.labels) {
            let share = share(count, audit.scored());
            let style = style(label);
            let bar = "█".repeat((share / 4) as usize);
            writeln!(
                out,
                "  {style}{:<9}{style:#}{count:>6}  {share:>3} %  {style}{bar}{style:#}",
                label.as_str()
            )?;
        }
        if audit.needs_review > 0 {
            writeln!(
                out,
                "  {} under {} % confidence and marked ?: read these before acting on them.",
                verdicts(audit.needs_review),
                Confidence::REVIEW_BELOW
            )?;
        }
        self.write_skipped(out)?;
        self.write_worst(out)?;
        self.write_urgent(out)?;
        self.write_moves(out)?;
        self.write_asked(out)
    }

    fn write_asked(&self, out: &mut String) -> std::fmt::Result {
        let Some(asked) = self.asked else { return Ok(()) };
        let bold = Style::new().bold();
        writeln!(out, "\n{bold}{}{bold:#}", asked.title())?;
        asked.lines().iter().try_for_each(|line| writeln!(out, "  {line}"))
    }

    fn fates(&self) -> String {
        let audit = self.audit;
        let skipped: usize = audit.skipped.values().sum();
        let mut told = format!("{} scored", audit.scored());
        if skipped > 0 {
            let _ = write!(told, ", {skipped} not scored");
        }
        if audit.failed > 0 {
            let _ = write!(told, ", {} failed", audit.failed);
        }
        told
    }

    fn write_skipped(&self, out: &mut String) -> std::fmt::Result {
        if self.audit.skipped.is_empty() {
            return Ok(());
        }
        let bold = Style::new().bold();
        writeln!(out, "\n{bold}Not scored, and counted nowhere above{bold:#}")?;
        for (reason, count) in self.skipped() {
            writeln!(out, "  {count:>6}  {}: {}", reason.as_str(), reason.explanation())?;
        }
        Ok(())
    }

    /// Reasons, the commonest first.
    fn skipped(&self) -> Vec<(SkipReason, usize)> {
        let mut skipped: Vec<_> =
            self.audit.skipped.iter().map(|(reason, count)| (*reason, *count)).collect();
        skipped.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        skipped
    }

    fn write_worst(&self, out: &mut String) -> std::fmt::Result {
        let bold = Style::new().bold();
        writeln!(
            out,
            "\n{bold}The two issues with the highest share of negative verdicts{bold:#} (of those with at least {MIN_CATEGORY})"
        )?;
        let worst = self.audit.counts.worst_categories(MIN_CATEGORY, 2);
        if worst.is_empty() {
            writeln!(out, "  None: no issue has {MIN_CATEGORY} verdicts and a negative one among them.")?;
        }
        for (category, p) in worst {
            writeln!(
                out,
                "  {} {:>3} %  {} of {}",
                pad(&category.words(), 18),
                p.percent(),
                p.part,
                p.whole
            )?;
        }
        Ok(())
    }

    fn write_urgent(&self, out: &mut String) -> std::fmt::Result {
        let bold = Style::new().bold();
        let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
        let all = self.audit.counts.urgent.part;
        if all == 0 {
            return writeln!(out, "\n{bold}Negative and urgent{bold:#}: none");
        }
        writeln!(out, "\n{bold}Negative and urgent: {all}{bold:#}, lowest score first")?;
        for item in self.audit.urgent.iter().take(SHOWN_URGENT) {
            let customer = item.customer.as_deref().map_or(String::new(), |c| format!("  {}", clean(c)));
            writeln!(
                out,
                "  line {:<5} {red}{:>+4}{red:#}{customer}  {}",
                item.place,
                item.score,
                clean(&item.summary)
            )?;
        }
        if all > SHOWN_URGENT {
            writeln!(out, "  … and {} more", all - SHOWN_URGENT)?;
        }
        Ok(())
    }

    fn write_moves(&self, out: &mut String) -> std::fmt::Result {
        let Some((before, from)) = self.compared else { return Ok(()) };
        let bold = Style::new().bold();
        let from = from.map_or(String::new(), |p| format!(" {}", clean(&p.display().to_string())));
        writeln!(out, "\n{bold}Since{from}{bold:#}, share of negative verdicts")?;
        for moved in moves(before, &self.audit.counts, MIN_CATEGORY) {
            let what = moved.category.as_ref().map_or("all".to_owned(), undertone_core::CategoryId::words);
            writeln!(out, "  {} {}", pad(&what, 18), told(&moved))?;
        }
        let (was, is) = (before.urgent.part, self.audit.counts.urgent.part);
        writeln!(out, "  negative and urgent: {was} then, {is} now")
    }

    /// As Markdown.
    pub fn as_markdown(&self) -> String {
        let mut out = String::new();
        let _ = self.write_markdown(&mut out);
        out
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        let audit = self.audit;
        writeln!(out, "# How customers feel\n\n{} read: {}.\n", interactions(audit.inputs), self.fates())?;
        if self.interrupted {
            writeln!(out, "**This batch was interrupted; what follows is its beginning.**\n")?;
        }
        writeln!(out, "| label | verdicts | share |\n|---|---:|---:|")?;
        for (label, count) in Label::ALL.into_iter().zip(audit.labels) {
            writeln!(out, "| {} | {count} | {} % |", label.as_str(), share(count, audit.scored()))?;
        }
        if audit.needs_review > 0 {
            writeln!(
                out,
                "\n{} under {} % confidence and marked ?: read these before acting on them.",
                verdicts(audit.needs_review),
                Confidence::REVIEW_BELOW
            )?;
        }
        writeln!(out, "\n## Issues with the highest share of negative verdicts\n")?;
        let worst = audit.counts.worst_categories(MIN_CATEGORY, 2);
        if worst.is_empty() {
            writeln!(out, "None: no issue has {MIN_CATEGORY} verdicts and a negative one among them.")?;
        } else {
            writeln!(
                out,
                "Of the issues with at least {MIN_CATEGORY} verdicts:\n\n| issue | negative | of |\n|---|---:|---:|"
            )?;
        }
        for (category, p) in worst {
            writeln!(
                out,
                "| {} | {} ({} %) | {} |",
                escape(&category.words()),
                p.part,
                p.percent(),
                p.whole
            )?;
        }
        writeln!(out, "\n## Negative and urgent: {}\n", audit.counts.urgent.part)?;
        for item in &audit.urgent {
            let customer = item.customer.as_deref().map_or(String::new(), |c| format!(", {}", escape(c)));
            writeln!(
                out,
                "- line {}{customer}, score {}: {}",
                item.place,
                item.score,
                escape(&item.summary)
            )?;
        }
        let unnamed = audit.counts.urgent.part - audit.urgent.len();
        if unnamed > 0 {
            writeln!(out, "- … and {unnamed} more")?;
        }
        if let Some((before, from)) = self.compared {
            let from = from.map_or(String::new(), |p| format!(" {}", escape(&p.display().to_string())));
            writeln!(out, "\n## Since{from}\n\nShare of negative verdicts:\n")?;
            for moved in moves(before, &audit.counts, MIN_CATEGORY) {
                let what =
                    moved.category.as_ref().map_or("all".to_owned(), undertone_core::CategoryId::words);
                writeln!(out, "- {}: {}", escape(&what), told(&moved))?;
            }
            writeln!(
                out,
                "- negative and urgent: {} then, {} now",
                before.urgent.part, audit.counts.urgent.part
            )?;
        }
        if !audit.skipped.is_empty() {
            writeln!(out, "\n## Not scored\n")?;
            for (reason, count) in self.skipped() {
                writeln!(out, "- {count} × {}", escape(reason.explanation()))?;
            }
        }
        if let Some(asked) = self.asked {
            writeln!(out, "\n## {}\n", escape(&asked.title()))?;
            for line in asked.lines() {
                writeln!(out, "- {}", escape(&line))?;
            }
        }
        Ok(())
    }
}

/// "38 % of 80 then, 43 % of 120 now: 5 points up, which may be chance"
fn told(moved: &Move) -> String {
    if moved.before.whole == 0 {
        return format!("new: {} % of {}", moved.now.percent(), moved.now.whole);
    }
    let points = moved.points();
    let direction = match points {
        0 => {
            return format!(
                "{} % of {} then and {} % of {} now",
                moved.before.percent(),
                moved.before.whole,
                moved.now.percent(),
                moved.now.whole
            );
        }
        1.. => "up",
        _ => "down",
    };
    let chance = if moved.beyond_chance { "more than chance explains" } else { "which may be chance" };
    format!(
        "{} % of {} then, {} % of {} now: {} {} {direction}, {chance}",
        moved.before.percent(),
        moved.before.whole,
        moved.now.percent(),
        moved.now.whole,
        points.abs(),
        if points.abs() == 1 { "point" } else { "points" },
    )
}

fn interactions(count: usize) -> String {
    if count == 1 { "1 interaction".to_owned() } else { format!("{count} interactions") }
}

fn verdicts(count: usize) -> String {
    if count == 1 { "1 verdict is".to_owned() } else { format!("{count} verdicts are") }
}

fn share(part: usize, whole: usize) -> i64 {
    undertone_core::report::Proportion { part, whole }.percent()
}
