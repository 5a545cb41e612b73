//! The LLM that the demo asks where there is none: a local server that speaks the wire format of one. **It is no model.**
//!
//! It answers with what the embedded model says of a text, put into the form an LLM answers in, so nothing gets better by it: it serves to
//! see requests, verdicts, tokens and budgets as they look with an LLM. Of a text the embedded model does not read, a few word rules say
//! something, with no confidence. Its name and its summaries say what it is wherever they are shown, and tokens are an estimate by bytes.

use std::sync::Arc;

use futures::executor;
use serde_json::{Value, json};
use undertone_core::{Clock, Verdict};
use undertone_llm_server::{Item, ItemSeen, Script, Server, items, words};
use undertone_scoring::local::LocalScorer;
use undertone_scoring::{Batch, Scorer, Utterance};
use undertone_store::secrets::{Credentials, Keyring, Provider, Secret};

use crate::cli::service::reader;
use crate::clock::MachineClock;
use crate::error::CliError;
use crate::secrets::{Given, InstallationKey};

/// What it calls itself, on every verdict.
pub const MODEL: &str = "simulator (no model)";
/// What stands before its summaries.
const SIMULATED: &str = "Simulated, no LLM:";

/// The server, and the key that leads there: whatever the environment holds, nothing of it is used.
///
/// # Errors
/// Where it can not listen or the embedded model can not be used.
pub fn start() -> Result<(Server, Given), CliError> {
    let reader = reader(1)?;
    let mut script = Script::new(Arc::new(|| MachineClock.now()));
    script.items = items::fenced();
    script.chat_models = vec![MODEL.to_owned()];
    script.answer = Arc::new(move |seen| answers(&reader, seen));
    let key = Secret::new(script.key.clone());
    let server = Server::start(script)?;
    let credentials = Credentials::new(Provider::Openai, &key, Some(&server.chat_url()))
        .map_err(|unusable| CliError::Failed(unusable.to_string()))?;
    let from = "the simulator of this demo".to_owned();
    let given = Given::new(Keyring::default(), vec![InstallationKey { credentials, from }]);
    Ok((server, given))
}

/// An answer for each item, in the form of `undertone_scoring::llm::schema`.
fn answers(reader: &LocalScorer, seen: &ItemSeen) -> Value {
    let texts = seen.items.iter().map(|item| Utterance::message(&item.text)).collect();
    let verdicts = executor::block_on(reader.score(Batch::new(texts)));
    let by_rules = words::answer(seen);
    let answers = seen.items.iter().zip(verdicts).map(|(item, verdict)| match verdict {
        Ok(verdict) => answer(item, &verdict, &categories(seen)),
        Err(_) => unread(item, &by_rules),
    });
    json!({"answers": answers.collect::<Vec<_>>()})
}

/// The categories the question allows.
fn categories(seen: &ItemSeen) -> Vec<&str> {
    let schema = seen.schema.as_ref();
    let known =
        schema.and_then(|s| s.pointer("/properties/answers/items/properties/category/enum")?.as_array());
    known.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn answer(item: &Item, verdict: &Verdict, categories: &[&str]) -> Value {
    let category = |id: &str| if categories.contains(&id) { id.to_owned() } else { "other".to_owned() };
    let evidence = verdict.evidence.iter().map(|e| json!({"quote": e.text, "weight": whole(e.weight)}));
    let aspects = verdict.aspects.iter().filter_map(|aspect| {
        let quote = aspect.span.of(&item.text)?;
        Some(json!({"category": category(aspect.category.as_str()), "score": aspect.score, "quote": quote}))
    });
    let strengths = verdict
        .emotions
        .iter()
        .map(|e| json!({"emotion": e.emotion, "strength": (e.strength * 100.0).round() as i64}));
    json!({
        "index": item.index,
        "language": verdict.provenance.language,
        "evidence": evidence.collect::<Vec<_>>(),
        "aspects": aspects.collect::<Vec<_>>(),
        "emotions": strengths.collect::<Vec<_>>(),
        "emotion": verdict.dominant_emotion,
        "sarcasm": false,
        "ambiguous": false,
        "label": verdict.label,
        "score": verdict.score,
        "confidence": verdict.confidence,
        "urgency": verdict.urgency,
        "category": category(verdict.category.as_str()),
        "summary": format!("{SIMULATED} {}", verdict.summary),
    })
}

/// A weight in whole points; one of less than half a point is one.
fn whole(weight: f32) -> i64 {
    let whole = weight.round() as i64;
    if whole == 0 { if weight < 0.0 { -1 } else { 1 } } else { whole.clamp(-100, 100) }
}

/// What the word rules say of an item, without confidence.
fn unread(item: &Item, by_rules: &Value) -> Value {
    let known = by_rules["answers"].as_array().into_iter().flatten();
    let mut answer = { known }.find(|answer| answer["index"] == item.index).cloned().unwrap_or_default();
    answer["confidence"] = json!(0);
    answer["ambiguous"] = json!(true);
    answer
}

#[cfg(test)]
mod tests {
    use undertone_scoring::llm::answer::read;
    use undertone_scoring::llm::prompt;
    use undertone_scoring::llm::schema;

    use super::*;

    #[test]
    fn its_answers_are_such_as_an_llm_may_give_and_say_what_they_are() {
        let texts = [
            "Third week without an answer. I am furious, and your driver broke my lamp.",
            "Love the sofa, hate the delivery!",
            "What are your opening hours?",
            "Sigo esperando mi pedido y nadie me contesta.",
        ];
        let utterances = texts.map(Utterance::message);
        let items: Vec<prompt::Item<'_>> =
            utterances.iter().map(|utterance| prompt::Item::of(utterance, &utterance.text)).collect();
        let knowledge = undertone_scoring::Knowledge::default();
        let user = prompt::message(&prompt::Question::new(&items, &knowledge));
        let seen = ItemSeen {
            model: MODEL.to_owned(),
            system: String::new(),
            items: items::fenced()(&user),
            user,
            schema: Some(schema::schema(&[])),
            batched: false,
        };
        let reader = reader(1).unwrap();
        let told = answers(&reader, &seen);
        assert!(jsonschema::is_valid(&schema::schema(&[]), &told), "{told:#}");
        let read = read(&told.to_string(), &items, &[]);
        let verdicts: Vec<_> = read.items.into_iter().map(Result::unwrap).collect();
        let own = executor::block_on(reader.score(Batch::new(utterances.to_vec())));
        for (verdict, own) in verdicts.iter().zip(own) {
            assert!(verdict.summary.starts_with("Simulated"), "{}", verdict.summary);
            match own {
                Ok(own) => {
                    assert_eq!((verdict.label, verdict.score), (own.label, own.score));
                    assert_eq!(verdict.dropped.invented, 0, "{verdict:?}");
                }
                Err(_) => assert_eq!(verdict.confidence.get(), 0),
            }
        }
    }
}
