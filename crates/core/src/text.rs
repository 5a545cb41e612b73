//! Lengths and cuts of text as a reader sees them: in characters, never inside one, and between words where there are words.

use unicode_segmentation::UnicodeSegmentation;

/// Number of characters once leading and trailing white space is gone: what `min_note_length` counts.
#[must_use]
pub fn length(text: &str) -> usize {
    text.trim().chars().count()
}

/// The longest beginning of `text` of at most `max_chars` characters, in bytes, that ends between words; where a single word is
/// longer than that, between what a reader sees as characters (an emoji with its skin tone stays whole); and where even
/// one of these is longer, between code points.
///
/// ```
/// use undertone_core::text::cut;
/// assert_eq!(&"still no answer"[..cut("still no answer", 10)], "still no");
/// assert_eq!(cut("short", 8000), 5);
/// ```
#[must_use]
pub fn cut(text: &str, max_chars: usize) -> usize {
    let Some((limit, _)) = text.char_indices().nth(max_chars) else { return text.len() };
    // Only the neighbourhood of the limit matters: a text of megabytes costs no more to cut than a page.
    let from = text[..limit].char_indices().rev().nth(255).map_or(0, |(i, _)| i);
    let to = text[limit..].char_indices().nth(64).map_or(text.len(), |(i, _)| limit + i);
    let near = &text[from..to];
    let last_end = |lengths: &mut dyn Iterator<Item = usize>| {
        lengths
            .scan(from, |end, length| {
                *end += length;
                Some(*end)
            })
            .take_while(|end| *end <= limit)
            .last()
            .filter(|end| *end > from)
    };
    let words = last_end(&mut near.split_word_bounds().map(str::len)).map(|end| text[..end].trim_end().len());
    words
        .filter(|end| *end > from)
        .or_else(|| last_end(&mut near.graphemes(true).map(str::len)))
        .unwrap_or(limit)
}

/// Ends with the line that stands under each comment of ours in a helpdesk: `(Undertone <id>)`. A quoted one is not ours any more.
///
/// ```
/// use undertone_core::text::is_own;
/// assert!(is_own("Negative, -80\n\n(Undertone 019abf50-2f6e-7c41-9d3e-5a1f0c7b2e88)\n"));
/// assert!(!is_own("Thanks for nothing.\n> (Undertone 019abf50-2f6e-7c41-9d3e-5a1f0c7b2e88)"));
/// ```
#[must_use]
pub fn is_own(text: &str) -> bool {
    let last = text.trim_end().rsplit(['\n', '\r']).next().unwrap_or_default().trim_start();
    let id = last.strip_prefix("(Undertone ").and_then(|rest| rest.strip_suffix(')'));
    id.is_some_and(|id| id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

/// One slip of the finger apart: equal but for a stretch of at most two characters. For "did you mean …?".
///
/// ```
/// use undertone_core::text::resembles;
/// assert!(resembles("occurred_at", "ocurred_at") && !resembles("kind", "channel"));
/// ```
#[must_use]
pub fn resembles(known: &str, typed: &str) -> bool {
    let common = |a: &mut dyn Iterator<Item = char>, b: &mut dyn Iterator<Item = char>| {
        a.zip(b).take_while(|(x, y)| x == y).count()
    };
    let front = common(&mut known.chars(), &mut typed.chars());
    let back = common(&mut known.chars().rev(), &mut typed.chars().rev());
    let longest = known.chars().count().max(typed.chars().count());
    longest <= front + back + 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_falls_between_words() {
        let text = "I have been waiting since Tuesday";
        assert_eq!(&text[..cut(text, 19)], "I have been waiting");
        assert_eq!(&text[..cut(text, 22)], "I have been waiting");
        assert_eq!(&text[..cut(text, 25)], "I have been waiting since");
    }

    #[test]
    fn a_word_without_end_is_cut_between_its_characters() {
        let text = "a".repeat(100_000);
        assert_eq!(cut(&text, 8000), 8000);
        let family = "👨‍👩‍👧‍👦".repeat(50);
        let kept = &family[..cut(&family, 40)];
        assert_eq!(kept.len() % "👨‍👩‍👧‍👦".len(), 0, "no family is torn apart");
        let zalgo = format!("e{}", "\u{301}".repeat(9000));
        assert_eq!(zalgo[..cut(&zalgo, 100)].chars().count(), 100);
    }

    #[test]
    fn lengths_ignore_the_white_space_around() {
        assert_eq!(length("  \u{a0}Called.\n"), 7);
        assert_eq!(length("日本語"), 3);
    }

    proptest! {
        #[test]
        fn a_cut_is_a_boundary_and_short_enough(text in "(\\PC|[ \n👍🏽e\u{301}\u{200d}]){0,400}", max in 1usize..120) {
            let end = cut(&text, max);
            prop_assert!(text.is_char_boundary(end));
            prop_assert!(text[..end].chars().count() <= max);
            if text.chars().count() <= max {
                prop_assert_eq!(end, text.len());
            }
        }

        #[test]
        fn a_cut_never_loses_more_than_a_word(words in prop::collection::vec("[a-z]{1,12}", 5..60), max in 20usize..200) {
            let text = words.join(" ");
            let end = cut(&text, max);
            if end < text.len() {
                prop_assert!(text[..end].chars().count() + 13 >= max);
                prop_assert!(text[end..].starts_with(' '));
            }
        }
    }
}
