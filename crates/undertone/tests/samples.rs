//! The sample inbox and the corpus are what they claim: rich, and written rather than made from templates.

#![allow(clippy::unwrap_used, reason = "a test that can not go on stops")]

use std::collections::BTreeSet;

use undertone_core::Urgency;
use undertone_core::category::SUPPORT;
use undertone_testkit::corpus::messages;
use undertone_testkit::near_duplicates::pairs;

fn inbox() -> Vec<csv::StringRecord> {
    let path = undertone_testkit::workspace("samples/inbox.csv");
    csv::Reader::from_path(path).unwrap().records().map(Result::unwrap).collect()
}

#[test]
fn the_sample_inbox_is_rich() {
    let rows = inbox();
    let distinct = |column: usize| rows.iter().map(|r| r[column].to_owned()).collect::<BTreeSet<_>>().len();
    assert!(rows.len() >= 300, "{} interactions", rows.len());
    assert!(distinct(1) >= 4, "companies");
    assert!(distinct(3) >= 40, "customers");
    assert!(distinct(6) >= 8, "channels");
    let days: BTreeSet<&str> = rows.iter().map(|r| &r[10][..10]).collect();
    assert!(days.first().unwrap() <= &"2026-08-21" && days.last().unwrap() >= &"2026-11-15", "90 days");
}

#[test]
fn nothing_in_the_sample_inbox_is_a_near_duplicate() {
    let rows = inbox();
    let texts: Vec<&str> = rows.iter().map(|r| &r[11]).collect();
    // A chain of mail quotes the mail before: such pairs are told apart by their quote marks.
    let found: Vec<_> = pairs(&texts, 0.4)
        .into_iter()
        .filter(|(a, b, _)| !texts[*a].contains("\n>") && !texts[*b].contains("\n>"))
        .map(|(a, b, overlap)| (&rows[a][0], &rows[b][0], overlap))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_message_of_the_corpus_is_a_near_duplicate_of_another() {
    let mut all = messages("train");
    all.extend(messages("test"));
    let ids: BTreeSet<&str> = all.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(ids.len(), all.len(), "ids are unique");
    let texts: Vec<&str> = all.iter().map(|m| m.text.as_str()).collect();
    let found: Vec<_> =
        pairs(&texts, 0.4).into_iter().map(|(a, b, overlap)| (&all[a].id, &all[b].id, overlap)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_case_of_the_packs_was_trained_on() {
    let train = messages("train");
    let mut texts: Vec<(String, String)> = Vec::new();
    for pack in ["minimum", "invariance", "direction"] {
        let path = undertone_testkit::workspace(&format!("crates/undertone/packs/{pack}.jsonl"));
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            texts.push((case["id"].as_str().unwrap().to_owned(), case["text"].as_str().unwrap().to_owned()));
        }
    }
    let cases = texts.len();
    texts.extend(train.into_iter().map(|m| (m.id, m.text)));
    let all: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    // Cases may resemble each other; a case and a message may not.
    let found: Vec<_> = pairs(&all, 0.4)
        .into_iter()
        .filter(|(a, b, _)| (*a < cases) != (*b < cases))
        .map(|(a, b, overlap)| (&texts[a].0, &texts[b].0, overlap))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_message_has_a_second_blind_label() {
    let labels: BTreeSet<String> =
        ["test", "train"].iter().flat_map(|part| messages(part)).map(|m| m.id).collect();
    let folder = undertone_testkit::workspace("training/corpus/second-pass");
    let mut second = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        for line in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            second.insert(row["id"].as_str().unwrap().to_owned());
        }
    }
    let missing: Vec<_> = labels.difference(&second).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(messages("test").len() >= 1000 && messages("train").len() >= 6000);
}

#[test]
fn labels_of_the_corpus_are_of_the_lists_and_keep_their_bands() {
    const EMOTIONS: [&str; 10] = [
        "frustration",
        "anger",
        "disappointment",
        "confusion",
        "worry",
        "sadness",
        "gratitude",
        "relief",
        "joy",
        "neutral",
    ];
    for m in messages("train").iter().chain(&messages("test")) {
        assert!(EMOTIONS.contains(&m.emotion.as_str()), "{}: {}", m.id, m.emotion);
        assert!(SUPPORT.iter().any(|(id, _)| *id == m.category), "{}: {}", m.id, m.category);
        assert!(Urgency::ALL.iter().any(|u| u.as_str() == m.urgency), "{}: {}", m.id, m.urgency);
        let label: undertone_core::Label = m.label.parse().unwrap();
        let (low, high) = label.band();
        assert!(
            (i64::from(low)..=i64::from(high)).contains(&m.valence),
            "{}: {} at {}",
            m.id,
            m.label,
            m.valence
        );
    }
}
