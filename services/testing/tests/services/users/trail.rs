//! The company's own trail: complete, and only added to.

use anyhow::{bail, ensure};
use easycode_contract::runtime::USER_SERVICE;
use easycode_testing::people::PASSWORD;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, raw_sql};

use super::company;

#[tokio::test]
async fn every_change_is_in_the_trail_without_secrets() -> anyhow::Result<()> {
    let (_, ada) = company("trail", json!({})).await?;
    let bob = ada.add("bob", &[("crm", "crm-user")]).await?;
    ada.change(&bob.id()?, "Disabled", &[]).await?;
    let trail = ada.trail().await?;
    let told: Vec<_> = trail
        .iter()
        .map(|event| (event["act"].as_str().unwrap_or_default(), event["actor"].as_str().unwrap_or_default()))
        .collect();
    let (ada_id, bob_id) = (ada.id()?, bob.id()?);
    let expected = [
        ("user.invited", "staff:Sam of EasyCode"),
        ("user.link-followed", &ada_id),
        ("session.opened", &ada_id),
        ("user.invited", &ada_id),
        ("user.link-followed", &bob_id),
        ("session.opened", &bob_id),
        ("user.changed", &ada_id),
    ];
    ensure!(told == expected, "{told:?}");
    let changed = &trail[6]["detail"];
    ensure!(changed["before"]["status"] == "Active" && changed["after"]["status"] == "Disabled", "{changed}");
    let text = serde_json::to_string(&trail)?;
    for secret in [PASSWORD, "argon2", &bob.refresh_token, &bob.token] {
        ensure!(!text.contains(secret), "a secret is in the trail");
    }
    Ok(())
}

#[tokio::test]
async fn the_trail_is_only_added_to_even_by_the_services_own_login() -> anyhow::Result<()> {
    let (tenant, ada) = company("append", json!({})).await?;
    let before = ada.trail().await?;
    let mut session = tenant.platform.session_of(USER_SERVICE).await?;
    let acting = format!("SET ROLE {0}; SET search_path = {0}", tenant.role());
    raw_sql(AssertSqlSafe(acting)).execute(&mut session).await?;
    for statement in [
        "UPDATE event SET actor = 'mallory'",
        "UPDATE event SET at = now() WHERE false",
        "DELETE FROM event",
        "TRUNCATE event",
        "INSERT INTO event (id, actor, act, subject) SELECT id, actor, act, subject FROM event
             ON CONFLICT (id) DO UPDATE SET actor = 'mallory'",
    ] {
        match raw_sql(statement).execute(&mut session).await {
            Err(sqlx::Error::Database(error)) if error.message().contains("stays in the trail") => {}
            outcome => bail!("{statement}: {outcome:?}"),
        }
    }
    session.close().await?;
    ensure!(ada.trail().await? == before, "the trail has changed");
    Ok(())
}
