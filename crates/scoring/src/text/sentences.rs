//! Sentences and clauses, as byte ranges.
//!
//! Sentences follow Unicode's rules (UAX #29), with two repairs those leave to the application: lines that a mail program wrapped belong
//! together, and an abbreviation does not end a sentence. Clauses are what a sentence falls into at "but", at semicolons, dashes and at
//! commas between longer parts: "love the product, hate the delivery" is two, each with a feeling of its own.

use undertone_core::verdict::Span;
use unicode_segmentation::UnicodeSegmentation;

/// The sentences of `text` within `stretch`, in order, without white space around them.
pub(crate) fn sentences(text: &str, stretch: Span) -> Vec<Span> {
    let mut found = Vec::new();
    for paragraph in paragraphs(text, stretch) {
        let Some(raw) = paragraph.of(text) else { continue };
        // A line end inside a paragraph is a wrapped line; one byte for one byte, so that places stay right.
        let flat: String = raw.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }).collect();
        let mut open: Option<Span> = None;
        for (at, piece) in flat.split_sentence_bound_indices() {
            let span = Span { start: paragraph.start + at, end: paragraph.start + at + piece.len() };
            let whole = Span { start: open.map_or(span.start, |o| o.start), end: span.end };
            let so_far = &flat[whole.start - paragraph.start..whole.end - paragraph.start];
            if ends_with_abbreviation(so_far) {
                open = Some(whole);
            } else {
                open = None;
                found.push(whole);
            }
        }
        found.extend(open);
    }
    let trimmed = found.into_iter().filter_map(|span| trim(text, span));
    let mut merged: Vec<Span> = Vec::new();
    for span in trimmed {
        let wordless = !span.of(text).is_some_and(|t| t.contains(char::is_alphanumeric));
        match merged.last_mut() {
            // "!!!" or an emoji after a sentence is part of it.
            Some(last) if wordless => last.end = span.end,
            _ => merged.push(span),
        }
    }
    merged
}

/// The clauses of one sentence; the sentence itself where it has no joints.
pub(crate) fn clauses(text: &str, sentence: Span) -> Vec<Span> {
    let Some(raw) = sentence.of(text) else { return Vec::new() };
    let words: Vec<(usize, &str)> = raw.unicode_word_indices().collect();
    // Places where a clause may start: before a contrast, after a strong mark, after a comma between longer parts.
    let mut starts = vec![0];
    let mut first_word = 0;
    for (i, (at, word)) in words.iter().enumerate().skip(1) {
        let (before, after) = (i - first_word, words.len() - i);
        let previous = words[i - 1];
        let gap = &raw[previous.0 + previous.1.len()..*at];
        let contrast = is_contrast(word) && before >= 2 && after >= 2;
        let mark = gap.contains([';', '—', '–', '(', '…']) || gap.contains(" - ") || gap.contains(" -- ");
        let comma = gap.contains([',', ':']) && before >= 3 && after >= 3;
        if contrast || (mark && before >= 2 && after >= 2) || comma {
            starts.push(*at);
            first_word = i;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([raw.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            trim(text, Span { start: sentence.start + start, end: sentence.start + end })
        })
        .collect()
}

fn is_contrast(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "but"
            | "however"
            | "although"
            | "though"
            | "yet"
            | "whereas"
            | "except"
            | "unfortunately"
            | "sadly"
            | "nevertheless"
            | "still"
    )
}

fn trim(text: &str, span: Span) -> Option<Span> {
    let raw = span.of(text)?;
    let start = span.start + (raw.len() - raw.trim_start().len());
    let end = span.start + raw.trim_end().len();
    (start < end).then_some(Span { start, end })
}

/// Stretches between line ends that really end something: a blank line, a line that ends like a sentence, a short line, or a next line
/// that does not go on in lower case.
fn paragraphs(text: &str, stretch: Span) -> Vec<Span> {
    let Some(raw) = stretch.of(text) else { return Vec::new() };
    let lines = super::lines(raw);
    let mut found = Vec::new();
    let mut start = 0;
    for pair in lines.windows(2) {
        let (line, next) = (pair[0].text.trim(), pair[1].text.trim());
        let wrapped = line.chars().count() >= 50
            && !line.ends_with(['.', '!', '?', ':', ';'])
            && next.starts_with(|c: char| c.is_lowercase() || c.is_numeric() || c == 'I');
        if !wrapped {
            found.push(Span { start: stretch.start + start, end: stretch.start + pair[0].span.end });
            start = pair[1].span.start;
        }
    }
    found.push(Span { start: stretch.start + start, end: stretch.end });
    found
}

fn ends_with_abbreviation(piece: &str) -> bool {
    let Some(head) = piece.trim_end().strip_suffix('.') else { return false };
    let last = head.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default().to_lowercase();
    matches!(
        last.as_str(),
        "mr" | "mrs"
            | "ms"
            | "dr"
            | "st"
            | "no"
            | "nr"
            | "e.g"
            | "i.e"
            | "approx"
            | "acc"
            | "acct"
            | "ref"
            | "inc"
            | "ltd"
            | "vs"
            | "cust"
            | "re"
            | "tel"
            | "ext"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> Span {
        Span { start: 0, end: text.len() }
    }

    fn split(text: &str) -> Vec<&str> {
        sentences(text, whole(text)).into_iter().filter_map(|s| s.of(text)).collect()
    }

    fn parts(text: &str) -> Vec<&str> {
        clauses(text, whole(text)).into_iter().filter_map(|s| s.of(text)).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(
            split("It broke. Again!! Mr. Hale said e.g. nothing."),
            ["It broke.", "Again!!", "Mr. Hale said e.g. nothing."]
        );
        assert_eq!(split("It broke. 😡"), ["It broke. 😡"]);
        assert_eq!(split("Hi,\n\nno answer yet\nsecond line"), ["Hi,", "no answer yet", "second line"]);
        let wrapped = "I have now been waiting for an answer to this question since\nthe third of March and would like one.";
        assert_eq!(split(wrapped), [wrapped]);
    }

    #[test]
    fn clauses_part_praise_from_complaint() {
        assert_eq!(parts("love the product, hate the delivery"), ["love the product,", "hate the delivery"]);
        assert_eq!(
            parts("The sofa is lovely but the courier was rude"),
            ["The sofa is lovely", "but the courier was rude"]
        );
        assert_eq!(
            parts("Oh great, another delay"),
            ["Oh great, another delay"],
            "short parts stay together"
        );
        assert_eq!(parts("But why"), ["But why"]);
    }

    proptest! {
        #[test]
        fn sentences_and_clauses_cover_every_word_once(text in "(\\PC|[a-z]{1,8}|[ .,;!?\n]| but | - ){0,80}") {
            let mut last = 0;
            let mut covered = 0;
            for sentence in sentences(&text, whole(&text)) {
                prop_assert!(sentence.start >= last);
                last = sentence.end;
                let mut inner = sentence.start;
                for clause in clauses(&text, sentence) {
                    prop_assert!(clause.start >= inner && clause.end <= sentence.end);
                    inner = clause.end;
                    covered += clause.of(&text).map_or(0, |t| t.chars().filter(|c| c.is_alphanumeric()).count());
                }
            }
            prop_assert_eq!(covered, text.chars().filter(|c| c.is_alphanumeric()).count());
        }
    }
}
