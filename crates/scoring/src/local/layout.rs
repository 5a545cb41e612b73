//! A text laid out for reading: the customer's own sentences in a language the model knows, their clauses, their word pieces, and the
//! windows in which the encoder sees them.

use std::ops::Range;

use undertone_core::verdict::Span;
use undertone_core::{Kind, SkipReason};

use super::tokenizer::{Piece, WordPieces};
use super::{emoji, language};
use crate::NoVerdict;
use crate::text::{own_words, sentences};

/// A clause and its word pieces, as indices into [`Layout::pieces`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    pub span: Span,
    pub pieces: Range<usize>,
}

/// What is read of one text.
#[derive(Debug)]
pub(crate) struct Layout {
    /// In the order of the text; at least one, none empty.
    pub clauses: Vec<Clause>,
    /// In the order of the text.
    pub pieces: Vec<Piece>,
    /// Stretches of pieces that the encoder sees at once.
    pub windows: Vec<Range<usize>>,
    /// Main language of what is read; `und` where it has no letters.
    pub language: &'static str,
    /// Percent of the customer's letters that are not read because of their language.
    pub unread_percent: u8,
}

/// More of a text than this in other languages, in percent of its letters, and none of it is read: the rest would stand for the whole.
const MOST_UNREAD: usize = 50;

/// Lays out `text` for windows of at most `window` pieces, or says why it is not read.
pub(crate) fn lay_out(
    text: &str,
    kind: Kind,
    pieces: &WordPieces,
    window: usize,
) -> Result<Layout, NoVerdict> {
    let stretches = own_words(text, kind)?;
    let sentences: Vec<Span> = stretches.iter().flat_map(|s| sentences::sentences(text, *s)).collect();
    if !has_words(text, &sentences) {
        return Err(SkipReason::NoWords.into());
    }
    let readable = readable(text, &sentences, pieces);
    let letters = |span: &Span| span.of(text).map_or(0, |t| t.chars().filter(|c| c.is_alphabetic()).count());
    let all: usize = sentences.iter().map(letters).sum();
    let unread: usize = sentences.iter().zip(&readable).filter(|(_, r)| !**r).map(|(s, _)| letters(s)).sum();
    if unread * 100 > all * MOST_UNREAD {
        return Err(foreign(text, &sentences));
    }

    let mut layout = Layout {
        clauses: Vec::new(),
        pieces: Vec::new(),
        windows: Vec::new(),
        // Emoji are of no language.
        language: if all == 0 { "und" } else { "en" },
        unread_percent: (100 * unread).div_ceil(all.max(1)).min(100) as u8,
    };
    let room = window.saturating_sub(2).max(1);
    for (sentence, _) in sentences.iter().zip(&readable).filter(|(_, readable)| **readable) {
        let first = layout.pieces.len();
        for span in sentences::clauses(text, *sentence) {
            let from = layout.pieces.len();
            layout.pieces.extend(pieces.pieces(span.of(text).unwrap_or_default(), span.start));
            if layout.pieces.len() > from {
                layout.clauses.push(Clause { span, pieces: from..layout.pieces.len() });
            }
        }
        layout.add_to_windows(first, room);
    }
    if layout.pieces.iter().all(|p| p.id == pieces.unknown) {
        return Err(SkipReason::NoWords.into());
    }
    Ok(layout)
}

impl Layout {
    /// Puts the pieces from `first` on into the last window if they fit, else into new ones of at most `room` pieces.
    fn add_to_windows(&mut self, first: usize, room: usize) {
        let end = self.pieces.len();
        match self.windows.last_mut() {
            Some(last) if end - last.start <= room => last.end = end,
            _ => {
                let mut start = first;
                while start < end {
                    let stop = end.min(start + room);
                    self.windows.push(start..stop);
                    start = stop;
                }
            }
        }
    }
}

fn foreign(text: &str, sentences: &[Span]) -> NoVerdict {
    let language = language::name(&joined(text, sentences));
    NoVerdict::Abstained { reason: SkipReason::LanguageNotValidated, language: Some(language.to_owned()) }
}

fn joined(text: &str, sentences: &[Span]) -> String {
    sentences.iter().filter_map(|s| s.of(text)).collect::<Vec<_>>().join(" ")
}

/// There are words at all, or emoji that speak for themselves, and they are a good part of the text: a dump of numbers or an encoded file
/// is not a customer's voice.
fn has_words(text: &str, sentences: &[Span]) -> bool {
    let (mut letters, mut emoji, mut visible) = (0usize, 0usize, 0usize);
    let mut longest_run = 0usize;
    for sentence in sentences {
        let mut run = 0;
        for c in sentence.of(text).unwrap_or_default().chars() {
            if c.is_alphabetic() {
                letters += 1;
                run += 1;
                longest_run = longest_run.max(run);
            } else {
                run = 0;
            }
            emoji += usize::from(emoji::speaks_alone(c));
            visible += usize::from(!c.is_whitespace() && !emoji::is_mark(c));
        }
    }
    (longest_run >= 2 || emoji > 0) && (letters + emoji) * 3 >= visible
}

/// For each sentence whether it is in a language the model reads. Short sentences follow the text as a whole, and in an English text it
/// takes more to call a sentence foreign: slang, names and typing errors look foreign too.
fn readable(text: &str, sentences: &[Span], pieces: &WordPieces) -> Vec<bool> {
    let known = |word: &str| pieces.knows(word) || language::is_common(word);
    let whole = language::is_english(&joined(text, sentences), known);
    sentences
        .iter()
        .map(|s| match s.of(text) {
            Some(sentence) if language::can_tell(sentence) => {
                language::is_english(sentence, known)
                    || (whole && language::known_share(sentence, known) >= language::MOSTLY_KNOWN)
            }
            _ => whole,
        })
        .collect()
}
