//! Sessions that were good when they were last shown here. Whoever shows one again is someone of the company, and not to wait behind
//! all those who show what they have made up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use easycode_kit::generations::{Fingerprint, Generations};

use crate::{realm::Asking, secret::SessionToken};

/// Most of a generation; there are two.
const MOST: usize = 10_000;

/// The sessions, by what stays of their tokens and nobody guesses.
pub struct Recognised(Mutex<Generations<()>>);

impl Default for Recognised {
    fn default() -> Self {
        Self(Mutex::new(Generations::of(MOST)))
    }
}

impl Recognised {
    /// Who shows the token, as far as is known before it is looked up.
    pub fn asking(&self, token: &SessionToken) -> Asking {
        if self.lock().get(fingerprint(token)).is_some() { Asking::Known } else { Asking::Stranger }
    }

    /// Notes whether it was good.
    pub fn note(&self, token: &SessionToken, good: bool) {
        let mut known = self.lock();
        if good { known.insert(fingerprint(token), ()) } else { known.remove(fingerprint(token)) }
    }

    fn lock(&self) -> MutexGuard<'_, Generations<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(token: &SessionToken) -> Fingerprint {
    Fingerprint::of(token.family_hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_recognised_by_its_next_token_until_it_is_over() {
        let recognised = Recognised::default();
        let token = SessionToken::new("aurora");
        assert_eq!(recognised.asking(&token), Asking::Stranger);
        recognised.note(&token, true);
        assert_eq!(recognised.asking(&SessionToken::new("aurora")), Asking::Stranger);
        let next = token.next();
        assert_eq!(recognised.asking(&next), Asking::Known);
        recognised.note(&next, false);
        assert_eq!(recognised.asking(&next), Asking::Stranger);
    }
}
