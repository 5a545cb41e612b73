//! How one key does at one address.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::breaker::{About, Breaker, May, Rest};
use super::pace::Pace;
use crate::llm::Failure;

/// What is known of how one key does at one address: how many requests it bears at once, whether its window is full, and whether it is to be
/// left alone. Its clones share it, as everybody must who asks with that key: the provider counts by key.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) pace: Pace,
    pub(super) breaker: Arc<Breaker>,
}

impl Access {
    /// Nothing is known yet. At most `at_once` requests are under way, fewer while the provider complains.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self { pace: Pace::new(at_once.max(1)), breaker: Arc::default() }
    }

    /// Whether to ask `model` at `now`. Whoever is told to go ahead after a rest is the one who finds out, as the answer says, and has to ask,
    /// or say that it did not ([`Access::not_asked`]).
    ///
    /// # Errors
    /// Why not, and for how long.
    pub fn may_ask(&self, model: &str, now: DateTime<Utc>) -> Result<bool, Rest> {
        match self.breaker.may_ask(About::model(model), now) {
            May::Ask(go) => Ok(go.finds_out),
            May::Soon => Err(Rest {
                wait: TimeDelta::seconds(1),
                why: "it is being found out whether the provider answers again".to_owned(),
            }),
            May::Not(rest) => Err(rest),
        }
    }

    /// Whoever was to find out did not ask after all: the next one may.
    pub fn not_asked(&self, model: &str, now: DateTime<Utc>) {
        self.breaker.not_asked(About::model(model), now);
    }

    /// Something that was sent in another way than by [`super::LlmScorer`] was refused with `failure`: nobody asks again while that stands.
    pub fn refused(&self, model: &str, failure: &Failure, now: DateTime<Utc>) {
        self.breaker.refused(model, failure, now);
    }

    /// Something that was sent in another way was taken.
    pub fn answered(&self, model: &str) {
        self.breaker.answered(About::model(model));
    }

    /// Somebody changed something that a refusal may rest on: the next question finds out.
    pub fn look_again(&self) {
        self.breaker.look_again();
        self.pace.look_again();
    }

    /// Whether anybody else has a clone of it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.breaker) > 1
    }
}
