//! What of a model's summary may stand on a page under our name: two sentences in plain words about the text.

use undertone_core::text::cut;
use undertone_core::verdict::Span;

use super::super::visible::{Folded, visible};
use super::quote::Source;
use crate::text::sentences::sentences;

/// A summary has at most so many characters.
const LONGEST: usize = 400;
/// And so many sentences.
const MOST_SENTENCES: usize = 2;
/// What stands behind this many characters is never looked at.
const MOST_READ: usize = 4 * LONGEST;

/// Why a summary is not used, and the verdict with it: a model that writes such a thing has listened to the customer, not to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SummaryFault {
    /// It says nothing.
    #[error("the summary is empty")]
    Empty,
    /// It holds an address that the text does not.
    #[error("the summary holds a link that is not in the text")]
    Link,
    /// It names something that redaction is said to have taken out, and did not.
    #[error("the summary holds a placeholder that is not in the text")]
    Placeholder,
}

/// The summary as it may be shown: visible characters on one line, no markup, at most two sentences and 400 characters. A link that is in
/// the text becomes "(link)".
pub(super) fn clean(summary: &str, source: &Source<'_>) -> Result<String, SummaryFault> {
    let beginning: String = summary.chars().take(MOST_READ).collect();
    let plain = visible(&beginning).replace('<', "‹").replace('>', "›");
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = Span { start: 0, end: line.len() };
    let end = sentences(&line, whole).get(MOST_SENTENCES - 1).map_or(line.len(), |second| second.end);
    let line = without_links(line.get(..end).unwrap_or(&line), source)?;
    if placeholders(&line).any(|placeholder| !source.text().contains(&placeholder)) {
        return Err(SummaryFault::Placeholder);
    }
    if !line.contains(char::is_alphanumeric) {
        return Err(SummaryFault::Empty);
    }
    if line.chars().count() <= LONGEST {
        return Ok(line);
    }
    Ok(format!("{}…", &line[..cut(&line, LONGEST - 1)]))
}

fn without_links(line: &str, source: &Source<'_>) -> Result<String, SummaryFault> {
    let mut words = Vec::new();
    for word in line.split(' ') {
        // What encloses an address is no part of it; a stop ends the sentence.
        let bare = bare(word);
        match address(bare) {
            Address::None => words.push(word.to_owned()),
            _ if !source.folded().contains(&Folded::words(bare)) => return Err(SummaryFault::Link),
            Address::Name => words.push(word.to_owned()),
            Address::Link => words.push(word.replacen(bare, "(link)", 1)),
        }
    }
    Ok(words.join(" "))
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// What a word points to.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    None,
    /// Something a mail program may make a link of: `shop.example`, `jo@shop.example`, but also `Node.js`.
    Name,
    /// A link by its form.
    Link,
}

fn address(word: &str) -> Address {
    let lower = word.to_lowercase();
    let schemes = ["www.", "mailto:", "javascript:", "data:", "tel:"];
    if lower.contains("://") || lower.contains("](") || schemes.iter().any(|scheme| lower.starts_with(scheme))
    {
        return Address::Link;
    }
    let host = lower.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let well_formed = |label: &&str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    let ends_like_one =
        labels.last().is_some_and(|last| last.chars().count() >= 2 && last.chars().all(char::is_alphabetic));
    if labels.len() >= 2 && labels.iter().all(well_formed) && ends_like_one {
        Address::Name
    } else {
        Address::None
    }
}

