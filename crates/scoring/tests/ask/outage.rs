//! A provider that does not do its work: what that costs, how often it is asked meanwhile, and that it is found again.

use undertone_core::gate::DeferReason;
use undertone_llm_server::Calls;

use super::*;

/// A cap that counts as the service does: what nobody knows the cost of counts at its most.
struct Capped {
    cap: u64,
    counted: Mutex<Counted>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    held: u64,
    spent: u64,
    lost: u64,
}

impl Purse for Capped {
    fn reserve<'a>(&'a self, planned: Planned<'a>) -> BoxFuture<'a, Result<Hold, Refused>> {
        let most = planned.size.most_tokens();
        let mut counted = self.counted.lock().unwrap();
        let fits = counted.held + counted.spent + counted.lost + most <= self.cap;
        let refused = Refused {
            reason: DeferReason::DailyTokenCap,
            detail: "the cap is reached".to_owned(),
            until: None,
            smaller_may_fit: false,
        };
        counted.held += if fits { most } else { 0 };
        ready(if fits { Ok(Hold(most.to_string())) } else { Err(refused) }).boxed()
    }

    fn settle<'a>(&'a self, hold: Hold, _: Planned<'a>, ending: Ending) -> BoxFuture<'a, u64> {
        let most: u64 = hold.0.parse().unwrap();
        let mut counted = self.counted.lock().unwrap();
        counted.held -= most;
        match ending {
            Ending::Charged(usage) => counted.spent += usage.total(),
            Ending::Free => {}
            Ending::Unknown => counted.lost += most,
        }
        ready(0).boxed()
    }
}

/// Asks about `texts` every five seconds until all are scored; for how many seconds.
fn until_scored(bench: &Bench, scorer: &LlmScorer, mut texts: Vec<String>) -> i64 {
    let begun = bench.world.now();
    for _ in 0..1000 {
        let batch = Batch::new(texts.iter().map(|text| Utterance::message(text)).collect());
        let told = block_on(scorer.score(batch));
        texts = texts.into_iter().zip(told).filter(|(_, told)| told.is_err()).map(|(text, _)| text).collect();
        if texts.is_empty() {
            return (bench.world.now() - begun).num_seconds();
        }
        bench.world.millis.fetch_add(5_000, Ordering::SeqCst);
    }
    panic!("{} are never scored", texts.len());
}

#[test]
fn an_outage_behind_a_gateway_costs_no_more_of_the_cap_than_the_request_that_met_it() {
    for (status, openai) in [(502, false), (503, false), (504, false), (503, true)] {
        let bench = Bench::claude();
        let purse = Arc::new(Capped { cap: 100_000, counted: Mutex::default() });
        let manner = Manner { together: 4, ..Manner::default() };
        let endpoint = if openai { chat(&bench.server) } else { claude(&bench.server) };
        let scorer = LlmScorer::new(endpoint, manner, bench.world.clone(), purse.clone());
        // It was well before, so that several go at once.
        until_scored(&bench, &scorer, (0..12).map(|n| format!("late {n}")).collect());
        let (begins, ends) = (bench.world.now(), bench.world.now() + TimeDelta::minutes(10));
        bench.server.set(Fault::between(begins, ends, Failure::Gateway(status)).on(Calls::All));
        let asked = bench.server.requests().len();
        let took = until_scored(&bench, &scorer, (0..20).map(|n| format!("late again {n}")).collect());
        let counted = *purse.counted.lock().unwrap();
        // The one that met it can take some 20,000; each of the eight or nine that look for the provider meanwhile some 1,200.
        assert!(counted.lost <= 32_000, "{status}: {counted:?}");
        assert!((600..=780).contains(&took), "{status}: found again after {took} seconds");
        let asked = bench.server.requests().len() - asked;
        assert!(asked <= 25, "{status}: {asked} requests");
    }
}

