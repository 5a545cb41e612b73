use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use undertone_core::clock::SetClock;
use undertone_scoring::Utterance;
use undertone_scoring::llm::ask::{Call, Response, Unreachable};
use undertone_store::secrets::{Credentials, Keyring, Secret};
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Options};

use super::*;
use crate::clock::TimeOrderedIds;
use crate::secrets::{Given, InstallationKey, Source};

/// A provider who accepts no key.
#[derive(Default)]
struct Refusing(AtomicUsize);

impl Outside for Refusing {
    fn send(&self, _: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let body = br#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#.to_vec();
        ready(Ok(Response { status: 401, headers: Vec::new(), body })).boxed()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

/// A provider that answers at once, unless a text asks it to wait.
#[derive(Default)]
struct Slow {
    waiting: AtomicUsize,
    let_go: tokio::sync::Notify,
}

impl Outside for Slow {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        async move {
            if String::from_utf8_lossy(&call.body).contains("Wait for it") {
                let let_go = self.let_go.notified();
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let_go.await;
            }
            let body =
                br#"{"type":"message","content":[{"type":"text","text":"{}"}],"stop_reason":"end_turn",
                           "usage":{"input_tokens":10,"output_tokens":1}}"#;
            Ok(Response { status: 200, headers: Vec::new(), body: body.to_vec() })
        }
        .boxed()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_at_its_cap_slows_no_other_with_the_same_key() {
    let (store, _folder) = store().await;
    let (poor, rich) = (tenant(&store, "poor").await, tenant(&store, "rich").await);
    let slow = Arc::new(Slow::default());
    let llms = Llms::new(&store, &installation(&store), slow.clone(), &Arc::default());
    let local: Arc<dyn Scorer> = crate::cli::reader(1).unwrap();
    let settings = Settings { scorer: ScorerKind::Claude, llm_together: 1, ..Settings::default() };
    let llm = async |tenant| match llms.choose(tenant, &settings, &local).await.unwrap() {
        Chosen::Llm(llm) => llm,
        _ => panic!("there is a key"),
    };
    let (of_poor, of_rich) = (llm(poor).await, llm(rich).await);
    let batch = |text: &str, count| Batch::new(vec![Utterance::message(text); count]);
    // A place more among the requests under way for each answer: five.
    for _ in 0..4 {
        of_rich.score(batch("Late again.", 1)).await;
    }
    // The cap has room for one request, which the provider takes its time for; three more want money.
    store
        .change_settings(&Act::new(poor, "test"), &serde_json::json!({"daily_token_cap": 30_000}))
        .await
        .unwrap();
    let waiting = tokio::spawn(async move { of_poor.score(batch("Wait for it, late again.", 4)).await });
    let until = async |done: &dyn Fn() -> bool| {
        for _ in 0..500 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within five seconds");
    };
    until(&|| slow.waiting.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(slow.waiting.load(Ordering::SeqCst), 1, "the others have no money");
    let answers = tokio::time::timeout(Duration::from_secs(5), of_rich.score(batch("Late again.", 20))).await;
    assert_eq!(answers.expect("the other tenant's requests go on").len(), 20);
    // They are asked about one after the other, and all of them.
    for asked in 2..=4 {
        slow.let_go.notify_waiters();
        until(&|| slow.waiting.load(Ordering::SeqCst) == asked).await;
    }
    slow.let_go.notify_waiters();
    let told = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert!(told.iter().all(|one| matches!(one, Err(NoVerdict::Failed { .. }))), "{told:?}");
}

async fn store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/undertone.db", folder.path().display());
    let clock = Arc::new(SetClock::new(DateTime::UNIX_EPOCH));
    let ids = Arc::new(TimeOrderedIds::new());
    let store = Store::open(&Options { url, connections: 4 }, clock, ids).await.unwrap();
    store.migrate().await.unwrap();
    (store, folder)
}

async fn tenant(store: &Store, slug: &str) -> TenantId {
    let new = NewTenant { slug, name: slug, zone: Tz::UTC, actor: "test" };
    store.create_tenant(&new).await.unwrap().id
}

/// The installation's key for Claude, and no other.
fn installation(store: &Store) -> ProviderKeys {
    let key = Secret::new("the-installations".to_owned());
    let credentials = Credentials::new(Provider::Claude, &key, None).unwrap();
    let installation = vec![InstallationKey { credentials, from: "a test".to_owned() }];
    ProviderKeys::new(store, Given::new(Keyring::default(), installation))
}

#[tokio::test]
async fn whoever_asks_with_one_key_shares_what_is_known_of_it() {
    let (store, _folder) = store().await;
    let (one, other) = (tenant(&store, "one").await, tenant(&store, "other").await);
    let keys = installation(&store);
    let refusing = Arc::new(Refusing::default());
    let llms = Llms::new(&store, &keys, refusing.clone(), &Arc::default());
    let local: Arc<dyn Scorer> = crate::cli::reader(1).unwrap();
    let ask = async |tenant, together| {
        let settings = Settings { scorer: ScorerKind::Claude, llm_together: together, ..Settings::default() };
        let Chosen::Llm(llm) = llms.choose(tenant, &settings, &local).await.unwrap() else { panic!() };
        let answer = llm.score(Batch::new(vec![Utterance::message("Late again.")])).await.remove(0);
        assert!(matches!(answer, Err(NoVerdict::Unavailable { until: Some(_), .. })), "{answer:?}");
        refusing.0.load(Ordering::SeqCst)
    };
    assert_eq!(ask(one, 8).await, 1);
    assert_eq!(ask(one, 8).await, 1);
    assert_eq!(ask(one, 4).await, 1, "packing differently makes the key no better");
    assert_eq!(ask(other, 8).await, 1, "nor does another tenant");

    // Settings that are what they were change nothing; others have it tried once.
    let basis = async || store.basis(one, &store.module(one).await.unwrap()).await.unwrap();
    for _ in 0..2 {
        llms.heed(one, &basis().await);
        assert_eq!(ask(one, 8).await, 1);
    }
    store
        .change_settings(&Act::new(one, "test"), &serde_json::json!({"alert_threshold": -61}))
        .await
        .unwrap();
    for _ in 0..2 {
        llms.heed(one, &basis().await);
        assert_eq!(ask(one, 8).await, 2);
    }

    // Another key, or the same one elsewhere, is another matter.
    let of = |key: &str, address: &str| ProviderKey {
        key: Secret::new(key.to_owned()),
        base_url: address.to_owned(),
        source: Source::Tenant,
    };
    let now = DateTime::UNIX_EPOCH;
    let may = |key| llms.access(Provider::Claude, &key).may_ask(CLAUDE_MODEL, now).is_ok();
    let own = Provider::Claude.own_address();
    assert!(!may(of("the-installations", own)));
    assert!(may(of("the-installations", "http://localhost:1")) && may(of("another", own)));
}
