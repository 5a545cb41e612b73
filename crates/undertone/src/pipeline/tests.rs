//! What the pipeline does beside scoring.

mod fair;

use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use undertone_core::clock::SetClock;
use undertone_core::usage::Feature;
use undertone_core::verdict::ScorerKind;
use undertone_store::budget::{Caps, ReserveRequest, Reserved};
use undertone_store::secrets::Keyring;
use undertone_store::tenants::NewTenant;
use undertone_store::{Options, Store};

use super::*;
use crate::clock::TimeOrderedIds;
use crate::knowledge::Lessons;
use crate::llm::{Llms, Web};
use crate::secrets::{Given, ProviderKeys};

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_which_nothing_is_heard_are_counted_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/undertone.db", folder.path().display());
    let clock = Arc::new(SetClock::new(Utc.with_ymd_and_hms(2026, 8, 1, 12, 0, 0).unwrap()));
    let ids = Arc::new(TimeOrderedIds::new());
    let store = Store::open(&Options { url, connections: 4 }, clock.clone(), ids).await.unwrap();
    store.migrate().await.unwrap();
    let new = NewTenant { slug: "acme", name: "Acme", zone: Tz::UTC, actor: "test" };
    let tenant = store.create_tenant(&new).await.unwrap();
    let request = ReserveRequest {
        feature: Feature::Scoring,
        model: "claude-haiku-5-5",
        scorer: ScorerKind::Claude,
        owner: "a process that is gone",
        texts: 8,
        batched: false,
        most_tokens: 10_000,
        most_micros: Some(1_000),
        lease: TimeDelta::minutes(5),
    };
    let reserve = async || {
        let reserved = store.reserve_call(&tenant, &Caps::default(), &request).await.unwrap();
        assert!(matches!(reserved, Reserved::Granted(_)), "{reserved:?}");
    };
    reserve().await;
    clock.advance(TimeDelta::minutes(6));
    assert_eq!(store.expire_calls(tenant.id, &Caps::default()).await.unwrap(), 1);
    clock.advance(TimeDelta::days(91));
    reserve().await;
    clock.advance(TimeDelta::minutes(6));
    reserve().await;

    let (end, ending) = tokio::sync::watch::channel(false);
    let keys = ProviderKeys::new(&store, Given::new(Keyring::default(), Vec::new()));
    let llms = Llms::new(&store, &keys, Arc::new(Web::new().unwrap()), &Arc::default());
    let local = crate::cli::reader(1).unwrap();
    let tools = Tools {
        store: store.clone(),
        local,
        lessons: Lessons::default(),
        llms,
        work: Work::default(),
        patience: Patience::default(),
    };
    // Even on a node that scores nothing.
    let pipeline = Pipeline::start(&tools, 0, &ending);
    let begun = std::time::Instant::now();
    let calls = loop {
        let calls = store.calls(tenant.id, None, 10).await.unwrap();
        if calls.len() == 2 && calls.iter().any(|call| call.state == "expired") {
            break calls;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {calls:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let states: Vec<&str> = calls.iter().map(|call| call.state.as_str()).collect();
    assert_eq!(states, ["held", "expired"], "the latest first, and the one of August is gone");
    let day = store.budget(&tenant).await.unwrap().day;
    assert_eq!((day.assumed.tokens, day.held.tokens), (10_000, 10_000));
    end.send(true).unwrap();
    pipeline.end(Duration::from_secs(5)).await;
}
