//! Words and lists of words. Words are compared by their key: lower case and without accents, for many a customer writes "contrasena"
//! and "haslo".

use std::collections::HashSet;

use undertone_core::verdict::Span;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// `word` in lower case and without accents.
pub(super) fn key(word: &str) -> String {
    let mut key = String::with_capacity(word.len());
    write_key(word, &mut key);
    key
}

/// The key of `word` into `key`, for those who ask for that of every word of a text.
pub(super) fn write_key(word: &str, key: &mut String) {
    key.clear();
    if word.is_ascii() {
        key.push_str(word);
        key.make_ascii_lowercase();
        return;
    }
    for lower in word.chars().flat_map(char::to_lowercase) {
        decompose_canonical(lower, |part| push_plain(part, key));
    }
}

/// Letters that only look as if they had an accent have no canonical decomposition.
fn push_plain(part: char, key: &mut String) {
    match part {
        // Accents of Latin, Greek and Cyrillic, points of Hebrew and Arabic. The marks of Indian scripts are vowels and stay.
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{652}' => {}
        'ß' => key.push_str("ss"),
        'æ' => key.push_str("ae"),
        'œ' => key.push_str("oe"),
        'þ' => key.push_str("th"),
        // The signs of "nº" and "1ª" are letters.
        'ø' | 'º' => key.push('o'),
        'ª' => key.push('a'),
        'ł' => key.push('l'),
        'đ' | 'ð' => key.push('d'),
        'ı' => key.push('i'),
        'ς' => key.push('σ'),
        _ => key.push(part),
    }
}

/// Whether `c` is part of a word.
pub(super) fn is_letter(c: char) -> bool {
    c.is_alphabetic() || (!c.is_ascii() && is_combining_mark(c))
}

/// Starts with a capital letter and goes on in small ones.
pub(super) fn is_title_case(word: &str) -> bool {
    let mut letters = word.chars().filter(|c| c.is_alphabetic());
    letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
}

/// Starts with a capital letter, or is of a script that has none.
pub(super) fn is_capitalised(word: &str) -> bool {
    word.chars().next().is_some_and(|c| !c.is_lowercase())
}

/// Scripts that put no spaces between words, or hang particles on to names.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

/// The words of `text`: stretches of letters, in order. One that such a script follows without a space ends there: "Annaさん".
pub(super) fn words(text: &str) -> impl Iterator<Item = Span> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.get(from..)?;
        let start = from + rest.find(is_letter)?;
        let word = &text[start..];
        let unspaced = word.starts_with(is_unspaced);
        let length = word.find(|c: char| !is_letter(c) || is_unspaced(c) != unspaced).unwrap_or(word.len());
        from = start + length;
        Some(Span { start, end: from })
    })
}

/// A list of keys. One that ends in `*` stands for all that begin so, one that begins with `*` for all that end so.
pub(super) struct Lexicon {
    whole: HashSet<&'static str>,
    beginnings: HashSet<&'static str>,
    endings: HashSet<&'static str>,
}

impl Lexicon {
    /// The keys in `list`, which white space parts.
    pub(super) fn of(list: &'static str) -> Self {
        let mut lexicon = Self { whole: HashSet::new(), beginnings: HashSet::new(), endings: HashSet::new() };
        for entry in list.split_whitespace() {
            if let Some(beginning) = entry.strip_suffix('*') {
                lexicon.beginnings.insert(beginning);
            } else if let Some(ending) = entry.strip_prefix('*') {
                lexicon.endings.insert(ending);
            } else {
                lexicon.whole.insert(entry);
            }
        }
        lexicon
    }

    /// Whether `key` is in it.
    pub(super) fn has(&self, key: &str) -> bool {
        let cuts = || (1..=key.len()).filter_map(|at| key.split_at_checked(at));
        self.whole.contains(key)
            || (!self.beginnings.is_empty() && cuts().any(|(head, _)| self.beginnings.contains(head)))
            || (!self.endings.is_empty()
                && (self.endings.contains(key) || cuts().any(|(_, tail)| self.endings.contains(tail))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_forget_case_and_accents() {
        for (word, plain) in [
            ("HASŁO", "haslo"),
            ("contraseña", "contrasena"),
            ("Jose\u{301}", "jose"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("İnci", "inci"),
            ("Σίσυφος", "σισυφοσ"),
            ("Nguyễn", "nguyen"),
            ("Nº", "no"),
            ("हिन्दी", "हिन्दी"),
        ] {
            assert_eq!(key(word), plain);
        }
    }

    #[test]
    fn words_are_stretches_of_letters() {
        let text = "d'accès, anna_84 – Jose\u{301}!\0x";
        let told: Vec<_> = words(text).filter_map(|s| s.of(text)).collect();
        assert_eq!(told, ["d", "accès", "anna", "Jose\u{301}", "x"]);
        let mixed = "Annaさんとjörg";
        let told: Vec<_> = words(mixed).filter_map(|s| s.of(mixed)).collect();
        assert_eq!(told, ["Anna", "さんと", "jörg"]);
        assert_eq!(words("12 %").count(), 0);
    }

    #[test]
    fn capitals() {
        assert!(is_title_case("Will") && is_title_case("Élan") && !is_title_case("WILL"));
        assert!(!is_title_case("will") && !is_title_case("W") && !is_title_case(""));
        assert!(is_capitalised("WILL") && is_capitalised("王") && !is_capitalised("élan"));
    }

    #[test]
    fn a_list_holds_words_beginnings_and_endings() {
        let list = Lexicon::of("tel telef* *nummer");
        for (word, has) in [
            ("tel", true),
            ("tell", false),
            ("telefon", true),
            ("telef", true),
            ("nummer", true),
            ("hausnummer", true),
            ("nummern", false),
            ("", false),
            ("é", false),
        ] {
            assert_eq!(list.has(word), has, "{word}");
        }
    }
}
