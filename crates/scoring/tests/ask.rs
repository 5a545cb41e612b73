//! The scorer that asks an LLM, against a local server that speaks the providers' wire formats.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

#[path = "ask/outage.rs"]
mod outage;
#[path = "support/provider.rs"]
mod provider;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{BoxFuture, ready};
use provider::{NOON, World, fenced};
use serde_json::{Value, json};
use undertone_core::verdict::ScorerKind;
use undertone_core::{Label, SkipReason, Verdict};
use undertone_llm_server::{Failure, Fault, Item, ItemSeen, Limits, Problem, Script, Server};
use undertone_scoring::llm::ask::{
    Access, Api, Call, Ending, Endpoint, Hold, Line, LlmScorer, Manner, Outside, Planned, Purse, Refused,
    Response, Unlimited, Unreachable,
};
use undertone_scoring::llm::claude::CacheTime;
use undertone_scoring::redact::Known;
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};

struct Bench {
    server: Server,
    world: Arc<World>,
    scorer: LlmScorer,
}

impl Bench {
    fn claude() -> Self {
        Self::with(claude)
    }

    fn with(endpoint: impl FnOnce(&Server) -> Endpoint) -> Self {
        Self::limited(Limits::default(), endpoint)
    }

    fn limited(limits: Limits, endpoint: impl FnOnce(&Server) -> Endpoint) -> Self {
        let millis = Arc::new(AtomicI64::new(NOON));
        let hand = millis.clone();
        let mut script = Script::new(Arc::new(move || World::now_of(&hand)));
        script.items = Arc::new(fenced);
        script.answer = Arc::new(answers);
        script.limits = limits;
        let server = Server::start(script).unwrap();
        let world = Arc::new(World::new(millis));
        let manner = Manner { together: 4, at_once: 2, tries: 3 };
        let scorer = LlmScorer::new(endpoint(&server), manner, world.clone(), Arc::new(Unlimited));
        Self { server, world, scorer }
    }

    fn score(&self, texts: &[&str]) -> Vec<Result<Verdict, NoVerdict>> {
        self.ask(texts.iter().map(|text| Utterance::message(text)).collect())
    }

    fn ask(&self, utterances: Vec<Utterance>) -> Vec<Result<Verdict, NoVerdict>> {
        block_on(self.scorer.score(Batch::new(utterances)))
    }

    /// How many texts each request so far was about.
    fn requests(&self) -> Vec<usize> {
        let texts = |seen: &undertone_llm_server::Seen| fenced(&user(&seen.json())).len();
        self.server.requests().iter().map(texts).collect()
    }

    fn pauses(&self) -> Vec<f64> {
        self.world.pauses.lock().unwrap().iter().map(Duration::as_secs_f64).collect()
    }
}

fn claude(server: &Server) -> Endpoint {
    Endpoint {
        api: Api::Claude { cache: Some(CacheTime::FiveMinutes) },
        base_url: server.url(),
        key: Some("local-key".to_owned()),
        model: "claude-haiku-5-5".to_owned(),
    }
}

fn chat(server: &Server) -> Endpoint {
    Endpoint {
        api: Api::Openai,
        base_url: server.chat_url(),
        key: Some("local-key".to_owned()),
        model: "local-model".to_owned(),
    }
}

