//! Marks in a text the phrases that moved its verdict. Offsets may be wrong, overlap or lie far apart; the text is the customer's.

use undertone_core::verdict::Evidence;

/// Characters shown of a long text, about.
const SHOWN: usize = 420;
/// Characters kept before the first phrase when the beginning is cut off.
const BEFORE: usize = 80;

/// A stretch of text, marked or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The words.
    pub text: String,
    /// CSS classes of the mark; empty: none.
    pub mark: &'static str,
}

/// The text in stretches; long ones are cut to where their evidence stands.
pub fn stretches(text: &str, evidence: &[Evidence]) -> Vec<Stretch> {
    let strongest = evidence.iter().map(|e| e.weight.abs()).fold(0.0_f32, f32::max);
    let mut marks: Vec<(usize, usize, &'static str)> = evidence
        .iter()
        .filter(|e| e.span.of(text).is_some_and(|t| !t.trim().is_empty()))
        .map(|e| (e.span.start, e.span.end, mark(e.weight, strongest)))
        .collect();
    marks.sort_unstable_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));

    let from = if text.chars().nth(SHOWN).is_none() { 0 } else { beginning(text, evidence, &marks) };
    let to = forward(text, from, SHOWN);
    let mut out = Vec::new();
    let mut push = |text: &str, mark| {
        if !text.is_empty() {
            out.push(Stretch { text: text.to_owned(), mark });
        }
    };
    if from > 0 {
        push("… ", "");
    }
    let mut at = from;
    for (start, end, mark) in marks {
        let (start, end) = (start.max(at), end.min(to));
        if start >= end {
            continue;
        }
        push(&text[at..start], "");
        push(&text[start..end], mark);
        at = end;
    }
    push(&text[at..to], "");
    if to < text.len() {
        push(" …", "");
    }
    out
}

/// Where a long text begins to be shown: before its first phrase, or before the strongest where both do not fit.
fn beginning(text: &str, evidence: &[Evidence], marks: &[(usize, usize, &str)]) -> usize {
    let from = back(text, marks.first().map_or(0, |(start, _, _)| *start), BEFORE);
    let fitting = evidence.iter().filter(|e| e.span.of(text).is_some_and(|t| !t.trim().is_empty()));
    let strongest = fitting.max_by(|a, b| a.weight.abs().total_cmp(&b.weight.abs()));
    match strongest {
        Some(e) if e.span.end > forward(text, from, SHOWN) => back(text, e.span.start, BEFORE),
        _ => from,
    }
}

/// Three strengths of each sign, beside the strongest phrase of the text.
fn mark(weight: f32, strongest: f32) -> &'static str {
    let share = weight.abs() / strongest;
    match (weight < 0.0, share) {
        (true, s) if s >= 0.66 => "n s",
        (true, s) if s >= 0.33 => "n m",
        (true, _) => "n",
        (false, s) if s >= 0.66 => "p s",
        (false, s) if s >= 0.33 => "p m",
        (false, _) => "p",
    }
}

/// The place `characters` before `at`.
fn back(text: &str, at: usize, characters: usize) -> usize {
    text[..at].char_indices().rev().nth(characters.saturating_sub(1)).map_or(0, |(i, _)| i)
}

/// The place `characters` after `at`.
fn forward(text: &str, at: usize, characters: usize) -> usize {
    text[at..].char_indices().nth(characters).map_or(text.len(), |(i, _)| at + i)
}

#[cfg(test)]
mod tests {
    use undertone_core::verdict::Span;

    use super::*;

    fn phrase(start: usize, end: usize, weight: f32) -> Evidence {
        Evidence::found(Span { start, end }, String::new(), weight)
    }

    fn joined(stretches: &[Stretch]) -> String {
        stretches.iter().map(|s| s.text.as_str()).collect()
    }

    #[test]
    fn overlapping_and_wrong_offsets_do_no_harm() {
        let text = "äußerst ärgerlich, but thanks";
        let evidence = [
            phrase(1, 5, -9.0),
            phrase(0, 20, -9.0),
            phrase(4, 12, -3.0),
            phrase(25, 99, 1.0),
            phrase(7, 3, 1.0),
            phrase(25, 31, 2.0),
        ];
        let stretches = stretches(text, &evidence);
        assert_eq!(joined(&stretches), text);
        assert!(stretches.iter().any(|s| s.mark == "n s") && stretches.iter().any(|s| s.mark == "p"));
    }

    #[test]
    fn long_texts_are_cut_to_their_evidence() {
        let text = format!("{} terrible {}", "😀".repeat(5000), "x ".repeat(5000));
        let start = text.find("terrible").unwrap();
        let stretches = stretches(&text, &[phrase(start, start + 8, -20.0)]);
        let shown = joined(&stretches);
        assert!(shown.starts_with("… ") && shown.ends_with(" …") && shown.contains("terrible"));
        assert!(shown.chars().count() < SHOWN + 10);
    }

    #[test]
    fn the_strongest_phrase_is_shown_though_a_weak_one_comes_first() {
        let text = format!("late {} never again {}", "x ".repeat(900), "y ".repeat(900));
        let start = text.find("never again").unwrap();
        let stretches = stretches(&text, &[phrase(0, 4, -1.0), phrase(start, start + 11, -30.0)]);
        assert!(stretches.iter().any(|s| s.text == "never again" && s.mark == "n s"), "{stretches:?}");
    }

    #[test]
    fn weights_that_are_no_numbers_do_no_harm() {
        for weight in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0] {
            let stretches = stretches("so it is", &[phrase(0, 2, weight), phrase(3, 5, -1.0)]);
            assert_eq!(joined(&stretches), "so it is");
        }
    }
}
