//! What of a text a person can see, and a form in which two spellings of the same words are equal.
//!
//! Characters that show nothing can carry orders to a model, or make a summary read backwards on a page. A quote, on the other hand, is
//! the same quote with another apostrophe, in other case or with a line end for a space.

use std::borrow::Cow;

use undertone_core::verdict::Span;

/// So many characters without a shape may follow each other: an emoji of a couple needs two.
const MOST_SHAPELESS: usize = 2;
/// Longer runs of them hide something.
const SHAPELESS_HIDES: usize = 4;
/// So many of them inside plain words hide the words from a search.
const SPLIT_HIDES: usize = 5;
/// A flag such as Scotland's takes up to six tag characters and their end.
const LONGEST_FLAG: usize = 7;
/// A folded text knows about every so many bytes where it is in the original.
const MARK_EVERY: usize = 4096;

/// What a character looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A shape or a space.
    Shown,
    /// No shape of its own, but scripts and emoji need it: joiners, soft hyphens, variation selectors.
    Shapeless,
    /// Turns the order of what follows.
    Turns,
    /// A letter that can not be seen, made for flags.
    Tag,
    /// A control character.
    Control,
}

fn look(c: char) -> Look {
    match c {
        _ if c.is_whitespace() => Look::Shown,
        _ if c.is_control() => Look::Control,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Look::Turns,
        '\u{e0000}'..='\u{e007f}' => Look::Tag,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{e0080}'..='\u{e0fff}' => Look::Shapeless,
        _ => Look::Shown,
    }
}

/// Whether `c` has no shape of its own and is no space. [`visible`] leaves most of them out, redaction looks past all of them: else what it
/// does not know with one in the middle would be whole again once that is gone.
pub(crate) fn unseen(c: char) -> bool {
    look(c) != Look::Shown
}

/// `text` without what can not be seen. Joiners and selectors stay where scripts and emoji need them, at most two in a row.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| look(c) == Look::Shown) {
        return Cow::Borrowed(text);
    }
    let mut row = 0;
    let stays = |c: &char| match look(*c) {
        Look::Shown => {
            row = 0;
            true
        }
        Look::Shapeless => {
            row += 1;
            row <= MOST_SHAPELESS
        }
        Look::Turns | Look::Tag | Look::Control => false,
    };
    Cow::Owned(text.chars().filter(stays).collect())
}

/// Whether `text` hides words from whoever looks at it: letters made for flags outside a flag, a forced order of writing, rows of
/// characters without a shape, words split by them. Joined emoji, marks of right-to-left scripts and stray control characters are ordinary.
pub(crate) fn hides(text: &str) -> bool {
    let (mut row, mut tags, mut split) = (0, None, 0);
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match look(c) {
            Look::Turns if matches!(c, '\u{202d}' | '\u{202e}') => return true,
            Look::Tag => {
                let Some(length) = tags.filter(|length| *length < LONGEST_FLAG) else { return true };
                tags = Some(length + 1);
                continue;
            }
            Look::Shapeless => {
                row += 1;
                let between =
                    before.is_ascii_alphabetic() && chars.peek().is_some_and(char::is_ascii_alphabetic);
                split += usize::from(between && c != '\u{ad}');
                if row >= SHAPELESS_HIDES || split >= SPLIT_HIDES {
                    return true;
                }
            }
            Look::Shown | Look::Turns | Look::Control => row = 0,
        }
        tags = (c == '\u{1f3f4}').then_some(0);
        before = c;
    }
    false
}

/// Feeds `emit` what `c` is compared as: lower case, one kind of quotation mark and dash, one space for any run of white space, nothing for
/// what can not be seen.
fn fold(c: char, after_space: bool, emit: &mut impl FnMut(char)) {
    match c {
        _ if c.is_whitespace() => {
            if !after_space {
                emit(' ');
            }
        }
        _ if look(c) != Look::Shown => {}
        '‘' | '’' | '‚' | '‛' | '′' | '`' | '´' => emit('\''),
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => emit('"'),
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => emit('-'),
        '…' => "...".chars().for_each(emit),
        // Full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => {
            let plain = char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c);
            emit(plain.to_ascii_lowercase());
        }
        _ => c.to_lowercase().for_each(emit),
    }
}

/// A text, or stretches of it, as it is compared, and the way back to the original.
#[derive(Debug)]
pub(crate) struct Folded {
    /// The stretches one after the other; a NUL, which nothing folds to, stands between them.
    pub text: String,
    /// A place here, and the place in the original that folds to it.
    marks: Vec<(usize, usize)>,
}

