use super::*;

/// As a redactor does: the known ones first, and what they are is blank for the others.
fn find(text: &str, known: &Phones) -> Vec<Found> {
    let mut folded = Folded::of(text);
    let mut found = find_known(text, known);
    folded.blank(found.iter().map(|f| f.span));
    found.extend(super::find(&folded.text));
    found.sort_by_key(|f| f.span.start);
    found
}

fn none() -> Phones {
    Phones::of(&[])
}

fn told<'t>(text: &'t str, known: &Phones) -> Vec<&'t str> {
    find(text, known).iter().filter_map(|f| f.span.of(text)).collect()
}

fn values(text: &str, known: &Phones) -> Vec<Number> {
    find(text, known)
        .into_iter()
        .filter_map(|f| match f.value {
            Value::Phone(number) => Some(number),
            Value::Text(_) => None,
        })
        .collect()
}

#[test]
fn numbers_with_a_countrys_code_are_found_anywhere() {
    for number in [
        "+49 171 3920017",
        "+49 (0)171 3920017",
        "+491713920017",
        "+49-30-23125-017",
        "+33 6 39 98 01 17",
        "+44 7700 900117",
        "+44 (0) 20 7946 0117",
        "+1 (415) 555-0117",
        "+1.415.555.0117",
        "+34 600 000 117",
        "+48 600 100 117",
        "+351 912 345 617",
        "+55 11 98765-0117",
        "+31 6 12345617",
        "+39 02 1234517",
        "+354 555 0117",
        "0049 171 3920017",
        "0033639980117",
        "00 48 600 100 117",
        "(+49) 171 3920017",
    ] {
        for text in [number.to_owned(), format!("Call {number}, please"), format!("order ({number}).")] {
            let bare = number.strip_prefix("00").is_some() && text.starts_with("order");
            let expected = if bare { vec![] } else { vec![number] };
            assert_eq!(told(&text, &none()), expected, "{text}");
        }
    }
}

#[test]
fn national_numbers_are_found_by_their_build() {
    for number in [
        "0171 3920017",
        "0171/3920017",
        "0171-3920017",
        "(0171) 3920017",
        "030 23125017",
        "089/123417",
        "01713920017",
        "0171 392 00 17",
        "06 39 98 01 17",
        "06.39.98.01.17",
        "06-39-98-01-17",
        "0639980117",
        "07700 900117",
        "020 7946 0117",
        "06-12345617",
        "06 - 1234 5617",
        "044 668 18 17",
        "(415) 555-0117",
        "415-555-0117",
        "415.555.0117",
        "1-800-555-0117",
        "612 345 617",
        "91 123 45 17",
        "912 34 56 17",
        "600-100-117",
        "22 123 45 17",
        "(11) 98765-0117",
        "11 98765-0117",
        "333 1234517",
        "333 123 4517",
        "98765 43217",
        "138 1234 5617",
        "8 (912) 345-67-17",
        "090-1234-5617",
    ] {
        for text in [number.to_owned(), format!("Hello, {number}. Bye"), format!("ok {number} / bye")] {
            assert_eq!(told(&text, &none()), [number], "{text}");
        }
    }
}

#[test]
fn a_word_before_makes_a_number_of_any_digits() {
    for (text, number) in [
        ("call me at 4155550117", "4155550117"),
        ("my number? Phone: 555-0117", "555-0117"),
        ("mein Handy ist 1713920017", "1713920017"),
        ("mon portable est le 639980117", "639980117"),
        ("llámame al 612345617", "612345617"),
        ("ligue para 912345617", "912345617"),
        ("mi può chiamare al 3331234517", "3331234517"),
        ("bel mij op 612345617", "612345617"),
        ("proszę dzwonić pod numer 600100117", "600100117"),
        ("order 4711, call 6123456", "6123456"),
        ("Tel.-Nr. 23125017", "23125017"),
        ("Tel-0171234567", "0171234567"),
    ] {
        assert_eq!(told(text, &none()), [number], "{text}");
    }
}

#[test]
fn numbers_of_other_things_stay() {
    for text in [
        "order 0171392001",
        "Bestellnummer 0171 3920017",
        "ticket #0171392001",
        "#0171392001",
        "INV-0171392001",
        "RMA/0171392001",
        "0171392001-AB",
        "A0171392001",
        "4155550117",
        "612345678",
        "12345678901",
        "650 000 000",
        "612 345 678 €",
        "€ 612 345 678",
        "EUR 612 345 678",
        "612.345.678",
        "0171392001 kWh",
        "01.02.2024 10:30",
        "am 01.02.2024 um 10.30",
        "2024-01-02 12 30",
        "01 02 2024 10 30",
        "call me on 12 03 2024",
        "call me at 10 30",
        "call five 2024-2025",
        "03,1415926535",
        "0.123456789",
        "1,234,567.89",
        "+12 345",
        "2+4917139200",
        "123-4567890-1234567",
        "00340434161094015902",
        "52.520008, 13.404954",
        "10.0.19041.1",
        "12-34-56",
        "0000000000",
        "",
    ] {
        assert_eq!(told(text, &none()), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn several_numbers_in_a_row_are_told_apart() {
    for (text, numbers) in [
        ("0171 3920017 / 0172 3920018", vec!["0171 3920017", "0172 3920018"]),
        ("06 39 98 01 17 01 99 00 01 18", vec!["06 39 98 01 17", "01 99 00 01 18"]),
        ("+48 600 100 117 600 100 118", vec!["+48 600 100 117", "600 100 118"]),
        ("415-555-0117 / 415-555-0118", vec!["415-555-0117", "415-555-0118"]),
        ("75011 06 39 98 01 17", vec!["06 39 98 01 17"]),
        ("0171 3920017,0172 3920018", vec!["0171 3920017", "0172 3920018"]),
        ("01.02.2024 0171 3920017", vec!["0171 3920017"]),
    ] {
        assert_eq!(told(text, &none()), numbers, "{text}");
    }
}

#[test]
fn a_known_number_is_found_however_it_is_written() {
    let known = Phones::of(&["+49 171 3920017".to_owned(), "12345".to_owned()]);
    for text in [
        "01713920017",
        "0171 392 0017",
        "0049 (171) 39-200-17",
        "+49 (0) 171/3920017",
        "491713920017",
        "171 3920017",
        "order 0171-3920017",
        "#1: 1713920017",
    ] {
        let numbers = values(text, &known);
        assert_eq!(numbers, [Number { country: Some(49), national: "1713920017".to_owned() }], "{text}");
    }
    for text in ["+33 171 392 001", "order 12345", "order 713920017"] {
        assert!(
            values(text, &known).iter().all(|n| n.national != "1713920017" || n.country != Some(49)),
            "{text}"
        );
    }
    let stored = Phones::of(&["491713920017".to_owned(), "(0)30 / 231 25-0 ext. 17".to_owned()]);
    assert_eq!(told("order 0171 3920017 or 03023125 0", &stored), ["0171 3920017", "03023125 0"]);
}

#[test]
fn the_same_number_has_one_national_form() {
    for (text, national) in [
        ("+39 02 1234517 and 02 1234517", "21234517"),
        ("+1 415 555 0117 and 415-555-0117 and 1-415-555-0117", "4155550117"),
        ("+7 912 345-67-17 and 8 (912) 345-67-17", "9123456717"),
    ] {
        let numbers = values(text, &none());
        assert!(numbers.len() > 1 && numbers.iter().all(|n| n.national == national), "{numbers:?}");
    }
}
