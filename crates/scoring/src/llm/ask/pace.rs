//! How many requests are under way at once. The first goes alone: a provider can read a prompt from its cache only once an answer to it has
//! begun, and refuses whoever comes with many at once. Then one more for each answer, until the provider complains; from there on half as
//! many after a complaint and one more after a round that went well. A provider that has enough says so to all that are under way, which is one
//! complaint. None while its window is full: where its answers tell so, and where it turned somebody away and said for how long.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures::channel::oneshot;

use crate::llm::{RateLimits, Window};

/// Lets so many requests go at once as the provider bears.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    most: f64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// So many may be under way; a fraction is on its way to the next whole one.
    limit: f64,
    /// The provider has not complained yet.
    starting: bool,
    /// How often it has.
    complaints: u64,
    under_way: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
    /// The provider's window is full until then.
    full_until: Option<DateTime<Utc>>,
}

/// A place among the requests under way; dropped when the answer is there. Whoever waits is handed one, so that it comes back even if they
/// gave up in the meantime.
#[derive(Debug)]
pub(super) struct Turn {
    pace: Pace,
    /// The complaints there had been when it was handed out.
    complaints: u64,
}

impl Pace {
    /// At most `most` at once.
    pub(super) fn new(most: usize) -> Self {
        let waiting = VecDeque::new();
        let state =
            State { limit: 1.0, starting: true, complaints: 0, under_way: 0, waiting, full_until: None };
        Self { most: most as f64, state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a place; who came first goes first. `None` only where the pace itself is gone.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let handed = {
            let mut state = self.lock();
            if state.has_place() && state.waiting.is_empty() {
                return Some(state.place(self));
            }
            let (hand, handed) = oneshot::channel();
            state.waiting.push_back(hand);
            handed
        };
        handed.await.ok()
    }

    /// An answer came.
    pub(super) fn faster(&self) {
        let mut state = self.lock();
        let more = if state.starting { 1.0 } else { 1.0 / state.limit };
        state.limit = (state.limit + more).min(self.most);
        drop(state);
        self.hand_out();
    }

    /// The provider complained of the request that had `turn`. Answers whether that is news: of one that left before the last complaint nothing new
    /// follows.
    pub(super) fn slower(&self, turn: Option<&Turn>) -> bool {
        let mut state = self.lock();
        if turn.is_some_and(|turn| turn.complaints < state.complaints) {
            return false;
        }
        state.complaints += 1;
        state.starting = false;
        state.limit = (state.limit / 2.0).max(1.0);
        true
    }

    /// What a response that came at `now` says of the provider's windows.
    pub(super) fn observe(&self, limits: &RateLimits, now: DateTime<Utc>) {
        let windows = [limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens];
        let full = |window: Window| window.resets_at.filter(|at| window.remaining == Some(0) && *at > now);
        let until = windows.into_iter().flatten().filter_map(full).max();
        // Answers arrive in any order; the latest end that one of them told of holds.
        let mut state = self.lock();
        state.full_until = state.full_until.filter(|known| *known > now).max(until);
    }

    /// The provider turned somebody away: its window is full until then.
    pub(super) fn fill(&self, until: DateTime<Utc>) {
        let mut state = self.lock();
        state.full_until = state.full_until.max(Some(until));
    }

    /// Somebody changed something: the next request finds out whether the window still is full.
    pub(super) fn look_again(&self) {
        self.lock().full_until = None;
    }

    /// When the provider's window has room again, where it is full at `now`.
    pub(super) fn full_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.lock().full_until.filter(|until| *until > now)
    }

