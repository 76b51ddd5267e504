//! What an intruder leaves behind who once ran SQL as a tenant: it stays that tenant's own trouble.

use anyhow::ensure;
use reqwest::Method;
use serde_json::json;

use super::{
    database::{refused, run},
    two_tenants,
};

#[tokio::test]
async fn objects_that_one_tenant_plants_are_not_reached_by_another() -> anyhow::Result<()> {
    let (a, b) = two_tenants("planted").await?;
    let own = a.role();
    let mut session = a.platform.session_of("crm").await?;
    // Whoever resolved these names in the intruder's schema would get an error that tells so.
    let trap = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$";
    run(&mut session, &format!("SET ROLE {own}; SET search_path = {own}")).await?;
    for statement in [
        format!("CREATE FUNCTION lower(text) RETURNS text {trap}"),
        format!("CREATE FUNCTION to_tsquery(text, text) RETURNS tsquery {trap}"),
        format!("CREATE FUNCTION count(bigint) RETURNS bigint {trap}"),
        format!("CREATE FUNCTION trapped(text, text) RETURNS boolean {trap}"),
        "CREATE OPERATOR || (LEFTARG = text, RIGHTARG = text, FUNCTION = trapped)".to_owned(),
        "CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = trapped)".to_owned(),
        "CREATE TABLE pg_class (oid int)".to_owned(),
        "CREATE TYPE uuid AS ENUM ('trapped')".to_owned(),
        format!("CREATE FUNCTION trap() RETURNS trigger {trap}"),
        "CREATE TRIGGER trap BEFORE INSERT ON company EXECUTE FUNCTION trap()".to_owned(),
    ] {
        run(&mut session, &statement).await?;
    }
    refused(
        &mut session,
        &format!("CREATE TRIGGER trap BEFORE INSERT ON {}.company EXECUTE FUNCTION trap()", b.role()),
    )
    .await?;
    drop(session);

    // Every connection of the service's pool has its turn for both. The intruder's own tenant may well be in the trap.
    for round in 0..20 {
        a.ask("crm", Method::POST, "/companies", Some(json!({ "name": "Trapped" }))).await?;
        a.read("/search?q=lovelace").await?;
        let contact = json!({ "familyName": "Lovelace", "email": format!("Ada{round}@x.example") });
        let made = b.ask("crm", Method::POST, "/contacts", Some(contact)).await?;
        ensure!(made.status == 201 && made.body["email"] == format!("ada{round}@x.example"), "{made:?}");
        let found = b.read("/search?q=lovelace").await?;
        ensure!(found.body.as_array().is_some_and(|hits| hits.len() == round + 1), "{found:?}");
        let company = b.ask("crm", Method::POST, "/companies", Some(json!({ "name": "Free" }))).await?;
        ensure!(company.status == 201, "{company:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_an_intruder_made_or_granted_does_not_hold_up_an_erasure() -> anyhow::Result<()> {
    let (a, b) = two_tenants("leftover").await?;
    let (own, other) = (a.role(), b.role());
    let mut session = a.platform.session_of("crm").await?;
    run(&mut session, &format!("SET ROLE {own}; SELECT lo_create(0); GRANT USAGE ON SCHEMA {own} TO {other}")).await?;
    run(&mut session, &format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {own} GRANT SELECT ON TABLES TO {other}")).await?;
    drop(session);
    let left = async |what: &str| a.platform.sql("crm", what).await;
    // What the other tenant granted is no data of this one: it must not keep it from being erased.
    b.erase().await?;
    ensure!(left(&format!("SELECT nspname FROM pg_namespace WHERE nspname = '{other}'")).await?.is_empty(), "{other}");
    a.erase().await?;
    ensure!(left(&format!("SELECT rolname FROM pg_roles WHERE rolname = '{own}'")).await?.is_empty(), "{own}");
    let objects = left("SELECT lomowner::regrole FROM pg_largeobject_metadata").await?;
    ensure!(!objects.contains(&own), "still there: {objects}");
    // The empty shell of a role that the grant kept: nothing depends on it any more.
    left(&format!("DROP ROLE IF EXISTS {other}")).await?;
    Ok(())
}
