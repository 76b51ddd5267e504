//! The service's connections, and the tenant's transaction: the only way to a tenant's data.

use std::{
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use easycode_contract::{context::TenantContext, database::Identifier};
use futures::future::BoxFuture;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use crate::{Problem, connections::Turn, guard::NOT_ENTITLED, limits::Limits};
pub use crate::{
    connections::{Connections, pool},
    credentials::options,
};

/// Longest time for a transaction to begin, waiting for a connection included.
const LONGEST_BEGIN: Duration = Duration::from_secs(6);

/// A transaction as the tenant, in the tenant's schema, within the tenant's limits. Rolled back unless committed.
pub struct TenantTransaction {
    transaction: Transaction<'static, Postgres>,
    _turn: Turn,
    _permit: OwnedSemaphorePermit,
}

impl TenantTransaction {
    /// Begins. Fails with a 403 if the database does not let the service act as the tenant.
    pub async fn begin(connections: &Connections, context: &TenantContext, limits: &Limits) -> Result<Self, Problem> {
        // Derived anew rather than taken from the document: this is the name that reaches SQL.
        let role = Identifier::tenant(&context.tenant)
            .map_err(|error| Problem::forbidden("unknown-tenant", error.to_string()))?;
        let permit = limits.connection(context).await?;
        let statement = beginning(&role, context);
        let beginning = async {
            let turn = connections.turn(&context.tenant).await?;
            Beginning::of(turn, statement, permit).await
        };
        // A server that hangs enforces no timeout of its own.
        tokio::time::timeout(LONGEST_BEGIN, beginning)
            .await
            .map_err(|_| Problem::unavailable("the database does not answer; try again"))?
            .map_err(refused)
    }

    /// Makes what was done last.
    pub async fn commit(self) -> Result<(), Problem> {
        Ok(self.transaction.commit().await?)
    }
}

/// What begins the transaction, in one round trip.
///
/// `BEGIN` comes last: Postgres runs what is sent together in one transaction, which `BEGIN` turns into one that stays open. Where the
/// role is refused it is rolled back before it stays open, and the connection is as it was.
fn beginning(role: &Identifier, context: &TenantContext) -> String {
    format!(
        "SET LOCAL ROLE {role}; SET LOCAL search_path = {role}; SET LOCAL statement_timeout = {}; \
         SET LOCAL lock_timeout = 5000; SET LOCAL idle_in_transaction_session_timeout = 30000; BEGIN{}",
        context.limits.statement_timeout_ms,
        if context.read_only { " READ ONLY" } else { "" },
    )
}

/// A transaction that begins, and whose beginning is never broken off: if nobody waits for it any more it goes on by itself, and is
/// rolled back once it has begun. Otherwise its connection would serve others without knowing of it. Meanwhile it counts as one of the
/// tenant's.
struct Beginning(Option<BoxFuture<'static, sqlx::Result<TenantTransaction>>>);

impl Beginning {
    fn of(turn: Turn, statement: String, permit: OwnedSemaphorePermit) -> Self {
        Self(Some(Box::pin(async move {
            let transaction = begin(&turn.pool, statement).await?;
            Ok(TenantTransaction { transaction, _turn: turn, _permit: permit })
        })))
    }
}

impl Future for Beginning {
    type Output = sqlx::Result<TenantTransaction>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(beginning) = &mut self.0 else { return Poll::Pending };
        let outcome = beginning.as_mut().poll(context);
        if outcome.is_ready() {
            self.0 = None;
        }
        outcome
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let (Some(beginning), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(beginning);
        }
    }
}

/// Begins. A connection that has died since it was last used is told by its first statement; nothing was done over it then, so it is
/// made anew.
async fn begin(pool: &PgPool, statement: String) -> sqlx::Result<Transaction<'static, Postgres>> {
    match pool.begin_with(AssertSqlSafe(statement.clone())).await {
        Err(error) if is_of_a_dead_connection(&error) => tracing::info!(%error, "a connection has died"),
        outcome => return outcome,
    }
    pool.begin_with(AssertSqlSafe(statement)).await
}

fn is_of_a_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // The server says why it has closed it: it stops, or someone has ended the session.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
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
