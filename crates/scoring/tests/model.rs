//! What the shipped model must be worth, on messages it was not trained on, and that its figures are those on its card.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

use std::sync::LazyLock;

use futures::executor::block_on;
use undertone_core::{Kind, Verdict};
use undertone_scoring::local::{Artifact, LocalScorer};
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};
use undertone_testkit::corpus::{Message, messages};
use undertone_testkit::figures::{macro_f1, recall, vader};

const LABELS: [&str; 4] = ["positive", "neutral", "negative", "mixed"];

static SCORER: LazyLock<LocalScorer> = LazyLock::new(|| LocalScorer::embedded().unwrap());

fn score(message: &Message) -> Result<Verdict, NoVerdict> {
    let mut utterance = Utterance::message(&message.text);
    if message.phenomena.iter().any(|p| p == "transcript") {
        utterance.kind = Kind::Transcript;
    } else if message.phenomena.iter().any(|p| p == "agent_note") {
        utterance.kind = Kind::Note;
    }
    block_on(SCORER.score(Batch::new(vec![utterance]))).remove(0)
}

#[test]
fn the_test_part_is_read_better_than_the_floors_and_than_vader() {
    let messages = messages("test");
    assert!(messages.len() >= 1000);
    let verdicts: Vec<_> = messages.iter().map(score).collect();
    let truths: Vec<&str> = messages.iter().map(|m| m.label.as_str()).collect();
    let answers: Vec<&str> = verdicts.iter().map(|v| v.as_ref().map_or("", |v| v.label.as_str())).collect();
    let peer: Vec<&str> = messages.iter().map(|m| vader(&m.text)).collect();

    let (f1, negatives) = (macro_f1(&truths, &answers, &LABELS), recall(&truths, &answers, "negative"));
    let (peer_f1, peer_negatives) = (macro_f1(&truths, &peer, &LABELS), recall(&truths, &peer, "negative"));
    println!(
        "label macro-F1 {f1:.3} (VADER {peer_f1:.3}), negative recall {negatives:.3} (VADER {peer_negatives:.3})"
    );
    assert!(f1 >= 0.79 && f1 > peer_f1, "macro-F1 {f1}");
    assert!(negatives >= 0.88 && negatives > peer_negatives, "negative recall {negatives}");
    let negative: Vec<&&str> =
        truths.iter().zip(&answers).filter(|(t, _)| **t == "negative").map(|(_, a)| a).collect();
    let called_positive =
        negative.iter().filter(|a| ***a == "positive").count() as f64 / negative.len() as f64;
    assert!(called_positive <= 0.055, "negatives called positive {called_positive}");

    // The recipe computes the same figures in Python from the same vectors: they agree, or one of the two reads differently.
    let card = Artifact::embedded().unwrap().manifest.figures;
    for (name, here) in [("test label macro-F1", f1), ("test negative recall", negatives)] {
        assert!((card[name] - here).abs() < 0.01, "{name}: {} on the card, {here} here", card[name]);
    }
}

#[test]
fn the_readme_tells_the_figures_of_the_manifest() {
    let manifest = Artifact::embedded().unwrap().manifest;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let figure = |name: &str| manifest.figures[name];
    let told = [
        format!("undertone-reader {},", manifest.version),
        format!("| label, macro-F1 over 4 labels | {:.3} |", figure("test label macro-F1")),
        format!("| negatives found | {:.3} |", figure("test negative recall")),
        format!("| negatives called positive | {:.3} |", figure("test negatives called positive")),
        format!("against {:.2})", figure("TweetEval macro recall")),
    ];
    for needed in told {
        assert!(readme.contains(&needed), "README.md says otherwise than “{needed}”");
    }
}

#[test]
fn the_model_card_names_what_it_must() {
    let artifact = Artifact::embedded().unwrap();
    for needed in ["Apache-2.0", "all-MiniLM-L6-v2", "What it does not do", "Trained on", "VADER"] {
        assert!(artifact.card.contains(needed), "{needed}");
    }
}

/// Sentences of the two texts that specify Undertone, with what a thoughtful support lead would say.
const EXAMPLES: [(&str, &str); 16] = [
    ("I guess the product works fine", "negative"),
    ("I've contacted support three times about this and I still don't have an answer.", "negative"),
    ("Oh great, another delay", "negative"),
    ("Oh, wonderful, another delay", "negative"),
    (
        "Please advise on the current status of ticket #44821 as this has now been outstanding for 14 business days",
        "negative",
    ),
    ("I suppose it's acceptable", "negative"),
    ("not exactly what I was hoping for", "negative"),
    ("I suppose that works", "negative"),
    ("fine, I'll try that", "negative"),
    ("The portfolio is not performing as expected", "negative"),
    ("love the product, hate the delivery", "mixed"),
    ("Not bad, actually not bad at all", "positive"),
    ("This is unacceptable. I will never order from you again.", "negative"),
    ("There was a billing charge I didn't recognize.", "negative"),
    ("I couldn't access my account after a password reset.", "negative"),
    ("A feature I rely on stopped working and I had to wait 48 hours for a fix.", "negative"),
];

/// Right or wrong, what the model says of them today is written down, so that a better model can be seen to be better.
#[test]
fn the_examples_of_the_specification_read_as_they_did() {
    let mut told = String::new();
    let mut right = 0;
    for (text, wanted) in EXAMPLES {
        let says = block_on(SCORER.score(Batch::new(vec![Utterance::message(text)]))).remove(0).unwrap();
        let label = says.label.as_str();
        right += usize::from(label == wanted);
        let mark = if label == wanted { "right" } else { "WRONG" };
        told += &format!("{mark}  wanted {wanted:<8} says {label:<8}  {text}\n");
    }
    told += &format!("{right} of {} right\n", EXAMPLES.len());
    insta::assert_snapshot!(told);
}
