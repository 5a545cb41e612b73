//! Verdicts as lines on a terminal, in columns that line up while they are still coming.

use anstyle::{AnsiColor, Style};
use undertone_core::{Label, Urgency};

use super::clean::{clean, pad, shorten};
use crate::cli::{Answer, Scored};

/// The table on standard output.
pub struct Table {
    width: usize,
    started: bool,
}

/// The colour of a label; shapes and words say the same, so nothing rests on colour alone.
pub fn style(label: Label) -> Style {
    let color = match label {
        Label::Positive => AnsiColor::Green,
        Label::Neutral => AnsiColor::BrightBlack,
        Label::Negative => AnsiColor::Red,
        Label::Mixed => AnsiColor::Yellow,
    };
    Style::new().fg_color(Some(color.into()))
}

impl Table {
    /// As wide as the terminal, or 120 columns where there is none.
    pub fn new() -> Self {
        let width = terminal_size::terminal_size().map_or(120, |(w, _)| usize::from(w.0));
        Self { width: width.clamp(60, 240), started: false }
    }

    /// The line of one row, below the header where it is the first.
    pub fn row(&mut self, scored: &Scored) -> String {
        let mut out = String::new();
        // Below 100 columns emotion and category give way to the text.
        let wide = self.width >= 100;
        if !self.started {
            self.started = true;
            let bold = Style::new().bold();
            let more = if wide { format!("{:<14}  {:<16}  ", "EMOTION", "CATEGORY") } else { String::new() };
            out = format!(
                "{bold}{:>5}  {:<12}  {:<8} {:>5} {:>5}  {:<6}  {more}TEXT{bold:#}\n",
                "LINE", "CUSTOMER", "LABEL", "SCORE", "CONF", "URGENT"
            );
        }
        let interaction = scored.interaction.as_ref();
        let customer = clean(interaction.and_then(|i| i.customer.as_deref()).unwrap_or_default());
        let text = clean(interaction.map_or("", |i| i.text.as_str()));
        let start = format!("{:>5}  {}  ", scored.line, pad(&customer, 12));
        let taken = if wide { 84 } else { 50 };
        let rest = self.width.saturating_sub(taken).max(10);
        match &scored.answer {
            Answer::Verdict(v) => {
                let style = style(v.label);
                let review = if v.needs_review() { '?' } else { ' ' };
                let urgency = match v.urgency {
                    Urgency::High => "high !",
                    Urgency::Medium => "medium",
                    Urgency::Low => "low",
                };
                let more = if wide {
                    format!("{}  {}  ", pad(v.dominant_emotion.as_str(), 14), pad(&v.category.words(), 16))
                } else {
                    String::new()
                };
                let partly = v.coverage.truncated || v.coverage.unread_percent > 0;
                let text = if partly { format!("(read in part) {text}") } else { text };
                // An LLM was to be asked and did not answer; the reason stands below.
                let text = if scored.note.is_some() { format!("(embedded model) {text}") } else { text };
                out += &format!(
                    "{start}{style}{:<8} {:>+5}{style:#} {:>4}{review}  {urgency:<6}  {more}{}\n",
                    v.label.as_str(),
                    v.score.get(),
                    v.confidence.get(),
                    shorten(&text, rest),
                );
            }
            Answer::Skipped { reason, language } => {
                let dim = Style::new().dimmed();
                let language = language.as_ref().map(|l| format!(" ({l})")).unwrap_or_default();
                let told = format!("not scored: {}{language}", reason.as_str());
                let room = taken - 22;
                out += &format!("{start}{dim}{}  {}{dim:#}\n", pad(&told, room), shorten(&text, rest));
            }
            Answer::Failed(why) => {
                let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
                let told = shorten(&clean(why), self.width.saturating_sub(32).max(20));
                out += &format!("{start}{red}failed: {told}{red:#}\n");
            }
        }
        out
    }
}