fn user(body: &Value) -> String {
    let messages = body["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap().to_owned()
}

/// Answers as the tests need them: "late" is bad, all else says nothing; the words in capitals make the model stumble, the last of
/// them only where it has several texts before it.
fn answers(seen: &ItemSeen) -> Value {
    let one = |item: &Item| {
        let late = item.text.contains("late");
        let quote = if late { item.text.as_str() } else { "" };
        let score = match () {
            () if item.text.contains("ABSURD") => 900,
            () if item.text.contains("CROWDED") && seen.items.len() > 1 => 77,
            () if late => -50,
            () => 0,
        };
        json!({
            "index": item.index, "language": "en", "sarcasm": false, "ambiguous": false, "confidence": 80,
            "evidence": if late { json!([{"quote": quote, "weight": -40}]) } else { json!([]) },
            "aspects": [], "emotions": [],
            "emotion": if late { "frustration" } else { "neutral" },
            "label": if late { "negative" } else { "neutral" },
            "score": score, "urgency": "low", "category": "other", "summary": "The customer writes.",
        })
    };
    json!({"answers": seen.items.iter().map(one).collect::<Vec<_>>()})
}

fn labels(answers: &[Result<Verdict, NoVerdict>]) -> Vec<Option<Label>> {
    answers.iter().map(|answer| answer.as_ref().ok().map(|verdict| verdict.label)).collect()
}

const LATE: Option<Label> = Some(Label::Negative);
const CALM: Option<Label> = Some(Label::Neutral);

#[test]
fn several_texts_go_together_and_each_gets_its_own_answer() {
    let bench = Bench::claude();
    let told = bench.score(&["It is late again.", "Where is it?", "So late!", "Hm.", "Late? No, late."]);
    assert_eq!(labels(&told), [LATE, CALM, LATE, CALM, LATE]);
    let mut requests = bench.requests();
    requests.sort_unstable();
    assert_eq!(requests, [1, 4]);
    let verdict = told[0].as_ref().unwrap();
    assert_eq!(verdict.evidence[0].text, "It is late again.");
    assert_eq!(
        (verdict.provenance.scorer, &*verdict.provenance.model),
        (ScorerKind::Claude, "claude-haiku-5-5")
    );
    // What each text is charged adds up to what the server counted.
    let charged: u32 =
        told.iter().map(|v| v.as_ref().map_or(0, |v| v.provenance.tokens_in + v.provenance.tokens_out)).sum();
    assert_eq!(u64::from(charged), bench.server.ledger().usage().total());
}

#[test]
fn nothing_that_says_who_wrote_it_leaves_and_the_verdict_stands_on_the_original() {
    let bench = Bench::claude();
    let mut utterance =
        Utterance::message("Marlene Ostrowski here, late again! Write to m.ostrowski@example.com.");
    utterance.known = Known {
        names: vec!["Marlene Ostrowski".to_owned()],
        emails: vec!["m.ostrowski@example.com".to_owned()],
        phones: Vec::new(),
    };
    let verdict = bench.ask(vec![utterance]).remove(0).unwrap();
    assert!(verdict.evidence[0].text.starts_with("Marlene Ostrowski here"), "{:?}", verdict.evidence);
    let sent = &bench.server.requests()[0];
    let body = sent.body.to_lowercase();
    for word in ["marlene", "ostrowski", "example.com", "local-key"] {
        assert!(!body.contains(word), "{word} left");
    }
    assert!(body.contains("[name_1]") && body.contains("[email_1]"), "{body}");
    assert_eq!(sent.header("x-api-key"), Some("local-key"));
}

#[test]
fn a_bad_answer_costs_its_neighbours_nothing() {
    let bench = Bench::claude();
    let told = bench.score(&["late", "an ABSURD one", "fine", "a CROWDED one"]);
    assert_eq!(labels(&told), [LATE, None, CALM, CALM]);
    assert_eq!(bench.requests(), [4, 1, 1], "those two were asked about again, alone");
    let Err(NoVerdict::Failed { detail }) = &told[1] else { panic!("{:?}", told[1]) };
    assert_eq!(detail, "the model's answer can not be used: `score` is 900, outside -100 to 100");
}

#[test]
fn a_refusal_falls_on_the_text_that_is_refused() {
    let bench = Bench::claude();
    bench.server.set(Fault::next(2, Failure::Refusal { category: Some("general_harms") }));
    let told = bench.score(&["late", "fine"]);
    assert_eq!(bench.requests(), [2, 1, 1]);
    let refused = told
        .iter()
        .filter(|answer| matches!(answer, Err(NoVerdict::Abstained { reason: SkipReason::Refused, .. })));
    assert_eq!(refused.count(), 1);
    assert_eq!(labels(&told).iter().flatten().count(), 1);
}

#[test]
fn pauses_are_those_the_provider_asks_for_or_grow() {
    let bench = Bench::claude();
    bench.server.set(Fault::next(1, Failure::Error(Problem::rate_limited(Duration::from_secs(7)))));
    bench.server.add(Fault::next(1, Failure::Error(Problem::overloaded())));
    assert_eq!(labels(&bench.score(&["late"])), [LATE]);
    assert_eq!(bench.pauses(), [7.0, 0.5], "to be turned away for a full window is no try");

    bench.server.set(Fault::always(Failure::Error(Problem::internal())));
    let told = bench.score(&["late"]);
    assert!(
        matches!(&told[0], Err(NoVerdict::Unavailable { detail, .. }) if detail.contains("HTTP 500")),
        "{told:?}"
    );
    assert_eq!(bench.pauses()[2..], [0.5, 1.0], "three tries");
}

#[test]
fn what_only_a_person_can_mend_is_asked_once() {
    for problem in
        [Problem::spend_limit(), Problem::own_spend_limit(), Problem::billing(), Problem::permission()]
    {
        let bench = Bench::claude();
        bench.server.set(Fault::always(Failure::Error(problem.clone())));
        let told = bench.score(&["late", "fine"]);
        assert!(
            told.iter().all(|t| matches!(t, Err(NoVerdict::Unavailable { .. }))),
            "{problem:?}: {told:?}"
        );
        assert_eq!((bench.requests(), bench.pauses()), (vec![2], vec![]), "{problem:?}");
    }
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_once_more_with_twice_the_room() {
    let bench = Bench::claude();
    bench.server.set(Fault::next(1, Failure::MaxTokens));
    assert_eq!(labels(&bench.score(&["late"])), [LATE]);
    let most: Vec<u64> =
        bench.server.requests().iter().filter_map(|r| r.json()["max_tokens"].as_u64()).collect();
    assert_eq!(most, [most[0], 2 * most[0]]);

    bench.server.set(Fault::always(Failure::MaxTokens));
    let told = bench.score(&["late"]);
    assert!(matches!(&told[0], Err(NoVerdict::Failed { detail }) if detail.contains("longer")), "{told:?}");
    assert_eq!(bench.requests().len(), 4);
}

#[test]
fn a_provider_that_is_away_is_left_alone_and_found_again() {
    let bench = Bench::claude();
    bench.server.unplug().unwrap();
    for _ in 0..2 {
        let told = bench.score(&["late"]);
        assert!(matches!(told[0], Err(NoVerdict::Unavailable { .. })), "{told:?}");
    }
    bench.server.plug_in().unwrap();
    let told = bench.score(&["late"]);
    assert!(
        matches!(&told[0], Err(NoVerdict::Unavailable { detail, .. }) if detail.contains("left alone")),
        "{told:?}"
    );
    assert!(bench.requests().is_empty());
    bench.world.millis.fetch_add(120_000, Ordering::SeqCst);
    assert_eq!(labels(&bench.score(&["late"])), [LATE]);
}

#[test]
fn what_is_no_answer_is_tried_again() {
    let bench = Bench::claude();
    for failure in [Failure::ResetMidway, Failure::CutShort, Failure::NoText] {
        bench.server.set(Fault::next(1, failure));
        assert_eq!(labels(&bench.score(&["late"])), [LATE]);
    }
    for failure in [Failure::NotJson, Failure::WrongShape] {
        bench.server.set(Fault::next(1, failure));
        let told = bench.score(&["late", "fine"]);
        assert_eq!(labels(&told), [LATE, CALM], "asked again, each alone");
    }
}

#[test]
fn any_chat_completions_server_will_do() {
    let bench = Bench::with(chat);
    let told = bench.score(&["late", "fine"]);
    assert_eq!(labels(&told), [LATE, CALM]);
    assert_eq!(told[0].as_ref().unwrap().provenance.scorer, ScorerKind::Openai);
    let prompts: HashSet<_> =
        told.iter().map(|t| t.as_ref().unwrap().provenance.prompt_version.clone()).collect();
    assert_eq!(prompts.len(), 1);
}

#[test]
fn what_is_refused_until_somebody_changes_something_is_asked_for_once() {
    let minutes = |bench: &Bench, count: i64| bench.world.millis.fetch_add(count * 60_000, Ordering::SeqCst);
    for (problem, spent) in [
        (Problem::authentication("invalid x-api-key"), false),
        (Problem::billing(), false),
        (Problem::permission(), false),
        (Problem::not_found("model: claude-haiku-5-5"), false),
        (Problem::spend_limit(), true),
        (Problem::own_spend_limit(), true),
    ] {
        let bench = Bench::claude();
        bench.server.set(Fault::always(Failure::Error(problem.clone())));
        let texts = ["late"; 100];
        let asked = |wanted: usize| {
            let told = bench.score(&texts);
            let until = |told: &Result<Verdict, NoVerdict>| match told {
                Err(NoVerdict::Unavailable { until, .. }) => until.unwrap(),
                other => panic!("{problem:?}: {other:?}"),
            };
            let resumes: DateTime<Utc> = "2026-12-01T00:00:00Z".parse().unwrap();
            assert!(told.iter().all(|one| until(one) > bench.world.now()), "{problem:?}");
            assert!(!spent || told.iter().all(|one| until(one) == resumes), "{problem:?}: {told:?}");
            assert_eq!(bench.requests().len(), wanted, "{problem:?}");
        };
        asked(1);
        minutes(&bench, 4);
        asked(1);
        // Whether it still stands is found out with one request; a spend limit says itself until when.
        minutes(&bench, 1);
        asked(if spent { 1 } else { 2 });
        bench.server.clear();
        minutes(&bench, 3 * 24 * 60);
        assert!(bench.score(&texts).iter().all(Result::is_ok), "{problem:?}");
    }
}

/// Notes how requests ended, as far as money goes.
#[derive(Default)]
struct Noting(Mutex<Vec<Ending>>);

impl Purse for Noting {
    fn reserve<'a>(&'a self, planned: Planned<'a>) -> BoxFuture<'a, Result<Hold, Refused>> {
        Unlimited.reserve(planned)
    }

    fn settle<'a>(&'a self, _: Hold, _: Planned<'a>, ending: Ending) -> BoxFuture<'a, u64> {
        self.0.lock().unwrap().push(ending);
        ready(0).boxed()
    }
}

#[test]
fn only_the_provider_itself_says_that_nothing_was_charged() {
    let bench = Bench::claude();
    for (failure, free) in [
        (Failure::Gateway(502), false),
        (Failure::Gateway(504), false),
        (Failure::Gateway(403), true),
        (Failure::ResetMidway, false),
        (Failure::Error(Problem::internal()), true),
        (Failure::Error(Problem::overloaded()), true),
        (Failure::Error(Problem::timeout()), true),
        (Failure::Error(Problem::invalid("no")), true),
    ] {
        let purse = Arc::new(Noting::default());
        let manner = Manner { tries: 1, ..Manner::default() };
        let scorer = LlmScorer::new(claude(&bench.server), manner, bench.world.clone(), purse.clone());
        bench.server.set(Fault::next(1, failure));
        block_on(scorer.score(Batch::new(vec![Utterance::message("late")])));
        let ended = purse.0.lock().unwrap().clone();
        let wanted = if free { Ending::Free } else { Ending::Unknown };
        assert_eq!(ended.first(), Some(&wanted), "{:?}", bench.requests().len());
    }
}

/// A purse whose money is all held by requests under way, while it says so.
struct Short(AtomicBool);

struct ShortLine<'p>(&'p Short);

impl Purse for Short {
    fn reserve<'a>(&'a self, _: Planned<'a>) -> BoxFuture<'a, Result<Hold, Refused>> {
        panic!("whoever has a place among the requests under way waits for money in its hand")
    }

    fn line(&self, _: ScorerKind) -> BoxFuture<'_, Box<dyn Line + '_>> {
        let place: Box<dyn Line + '_> = Box::new(ShortLine(self));
        ready(place).boxed()
    }

    fn settle<'a>(&'a self, _: Hold, _: Planned<'a>, _: Ending) -> BoxFuture<'a, u64> {
        ready(0).boxed()
    }
}

impl Line for ShortLine<'_> {
    fn ask<'a>(&'a mut self, _: Planned<'a>) -> BoxFuture<'a, Option<Result<Hold, Refused>>> {
        let short = self.0.0.load(Ordering::SeqCst);
        ready((!short).then(|| Ok(Hold(String::new())))).boxed()
    }

    fn wait(&mut self) -> BoxFuture<'_, ()> {
        futures::future::pending().boxed()
    }
}

