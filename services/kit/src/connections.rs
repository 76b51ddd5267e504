//! The service's connections to its database, and which of them works for which tenant.
//!
//! A connection is a process of Postgres that remembers the tables of every tenant it has worked for, and is slower with one that it
//! doesn't know. So each tenant has two of them that it prefers: what they remember is used again, and each remembers a part of the
//! tenants only. Others work for it while those are busy.

use std::{
    future::ready,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures::future::select_all;
use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    credentials::{Fields, parse, read},
    turnover::Turnover,
};

/// Longest wait for a connection.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(3);
/// Longest wait for one of those that a tenant prefers: about as long as it takes another to get to know the tenant.
const MOMENT: Duration = Duration::from_millis(2);
/// How long a connection is kept that nobody needs.
const IDLE: Duration = Duration::from_mins(1);
/// How long a connection counts as alive without being asked: it is asked whenever it is given back, and asking costs a round trip.
const UNTESTED: Duration = Duration::from_secs(1);
/// How often it is looked whether the credentials have changed.
const LOOK: Duration = Duration::from_secs(5);

/// Connections for tenants' transactions, made when they are first needed; cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<[Lane]>);

/// One connection after the other.
struct Lane {
    pool: PgPool,
    turnover: Turnover,
    free: Arc<Semaphore>,
}

/// A connection that works for a tenant as long as this lives.
pub(crate) struct Turn {
    /// With that connection and no other.
    pub(crate) pool: PgPool,
    _lane: OwnedSemaphorePermit,
}

/// Connections that know of no tenants, made when they are first needed.
#[must_use]
pub fn pool(options: PgConnectOptions, most: u32) -> PgPool {
    pool_options(most).connect_lazy_with(options)
}

