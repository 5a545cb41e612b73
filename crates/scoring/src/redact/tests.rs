use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn known() -> Known {
    Known {
        names: vec!["Anna Schmidt".to_owned(), "Will May".to_owned()],
        emails: vec!["Anna@Example.com".to_owned()],
        phones: vec!["+49 171 3920017".to_owned()],
    }
}

fn redact(text: &str) -> Redacted {
    Redactor::new(&known()).redact(text)
}

fn span(start: usize, end: usize) -> Span {
    Span { start, end }
}

#[test]
fn every_kind_gets_its_placeholder() {
    let redacted = redact(
        "Anna here, anna@example.com or 0171 3920017. My card 4111 1111 1111 1111 and DE89 3704 0044 0532 0130 00 were charged \
         from 203.0.113.77; my password is Winter2024! [EMAIL_1]",
    );
    assert_eq!(
        redacted.text,
        "[NAME_1] here, [EMAIL_1] or [PHONE_1]. My card [CARD_1] and [IBAN_1] were charged from [IP_1]; my password is [SECRET_1] \
         [TEXT_1]"
    );
    assert_eq!(redacted.counts().into_values().collect::<Vec<_>>(), [1; 8]);
    assert_eq!(redacted.counts().into_keys().collect::<Vec<_>>(), Kind::ALL);
}

#[test]
fn a_text_without_any_stays_as_it_is() {
    for text in [
        "",
        "Nothing to see.",
        "\0",
        "Order 4711 of 12/03/2024: 3 × 19,99 €",
        "[NAME] [EMAIL_]",
        "👩🏽‍🚒\u{200b} ok",
    ] {
        let redacted = redact(text);
        assert_eq!(redacted.text, text);
        assert!(redacted.counts().is_empty() && redacted.entities().is_empty());
        assert_eq!(redacted.original(span(0, text.len())), Some(span(0, text.len())));
    }
}

#[test]
fn nothing_hides_behind_a_character_that_nobody_sees() {
    for c in [
        '\0',
        '\u{1}',
        '\u{7f}',
        '\u{9f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180b}',
        '\u{2065}',
        '\u{3164}',
        '\u{ffa0}',
        '\u{e0100}',
    ] {
        let texts =
            [format!("john@exam{c}ple.com"), format!("{c}0171 39{c}20017"), format!("An{c}na Schmidt")];
        for text in texts {
            let redacted = redact(&format!("This is {text}."));
            assert_eq!(redacted.entities().len(), 1, "{text:?}: {}", redacted.text);
            assert!(
                redacted.text.starts_with("This is ") && redacted.text.ends_with("]."),
                "{}",
                redacted.text
            );
        }
    }
}

#[test]
fn the_same_value_has_the_same_placeholder_in_all_texts() {
    let mut redactor = Redactor::new(&known());
    let texts = [
        (
            "bob@example.org and BOB@example.ORG, not tom@example.org",
            "[EMAIL_1] and [EMAIL_1], not [EMAIL_2]",
        ),
        ("tom@example.org; 0171 3920017", "[EMAIL_2]; [PHONE_1]"),
        ("+49 (0)171/3920017 or +33 1 99 00 01 17 or 01 99 00 01 17", "[PHONE_1] or [PHONE_2] or [PHONE_2]"),
        ("4111111111111111 = 4111-1111-1111-1111", "[CARD_1] = [CARD_1]"),
        ("ANNA SCHMIDT, anna", "[NAME_1], [NAME_2]"),
        ("Anna", "[NAME_2]"),
        ("nl91 abna 0417 1643 00 / NL91ABNA0417164300", "[IBAN_1] / [IBAN_1]"),
        ("2001:db8::1 is 2001:0DB8:0:0:0:0:0:1", "[IP_1] is [IP_1]"),
    ];
    for (text, expected) in texts {
        assert_eq!(redactor.redact(text).text, expected);
    }
    assert_eq!(redact("tom@example.org").text, "[EMAIL_1]", "another redactor counts anew");
}

#[test]
fn numbers_that_differ_in_the_country_alone_are_two() {
    let redacted = redact("0612345617, +31 612345617, +34 612345617, +31 612345617, 0612345617");
    assert_eq!(redacted.text, "[PHONE_1], [PHONE_1], [PHONE_2], [PHONE_1], [PHONE_1]");
}