#[test]
fn who_waits_for_money_keeps_nobody_from_the_provider() {
    let bench = Bench::claude();
    // One request at a time, for both who ask with this key.
    let access = Access::new(1);
    let scorer = |purse: Arc<dyn Purse>| {
        let scorer = LlmScorer::new(claude(&bench.server), Manner::default(), bench.world.clone(), purse);
        scorer.sharing(access.clone())
    };
    let short = Arc::new(Short(AtomicBool::new(true)));
    let (poor, rich) = (scorer(short.clone()), scorer(Arc::new(Unlimited)));
    let ask = |scorer: &LlmScorer| {
        scorer.score(Batch::new(vec![Utterance::message("late")])).now_or_never().map(|told| labels(&told))
    };
    // After five failures the provider is left alone; who may find out whether it is back must not be one without money.
    bench.server.set(Fault::next(5, Failure::Error(Problem::internal())));
    while bench.requests().len() < 5 {
        ask(&rich);
    }
    assert_eq!(ask(&rich), Some(vec![None]), "it is left alone");
    bench.world.millis.fetch_add(60_000, Ordering::SeqCst);
    for _ in 0..3 {
        let mut waiting = poor.score(Batch::new(vec![Utterance::message("late")]));
        assert!((&mut waiting).now_or_never().is_none(), "it waits for money");
        assert_eq!(ask(&rich), Some(vec![LATE]), "and nobody waits for it");
    }
    short.0.store(false, Ordering::SeqCst);
    assert_eq!(ask(&poor), Some(vec![LATE]));
}

