//! What every caller may rely on: the same text gets the same verdict, nothing breaks it, and a full queue says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::future::join;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use undertone_core::gate::{Circumstances, Decision, decide};
use undertone_core::{Category, CategoryId, Interaction, Kind, Label, Settings, SkipReason, Verdict};
use undertone_scoring::local::{Artifact, Capacity, LocalScorer};
use undertone_scoring::{Batch, Knowledge, NoVerdict, Scorer, Utterance};

static SCORER: LazyLock<LocalScorer> = LazyLock::new(|| LocalScorer::embedded().unwrap());

fn score(texts: &[&str]) -> Vec<Result<Verdict, NoVerdict>> {
    block_on(SCORER.score(Batch::new(texts.iter().map(|t| Utterance::message(t)).collect())))
}

fn one(text: &str) -> Verdict {
    score(&[text]).remove(0).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Everything but the time it took.
fn timeless(verdict: Result<Verdict, NoVerdict>) -> Result<Verdict, NoVerdict> {
    verdict.map(|mut v| {
        v.provenance.duration_us = 0;
        v
    })
}

#[test]
fn the_same_text_gets_the_same_verdict_whatever_stands_beside_it() {
    let messages = undertone_testkit::corpus::messages("test");
    let texts: Vec<&str> = messages.iter().take(60).map(|m| m.text.as_str()).collect();
    let alone: Vec<_> = texts.iter().map(|t| timeless(score(&[t]).remove(0))).collect();
    let together: Vec<_> = score(&texts).into_iter().map(timeless).collect();
    assert_eq!(alone, together);
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    let mut backwards: Vec<_> = score(&reversed).into_iter().map(timeless).collect();
    backwards.reverse();
    assert_eq!(alone, backwards);
}

#[test]
fn evidence_quotes_the_text_and_points_the_way_of_the_verdict() {
    let v = one("The new oven is wonderful, but your fitter left a hole in my wall and never came back 😡");
    assert_eq!(v.label, Label::Mixed);
    assert!(
        v.evidence.iter().any(|e| e.weight > 0.0) && v.evidence.iter().any(|e| e.weight < 0.0),
        "{:?}",
        v.evidence
    );
    let v = one("I am so angry, this is the third time you lost my parcel and nobody ever calls back.");
    assert_eq!(v.label, Label::Negative);
    assert!(v.evidence[0].weight < 0.0 && v.summary.contains(&v.evidence[0].text), "{v:#?}");
}

#[test]
fn a_long_calm_note_with_one_furious_sentence_is_not_averaged_away() {
    let calm = "The customer called to update the delivery address to 14 Mill Lane. The order number is 5512. The box has two parts. \
                The driver should use the side gate. The customer can be reached in the afternoon. ";
    let furious = "He is livid that this is the fourth broken promise and says he is done with us and will go to the ombudsman. ";
    let text = format!("{}{furious}{}", calm.repeat(2), calm);
    let v = one(&text);
    assert!(matches!(v.label, Label::Negative | Label::Mixed), "{:?} {}", v.label, v.score.get());
}

#[test]
fn only_the_customer_is_read() {
    let happy_agent = "Agent: Wonderful, fantastic, so glad, thank you so much, have an amazing day!\n\
                       Customer: My card was charged twice again and I have had enough of this.\n\
                       Agent: Perfect, excellent, brilliant!";
    let mut utterance = Utterance::message(happy_agent);
    utterance.kind = Kind::Transcript;
    let v = block_on(SCORER.score(Batch::new(vec![utterance]))).remove(0).unwrap();
    assert_eq!(v.label, Label::Negative);
    let customer = happy_agent.find("My card").unwrap()..happy_agent.find("\nAgent: Perfect").unwrap();
    assert!(v.evidence.iter().all(|e| e.span.start >= customer.start && e.span.end <= customer.end));
    let quoted = "It is broken again and I want my money back.\n\nOn Monday 2 November, Shop wrote:\n> We love you! Enjoy your wonderful purchase!";
    let v = one(quoted);
    assert!(v.evidence.iter().all(|e| e.span.end <= quoted.find("On Monday").unwrap()));
}

#[test]
fn other_languages_are_left_unscored_and_mixed_texts_say_what_was_not_read() {
    for (text, code) in [
        ("Ich warte seit drei Wochen auf eine Antwort und niemand meldet sich bei mir.", "de"),
        ("Llevo tres semanas esperando una respuesta y nadie me contesta, es una vergüenza.", "es"),
    ] {
        let expected = NoVerdict::Abstained {
            reason: SkipReason::LanguageNotValidated,
            language: Some(code.to_owned()),
        };
        assert_eq!(score(&[text]).remove(0).unwrap_err(), expected);
    }
    let english = "I have been waiting for a refund since March and nobody at your company answers my letters any more.";
    let v = one(&format!("{english} Ich finde das wirklich eine Frechheit von Ihnen."));
    assert!((25..50).contains(&v.coverage.unread_percent), "{}", v.coverage.unread_percent);
    let (whole, part) = (one(english).confidence, v.confidence);
    assert!(part < whole, "of half a text one is less sure: {part:?}, {whole:?}");
}

#[test]
fn what_holds_no_words_is_left_unscored() {
    for text in [
        "1234567890 1234567890 1234",
        "⭐",
        "✅ ❌ ⏳",
        "10/10",
        "\u{200b}\u{200b}\u{200b}\u{200b}",
        "---------- ===========",
    ] {
        let reason = match score(&[text]).remove(0) {
            Err(NoVerdict::Abstained { reason, .. }) => reason,
            other => panic!("{text}: {other:?}"),
        };
        assert!(
            matches!(reason, SkipReason::NoWords | SkipReason::NothingFromCustomer),
            "{text}: {reason:?}"
        );
    }
}

#[test]
fn one_word_or_none_is_read_where_it_is_english_or_a_face() {
    for (text, label) in [
        ("😡😡😡😡😡😡😡😡😡😡😡😡", Label::Negative),
        ("🤦🏽\u{200d}♀\u{fe0f}", Label::Negative),
        ("❤️❤️❤️", Label::Positive),
        ("🎉 🥳", Label::Positive),
        ("Scammers!", Label::Negative),
        ("WTF", Label::Negative),
        ("Unprofessional.", Label::Negative),
        ("horrendous!!", Label::Negative),
        ("Awesome", Label::Positive),
    ] {
        let v = one(text);
        assert_eq!(v.label, label, "{text}: {:?}", v.score);
        // What a word that is read in pieces adds may point the other way; of a face it is what it says.
        let is_face = !text.contains(char::is_alphanumeric);
        assert!(!is_face || v.evidence.first().is_some_and(|e| text.contains(&e.text)), "{text}: {v:?}");
    }
    assert_eq!(one("😡").provenance.language, "und");
    assert_eq!(one("Scammers!").provenance.language, "en");
    for text in ["Danke", "Fantastico", "Excelente", "schlecht", "Betrüger!", "Danke 😊"] {
        assert!(
            matches!(
                score(&[text]).remove(0),
                Err(NoVerdict::Abstained { reason: SkipReason::LanguageNotValidated, .. })
            ),
            "{text}"
        );
    }
}

#[test]
fn a_tenants_own_categories_are_used() {
    let category = |id: &str, name: &str, examples: &[&str]| Category {
        id: CategoryId::new(id).unwrap(),
        name: name.to_owned(),
        examples: examples.iter().map(|e| (*e).to_owned()).collect(),
    };
    let categories = [
        category(
            "late_parcels",
            "Late or lost parcels",
            &["Where is my parcel?", "My order has not arrived yet."],
        ),
        category(
            "passwords",
            "Trouble logging in",
            &["I can't log in.", "The password reset mail never comes."],
        ),
    ];
    let batch = Batch {
        utterances: [
            "My package should have come last Friday, where is it?",
            "It says wrong password every time I sign in.",
        ]
        .map(Utterance::message)
        .into(),
        knowledge: Arc::new(Knowledge { categories: categories.into(), ..Knowledge::default() }),
        model: None,
    };
    let told: Vec<String> =
        block_on(SCORER.score(batch)).into_iter().map(|v| v.unwrap().category.as_str().to_owned()).collect();
    assert_eq!(told, ["late_parcels", "passwords"]);
}

#[test]
fn a_full_queue_refuses_and_a_caller_who_left_costs_nothing() {
    let capacity = Capacity { threads: NonZeroUsize::MIN, waiting: 4 };
    let scorer = LocalScorer::new(Artifact::embedded().unwrap(), capacity).unwrap();
    let batch = || Batch::new(vec![Utterance::message("My order is late and nobody answers the phone."); 40]);
    let answers = block_on(scorer.score(batch()));
    let busy = answers.iter().filter(|a| matches!(a, Err(NoVerdict::Busy))).count();
    assert!(busy >= 30, "{busy} of 40 were refused; one is read and four wait");
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 40 - busy, "the others were read");
    drop(scorer.score(batch()));
    let (a, b) = block_on(join(async { scorer.score(Batch::new(vec![])).await }, async { scorer.kind() }));
    assert!(a.is_empty() && b == undertone_core::verdict::ScorerKind::Local);
}

