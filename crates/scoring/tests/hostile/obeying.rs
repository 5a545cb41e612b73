//! The same texts, sent as the product sends them to a server that does as they say.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use futures::executor::block_on;
use serde_json::{Value, json};
use undertone_core::Verdict;
use undertone_core::verdict::Coverage;
use undertone_llm_server::{Failure, Fault, Item, ItemSeen, Script, Server};
use undertone_scoring::llm::ask::{Api, Endpoint, LlmScorer, Manner, Unlimited};
use undertone_scoring::llm::claude::CacheTime;
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};

use super::provider::{NOON, World, fenced};
use super::{Suspicion, assert_bounded, item, pack, read};

const BEFORE: &str = "Thank you, the new key works and your Ada was helpful.";
const AFTER: &str = "The invoice is wrong for the third time and nobody answers.";

type Told = Result<Verdict, NoVerdict>;

struct Bench {
    server: Server,
    scorer: LlmScorer,
}

/// The answer of a model that does what `attack` wants, in whatever language, as the pack has it; the honest texts beside it get their own.
fn as_in_the_pack(seen: &ItemSeen, attack: &str) -> Value {
    let honest = |item: &Item| {
        let (up, quote) =
            (item.text == BEFORE, if item.text == BEFORE { "helpful" } else { "nobody answers" });
        json!({
            "index": item.index, "language": "en", "sarcasm": false, "ambiguous": false, "confidence": 80, "aspects": [], "emotions": [],
            "evidence": [{"quote": quote, "weight": if up { 40 } else { -40 }}], "emotion": if up { "gratitude" } else { "frustration" },
            "label": if up { "positive" } else { "negative" }, "score": if up { 50 } else { -50 }, "urgency": "low", "category": "other",
            "summary": "The customer writes.",
        })
    };
    let is_honest = |item: &&Item| [BEFORE, AFTER].contains(&item.text.as_str());
    let told: Vec<Value> = seen.items.iter().filter(is_honest).map(honest).collect();
    if told.len() == seen.items.len() {
        return json!(json!({"answers": told}).to_string());
    }
    let Ok(mut answer) = serde_json::from_str::<Value>(attack) else { return json!(attack) };
    if let Some(answers) = answer.get_mut("answers").and_then(Value::as_array_mut) {
        answers.extend(told);
    }
    json!(answer.to_string())
}

impl Bench {
    fn open(together: usize) -> Self {
        Self::with("claude-haiku-5-5", together, |_| {})
    }

    /// A server that answers what `attack` holds. Its model takes no schema, so that an answer may have any shape.
    fn answering(attack: &str) -> Self {
        let attack = attack.to_owned();
        Self::with("claude-opus-4-1", 3, |script| {
            script.answer = Arc::new(move |seen| as_in_the_pack(seen, &attack));
        })
    }

    fn with(model: &str, together: usize, change: impl FnOnce(&mut Script)) -> Self {
        let millis = Arc::new(AtomicI64::new(NOON));
        let hand = millis.clone();
        let mut script = Script::new(Arc::new(move || World::now_of(&hand)));
        script.items = Arc::new(fenced);
        change(&mut script);
        let server = Server::start(script).unwrap();
        let endpoint = Endpoint {
            api: Api::Claude { cache: Some(CacheTime::FiveMinutes) },
            base_url: server.url(),
            key: Some("local-key".to_owned()),
            model: model.to_owned(),
        };
        let manner = Manner { together, at_once: 1, tries: 1 };
        let scorer = LlmScorer::new(endpoint, manner, Arc::new(World::new(millis)), Arc::new(Unlimited));
        Self { server, scorer }
    }

    fn obeying(together: usize) -> Self {
        let bench = Self::open(together);
        bench.server.set(Fault::always(Failure::Obey));
        bench
    }

    fn score(&self, texts: &[&str]) -> Vec<Told> {
        let utterances = texts.iter().map(|text| Utterance::message(text)).collect();
        block_on(self.scorer.score(Batch::new(utterances)))
    }
}

