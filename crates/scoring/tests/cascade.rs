//! The cascade with the embedded model, and an LLM behind a local server that speaks a provider's wire format.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

#[path = "support/provider.rs"]
mod provider;

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, LazyLock};

use futures::executor::block_on;
use provider::{NOON, World, fenced};
use serde_json::{Value, json};
use undertone_core::cascade::NoAnswer;
use undertone_core::gate::DeferReason;
use undertone_core::verdict::ScorerKind;
use undertone_core::{Label, SkipReason, Verdict};
use undertone_llm_server::{Failure, Fault, ItemSeen, Problem, Script, Server};
use undertone_scoring::cascade::{Cascade, WhyAsked};
use undertone_scoring::llm::ask::{Api, Endpoint, LlmScorer, Manner, Unlimited};
use undertone_scoring::llm::claude::CacheTime;
use undertone_scoring::local::LocalScorer;
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};

static LOCAL: LazyLock<Arc<LocalScorer>> = LazyLock::new(|| Arc::new(LocalScorer::embedded().unwrap()));

const CROSS: &str = "I am cross. Nobody answers and I want my money back.";
const GRATEFUL: &str = "Thank you so much, your support was wonderful and quick!";
const GERMAN: &str = "Ich warte seit drei Wochen auf mein Paket und niemand meldet sich.";
const DIGITS: &str = "4417-22 0091 8/8";

struct Bench {
    server: Server,
    world: Arc<World>,
    cascade: Cascade,
}

impl Bench {
    fn at(threshold: u8) -> Self {
        let millis = Arc::new(AtomicI64::new(NOON));
        let hand = millis.clone();
        let mut script = Script::new(Arc::new(move || World::now_of(&hand)));
        script.items = Arc::new(fenced);
        script.answer = Arc::new(always_worried);
        let server = Server::start(script).unwrap();
        let world = Arc::new(World::new(millis));
        let endpoint = Endpoint {
            api: Api::Claude { cache: Some(CacheTime::FiveMinutes) },
            base_url: server.url(),
            key: Some("local-key".to_owned()),
            model: "claude-haiku-5-5".to_owned(),
        };
        let manner = Manner { together: 4, at_once: 2, tries: 2 };
        let llm = Arc::new(LlmScorer::new(endpoint, manner, world.clone(), Arc::new(Unlimited)));
        Self { server, world, cascade: Cascade { local: LOCAL.clone(), llm, threshold } }
    }

    fn score(&self, texts: &[&str]) -> Vec<Result<Verdict, NoVerdict>> {
        let utterances = texts.iter().map(|text| Utterance::message(text)).collect();
        block_on(self.cascade.score(Batch::new(utterances)))
    }

    /// The texts that each request so far was about.
    fn left(&self) -> Vec<Vec<String>> {
        let texts = |body: &Value| {
            let user = body["messages"][0]["content"].as_str().unwrap();
            fenced(user).into_iter().map(|item| item.text).collect()
        };
        self.server.requests().iter().map(|seen| texts(&seen.json())).collect()
    }
}

/// The answer to everything: a slight worry.
fn always_worried(seen: &ItemSeen) -> Value {
    let answers = seen.items.iter().map(|item| {
        json!({
            "index": item.index, "language": "en", "sarcasm": false, "ambiguous": false, "confidence": 88,
            "evidence": [{"quote": item.text, "weight": -20}], "aspects": [], "emotions": [],
            "emotion": "worry", "label": "negative", "score": -30, "urgency": "low", "category": "other",
            "summary": "The customer is a little worried.",
        })
    });
    json!({"answers": answers.collect::<Vec<_>>()})
}

fn whose(answer: &Result<Verdict, NoVerdict>) -> Option<(ScorerKind, Option<WhyAsked>)> {
    let verdict = answer.as_ref().ok()?;
    Some((verdict.provenance.scorer, verdict.cascade.as_ref()?.why))
}

