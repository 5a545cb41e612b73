//! Single sign-on: who somebody is, and who may say who says so.

use std::collections::BTreeSet;

use undertone_core::Role;
use undertone_store::secrets::{KeyError, Keyring, MasterKey, Secret};
use undertone_store::sign_on::{NewSignOnProvider, Refusal, Vouched};
use undertone_store::users::{Authority, Change};
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
        version,
    }
}

/// Somebody of this role; the operator gave them the password with this hash, or none.
async fn somebody(bench: &Bench, tenant: &Tenant, role: Role, hash: &str) -> String {
    let email = format!("{}-{}@example.com", role.as_str(), tenant.slug);
    let id = bench.store.save_user(&act(tenant), &email, role.as_str(), "hash").await.unwrap();
    if hash.is_empty() {
        let raw = sea_orm::Database::connect(&bench.url).await.unwrap();
        let nothing = format!("UPDATE app_user SET password_hash = NULL WHERE id = '{id}'");
        sea_orm::ConnectionTrait::execute_unprepared(&raw, &nothing).await.unwrap();
    }
    id
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
    let boss = somebody(bench, &mine, Role::TenantAdmin, "hash").await;
    let new = provider(Some(Role::Agent), None);
    store.save_sign_on_provider(&act(&mine), Authority::User(&boss), &keyring("1"), new).await.unwrap();
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
    let operator = Authority::Operator;
    store.save_sign_on_provider(&act(&theirs), operator, &keyring("1"), provider(None, None)).await.unwrap();
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
    let boss = somebody(bench, &tenant, Role::TenantAdmin, "hash").await;
    let by = Authority::User(&boss);
    let save = async |ring: &Keyring, new| store.save_sign_on_provider(&act(&tenant), by, ring, new).await;
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
    assert!(store.remove_sign_on_provider(&act(&tenant), by).await.unwrap());
    assert!(!store.remove_sign_on_provider(&act(&tenant), by).await.unwrap());
    assert_eq!(store.sign_on_provider(tenant.id).await.unwrap(), None);
}

pub async fn what_an_admin_vouches_for_is_an_admins(bench: &Bench) {
    let tenant = bench.tenant("signon4").await;
    let store = &bench.store;
    let admin = somebody(bench, &tenant, Role::Admin, "hash").await;
    let lesser = somebody(bench, &tenant, Role::TenantAdmin, "hash").await;
    let (admin, lesser) = (Authority::User(&admin), Authority::User(&lesser));
    let save = async |by: Authority<'_>, version| {
        let done =
            store.save_sign_on_provider(&act(&tenant), by, &keyring("1"), provider(None, version)).await;
        done.map(|provider| provider.vouched_by)
    };
    let is_refused = |done: &Result<Role, KeyError>| matches!(done, Err(KeyError::Store(StoreError::NotAllowed(told))) if told.contains("admin"));
    assert_eq!(save(lesser, None).await.unwrap(), Role::TenantAdmin);
    assert_eq!(save(admin, Some(1)).await.unwrap(), Role::Admin);
    // Otherwise it would sign in no admin any more.
    assert!(is_refused(&save(lesser, Some(2)).await));
    let removed = store.remove_sign_on_provider(&act(&tenant), lesser).await;
    assert!(matches!(removed, Err(StoreError::NotAllowed(_))), "{removed:?}");
    let agent = somebody(bench, &tenant, Role::Agent, "hash").await;
    assert!(save(Authority::User(&agent), Some(2)).await.is_err());
    assert_eq!(store.sign_on_provider(tenant.id).await.unwrap().unwrap().vouched_by, Role::Admin);
    assert_eq!(save(Authority::Operator, Some(2)).await.unwrap(), Role::Admin);
    assert!(store.remove_sign_on_provider(&act(&tenant), admin).await.unwrap());
}

pub async fn whoever_has_no_password_can_log_in_at_the_provider_alone(bench: &Bench) {
    let tenant = bench.tenant("signon5").await;
    let store = &bench.store;
    let ana = somebody(bench, &tenant, Role::Admin, "hash").await;
    let off = Change { active: Some(false), ..Change::default() };
    let save = async |by: Authority<'_>, new| {
        store.save_sign_on_provider(&act(&tenant), by, &keyring("1"), new).await
    };
    save(Authority::Operator, provider(Some(Role::Admin), None)).await.unwrap();
    // Bo never had a password: the provider is how he logs in.
    let bo = sign_on(bench, &tenant, "bo", "bo@example.com").await.unwrap();
    store.begin_session(&bo, "of bo", "csrf").await.unwrap();
    let change = async |id: &str, change: &Change| {
        store.change_user(&act(&tenant), Authority::Operator, (id, None), change).await
    };
    let is_conflict = |done: &Result<_, StoreError>| matches!(done, Err(StoreError::Conflict(_)));
    assert!(change(&ana, &off).await.is_ok(), "bo is left");
    let on = Change { active: Some(true), ..Change::default() };
    change(&ana, &on).await.unwrap();
    // Without the provider, or where it signs in no admin or not his address, he is locked out, whatever he did before.
    assert!(store.remove_sign_on_provider(&act(&tenant), Authority::User(&ana)).await.unwrap());
    assert!(is_conflict(&change(&ana, &off).await), "nobody who can log in is left");
    let lesser = somebody(bench, &tenant, Role::TenantAdmin, "hash").await;
    save(Authority::User(&lesser), provider(None, None)).await.unwrap();
    assert!(is_conflict(&change(&ana, &off).await), "it signs in no admin");
    let elsewhere = BTreeSet::from(["elsewhere.example".to_owned()]);
    let new = NewSignOnProvider { allowed_domains: elsewhere, ..provider(None, Some(1)) };
    save(Authority::User(&ana), new.clone()).await.unwrap();
    assert!(is_conflict(&change(&ana, &off).await), "it does not take his address");
    save(Authority::User(&ana), provider(None, Some(2))).await.unwrap();
    change(&ana, &off).await.unwrap().unwrap();
    // Now it is what lets him in: it stays.
    let removed = store.remove_sign_on_provider(&act(&tenant), Authority::User(&bo)).await;
    assert!(matches!(removed, Err(StoreError::Conflict(_))), "the last admin's way in");
    let changed = save(Authority::User(&bo), NewSignOnProvider { version: Some(3), ..new }).await;
    assert!(matches!(changed, Err(KeyError::Store(StoreError::Conflict(_)))), "{changed:?}");
    store.issue_link(&act(&tenant), Authority::Operator, (&bo, "link-of-bo")).await.unwrap();
    store.set_password_by_link("link-of-bo", "hash", None).await.unwrap().unwrap();
    assert!(store.remove_sign_on_provider(&act(&tenant), Authority::User(&bo)).await.unwrap());
}
