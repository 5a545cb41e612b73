//! How telephone numbers are built, and what numbers of other things look like.

use std::sync::LazyLock;

use super::super::words::{Lexicon, is_letter, key};

/// The country's code that `digits` begin with, and its length. The codes are ITU-T E.164's: no code begins with another.
pub(super) fn country(digits: &str) -> Option<(u16, usize)> {
    let first: u16 = digits.get(..2)?.parse().ok()?;
    let length = match first {
        10..=19 | 70..=79 => 1,
        20
        | 27
        | 30..=34
        | 36
        | 39
        | 40
        | 41
        | 43..=49
        | 51..=58
        | 60..=66
        | 81
        | 82
        | 84
        | 86
        | 90..=95
        | 98 => 2,
        21..=26 | 29 | 35 | 37 | 38 | 42 | 50 | 59 | 67..=69 | 80 | 85 | 87 | 88 | 96 | 97 | 99 => 3,
        _ => return None,
    };
    Some((digits.get(..length)?.parse().ok()?, length))
}

/// Whether numbers of `country` may have `length` digits after its code and without leading zeros. Exact where the numbers of a country
/// are all as long, so that a number that follows is not taken for a part of this one.
pub(super) fn fits(country: u16, length: usize) -> bool {
    let lengths = match country {
        1 | 7 | 30 | 90 | 91 => 10..=10,
        31 | 33 | 34 | 41 | 48 | 61 | 351 | 420 | 421 => 9..=9,
        45 | 47 => 8..=8,
        32 => 8..=9,
        44 => 9..=10,
        55 | 86 => 10..=11,
        39 | 49 => 6..=11,
        43 => 6..=13,
        _ => 6..=12,
    };
    lengths.contains(&length)
}

/// How people group a number that has neither a country's code nor a leading zero. `lengths` are those of its groups, `gaps` what stands
/// between them.
pub(super) fn is_grouped(digits: &str, lengths: &[usize], gaps: &[&str]) -> bool {
    let first = digits.bytes().next().unwrap_or_default();
    let second = digits.as_bytes().get(1).copied().unwrap_or_default();
    let has = |sign: char| gaps.iter().any(|gap| gap.contains(sign));
    // Thousands are parted by full stops in half of Europe.
    let no_stops = !has('.');
    match lengths {
        // North America; mobile numbers of Italy.
        [3, 3, 4] => (b'2'..=b'9').contains(&first),
        [1, 3, 3, 4] => first == b'1',
        [3, 7] => first == b'3' && no_stops,
        // Spain, Portugal, Poland, Switzerland without its zero. "650 000 000" is an amount.
        [3, 3, 3] => (b'2'..=b'9').contains(&first) && no_stops && !digits.ends_with("000"),
        [2, 3, 2, 2] => first != b'0' && no_stops,
        // Brazil.
        [2, 5 | 4, 4] => first != b'0' && (has('-') || has(')')) && no_stops,
        // Spain again, India.
        [3, 2, 2, 2] | [5, 5] => (b'6'..=b'9').contains(&first) && no_stops,
        // China.
        [3, 4, 4] => first == b'1' && (b'3'..=b'9').contains(&second) && no_stops,
        // Russia.
        [1, 3, 3, 2, 2] => first == b'8' && no_stops,
        [3, 3, 2, 2] => first == b'9' && no_stops,
        _ => false,
    }
}

/// Whether the three are a date, in any of the usual orders; a year of two digits comes last.
pub(super) fn is_date(first: &str, second: &str, third: &str) -> bool {
    let short = |group: &str, most: u32| {
        (1..=2).contains(&group.len()) && group.parse().is_ok_and(|n: u32| (1..=most).contains(&n))
    };
    let year = |group: &str| group.len() == 4 && (group.starts_with("19") || group.starts_with("20"));
    let day_and_month = |a: &str, b: &str| (short(a, 31) && short(b, 12)) || (short(a, 12) && short(b, 31));
    (day_and_month(first, second) && (year(third) || third.len() == 2))
        || (year(first) && day_and_month(second, third))
}