fn pool_options(most: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        .test_before_acquire(false)
        .before_acquire(|connection, its| {
            Box::pin(async move {
                if its.idle_for >= UNTESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

impl Lane {
    fn new(options: PgConnectOptions) -> Self {
        let turnover = Turnover::default();
        let watched = turnover.clone();
        let pool = pool_options(1)
            .after_release(move |_, connection| Box::pin(ready(Ok(!watched.is_over(connection.age)))))
            .connect_lazy_with(options);
        Self { pool, turnover, free: Arc::new(Semaphore::new(1)) }
    }

    fn is_free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }
}

impl Connections {
    /// At most so many, which log in by the options.
    #[must_use]
    pub fn new(options: &PgConnectOptions, most: u32) -> Self {
        Self((0..most.max(1)).map(|_| Lane::new(options.clone())).collect())
    }

    /// At most so many, which log in as the folder says at any time: the kubelet renews a mounted Secret in place.
    pub(crate) fn following(folder: PathBuf, most: u32) -> anyhow::Result<Self> {
        let known = read(&folder)?;
        let connections = Self::new(&parse(&known)?, most);
        tokio::spawn(connections.clone().follow(folder, known));
        Ok(connections)
    }

    /// One of them, for work that is no tenant's.
    #[must_use]
    pub fn any(&self) -> &PgPool {
        &self.0[0].pool
    }

    /// Whether there is a connection, or one can be made.
    pub(crate) async fn reach(&self) -> bool {
        self.0.iter().any(|lane| lane.pool.size() > 0) || self.any().acquire().await.is_ok()
    }

    /// Ends all of them.
    pub async fn close(&self) {
        for lane in &*self.0 {
            lane.pool.close().await;
        }
    }

    /// Waits for a connection that works for the tenant: one that it prefers, else any.
    pub(crate) async fn turn(&self, tenant: &str) -> sqlx::Result<Turn> {
        let hash = hash(tenant);
        let preferred = self.preferred(hash);
        let found = preferred.iter().find_map(|at| Some((*at, self.0[*at].is_free()?)));
        let found = match found {
            Some(found) => Some(found),
            None => timeout(MOMENT, self.first_of(preferred)).await.ok(),
        };
        let (at, lane) = match found.or_else(|| self.any_free(preferred[1])) {
            Some(found) => found,
            None => timeout(ACQUIRE, self.first_of(0..self.0.len())).await.map_err(|_| sqlx::Error::PoolTimedOut)?,
        };
        let Lane { pool, turnover, .. } = &self.0[at];
        turnover.works_for(hash);
        Ok(Turn { pool: pool.clone(), _lane: lane })
    }

    fn preferred(&self, hash: u64) -> [usize; 2] {
        let lanes = self.0.len() as u64;
        let [first, second] = [hash % lanes, (hash >> 32) % lanes];
        let second = if first == second { (second + 1) % lanes } else { second };
        [first, second].map(|at| usize::try_from(at).unwrap_or_default())
    }

    fn any_free(&self, from: usize) -> Option<(usize, OwnedSemaphorePermit)> {
        let lanes = self.0.len();
        (0..lanes).map(|step| (from + step) % lanes).find_map(|at| Some((at, self.0[at].is_free()?)))
    }

    /// Waits for whichever is free first.
    async fn first_of(&self, lanes: impl IntoIterator<Item = usize>) -> (usize, OwnedSemaphorePermit) {
        let wait = |at: usize| {
            let free = Arc::clone(&self.0[at].free);
            Box::pin(async move { (at, free.acquire_owned().await.expect("it is never closed")) })
        };
        select_all(lanes.into_iter().map(wait)).await.0
    }

    async fn follow(self, folder: PathBuf, mut known: Fields) {
        while !self.any().is_closed() {
            tokio::time::sleep(LOOK).await;
            let present = match read(&folder) {
                Ok(present) if present == known => continue,
                Ok(present) => present,
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the database credentials can't be read");
                    continue;
                }
            };
            match parse(&present) {
                Ok(options) => {
                    self.log_in_by(&options).await;
                    tracing::info!("the database credentials have changed; connections are made anew");
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "changed database credentials can't be used");
                }
            }
            known = present;
        }
    }

    async fn log_in_by(&self, options: &PgConnectOptions) {
        for Lane { pool, turnover, .. } in &*self.0 {
            pool.set_connect_options(options.clone());
            turnover.credentials_changed();
            // One in use is closed when it is given back.
            if let Some(idle) = pool.try_acquire() {
                let _ = idle.close().await;
            }
        }
    }
}

fn hash(tenant: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    tenant.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn nowhere(most: u32) -> Connections {
        Connections::new(&PgConnectOptions::new_without_pgpass(), most)
    }

    fn busy(connections: &Connections) -> BTreeSet<usize> {
        (0..connections.0.len()).filter(|at| connections.0[*at].free.available_permits() == 0).collect()
    }

    async fn at(connections: &Connections, tenant: &str) -> (usize, Turn) {
        let before = busy(connections);
        let turn = connections.turn(tenant).await.unwrap();
        (*(&busy(connections) - &before).first().unwrap(), turn)
    }

    #[tokio::test]
    async fn a_tenant_gets_one_of_the_two_that_it_prefers_and_another_while_they_are_busy() {
        let connections = nowhere(10);
        let mut spread: BTreeMap<usize, usize> = BTreeMap::new();
        for number in 0..200 {
            let tenant = format!("tenant-{number}");
            let (first, one) = at(&connections, &tenant).await;
            let (second, other) = at(&connections, &tenant).await;
            let (third, another) = at(&connections, &tenant).await;
            assert_eq!(BTreeSet::from([first, second, third]).len(), 3);
            drop((one, other, another));
            assert_eq!(at(&connections, &tenant).await.0, first, "it prefers another now");
            *spread.entry(first).or_default() += 1;
        }
        assert!(spread.len() == 10 && spread.values().all(|tenants| *tenants > 5), "{spread:?}");
    }

    #[tokio::test]
    async fn whoever_finds_all_busy_gets_the_one_that_is_free_first() {
        let connections = nowhere(3);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(connections.turn("acme").await.unwrap());
        }
        let waiting = tokio::spawn({
            let connections = connections.clone();
            async move { connections.turn("acme").await.is_ok() }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        taken.pop();
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn a_single_connection_works_for_all() {
        let connections = nowhere(1);
        for tenant in ["acme", "borealis"] {
            assert!(connections.turn(tenant).await.is_ok());
        }
    }
}
