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

#[tokio::test]
async fn whoever_asks_with_one_key_shares_what_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/undertone.db", folder.path().display());
    let clock = Arc::new(SetClock::new(DateTime::UNIX_EPOCH));
    let ids = Arc::new(TimeOrderedIds::new());
    let store = Store::open(&Options { url, connections: 4 }, clock, ids).await.unwrap();
    store.migrate().await.unwrap();
    let tenant = async |slug| {
        let new = NewTenant { slug, name: slug, zone: Tz::UTC, actor: "test" };
        store.create_tenant(&new).await.unwrap().id
    };
    let (one, other) = (tenant("one").await, tenant("other").await);
    let key = Secret::new("the-installations".to_owned());
    let credentials = Credentials::new(Provider::Claude, &key, None).unwrap();
    let installation = vec![InstallationKey { credentials, from: "a test".to_owned() }];
    let keys = ProviderKeys::new(&store, Given::new(Keyring::default(), installation));
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
