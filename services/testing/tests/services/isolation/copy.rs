//! Attacks by way of a move: with the login of the Job that copies, and by what a copy brings from a server that a client runs.

use anyhow::ensure;
use easycode_contract::database::Identifier;
use easycode_operator::postgres::CopySide;
use easycode_testing::{Platform, TestTenant};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{
    database::{refused, run},
    two_tenants,
};

/// How the copy of a tenant's data of CRM logs in.
async fn copy_login(tenant: &TestTenant, side: CopySide) -> anyhow::Result<PgConnectOptions> {
    let logins = tenant.platform.database().open_copy_login(&tenant.name, &["crm".to_owned()], side).await?;
    ensure!(logins.len() == 1 && logins[0].0 == "crm", "a login for more than what is copied");
    Ok(logins[0].1.options())
}

/// Number of roles that are copies' logins.
async fn copy_logins(platform: &Platform) -> anyhow::Result<String> {
    platform.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'copy%'").await
}

#[tokio::test]
async fn the_login_of_a_copy_reaches_its_tenant_and_nobody_else() -> anyhow::Result<()> {
    let (a, b) = two_tenants("copy").await?;
    a.add_contact("Own").await?;
    b.add_contact("Secret").await?;
    let login = copy_login(&a, CopySide::Target).await?;
    let mut session = PgConnection::connect_with(&login).await?;
    let (own, other) = (a.role(), b.role());
    let operator = a.platform.postgres().operator().user;
    for statement in [
        &format!("TABLE {own}.contact"),
        &format!("TABLE {other}.contact"),
        "CREATE SCHEMA evil",
        "CREATE TEMPORARY TABLE evil (x int)",
        "TABLE easycode.tenant_schema",
        "TABLE easycode.migration",
        &format!("SELECT easycode.migrate('{own}')"),
    ] {
        refused(&mut session, statement).await?;
    }
    for role in [&other, "svc_crm", "mig_crm", &operator, "postgres"] {
        refused(&mut session, &format!("SET ROLE {role}")).await?;
        refused(&mut session, &format!("GRANT {role} TO {own}")).await?;
    }
    run(&mut session, &format!("SET ROLE {own}; TABLE {own}.contact")).await?;
    for statement in [&format!("TABLE {other}.contact"), "CREATE SCHEMA evil"] {
        refused(&mut session, statement).await?;
    }
    for database in ["tenant_service", "user_service"] {
        let elsewhere = PgConnection::connect_with(&login.clone().database(database)).await;
        ensure!(elsewhere.is_err(), "it may connect to {database}");
    }
    Ok(())
}

