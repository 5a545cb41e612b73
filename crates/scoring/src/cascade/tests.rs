use std::sync::Mutex;

use futures::executor::block_on;
use undertone_core::gate::DeferReason;
use undertone_core::verdict::{Coverage, EmotionStrength, Provenance};
use undertone_core::{CategoryId, Confidence, Emotion, Label, Score, Urgency};

use super::*;

/// A scorer that knows what to say of each text, and remembers what it was asked.
struct Scripted {
    kind: ScorerKind,
    says: fn(&str) -> Answer,
    batches: Mutex<Vec<Vec<String>>>,
    /// It answers that many texts fewer than it should.
    forgets: usize,
}

impl Scripted {
    fn new(kind: ScorerKind, says: fn(&str) -> Answer) -> Arc<Self> {
        Arc::new(Self { kind, says, batches: Mutex::default(), forgets: 0 })
    }

    fn batches(&self) -> Vec<Vec<String>> {
        self.batches.lock().unwrap().clone()
    }
}

impl Scorer for Scripted {
    fn kind(&self) -> ScorerKind {
        self.kind
    }

    fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Answer>> {
        let texts: Vec<String> = batch.utterances.into_iter().map(|u| u.text).collect();
        let answers = texts.iter().take(texts.len() - self.forgets).map(|text| (self.says)(text)).collect();
        self.batches.lock().unwrap().push(texts);
        futures::future::ready(answers).boxed()
    }
}

fn verdict(scorer: ScorerKind, score: i64, confidence: u8) -> Verdict {
    let score = Score::new(score).unwrap();
    Verdict {
        score,
        label: score.label(),
        confidence: Confidence::try_from(confidence).unwrap(),
        dominant_emotion: Emotion::NEUTRAL,
        emotions: Vec::new(),
        urgency: Urgency::Low,
        category: CategoryId::other(),
        aspects: Vec::new(),
        summary: "They write.".to_owned(),
        outside: None,
        evidence: Vec::new(),
        coverage: Coverage { truncated: false, unread_percent: 0 },
        provenance: Provenance {
            scorer,
            model: scorer_model(scorer).to_owned(),
            model_version: "1".to_owned(),
            prompt_version: None,
            language: "en".to_owned(),
            tokens_in: 100,
            tokens_out: 20,
            cost_micros: 40,
            duration_us: 1,
        },
        cascade: None,
        suspicions: vec![],
    }
}

fn scorer_model(scorer: ScorerKind) -> &'static str {
    if scorer == ScorerKind::Local { "reader" } else { "asked" }
}

/// The embedded model of these tests: the text's number is its confidence, its words say the rest.
fn local(text: &str) -> Answer {
    if text.contains("german") {
        return Err(NoVerdict::Abstained {
            reason: SkipReason::LanguageNotValidated,
            language: Some("de".to_owned()),
        });
    }
    if text.contains("digits") {
        return Err(SkipReason::NoWords.into());
    }
    if text.contains("quoted") {
        return Err(SkipReason::NothingFromCustomer.into());
    }
    if text.contains("busy") {
        return Err(NoVerdict::Busy);
    }
    let confidence = text.split(' ').find_map(|word| word.parse().ok()).unwrap();
    let mut verdict = verdict(ScorerKind::Local, if text.contains("calm") { 0 } else { -50 }, confidence);
    if text.contains("torn") {
        verdict.emotions = vec![EmotionStrength { emotion: Emotion::new("joy").unwrap(), strength: 0.9 }];
    }
    Ok(verdict)
}

/// The LLM of these tests: everything is bad, save what it stumbles over.
fn llm(text: &str) -> Answer {
    if text.contains("stumble") {
        return Err(NoVerdict::failed("the model's answer can not be used".to_owned()));
    }
    if text.contains("declined") {
        return Err(SkipReason::Refused.into());
    }
    Ok(verdict(ScorerKind::Claude, -60, 90))
}