/// Texts that have broken programs like this one, and what lies between them.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..160).prop_map(|b| String::from_utf8_lossy(&b).into_owned()),
        3 => "\\PC{0,120}",
        3 => prop::collection::vec(
            prop::sample::select(vec![
                "refund", "Agent:", "Customer: ", "\n", "\r\n", "> ", "On Monday she wrote:", "-- ", "Regards,", " ", ", ", ". ", "but ",
                "👩🏽‍🚒", "e\u{301}\u{302}\u{303}", "\u{202e}", "\u{200b}", "שלום", "مرحبا", "日本語", "\u{0}", "not", "great", "broken!!!", "§", "ﬁ", "İ",
                "[10:32] ", "(", "\"", "…", "\u{feff}", "😀", "ß",
            ]),
            0..60,
        ).prop_map(|parts| parts.concat()),
    ]
}

/// Through the gate and the reader, as the longest setting allows.
fn reads_safely(text: &str, kind: Kind) {
    let mut interaction = Interaction::message("test", "1", text);
    interaction.kind = kind;
    let settings = Settings { min_note_length: 0, max_note_length: 100_000, ..Settings::default() };
    let Decision::Score { read_bytes, .. } = decide(&interaction, &settings, Circumstances::default()) else {
        return;
    };
    let answer = block_on(SCORER.score(Batch::new(vec![Utterance::of(&interaction, read_bytes)]))).remove(0);
    match answer {
        Ok(verdict) => verdict.check(text).unwrap_or_else(|e| panic!("{text:?}: {e}")),
        Err(NoVerdict::Abstained { .. }) => {}
        Err(error) => panic!("{text:?}: {error}"),
    }
}