/// What looks like a placeholder of ours, such as `[EMAIL_1]`, in capital letters.
fn placeholders(text: &str) -> impl Iterator<Item = String> {
    text.split('[').skip(1).filter_map(|after| {
        let (inside, _) = after.split_once(']')?;
        let (name, number) = inside.rsplit_once('_')?;
        let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
        let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (named && numbered).then(|| format!("[{}]", inside.to_ascii_uppercase()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use undertone_core::Kind;

    use super::*;

    fn told(summary: &str, text: &str) -> Result<String, SummaryFault> {
        clean(summary, &Source::new(text, Kind::Message))
    }

    #[test]
    fn a_summary_is_two_plain_sentences_on_one_line() {
        for (summary, shown) in [
            (
                "The customer is angry.\n\tThe parcel\u{202e} is late.\0",
                "The customer is angry. The parcel is late.",
            ),
            ("One. Two! Three? Four.", "One. Two!"),
            ("The customer can't find <b>Save</b>.", "The customer can't find ‹b›Save‹/b›."),
            (
                "Rated 9.5, e.g. by p.m. and/or a.m., v2 of the 3.5mm jack.",
                "Rated 9.5, e.g. by p.m. and/or a.m., v2 of the 3.5mm jack.",
            ),
            ("顾客很生气。包裹没到。请退款。", "顾客很生气。包裹没到。"),
        ] {
            assert_eq!(told(summary, "").as_deref(), Ok(shown));
        }
        let long = told(&"word ".repeat(2000), "").unwrap();
        assert_eq!((long.chars().count(), long.ends_with("word…")), (400, true), "{long}");
        let solid = told(&"é".repeat(9000), "").unwrap();
        assert_eq!(solid.chars().count(), 400);
    }

    #[test]
    fn a_summary_that_says_nothing_is_none() {
        for empty in ["", " \n", "...", "\u{202e}\u{e0041}", "‹›"] {
            assert_eq!(told(empty, "some text"), Err(SummaryFault::Empty), "{empty:?}");
        }
    }

    #[test]
    fn links_must_be_the_customers_and_are_not_repeated() {
        for link in [
            "https://evil.example/pay",
            "HTTP://EVIL.EXAMPLE",
            "(www.evil.example)",
            "[here](javascript:alert)",
            "//evil.example/pay",
            "evil.example.",
            "“evil.example”,",
            "help@evil.example",
            "mailto:x",
            "пример.рф",
        ] {
            assert_eq!(
                told(&format!("The customer says {link} now"), "no such words"),
                Err(SummaryFault::Link),
                "{link}"
            );
        }
        let text = "I opened https://shop.example/login?a=1 with Node.js and wrote to help@shop.example";
        for (summary, shown) in [
            ("They opened (https://shop.example/login?a=1).", "They opened ((link))."),
            ("They use node.js.", "They use node.js."),
            ("They wrote to help@shop.example.", "They wrote to help@shop.example."),
        ] {
            assert_eq!(told(summary, text).as_deref(), Ok(shown));
        }
        assert_eq!(told("They opened https://shop.example/other", text), Err(SummaryFault::Link));
    }

    #[test]
    fn placeholders_must_be_in_the_text() {
        let text = "Write to [EMAIL_1] or [ORDER_ID_12].";
        assert!(told("They ask to be written to at [EMAIL_1] about [ORDER_ID_12].", text).is_ok());
        for wrong in ["[EMAIL_2]", "[email_2]", "x[PHONE_1]y"] {
            assert_eq!(
                told(&format!("They gave {wrong} too."), text),
                Err(SummaryFault::Placeholder),
                "{wrong}"
            );
        }
        assert!(told("They wrote [sic] and [note_a] and [_1].", text).is_ok());
        assert!(told("They gave [email_1].", text).is_ok());
    }

    proptest! {
        #[test]
        fn a_summary_that_is_shown_is_short_visible_and_plain(summary in "(\\PC|[a-z .!?<>\n\u{202e}\0]|\\[EMAIL_1\\]){0,600}") {
            if let Ok(shown) = told(&summary, "a text") {
                prop_assert!(shown.chars().count() <= LONGEST && shown.contains(char::is_alphanumeric));
                let hidden = shown.contains(['<', '>', '\n', '\0', '\u{202e}']) || shown.contains("[EMAIL_1]");
                prop_assert!(!hidden, "{shown}");
                prop_assert!(shown.split(' ').all(|word| address(bare(word)) != Address::Link));
            }
        }
    }
}
