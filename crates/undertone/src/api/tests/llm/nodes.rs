//! Several nodes at one database.

use undertone_store::Tenant;

use super::*;

/// Another process at the database of a bench: its own connections, workers and scorers.
struct Node {
    end: watch::Sender<bool>,
    pipeline: Pipeline,
}

impl Node {
    async fn beside(bench: &LlmBench) -> Self {
        Self::start(&bench.app, given(&bench.server)).await
    }

    async fn start(app: &App, given: Given) -> Self {
        let store = open_store(&app.config).await.unwrap();
        let keys = ProviderKeys::new(&store, given);
        let llms = Llms::new(&store, &keys, Arc::new(Web::new().unwrap()), &app.prices);
        let tools = Tools {
            store,
            local: app.reader.clone(),
            lessons: Lessons::default(),
            llms,
            work: Work::default(),
            patience: Patience::default(),
        };
        let (end, ending) = watch::channel(false);
        Self { pipeline: Pipeline::start(&tools, 1, &ending), end }
    }

    async fn end(self) {
        self.end.send(true).unwrap();
        self.pipeline.end(Duration::from_secs(5)).await;
    }
}

/// A node that can be killed: it has a runtime of its own, and whatever runs there ends with it.
struct Mortal {
    runtime: tokio::runtime::Runtime,
    node: Node,
}

impl Mortal {
    async fn beside(bench: &LlmBench) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (runtime, app, given) = (runtime.unwrap(), bench.app.clone(), given(&bench.server));
        let node = runtime.spawn(async move { Node::start(&app, given).await }).await.unwrap();
        Self { runtime, node }
    }

    /// What it does stops where it is: nothing is settled, and nothing given back.
    fn kill(self) {
        self.runtime.shutdown_background();
        drop(self.node);
    }
}

/// On SQLite, which is for one process, they are several pipelines of it; on PostgreSQL what they are in life.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn several_nodes_drive_one_run_and_two_of_them_end() {
    const COUNT: usize = 160;
    let script =
        Script { latency: Duration::from_millis(50), ..Script::new(Arc::new(|| MachineClock.now())) };
    let bench = LlmBench::with(script, json!({"daily_token_cap": 0})).await;
    bench.hand_in("ut_mine", complaints(COUNT)).await;
    bench.scored().await;
    let (second, third) = (Node::beside(&bench).await, Node::beside(&bench).await);
    let run = json!({"mode": "refresh", "scorer": "claude", "batch_size": 8, "sleep_ms": 20});
    let id = bench.start(run).await;
    bench.run_until(&id, "under way", |run| run["scored"].as_i64().unwrap() >= 32).await;
    // Whoever has it in hand may be this one: it ends, and another takes over at once.
    second.end().await;
    bench.run_until(&id, "further", |run| run["scored"].as_i64().unwrap() >= 80).await;
    let LlmBench { bench: Bench { app, pipeline, end, mine, .. }, server } = bench;
    end.send(true).unwrap();
    pipeline.end(Duration::from_secs(5)).await;
    let run = ended(&app.store, &mine, &id).await;
    assert_eq!((run.state.as_str(), run.opened, run.scored), ("done", 160, 160));
    third.end().await;
    assert_eq!(app.store.verify(mine.id).await.unwrap(), []);
    // Each was asked about once: two drivers at a time would have asked twice.
    let day = app.store.now().with_timezone(&mine.zone).date_naive();
    let used = app.store.ai_usage(&mine, day.pred_opt().unwrap(), day, Group::Scorer).await.unwrap().total;
    assert_eq!(used.texts, COUNT as u64);
    assert_eq!(used.usage.total(), server.ledger().usage().total());
}

/// What the provider billed and what the ledger holds never pass the cap, whoever asks and whoever goes away in the middle of a call.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn several_nodes_under_a_cap_never_pass_it() {
    const CAP: u64 = 60_000;
    let script =
        Script { latency: Duration::from_millis(150), ..Script::new(Arc::new(|| MachineClock.now())) };
    let settings = json!({"scorer": "claude", "when_unavailable": "wait", "daily_token_cap": CAP});
    let bench = LlmBench::with(script, settings).await;
    let billed = || bench.server.ledger().usage().total();
    let checked = async || {
        let day = bench.store().budget(&bench.mine).await.unwrap().day;
        let taken = [day.spent.tokens, day.held.tokens, day.assumed.tokens];
        assert!(taken.iter().sum::<u64>() <= CAP && billed() <= CAP, "{taken:?}, {} billed", billed());
        taken
    };
    let (second, third) = (Mortal::beside(&bench).await, Node::beside(&bench).await);
    bench.hand_in("ut_mine", complaints(240)).await;
    let begun = Instant::now();
    // Somebody is asking, and it is not answered yet.
    while checked().await[1] == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody asks");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    second.kill();
    // Until nobody asks any more, however long one waits.
    let (mut last, mut since) = (billed(), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        assert!(begun.elapsed() < Duration::from_mins(1), "it goes on for ever");
        checked().await;
        if billed() != last {
            (last, since) = (billed(), Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = bench.all().await;
    let scored = all.iter().filter(|one| one.state == "scored").count();
    let stopped = all.iter().filter(|one| one.reason.as_deref() == Some("daily_token_cap")).count();
    assert!(scored > 0 && stopped > 0, "{scored} scored, {stopped} stopped by the cap");
    let [spent, ..] = checked().await;
    assert!(spent >= CAP / 4, "the cap was no hindrance: {spent} of {CAP}");
    third.end().await;
}

async fn ended(store: &Store, tenant: &Tenant, id: &str) -> undertone_store::backfill::Run {
    let begun = Instant::now();
    loop {
        let run = store.backfill(tenant.id, id).await.unwrap().unwrap();
        if run.report.is_some() {
            return run;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "not within a minute: {run:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
