//! Which phrases moved the verdict: word pieces become words, neighbouring words that pull the same way become phrases.

use undertone_core::verdict::{Evidence, Span};
use unicode_segmentation::UnicodeSegmentation;

use super::emoji;
use super::layout::Layout;

/// A phrase has at most so many words.
const LONGEST: usize = 6;
/// So many words and marks are looked at for one, so that a row of marks does not cost its square.
const WIDEST: usize = 8 * LONGEST;
/// A phrase of fewer words is hard to understand by itself.
const SHORTEST: usize = 3;
/// A verdict has at most so many phrases.
const MOST: usize = 5;
/// Phrases weaker than this part of the strongest are left out.
const WEAKEST: f32 = 0.2;

/// What a word must bring, as a part of what the strongest word of its clause brings.
const WORTH: f32 = 0.25;

/// A word and what its pieces added.
struct Word {
    span: Span,
    weight: f32,
    /// Letters, digits or a face, not punctuation.
    counts: bool,
    /// Says little by itself: "the", "to".
    light: bool,
    /// A mark that ends a thought: no phrase reaches across it.
    ends: bool,
}

/// Which way phrases must pull to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Down,
    Up,
    Both,
}

impl Word {
    /// A phrase may begin or end with it.
    fn may_end(&self) -> bool {
        self.counts && !self.light
    }
}

/// The strongest phrases of `text`, strongest first. `weights` holds for each piece of `layout` what it added, in points of the score.
pub(crate) fn phrases(text: &str, layout: &Layout, weights: &[f32], side: Side) -> Vec<Evidence> {
    let signs: &[f32] = match side {
        Side::Down => &[-1.0],
        Side::Up => &[1.0],
        Side::Both => &[-1.0, 1.0],
    };
    let mut found = Vec::new();
    for sign in signs {
        let mut one_side = Vec::new();
        for clause in &layout.clauses {
            let words = words(text, clause.span, layout, weights, clause.pieces.clone());
            one_side.extend(strongest_stretch(&words, *sign).and_then(|stretch| evidence(text, stretch)));
        }
        one_side.sort_by(|a: &Evidence, b| b.weight.abs().total_cmp(&a.weight.abs()));
        one_side.truncate(MOST.div_ceil(signs.len()));
        found.extend(one_side);
    }
    found.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
    let least = found.first().map_or(0.0, |e| e.weight.abs() * WEAKEST);
    found.retain(|e| e.weight.abs() >= least && e.weight != 0.0);
    found.truncate(MOST);
    found
}

/// The words of a clause with what their pieces added. A piece belongs to the word it starts in.
fn words(
    text: &str,
    clause: Span,
    layout: &Layout,
    weights: &[f32],
    pieces: std::ops::Range<usize>,
) -> Vec<Word> {
    let Some(raw) = clause.of(text) else { return Vec::new() };
    let mut next = pieces.start;
    let mut words = Vec::new();
    for (at, word) in raw.split_word_bound_indices() {
        let span = Span { start: clause.start + at, end: clause.start + at + word.len() };
        let mut weight = 0.0;
        while next < pieces.end && layout.pieces[next].span.start < span.end {
            weight += weights.get(next).copied().unwrap_or_default();
            next += 1;
        }
        if !word.trim().is_empty() {
            let counts = word.contains(|c: char| c.is_alphanumeric() || emoji::speaks_alone(c));
            let ends = word.contains(['.', '!', '?', ';', ':', '(', ')', '"', '“', '”', '…']) && !counts;
            words.push(Word { span, weight, counts, light: is_light(word), ends });
        }
    }
    words
}

/// The stretch of at most [`LONGEST`] words that adds up to the most in direction `sign`, without light words at its ends. Each word must
/// bring [`WORTH`] of the strongest word to be worth its place; a stretch too short to be understood takes in its neighbours.
fn strongest_stretch(words: &[Word], sign: f32) -> Option<&[Word]> {
    let price = WORTH * words.iter().map(|w| sign * w.weight).fold(0.0, f32::max);
    let mut best: Option<(f32, usize, usize)> = None;
    for start in 0..words.len() {
        let (mut sum, mut counted) = (0.0, 0);
        for end in start + 1..=words.len().min(start + WIDEST) {
            let word = &words[end - 1];
            sum += sign * word.weight - if word.counts { price } else { 0.0 };
            counted += usize::from(word.counts);
            if counted > LONGEST || word.ends {
                break;
            }
            if words[start].may_end()
                && word.may_end()
                && sum > 0.0
                && best.is_none_or(|(most, ..)| sum > most)
            {
                best = Some((sum, start, end));
            }
        }
    }
    let (_, start, end) = best?;
    Some(widened(words, start, end, sign))
}

