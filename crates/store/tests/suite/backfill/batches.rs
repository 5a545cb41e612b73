//! Runs through a provider's batches: what is written down before anything is sent, and by whom.

use undertone_core::usage::Feature;
use undertone_core::verdict::ScorerKind;
use undertone_store::backfill::{Again, BatchState, NewBatch, NewRequest, RequestResult};
use undertone_store::budget::{Caps, Frees, ReserveRequest, Reserved};

use super::*;

pub(crate) async fn batches_are_known_before_they_are_sent(bench: &Bench) {
    let (tenant, ids) = with(bench, "batches", &["-40", "30", "-60", "5"]).await;
    decide(bench, &tenant).await;
    let run =
        start(bench, &tenant, &Asked { mode: Mode::Refresh, via_batches: true, ..Asked::default() }).await;
    let store = &bench.store;
    bench.advance(1);
    assert_eq!(store.scorers_of_runs(tenant.id, 0).await.unwrap(), [ScorerKind::Claude], "it goes on");
    store.open_slice(&tenant, &run.id, OWNER, &Settings::default(), 100).await.unwrap();
    let due = store.items_for_batch(tenant.id, &run.id, OWNER, 3).await.unwrap();
    assert_eq!(due.iter().map(|(c, alone)| (c.attempts, *alone)).collect::<Vec<_>>(), [(0, false); 3]);
    let of = |n: usize| (due[n].0.id.clone(), due[n].0.attempts);
    let request = |id: &str, items| NewRequest {
        id: id.to_owned(),
        digest: "digest".to_owned(),
        most_tokens: 300,
        most_micros: None,
        items,
    };
    let batch = NewBatch {
        id: "batch-1",
        base_url: "http://localhost:1",
        prompt_version: "p",
        next_look_at: bench.store.now(),
        call: call(),
        requests: vec![request("r1", vec![of(0), of(1)]), request("r2", vec![of(2)])],
    };
    let caps = Caps::default();
    assert!(store.enter_batch(&tenant, (&run.id, "other"), &caps, &batch).await.unwrap().is_none());
    assert_eq!(held(bench, &tenant).await, 0, "who does not drive the run holds nothing");
    let entered = store.enter_batch(&tenant, (&run.id, OWNER), &caps, &batch).await.unwrap().unwrap();
    assert_eq!((entered.requests, entered.refusal, held(bench, &tenant).await), (2, None, 600));
    assert!(to_drive(bench, OWNER).await.contains(&run.id), "the batch is due");
    let waiting = store.backfill_waiting(tenant.id, &run.id).await.unwrap();
    assert_eq!((waiting.items, waiting.in_batches), (4, 3));
    assert_eq!(store.items_for_batch(tenant.id, &run.id, OWNER, 9).await.unwrap().len(), 1);
    let mut row = store.open_batches(tenant.id, &run.id).await.unwrap().remove(0);
    assert_eq!((row.state, row.requests, row.provider_id.as_deref()), (BatchState::Made, 2, None));
    (row.state, row.provider_id) = (BatchState::InProgress, Some("msgbatch_1".to_owned()));
    store.note_batch(tenant.id, (&run.id, OWNER), &row).await.unwrap();
    assert!(store.knows_batch(tenant.id, "msgbatch_1").await.unwrap());
    row.next_look_at = bench.store.now() + TimeDelta::seconds(60);
    store.note_batch(tenant.id, (&run.id, OWNER), &row).await.unwrap();
    // One text is due besides; it would go into another batch.
    assert!(to_drive(bench, OWNER).await.contains(&run.id));
    let until = bench.store.now() + TimeDelta::seconds(120);
    store.defer_items(tenant.id, (&run.id, OWNER), ("no_key", "none"), until).await.unwrap();
    assert!(!to_drive(bench, OWNER).await.contains(&run.id), "nothing of it is due");
    bench.advance(120);
    hold(bench, &tenant, &run).await;
    assert!(!store.knows_batch(bench.tenant("batches2").await.id, "msgbatch_1").await.unwrap());
    // The first request's second text is revised meanwhile: its answer does not count, its neighbour's does.
    let mut update = item("002", "c2", "-70");
    update.arrival.update = true;
    store.accept(tenant.id, &[update]).await.unwrap();
    assert_eq!(store.open_requests(tenant.id, "batch-1").await.unwrap().len(), 2);
    let items = store.request_items(tenant.id, &run.id, "r1").await.unwrap();
    let told: Vec<_> =
        items.iter().map(|i| (i.claimed.interaction.text.as_str(), i.stands, i.claimed.attempts)).collect();
    assert_eq!(told, [("5", true, 1), ("-60", false, 1)]);
    let first = scored(vec![items[0].claimed.clone()], |_| 7);
    assert_eq!(record(bench, &tenant, &run, &first).await.scored, 1);
    store
        .end_request(tenant.id, (&run.id, OWNER), ("r1", RequestResult::Succeeded), Again::default())
        .await
        .unwrap();
    let again = Again { alone: true, forgiven: true, reason: Some("retrying"), ..Again::default() };
    store.end_request(tenant.id, (&run.id, OWNER), ("r2", RequestResult::Expired), again).await.unwrap();
    assert!(store.open_requests(tenant.id, "batch-1").await.unwrap().is_empty());
    let results = store.batch_results(tenant.id, &run.id).await.unwrap();
    assert_eq!(results, [("expired".to_owned(), 1), ("succeeded".to_owned(), 1)]);
    let due = store.items_for_batch(tenant.id, &run.id, OWNER, 9).await.unwrap();
    let told: Vec<_> = due.iter().map(|(c, alone)| (c.id.as_str(), c.attempts, *alone)).collect();
    assert_eq!(
        told,
        [(ids[1].as_str(), 0, true), (ids[0].as_str(), 0, false)],
        "and the revised one is out of it"
    );
    // A node that slept while it read them writes nothing down any more, and is told so.
    row.state = BatchState::Read;
    bench.advance(31);
    let (asleep, lease) = ((run.id.as_str(), OWNER), TimeDelta::seconds(30));
    assert!(store.hold_backfill(tenant.id, &run.id, "other", lease).await.unwrap().is_some());
    let told = |done: undertone_store::Result<()>| matches!(done, Err(StoreError::NotDriven));
    assert!(told(store.note_batch(tenant.id, asleep, &row).await));
    let ended = ("r2", RequestResult::Lost);
    assert!(told(store.end_request(tenant.id, asleep, ended, Again::default()).await));
    let until = bench.store.now() + TimeDelta::hours(1);
    assert!(told(store.defer_items(tenant.id, asleep, ("no_key", "none"), until).await));
    assert_eq!(store.open_batches(tenant.id, &run.id).await.unwrap()[0].state, BatchState::InProgress);
    assert_eq!(store.batch_results(tenant.id, &run.id).await.unwrap(), results);
    bench.advance(31);
    hold(bench, &tenant, &run).await;
    store.note_batch(tenant.id, (&run.id, OWNER), &row).await.unwrap();
    assert!(store.open_batches(tenant.id, &run.id).await.unwrap().is_empty());
    assert_eq!(store.batches(tenant.id, &run.id).await.unwrap().len(), 1);
    // What nobody will hear of is spent, as far as anybody knows; the other was not settled here.
    assert_eq!(held(bench, &tenant).await, 600);
    store
        .end_request(tenant.id, (&run.id, OWNER), ("r2", RequestResult::Lost), Again::default())
        .await
        .unwrap();
    assert_eq!(store.expire_calls(tenant.id, &caps).await.unwrap(), 1);
    assert_eq!(held(bench, &tenant).await, 300);
    store.cancel_backfill(&act(&tenant), &run.id).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    bench.assert_verified(&tenant).await;
    money_is_set_aside_with_what_it_is_for(bench).await;
}

