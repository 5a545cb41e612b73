//! When a failure strikes: the next few calls, every so many, for a while, or by chance.

use chrono::{DateTime, Utc};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::Failure;

/// Which calls a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// `POST /v1/messages` and `POST /v1/chat/completions`.
    Answers,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `GET /v1/models` and what is under it.
    Models,
    /// Every call of `/v1/messages/batches` and what is under it.
    Batches,
    /// The requests inside of batches.
    BatchItems,
    /// Every call over HTTP. Items of batches are no calls.
    All,
}

/// A failure and when it strikes. Calls whose key or body is wrong, or that are over the rate limit, neither meet it nor count.
#[derive(Clone)]
pub struct Fault {
    failure: Failure,
    calls: Calls,
    strikes: Strikes,
}

#[derive(Clone)]
enum Strikes {
    Always,
    Next { left: u64 },
    Every { nth: u64, met: u64 },
    Between { from: DateTime<Utc>, to: DateTime<Utc> },
    Chance { probability: f64, random: Xoshiro256PlusPlus },
}

impl Fault {
    fn new(failure: Failure, strikes: Strikes) -> Self {
        Self { failure, calls: Calls::Answers, strikes }
    }

    /// Strikes every call.
    #[must_use]
    pub fn always(failure: Failure) -> Self {
        Self::new(failure, Strikes::Always)
    }

    /// Strikes the next `count` calls.
    #[must_use]
    pub fn next(count: u64, failure: Failure) -> Self {
        Self::new(failure, Strikes::Next { left: count })
    }

    /// Strikes the `nth` call, the one at twice that, and so on. 0 strikes none.
    #[must_use]
    pub fn every(nth: u64, failure: Failure) -> Self {
        Self::new(failure, Strikes::Every { nth, met: 0 })
    }

    /// Strikes from `from` until before `to`, by the script's clock.
    #[must_use]
    pub fn between(from: DateTime<Utc>, to: DateTime<Utc>, failure: Failure) -> Self {
        Self::new(failure, Strikes::Between { from, to })
    }

    /// Strikes each call with a probability of 0 to 1, the same calls for the same seed.
    #[must_use]
    pub fn by_chance(probability: f64, seed: u64, failure: Failure) -> Self {
        let probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
        Self::new(failure, Strikes::Chance { probability, random: Xoshiro256PlusPlus::seed_from_u64(seed) })
    }

    /// The same about other calls; without this it is about [`Calls::Answers`].
    #[must_use]
    pub fn on(self, calls: Calls) -> Self {
        Self { calls, ..self }
    }

    fn is_about(&self, calls: Calls) -> bool {
        match calls {
            Calls::BatchItems => self.calls == calls && self.failure.fits_items(),
            _ => {
                (self.calls == calls || self.calls == Calls::All) && !matches!(self.failure, Failure::Expired)
            }
        }
    }

    /// Whether it strikes this call. `is_struck` says that another fault did already: counters and chance go on, the next few wait.
    fn meets(&mut self, now: DateTime<Utc>, is_struck: bool) -> bool {
        match &mut self.strikes {
            Strikes::Always => true,
            Strikes::Next { left } => {
                let strikes = *left > 0 && !is_struck;
                *left -= u64::from(strikes);
                strikes
            }
            Strikes::Every { nth, met } => {
                *met += 1;
                *nth > 0 && met.is_multiple_of(*nth)
            }
            Strikes::Between { from, to } => *from <= now && now < *to,
            Strikes::Chance { probability, random } => random.random_bool(*probability),
        }
    }
}

/// The faults in force.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) faults: Vec<Fault>,
}

impl Plan {
    /// What happens to this call: the failure of the first fault that strikes it.
    pub(crate) fn strike(&mut self, calls: Calls, now: DateTime<Utc>) -> Option<Failure> {
        let mut struck = None;
        for fault in self.faults.iter_mut().filter(|fault| fault.is_about(calls)) {
            if fault.meets(now, struck.is_some()) && struck.is_none() {
                struck = Some(fault.failure.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn struck(plan: &mut Plan, calls: usize) -> Vec<bool> {
        (0..calls).map(|_| plan.strike(Calls::Answers, DateTime::UNIX_EPOCH).is_some()).collect()
    }

    fn plan(faults: impl IntoIterator<Item = Fault>) -> Plan {
        Plan { faults: faults.into_iter().collect() }
    }

    #[test]
    fn the_next_few_and_every_so_many() {
        assert_eq!(struck(&mut plan([Fault::next(2, Failure::Hang)]), 4), [true, true, false, false]);
        assert_eq!(struck(&mut plan([Fault::every(2, Failure::Hang)]), 5), [false, true, false, true, false]);
        assert_eq!(struck(&mut plan([Fault::every(0, Failure::Hang)]), 3), [false; 3]);
        assert_eq!(struck(&mut plan([Fault::always(Failure::Hang)]), 3), [true; 3]);
        // Two faults: the first that strikes wins, and the second's turns are not used up.
        let mut both = plan([Fault::every(2, Failure::Hang), Fault::next(2, Failure::NotJson)]);
        let told = |f: Option<Failure>| match f {
            Some(Failure::Hang) => 'h',
            Some(_) => 'n',
            None => '-',
        };
        let calls: String = (0..5).map(|_| told(both.strike(Calls::Answers, DateTime::UNIX_EPOCH))).collect();
        assert_eq!(calls, "nhnh-");
    }

    #[test]
    fn for_a_while() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let mut plan = plan([Fault::between(at(1), at(3), Failure::Hang)]);
        let told: Vec<bool> = (0..5).map(|m| plan.strike(Calls::Answers, at(m)).is_some()).collect();
        assert_eq!(told, [false, true, true, false, false]);
    }

    #[test]
    fn by_chance_but_the_same_for_the_same_seed() {
        let of = |p, seed| struck(&mut plan([Fault::by_chance(p, seed, Failure::Hang)]), 1_000);
        let share = of(0.3, 7).iter().filter(|s| **s).count();
        assert!((250..350).contains(&share), "{share}");
        assert_eq!(of(0.3, 7), of(0.3, 7));
        assert_ne!(of(0.3, 7), of(0.3, 8));
        assert_eq!(of(f64::NAN, 7), vec![false; 1_000]);
        assert_eq!(of(7.0, 7), vec![true; 1_000]);
    }

    #[test]
    fn only_the_calls_it_is_about() {
        let about = |fault: Fault| {
            let all = [Calls::Answers, Calls::CountTokens, Calls::Models, Calls::Batches, Calls::BatchItems];
            all.map(|calls| plan([fault.clone()]).strike(calls, DateTime::UNIX_EPOCH).is_some())
        };
        assert_eq!(about(Fault::always(Failure::NotJson)), [true, false, false, false, false]);
        assert_eq!(about(Fault::always(Failure::Hang).on(Calls::All)), [true, true, true, true, false]);
        assert_eq!(
            about(Fault::always(Failure::NotJson).on(Calls::BatchItems)),
            [false, false, false, false, true]
        );
        assert_eq!(about(Fault::always(Failure::Hang).on(Calls::BatchItems)), [false; 5]);
        assert_eq!(about(Fault::always(Failure::Expired)), [false; 5]);
    }
}
