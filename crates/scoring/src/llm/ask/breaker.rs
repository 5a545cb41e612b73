//! Leaves a provider alone that does not answer, and tries it again with one question.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// So many failures in a row, and the provider is left alone.
const PATIENCE: u32 = 5;
/// For so long at first, twice as long after each question that failed meanwhile.
const FIRST_REST: TimeDelta = TimeDelta::seconds(15);
/// At most so long: an outage that ends is noticed within this.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(2);

/// What is known of how a provider does.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Nobody asks before this.
    rests_until: Option<DateTime<Utc>>,
}

impl Breaker {
    /// Whether to ask, or how long not to. Once a rest is over, one may ask and the others wait for what becomes of it.
    pub(super) fn may_ask(&self, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.rests_until {
            Some(until) if until > now => Err(until - now),
            Some(_) => {
                // Should nobody ever tell what became of it, the next one asks after another rest.
                state.rests_until = Some(now + rest(state.failures));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The provider answered, be it with a refusal.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// It did not.
    pub(super) fn failed(&self, now: DateTime<Utc>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= PATIENCE {
            state.rests_until = Some(now + rest(state.failures));
        }
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

    fn at(seconds: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn five_failures_in_a_row_are_enough_and_an_answer_forgets_them() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(at(0));
        }
        breaker.answered();
        for _ in 0..4 {
            breaker.failed(at(0));
            assert_eq!(breaker.may_ask(at(0)), Ok(()));
        }
        breaker.failed(at(0));
        assert_eq!(breaker.may_ask(at(1)), Err(TimeDelta::seconds(14)));
    }

    #[test]
    fn after_a_rest_one_asks_and_the_rests_grow() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| breaker.failed(at(0)));
        assert_eq!(breaker.may_ask(at(15)), Ok(()));
        assert!(breaker.may_ask(at(15)).is_err(), "the others wait");
        breaker.failed(at(16));
        assert_eq!(breaker.may_ask(at(20)), Err(TimeDelta::seconds(26)));
        (0..40).for_each(|_| breaker.failed(at(50)));
        assert_eq!(breaker.may_ask(at(50)), Err(LONGEST_REST));
        assert_eq!(breaker.may_ask(at(171)), Ok(()));
        breaker.answered();
        assert_eq!(breaker.may_ask(at(171)), Ok(()));
        assert_eq!(breaker.may_ask(at(171)), Ok(()));
    }
}