/// `words[start..end]` with neighbours until it has [`SHORTEST`] words, as far as there are any that do not pull the other way.
fn widened(words: &[Word], mut start: usize, mut end: usize, sign: f32) -> &[Word] {
    let mut counted = words[start..end].iter().filter(|w| w.counts).count();
    let pull =
        |word: Option<&Word>| word.filter(|w| !w.ends).map(|w| sign * w.weight).filter(|pull| *pull >= 0.0);
    let (first, last) = (start, end);
    while counted < SHORTEST && end - start < WIDEST {
        let before = pull(start.checked_sub(1).and_then(|i| words.get(i)));
        let after = pull(words.get(end));
        match (before, after) {
            (None, None) => break,
            (Some(b), a) if a.is_none_or(|a| b > a) => {
                start -= 1;
                counted += usize::from(words[start].counts);
            }
            _ => {
                counted += usize::from(words[end].counts);
                end += 1;
            }
        }
    }
    while start < first && !words[start].may_end() {
        start += 1;
    }
    while end > last && !words[end - 1].may_end() {
        end -= 1;
    }
    &words[start..end]
}

fn evidence(text: &str, stretch: &[Word]) -> Option<Evidence> {
    let span = Span { start: stretch.first()?.span.start, end: stretch.last()?.span.end };
    let weight = stretch.iter().map(|w| w.weight).sum();
    Some(Evidence::found(span, span.of(text)?.to_owned(), weight))
}

fn is_light(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "a" | "an"
            | "the"
            | "and"
            | "or"
            | "but"
            | "to"
            | "of"
            | "in"
            | "on"
            | "at"
            | "for"
            | "from"
            | "by"
            | "with"
            | "as"
            | "is"
            | "are"
            | "was"
            | "were"
            | "be"
            | "been"
            | "am"
            | "it"
            | "its"
            | "it's"
            | "i"
            | "i'm"
            | "me"
            | "my"
            | "we"
            | "our"
            | "us"
            | "you"
            | "your"
            | "he"
            | "she"
            | "they"
            | "them"
            | "his"
            | "her"
            | "their"
            | "this"
            | "that"
            | "these"
            | "those"
            | "there"
            | "has"
            | "have"
            | "had"
            | "do"
            | "does"
            | "did"
            | "will"
            | "would"
            | "so"
            | "if"
            | "then"
            | "which"
            | "who"
            | "what"
    )
}

#[cfg(test)]
mod tests {
    use super::super::layout::Clause;
    use super::super::tokenizer::Piece;
    use super::*;

    /// One piece per word, with the weight written behind it.
    fn lay(words: &[(&str, f32)]) -> (String, Layout, Vec<f32>) {
        let text = words.iter().map(|(w, _)| *w).collect::<Vec<_>>().join(" ");
        let mut at = 0;
        let pieces: Vec<Piece> = words
            .iter()
            .map(|(w, _)| {
                let span = Span { start: at, end: at + w.len() };
                at += w.len() + 1;
                Piece { id: 1, span }
            })
            .collect();
        let clause = Clause { span: Span { start: 0, end: text.len() }, pieces: 0..pieces.len() };
        let layout =
            Layout { clauses: vec![clause], pieces, windows: vec![], language: "en", unread_percent: 0 };
        (text, layout, words.iter().map(|(_, w)| *w).collect())
    }

    fn told(words: &[(&str, f32)], side: Side) -> Vec<(String, f32)> {
        let (text, layout, weights) = lay(words);
        phrases(&text, &layout, &weights, side).into_iter().map(|e| (e.text, e.weight)).collect()
    }

    #[test]
    fn a_phrase_is_what_pulls_together_without_light_words_at_its_ends() {
        let words = [
            ("the", -1.0),
            ("parcel", -2.0),
            ("never", -6.0),
            ("came", -3.0),
            ("to", -1.0),
            ("me", -1.0),
            ("today", 1.0),
        ];
        assert_eq!(told(&words, Side::Down), [("parcel never came".into(), -11.0)]);
        assert_eq!(told(&words, Side::Up), [("today".into(), 1.0)]);
    }

    #[test]
    fn both_sides_are_shown_where_both_are_asked_for() {
        let words = [("lovely", 8.0), ("sofa", 3.0), ("awful", -8.0), ("courier", -3.0)];
        assert_eq!(told(&words, Side::Both), [("awful courier".into(), -11.0), ("lovely sofa".into(), 11.0)]);
    }

    #[test]
    fn emoji_and_accents_stay_whole() {
        let words = [("cafe\u{301}", -4.0), ("👩🏽‍🚒", -9.0), ("fermé", -5.0)];
        assert_eq!(told(&words, Side::Down), [("cafe\u{301} 👩🏽‍🚒 fermé".into(), -18.0)]);
    }

    #[test]
    fn nothing_is_made_up_where_nothing_pulls() {
        assert_eq!(told(&[("the", -1.0), ("parcel", 0.0)], Side::Down), []);
    }
}
