//! Hashes of passwords: Argon2id, with the parameters that OWASP recommends. Each takes 19 MiB for its time, so they take turns, on one
//! thread: the process is small, and many who sign in at once wait for one another. On threads in turn each would keep what it once
//! took, as the allocator gives every thread memory of its own.
//!
//! The turns go round among the companies, so whoever floods one delays nobody of another. Of those whom nobody knows only a few are
//! worked for; the others wait for their turn, and let it pass.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use easycode_kit::Problem;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    buckets::{Bucket, Pace},
    secret::Secret,
};

/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// How many are worked on at once, and how many of one company may be next.
const AT_ONCE: usize = 1;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are worked for whom nobody knows, of all companies together.
const FOR_NOBODY: Pace = Pace { size: 20, refill: Duration::from_millis(200) };
/// Whose turns those are who name a company that there is not: all together one company's.
pub const OF_NO_COMPANY: &str = "";

/// Hash of a password that nobody has, so that as much is done for an account that is not there.
static DUMMY: LazyLock<String> =
    LazyLock::new(|| hash(&format!("{:032x}", rand::random::<u128>())).unwrap_or_default());

/// Hashes passwords, and compares them with hashes.
pub struct Hasher {
    /// Of each company one is next, so those who are next are of different ones, and come in the order in which they became it.
    next: Mutex<HashMap<String, Weak<Semaphore>>>,
    turns: Arc<Semaphore>,
    for_nobody: Bucket,
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
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { next: Mutex::default(), turns, for_nobody: Bucket::new(FOR_NOBODY), work }
    }
}

impl Hasher {
    /// The hash of a password, with a salt of its own, for someone of the company.
    pub async fn hash(&self, company: &str, password: &Secret) -> Result<String, Problem> {
        let password = password.clone();
        self.in_turn(company, move || hash(password.reveal())).await?.ok_or_else(Problem::internal)
    }

