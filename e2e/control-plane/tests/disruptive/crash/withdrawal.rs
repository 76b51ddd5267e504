//! Killed while an entitlement is withdrawn. Access is closed for the services first and in the database after: wherever it
//! stops, nothing is open that was to be closed, and the withdrawal comes to its end.

use anyhow::ensure;
use easycode_e2e::{
    block::{Block, Write},
    platform::Platform,
    tenant::TestTenant,
};
use serde_json::json;

use super::{end, kill_and_lose_at, kill_at, right};

async fn entitled() -> anyhow::Result<TestTenant> {
    TestTenant::create(&Platform::example().await?, "crash", json!({})).await
}

async fn withdrawn(tenant: &TestTenant) -> anyhow::Result<()> {
    tenant.ready().await;
    right::as_planned(tenant, &["tenant-service", "user-service"]).await?;
    let refused = tenant.serves(403).await;
    ensure!(refused.code() == "not-entitled", "{refused:?}");
    end(tenant).await
}

#[tokio::test]
async fn killed_before_it_tells_the_services_the_operator_still_withdraws() -> anyhow::Result<()> {
    let tenant = entitled().await?;
    let write = Write::of_config_map(&tenant.platform.namespace(), &format!("tenant-{}", tenant.name));
    let block = Block::write(&tenant.platform.cluster, &write).await?;
    tenant.change(json!({ "entitlements": [] })).await?;
    kill_at(&tenant, block).await?;
    withdrawn(&tenant).await
}

#[tokio::test]
async fn killed_between_the_services_and_the_database_the_operator_still_revokes() -> anyhow::Result<()> {
    let tenant = entitled().await?;
    let block = Block::membership(&tenant.platform, &tenant.role(), "crm").await?;
    tenant.change(json!({ "entitlements": [] })).await?;
    // The services know it already.
    tenant.serves(403).await;
    kill_and_lose_at(&tenant, block).await?;
    withdrawn(&tenant).await
}

#[tokio::test]
async fn a_revocation_that_is_committed_after_the_operator_died_is_taken_over() -> anyhow::Result<()> {
    let tenant = entitled().await?;
    let block = Block::registry(&tenant.platform).await?;
    tenant.change(json!({ "entitlements": [] })).await?;
    kill_at(&tenant, block).await?;
    withdrawn(&tenant).await
}

#[tokio::test]
async fn killed_before_it_reports_a_withdrawal_the_operator_reports_it() -> anyhow::Result<()> {
    let tenant = entitled().await?;
    let block = Block::write(&tenant.platform.cluster, &Write::to_status_of(&tenant.name)).await?;
    tenant.change(json!({ "entitlements": [] })).await?;
    kill_at(&tenant, block).await?;
    withdrawn(&tenant).await
}
