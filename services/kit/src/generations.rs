//! What was in use lately, by a secret text that is not kept itself, and never more than so much of it.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// What a text is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a text: its SHA-256. Made before anything is locked, since a token is long.
    #[must_use]
    pub fn of(text: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(text).into())
    }
}

/// Two generations: when the young one is full it becomes the old one, and of that stays what is used meanwhile.
pub struct Generations<T> {
    most: usize,
    young: HashMap<Fingerprint, T>,
    old: HashMap<Fingerprint, T>,
}

impl<T: Clone> Generations<T> {
    /// Of at most so many each.
    #[must_use]
    pub fn of(most: usize) -> Self {
        Self { most, young: HashMap::new(), old: HashMap::new() }
    }

    /// What is kept of the text, which stays in use.
    pub fn get(&mut self, text: Fingerprint) -> Option<T> {
        if let Some(young) = self.young.get(&text) {
            return Some(young.clone());
        }
        let old = self.old.remove(&text)?;
        self.insert(text, old.clone());
        Some(old)
    }

    /// Keeps something of the text, in place of what was kept of it.
    pub fn insert(&mut self, text: Fingerprint, kept: T) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, kept);
    }

    /// Keeps nothing of the text any more.
    pub fn remove(&mut self, text: Fingerprint) {
        self.young.remove(&text);
        self.old.remove(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_two_generations_and_what_is_in_use_stays() {
        let mut kept = Generations::of(10);
        kept.insert(Fingerprint::of("used"), 1);
        kept.insert(Fingerprint::of("unused"), 2);
        for number in 0..50 {
            kept.insert(Fingerprint::of(number.to_string()), 3);
            assert_eq!(kept.get(Fingerprint::of("used")), Some(1), "after {number} others");
            assert!(kept.young.len() <= 10 && kept.old.len() <= 10);
        }
        assert_eq!(kept.get(Fingerprint::of("unused")), None);
    }

    #[test]
    fn what_is_kept_is_the_latest_until_it_is_removed() {
        let mut kept = Generations::of(1);
        kept.insert(Fingerprint::of("a"), 1);
        kept.insert(Fingerprint::of("b"), 2);
        kept.insert(Fingerprint::of("a"), 3);
        assert_eq!(
            (kept.get(Fingerprint::of("a")), kept.get(Fingerprint::of("b")), kept.get(Fingerprint::of("c"))),
            (Some(3), Some(2), None)
        );
        kept.remove(Fingerprint::of("a"));
        assert_eq!(kept.get(Fingerprint::of("a")), None);
    }
}
