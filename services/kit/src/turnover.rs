//! When connections are replaced, one by one, each when its request is done: when the credentials have changed, and before what
//! they remember of tenants grows too large.
//!
//! A connection is a process of Postgres, which remembers the tables of every tenant that it has worked for, some 100 KiB a tenant,
//! and forgets nothing before it ends.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::connections::ACQUIRE;

/// Most tenants that a connection works for.
const TENANTS: usize = 256;

/// What decides it, shared by all connections of a pool.
#[derive(Clone, Default)]
pub(crate) struct Turnover(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    credentials: Option<Instant>,
    full: Option<Instant>,
    /// Hashes of the tenants worked for since.
    tenants: HashSet<u64>,
}

impl Turnover {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections of before have the credentials of before.
    pub(crate) fn credentials_changed(&self) {
        self.state().credentials = Some(Instant::now());
    }

    /// One of the connections is about to work for the tenant.
    pub(crate) fn works_for(&self, tenant: &str) {
        let mut hasher = DefaultHasher::new();
        tenant.hash(&mut hasher);
        let mut state = self.state();
        if state.tenants.len() >= TENANTS && !state.tenants.contains(&hasher.finish()) {
            state.tenants.clear();
            state.full = Some(Instant::now());
        }
        state.tenants.insert(hasher.finish());
    }

    /// Whether a connection of this age is to be replaced.
    pub(crate) fn is_over(&self, age: Duration) -> bool {
        let state = self.state();
        // One that was being made when the credentials changed may have those of before.
        state.credentials.is_some_and(|changed| age + ACQUIRE > changed.elapsed())
            || state.full.is_some_and(|full| age > full.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_before_the_credentials_changed_are_replaced() {
        let turnover = Turnover::default();
        assert!(!turnover.is_over(Duration::from_mins(1)));
        turnover.credentials_changed();
        assert!(turnover.is_over(Duration::from_mins(1)));
        turnover.state().credentials = Some(Instant::now().checked_sub(Duration::from_mins(2)).unwrap());
        assert!(turnover.is_over(Duration::from_mins(2)), "it was being made when they changed");
        assert!(!turnover.is_over(Duration::from_mins(1)));
    }

    #[test]
    fn connections_that_have_worked_for_too_many_tenants_are_replaced_and_those_made_since_are_not() {
        let turnover = Turnover::default();
        for round in 0..3 {
            for tenant in 0..TENANTS {
                turnover.works_for(&format!("tenant-{tenant}"));
            }
            assert!(!turnover.is_over(Duration::from_mins(1)), "the same tenants in round {round}");
        }
        turnover.works_for("one-more");
        assert!(turnover.is_over(Duration::from_mins(1)));
        assert!(!turnover.is_over(Duration::ZERO));
        turnover.works_for("one-more");
        turnover.works_for("tenant-1");
        assert_eq!(turnover.state().tenants.len(), 2);
    }
}
