//! Token buckets: so many in a minute, all of which may come at once, and refilled all the time. Of each bucket one moment is kept, that at
//! which it is full again (the generic cell rate algorithm, ITU-T I.371), so that a bucket that is full need not be kept at all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a bucket holds is refilled in this time.
pub const WINDOW: Duration = Duration::from_mins(1);

/// So many buckets that are not full are kept at most; more than that are a flood from everywhere, against which no count of single
/// clients helps.
const MOST: usize = 100_000;

/// A bucket for each `K`.
pub struct Buckets<K> {
    quota: u32,
    full_at: Mutex<HashMap<K, Instant>>,
}

/// What a bucket answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How much it holds.
    pub quota: u32,
    /// How much is left in it.
    pub remaining: u32,
    /// It is full again after that.
    pub full_in: Duration,
    /// There was nothing left; there will be after that.
    pub refused_for: Option<Duration>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Buckets that hold `quota`; 0: without bounds.
    pub fn new(quota: u32) -> Self {
        Self { quota, full_at: Mutex::default() }
    }

    /// Takes one out of the bucket of `key`. `None` where nothing is bounded.
    pub fn take(&self, key: K, now: Instant) -> Option<Taken> {
        let each = WINDOW.checked_div(self.quota)?;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= MOST {
            full_at.retain(|_, full| *full > now);
            if full_at.len() > MOST / 2 {
                full_at.clear();
            }
        }
        let entry = full_at.entry(key).or_insert(now);
        let missing = entry.saturating_duration_since(now) + each;
        // A bucket of which nothing is missing holds the whole window.
        let refused_for = missing.checked_sub(WINDOW).filter(|wait| !wait.is_zero());
        let missing = if refused_for.is_some() { missing.saturating_sub(each) } else { missing };
        *entry = now + missing;
        let left = WINDOW.saturating_sub(missing).as_nanos() / each.as_nanos().max(1);
        let remaining = u32::try_from(left).unwrap_or(self.quota).min(self.quota);
        Some(Taken { quota: self.quota, remaining, full_in: missing, refused_for })
    }

    /// Puts back one that was taken.
    pub fn put_back(&self, key: &K) {
        let Some(each) = WINDOW.checked_div(self.quota) else { return };
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full) = full_at.get_mut(key) {
            *full = full.checked_sub(each).unwrap_or(*full);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_refills() {
        let (buckets, start) = (Buckets::new(6), Instant::now());
        let taken: Vec<u32> = (0..6).map(|_| buckets.take("a", start).unwrap().remaining).collect();
        assert_eq!(taken, [5, 4, 3, 2, 1, 0]);
        let refused = buckets.take("a", start).unwrap();
        assert_eq!((refused.remaining, refused.refused_for), (0, Some(Duration::from_secs(10))));
        assert_eq!(refused.full_in, WINDOW, "being refused takes nothing");
        assert_eq!(buckets.take("b", start).unwrap().remaining, 5, "everybody has a bucket of their own");
        let later = start + Duration::from_secs(9);
        assert_eq!(buckets.take("a", later).unwrap().refused_for, Some(Duration::from_secs(1)));
        let later = start + Duration::from_secs(10);
        assert_eq!(buckets.take("a", later).unwrap().refused_for, None);
        assert!(buckets.take("a", later).unwrap().refused_for.is_some());
        let full = later + WINDOW * 2;
        assert_eq!(buckets.take("a", full).unwrap().remaining, 5, "and holds no more than it holds");
    }

    #[test]
    fn what_is_put_back_is_there_again() {
        let (buckets, now) = (Buckets::new(2), Instant::now());
        for _ in 0..100 {
            assert_eq!(buckets.take(7, now).unwrap().refused_for, None);
            buckets.put_back(&7);
        }
        assert_eq!(buckets.take(7, now).unwrap().remaining, 1);
    }

    #[test]
    fn without_a_quota_nothing_is_bounded() {
        assert_eq!(Buckets::new(0).take("a", Instant::now()), None);
    }

    #[test]
    fn over_any_span_no_more_comes_through_than_the_bucket_and_what_was_refilled() {
        let (buckets, start) = (Buckets::new(60), Instant::now());
        let through = (0..200_u64)
            .filter(|n| {
                buckets.take(0, start + Duration::from_millis(n * 100)).unwrap().refused_for.is_none()
            })
            .count();
        // 20 seconds: the 60 that were there, and one a second.
        assert!((79..=80).contains(&through), "{through}");
    }

    #[test]
    fn a_flood_from_everywhere_takes_bounded_memory() {
        let (buckets, start) = (Buckets::new(60), Instant::now());
        for client in 0..250_000_u32 {
            buckets.take(client, start);
        }
        assert!(buckets.full_at.lock().unwrap().len() <= MOST);
        // Those that are full again are forgotten first, and the one that is not is not.
        let (buckets, later) = (Buckets::new(60), start + Duration::from_secs(30));
        for client in 1..MOST as u32 {
            buckets.take(client, start);
        }
        for _ in 0..60 {
            buckets.take(0, later);
        }
        buckets.take(u32::MAX, later);
        assert!(buckets.take(0, later).unwrap().refused_for.is_some());
    }
}
