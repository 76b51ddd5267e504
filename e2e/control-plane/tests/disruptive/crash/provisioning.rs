//! Killed while a tenant is provisioned.

use easycode_e2e::{
    block::{Block, Write},
    tenant::TestTenant,
};
use serde_json::json;

use super::{end, kill_and_lose_at, kill_at, right, unborn};

/// Provisions the tenant with a kill at the block.
async fn provision(tenant: &TestTenant, block: Block) -> anyhow::Result<()> {
    tenant.apply(json!({})).await?;
    kill_at(tenant, block).await?;
    right::served(tenant).await?;
    end(tenant).await
}

/// As [`provision`], with what was under way in Postgres rolled back.
async fn provision_anew(tenant: &TestTenant, block: Block) -> anyhow::Result<()> {
    tenant.apply(json!({})).await?;
    kill_and_lose_at(tenant, block).await?;
    right::served(tenant).await?;
    end(tenant).await
}

#[tokio::test]
async fn killed_before_it_claims_a_tenant_the_operator_still_provisions_it() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let block = Block::write(&tenant.platform.cluster, &Write::to_tenant(&tenant.name)).await?;
    provision(&tenant, block).await
}

#[tokio::test]
async fn killed_while_it_makes_a_role_the_operator_makes_it_anew() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let block = Block::registry(&tenant.platform).await?;
    provision_anew(&tenant, block).await
}

#[tokio::test]
async fn a_role_that_is_committed_after_the_operator_died_is_taken_over() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let block = Block::registry(&tenant.platform).await?;
    provision(&tenant, block).await
}

#[tokio::test]
async fn killed_while_it_makes_a_schema_the_operator_makes_it_anew() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let block = Block::schema(&tenant.platform, "crm", &tenant.role()).await?;
    provision_anew(&tenant, block).await
}

#[tokio::test]
async fn a_schema_that_is_committed_after_the_operator_died_is_taken_over() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let block = Block::schema(&tenant.platform, "crm", &tenant.role()).await?;
    provision(&tenant, block).await
}

#[tokio::test]
async fn killed_between_two_services_schemas_the_operator_makes_the_second() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let block = Block::schema(&tenant.platform, "tenant-service", &tenant.role()).await?;
    provision_anew(&tenant, block).await
}

#[tokio::test]
async fn killed_before_it_publishes_the_context_the_operator_publishes_it() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let platform = &tenant.platform;
    let write = Write::of_config_map(&platform.namespace(), &format!("tenant-{}", tenant.name));
    let block = Block::write(&platform.cluster, &write).await?;
    provision(&tenant, block).await
}

#[tokio::test]
async fn killed_before_it_reports_the_operator_reports_what_is() -> anyhow::Result<()> {
    let tenant = unborn().await?;
    let block = Block::write(&tenant.platform.cluster, &Write::to_status_of(&tenant.name)).await?;
    provision(&tenant, block).await
}
