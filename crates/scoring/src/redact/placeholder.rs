//! What stands in a redacted text for what was taken out: `[EMAIL_1]`.

use undertone_core::verdict::Span;

use super::{Found, Kind, Value};

/// The placeholder of the `number`th value of `kind`.
pub(super) fn write(kind: Kind, number: usize) -> String {
    format!("[{}_{number}]", kind.placeholder())
}

/// Everything in `text` that a reader could take for a placeholder, whatever its case.
pub(super) fn lookalikes(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (span, inner) in bracketed(text) {
        let upper = inner.to_ascii_uppercase();
        if let Some((word, _)) = upper.split_once('_')
            && Kind::ALL.iter().any(|kind| kind.placeholder() == word)
        {
            found.push(Found { span, kind: Kind::Lookalike, value: Value::Text(upper) });
        }
    }
    found
}

/// The placeholders in `text`, exactly as they are written.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = (Span, Kind, usize)> {
    bracketed(text).filter_map(|(span, inner)| {
        let (word, digits) = inner.split_once('_')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.placeholder() == word)?;
        // Ours are counted from one and have no zeros in front.
        let number = digits.parse().ok().filter(|_| !digits.starts_with('0'))?;
        Some((span, kind, number))
    })
}

/// Every `[letters_digits]` in `text`, and what stands between its brackets.
fn bracketed(text: &str) -> impl Iterator<Item = (Span, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text.get(from..)?.find('[')?;
            from = start + 1;
            let rest = &text[from..];
            let letters = length(rest, |b| b.is_ascii_alphabetic());
            let Some(after) = rest[letters..].strip_prefix('_').filter(|_| letters > 0) else { continue };
            let digits = length(after, |b| b.is_ascii_digit());
            if digits > 0 && after[digits..].starts_with(']') {
                let inner = &rest[..letters + 1 + digits];
                from += inner.len() + 1;
                return Some((Span { start, end: from }, inner));
            }
        }
    })
}

fn length(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|b| belongs(*b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_read_as_they_are_written() {
        let text = "[[EMAIL_12] and [NAME_1][SECRET_3] [name_1] [EMAIL_01] [EMAIL_] [ORDER_1] [EMAIL_1 [IP_99999999999999999999]";
        let told: Vec<_> = placeholders(text).map(|(s, kind, n)| (s.of(text).unwrap(), kind, n)).collect();
        assert_eq!(
            told,
            [("[EMAIL_12]", Kind::Email, 12), ("[NAME_1]", Kind::Name, 1), ("[SECRET_3]", Kind::Secret, 3)]
        );
        for kind in Kind::ALL {
            let written = write(kind, 7);
            assert_eq!(
                placeholders(&written).next().map(|(s, k, n)| (s.end, k, n)),
                Some((written.len(), kind, 7))
            );
        }
    }

    #[test]
    fn whatever_could_be_taken_for_one_is_found() {
        let text = "[email_1] [Email_007] [TEXT_2] [EMAIL_99999999999999999999] but [ORDER_1] [EMAIL-1] EMAIL_1 [EMAIL_x] [_1] [";
        let told: Vec<_> = lookalikes(text).iter().filter_map(|f| f.span.of(text)).collect();
        assert_eq!(told, ["[email_1]", "[Email_007]", "[TEXT_2]", "[EMAIL_99999999999999999999]"]);
    }
}