    /// Whether it is the password. Without a hash it is not, and takes as long to find out, unless many ask for what is not there.
    pub async fn is(&self, company: &str, password: &Secret, hash: Option<String>) -> Result<bool, Problem> {
        if !self.is_worked_for(hash.is_some(), Instant::now()) {
            return self.in_turn(company, || false).await;
        }
        let password = password.clone();
        self.in_turn(company, move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| DUMMY.clone());
            let same = PasswordHash::new(&hash)
                .is_ok_and(|hash| argon2().verify_password(password.reveal().as_bytes(), &hash).is_ok());
            known && same
        })
        .await
    }

    fn is_worked_for(&self, is_known: bool, now: Instant) -> bool {
        is_known || self.for_nobody.take(now)
    }

    /// Does what takes long or much memory, one after the other.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        company: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let next = self.next_of(company);
        let turn = async { (next.acquire_owned().await, Arc::clone(&self.turns).acquire_owned().await) };
        let Ok((Ok(next), Ok(turn))) = tokio::time::timeout(PATIENCE, turn).await else {
            return Err(Problem::unavailable("too many people sign in at the moment; try again"));
        };
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || {
            // Over when the work is, and not when who has asked for it hangs up: else any number of them could be worked for.
            let _until_done = (next, turn);
            if !answer.is_closed() {
                drop(answer.send(work()));
            }
        });
        self.work.send(work).map_err(|_| Problem::internal())?;
        answered.await.map_err(|_| Problem::internal())
    }

    fn next_of(&self, company: &str) -> Arc<Semaphore> {
        let mut all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = all.get(company).and_then(Weak::upgrade) {
            return next;
        }
        all.retain(|_, next| next.strong_count() > 0);
        let next = Arc::new(Semaphore::new(AT_ONCE));
        all.insert(company.to_owned(), Arc::downgrade(&next));
        next
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

    const AURORA: &str = "aurora";

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let hasher = Hasher::default();
        let password = Secret::from("correct horse battery".to_owned());
        let hash = hasher.hash(AURORA, &password).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hasher.hash(AURORA, &password).await.unwrap(), "each has its salt");
        assert!(hasher.is(AURORA, &password, Some(hash.clone())).await.unwrap());
        assert!(!hasher.is(AURORA, &Secret::from("another".to_owned()), Some(hash)).await.unwrap());
        assert!(!hasher.is(AURORA, &password, None).await.unwrap());
    }

    #[tokio::test]
    async fn what_panics_takes_nobody_elses_turn() {
        let hasher = Hasher::default();
        let refused = hasher.in_turn(AURORA, || panic!("as it must")).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(refused.status, 500);
        assert_eq!(hasher.in_turn(AURORA, || 1).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_turn_is_told() {
        let hasher = Hasher::default();
        let _all = hasher.turns.acquire_many(1).await.unwrap();
        let refused = hasher.is(AURORA, &Secret::from("x".to_owned()), None).await.unwrap_err();
        assert_eq!(refused.status, 503);
    }

    /// Whose turns it were, in order, and what keeps the first from ending.
    struct Turns {
        hasher: Arc<Hasher>,
        taken: Arc<Mutex<Vec<&'static str>>>,
        first: mpsc::Sender<()>,
        begun: tokio::task::JoinHandle<Result<(), Problem>>,
    }

    impl Turns {
        /// The first turn is someone's of Aurora, and is not over yet.
        async fn begin() -> Self {
            let hasher = Arc::new(Hasher::default());
            let (first, over) = mpsc::channel();
            let taken: Arc<Mutex<Vec<_>>> = Arc::default();
            let (noted, its) = (Arc::clone(&taken), Arc::clone(&hasher));
            let begun = tokio::spawn(async move {
                its.in_turn(AURORA, move || {
                    noted.lock().unwrap().push("first");
                    let _ = over.recv();
                })
                .await
            });
            while taken.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Self { hasher, taken, first, begun }
        }

        /// Someone else wants a turn, and waits for it.
        async fn wait(&self, company: &'static str) -> tokio::task::JoinHandle<Result<(), Problem>> {
            let (hasher, taken) = (Arc::clone(&self.hasher), Arc::clone(&self.taken));
            let waiting =
                tokio::spawn(async move { hasher.in_turn(company, move || taken.lock().unwrap().push(company)).await });
            tokio::task::yield_now().await;
            waiting
        }

        fn taken(&self) -> Vec<&'static str> {
            self.taken.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn a_flood_in_one_company_delays_nobody_of_another() {
        let turns = Turns::begin().await;
        let mut waiting = Vec::new();
        for company in [AURORA; 20].into_iter().chain(["borealis", "calder"]) {
            waiting.push(turns.wait(company).await);
        }
        turns.first.send(()).unwrap();
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        assert_eq!(turns.taken()[..5], ["first", "borealis", "calder", AURORA, AURORA]);
        turns.hasher.in_turn("dorado", || ()).await.unwrap();
        assert!(turns.hasher.next.lock().unwrap().len() <= 2, "companies of which nobody waits are forgotten");
    }

    #[tokio::test]
    async fn who_hangs_up_is_not_worked_for_and_makes_no_room_before_the_work_is_done() {
        let turns = Turns::begin().await;
        let hung_up = turns.wait("borealis").await;
        let other = turns.wait("calder").await;
        hung_up.abort();
        turns.begun.abort();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(turns.taken(), ["first"], "the first is still worked for");
        turns.first.send(()).unwrap();
        other.await.unwrap().unwrap();
        assert_eq!(turns.taken(), ["first", "calder"]);
    }

    #[tokio::test]
    async fn only_some_are_worked_for_whom_nobody_knows() {
        let (hasher, now) = (Hasher::default(), Instant::now());
        assert!((0..FOR_NOBODY.size).all(|_| hasher.is_worked_for(false, now)));
        assert!(!hasher.is_worked_for(false, now) && hasher.is_worked_for(true, now));
        assert!(hasher.is_worked_for(false, now + FOR_NOBODY.refill));
    }
}
