//! Numbers of payment cards.

use undertone_core::verdict::Span;

use super::words::{is_letter, key};
use super::{Found, Kind, Value, context, digits};

/// The card numbers in `text`.
pub(super) fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let groups = digits::groups(text);
    let mut index = 0;
    while let Some(first) = groups.get(index) {
        let Some((last, value)) = number(text, &groups[index..]) else {
            index += 1;
            continue;
        };
        let span = Span { start: first.start, end: groups[index + last].end };
        found.push(Found { span, kind: Kind::Card, value: Value::Text(value) });
        index += last + 1;
    }
    found
}

/// The longest number that the first of `groups` begins: the index of its last group, and its digits.
fn number(text: &str, groups: &[Span]) -> Option<(usize, String)> {
    let start = groups.first()?.start;
    if text[..start].ends_with(|c: char| c.is_alphabetic() || c == '_') || is_tagged(&text[..start]) {
        return None;
    }
    let mut digits = String::new();
    let mut longest = None;
    for (index, group) in groups.iter().enumerate() {
        if index > 0 && !parts(text.get(groups[index - 1].end..group.start)?) {
            break;
        }
        digits.push_str(group.of(text)?);
        // Most numbers end here: nobody issues cards that begin so, or so long.
        if digits.len() > 19 || !digits.starts_with(['2', '3', '4', '5', '6', '8']) {
            break;
        }
        let tail = &text[group.end..];
        let tail = tail.strip_prefix('-').unwrap_or(tail);
        let goes_on = tail.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if !goes_on && is_card(&digits) {
            longest = Some((index, digits.clone()));
        }
    }
    longest
}

/// Whether `head` ends in "SN-" or the like: what follows is the number of something.
fn is_tagged(head: &str) -> bool {
    let Some(head) = head.strip_suffix(['-', '/']) else { return false };
    let letters: usize = head.chars().rev().take(16).take_while(|c| is_letter(*c)).map(char::len_utf8).sum();
    letters > 0 && context::is_order(&key(&head[head.len() - letters..]))
}

/// Whether `gap` may stand between two groups of one number: "4111 1111", "4111-1111", "4111 - 1111".
fn parts(gap: &str) -> bool {
    (1..=3).contains(&gap.len())
        && gap.bytes().all(|b| matches!(b, b' ' | b'-' | b'.'))
        && gap.bytes().filter(|b| *b != b' ').count() <= 1
}

/// Whether a scheme issues numbers that begin and are as long as `digits`, and the check digit is right.
fn is_card(digits: &str) -> bool {
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let beginning: u32 = digits[..4].parse().unwrap_or_default();
    let issued = matches!(
        (digits.len(), beginning),
        // Visa
        (13 | 16 | 19, 4000..=4999)
            // American Express
            | (15, 3400..=3499 | 3700..=3799)
            // Diners
            | (14, 3000..=3059 | 3095 | 3600..=3699 | 3800..=3999)
            // JCB, Mastercard
            | (16, 3528..=3589 | 2221..=2720 | 5100..=5599)
            // Mir, Maestro, Discover, UnionPay, Elo and others
            | (16..=19, 2200..=2204 | 5000..=5099 | 5600..=6999 | 8100..=8199)
    );
    issued && luhn(digits)
}

/// Whether the last of `digits` fits the others (ISO/IEC 7812, annex B).
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .zip([false, true].into_iter().cycle())
        .map(|(digit, doubled)| match digit * (1 + u32::from(doubled)) {
            two if two > 9 => two - 9,
            one => one,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<&str> {
        find(text).iter().filter_map(|f| f.span.of(text)).collect()
    }

    #[test]
    fn cards_of_all_schemes_are_found() {
        for number in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111 - 1111 - 1111 - 1111",
            "4222222222222",
            "5555.5555.5555.4444",
            "2223003122003222",
            "3782 822463 10005",
            "30569309025904",
            "3530111333300000",
            "6011111111111117",
            "6759649826438453",
            "6304 0000 0000 0000",
        ] {
            for text in [format!("Karte: {number}."), number.to_owned(), format!("1 x {number}, ok")] {
                assert_eq!(told(&text), [number], "{text}");
            }
        }
        assert_eq!(told("Visa-4111111111111111"), ["4111111111111111"]);
        assert_eq!(told("4111 1111 1111 1111 12/27 5555555555554444").len(), 2);
    }

    #[test]
    fn numbers_of_other_things_stay() {
        for text in [
            "4111 1111 1111 1112",
            "9999999999999995",
            "356938035643809",
            "4006381333931",
            "89490200001234567892",
            "411111111111",
            "SN4111111111111111",
            "SN-4111111111111111",
            "order/4111111111111111",
            "4111111111111111-B",
            "4111111111111111X",
            "4111,1111,1111,1111",
            "4111   -   1111 1111 1111",
            "0000000000000000",
            "",
        ] {
            assert_eq!(told(text), Vec::<&str>::new(), "{text}");
        }
    }
}
