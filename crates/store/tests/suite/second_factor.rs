//! Second factors and the log-ins that wait for them: once each, however many come at once.

use sea_orm::ConnectionTrait;
use serde_json::json;
use undertone_core::Role;
use undertone_store::second_factor::{NewSession, bound_to};
use undertone_store::secrets::{Keyring, MasterKey, Sealed, Secret};
use undertone_store::users::{Authority, Change};
use undertone_store::{StoreError, Tenant};

use super::{Bench, act, futures_of};

fn keyring(digit: &str) -> Keyring {
    Keyring::new(Some(master(digit)), None)
}

fn master(digit: &str) -> MasterKey {
    MasterKey::from_text(&Secret::new(digit.repeat(63) + "e")).unwrap()
}

fn sealed(keyring: &Keyring, tenant: &Tenant, user: &str) -> Sealed {
    keyring.seal_text(&bound_to(tenant.id, user), &Secret::new("SEED".to_owned())).unwrap()
}

fn codes() -> Vec<String> {
    (0..10).map(|n| format!("recovery-code-{n}")).collect()
}

pub async fn codes_are_used_once_whoever_comes_at_once(bench: &Bench) {
    let (tenant, other) = (bench.tenant("factor1").await, bench.tenant("factor2").await);
    let store = &bench.store;
    let user = store.save_user(&act(&tenant), "factor@example.com", "agent", "hash").await.unwrap();
    let first = sealed(&keyring("1"), &tenant, &user);
    assert!(
        store.set_up_second_factor(&act(&other), &user, (&first, "csrf")).await.is_err(),
        "of another tenant"
    );
    store.set_up_second_factor(&act(&tenant), &user, (&first, "csrf")).await.unwrap();
    let seed = sealed(&keyring("1"), &tenant, &user);
    store.set_up_second_factor(&act(&tenant), &user, (&seed, "csrf")).await.unwrap();
    assert!(!store.use_code(tenant.id, &user, 100).await.unwrap(), "it is not confirmed");
    let confirm = async |seed: &Sealed| {
        store.confirm_second_factor(&act(&tenant), &user, (seed, 100), &codes(), Some("here")).await
    };
    assert!(matches!(confirm(&first).await, Err(StoreError::Conflict(_))), "it was set up anew");
    for token in ["here", "there"] {
        store.begin_session(&user, token, "csrf").await.unwrap();
    }
    confirm(&seed).await.unwrap();
    assert!(matches!(confirm(&seed).await, Err(StoreError::Conflict(_))));
    assert!(store.set_up_second_factor(&act(&tenant), &user, (&first, "csrf")).await.is_err(), "one stands");
    assert!(store.session("here").await.unwrap().unwrap().has_second_factor);
    assert_eq!(store.session("there").await.unwrap(), None);

    let factor = store.second_factor(tenant.id, &user).await.unwrap().unwrap();
    assert_eq!((factor.recovery_codes_left, factor.sealed), (10, seed));
    assert_eq!(store.second_factor(other.id, &user).await.unwrap(), None);
    assert!(!store.use_code(tenant.id, &user, 100).await.unwrap(), "it confirmed");
    assert!(!store.use_code(other.id, &user, 101).await.unwrap());
    let used = futures_of(6, async |_| store.use_code(tenant.id, &user, 101).await.unwrap()).await;
    assert_eq!(used.iter().filter(|used| **used).count(), 1);
    assert!(!store.use_code(tenant.id, &user, 99).await.unwrap(), "older than one that was used");
    let used = futures_of(6, async |_| {
        store.use_recovery_code(&act(&tenant), &user, "recovery-code-3").await.unwrap()
    })
    .await;
    assert_eq!(used.iter().filter(|used| **used).count(), 1);
    assert!(!store.use_recovery_code(&act(&other), &user, "recovery-code-4").await.unwrap());
    let left = store.second_factor(tenant.id, &user).await.unwrap().unwrap().recovery_codes_left;
    assert_eq!(left, 9);
    store.renew_recovery_codes(&act(&tenant), &user, &["another".to_owned()]).await.unwrap();
    assert!(!store.use_recovery_code(&act(&tenant), &user, "recovery-code-5").await.unwrap());
    assert!(store.use_recovery_code(&act(&tenant), &user, "another").await.unwrap());

    // Sealed anew with another master key, said twice.
    let both = Keyring::new(Some(master("2")), Some(master("1")));
    let done = store.reseal_second_factors(&act(&tenant), &both).await.unwrap();
    assert_eq!((done.resealed, done.already, done.unopened.len()), (1, 0, 0));
    let done = store.reseal_second_factors(&act(&tenant), &both).await.unwrap();
    assert_eq!((done.resealed, done.already), (0, 1));
    let factor = store.second_factor(tenant.id, &user).await.unwrap().unwrap();
    let opened = keyring("2").open_text("it", &bound_to(tenant.id, &user), &factor.sealed).unwrap();
    assert_eq!(opened.expose(), "SEED");
    let done = store.reseal_second_factors(&act(&tenant), &keyring("3")).await.unwrap();
    assert_eq!((done.resealed, done.unopened.len()), (0, 1), "neither key opens it");

    let lesser = store.save_user(&act(&tenant), "lesser@example.com", "supervisor", "hash").await.unwrap();
    let refused = store.remove_second_factor(&act(&tenant), Authority::User(&lesser), &user).await;
    assert!(matches!(refused, Err(StoreError::NotAllowed(_))), "{refused:?}");
    assert!(!store.remove_second_factor(&act(&other), Authority::Operator, &user).await.unwrap());
    assert!(store.remove_second_factor(&act(&tenant), Authority::Operator, &user).await.unwrap());
    assert_eq!(store.session("here").await.unwrap(), None, "their sessions end");
    assert!(!store.use_recovery_code(&act(&tenant), &user, "another").await.unwrap());
}

