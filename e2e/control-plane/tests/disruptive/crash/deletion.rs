//! Killed while a tenant is deleted with its data: the erasure comes to its end, once, with a receipt.

use anyhow::Context;
use easycode_e2e::{
    block::{Block, Write},
    operator::Operator,
    platform::Platform,
    tenant::TestTenant,
};
use serde_json::json;

use super::{kill_and_lose_at, kill_at, right};

/// A tenant with data.
async fn with_data() -> anyhow::Result<(TestTenant, String)> {
    let tenant = TestTenant::create(&Platform::example().await?, "crash", json!({})).await?;
    tenant.add_contact("Lovelace").await?;
    let uid = tenant.get().await?.metadata.uid.context("a tenant without uid")?;
    Ok((tenant, uid))
}

async fn erased(tenant: &TestTenant, uid: &str) -> anyhow::Result<()> {
    tenant.gone().await;
    right::nothing_left(tenant).await?;
    right::receipted(tenant, uid).await?;
    Operator::of(&tenant.platform.cluster).settled().await;
    Ok(())
}

#[tokio::test]
async fn killed_before_it_withdraws_the_context_the_operator_still_erases() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    let write = Write::deleting_config_map(&tenant.platform.namespace(), &format!("tenant-{}", tenant.name));
    let block = Block::write(&tenant.platform.cluster, &write).await?;
    tenant.delete().await?;
    kill_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}

#[tokio::test]
async fn killed_before_it_closes_access_the_operator_still_erases() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    let block = Block::membership(&tenant.platform, &tenant.role(), "crm").await?;
    tenant.delete().await?;
    kill_and_lose_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}

#[tokio::test]
async fn killed_while_it_erases_a_schema_the_operator_erases_it_anew() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    let block = Block::schema(&tenant.platform, "crm", &tenant.role()).await?;
    tenant.delete().await?;
    kill_and_lose_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}

#[tokio::test]
async fn an_erasure_that_is_committed_after_the_operator_died_is_taken_over() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    let block = Block::schema(&tenant.platform, "crm", &tenant.role()).await?;
    tenant.delete().await?;
    kill_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}

#[tokio::test]
async fn killed_before_it_forgets_the_role_the_operator_forgets_it() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    let block = Block::registry(&tenant.platform).await?;
    tenant.delete().await?;
    kill_and_lose_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}

#[tokio::test]
async fn a_role_that_is_forgotten_after_the_operator_died_still_has_its_receipt() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    let block = Block::registry(&tenant.platform).await?;
    tenant.delete().await?;
    kill_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}

#[tokio::test]
async fn killed_before_it_writes_the_receipt_the_operator_still_writes_it() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    let name = format!("receipt-{}-{}", tenant.name, &uid[..8]);
    let block =
        Block::write(&tenant.platform.cluster, &Write::of_config_map(&tenant.platform.namespace(), &name)).await?;
    tenant.delete().await?;
    kill_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}

#[tokio::test]
async fn killed_before_it_lets_the_tenant_go_the_operator_lets_it_go() -> anyhow::Result<()> {
    let (tenant, uid) = with_data().await?;
    tenant.annotate("easycode.io/confirm-delete", &tenant.name).await?;
    let block = Block::write(&tenant.platform.cluster, &Write::to_tenant(&tenant.name)).await?;
    tenant.delete_confirmed().await?;
    kill_at(&tenant, block).await?;
    erased(&tenant, &uid).await
}
