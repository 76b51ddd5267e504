//! Attacks in the database, by an intruder with a service's password: what Postgres itself refuses.

use anyhow::{Context, bail, ensure};
use easycode_testing::TestTenant;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions, raw_sql};

use super::{two_tenants, with_examples};

/// Postgres' code for a right that is missing.
const DENIED: &str = "42501";

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

/// Checks that a login may not connect.
async fn locked_out(options: &PgConnectOptions, who: &str) -> anyhow::Result<()> {
    match PgConnection::connect_with(options).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DENIED) => Ok(()),
        outcome => bail!("{who}: {outcome:?}, and not {DENIED}"),
    }
}

#[tokio::test]
async fn without_a_tenants_role_a_service_reads_and_makes_nothing() -> anyhow::Result<()> {
    let platform = with_examples().await?;
    let mut session = platform.session_of("crm").await?;
    for statement in [
        "SELECT * FROM t_aurora.contact",
        "SELECT * FROM t_borealis.contact",
        "INSERT INTO t_aurora.company (id, name) VALUES (gen_random_uuid(), 'x')",
        "DROP SCHEMA t_aurora CASCADE",
        "SELECT * FROM easycode.migration",
        "SELECT * FROM easycode.tenant_schema",
        "DELETE FROM easycode.tenant_schema",
        "SELECT easycode.migrate('t_aurora')",
        "SELECT easycode.erase('t_aurora')",
        "CREATE TABLE public.evil (x int)",
        "CREATE FUNCTION public.evil() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA evil",
        "CREATE TEMPORARY TABLE contact (x int)",
    ] {
        refused(&mut session, statement).await?;
    }
    let readable: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p')
           AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
           AND has_schema_privilege(relnamespace, 'USAGE') AND has_table_privilege(oid, 'SELECT')",
    )
    .fetch_one(&mut session)
    .await?;
    ensure!(readable == 0, "{readable} relations can be read without any role");

    let options = platform.login_of("crm")?;
    for database in ["tenant_service", "user_service", "finance"] {
        locked_out(&options.clone().database(database), database).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_service_acts_as_the_tenants_entitled_to_it_and_as_nobody_else() -> anyhow::Result<()> {
    let platform = with_examples().await?;
    let operator = platform.postgres().operator().user;
    let other = TestTenant::create(&platform, "unentitled", json!({ "entitlements": [] })).await?;
    let mut session = platform.session_of("crm").await?;
    run(&mut session, "SET ROLE t_aurora; SELECT * FROM contact LIMIT 0; RESET ROLE").await.ok();
    run(&mut session, "SET ROLE t_aurora; SELECT * FROM t_aurora.contact LIMIT 0; RESET ROLE").await?;
    for role in
        [&other.role(), "t_cirrus", "mig_crm", "svc_tenant_service", "mig_tenant_service", &operator, "postgres"]
    {
        for statement in ["SET ROLE", "SET LOCAL ROLE", "SET SESSION AUTHORIZATION"] {
            refused(&mut session, &format!("BEGIN; {statement} {role}")).await?;
            run(&mut session, "ROLLBACK").await?;
        }
        refused(&mut session, &format!("GRANT {role} TO svc_crm")).await?;
    }
    // Nor can a tenant's role open another's, or widen itself.
    for role in [&other.role(), "t_borealis", "mig_crm", &operator] {
        refused(&mut session, &format!("SET ROLE t_aurora; GRANT {role} TO t_aurora")).await?;
        run(&mut session, "RESET ROLE").await?;
    }
    Ok(())
}

#[tokio::test]
async fn as_one_tenant_nothing_of_another_is_reached() -> anyhow::Result<()> {
    let (a, b) = two_tenants("roles").await?;
    b.add_contact("Secret").await?;
    let mut session = a.platform.session_of("crm").await?;
    let (own, other) = (a.role(), b.role());
    run(&mut session, &format!("SET ROLE {own}; SET search_path = {own}")).await?;
    for statement in [
        "SELECT * FROM {other}.contact",
        "SELECT count(*) FROM {other}.stage",
        "TABLE {other}.company",
        "INSERT INTO {other}.company (id, name) VALUES (gen_random_uuid(), 'x')",
        "UPDATE {other}.contact SET family_name = 'x'",
        "DELETE FROM {other}.contact",
        "TRUNCATE {other}.contact CASCADE",
        "DO $$ BEGIN LOCK TABLE {other}.contact; END $$",
        "CREATE TABLE {other}.evil (x int)",
        "CREATE VIEW evil AS SELECT * FROM {other}.contact",
        "CREATE FUNCTION {other}.evil() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE evil (x uuid REFERENCES {other}.contact)",
        "CREATE TABLE evil (LIKE {other}.contact)",
        "GRANT USAGE ON SCHEMA {other} TO {own}",
        "GRANT SELECT ON {other}.contact TO {own}",
        "ALTER SCHEMA {other} OWNER TO {own}",
        "ALTER SCHEMA {other} RENAME TO evil",
        "DROP SCHEMA {other} CASCADE",
        "ALTER TABLE contact SET SCHEMA {other}",
        "COPY {other}.contact TO STDOUT",
        "CREATE TABLE public.evil (x int)",
        "CREATE TEMPORARY TABLE contact (x int)",
        "SELECT * FROM easycode.tenant_schema",
        "SELECT easycode.erase('{other}')",
    ] {
        let statement = statement.replace("{other}", &other).replace("{own}", &own);
        refused(&mut session, &statement).await?;
    }
    // A schema without the right to use it is looked past: the table is not even seen.
    refused_with(&mut session, "42P01", &format!("SET search_path = {other}; SELECT * FROM contact")).await?;
    let rows = b.platform.sql("crm", &format!("SELECT family_name FROM {other}.contact")).await?;
    ensure!(rows == "Secret", "the other's rows: {rows}");
    Ok(())
}

#[tokio::test]
async fn neither_a_service_nor_a_tenant_gets_out_of_the_database() -> anyhow::Result<()> {
    let platform = with_examples().await?;
    for role in ["svc_crm", "t_aurora"] {
        let mut session = platform.session_of("crm").await?;
        run(&mut session, &format!("SET ROLE {role}")).await?;
        for statement in [
            "SELECT * FROM pg_authid",
            "SELECT * FROM pg_shadow",
            "SELECT * FROM pg_hba_file_rules",
            "ALTER ROLE svc_crm SUPERUSER",
            "ALTER ROLE svc_crm CREATEROLE",
            "ALTER ROLE t_aurora LOGIN",
            "ALTER ROLE t_borealis PASSWORD 'x'",
            "ALTER ROLE mig_crm PASSWORD 'x'",
            "CREATE ROLE evil",
            "DROP ROLE t_borealis",
            "CREATE DATABASE evil",
            "GRANT pg_read_all_data TO svc_crm",
            "GRANT pg_execute_server_program TO t_aurora",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_ls_dir('/')",
            "SELECT lo_import('/etc/passwd')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "COPY (SELECT 1) TO '/tmp/evil'",
            "DO $$ BEGIN EXECUTE 'COPY pg_class FROM PROGRAM ''true'''; END $$",
            "CREATE EXTENSION dblink SCHEMA t_aurora",
            "CREATE EXTENSION file_fdw SCHEMA t_aurora",
            "CREATE EXTENSION pageinspect SCHEMA t_aurora",
            "CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION pg_event_trigger_dropped_objects()",
            "CREATE FOREIGN DATA WRAPPER evil",
            "ALTER SYSTEM SET log_statement = 'all'",
            "SELECT pg_reload_conf()",
            "SET session_replication_role = replica",
            "SET log_statement = 'none'",
            "CREATE PUBLICATION evil FOR ALL TABLES",
            "SELECT pg_create_logical_replication_slot('evil', 'test_decoding')",
        ] {
            refused(&mut session, statement).await?;
        }
        let others: Vec<i32> =
            sqlx::query("SELECT pid FROM pg_stat_activity WHERE usename IN ($1, 'svc_tenant_service', 'mig_crm')")
                .bind(platform.postgres().operator().user)
                .fetch_all(&mut session)
                .await?
                .iter()
                .map(|row| row.get(0))
                .collect();
        ensure!(!others.is_empty(), "nobody else is connected");
        for pid in others {
            refused(&mut session, &format!("SELECT pg_terminate_backend({pid})")).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_migrates_a_service_is_no_superuser_and_reads_no_tenant() -> anyhow::Result<()> {
    let platform = with_examples().await?;
    let migrations = platform.migration_login_of("crm")?;
    locked_out(&migrations.clone().database("tenant_service"), "mig_crm").await?;
    let mut session = PgConnection::connect_with(&migrations).await?;
    for statement in ["SELECT * FROM pg_authid", "CREATE ROLE evil", "COPY (SELECT 1) TO PROGRAM 'true'"] {
        refused(&mut session, statement).await?;
    }
    refused(&mut session, "SELECT * FROM t_aurora.contact").await
}
