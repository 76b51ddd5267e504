//! How often someone may fail to sign in: by each name that is tried, and in each company. A company's limit stops nobody whose password
//! is right: beyond it only those are let try who had none wrong lately, and of the others nobody is told more than that it is too much.
//! The lock of an account is in the database; this holds for names that no account has, too, and so tells nothing.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use easycode_kit::Problem;

use crate::{
    buckets::{Buckets, Pace, key},
    secret::Hash,
};

/// Failures by one name.
const BY_NAME: Pace = Pace { size: 10, refill: Duration::from_secs(6) };
/// Failures in one company.
const BY_COMPANY: Pace = Pace { size: 60, refill: Duration::from_millis(500) };

/// The failures of late.
struct Failures {
    names: Buckets,
    companies: Buckets,
}

impl Default for Failures {
    fn default() -> Self {
        Self { names: Buckets::new(BY_NAME), companies: Buckets::new(BY_COMPANY) }
    }
}

/// The attempts of late.
#[derive(Default)]
pub struct Attempts {
    here: Failures,
    /// Those in companies that there are not, of which anyone can invent as many as they like: these take no place among the others.
    nowhere: Failures,
}

/// An attempt. It counts as a failure until it is said to have succeeded, so that nobody is spared by hanging up.
pub struct Attempt<'a> {
    failures: &'a Failures,
    name: Hash,
    /// `None` if there were too many in the company.
    company: Option<Hash>,
}

impl Attempts {
    /// Begins an attempt for what is said to be a tenant's account, or refuses it.
    pub fn begin(&self, tenant: &str, exists: bool, name: &str) -> Result<Attempt<'_>, Problem> {
        self.begin_at(tenant, exists, name, Instant::now())
    }

    fn begin_at(&self, tenant: &str, exists: bool, name: &str, now: Instant) -> Result<Attempt<'_>, Problem> {
        let failures = if exists { &self.here } else { &self.nowhere };
        let (name, company) = (key(&[tenant, name]), key(&[tenant]));
        if !failures.names.take(name, now) {
            return Err(too_many());
        }
        let company = failures.companies.take(company, now).then_some(company);
        Ok(Attempt { failures, name, company })
    }
}

impl Attempt<'_> {
    /// Whether too many have failed in the company lately.
    #[must_use]
    pub fn is_beyond_the_companys(&self) -> bool {
        self.company.is_none()
    }

    /// It was none of those that count.
    pub fn succeeded(self) {
        self.failures.names.give_back(self.name);
        if let Some(company) = self.company {
            self.failures.companies.give_back(company);
        }
    }
}

/// The refusal.
#[must_use]
pub fn too_many() -> Problem {
    Problem::of(StatusCode::TOO_MANY_REQUESTS, "too many attempts to sign in; wait a minute and try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_count() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let begin = |name| attempts.begin_at("aurora", true, name, now);
        for _ in 0..200 {
            begin("ada").unwrap().succeeded();
        }
        assert!((0..BY_NAME.size).all(|_| begin("ada").is_ok()));
        assert_eq!(begin("ada").err().map(|problem| problem.status), Some(429));
        assert!(begin("bob").is_ok());
    }

    #[test]
    fn a_company_that_is_guessed_in_is_told_and_no_other() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let is_beyond = |tenant, exists, name: u32| {
            attempts.begin_at(tenant, exists, &name.to_string(), now).unwrap().is_beyond_the_companys()
        };
        assert!(!(0..BY_COMPANY.size).any(|name| is_beyond("aurora", true, name)));
        assert!(is_beyond("aurora", true, 1_000));
        assert!(!is_beyond("borealis", true, 0));
        // Of one that there is not it is told no sooner and no later.
        assert!(!(0..BY_COMPANY.size).any(|name| is_beyond("nowhere", false, name)));
        assert!(is_beyond("nowhere", false, 1_000));
    }

    #[test]
    fn companies_that_are_invented_take_no_place_among_the_others() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        assert!((0..BY_NAME.size).all(|_| attempts.begin_at("aurora", true, "ada", now).is_ok()));
        for number in 0..crate::buckets::MOST + 100 {
            assert!(attempts.begin_at(&number.to_string(), false, "ada", now).is_ok());
        }
        assert!(attempts.begin_at("aurora", true, "ada", now).is_err());
    }
}
