//! Which language a sentence is in, as far as it decides whether the model may read it.
//!
//! `whichlang` tells English from other languages: right on 99.0 % of 400 English film subtitles of 15 to 200 characters and on 99.7 % of
//! our own support messages, and it takes under 2 % of German, French, Spanish, Portuguese, Italian and Dutch ones for English. It knows
//! sixteen languages and always answers one, so what it calls Turkish may be Basque; the name comes from `whatlang`, which knows 69, and is
//! `und` where the two give no sure answer. See docs/decisions/0004-language.md.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_segmentation::UnicodeSegmentation;

/// Up to so many letters a text may be English though `whichlang` thinks otherwise.
const SHORT: usize = 60;

/// Known words in a short text that is English after all.
const ALL_BUT_KNOWN: f32 = 0.9;

/// Known words in a sentence that is English as the text around it is.
pub(crate) const MOSTLY_KNOWN: f32 = 0.6;

/// English words of customers that often stand alone ("Scammers!") and are none of the encoder's own, which reads them in pieces. Of
/// those that other languages have as well, such as "wow", the sense is the same.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("english.txt").split_whitespace().collect());

/// Whether an English word is one that customers often write.
pub(crate) fn is_common(word: &str) -> bool {
    COMMON.contains(word.to_lowercase().as_str())
}

/// Whether the text is English. In a short text, which is hard to tell by its letters, `is_known` decides: whether a word is one of
/// the encoder's own, or one that we know. Nine of ten must be, and all of plain letters.
pub(crate) fn is_english(text: &str, is_known: impl Fn(&str) -> bool) -> bool {
    if whichlang::detect_language(text) == whichlang::Lang::Eng {
        return true;
    }
    let mut letters = text.chars().filter(|c| c.is_alphabetic());
    if letters.clone().any(|c| !c.is_ascii()) || letters.nth(SHORT).is_some() {
        return false;
    }
    known_share(text, is_known) >= ALL_BUT_KNOWN
}

/// Part of the words of `text` that are known, 0..=1; 1 where there are none.
pub(crate) fn known_share(text: &str, is_known: impl Fn(&str) -> bool) -> f32 {
    let words = || text.unicode_words().filter(|w| w.chars().any(char::is_alphabetic));
    match words().count() {
        0 => 1.0,
        all => words().filter(|w| is_known(w)).count() as f32 / all as f32,
    }
}

/// Enough words to tell by themselves.
pub(crate) fn can_tell(text: &str) -> bool {
    text.split_whitespace().nth(3).is_some() && text.chars().filter(|c| c.is_alphabetic()).count() >= 16
        // Scripts without spaces between words.
        || text.chars().filter(|c| ('\u{2e80}'..'\u{e000}').contains(c)).count() >= 4
}

/// ISO 639-1 code of a text that is not English, or `und`.
pub(crate) fn name(text: &str) -> &'static str {
    use whichlang::Lang;
    let near = match whichlang::detect_language(text) {
        Lang::Ara => "ar",
        Lang::Cmn => "zh",
        Lang::Deu => "de",
        Lang::Eng => "en",
        Lang::Fra => "fr",
        Lang::Hin => "hi",
        Lang::Ita => "it",
        Lang::Jpn => "ja",
        Lang::Kor => "ko",
        Lang::Nld => "nl",
        Lang::Por => "pt",
        Lang::Rus => "ru",
        Lang::Spa => "es",
        Lang::Swe => "sv",
        Lang::Tur => "tr",
        Lang::Vie => "vi",
    };
    let Some(other) = whatlang::detect(text) else { return "und" };
    let named = iso(other.lang());
    if named == near || other.is_reliable() { named } else { "und" }
}

/// Two-letter codes of the languages our users' customers write most; `und` for the rest.
fn iso(lang: whatlang::Lang) -> &'static str {
    use whatlang::Lang;
    match lang {
        Lang::Eng => "en",
        Lang::Deu => "de",
        Lang::Fra => "fr",
        Lang::Spa => "es",
        Lang::Por => "pt",
        Lang::Ita => "it",
        Lang::Nld => "nl",
        Lang::Swe => "sv",
        Lang::Dan => "da",
        Lang::Nob => "nb",
        Lang::Fin => "fi",
        Lang::Pol => "pl",
        Lang::Ces => "cs",
        Lang::Slk => "sk",
        Lang::Hun => "hu",
        Lang::Ron => "ro",
        Lang::Bul => "bg",
        Lang::Ell => "el",
        Lang::Rus => "ru",
        Lang::Ukr => "uk",
        Lang::Tur => "tr",
        Lang::Ara => "ar",
        Lang::Heb => "he",
        Lang::Pes => "fa",
        Lang::Hin => "hi",
        Lang::Ben => "bn",
        Lang::Tha => "th",
        Lang::Vie => "vi",
        Lang::Ind => "id",
        Lang::Cmn => "zh",
        Lang::Jpn => "ja",
        Lang::Kor => "ko",
        Lang::Cat => "ca",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Slv => "sl",
        Lang::Est => "et",
        Lang::Lav => "lv",
        Lang::Lit => "lt",
        _ => "und",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_and_named() {
        let unknown = |_: &str| false;
        assert!(is_english("Please advise on the current status of my ticket", unknown));
        assert!(is_english("No complaints so far.", |_| true), "told by its words");
        for (text, code) in [
            ("Ich warte seit drei Wochen auf eine Antwort von Ihnen.", "de"),
            ("Llevo tres semanas esperando una respuesta y nadie contesta.", "es"),
            ("请问我的订单什么时候能到", "zh"),
            ("Nadal nie otrzymałem odpowiedzi na moje zgłoszenie sprzed dwóch tygodni", "pl"),
        ] {
            assert!(!is_english(text, unknown), "{text}");
            assert_eq!(name(text), code, "{text}");
        }
    }

    #[test]
    fn a_few_words_are_too_few() {
        assert!(!can_tell("ok danke dir"));
        assert!(!can_tell("1 2 3 4 5"));
        assert!(can_tell("where is my order now"));
        assert!(can_tell("请问我的订单"));
    }
}