    /// Hands the free places to those who wait. Who has given up is passed over.
    fn hand_out(&self) {
        loop {
            let mut state = self.lock();
            if !state.has_place() {
                return;
            }
            let Some(hand) = state.waiting.pop_front() else { return };
            let turn = state.place(self);
            // A turn that nobody takes comes back by itself, which needs the lock.
            drop(state);
            drop(hand.send(turn));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_place(&self) -> bool {
        (self.under_way as f64) < self.limit.floor()
    }

    fn place(&mut self, pace: &Pace) -> Turn {
        self.under_way += 1;
        Turn { pace: pace.clone(), complaints: self.complaints }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.pace.lock();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.pace.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn now(pace: &Pace) -> Option<Turn> {
        pace.turn().now_or_never().flatten()
    }

    /// As many as can go now.
    fn all_now(pace: &Pace) -> usize {
        let turns: Vec<_> = std::iter::from_fn(|| now(pace)).collect();
        turns.len()
    }

    /// A pace that has come up to its most.
    fn running(most: usize) -> Pace {
        let pace = Pace::new(most);
        (0..most).for_each(|_| pace.faster());
        pace
    }

    #[test]
    fn the_first_goes_alone_and_each_answer_brings_one_more() {
        let pace = Pace::new(4);
        assert_eq!(all_now(&pace), 1);
        for wanted in [2, 3, 4, 4] {
            pace.faster();
            assert_eq!(all_now(&pace), wanted);
        }
    }

    #[test]
    fn no_more_go_than_may_and_the_next_goes_when_one_is_back() {
        let pace = running(2);
        let first = now(&pace).expect("a place");
        let second = now(&pace).expect("a place");
        let mut third = Box::pin(pace.turn());
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let third = third.now_or_never().flatten().expect("a place");
        assert!(now(&pace).is_none());
        drop((second, third));
        assert!(now(&pace).is_some());
    }

    #[test]
    fn complaints_halve_and_answers_add() {
        let pace = running(8);
        let turns: Vec<_> = std::iter::from_fn(|| now(&pace)).collect();
        assert_eq!(turns.len(), 8);
        assert_eq!(turns.iter().filter(|turn| pace.slower(Some(turn))).count(), 1);
        drop(turns);
        let mut turns: Vec<_> = std::iter::from_fn(|| now(&pace)).collect();
        assert_eq!(turns.len(), 4, "all of them were told at the same time");
        assert!(pace.slower(turns.last()));
        turns.truncate(2);
        assert!(now(&pace).is_none(), "one that left afterwards tells something new");
        for _ in 0..3 {
            pace.faster();
        }
        assert!(now(&pace).is_some(), "a third after a round that went well");
        assert!((0..10).all(|_| pace.slower(None)));
        drop(turns);
        let turns: Vec<_> = std::iter::from_fn(|| now(&pace)).collect();
        assert_eq!(turns.len(), 1, "never none");
    }

    #[test]
    fn a_full_window_holds_until_it_ends() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let window = |remaining, seconds| {
            Some(Window { limit: Some(50), remaining: Some(remaining), resets_at: Some(at(seconds)) })
        };
        let pace = Pace::new(4);
        pace.observe(&RateLimits { requests: window(3, 60), ..RateLimits::default() }, at(0));
        assert_eq!(pace.full_until(at(0)), None);
        let limits =
            RateLimits { requests: window(0, 20), output_tokens: window(0, 40), ..RateLimits::default() };
        pace.observe(&limits, at(0));
        pace.observe(&RateLimits { requests: window(1, 60), ..RateLimits::default() }, at(1));
        assert_eq!(pace.full_until(at(1)), Some(at(40)), "one that left earlier knows of no more room");
        assert_eq!(pace.full_until(at(40)), None);
        pace.fill(at(90));
        pace.fill(at(70));
        pace.observe(&RateLimits::default(), at(50));
        assert_eq!(pace.full_until(at(50)), Some(at(90)), "whoever was told a shorter time came earlier");
        pace.look_again();
        assert_eq!(pace.full_until(at(50)), None);
    }

    #[test]
    fn who_gave_up_waiting_keeps_nobody_back() {
        let pace = Pace::new(1);
        let first = now(&pace).expect("a place");
        let mut gone = Box::pin(pace.turn());
        let mut handed = Box::pin(pace.turn());
        let mut stays = Box::pin(pace.turn());
        for waiting in [&mut gone, &mut handed, &mut stays] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(gone);
        drop(first);
        // This one was handed the place and gives up without taking it.
        drop(handed);
        assert!(stays.now_or_never().flatten().is_some());
    }
}
