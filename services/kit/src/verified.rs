//! Tokens whose signature was checked, so that it is checked once and not with every request: that costs more than all else a
//! request does in the process. What is kept counts until the token expires, and no longer than the key that signed it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

use crate::{keys::Key, token::Claims};

/// Most tokens of a generation; there are two.
const MOST: usize = 4_096;

/// The token itself is not kept.
type Fingerprint = [u8; 32];

/// A token that was good when it was checked.
#[derive(Clone)]
pub(crate) struct Verified {
    /// What it says.
    pub(crate) claims: Claims,
    /// Which issuer's it is.
    pub(crate) issuer: usize,
    /// The name of the key that has signed it.
    pub(crate) kid: Arc<str>,
    /// The key itself.
    pub(crate) key: Arc<Key>,
    /// When it expires, in seconds since 1970.
    pub(crate) expires: f64,
}

/// Two generations: when the young one is full it becomes the old one, and of that stays what is used meanwhile.
#[derive(Default)]
pub(crate) struct VerifiedTokens(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Fingerprint, Arc<Verified>>,
    old: HashMap<Fingerprint, Arc<Verified>>,
}

impl Generations {
    fn insert(&mut self, fingerprint: Fingerprint, verified: Arc<Verified>) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, verified);
    }
}

impl VerifiedTokens {
    /// What is kept of the token, unless it has expired since. Whether its key still counts is for the caller to ask.
    pub(crate) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        let fingerprint = fingerprint(token);
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = if let Some(young) = generations.young.get(&fingerprint) {
            Arc::clone(young)
        } else {
            let old = generations.old.remove(&fingerprint)?;
            generations.insert(fingerprint, Arc::clone(&old));
            old
        };
        drop(generations);
        (now() < verified.expires).then_some(verified)
    }

    /// Keeps it.
    pub(crate) fn insert(&self, token: &str, verified: Verified) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(fingerprint(token), Arc::new(verified));
    }
}

fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

/// A clock before 1970 is none, and then nothing that is kept counts.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(f64::INFINITY, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn verified(subject: &str, expires: f64) -> Verified {
        Verified {
            claims: Claims { sub: subject.to_owned(), tenant: "aurora".to_owned(), roles: BTreeSet::new(), sid: None },
            issuer: 0,
            kid: Arc::from("a"),
            key: Arc::new(Key::of_nobody()),
            expires,
        }
    }

    #[test]
    fn a_token_counts_until_it_expires() {
        let tokens = VerifiedTokens::default();
        tokens.insert("lasting", verified("ada", now() + 60.0));
        tokens.insert("over", verified("bob", now() - 0.001));
        assert_eq!(tokens.get("lasting").map(|kept| kept.claims.sub.clone()).as_deref(), Some("ada"));
        assert!(tokens.get("over").is_none());
        assert!(tokens.get("lasting.").is_none(), "another token");
    }

    #[test]
    fn no_more_are_kept_than_two_generations_and_those_in_use_stay() {
        let tokens = VerifiedTokens::default();
        tokens.insert("used", verified("ada", now() + 60.0));
        tokens.insert("unused", verified("bob", now() + 60.0));
        for number in 0..5 * MOST {
            tokens.insert(&number.to_string(), verified("carl", now() + 60.0));
            assert!(tokens.get("used").is_some(), "after {number} others");
        }
        let generations = tokens.0.lock().unwrap();
        assert!(generations.young.len() <= MOST && generations.old.len() <= MOST);
        drop(generations);
        assert!(tokens.get("unused").is_none());
    }
}
