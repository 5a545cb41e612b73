//! Runs over what was not scored, and over what is scored again.

#[path = "backfill/batches.rs"]
mod batches;

use undertone_core::Settings;
use undertone_core::backfill::{Asked, Mode};
use undertone_store::backfill::{Run, RunState, Slice};

use super::*;
pub(crate) use batches::batches_are_known_before_they_are_sent;

const OWNER: &str = "node";

/// A tenant with `texts`, each of them its score, the first the oldest.
async fn with(bench: &Bench, slug: &str, texts: &[&str]) -> (Tenant, Vec<String>) {
    let tenant = bench.tenant(slug).await;
    let items: Vec<Incoming> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| item(&format!("{n:03}"), &format!("c{}", n % 3), text))
        .collect();
    let accepted = bench.store.accept(tenant.id, &items).await.unwrap();
    (tenant, accepted.iter().map(|a| a.id().to_owned()).collect())
}

/// Decides what is new: numbers are scores, anything else is skipped for the reason it names.
async fn decide(bench: &Bench, tenant: &Tenant) {
    let finished: Vec<Finished> = bench
        .claim(tenant, "worker")
        .await
        .into_iter()
        .map(|claimed| Finished { outcome: outcome(&claimed.interaction.text), claimed })
        .collect();
    bench.store.record(tenant.id, "worker", &finished).await.unwrap();
}

fn outcome(text: &str) -> Outcome {
    let reason = SkipReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    match (text.parse(), reason) {
        (Ok(score), _) => Outcome::Scored(Box::new(verdict(score, text))),
        (_, Some(reason)) => Outcome::Skipped { reason, detail: None },
        _ => Outcome::Failed { detail: "broke".to_owned(), retry_at: None },
    }
}

async fn start(bench: &Bench, tenant: &Tenant, asked: &Asked) -> Run {
    let run = bench.store.start_backfill(&act(tenant), asked, &json!({"rows": 7})).await.unwrap();
    hold(bench, tenant, &run).await;
    run
}

async fn hold(bench: &Bench, tenant: &Tenant, run: &Run) {
    let held = bench.store.hold_backfill(tenant.id, &run.id, OWNER, TimeDelta::seconds(30)).await.unwrap();
    assert!(held.is_some());
}

/// The runs that have something to do, of all tenants.
async fn to_drive(bench: &Bench, owner: &str) -> Vec<String> {
    let due = bench.store.backfills_to_drive(owner, TimeDelta::hours(1)).await.unwrap();
    due.into_iter().map(|(_, run)| run).collect()
}

/// Opens slices until there is one with something in it, or nothing is left; answers the ids handed out.
async fn next(bench: &Bench, tenant: &Tenant, run: &Run, size: u16) -> Vec<Claimed> {
    loop {
        let slice = bench
            .store
            .open_slice(tenant, &run.id, OWNER, &Settings::default(), size)
            .await
            .unwrap()
            .unwrap();
        if slice.opened > 0 || slice.exhausted {
            return bench.store.begin_items(tenant.id, &run.id, OWNER, 100).await.unwrap();
        }
    }
}

fn scored(claimed: Vec<Claimed>, score: impl Fn(&str) -> i64) -> Vec<Finished> {
    finished(claimed, |text| verdict(score(text), text))
}

async fn record(bench: &Bench, tenant: &Tenant, run: &Run, finished: &[Finished]) -> Recorded {
    bench.store.record_items(tenant.id, (&run.id, OWNER), finished).await.unwrap()
}

async fn known(bench: &Bench, tenant: &Tenant, run: &Run) -> Run {
    bench.store.backfill(tenant.id, &run.id).await.unwrap().unwrap()
}

async fn state(bench: &Bench, tenant: &Tenant, id: &str) -> (String, Option<String>) {
    let listed = bench.store.interaction(tenant.id, id).await.unwrap().unwrap();
    (listed.state, listed.reason)
}

