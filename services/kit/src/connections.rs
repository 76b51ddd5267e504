//! The service's connections to its database.

use std::{future::ready, ops::Deref, path::PathBuf, time::Duration};

use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    credentials::{Fields, parse, read},
    turnover::Turnover,
};

/// Longest wait for a connection.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a connection is kept that nobody needs. Each is a process of Postgres, with all that it remembers of tenants.
const IDLE: Duration = Duration::from_mins(1);
/// How long a connection counts as alive without being asked: it is asked whenever it is given back, and asking costs a round trip.
const UNTESTED: Duration = Duration::from_secs(1);
/// How often it is looked whether the credentials have changed.
const LOOK: Duration = Duration::from_secs(5);
/// Connections for tenants' transactions, made when they are first needed; cheap to clone.
#[derive(Clone)]
pub struct Connections {
    pool: PgPool,
    turnover: Turnover,
}

impl Connections {
    /// At most so many, which log in by the options.
    #[must_use]
    pub fn new(options: PgConnectOptions, most: u32) -> Self {
        let turnover = Turnover::default();
        let watched = turnover.clone();
        let pool = PgPoolOptions::new()
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
            .after_release(move |_, connection| Box::pin(ready(Ok(!watched.is_over(connection.age)))))
            .connect_lazy_with(options);
        Self { pool, turnover }
    }

    /// At most so many, which log in as the folder says at any time: the kubelet renews a mounted Secret in place.
    pub(crate) fn following(folder: PathBuf, most: u32) -> anyhow::Result<Self> {
        let known = read(&folder)?;
        let connections = Self::new(parse(&known)?, most);
        tokio::spawn(connections.clone().follow(folder, known));
        Ok(connections)
    }

    /// The pool, for work for the tenant.
    pub(crate) fn for_work_of(&self, tenant: &str) -> &PgPool {
        self.turnover.works_for(tenant);
        &self.pool
    }

    async fn follow(self, folder: PathBuf, mut known: Fields) {
        while !self.pool.is_closed() {
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
                    self.pool.set_connect_options(options);
                    self.turnover.credentials_changed();
                    // Those in use are closed when they are given back.
                    for _ in 0..self.pool.num_idle() {
                        if let Some(idle) = self.pool.try_acquire() {
                            let _ = idle.close().await;
                        }
                    }
                    tracing::info!("the database credentials have changed; connections are made anew");
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "changed database credentials can't be used");
                }
            }
            known = present;
        }
    }
}

impl Deref for Connections {
    type Target = PgPool;
    fn deref(&self) -> &PgPool {
        &self.pool
    }
}