#[test]
fn places_lead_back_to_the_original() {
    let text = "Grüße, anna@example.com! Passwort: geheim, ok?";
    let redacted = redact(text);
    assert_eq!(redacted.text, "Grüße, [EMAIL_1]! Passwort: [SECRET_1], ok?");
    let quote = |phrase: &str| {
        let start = redacted.text.find(phrase).unwrap();
        redacted.original(span(start, start + phrase.len())).and_then(|s| s.of(text))
    };
    assert_eq!(quote("Grüße"), Some("Grüße"));
    assert_eq!(quote("[EMAIL_1]"), Some("anna@example.com"));
    assert_eq!(quote("EMAIL"), Some("anna@example.com"), "a cut placeholder widens");
    assert_eq!(quote("1]! Pass"), Some("anna@example.com! Pass"));
    assert_eq!(quote("! Passwort: "), Some("! Passwort: "), "neighbours stay out");
    assert_eq!(quote(", ok?"), Some(", ok?"));
    assert_eq!(redacted.original(span(0, redacted.text.len())), Some(span(0, text.len())));
    let inside = redacted.text.find('ü').unwrap() + 1;
    for bad in [span(inside, inside + 4), span(0, inside), span(0, redacted.text.len() + 1), span(5, 4)] {
        assert_eq!(redacted.original(bad), None, "{bad:?}");
    }
    for entity in redacted.entities() {
        assert!(entity.number == 1 && entity.span.of(text).is_some());
    }
}

#[test]
fn values_come_back_into_what_is_written_about_the_text() {
    let redacted = redact("anna from anna@example.com asks ANNA: why [EMAIL_2]?");
    assert_eq!(redacted.text, "[NAME_1] from [EMAIL_1] asks [NAME_1]: why [TEXT_1]?");
    for (written, restored) in [
        ("[NAME_1] waits.", "anna waits."),
        ("“[EMAIL_1]” [NAME_1][NAME_1]", "“anna@example.com” annaanna"),
        ("she wrote [TEXT_1]", "she wrote [EMAIL_2]"),
        ("[EMAIL_2] [NAME_01] [name_1] [PHONE_1]", "[EMAIL_2] [NAME_01] [name_1] [PHONE_1]"),
        ("", ""),
        ("Grüße", "Grüße"),
    ] {
        assert_eq!(redacted.restore(written), restored);
    }
}

#[test]
fn a_customers_own_placeholders_are_not_taken_for_ours() {
    let text = "[EMAIL_1] [email_1] [TEXT_1] ［NAME_1］ anna@example.com";
    let redacted = redact(text);
    assert_eq!(redacted.text, "[TEXT_1] [TEXT_1] [TEXT_2] [TEXT_3] [EMAIL_1]");
    assert_eq!(
        redacted.restore("[TEXT_1] and [TEXT_2] and [EMAIL_1]"),
        "[EMAIL_1] and [TEXT_1] and anna@example.com"
    );
}

#[test]
fn nothing_known_is_ever_shown_for_debugging() {
    let known = known();
    let mut redactor = Redactor::new(&known);
    let redacted = redactor.redact("Anna, anna@example.com, 0171 3920017, pin 4821");
    let shown = format!("{known:?} {redactor:?} {redacted:?}").to_lowercase();
    for secret in ["anna", "schmidt", "example", "3920017", "4821"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("email: 1"), "{shown}");
}

#[test]
fn an_address_in_place_of_a_name_is_an_address() {
    let known = Known { names: vec!["anna@example.com".to_owned()], ..Known::default() };
    let redacted = Redactor::new(&known).redact("For example .com, says anna at example dot com.");
    assert_eq!(redacted.text, "For example .com, says [EMAIL_1].");
}

#[test]
fn disguises_do_not_help() {
    for text in [
        "an\u{200b}na@exam\u{ad}ple.com",
        "ａｎｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "\u{202a}+49\u{a0}171\u{a0}3920017\u{202c}",
        "4111\u{2009}1111\u{2009}1111\u{2009}1111",
        "4️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣",
        "٠١٧١ ٣٩٢٠٠١٧",
        "A\u{200d}nna",
    ] {
        let redacted = redact(text);
        assert_eq!(redacted.entities().len(), 1, "{text}: {}", redacted.text);
        assert!(
            redacted.text.chars().all(|c| c.is_ascii() || "\u{202a}\u{202c}\u{fe0f}\u{20e3}".contains(c)),
            "{}",
            redacted.text
        );
    }
}