fn away(_: &str) -> Answer {
    Err(NoVerdict::Unavailable {
        reason: DeferReason::DailyTokenCap,
        detail: "the day's tokens are used up".to_owned(),
        until: chrono::DateTime::from_timestamp(1_800_000_000, 0),
    })
}

struct Bench {
    local: Arc<Scripted>,
    llm: Arc<Scripted>,
    cascade: Cascade,
}

impl Bench {
    fn new(second: fn(&str) -> Answer) -> Self {
        let (local, llm) =
            (Scripted::new(ScorerKind::Local, local), Scripted::new(ScorerKind::Claude, second));
        let cascade = Cascade { local: local.clone(), llm: llm.clone(), threshold: 70 };
        Self { local, llm, cascade }
    }

    /// A star before a text: its customer's segment always goes to the LLM.
    fn score(&self, texts: &[&str]) -> Vec<Answer> {
        let utterances = texts
            .iter()
            .map(|text| Utterance {
                always_llm: text.starts_with('*'),
                ..Utterance::message(text.trim_start_matches('*'))
            })
            .collect();
        block_on(self.cascade.score(Batch::new(utterances)))
    }
}

fn cascaded(answer: &Answer) -> &Cascaded {
    answer.as_ref().unwrap().cascade.as_ref().unwrap()
}

/// Whose verdict stands, and why the LLM was asked.
fn told(answer: &Answer) -> (ScorerKind, Option<WhyAsked>) {
    (answer.as_ref().unwrap().provenance.scorer, cascaded(answer).why)
}

use ScorerKind::{Claude, Local};

