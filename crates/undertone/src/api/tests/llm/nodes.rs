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
        let app = &bench.app;
        let store = open_store(&app.config).await.unwrap();
        let llms = Llms::new(&store, &app.provider_keys, Arc::new(Web::new().unwrap()), &app.prices);
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
