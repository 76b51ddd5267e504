//! What it means that a tenant is right: every part of it is as planned, and there is nothing else.

use anyhow::ensure;
use easycode_e2e::{holdings::Holdings, tenant::TestTenant};

/// Nothing in Postgres, no ConfigMap.
pub async fn nothing_left(tenant: &TestTenant) -> anyhow::Result<()> {
    let left = tenant.holdings().await?;
    ensure!(left == Holdings::default(), "{}: still has {left:#?}", tenant.name);
    ensure!(tenant.config_map().await?.is_none(), "its ConfigMap is still there");
    Ok(())
}
