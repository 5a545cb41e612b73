//! International bank account numbers (ISO 13616).

use undertone_core::verdict::Span;

use super::context::{self, Says};
use super::{Found, Kind, Value};

/// Countries and the lengths of their numbers, from the registry of ISO 13616.
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 \
    ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 \
    LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 \
    SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// The account numbers in `text`.
pub(super) fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at + 4 < bytes.len() {
        let opens = bytes[at].is_ascii_alphabetic()
            && bytes[at + 1].is_ascii_alphabetic()
            && bytes[at + 2..at + 4].iter().any(u8::is_ascii_digit)
            && (at == 0 || !joins(bytes[at - 1]));
        let number = if opens { number(text, at) } else { None };
        let Some((span, value)) = number else {
            at += 1;
            continue;
        };
        at = span.end;
        found.push(Found { span, kind: Kind::Iban, value: Value::Text(value) });
    }
    found
}

/// Part of a word, so that nothing begins or ends beside it.
fn joins(b: u8) -> bool {
    b.is_ascii_alphanumeric() || !b.is_ascii()
}

/// The number that begins at byte `at`, and its letters and digits alone.
fn number(text: &str, at: usize) -> Option<(Span, String)> {
    let bytes = text.as_bytes();
    let country = text.get(at..at + 2)?.to_ascii_uppercase();
    let length: usize = LENGTHS.split(' ').find_map(|entry| entry.strip_prefix(&country))?.parse().ok()?;
    let mut value = String::with_capacity(length);
    let mut end = at;
    let mut parted = false;
    while value.len() < length {
        let b = *bytes.get(end)?;
        if b.is_ascii_alphanumeric() {
            value.push(b.to_ascii_uppercase().into());
            parted = false;
        } else if matches!(b, b' ' | b'-' | b'.') && !parted {
            parted = true;
        } else {
            return None;
        }
        end += 1;
        // The check digits: most words that begin like a country end here.
        if (3..=4).contains(&value.len()) && !value.as_bytes()[value.len() - 1].is_ascii_digit() {
            return None;
        }
    }
    let digits = value[4..].bytes().filter(u8::is_ascii_digit).count();
    // "de 20 …" with words behind it may be right by chance; no country's number is mostly letters.
    if bytes.get(end).is_some_and(|b| joins(*b)) || digits * 2 < length - 4 {
        return None;
    }
    (remainder(&value) == 1 || is_announced(text, at)).then_some((Span { start: at, end }, value))
}

/// What is left of `value` modulo 97, its first four characters read last and letters as 10 to 35.
fn remainder(value: &str) -> u32 {
    value.bytes().cycle().skip(4).take(value.len()).filter_map(|b| char::from(b).to_digit(36)).fold(
        0,
        |rest, digit| {
            let shift = if digit < 10 { 10 } else { 100 };
            (rest * shift + digit) % 97
        },
    )
}

/// Whether the word before says what it is. Then a slip of the finger does not matter.
fn is_announced(text: &str, at: usize) -> bool {
    let announcement = context::before(text, at, |word| match word {
        "iban" => Says::This(()),
        word if context::is_link(word) => Says::Nothing,
        _ => Says::Stop,
    });
    announcement.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<&str> {
        find(text).iter().filter_map(|f| f.span.of(text)).collect()
    }

    #[test]
    fn numbers_are_found_however_they_are_spaced() {
        for number in [
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "de89-3704-0044-0532-0130-00",
            "GB82 WEST 1234 5698 7654 32",
            "NL91ABNA0417164300",
            "FR14 2004 1010 0505 0001 3M02 606",
            "NO93 8601 1117 947",
            "BE68 5390 0754 7034",
        ] {
            for text in [format!("IBAN {number}."), format!("({number})"), number.to_owned()] {
                assert_eq!(told(&text), [number], "{text}");
            }
        }
        let two = "von DE89370400440532013000 auf BE68 5390 0754 7034 umbuchen";
        assert_eq!(told(two).len(), 2);
    }

    #[test]
    fn the_same_number_has_one_value() {
        let values: Vec<_> = find("NL91ABNA0417164300 nl91 abna 0417 1643 00")
            .into_iter()
            .map(|f| match f.value {
                Value::Text(value) => value,
                Value::Phone(_) => String::new(),
            })
            .collect();
        assert_eq!(values, ["NL91ABNA0417164300", "NL91ABNA0417164300"]);
    }

    #[test]
    fn a_slip_of_the_finger_matters_only_without_the_word() {
        assert_eq!(told("DE88370400440532013000"), Vec::<&str>::new());
        assert_eq!(told("meine IBAN lautet DE88370400440532013000"), ["DE88370400440532013000"]);
    }

    #[test]
    fn what_merely_begins_alike_is_left_alone() {
        for text in [
            "DE123456789",
            "DE8937040044053201300",
            "DE893704004405320130001",
            "XDE89370400440532013000",
            "ZZ89370400440532013000",
            "DE89  3704 0044 0532 0130 00",
            "de 20 unidades que compre ayer no llego ninguna",
            "DEAB",
            "IBAN",
            "",
            "éDE89370400440532013000",
        ] {
            assert_eq!(told(text), Vec::<&str>::new(), "{text}");
        }
    }
}
