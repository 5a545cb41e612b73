//! Passwords of people: checked and hashed a few at a time, away from the threads that answer.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use undertone_core::password;

use crate::api::problem::{ApiError, FieldError, INTERNAL, RATE_LIMITED};
use crate::api::secrets;
use crate::app::App;
use undertone_store::users::{Attempt, Guesser};

/// Passwords checked or hashed at a time: each takes some 20 ms of a core and 19 MiB.
static TURNS: OnceLock<Semaphore> = OnceLock::new();

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let turn = TURNS.get_or_init(|| Semaphore::new(2)).acquire().await;
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| broken(e.to_string()));
    drop(turn);
    done
}

fn broken(cause: String) -> ApiError {
    ApiError { cause: Some(cause), ..ApiError::new(INTERNAL, "the password could not be checked") }
}

/// Whether `password` is the one kept as `hash`; takes as long where there is none.
pub async fn is_right(password: String, hash: Option<String>) -> Result<bool, ApiError> {
    in_turn(move || secrets::is_password(&password, hash.as_deref())).await
}

/// A password as it is kept.
pub async fn hashed(password: String) -> Result<String, ApiError> {
    in_turn(move || secrets::hash_password(&password)).await?.map_err(|e| broken(e.to_string()))
}

/// Counts an attempt, made from this network address, or refuses it while attempts are locked.
pub async fn attempt(app: &App, guesser: Guesser<'_>, from: Option<&str>) -> Result<(), ApiError> {
    match app.store.attempt_login(guesser).await? {
        Attempt::Allowed => Ok(()),
        Attempt::Last(until) => {
            note_lock(app, guesser, until, from);
            Ok(())
        }
        Attempt::Locked(until) => {
            let seconds = (until - app.store.now()).num_seconds().clamp(1, 3600);
            let told = format!("too many attempts; wait {} and try again", in_words(seconds));
            Err(ApiError { retry_after: seconds as u32, ..ApiError::new(RATE_LIMITED, told) })
        }
    }
}

/// Notes the lock, where there is such a person. Nobody waits for it: how long an answer takes must not tell who has an account.
fn note_lock(app: &App, guesser: Guesser<'_>, until: DateTime<Utc>, from: Option<&str>) {
    let (who, browser) = match guesser {
        Guesser::Inside(user) => (user.to_owned(), None),
        Guesser::Outside { email, browser } => (email.to_owned(), browser.map(str::to_owned)),
    };
    let is_inside = matches!(guesser, Guesser::Inside(_));
    let (store, from) = (app.store.clone(), from.map(str::to_owned));
    tokio::spawn(async move {
        let guesser = if is_inside {
            Guesser::Inside(&who)
        } else {
            Guesser::Outside { email: &who, browser: browser.as_deref() }
        };
        if let Err(error) = store.note_lock(guesser, until, from.as_deref()).await {
            tracing::warn!(%error, "a lock after wrong passwords could not be noted: {error}");
        }
    });
}

fn in_words(seconds: i64) -> String {
    match (seconds + 59) / 60 {
        1 => "a minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

/// Refuses a new password that is none; `field` is where it stood.
pub fn check(password: &str, email: &str, field: &str) -> Result<(), ApiError> {
    password::check(password, email).map_err(|refused| {
        let code = match refused {
            password::Refused::TooShort => "too_short",
            password::Refused::TooLong => "too_long",
            password::Refused::Common => "common",
            password::Refused::Personal => "personal",
        };
        ApiError::invalid(vec![FieldError {
            field: field.to_owned(),
            code: code.to_owned(),
            message: refused.to_string(),
        }])
    })
}
