//! The service's connections, and the tenant's transaction: the only way to a tenant's data.

use std::{
    fs,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use easycode_contract::{context::TenantContext, database::Identifier};
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{Problem, limits::Limits};

/// Reads how to connect from the folder of one file a field.
pub fn options(folder: &Path) -> anyhow::Result<PgConnectOptions> {
    let field = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .with_context(|| format!("reading {}", path.display()))
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&field("host")?)
        .port(field("port")?.parse().context("port is no number")?)
        .username(&field("user")?)
        .password(&field("password")?)
        .database(&field("dbname")?)
        .ssl_mode(field("sslmode")?.parse()?);
    if let Ok(certificate) = field("ca.crt") {
        options = options.ssl_root_cert_from_pem(certificate.into_bytes());
    }
    Ok(options)
}

/// A pool that connects when first used.
#[must_use]
pub fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(3))
        .idle_timeout(Duration::from_mins(5))
        .connect_lazy_with(options)
}

/// Gives the pool changed credentials for its next connections: the kubelet renews a mounted Secret in place.
pub(crate) async fn follow_credentials(pool: PgPool, folder: PathBuf) {
    let fields = ["host", "port", "user", "password", "dbname", "sslmode", "ca.crt"];
    let read = || fields.map(|name| fs::read(folder.join(name)).ok());
    let mut known = read();
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let present = read();
        if present == known {
            continue;
        }
        match options(&folder) {
            Ok(options) => {
                pool.set_connect_options(options);
                tracing::info!("the database credentials have changed; new connections use them");
                known = present;
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "changed database credentials can't be read"),
        }
    }
}

/// Longest time for a transaction to begin, waiting for a connection included.
const LONGEST_BEGIN: Duration = Duration::from_secs(6);

/// A transaction as the tenant, in the tenant's schema, within the tenant's limits. Rolled back unless committed.
pub struct TenantTransaction {
    transaction: Transaction<'static, Postgres>,
    _connection: OwnedSemaphorePermit,
}

impl TenantTransaction {
    /// Begins. Fails with a 403 if the database does not let the service act as the tenant.
    ///
    /// In two round trips, so that the connection knows of its transaction before the role can be refused, and rolls it back
    /// before another tenant gets it.
    pub async fn begin(pool: &PgPool, context: &TenantContext, limits: &Limits) -> Result<Self, Problem> {
        // Derived anew rather than taken from the document: this is the name that reaches SQL.
        let role = Identifier::tenant(&context.tenant)
            .map_err(|error| Problem::forbidden("unknown-tenant", error.to_string()))?;
        let permit = limits.connection(context).await?;
        let settings = format!(
            "SET LOCAL ROLE {role}; SET LOCAL search_path = {role}; SET LOCAL statement_timeout = {}; \
             SET LOCAL lock_timeout = 5000; SET LOCAL idle_in_transaction_session_timeout = 30000",
            context.limits.statement_timeout_ms
        );
        let begin = async {
            let mut transaction = pool.begin().await?;
            raw_sql(AssertSqlSafe(settings)).execute(&mut *transaction).await?;
            Ok::<_, Problem>(transaction)
        };
        // A server that hangs enforces no timeout of its own.
        let transaction = tokio::time::timeout(LONGEST_BEGIN, begin)
            .await
            .map_err(|_| Problem::unavailable("the database does not answer; try again"))??;
        Ok(Self { transaction, _connection: permit })
    }

    /// Makes what was done last.
    pub async fn commit(self) -> Result<(), Problem> {
        Ok(self.transaction.commit().await?)
    }
}

impl Deref for TenantTransaction {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for TenantTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