pub async fn log_ins_wait_for_one_session(bench: &Bench) {
    let tenant = bench.tenant("step").await;
    let store = &bench.store;
    let id = store.save_user(&act(&tenant), "step@example.com", "agent", "hash").await.unwrap();
    let user = store.user(tenant.id, &id).await.unwrap().unwrap();
    let begin = async |token: &str| store.begin_login_step((&id, Some(&user)), token, "/x").await.unwrap();
    assert!(begin("step").await);
    let step = store.login_step("step").await.unwrap().unwrap();
    assert_eq!(
        (step.email.as_str(), step.next.as_str(), step.tenant_id),
        ("step@example.com", "/x", tenant.id.0)
    );
    assert_eq!(store.login_step("guessed").await.unwrap(), None);
    let tokens: Vec<String> = (0..6).map(|n| format!("of-a-step-{n}")).collect();
    let begun = futures_of(6, async |n| {
        store.finish_login_step("step", NewSession::of(&tokens[n], "csrf")).await.unwrap()
    })
    .await;
    assert_eq!(begun.iter().filter(|begun| **begun).count(), 1, "one session comes of one log-in");
    let at = begun.iter().position(|begun| *begun).unwrap();
    assert!(store.session(&tokens[at]).await.unwrap().unwrap().has_second_factor);

    // It ends with its time, with another password, and with its person.
    assert!(begin("late").await);
    bench.advance(601);
    assert!(!store.finish_login_step("late", NewSession::of("late-session", "csrf")).await.unwrap());
    assert!(begin("old").await);
    store.save_user(&act(&tenant), "step@example.com", "agent", "another").await.unwrap();
    assert_eq!(store.login_step("old").await.unwrap(), None);
    assert!(!begin("after").await, "the password is not the one that was checked");
    assert!(store.begin_login_step((&id, None), "gone", "/").await.unwrap());
    let off = Change { active: Some(false), ..Change::default() };
    store.change_user(&act(&tenant), Authority::Operator, (&id, None), &off).await.unwrap();
    assert_eq!(store.login_step("gone").await.unwrap(), None);
    assert!(!store.finish_login_step("gone", NewSession::of("gone-session", "csrf")).await.unwrap());
    assert!(!store.begin_session_as(&id, NewSession::of("x", "y")).await.unwrap());
    let on = Change { active: Some(true), ..Change::default() };
    store.change_user(&act(&tenant), Authority::Operator, (&id, None), &on).await.unwrap();
    assert_eq!(store.login_step("gone").await.unwrap(), None, "activating brings no log-in back");
}

