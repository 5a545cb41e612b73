//! Whether a text says what an answer quotes from it, and where.

use std::cell::OnceCell;

use undertone_core::Kind;
use undertone_core::text::cut;
use undertone_core::verdict::Span;

use super::super::visible::{Folded, whole_words};
use crate::text::own_words;

/// A longer quote is shortened at its end; nobody reads more than this as a keyword.
const LONGEST: usize = 300;

/// Where a quote stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the customer's own words.
    Own(Span),
    /// Only in what others wrote: another speaker, quoted mail, a signature.
    Others,
    /// Nowhere: it is made up.
    Nowhere,
}

/// A text to look quotes up in. Each look-up reads the text a fixed number of times, however often parts of the quote occur.
pub(super) struct Source<'t> {
    text: &'t str,
    /// The customer's stretches; the whole where it can not be told who wrote what.
    own: Vec<Span>,
    folded_own: OnceCell<Folded>,
    folded: OnceCell<Folded>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str, kind: Kind) -> Self {
        let own = own_words(text, kind).unwrap_or_else(|_| vec![Span { start: 0, end: text.len() }]);
        Self { text, own, folded_own: OnceCell::new(), folded: OnceCell::new() }
    }

    /// The text itself.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The whole text as it is compared.
    pub(super) fn folded(&self) -> &str {
        let whole = [Span { start: 0, end: self.text.len() }];
        &self.folded.get_or_init(|| Folded::of(self.text, &whole)).text
    }

    /// Looks `quote` up: as written, else whatever its case, spaces, dashes and quotation marks, else without marks or dots around it.
    /// Part of a word is no quote. A quote of more than 300 characters is cut at its end, between words.
    pub(super) fn locate(&self, quote: &str) -> Place {
        let quote = quote.trim();
        if !says_something(quote) {
            return Place::Nowhere;
        }
        let bare = quote.trim_matches(|c: char| c.is_whitespace() || "\"'“”„«»‘’….".contains(c));
        let found = self.exactly(quote).or_else(|| self.loosely(quote)).or_else(|| {
            (bare != quote && says_something(bare))
                .then(|| self.exactly(bare).or_else(|| self.loosely(bare)))?
        });
        if let Some(span) = found {
            return Place::Own(self.shorten(span));
        }
        let words = Folded::words(bare);
        if first(self.folded(), &words).is_some() { Place::Others } else { Place::Nowhere }
    }

    fn exactly(&self, quote: &str) -> Option<Span> {
        self.own.iter().find_map(|own| {
            // A stretch that is too short is passed over, however many there are.
            let stretch = own.of(self.text).filter(|stretch| stretch.len() >= quote.len())?;
            let start = own.start + first(stretch, quote)?;
            Some(Span { start, end: start + quote.len() })
        })
    }

    fn loosely(&self, quote: &str) -> Option<Span> {
        let words = Folded::words(quote);
        let folded = self.folded_own.get_or_init(|| Folded::of(self.text, &self.own));
        let from = first(&folded.text, &words)?;
        folded.original(self.text, from, from + words.len())
    }

    fn shorten(&self, span: Span) -> Span {
        let length = span.of(self.text).map_or(0, |quoted| cut(quoted, LONGEST));
        Span { start: span.start, end: span.start + length }
    }
}

/// Where `words` first stand in `text` without cutting a word.
fn first(text: &str, words: &str) -> Option<usize> {
    if words.is_empty() {
        return None;
    }
    let mut places = text.match_indices(words).map(|(at, _)| at);
    places.find(|at| whole_words(text, *at, at + words.len()))
}

