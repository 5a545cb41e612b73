//! What of a text is the customer's own, and how it falls into sentences and clauses. Everything is byte ranges of the original
//! text: nothing is rewritten, so evidence can point into it.

pub mod quotes;
pub mod sentences;
pub mod transcript;

use undertone_core::verdict::Span;
use undertone_core::{Kind, SkipReason};

/// A line without its line end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'t> {
    /// Where it stands.
    pub span: Span,
    /// Its text.
    pub text: &'t str,
}

/// The lines of `text`; `\n`, `\r\n` and `\r` end them.
pub(crate) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for piece in text.split_inclusive(['\n', '\r']) {
        let content = piece.trim_end_matches(['\n', '\r']);
        lines.push(Line { span: Span { start, end: start + content.len() }, text: content });
        start += piece.len();
    }
    lines
}

/// The stretches of `text` that the customer wrote or said, in order: without the other speakers of a transcript, quoted history and
/// signatures. Fails with [`SkipReason::NothingFromCustomer`] when none is left, or when a transcript does not tell who is who.
pub fn own_words(text: &str, kind: Kind) -> Result<Vec<Span>, SkipReason> {
    let lines = lines(text);
    let spans = match transcript::customer_turns(&lines, kind == Kind::Transcript) {
        transcript::Turns::NotATranscript => quotes::without_history(&lines),
        transcript::Turns::Customer(turns) => turns,
        transcript::Turns::UnknownSpeakers => return Err(SkipReason::NothingFromCustomer),
    };
    let spans: Vec<Span> = spans
        .into_iter()
        .filter_map(|span| {
            let inner = span.of(text)?;
            let start = span.start + (inner.len() - inner.trim_start().len());
            let end = span.start + inner.trim_end().len();
            (start < end).then_some(Span { start, end })
        })
        .collect();
    if spans.is_empty() { Err(SkipReason::NothingFromCustomer) } else { Ok(spans) }
}

/// Joins lines that follow each other into one stretch each.
pub(crate) fn join(kept: impl IntoIterator<Item = (usize, Span)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut last = None;
    for (number, span) in kept {
        match spans.last_mut() {
            Some(open) if last == Some(number.wrapping_sub(1)) => open.end = span.end,
            _ => spans.push(span),
        }
        last = Some(number);
    }
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_know_where_they_stand() {
        let text = "a\r\nbé\n\nc\rd";
        let told: Vec<_> = lines(text).iter().map(|l| (l.span.start, l.text)).collect();
        assert_eq!(told, [(0, "a"), (2, ""), (3, "bé"), (7, ""), (8, "c"), (10, "d")]);
    }

    proptest! {
        #[test]
        fn own_words_are_ordered_stretches_of_the_text(
            text in "((Agent|Customer|Bob): |> |-- |On Tuesday he wrote:|Regards,|\n|[a-zé👍\u{301} .]){0,60}",
            transcript in any::<bool>(),
        ) {
            let kind = if transcript { Kind::Transcript } else { Kind::Message };
            let mut last = 0;
            for span in own_words(&text, kind).unwrap_or_default() {
                prop_assert!(span.of(&text).is_some_and(|t| !t.trim().is_empty()));
                prop_assert!(span.start >= last);
                last = span.end;
            }
        }
    }
}