pub(crate) async fn what_was_not_scored_is_scored_once(bench: &Bench) {
    let texts = ["-40", "no_key", "too_short", "broken", "agent_message", "llm_unavailable", "30"];
    let (tenant, ids) = with(bench, "unscored", &texts).await;
    decide(bench, &tenant).await;
    let asked = Asked::default();
    let counted = bench.store.count_for_backfill(&tenant, &asked).await.unwrap();
    let mut reasons: Vec<_> = counted.iter().map(|c| (c.reason.as_deref().unwrap(), c.count)).collect();
    reasons.sort_unstable();
    let all = ["agent_message", "llm_unavailable", "no_key", "scoring_failed", "too_short"];
    assert_eq!(reasons, all.map(|reason| (reason, 1)));
    let mut lengths = bench.store.newest_lengths(&tenant, &asked, 2).await.unwrap();
    lengths.sort_unstable();
    assert_eq!(lengths, [13, 15], "those of the newest two");

    let run = start(bench, &tenant, &asked).await;
    let again = bench.store.start_backfill(&act(&tenant), &asked, &json!({})).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "one at a time");
    // Newest first, two at a time, and only what may have changed.
    let first = next(bench, &tenant, &run, 2).await;
    let of = |claimed: &[Claimed]| claimed.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
    assert_eq!(of(&first), [ids[5].clone(), ids[3].clone()]);
    assert_eq!(
        state(bench, &tenant, &ids[5]).await.0,
        "skipped",
        "it stays what it was until there is a verdict"
    );
    let finished = scored(first, |_| -20);
    assert_eq!(record(bench, &tenant, &run, &finished).await, Recorded { scored: 2, ..Recorded::default() });
    assert_eq!(record(bench, &tenant, &run, &finished).await.lost, 2, "said twice, it counts once");
    let second = next(bench, &tenant, &run, 2).await;
    assert_eq!(of(&second), [ids[1].clone()]);
    record(bench, &tenant, &run, &scored(second, |_| 50)).await;
    assert!(next(bench, &tenant, &run, 2).await.is_empty());
    let told = known(bench, &tenant, &run).await;
    assert_eq!((told.opened, told.scored, told.decided(), told.exhausted, told.tokens), (3, 3, 3, true, 21));
    assert!(
        bench
            .store
            .end_backfill(tenant.id, &run.id, OWNER, (RunState::Done, None), &json!({}))
            .await
            .unwrap()
    );
    assert_eq!(state(bench, &tenant, &ids[3]).await, ("scored".to_owned(), None));
    assert_eq!(events(bench, &tenant).await, 2, "those of the two that were new and scored");
    bench.assert_verified(&tenant).await;

    // Said again, it finds nothing; what is asked for besides it takes.
    let run = start(bench, &tenant, &asked).await;
    assert!(next(bench, &tenant, &run, 100).await.is_empty());
    assert_eq!(known(bench, &tenant, &run).await.opened, 0);
    bench.store.cancel_backfill(&act(&tenant), &run.id).await.unwrap().unwrap();
    bench
        .store
        .end_backfill(tenant.id, &run.id, OWNER, (RunState::Cancelled, None), &json!({}))
        .await
        .unwrap();
    let include = Asked { include: [SkipReason::TooShort].into(), notify: true, ..Asked::default() };
    let run = start(bench, &tenant, &include).await;
    let taken = next(bench, &tenant, &run, 100).await;
    assert_eq!(of(&taken), [ids[2].clone()]);
    // The same reason again changes nothing.
    let before = bench.store.interaction(tenant.id, &ids[2]).await.unwrap().unwrap();
    bench.advance(5);
    let skipped = Outcome::Skipped { reason: SkipReason::TooShort, detail: None };
    let finished: Vec<Finished> =
        taken.into_iter().map(|claimed| Finished { claimed, outcome: skipped.clone() }).collect();
    assert_eq!(record(bench, &tenant, &run, &finished).await.skipped, 1);
    assert_eq!(bench.store.interaction(tenant.id, &ids[2]).await.unwrap().unwrap(), before);
    let without = bench.store.backfill_without_verdict(tenant.id, &run.id).await.unwrap();
    assert_eq!(without, [("skipped".to_owned(), Some("too_short".to_owned()), 1)]);
    end(bench, &tenant, &run).await;
}

async fn end(bench: &Bench, tenant: &Tenant, run: &Run) {
    let ended =
        bench.store.end_backfill(tenant.id, &run.id, OWNER, (RunState::Done, None), &json!({"x": 1})).await;
    assert!(ended.unwrap());
}

