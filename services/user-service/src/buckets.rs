//! How much of something may be done at once, and how soon there is more: buckets that are full at first, and fill again at a steady pace.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use crate::secret::Hash;

/// Most buckets that are remembered of a kind.
pub const MOST: usize = 10_000;

/// How much is in a full bucket, and the time after which there is one more.
#[derive(Clone, Copy)]
pub struct Pace {
    /// How much is in a full one.
    pub size: u32,
    /// The time after which there is one more.
    pub refill: Duration,
}

impl Pace {
    /// When a bucket is full again that is to be full at that time and of which one is taken now. `None` if nothing is in it.
    fn take(self, full: Instant, now: Instant) -> Option<Instant> {
        let after = full.max(now) + self.refill;
        (after <= now + self.refill * self.size).then_some(after)
    }
}

/// One bucket.
pub struct Bucket {
    pace: Pace,
    full: Mutex<Instant>,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, full: Mutex::new(Instant::now()) }
    }

    /// Takes one, if any is there.
    pub fn take(&self, now: Instant) -> bool {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let after = self.pace.take(*full, now);
        *full = after.unwrap_or(*full);
        after.is_some()
    }
}

/// What a bucket is known by. Names that are made up may be long.
#[must_use]
pub fn key(parts: &[&str]) -> Hash {
    Sha256::digest(parts.join("\0")).into()
}

/// A bucket for each of those who took from theirs lately.
pub struct Buckets {
    pace: Pace,
    /// When each is full again.
    full: Mutex<HashMap<Hash, Instant>>,
}

impl Buckets {
    /// Full ones.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, full: Mutex::default() }
    }

    /// Takes one, if any is there.
    pub fn take(&self, key: Hash, now: Instant) -> bool {
        let mut all = self.lock();
        let full = all.get(&key).copied().unwrap_or(now);
        let Some(after) = self.pace.take(full, now) else { return false };
        if all.len() >= MOST && !all.contains_key(&key) {
            make_room(&mut all, now);
        }
        all.insert(key, after);
        true
    }

    /// Puts back what was taken.
    pub fn give_back(&self, key: Hash) {
        if let Some(full) = self.lock().get_mut(&key) {
            *full = full.checked_sub(self.pace.refill).unwrap_or(*full);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Instant>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets those that are full again; if there are none, that which is the first to be. So those who invent many names take the place
/// of one another, and not of whoever is guessed for.
fn make_room(all: &mut HashMap<Hash, Instant>, now: Instant) {
    all.retain(|_, full| *full > now);
    if all.len() >= MOST
        && let Some(first) = all.iter().min_by_key(|(_, full)| **full).map(|(key, _)| *key)
    {
        all.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { size: 3, refill: Duration::from_secs(6) };

    #[test]
    fn what_is_taken_runs_out_and_comes_back_one_by_one() {
        let buckets = Buckets::new(PACE);
        let [ada, bob] = ["ada", "bob"].map(|name| key(&[name]));
        let now = Instant::now();
        assert!((0..3).all(|_| buckets.take(ada, now)));
        assert!(!buckets.take(ada, now));
        assert!(buckets.take(bob, now), "each has their own");
        let later = now + Duration::from_secs(6);
        assert!(buckets.take(ada, later) && !buckets.take(ada, later));
        buckets.give_back(ada);
        assert!(buckets.take(ada, later) && !buckets.take(ada, later));
        assert!((0..3).all(|_| buckets.take(ada, now + Duration::from_mins(1))));
    }

    #[test]
    fn one_bucket_does_the_same() {
        let bucket = Bucket::new(PACE);
        let now = Instant::now();
        assert!((0..3).all(|_| bucket.take(now)) && !bucket.take(now));
        assert!(bucket.take(now + Duration::from_secs(6)));
    }

    #[test]
    fn many_invented_names_clear_nobodys_bucket_who_is_guessed_for() {
        let buckets = Buckets::new(PACE);
        let now = Instant::now();
        let guessed = key(&["ada"]);
        assert!((0..3).all(|_| buckets.take(guessed, now)));
        // After the first of them each new one is a search, of which a test need not do too many.
        for name in 0..MOST + 500 {
            assert!(buckets.take(key(&[&name.to_string()]), now));
        }
        assert!(buckets.lock().len() <= MOST);
        assert!(!buckets.take(guessed, now));
    }
}
