//! Verdicts as a Markdown table that can be forwarded.

use std::fmt::Write;

use super::clean::{clean, shorten};
use crate::cli::{Answer, Scored};

/// The heading of the table.
pub const HEAD: &str = "\n## Verdicts\n\n| line | customer | label | score | confidence | emotion | urgency | issue | summary | text |\n\
                        |---:|---|---|---:|---:|---|---|---|---|---|\n";

/// Longest excerpt of a text, in columns.
const EXCERPT: usize = 160;

/// `text` on one line, shown as it is: nothing in it is taken for markup.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // What readers of Markdown turn into links by themselves.
    let text = clean(text)
        .replace('&', "&amp;")
        .replace("://", "&#58;//")
        .replace("www.", "www&#46;")
        .replace('@', "&#64;");
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Appends the row of one verdict.
pub fn row(out: &mut String, scored: &Scored) {
    let i = scored.interaction.as_ref();
    let customer = escape(i.and_then(|i| i.customer.as_deref()).unwrap_or_default());
    let text = escape(&shorten(&clean(i.map_or("", |i| i.text.as_str())), EXCERPT));
    let stood_in = scored.note.is_some() && matches!(scored.answer, Answer::Verdict(_));
    let text = if stood_in { format!("(embedded model) {text}") } else { text };
    let line = scored.line;
    // Writing into a string can not fail.
    let _ = match &scored.answer {
        Answer::Verdict(v) => writeln!(
            out,
            "| {line} | {customer} | {} | {} | {}{} | {} | {} | {} | {} | {text} |",
            v.label.as_str(),
            v.score.get(),
            v.confidence.get(),
            if v.needs_review() { " ?" } else { "" },
            v.dominant_emotion.as_str(),
            v.urgency.as_str(),
            escape(&v.category.words()),
            escape(&v.summary),
        ),
        Answer::Skipped { reason, .. } => {
            writeln!(
                out,
                "| {line} | {customer} | not scored | | | | | | {} | {text} |",
                escape(reason.explanation())
            )
        }
        Answer::Failed(why) => {
            writeln!(out, "| {line} | {customer} | failed | | | | | | {} | {text} |", escape(why))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_write_no_markup() {
        assert_eq!(escape("http://x.y www.x.y a@b.c R&D"), "http&#58;//x.y www&#46;x.y a&#64;b.c R&amp;D");
        assert_eq!(
            escape("a|b <script> [x](y) **z**\n# h"),
            "a\\|b &lt;script> \\[x\\](y) \\*\\*z\\*\\* # h"
        );
    }
}