#[test]
fn who_is_overloaded_for_long_is_left_alone_and_found_again() {
    let bench = Bench::claude();
    let (begins, ends) = (bench.world.now(), bench.world.now() + TimeDelta::minutes(10));
    // Every other time it breaks instead.
    bench.server.set(Fault::every(2, Failure::Error(Problem::internal())));
    bench.server.add(Fault::between(begins, ends, Failure::Error(Problem::overloaded())));
    let asking = |bench: &Bench| {
        for _ in 0..100 {
            assert!(bench.score(&["late"])[0].is_err());
            bench.world.millis.fetch_add(5_000, Ordering::SeqCst);
            if bench.world.now() >= ends - TimeDelta::seconds(30) {
                break;
            }
        }
    };
    asking(&bench);
    assert!(bench.server.requests().len() <= 15, "{} requests", bench.server.requests().len());
    bench.server.clear();
    let took = until_scored(&bench, &bench.scorer, vec!["late".to_owned()]);
    assert!(took <= 125, "{took}");
}

#[test]
fn one_page_of_a_gateway_keeps_nobody_waiting_for_long() {
    let bench = Bench::claude();
    bench.server.set(Fault::next(1, Failure::Gateway(502)));
    let told = bench.score(&["late", "fine", "late", "fine", "late"]);
    assert_eq!(labels(&told), [LATE, CALM, LATE, CALM, LATE]);
    assert_eq!(bench.pauses(), [0.5]);
    // The request that met it, a small one about nothing, then all of it.
    assert_eq!(bench.requests(), [4, 0, 4, 1]);
    let small = &bench.server.requests()[1];
    assert!(small.body.len() < 200 && small.json()["max_tokens"] == 1, "{}", small.body);
}

#[test]
fn a_request_that_is_refused_for_its_shape_says_nothing_of_the_texts() {
    let bench = Bench::claude();
    let refused = || Fault::always(Failure::Error(Problem::invalid("output_config: unknown field")));
    bench.server.set(refused());
    let asked = |texts: &[&str], wanted: &[usize]| {
        let now = bench.world.now();
        for told in bench.score(texts) {
            let Err(NoVerdict::Unavailable { reason, detail, until }) = told else { panic!("{told:?}") };
            assert_eq!(reason, DeferReason::LlmUnavailable);
            assert!(
                detail.contains("HTTP 400") && detail.contains("output_config: unknown field"),
                "{detail}"
            );
            assert!(
                until.is_some_and(|until| until > now && until <= now + TimeDelta::minutes(5)),
                "{until:?}"
            );
        }
        assert_eq!(bench.requests(), wanted, "one about the texts, one about a text of our own");
    };
    asked(&["late", "fine"], &[2, 1]);
    asked(&["late", "fine", "late"], &[2, 1]);
    // It is found out now and then whether that still stands.
    bench.world.millis.fetch_add(300_000, Ordering::SeqCst);
    asked(&["late"], &[2, 1, 1, 1]);
    // Another model, or other categories, may be taken.
    bench.server.clear();
    let other =
        Batch { model: Some("claude-sonnet-5-5".to_owned()), ..Batch::new(vec![Utterance::message("late")]) };
    assert!(block_on(bench.scorer.score(other))[0].is_ok());
    asked(&["late"], &[2, 1, 1, 1, 1]);
    bench.world.millis.fetch_add(300_000, Ordering::SeqCst);
    assert_eq!(labels(&bench.score(&["late"])), [LATE]);
}

#[test]
fn a_text_that_alone_is_refused_fails_alone() {
    let bench = Bench::claude();
    let invalid = || Failure::Error(Problem::invalid("messages.0: not this one"));
    // The request with both, and the one about the first alone; in between the text of our own passes.
    bench.server.set(Fault::next(1, invalid()));
    bench.server.add(Fault::every(3, invalid()));
    let told = bench.score(&["late", "fine"]);
    assert!(
        matches!(&told[0], Err(NoVerdict::Failed { detail }) if detail.contains("not this one")),
        "{told:?}"
    );
    assert_eq!(labels(&told[1..]), [CALM]);
    assert_eq!(bench.requests(), [2, 1, 1, 1]);
    // What was answered a moment ago is not doubted again.
    bench.server.set(Fault::next(1, invalid()));
    assert!(matches!(&bench.score(&["late"])[0], Err(NoVerdict::Failed { .. })));
    assert_eq!(bench.requests(), [2, 1, 1, 1, 1]);
}