/// Whether a unit or currency stands directly behind byte `end`.
pub(super) fn is_measured(text: &str, end: usize) -> bool {
    let rest = text.get(end..).unwrap_or_default();
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let word: usize = rest.chars().take(12).take_while(|c| is_letter(*c)).map(char::len_utf8).sum();
    rest.starts_with(is_sign) || UNITS.has(&key(&rest[..word]))
}

/// Whether a currency stands directly before byte `start`.
pub(super) fn is_priced(text: &str, start: usize) -> bool {
    let near = text.get(..start).unwrap_or_default().trim_end_matches(' ');
    let word: usize = near.chars().rev().take(12).take_while(|c| is_letter(*c)).map(char::len_utf8).sum();
    near.ends_with(is_sign) || CURRENCIES.has(&key(&near[near.len() - word..]))
}

/// Currencies, percent, degrees.
pub(super) fn is_sign(c: char) -> bool {
    matches!(c, '€' | '$' | '£' | '¥' | '₹' | '₽' | '%' | '°')
}

static UNITS: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "eur euro euros usd gbp pln zl zloty zlotych chf dollar dollars pounds kr sek nok dkk brl reais czk huf \
         kg km cm mm ml kwh mb gb tb kb ms hz mhz ghz mg lbs oz stuck stk pcs pieces units unidades unites stuks sztuk szt \
         punkte points puntos punti punten miles meilen percent prozent procent",
    )
});

static CURRENCIES: LazyLock<Lexicon> =
    LazyLock::new(|| Lexicon::of("eur euro usd gbp pln chf brl sek nok dkk czk huf inr"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_countries() {
        for (digits, code) in [
            ("4917", Some((49, 2))),
            ("14155", Some((1, 1))),
            ("35191", Some((351, 3))),
            ("7912", Some((7, 1))),
            ("99", None),
            ("2801", None),
            ("0171", None),
            ("4", None),
        ] {
            assert_eq!(country(digits), code, "{digits}");
        }
        assert!(fits(33, 9) && !fits(33, 10) && fits(49, 11) && !fits(1, 9) && fits(354, 7) && !fits(354, 5));
    }

    #[test]
    fn dates_in_any_order() {
        for (a, b, c) in [("31", "12", "2024"), ("12", "31", "24"), ("2024", "1", "31"), ("1", "2", "1999")] {
            assert!(is_date(a, b, c), "{a} {b} {c}");
        }
        for (a, b, c) in [
            ("32", "12", "2024"),
            ("13", "13", "2024"),
            ("12", "12", "345"),
            ("0", "1", "24"),
            ("1824", "1", "2"),
        ] {
            assert!(!is_date(a, b, c), "{a} {b} {c}");
        }
    }

    #[test]
    fn units_and_currencies_stand_beside() {
        let text = "€ 12 kg, EUR 7 zł 5%";
        assert!(is_priced(text, 4) && is_measured(text, 6) && !is_measured(text, 9));
        let at = text.find('7').unwrap();
        assert!(is_priced(text, at) && is_measured(text, at + 1));
        assert!(is_measured(text, text.len() - 1) && !is_measured(text, text.len()) && !is_priced(text, 0));
    }

    #[test]
    fn amounts_and_grouped_numbers() {
        assert!(is_grouped("612345678", &[3, 3, 3], &[" ", " "]));
        assert!(!is_grouped("612345678", &[3, 3, 3], &[".", "."]));
        assert!(!is_grouped("650000000", &[3, 3, 3], &[" ", " "]));
        assert!(
            is_grouped("11987654321", &[2, 5, 4], &[") ", "-"])
                && !is_grouped("11987654321", &[2, 5, 4], &[" ", " "])
        );
        assert!(!is_grouped("1234567", &[3, 4], &["-"]) && !is_grouped("", &[], &[]));
    }
}
