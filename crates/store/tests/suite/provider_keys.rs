//! A tenant's own keys for providers: sealed, each tenant's own, and sealed anew while both master keys are at hand.

use serde_json::{Value, json};
use undertone_store::secrets::{Credentials, KeyError, Keyring, MasterKey, Provider, Secret};
use undertone_store::{Act, Tenant};

use super::{Bench, act, futures_of};

const MINE: &str = "marker-of-my-key-0123456789";
const THEIRS: &str = "marker-of-their-key-9876543210";

fn master(digit: &str) -> MasterKey {
    MasterKey::from_text(&Secret::new(digit.repeat(63) + "e")).unwrap()
}

fn credentials(provider: Provider, key: &str, base_url: Option<&str>) -> Credentials {
    Credentials::new(provider, &Secret::new(key.to_owned()), base_url).unwrap()
}

/// What a tenant's scorer would be given.
async fn opened(bench: &Bench, tenant: &Tenant, keyring: &Keyring) -> Option<String> {
    let kept = bench.store.provider_key(tenant.id, Provider::Claude).await.unwrap()?;
    keyring.open(&kept).ok().map(|key| key.expose().to_owned())
}

/// What somebody does who can write to the database.
async fn tamper(bench: &Bench, statement: &str) {
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let done = sea_orm::ConnectionTrait::execute_unprepared(&raw, statement).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{statement}");
    raw.close().await.unwrap();
}

/// The audit log's entries on a tenant's keys, the oldest first: what was done to which key by whom, and the payload.
async fn audited(bench: &Bench, tenant: &Tenant) -> Vec<(String, Value)> {
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let backend = sea_orm::ConnectionTrait::get_database_backend(&raw);
    let text = format!(
        "SELECT action, subject, actor, CAST(payload AS text) AS payload FROM audit_log \
         WHERE tenant_id = {} AND action LIKE 'provider_key%' ORDER BY id",
        tenant.id.0
    );
    let statement = sea_orm::Statement::from_string(backend, text);
    let rows = sea_orm::ConnectionTrait::query_all_raw(&raw, statement).await.unwrap();
    raw.close().await.unwrap();
    let entry = |row: &sea_orm::QueryResult| {
        let column = |name: &str| row.try_get::<String>("", name).unwrap();
        let told = format!("{} {} {}", column("action"), column("subject"), column("actor"));
        (told, serde_json::from_str(&column("payload")).unwrap())
    };
    rows.iter().map(entry).collect()
}

pub async fn keys_are_sealed_and_each_tenants_own(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("sealing1").await, bench.tenant("sealing2").await);
    let keyring = Keyring::new(Some(master("1")), None);
    let store = &bench.store;
    assert_eq!(store.provider_key(mine.id, Provider::Claude).await.unwrap(), None);
    let new = credentials(Provider::Claude, MINE, None);
    let refused = store.save_provider_key(&act(&mine), &Keyring::default(), &new).await;
    assert!(matches!(refused, Err(KeyError::NoMasterKey)));
    assert_eq!(store.provider_keys(mine.id).await.unwrap(), []);
    let kept = store.save_provider_key(&act(&mine), &keyring, &new).await.unwrap();
    assert_eq!(
        (kept.last_four.as_deref(), kept.set_by.as_str(), kept.set_at),
        (Some("6789"), "test", store.now())
    );
    assert_eq!(kept.address(), "https://api.anthropic.com");
    assert_eq!(store.provider_key(mine.id, Provider::Claude).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.provider_key(mine.id, Provider::Openai).await.unwrap(), None);
    assert_eq!(opened(bench, &mine, &keyring).await.as_deref(), Some(MINE));
    // Nothing of it is another tenant's.
    assert_eq!(store.provider_keys(theirs.id).await.unwrap(), []);
    assert!(!store.remove_provider_key(&act(&theirs), Provider::Claude).await.unwrap());
    let new = credentials(Provider::Claude, THEIRS, Some("https://gateway.example/v1"));
    let their_own = store.save_provider_key(&act(&theirs), &keyring, &new).await.unwrap();
    assert_eq!(their_own.address(), "https://gateway.example");
    assert_eq!(opened(bench, &mine, &keyring).await.as_deref(), Some(MINE));
    assert_eq!(opened(bench, &theirs, &keyring).await.as_deref(), Some(THEIRS));

    // A row that somebody copies to another tenant does not open there, nor one whose address somebody changes.
    let copy = "UPDATE provider_key SET base_url = NULL, key_id = (SELECT o.key_id FROM provider_key o WHERE o.tenant_id = {mine}), \
                sealed = (SELECT o.sealed FROM provider_key o WHERE o.tenant_id = {mine}) WHERE tenant_id = {theirs}";
    let copy = copy.replace("{mine}", &mine.id.0.to_string()).replace("{theirs}", &theirs.id.0.to_string());
    tamper(bench, &copy).await;
    let copied = store.provider_key(theirs.id, Provider::Claude).await.unwrap().unwrap();
    assert!(matches!(keyring.open(&copied), Err(KeyError::Damaged { provider: Provider::Claude })));
    let move_away = "UPDATE provider_key SET base_url = 'https://evil.example' WHERE tenant_id = ";
    tamper(bench, &format!("{move_away}{}", mine.id.0)).await;
    let moved = store.provider_key(mine.id, Provider::Claude).await.unwrap().unwrap();
    assert!(matches!(keyring.open(&moved), Err(KeyError::Damaged { .. })));

    // Set again, it is whole; what was there before is gone.
    bench.advance(60);
    let by = Act::new(mine.id, "user:7");
    let again =
        store.save_provider_key(&by, &keyring, &credentials(Provider::Claude, "short", None)).await.unwrap();
    assert_eq!((again.last_four.as_deref(), again.set_by.as_str()), (None, "user:7"));
    assert!(again.set_at > kept.set_at);
    assert_eq!(opened(bench, &mine, &keyring).await.as_deref(), Some("short"));
    let local = credentials(Provider::Openai, MINE, Some("http://localhost:8000/v1/"));
    store.save_provider_key(&by, &keyring, &local).await.unwrap();
    let all = store.provider_keys(mine.id).await.unwrap();
    let told: Vec<_> = all.iter().map(|key| (key.provider, key.address())).collect();
    assert_eq!(
        told,
        [(Provider::Claude, "https://api.anthropic.com"), (Provider::Openai, "http://localhost:8000/v1")]
    );
    assert!(store.remove_provider_key(&by, Provider::Claude).await.unwrap());
    assert!(!store.remove_provider_key(&by, Provider::Claude).await.unwrap());
    assert_eq!(store.provider_keys(mine.id).await.unwrap().len(), 1);

    let log = audited(bench, &mine).await;
    let acts: Vec<&str> = log.iter().map(|(told, _)| told.as_str()).collect();
    assert_eq!(
        acts,
        [
            "provider_key_set claude test",
            "provider_key_set claude user:7",
            "provider_key_set openai user:7",
            "provider_key_removed claude user:7"
        ]
    );
    let (first, second) = (&log[0].1, &log[1].1);
    assert_eq!((&first["before"], &first["after"]["last_four"]), (&Value::Null, &json!("6789")));
    assert_eq!(second["before"]["last_four"], json!("6789"));
    assert!(!format!("{log:?}").contains("marker"), "{log:?}");
}