#[test]
fn ten_thousand_random_texts_are_read_or_left_with_a_reason() {
    let kinds = prop::sample::select(vec![Kind::Message, Kind::Note, Kind::Transcript]);
    let mut runner =
        TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&(any_text(), kinds), |(text, kind)| {
            reads_safely(&text, kind);
            Ok(())
        })
        .unwrap();
}

/// Peak resident memory of this process, MiB. Only Linux tells it.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? / 1024)
}

#[test]
fn monstrous_texts_stay_within_time_and_memory() {
    let one_emoji = "😡".repeat(262_144);
    let one_word = "a".repeat(100_000);
    let zero_width = "\u{200b}".repeat(500_000);
    let marks = format!("e{}", "\u{301}".repeat(300_000));
    let lines = "Agent: hi\nCustomer: no\n".repeat(60_000);
    let quotes = "> > > ".repeat(200_000);
    let commas = "a, b, c, d, ".repeat(100_000);
    let dots = "No. ".repeat(250_000);
    let nul = "\0".repeat(1_000_000);
    let angry = "This is the worst service ever and I want my money back! ".repeat(20_000);
    let emoji = "🐌😱 ".repeat(130_000);
    let stars = format!("great{}{}", "⭐".repeat(66_000), "n".repeat(33_000));
    for text in
        [one_emoji, emoji, stars, one_word, zero_width, marks, lines, quotes, commas, dots, nul, angry]
    {
        let started = Instant::now();
        reads_safely(&text, Kind::Message);
        reads_safely(&text, Kind::Transcript);
        // The slowest, 25,000 word pieces twice, takes some 8 s where the machine is idle; what grew with the square of the length would take hours.
        assert!(started.elapsed() < Duration::from_mins(5), "{:?} for {:.20}…", started.elapsed(), text);
    }
    if let Some(peak) = peak_memory() {
        assert!(peak < 400, "{peak} MiB");
    }
}
