//! What stands behind the figures of the first scorer: which label it gives for which, and how often it is right when it is how sure.

use std::fmt::Write as _;

use anstyle::Style;
use undertone_core::Label;
use undertone_core::accuracy::{Accuracy, Bin};

/// Above the matrix.
const MATRIX: &str = "What it says (columns) of what people say (rows)";
/// Above the bins.
const RELIABILITY: &str = "How often it is right when it is how sure";

/// For a terminal.
pub fn as_text(accuracy: &Accuracy) -> String {
    let bold = Style::new().bold();
    let mut out = format!("\n{bold}{MATRIX}{bold:#}\n{:<10}", "");
    for label in Label::ALL {
        let _ = write!(out, "{:>10}", label.as_str());
    }
    let _ = writeln!(out, "{:>10}", "unscored");
    for (label, row) in Label::ALL.iter().zip(accuracy.confusion) {
        let _ = write!(out, "{:<10}", label.as_str());
        for (said, count) in row.into_iter().enumerate() {
            let right = Label::ALL.get(said) == Some(label);
            let style = if right { bold } else { Style::new() };
            let _ = write!(out, "{style}{count:>10}{style:#}");
        }
        out += "\n";
    }
    if !accuracy.reliability.is_empty() {
        let _ = writeln!(
            out,
            "\n{bold}{RELIABILITY}{bold:#}\n{:>10}{:>14}{:>10}",
            "answers", "confidence", "right"
        );
    }
    for bin in &accuracy.reliability {
        let [confidence, right] = shares(bin);
        let _ = writeln!(out, "{:>10}{confidence:>14}{right:>10}", bin.count);
    }
    out
}

/// For a document.
pub fn as_markdown(accuracy: &Accuracy) -> String {
    let mut out = format!("\n{MATRIX}:\n\n|  |");
    for label in Label::ALL {
        let _ = write!(out, " {} |", label.as_str());
    }
    let _ = writeln!(out, " unscored |\n|---|{}", "---:|".repeat(Label::ALL.len() + 1));
    for (label, row) in Label::ALL.iter().zip(accuracy.confusion) {
        let counts = row.map(|count| count.to_string()).join(" | ");
        let _ = writeln!(out, "| {} | {counts} |", label.as_str());
    }
    if !accuracy.reliability.is_empty() {
        let _ = writeln!(out, "\n{RELIABILITY}:\n\n| answers | confidence | right |\n|---:|---:|---:|");
    }
    for bin in &accuracy.reliability {
        let [confidence, right] = shares(bin);
        let _ = writeln!(out, "| {} | {confidence} | {right} |", bin.count);
    }
    out
}

/// Mean confidence and the part that is right.
fn shares(bin: &Bin) -> [String; 2] {
    [bin.confidence, bin.right].map(|share| format!("{:.1} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use undertone_core::accuracy::{Answer, Truth, measure};

    use super::*;

    #[test]
    fn matrix_and_reliability_stand_in_text_and_document() {
        let truths = [Label::Negative, Label::Negative, Label::Positive].map(Truth::of);
        let answer =
            |label| Some(Answer { label, score: 0.0, confidence: Some(0.75), words: [None, None, None] });
        let answers = [answer(Label::Negative), answer(Label::Positive), answer(Label::Positive)];
        let accuracy = measure(&truths, &answers).unwrap();
        let document = as_markdown(&accuracy);
        assert!(document.contains("| negative | 1 | 0 | 1 | 0 | 0 |"), "{document}");
        assert!(document.contains("| 1 | 75.0 % | 66.7 % |"), "{document}");
        let text = anstream::adapter::strip_str(&as_text(&accuracy)).to_string();
        assert!(text.contains("75.0 %") && text.contains("What it says (columns)"), "{text}");
    }
}
