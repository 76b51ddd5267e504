//! What attacks on the isolation of tenants share: two tenants, and statements that Postgres must refuse.

use anyhow::{Context, bail};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};

use crate::{platform::Platform, tenant::TestTenant};

/// Postgres' code for a right that is missing.
pub const DENIED: &str = "42501";

/// Two tenants of the example platform; the first one attacks the second.
pub async fn two_tenants(what: &str) -> anyhow::Result<(TestTenant, TestTenant)> {
    let platform = Platform::example().await?;
    let entitled = json!({ "entitlements": [{ "service": "crm", "modules": ["campaigns"] }] });
    let (a, b) = (format!("{what}-a"), format!("{what}-b"));
    tokio::try_join!(TestTenant::create(&platform, &a, entitled.clone()), TestTenant::create(&platform, &b, entitled),)
}

/// Erases both.
pub async fn erase(a: &TestTenant, b: &TestTenant) -> anyhow::Result<()> {
    tokio::try_join!(a.erase(), b.erase())?;
    Ok(())
}

/// Runs statements.
pub async fn run(session: &mut PgConnection, statement: &str) -> anyhow::Result<()> {
    raw_sql(AssertSqlSafe(statement.to_owned())).execute(session).await.with_context(|| statement.to_owned())?;
    Ok(())
}

/// Checks that Postgres refuses the statement with the code.
pub async fn refused_with(session: &mut PgConnection, code: &str, statement: &str) -> anyhow::Result<()> {
    match raw_sql(AssertSqlSafe(statement.to_owned())).execute(session).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(code) => Ok(()),
        outcome => bail!("{statement}: {outcome:?}, and not {code}"),
    }
}

/// Checks that Postgres refuses the statement for want of a right.
pub async fn refused(session: &mut PgConnection, statement: &str) -> anyhow::Result<()> {
    refused_with(session, DENIED, statement).await
}
