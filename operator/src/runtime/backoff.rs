//! How long an object that could not be brought to plan waits for the next attempt: longer each time, spread at random.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

/// Attempts in a row that failed, by object.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// The object was brought to plan.
    pub fn succeeded(&self, object: &str) {
        self.attempts().remove(object);
    }

    /// The wait after one more failure.
    #[must_use]
    pub fn failed(&self, object: &str) -> Duration {
        let mut attempts = self.attempts();
        let attempt = attempts.entry(object.to_owned()).or_default();
        let wait = FIRST.saturating_mul(1 << (*attempt).min(10)).min(LONGEST);
        *attempt += 1;
        wait.mul_f64(rand::random_range(0.8..1.2))
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_up_to_a_minute_and_starts_over_after_success() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.failed("a")).collect();
        assert!(waits[0] < Duration::from_secs(1) && waits[3] > waits[0] * 4);
        assert!(waits.iter().all(|wait| *wait <= LONGEST.mul_f64(1.2)));
        assert!(backoff.failed("b") < Duration::from_secs(1));
        backoff.succeeded("a");
        assert!(backoff.failed("a") < Duration::from_secs(1));
    }
}