/// The tenant's events.
async fn events(bench: &Bench, tenant: &Tenant) -> usize {
    count(bench, &format!("SELECT COUNT(*) FROM outbox WHERE tenant_id = {}", tenant.id.0)).await
}

pub(super) async fn count(bench: &Bench, query: &str) -> usize {
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let backend = sea_orm::ConnectionTrait::get_database_backend(&raw);
    let statement = sea_orm::Statement::from_string(backend, query.to_owned());
    let row = sea_orm::ConnectionTrait::query_one_raw(&raw, statement).await.unwrap().unwrap();
    let counted: i64 = row.try_get_by_index(0).unwrap();
    raw.close().await.unwrap();
    usize::try_from(counted).unwrap()
}

pub(crate) async fn what_is_scored_again_keeps_its_past(bench: &Bench) {
    let (tenant, ids) = with(bench, "refresh", &["-40", "30", "-60", "0", "10"]).await;
    decide(bench, &tenant).await;
    // A person corrected the oldest.
    overrides::correct(bench, &tenant, &ids[0], 90).await;
    let before = events(bench, &tenant).await;
    let run = start(bench, &tenant, &Asked { mode: Mode::Refresh, ..Asked::default() }).await;
    let taken = next(bench, &tenant, &run, 100).await;
    assert_eq!(taken.len(), 5);
    let mut finished = scored(taken, |text| text.parse::<i64>().unwrap() - 20);
    // The second newest gets no verdict this time, and one is revised while it is read.
    finished[1].outcome = Outcome::Skipped { reason: SkipReason::Refused, detail: None };
    let mut update = item("002", "c2", "-70");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    let recorded = record(bench, &tenant, &run, &finished).await;
    assert_eq!(recorded, Recorded { scored: 3, skipped: 1, lost: 1, ..Recorded::default() });
    assert_eq!(state(bench, &tenant, &ids[3]).await, ("scored".to_owned(), None), "its verdict stands");
    assert_eq!(state(bench, &tenant, &ids[2]).await.0, "pending", "as what is new");
    decide(bench, &tenant).await;
    assert!(next(bench, &tenant, &run, 100).await.is_empty());
    let told = known(bench, &tenant, &run).await;
    assert_eq!((told.opened, told.scored, told.skipped, told.superseded), (5, 3, 1, 1));

    let revisions = async |n: usize| bench.store.revisions(tenant.id, &ids[n]).await.unwrap();
    let scores: Vec<i8> = revisions(0).await.iter().map(|r| r.verdict.score.get()).collect();
    assert_eq!(scores, [-60, -40]);
    assert_eq!((revisions(3).await.len(), revisions(2).await.len()), (1, 2));
    let corrected = bench.store.sentiment(tenant.id, &ids[0]).await.unwrap().unwrap();
    assert_eq!((corrected.score, corrected.ai_score, corrected.human_override_score), (90, -60, Some(90)));
    assert_eq!(events(bench, &tenant).await, before + 2, "only those of the text that was revised");
    bench.assert_verified(&tenant).await;

    let changes = bench.store.backfill_changes(tenant.id, &run.id).await.unwrap().unwrap();
    assert_eq!((changes.pairs, changes.share_other_score), (3, 1.0));
    // 30 and 10 lost their label, -40 kept it.
    assert!((changes.share_other_label - 1.0 / 3.0).abs() < 1e-9, "{changes:?}");
    assert!((changes.shift.unwrap().value + 20.0).abs() < 1e-9);
    let pairs = bench.store.backfill_pairs(tenant.id, &run.id, 20).await.unwrap();
    assert_eq!((pairs.len(), pairs[0].interaction_id.as_str(), pairs[0].new_score), (3, ids[1].as_str(), 10));
    let labels = bench.store.backfill_labels(tenant.id, &run.id).await.unwrap();
    assert_eq!(labels, [(Label::Neutral, 2), (Label::Negative, 1)]);
    end(bench, &tenant, &run).await;
    // Items go after a while; the run and its report stay.
    bench.advance(100);
    assert!(!bench.store.remove_old_items(tenant.id, TimeDelta::seconds(60)).await.unwrap());
    assert!(bench.store.backfill_pairs(tenant.id, &run.id, 20).await.unwrap().is_empty());
    assert_eq!(known(bench, &tenant, &run).await.report, Some(json!({"x": 1})));
}