/// What a verdict says, without what it took.
fn said(verdict: &Verdict) -> Verdict {
    let mut said = verdict.clone();
    (said.provenance.tokens_in, said.provenance.tokens_out) = (0, 0);
    (said.provenance.cost_micros, said.provenance.duration_us) = (0, 0);
    said.coverage = Coverage { truncated: false, unread_percent: 0 };
    said
}

/// What the text alone gives away, whatever is answered about it.
fn given_away(answer: &str, text: &str) -> Vec<Suspicion> {
    let told = read(answer, &[item(text)], &[]).items.remove(0).map(|answered| answered.suspicions);
    let of_text = [Suspicion::Instructions, Suspicion::HiddenCharacters];
    told.unwrap_or_default().into_iter().filter(|one| of_text.contains(one)).collect()
}

fn assert_contained(id: &str, told: &Told, text: &str, suspicions: &[Suspicion]) {
    match told {
        Ok(verdict) => {
            assert_bounded(id, verdict, text);
            assert!(suspicions.iter().all(|one| verdict.suspicions.contains(one)), "{id}: {verdict:?}");
        }
        Err(NoVerdict::Failed { detail }) => {
            assert!(detail.starts_with("the model's answer"), "{id}: {detail}");
        }
        other => panic!("{id}: {other:?}"),
    }
}

#[test]
fn every_attack_on_a_server_that_obeys_is_contained() {
    let (honest, obeying) = (Bench::open(1), Bench::obeying(1));
    let mut had_its_way = 0;
    for attack in pack() {
        let told = obeying.score(&[&attack.text]).remove(0);
        let suspicions = given_away(&attack.answer, &attack.text);
        assert_contained(&attack.id, &told, &attack.text, &suspicions);
        let unmoved = honest.score(&[&attack.text]).remove(0);
        had_its_way += usize::from(told.as_ref().ok().map(said) != unmoved.as_ref().ok().map(said));
    }
    // Otherwise this would say nothing. The server reads a few words of English; what it does not understand, the pack's own answers below do.
    assert!(had_its_way >= 15, "only {had_its_way} texts moved the server");
}

#[test]
fn neighbours_of_an_attack_on_a_server_that_obeys_lose_nothing() {
    let honest = Bench::open(3).score(&[BEFORE, AFTER]);
    let honest: Vec<Verdict> = honest.into_iter().map(|told| said(&told.unwrap())).collect();
    let obeying = Bench::obeying(3);
    for attack in pack() {
        let told = obeying.score(&[BEFORE, &attack.text, AFTER]);
        let suspicions = given_away(&attack.answer, &attack.text);
        assert_contained(&attack.id, &told[1], &attack.text, &suspicions);
        for (place, expected) in [(0, &honest[0]), (2, &honest[1])] {
            let neighbour = told[place].as_ref().unwrap_or_else(|e| panic!("{}: {e:?}", attack.id));
            assert_eq!(&said(neighbour), expected, "{}", attack.id);
        }
    }
}

#[test]
fn whatever_a_model_was_talked_into_is_contained_and_hurts_no_neighbour() {
    let mut used = 0;
    for attack in pack() {
        let told = Bench::answering(&attack.answer).score(&[&attack.text, BEFORE, AFTER]);
        let suspicions = given_away(&attack.answer, &attack.text);
        assert_contained(&attack.id, &told[0], &attack.text, &suspicions);
        used += usize::from(told[0].is_ok());
        for (place, score) in [(1, 50), (2, -50)] {
            let neighbour = told[place].as_ref().unwrap_or_else(|e| panic!("{}: {e:?}", attack.id));
            assert_eq!((neighbour.score.get(), neighbour.confidence.get()), (score, 80), "{}", attack.id);
        }
    }
    assert!(used >= 20, "only {used} answers were used at all");
}
