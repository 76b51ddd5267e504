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
    let dynamo = "/client-admin/instances/dynamo";
    for (query, is_there) in [
        ("q=DYNAMO+energy&state=Active", true),
        ("q=dynamo&region=nowhere", false),
        ("q=dynamo&state=Suspended", false),
    ] {
        let found = support.get(&format!("/client-admin/fleet?{query}")).await?;
        ensure!(found.html.contains(dynamo) == is_there, "{query}: {}", found.text());
    }
    ensure!(fleet.html.contains("/client-admin/platforms/eu1"), "the fleet does not lead to the platform");
    let platform = support.get("/client-admin/platforms/eu1").await?;
    for part in ["of 2000 tenants", "DatabaseReady", "ServicesAvailable", "Release"] {
        ensure!(platform.status == 200 && platform.text().contains(part), "{part}: {}", platform.text());
    }
    ensure!(platform.html.contains("/client-admin/tenants?platform=eu1"), "{}", platform.text());
    ensure!(support.get("/client-admin/platforms/nowhere").await?.status == 404);
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
    let found = program.ask(Method::GET, "/instances?q=dynamo+energy", None).await?;
    ensure!(found.status == 200 && found.body["items"][0]["name"] == "dynamo", "{:?}", found.body);
    let platform = program.ask(Method::GET, "/platforms/eu1", None).await?;
    ensure!(platform.status == 200 && platform.body["status"]["conditions"].is_array(), "{:?}", platform.body);
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