#[test]
fn only_what_the_embedded_model_can_not_tell_leaves() {
    let bench = Bench::at(60);
    let answers = bench.score(&[CROSS, GERMAN, DIGITS, GRATEFUL]);
    assert_eq!(bench.left(), [[GERMAN]]);
    assert_eq!(whose(&answers[0]), Some((ScorerKind::Local, None)));
    assert_eq!(whose(&answers[1]), Some((ScorerKind::Claude, Some(WhyAsked::Language))));
    assert_eq!(answers[2], Err(SkipReason::NoWords.into()));
    assert_eq!(whose(&answers[3]), Some((ScorerKind::Local, None)));
    let german = answers[1].as_ref().unwrap();
    assert_eq!(german.evidence[0].text, GERMAN);
    let charged = u64::from(german.provenance.tokens_in + german.provenance.tokens_out);
    assert_eq!(charged, bench.server.ledger().usage().total());
}

#[test]
fn several_go_together_and_come_back_in_order_with_both_verdicts() {
    let bench = Bench::at(100);
    let texts = [CROSS, GRATEFUL, DIGITS, GERMAN, CROSS, GRATEFUL, CROSS];
    let answers = bench.score(&texts);
    let sizes: Vec<usize> = bench.left().iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 2], "six were asked about, four together at most");
    for (text, answer) in texts.iter().zip(&answers) {
        if *text == DIGITS {
            assert_eq!(answer, &Err(SkipReason::NoWords.into()));
            continue;
        }
        let verdict = answer.as_ref().unwrap();
        assert_eq!((verdict.provenance.scorer, verdict.label), (ScorerKind::Claude, Label::Negative));
        assert_eq!(verdict.evidence[0].text, *text, "each got its own answer");
        let first = verdict.cascade.as_ref().unwrap().first.as_ref();
        match *text {
            GERMAN => assert_eq!(first, None),
            GRATEFUL => {
                assert_eq!(first.unwrap().label, Label::Positive);
                assert!(verdict.disagrees() && verdict.needs_review());
            }
            _ => assert_eq!(first.unwrap().label, Label::Negative),
        }
    }
}

#[test]
fn the_llm_away_costs_nothing_but_its_opinion() {
    let bench = Bench::at(100);
    bench.server.unplug().unwrap();
    let answers = bench.score(&[CROSS, GERMAN, GRATEFUL]);
    assert!(!bench.world.pauses.lock().unwrap().is_empty(), "it was tried again");
    for answer in [&answers[0], &answers[2]] {
        assert_eq!(whose(answer), Some((ScorerKind::Local, Some(WhyAsked::Unsure))));
        let unanswered = answer.as_ref().unwrap().cascade.as_ref().unwrap().unanswered.as_ref().unwrap();
        assert_eq!(unanswered.reason, NoAnswer::LlmUnavailable);
        assert!(unanswered.detail.contains("can not be reached"), "{}", unanswered.detail);
    }
    let german = &answers[1];
    assert!(
        matches!(german, Err(NoVerdict::Unavailable { reason: DeferReason::LlmUnavailable, .. })),
        "{german:?}"
    );
    bench.server.plug_in().unwrap();
    // After a rest it is looked for again.
    bench.world.millis.fetch_add(15_000, std::sync::atomic::Ordering::SeqCst);
    let answers = bench.score(&[CROSS, GERMAN]);
    assert_eq!(whose(&answers[0]), Some((ScorerKind::Claude, Some(WhyAsked::Unsure))));
    assert_eq!(whose(&answers[1]), Some((ScorerKind::Claude, Some(WhyAsked::Language))));
}

#[test]
fn a_refusal_leaves_the_first_verdict() {
    let bench = Bench::at(100);
    bench.server.set(Fault::next(1, Failure::Refusal { category: Some("general_harms") }));
    let answers = bench.score(&[CROSS]);
    let verdict = answers[0].as_ref().unwrap();
    assert_eq!(verdict.provenance.scorer, ScorerKind::Local);
    let unanswered = verdict.cascade.as_ref().unwrap().unanswered.as_ref().unwrap();
    assert_eq!(unanswered.reason, NoAnswer::Refused);

    bench.server.set(Fault::always(Failure::Error(Problem::internal())));
    let answers = bench.score(&[CROSS, GRATEFUL]);
    assert!(answers.iter().all(|a| whose(a) == Some((ScorerKind::Local, Some(WhyAsked::Unsure)))));
}
