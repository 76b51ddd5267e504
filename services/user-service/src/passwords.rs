//! Hashes of passwords: Argon2id, with the parameters that OWASP recommends. Each takes 19 MiB for its time, so they take turns, on one
//! thread: the process is small, and many who sign in at once wait for one another. On threads in turn each would keep what it once
//! took, as the allocator gives every thread memory of its own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use easycode_kit::Problem;
use tokio::sync::{Semaphore, oneshot};

use crate::secret::Secret;

/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// How many are worked on at once.
const AT_ONCE: usize = 1;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hash of a password that nobody has, so that as much is done for an account that is not there.
static DUMMY: LazyLock<String> =
    LazyLock::new(|| hash(&format!("{:032x}", rand::random::<u128>())).unwrap_or_default());

/// Hashes passwords, and compares them with hashes.
pub struct Hasher {
    turns: Semaphore,
    work: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

impl Default for Hasher {
    fn default() -> Self {
        let (work, turn) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        thread::spawn(move || {
            for work in turn {
                // What panics answers nobody, and the next has its turn.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        });
        Self { turns: Semaphore::new(AT_ONCE), work }
    }
}

impl Hasher {
    /// The hash of a password, with a salt of its own.
    pub async fn hash(&self, password: &Secret) -> Result<String, Problem> {
        let password = password.clone();
        self.in_turn(move || hash(password.reveal())).await?.ok_or_else(Problem::internal)
    }

    /// Whether it is the password. Without a hash it is not, and takes as long to find out.
    pub async fn is(&self, password: &Secret, hash: Option<String>) -> Result<bool, Problem> {
        let password = password.clone();
        self.in_turn(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| DUMMY.clone());
            let same = PasswordHash::new(&hash)
                .is_ok_and(|hash| argon2().verify_password(password.reveal().as_bytes(), &hash).is_ok());
            known && same
        })
        .await
    }

    /// Does what takes long or much memory, one after the other.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Problem::unavailable("too many people sign in at the moment; try again"));
        };
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || drop(answer.send(work())));
        self.work.send(work).map_err(|_| Problem::internal())?;
        answered.await.map_err(|_| Problem::internal())
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).expect("the parameters are within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> Option<String> {
    let hash = argon2().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).inspect_err(|error| tracing::error!(%error, "a password can't be hashed")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let hasher = Hasher::default();
        let password = Secret::from("correct horse battery".to_owned());
        let hash = hasher.hash(&password).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hasher.hash(&password).await.unwrap(), "each has its salt");
        assert!(hasher.is(&password, Some(hash.clone())).await.unwrap());
        assert!(!hasher.is(&Secret::from("another".to_owned()), Some(hash)).await.unwrap());
        assert!(!hasher.is(&password, None).await.unwrap());
    }

    #[tokio::test]
    async fn what_panics_takes_nobody_elses_turn() {
        let hasher = Hasher::default();
        let refused = hasher.in_turn(|| panic!("as it must")).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(refused.status, 500);
        assert_eq!(hasher.in_turn(|| 1).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_turn_is_told() {
        let hasher = Hasher::default();
        let _all = hasher.turns.acquire_many(1).await.unwrap();
        let refused = hasher.is(&Secret::from("x".to_owned()), None).await.unwrap_err();
        assert_eq!(refused.status, 503);
    }
}
