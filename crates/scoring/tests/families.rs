//! Every family of models, asked as the product asks, by a server that refuses what the family refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

#[path = "support/provider.rs"]
mod provider;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use futures::executor::block_on;
use provider::{NOON, World, fenced};
use serde_json::{Value, json};
use undertone_core::Label;
use undertone_llm_server::{ItemSeen, Script, Server};
use undertone_scoring::llm::ask::{Api, Endpoint, LlmScorer, Manner, Unlimited};
use undertone_scoring::llm::claude::CacheTime;
use undertone_scoring::{Batch, Scorer, Utterance};

/// An answer in our shape, whether or not the request had a schema.
fn answer(seen: &ItemSeen) -> Value {
    let one = |index: i64| {
        json!({
            "index": index, "language": "en", "sarcasm": false, "ambiguous": false, "confidence": 80, "aspects": [], "emotions": [],
            "evidence": [{"quote": "late", "weight": -40}], "emotion": "frustration", "label": "negative", "score": -50, "urgency": "low",
            "category": "other", "summary": "The customer waits.",
        })
    };
    let told = json!({"answers": seen.items.iter().map(|item| one(item.index)).collect::<Vec<_>>()});
    // Where no schema is enforced, models like to put JSON into a fence.
    if seen.schema.is_some() { told } else { json!(format!("```json\n{told}\n```")) }
}

/// Asks `model` about two texts at once; answers how often it was asked.
fn ask(api: Api, model: &str) -> usize {
    let millis = Arc::new(AtomicI64::new(NOON));
    let hand = millis.clone();
    let mut script = Script::new(Arc::new(move || World::now_of(&hand)));
    script.items = Arc::new(fenced);
    script.answer = Arc::new(answer);
    let server = Server::start(script).unwrap();
    let base_url = if api == Api::Openai { server.chat_url() } else { server.url() };
    let endpoint = Endpoint { api, base_url, key: Some("local-key".to_owned()), model: model.to_owned() };
    let manner = Manner { together: 4, at_once: 2, tries: 1 };
    let scorer = LlmScorer::new(endpoint, manner, Arc::new(World::new(millis)), Arc::new(Unlimited));
    let utterances = ["It is late again.", "So late!"].map(Utterance::message).to_vec();
    for told in block_on(scorer.score(Batch::new(utterances))) {
        let verdict = told.unwrap_or_else(|why| panic!("{model}: {why:?}"));
        assert_eq!((verdict.label, verdict.provenance.model.as_str()), (Label::Negative, model));
    }
    server.requests().len()
}

#[test]
fn every_family_takes_the_request_as_it_is_made() {
    for model in [
        "claude-haiku-5-5",
        "claude-sonnet-5-5",
        "claude-opus-5-5",
        "claude-fable-5-1",
        "claude-opus-5",
        "claude-sonnet-5",
        "claude-opus-4-8",
        "claude-opus-4-7",
        "claude-sonnet-4-6",
        "claude-opus-4-6",
        "claude-opus-4-5",
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        "claude-opus-4-1",
    ] {
        for cache in [None, Some(CacheTime::FiveMinutes), Some(CacheTime::OneHour)] {
            assert_eq!(ask(Api::Claude { cache }, model), 1, "{model} {cache:?}");
        }
    }
    assert_eq!(ask(Api::Openai, "local-model"), 1);
}
