//! A text as recognisers read it. A number copied from a telephone's contacts carries invisible marks, one from a web page has spaces
//! that do not break and dashes of several lengths, a keyboard may write full-width or Arabic digits. All of these are made plain here,
//! once, so that no recogniser has to know them; the places in the original are remembered.

use undertone_core::verdict::Span;

use super::edits::Edits;
use crate::llm::unseen;

/// Stands for what a recogniser has found, for all recognisers after it: no letter, no digit, no space.
pub(super) const BLANK: char = '\0';

/// A plain copy of a text, which knows where everything stood.
pub(super) struct Folded {
    /// The copy.
    pub text: String,
    edits: Edits,
}

/// What becomes of a character.
enum Fate {
    Kept,
    Gone,
    Becomes(char),
}

impl Folded {
    /// Makes `original` plain.
    pub(super) fn of(original: &str) -> Self {
        let mut text = String::with_capacity(original.len());
        let mut edits = Edits::default();
        for (start, c) in original.char_indices() {
            let span = Span { start, end: start + c.len_utf8() };
            match fate(c) {
                Fate::Kept => text.push(c),
                Fate::Gone => {
                    edits.push(span, 0);
                }
                Fate::Becomes(plain) => {
                    text.push(plain);
                    edits.push(span, plain.len_utf8());
                }
            }
        }
        Self { text, edits }
    }

    /// Where `span` of the copy stood.
    pub(super) fn original(&self, span: Span) -> Span {
        self.edits.original(span)
    }

    /// Blanks `spans` of the copy, which are in order and do not overlap. Places stay as they are.
    pub(super) fn blank(&mut self, spans: impl Iterator<Item = Span>) {
        let mut blanked = String::with_capacity(self.text.len());
        for span in spans {
            let (Some(kept), Some(found)) = (self.text.get(blanked.len()..span.start), span.of(&self.text))
            else {
                continue;
            };
            let length = found.len();
            blanked.push_str(kept);
            blanked.extend(std::iter::repeat_n(BLANK, length));
        }
        blanked.push_str(self.text.get(blanked.len()..).unwrap_or_default());
        self.text = blanked;
    }
}

fn fate(c: char) -> Fate {
    match c {
        ' '..='~' => Fate::Kept,
        // What the prompt leaves out: joiners, marks of direction, selectors, tags, controls. And key caps, which stand around digits.
        _ if unseen(c) || c == '\u{20e3}' => Fate::Gone,
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Fate::Becomes(' '),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Fate::Becomes('-'),
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{b4}' => Fate::Becomes('\''),
        '\u{fe6b}' => Fate::Becomes('@'),
        // Full-width forms stand in ASCII's order.
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(c) - 0xff01 + u32::from(b'!')).map_or(Fate::Kept, Fate::Becomes)
        }
        _ => digit(c).map_or(Fate::Kept, Fate::Becomes),
    }
}

/// Zeros of the scripts whose digits people type; nine more follow each.
const ZEROS: [char; 16] = [
    '\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{17e0}',
];

/// The ASCII digit for a digit of another script or of mathematics.
fn digit(c: char) -> Option<char> {
    let value = match c {
        // Five alphabets of ten.
        '\u{1d7ce}'..='\u{1d7ff}' => (u32::from(c) - 0x1d7ce) % 10,
        _ => ZEROS.iter().find_map(|zero| u32::from(c).checked_sub(u32::from(*zero)).filter(|v| *v < 10))?,
    };
    char::from_digit(value, 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::llm::visible;

    proptest! {
        #[test]
        fn what_the_prompt_leaves_out_no_recogniser_sees(
            chars in proptest::collection::vec(
                prop_oneof![any::<char>(), proptest::char::range('\0', '\u{3200}'), proptest::char::range('a', 'z')],
                0..60,
            )
        ) {
            let text: String = chars.into_iter().collect();
            let folded = Folded::of(&text).text;
            prop_assert!(!folded.chars().any(unseen), "{folded:?}");
            prop_assert_eq!(folded, Folded::of(&visible(&text)).text);
        }
    }

    #[test]
    fn what_only_looks_different_becomes_plain() {
        for (written, plain) in [
            ("\u{202a}+49\u{a0}171\u{2011}23\u{202c}", "+49 171-23"),
            ("ａｎｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "anna@example.com"),
            ("٠١٧١ ۰۱۷۱ ०१७१ 𝟎𝟏𝟟𝟙", "0171 0171 0171 0171"),
            ("0\u{fe0f}\u{20e3}1\u{fe0f}\u{20e3}", "01"),
            ("Anna’s – naïve 👍", "Anna's - naïve 👍"),
            ("", ""),
        ] {
            assert_eq!(Folded::of(written).text, plain);
        }
    }

    #[test]
    fn places_in_the_original_are_remembered() {
        let written = "é \u{200b}０１\u{200b}７!";
        let folded = Folded::of(written);
        let at = folded.text.find("017").unwrap();
        let span = folded.original(Span { start: at, end: at + 3 });
        assert_eq!(span.of(written), Some("０１\u{200b}７"), "without the marks around it");
    }

    #[test]
    fn blanks_leave_all_else_where_it_was() {
        let mut folded = Folded::of("a füß c");
        folded.blank([Span { start: 2, end: 7 }].into_iter());
        assert_eq!(folded.text, "a \0\0\0\0\0 c");
        folded.blank([Span { start: 0, end: 1 }, Span { start: 8, end: 9 }].into_iter());
        assert_eq!(folded.text, "\0 \0\0\0\0\0 \0");
        folded.blank([Span { start: 3, end: 90 }].into_iter());
        assert_eq!(folded.text, "\0 \0\0\0\0\0 \0", "a stretch that does not fit is left alone");
    }
}
