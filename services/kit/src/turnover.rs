//! When a connection is replaced, once its request is done: when the credentials have changed, and before what it remembers of
//! tenants grows too large. That is up to 170 KiB a tenant, of which Postgres forgets nothing before the connection ends.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::connections::ACQUIRE;

/// Most tenants that a connection works for.
const TENANTS: usize = 64;

/// What decides it.
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

    /// The connection has the credentials of before.
    pub(crate) fn credentials_changed(&self) {
        self.state().credentials = Some(Instant::now());
    }

    /// The connection is about to work for the tenant of the hash.
    pub(crate) fn works_for(&self, tenant: u64) {
        let mut state = self.state();
        if state.tenants.len() >= TENANTS && !state.tenants.contains(&tenant) {
            state.tenants.clear();
            state.full = Some(Instant::now());
        }
        state.tenants.insert(tenant);
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
            (0..TENANTS as u64).for_each(|tenant| turnover.works_for(tenant));
            assert!(!turnover.is_over(Duration::from_mins(1)), "the same tenants in round {round}");
        }
        turnover.works_for(u64::MAX);
        assert!(turnover.is_over(Duration::from_mins(1)));
        assert!(!turnover.is_over(Duration::ZERO));
        turnover.works_for(u64::MAX);
        turnover.works_for(1);
        assert_eq!(turnover.state().tenants.len(), 2);
    }
}