#[test]
fn a_full_window_is_waited_for_and_nothing_is_turned_away() {
    let limits = Limits { requests_per_minute: 3, ..Limits::default() };
    let bench = Bench::limited(limits, claude);
    // Ten requests of four texts.
    let told = bench.score(&["late"; 40]);
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    assert_eq!(bench.requests().len(), 10, "no request was made in vain");
    assert_eq!(bench.pauses(), [60.0, 60.0, 60.0], "as long as the provider says that its window is full");
}

/// A pause lets all others go on before it moves the clock. Notes when requests leave.
struct Side {
    world: Arc<World>,
    sent: Mutex<Vec<DateTime<Utc>>>,
}

impl Outside for Side {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        self.sent.lock().unwrap().push(self.now());
        self.world.send(call)
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'_, ()> {
        let millis = self.world.millis.clone();
        let until = millis.load(Ordering::SeqCst) + i64::try_from(pause.as_millis()).unwrap();
        let mut over = false;
        futures::future::poll_fn(move |context| {
            if over {
                millis.fetch_max(until, Ordering::SeqCst);
                return Poll::Ready(());
            }
            over = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .boxed()
    }

    fn now(&self) -> DateTime<Utc> {
        self.world.now()
    }

    fn chance(&self) -> f64 {
        self.world.chance()
    }
}

#[test]
fn who_is_turned_away_waits_with_all_others_until_there_is_room() {
    for pause in [7, 45] {
        let bench = Bench::claude();
        let side = Arc::new(Side { world: bench.world.clone(), sent: Mutex::default() });
        let manner = Manner { together: 1, at_once: 4, tries: 2 };
        let scorer = LlmScorer::new(claude(&bench.server), manner, side.clone(), Arc::new(Unlimited));
        let ask = |count: usize| {
            let texts = (0..count).map(|n| Utterance::message(&format!("late {n}"))).collect();
            block_on(scorer.score(Batch::new(texts)))
        };
        assert!(ask(1)[0].is_ok());
        let full = || Failure::Error(Problem::rate_limited(Duration::from_secs(pause)));
        bench.server.set(Fault::next(1, full()));
        let begun = bench.world.now();
        side.sent.lock().unwrap().clear();
        assert!(ask(4).iter().all(Result::is_ok));
        let sent: Vec<_> = side.sent.lock().unwrap().iter().map(|at| (*at - begun).num_seconds()).collect();
        let room = i64::try_from(pause).unwrap();
        assert_eq!(
            sent,
            [0, room, room, room, room],
            "one is turned away, and all wait as long as it was told"
        );
        // Turned away more often than there are tries.
        bench.server.set(Fault::next(5, full()));
        assert!(ask(1)[0].is_ok(), "{pause}");
    }
    // For longer than anybody waits: all are told until when, and nobody asks before.
    for minutes in [2, 120] {
        let bench = Bench::claude();
        bench.server.set(Fault::next(1, Failure::Error(Problem::rate_limited(Duration::from_mins(minutes)))));
        let until = bench.world.now() + Duration::from_mins(minutes);
        for told in bench.score(&["late"; 12]) {
            assert!(
                matches!(&told, Err(NoVerdict::Unavailable { until: Some(at), .. }) if *at == until),
                "{told:?}"
            );
        }
        assert_eq!((bench.requests().len(), bench.pauses()), (1, vec![]));
    }
}

/// Real HTTP for many at once.
struct Crowd(Arc<World>);

impl Outside for Crowd {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        let (world, (hand, handed)) = (self.0.clone(), oneshot::channel());
        std::thread::spawn(move || hand.send(block_on(world.send(call))));
        handed.map(|sent| sent.unwrap()).boxed()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(pause)
    }

    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn chance(&self) -> f64 {
        self.0.chance()
    }
}