/// Pieces that recognisers react to, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,6}",
        "[0-9]{1,6}",
        "[ \\-./:()+@,;\n=&?\"'\\[\\]_]{1,2}",
        prop::sample::select(vec![
            "anna",
            "Anna",
            "Schmidt",
            "Will",
            "May",
            "anna@example.com",
            "(at)",
            " dot ",
            "example",
            ".com",
            "https://",
            "token=",
            "password",
            "Passwort: ",
            "is ",
            "PIN ",
            "api key ",
            "sk-",
            "eyJ",
            "DE",
            "IBAN ",
            "call ",
            "order ",
            "[EMAIL_1]",
            "[NAME_",
            "::",
            "fe80",
            "0171 3920017",
            "4111 1111 1111 1111",
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----END ",
            "“",
            "ß",
            "İ",
            "\u{200b}",
            "\u{301}",
            "王",
            "👍🏽",
            "\0",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_was_kept_stands_where_the_places_say(text in pieces()) {
        let redacted = redact(&text);
        let mut done = 0;
        let mut rebuilt = String::new();
        for (entity, (placed, kind, number)) in redacted.entities().iter().zip(placeholder::placeholders(&redacted.text)) {
            prop_assert_eq!((entity.kind, entity.number), (kind, number), "every placeholder is ours");
            prop_assert_eq!(redacted.original(placed), Some(entity.span));
            rebuilt.push_str(&redacted.text[done..placed.start]);
            rebuilt.push_str(entity.span.of(&text).unwrap());
            done = placed.end;
        }
        prop_assert_eq!(placeholder::placeholders(&redacted.text).count(), redacted.entities().len());
        rebuilt.push_str(&redacted.text[done..]);
        prop_assert_eq!(rebuilt, text);
    }

    #[test]
    fn any_stretch_leads_back_to_one_that_fits(text in pieces(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let redacted = redact(&text);
        let (a, b) = (from.index(redacted.text.len() + 1), to.index(redacted.text.len() + 1));
        let asked = span(a.min(b), a.max(b));
        match redacted.original(asked) {
            Some(original) => prop_assert!(original.of(&text).is_some(), "{:?}", original),
            None => prop_assert!(asked.of(&redacted.text).is_none()),
        }
    }

    #[test]
    fn known_addresses_and_numbers_are_gone_wherever_they_stood(before in "\\PC{0,12}", after in "\\PC{0,12}") {
        let text = format!("{before} anna@example.com {after}\n{before} 0171 3920017 {after}");
        let redacted = redact(&text);
        prop_assert!(!redacted.text.contains("anna@example.com"), "{}", redacted.text);
        prop_assert!(!redacted.text.contains("3920017"), "{}", redacted.text);
    }

    #[test]
    fn a_second_look_finds_nothing_new_but_our_placeholders(text in "[a-zA-Z0-9 .,:@/+=-]{0,80}") {
        let once = redact(&text);
        let twice = redact(&once.text);
        let counts = twice.counts();
        prop_assert!(!counts.contains_key(&Kind::Email) && !counts.contains_key(&Kind::Iban), "{}", once.text);
    }
}

#[test]
fn hostile_texts_take_time_in_proportion() {
    let size = 1_000_000;
    for piece in [
        "a",
        "@",
        "a@",
        "a@b.",
        "(at)",
        " at ",
        "1",
        "1 ",
        "+1",
        "12-",
        "0 ",
        "4 1",
        "::",
        ":",
        "1.",
        "f:",
        "https://",
        "://a:b",
        "=",
        "key=",
        "token=a?",
        "pw ",
        "password is ",
        "my password for ",
        "PIN ",
        "pin",
        "api key ",
        "sk-",
        "eyJ.",
        "SG.",
        "-----BEGIN ",
        "-----BEGIN X PRIVATE KEY-----",
        "DE89 ",
        "IBAN ",
        "de",
        "anna ",
        "Anna, ",
        "Will ",
        "will may ",
        "M. ",
        "anna m. ",
        "[",
        "[A_1",
        "[EMAIL_1]",
        "call ",
        "order ",
        "call 1",
        "\u{200b}",
        "\u{301}",
        "é",
        "王",
        "\n",
        " ",
        "\"",
        "password: \"",
        "“",
        "\0",
        "A1b2C3",
    ] {
        let text = piece.repeat(size / piece.len());
        let started = Instant::now();
        let redacted = redact(&text);
        // Quadratic work on a megabyte takes minutes.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?} for {piece:?}…", started.elapsed());
        assert!(redacted.original(span(0, redacted.text.len())).is_some());
    }
}
