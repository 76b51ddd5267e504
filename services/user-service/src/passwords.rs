//! Hashes of passwords: Argon2id, with the parameters that OWASP recommends. Each takes 19 MiB for its time, so they take turns, on one
//! thread and in the same memory: the process is small, and many who sign in at once wait for one another. Taken anew each time it would
//! not be given back: the allocator keeps what is aligned as this is, and can't use it again for the same.
//!
//! The turns go round among the companies, so whoever floods one delays nobody of another. Of those whom nobody knows only a few are
//! worked for; the others wait for their turn, and let it pass.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use easycode_kit::Problem;
use tokio::sync::{Semaphore, oneshot};
use tracing::error;

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

/// Hashes passwords, and compares them with hashes.
pub struct Hasher {
    /// Of each company one is next, so those who are next are of different ones, and come in the order in which they became it.
    next: Mutex<HashMap<String, Weak<Semaphore>>>,
    turns: Arc<Semaphore>,
    for_nobody: Bucket,
    work: mpsc::Sender<Work>,
}

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

impl Default for Hasher {
    fn default() -> Self {
        let (work, turn) = mpsc::channel::<Work>();
        thread::spawn(move || {
            let mut memory = Memory::default();
            for work in turn {
                // What panics answers nobody, and the next has its turn.
                let _ = catch_unwind(AssertUnwindSafe(|| work(&mut memory)));
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
        let hashed = self.in_turn(company, move |memory| memory.hash(password.reveal())).await?;
        hashed.inspect_err(|error| error!(%error, "a password can't be hashed")).map_err(|_| Problem::internal())
    }

    /// Whether it is the password. Without a hash it is not, and takes as long to find out, unless many ask for what is not there.
    pub async fn is(&self, company: &str, password: &Secret, hash: Option<String>) -> Result<bool, Problem> {
        if !self.is_worked_for(hash.is_some(), Instant::now()) {
            return self.in_turn(company, |_| false).await;
        }
        let password = password.clone();
        self.in_turn(company, move |memory| match hash {
            Some(hash) => memory.is(password.reveal(), &hash),
            None => memory.is_not(password.reveal()),
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
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let next = self.next_of(company);
        let turn = async { (next.acquire_owned().await, Arc::clone(&self.turns).acquire_owned().await) };
        let Ok((Ok(next), Ok(turn))) = tokio::time::timeout(PATIENCE, turn).await else {
            return Err(Problem::unavailable("too many people sign in at the moment; try again"));
        };
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |memory: &mut Memory| {
            // Over when the work is, and not when who has asked for it hangs up: else any number of them could be worked for.
            let _until_done = (next, turn);
            if !answer.is_closed() {
                drop(answer.send(work(memory)));
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

/// What a hash is worked out in.
#[derive(Default)]
pub(crate) struct Memory(Vec<Block>);

impl Memory {
    fn hash(&mut self, password: &str) -> Result<String, password_hash::Error> {
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, None)?;
        let salt = Salt::new(&rand::random::<[u8; 16]>())?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt),
            hash: Some(self.output(password, &salt, Algorithm::Argon2id, Version::V0x13, params)?),
        };
        Ok(hash.to_string())
    }

    /// Whether it is the password of the hash, by the parameters that the hash was made with.
    fn is(&mut self, password: &str, hash: &str) -> bool {
        self.again(password, hash).is_some_and(|(output, expected)| output == expected)
    }

    /// What is worked out anew, and what it is to be.
    fn again(&mut self, password: &str, hash: &str) -> Option<(Output, Output)> {
        let hash = PasswordHash::new(hash).ok()?;
        let (salt, expected) = (hash.salt?, hash.hash?);
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = Version::try_from(hash.version?).ok()?;
        let output = self.output(password, &salt, algorithm, version, Params::try_from(&hash).ok()?);
        Some((output.ok()?, expected))
    }

    /// Does as much for an account that is not there.
    fn is_not(&mut self, password: &str) -> bool {
        /// Hash of a password that nobody has.
        static NOBODYS: OnceLock<String> = OnceLock::new();
        let hash = NOBODYS.get_or_init(|| self.hash(&format!("{:032x}", rand::random::<u128>())).unwrap_or_default());
        let _ = self.is(password, hash);
        false
    }

    fn output(
        &mut self,
        password: &str,
        salt: &[u8],
        algorithm: Algorithm,
        version: Version,
        params: Params,
    ) -> Result<Output, password_hash::Error> {
        self.0.resize(params.block_count(), Block::default());
        let mut output = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = output.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let argon2 = Argon2::new(algorithm, version, params);
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, &mut self.0[..])?;
        Output::new(output).map_err(Into::into)
    }
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

    #[test]
    fn a_hash_counts_by_its_own_parameters_and_what_is_none_never() {
        use argon2::password_hash::PasswordHasher;
        let mut memory = Memory::default();
        for (cost, algorithm) in [(19 * 1024, Algorithm::Argon2id), (8 * 1024, Algorithm::Argon2i)] {
            let params = Params::new(cost, 3, 2, Some(24)).unwrap();
            let made = Argon2::new(algorithm, Version::V0x10, params).hash_password(b"correct horse battery").unwrap();
            assert!(memory.is("correct horse battery", &made.to_string()), "{made}");
            assert!(!memory.is("correct horse batterY", &made.to_string()), "{made}");
        }
        for none in ["", "$argon2id$v=19$m=19456,t=2,p=1$", "$scrypt$ln=1$YWJjZGVmZ2g$YWJjZGVmZ2g"] {
            assert!(!memory.is("", none), "{none}");
        }
    }

    #[tokio::test]
    async fn what_panics_takes_nobody_elses_turn() {
        let hasher = Hasher::default();
        let refused = hasher.in_turn(AURORA, |_| panic!("as it must")).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(refused.status, 500);
        assert_eq!(hasher.in_turn(AURORA, |_| 1).await.unwrap(), 1);
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
                its.in_turn(AURORA, move |_| {
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
                tokio::spawn(
                    async move { hasher.in_turn(company, move |_| taken.lock().unwrap().push(company)).await },
                );
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
        turns.hasher.in_turn("dorado", |_| ()).await.unwrap();
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