/// A single letter or mark is found everywhere and says nothing; an ideograph or an emoji does.
fn says_something(quote: &str) -> bool {
    let mut chars = quote.chars();
    match (chars.next(), chars.next()) {
        (None, _) => false,
        (Some(c), None) => !c.is_ascii(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn located<'t>(text: &'t str, quote: &str) -> Option<&'t str> {
        match Source::new(text, Kind::Message).locate(quote) {
            Place::Own(span) => span.of(text),
            Place::Others | Place::Nowhere => None,
        }
    }

    #[test]
    fn a_quote_is_found_as_written_or_in_another_spelling() {
        let text = "Nobody  called\nME back, it’s “fine” — I said NEVER again… 👍🏽 cafe\u{301}!";
        for (quote, found) in [
            ("Nobody  called", "Nobody  called"),
            ("nobody called me back", "Nobody  called\nME back"),
            ("it's \"fine\" - I said never again", "it’s “fine” — I said NEVER again"),
            ("never again...", "NEVER again…"),
            ("“never again…”", "NEVER again"),
            ("...NEVER again...", "NEVER again"),
            ("\"ME back\"", "ME back"),
            ("👍", "👍"),
            ("👍🏽", "👍🏽"),
            ("cafe\u{301}", "cafe\u{301}"),
            ("  back,  ", "back,"),
        ] {
            assert_eq!(located(text, quote), Some(found), "{quote}");
        }
    }

    #[test]
    fn what_is_made_up_or_says_nothing_is_not_found() {
        let text = "Nothing works. Not even the door. I paid 1000.";
        for quote in [
            "",
            "  ",
            ".",
            "!",
            "\u{200b}\u{200b}",
            "thing",
            "100",
            "n",
            "works not",
            "nothing ... door",
            "Worx",
            "I",
        ] {
            assert_eq!(located(text, quote), None, "{quote}");
        }
        assert_eq!(located(text, "not"), Some("Not"), "the word, not a part of the first one");
        assert_eq!(located("", "x"), None);
        assert_eq!(Source::new(text, Kind::Message).locate("wonderful"), Place::Nowhere);
    }

    #[test]
    fn only_the_customers_own_words_can_be_evidence() {
        let text =
            "Agent: I am so sorry, what a disaster!\nCustomer: It is late. I said sorry too.\nAgent: Bye now";
        let source = Source::new(text, Kind::Transcript);
        assert_eq!(source.locate("what a disaster"), Place::Others);
        assert_eq!(source.locate("BYE NOW"), Place::Others);
        let Place::Own(span) = source.locate("sorry") else { panic!("the customer said it too") };
        assert_eq!(span.start, text.find("sorry too").unwrap());
        assert_eq!(source.locate("disaster! It is late"), Place::Nowhere, "nobody said that in one breath");
    }

    #[test]
    fn a_long_quote_is_cut_between_words() {
        let text = "very late indeed ".repeat(60);
        let found = located(&text, text.trim()).unwrap();
        assert!((280..=300).contains(&found.len()) && found.ends_with(char::is_alphabetic), "{found}");
    }

    #[test]
    fn megabytes_of_near_misses_take_no_longer_than_the_text() {
        let text = "ab".repeat(4_000_000);
        let source = Source::new(&text, Kind::Message);
        assert_eq!(source.locate(&"ab".repeat(2000)), Place::Nowhere, "it would cut a word");
        assert_eq!(source.locate(&format!("{}c", "ab".repeat(500))), Place::Nowhere);
    }

    proptest! {
        #[test]
        fn what_is_found_is_a_stretch_of_the_text_that_reads_like_the_quote(
            text in "(\\PC|[a-c ’\n\u{200b}]|Agent: |> ){0,40}",
            quote in "(\\PC|[a-cA-C '\n…]){0,6}",
        ) {
            if let Place::Own(span) = Source::new(&text, Kind::Message).locate(&quote) {
                let found = span.of(&text).expect("character boundaries");
                prop_assert!(!found.is_empty());
                let (found, quote) = (Folded::words(found), Folded::words(&quote));
                let bare = |words: &str| words.trim_matches(|c: char| c.is_whitespace() || "\"'.".contains(c)).to_owned();
                prop_assert_eq!(bare(&found), bare(&quote));
            }
        }

        #[test]
        fn words_of_a_text_are_always_found(text in "([a-zäéç]{2,6} ){1,12}", skip in 0usize..12, take in 1usize..4) {
            let words: Vec<&str> = text.split_whitespace().skip(skip).take(take).collect();
            if !words.is_empty() {
                prop_assert!(located(&text, &words.join("  ").to_uppercase()).is_some());
            }
        }
    }
}
