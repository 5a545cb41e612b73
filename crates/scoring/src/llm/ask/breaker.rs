//! Leaves a provider alone that does not answer, or that refuses whoever asks, and tries it again with one question.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::llm::{Failure, Refuses};

/// So many failures in a row, and the provider is left alone.
const PATIENCE: u32 = 5;
/// For so long at first, twice as long after each question that failed meanwhile.
const FIRST_REST: TimeDelta = TimeDelta::seconds(15);
/// At most so long: an outage that ends is noticed within this.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(2);
/// The question that finds out whether a refusal still stands is answered within this, or another one is asked.
const PROBE: TimeDelta = TimeDelta::minutes(1);
/// Whoever comes meanwhile comes again after this.
const WHILE_PROBED: TimeDelta = TimeDelta::seconds(10);

/// Why not to ask now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Asking may be worth it again after this.
    pub wait: TimeDelta,
    /// For a person.
    pub why: String,
}

/// What is known of how a provider does.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Nobody asks before this.
    rests_until: Option<DateTime<Utc>>,
    /// What the provider refuses: everything under `None`, else whatever is asked of the model.
    refused: BTreeMap<Option<String>, Refused>,
}

/// A refusal that stands until a person changes something.
#[derive(Debug)]
struct Refused {
    until: DateTime<Utc>,
    /// Somebody asks whether it still stands, and is waited for until then.
    probed_until: Option<DateTime<Utc>>,
    why: String,
}

impl Breaker {
    /// Whether to ask `model`, or why not. Once a rest is over, one may ask and the others wait for what becomes of it: answers whether this is
    /// that one.
    pub(super) fn may_ask(&self, model: &str, now: DateTime<Utc>) -> Result<bool, Rest> {
        let mut state = self.lock();
        let mut finds_out = false;
        for about in [None, Some(model.to_owned())] {
            if let Some(refused) = state.refused.get_mut(&about) {
                refused.may_ask(now)?;
                finds_out = true;
            }
        }
        match state.rests_until {
            Some(until) if until > now => {
                let wait = until - now;
                let seconds = wait.num_seconds().max(1);
                let why = format!(
                    "the provider did not answer lately and is left alone for {seconds} seconds more"
                );
                Err(Rest { wait, why })
            }
            Some(_) => {
                // Should nobody ever tell what became of it, the next one asks after another rest.
                state.rests_until = Some(now + rest(state.failures));
                Ok(true)
            }
            None => Ok(finds_out),
        }
    }

    /// Whoever was to find out did not ask after all: the next one may.
    pub(super) fn not_asked(&self, model: &str, now: DateTime<Utc>) {
        let mut state = self.lock();
        for about in [None, Some(model.to_owned())] {
            if let Some(refused) = state.refused.get_mut(&about) {
                refused.probed_until = None;
            }
        }
        state.rests_until = state.rests_until.map(|until| until.min(now));
    }

    /// The provider took a request about `model`.
    pub(super) fn answered(&self, model: &str) {
        let mut state = self.lock();
        state.refused.remove(&None);
        state.refused.remove(&Some(model.to_owned()));
        state.heard();
    }

    /// The provider answered, though nothing follows from that but that it is there.
    pub(super) fn heard(&self) {
        self.lock().heard();
    }

