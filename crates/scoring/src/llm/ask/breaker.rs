//! Leaves a provider alone that does not answer, or that refuses whoever asks, and tries it again with one question.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::llm::{Failure, REFUSED, Refuses};

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

/// What a question is about, as far as a refusal of it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub model: &'a str,
    /// What requests have in common whatever texts they are about; empty for what is not sent as such a request.
    pub shape: &'a str,
}

impl<'a> About<'a> {
    /// Whatever is asked of `model`.
    pub(super) fn model(model: &'a str) -> Self {
        Self { model, shape: "" }
    }

    fn shaped(self) -> String {
        format!("{} {}", self.model, self.shape)
    }

    /// Under which refusals of it stand.
    fn keys(self) -> [Option<String>; 3] {
        [None, Some(self.model.to_owned()), Some(self.shaped())]
    }
}

/// Whether to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum May {
    Ask(Go),
    /// Somebody finds out at this moment how the provider does: a second's patience is worth it.
    Soon,
    Not(Rest),
}

/// How to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Go {
    /// It is the one that finds out how the provider does now.
    pub finds_out: bool,
    /// Of the last question nobody knows what it cost: first one that costs next to nothing.
    pub carefully: bool,
}

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
    /// Of the last failure nobody knows what it cost. Nothing was answered since.
    carefully: bool,
    /// What the provider refuses: everything under `None`, else whatever is asked of the model, or in this shape.
    refused: BTreeMap<Option<String>, Refused>,
    /// When a request of this model and shape was last answered.
    taken: BTreeMap<String, DateTime<Utc>>,
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
    /// Whether to ask, or why not. Once a rest is over, one may ask and the others wait for what becomes of it.
    pub(super) fn may_ask(&self, about: About<'_>, now: DateTime<Utc>) -> May {
        let mut state = self.lock();
        let mut finds_out = false;
        for key in about.keys() {
            if let Some(refused) = state.refused.get_mut(&key) {
                if let Err(rest) = refused.may_ask(now) {
                    return May::Not(rest);
                }
                finds_out = true;
            }
        }
        match state.rests_until {
            Some(until) if until > now && state.failures < PATIENCE => May::Soon,
            Some(until) if until > now => {
                let wait = until - now;
                let seconds = wait.num_seconds().max(1);
                let why = format!(
                    "the provider did not answer lately and is left alone for {seconds} seconds more"
                );
                May::Not(Rest { wait, why })
            }
            Some(_) => {
                // Should nobody ever tell what became of it, the next one asks after another rest.
                let wait = if state.failures < PATIENCE { WHILE_PROBED } else { rest(state.failures) };
                state.rests_until = Some(now + wait);
                May::Ask(Go { finds_out: true, carefully: state.carefully })
            }
            None => May::Ask(Go { finds_out, carefully: false }),
        }
    }

    /// Whoever was to find out did not ask after all: the next one may.
    pub(super) fn not_asked(&self, about: About<'_>, now: DateTime<Utc>) {
        let mut state = self.lock();
        for key in about.keys() {
            if let Some(refused) = state.refused.get_mut(&key) {
                refused.probed_until = None;
            }
        }
        state.rests_until = state.rests_until.map(|until| until.min(now));
    }

    /// The provider took a question.
    pub(super) fn answered(&self, about: About<'_>) {
        let mut state = self.lock();
        for key in about.keys() {
            state.refused.remove(&key);
        }
        state.heard();
    }

    /// It answered one: requests of this shape are understood.
    pub(super) fn understood(&self, about: About<'_>, now: DateTime<Utc>) {
        self.answered(about);
        let mut state = self.lock();
        state.taken.retain(|_, at| now - *at < REFUSED);
        state.taken.insert(about.shaped(), now);
    }

    /// Whether a request of this shape was understood in the last minutes.
    pub(super) fn understands(&self, about: About<'_>, now: DateTime<Utc>) -> bool {
        self.lock().taken.get(&about.shaped()).is_some_and(|at| now - *at < REFUSED)
    }

    /// It does not understand a request: that may be for its texts or for its shape, which another one finds out.
    pub(super) fn not_understood(&self, about: About<'_>) {
        self.answered(About::model(about.model));
        if let Some(refused) = self.lock().refused.get_mut(&Some(about.shaped())) {
            refused.probed_until = None;
        }
    }

    /// It understands no request of this shape, and says `why`. Answers until when none is made.
    pub(super) fn shape_refused(&self, about: About<'_>, why: String, now: DateTime<Utc>) -> DateTime<Utc> {
        let until = now + REFUSED;
        self.lock().refuse(Some(about.shaped()), Refused { until, probed_until: None, why }, now);
        until
    }

    /// The provider answered, though nothing follows from that but that it is there.
    pub(super) fn heard(&self) {
        self.lock().heard();
    }

    /// It did not do its work for somebody who was let `go`. Where that may have been charged for all the same, all wait until one has found
    /// out with a question that costs next to nothing whether it does now.
    pub(super) fn failed(&self, now: DateTime<Utc>, go: Go, may_be_charged: bool) {
        let mut state = self.lock();
        if state.carefully && !go.finds_out {
            // It was under way already, and tells nothing new.
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if may_be_charged {
            state.carefully = true;
            state.failures = state.failures.max(PATIENCE - 1);
        }
        if state.failures >= PATIENCE {
            state.rests_until = Some(now + rest(state.failures));
        } else if state.carefully {
            state.rests_until = Some(now);
        }
    }

    /// It refused a request about `model`, and will refuse the next ones: answers whether `failure` says so.
    pub(super) fn refused(&self, model: &str, failure: &Failure, now: DateTime<Utc>) -> bool {
        let Some(Refuses { until, model_alone }) = failure.refuses(now) else { return false };
        let mut state = self.lock();
        state.heard();
        let about = model_alone.then(|| model.to_owned());
        state.refuse(about, Refused { until, probed_until: None, why: failure.to_string() }, now);
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
        self.carefully = false;
    }

    fn refuse(&mut self, about: Option<String>, refused: Refused, now: DateTime<Utc>) {
        // Of what nobody asks for any more nothing is kept.
        self.refused.retain(|_, refused| refused.until + PROBE > now);
        self.refused.insert(about, refused);
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

    fn ask(breaker: &Breaker, model: &str, seconds: i64) -> Result<Go, Rest> {
        match breaker.may_ask(About::model(model), at(seconds)) {
            May::Ask(go) => Ok(go),
            May::Soon => panic!("it is being found out"),
            May::Not(rest) => Err(rest),
        }
    }

    fn wait(breaker: &Breaker, model: &str, seconds: i64) -> Option<i64> {
        ask(breaker, model, seconds).err().map(|rest| rest.wait.num_seconds())
    }

    const ASKS: Go = Go { finds_out: false, carefully: false };
    const FINDS_OUT: Go = Go { finds_out: true, carefully: false };

    fn fail(breaker: &Breaker, times: u32, seconds: i64) {
        (0..times).for_each(|_| breaker.failed(at(seconds), ASKS, false));
    }

    fn failure(kind: FailureKind, status: u16) -> Failure {
        Failure { kind, status, message: None, request_id: None, retry: Retry::Never, is_the_providers: true }
    }

    #[test]
    fn five_failures_in_a_row_are_enough_and_an_answer_forgets_them() {
        let breaker = Breaker::default();
        fail(&breaker, 4, 0);
        breaker.answered(About::model("m"));
        for _ in 0..4 {
            fail(&breaker, 1, 0);
            assert_eq!(wait(&breaker, "m", 0), None);
        }
        fail(&breaker, 1, 0);
        assert_eq!(wait(&breaker, "m", 1), Some(14));
    }

    #[test]
    fn after_a_rest_one_asks_and_the_rests_grow() {
        let breaker = Breaker::default();
        fail(&breaker, 5, 0);
        assert_eq!(wait(&breaker, "m", 15), None);
        assert!(ask(&breaker, "m", 15).is_err(), "the others wait");
        fail(&breaker, 1, 16);
        assert_eq!(wait(&breaker, "m", 20), Some(26));
        fail(&breaker, 40, 50);
        assert_eq!(wait(&breaker, "m", 50), Some(LONGEST_REST.num_seconds()));
        assert_eq!(wait(&breaker, "m", 171), None);
        breaker.heard();
        assert_eq!(wait(&breaker, "m", 171), None);
        assert_eq!(wait(&breaker, "m", 171), None);
    }

    #[test]
    fn who_was_to_find_out_and_did_not_ask_leaves_it_to_the_next() {
        let breaker = Breaker::default();
        fail(&breaker, 5, 0);
        assert_eq!(ask(&breaker, "m", 15), Ok(FINDS_OUT));
        breaker.not_asked(About::model("m"), at(16));
        assert_eq!(ask(&breaker, "m", 16), Ok(FINDS_OUT));
        assert_eq!(wait(&breaker, "m", 17), Some(14), "that one asks");

        let breaker = Breaker::default();
        assert_eq!(ask(&breaker, "m", 0), Ok(ASKS), "there is nothing to find out");
        breaker.refused("m", &failure(FailureKind::Credentials, 401), at(0));
        assert_eq!(ask(&breaker, "m", 300), Ok(FINDS_OUT));
        breaker.not_asked(About::model("m"), at(301));
        assert_eq!(ask(&breaker, "m", 301), Ok(FINDS_OUT));
        assert_eq!(wait(&breaker, "m", 302), Some(10));
    }

    #[test]
    fn a_refused_key_is_left_alone_for_five_minutes_and_then_one_asks() {
        let breaker = Breaker::default();
        assert!(breaker.refused("m", &failure(FailureKind::Credentials, 401), at(0)));
        assert_eq!((wait(&breaker, "m", 1), wait(&breaker, "other", 299)), (Some(299), Some(1)));
        let told = ask(&breaker, "m", 1).unwrap_err().why;
        assert_eq!(told, "the provider does not accept the key (HTTP 401)");
        assert_eq!(wait(&breaker, "m", 300), None);
        assert_eq!(wait(&breaker, "m", 300), Some(10), "one asks, the others wait");
        assert_eq!(wait(&breaker, "m", 360), None, "nothing was heard of it");
        breaker.refused("m", &failure(FailureKind::Credentials, 401), at(361));
        assert_eq!(wait(&breaker, "m", 362), Some(299));
        breaker.look_again();
        assert_eq!((wait(&breaker, "m", 362), wait(&breaker, "m", 362)), (None, Some(10)));
        breaker.answered(About::model("m"));
        assert_eq!((wait(&breaker, "m", 363), wait(&breaker, "m", 363)), (None, None));
    }

    #[test]
    fn a_spend_limit_holds_until_it_ends_and_an_unknown_model_keeps_nobody_from_another() {
        let breaker = Breaker::default();
        let spent = FailureKind::SpendLimit { resumes: at(100_000) };
        assert!(breaker.refused("m", &failure(spent, 429), at(0)));
        assert_eq!(wait(&breaker, "other", 0), Some(100_000));
        assert_eq!(wait(&breaker, "other", 100_000), None);
        breaker.answered(About::model("other"));

        for (kind, status) in [(FailureKind::NotFound, 404), (FailureKind::Credentials, 403)] {
            let breaker = Breaker::default();
            assert!(breaker.refused("gone", &failure(kind, status), at(0)));
            assert_eq!((wait(&breaker, "gone", 0), wait(&breaker, "m", 0)), (Some(300), None));
            breaker.answered(About::model("m"));
            assert_eq!(wait(&breaker, "gone", 0), Some(300));
        }
        assert!(!breaker.refused("m", &failure(FailureKind::BadRequest, 400), at(0)));
    }

    #[test]
    fn after_a_failure_that_may_be_charged_one_asks_carefully_and_the_others_wait_for_it() {
        let careful = Go { finds_out: true, carefully: true };
        let breaker = Breaker::default();
        breaker.failed(at(0), ASKS, true);
        // Those that were under way with it say nothing new.
        (0..8).for_each(|_| breaker.failed(at(0), ASKS, true));
        assert_eq!(ask(&breaker, "m", 0), Ok(careful));
        assert_eq!(breaker.may_ask(About::model("m"), at(1)), May::Soon);
        breaker.not_asked(About::model("m"), at(1));
        assert_eq!(ask(&breaker, "m", 1), Ok(careful), "that one asks");
        breaker.failed(at(2), careful, true);
        assert_eq!(wait(&breaker, "m", 2), Some(15));
        assert_eq!(ask(&breaker, "m", 17), Ok(careful));
        breaker.heard();
        assert_eq!(ask(&breaker, "m", 17), Ok(ASKS));
    }

    #[test]
    fn a_refused_shape_keeps_nobody_from_another() {
        let (breaker, about) = (Breaker::default(), |shape| About { model: "m", shape });
        assert!(!breaker.understands(about("a"), at(0)));
        breaker.understood(about("a"), at(0));
        assert!(breaker.understands(about("a"), at(299)) && !breaker.understands(about("a"), at(300)));
        assert!(!breaker.understands(about("b"), at(0)));
        assert_eq!(breaker.shape_refused(about("b"), "no such field".to_owned(), at(0)), at(300));
        assert_eq!(breaker.may_ask(about("a"), at(1)), May::Ask(ASKS));
        assert!(matches!(breaker.may_ask(about("b"), at(1)), May::Not(rest) if rest.why == "no such field"));
        assert_eq!(breaker.may_ask(about("b"), at(300)), May::Ask(FINDS_OUT));
        assert!(matches!(breaker.may_ask(about("b"), at(300)), May::Not(_)), "one asks, the others wait");
        breaker.not_understood(about("b"));
        assert_eq!(breaker.may_ask(about("b"), at(300)), May::Ask(FINDS_OUT), "about a text of our own");
        breaker.understood(about("b"), at(301));
        assert_eq!(breaker.may_ask(about("b"), at(301)), May::Ask(ASKS));
    }
}
