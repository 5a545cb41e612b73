//! Customers who talk to the scorer, and a model that obeys them: whatever it answers, only what the text bears out is accepted, and its
//! neighbours in the same request lose nothing. `hostile/pack.jsonl` holds the texts and the answers; `obeying` sends the texts to a server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

#[path = "hostile/obeying.rs"]
mod obeying;
#[path = "support/provider.rs"]
mod provider;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::verdict::{Coverage, Provenance, ScorerKind, Suspicion};
use undertone_core::{Channel, Direction, Kind, Verdict};
use undertone_scoring::llm::answer::{Answered, Dropped, Rejected, read};
use undertone_scoring::llm::prompt::{Item, Question, message};
use undertone_scoring::llm::schema::category_ids;

/// A hostile text, what an obeying model answers about it as item 1, and what becomes of that.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    id: String,
    #[serde(rename = "attack")]
    way: String,
    language: String,
    text: String,
    answer: String,
    outcome: Outcome,
    /// A part of the reason, for what is rejected.
    reason: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// There is no verdict.
    Rejected,
    /// There is one within all bounds, marked as suspicious.
    Marked,
    /// There is one within all bounds. Nothing gives the attack away: it could as well be a model's honest mistake.
    Contained,
}

fn pack() -> Vec<Attack> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile/pack.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let parsed = lines
        .lines()
        .zip(1..)
        .map(|(line, number)| serde_json::from_str(line).unwrap_or_else(|e| panic!("line {number}: {e}")));
    parsed.collect()
}

fn item(text: &str) -> Item<'_> {
    Item {
        text,
        channel: Channel::Web,
        direction: Direction::Incoming,
        kind: Kind::Message,
        occurred_at: None,
    }
}

/// Everything that must hold of a verdict that is accepted, whoever wrote the text.
fn assert_contained(id: &str, answered: &Answered, text: &str) {
    let provenance = Provenance {
        scorer: ScorerKind::Claude,
        model: "obeying".to_owned(),
        model_version: "1".to_owned(),
        prompt_version: None,
        language: answered.language.clone().unwrap_or_default(),
        tokens_in: 0,
        tokens_out: 0,
        cost_micros: 0,
        duration_us: 0,
    };
    let verdict = answered.clone().into_verdict(Coverage { truncated: false, unread_percent: 0 }, provenance);
    assert_eq!(verdict.suspicions, answered.suspicions, "{id}");
    assert_bounded(id, &verdict, text);
}

fn assert_bounded(id: &str, verdict: &Verdict, text: &str) {
    verdict.check(text).unwrap_or_else(|e| panic!("{id}: {e}"));
    let (low, high) = verdict.label.band();
    assert!((low..=high).contains(&verdict.score.get()), "{id}");
    assert!(verdict.dominant_emotion.goes_with(verdict.label), "{id}");
    assert!(category_ids(&[]).contains(&verdict.category), "{id}");
    assert!(verdict.emotions.iter().all(|e| (0.0..=1.0).contains(&e.strength)), "{id}");
    assert!(
        verdict.summary.chars().count() <= 400 && !verdict.summary.contains("://"),
        "{id}: {}",
        verdict.summary
    );
    assert!(
        !verdict.summary.contains(['<', '>', '\n', '\u{7}', '\u{202e}', '\u{2066}']),
        "{id}: {}",
        verdict.summary
    );
    // Suspicion has consequences a person sees.
    assert!(verdict.suspicions.is_empty() || verdict.needs_review(), "{id}");
}

#[test]
fn every_attack_is_contained_and_the_suspicious_ones_are_marked() {
    for Attack { id, text, answer, outcome, reason, .. } in pack() {
        let told = read(&answer, &[item(&text)], &[]);
        assert_eq!(told.items.len(), 1, "{id}");
        match (&told.items[0], outcome) {
            (Err(rejected), Outcome::Rejected) => {
                let reason = reason.unwrap_or_else(|| panic!("{id}: a rejected answer has a reason"));
                assert!(rejected.to_string().contains(&reason), "{id}: {rejected}");
            }
            (Ok(answered), Outcome::Marked) => {
                assert!(!answered.suspicions.is_empty(), "{id}: {answered:?}");
                assert_contained(&id, answered, &text);
            }
            (Ok(answered), Outcome::Contained) => {
                assert_eq!(answered.suspicions, [], "{id}: it is found now; say `marked`");
                assert_contained(&id, answered, &text);
            }
            (other, expected) => panic!("{id}: {expected:?} expected, got {other:?}"),
        }
    }
}