#[test]
fn who_is_asked_and_why() {
    let bench = Bench::new(llm);
    let answers = bench.score(&[
        "90 a",
        "70 b",
        "69 c",
        "90 torn",
        "10 torn",
        "german",
        "*95 vip",
        "*10 torn vip",
        "*german vip",
    ]);
    let unsure = Some(WhyAsked::Unsure);
    let expected = [
        (Local, None),
        (Local, None),
        (Claude, unsure),
        (Claude, Some(WhyAsked::Ambiguous)),
        (Claude, Some(WhyAsked::Ambiguous)),
        (Claude, Some(WhyAsked::Language)),
        (Claude, Some(WhyAsked::Always)),
        (Claude, Some(WhyAsked::Always)),
        (Claude, Some(WhyAsked::Always)),
    ];
    assert_eq!(answers.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(bench.local.batches().len(), 1, "the embedded model reads all of it at once");
    let asked = ["69 c", "90 torn", "10 torn", "german", "95 vip", "10 torn vip", "german vip"];
    assert_eq!(bench.llm.batches(), [asked], "one batch, in the order they came");
    assert!(answers.iter().all(|answer| cascaded(answer).threshold == 70));
}

#[test]
fn thresholds_reach_from_never_to_all_but_certain() {
    let asked = |threshold| {
        let mut bench = Bench::new(llm);
        bench.cascade.threshold = threshold;
        bench.score(&["0 a", "1 b", "99 c", "100 d"]);
        bench.llm.batches().concat()
    };
    assert_eq!(asked(0), [""; 0]);
    assert_eq!(asked(1), ["0 a"]);
    assert_eq!(asked(100), ["0 a", "1 b", "99 c"]);
}

#[test]
fn what_the_first_declines_for_good_is_final() {
    let bench = Bench::new(llm);
    let answers = bench.score(&["*digits", "*quoted", "busy"]);
    assert_eq!(answers[0], Err(SkipReason::NoWords.into()));
    assert_eq!(answers[1], Err(SkipReason::NothingFromCustomer.into()));
    assert_eq!(answers[2], Err(NoVerdict::Busy));
    assert!(bench.llm.batches().is_empty());
    assert_eq!(told(&bench.score(&["*busy"])[0]), (Claude, Some(WhyAsked::Always)));
}

#[test]
fn both_verdicts_are_kept_and_a_contradiction_shows() {
    let bench = Bench::new(llm);
    let answers = bench.score(&["20 angry", "20 calm", "german"]);
    let first = cascaded(&answers[1]).first.as_ref().unwrap();
    assert_eq!((first.scorer, &*first.model, first.label), (Local, "reader", Label::Neutral));
    assert_eq!((first.score.get(), first.confidence.get()), (0, 20));
    assert_eq!(
        answers.iter().map(|a| a.as_ref().unwrap().disagrees()).collect::<Vec<_>>(),
        [false, true, false]
    );
    assert_eq!(answers[1].as_ref().unwrap().label, Label::Negative, "the LLM's stands");
    assert_eq!(cascaded(&answers[2]).first, None);
    assert!(answers[1].as_ref().unwrap().needs_review());
}

#[test]
fn without_the_llm_the_first_verdict_stands_and_says_so() {
    let bench = Bench::new(away);
    let answers = bench.score(&["90 a", "20 b", "german", "*95 vip"]);
    assert_eq!(told(&answers[0]), (Local, None));
    assert_eq!(cascaded(&answers[0]).unanswered, None, "nobody was to be asked");
    assert_eq!(told(&answers[1]), (Local, Some(WhyAsked::Unsure)));
    let unanswered = cascaded(&answers[1]).unanswered.as_ref().unwrap();
    assert_eq!(unanswered.reason, NoAnswer::DailyTokenCap);
    assert_eq!(unanswered.detail, "the LLM can not be asked: the day's tokens are used up");
    assert!(unanswered.until.is_some());
    assert!(!answers[1].as_ref().unwrap().disagrees());
    // What only the LLM could have read has its reason: what then happens is the tenant's choice.
    assert!(
        matches!(&answers[2], Err(NoVerdict::Unavailable { reason: DeferReason::DailyTokenCap, .. })),
        "{:?}",
        answers[2]
    );
    assert_eq!(told(&answers[3]), (Local, Some(WhyAsked::Always)));
}

#[test]
fn a_bad_answer_costs_its_neighbours_nothing() {
    let bench = Bench::new(llm);
    let answers =
        bench.score(&["20 a", "20 stumble", "20 declined", "german stumble", "german declined", "20 b"]);
    assert_eq!(told(&answers[0]).0, Claude);
    assert_eq!(told(&answers[5]).0, Claude);
    for (at, reason) in [(1, NoAnswer::Failed), (2, NoAnswer::Refused)] {
        assert_eq!(told(&answers[at]), (Local, Some(WhyAsked::Unsure)));
        assert_eq!(cascaded(&answers[at]).unanswered.as_ref().unwrap().reason, reason);
    }
    assert!(matches!(&answers[3], Err(NoVerdict::Failed { .. })));
    assert_eq!(answers[4], Err(SkipReason::Refused.into()));
}

#[test]
fn a_scorer_that_answers_too_little_is_found_out() {
    let mut bench = Bench::new(llm);
    let forgetful = Scripted { kind: Claude, says: llm, batches: Mutex::default(), forgets: 1 };
    bench.cascade.llm = Arc::new(forgetful);
    let answers = bench.score(&["20 a", "90 b", "20 c"]);
    assert_eq!(told(&answers[0]).0, Claude);
    assert_eq!(cascaded(&answers[2]).unanswered.as_ref().unwrap().reason, NoAnswer::Failed);
    let forgetful = Scripted { kind: Local, says: local, batches: Mutex::default(), forgets: 1 };
    bench.cascade.local = Arc::new(forgetful);
    let answers = bench.score(&["90 a", "90 b"]);
    assert_eq!(told(&answers[0]).0, Local);
    assert!(matches!(&answers[1], Err(NoVerdict::Failed { .. })), "{:?}", answers[1]);
}

#[test]
fn nothing_asked_of_nobody() {
    let bench = Bench::new(llm);
    assert!(bench.score(&[]).is_empty());
    assert!(bench.llm.batches().is_empty());
    assert_eq!(bench.cascade.kind(), ScorerKind::Cascade);
}
