//! Where stretches of a text went when some of them were replaced.

use undertone_core::verdict::Span;

/// One stretch that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edit {
    /// Where it stood.
    from: Span,
    /// Where its replacement stands.
    to: Span,
}

/// Replaced stretches, in order. All that lies between them was kept as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    /// Notes that `from` was replaced by `length` bytes; to be called in the order of the text. Gives the replacement's place.
    pub(super) fn push(&mut self, from: Span, length: usize) -> Span {
        let start = self.0.last().map_or(from.start, |last| last.to.end + (from.start - last.from.end));
        let to = Span { start, end: start + length };
        self.0.push(Edit { from, to });
        to
    }

    /// The stretch of the old text that `span` of the new one stands for. What cuts into a replacement stands for the whole of what was
    /// replaced; what was replaced by nothing belongs to no stretch it merely touches.
    pub(super) fn original(&self, span: Span) -> Span {
        Span { start: self.start(span.start), end: self.end(span.end) }
    }

    fn start(&self, at: usize) -> usize {
        match self.last_of(self.0.partition_point(|edit| edit.to.start <= at)) {
            None => at,
            Some(edit) if at < edit.to.end => edit.from.start,
            Some(edit) => edit.from.end + (at - edit.to.end),
        }
    }

    fn end(&self, at: usize) -> usize {
        match self.last_of(self.0.partition_point(|edit| edit.to.start < at)) {
            None => at,
            Some(edit) if at <= edit.to.end => edit.from.end,
            Some(edit) => edit.from.end + (at - edit.to.end),
        }
    }

    fn last_of(&self, count: usize) -> Option<&Edit> {
        count.checked_sub(1).and_then(|index| self.0.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    #[test]
    fn places_are_found_again_on_both_sides_of_a_replacement() {
        // "call 12345 or 678 now" became "call [A] or [BCDE] now".
        let mut edits = Edits::default();
        assert_eq!(edits.push(span(5, 10), 3), span(5, 8));
        assert_eq!(edits.push(span(14, 17), 6), span(12, 18));
        for (new, old) in [
            (span(0, 4), span(0, 4)),
            (span(0, 5), span(0, 5)),
            (span(5, 8), span(5, 10)),
            (span(6, 7), span(5, 10)),
            (span(0, 6), span(0, 10)),
            (span(8, 12), span(10, 14)),
            (span(9, 13), span(11, 17)),
            (span(18, 22), span(17, 21)),
            (span(7, 19), span(5, 18)),
            (span(5, 5), span(5, 5)),
            (span(6, 6), span(5, 10)),
            (span(8, 8), span(10, 10)),
        ] {
            assert_eq!(edits.original(new), old, "{new:?}");
        }
    }

    #[test]
    fn what_was_left_out_is_inside_a_stretch_or_not_at_all() {
        // "a..b" became "ab": two bytes were left out one by one.
        let mut edits = Edits::default();
        edits.push(span(1, 2), 0);
        edits.push(span(2, 3), 0);
        assert_eq!(edits.original(span(0, 1)), span(0, 1));
        assert_eq!(edits.original(span(1, 2)), span(3, 4));
        assert_eq!(edits.original(span(0, 2)), span(0, 4));
    }
}
