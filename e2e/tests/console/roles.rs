//! Who may do what.

use anyhow::ensure;
use easycode_e2e::{
    cluster::Cluster,
    console::{Browser, Program},
};
use http::Method;
use serde_json::json;

use super::{generation, newcomer, spec};

#[tokio::test]
async fn support_reads_and_changes_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let mut support = Browser::signed_in(&cluster, "support").await?;
    let fleet = support.get("/client-admin/fleet").await?;
    ensure!(fleet.text().contains("eu1") && fleet.text().contains("of 2000 tenants"), "{}", fleet.text());
    let found = support.get("/client-admin/tenants?q=AURORA&model=Shared&state=Active").await?;
    ensure!(found.text().contains("Aurora Textiles Ltd") && !found.text().contains("Borealis"), "{}", found.text());
    let page = support.get("/client-admin/tenants/aurora").await?;
    ensure!(page.text().contains("easycode audit --tenant aurora"), "{}", page.text());
    ensure!(!page.html.contains("/client-admin/tenants/aurora/change"), "support is offered to change it");
    for path in ["change", "suspend", "dedicate", "offboard"] {
        let refused = support.get(&format!("/client-admin/tenants/aurora/{path}")).await?;
        ensure!(refused.status == 403, "{path}: {}", refused.status);
    }
    let program = Program::of(&cluster, "support").await?;
    ensure!(program.ask(Method::GET, "/fleet", None).await?.status == 200);
    let answer = program.ask(Method::POST, "/tenants/aurora/suspend", Some(json!({ "seen": 1 }))).await?;
    ensure!(answer.status == 403 && answer.code() == "role", "{:?}", answer.body);
    Ok(())
}

#[tokio::test]
async fn operations_changes_and_does_not_offboard() -> anyhow::Result<()> {
    let tenant = newcomer("roles").await?;
    let operations = Program::of(&tenant.platform.cluster, "operations").await?;
    let made = operations.put(&tenant.name, &spec(&tenant.platform), None).await?;
    ensure!(made.status == 200, "{:?}", made.body);
    let seen = generation(&tenant.ready().await);
    let again = operations.put(&tenant.name, &spec(&tenant.platform), None).await?;
    ensure!(again.status == 412, "a name that is taken: {:?}", again.body);
    let path = format!("/tenants/{}", tenant.name);
    let suspended = operations.ask(Method::POST, &format!("{path}/suspend"), Some(json!({ "seen": seen }))).await?;
    ensure!(suspended.status == 200, "{:?}", suspended.body);
    let stale = operations.ask(Method::POST, &format!("{path}/resume"), Some(json!({ "seen": seen }))).await?;
    ensure!(stale.status == 412 && stale.code() == "changed-meanwhile", "{:?}", stale.body);
    let refused = operations.ask(Method::DELETE, &path, Some(json!({ "confirm": tenant.name }))).await?;
    ensure!(refused.status == 403, "{:?}", refused.body);
    let administrator = Program::of(&tenant.platform.cluster, "administrator").await?;
    let unconfirmed = administrator.ask(Method::DELETE, &path, Some(json!({ "confirm": "other" }))).await?;
    ensure!(unconfirmed.status == 422, "{:?}", unconfirmed.body);
    let accepted = administrator.ask(Method::DELETE, &path, Some(json!({ "confirm": tenant.name }))).await?;
    ensure!(accepted.status == 202, "{:?}", accepted.body);
    tenant.gone().await;
    Ok(())
}
