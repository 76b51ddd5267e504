//! Tokens whose signature was checked, so that it is checked once and not with every request: that costs more than all else a
//! request does in the process. What is kept counts until the token expires, and no longer than the key that signed it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    generations::{Fingerprint, Generations},
    keys::Key,
    token::Claims,
};

/// Most tokens of a generation; there are two.
const MOST: usize = 4_096;

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
}

/// The tokens; they themselves are not kept.
pub(crate) struct VerifiedTokens(Mutex<Generations<Arc<Verified>>>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Mutex::new(Generations::of(MOST)))
    }
}

impl VerifiedTokens {
    /// What is kept of the token, unless it has expired since. Whether its key still counts is for the caller to ask.
    pub(crate) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        let token = Fingerprint::of(token);
        let verified = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token)?;
        (now() < verified.claims.exp).then_some(verified)
    }

    /// Keeps it.
    pub(crate) fn insert(&self, token: &str, verified: Verified) {
        let token = Fingerprint::of(token);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, Arc::new(verified));
    }
}

/// A clock before 1970 is none, and then nothing that is kept counts.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(f64::INFINITY, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn verified(subject: &str, exp: f64) -> Verified {
        let claims = Claims {
            iss: "https://login.example.com".to_owned(),
            sub: subject.to_owned(),
            tenant: "aurora".to_owned(),
            tenant_uid: None,
            iat: None,
            roles: BTreeSet::new(),
            sid: None,
            act: None,
            exp,
        };
        Verified { claims, issuer: 0, kid: Arc::from("a"), key: Arc::new(Key::of_nobody()) }
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
}