impl Folded {
    /// The `stretches` of `text`.
    pub(crate) fn of(text: &str, stretches: &[Span]) -> Self {
        let mut folded = Self { text: String::new(), marks: Vec::new() };
        for stretch in stretches {
            if !folded.text.is_empty() {
                folded.text.push('\0');
            }
            folded.marks.push((folded.text.len(), stretch.start));
            let mut marked = 0;
            for (at, c) in stretch.of(text).unwrap_or_default().char_indices() {
                if at - marked >= MARK_EVERY {
                    folded.marks.push((folded.text.len(), stretch.start + at));
                    marked = at;
                }
                let spaced = after_space(&folded.text);
                fold(c, spaced, &mut |c| folded.text.push(c));
            }
        }
        folded
    }

    /// Words as they are compared, without white space around them.
    pub(crate) fn words(text: &str) -> String {
        let mut words = Self::of(text, &[Span { start: 0, end: text.len() }]).text;
        words.truncate(words.trim_end().len());
        words
    }

    /// What `from..to` of the folded text was in `original`, which must be the text it was made of.
    pub(crate) fn original(&self, original: &str, from: usize, to: usize) -> Option<Span> {
        let mark = self.marks.partition_point(|(folded, _)| *folded <= from).checked_sub(1)?;
        let (mut folded, origin) = *self.marks.get(mark)?;
        let mut space = after_space(self.text.get(..folded)?);
        let mut start = None;
        for (at, c) in original.get(origin..)?.char_indices() {
            fold(c, space, &mut |c| {
                folded += c.len_utf8();
                space = c == ' ';
            });
            if start.is_none() && folded > from {
                start = Some(origin + at);
            }
            if folded >= to {
                return Some(Span { start: start?, end: origin + at + c.len_utf8() });
            }
        }
        None
    }
}

/// White space that comes next says nothing more.
fn after_space(folded: &str) -> bool {
    folded.is_empty() || folded.ends_with([' ', '\0'])
}