pub async fn keys_are_sealed_anew_and_open_meanwhile(bench: &Bench) {
    let tenants =
        [bench.tenant("rotate1").await, bench.tenant("rotate2").await, bench.tenant("rotate3").await];
    let [one, two, none] = &tenants;
    let store = &bench.store;
    let ring =
        |current: &str, previous: Option<&str>| Keyring::new(Some(master(current)), previous.map(master));
    let (old, both, new) = (ring("1", None), ring("2", Some("1")), ring("2", None));
    for tenant in [one, two] {
        store
            .save_provider_key(&act(tenant), &old, &credentials(Provider::Claude, MINE, None))
            .await
            .unwrap();
    }
    let with_address = credentials(Provider::Openai, THEIRS, Some("http://localhost:8000/v1"));
    store.save_provider_key(&act(one), &old, &with_address).await.unwrap();
    let before = store.provider_keys(one.id).await.unwrap();
    bench.advance(60);

    let refused = store.reseal_provider_keys(&act(one), &Keyring::new(None, Some(master("1")))).await;
    assert!(matches!(refused, Err(KeyError::NoMasterKey)));
    // Half done, and broken off: whoever has both keys opens everything.
    let done = store.reseal_provider_keys(&act(one), &both).await.unwrap();
    assert_eq!((done.resealed, done.already, done.unopened.len()), (2, 0, 0));
    for tenant in [one, two] {
        assert_eq!(opened(bench, tenant, &both).await.as_deref(), Some(MINE));
    }
    assert_eq!(opened(bench, two, &new).await, None);
    let after = store.provider_keys(one.id).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert!(before.key_id != after.key_id && before != after);
        // Who set it, when and with which address is not changed by that.
        assert_eq!(
            (&before.set_by, before.set_at, &before.base_url, &before.last_four),
            (&after.set_by, after.set_at, &after.base_url, &after.last_four)
        );
    }
    // Begun again, by several at once, it does what is left.
    let again = futures_of(4, async |_| {
        let mut resealed = 0;
        for tenant in &tenants {
            resealed += store.reseal_provider_keys(&act(tenant), &both).await.unwrap().resealed;
        }
        resealed
    })
    .await;
    assert_eq!(again.iter().sum::<u64>(), 1);
    let done = store.reseal_provider_keys(&act(one), &both).await.unwrap();
    assert_eq!((done.resealed, done.already), (0, 2));
    let done = store.reseal_provider_keys(&act(none), &both).await.unwrap();
    assert_eq!((done.resealed, done.already), (0, 0));
    for tenant in [one, two] {
        assert_eq!(opened(bench, tenant, &new).await.as_deref(), Some(MINE));
        assert_eq!(opened(bench, tenant, &old).await, None);
    }
    let openai = store.provider_key(one.id, Provider::Openai).await.unwrap().unwrap();
    assert_eq!(new.open(&openai).unwrap().expose(), THEIRS);
    let log = audited(bench, one).await;
    let (told, payload) = log.last().unwrap();
    assert_eq!(told, "provider_key_resealed openai test");
    assert_eq!(payload["master_key"], json!({"before": old.current(), "after": new.current()}));

    // A key that neither opens stays as it is, and its neighbours are sealed all the same.
    store
        .save_provider_key(&act(one), &ring("3", None), &credentials(Provider::Claude, MINE, None))
        .await
        .unwrap();
    store.save_provider_key(&act(one), &old, &with_address).await.unwrap();
    let done = store.reseal_provider_keys(&act(one), &both).await.unwrap();
    assert_eq!((done.resealed, done.already), (1, 0));
    assert!(matches!(
        done.unopened.as_slice(),
        [KeyError::OtherMasterKey { provider: Provider::Claude, .. }]
    ));
    assert_eq!(opened(bench, one, &ring("3", None)).await.as_deref(), Some(MINE));
}
