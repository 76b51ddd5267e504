//! The service's connections, and the tenant's transaction: the only way to a tenant's data.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use easycode_contract::{context::TenantContext, database::Identifier};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction, raw_sql};
use tokio::sync::OwnedSemaphorePermit;

pub use crate::credentials::{options, pool};
use crate::{Problem, guard::NOT_ENTITLED, limits::Limits};

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
             SET LOCAL lock_timeout = 5000; SET LOCAL idle_in_transaction_session_timeout = 30000{}",
            context.limits.statement_timeout_ms,
            if context.read_only { "; SET TRANSACTION READ ONLY" } else { "" },
        );
        let begin = async {
            let mut transaction = pool.begin().await?;
            raw_sql(AssertSqlSafe(settings)).execute(&mut *transaction).await.map_err(refused)?;
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

/// Why a transaction did not begin. Where the role may not be taken, the operator has revoked it.
fn refused(error: sqlx::Error) -> Problem {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.as_deref() == Some("42501") {
        return Problem::forbidden(NOT_ENTITLED, "the tenant's access to this service was withdrawn");
    }
    error.into()
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
