//! Redacts what was written about a text: a summary that quotes it.
//!
//! A quotation is shorter than the text. What stands around a value there, by which it was recognised, may be missing, and the quotation may
//! begin or end in the middle of it. So what was found in the text is looked for in what was written, too.

use undertone_core::verdict::Span;

use super::{Entity, Kind, Redactor, placeholder};

/// A stretch of what was written, and what stands in its place.
struct Taken {
    span: Span,
    kind: Kind,
    number: usize,
}

impl Redactor {
    /// `written`, which is about `text` and may quote its stretches `quoted` in one line, with a placeholder for everything that is recognised
    /// in either. It may leave the machine. Takes time in proportion to both, times the number of values in `text`.
    pub fn redact_about(&mut self, written: &str, text: &str, quoted: &[Span]) -> String {
        let of_text = self.redact(text);
        let mut taken: Vec<Taken> = Vec::new();
        for span in quoted {
            cut(written, text, *span, of_text.entities(), &mut taken);
        }
        for entity in of_text.entities() {
            if let Some(value) = entity.span.of(text) {
                whole(written, value, entity, &mut taken);
            }
        }
        let own = self.redact(written);
        taken.extend(own.entities().iter().map(|entity| Taken {
            span: entity.span,
            kind: entity.kind,
            number: entity.number,
        }));
        replace(written, taken)
    }
}

/// Adds the parts of values that the quotation of `span` shows.
fn cut(written: &str, text: &str, span: Span, entities: &[Entity], taken: &mut Vec<Taken>) {
    let Some(phrase) = span.of(text) else { return };
    let touched: Vec<&Entity> =
        entities.iter().filter(|e| e.span.start < span.end && span.start < e.span.end).collect();
    if touched.is_empty() {
        return;
    }
    // Where the words of the phrase stand in the text, and in the line that is quoted.
    let mut line = String::new();
    let mut words = Vec::new();
    for word in phrase.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        let start = span.start + (word.as_ptr() as usize - phrase.as_ptr() as usize);
        words.push((Span { start, end: start + word.len() }, line.len()));
        line.push_str(word);
    }
    for (at, _) in written.match_indices(&line) {
        for entity in &touched {
            let shown = words.iter().filter_map(|(word, place)| {
                let (start, end) = (word.start.max(entity.span.start), word.end.min(entity.span.end));
                (start < end).then(|| (at + place + (start - word.start), at + place + (end - word.start)))
            });
            let (starts, ends): (Vec<usize>, Vec<usize>) = shown.unzip();
            if let (Some(start), Some(end)) = (starts.first(), ends.last()) {
                let span = Span { start: *start, end: *end };
                taken.push(Taken { span, kind: entity.kind, number: entity.number });
            }
        }
    }
}

/// Adds the places where `value` stands by itself.
fn whole(written: &str, value: &str, entity: &Entity, taken: &mut Vec<Taken>) {
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return;
    }
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    for (start, found) in written.match_indices(&line) {
        let end = start + found.len();
        let glued_before = is_word(found.chars().next()) && is_word(written[..start].chars().next_back());
        let glued_behind = is_word(found.chars().next_back()) && is_word(written[end..].chars().next());
        if !glued_before && !glued_behind {
            taken.push(Taken { span: Span { start, end }, kind: entity.kind, number: entity.number });
        }
    }
}

/// `written` with placeholders; what overlaps is taken together under the placeholder of what begins first, of those the longest.
fn replace(written: &str, mut taken: Vec<Taken>) -> String {
    taken.sort_by_key(|one| (one.span.start, std::cmp::Reverse(one.span.end)));
    let mut out = String::with_capacity(written.len());
    let mut done = 0;
    for one in taken {
        if one.span.start >= done {
            out.push_str(written.get(done..one.span.start).unwrap_or_default());
            out.push_str(&placeholder::write(one.kind, one.number));
        }
        done = done.max(one.span.end);
    }
    out.push_str(written.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::super::Known;
    use super::*;

    fn outside(text: &str, phrase: &str, known: &Known) -> String {
        let start = text.find(phrase).unwrap();
        let quoted = Span { start, end: start + phrase.len() };
        let line = phrase.split_whitespace().collect::<Vec<_>>().join(" ");
        let summary = format!("The customer is angry; urgency is low. Strongest phrase: “{line}”.");
        let told = Redactor::new(known).redact_about(&summary, text, &[quoted]);
        let rest = told.strip_prefix("The customer is angry; urgency is low. Strongest phrase: “").unwrap();
        rest.strip_suffix("”.").unwrap().to_owned()
    }

    #[test]
    fn a_quotation_says_nothing_that_the_text_may_not_say() {
        let known = Known { names: vec!["Annika Quandt".into()], ..Known::default() };
        for (text, phrase, expected) in [
            (
                "Nobody answers annika.quandt@example.com, awful!",
                "answers annika.quandt@example.com, awful",
                "answers [EMAIL_1], awful",
            ),
            // The quotation begins or ends within the value.
            ("Nobody answers annika.quandt@example.com, awful!", "example.com, awful", "[EMAIL_1], awful"),
            (
                "It is awful that\n annika.quandt@example.com is ignored",
                "awful that\n annika.quandt",
                "awful that [EMAIL_1]",
            ),
            (
                "My card 4111 1111 1111 1111 was charged twice",
                "1111 1111 was charged twice",
                "[CARD_1] was charged twice",
            ),
            // What tells that it is a secret is not quoted.
            (
                "my password is Tr0ub4dor&3 and it is useless",
                "Tr0ub4dor&3 and it is useless",
                "[SECRET_1] and it is useless",
            ),
            ("Refund Annika now, this is outrageous", "Refund Annika now", "Refund [NAME_1] now"),
            ("Grüße für Annika: alles kaputt", "für Annika: alles kaputt", "für [NAME_1]: alles kaputt"),
            // What the customer wrote that looks like one of ours.
            ("[EMAIL_7] is broken", "[EMAIL_7] is broken", "[TEXT_1] is broken"),
            ("third time this week", "third time this week", "third time this week"),
        ] {
            assert_eq!(outside(text, phrase, &known), expected, "{text}");
        }
    }

    #[test]
    fn what_a_model_wrote_loses_the_values_of_the_text_wherever_they_stand() {
        let text = "my password is hunter2x and Annika Quandt does not care";
        let known = Known { names: vec!["Annika Quandt".into()], ..Known::default() };
        let told =
            Redactor::new(&known).redact_about("Annika Quandt gave out hunter2x, not hunter2xy.", text, &[]);
        assert_eq!(told, "[NAME_1] gave out [SECRET_1], not hunter2xy.");
    }
}
