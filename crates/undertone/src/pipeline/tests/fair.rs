//! A tenant that hands in a great deal holds nobody up.

use chrono_tz::Tz;
use undertone_core::{Arrival, Interaction};
use undertone_store::accept::Incoming;

use super::*;

/// As many as the issue names.
const MANY: usize = 50_000;

fn items(range: std::ops::Range<usize>) -> Vec<Incoming> {
    range
        .map(|n| {
            let text =
                format!("This is the {n}th time that the parcel did not come, and I have had enough of it.");
            let interaction = Interaction::message("api", &n.to_string(), &text);
            Incoming { digest: n.to_string(), arrival: Arrival::of(interaction) }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_of_one_tenant_do_not_hold_up_ten_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/undertone.db", folder.path().display());
    let (clock, ids) = (Arc::new(crate::clock::MachineClock), Arc::new(TimeOrderedIds::new()));
    let store = Store::open(&Options { url, connections: 4 }, clock, ids).await.unwrap();
    store.migrate().await.unwrap();
    let tenant = async |slug| {
        let new = NewTenant { slug, name: slug, zone: Tz::UTC, actor: "test" };
        store.create_tenant(&new).await.unwrap()
    };
    let (big, small) = (tenant("big").await, tenant("small").await);
    for from in (0..MANY).step_by(500) {
        store.accept(big.id, &items(from..from + 500)).await.unwrap();
    }
    let work = Work::default();
    let keys = ProviderKeys::new(&store, Given::new(Keyring::default(), Vec::new()));
    let tools = Tools {
        store: store.clone(),
        local: crate::cli::reader(1).unwrap(),
        lessons: Lessons::default(),
        llms: Llms::new(&store, &keys, Arc::new(Web::new().unwrap()), &Arc::default()),
        work: work.clone(),
        patience: Patience::default(),
    };
    let (end, ending) = tokio::sync::watch::channel(false);
    // As the service does with one thread that reads.
    let pipeline = Pipeline::start(&tools, 2, &ending);
    let scored = async |tenant| store.overview(tenant, 1).await.unwrap().all_time.totals.scored;
    let begun = std::time::Instant::now();
    while scored(&big).await < 100 {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is scored");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (before, arrived) = (scored(&big).await, std::time::Instant::now());
    store.accept(small.id, &items(0..10)).await.unwrap();
    work.wake(small.id);
    while scored(&small).await < 10 {
        assert!(arrived.elapsed() < Duration::from_mins(1), "the small one waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let meanwhile = scored(&big).await - before;
    // Batches of 32: those that were under way, and one or two that had their turn.
    assert!(meanwhile <= 6 * 32, "{meanwhile} of the other were scored meanwhile");
    assert!(scored(&big).await < MANY as i64 / 2, "and most of it still waits");
    end.send(true).unwrap();
    pipeline.end(Duration::from_secs(10)).await;
}
