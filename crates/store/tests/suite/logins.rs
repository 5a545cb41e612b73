//! Guessing, by strangers and by who was in before, and what a log-in ends.

use chrono::TimeDelta;
use serde_json::{Value, json};
use undertone_store::audit;
use undertone_store::second_factor::{Before, NewSession};
use undertone_store::users::{Attempt, BROWSER_KNOWN_FOR, Guesser, User};

use super::{Bench, act};

/// A stranger who goes on guessing keeps an address locked for ever, and nobody out who was in before.
pub async fn strangers_keep_nobody_out_who_was_in_before(bench: &Bench) {
    let tenant = bench.tenant("strangers").await;
    let (store, at) = (&bench.store, act(&tenant));
    let email = "ana@strangers.example";
    let id = store.save_user(&at, email, "agent", "hash").await.unwrap();
    store.save_user(&at, "bo@strangers.example", "agent", "hash").await.unwrap();
    let user = store.user(tenant.id, &id).await.unwrap().unwrap();
    let from = async |email: &str, browser: Option<&str>| {
        store.attempt_login(Guesser::Outside { email, browser }).await.unwrap()
    };
    let is_locked = |attempt| matches!(attempt, Attempt::Locked(_));
    let log_in = async |token: &str, browser: &str, before: Option<&str>| {
        let before = Before { browser: before, ..Before::default() };
        let new = NewSession { browser: Some(browser), before, ..NewSession::of(token, "csrf") };
        assert!(store.log_in(&user, new).await.unwrap());
    };
    log_in("first", "desk", None).await;
    let guess = async || while !is_locked(from(email, None).await) {};
    guess().await;
    for _ in 0..12 {
        // The moment a lock ends.
        bench.advance(3600);
        guess().await;
        assert!(is_locked(from(email, None).await) && is_locked(from(email, Some("guessed")).await));
        assert_eq!(from(email, Some("desk")).await, Attempt::Allowed);
        assert_eq!(store.attempt_login(Guesser::Inside(&id)).await.unwrap(), Attempt::Allowed);
        store.forgive_logins(Guesser::Inside(&id)).await.unwrap();
        store.forgive_logins(Guesser::Outside { email, browser: Some("desk") }).await.unwrap();
    }
    // It is a browser of hers alone, and what she does there gives strangers no more attempts.
    assert!(!is_locked(from("bo@strangers.example", None).await));
    while !is_locked(from("bo@strangers.example", None).await) {}
    assert!(is_locked(from("bo@strangers.example", Some("desk")).await));
    log_in("second", "desk-2", Some("desk")).await;
    assert!(is_locked(from(email, None).await), "strangers are not forgiven");
    assert!(is_locked(from(email, Some("desk")).await), "the token before is replaced");
    // It has wrong passwords of its own, which hold nobody else up.
    for _ in 0..5 {
        assert!(!is_locked(from(email, Some("desk-2")).await));
    }
    assert!(is_locked(from(email, Some("desk-2")).await), "who has the browser guesses no faster");
    store.know_browser(&id, None, "phone").await.unwrap();
    assert_eq!(from(email, Some("phone")).await, Attempt::Allowed);
    // What is typed into the form is no way to anybody else's count.
    for typed in [format!("Inside {id}"), format!("inside {id}")] {
        for _ in 0..6 {
            from(&typed, None).await;
        }
    }
    assert_eq!(store.attempt_login(Guesser::Inside(&id)).await.unwrap(), Attempt::Allowed);

    // A browser is known for a time, and not after another password.
    bench.advance(BROWSER_KNOWN_FOR.num_seconds());
    guess().await;
    assert!(is_locked(from(email, Some("phone")).await), "it was too long ago");
    store.know_browser(&id, None, "tablet").await.unwrap();
    assert_eq!(from(email, Some("tablet")).await, Attempt::Allowed);
    store.save_user(&at, email, "agent", "another").await.unwrap();
    guess().await;
    assert!(is_locked(from(email, Some("tablet")).await), "whoever knew the old password may be there");
    for n in 0..30 {
        store.know_browser(&id, None, &format!("browser-{n}")).await.unwrap();
        bench.advance(1);
    }
    assert!(is_locked(from(email, Some("browser-9")).await), "the latest twenty are known");
    assert_eq!(from(email, Some("browser-10")).await, Attempt::Allowed);
}

/// One entry for each lock, whatever is tried meanwhile, and none of who is nobody.
pub async fn a_lock_is_noted(bench: &Bench) {
    let tenant = bench.tenant("locks").await;
    let email = "ana@locks.example";
    let id = bench.store.save_user(&act(&tenant), email, "agent", "hash").await.unwrap();
    let until = bench.store.now() + TimeDelta::minutes(1);
    for guesser in
        [Guesser::from("Ana@Locks.example "), Guesser::from("nobody@locks.example"), Guesser::Inside(&id)]
    {
        bench.store.note_lock(guesser, until, Some("192.0.2.9")).await.unwrap();
    }
    let filter = audit::Filter { action: Some("login_locked"), ..Default::default() };
    let mut noted = bench.store.audit(tenant.id, &filter, None, 10).await.unwrap();
    noted.sort_by(|a, b| a.id.cmp(&b.id));
    let payloads: Vec<Value> =
        noted.iter().map(|one| serde_json::from_str(one.payload.as_deref().unwrap()).unwrap()).collect();
    let by = |word: &str| json!({"until": until, "counted_by": word});
    assert_eq!(payloads, [by("address"), by("session")]);
    assert!(noted.iter().all(|one| one.subject == id && one.from.as_deref() == Some("192.0.2.9")));
}

pub async fn a_log_in_ends_the_session_before(bench: &Bench) {
    let tenant = bench.tenant("again").await;
    let (store, at) = (&bench.store, act(&tenant));
    let id = store.save_user(&at, "ana@again.example", "agent", "hash").await.unwrap();
    let user = store.user(tenant.id, &id).await.unwrap().unwrap();
    let is_open = async |token: &str| store.session(token).await.unwrap().is_some();
    for token in ["here", "elsewhere"] {
        store.log_in(&user, NewSession::of(token, "csrf")).await.unwrap();
    }
    let again = |token| NewSession {
        before: Before { session: Some("here"), ..Before::default() },
        ..NewSession::of(token, "csrf")
    };
    let gone = User { password_hash: Some("old".to_owned()), ..user.clone() };
    assert!(!store.log_in(&gone, again("wrong")).await.unwrap() && is_open("here").await);
    assert!(store.log_in(&user, again("new")).await.unwrap());
    assert!(is_open("new").await && !is_open("here").await && is_open("elsewhere").await);
    assert_eq!(store.session_began(&id, "csrf").await.unwrap(), Some(store.now()));
    assert_eq!(store.session_began("nobody", "csrf").await.unwrap(), None);
    store.end_session("new", Some("192.0.2.5")).await.unwrap();
    store.end_session("new", Some("192.0.2.5")).await.unwrap();
    let filter = audit::Filter { action: Some("logged_out"), ..Default::default() };
    let noted = store.audit(tenant.id, &filter, None, 10).await.unwrap();
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!(
        (noted[0].actor.as_str(), noted[0].subject.as_str()),
        (format!("user:{id}").as_str(), id.as_str())
    );
    assert_eq!(noted[0].from.as_deref(), Some("192.0.2.5"));
}
