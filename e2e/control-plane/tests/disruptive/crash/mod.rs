//! The operator killed at each of its steps once: whatever it leaves, the next leader goes on from there, and the tenant ends
//! right. A step is held by a block from outside, so each kill comes at a known place.

mod burst;
mod deletion;
mod provisioning;
mod right;
mod withdrawal;

use easycode_e2e::{
    block::Block,
    operator::Operator,
    platform::Platform,
    tenant::{TestTenant, fresh_name},
};

/// A tenant that doesn't exist yet.
async fn unborn() -> anyhow::Result<TestTenant> {
    Ok(TestTenant { platform: Platform::example().await?, name: fresh_name("crash") })
}

/// Kills the operator once it has come to the block, and then lets its successor pass.
async fn kill_at(tenant: &TestTenant, block: Block) -> anyhow::Result<()> {
    let operator = Operator::of(&tenant.platform.cluster);
    operator.aim().await?;
    block.reached().await;
    operator.kill().await?;
    block.lift().await
}

/// As [`kill_at`] a lock, with Postgres noticing the death: what was under way is rolled back.
async fn kill_and_lose_at(tenant: &TestTenant, block: Block) -> anyhow::Result<()> {
    let operator = Operator::of(&tenant.platform.cluster);
    operator.aim().await?;
    block.reached().await;
    operator.kill().await?;
    block.lose_who_waits().await?;
    block.lift().await
}

/// Erases the tenant, checks that nothing is left of it, and waits until the operator has all its replicas again.
async fn end(tenant: &TestTenant) -> anyhow::Result<()> {
    tenant.erase().await?;
    right::nothing_left(tenant).await?;
    Operator::of(&tenant.platform.cluster).settled().await;
    Ok(())
}