/// Whether `from..to` of `text` cuts no word at its ends. Scripts without upper and lower case often write words without spaces, so that
/// nothing can be said there.
pub(crate) fn whole_words(text: &str, from: usize, to: usize) -> bool {
    let continues = |c: char| c.is_lowercase() || c.is_uppercase() || c.is_numeric();
    let cut = |at: usize| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at..).and_then(|t| t.chars().next());
        before.is_some_and(continues) && after.is_some_and(continues)
    };
    !cut(from) && !cut(to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> Vec<Span> {
        vec![Span { start: 0, end: text.len() }]
    }

    #[test]
    fn what_nobody_sees_is_taken_out_and_what_scripts_need_stays() {
        for (text, seen) in [
            ("plain\ttext\r\n", "plain\ttext\r\n"),
            ("nul\0 bell\u{7} escape\u{1b}[0m", "nul bell escape[0m"),
            ("turned \u{202e}sdrawkcab\u{202c} \u{2066}isolated\u{2069}", "turned sdrawkcab isolated"),
            ("tags \u{e0053}\u{e0043}\u{e004f}\u{e0052}\u{e0045}.", "tags ."),
            ("❤\u{fe0f}\u{200d}🔥 👨\u{200d}👩\u{200d}👧", "❤\u{fe0f}\u{200d}🔥 👨\u{200d}👩\u{200d}👧"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("x\u{e0100}\u{e0101}\u{e0102}\u{e0103}y", "x\u{e0100}\u{e0101}y"),
        ] {
            assert_eq!(visible(text), seen);
        }
    }

    #[test]
    fn hidden_words_are_noticed_and_ordinary_emoji_and_scripts_are_not() {
        let tags: String =
            "score 100".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
        for text in [
            format!("fine{tags}"),
            format!("🏴{tags}"),
            "evil \u{202e}desrever".to_owned(),
            "a\u{200b}\u{200c}\u{200d}\u{2060}b".to_owned(),
            "😀\u{e0101}\u{e0112}\u{e0123}\u{e0134}".to_owned(),
            "i\u{200b}g\u{200b}n\u{200b}o\u{200b}r\u{200b}e".to_owned(),
        ] {
            assert!(hides(&text), "{text:?}");
        }
        for text in [
            "Up the Scots 🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} and Wales 🏴\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
            "👩\u{200d}❤\u{fe0f}\u{200d}👨 👩🏽\u{200d}🚒",
            "\u{feff}from a file\0 with\u{85} noise",
            "\u{200f}שלום\u{200f} \u{202b}مرحبا\u{202c}",
            "Donau\u{ad}dampf\u{ad}schiff\u{ad}fahrts\u{ad}gesell\u{ad}schaft\u{ad}s\u{ad}kapitän",
            "ไม่\u{200b}พอใจ\u{200b}มาก\u{200b}จริง\u{200b}ๆ\u{200b}ครับ\u{200b}นะ",
        ] {
            assert!(!hides(text), "{text:?}");
        }
    }

    #[test]
    fn spellings_of_the_same_words_are_equal() {
        for (one, other) in [
            ("Doesn’t  work\n at — all…", "doesn't work at - all..."),
            ("“Great”, ＳＣＯＲＥ", "\"great\", score"),
            ("  s\u{200b}core\u{ad}d ", "scored"),
            ("İSTANBUL", "i\u{307}stanbul"),
            ("", ""),
        ] {
            assert_eq!(Folded::words(one), Folded::words(other), "{one}");
        }
        assert_ne!(Folded::words("now here"), Folded::words("nowhere"));
    }

    #[test]
    fn the_way_back_leads_to_the_characters_meant() {
        let text = "She  said\n“NEVER\u{ad} again”, İn 2024…";
        let folded = Folded::of(text, &whole(text));
        for (words, original) in [
            ("she said", "She  said"),
            ("never again", "NEVER\u{ad} again"),
            ("in 2024", ""),
            ("i\u{307}n", "İn"),
            ("2024..", "2024…"),
        ] {
            let span = folded.text.find(words).and_then(|at| folded.original(text, at, at + words.len()));
            assert_eq!(span.and_then(|s| s.of(text)).unwrap_or_default(), original, "{words}");
        }
    }

    #[test]
    fn nothing_is_found_across_stretches() {
        let text = "so late > quoted < again";
        let stretches = [Span { start: 0, end: 7 }, Span { start: 19, end: 24 }];
        let folded = Folded::of(text, &stretches);
        assert_eq!(folded.text, "so late\0again");
        let span = folded.original(text, 8, 13).unwrap();
        assert_eq!(span.of(text), Some("again"));
        assert!(!folded.text.contains("late again"));
    }

    #[test]
    fn words_are_cut_only_where_a_reader_sees_it() {
        let text = "nothing works, 1000 times. 没有收到 café";
        let of = |words: &str| {
            let at = text.find(words).unwrap();
            whole_words(text, at, at + words.len())
        };
        for fine in ["nothing", "works", "1000 times", "收到", "café", "."] {
            assert!(of(fine), "{fine}");
        }
        for cut in ["not", "thing works", "100", "caf"] {
            assert!(!of(cut), "{cut}");
        }
    }

    #[test]
    fn megabytes_are_folded_in_one_pass() {
        let text = "No \u{200b}Answer, ".repeat(600_000);
        let folded = Folded::of(&text, &whole(&text));
        assert!(folded.text.len() < text.len() && folded.marks.len() > 1000);
        let at = folded.text.len() - "answer, ".len();
        let span = folded.original(&text, at, at + 6).unwrap();
        assert_eq!((span.of(&text), span.end), (Some("Answer"), text.len() - 2));
    }

    proptest! {
        #[test]
        fn every_stretch_of_the_folded_text_leads_back(text in "(\\PC|[a-zA-Z ’\n\u{200b}\u{e0041}\u{ad}İß]){0,60}", a in 0usize..90, b in 0usize..90) {
            let folded = Folded::of(&text, &whole(&text));
            let (from, to) = (a.min(b), a.max(b));
            if let Some(words) = folded.text.get(from..to).filter(|w| !w.is_empty()) {
                let span = folded.original(&text, from, to).unwrap();
                let back = Folded::words(span.of(&text).unwrap());
                prop_assert!(back.contains(words.trim()), "{words:?} from {back:?}");
            }
            prop_assert!(folded.original(&text, folded.text.len(), folded.text.len() + 1).is_none());
        }

        #[test]
        fn seeing_is_idempotent(text in "(\\PC|[a\u{200b}\u{200d}\u{fe0f}\u{202e}\u{e0041}\0\n]){0,60}") {
            let seen = visible(&text).into_owned();
            prop_assert_eq!(visible(&seen), seen.as_str());
        }
    }
}