pub(crate) async fn a_run_goes_on_where_it_was(bench: &Bench) {
    let texts: Vec<String> = (0..40).map(|n| (n - 20).to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (tenant, ids) = with(bench, "goes-on", &texts).await;
    decide(bench, &tenant).await;
    let asked = Asked { mode: Mode::Refresh, limit: Some(30), ..Asked::default() };
    let run = start(bench, &tenant, &asked).await;
    let taken = next(bench, &tenant, &run, 20).await;
    record(bench, &tenant, &run, &scored(taken[..8].to_vec(), |_| 1)).await;
    // The node is gone. Nobody else has the run in hand before its lease ends, and what it says then does not count any more.
    let other = async || {
        bench.store.hold_backfill(tenant.id, &run.id, "other", TimeDelta::seconds(30)).await.unwrap()
    };
    assert!(other().await.is_none());
    assert!(!to_drive(bench, "other").await.contains(&run.id));
    bench.advance(31);
    assert!(other().await.is_some());
    let late = record(bench, &tenant, &run, &scored(taken[8..].to_vec(), |_| 2)).await;
    assert_eq!((late.scored, late.lost), (0, 12));
    // The rest of its slice is handed out again, the next slices after that, and nothing twice.
    let mut seen: Vec<String> = taken[..8].iter().map(|c| c.id.clone()).collect();
    loop {
        let begun = bench.store.begin_items(tenant.id, &run.id, "other", 7).await.unwrap();
        if begun.is_empty() {
            let settings = Settings::default();
            let slice =
                bench.store.open_slice(&tenant, &run.id, "other", &settings, 20).await.unwrap().unwrap();
            if slice.exhausted && slice.opened == 0 {
                break;
            }
            continue;
        }
        seen.extend(begun.iter().map(|c| c.id.clone()));
        let finished = scored(begun, |_| 2);
        bench.store.record_items(tenant.id, (&run.id, "other"), &finished).await.unwrap();
    }
    let newest: Vec<String> = ids.iter().rev().take(30).cloned().collect();
    assert_eq!(seen, newest, "the newest thirty, each once, in order");
    let told = known(bench, &tenant, &run).await;
    assert_eq!((told.opened, told.scored, told.decided()), (30, 30, 30));
    bench.assert_verified(&tenant).await;
    // Even a slice that reaches back into what the run has had takes none of it twice.
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let back = format!(
        "UPDATE backfill_run SET cursor = '~', exhausted = false, opened = 0 WHERE id = '{}'",
        run.id
    );
    sea_orm::ConnectionTrait::execute_unprepared(&raw, &back).await.unwrap();
    raw.close().await.unwrap();
    let again = bench.store.open_slice(&tenant, &run.id, "other", &Settings::default(), 20).await;
    assert_eq!(again.unwrap(), Some(Slice { opened: 0, exhausted: false }));
    assert_eq!(known(bench, &tenant, &run).await.opened, 0);
    bench.store.cancel_backfill(&act(&tenant), &run.id).await.unwrap();
    assert_eq!(bench.store.let_go_of_backfills("other").await.unwrap(), 1);
    let ended =
        bench.store.end_backfill(tenant.id, &run.id, "other", (RunState::Done, None), &json!({})).await;
    assert!(!ended.unwrap(), "it is not in hand any more");

    // What a process that ends in order had begun, was not begun; what one that is killed had begun, was.
    let run = start(bench, &tenant, &Asked { limit: Some(2), ..asked }).await;
    assert_eq!(next(bench, &tenant, &run, 2).await[0].attempts, 1);
    bench.advance(31);
    assert!(
        bench
            .store
            .hold_backfill(tenant.id, &run.id, "third", TimeDelta::seconds(30))
            .await
            .unwrap()
            .is_some()
    );
    let begin = async |owner| bench.store.begin_items(tenant.id, &run.id, owner, 2).await.unwrap();
    assert_eq!(begin("third").await[0].attempts, 2);
    bench.store.let_go_of_backfills("third").await.unwrap();
    hold(bench, &tenant, &run).await;
    // Begun twice and never finished, it is tried alone.
    let alone = begin(OWNER).await;
    assert_eq!((alone.len(), alone[0].attempts), (2, 2));
    let suspect = begin(OWNER).await;
    assert_eq!((suspect.len(), suspect[0].attempts), (1, 3));
    bench.store.cancel_backfill(&act(&tenant), &run.id).await.unwrap();
}

pub(crate) async fn runs_are_stopped_and_wait(bench: &Bench) {
    let (tenant, ids) = with(bench, "stops", &["-40", "30", "-60"]).await;
    decide(bench, &tenant).await;
    let other = bench.tenant("stops2").await;
    let asked = Asked { mode: Mode::Refresh, ..Asked::default() };
    let run = start(bench, &tenant, &asked).await;
    let taken = next(bench, &tenant, &run, 2).await;
    assert!(bench.store.pause_backfill(&act(&other), &run.id).await.unwrap().is_none(), "it is not theirs");
    assert!(bench.store.backfill(other.id, &run.id).await.unwrap().is_none());
    let paused = bench.store.pause_backfill(&act(&tenant), &run.id).await.unwrap().unwrap();
    assert_eq!(paused.state, RunState::Paused);
    assert!(!to_drive(bench, OWNER).await.contains(&run.id), "nothing is to be done of what is paused");
    // Nothing more is begun, and what is under way counts.
    let settings = Settings::default();
    assert!(bench.store.open_slice(&tenant, &run.id, OWNER, &settings, 2).await.unwrap().is_none());
    assert!(bench.store.begin_items(tenant.id, &run.id, OWNER, 2).await.unwrap().is_empty());
    assert_eq!(record(bench, &tenant, &run, &scored(taken[..1].to_vec(), |_| 5)).await.scored, 1);
    bench.advance(60);
    let resumed = bench.store.resume_backfill(&act(&tenant), &run.id).await.unwrap().unwrap();
    assert_eq!(
        (resumed.state, resumed.running_since, resumed.decided_before),
        (RunState::Running, bench.store.now(), 1)
    );
    // What waits for money does so without losing an attempt, and is due when the settings change.
    hold(bench, &tenant, &run).await;
    let begun = bench.store.begin_items(tenant.id, &run.id, OWNER, 2).await.unwrap();
    assert_eq!((begun.len(), begun[0].attempts), (1, 2));
    let until = bench.store.now() + TimeDelta::hours(3);
    let outcome =
        Outcome::Deferred { reason: SkipReason::DailyTokenCap, detail: Some("all used".to_owned()), until };
    let deferred = [Finished { claimed: begun[0].clone(), outcome }];
    assert_eq!(record(bench, &tenant, &run, &deferred).await.deferred, 1);
    let waiting = bench.store.backfill_waiting(tenant.id, &run.id).await.unwrap();
    assert_eq!(
        (waiting.items, waiting.reason.as_deref(), waiting.until),
        (1, Some("daily_token_cap"), Some(until))
    );
    assert!(bench.store.begin_items(tenant.id, &run.id, OWNER, 2).await.unwrap().is_empty());
    assert!(!to_drive(bench, OWNER).await.contains(&run.id), "it waits");
    bench.store.let_go_of_backfill(tenant.id, &run.id, OWNER).await.unwrap();
    let other = bench.store.backfills_to_drive("other", TimeDelta::zero()).await.unwrap();
    assert!(other.contains(&(tenant.id, run.id.clone())), "but somebody looks at it now and then");
    hold(bench, &tenant, &run).await;
    bench.store.change_settings(&act(&tenant), &json!({"daily_token_cap": 0})).await.unwrap();
    let begun = bench.store.begin_items(tenant.id, &run.id, OWNER, 2).await.unwrap();
    assert_eq!(begun[0].attempts, 2, "no attempt is lost by waiting");
    bench.store.let_go_of_backfills(OWNER).await.unwrap();
    assert_eq!(to_drive(bench, OWNER).await.last(), Some(&run.id), "after those nobody had in hand yet");
    hold(bench, &tenant, &run).await;
    assert!(bench.store.rest_backfill(tenant.id, &run.id, TimeDelta::seconds(1)).await.is_ok());
    // Cancelled, what is under way still counts; the rest is left as it was.
    let cancelled = bench.store.cancel_backfill(&act(&tenant), &run.id).await.unwrap().unwrap();
    assert_eq!((cancelled.state, cancelled.ended_by.as_deref()), (RunState::Cancelled, Some("test")));
    assert!(matches!(
        bench.store.resume_backfill(&act(&tenant), &run.id).await,
        Err(StoreError::Conflict(_))
    ));
    let done = (RunState::Cancelled, None);
    assert!(bench.store.end_backfill(tenant.id, &run.id, OWNER, done, &json!({})).await.unwrap());
    assert!(!bench.store.end_backfill(tenant.id, &run.id, OWNER, done, &json!({})).await.unwrap());
    for id in &ids {
        assert_eq!(state(bench, &tenant, id).await.0, "scored");
    }
    assert_eq!(bench.store.backfills(tenant.id, true, None, 10).await.unwrap().len(), 1);
    bench.assert_verified(&tenant).await;
}

pub(crate) async fn one_is_scored_again_by_itself(bench: &Bench) {
    let (tenant, ids) = with(bench, "single", &["-40", "too_short", "30"]).await;
    let other = bench.tenant("single2").await;
    let single = Asked::default();
    let pending = bench.store.start_rescore(&act(&tenant), &ids[0], &single).await;
    assert!(matches!(pending, Err(StoreError::Conflict(_))), "it waits anyway");
    decide(bench, &tenant).await;
    assert!(bench.store.start_rescore(&act(&other), &ids[0], &single).await.unwrap().is_none());
    // A run stands in nobody's way.
    let big = start(bench, &tenant, &Asked { mode: Mode::Refresh, ..Asked::default() }).await;
    let run = bench.store.start_rescore(&act(&tenant), &ids[0], &single).await.unwrap().unwrap();
    assert_eq!((run.mode(), run.opened, run.exhausted), (Mode::Single, 1, true));
    let twice = bench.store.start_rescore(&act(&tenant), &ids[0], &single).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))));
    // Nor is it scored twice by the run that runs.
    let taken = next(bench, &tenant, &big, 100).await;
    assert_eq!(taken.iter().map(|c| &c.id).collect::<Vec<_>>(), [&ids[2]]);
    let low = async |run: &Run| {
        hold(bench, &tenant, run).await;
        let begun = bench.store.begin_items(tenant.id, &run.id, OWNER, 10).await.unwrap();
        assert_eq!(record(bench, &tenant, run, &scored(begun, |_| -90)).await.scored, 1);
        end(bench, &tenant, run).await;
    };
    let alerts = format!("SELECT COUNT(*) FROM alert WHERE tenant_id = {}", tenant.id.0);
    let told = async || (events(bench, &tenant).await, count(bench, &alerts).await);
    let before = told().await;
    low(&run).await;
    assert_eq!(bench.store.sentiment(tenant.id, &ids[0]).await.unwrap().unwrap().score, -90);
    assert_eq!(told().await, before, "nobody asked to be told");
    let loud = Asked { notify: true, scorer: Some(ScorerKind::Openai), ..single };
    let loud = bench.store.start_rescore(&act(&tenant), &ids[0], &loud).await.unwrap().unwrap();
    low(&loud).await;
    assert_eq!(told().await, (before.0 + 3, before.1 + 1), "scored, negative, and an alert");
    let listed = bench.store.backfills(tenant.id, false, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|run| &run.id).collect::<Vec<_>>(), [&big.id]);
    assert_eq!(bench.store.backfills(tenant.id, true, Some(&run.id), 10).await.unwrap().len(), 1);
    assert_eq!(bench.store.backfills(tenant.id, true, None, 10).await.unwrap()[0].id, loud.id);
    bench.store.cancel_backfill(&act(&tenant), &big.id).await.unwrap();
    // What customers are told has the scorers that were asked for, not those of the settings.
    let asked_for =
        async |tenant: &Tenant, days: u32| bench.store.scorers_of_runs(tenant.id, days).await.unwrap();
    assert_eq!(
        (asked_for(&tenant, 90).await, asked_for(&other, 90).await),
        (vec![ScorerKind::Openai], vec![])
    );
    bench.advance(1);
    assert_eq!(asked_for(&tenant, 0).await, []);
}