async fn money_is_set_aside_with_what_it_is_for(bench: &Bench) {
    let (tenant, _) = with(bench, "batch-money", &["-40", "30", "-60", "5"]).await;
    decide(bench, &tenant).await;
    let asked = Asked { mode: Mode::Refresh, via_batches: true, ..Asked::default() };
    let (run, store) = (start(bench, &tenant, &asked).await, &bench.store);
    store.open_slice(&tenant, &run.id, OWNER, &Settings::default(), 100).await.unwrap();
    let due = store.items_for_batch(tenant.id, &run.id, OWNER, 9).await.unwrap();
    let requests = |named: [&str; 4]| -> Vec<NewRequest> {
        let items = due.iter().map(|(one, _)| vec![(one.id.clone(), one.attempts)]);
        let most = |id: &str, items| NewRequest {
            id: id.to_owned(),
            digest: "digest".to_owned(),
            most_tokens: 300,
            most_micros: None,
            items,
        };
        named.into_iter().zip(items).map(|(id, items)| most(id, items)).collect()
    };
    let batch = |id, named| NewBatch {
        id,
        base_url: "http://localhost:1",
        prompt_version: "p",
        next_look_at: store.now(),
        call: call(),
        requests: requests(named),
    };
    let enter = async |cap, batch: &NewBatch<'_>| {
        let caps = Caps { day_tokens: cap, ..Caps::default() };
        store.enter_batch(&tenant, (&run.id, OWNER), &caps, batch).await
    };
    let waiting = async || store.backfill_waiting(tenant.id, &run.id).await.unwrap().in_batches;
    // Broken off while its rows are written, it holds nothing, and nothing of it is known.
    assert!(enter(0, &batch("twice", ["a", "b", "a", "c"])).await.is_err());
    assert_eq!((held(bench, &tenant).await, waiting().await), (0, 0));
    assert_eq!(store.calls(tenant.id, None, 9).await.unwrap().len(), 0);
    // More than the whole cap: none goes.
    let none = enter(200, &batch("none", ["a", "b", "c", "d"])).await.unwrap().unwrap();
    assert_eq!((none.requests, none.refusal.unwrap().frees), (0, Frees::WithHigherCap));
    assert!(store.batches(tenant.id, &run.id).await.unwrap().is_empty());
    // A quarter of 1000 is left to what is new.
    let some = enter(1000, &batch("some", ["a", "b", "c", "d"])).await.unwrap().unwrap();
    let refusal = some.refusal.unwrap();
    assert_eq!((some.requests, refusal.left, refusal.cap, held(bench, &tenant).await), (2, 250, 1000, 600));
    assert!(
        refusal.to_string().starts_with("a batch leaves 250 tokens of the daily token cap of 1000 tokens")
    );
    assert_eq!((store.batches(tenant.id, &run.id).await.unwrap()[0].requests, waiting().await), (2, 2));
    assert_eq!(store.open_requests(tenant.id, "some").await.unwrap().len(), 2);
    let new = ReserveRequest { most_tokens: 400, ..call() };
    let caps = Caps { day_tokens: 1000, ..Caps::default() };
    assert!(matches!(store.reserve_call(&tenant, &caps, &new).await.unwrap(), Reserved::Granted(_)));
    let more = enter(1000, &batch("more", ["e", "f", "g", "h"])).await.unwrap().unwrap();
    assert_eq!((more.requests, more.refusal.unwrap().left), (0, 0), "the cap itself is held");
    // Where nothing else of the run is away, one request may take that quarter too.
    let mut row = store.open_batches(tenant.id, &run.id).await.unwrap().remove(0);
    row.state = BatchState::Read;
    store.note_batch(tenant.id, (&run.id, OWNER), &row).await.unwrap();
    let one = enter(1300, &batch("one", ["e", "f", "g", "h"])).await.unwrap().unwrap();
    assert_eq!(one.requests, 1);
    store.cancel_backfill(&act(&tenant), &run.id).await.unwrap();
    bench.assert_verified(&tenant).await;
}

/// Tokens that are held of the tenant's day.
async fn held(bench: &Bench, tenant: &Tenant) -> u64 {
    bench.store.budget(tenant).await.unwrap().day.held.tokens
}

fn call() -> ReserveRequest<'static> {
    ReserveRequest {
        feature: Feature::Scoring,
        model: "m",
        scorer: ScorerKind::Claude,
        owner: OWNER,
        texts: 1,
        batched: true,
        most_tokens: 1,
        most_micros: None,
        lease: TimeDelta::days(30),
    }
}
