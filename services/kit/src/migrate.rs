//! Publishes a service's migrations and brings every tenant's schema up to date: in parallel, a transaction each,
//! resumable, so that a run that was cut off is simply run again.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::{
    Config,
    database::{self, Connections},
    names,
};

/// One migration of the tenants' schemas.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number, from 1 without gaps.
    pub version: i32,
    /// What it does.
    pub name: &'static str,
    /// Its statements, run as the tenant in the tenant's schema.
    pub script: &'static str,
}

/// Schemas migrated at once.
const PARALLEL: usize = 4;
const ATTEMPTS: u32 = 4;
/// For how long the first connection is tried, and the time between two attempts.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);
/// Longest time to wait for a lock: whoever works with the tenant's tables waits behind.
const LONGEST_LOCK: &str = "2s";

/// Runs all of it with the credentials of the environment.
pub async fn run(config: &Config, migrations: &[Migration]) -> anyhow::Result<()> {
    let options = database::options(&config.database)?.options([("lock_timeout", LONGEST_LOCK)]);
    names::resolved(options.get_host()).await?;
    let connections = Connections::new(&options, u32::try_from(PARALLEL)?);
    connected(connections.any()).await?;
    let newest = publish(connections.any(), migrations).await?;
    let behind: Vec<String> =
        sqlx::query_scalar("SELECT name FROM easycode.tenant_schema WHERE version < $1 ORDER BY name")
            .bind(newest)
            .fetch_all(connections.any())
            .await?;
    let outcomes: Vec<_> = futures::stream::iter(&behind)
        .map(|schema| migrate(&connections, schema))
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let failed = outcomes.iter().filter(|succeeded| !**succeeded).count();
    info!(service = config.service, version = newest, schemas = behind.len(), failed, "migrated");
    if failed > 0 {
        bail!("{failed} of {} schemas were not migrated; each is logged above with its reason", behind.len());
    }
    Ok(())
}

/// Waits for the first connection, for a while: Postgres' own policy may not know yet of a pod that has just started, and a Job tries again
/// later and later.
async fn connected(pool: &PgPool) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match pool.acquire().await {
            Ok(_) => return Ok(()),
            Err(sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)) if Instant::now() < until => sleep(PAUSE).await,
            Err(error) => return Err(error).context("connecting"),
        }
    }
}

/// Publishes the migrations and returns the newest version. Refuses one that was published with another text.
pub async fn publish(pool: &PgPool, migrations: &[Migration]) -> anyhow::Result<i32> {
    let mut transaction = pool.begin().await.context("connecting")?;
    for migration in migrations {
        let digest = Sha256::digest(migration.script);
        let checksum = format!("{:032x}", u128::from_be_bytes(digest[..16].try_into()?));
        let present: Option<String> = sqlx::query_scalar("SELECT checksum FROM easycode.migration WHERE version = $1")
            .bind(migration.version)
            .fetch_optional(&mut *transaction)
            .await?;
        match present {
            None => {
                sqlx::query("INSERT INTO easycode.migration (version, name, script, checksum) VALUES ($1, $2, $3, $4)")
                    .bind(migration.version)
                    .bind(migration.name)
                    .bind(migration.script)
                    .bind(&checksum)
                    .execute(&mut *transaction)
                    .await?;
            }
            Some(present) if present == checksum => {}
            Some(_) => bail!(
                "migration {} ({}) was published with another text; a published migration can't be changed, add a new one",
                migration.version,
                migration.name
            ),
        }
    }
    transaction.commit().await?;
    Ok(migrations.iter().map(|migration| migration.version).max().unwrap_or_default())
}

async fn migrate(connections: &Connections, schema: &str) -> bool {
    let migrated = async || {
        let turn = connections.turn(schema).await?;
        sqlx::query("SELECT easycode.migrate($1)").bind(schema).execute(&turn.pool).await
    };
    for attempt in 1..=ATTEMPTS {
        match migrated().await {
            Ok(_) => return true,
            Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                warn!(schema, %error, "not migrated, trying again");
                sleep(Duration::from_millis(200 << attempt)).await;
            }
            Err(error) => {
                error!(schema, %error, "not migrated");
                return false;
            }
        }
    }
    false
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["40001", "40P01", "55P03"].contains(&code.as_ref())
                || ["08", "53", "57"].iter().any(|class| code.starts_with(class))
        }),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        _ => false,
    }
}
