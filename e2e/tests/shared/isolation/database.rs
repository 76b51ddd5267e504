//! Attacks in the database, by an intruder with a service's password: what Postgres itself refuses.

use anyhow::bail;
use easycode_e2e::platform::Platform;
use easycode_operator::stack::plan::secrets::migration_secret;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{DENIED, refused};

/// Checks that a login is refused with one of the codes.
async fn locked_out(options: &PgConnectOptions, codes: &[&str], who: &str) -> anyhow::Result<()> {
    match PgConnection::connect_with(options).await {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| codes.contains(&code.as_ref())) => Ok(()),
        outcome => bail!("{who}: {outcome:?}, and not {codes:?}"),
    }
}

#[tokio::test]
async fn a_password_opens_one_login_and_the_superuser_has_none() -> anyhow::Result<()> {
    const WRONG_PASSWORD: &str = "28P01";
    const NO_LOGIN: &str = "28000";
    let platform = Platform::example().await?;
    let crm = platform.login_of("crm").await?;
    for other in ["mig_crm", "svc_tenant_service", "easycode_operator", "t_aurora", "nobody"] {
        locked_out(&crm.clone().username(other), &[WRONG_PASSWORD], other).await?;
    }
    for database in ["postgres", "crm", "easycode"] {
        let superuser = crm.clone().username("postgres").database(database);
        locked_out(&superuser, &[NO_LOGIN], "postgres").await?;
    }
    locked_out(&crm.clone().password(""), &[WRONG_PASSWORD], "no password").await?;
    // Postgres lets everyone connect to the databases that are not a service's; an embedded server's first start ends that.
    for database in ["easycode", "postgres", "template1", "tenant_service"] {
        locked_out(&crm.clone().database(database), &[DENIED], database).await?;
    }

    // What makes and changes schemas is no superuser either, and has no other service's database.
    let migrations = platform.login(&migration_secret("crm")).await?;
    locked_out(&migrations.clone().database("tenant_service"), &[DENIED], "mig_crm").await?;
    let mut session = PgConnection::connect_with(&migrations).await?;
    for statement in ["SELECT * FROM pg_authid", "CREATE ROLE evil", "COPY (SELECT 1) TO PROGRAM 'true'"] {
        refused(&mut session, statement).await?;
    }
    refused(&mut session, "SELECT * FROM t_aurora.contact").await
}