#[tokio::test]
async fn the_login_by_which_a_copy_reads_plants_nothing_where_tenants_are_served() -> anyhow::Result<()> {
    let (a, b) = two_tenants("source").await?;
    a.add_contact("Own").await?;
    b.add_contact("Secret").await?;
    let mut session = PgConnection::connect_with(&copy_login(&a, CopySide::Source).await?).await?;
    let (own, other) = (a.role(), b.role());
    run(&mut session, &format!("TABLE {own}.contact")).await?;
    for statement in [
        &format!("SET ROLE {own}"),
        &format!("TABLE {other}.contact"),
        &format!("UPDATE {own}.contact SET phone = ''"),
        &format!("DELETE FROM {own}.contact"),
        &format!("CREATE FUNCTION {own}.hashtextextended(text, integer) RETURNS bigint LANGUAGE sql AS 'SELECT 1'"),
        &format!("CREATE CAST ({own}.contact AS text) WITH INOUT"),
        &format!(
            "CREATE TRIGGER evil BEFORE INSERT ON {own}.contact FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        ),
        "CREATE SCHEMA evil",
    ] {
        refused(&mut session, statement).await?;
    }
    // Postgres warns of what nobody may pass on, and does nothing.
    run(&mut session, &format!("GRANT USAGE ON SCHEMA {own} TO PUBLIC; GRANT SELECT ON {own}.contact TO PUBLIC"))
        .await?;
    let open =
        format!("SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname = '{own}' AND grantee = 0");
    ensure!(a.platform.sql("crm", &open).await? == "0", "it has passed its rights on");
    let granted = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{own}' AND nspacl::text LIKE '%copy%'");
    ensure!(a.platform.sql("crm", &granted).await? == "1", "it has no right of its own");
    a.platform.database().drop_copy_login(&a.name).await?;
    ensure!(a.platform.sql("crm", &granted).await? == "0", "its rights are left");
    Ok(())
}

#[tokio::test]
async fn the_login_of_a_copy_goes_with_its_sessions_and_all_it_owns() -> anyhow::Result<()> {
    let (a, b) = two_tenants("copy").await?;
    let database = a.platform.database();
    database.drop_copy_login(&a.name).await?;
    let login = copy_login(&a, CopySide::Target).await?;
    let mut session = PgConnection::connect_with(&login).await?;
    run(&mut session, "SELECT lo_create(0)").await?;
    ensure!(database.copied_roles().await?.into_iter().collect::<Vec<_>>() == [a.role()]);

    // Another trial has a password of its own, and the first is over.
    let again = copy_login(&a, CopySide::Target).await?;
    ensure!(run(&mut session, "SELECT 1").await.is_err(), "a session outlives its login");
    ensure!(PgConnection::connect_with(&login).await.is_err(), "the password of before is accepted");
    let session = PgConnection::connect_with(&again).await?;

    database.drop_copy_login(&b.name).await?;
    ensure!(copy_logins(&a.platform).await? == "1", "another tenant's login was dropped");
    database.drop_copy_login(&a.name).await?;
    ensure!(copy_logins(&a.platform).await? == "0", "a login is left");
    ensure!(database.copied_roles().await?.is_empty());
    drop(session);
    a.add_contact("Afterwards").await?;
    Ok(())
}

#[tokio::test]
async fn what_a_copy_brings_beside_rows_is_found() -> anyhow::Result<()> {
    let (a, b) = two_tenants("structure").await?;
    a.add_contact("Own").await?;
    let (role, database) = (Identifier::tenant(&a.name)?, a.platform.database());
    let own = a.role();
    let login = copy_login(&a, CopySide::Target).await?;
    ensure!(database.foreign_structure("crm", &role).await?.is_none());
    for (plant, remove) in [
        (
            "CREATE FUNCTION {own}.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN SET LOCAL ROLE {other}; RETURN NEW; END'; \
             CREATE TRIGGER evil BEFORE INSERT ON {own}.contact FOR EACH ROW EXECUTE FUNCTION {own}.evil()",
            "DROP FUNCTION {own}.evil() CASCADE",
        ),
        (
            "ALTER TABLE {own}.contact ALTER phone SET DEFAULT set_config('role', '{other}', true)",
            "ALTER TABLE {own}.contact ALTER phone DROP DEFAULT",
        ),
        (
            "ALTER TABLE {own}.contact ADD CONSTRAINT evil CHECK (set_config('role', '{other}', true) <> '') NOT VALID",
            "ALTER TABLE {own}.contact DROP CONSTRAINT evil",
        ),
        (
            "CREATE RULE evil AS ON UPDATE TO {own}.contact DO ALSO SELECT set_config('role', '{other}', true)",
            "DROP RULE evil ON {own}.contact",
        ),
        ("CREATE INDEX evil ON {own}.contact (lower(family_name))", "DROP INDEX {own}.evil"),
        (
            "ALTER TABLE {own}.contact ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
             CREATE POLICY evil ON {own}.contact USING (set_config('role', '{other}', true) <> '')",
            "DROP POLICY evil ON {own}.contact; ALTER TABLE {own}.contact DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
        ),
        ("CREATE DOMAIN {own}.evil AS text CHECK (VALUE <> '')", "DROP DOMAIN {own}.evil"),
        ("CREATE VIEW {own}.evil AS SELECT 1 AS one", "DROP VIEW {own}.evil"),
        ("GRANT CREATE ON SCHEMA {own} TO PUBLIC", "REVOKE CREATE ON SCHEMA {own} FROM PUBLIC"),
        ("GRANT TRIGGER ON {own}.contact TO PUBLIC", "REVOKE TRIGGER ON {own}.contact FROM PUBLIC"),
        ("GRANT UPDATE (phone) ON {own}.contact TO PUBLIC", "REVOKE UPDATE (phone) ON {own}.contact FROM PUBLIC"),
        (
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
            "ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC",
        ),
        (
            "CREATE OPERATOR {own}.@@@@ (FUNCTION = pg_catalog.texteq, LEFTARG = text, RIGHTARG = text)",
            "DROP OPERATOR {own}.@@@@ (text, text)",
        ),
    ] {
        let mut session = PgConnection::connect_with(&login).await?;
        let filled =
            |text: &str| format!("SET ROLE {own}; {}", text.replace("{own}", &own).replace("{other}", &b.role()));
        run(&mut session, &filled(plant)).await?;
        let found = database.foreign_structure("crm", &role).await?;
        ensure!(found.is_some(), "{plant}: not found");
        run(&mut session, &filled(remove)).await?;
        let left = database.foreign_structure("crm", &role).await?;
        ensure!(left.is_none(), "{remove}: still {left:?}");
    }
    // It looked, and changed nothing.
    let rows = a.platform.sql("crm", &format!("SELECT family_name FROM {own}.contact")).await?;
    ensure!(rows == "Own", "{rows}");
    Ok(())
}
