//! How long a call's reservation and settlement take, on an empty ledger and on a long one.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DbBackend};
use undertone_testkit::postgres::Postgres;

use super::{Bench, a_day, call, on_sqlite};

const CALLS: usize = 300;
const HISTORY: usize = 200_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; cargo test --release -p undertone-store --test budget -- --ignored --nocapture a_call_takes"]
async fn a_call_takes_no_longer_on_a_long_ledger_on_sqlite() {
    let (bench, _folder) = on_sqlite().await;
    measure(&bench, "SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; cargo test --release -p undertone-store --test budget -- --ignored --nocapture a_call_takes"]
async fn a_call_takes_no_longer_on_a_long_ledger_on_postgres() {
    let server = Postgres::start();
    measure(&Bench::open(server.url()).await, "PostgreSQL, without waiting for the disk").await;
}

async fn measure(bench: &Bench, engine: &str) {
    let tenant = bench.tenant("pace", chrono_tz::Tz::Europe__Berlin).await;
    let caps = a_day(0);
    let one_by_one = async || {
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let begun = Instant::now();
            let granted = bench.granted(&tenant, &caps, &call(1_000)).await;
            bench.settle(&tenant, &caps, &granted, 500).await;
            times.push(begun.elapsed());
        }
        times.sort();
        times[CALLS / 2]
    };
    let short = one_by_one().await;
    // As many more calls as a busy tenant makes in a month: settled, on other days, and none of them read again.
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let numbers = if raw.get_database_backend() == DbBackend::Postgres {
        format!("generate_series(1, {HISTORY}) AS numbers (n)")
    } else {
        format!(
            "(WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {HISTORY}) SELECT n FROM numbers)"
        )
    };
    let copied = format!(
        "INSERT INTO ai_call (tenant_id, id, day, month, feature, model, scorer, owner, batched, texts, state, most_tokens, most_micros, \
         reserved_at, lease_until) SELECT c.tenant_id, 'ffffffff-' || n, c.day, c.month, c.feature, c.model, c.scorer, c.owner, c.batched, \
         c.texts, c.state, c.most_tokens, c.most_micros, c.reserved_at, c.lease_until FROM ai_call c, {numbers} \
         WHERE c.id = (SELECT MIN(id) FROM ai_call)"
    );
    let written = raw.execute_unprepared(&copied).await.unwrap().rows_affected();
    assert_eq!(written as usize, HISTORY);
    raw.close().await.unwrap();
    let long = one_by_one().await;
    let begun = Instant::now();
    futures::future::join_all((0..64).map(async |_| {
        for _ in 0..8 {
            let granted = bench.granted(&tenant, &caps, &call(1_000)).await;
            bench.settle(&tenant, &caps, &granted, 500).await;
        }
    }))
    .await;
    let rate = 512.0 / begun.elapsed().as_secs_f64();
    println!(
        "{engine}: reserve and settle, median of {CALLS}: {short:?}, after {HISTORY} calls {long:?}; 64 at once: {rate:.0} a second"
    );
    assert!(long < 3 * short, "it grew with the history");
}