#[test]
fn as_many_requests_go_at_once_as_the_provider_bears() {
    let bench = Bench::claude();
    let manner = Manner { together: 1, at_once: 8, tries: 3 };
    let crowd = Arc::new(Crowd(bench.world.clone()));
    let scorer = Arc::new(LlmScorer::new(claude(&bench.server), manner, crowd, Arc::new(Unlimited)));
    let batch =
        |count: usize| Batch::new((0..count).map(|n| Utterance::message(&format!("late {n}"))).collect());
    let ask = |count: usize| {
        let told = block_on(scorer.score(batch(count)));
        assert!(told.iter().all(Result::is_ok), "{told:?}");
    };
    // How many are under way once all that may go have gone, and none comes back.
    let at_once = |wanted: usize| {
        bench.server.set(Fault::next(1000, Failure::Hold));
        let (asking, most) = (scorer.clone(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let told = scope.spawn(|| block_on(asking.score(batch(16))));
            let begun = Instant::now();
            while bench.server.in_flight() < wanted && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(100));
            most.store(bench.server.in_flight(), Ordering::SeqCst);
            bench.server.clear();
            bench.server.release();
            assert!(told.join().unwrap().iter().all(Result::is_ok));
        });
        most.into_inner()
    };
    assert_eq!(at_once(1), 1, "the first goes alone, so that the others read the rubric from the cache");
    assert_eq!(at_once(8), 8, "one more for each answer");
    bench.server.set(Fault::next(1, Failure::Error(Problem::rate_limited(Duration::from_secs(1)))));
    ask(1);
    assert_eq!(at_once(4), 4, "half as many after a complaint");
    ask(64);
    assert_eq!(at_once(8), 8, "and back, one by one");
}