/// Whoever has a password that leaked sets a second factor up, and waits for its person to confirm the seed.
pub async fn a_seed_belongs_to_who_set_it_up(bench: &Bench) {
    let tenant = bench.tenant("seed").await;
    let store = &bench.store;
    let user = store.save_user(&act(&tenant), "seed@example.com", "agent", "hash").await.unwrap();
    let seed = sealed(&keyring("1"), &tenant, &user);
    let set_up = async |setter: &str| {
        store.set_up_second_factor(&act(&tenant), &user, (&seed, setter)).await.unwrap();
    };
    let waits = async |setter: &str| {
        let factor = store.second_factor(tenant.id, &user).await.unwrap();
        factor.is_some_and(|factor| factor.waits_for(setter, bench.store.now()))
    };
    set_up("thief").await;
    assert!(waits("thief").await);
    assert!(!waits("person").await, "who comes next is shown another seed");
    set_up("person").await;
    assert!(waits("person").await && !waits("thief").await, "and that is the one that counts");
    bench.advance(599);
    assert!(waits("person").await);
    bench.advance(1);
    assert!(!waits("person").await, "it ends by itself");

    // Another password ends it, whoever sets it and however; so does losing the right to log in.
    let left = async || store.second_factor(tenant.id, &user).await.unwrap().is_some();
    set_up("thief").await;
    store.issue_link(&act(&tenant), Authority::Operator, (&user, "seed-link")).await.unwrap();
    store.set_password_by_link("seed-link", "hash-2", None).await.unwrap().unwrap();
    assert!(!left().await, "a link");
    set_up("thief").await;
    let person = store.user(tenant.id, &user).await.unwrap().unwrap();
    let tokens = ("seed-session", "csrf");
    assert!(store.change_password(&act(&tenant), (&person, "hash-3"), tokens).await.unwrap());
    assert!(!left().await, "one's own change");
    set_up("thief").await;
    let off = Change { active: Some(false), ..Change::default() };
    store.change_user(&act(&tenant), Authority::Operator, (&user, None), &off).await.unwrap();
    assert!(!left().await, "deactivated");

    // What is confirmed stays.
    let on = Change { active: Some(true), ..Change::default() };
    store.change_user(&act(&tenant), Authority::Operator, (&user, None), &on).await.unwrap();
    set_up("person").await;
    store
        .confirm_second_factor(&act(&tenant), &user, (&seed, 100), &["seed-recovery".to_owned()], None)
        .await
        .unwrap();
    store.save_user(&act(&tenant), "seed@example.com", "agent", "hash-4").await.unwrap();
    assert!(left().await);
}

/// Written by a later version, a list may name a role that this one does not know.
pub async fn a_role_of_another_version_opens_nothing(bench: &Bench) {
    let tenant = bench.tenant("roles").await;
    let store = &bench.store;
    let set = json!({"second_factor_roles": ["admin"], "alert_threshold": -33});
    store.change_settings(&act(&tenant), &set).await.unwrap();
    let raw = sea_orm::Database::connect(&bench.url).await.unwrap();
    let required = async |written: &str, was: &str| {
        let cast = if bench.url.starts_with("postgres") { "::jsonb" } else { "" };
        let change = format!(
            "UPDATE tenant_modules SET settings = replace(CAST(settings AS text), '{was}', '{written}'){cast} WHERE tenant_id = {}",
            tenant.id.0
        );
        assert_eq!(raw.execute_unprepared(&change).await.unwrap().rows_affected(), 1);
        let settings = store.module(tenant.id).await.unwrap().settings;
        assert_eq!(settings.alert_threshold, -33, "the rest holds");
        settings.second_factor_roles.into_iter().collect::<Vec<_>>()
    };
    let (one, two) = ("[\"admin\"]", "[\"admin\",\"overseer\",7]");
    assert_eq!(required(two, one).await, [Role::Admin], "the others are still asked");
    let none = if bench.url.starts_with("postgres") { "[\"admin\", \"overseer\", 7]" } else { two };
    assert_eq!(required("\"everybody\"", none).await, Role::ALL, "what nobody can read asks all of them");
}