    /// It did not answer.
    pub(super) fn failed(&self, now: DateTime<Utc>) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= PATIENCE {
            state.rests_until = Some(now + rest(state.failures));
        }
    }

    /// It refused a request about `model`, and will refuse the next ones: answers whether `failure` says so.
    pub(super) fn refused(&self, model: &str, failure: &Failure, now: DateTime<Utc>) -> bool {
        let Some(Refuses { until, model_alone }) = failure.refuses(now) else { return false };
        let mut state = self.lock();
        state.heard();
        // Of a model that nobody asks for any more nothing is kept.
        state.refused.retain(|_, refused| refused.until + PROBE > now);
        let about = model_alone.then(|| model.to_owned());
        state.refused.insert(about, Refused { until, probed_until: None, why: failure.to_string() });
        true
    }

    /// Somebody changed something: the next question finds out whether what was refused still is.
    pub(super) fn look_again(&self) {
        for refused in self.lock().refused.values_mut() {
            refused.until = DateTime::<Utc>::MIN_UTC;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn heard(&mut self) {
        self.failures = 0;
        self.rests_until = None;
    }
}

impl Refused {
    fn may_ask(&mut self, now: DateTime<Utc>) -> Result<(), Rest> {
        if self.until > now {
            return Err(Rest { wait: self.until - now, why: self.why.clone() });
        }
        if self.probed_until.is_some_and(|until| until > now) {
            return Err(Rest { wait: WHILE_PROBED, why: self.why.clone() });
        }
        self.probed_until = Some(now + PROBE);
        Ok(())
    }
}

fn rest(failures: u32) -> TimeDelta {
    let doublings = failures.saturating_sub(PATIENCE).min(10);
    (FIRST_REST * (1 << doublings)).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;
    use crate::llm::{FailureKind, Retry};

    fn at(seconds: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
    }

    fn wait(breaker: &Breaker, model: &str, seconds: i64) -> Option<i64> {
        breaker.may_ask(model, at(seconds)).err().map(|rest| rest.wait.num_seconds())
    }

    fn failure(kind: FailureKind, status: u16) -> Failure {
        Failure { kind, status, message: None, request_id: None, retry: Retry::Never, is_the_providers: true }
    }

    #[test]
    fn five_failures_in_a_row_are_enough_and_an_answer_forgets_them() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(at(0));
        }
        breaker.answered("m");
        for _ in 0..4 {
            breaker.failed(at(0));
            assert_eq!(wait(&breaker, "m", 0), None);
        }
        breaker.failed(at(0));
        assert_eq!(wait(&breaker, "m", 1), Some(14));
    }

    #[test]
    fn after_a_rest_one_asks_and_the_rests_grow() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| breaker.failed(at(0)));
        assert_eq!(wait(&breaker, "m", 15), None);
        assert!(breaker.may_ask("m", at(15)).is_err(), "the others wait");
        breaker.failed(at(16));
        assert_eq!(wait(&breaker, "m", 20), Some(26));
        (0..40).for_each(|_| breaker.failed(at(50)));
        assert_eq!(wait(&breaker, "m", 50), Some(LONGEST_REST.num_seconds()));
        assert_eq!(wait(&breaker, "m", 171), None);
        breaker.heard();
        assert_eq!(wait(&breaker, "m", 171), None);
        assert_eq!(wait(&breaker, "m", 171), None);
    }

    #[test]
    fn who_was_to_find_out_and_did_not_ask_leaves_it_to_the_next() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| breaker.failed(at(0)));
        assert_eq!(breaker.may_ask("m", at(15)), Ok(true));
        breaker.not_asked("m", at(16));
        assert_eq!(breaker.may_ask("m", at(16)), Ok(true));
        assert_eq!(wait(&breaker, "m", 17), Some(14), "that one asks");

        let breaker = Breaker::default();
        assert_eq!(breaker.may_ask("m", at(0)), Ok(false), "there is nothing to find out");
        breaker.refused("m", &failure(FailureKind::Credentials, 401), at(0));
        assert_eq!(breaker.may_ask("m", at(300)), Ok(true));
        breaker.not_asked("m", at(301));
        assert_eq!(breaker.may_ask("m", at(301)), Ok(true));
        assert_eq!(wait(&breaker, "m", 302), Some(10));
    }

    #[test]
    fn a_refused_key_is_left_alone_for_five_minutes_and_then_one_asks() {
        let breaker = Breaker::default();
        assert!(breaker.refused("m", &failure(FailureKind::Credentials, 401), at(0)));
        assert_eq!((wait(&breaker, "m", 1), wait(&breaker, "other", 299)), (Some(299), Some(1)));
        let told = breaker.may_ask("m", at(1)).unwrap_err().why;
        assert_eq!(told, "the provider does not accept the key (HTTP 401)");
        assert_eq!(wait(&breaker, "m", 300), None);
        assert_eq!(wait(&breaker, "m", 300), Some(10), "one asks, the others wait");
        assert_eq!(wait(&breaker, "m", 360), None, "nothing was heard of it");
        breaker.refused("m", &failure(FailureKind::Credentials, 401), at(361));
        assert_eq!(wait(&breaker, "m", 362), Some(299));
        breaker.look_again();
        assert_eq!((wait(&breaker, "m", 362), wait(&breaker, "m", 362)), (None, Some(10)));
        breaker.answered("m");
        assert_eq!((wait(&breaker, "m", 363), wait(&breaker, "m", 363)), (None, None));
    }

    #[test]
    fn a_spend_limit_holds_until_it_ends_and_an_unknown_model_keeps_nobody_from_another() {
        let breaker = Breaker::default();
        let spent = FailureKind::SpendLimit { resumes: at(100_000) };
        assert!(breaker.refused("m", &failure(spent, 429), at(0)));
        assert_eq!(wait(&breaker, "other", 0), Some(100_000));
        assert_eq!(wait(&breaker, "other", 100_000), None);
        breaker.answered("other");

        for (kind, status) in [(FailureKind::NotFound, 404), (FailureKind::Credentials, 403)] {
            let breaker = Breaker::default();
            assert!(breaker.refused("gone", &failure(kind, status), at(0)));
            assert_eq!((wait(&breaker, "gone", 0), wait(&breaker, "m", 0)), (Some(300), None));
            breaker.answered("m");
            assert_eq!(wait(&breaker, "gone", 0), Some(300));
        }
        assert!(!breaker.refused("m", &failure(FailureKind::BadRequest, 400), at(0)));
    }
}
