//! How often someone may try to sign in: for each name that is tried, and for each tenant, so that guessing is slow whoever is
//! guessed for, and a tenant that is flooded takes the turn of no other. The lock of an account is in the database; this holds for names
//! that no account has, too, and so tells nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use easycode_kit::Problem;
use sha2::{Digest, Sha256};

use crate::secret::Hash;

/// Attempts for one name at once, and the time after which there is one more.
const BY_NAME: (u32, Duration) = (10, Duration::from_secs(6));
/// The same for one tenant.
const BY_TENANT: (u32, Duration) = (60, Duration::from_millis(500));
/// Most names, and most tenants, that are remembered.
const MOST: usize = 10_000;

/// How many attempts are left, for each of those who tried lately.
struct Buckets {
    size: u32,
    refill: Duration,
    /// When all of it is there again.
    full: HashMap<Hash, Instant>,
}

impl Buckets {
    fn new((size, refill): (u32, Duration)) -> Self {
        Self { size, refill, full: HashMap::new() }
    }

    fn take(&mut self, key: &[&str], now: Instant) -> bool {
        // Names that are made up may be long.
        let key = Sha256::digest(key.join("\0")).into();
        if self.full.len() >= MOST && !self.full.contains_key(&key) {
            self.full.retain(|_, full| *full > now);
            // Whoever tries so many names at once is held up by the limit of the tenant, and each account by its lock.
            if self.full.len() >= MOST {
                self.full.clear();
            }
        }
        let full = self.full.entry(key).or_insert(now);
        let after = (*full).max(now) + self.refill;
        if after > now + self.refill * self.size {
            return false;
        }
        *full = after;
        true
    }
}

/// The attempts of late.
pub struct Attempts {
    names: Mutex<Buckets>,
    tenants: Mutex<Buckets>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { names: Mutex::new(Buckets::new(BY_NAME)), tenants: Mutex::new(Buckets::new(BY_TENANT)) }
    }
}

impl Attempts {
    /// Counts an attempt for what is said to be a tenant's account, or refuses it.
    pub fn count(&self, tenant: &str, email: &str) -> Result<(), Problem> {
        let now = Instant::now();
        let tenants = &mut self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let names = &mut self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.take(&[tenant, email], now) && tenants.take(&[tenant], now) {
            return Ok(());
        }
        Err(Problem::of(StatusCode::TOO_MANY_REQUESTS, "too many attempts to sign in; wait a minute and try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_run_out_and_come_back_one_by_one() {
        let mut buckets = Buckets::new((3, Duration::from_secs(6)));
        let now = Instant::now();
        assert!((0..3).all(|_| buckets.take(&["ada"], now)));
        assert!(!buckets.take(&["ada"], now));
        assert!(buckets.take(&["bob"], now), "each has their own");
        let later = now + Duration::from_secs(6);
        assert!(buckets.take(&["ada"], later) && !buckets.take(&["ada"], later));
        assert!((0..3).all(|_| buckets.take(&["ada"], now + Duration::from_mins(1))));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut buckets = Buckets::new((3, Duration::from_secs(6)));
        let now = Instant::now();
        for name in 0..3 * MOST {
            assert!(buckets.take(&[&name.to_string()], now));
        }
        assert!(buckets.full.len() <= MOST);
    }
}