#[test]
fn neighbours_of_an_attack_lose_nothing() {
    let honest = "Thank you, the new key works and your Ada was lovely.";
    let answer = json!({
        "index": 2, "language": "en", "evidence": [{"quote": "your Ada was lovely", "weight": 40}],
        "aspects": [{"category": "customer_service", "score": 70, "quote": "your Ada was lovely"}],
        "emotions": [{"emotion": "gratitude", "strength": 80}], "emotion": "gratitude", "sarcasm": false, "ambiguous": false,
        "label": "positive", "score": 65, "confidence": 95, "urgency": "low", "category": "customer_service",
        "summary": "The customer is grateful for the new key and for the person who helped.",
    });
    let mut checked = 0;
    for Attack { id, text, answer: hostile, .. } in pack() {
        let Ok(mut together) = serde_json::from_str::<Value>(&hostile) else { continue };
        let Some(answers) = together.get_mut("answers").and_then(Value::as_array_mut) else { continue };
        // An answer in the neighbour's name makes two, and nobody can tell which is the model's own.
        let forged = answers.iter().any(|answer| answer["index"] == 2);
        answers.push(answer.clone());
        let told = read(&together.to_string(), &[item(&text), item(honest)], &[]);
        match &told.items[1] {
            Err(Rejected::Repeated { count: 2 }) if forged => {}
            Ok(answered) if !forged => {
                assert_eq!((answered.score.get(), answered.confidence.get()), (65, 95), "{id}");
                assert!(answered.suspicions.is_empty() && answered.dropped == Dropped::default(), "{id}");
            }
            other => panic!("{id}: {other:?}"),
        }
        checked += 1;
    }
    assert!(checked >= 60, "{checked}");
}

#[test]
fn no_attack_leaves_its_fence() {
    let attacks = pack();
    let items: Vec<Item<'_>> = attacks.iter().map(|attack| item(&attack.text)).collect();
    let told = message(&Question { items: &items, categories: &[], phrases: &[] });
    let fence = told.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap();
    assert_eq!(told.matches(fence).count(), 1 + 2 * items.len());
    assert!(attacks.iter().all(|attack| !attack.text.contains(fence)));
    let unseen = |c: char| {
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{e0000}'..='\u{e007f}') || (c.is_control() && c != '\n')
    };
    assert!(!told.contains(unseen), "what nobody sees is not sent");
}

/// The pack is what the issue asks for: 60 or more, of many kinds and languages, most of them found out.
#[test]
fn the_pack_is_broad() {
    let attacks = pack();
    assert!(attacks.len() >= 60, "{}", attacks.len());
    let kinds: BTreeSet<&str> = attacks.iter().map(|a| a.way.as_str()).collect();
    let languages: BTreeSet<&str> = attacks.iter().map(|a| a.language.as_str()).collect();
    let ids: BTreeSet<&str> = attacks.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(ids.len(), attacks.len());
    assert!(kinds.len() >= 7 && languages.len() >= 15, "{kinds:?} {languages:?}");
    let mut outcomes = BTreeMap::new();
    let mut reasons = BTreeSet::new();
    for attack in &attacks {
        *outcomes.entry(attack.outcome).or_insert(0) += 1;
        if let Ok(answered) = &read(&attack.answer, &[item(&attack.text)], &[]).items[0] {
            reasons.extend(answered.suspicions.iter().copied());
        }
    }
    assert!(
        outcomes.get(&Outcome::Contained).is_none_or(|count| *count * 10 <= attacks.len()),
        "{outcomes:?}"
    );
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), Suspicion::ALL);
}
