//! Single sign-on: who somebody is, and who may say who says so.

use std::collections::BTreeSet;

use undertone_core::Role;
use undertone_store::secrets::{KeyError, Keyring, MasterKey, Secret};
use undertone_store::sign_on::{NewSignOnProvider, Refusal, Vouched};
use undertone_store::{StoreError, Tenant};

use super::{Bench, act, futures_of};

const ISSUER: &str = "https://id.example.com";

fn keyring(digit: &str) -> Keyring {
    Keyring::new(Some(MasterKey::from_text(&Secret::new(digit.repeat(63) + "e")).unwrap()), None)
}

fn provider(role: Option<Role>, version: Option<i64>) -> NewSignOnProvider {
    NewSignOnProvider {
        issuer: ISSUER.to_owned(),
        client_id: "undertone".to_owned(),
        client_secret: Some(Secret::new("a client secret".to_owned())),
        label: "Acme ID".to_owned(),
        allowed_domains: BTreeSet::from(["example.com".to_owned()]),
        default_role: role,
        trusts_second_factor: false,
        vouched_by: Role::TenantAdmin,
        version,
    }
}

async fn sign_on(bench: &Bench, tenant: &Tenant, subject: &str, email: &str) -> Result<String, Refusal> {
    let vouched = Vouched { issuer: ISSUER, subject, email };
    let answer = bench.store.sign_on(tenant.id, None, vouched).await.unwrap();
    answer.map(|person| person.user_id)
}

pub async fn somebody_is_who_they_were(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("signon1").await, bench.tenant("signon2").await);
    let store = &bench.store;
    assert_eq!(sign_on(bench, &mine, "1", "a@example.com").await, Err(Refusal::Changed), "there is none");
    store.save_sign_on_provider(&act(&mine), &keyring("1"), provider(Some(Role::Agent), None)).await.unwrap();
    // Eight browsers at once make one person.
    let made = futures_of(8, async |_| sign_on(bench, &mine, "1", "sso@example.com").await).await;
    let first = sign_on(bench, &mine, "1", "sso@example.com").await.unwrap();
    for one in made {
        assert!(matches!(one.as_ref(), Ok(id) if *id == first) || one.is_err(), "{one:?}");
    }
    assert_eq!(sign_on(bench, &mine, "1", "other@example.com").await, Ok(first.clone()));
    assert_eq!(sign_on(bench, &mine, "2", "SSO@example.com").await, Err(Refusal::OtherPerson));
    assert_eq!(sign_on(bench, &mine, "3", "x@example.com.evil.example").await, Err(Refusal::Domain));
    assert_eq!(sign_on(bench, &mine, "3", "x@sub.example.com").await, Err(Refusal::Domain));
    assert_eq!(sign_on(bench, &theirs, "1", "sso@example.com").await, Err(Refusal::Changed));
    store.save_sign_on_provider(&act(&theirs), &keyring("1"), provider(None, None)).await.unwrap();
    assert_eq!(
        sign_on(bench, &theirs, "1", "sso@example.com").await,
        Err(Refusal::Unknown),
        "another tenant's"
    );
    store.save_user(&act(&mine), "sso-admin@example.com", "admin", "hash").await.unwrap();
    assert_eq!(sign_on(bench, &mine, "4", "sso-admin@example.com").await, Err(Refusal::Above));
}

pub async fn a_provider_is_changed_by_who_saw_it(bench: &Bench) {
    let tenant = bench.tenant("signon3").await;
    let store = &bench.store;
    let save = async |ring: &Keyring, new| store.save_sign_on_provider(&act(&tenant), ring, new).await;
    let refused = save(&Keyring::default(), provider(None, None)).await;
    assert!(matches!(refused, Err(KeyError::NoMasterKey)));
    let kept = save(&keyring("1"), provider(None, None)).await.unwrap();
    assert_eq!(kept.client_secret(&keyring("1")).unwrap().expose(), "a client secret");
    assert!(kept.client_secret(&keyring("2")).is_err());
    for version in [None, Some(2)] {
        let refused = save(&keyring("1"), provider(None, version)).await;
        assert!(matches!(refused, Err(KeyError::Store(StoreError::Conflict(_)))), "{version:?}");
    }
    let refused = save(&keyring("1"), provider(Some(Role::Admin), Some(1))).await;
    assert!(
        matches!(refused, Err(KeyError::Store(StoreError::Invalid(_)))),
        "nobody appoints above themselves"
    );
    let without = NewSignOnProvider { client_secret: None, ..provider(Some(Role::Agent), Some(1)) };
    let kept = save(&keyring("1"), without.clone()).await.unwrap();
    assert_eq!((kept.version, kept.default_role), (2, Some(Role::Agent)));
    let elsewhere =
        NewSignOnProvider { issuer: "https://evil.example".to_owned(), version: Some(2), ..without.clone() };
    assert!(save(&keyring("1"), elsewhere).await.is_err(), "the secret goes to no other issuer");

    assert_eq!(store.sign_on_offer(Some("signon3")).await.unwrap().unwrap().label, "Acme ID");
    assert_eq!(store.sign_on_offer(None).await.unwrap(), None, "there are several tenants");
    let both = Keyring::new(
        Some(MasterKey::from_text(&Secret::new("2".repeat(63) + "e")).unwrap()),
        Some(MasterKey::from_text(&Secret::new("1".repeat(63) + "e")).unwrap()),
    );
    let done = store.reseal_sign_on_provider(&act(&tenant), &both).await.unwrap();
    assert_eq!((done.resealed, done.already), (1, 0));
    let kept = store.sign_on_provider(tenant.id).await.unwrap().unwrap();
    assert_eq!(kept.client_secret(&keyring("2")).unwrap().expose(), "a client secret");
    assert!(store.remove_sign_on_provider(&act(&tenant)).await.unwrap());
    assert!(!store.remove_sign_on_provider(&act(&tenant)).await.unwrap());
    assert_eq!(store.sign_on_provider(tenant.id).await.unwrap(), None);
}
